"""The program under test: `postern run` with an ini of its own, and `postern sink`. Both are started, watched and stopped
by process id, and what they write is kept."""
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

from .certs import certificate
from .place import BUILD, LIMIT, ROOT, fresh_endpoint, fresh_folder, home, text, until

NOBODY = 65534
BAD_NEWS = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|LeakSanitizer has enc|runtime error:|died of signal")
DEFAULTS = {
    "server": {"hostname": "mx.local.example", "workers": 2},
    "relay": {"domains": "local.example"},
    "timeouts": {"probe": "3600s", "drain": "10s"},
    # Tests that script the DNS do so for what they are about: their clients and senders have no names of their own there.
    "rdns": {"mode": "off", "unconfirmed": "off"},
    "helo": {key: "off" for key in ("impostor", "literal", "unqualified", "unresolvable", "mismatch")},
    "sender": {key: "off" for key in ("exists", "null_mx", "bounces")},
    # What one message leaves behind for the next.
    "standing": {"mode": "off"}, "recipients": {"mode": "off"},
    # All clients here have one address, and are many.
    "rates": {"builtin": "no"}, "brownout": {"mode": "off"},
}
# Of tests that bring no DNS: they are not about authentication, and their messages have no author.
QUIET = {"author": {"strict": "no"}, "spf": {"check": "no"}, "dkim": {"check": "no"}, "arc": {"check": "no"},
         "dmarc": {"mode": "off"}, "lookalike": {"mode": "off"}, "impersonation": {"mode": "off"}, "attachment": {"mode": "off"},
         "door": {"pause": "0"}, "tarpit": {"sessions": "0"}}
# What a new board has: nothing but what must be said.
FRESH = {"server": DEFAULTS["server"], "relay": DEFAULTS["relay"]}

# Where tests/wire/e2e wants to find each gateway's ini, log and TLS keys, to judge its captures; normally unset.
RECORD = os.environ.get("POSTERN_WIRE")
_recorded = itertools.count(1)

_binary = None


def binary():
    """The binary under test, where every user can run it."""
    global _binary
    if _binary is None:
        _binary = home() / "postern"
        shutil.copy(ROOT / "build" / BUILD / "postern", _binary)
        _binary.chmod(0o755)
    return _binary


def environment(**more):
    inherited = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return {**inherited, "UBSAN_OPTIONS": "print_stacktrace=1", **more}


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []


def status_of(pid):
    with open("/proc/%d/status" % pid) as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


_FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')


def parse_line(line):
    """A log line as a dictionary of text: JSON or logfmt. A line that is neither is an error."""
    if line.startswith("{"):
        return {key: str(value) for key, value in json.loads(line).items()}
    fields, at = {}, 0
    while at < len(line):
        match = _FIELD.match(line, at)
        if not match or match[1] in fields:
            raise AssertionError("not logfmt at %d: %s" % (at, line))
        value = match[2]
        fields[match[1]] = json.loads(value) if value.startswith('"') else value
        at = match.end()
    return fields


class Process:
    """A program with its output in a file."""

    def __init__(self, arguments, as_root=False, env=None, name="process"):
        self.folder = fresh_folder(name)
        self.output = self.folder / "output"
        drop = {}
        if os.geteuid() == 0 and not as_root:
            drop = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=env or environment(), start_new_session=True, **drop)
        self.pid = self.process.pid

    def raw(self):
        return self.output.read_bytes()

    def text(self):
        return self.raw().decode("utf-8", "replace")

    def is_running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Its exit status."""
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s does not end:\n%s" % (self.folder, self.text())) from None

    def terminate(self):
        if self.is_running():
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        """All of it, at once: the process leads its own group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(LIMIT)


class Sink(Process):
    """`postern sink`; its messages are files."""

    def __init__(self, keep=True):
        self.endpoint = fresh_endpoint()
        self.dir = fresh_folder("mail")
        super().__init__([binary(), "sink", "--listen", text(self.endpoint), *(["--dir", self.dir] if keep else [])],
                         name="sink")
        until(lambda: b"listening" in self.raw(), "the sink listens")

    def message(self, n):
        """(envelope, message) of message n."""
        until((self.dir / ("%d.env" % n)).exists, "message %d in the sink" % n)
        return (self.dir / ("%d.env" % n)).read_bytes(), (self.dir / ("%d.eml" % n)).read_bytes()

    def count(self):
        return len(list(self.dir.glob("*.env")))


