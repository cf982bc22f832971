"""Captures of the rigs' wires, where tcpdump may capture, and wirecheck's word on them, where it is built."""
import os
import pathlib
import re
import shutil
import subprocess
import time

from parts import family
from parts.place import ROOT, fresh_folder

# Not the log: its last lines die with a killed worker. In doubt may be one in a hundred: back ends die before they have said EHLO.
FAMILIES = "A,P,F,T,Z"
WIRECHECK = ROOT / "build" / "tools" / "wirecheck"


def judge(folder):
    """What wirecheck says of north.pcap and south.pcap with log, keys and postern.ini beside them: (verdict, report); verdict is "pass",
    "FAIL" or "not judged"."""
    folder = pathlib.Path(folder)
    if not WIRECHECK.exists():
        return "not judged", "there is no %s" % WIRECHECK
    command = [WIRECHECK, folder / "north.pcap", folder / "south.pcap", "--only", FAMILIES, "--max-inconclusive", "10"]
    for option, name in (("--log", "log"), ("--keylog", "keys"), ("--config", "postern.ini")):
        if (folder / name).exists():
            command += [option, folder / name]
    done = subprocess.run([*command, "--json", folder / "verdict.json"], capture_output=True, text=True, timeout=600)
    (folder / "report").write_text(done.stdout + done.stderr)
    if done.returncode not in (0, 1):
        return "not judged", "wirecheck ended with status %d: %s" % (done.returncode, done.stderr[-300:])
    return ("pass" if done.returncode == 0 else "FAIL"), done.stdout


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
    """The captures of one round. One tcpdump a side is what two cores carry, so all gateways of a round share them; each is judged with
    its own ini, which says what on the wires is its, and its own log, for their clients' ports are not unlike."""

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
            time.sleep(1.5)     # tcpdump reads a block of the kernel's when it is full, or after a second
        for capture in self.captures:
            capture.stop()

    def judge(self, account):
        if self.folder is None:
            return
        verdicts = [self.judge_rig(rig, account) for rig in self.rigs]
        if self.options.keep and (set(verdicts) != {"pass"} or self.options.keep_all):
            shutil.copytree(self.folder, pathlib.Path(self.options.keep) / self.name, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def judge_rig(self, rig, account):
        folder = self.folder / ("rig-%d" % rig.number)
        folder.mkdir()
        for name in ("north.pcap", "south.pcap"):
            os.symlink("../" + name, folder / name)
        for path, name in ((rig.service.log, "log"), (rig.service.keys, "keys"), (rig.service.ini, "postern.ini")):
            if path.exists():
                shutil.copy(path, folder / name)
        verdict, report = judge(folder)
        account.verdicts[verdict] += 1
        if verdict == "FAIL":
            words = [line for line in report.splitlines() if re.match(r"[A-Z]-[0-9]+ .* [1-9][0-9]* +[0-9]+$|void", line)]
            account.violate("%s: wirecheck objects to rig %d: %s" % (self.name, rig.number, words))
        if verdict == "not judged":
            account.notes.append("%s: %s" % (self.name, report))
        return verdict
