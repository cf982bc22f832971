"""Clients that send messages with tokens and, as a real mail server does, send each again until it was answered 250.

Everything a client did is kept as an Attempt: when, how far it came, and how it ended. The accounts (account.py) are made of these."""
import errno
import socket
import ssl
import struct
import time
import zlib

PATIENCE = 20       # seconds a client waits for any answer: long beside all that a campaign makes it wait for
SIZES = (10, 10, 300, 3000, 3000, 20000, 90000, 200000)     # of the body; [limits] hold is between the last ones
LINE = b"." + b"x" * 76 + b"\r\n"
FILLING = LINE * (max(SIZES) // len(LINE) + 1)

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE


class Attempt:
    """One try at one token. `end`: the code of the last answer, "lost" (connection closed, reset or refused), "left" (the client
    itself went away) or "silent" (no answer in time). `state`: in which phase that was. `ended`: when the first octet behind the
    message was handed to the kernel, None when it never came to that."""
    __slots__ = ("token", "number", "rig", "began", "ended", "over", "end", "state", "sum", "size", "text", "where",
                 "label")

    def __init__(self, token, number, rig):
        self.token, self.number, self.rig = token, number, rig
        self.began, self.ended, self.over, self.end, self.text = time.monotonic(), None, None, None, b""
        self.sum = self.size = 0
        self.where = None
        self.label = ""     # what a campaign did to it

    def __repr__(self):
        return "%s.%d of rig %d from %s: %s in %s, %s %s" % (self.token, self.number, self.rig, self.where, self.end, self.state,
                                                            self.text.decode("latin-1")[:250], self.label)


class Lost(Exception):
    """The connection is gone."""


class Silent(Exception):
    """No answer came."""


class Refused(Exception):
    """An answer that ends the attempt."""

    def __init__(self, line):
        super().__init__(line)
        self.code, self.line = int(line[:3]), line


def stuffed(message):
    return message.replace(b"\r\n.", b"\r\n..") + b".\r\n"


class Sender:
    """A client of a rig. The rig says whether there is more to do (`is_over`), and hears of every attempt (`tell`)."""

    def __init__(self, loop, rig, number, rng, leave=0.0, tls=False):
        """`leave`: how often it goes away behind its end of data (X1). `tls`: it uses STARTTLS."""
        self.loop, self.rig, self.number, self.rng, self.leave, self.tls = loop, rig, number, rng, leave, tls
        self.messages = 1, 1, 2, 3      # in a session, drawn from these
        self.grouped, self.pieces = 0.5, 0.3    # how often the envelope is pipelined, and a message sent in two pieces
        self.patience = PATIENCE
        self.gives_up = None    # or (seconds, function): after so long it asks whether anything can come at all
        self.sock = None
        self.buffer = b""
        self.bio = None
        self.state = "idle"
        self.token, self.tries = None, 0
        self.attempt = None

    # ---- life ----

    def run(self):
        """A task: sends until the rig says that it is over; the last token is seen through."""
        while self.token or not self.rig.is_over:
            if self.rig.is_paused:
                yield self.loop.sleep(0.05)
                continue
            yield from self.session()
            self.state = "idle"
            if self.token and self.rig.is_given_up():
                return
            if self.attempt_failed:
                yield self.loop.sleep(self.rng.uniform(0.001, 0.004) if self.attempt_failed != 421 else 0.02)

    def session(self):
        """One connection with a few messages."""
        self.attempt_failed = None
        self.begin()
        try:
            yield from self.open()
            for _ in range(self.rng.choice(self.messages)):
                if self.attempt is None:
                    if self.rig.is_over:
                        break
                    self.begin()
                yield from self.transaction()
            self.state = "quit"
            yield from self.ask(b"QUIT\r\n", 221)
        except Lost:
            self.finish("lost")
        except Silent:
            self.finish("silent", self.rig.on_silence(self))
        except Refused as refusal:
            self.finish(refusal.code, refusal.line)
        finally:
            self.drop()

    def begin(self):
        if self.token is None:
            self.token, self.tries = "%032x" % self.rng.getrandbits(128), 0
        self.tries += 1
        self.attempt = Attempt(self.token, self.tries, self.rig.number)
        self.attempt.label = self.rig.label
        if self.sock is not None:
            self.attempt.where = self.where

    def finish(self, end, text=b""):
        """Also called in QUIT, where there is no attempt any more."""
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return
        attempt.end, attempt.text, attempt.state, attempt.over = end, text, self.state, time.monotonic()
        if end == 250:
            self.token = None
        else:
            self.attempt_failed = end
        self.rig.tell(attempt)

    # ---- octets ----

    def news(self):
        """Waits until something happens to the socket; False when nothing does."""
        if self.gives_up is None:
            return (yield self.loop.wait(self.sock, self.patience))
        step, is_hopeless = self.gives_up
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if (yield self.loop.wait(self.sock, step)):
                return True
            if is_hopeless():
                return False
        return False

    def open(self):
        self.state = "connect"
        self.buffer, self.bio = b"", None
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.rig.source:
            self.sock.bind((self.rig.source, 0))
        self.loop.watch(self.sock)
        code = self.sock.connect_ex(self.rig.front)
        if code not in (0, errno.EINPROGRESS):
            raise Lost()
        while code == errno.EINPROGRESS:
            if not (yield from self.news()):
                raise Silent()
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise Lost()
            try:
                self.sock.getpeername()
            except OSError:
                code = errno.EINPROGRESS
        self.where = self.attempt.where = "%s:%d" % self.sock.getsockname()
        self.state = "greeting"
        yield from self.reply(220)
        self.state = "ehlo"
        yield from self.ask(b"EHLO %s.example\r\n" % self.token.encode(), 250)
        if self.tls:
            yield from self.starttls()

    def drop(self, reset=False):
        if self.sock is None:
            return
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.loop.forget(self.sock)
        self.sock.close()
        self.sock = None

    def write_raw(self, octets):
        view = memoryview(octets)
        while view:
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                if not (yield from self.news()):
                    raise Silent() from None
            except OSError:
                raise Lost() from None

    def read_raw(self):
        while True:
            try:
                chunk = self.sock.recv(65536)
            except BlockingIOError:
                if not (yield from self.news()):
                    raise Silent() from None
                continue
            except OSError:
                raise Lost() from None
            if not chunk:
                raise Lost()
            return chunk

    def starttls(self):
        self.state = "starttls"
        yield from self.ask(b"STARTTLS\r\n", 220)
        self.state = "handshake"
        self.buffer = b""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = _context.wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield from self.write_raw(outgoing.read())
                incoming.write((yield from self.read_raw()))
            except ssl.SSLError:
                raise Lost() from None
        yield from self.write_raw(outgoing.read())
        self.bio = tls, incoming, outgoing
        self.state = "ehlo"
        yield from self.ask(b"EHLO %s.example\r\n" % self.token.encode(), 250)

    def write(self, octets):
        if self.bio:
            self.bio[0].write(octets)
            octets = self.bio[2].read()
        yield from self.write_raw(octets)

    def read(self):
        if not self.bio:
            return (yield from self.read_raw())
        while True:
            try:
                chunk = self.bio[0].read(65536)
            except ssl.SSLWantReadError:
                self.bio[1].write((yield from self.read_raw()))
                continue
            except ssl.SSLError:
                raise Lost() from None
            if not chunk:
                raise Lost()
            return chunk

    # ---- SMTP ----

    def reply(self, wanted):
        """The last line of the next reply; any other code than the one wanted ends the attempt."""
        while True:
            while b"\r\n" not in self.buffer:
                self.buffer += yield from self.read()
            line, self.buffer = self.buffer.split(b"\r\n", 1)
            if line[3:4] != b"-":
                break
        if not line[:3].isdigit():
            line = b"999 " + line
        if int(line[:3]) != wanted:
            raise Refused(line)
        return line

    def ask(self, line, wanted):
        yield from self.write(line)
        return (yield from self.reply(wanted))

    def message(self):
        """The message; its first line names the token and the attempt, and the body repeats them."""
        name = b"%s.%d" % (self.token.encode(), self.attempt.number)
        size = self.rng.choice(self.rig.sizes)
        body = FILLING[:size // len(LINE) * len(LINE)]
        message = (b"Message-ID: <%s@client.example>\r\nFrom: <%s@sender.example>\r\nSubject: fault campaign\r\n\r\n%s\r\n"
                   % (name, self.token.encode(), name)) + body
        self.attempt.sum, self.attempt.size = zlib.crc32(message), len(message)
        return message

    def envelope(self):
        mail = b"MAIL FROM:<%s@sender.example>\r\n" % self.token.encode()
        rcpt = b"RCPT TO:<v@local.example>\r\n"
        self.state = "mail"
        if self.rng.random() < self.grouped:
            yield from self.write(mail + rcpt + b"DATA\r\n")
            yield from self.reply(250)
            self.state = "rcpt"
            yield from self.reply(250)
            self.state = "data"
            yield from self.reply(354)
            return
        yield from self.ask(mail, 250)
        self.state = "rcpt"
        yield from self.ask(rcpt, 250)
        self.state = "data"
        yield from self.ask(b"DATA\r\n", 354)

    def transaction(self):
        yield from self.envelope()
        self.state = "body"
        wire = stuffed(self.message())
        cut = self.rng.randrange(len(wire) - 3) if self.rng.random() < self.pieces else len(wire) - 3
        yield from self.write(wire[:cut])
        if cut < len(wire) - 3:
            yield self.loop.sleep(self.rng.uniform(0, 0.003))
        self.attempt.ended = time.monotonic()
        yield from self.write(wire[cut:])
        self.state = "end"
        if self.rng.random() < self.leave:
            yield self.loop.sleep(self.rng.uniform(0, 0.004))
            self.finish("left")
            self.drop(reset=self.rng.random() < 0.5)
            raise Lost()
        line = yield from self.reply(250)
        self.finish(250, line)
