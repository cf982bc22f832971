#!/usr/bin/env python3
"""Small databases in MaxMind's format 2.0: for tests that need one, and for tests/fuzz/corpus/geoip.

    mmdb.py corpus FOLDER       the fuzz seeds
    mmdb.py scenario FOLDER     tests/scenario/origins.mmdb and systems.mmdb
"""
import ipaddress
import pathlib
import struct
import sys

MARKER = b"\xab\xcd\xefMaxMind.com"
STRING, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 5, 6, 7, 9, 11


class Uint16(int):
    """A number written as 16 bits; plain ones are written as 32."""


class Uint64(int):
    """A number written as 64 bits."""


class Pointer(int):
    """Leads to this offset of the section."""


class Raw(bytes):
    """Written as it is."""


def control(kind, size):
    extended = bytes([kind - 7]) if kind > 7 else b""
    high = kind << 5 if kind <= 7 else 0
    for code, base, octets in ((31, 65821, 3), (30, 285, 2), (29, 29, 1)):
        if size >= base:
            return bytes([high | code]) + extended + (size - base).to_bytes(octets, "big")
    return bytes([high | size]) + extended


def number(kind, value):
    octets = int(value).to_bytes((int(value).bit_length() + 7) // 8, "big")
    return control(kind, len(octets)) + octets


def encode(value):
    """A value of the data section."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, Pointer):
        return bytes([1 << 5 | 3 << 3]) + int(value).to_bytes(4, "big")
    if isinstance(value, dict):
        return control(MAP, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, list):
        return control(ARRAY, len(value)) + b"".join(encode(item) for item in value)
    if isinstance(value, int):
        return number({Uint16: UINT16, Uint64: UINT64}.get(type(value), UINT32), value)
    octets = value if isinstance(value, bytes) else value.encode()
    return control(STRING, len(octets)) + octets


class Tree:
    """Nodes are pairs: None, a node's number, or the offset of a record in the data section as ("data", offset)."""

    def __init__(self, version):
        self.version, self.nodes = version, [[None, None]]

    def insert(self, network, record):
        """A network must not lie within another one."""
        network = ipaddress.ip_network(network)
        bits = format(int(network.network_address), "0%db" % network.max_prefixlen)[:network.prefixlen]
        if self.version == 6 and network.version == 4:
            bits = "0" * 96 + bits
        node = 0
        for bit in map(int, bits[:-1]):
            if self.nodes[node][bit] is None:
                self.nodes.append([None, None])
                self.nodes[node][bit] = len(self.nodes) - 1
            node = self.nodes[node][bit]
        self.nodes[node][int(bits[-1])] = ("data", record)

    def record(self, entry):
        if entry is None:
            return len(self.nodes)
        return len(self.nodes) + 16 + entry[1] if isinstance(entry, tuple) else entry

    def encode(self, size):
        pack = {24: lambda left, right: left.to_bytes(3, "big") + right.to_bytes(3, "big"), 28: self.pack_28,
                32: lambda left, right: struct.pack(">II", left, right)}[size]
        return b"".join(pack(self.record(left), self.record(right)) for left, right in self.nodes)

    @staticmethod
    def pack_28(left, right):
        return (left & 0xffffff).to_bytes(3, "big") + bytes([left >> 24 << 4 | right >> 24]) + (right & 0xffffff).to_bytes(3, "big")


def database(networks, record_size=24, version=6, kind="Test", **metadata):
    """A file: {"203.0.113.0/24": {"country_code": "DE"}, ...}. `metadata` is laid over what is right."""
    tree, data, offsets = Tree(version), b"", {}
    for network, value in networks.items():
        octets = encode(value)
        if octets not in offsets:
            offsets[octets] = len(data)
            data += octets
        tree.insert(network, offsets[octets])
    about = {"binary_format_major_version": Uint16(2), "binary_format_minor_version": Uint16(0), "build_epoch": Uint64(1795348800),
             "database_type": kind, "description": {"en": "for tests"}, "ip_version": Uint16(version), "languages": ["en"],
             "node_count": len(tree.nodes), "record_size": Uint16(record_size), **metadata}
    return tree.encode(record_size) + bytes(16) + data + MARKER + encode(about)


def nested(country, continent):
    return {"continent": {"code": continent, "names": {"en": "Somewhere"}}, "country": {"iso_code": country}}


ORIGINS = {"203.0.113.0/24": nested("DE", "EU"), "198.51.100.0/24": nested("FR", "EU"), "192.0.2.0/24": nested("US", "NA"),
           "2001:db8::/32": nested("DE", "EU"), "2001:db9::/32": nested("US", "NA")}
SYSTEMS = {"203.0.113.0/24": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"},
           "198.51.100.0/24": {"autonomous_system_number": 64501, "autonomous_system_organization": "Caf\u00e9 \"quoted\""},
           "2001:db8::/32": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"}}


def deep(levels):
    """Lists in lists, in front of what is looked for."""
    return Raw(control(MAP, 2) + encode("deep") + control(ARRAY, 1) * levels + encode("x") + encode("country_code") + encode("DE"))


def seeds():
    flat = {"203.0.113.0/24": {"country_code": "DE"}, "64.0.0.0/2": {"asn": 64500, "organization": "Example"}}
    yield from (("v4-%d" % size, database(flat, size, 4)) for size in (24, 28, 32))
    few = {"8000::/2": nested("DE", "EU"), "4000::/2": {"autonomous_system_number": 64500, "autonomous_system_organization": "Ex"}}
    yield from (("v6-%d" % size, database(few, size, 6)) for size in (24, 28, 32))
    yield "deep", database({"128.0.0.0/1": deep(60)}, version=4)
    yield "pointers", database({"128.0.0.0/1": Raw(encode({"country": {"iso_code": "DE"}})),
                                "64.0.0.0/2": Raw(control(MAP, 1) + encode(Pointer(1)) + encode(Pointer(9)))}, version=4)
    yield "loop", database({"128.0.0.0/1": Raw(control(MAP, 1) + encode("country") + encode(Pointer(0)))}, version=4)
    yield "long-strings", database({"128.0.0.0/1": {"country_code": "D" * 300, "organization": b"\xff\n" * 40}}, version=4)


def main(what, folder):
    folder = pathlib.Path(folder)
    files = dict(seeds()) if what == "corpus" else {"origins.mmdb": database(ORIGINS, kind="Country"),
                                                    "systems.mmdb": database(SYSTEMS, 28, kind="ASN")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, octets in files.items():
        (folder / name).write_bytes(octets)


if __name__ == "__main__":
    main(*sys.argv[1:])
