#!/usr/bin/env python3
# ARC chains made and broken at random, judged by us and by dkimpy: the verdicts must agree.
#
#   tests/suites/arc_random.py [ARC_RUN [CHAINS [SEED]]]
#
# Each chain has 1 to 6 sets by sealers with keys of their own; lists in between change body and subject before they seal.
# Of each chain some twenty variants are judged: as it is, changed in ways that must not matter, and broken. Needs Debian's
# python3-dkim and python3-authres; without them it is skipped.
import base64
import random
import re
import subprocess
import sys
import tempfile
import time

import suite

here = sys.path.pop(0)  # dkim.py beside this file is not dkimpy
try:
    import authres  # noqa: F401  dkimpy needs it to seal
    import dkim
except ImportError:
    suite.skip("no dkimpy (python3-dkim, python3-authres)")
sys.path.append(here)
import arc  # noqa: E402

ORDERS = 3
SEALERS = [("a.example", 1024), ("b.example", 1024), ("lists.c.example", 1024), ("d.example", 2048)]
ARC_FIELDS = (b"arc-seal", b"arc-message-signature", b"arc-authentication-results")


def make_key(folder, domain, bits):
    name = f"{folder}/{domain}"
    run = {"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", name, str(bits)], **run)
    public = subprocess.run(["openssl", "rsa", "-in", name, "-pubout", "-outform", "DER"], **run).stdout
    with open(name, "rb") as file:
        return file.read(), "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()


# ---- messages as lists of fields ----


def split(message):
    header, _, body = message.partition(b"\r\n\r\n")
    return [f + b"\r\n" for f in re.split(rb"\r\n(?![ \t])", header)], body


def join(fields, body):
    return b"".join(fields) + b"\r\n" + body


def name_of(field):
    return field.partition(b":")[0].strip().lower()


def instance_of(field):
    return int(re.search(rb"\bi=(\d+)", field).group(1))


def arc_places(fields, name=None):
    return [i for i, f in enumerate(fields) if name_of(f) in ARC_FIELDS and name in (None, name_of(f))]


# ---- honest chains ----


def make_chain(rng, keys, sets):
    words = [rng.choice(["alpha", "beta ", " gamma", "\tdelta", "", "."]) for _ in range(rng.randrange(12))]
    body = "".join(f"{word}\r\n" for word in words).encode() + b"\r\n" * rng.randrange(4)
    message = (
        b"From: Author <author@author.example>\r\nTo: list@lists.example\r\nSubject: "
        + rng.choice([b"one", b"two  words", b"folded\r\n\there"])
        + b"\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <%d@author.example>\r\n\r\n" % rng.getrandbits(32)
        + body
    )
    for i in range(1, sets + 1):
        domain, (private, _) = rng.choice(list(keys.items()))
        if i > 1 and rng.random() < 0.5:
            message += b"-- \r\na footer of set %d\r\n" % i
        if i > 1 and rng.random() < 0.3:
            message = message.replace(b"Subject: ", b"Subject: [list] ", 1)
        result = b"arc=pass; " if i > 1 else b""
        message = b"Authentication-Results: mx.%s; %sspf=pass smtp.mailfrom=author.example; dmarc=pass\r\n" % (
            domain.encode(),
            result,
        ) + message
        fields = dkim.arc_sign(message, b"k", domain.encode(), private, b"mx." + domain.encode())
        message = b"".join(fields) + message
        if rng.random() < 0.5:
            message = b"Received: from x by mx.%s\r\n" % domain.encode() + message
    return message


# ---- what may befall a chain: each takes and returns (fields, body, zone) ----


def as_it_is(rng, fields, body, zone):
    return fields, body, zone


def shuffled(rng, fields, body, zone):
    places = arc_places(fields)
    moved = [fields[i] for i in places]
    rng.shuffle(moved)
    for place, field in zip(places, moved):
        fields[place] = field
    return fields, body, zone


