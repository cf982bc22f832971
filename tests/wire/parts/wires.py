"""Captures of the rigs' wires, where tcpdump may capture, and wirecheck's word on them, where it is built."""
import json
import os
import pathlib
import shutil
import subprocess
import time

from parts import family
from parts.place import ROOT, fresh_folder

WIRECHECK = ROOT / "build" / "tools" / "wirecheck"


def judge(folder):
    """What wirecheck says of north.pcap and south.pcap with log, keys and postern.ini beside them: (verdict, report); verdict is "pass",
    "FAIL" or "not judged"."""
    folder = pathlib.Path(folder)
    if not WIRECHECK.exists():
        return "not judged", "there is no %s" % WIRECHECK
    command = [WIRECHECK, folder / "north.pcap", folder / "south.pcap"]
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
    """The captures of one round. One folder a rig's gateway would be simplest to judge, but one tcpdump a side is what two cores carry:
    so all gateways of a round share them, and their logs are put together."""

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
            time.sleep(0.2)     # what is in the kernel's buffer
        for capture in self.captures:
            capture.stop()

    def judge(self, account):
        if self.folder is None:
            return
        with open(self.folder / "log", "wb") as log, open(self.folder / "keys", "wb") as keys:
            for rig in self.rigs:
                log.write(rig.service.log.read_bytes())
                if rig.service.keys.exists():
                    keys.write(rig.service.keys.read_bytes())
        shutil.copy(self.rigs[0].service.ini, self.folder / "postern.ini")
        verdict, report = judge(self.folder)
        account.verdicts[verdict] += 1
        if verdict == "FAIL":
            account.violate("%s: wirecheck objects: %s" % (self.name, [line for line in report.splitlines() if "FAIL" in line][:5]))
        if verdict == "not judged":
            account.notes.append("%s: %s" % (self.name, report))
        if self.options.keep and (verdict != "pass" or self.options.keep_all):
            shutil.copytree(self.folder, pathlib.Path(self.options.keep) / self.name, dirs_exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
