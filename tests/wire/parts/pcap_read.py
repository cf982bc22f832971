"""Reads captures: packets of a pcap file, and the octets of the TCP connections in them. Strict where it matters: what is not
in the capture is a gap, and a gap is never bridged."""
import ipaddress
import struct

MAGIC = {0xa1b2c3d4: 1e-6, 0xa1b23c4d: 1e-9}
ETHERNET, RAW, LINUX_SLL, LINUX_SLL2 = 1, 101, 113, 276
LINK_HEADER = {ETHERNET: (14, 12), LINUX_SLL: (16, 14), LINUX_SLL2: (20, 0)}    # length, where the EtherType is
IP4, IP6, TCP = 0x0800, 0x86dd, 6
FIN, SYN, RST = 1, 2, 4
HALF = 1 << 31


def packets(path):
    """(time, EtherType, IP packet) of each whole packet."""
    with open(path, "rb") as file:
        head = file.read(24)
        order = next(o for o in "<>" if struct.unpack(o + "I", head[:4])[0] in MAGIC)
        unit = MAGIC[struct.unpack(order + "I", head[:4])[0]]
        link = struct.unpack(order + "I", head[20:24])[0] & 0xffff
        while True:
            head = file.read(16)
            if len(head) < 16:
                return
            seconds, part, n, length = struct.unpack(order + "4I", head)
            octets = file.read(n)
            if len(octets) < n:
                return
            if n < length:
                raise ValueError("a packet was cut when it was captured")
            if link == RAW:
                yield seconds + part * unit, IP6 if octets[0] >> 4 == 6 else IP4, octets
            else:
                size, at = LINK_HEADER[link]
                yield seconds + part * unit, struct.unpack("!H", octets[at:at + 2])[0], octets[size:]


class Segment:
    def __init__(self, source, target, segment):
        source_port, target_port, self.seq, _, offset, self.flags = struct.unpack("!HHIIBB", segment[:14])
        self.source, self.target = (source, source_port), (target, target_port)
        self.data = segment[(offset >> 4) * 4:]


def segment_of(kind, packet):
    """The TCP segment of an IP packet, or None. (Extension headers and fragments do not occur in the laboratory.)"""
    if kind == IP4 and packet[9] == TCP:
        size, length = (packet[0] & 15) * 4, struct.unpack("!H", packet[2:4])[0]
        addresses = packet[12:16], packet[16:20]
    elif kind == IP6 and packet[6] == TCP:
        size, length = 40, 40 + struct.unpack("!H", packet[4:6])[0]
        addresses = packet[8:24], packet[24:40]
    else:
        return None
    source, target = (str(ipaddress.ip_address(address)) for address in addresses)
    return Segment(source, target, packet[size:length])


class Stream:
    """One direction. Segments may come twice and out of order; `octets` are those without a gap from the start."""

    def __init__(self, first):
        self.first = first              # sequence number of the first octet
        self.octets = bytearray()
        self.later = {}                 # offset -> data behind a gap
        self.has_fin = self.has_reset = False

    def take(self, segment):
        at = (segment.seq - self.first) % (1 << 32)
        self.has_reset |= bool(segment.flags & RST)
        if segment.data and at < HALF:
            self.later[at] = max(self.later.get(at, b""), segment.data, key=len)
        elif segment.data:              # begins before what we have
            self.later[0] = max(self.later.get(0, b""), segment.data[(1 << 32) - at:], key=len)
        while True:
            fits = [at for at in self.later if at <= len(self.octets)]
            if not fits:
                break
            for at in fits:
                data = self.later.pop(at)
                self.octets += data[len(self.octets) - at:]
        self.has_fin |= bool(segment.flags & FIN)

    @property
    def has_gap(self):
        return bool(self.later)


class Connection:
    """`client` is who sent the SYN."""

    def __init__(self, client, server, time, seq):
        self.client, self.server, self.began = client, server, time
        self.sent = Stream((seq + 1) % (1 << 32))
        self.received = None            # until the other side's SYN

    def take(self, segment):
        if segment.source == self.client:
            if not segment.flags & SYN:
                self.sent.take(segment)
        elif segment.flags & SYN:
            self.received = self.received or Stream((segment.seq + 1) % (1 << 32))
        elif self.received is not None:
            self.received.take(segment)
        elif segment.flags & RST:
            self.sent.has_reset = True


def connections(path):
    """All connections that began within the capture, in their order; a pair of ends that is used again is another one."""
    found, current = [], {}
    for time, kind, packet in packets(path):
        segment = segment_of(kind, packet) if kind in (IP4, IP6) else None
        if segment is None:
            continue
        ends = segment.source, segment.target
        known = current.get(ends) or current.get(ends[::-1])
        opens = segment.flags & (SYN | 16) == SYN
        if opens and (known is None or known.sent.first != (segment.seq + 1) % (1 << 32)):
            known = current[ends] = Connection(*ends, time, segment.seq)
            current.pop(ends[::-1], None)
            found.append(known)
        if known is not None:
            known.take(segment)
    return found
