#!/usr/bin/env python3
"""Random signed messages, verified by dkimpy, by libopendkim and by us: all must agree that a signature passes or not.

    tests/suites/dkim_random.py [build/asan/dkim_run [NUMBER [SEED]]]

Messages are signed here, by a signer written from RFC 6376 3.4 and 3.7 alone, so what was not changed afterwards must
pass everywhere; then half of them are changed in the way that relays, lists and attackers do. The messages come from a
fixed seed, the keys are new each time. opendkim-testmsg can only ask the DNS, so its library is called with a file of
keys.

Where others are known to differ, and why, stands in KNOWN; each is counted. Anything else is a failure, and the message
is printed.
"""
import base64
import ctypes
import ctypes.util
import hashlib
import logging
import os
import random
import re
import sys
import tempfile
import time

import suite

here = sys.path.pop(0)  # dkim.py beside this file is not dkimpy
try:
    import dkim
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, utils
except ImportError as e:
    suite.skip("no %s (python3-dkim, python3-cryptography)" % e.name)
sys.path.append(here)
import dkim_cases  # noqa: E402

MESSAGES = 5000
DOMAIN = b"sender.example"
NOW = int(time.time())

# ---- keys ----


class Key:
    def __init__(self, selector, private):
        self.selector = selector
        self.private = private
        self.is_rsa = isinstance(private, rsa.RSAPrivateKey)
        public = private.public_key()
        if self.is_rsa:
            self.algorithm = b"rsa-sha256"
            der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        else:
            self.algorithm = b"ed25519-sha256"
            der = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        kind = b"" if self.is_rsa else b"k=ed25519; "
        self.record = b"v=DKIM1; " + kind + b"p=" + base64.b64encode(der)

    def sign(self, digest):
        if self.is_rsa:
            return self.private.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        return self.private.sign(digest)

    def name(self):
        return self.selector + b"._domainkey." + DOMAIN


def make_keys():
    keys = [Key(b"rsa%d" % bits, rsa.generate_private_key(65537, bits)) for bits in (1024, 1536, 2048, 4096)]
    keys.append(Key(b"rsa3", rsa.generate_private_key(3, 2048)))
    keys += [Key(b"ed", ed25519.Ed25519PrivateKey.generate())] * 2
    return keys


# ---- our signer, from RFC 6376 ----


def relaxed_field(field):  # 3.4.2
    name, value = field.split(b":", 1)
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip(b" \t").lower() + b":" + value + b"\r\n"


def canonical_body(body, relaxed):  # 3.4.3, 3.4.4
    lines = body.split(b"\r\n")
    if relaxed:
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and lines[-1] == b"":
        lines.pop()
    if not lines:
        return b"" if relaxed else b"\r\n"
    return b"\r\n".join(lines) + b"\r\n"


def select(fields, names):  # 5.4.2
    left = list(fields)
    for name in names:
        for i in range(len(left) - 1, -1, -1):
            if left[i].split(b":", 1)[0].strip(b" \t").lower() == name.lower():
                yield left.pop(i)
                break


class Message:
    """Fields (with their CRLF) and body; `signature` is its place among the fields, `facts` what KNOWN asks about."""

    def __init__(self, fields, body):
        self.fields, self.body = fields, body
        self.facts = set()

    def octets(self):
        return b"".join(self.fields) + b"\r\n" + self.body


def fws(r):
    return r.choice([b"", b"", b" ", b"  ", b"\t", b"\r\n ", b"\r\n\t", b" \r\n  "])


def fold_base64(r, text):
    if r.random() < 0.3:
        return text
    step = r.randint(20, 72)
    glue = r.choice([b"\r\n ", b"\r\n\t", b" "])
    return glue.join(text[i:i + step] for i in range(0, len(text), step))


def choose_names(r, fields):
    names = [f.split(b":", 1)[0].strip() for f in fields]
    chosen = [n for n in names if r.random() < 0.8]
    chosen += [r.choice(names + [b"X-Absent", b"From", b"Subject"]) for _ in range(r.randint(0, 4))]
    if r.random() < 0.5:
        r.shuffle(chosen)
    chosen += [b"From"] * r.choice([1, 2, 2, 2])
    return [r.choice([n, n.lower(), n.upper()]) for n in chosen]