def refolded(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-authentication-results") + arc_places(fields, b"arc-seal"))
    fields[place] = fields[place].replace(b"; ", b";\r\n\t ")
    return fields, body, zone


def blank_before_colon(rng, fields, body, zone):
    place = rng.choice(arc_places(fields))
    name, _, value = fields[place].partition(b":")
    fields[place] = name.swapcase() + b":" + b" \t" + value
    return fields, body, zone


def blanks_in_body(rng, fields, body, zone):
    return fields, body.replace(b" ", b" \t ") + b"\r\n\r\n", zone


def new_fields_above(rng, fields, body, zone):
    return [b"Received: from y by z\r\n", b"X-Spam: no\r\n"] + fields, body, zone


def body_changed(rng, fields, body, zone):
    return fields, b"x" + body, zone


def body_appended(rng, fields, body, zone):
    return fields, body + b"more\r\n", zone


def subject_changed(rng, fields, body, zone):
    return [f.replace(b"Subject: ", b"Subject: x") for f in fields], body, zone


def from_changed(rng, fields, body, zone):
    return [f.replace(b"author@author", b"editor@author") for f in fields], body, zone


def second_from(rng, fields, body, zone):
    return [b"From: evil@evil.example\r\n"] + fields, body, zone


def field_dropped(rng, fields, body, zone):
    del fields[rng.choice(arc_places(fields))]
    return fields, body, zone


def field_doubled(rng, fields, body, zone):
    fields.insert(0, fields[rng.choice(arc_places(fields))])
    return fields, body, zone


def set_dropped(rng, fields, body, zone):
    sets = {instance_of(fields[i]) for i in arc_places(fields)}
    gone = rng.choice(sorted(sets))
    return [f for f in fields if name_of(f) not in ARC_FIELDS or instance_of(f) != gone], body, zone


def newest_set_dropped(rng, fields, body, zone):
    newest = max(instance_of(fields[i]) for i in arc_places(fields))
    return [f for f in fields if name_of(f) not in ARC_FIELDS or instance_of(f) != newest], body, zone


def all_sets_dropped(rng, fields, body, zone):
    return [f for f in fields if name_of(f) not in ARC_FIELDS], body, zone


def renumbered(rng, fields, body, zone):
    place = rng.choice(arc_places(fields))
    number = rng.choice([0, 1, 2, 7, 49, 50])
    fields[place] = re.sub(rb"\bi=\d+", b"i=%d" % number, fields[place], count=1)
    return fields, body, zone


def signature_flipped(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-seal") + arc_places(fields, b"arc-message-signature"))
    head, b, tail = fields[place].rpartition(b" b=")
    at = rng.randrange(len(tail) // 2)
    old = tail[at : at + 1]
    if old.isalnum():
        tail = tail[:at] + (b"A" if old != b"A" else b"B") + tail[at + 1 :]
    else:
        tail = b"QUJD" + tail[4:]
    fields[place] = head + b + tail
    return fields, body, zone


def results_changed(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-authentication-results"))
    fields[place] = fields[place].replace(b"spf=pass", b"spf=fail")
    return fields, body, zone


def results_rewritten(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-authentication-results"))
    fields[place] = fields[place].replace(b"dmarc=pass", b"dmarc=pass header.from=author.example")
    return fields, body, zone


def seal_says(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-seal"))
    says = rng.choice([b"none", b"pass", b"fail", b"", b"Pass", b"maybe"])
    fields[place] = re.sub(rb"cv=\w+", b"cv=" + says, fields[place])
    return fields, body, zone


def seal_has_h(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-seal"))
    fields[place] = fields[place].replace(b"; a=", b"; h=from; a=")
    return fields, body, zone


def signs_seals(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-message-signature"))
    fields[place] = fields[place].replace(b"h=", b"h=arc-seal : ", 1)
    return fields, body, zone


def tag_dropped(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-seal") + arc_places(fields, b"arc-message-signature"))
    tag = rng.choice([b"a", b"d", b"s", b"bh", b"cv", b"t", b"h", b"c"])
    fields[place] = re.sub(rb"([;:]\s*)" + tag + rb"=[^;]*;", rb"\1", fields[place], count=1)
    return fields, body, zone


def tag_doubled(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-seal") + arc_places(fields, b"arc-message-signature"))
    fields[place] = fields[place].replace(b"; a=", b"; s=k; a=")
    return fields, body, zone


def other_domain(rng, fields, body, zone):
    place = rng.choice(arc_places(fields, b"arc-seal") + arc_places(fields, b"arc-message-signature"))
    fields[place] = re.sub(rb" d=[^;]*;", b" d=%s;" % rng.choice(SEALERS)[0].encode(), fields[place])
    return fields, body, zone


def key_gone(rng, fields, body, zone):
    del zone[rng.choice(sorted(zone))]
    return fields, body, zone


def key_revoked(rng, fields, body, zone):
    zone[rng.choice(sorted(zone))] = "v=DKIM1; k=rsa; p="
    return fields, body, zone


def keys_swapped(rng, fields, body, zone):
    a, b = rng.sample(sorted(zone), 2)
    zone[a], zone[b] = zone[b], zone[a]
    return fields, body, zone


def octet_changed(rng, fields, body, zone):
    place = rng.choice(arc_places(fields))
    field = fields[place]
    at = rng.randrange(field.index(b":") + 2, len(field) - 2)
    if field[at : at + 1].isalnum():
        fields[place] = field[:at] + rng.choice([b"a", b"Z", b"0", b"9"]) + field[at + 1 :]
    return fields, body, zone


VARIANTS = [
    as_it_is, shuffled, refolded, blank_before_colon, blanks_in_body, new_fields_above, body_changed, body_appended,
    subject_changed, from_changed, second_from, field_dropped, field_doubled, set_dropped, newest_set_dropped,
    all_sets_dropped, renumbered, signature_flipped, results_changed, results_rewritten, seal_says, seal_has_h,
    signs_seals, tag_dropped, tag_doubled, other_domain, key_gone, key_revoked, keys_swapped, octet_changed,
    octet_changed, octet_changed,
]


# ---- two judges ----


def ask_dkimpy(message, zone):
    def lookup(name, timeout=5):
        return zone.get(name.decode().rstrip(".").lower(), "").encode()

    try:
        result = dkim.arc_verify(message, dnsfunc=lookup)
    except Exception as error:  # it is the other judge, not ours, that stumbled
        return f"error ({type(error).__name__})", str(error)
    words = {b"none": "none", b"pass": "pass", b"fail": "fail", None: "fail"}  # None: a chain that was given up
    return words[result[0]], str(result[2])


def in_order(message):
    """The same message with its ARC fields as sealers put them: newest set first, seal above signature above results."""
    fields, body = split(message)
    places = arc_places(fields)
    order = {name: place for place, name in enumerate(ARC_FIELDS)}
    sorted_fields = sorted((fields[i] for i in places), key=lambda f: (-instance_of(f), order[name_of(f)]))
    for place, field in zip(places, sorted_fields):
        fields[place] = field
    return join(fields, body)


def explained(ours, message, zone):
    """Why the other judge is of another opinion, when we know and stand by ours."""
    try:
        if ask_dkimpy(in_order(message), zone)[0] == ours[0]:
            return "dkimpy hashes the sets as they stand in the header, not by instance (RFC 8617 5.1.1)"
    except AttributeError:
        pass  # a field without an instance: there is no order
    return None


def main():
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 8617
    chains = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    now = int(time.time())
    cases, theirs, labels, inputs = [], [], [], []

    with tempfile.TemporaryDirectory() as folder:
        keys = {domain: make_key(folder, domain, bits) for domain, bits in SEALERS}
    for n in range(chains):
        message = make_chain(random.Random(f"{seed} {n}"), keys, 1 + n % 6)
        for i, variant in enumerate(VARIANTS):
            rng = random.Random(f"{seed} {n} {i}")
            fields, body = split(message)
            zone = {f"k._domainkey.{domain}": record for domain, (_, record) in keys.items()}
            fields, body, zone = variant(rng, fields, body, zone)
            changed = join(fields, body)
            cases.append(arc.case(now, ORDERS, zone, changed))
            theirs.append(ask_dkimpy(changed, zone))
            labels.append(f"chain {n} of {1 + n % 6}, {variant.__name__}")
            inputs.append((changed, zone))

    agreed = failed = 0
    verdicts, known = {}, {}
    for label, their, ours, given in zip(labels, theirs, arc.play(cases), inputs):
        reason = explained(ours, *given) if ours[0] != their[0] else None
        verdicts[ours[0]] = verdicts.get(ours[0], 0) + 1
        if ours[0] == their[0]:
            agreed += 1
        elif reason is not None:
            known[reason] = known.get(reason, 0) + 1
        else:
            failed += 1
            print(f"{label}: {' '.join(ours)}; dkimpy says {their[0]}: {their[1]}")
    for reason, count in sorted(known.items()):
        print(f"{count} differ: {reason}")
    print("note:", ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    suite.finish(agreed + sum(known.values()), failed)


if __name__ == "__main__":
    main()
