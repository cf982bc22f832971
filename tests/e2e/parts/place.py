"""Where a test run lives: its temporary folder, its loopback address and its ports.

Every process of the tests has a loopback address of its own (127.64.0.0/10 has room for every process id), so that runs
side by side never meet at a port, and a port handed out here is free."""
import atexit
import itertools
import os
import pathlib
import shutil
import socket
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = os.environ.get("POSTERN_BUILD", "asan")
SUITES = pathlib.Path(os.environ.get("POSTERN_SUITES", ROOT.parent / "shared/suites"))
LIMIT = int(os.environ.get("POSTERN_LIMIT", 30))  # seconds any single wait may last before a test gives up; never a measure of anything

_pid = os.getpid()
ADDRESS = "127.%d.%d.%d" % (64 + (_pid >> 16 & 63), _pid >> 8 & 255, _pid & 255)
_ports = itertools.count(10000)


def fresh_endpoint():
    """(address, port) that nobody listens on."""
    while True:
        endpoint = ADDRESS, next(_ports)
        try:
            with socket.socket() as probe:
                probe.bind(endpoint)    # fails where somebody has taken the port on all addresses
                return endpoint
        except OSError:
            continue


def fresh_endpoint6():
    """The same on ::1, or None on a machine without IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return "::1", probe.getsockname()[1]
    except OSError:
        return None


def text(endpoint):
    address, port = endpoint[:2]
    return "[%s]:%d" % (address, port) if ":" in address else "%s:%d" % (address, port)


_home = None


def home():
    """A folder for this run that other users may read, as workers without privileges do."""
    global _home
    if _home is None:
        _home = pathlib.Path(tempfile.mkdtemp(prefix="postern-e2e."))
        _home.chmod(0o755)
        atexit.register(shutil.rmtree, _home, ignore_errors=True)
    return _home


_folders = itertools.count(1)


def fresh_folder(name="t"):
    folder = home() / ("%s%d" % (name, next(_folders)))
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def until(condition, what):
    """Waits for the condition to become true and returns its value; gives up with the sentence `what`."""
    end = time.monotonic() + LIMIT
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain: " + (what() if callable(what) else what))
        time.sleep(0.005)
