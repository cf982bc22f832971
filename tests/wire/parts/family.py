"""Every process that a campaign starts, so that none outlives it, whatever happens."""
import atexit
import contextlib
import signal
import subprocess
import sys

_children = set()


def start(command, **settings):
    """A Popen that is killed at the campaign's end unless it has ended before."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **settings)
    _children.add(child)
    if len(_children) > 64:
        _children.difference_update({old for old in _children if old.poll() is not None})
    return child


@atexit.register
def end_all():
    for child in _children:
        if child.poll() is None:
            with contextlib.suppress(OSError):
                child.kill()
            child.wait()


def end_in_time(seconds):
    """SIGTERM, and the end of the time, end the program through its `finally` clauses."""
    def leave(number, _):
        sys.exit("faults: %s" % ("the time is up: something hangs" if number == signal.SIGALRM else "told to end"))
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGALRM, leave)
    signal.alarm(int(seconds))
