"""The door under load. tests/bench/README.md tells what each row means.

    door.py POSTERN KNOCK ROUNDS
"""
import asyncio
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import sys
import time

import rig

RATE, KNOCK_S = 5000, 5
NORMAL, NORMAL_EVERY_S, NORMAL_S = 100, 1.0, 6
SLOW, SILENT = 500, 500
DRIP_S = 3                          # a slow client sends an octet so often
SESSIONS = 1500
PER_ADDRESS = 20
FRIENDS, KNOCKER = "127.0.1.%d", "127.0.3.1"
MESSAGE = b"From: a@sender.example\r\nSubject: hello\r\n\r\n" + b"A line of this message.\r\n" * 160 + b".\r\n"
LIMIT_S = 20
LEAVE_S = 1                         # until the gateway has counted out those who left


def configuration():
    """Two workers; friends are greeted at once, all others with the pause of three seconds."""
    path = rig.home / "door.ini"
    path.write_text("\n".join([
        "[server]", "hostname = mx.local.example", "workers = 2",
        "[listen smtp]", "address = " + rig.text(rig.POSTERN), "tls = off",
        "[backend]", "servers = " + rig.text(rig.SINK), "tls = off",
        "[relay]", "domains = local.example",
        "[limits]", "sessions = %d" % SESSIONS, "sessions_per_address = %d" % PER_ADDRESS, "memory = 1G",
        "[dns]", "servers = " + rig.text(rig.NO_DNS),
        "[author]", "strict = no", "[spf]", "check = no", "[dkim]", "check = no", "[arc]", "check = no",
        "[dmarc]", "mode = off",
        "[door]", "networks = 127.0.1.0/24"]) + "\n")
    return path


