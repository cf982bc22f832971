"""DNS messages for woven captures: a question, and its answer."""
import ipaddress
import struct

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
FAILURES = {"NXDOMAIN": 3, "SERVFAIL": 2, "NODATA": 0, "TRUNCATED": 0}


def name(text):
    """RFC 1035 3.1. `\\000` forms are not needed here."""
    return b"".join(struct.pack("B", len(label)) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


def question(ident, kind, domain):
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + name(domain) + struct.pack("!HH", TYPES[kind], 1)


def answer(ident, kind, domain, values):
    """`values`: what the records hold, or one of FAILURES."""
    failure = values[0] if values and values[0] in FAILURES else None
    records = [] if failure else [_data(kind, value) for value in values]
    flags = 0x8180 | FAILURES.get(failure, 0) | (0x0200 if failure == "TRUNCATED" else 0)
    out = struct.pack("!HHHHHH", ident, flags, 1, len(records), 0, 0) + name(domain) + struct.pack("!HH", TYPES[kind], 1)
    return out + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", TYPES[kind], 1, 300, len(data)) + data for data in records)


def _data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "TXT":
        octets = value.encode()
        return b"".join(struct.pack("B", len(octets[at:at + 255])) + octets[at:at + 255] for at in range(0, len(octets), 255))
    if kind == "MX":
        preference, host = value.split()
        return struct.pack("!H", int(preference)) + name(host)
    return name(value)
