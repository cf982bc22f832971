"""Makes captures of conversations that never took place: two wires, the DNS and the log, written as a script of what was said.

The marks are those of tests/scenario: `>` the client says, `<` the gateway answers, `[` the gateway says to the back end, `]` the back end
answers. tests/wire/mutants.txt tells what gateways do wrong in this way; see its head for all the steps."""
import ssl

from .pcap import ACK, FIN, PSH, RST, SEGMENT, SYN, Capture, tcp, udp

MS = 10**6
START = 1_790_000_000 * 10**9


class Clock:
    """One clock for all wires: each packet takes 100 us."""

    def __init__(self):
        self.now = START

    def tick(self, ns=MS // 10):
        self.now += ns
        return self.now


class Leg:
    """A TCP connection on a wire. Side 0 opened it, side 1 was called."""

    def __init__(self, clock, capture, ends):
        self.clock, self.capture, self.ends = clock, capture, ends
        self.seq = [clock.now // MS & 0xFFFFFFFF, clock.now // MS + 900000 & 0xFFFFFFFF]     # they differ where a port is used again
        self.tls = None

    def packet(self, side, flags, payload=b""):
        frame = tcp(self.ends[side], self.ends[1 - side], self.seq[side], self.seq[1 - side] if flags & ACK else 0, flags, payload)
        self.capture.add(self.clock.tick(), frame)
        self.seq[side] += len(payload) + (1 if flags & (SYN | FIN) else 0)

    def open(self):
        self.packet(0, SYN)
        self.packet(1, SYN | ACK)
        self.packet(0, ACK)
        return self

    def refuse(self):
        self.packet(0, SYN)
        self.packet(1, RST | ACK)

    def say(self, side, octets, segment=SEGMENT):
        """What this side says, in clear or, when TLS stands, in records."""
        self.say_raw(side, self.tls.protect(side, octets) if self.tls else octets, segment)

    def say_raw(self, side, octets, segment=SEGMENT):
        for at in range(0, len(octets), segment):
            self.packet(side, PSH | ACK, octets[at:at + segment])
        self.packet(1 - side, ACK)

    def lose(self, side, octets):
        """Octets that were sent and acknowledged, and that the capture missed."""
        self.seq[side] += len(octets)
        self.packet(1 - side, ACK)

    def close(self, side):
        self.packet(side, FIN | ACK)
        self.packet(1 - side, ACK)

    def reset(self, side):
        self.packet(side, RST | ACK)


class Tls:
    """TLS on a leg: both ends are real ones (OpenSSL), in memory. `edit` may change what each side sends in the handshake:
    (side, octets) -> octets on the wire; the peer hears what was meant."""

    def __init__(self, leg, certificate, version, keylog, suite=None, tickets=0, edit=None):
        client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.keylog_filename = str(keylog)
        server.load_cert_chain(*certificate)
        server.num_tickets = tickets
        if not tickets:
            server.options |= ssl.OP_NO_TICKET
        for context in client, server:
            context.minimum_version = context.maximum_version = version
            if suite:
                context.set_ciphers(suite)
        self.pipes = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)]      # (arriving, leaving) of each side
        self.ends = [client.wrap_bio(*self.pipes[0], server_hostname="mx.local.example"),
                     server.wrap_bio(*self.pipes[1], server_side=True)]
        self._handshake(leg, edit)

    def _handshake(self, leg, edit):
        done = [False, False]
        for _ in range(20):
            for side in (0, 1):
                if not done[side]:
                    try:
                        self.ends[side].do_handshake()
                        done[side] = True
                    except ssl.SSLWantReadError:
                        pass
                octets = self._flush(side)
                if octets:
                    leg.say_raw(side, edit(side, octets) if edit else octets)
            if all(done):
                return
        raise RuntimeError("no handshake")

    def _flush(self, side):
        octets = self.pipes[side][1].read()
        self.pipes[1 - side][0].write(octets)
        return octets

    def protect(self, side, octets):
        """The records that carry `octets`; their peer reads them, so that both keep step."""
        if octets:
            self.ends[side].write(octets)
        records = self._flush(side)
        left = len(octets)
        while left:
            left -= len(self.ends[1 - side].read(left))
        return records

    def close_notify(self, side):
        try:
            self.ends[side].unwrap()
        except (ssl.SSLWantReadError, ssl.SSLError):
            pass
        return self._flush(side)


class Weave:
    """Both wires, the DNS and the log of one run."""

    GATEWAY = {4: ("10.77.1.2", "10.77.2.1", "10.77.3.1"), 6: ("2001:db8:1::2", "2001:db8:2::1", "2001:db8:3::1")}

    def __init__(self):
        self.clock = Clock()
        self.wires = {"north": Capture(), "south": Capture(), "east": Capture()}
        self.lines = []
        self.ports = {"north": 40000, "south": 50000, "east": 30000}

    def north(self, client="198.51.100.7", port=25):
        self.ports["north"] += 1
        return Leg(self.clock, self.wires["north"], ((client, self.ports["north"]), ("10.77.1.2", port)))

    def south(self, server="10.77.2.2", port=25):
        self.ports["south"] += 1
        return Leg(self.clock, self.wires["south"], (("10.77.2.1", self.ports["south"]), (server, port)))

    def ask(self, message, resolver="10.77.3.2", port=None):
        """A DNS message to the resolver; returns the port that it came from."""
        if port is None:
            self.ports["east"] += 1
            port = self.ports["east"]
        self.wires["east"].add(self.clock.tick(), udp(("10.77.3.1", port), (resolver, 53), message))
        return port

    def tell(self, message, port, resolver="10.77.3.2"):
        self.wires["east"].add(self.clock.tick(), udp((resolver, 53), ("10.77.3.1", port), message))

    def save(self, folder):
        for name, capture in self.wires.items():
            capture.save(folder / (name + ".pcap"))
        (folder / "log").write_bytes(b"".join(line + b"\n" for line in self.lines))