class Gateway(Process):
    """`postern run`. `sections` is laid over the defaults: {"limits": {"errors": 3}}; a section or key that is None goes
    away. Without a section "dns" authentication is off. `fresh`: nothing is switched off, every key has its real default.
    The listeners, unless named, are `smtp` (plain with STARTTLS) and `smtps` (implicit TLS). `wrapper`: a command that
    becomes the gateway, such as prlimit(1)."""

    def __init__(self, backend=None, sections=None, as_root=False, env=None, start=True, wrapper=(), fresh=False):
        self.smtp, self.smtps = fresh_endpoint(), fresh_endpoint()
        self.ini = fresh_folder("ini") / "postern.ini"
        self.sections = self._standard(backend, FRESH if fresh else
                                       DEFAULTS if "dns" in (sections or {}) else {**DEFAULTS, **QUIET})
        self.change(sections or {})
        self.as_root, self.env, self.wrapper, self.record = as_root, env, list(wrapper), None
        if start:
            self.start()

    def _standard(self, backend, base):
        standard = {name: dict(keys) for name, keys in base.items()}
        standard["listen smtp"] = {"address": text(self.smtp)}
        standard["listen smtps"] = {"address": text(self.smtps), "tls": "implicit"}
        standard["certificate main"] = certificate().keys
        standard["backend"] = {"servers": text(backend) if backend else "127.0.0.1:9", "tls": "off"}
        return standard

    def change(self, sections):
        """Lays `sections` over the configuration and writes the file; a running gateway notices on reload() only."""
        for name, keys in sections.items():
            if keys is None:
                self.sections.pop(name, None)
                continue
            section = self.sections.setdefault(name, {})
            section.update(keys)
            for key in [key for key, value in section.items() if value is None]:
                del section[key]
        self.ini.write_text("".join("[%s]\n%s\n" % (name, "".join("%s = %s\n" % pair for pair in keys.items()))
                                    for name, keys in self.sections.items()))

    def start(self):
        env = dict(self.env or {})
        if self.as_root:    # workers in an empty root, where LeakSanitizer cannot read /proc
            env["ASAN_OPTIONS"] = "detect_leaks=0"
        keylog = ["--keylog", self.ini.parent / "keys"] if RECORD else []
        super().__init__(self.wrapper + [binary(), "run", "-c", self.ini, *keylog], self.as_root, environment(**env), "gateway")
        if RECORD:
            self.keep_record()
        self.wait_log(event="serving")
        return self

    def keep_record(self):
        """Hands ini, logs and keys to the wires' judge, in one folder however often it starts. `changed`: it did not have one ini all along."""
        if self.record is None:
            self.record = pathlib.Path(RECORD) / ("%d-%d" % (os.getpid(), next(_recorded)))
            self.record.mkdir(parents=True)
            keys = self.ini.parent / "keys"
            keys.touch()
            keys.chmod(0o666)
            os.link(keys, self.record / "keys")
        elif (self.record / "postern.ini").read_bytes() != self.ini.read_bytes():
            (self.record / "changed").touch()
        shutil.copy(self.ini, self.record / "postern.ini")
        log = self.record / ("log-%s" % self.output.parent.name)
        if not log.exists():
            os.link(self.output, log)

    # ---- log ----

    def log(self, **wanted):
        """The log lines with these values; a value may be a compiled pattern."""
        def fits(line):
            return all(value.search(line.get(key, "")) if hasattr(value, "search") else line.get(key) == str(value)
                       for key, value in wanted.items())
        return [line for line in self.lines() if fits(line)]

    def lines(self):
        """Every log line; what else is on stderr is a sanitizer's."""
        return [parse_line(line) for line in self.text().split("\n")[:-1] if line.startswith(("time=", "{"))]

    def wait_log(self, n=1, **wanted):
        def look():
            found = self.log(**wanted)
            if len(found) < n and not self.is_running():
                raise AssertionError("the gateway has ended:\n" + self.text())
            return found if len(found) >= n else None
        return until(look, lambda: "%d log lines with %s in:\n%s" % (n, wanted, self.text()))

    # ---- processes ----

    def workers(self):
        return children(self.pid)

    def reload(self):
        """SIGHUP with the file as it is now; returns when the new workers serve."""
        n = len(self.log(event="serving"))
        if RECORD:
            self.keep_record()
        self.signal(signal.SIGHUP)
        return self.wait_log(n + 1, event="serving")[-1]

    def stop(self):
        """Orderly, and judged: it must end well and must have nothing bad to tell."""
        if not self.is_running() and self.process.returncode == -signal.SIGKILL:
            return
        status = self.terminate()
        bad = BAD_NEWS.search(self.text())
        if status != 0 or bad:
            raise AssertionError("the gateway ended with status %d:\n%s" % (status, self.text()))
