"""Captures that can be made to lie: reads the wires of a run, lets octets, packets and lines be changed, and writes them with sequence
numbers that fit, so that a lie is not seen as a gap. tests/wire/mangle knows the lies."""
import re
import struct

from .pcap import ACK, FIN, PSH, RST, SYN

LINKS = {1: 14, 0: 4, 12: 0, 101: 0, 113: 16, 276: 20}      # where IP begins
MASK = 0xFFFFFFFF
CLIENT, SERVER = 0, 1


class Packet:
    """A frame; of TCP its fields, and `connection` with the side that sent it."""

    def __init__(self, time, octets, link):
        self.time, self.octets, self.connection, self.side = time, octets, None, None
        self.wire_length = None     # when the capture holds less
        at = LINKS[link]
        version = octets[at] >> 4
        self.ip = at
        self.tcp = at + (4 * (octets[at] & 15) if version == 4 else 40)
        self.is_tcp = octets[at + 9 if version == 4 else at + 6] == 6
        self.version = version
        if not self.is_tcp:
            return
        source, target, self.seq, self.ack, offset, self.flags = struct.unpack_from("!HHIIBB", octets, self.tcp)
        addresses = octets[at + 12:at + 20] if version == 4 else octets[at + 8:at + 40]
        half = len(addresses) // 2
        self.ends = (addresses[:half], source), (addresses[half:], target)
        end = at + (struct.unpack_from("!H", octets, at + 2)[0] if version == 4 else 40 + struct.unpack_from("!H", octets, at + 4)[0])
        self.payload = octets[self.tcp + 4 * (offset >> 4):end]
        self.head = octets[:self.tcp + 4 * (offset >> 4)]

    def frame(self):
        if not self.is_tcp:
            return self.octets
        head = bytearray(self.head)
        struct.pack_into("!II", head, self.tcp + 4, self.seq & MASK, self.ack & MASK)
        head[self.tcp + 13] = self.flags
        length = len(head) - self.ip + len(self.payload)
        if length > 65535:
            raise Impossible     # one that the card would have cut was full already
        if self.version == 4:
            struct.pack_into("!H", head, self.ip + 2, length)
        else:
            struct.pack_into("!H", head, self.ip + 4, length - 40)
        return bytes(head) + bytes(self.payload)

    def copy(self):
        other = object.__new__(Packet)
        other.__dict__.update(self.__dict__)
        return other


class Connection:
    """A TCP connection, side CLIENT opened it. Octets are told by their offset behind the SYN."""

    def __init__(self, wire, ends):
        self.wire, self.ends, self.packets = wire, ends, []
        self.base = [None, None]

    def offset(self, side, number):
        return ((number - self.base[side] + 0x80000000) & MASK) - 0x80000000

    def octets(self, side):
        """What that side said (retransmissions say the same in good captures)."""
        out = bytearray()
        for packet in sorted((p for p in self.packets if p.side == side and p.payload), key=lambda p: self.offset(side, p.seq)):
            at = self.offset(side, packet.seq)
            if at <= len(out):
                out[at:at + len(packet.payload)] = packet.payload
        return bytes(out)

    def replace(self, side, start, end, new):
        """Octets [start, end) of that side become `new`, in the packet that holds the first of them; what follows moves."""
        old = self.octets(side)
        stream, grown = old[:start] + new + old[end:], len(new) - (end - start)

        def moved(at):
            return at if at <= start else at + grown if at >= end else start + min(at - start, len(new))
        for packet in self.packets:
            if packet.side != side:
                if packet.flags & ACK and not packet.flags & SYN:
                    packet.ack = self.base[side] + moved(self.offset(side, packet.ack))
            elif not packet.flags & SYN:
                at = self.offset(side, packet.seq)
                is_behind = at == start == len(old)     # a FIN or an ACK behind what is said now
                packet.payload = stream[moved(at):moved(at + len(packet.payload))]
                packet.seq = self.base[side] + (at + grown if is_behind and packet.flags & (FIN | RST) else moved(at))

    def add(self, side, octets, time, at=None):
        """A packet of that side more, at this time; it comes in front of what the side says later."""
        before = [p for p in self.packets if p.side == side and p.time < time]
        model = next((p for p in before if not p.flags & SYN), before[0] if before else None)
        if model is None:
            raise Impossible
        if at is None:
            at = max([0] + [self.offset(side, p.seq) + len(p.payload) for p in before if not p.flags & SYN])
        packet = model.copy()
        for other in self.packets:
            if other.side == side and not other.flags & SYN:
                place = self.offset(side, other.seq)
                if place > at or (place == at and other.time >= time):
                    other.seq += len(octets)
            elif other.side != side and other.flags & ACK and not other.flags & SYN:
                place = self.offset(side, other.ack)
                if place > at or (place == at and other.time >= time):
                    other.ack += len(octets)
        earlier = [p for p in self.packets if p.side != side and p.time < time]
        packet.time, packet.payload, packet.flags = time, octets, PSH | ACK
        packet.seq = self.base[side] + at
        packet.ack = max((self.base[1 - side] + self.offset(1 - side, p.seq) + len(p.payload) for p in earlier if not p.flags & SYN),
                         default=self.base[1 - side])
        self.packets.append(packet)
        self.wire.packets.append(packet)
        return packet

    def remove(self, packets):
        gone = {id(packet) for packet in packets}
        self.packets = [p for p in self.packets if id(p) not in gone]
        self.wire.packets = [p for p in self.wire.packets if id(p) not in gone]

    def cut(self, time, side, flags):
        """Nothing is said after this time but `side`'s FIN or RST."""
        left = [p for p in self.packets if p.time < time]
        speaker = [p for p in left if p.side == side]
        if not speaker or any(p.flags & (FIN | RST) for p in left):
            raise Impossible
        self.remove([p for p in self.packets if p.time >= time])
        packet = self.add(side, b"", time)
        packet.flags = flags

    def holder(self, side, at):
        """The packet that brought the octet."""
        for packet in self.packets:
            start = self.offset(side, packet.seq)
            if packet.side == side and not packet.flags & SYN and start <= at < start + len(packet.payload):
                return packet
        raise Impossible


