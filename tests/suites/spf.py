#!/usr/bin/env python3
"""The openspf suite for RFC 7208, through the program spf_run (argument 1): each test once, and again in random orders.

    tests/suites/spf.py [build/asan/spf_run]
"""
import re
import subprocess

import suite

try:
    import yaml
except ImportError:
    suite.skip("no python3-yaml")


def octets(text):
    """YAML's "\\x96" is an octet in this suite, not a character."""
    return text if isinstance(text, bytes) else str(text).encode("latin-1")


def joined(value):
    return b"".join(octets(s) for s in value) if isinstance(value, list) else octets(value)


def records(entries):
    """Kind -> values of one name, by the suite's rule: SPF records are served as TXT unless it has a TXT of its own."""
    kinds, timeout = {}, False
    for entry in entries:
        if entry == "TIMEOUT":
            timeout = True
            continue
        for kind, value in entry.items():
            kinds.setdefault(kind, []).append(value)
    spf = kinds.pop("SPF", [])
    txt = kinds.pop("TXT", spf)
    kinds["TXT"] = [joined(value) for value in txt if value != "NONE"]
    for kind in ("A", "AAAA", "PTR", "MX"):
        if kind in kinds:
            kinds[kind] = ["%d %s" % tuple(v) if kind == "MX" else str(v) for v in kinds[kind]]
    return kinds, timeout


def zone_lines(zone):
    yield "zone"
    for name, entries in zone.items():
        key = suite.word(octets(str(name).lower()))
        kinds, timeout = records(entries)
        for kind, values in kinds.items():
            if values:
                yield " ".join([kind, key, "OK"] + [suite.word(v) for v in values])
            elif not timeout:
                yield "%s %s NODATA" % (kind, key)
        if timeout:
            yield "* %s TEMP" % str(name).lower()


def unquote(text):
    return re.sub(r'\\(x[0-9a-f]{2}|.)', lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else m[1], text)


def main():
    lines, tests = [], []
    with open(suite.path("spf", "spf-rfc7208-dev.yml"), encoding="utf-8") as f:
        for scenario in yaml.safe_load_all(f):
            lines += zone_lines(scenario["zonedata"])
            for name, test in scenario["tests"].items():
                lines.append(" ".join(["GEO check OK"] + [suite.word(w) for w in (
                    str(test["host"]), test["helo"], test["mailfrom"])]))
                tests.append((name, test))
    run = subprocess.run([suite.program("spf_run"), "50"], input="\n".join(lines) + "\n", capture_output=True,
                         text=True, timeout=240, check=False)
    out = [line for line in run.stdout.splitlines() if not line.startswith("#")]
    failed = 0
    if run.returncode != 0 or len(out) != len(tests):
        print(run.stderr, *[line for line in run.stdout.splitlines() if line.startswith("#")], sep="\n")
        failed += 1
    passed = 0
    for (name, test), line in zip(tests, out):
        result, explanation = line.split()[0], unquote(re.findall(r'"((?:[^"\\]|\\.)*)"', line)[1])
        want = test["result"] if isinstance(test["result"], list) else [test["result"]]
        told = test.get("explanation")
        told = None if told is None else "" if told == "DEFAULT" else told
        if result in want and (told is None or told == explanation):
            passed += 1
        else:
            failed += 1
            print("%s: is %s, not %s; explanation %r, not %r" % (name, line, want, explanation, told))
    suite.finish(passed, failed)


main()
