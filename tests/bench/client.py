"""A plain client in Python, for what smtp-source cannot do: TLS, and sessions that stay open."""
import socket
import ssl

from rig import POSTERN

MESSAGE = b"Subject: bench\r\n\r\n" + (b"x" * 78 + b"\r\n") * 51 + b".\r\n"     # 4 KB
WAIT_S = 30

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE


class Client:
    """A session with Postern that has said EHLO (twice, with STARTTLS)."""

    def __init__(self, tls=False):
        self.socket = socket.create_connection(POSTERN, timeout=WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.expect(b"220")
        self.say(b"EHLO bench.local.example", b"250")
        if tls:
            self.say(b"STARTTLS", b"220")
            self.socket = _context.wrap_socket(self.socket)
            self.say(b"EHLO bench.local.example", b"250")

    def expect(self, code):
        reply = b""
        while not reply.endswith(b"\r\n") or reply.splitlines()[-1][3:4] == b"-":
            more = self.socket.recv(4096)
            if not more:
                raise SystemExit("the session ended after %r" % reply)
            reply += more
        if not reply.startswith(code):
            raise SystemExit("%r came instead of %r" % (reply, code))

    def say(self, line, code):
        self.socket.sendall(line + b"\r\n")
        self.expect(code)

    def send(self):
        """One message, without pipelining."""
        self.say(b"MAIL FROM:<a@bench.local.example>", b"250")
        self.say(b"RCPT TO:<b@local.example>", b"250")
        self.say(b"DATA", b"354")
        self.socket.sendall(MESSAGE)
        self.expect(b"250")

    def quit(self):
        self.say(b"QUIT", b"221")
        self.socket.close()

    def close(self):
        self.socket.close()
