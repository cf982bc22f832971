"""A client on the raw wire: it sends exactly the bytes it is told to, cut where it is told to, and reads replies
strictly."""
import re
import socket
import ssl
import struct
import time

from .place import LIMIT

CUT = 0.004     # seconds between pieces: enough to arrive apart, as a rule. Nothing depends on it.
END = b"\r\n.\r\n"


class Reply:
    """One reply; `code` is a number, `lines` the texts without it."""

    def __init__(self, raw_lines):
        self.raw = raw_lines
        self.code = int(raw_lines[-1][:3])
        self.lines = [line[4:].decode("latin-1") for line in raw_lines]

    @property
    def text(self):
        return self.lines[-1]

    @property
    def enhanced(self):
        match = re.match(r"[245]\.\d{1,3}\.\d{1,3}", self.text)
        return match.group() if match else None

    def __repr__(self):
        return " / ".join("%d %s" % (self.code, line) for line in self.lines)


class Gone(Exception):
    """The other side has closed or reset the connection."""


def any_certificate(**settings):
    """A TLS context that does not ask who the other side is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def stuffed(message):
    """The message as it goes over the wire in DATA, with its end."""
    if message and not message.endswith(b"\r\n"):
        raise ValueError("a message ends with CRLF")
    return re.sub(rb"(?m)^\.", b"..", message) + b".\r\n"


class Client:
    def __init__(self, where, source=None, tls=None, name=None, greeted=True):
        """Connects. `tls` is a context to begin with at once; `greeted`: waits for the greeting."""
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(LIMIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.sock.bind((source, 0))
        self.buffer = b""
        self.greeting = None
        try:
            self.sock.connect(where)
            self.port = self.sock.getsockname()[1]
            if tls:
                self.secure(tls, name)
            if greeted:
                self.greeting = self.reply()
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # ---- bytes ----

    def send(self, *pieces):
        """Each piece in a segment (and TLS record) of its own."""
        for i, piece in enumerate(pieces):
            if i:
                time.sleep(CUT)
            try:
                self.sock.sendall(piece)
            except (ConnectionError, ssl.SSLError) as error:
                raise Gone(str(error)) from error

    def more(self):
        try:
            chunk = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError) as error:
            raise Gone(str(error)) from error
        if not chunk:
            raise Gone("closed; last words: %r" % self.buffer)
        self.buffer += chunk

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def reply(self):
        """Reads one reply, held to RFC 5321 4.2 and ORACLE F-7."""
        lines = []
        while True:
            line = self.line()
            if not re.fullmatch(rb"[2-5][0-9]{2}(?:[- ][\x20-\x7e]*)?", line) or len(line) > 510:
                raise AssertionError("not a reply line: %r" % line)
            if lines and line[:3] != lines[0][:3]:
                raise AssertionError("a reply with two codes: %r then %r" % (lines[0], line))
            lines.append(line)
            if line[3:4] != b"-":
                return Reply(lines)

    def replies(self, n):
        return [self.reply() for _ in range(n)]

    def rest(self):
        """All that still comes until the other side closes; what was read and not yet used is part of it."""
        try:
            while True:
                self.more()
        except Gone:
            rest, self.buffer = self.buffer, b""
            return rest

    # ---- ends ----

    def finish(self):
        """Half-close: nothing more from us, but we go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    # ---- commands ----

    def ask(self, line):
        self.send((line.encode("utf-8") if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def ehlo(self, name="client.example"):
        return self.ask("EHLO " + name)

    def mail(self, sender="a@sender.example", parameters=""):
        return self.ask("MAIL FROM:<%s>%s" % (sender, parameters))

    def rcpt(self, recipient="v@local.example", parameters=""):
        return self.ask("RCPT TO:<%s>%s" % (recipient, parameters))

    def data(self, message):
        """DATA with the whole message; the reply is that to its end, or to DATA when that is no 354."""
        reply = self.ask("DATA")
        if reply.code == 354:
            self.send(stuffed(message))
            reply = self.reply()
        return reply

    def quit(self):
        return self.ask("QUIT")

    def secure(self, context=None, name=None):
        context = context or any_certificate()
        self.sock = context.wrap_socket(self.sock, server_hostname=name, suppress_ragged_eofs=False)
        return self

    def starttls(self, context=None, name=None):
        reply = self.ask("STARTTLS")
        if reply.code != 220:
            raise AssertionError("STARTTLS: %r" % reply)
        return self.secure(context, name)

    # ---- whole ways ----

    def envelope(self, sender="a@sender.example", recipients=("v@local.example",), parameters=""):
        """MAIL and RCPT, all of which must be accepted."""
        for reply in [self.mail(sender, parameters)] + [self.rcpt(recipient) for recipient in recipients]:
            if reply.code != 250:
                raise AssertionError("not accepted: %r" % reply)
        return self

    def deliver(self, message, sender="a@sender.example", recipients=("v@local.example",), parameters=""):
        """A whole transaction; returns the last reply."""
        return self.envelope(sender, recipients, parameters).data(message)


def deliver(where, message, **envelope):
    """A whole session for one message; returns the reply to it."""
    with Client(where) as client:
        client.ehlo()
        reply = client.deliver(message, **envelope)
        client.quit()
        return reply
