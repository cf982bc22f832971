"""A back end that does as it is told, and remembers all that reached it.

    backend = Backend(answers={"RCPT": "450 4.2.0 later"})

`answers` maps a verb, or "CONNECT" (the greeting) or "." (the end of a message), to what is answered: a reply, a function
(connection, line) -> reply, or a list of those that is used up from the front, its last one staying. A reply is text without
its CRLF, bytes to send as they are, None for silence, or CLOSE."""
import base64
import re
import socket
import struct
import threading

from .place import LIMIT, fresh_endpoint, until

CLOSE = object()
KEYWORDS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
STANDARD = {"CONNECT": "220 back.local.example ESMTP", "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok",
            "DATA": "354 go on", ".": "250 2.0.0 taken", "RSET": "250 2.0.0 ok", "NOOP": "250 2.0.0 ok",
            "QUIT": "221 2.0.0 bye", "HELO": "250 back.local.example", "XCLIENT": "220 back.local.example ESMTP"}


def is_yes(reply):
    return isinstance(reply, str) and reply.startswith("2")


class Message:
    """A message that was taken: its body as received less dot-stuffing, and the session it came in."""

    def __init__(self, connection, body, raw):
        self.mail = connection.mail
        self.rcpt = list(connection.rcpt)
        self.body = body
        self.raw = raw
        self.connection = connection


class Connection(threading.Thread):
    def __init__(self, backend, sock, peer):
        super().__init__(daemon=True)
        self.backend = backend
        self.sock = sock
        self.peer = peer
        self.buffer = b""
        self.commands = []      # lines as they came, without CRLF
        self.mail, self.rcpt, self.bdat = None, [], b""
        self.hello = None
        self.is_tls = False
        self.user = None
        self.proxied = None     # (client address, client port) of a PROXY header
        self.xclient = {}
        self.discarded = b""    # of a message whose end never came
        self.is_over = False

    # ---- bytes ----

    def more(self):
        chunk = self.sock.recv(65536)
        if not chunk:
            raise ConnectionError("closed")
        self.buffer += chunk

    def take(self, n):
        while len(self.buffer) < n:
            self.more()
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def say(self, reply):
        if reply is CLOSE:
            raise ConnectionError("told to close")
        if reply is not None:
            self.write(reply if isinstance(reply, bytes) else reply.encode() + b"\r\n")

    def write(self, octets):
        left = self.backend.cut_after
        if left is None:
            self.sock.sendall(octets)
            return
        self.sock.sendall(octets[:left])
        self.backend.cut_after = left - len(octets)
        if left < len(octets):
            self.backend.cut_after = None
            raise ConnectionError("told to close here")

    def answer(self, key, line=b""):
        """Answers as told, and returns the answer."""
        answer = self.backend.answer_to(key)
        if callable(answer):
            answer = answer(self, line)
        self.say(answer)
        return answer

    # ---- the session ----

    def run(self):
        try:
            self.sock.settimeout(LIMIT)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.backend.proxy:
                self.read_proxy_header()
            self.answer("CONNECT")
            while self.command(self.line()):
                pass
        except (OSError, ValueError):
            pass
        finally:
            self.is_over = True
            self.sock.close()

    def read_proxy_header(self):
        """Of a client, or of a probe, which has none behind it."""
        if self.backend.proxy == 1:
            words = self.line().decode().split(" ")
            self.proxied = (words[2], int(words[4])) if words[1] != "UNKNOWN" else None
            return
        head = self.take(16)
        rest = self.take(struct.unpack("!H", head[14:])[0])
        if head[:13] != b"\r\n\r\n\0\r\nQUIT\n\x21":
            return
        n, family = {1: (4, socket.AF_INET), 2: (16, socket.AF_INET6)}[head[13] >> 4]
        self.proxied = socket.inet_ntop(family, rest[:n]), struct.unpack("!H", rest[2 * n:2 * n + 2])[0]

    def command(self, line):
        self.commands.append(line)
        verb = line.split(b" ")[0].upper().decode("latin-1")
        act = getattr(self, "do_" + verb.lower(), None)
        if verb in self.backend.answers and verb in ("EHLO", "STARTTLS", "AUTH", "XCLIENT"):
            self.answer(verb, line)
        elif act is not None:
            act(line)
        elif verb in self.backend.answers or verb in STANDARD:
            self.answer(verb, line)
        else:
            self.say("502 5.5.1 what?")
        return verb != "QUIT"

    def forget(self):
        self.mail, self.rcpt, self.bdat = None, [], b""

    def do_ehlo(self, line):
        self.forget()
        self.hello = line[5:].decode("latin-1")
        words = ["back.local.example"] + list(self.backend.keywords)
        if self.backend.tls and not self.is_tls:
            words.append("STARTTLS")
        for i, word in enumerate(words):
            self.say("250%s%s" % (" " if i == len(words) - 1 else "-", word))

    def do_starttls(self, _):
        self.say("220 2.0.0 go on")
        self.sock = self.backend.tls.wrap_socket(self.sock, server_side=True)
        self.buffer, self.is_tls = b"", True

    def do_xclient(self, line):
        self.xclient = dict(word.split("=", 1) for word in line.decode().split(" ")[1:])
        self.answer("CONNECT")

    def do_mail(self, line):
        self.forget()
        self.mail = line
        self.answer("MAIL", line)

    def do_rcpt(self, line):
        if is_yes(self.answer("RCPT", line)):
            self.rcpt.append(line)

    def do_rset(self, line):
        self.forget()
        self.answer("RSET", line)

    def do_data(self, line):
        if self.answer("DATA", line) == STANDARD["DATA"]:
            self.read_data()

    def read_data(self):
        """To CRLF.CRLF and nothing else; the end is looked for where new bytes can have brought it."""
        data, at = bytearray(b"\r\n"), 0
        try:
            while True:
                data += self.buffer
                self.buffer = b""
                end = data.find(b"\r\n.\r\n", at)
                if end >= 0:
                    break
                at = max(0, len(data) - 4)
                self.backend.reading.wait(LIMIT)
                self.more()
        except (OSError, ValueError):
            self.discarded = bytes(data[2:])
            raise
        self.buffer = bytes(data[end + 5:])
        raw = bytes(data[2:end + 2])
        self.received(re.sub(rb"(?m)^\.", b"", raw) if b"\n." in raw or raw[:1] == b"." else raw, raw)

    def do_bdat(self, line):
        words = line.split(b" ")
        self.bdat += self.take(int(words[1]))
        if len(words) > 2:
            self.received(self.bdat, self.bdat)
        else:
            self.say("250 2.0.0 chunk")

    def received(self, body, raw):
        message = Message(self, body, raw)
        answer = self.backend.answer_to(".")
        reply = answer(self, message) if callable(answer) else answer
        if is_yes(reply):
            self.backend.messages.append(message)
        self.forget()
        self.say(reply)

    def do_auth(self, line):
        words = line.split(b" ")
        if words[1].upper() == b"PLAIN":
            if len(words) == 2:
                self.say("334 ")
                words.append(self.line())
            _, user, password = base64.b64decode(words[2]).split(b"\0")
        else:
            self.say("334 VXNlcm5hbWU6")
            user = base64.b64decode(self.line())
            self.say("334 UGFzc3dvcmQ6")
            password = base64.b64decode(self.line())
        good = self.backend.users.get(user.decode()) == password.decode()
        self.user = user.decode() if good else None
        self.say("235 2.7.0 welcome" if good else "535 5.7.8 wrong")


