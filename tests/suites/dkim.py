#!/usr/bin/env python3
"""Signed messages that others published: the examples of RFC 6376 and RFC 8463, and real mail.

    tests/suites/dkim.py [build/asan/dkim_run]
"""
import os
import re

import dkim_cases
import suite

try:
    import yaml
except ImportError:
    suite.skip("no python3-yaml")

NOW = 1767225600  # 2026
WANT = {  # those that do not verify, and why; all others pass with every signature
    "rfc/rfc6376-A.2-body_modified.eml": ["fail: body hash did not verify"],
    "rfc/rfc6376-A.2-header_subject_modified.eml": ["fail: signature did not verify"],
    "rfc/rfc6376-A.2-ill_formed-missing_v.eml": ["permerror: v= is missing"],
}
THEN = {"real/005.txt": 1667900000}  # its x= is past


def read(name):
    with open(suite.path("dkim", name), "rb") as f:
        return f.read()


def keys():
    """Of the messages in rfc and gmail; Gmail's own of 2012 is a PEM file."""
    zone = {name: records[0]["TXT"] for name, records in yaml.safe_load(read("zone.yml"))["zonedata"].items()}
    pem = read("gmail/gmail.pub").decode().splitlines()
    zone["20120113._domainkey.gmail.com"] = "k=rsa; p=" + "".join(line for line in pem if "-----" not in line)
    return zone


def messages():
    """Name, keys and octets of each."""
    zone = keys()
    for folder, ending in (("rfc", ".eml"), ("gmail", ".msg"), ("real", ".txt")):
        for name in names(folder, ending):
            octets = read(name)
            if folder != "real":
                yield name, zone, octets
                continue
            head, message = re.split(rb"\r?\n\r?\n", octets, maxsplit=1)
            lines = [line.split(None, 1) for line in head.decode().splitlines()]
            yield name, {line[0]: line[1] for line in lines}, message


def names(folder, ending):
    return sorted(folder + "/" + f for f in os.listdir(suite.path("dkim", folder)) if f.endswith(ending))


def main():
    found = list(messages())
    cases = [dkim_cases.case(THEN.get(name, NOW), keys, dkim_cases.crlf(octets)) for name, keys, octets in found]
    passed = failed = 0
    for (name, _, _), got in zip(found, dkim_cases.play(cases)):
        want = WANT.get(name)
        if got == want or (want is None and got != ["none"] and set(got) == {"pass"}):
            passed += 1
        else:
            failed += 1
            print("%s: %s, not %s" % (name, got, want or "pass"))
    suite.finish(passed, failed)


main()