def choose_limit(r, length):
    kind = r.random()
    if kind < 0.7:
        return None
    return r.choice([0, length, r.randint(0, length), max(0, length - 1), length + 1, length + 1000])


def sign(r, message, key):
    header_form, body_form = r.choice([b"simple", b"relaxed"]), r.choice([b"simple", b"relaxed"])
    canonical = canonical_body(message.body, body_form == b"relaxed")
    limit = choose_limit(r, len(canonical))
    names = choose_names(r, message.fields)
    c = header_form + b"/" + body_form
    if body_form == b"simple" and r.random() < 0.4:
        c = header_form
    tags = [(b"v", b"1"), (b"a", key.algorithm), (b"d", DOMAIN), (b"s", key.selector),
            (b"h", (fws(r) + b":" + fws(r)).join(names)),
            (b"bh", fold_base64(r, base64.b64encode(hashlib.sha256(canonical[:limit]).digest())))]
    if c != b"simple" or r.random() < 0.5:
        tags.append((b"c", c))
    if limit is not None:
        tags.append((b"l", b"%d" % limit))
        message.facts.add("l beyond the body" if limit > len(canonical) else "l")
    for tag, value, chance in ((b"t", b"%d" % (NOW - 100), 0.5), (b"x", b"%d" % (NOW + 86400), 0.3),
                               (b"q", b"dns/txt", 0.3),
                               (b"i", r.choice([b"@", b"user@", b"a=20b@mail."]) + DOMAIN, 0.4),
                               (b"z", b"Subject:=20x|From:a@b", 0.1), (b"unknown_1", b"some text", 0.1)):
        if r.random() < chance:
            tags.append((tag, value))
    if r.random() < 0.7:
        r.shuffle(tags)
    where = r.randint(0, len(tags))
    tags.insert(where, (b"b", b""))
    parts = [fws(r) + t + r.choice([b"", b"", fws(r)]) + b"=" + (fws(r) if t != b"b" else b"") + v for t, v in tags]
    if where == 0:
        parts[0] = b" " + parts[0].lstrip()
    name = r.choice([b"DKIM-Signature", b"DKIM-Signature", b"dkim-signature", b"Dkim-signature"])
    end = r.choice([b"", b";"]) if where < len(parts) - 1 else b""
    before, after = b";".join(parts[:where + 1]), b"".join(b";" + p for p in parts[where + 1:])
    empty = name + b": " + before.lstrip(b"\r\n") + after + end + b"\r\n"
    form = relaxed_field if header_form == b"relaxed" else bytes
    signed = b"".join(form(f) for f in select(message.fields, names)) + form(empty)[:-2]
    b = fold_base64(r, base64.b64encode(key.sign(hashlib.sha256(signed).digest())))
    return name + b": " + before.lstrip(b"\r\n") + r.choice([b"", b" ", b"\r\n "]) + b + after + end + b"\r\n"


# ---- messages ----

WORDS = [b"the", b"mail", b"of", b"a", b"friend", b"caf\xc3\xa9", b".", b"..", b"=20", b"x" * 70, b"From", b"\xff\x80"]


def text(r, words):
    return b"".join(r.choice(WORDS) + r.choice([b" ", b" ", b" ", b"  ", b"\t", b" \t ", b"   "]) for _ in range(words))


def make_line(r):
    kind = r.random()
    if kind < 0.2:
        return b""
    if kind < 0.3:
        return r.choice([b" ", b"\t", b"  \t ", b" " * 100])
    line = text(r, r.randint(1, 12))
    return line if r.random() < 0.3 else line.rstrip()


def make_body(r):
    if r.random() < 0.1:
        return r.choice([b"", b"\r\n", b"\r\n\r\n", b" \r\n", b"\t \r\n\r\n", b"\r\n \r\n"])
    body = b"".join(make_line(r) + b"\r\n" for _ in range(r.randint(1, 30)))
    body += b"\r\n" * r.choice([0, 0, 1, 2, 5])
    return body


