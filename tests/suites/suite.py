"""What the runners of published suites share: where the suites are, and how a result is told."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77


def skip(why):
    print("skipped:", why)
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(SKIPPED)


def path(*parts):
    """A file of the suites: in POSTERN_SHARED, or in ../shared beside the project."""
    shared = os.environ.get("POSTERN_SHARED") or os.path.join(ROOT, "..", "shared")
    name = os.path.join(shared, "suites", *parts)
    if not os.path.exists(name):
        skip("no " + os.path.join("shared", "suites", *parts))
    return name


def program(name):
    """A test program: given as the first argument, or in the build folder of the asan preset."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    return os.path.join(ROOT, "build", "asan", name)


def word(octets):
    """A quoted word of the facts' text form."""
    if isinstance(octets, str):
        octets = octets.encode("utf-8")
    out = ['"']
    for c in octets:
        if c in (0x22, 0x5C):
            out.append("\\" + chr(c))
        elif 0x20 <= c <= 0x7E:
            out.append(chr(c))
        else:
            out.append("\\x%02x" % c)
    return "".join(out) + '"'


def finish(passed, failed, skipped=0):
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0)
