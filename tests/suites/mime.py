#!/usr/bin/env python3
# Messages of Stalwart's mail-parser: their parts as Python's email package has them, and as the walker of policy/mime.h tells
# them; then what becomes of each with the default configuration (ORACLE: all of suites/mime goes through).
#
#   tests/suites/mime.py [mime_run]
#
# Compared are the path, the type and the name of each part that has a name or is no text. The walker may tell more, never
# less; what it tells more is counted by its reason:
# - uuencode: a file within a text ("begin 644 name"), which Python leaves there
# - reading: a second reading of a name (an encoded word in quotes, backslashes)
# - boundary: a part behind a boundary line that Python takes for text
import email
import email.policy
import os
import subprocess
import tempfile
import urllib.parse

import suite

INI = """[server]
hostname = mx.local.example
[listen smtp]
address = 127.0.0.1:2525
tls = off
[backend]
servers = 127.0.0.1:2526
tls = off
[relay]
domains = local.example
"""

# Refused before any check looks at them, by the framing rules of SMTP: a CR alone in the body.
REFUSED_BY = {("reject", "framing")}


def paths(part, path, parent):
    """(path, part) of a message and all below it, numbered as IMAP does (RFC 9051 6.4.5)."""
    kind = part.get_content_maintype()
    if kind == "multipart" and part.is_multipart():
        below = path if parent == "multipart" else path[:-1]
        yield path, part
        for i, child in enumerate(part.get_payload()):
            yield from paths(child, below + [i + 1], "multipart")
    elif kind == "message" and part.is_multipart():
        yield path, part
        if part.get_content_subtype() in ("rfc822", "global", "news"):
            yield from paths(part.get_payload(0), path + [1], "message")
    else:
        yield path, part


def name_of(part):
    name = part.get_filename()
    return None if name is None else email.utils.collapse_rfc2231_value(name).encode("utf-8", "replace")


def expected(octets):
    """{(path, type): name or None} of what is worth telling."""
    parts = {}
    for path, part in paths(email.message_from_bytes(octets, policy=email.policy.compat32), [1], None):
        name, kind = name_of(part), part.get_content_type()
        is_text = kind in ("text/plain", "text/html") or kind.startswith("multipart/")
        if name or not is_text:
            parts[(".".join(map(str, path)), kind)] = name
    return parts


def told(lines):
    """[(path, {types}, [names], {other words})]; octets of names decoded."""
    for line in lines:
        path, *words = line.split(" ")
        types, names, others = set(), [], set()
        for word in words:
            key, _, value = word.partition("=")
            if key == "type":
                types.add(value)
            elif key == "name":
                names.append(urllib.parse.unquote_to_bytes(value))
            else:
                others.add(word)
        yield path, types, names, others


def compare(octets, lines, counts):
    """What the walker missed, as text."""
    missing = expected(octets)
    for path, types, names, others in told(lines):
        for key in [key for key in missing if key[0] == path and (key[1] in types or not types)]:
            name = missing[key]
            if name is not None and not any(is_same(name, n) for n in names):
                continue
            del missing[key]
            counts["same"] += 1
            counts["reading"] += len(names) > 1
            break
        else:
            reason = "uuencode" if "content=uuencode" in others else "boundary" if path != "-" else "oddity"
            counts[reason] += 1
    return ["%s %s %s" % (path, kind, name) for (path, kind), name in missing.items()]


def is_same(name, octets):
    """Python converts the character set; the walker tells octets as they are."""
    return name in (octets, octets.decode("utf-8", "replace").encode("utf-8"), octets.decode("latin-1").encode("utf-8"))


def run(program, files):
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as ini:
        ini.write(INI)
        ini.flush()
        out = subprocess.run([program, ini.name] + files, stdout=subprocess.PIPE, check=True, timeout=250).stdout
    results, parts, name = {}, [], None
    for line in out.decode("utf-8", "replace").splitlines():
        word, _, rest = line.partition(" ")
        if word == "file":
            name, parts = rest, []
        elif word == "part":
            parts.append(rest)
        elif word == "verdict":
            results[name] = (parts, (rest.split(" ") + [""])[:2])
    return results


def main():
    folder = suite.path("mime", "mail-parser")
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".eml"))
    results = run(suite.program("mime_run"), files)
    counts = dict.fromkeys(("same", "reading", "uuencode", "boundary", "oddity", "refused by framing"), 0)
    failed = []
    for name in files:
        parts, (action, check) = results[name]
        with open(name, "rb") as file:
            missed = compare(file.read(), parts, counts)
        if (action, check) in REFUSED_BY:
            counts["refused by framing"] += 1
        elif action != "accept":
            missed.append("verdict %s by %s" % (action, check))
        if missed:
            failed.append(name)
            print("%s: %s" % (os.path.basename(name), "; ".join(missed)))
    print(", ".join("%s %d" % pair for pair in counts.items()))
    suite.finish(len(files) - len(failed), len(failed))


main()
