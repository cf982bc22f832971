"""Writes capture files (pcap, nanoseconds, Ethernet) packet by packet, with right checksums, so that other tools read them too."""
import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MOST = 8 << 30      # octets of all pieces of a capture: a full disk helps nobody
SEGMENT = 1448      # what TCP on Ethernet carries with timestamps


def checksum(octets):
    """RFC 1071."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(source, target, protocol, payload):
    """An IP packet around `payload`, whose checksum at the protocol's place is filled in."""
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    at = 16 if protocol == 6 else 6
    pseudo = source.packed + target.packed + struct.pack("!HBB", len(payload), 0, protocol)
    if source.version == 6:
        pseudo = source.packed + target.packed + struct.pack("!IHBB", len(payload), 0, 0, protocol)
    payload = payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2:]
    if source.version == 6:
        return 0x86DD, struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source.packed + target.packed + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, source.packed, target.packed)
    return 0x0800, header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def tcp(source, target, seq, ack, flags, payload=b"", window=64240):
    """An Ethernet frame with a TCP segment; `source` and `target` are (address, port)."""
    header = struct.pack("!HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, window, 0, 0)
    return _frame(_ip(source[0], target[0], 6, header + payload))


def udp(source, target, payload):
    """An Ethernet frame with a UDP datagram."""
    header = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0)
    return _frame(_ip(source[0], target[0], 17, header + payload))


def _frame(typed):
    ethertype, packet = typed
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + struct.pack("!H", ethertype) + packet


class Capture:
    """The frames of one wire, in memory until save()."""

    def __init__(self):
        self.frames = []    # (time in ns, octets)

    def add(self, time, octets):
        self.frames.append((time, octets))

    def save(self, path):
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
            for time, octets in sorted(self.frames, key=lambda frame: frame[0]):
                file.write(struct.pack("<IIII", time // 10**9, time % 10**9, len(octets), len(octets)) + octets)


def _ends(link, octets):
    """Both ends of an IP packet in a frame of this link type, as (address in octets, port); none when it has no ports."""
    at = {1: 14, 0: 4, 12: 0, 101: 0, 113: 16, 276: 20}[link]
    version = octets[at] >> 4 if len(octets) > at else 0
    if version == 4:
        protocol, addresses, at = octets[at + 9], octets[at + 12:at + 20], at + 4 * (octets[at] & 15)
    elif version == 6:
        protocol, addresses, at = octets[at + 6], octets[at + 8:at + 40], at + 40
    if version not in (4, 6) or protocol not in (6, 17) or len(octets) < at + 4:
        return ()
    source, target = struct.unpack_from("!HH", octets, at)
    half = len(addresses) // 2
    return (addresses[:half], source), (addresses[half:], target)


def split(paths, pieces):
    """Copies each packet of the captures into the files that want one of its ends: pieces = {(address, port): [file, ...]}, the address
    as octets. The captures must be of one kind. Every file is made. Ends with an error when the pieces grow beyond MOST."""
    out = {piece: open(piece, "wb", buffering=8192) for piece in {piece for files in pieces.values() for piece in files}}
    head = None
    try:
        for path in paths:
            with open(path, "rb") as file:
                begin = file.read(24)
                if head is None:
                    head = begin
                    for piece in out.values():
                        piece.write(head)
                elif begin != head:
                    raise ValueError("%s is another kind of capture than %s" % (path, paths[0]))
                _deal(file, head, pieces, out)
    finally:
        for piece in out.values():
            piece.close()


def _deal(file, head, pieces, out):
    room = MOST
    order = "<" if head[:4] in (b"\x4d\x3c\xb2\xa1", b"\xd4\xc3\xb2\xa1") else ">"
    link = struct.unpack_from(order + "I", head, 20)[0] & 0x0FFFFFFF
    while True:
        record = file.read(16)
        if len(record) < 16:
            return
        octets = file.read(struct.unpack_from(order + "I", record, 8)[0])
        for piece in {piece for end in _ends(link, octets) for piece in pieces.get(end, ())}:
            out[piece].write(record + octets)
            room -= len(record) + len(octets)
        if room < 0:
            raise ValueError("the pieces of the captures would take more than %d octets" % MOST)