def proven():
    """What `postern check` says may be needed at worst, octets, without what a reload adds."""
    out = subprocess.run([rig.binary(), "check", "-c", configuration()], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^#\s+(\S.*?)\s+\d+ x\s+\d+ =\s+(\d+)k", out, re.M)
    return sum(int(kilo) for name, kilo in rows if "old workers" not in name) * 1024


def connect(source):
    sock = socket.socket()
    sock.settimeout(LIMIT_S)
    sock.bind((source, 0))
    sock.connect(rig.POSTERN)
    return sock


# --- Refused connects ----------------------------------------------------------------------------------------------

class Knock:
    """Connects from an address that has all the sessions it may have."""

    def __init__(self, gateway, knock):
        held = [connect(KNOCKER) for _ in range(PER_ADDRESS)]
        for sock in held:
            assert sock.recv(100).startswith(b"220-")
        cpu = gateway.cpu()
        out = subprocess.run([knock, rig.POSTERN[0], str(rig.POSTERN[1]), KNOCKER, str(RATE), str(KNOCK_S)], check=True,
                             capture_output=True, text=True).stdout
        tried, self.answered, seconds, self.median, self.p99, self.longest = (float(word) for word in out.split())
        self.cpu_us = 1e6 * (gateway.cpu() - cpu) / max(1, tried)
        self.rate, self.share = tried / seconds, self.answered / max(1, tried)
        for sock in held:
            sock.close()
        time.sleep(LEAVE_S)


# --- Slow clients --------------------------------------------------------------------------------------------------

def slow_source(i):
    return "127.0.2.%d" % (1 + i // PER_ADDRESS)


def be_slow(ready, end):
    """Half of them say nothing after the greeting, the others an octet now and then, never a whole line."""
    rig.raise_descriptor_limit()
    clients = [connect(slow_source(i)) for i in range(SLOW + SILENT)]
    time.sleep(4)                   # the pause in the greeting
    for sock in clients:
        assert re.fullmatch(rb"220-[^\r]*\r\n220 [^\r]*\r\n", sock.recv(1000))
        sock.setblocking(False)
    ready.set()
    turn = 0
    while not end.is_set():
        for i in range(turn, SLOW, 30):     # a thirtieth in each tenth of a second
            clients[i].send(b"N")   # an error, had the gateway closed it
        turn = (turn + 1) % 30
        end.wait(DRIP_S / 30)
    for sock in clients:
        sock.close()


class SlowCrowd:
    def __enter__(self):
        ready, self.end = multiprocessing.Event(), multiprocessing.Event()
        self.process = multiprocessing.Process(target=be_slow, args=(ready, self.end), daemon=True)
        self.process.start()
        assert ready.wait(4 * LIMIT_S), "the slow clients are not connected"
        return self

    def __exit__(self, *_):
        self.end.set()
        self.process.join()
        assert self.process.exitcode == 0, "the slow clients were cut off"
        time.sleep(LEAVE_S)


# --- Normal clients ------------------------------------------------------------------------------------------------

async def expect(reader, code):
    while True:
        line = await asyncio.wait_for(reader.readline(), LIMIT_S)
        if not line.startswith(code):
            raise SystemExit("expected %r, got %r" % (code, line))
        if line[3:4] == b" ":
            return


async def send_one(source):
    """One connection and one message; seconds."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection(*rig.POSTERN, local_addr=(source, 0))
    await expect(reader, b"220")
    for line, code in ((b"EHLO client.example\r\n", b"250"),
                       (b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\nDATA\r\n", b"250"),
                       (b"", b"250"), (b"", b"354"), (MESSAGE, b"250"), (b"QUIT\r\n", b"221")):
        writer.write(line)
        await expect(reader, code)
    writer.close()
    return time.perf_counter() - start


async def be_normal(i, times):
    await asyncio.sleep(NORMAL_EVERY_S * i / NORMAL)
    end = time.perf_counter() + NORMAL_S
    while time.perf_counter() < end:
        taken = await send_one(FRIENDS % (1 + i))
        times.append(taken)
        await asyncio.sleep(max(0.0, NORMAL_EVERY_S - taken))


async def all_normal(times):
    await asyncio.gather(*(be_normal(i, times) for i in range(NORMAL)))


def p99_of_normal():
    """Milliseconds for a connection with one message, 100 clients with one each second: 99th percentile."""
    times = []
    asyncio.run(all_normal(times))
    return 1000 * statistics.quantiles(times, n=100)[98]


# --- The table -----------------------------------------------------------------------------------------------------

class Rounds:
    """Idle and beside the slow ones right after each other, so that what else the machine does falls on both."""

    def __init__(self, gateway, rounds):
        self.idle, self.beside, self.peak = [], [], (0, 0)
        for _ in range(rounds):
            self.idle.append(p99_of_normal())
            with SlowCrowd():
                self.beside.append(p99_of_normal())
                self.peak = max(self.peak, gateway.memory())

    def ratio(self):
        return statistics.median(b / a for a, b in zip(self.idle, self.beside))


def p99_while_knocking(gateway, knock):
    result = []
    with multiprocessing.Pool(1) as pool:
        waiting = pool.apply_async(p99_of_normal)
        result.append(Knock(gateway, knock))
        return waiting.get(4 * LIMIT_S), result[0]


def row(title, value, to_reach=""):
    print("| %-82s | %26s | %22s |" % (title, value, to_reach))


def main():
    knock, rounds = sys.argv[2], int(sys.argv[3])
    rig.binary(sys.argv[1])
    rig.raise_descriptor_limit()
    sink = rig.Program([rig.binary(), "sink", "--listen", rig.text(rig.SINK)], rig.SINK)
    gateway = rig.Program([rig.binary(), "run", "-c", configuration()], rig.POSTERN)
    with sink, gateway:
        base = gateway.memory()
        knocks = [Knock(gateway, knock) for _ in range(rounds)]
        beside, _ = p99_while_knocking(gateway, knock)
        slow = Rounds(gateway, rounds)
    print("load of the machine at the end: %.1f; %d cores, %d rounds\n" % (os.getloadavg()[0], os.cpu_count(), rounds))
    row("", "Postern", "to reach")
    print("|%s|%s:|%s:|" % ("-" * 84, "-" * 27, "-" * 23))
    middle = statistics.median
    row("refused at the door: connects/s", "%.0f" % middle(k.rate for k in knocks), "%d" % RATE)
    row("refused at the door: answered with 421", "%.2f %%" % (100 * middle(k.share for k in knocks)), "100 %")
    row("refused at the door: CPU of a refused connect, us", "%.0f" % middle(k.cpu_us for k in knocks))
    row("refused at the door: connect to 421, ms: median; p99; longest", "%.1f; %.1f; %.1f" % (
        middle(k.median for k in knocks), middle(k.p99 for k in knocks), max(k.longest for k in knocks)), "1000 (Z-5, R-5)")
    row("a message of 100 normal clients, p99, ms: alone", "%.1f" % middle(slow.idle))
    row("a message of 100 normal clients, p99, ms: beside 1,000 slow ones", "%.1f" % middle(slow.beside))
    row("a message of 100 normal clients, p99: beside 1,000 slow ones to alone", "%.2f" % slow.ratio(), "2.00")
    row("a message of 100 normal clients, p99, ms: while others knock 5,000 times a second", "%.1f" % beside)
    row("memory, idle; with 1,000 slow and 100 normal clients, MB", "%.1f; %.1f" % (base[0] / 1e6, slow.peak[0] / 1e6),
        "%.1f stated" % (proven() / 1e6))


if __name__ == "__main__":
    main()