class Backend:
    def __init__(self, keywords=KEYWORDS, answers=None, tls=None, proxy=None, users=None, endpoint=None):
        """`tls`: a server context, offered as STARTTLS. `proxy`: 1 or 2, a PROXY header comes first."""
        self.keywords = keywords
        self.answers = dict(answers or {})
        self.tls, self.proxy, self.users = tls, proxy, dict(users or {})
        self.connections = []
        self.messages = []
        self.reading = threading.Event()    # cleared: message bytes are left in the kernel
        self.reading.set()
        self.cut_after = None   # octets still to be sent until a connection is cut, once
        self.lock = threading.Lock()
        self.endpoint = endpoint or fresh_endpoint()
        family = socket.AF_INET6 if ":" in self.endpoint[0] else socket.AF_INET
        self.listener = socket.create_server(self.endpoint, family=family, backlog=512)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            connection = Connection(self, sock, peer)
            self.connections.append(connection)
            connection.start()

    def answer_to(self, key):
        with self.lock:
            answer = self.answers.get(key, STANDARD.get(key))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def stop_listening(self):
        # close() alone leaves accept() waiting in its thread, and the port open with it.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(LIMIT)

    def stop(self):
        try:
            self.stop_listening()
        except OSError:
            pass
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for connection in self.connections:
            connection.join(LIMIT)

    # ---- what the tests ask ----

    def seen(self, since=0):
        """Every command of every connection from the given one on."""
        return [line for connection in self.connections[since:] for line in connection.commands]

    def recipients(self):
        return [line for line in self.seen() if line.upper().startswith(b"RCPT")]

    def wait_for(self, n):
        until(lambda: len(self.messages) >= n, lambda: "%d messages at the back end, have %d" % (n, len(self.messages)))
        return self.messages
