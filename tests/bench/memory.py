"""Memory of all Postern processes: idle, with idle sessions, and with many large messages under way."""
import asyncio
import multiprocessing
import os
import time

import rig
from client import Client

IDLE, MANY = 1000, 5000
FLIGHT, FLIGHT_SIZE = 50, 10 * 1000 * 1000
GIVE_BACK_S = 11            # a worker returns the memory of its past sessions after ten seconds
SETTLE_S = 1.0              # for what a process does after the last event
FLIGHT_LIMIT_S = 240
STALL_S = 8                 # the back end reads slowly for so long once all messages are under way
SAMPLE_S = 0.05


def settled(program):
    time.sleep(SETTLE_S)
    return program.memory()


def per_session(with_them, without, n):
    return [(a - b) / n for a, b in zip(with_them, without)]


class Idle:
    """`n` sessions that have said EHLO and nothing since."""

    def __init__(self, n, tls=False, after_message=False):
        with rig.smtp_sink(), rig.postern(tls=tls, sessions=n, memory="4G") as postern:
            self.base = settled(postern)
            clients = [Client(tls=tls) for _ in range(n)]
            if after_message:
                for client in clients:
                    client.send()
            self.total = settled(postern)
            self.each = per_session(self.total, self.base, n)
            for client in clients:
                client.say(b"NOOP", b"250")         # each of them is still served
                client.close()
            time.sleep(GIVE_BACK_S)
            self.after = settled(postern)


# --- Many large messages -------------------------------------------------------------------------------------------

async def slow_session(reader, writer, under_way, hurry):
    """Takes a message slowly until `hurry` is set: 4 KB every tenth of a second."""
    writer.write(b"220 slow.local.example\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        if verb == b"EHLO":
            writer.write(b"250-slow.local.example\r\n250-PIPELINING\r\n250 SIZE 104857600\r\n")
        elif verb == b"DATA":
            writer.write(b"354 go on\r\n")
            with under_way.get_lock():
                under_way.value += 1
            await slow_body(reader, hurry)
            writer.write(b"250 2.0.0 taken\r\n")
        elif verb == b"QUIT":
            writer.write(b"221 bye\r\n")
            break
        else:
            writer.write(b"250 ok\r\n")
    writer.close()


async def slow_body(reader, hurry):
    tail = b"\r\n"
    while not tail.endswith(b"\r\n.\r\n"):
        if not hurry.is_set():
            await asyncio.sleep(0.1)
        piece = await reader.read(4096 if not hurry.is_set() else 65536)
        if not piece:
            return
        tail = (tail + piece)[-5:]


async def serve_slowly(reader, writer, under_way, hurry):
    try:
        await slow_session(reader, writer, under_way, hurry)
    except ConnectionError:
        writer.close()          # the clients tell what came of it


def slow_back_end(under_way, hurry, ready):
    async def serve():
        server = await asyncio.start_server(lambda r, w: serve_slowly(r, w, under_way, hurry), *rig.SINK, limit=8192)
        ready.set()
        async with server:
            await asyncio.sleep(2 * FLIGHT_LIMIT_S)     # by then it has been ended, unless nobody is left to do it
        os._exit(1)
    asyncio.run(serve())


async def read_reply(reader, code):
    while True:
        line = await reader.readline()
        if line[3:4] != b"-":
            break
    if not line.startswith(code):
        raise SystemExit("%r came instead of %r" % (line, code))


async def send_large(sent):
    reader, writer = await asyncio.open_connection(*rig.POSTERN)
    piece = (b"y" * 78 + b"\r\n") * 800
    await read_reply(reader, b"220")
    for line, code in ((b"EHLO bench.local.example", b"250"), (b"MAIL FROM:<a@bench.local.example>", b"250"),
                       (b"RCPT TO:<b@local.example>", b"250"), (b"DATA", b"354")):
        writer.write(line + b"\r\n")
        await read_reply(reader, code)
    writer.write(b"Subject: large\r\n\r\n")
    for _ in range(0, FLIGHT_SIZE, len(piece)):
        writer.write(piece)
        await writer.drain()
    writer.write(b".\r\n")
    await read_reply(reader, b"250")
    with sent.get_lock():
        sent.value += 1
    writer.write(b"QUIT\r\n")
    await read_reply(reader, b"221")
    writer.close()


def large_clients(sent):
    async def send_all():
        await asyncio.gather(*(send_large(sent) for _ in range(FLIGHT)))
    asyncio.run(asyncio.wait_for(send_all(), FLIGHT_LIMIT_S))


class Flight:
    """FLIGHT messages of FLIGHT_SIZE under way at once to a back end that reads slowly: the peak of the memory."""

    settings = {"sessions": FLIGHT, "memory": "1G", "message_memory": "32M"}

    def __init__(self):
        fork = multiprocessing.get_context("fork")
        self.under_way, self.sent, self.hurry, ready = fork.Value("i"), fork.Value("i"), fork.Event(), fork.Event()
        self.peak = (0, 0)
        self.at_once = 0
        back_end = fork.Process(target=slow_back_end, args=(self.under_way, self.hurry, ready), daemon=True)
        clients = fork.Process(target=large_clients, args=(self.sent,), daemon=True)
        back_end.start()
        ready.wait(rig.START_S)
        with rig.postern(**self.settings) as postern:
            self.base = settled(postern)
            clients.start()
            self.watch(postern, clients)
        back_end.terminate()
        if self.sent.value != FLIGHT:
            raise SystemExit("%d of %d large messages arrived" % (self.sent.value, FLIGHT))
        self.budget = rig.budget(**self.settings)

    def watch(self, postern, clients):
        limit = time.monotonic() + FLIGHT_LIMIT_S
        release = None
        while clients.is_alive() and time.monotonic() < limit:
            memory = postern.memory()
            self.peak = tuple(map(max, self.peak, memory))
            self.at_once = max(self.at_once, self.under_way.value - self.sent.value)
            if release is None and self.under_way.value == FLIGHT:
                release = time.monotonic() + STALL_S
            if release is not None and time.monotonic() > release:
                self.hurry.set()
            time.sleep(SAMPLE_S)
