"""Signed messages, and what the DNS says about their sender: for the rows about message authentication.

Signed here with the openssl command by a signer of RFC 6376 3.4 and 3.7 alone, so that no program under measurement has
made what it verifies. The keys are new each time, the messages are not.
"""
import base64
import hashlib
import re
import subprocess

DOMAIN = "sender.example"
CLIENT = "192.0.2.200"          # an address that SPF allows; libspf2 passes loopback without a look at any record
LOOPBACK = "127.0.0.1"          # the other one: where messages of the mail bench come from
HELO = "mail." + DOMAIN
KB, MB = 1024, 1024 * 1024

_FIELDS = [
    b"Received: from desk.sender.example (desk.sender.example [192.0.2.7])\r\n"
    b"\tby mail.sender.example (Postfix) with ESMTPSA id 4B5C6D7E8F\r\n"
    b"\tfor <b@local.example>; Sun, 22 Nov 2026 10:00:00 +0000 (UTC)\r\n",
    b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n",
    b"From: Some Body <a@sender.example>\r\n",
    b"To: Some One <b@local.example>\r\n",
    b"Subject: A message of the usual kind, with a subject of the usual length\r\n",
    b"Message-ID: <20261122100000.4B5C6D7E8F@sender.example>\r\n",
    b"MIME-Version: 1.0\r\n",
    b"Content-Type: text/plain; charset=utf-8\r\n",
    b"Content-Transfer-Encoding: 8bit\r\n",
    b"User-Agent: Some Program 1.0\r\n",
]
_SIGNED = [b"Date", b"From", b"To", b"Subject", b"Message-ID", b"MIME-Version", b"Content-Type"]
_WORDS = (b"the mail of a friend comes with words of all lengths and now and then with  two spaces, so that a line of "
          b"it is like a line that somebody wrote. ")


def dns_of(keys):
    """TXT records by name: five includes, of which the last one matches; DMARC; the keys."""
    zone = {DOMAIN: "v=spf1 " + " ".join("include:spf%d.%s" % (i, DOMAIN) for i in range(1, 6)) + " -all",
            "_dmarc." + DOMAIN: "v=DMARC1; p=reject; adkim=r; aspf=r"}
    for i in range(1, 6):
        networks = ["192.0.2.%d" % (16 * i), "198.51.100.0/28", "203.0.113.%d" % i] + ([CLIENT, LOOPBACK] if i == 5 else [])
        zone["spf%d.%s" % (i, DOMAIN)] = "v=spf1 " + " ".join("ip4:" + n for n in networks) + " ~all"
    for key in keys:
        zone["%s._domainkey.%s" % (key.selector, DOMAIN)] = key.record
    return zone


class Key:
    def __init__(self, place, algorithm):
        self.algorithm = algorithm                      # "rsa" or "ed25519"
        self.selector = algorithm
        self.path = place / (algorithm + ".pem")
        what = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "rsa" else \
            ["-algorithm", "ED25519"]
        self._openssl("genpkey", *what, "-out", self.path)
        der = self._openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        public = der if algorithm == "rsa" else der[-32:]
        self.record = "v=DKIM1; k=%s; p=%s" % (algorithm, base64.b64encode(public).decode())

    @staticmethod
    def _openssl(*arguments):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout

    def sign(self, octets):
        """RFC 6376 3.3, RFC 8463 3: of the SHA-256 of these octets."""
        digest = self.path.with_suffix(".digest")
        digest.write_bytes(hashlib.sha256(octets).digest())
        more = ["-pkeyopt", "digest:sha256"] if self.algorithm == "rsa" else ["-rawin"]
        return self._openssl("pkeyutl", "-sign", "-inkey", self.path, "-in", digest, *more)


def relaxed_field(field):       # 3.4.2
    name, value = field.split(b":", 1)
    return name.strip().lower() + b":" + re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip() + b"\r\n"


def relaxed_body(body):         # 3.4.4
    return re.sub(rb"[ \t]+\r\n", b"\r\n", re.sub(rb"[ \t]+", b" ", body)).rstrip(b"\r\n") + b"\r\n"


def simple_body(body):          # 3.4.3
    return body.rstrip(b"\r\n") + b"\r\n"


def body_of(size):
    """Lines of 60 to 78 octets of words, some of them empty, `size` octets in all."""
    lines, at, length = [], 0, 0
    while length < size:
        n = 60 + at * 7 % 19 if at % 12 else 0
        start = at * 31 % len(_WORDS)
        lines.append((_WORDS * 2)[start:start + n].strip() + b"\r\n")
        length += len(lines[-1])
        at += 1
    body = b"".join(lines)[:size - 3].rstrip(b"\r")
    return body + b"x" * (size - 2 - len(body)) + b"\r\n"


def message(size, key=None, form="relaxed"):
    """A message of `size` octets, about; signed with `key` in the canonical form for header and body."""
    fields = list(_FIELDS)
    body = body_of(size - sum(map(len, fields)) - (600 if key else 0))
    if key is None:
        return b"".join(fields) + b"\r\n" + body
    canonical = relaxed_body(body) if form == "relaxed" else simple_body(body)
    empty = b"DKIM-Signature: v=1; a=%s-sha256; c=%s/%s; d=%s; s=%s;\r\n\tt=1795341600; h=%s;\r\n\tbh=%s;\r\n\tb=\r\n" % (
        key.algorithm.encode(), form.encode(), form.encode(), DOMAIN.encode(), key.selector.encode(),
        b":".join(_SIGNED), base64.b64encode(hashlib.sha256(canonical).digest()))
    own = relaxed_field if form == "relaxed" else bytes
    named = {f.split(b":", 1)[0]: f for f in fields}
    b = base64.b64encode(key.sign(b"".join(own(named[n]) for n in _SIGNED) + own(empty)[:-2]))
    folded = b"\r\n\t ".join(b[i:i + 72] for i in range(0, len(b), 72))
    return empty[:-2] + folded + b"\r\n" + b"".join(fields) + b"\r\n" + body
