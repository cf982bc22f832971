"""Evaluations per second and instructions per message: tests/bench/policy tells how to call it, README.md what the rows mean.

    authentication.py BENCH-POLICY ROUNDS
"""
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import peers
import signed

SECONDS = 0.3
METHODS = {"spf": ("[spf]", "check = no"), "dkim": ("[dkim]", "check = no"), "arc": ("[arc]", "check = no"),
           "dmarc": ("[dmarc]", "mode = off")}
BASE = """[server]
hostname = mx.local.example
[listen smtp]
address = 127.0.0.1:2500
tls = off
[backend]
servers = 127.0.0.1:2501
tls = off
[relay]
domains = local.example
[dns]
servers = 127.0.0.1:2504
"""
ALL = {"spf", "dkim", "arc", "dmarc"}

# What it is called, methods that are on, message, others that do the same work.
CASES = [
    ("SPF, 5 includes", {"spf"}, "plain", ("pyspf", "libspf2")),
    ("DKIM rsa-2048, 4 KB", {"dkim"}, "rsa 4096", ("dkimpy", "libopendkim")),
    ("DKIM rsa-2048, 1 MB", {"dkim"}, "rsa 1048576", ("dkimpy", "libopendkim")),
    ("DKIM ed25519, 4 KB", {"dkim"}, "ed25519 4096", ("dkimpy",)),
    ("DKIM ed25519, 1 MB", {"dkim"}, "ed25519 1048576", ("dkimpy",)),
    ("DMARC", {"dmarc"}, "plain", ()),
    ("SPF, DKIM rsa-2048, ARC, DMARC, 4 KB", ALL, "rsa 4096", ()),
]


class Bench:
    def __init__(self, program, place):
        self.program, self.place = program, place
        keys = {name: signed.Key(place, name) for name in ("rsa", "ed25519")}
        self.zone = signed.dns_of(keys.values())
        self.facts = place / "facts"
        self.facts.write_text("".join('TXT %s OK "%s"\n' % item for item in self.zone.items()))
        self.messages = {"plain": signed.message(4096)}
        for name, key in keys.items():
            for size in (4096, 1048576):
                self.messages["%s %d" % (name, size)] = signed.message(size, key)
        for name, octets in self.messages.items():
            (place / name).write_bytes(octets)

    def ini(self, methods):
        path = self.place / ("-".join(sorted(methods)) + ".ini")
        lines = ["[author]", "strict = yes"]
        for name, off in METHODS.items():
            lines += off if name not in methods else ()
        # With SPF or DKIM alone DMARC is off; with DMARC alone it monitors, since nothing passes.
        lines += ["[dmarc]", "mode = monitor"] if methods == {"dmarc"} else []
        path.write_text(BASE + "\n".join(lines) + "\n")
        return path

    def run(self, mode, methods, message, known, before=()):
        arguments = [*before, self.program, mode, self.ini(methods), self.facts, self.place / message]
        out = subprocess.run([str(a) for a in arguments] + (["known"] if known else []), check=True, capture_output=True,
                             text=True)
        number, _, summary = out.stdout.partition(" ")
        for method in methods - {"arc", "dmarc"}:
            if method + "=pass" not in summary:
                raise SystemExit("%s of %s: %s" % (method, message, summary))
        return float(number), out.stderr

    def rate(self, methods, message, known=False):
        return self.run("time", methods, message, known)[0]

    def instructions(self, methods, message):
        n, log = self.run("count", methods, message, True, (
            "valgrind", "--tool=callgrind", "--toggle-collect=measured",
            "--callgrind-out-file=%s" % (self.place / "callgrind")))
        return int(re.search(r"Collected : (\d+)", log).group(1)) / n


def rate_of_peer(peer, message):
    n, begun = 0, time.process_time()
    while True:
        if not peer.check(message):
            raise SystemExit("%s does not pass" % peer.name)
        n += 1
        seconds = time.process_time() - begun
        if seconds > SECONDS:
            return n / seconds


def measure(bench, others, rounds):
    """Rates of each round by (case, who); who is "", "known" or a peer's name."""
    rates = {}
    for _ in range(rounds):
        for title, methods, message, names in CASES:
            rates.setdefault((title, ""), []).append(bench.rate(methods, message))
            rates.setdefault((title, "known"), []).append(bench.rate(methods, message, known=True))
            for name in names:
                if name in others:
                    rates.setdefault((title, name), []).append(rate_of_peer(others[name], bench.messages[message]))
    return rates


def number(value):
    return "%.0f" % value if value >= 100 else "%.1f" % value


def row(bench, rates, case):
    title, methods, message, names = case
    ours = rates[title, ""]
    beside = ["%s %s (%.1f x)" % (name, number(statistics.median(rates[title, name])),
                                  statistics.median(a / b for a, b in zip(ours, rates[title, name])))
              for name in names if (title, name) in rates]
    known = statistics.median(rates[title, "known"])
    return (title, number(statistics.median(ours)), number(known), "%.1f" % (1e6 / known),
            "%.0f" % bench.instructions(methods, message), ", ".join(beside))


def print_table(rows):
    width = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for n, r in enumerate(rows):
        last = len(r) - 1
        print("| " + " | ".join(w.ljust(width[i]) if i in (0, last) else w.rjust(width[i]) for i, w in enumerate(r)) + " |")
        if n == 0:
            print("|" + "|".join("-" * (w + 2) if i in (0, last) else "-" * (w + 1) + ":"
                                 for i, w in enumerate(width)) + "|")


def main():
    program, rounds = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="postern-bench.") as folder:
        place = pathlib.Path(folder)
        bench = Bench(program, place)
        others = peers.available(bench.zone, place)
        rates = measure(bench, others, rounds)
        print_table([("", "evaluations/s", "without mathematics", "us", "instructions", "others, and how much faster")] +
                    [row(bench, rates, case) for case in CASES])


main()
