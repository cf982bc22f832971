#!/usr/bin/env python3
# The public suffix list against the tree walk that replaced it (RFC 9989 4.10.2): in a zone where each public suffix of
# the list says psd=y, the organizational domain must be the registrable domain, for the list's own test vectors and for a
# name below every rule of it; with records at the registrable domain and at the name itself, and without.
#
#   tests/suites/psl.py [BUILD]     a build folder, or its psl_run
#
# Where both define an answer they must agree. Known differences:
# - Of a public suffix itself the list says "null"; the walk says the name itself (rule 2 leaves out where it began), and
#   that is what is checked.
# - Names with a leading dot are no domain names; they are skipped.
# What the list calls an exception ("!city.kobe.jp") the owner says with psd=n; the walk has no other way to learn it. A
# top-level domain that is not on the list is a suffix by its default rule "*"; psd=y stands there, too.
# - A registrable domain of eight labels or more, below one that was skipped, would need a record where the walk never
#   looks (4.10 step 4). No rule of the list is that long; one that comes would fail here.
import os
import re
import subprocess
import sys

import suite

MAX_SHOWN = 20


def a_label(label):
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def canonical(name):
    return ".".join(a_label(label) for label in name.lower().split("."))


def read_list(text):
    """Rules as canonical names: what they are is in {"rule", "*", "!"}."""
    rules = {}
    for line in text.splitlines():
        line = line.split("//")[0].split()
        if not line:
            continue
        name = line[0]
        if name.startswith("!"):
            rules[canonical(name[1:])] = rules.get(canonical(name[1:]), set()) | {"!"}
        elif name.startswith("*."):
            rules[canonical(name[2:])] = rules.get(canonical(name[2:]), set()) | {"*"}
        else:
            rules[canonical(name)] = rules.get(canonical(name), set()) | {"rule"}
    return rules


def parents(name):
    """The name and all names above it."""
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(len(labels))]


def public_suffix(rules, name):
    above = parents(name)
    for i, part in enumerate(above):
        if "!" in rules.get(part, ()):
            return above[i + 1]
    for i, part in enumerate(above):
        if "rule" in rules.get(part, ()):
            return part
        if i + 1 < len(above) and "*" in rules.get(above[i + 1], ()):
            return part
    return above[-1]


def registrable(rules, name):
    suffix = public_suffix(rules, name)
    if name == suffix:
        return None
    return name[: -len(suffix) - 1].split(".")[-1] + "." + suffix


def zone(rules, name, with_records):
    lines = []
    for part in parents(name):
        record = None
        if "!" in rules.get(part, ()):
            record = "v=DMARC1; p=none; psd=n"
        elif public_suffix(rules, part) == part:
            record = "v=DMARC1; psd=y"
        elif with_records and (part == name or registrable(rules, name) == part):
            record = "v=DMARC1; p=none"
        if record:
            lines.append("TXT %s OK %s" % (suite.word("_dmarc." + part), suite.word(record)))
    return "".join(line + "\n" for line in lines)


def vectors(text):
    """(name, expected or None) of checkPublicSuffix lines, comments left out."""
    for line in text.splitlines():
        found = re.match(r"checkPublicSuffix\((null|'[^']*'), *(null|'[^']*')\);", line)
        if found and found[1] != "null":
            yield found[1].strip("'"), None if found[2] == "null" else found[2].strip("'")


def read(*parts):
    with open(suite.path(*parts), encoding="utf-8") as file:
        return file.read()


def run(cases):
    program = sys.argv[1] if len(sys.argv) > 1 else os.path.join(suite.ROOT, "build", "asan")
    if os.path.isdir(program):
        program = os.path.join(program, "psl_run")
    text = "".join("%s\n%s\n" % (name, zone_text) for name, zone_text in cases)
    lines = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=250).stdout
    return [line.split("\t") for line in lines.decode().splitlines()]


def main():
    rules = read_list(read("psl", "public_suffix_list.dat"))
    wanted, skipped = [], 0
    for name, expected in vectors(read("psl", "test_psl.txt")):
        if name.startswith("."):
            print("skipped: %s is no domain name" % name)
            skipped += 1
            continue
        if registrable(rules, canonical(name)) != (canonical(expected) if expected else None):
            sys.exit("this script does not read the list as its vectors do: %s" % name)
        wanted.append((name, canonical(expected or name)))
    for rule, kinds in sorted(rules.items()):
        for kind in sorted(kinds):
            name = ("a.b.c." if kind == "*" else "a.b.") + rule
            wanted.append((name, registrable(rules, name)))
    cases = [(name, want, records) for name, want in wanted for records in (True, False)]
    results = run([(name, zone(rules, canonical(name), records)) for name, _, records in cases])
    assert len(results) == len(cases), "psl_run did not answer every case"
    passed, failed = 0, 0
    for (name, want, records), (got, queries) in zip(cases, results):
        if got == want and int(queries) <= 8:
            passed += 1
            continue
        failed += 1
        if failed <= MAX_SHOWN:
            print("%s (%s records): %s after %s questions, not %s"
                  % (name, "with" if records else "without", got, queries, want))
    suite.finish(passed, failed, skipped)


main()
