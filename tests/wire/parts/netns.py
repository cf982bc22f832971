"""The laboratory (tests/wire/lab) from within Python: sockets and processes at its places.

    with Laboratory("mine") as lab:
        with lab.at("server"):
            listener = socket.create_server(("10.77.2.2", 25))  # stays there, also when it is used from elsewhere
        lab.name_addresses("server", ["10.0.0.1"])

A socket belongs to the namespace it was made in, so one process can own those of all places. Python 3.11 has no os.setns."""
import contextlib
import ctypes
import os
import pathlib
import subprocess

LAB = pathlib.Path(__file__).resolve().parents[1] / "lab"
PLACES = ("client", "gateway", "server", "dns")
CLONE_NEWNET = 0x40000000
LIMIT = 60      # seconds for any call of the laboratory
SKIPPED = 77

_libc = ctypes.CDLL(None, use_errno=True)


class CannotCapture(Exception):
    """This machine does not let us capture."""


def enter(file):
    """This thread goes to the network namespace that `file` is open on."""
    if _libc.setns(file.fileno(), CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Laboratory:
    def __init__(self, name):
        self.name = name
        self.is_own = False         # made here, and to be removed here
        self._files = {}
        self._here = None
        self._named = set()

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    def _run(self, command, *arguments):
        done = subprocess.run([LAB, command, self.name, *arguments], timeout=LIMIT, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if done.returncode == SKIPPED:
            raise CannotCapture(done.stderr)
        if done.returncode != 0:
            raise AssertionError("lab %s %s: %s%s" % (command, self.name, done.stdout, done.stderr))
        return done.stdout

    def up(self):
        self._run("up")
        self.is_own = True
        self.open()

    def open(self):
        """Uses it; somebody has made it."""
        if not self.is_loopback():
            self._here = open("/proc/self/ns/net")
            self._files = {place: open("/run/netns/%s-%s" % (self.name, place)) for place in PLACES}

    def down(self):
        for file in self._files.values():
            file.close()
        self._files = {}
        if self.is_own:
            self._run("down")

    def is_loopback(self):
        return not os.path.exists("/run/netns/%s-gateway" % self.name)

    def name_addresses(self, place, addresses):
        """Gives a place more addresses; those it has already cost nothing. Loopback has them all."""
        new = [address for address in addresses if (place, address) not in self._named]
        if new and not self.is_loopback():
            self._run("address", place, *new)
        self._named.update((place, address) for address in new)

    def capture(self, folder):
        self._run("capture", str(folder))

    def stop_capture(self, folder):
        """Whole, or an error. Returns what was captured, as text."""
        return self._run("stop", str(folder))

    @contextlib.contextmanager
    def at(self, place):
        """Sockets made and processes started meanwhile, by this thread, are at that place."""
        if not self._files:
            yield
            return
        enter(self._files[place])
        try:
            yield
        finally:
            enter(self._here)
