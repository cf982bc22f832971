"""Captures of the rigs' wires, where tcpdump may capture, and wirecheck's word on them, where it is built."""
import concurrent.futures
import os
import pathlib
import shutil
import socket
import subprocess
import time

from parts import family, pcap
from parts.place import fresh_folder
from parts.verdict import WIRECHECK, Broken, wirecheck

PROBES = 200_000    # octets of a capture: what gateways without clients say in 1.5 s, and more
FAMILIES = "A,P,F,T,Z,L"
SLACK = "5"     # seconds, for limits of time: other steps run on the same machine meanwhile, and here everything is killed
# Of a thousand sessions so many may be in doubt for one invariant, beside those whose lines in the log died with a worker: back ends die before they have
# said EHLO.
DOUBTS_MOST = 10
DIE_WITH_WORKERS = ("L-1",)


def judge(folder):
    """What wirecheck says of north.pcap and south.pcap with log, keys and postern.ini beside them: (verdict, report, words); verdict is
    "pass", "FAIL", "void" or "not judged"."""
    folder = pathlib.Path(folder)
    if not WIRECHECK.exists():
        return "not judged", None, "there is no %s" % WIRECHECK
    try:
        report = wirecheck(folder / "north.pcap", folder / "south.pcap", log=folder / "log", keylog=folder / "keys",
                           config=folder / "postern.ini", out=folder / "report.json", more=("--only", FAMILIES, "--slack", SLACK))
    except (Broken, subprocess.TimeoutExpired) as error:
        return "not judged", None, str(error)
    violated = ["%s: %s" % (one["id"], one["what"]) for one in report["violations"]]
    doubts = {row["id"]: row["inconclusive"] for row in report["invariants"] if row["inconclusive"]}
    if violated:
        return "FAIL", report, "; ".join(violated[:5])
    if 1000 * max((n for name, n in doubts.items() if name not in DIE_WITH_WORKERS), default=0) > DOUBTS_MOST * max(1, report["run"]["sessions"]):
        return "void", report, "in doubt: %s, of %d sessions" % (doubts, report["run"]["sessions"])
    return "pass", report, ""


class Capture:
    def __init__(self, path, expression):
        self.error = path.with_suffix(".tcpdump")
        with open(self.error, "wb") as error:
            self.process = family.start(["tcpdump", "-i", "lo", "-s", "0", "-U", "-B", "65536", "-Z", "root",
                                             "--time-stamp-precision=nano", "-w", path, expression],
                                        stdout=error, stderr=error)
        end = time.monotonic() + 10
        while "listening on" not in self.error.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise OSError(self.error.read_text())
            time.sleep(0.01)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Wires:
    """The captures of one round. One tcpdump a side is what two cores carry, so all gateways of a round share them; each is judged by its
    own part of them, with its own ini, log and keys."""

    def __init__(self, options, rigs, name):
        self.options, self.rigs, self.name = options, rigs, name
        self.is_wanted = options.captures == "yes" or (options.captures == "auto" and WIRECHECK.exists() and
                                                       os.geteuid() == 0 and shutil.which("tcpdump") is not None)
        self.folder = None
        self.captures = []

    def start(self):
        if not self.is_wanted:
            return
        self.folder = fresh_folder("wires")
        host = self.rigs[0].front[0]
        for side, endpoints in (("north", [rig.front for rig in self.rigs]),
                                ("south", [rig.ledger.endpoint for rig in self.rigs])):
            expression = "host %s and tcp and (%s)" % (host, " or ".join("port %d" % port for _, port in endpoints))
            self.captures.append(Capture(self.folder / (side + ".pcap"), expression))

    def stop(self):
        if self.captures:
            self.let_them_write()
        for capture in self.captures:
            capture.stop()

    def let_them_write(self):
        """tcpdump reads a block of the kernel's when it is full, or after a second; on a slow machine it may be behind by more."""
        size, last, end = 0, -PROBES, time.monotonic() + 30
        while size >= last + PROBES and time.monotonic() < end:
            time.sleep(1.5)
            last, size = size, sum((self.folder / (side + ".pcap")).stat().st_size for side in ("north", "south"))

    def judge(self, account):
        """Each gateway by itself; what they said is added up in the account."""
        if self.folder is None:
            return
        folders = [self.folder_of(rig) for rig in self.rigs]
        for side, end in (("north", lambda rig: rig.front), ("south", lambda rig: rig.ledger.endpoint)):
            pieces = {(socket.inet_aton(end(rig)[0]), end(rig)[1]): [folder / (side + ".pcap")] for rig, folder in zip(self.rigs, folders)}
            pcap.split([self.folder / (side + ".pcap")], pieces)
            (self.folder / (side + ".pcap")).unlink()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            verdicts = [self.enter(rig, account, *found) for rig, found in zip(self.rigs, pool.map(judge, folders))]
        if self.options.keep and (set(verdicts) != {"pass"} or self.options.keep_all):
            shutil.copytree(self.folder, pathlib.Path(self.options.keep) / self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def folder_of(self, rig):
        """With all that wirecheck wants of it but the captures."""
        folder = self.folder / ("rig-%d" % rig.number)
        folder.mkdir()
        for path, name in ((rig.service.log, "log"), (rig.service.keys, "keys"), (rig.service.ini, "postern.ini")):
            shutil.copy(path, folder / name)
        return folder

    def enter(self, rig, account, verdict, report, words):
        account.verdicts[verdict] += 1
        if report:
            account.wire.add(report, "%s, rig %d" % (self.name, rig.number))
        if verdict == "not judged":
            account.notes.append("%s, rig %d: %s" % (self.name, rig.number, words))
        elif verdict != "pass":
            account.violate("%s: wirecheck on rig %d: %s: %s" % (self.name, rig.number, verdict, words))
        return verdict