def make_field(r, name, value):
    value = r.choice([b" ", b"", b"  ", b"\t"]) + value
    if r.random() < 0.3:
        value += r.choice([b" ", b"\t ", b"\r\n more", b"\r\n\tand\r\n  more ", b"  two  spaces"])
    return name + b":" + value + b"\r\n"


def make_message(r):
    fields = [make_field(r, b"From", b"Joe <joe@%s>" % DOMAIN), make_field(r, b"To", b"suzie@receiver.example"),
              make_field(r, b"Subject", text(r, r.randint(0, 6)).strip() or b"x"),
              make_field(r, b"Date", b"Fri, 11 Jul 2003 21:00:37 -0700"),
              make_field(r, b"Message-ID", b"<%d@sender.example>" % r.randint(0, 10**9))]
    for _ in range(r.randint(0, 4)):
        fields.append(make_field(r, r.choice([b"X-Twice", b"x-twice", b"Received", b"List-Id", b"Empty"]),
                                 r.choice([b"", b"one", b"two", text(r, 3).strip()])))
    r.shuffle(fields)
    return Message(fields, make_body(r))


# ---- what happens to mail ----


def change_octet(r, octets):
    at = [i for i, c in enumerate(octets) if 0x41 <= c <= 0x79]
    if not at:
        return octets
    i = r.choice(at)
    return octets[:i] + bytes([octets[i] ^ 1]) + octets[i + 1:]


def change_body(r, m):
    lines = m.body.split(b"\r\n")
    at = r.randrange(len(lines))
    kind = r.randrange(9)
    if kind == 0:
        m.body += r.choice([b"added\r\n", b"\r\n", b"\r\n\r\n\r\n", b" \r\n", b" \t\r\n\r\n"])
    elif kind == 1:
        m.body = r.choice([b"\r\n", b"added\r\n"]) + m.body
    elif kind == 2:
        m.body = change_octet(r, m.body)
    elif kind == 3 and at < len(lines) - 1:
        lines[at] += r.choice([b" ", b"\t", b"  "])
        m.body = b"\r\n".join(lines)
    elif kind == 4:
        m.body = m.body.replace(b" ", b"  ", 1)
    elif kind == 5:
        m.body = m.body.replace(b" ", b"\t", 1)
    elif kind == 6:
        m.body = m.body.rstrip(b"\r\n") + b"\r\n"
    elif kind == 7:
        m.body = m.body[:-2] if m.body.endswith(b"\r\n") else m.body
    else:
        del lines[at]
        m.body = b"\r\n".join(lines)


def change_header(r, m):
    at = r.choice([i for i in range(len(m.fields)) if i != m.signature])
    name, value = m.fields[at].split(b":", 1)
    kind = r.randrange(9)
    if kind == 0:
        m.fields[at] = name.upper() + b":" + value
    elif kind == 1:
        m.fields[at] = name + b": " + value
    elif kind == 2:
        m.fields[at] = name + b":" + value[:-2] + b" \r\n"
    elif kind == 3:
        m.fields[at] = name + b":" + value.replace(b" ", b"\r\n ", 1)
    elif kind == 4:
        m.fields[at] = name + b":" + change_octet(r, value)
    elif kind == 5:
        del m.fields[at]
        m.signature -= at < m.signature
    elif kind == 6:
        m.fields.append(r.choice([b"X-Twice: three\r\n", b"X-Absent: no more\r\n", b"Subject: second\r\n",
                                  b"From: second@other.example\r\n"]))
    elif kind == 7:
        m.fields.insert(0, r.choice([b"Received: from here\r\n", b"X-Twice: zero\r\n",
                                     b"From: first@other.example\r\n"]))
        m.signature += 1
    else:
        other = r.choice([i for i in range(len(m.fields)) if i != m.signature])
        m.fields[at], m.fields[other] = m.fields[other], m.fields[at]


