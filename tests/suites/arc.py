#!/usr/bin/env python3
# The ValiMail ARC validation suite: each message as it comes (with CRLF), the keys of its scenario as the only names there
# are, its "cv" as the result. Each case is played with 20 random orders of answers, too.
#
#   tests/suites/arc.py BUILD     a build folder, or its arc_run, whose head tells how a case is handed over
#
# The suite lies in $POSTERN_SHARED/suites or ../shared/suites; without it, or without yaml: exit status 77.
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
ORDERS = 20
RESULTS = {"None": "none", "Pass": "pass", "Fail": "fail", "": "fail"}


def skip(why):
    print(f"skipped: {why}")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)


def word(text):
    """A quoted word of facts_load."""
    octets = text.encode() if isinstance(text, str) else text
    plain = "".join(chr(c) if 32 <= c <= 126 and c not in b'"\\' else f"\\x{c:02x}" for c in octets)
    return f'"{plain}"'


def zone(records):
    return "".join(f"TXT {word(name.rstrip('.').lower())} OK {word(value)}\n" for name, value in records.items()).encode()


def case(now, orders, records, message):
    text = zone(records)
    return b"%d %d %d %d\n" % (now, orders, len(text), len(message)) + text + message + b"\n"


def play(build, cases, *sealers):
    """Result, trusted, dmarc, reason and number of questions of each case."""
    runner = pathlib.Path(build).resolve()
    if runner.is_dir():
        runner /= "arc_run"
    lines = subprocess.run([runner, *sealers], input=b"".join(cases), stdout=subprocess.PIPE, check=True, timeout=600)
    results = [line.split("\t") for line in lines.stdout.decode(errors="replace").splitlines()]
    assert len(results) == len(cases), "arc_run did not answer every case"
    return results


def main():
    try:
        import yaml
    except ImportError:
        skip("no yaml (python3-yaml)")
    shared = pathlib.Path(os.environ.get("POSTERN_SHARED", TOP.parent / "shared"))
    suite = shared / "suites/arc/arc-validation-dev.yml"
    if not suite.exists():
        skip(f"no {suite.name}")

    names, wanted, cases = [], [], []
    for scenario in yaml.safe_load_all(suite.read_text()):
        for name, test in scenario["tests"].items():
            names.append(name)
            wanted.append(RESULTS[test["cv"]])
            message = test["message"].replace("\n", "\r\n").encode()
            cases.append(case(12345, ORDERS, scenario["txt-records"], message))

    passed = failed = 0
    for name, want, got in zip(names, wanted, play(sys.argv[1], cases)):
        if got[0] == want:
            passed += 1
        else:
            failed += 1
            print(f"{name}: {' '.join(got)}, not {want}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
