"""The set-up of a measurement: programs started on loopback, their CPU time and their memory."""
import atexit
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# A loopback address of this run's own: what else runs on this machine is never met at a port.
ADDRESS = "127.%d.%d.%d" % (128 + (os.getpid() >> 16 & 63), os.getpid() >> 8 & 255, os.getpid() & 255)
SINK, HAPROXY, POSTERN, NO_DNS = (ADDRESS, 2501), (ADDRESS, 2502), (ADDRESS, 2503), (ADDRESS, 2504)

# Mail is passed on unjudged, as HAProxy passes it on.
UNJUDGED = ["[author]", "strict = no", "[spf]", "check = no", "[dkim]", "check = no", "[arc]", "check = no",
            "[dmarc]", "mode = off", "[door]", "pause = 0", "[tarpit]", "sessions = 0", "[lookalike]",
            "mode = off", "[impersonation]", "mode = off", "[rdns]", "mode = off", "unconfirmed = off", "[helo]",
            "impostor = off", "literal = off", "unqualified = off", "unresolvable = off", "mismatch = off",
            "[sender]", "exists = off", "null_mx = off", "bounces = off", "[rates]", "builtin = no", "[brownout]",
            "mode = off"]
START_S = 10                # a program that does not listen by then has failed
STOP_S = 20

home = pathlib.Path(tempfile.mkdtemp(prefix="postern-bench."))
home.chmod(0o755)           # a worker without privileges reads its binary from here
atexit.register(shutil.rmtree, home, ignore_errors=True)


def text(endpoint):
    return "%s:%d" % endpoint


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def children(pid):
    try:
        words = pathlib.Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()
    except FileNotFoundError:
        return []
    return [int(word) for word in words]


def cpu_of(pid):
    """Seconds of CPU, user and system, of all threads: the clock that /proc/PID/stat rounds to hundredths
    (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


class Program:
    """A process and its children, stopped by their ids when the run ends."""

    def __init__(self, arguments, endpoint):
        self.log = (home / "log").open("ab")
        self.endpoint = endpoint
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        atexit.register(self.stop)
        self.wait_until_it_listens()

    def wait_until_it_listens(self):
        limit = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(self.endpoint, timeout=1).close()
                return
            except OSError:
                if time.monotonic() > limit or self.process.poll() is not None:
                    end_of_log = (home / "log").read_text()[-2000:]
                    raise SystemExit("%s does not start:\n%s" % (self.process.args[0], end_of_log))
                time.sleep(0.05)

    def pids(self):
        pid = self.process.pid
        return [pid] + children(pid)

    def cpu(self):
        return sum(cpu_of(pid) for pid in self.pids())

    def memory(self):
        """(PSS, RSS) of all processes, octets. Pages they share count once in the PSS and in each in the RSS."""
        sums = {"Pss": 0, "Rss": 0}
        for pid in self.pids():
            for line in open("/proc/%d/smaps_rollup" % pid, encoding="ascii"):
                name, _, value = line.partition(":")
                if name in sums:
                    sums[name] += int(value.split()[0]) * 1024
        return sums["Pss"], sums["Rss"]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        atexit.unregister(self.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def smtp_sink():
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return Program(["smtp-sink", *user, "-m", "10000", text(SINK), "1000"], SINK)


def haproxy():
    """Its plainest form: one thread, no log, no checks."""
    config = home / "haproxy.cfg"
    config.write_text("""global
    nbthread 1
    maxconn 1000
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
listen smtp
    bind %s
    server sink %s
""" % (text(HAPROXY), text(SINK)))
    return Program(["haproxy", "-db", "-f", config], HAPROXY)


def certificate():
    """Files of a self-signed ECDSA certificate: (chain, key)."""
    chain, key = home / "chain.pem", home / "key.pem"
    if not chain.exists():
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", "ec",
                        "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", chain, "-days", "30",
                        "-subj", "/CN=mx.local.example"], check=True, capture_output=True)
    return chain, key


def ini(tls=False, dns=None, cache=True, **limits):
    """A configuration with one worker; everything that is not named here is as delivered, the log at `info` too. With `dns`
    (an address with a port) mail is authenticated, without it is passed on as it is."""
    limits = {"sessions": 500, "memory": "1G", **limits}
    limits.setdefault("sessions_per_address", limits["sessions"])
    lines = ["[server]", "hostname = mx.local.example", "workers = 1",
             "[listen smtp]", "address = " + text(POSTERN), "tls = " + ("starttls" if tls else "off"),
             "[backend]", "servers = " + text(SINK), "tls = off",
             "[relay]", "domains = local.example",
             "[limits]", *("%s = %s" % pair for pair in limits.items()),
             "[dns]", "servers = " + (dns or text(NO_DNS)), *([] if cache else ["cache_size = 0"])]
    if dns is None:
        lines += UNJUDGED
    if tls:
        lines += ["[certificate main]", "chain = %s" % certificate()[0], "key = %s" % certificate()[1]]
    path = home / "postern.ini"
    path.write_text("\n".join(lines) + "\n")
    return path


_binary = None


def binary(path=None):
    """The binary under test, copied to where every user can run it."""
    global _binary
    if path is not None:
        _binary = home / "postern"
        shutil.copy(path, _binary)
        _binary.chmod(0o755)
    return _binary


def postern(**settings):
    return Program([binary(), "run", "-c", ini(**settings)], POSTERN)


def budget(**settings):
    """What `postern check` says these settings may need at worst, octets, less what a reload adds while it lasts."""
    out = subprocess.run([binary(), "check", "-c", ini(**settings)], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^#\s+(\S.*?)\s+\d+ x\s+\d+ =\s+(\d+)k", out, re.M)
    return sum(int(kilo) for name, kilo in rows if "old workers" not in name) * 1024