def change_signature(r, m):
    field = m.fields[m.signature]
    kind = r.randrange(14)
    if kind == 0:
        name, value = field.split(b":", 1)
        field = name + b":" + change_octet(r, value)
        m.facts.add("changed signature")
    elif kind == 1:
        field = field.replace(b" ", b"  ", 1)
    elif kind == 2:
        field = field[:-2] + b";\r\n"
        m.facts.add("semicolon")
    elif kind == 3:
        field = field[:-2] + b"; \r\n"
        m.facts.add("semicolon")
    elif kind == 4:
        field = field[:-2] + b"; v=1\r\n"
        m.facts.add("semicolon")
    elif kind == 5:
        field = field.replace(b"v=1", b"v=2")
    elif kind == 6:
        field = field.replace(b"rsa-sha256", b"rsa-sha1")
    elif kind == 7:
        field = field.replace(DOMAIN, b"other.example")
    elif kind == 8:
        field = re.sub(rb"\bx=\d+", b"x=1000000000", field)
    elif kind == 9:
        field = re.sub(rb"\bt=\d+", b"t=%d" % (NOW + 10 ** 7), field)
    elif kind == 10:
        field = field.replace(b"@", b"@else", 1)
    elif kind == 11:
        field = field.upper() if r.random() < 0.2 else field.replace(b"DKIM-S", b"dKIM-s")
    elif kind == 12:
        field = re.sub(rb"(;\s*)(v|a|d|s|h|bh|b)(\s*=)", rb"\1y\2\3", field, count=1)
    else:
        field = field.replace(b"=", b"= ", 1)
    m.fields[m.signature] = field


CHANGES = [change_body, change_header, change_signature]

# ---- the three verifiers ----


def verify_dkimpy(octets, records):
    def lookup(name, timeout=5):
        return records.get(name.rstrip(b".").lower(), b"")
    try:
        return dkim.DKIM(octets).verify(dnsfunc=lookup)
    except Exception as e:  # pylint: disable=broad-except
        return "%s" % e or False


def fails(result):
    return result is not True


class OpenDkim:
    OPTIONS_QUERYMETHOD, OPTIONS_QUERYINFO, QUERY_FILE, SETOPT = 6, 7, 1, 1
    PASSED, BODY_MATCHES = 0x04, 0

    def __init__(self, path):
        name = ctypes.util.find_library("opendkim")
        self.library = ctypes.CDLL(name) if name else None
        if self.library is None:
            return
        for function in ("dkim_init", "dkim_verify"):
            getattr(self.library, function).restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(self.library.dkim_init(None, None))
        method, info = ctypes.c_int(self.QUERY_FILE), ctypes.create_string_buffer(path.encode())
        assert self.library.dkim_options(self.handle, self.SETOPT, self.OPTIONS_QUERYMETHOD, ctypes.byref(method),
                                         ctypes.c_size_t(4)) == 0
        assert self.library.dkim_options(self.handle, self.SETOPT, self.OPTIONS_QUERYINFO, info,
                                         ctypes.c_size_t(len(path))) == 0

    def verify(self, octets):
        status = ctypes.c_int()
        dkim_handle = ctypes.c_void_p(self.library.dkim_verify(self.handle, b"test", None, ctypes.byref(status)))
        test = ctypes.c_bool()
        self.library.dkim_chunk(dkim_handle, octets, ctypes.c_size_t(len(octets)))
        self.library.dkim_chunk(dkim_handle, b"", ctypes.c_size_t(0))
        status = self.library.dkim_eom(dkim_handle, ctypes.byref(test))
        signatures, n = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int()
        result = "status %d" % status
        if self.library.dkim_getsiglist(dkim_handle, ctypes.byref(signatures), ctypes.byref(n)) == 0 and n.value > 0:
            signature = ctypes.c_void_p(signatures[0])
            if (self.library.dkim_sig_getflags(signature) & self.PASSED and
                    self.library.dkim_sig_getbh(signature) == self.BODY_MATCHES):
                result = True
            else:
                result += " error %d" % self.library.dkim_sig_geterror(signature)
        self.library.dkim_free(dkim_handle)
        return result


