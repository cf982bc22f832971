"""A link that a campaign holds in its hands: a TCP relay in the loop, which delays, and cuts at any octet.

    relay.plan = Cut(UP, 120, "reset")      # the next connection is cut once 120 octets have gone up, to the server
    relay.jitter = 0.01                     # each piece is delayed by up to so many seconds, and cut into smaller ones
    relay.hazard = 1e-5                     # or: cut anywhere, with this probability for each octet"""
import collections
import ctypes
import math
import os
import random
import socket
import struct
import time

from parts.place import fresh_endpoint

UP, DOWN = "up", "down"     # to the server, to the client
# FIN; RST; nothing passes any more; nothing passes any more in this direction, while the other one goes on.
MANNERS = "close", "reset", "silence", "mute"
SILENCE = 60                # seconds: until disarmed, mostly

Cut = collections.namedtuple("Cut", "way octets manner")


_libc = ctypes.CDLL(None, use_errno=True)


def abort(sock):
    """RST now, whoever else holds descriptors of the socket: connect(2) to AF_UNSPEC."""
    _libc.connect(sock.fileno(), struct.pack("HHI8x", socket.AF_UNSPEC, 0, 0), 16)


class Link:
    """One connection through the relay: two pumps, each with descriptors of its own, since both may wait for one socket."""

    def __init__(self, relay, client, server, plan):
        self.relay, self.plan = relay, plan
        self.passed = {UP: 0, DOWN: 0}
        self.ends = [client, server]
        self.open_pumps = 2
        self.is_cut = False
        self.silent = ()
        if relay.hazard and not plan:
            draw = relay.rng.random()
            octets = int(-math.log(1 - draw) / relay.hazard)     # of an exponential distribution
            self.plan = Cut(relay.rng.choice((UP, DOWN)), octets, relay.rng.choice(MANNERS[:2]))

    def pump(self, way, source, target):
        loop = self.relay.loop
        try:
            while not self.is_cut:
                if self.plan and self.plan.way == way and self.passed[way] >= self.plan.octets:
                    self.cut()
                    if self.is_cut:
                        return
                try:
                    chunk = source.recv(self.room(way))
                except BlockingIOError:
                    yield loop.wait(source, 600)
                    continue
                if way in self.silent:
                    if not chunk:
                        return
                    continue
                if not chunk:
                    target.shutdown(socket.SHUT_WR)
                    return
                if self.relay.jitter:
                    yield loop.sleep(self.relay.rng.uniform(0, self.relay.jitter))
                yield from self.write(target, chunk)
                self.passed[way] += len(chunk)
        except OSError:
            self.cut(is_ours=False)
        finally:
            for sock in (source, target):
                loop.forget(sock)
                sock.close()
            self.open_pumps -= 1
            if self.open_pumps == 0:
                self.relay.links.discard(self)
                for sock in self.ends:
                    sock.close()

    def room(self, way):
        """How much may pass in one piece: up to the cut."""
        if self.silent:
            return 65536
        most = self.relay.rng.choice((1, 7, 100, 1448)) if self.relay.jitter else 65536
        if self.plan and self.plan.way == way:
            most = min(most, self.plan.octets - self.passed[way])
        return max(1, most)

    def write(self, target, chunk):
        view = memoryview(chunk)
        while view and not self.is_cut:
            try:
                view = view[target.send(view):]
            except BlockingIOError:
                yield self.relay.loop.wait(target, 600)

    def cut(self, is_ours=True):
        """Both ends learn of it at once, or never."""
        if self.is_cut or (is_ours and self.silent):
            return
        if is_ours:
            self.relay.struck(self)
        if is_ours and self.plan.manner in ("silence", "mute"):
            self.silent = (UP, DOWN) if self.plan.manner == "silence" else (self.plan.way,)
            self.relay.loop.spawn(self.hang())
            return
        self.end(is_ours and self.plan.manner == "close")

    def end(self, politely):
        """Either wakes the pumps."""
        self.is_cut = True
        for sock in self.ends:
            try:
                if politely:
                    sock.shutdown(socket.SHUT_RDWR)
                else:
                    abort(sock)
            except OSError:
                pass

    def hang(self):
        """Of a silent link: its sockets stay until the relay's plan is taken away."""
        end = time.monotonic() + SILENCE
        while time.monotonic() < end and self.relay.is_holding:
            yield self.relay.loop.sleep(0.02)
        self.end(True)


class Relay:
    def __init__(self, rig, side, server):
        self.rig, self.loop, self.side, self.server = rig, rig.loop, side, server
        self.rng = random.Random(rig.rng.getrandbits(64))
        self.plan, self.jitter, self.hazard = None, 0.0, 0.0
        self.is_holding = False         # silent links stay
        self.is_stopped = False
        self.links = set()
        self.last = None                # the link of the last connection
        self.cuts = 0
        self.endpoint = fresh_endpoint()
        self.listener = socket.create_server(self.endpoint, backlog=512)
        self.listener.setblocking(False)
        self.loop.watch(self.listener)
        self.loop.spawn(self.accept())

    @property
    def is_silent(self):
        return any(link.silent for link in self.links)

    def struck(self, link):
        self.cuts += 1
        now = time.monotonic()
        self.rig.events.append(("%s %s" % (self.side, "cut" if link.plan.manner in MANNERS[:2] else "silent"), now, now))

    def accept(self):
        while not self.is_stopped:
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                yield self.loop.wait(self.listener, 0.5)
                continue
            except OSError:
                break
            self.loop.spawn(self.connect(client))
        self.loop.forget(self.listener)
        self.listener.close()

    def connect(self, client):
        plan, self.plan = self.plan, None
        server = socket.socket()
        try:
            server.connect(self.server)     # loopback: at once, or refused
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            server.close()
            return
        self.last = link = Link(self, client, server, plan)
        self.links.add(link)
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way, source, target in ((UP, client, server), (DOWN, server, client)):
            pair = [socket.socket(fileno=os.dup(sock.fileno())) for sock in (source, target)]
            for sock in pair:
                sock.setblocking(False)
                self.loop.watch(sock)
            self.loop.spawn(link.pump(way, *pair))
        return
        yield   # pylint: disable=unreachable  (a task)

    def disarm(self):
        """Silent links end; a plan nobody used is gone. Whether it was used is told."""
        used = self.plan is None
        self.plan, self.is_holding = None, False
        return used

    def arm(self, plan):
        self.plan, self.is_holding = plan, True

    def stop(self):
        self.is_stopped, self.is_holding = True, False