class Impossible(Exception):
    """There is no place for this lie."""


class Wire:
    """A capture file, of the kinds that tcpdump and weave.py write."""

    def __init__(self, path):
        data = path.read_bytes()
        self.order = "<" if data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xd4\xc3\xb2\xa1") else ">"
        self.unit = 1 if struct.unpack(self.order + "I", data[:4])[0] == 0xA1B23C4D else 1000
        self.head, self.packets = data[:24], []
        self.link = struct.unpack_from(self.order + "I", data, 20)[0] & 0x0FFFFFFF
        at = 24
        while at + 16 <= len(data):
            seconds, rest, length, _ = struct.unpack_from(self.order + "IIII", data, at)
            self.packets.append(Packet(seconds * 10**9 + rest * self.unit, data[at + 16:at + 16 + length], self.link))
            at += 16 + length
        self.connections = self._connect()

    def _connect(self):
        found, current = [], {}
        for packet in self.packets:
            if not packet.is_tcp:
                continue
            if packet.flags & (SYN | ACK) == SYN:
                connection = Connection(self, packet.ends)
                connection.base[CLIENT] = packet.seq + 1
                found.append(connection)
                current[packet.ends] = current[packet.ends[::-1]] = connection
            connection = current.get(packet.ends)
            if connection is None:
                continue
            packet.connection, packet.side = connection, CLIENT if packet.ends == connection.ends else SERVER
            if packet.flags & SYN and packet.side == SERVER:
                connection.base[SERVER] = packet.seq + 1
            connection.packets.append(packet)
        return [c for c in found if c.base[SERVER] is not None]

    def save(self, path, is_sorted=True):
        packets = sorted(self.packets, key=lambda p: p.time) if is_sorted else self.packets
        with open(path, "wb") as file:
            file.write(self.head)
            for packet in packets:
                frame = packet.frame()
                seconds, rest = divmod(packet.time, 10**9)
                whole = packet.wire_length or len(frame)
                file.write(struct.pack(self.order + "IIII", seconds, rest // self.unit, min(whole, len(frame)), whole))
                file.write(frame)


class Words:
    """A span of one side's octets: a command, a reply, a message (from behind 354 to its end, `body` up to the CRLF of the last line)."""

    def __init__(self, connection, side, start, end, code=0, verb=""):
        self.connection, self.side, self.start, self.end, self.code, self.verb = connection, side, start, end, code, verb
        self.reply, self.body = None, end

    @property
    def octets(self):
        return self.connection.octets(self.side)[self.start:self.end]

    @property
    def packet(self):
        return self.connection.holder(self.side, self.end - 1)

    def say(self, new):
        self.connection.replace(self.side, self.start, self.end, new)


class Talk:
    """What was said in clear on a connection: .commands, .replies, .messages."""

    def __init__(self, connection):
        self.commands, self.messages = [], []
        said, answered = connection.octets(CLIENT), connection.octets(SERVER)
        self.replies = [Words(connection, SERVER, m.start(), m.end(), code=int(m[1]))
                        for m in re.finditer(rb"(?:\d{3}-[^\n]*\n)*(\d{3})(?: [^\n]*)?\r\n", answered)]
        if not self.replies or self.replies[0].start != 0 or said[:4] == b"\r\n\r\n":
            self.replies = []
            return
        at, waiting = 0, self.replies[1:]
        if said[:6] == b"PROXY ":
            at = said.index(b"\r\n") + 2
        while at < len(said) and waiting:
            end = said.find(b"\r\n", at)
            if end < 0:
                return
            command = Words(connection, CLIENT, at, end + 2, verb=said[at:end].split(b" ")[0].decode("latin-1").upper())
            command.reply = waiting.pop(0)
            self.commands.append(command)
            at = end + 2
            if command.verb in ("STARTTLS", "BDAT", "AUTH") and command.reply.code < 400:
                return
            if command.verb == "DATA" and command.reply.code == 354:
                end = at if said[at:at + 3] == b".\r\n" else said.find(b"\r\n.\r\n", at)
                if end < 0 or not waiting:
                    return
                message = Words(connection, CLIENT, at, end + (3 if end == at else 5), verb="message")
                message.body, message.reply = end + (0 if end == at else 2), waiting.pop(0)
                self.messages.append(message)
                at = message.end


class Run:
    """Both wires, the DNS and the log of one gateway."""

    def __init__(self, folder):
        self.folder = folder
        self.wires = {name: Wire(folder / (name + ".pcap")) for name in ("north", "south", "east")
                      if (folder / (name + ".pcap")).exists()}
        self.lines = (folder / "log").read_bytes().splitlines(keepends=True) if (folder / "log").exists() else []
        self.is_sorted = True
        self._talks = {}

    def talks(self, name):
        if name not in self._talks:
            self._talks[name] = [Talk(c) for c in self.wires[name].connections]
        return self._talks[name]

    def all_of(self, name, what):
        """Of a wire the commands, replies or messages of all connections."""
        return [word for talk in self.talks(name) for word in getattr(talk, what)]

    def save(self, folder):
        for name, wire in self.wires.items():
            wire.save(folder / (name + ".pcap"), self.is_sorted)
        (folder / "log").write_bytes(b"".join(self.lines))