# ---- differences that are known, and why ----


def has_two_from(m):
    return sum(f[:5].lower() == b"from:" for f in m.fields) > 1


def has_space_after_b(m):
    return re.search(rb"[;:\s]b\s+=", m.fields[m.signature]) is not None


def ends_in_blank(m):
    return m.body.endswith((b" ", b"\t"))


def has_open_end(m):
    return not m.body.endswith(b"\r\n")


# who differs, whether they pass what we do not (else the other way round), why, and of which messages that is true
KNOWN = [
    ("dkimpy", False, "takes one more From than h= names (its bug 644046)", has_two_from),
    ("dkimpy", False, "keeps white space at the end of a last line that has no CRLF", ends_in_blank),
    ("opendkim", False, "wants a body that ends in CRLF; only BDAT can carry another", has_open_end),
    ("opendkim", False, "leaves b= in the hash when white space stands before its '=' (RFC 6376 3.2 allows it)",
     has_space_after_b),
    ("dkimpy", True, "l= beyond the body: RFC 6376 3.5 has it not larger", lambda m: "l beyond the body" in m.facts),
]


def explain(who, they_pass, message):
    for name, passes, why, applies in KNOWN:
        if name == who and passes == they_pass and applies(message):
            return why
    return None


# ---- the run ----


def generate(r, keys):
    m = make_message(r)
    m.key = r.choice(keys)
    field = sign(r, m, m.key)
    m.signature = r.randint(0, len(m.fields)) if r.random() < 0.3 else 0
    m.fields.insert(m.signature, field)
    m.is_changed = r.random() < 0.5
    if m.is_changed:
        for _ in range(r.choice([1, 1, 1, 2])):
            r.choice(CHANGES)(r, m)
    return m


def compare(messages, ours, records, opendkim):
    """Prints what differs; (failed, passes, counts of known differences)."""
    failed = passes = 0
    known = {}
    for m, (got,) in zip(messages, ours):
        octets = m.octets()
        we_pass = got.startswith("pass")
        passes += we_pass
        others = [("dkimpy", verify_dkimpy(octets, records))]
        if opendkim.library is not None and m.key.is_rsa:
            others.append(("opendkim", opendkim.verify(octets)))
        trouble = []
        if not m.is_changed and not we_pass and "l beyond the body" not in m.facts:
            trouble.append("signed and unchanged")
        for who, result in others:
            if fails(result) != we_pass:
                continue
            why = explain(who, not we_pass, m)
            if why is None:
                trouble.append("%s: %s" % (who, result))
            else:
                known[who + ": " + why] = known.get(who + ": " + why, 0) + 1
        if trouble:
            failed += 1
            if failed <= int(os.environ.get("SHOW", 3)):
                print("we say %r; %s\n%r" % (got, "; ".join(trouble), octets))
            elif failed <= 300:
                print("we say %r; %s" % (got, "; ".join(trouble)))
    return failed, passes, known


def main():
    started = time.time()
    number = int(sys.argv[2]) if len(sys.argv) > 2 else MESSAGES
    r = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 6376)
    logging.disable(logging.CRITICAL)
    keys = make_keys()
    records = {key.name(): key.record for key in keys}
    messages = [generate(r, keys) for _ in range(number)]
    lines = {name.decode(): record for name, record in records.items()}
    ours = dkim_cases.play([dkim_cases.case(NOW, lines, m.octets()) for m in messages])
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(name + b" " + record + b"\n" for name, record in records.items()))
        file.flush()
        opendkim = OpenDkim(file.name)
        failed, passes, known = compare(messages, ours, records, opendkim)
    for why, n in sorted(known.items()):
        print("%6d known differences: %s" % (n, why))
    if opendkim.library is None:
        print("libopendkim is not here: compared with dkimpy alone")
    print("%d messages, %d changed after signing, %d pass here; %.0f s" %
          (number, sum(m.is_changed for m in messages), passes, time.time() - started))
    suite.finish(number - failed, failed)


main()
