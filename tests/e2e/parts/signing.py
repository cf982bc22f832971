"""Signed messages. The signer here takes any tags, so that it can make what no signer should; its keys and mathematics are
openssl(1)'s. dkimpy (python3-dkim), where it is there, is the second opinion, and seals ARC chains."""
import base64
import hashlib
import re
import subprocess
import sys
import time

from .place import fresh_folder

FIELDS = ("From", "Subject")


def debian(module):
    """A module of Debian's packages, also when python3 is not Debian's; None when it is not there."""
    for folder in (None, "/usr/lib/python3/dist-packages"):
        if folder and folder not in sys.path:
            sys.path.append(folder)
        try:
            return __import__(module)
        except ImportError:
            continue
    return None


class Key:
    """A key pair: `record` is the TXT record of its public half."""

    def __init__(self, kind="rsa", bits=2048):
        self.kind = kind
        folder = fresh_folder("key")
        self.file = folder / "private.pem"
        make = ["genrsa", "-traditional", "-out", self.file, str(bits)] if kind == "rsa" else \
            ["genpkey", "-algorithm", "ed25519", "-out", self.file]
        subprocess.run(["openssl", *make], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.file, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        public = der if kind == "rsa" else der[-32:]            # RFC 8463 4
        self.record = "v=DKIM1; k=%s; p=%s" % (kind, base64.b64encode(public).decode())
        self.algorithm = kind + "-sha256"

    def sign(self, octets):
        if self.kind == "rsa":
            return subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.file], input=octets, check=True,
                                  capture_output=True).stdout
        digest = self.file.with_name("digest")
        digest.write_bytes(hashlib.sha256(octets).digest())     # RFC 8463 3: PureEdDSA of the hash
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", digest], check=True,
                              capture_output=True).stdout

    def dkimpy(self):
        """The private half as dkimpy takes it: PEM, or the seed in base64."""
        if self.kind == "rsa":
            return self.file.read_bytes()
        der = subprocess.run(["openssl", "pkey", "-in", self.file, "-outform", "DER"], check=True, capture_output=True).stdout
        return base64.b64encode(der[-32:])


def parted(message):
    head, _, body = message.partition(b"\r\n\r\n")
    return re.findall(rb"([^\r\n:]+):((?:[^\r\n]|\r\n[ \t])*)(?:\r\n|\Z)", head), body


def relaxed_field(name, value):
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.strip().lower() + b":" + value


def simple_field(name, value):
    return name + b":" + value


def relaxed_body(body):
    return simple_body(re.sub(rb"[ \t]+", b" ", re.sub(rb"[ \t]+(?=\r\n)", b"", body)), b"")


def simple_body(body, empty=b"\r\n"):
    body = re.sub(rb"(?:\r\n)+\Z", b"", body)
    return body + b"\r\n" if body else empty


def signature(message, key, domain, selector="s", c="relaxed/relaxed", fields=FIELDS, **tags):
    """The DKIM-Signature field of a message. `tags` replace or add tags; one that is None goes away."""
    header, body = parted(message)
    head_form, body_form = c.split("/")
    canonical = (relaxed_body if body_form == "relaxed" else simple_body)(body)
    if "l" in tags:
        canonical = canonical[:int(tags["l"])]
    all_tags = {"v": "1", "a": key.algorithm, "c": c, "d": domain, "s": selector, "t": str(int(time.time())),
                "h": ":".join(fields), "bh": base64.b64encode(hashlib.sha256(canonical).digest()).decode()}
    all_tags.update(tags)
    value = b" " + b"; ".join(tag.encode() + b"=" + (text if isinstance(text, bytes) else str(text).encode())
                              for tag, text in all_tags.items() if text is not None) + b"; b="
    form = relaxed_field if head_form == "relaxed" else simple_field
    left = list(header)
    signed = b""
    for name in fields:                     # RFC 6376 5.4.2: from the bottom up
        for at in range(len(left) - 1, -1, -1):
            if left[at][0].strip().lower() == name.lower().encode():
                signed += form(*left.pop(at)) + b"\r\n"
                break
    signed += form(b"DKIM-Signature", value)
    return b"DKIM-Signature:" + value + base64.b64encode(key.sign(signed)) + b"\r\n"


def signed(message, key, domain, **more):
    return signature(message, key, domain, **more) + message
