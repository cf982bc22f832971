#!/usr/bin/env python3
"""A new board: the least ini that works, every default as it comes. What everybody knows as abuse is refused, with a reply and a
log line that name the fact, and nothing of it arrives; ordinary mail arrives, some of it marked; the published odd messages
arrive octet for octet (issue 5; ATTACKS B, L; ORACLE A-2, P-1 to P-3, P-8 to P-10).

Clients are told apart by PROXY, for those on this machine are trusted. All of a class's clients connect at the same time and
so wait for the greeting's last line together; each has an address of its own."""
import base64
import io
import re
import subprocess
import time
import unittest
import zipfile

from parts.backend import Backend
from parts.dns import DNS, DROP
from parts.gateway import Gateway, binary
from parts.place import SUITES, fresh_endpoint, text
from parts.signing import Key, signature
from parts.story import Story, main
from parts.wire import Client, any_certificate, stuffed

SUITE = SUITES / "mime/mail-parser"
CLIENTS = ["%s.%d" % (net, host) for host in range(1, 41) for net in ("198.51.100", "203.0.113")]
NAMELESS = "192.0.2.200"            # has no PTR record, nor has 192.0.2.201
EVERY_CLIENT = "v=spf1 ip4:198.51.100.0/24 ip4:203.0.113.0/24 ip4:192.0.2.200/31 -all"


def host_of(address):
    return "host-%s.sender.example" % address.replace(".", "-")


def reverse_of(address):
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def names_of_clients():
    """Each client but the nameless one has a name that leads back to it."""
    zone = {}
    for address in CLIENTS:
        zone[reverse_of(address)] = [("PTR", host_of(address))]
        zone[host_of(address)] = [("A", address)]
    return zone


def domain(spf=EVERY_CLIENT, dmarc=None, name=None, **keys):
    """The records of a domain that sends mail: name -> records. `keys`: selector=Key."""
    zone = {name: [("MX", (10, "mx." + name)), ("TXT", spf)], "mx." + name: [("A", "198.51.100.250")]}
    if dmarc:
        zone["_dmarc." + name] = [("TXT", "v=DMARC1; p=" + dmarc)]
    for selector, key in keys.items():
        zone["%s._domainkey.%s" % (selector, name)] = [("TXT", key.record)]
    return zone


def message(author="a@sender.example", subject=b"hello", body=b"A line.\r\n", more=b""):
    return (b"From: " + author.encode() + b"\r\nTo: v@local.example\r\nSubject: " + subject + b"\r\n" + more +
            b"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\n" + body)


def with_file(name, content=b"x", kind=b"application/octet-stream"):
    lines = base64.encodebytes(content).replace(b"\n", b"\r\n")
    return message(more=b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
                   body=b"--b\r\n\r\nSee there.\r\n--b\r\nContent-Type: " + kind + b"\r\nContent-Transfer-Encoding: base64\r\n"
                   b"Content-Disposition: attachment; filename=\"" + name.encode() + b"\"\r\n\r\n" + lines + b"--b--\r\n")


def session_of(reply):
    """The id with which each refusal ends."""
    match = re.search(r"\(([0-9a-z]{8,})\)$", reply.text)
    if not match:
        raise AssertionError("no session id: %r" % reply)
    return match[1]


