#!/usr/bin/env python3
# The ValiMail ARC validation suite: each message as it comes (with CRLF), the keys of its scenario as the only names there
# are, its "cv" as the result. Each case is played with 20 random orders of answers, too.
#
#   tests/suites/arc.py [ARC_RUN]     or the build folder it is in; its head tells how a case is handed over
import os
import subprocess

import suite

ORDERS = 20
RESULTS = {"None": "none", "Pass": "pass", "Fail": "fail", "": "fail"}


def zone(records):
    names = {name.rstrip(".").lower(): value for name, value in records.items()}
    return "".join(f"TXT {suite.word(name)} OK {suite.word(value)}\n" for name, value in names.items()).encode()


def case(now, orders, records, message):
    text = zone(records)
    return b"%d %d %d %d\n" % (now, orders, len(text), len(message)) + text + message + b"\n"


def play(cases, *sealers):
    """Result, trusted, dmarc, reason and number of questions of each case."""
    runner = suite.program("arc_run")
    if os.path.isdir(runner):
        runner = os.path.join(runner, "arc_run")
    run = subprocess.run([runner, *sealers], input=b"".join(cases), stdout=subprocess.PIPE, check=True, timeout=280)
    results = [line.split("\t") for line in run.stdout.decode(errors="replace").splitlines()]
    assert len(results) == len(cases), "arc_run did not answer every case"
    return results


def main():
    try:
        import yaml
    except ImportError:
        suite.skip("no yaml (python3-yaml)")
    with open(suite.path("arc", "arc-validation-dev.yml"), encoding="utf-8") as file:
        scenarios = list(yaml.safe_load_all(file))

    names, wanted, cases = [], [], []
    for scenario in scenarios:
        for name, test in scenario["tests"].items():
            names.append(name)
            wanted.append(RESULTS[test["cv"]])
            message = test["message"].replace("\n", "\r\n").encode()
            cases.append(case(12345, ORDERS, scenario["txt-records"], message))

    passed = failed = 0
    for name, want, got in zip(names, wanted, play(cases)):
        if got[0] == want:
            passed += 1
        else:
            failed += 1
            print(f"{name}: {' '.join(got)}, not {want}")
    suite.finish(passed, failed)


if __name__ == "__main__":
    main()
