"""A connection as its scripted end sees it: what is sent goes out in the segments it was cut into, what comes is kept, and
both are remembered. Nothing here blocks; whoever plays pumps (Pump)."""
import ctypes
import re
import select
import socket
import ssl
import struct
import time

OPEN, CLOSED, RESET, GONE = "open", "closed", "reset", "gone"
ALERT = 21              # TLS record type
READ_AT_ONCE = 65536
SMALL_WINDOW = 4096     # octets the kernel takes for a peer that does not read


class Transcript:
    """All octets of one connection, as sent and received on the wire, and what they were in clear."""

    def __init__(self, wire, sock):
        self.wire = wire
        self.local, self.remote = sock.getsockname()[:2], sock.getpeername()[:2]
        self.began, self.ended = time.time(), None
        self.sent, self.received = bytearray(), bytearray()
        self.clear_sent, self.clear_received = bytearray(), bytearray()
        self.is_tls = False
        self.end = OPEN

    def clients_end(self):
        """(client, server) of the connection, whoever we are."""
        return (self.local, self.remote) if self.wire == "north" else (self.remote, self.local)


def _openssl(tls):
    """(libssl as Python has loaded it, the SSL of one of its objects: the second pointer behind the object's head)."""
    with open("/proc/self/maps") as maps:
        library = ctypes.CDLL(re.search(r"/\S*libssl\S*", maps.read()).group())
    for function in (library.SSL_key_update, library.SSL_renegotiate, library.SSL_do_handshake):
        function.argtypes = [ctypes.c_void_p] + [ctypes.c_int] * (function is library.SSL_key_update)
    return library, ctypes.c_void_p.from_address(id(tls._sslobj) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)).value


class Leg:
    """One connection; `state` is OPEN, or how it ended: CLOSED and RESET by the other side, GONE by us."""

    def __init__(self, wire, sock):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire, self.sock = wire, sock
        self.transcript = Transcript(wire, sock)
        self.incoming = bytearray()     # in clear, not looked at yet
        self.outgoing = bytearray()     # on its way into the kernel
        self.state = OPEN
        self.has_finished = False       # we have sent our FIN; we still read
        self.is_stalled = False
        self.tls = None
        self.tls_in = self.tls_out = None
        self.only_records = False       # behind a handshake that failed: alerts are nobody's words
        self.trouble = None
        self.write_failed = False       # the kernel tells of a reset once, to whoever calls first

    # ---- out ----

    def send(self, octets):
        """In one segment, and one TLS record, as far as the window lets it."""
        if self.state != OPEN or self.has_finished:
            return
        self.transcript.clear_sent += octets
        if self.tls:
            self.tls.write(octets)
            octets = self.tls_out.read()
        self._put(octets)

    def _put(self, octets):
        self.outgoing += octets
        self.write()

    def write(self):
        if not self.outgoing or self.state != OPEN:
            return
        try:
            n = self.sock.send(self.outgoing)
        except BlockingIOError:
            return
        except OSError:
            self.write_failed = True
            self.outgoing.clear()
            return
        self.transcript.sent += self.outgoing[:n]
        del self.outgoing[:n]

    # ---- in ----

    def read(self):
        """All that is there."""
        while self.state == OPEN and not self.is_stalled:
            try:
                octets = self.sock.recv(READ_AT_ONCE)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(RESET, error)
                return
            if not octets:
                self._end(RESET if self.write_failed else CLOSED)
                return
            self.transcript.received += octets
            self._take(octets)

    def _take(self, octets):
        if self.tls:
            self.tls_in.write(octets)
            self._decrypt()
            return
        self.incoming += octets
        self.transcript.clear_received += octets
        while self.only_records and self.incoming[:1] == bytes([ALERT]) and len(self.incoming) >= 5:
            n = 5 + struct.unpack("!H", self.incoming[3:5])[0]
            if len(self.incoming) < n:
                break
            del self.incoming[:n]

    def _decrypt(self):
        try:
            while True:
                octets = self.tls.read(READ_AT_ONCE)
                if not octets:
                    return
                self.incoming += octets
                self.transcript.clear_received += octets
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            self.trouble = str(error)
        finally:
            answer = self.tls_out.read()
            if answer:
                self._put(answer)

    def _end(self, state, error=None):
        self.state = state
        self.trouble = self.trouble or (error and str(error))
        self._over()

    def _over(self):
        self.transcript.end = self.state
        self.transcript.ended = time.time()
        self.sock.close()

    # ---- TLS ----

    def start_tls(self, context, server_side):
        self.tls_in, self.tls_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.tls_in, self.tls_out, server_side=server_side)
        self.transcript.is_tls = True
        early, self.incoming = bytes(self.incoming), bytearray()
        self.tls_in.write(early)

    def shake(self):
        """One step of the handshake; True when it is done."""
        try:
            self.tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        self._put(self.tls_out.read())
        if done:
            self._decrypt()     # what came with its last record
        return done

    def send_beneath(self, octets):
        self._put(octets)

    def tls_message(self, what):
        """`key updates`, `renegotiations`: messages that Python's ssl does not offer to send."""
        if self.state != OPEN:
            return
        library, handle = _openssl(self.tls)
        if what == "key updates":
            library.SSL_key_update(handle, 0)
        else:
            library.SSL_renegotiate(handle)
        library.SSL_do_handshake(handle)
        library.ERR_clear_error()
        self._put(self.tls_out.read())

    # ---- ends ----

    def finish(self):
        """FIN: no more from us; in TLS with its goodbye."""
        if self.state != OPEN or self.has_finished:
            return
        if self.tls:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass
            self._put(self.tls_out.read())
        self.has_finished = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self):
        if self.state != OPEN:
            return
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.state = GONE
        self._over()

    def close(self):
        if self.state == OPEN:
            self.state = GONE
            self._over()


class Pump:
    """Moves octets on all legs, takes connections, and waits for something to become true."""

    def __init__(self):
        self.legs = []
        self.doors = {}     # listener -> what is called with an accepted socket
        self.readers = {}   # socket -> what is called when it is readable

    def _round(self, seconds):
        legs = [leg for leg in self.legs if leg.state == OPEN]
        self.legs = legs
        reading = [leg.sock for leg in legs if not leg.is_stalled] + list(self.doors) + list(self.readers)
        writing = [leg.sock for leg in legs if leg.outgoing]
        ready, _, _ = select.select(reading, writing, [], seconds)
        for sock in ready:
            if sock in self.readers:
                self.readers[sock]()
        for leg in legs:
            leg.write()
            leg.read()
        for door, entered in list(self.doors.items()):
            try:
                entered(door.accept()[0])
            except BlockingIOError:
                pass

    def until(self, condition, seconds):
        """The condition's value: true, or false when the time is over."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            left = end - time.monotonic()
            if value or left <= 0:
                return value
            self._round(min(left, 0.02))

    def now(self):
        """What is there already."""
        self._round(0)

    def rest(self, seconds):
        self.until(lambda: False, seconds)