class Board(Story):
    """One gateway for all tests of a class, its back end, its DNS, and clients at the door."""
    ZONE = {}
    DOOR = 0                        # clients that wait there

    @classmethod
    def setUpClass(cls):
        cls.back = Backend()
        cls.addClassCleanup(cls.back.stop)
        cls.dns = DNS({**names_of_clients(), **domain(name="sender.example"), **cls.ZONE})
        cls.addClassCleanup(cls.dns.stop)
        cls.where = fresh_endpoint()
        cls.board = Gateway(cls.back.endpoint, cls.sections(), fresh=True)
        cls.addClassCleanup(cls.board.stop)
        cls.gateways = [cls.board]
        cls.door = [cls.arrive(address) for address in CLIENTS[:cls.DOOR]]

    @classmethod
    def sections(cls):
        return {"dns": {"servers": cls.dns.text}, "listen balanced": {"address": text(cls.where), "proxy_from": "127.0.0.0/8"}}

    @classmethod
    def arrive(cls, address, behind=b""):
        """A client from there, before its greeting; `behind` is what it says at once."""
        client = Client(cls.where, greeted=False)
        cls.addClassCleanup(client.close)
        line = "PROXY TCP6 %s 2001:db8::25 4711 25\r\n" if ":" in address else "PROXY TCP4 %s 192.0.2.1 4711 25\r\n"
        client.send((line % address).encode() + behind)
        client.address = address
        return client

    def stranger(self, helo=None, tls=False):
        """One of those who wait, greeted; it has said EHLO unless `helo` is empty."""
        client = self.door.pop()
        return self.introduce(client, helo, tls)

    def introduce(self, client, helo=None, tls=False):
        self.assert_reply(client.reply(), 220)
        if helo != "":
            self.assert_reply(client.ehlo(helo or host_of(client.address)), 250)
        if tls:
            client.starttls(any_certificate())
            self.assert_reply(client.ehlo(helo or host_of(client.address)), 250)
        return client

    # ---- claims ----

    def went_south(self):
        """What of clients has come to the back end; probes say nothing of this."""
        return [line for line in self.back.seen() if line[:4].upper() in (b"MAIL", b"RCPT", b"DATA", b"BDAT")]

    def assert_refused(self, reply, code, enhanced, check, fact):
        """The reply, and the line in the log that belongs to it: `fact` is a pattern."""
        self.assert_reply(reply, code, enhanced)
        return self.board.wait_log(id=session_of(reply), check=check, reason=re.compile(fact))[-1]


