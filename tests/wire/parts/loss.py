"""Packets that get lost (ATTACKS O4), on loopback in a network namespace of our own: nft drops some at random, or all of one side for a
while. The campaign calls itself inside of the namespace."""
import json
import os
import shutil
import subprocess
import sys
import time

from parts.account import Account
from parts.limits import Limit
from parts.place import ROOT

INSIDE = "POSTERN_FAULTS_INSIDE"    # in the environment of the call within
SHARES = 1, 5, 20                   # percent


def nft(*words):
    subprocess.run(["nft", *words], check=True)


class Loss(Limit):
    name = "loss"
    # Below the clients' patience: a SYN that is lost in the south, too, ends in an answer in the north.
    sections = {"timeouts": {name: "5s" for name in ("connect", "greeting", "south_command", "south_data_start", "south_block", "south_end")}}

    def rule(self, port, what):
        """Both directions of a port."""
        nft("flush", "chain", "inet", "faults", "out")
        for way in ("dport", "sport"):
            nft("add", "rule", "inet", "faults", "out", "tcp", way, str(port), *what, "drop")

    def phase(self, rig, side, what, seconds, label):
        port = (rig.front if side == "north" else rig.ledger.endpoint)[1]
        before = time.monotonic()
        self.rule(port, what)
        yield self.loop.sleep(seconds)
        nft("flush", "chain", "inet", "faults", "out")
        self.account.injected["%s %s" % (side, label)] += 1
        yield from self.flows(rig, "after %s %s" % (side, label))
        rig.events.append((side + " loss", before, time.monotonic() + 10))     # answers late by retransmission

    def task(self, rig):
        nft("add", "table", "inet", "faults")
        nft("add", "chain", "inet", "faults", "out", "{ type filter hook output priority 0 ; }")
        each = self.seconds / 10
        for side in ("north", "south"):
            for share in SHARES:
                yield from self.phase(rig, side, ["numgen", "random", "mod", "100", "<", str(share)], each, "%d %%" % share)
        end = time.monotonic() + each * 4
        while time.monotonic() < end:
            length = min(30, 0.1 * (each * 20) ** rig.rng.random())
            yield from self.phase(rig, rig.rng.choice(("north", "south")), [], length, "drop")


def inside(options):
    subprocess.run(["ip", "link", "set", "lo", "up", "mtu", "1500"], check=True)
    return [Loss(options, 60 * (options.minutes or 2)).run()]


def campaign(options):
    if os.environ.get(INSIDE):
        return inside(options)
    if os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("unshare"):
        return [Account.skip("loss", "needs root, nft and unshare")]
    results = options.results + ".loss"
    minutes = options.minutes or 2
    subprocess.run(["unshare", "--net", sys.executable, ROOT / "tests" / "wire" / "faults", "loss", "--seed", str(options.seed),
                    "--minutes", str(minutes), "--limit", str(int(minutes * 120 + 120)), "--results", results],
                   env={**os.environ, INSIDE: "1"}, timeout=minutes * 180 + 180, stdout=subprocess.DEVNULL, check=False)
    with open(results) as file:
        rows = json.load(file)["campaigns"]
    os.unlink(results)
    return [Account.of_row(row) for row in rows]