class Abuse(Board):
    """What everybody knows, and nobody wants."""
    DOOR = 40
    ZONE = {**domain(name="attack.example"), **domain(name="bank.example", spf="v=spf1 -all", dmarc="reject"),
            **domain(name="strict.example", spf="v=spf1 ip4:192.0.2.99 -all"),
            **domain(name="local-login.example"), "silent.example": [("MX", (0, "."))]}

    def setUp(self):
        self.before = len(self.back.messages), self.went_south()

    def assert_nothing_arrived(self):
        self.assertEqual(len(self.back.messages), self.before[0])

    def assert_nothing_was_said(self):
        """Not even the envelope (P-3)."""
        self.assertEqual(self.went_south(), self.before[1])

    def refused_recipient(self, recipient, code, enhanced, check, fact, sender="a@attack.example", **client):
        stranger = self.stranger(**client)
        self.assert_reply(stranger.mail(sender), 250)
        line = self.assert_refused(stranger.rcpt(recipient), code, enhanced, check, fact)
        self.assertEqual(line["event"], "refused")
        self.assert_nothing_was_said()
        return line

    def refused_message(self, content, code, enhanced, check, fact, sender="a@attack.example"):
        octets = stuffed(content)       # before anybody waits: of a long one it takes a while
        client = self.stranger().envelope(sender)
        self.assert_reply(client.ask("DATA"), 354)
        client.send(octets)
        line = self.assert_refused(client.reply(), code, enhanced, check, fact)
        self.assertEqual((line["event"], line["outcome"]), ("transaction", "rejected"))
        self.assert_nothing_arrived()
        return line

    # ---- before the envelope ----

    def test_who_speaks_before_the_greeting_is_complete(self):
        client = self.arrive("192.0.2.7", b"EHLO x.attack.example\r\nMAIL FROM:<a@attack.example>\r\n")
        self.assert_reply(client.reply(), 220)
        self.assert_refused(client.reply(), 554, "5.5.1", "door", "spoke before the greeting")
        self.assertEqual(client.rest(), b"")
        self.assert_nothing_was_said()

    def test_a_web_page_that_posts_mail(self):
        client = self.stranger(helo="")
        client.send(b"POST / HTTP/1.1\r\nHost: mx.local.example:25\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\n"
                    b"EHLO x\r\nMAIL FROM:<a@attack.example>\r\nRCPT TO:<v@local.example>\r\nDATA\r\n")
        self.assert_refused(client.reply(), 521, "5.5.1", "protocol", "HTTP")
        self.assertEqual(client.rest(), b"")
        self.assert_nothing_was_said()

    def test_commands_that_wait_for_no_answer(self):
        client = self.stranger(helo="")
        client.send(b"EHLO x.attack.example\r\nMAIL FROM:<a@attack.example>\r\nRCPT TO:<v@local.example>\r\n")
        self.assert_refused(client.reply(), 554, "5.5.0", "pipelining", "behind a command that ends a group")
        self.assertEqual(client.rest(), b"")
        self.assert_nothing_was_said()

    def test_a_message_along_with_its_data(self):
        client = self.stranger().envelope("a@attack.example")
        client.send(b"DATA\r\nFrom: a@attack.example\r\n\r\nx\r\n.\r\n")
        self.assert_refused(client.reply(), 554, "5.5.0", "pipelining", "behind a command that ends a group")
        self.assert_nothing_arrived()

    # ---- the envelope ----

    def test_relaying_in_every_form(self):
        for recipient in ("x@elsewhere.example", "x%elsewhere.example@local.example", "@local.example:x@elsewhere.example",
                          "elsewhere.example!x@local.example", "\"x@elsewhere.example\"@local.example"):
            with self.subTest(recipient):
                self.refused_recipient(recipient, 550, "5.7.1", "relay", ".")

    def test_our_own_name(self):
        self.refused_recipient("v@local.example", 550, "5.7.1", "helo", "HELO mx.local.example is our own name",
                               helo="mx.local.example")

    def test_a_sender_whose_domain_does_not_exist(self):
        self.refused_recipient("v@local.example", 550, "5.1.8", "sender", "sender domain nowhere.example does not exist",
                               sender="a@nowhere.example")

    def test_a_sender_whose_domain_takes_no_mail(self):
        self.refused_recipient("v@local.example", 550, "5.7.27", "sender", "silent.example takes no mail",
                               sender="a@silent.example")

    def test_a_bounce_to_two(self):
        stranger = self.stranger()
        self.assert_reply(stranger.mail(""), 250)
        self.assert_reply(stranger.rcpt("v@local.example"), 250)
        self.assert_refused(stranger.rcpt("w@local.example"), 550, "5.7.1", "sender", "more than one recipient")
        self.assertNotIn(b"RCPT TO:<w@local.example>", self.back.recipients())

    def test_a_sender_that_may_not_send_from_there(self):
        """SPF says no, and no DMARC record has the last word."""
        self.refused_message(message("a@strict.example"), 550, "5.7.23", "spf_alone", "strict.example",
                             sender="a@strict.example")

    def test_a_message_that_says_it_is_too_long(self):
        stranger = self.stranger()
        reply = stranger.mail("a@attack.example", " SIZE=52428801")
        self.assert_refused(reply, 552, "5.3.4", "limits.message_size", "declared SIZE above the limit")
        self.assert_nothing_was_said()

    # ---- guessing and crowding ----

    def test_guessed_recipients(self):
        """The sixth wrong guess is answered late, and what is known to be unknown is not asked again, whoever guesses."""
        self.back.answers["RCPT"] = lambda _, line: "250 2.1.5 ok" if b"<v@" in line else "550 5.1.1 no such user"
        self.addCleanup(self.back.answers.pop, "RCPT")
        for asked in (True, False):
            before = len(self.back.recipients())
            guesser = self.stranger()
            self.assert_reply(guesser.mail("a@attack.example"), 250)
            for n in range(5):
                self.assert_reply(guesser.rcpt("guess%d@local.example" % n), 550, "5.1.1")
            begin = time.monotonic()
            self.assert_reply(guesser.rcpt("guess5@local.example"), 550, "5.1.1")
            self.assertGreater(time.monotonic() - begin, 4.9)
            self.assertEqual(len(self.back.recipients()) - before, 6 * asked)
            guesser.close()

    def crowd(self, addresses):
        """As many as may be there at once get in; all others hear 421 at once, and the log says why."""
        clients = [self.arrive(address) for address in addresses]
        replies = [client.reply() for client in clients]
        turned_away = [reply for reply in replies if reply.code != 220]
        self.assertEqual(len(clients) - len(turned_away), 20)
        for reply in turned_away:
            self.assert_reply(reply, 421, "4.7.0")
            self.board.wait_log(id=session_of(reply), end="Too many connections from your address")
        for client in clients:
            client.close()

    def test_a_crowd_from_one_address(self):
        self.crowd(["192.0.2.50"] * 30)

    def test_a_crowd_from_one_network_of_ipv6(self):
        """Who has a /64 has all its addresses (K11)."""
        self.crowd(["2001:db8:0:1::%x" % n for n in range(1, 31)])

    # ---- the message ----

    def test_a_forged_author(self):
        self.refused_message(message("boss@bank.example"), 550, "5.7.26", "dmarc", r"SPF pass \(not aligned\), DKIM none")

    def test_no_author_or_two(self):
        self.refused_message(message().replace(b"From:", b"X-From:"), 550, "5.7.26", "author", ".")
        self.refused_message(b"From: b@bank.example\r\n" + message("a@attack.example"), 550, "5.6.0", "author", "From")

    def test_smuggled_messages(self):
        for hidden in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n"):
            with self.subTest(hidden):
                client = self.stranger().envelope("a@attack.example")
                self.assert_reply(client.ask("DATA"), 354)
                client.send(message() + b"x" + hidden + b"MAIL FROM:<a@bank.example>\r\nRCPT TO:<v@local.example>\r\nDATA\r\n" +
                            message() + b".\r\n")
                self.assert_refused(client.reply(), 550, "5.5.2", "framing", "bare_cr|bare_lf|nul")
                self.assert_reply(client.ask("NOOP"), 250)
                self.assert_nothing_arrived()

    def test_programs(self):
        for name in ("update.exe", "invoice.pdf.exe", "photo.jpg .scr"):
            with self.subTest(name):
                self.refused_message(with_file(name, b"MZ"), 550, "5.7.1", "attachment", "extension (exe|scr)")
        with self.subTest("by its octets"):
            self.refused_message(with_file("photo.jpg", b"MZ" + bytes(100)), 550, "5.7.1", "attachment", ".")

    def test_a_message_that_is_too_long(self):
        line = b"x" * 76 + b"\r\n"
        content = message(body=line * (50 * 2 ** 20 // len(line) + 1))
        self.refused_message(content, 552, "5.3.4", "limits.message_size", "above the limit")

    def test_points_that_add_up_to_ten(self):
        """A domain that looks like ours, and a display name that is one of our addresses."""
        content = message().replace(b"From: a@sender.example", b"From: \"boss@local.example\" <a@local-login.example>")
        line = self.refused_message(content, 550, "5.7.1", "score", "10 points", sender="a@local-login.example")
        self.assertEqual(line["points"], "lookalike:5,impersonation:5")


class Mail(Board):
    """What people want."""
    DOOR = 24
    BIG, BIGGER, OTHER = Key(), Key("ed25519"), Key()
    ZONE = {**domain(name="big.example", dmarc="reject", s=BIG, t=BIGGER), **domain(name="provider.example", s=OTHER),
            **domain(name="writer.example", spf="v=spf1 ip4:192.0.2.99 -all", dmarc="none"),
            **domain(name="lists.example"), **domain(name="news.example", dmarc="quarantine"),
            **domain(name="forwarder.example"), **domain(name="local-login.example"),
            **domain(name="xn--mnchen-3ya.example"), "slow.example": DROP}

    def arrives(self, content, sender="a@sender.example", client=None, parameters="", recipient="v@local.example", **how):
        """It is taken and arrives as it was sent. Returns the line in the log and what was put in front."""
        n = len(self.back.messages)
        client = client or self.stranger(**how)
        self.assert_reply(client.deliver(content, sender, (recipient,), parameters), 250)
        arrived = self.back.messages[n].body
        self.assert_same_below_our_block(arrived, content)
        line = self.board.wait_log(event="transaction", client=client.address + ":4711", outcome="accepted")[-1]
        self.assert_reply(client.quit(), 221)
        return line, arrived[:len(arrived) - len(content)]

    def assert_unmarked(self, line):
        self.assertEqual((line.get("verdict", "accept"), line.get("points", "")), ("accept", ""))

    def test_in_clear_and_over_tls(self):
        for tls in (False, True):
            self.assert_unmarked(self.arrives(message(), tls=tls)[0])

    def test_a_big_sender_with_several_signatures(self):
        content = message("a@big.example")
        content = b"".join([signature(content, self.BIG, "big.example"), signature(content, self.BIGGER, "big.example", "t"),
                            signature(content, self.OTHER, "provider.example")]) + content
        line, _ = self.arrives(content, "bounce-1@provider.example")
        self.assertEqual(line["dmarc"], "pass/big.example")
        self.assertEqual(line["dkim"].count("pass"), 3)
        self.assert_unmarked(line)

    def test_a_mailing_list(self):
        """Its author's domain has p=none, its own subject line breaks nothing."""
        line, _ = self.arrives(message("someone@writer.example", b"[list] hello", more=b"List-Id: <x.lists.example>\r\n"),
                               "x-bounces@lists.example")
        self.assertEqual(line["dmarc"], "fail/writer.example")
        self.assert_unmarked(line)

    def test_a_newsletter_without_signatures(self):
        line, _ = self.arrives(message("news@news.example"), "news@news.example")
        self.assertEqual(line["dmarc"], "pass/news.example")
        self.assert_unmarked(line)

    def test_a_bounce(self):
        self.assert_unmarked(self.arrives(message("mailer-daemon@sender.example"), "")[0])

    def test_forwarded_mail(self):
        """With SRS the forwarder sends in its own name."""
        line, _ = self.arrives(message("someone@writer.example"), "SRS0=HHH=TT=writer.example=someone@forwarder.example")
        self.assert_unmarked(line)

    def test_letters_of_all_the_world(self):
        author = "j\u00fcrgen@m\u00fcnchen.example"
        line, _ = self.arrives(message(author, "gr\u00fc\u00dfe".encode()), author, parameters=" SMTPUTF8 BODY=8BITMIME")
        self.assert_unmarked(line)

    def test_ordinary_attachments(self):
        room = io.BytesIO()
        with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("notes.txt", "notes\n" * 100)
            archive.writestr("pictures/a.png", bytes(100))
        for name, content, kind in (("report.pdf", b"%PDF-1.7\n" + bytes(300), b"application/pdf"),
                                    ("notes.zip", room.getvalue(), b"application/zip"),
                                    ("letter v1.2 final.docx", room.getvalue(), b"application/octet-stream")):
            with self.subTest(name):
                self.assert_unmarked(self.arrives(with_file(name, content, kind))[0])

    def test_a_host_without_a_name_gets_points_and_goes_through(self):
        line, front = self.arrives(message(), client=self.introduce(self.arrive(NAMELESS), "mx.sender.example"))
        self.assertEqual(line["points"], "rdns:3")
        self.assertIn(b"X-Postern-Verdict: accept; score=3", front)

    def test_nor_one_whose_name_in_helo_leads_nowhere(self):
        """Both together mark it."""
        line, front = self.arrives(message(), client=self.introduce(self.arrive("192.0.2.201"), "nowhere.sender.example"))
        self.assertEqual(line["points"], "helo:2,rdns:3")
        self.assertIn(b"X-Postern-Verdict: suspicious; score=5", front)

    def test_what_resembles_us_is_marked(self):
        line, front = self.arrives(message("a@local-login.example"), "a@local-login.example")
        self.assertEqual(line["points"], "lookalike:5")
        self.assertRegex(front, rb"X-Postern-Verdict: suspicious; score=5")

    def test_the_postmaster_hears_everybody(self):
        client = self.introduce(self.arrive("192.0.2.66"), "mx.local.example")
        self.arrives(message("boss@local-login.example"), "a@nowhere.example", client, recipient="postmaster@local.example")

    def test_a_sender_whose_dns_is_silent_is_put_off(self):
        """A doubt is a 4xx (P-8)."""
        client = self.stranger()
        self.assert_reply(client.mail("a@slow.example"), 250)
        reply = client.rcpt()
        if reply.code == 250:
            reply = client.data(message("a@slow.example"))
        self.assert_refused(reply, 451, "4.7.24", "spf_alone", "no answer for TXT slow.example")


@unittest.skipUnless(SUITE.is_dir(), "the published messages are not here: " + str(SUITE))
class Published(Board):
    """Odd and broken messages that others have collected."""
    DOOR = 1

    def test_each_arrives_octet_for_octet(self):
        """But one: 049.eml has CRs alone in its body, with which messages are smuggled (ATTACKS A): 550 5.5.2."""
        client, refused = self.stranger(), []
        for path in sorted(SUITE.glob("*.eml")):
            content = re.sub(rb"\r\n|\n", b"\r\n", path.read_bytes())   # as any sender would put the file on the wire
            content += b"" if content.endswith(b"\r\n") else b"\r\n"
            with self.subTest(path.name):
                n = len(self.back.messages)
                reply = client.deliver(content, parameters=" BODY=8BITMIME")
                if reply.code != 250:
                    self.assert_refused(reply, 550, "5.5.2", "framing", "bare_cr")
                    self.assertRegex(content, rb"\r(?!\n)")
                    refused.append(path.name)
                    continue
                self.assert_same_below_our_block(self.back.messages[n].body, content)
        self.assertEqual(refused, ["049.eml"])


class Check(Board):
    """`postern check` of the same ini."""
    # What of the defaults says which checks refuse; each is one check's line.
    LINES = [r"relay +rcpt +allow_unqualified = no", r"recipients +rcpt +mode = reject, .*negative_ttl = 10m",
             r"door +connect rcpt +mode = reject, .*pause = 3s", r"author +headers end +strict = yes",
             r"helo +helo mail rcpt +impostor = reject, .*literal = score",
             r"rdns +helo mail rcpt +mode = score, weight = 3 points", r"sender +mail rcpt +exists = reject, .*null_mx = reject",
             r"spf +rcpt data headers end +check = yes, fail = without-dmarc, temperror = tempfail",
             r"dmarc +headers end +mode = enforce, quarantine = tag", r"lists +connect .* mode = reject, threshold = 5 points",
             r"standing +headers end +mode = score, weight = 3 points", r"greylist +headers end +mode = off",
             r"lookalike +.* mode = score, weight = 5 points", r"impersonation +.* mode = score, weight = 5 points",
             r"attachment +end +mode = reject", r"score +.* tag = 5 points, quarantine = 0 points, reject = 10 points"]

    def test_it_tells_which_checks_are_on_in_which_mode_and_with_which_bounds(self):
        done = subprocess.run([binary(), "check", "-c", self.board.ini], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for line in self.LINES:
            self.assertRegex(done.stdout, "(?m)^#   " + line)
        self.assertLessEqual(max(len(line) for line in done.stdout.splitlines() if line.startswith("#")), 140)

    def test_the_memory_proof_holds(self):
        done = subprocess.run([binary(), "check", "-c", self.board.ini], capture_output=True, text=True, timeout=60)
        need, limit = re.search(r"(?m)^#   sum += +(\d+)k of (\d+)k$", done.stdout).groups()
        self.assertEqual(int(limit), 160 * 1024)
        self.assertLessEqual(int(need), int(limit))


if __name__ == "__main__":
    main(__name__)
