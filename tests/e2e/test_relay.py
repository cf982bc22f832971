#!/usr/bin/env python3
"""Relaying: what is refused is seen on the wire, and nothing of it goes south (ATTACKS D, B; ORACLE P-1 to P-5, P-13)."""
import base64
import contextlib
import re

from parts.story import MESSAGE, Story, main
from parts.wire import Client, Gone, any_certificate

# Each must be refused, whatever it is read as. The code is the one reading that Postern has of it.
REFUSED_RECIPIENTS = [
    (b"<v@other.example>", 550),
    (b"<v%other.example@local.example>", 550),
    (b"<other.example!v@local.example>", 550),
    (b"<@local.example:v@other.example>", 550),
    (b"<@local.example:v@local.example>", 550),
    (b"<@other.example,@local.example:v@local.example>", 550),
    (b'<"v@other.example"@local.example>', 550),
    (b'<"v%other.example"@local.example>', 550),
    (b'<"other.example!v"@local.example>', 550),
    (b'<"v\\@other.example"@local.example>', 550),
    (b'<v"@other.example"@local.example>', 501),
    (b'<"v@other.example">', None),
    (b"<v@other.example@local.example>", 501),
    (b"<v@local.example@other.example>", 501),
    (b"<v@[192.0.2.1]>", 550),
    (b"<v@[127.0.0.1]>", 550),
    (b"<v@[IPv6:::1]>", 550),
    (b"<v@[local.example]>", None),
    (b"<v@localhost>", 550),
    (b"<v@mx.local.example>", 550),
    (b"<v@local.example.other.example>", 550),
    (b"<v@xlocal.example>", 550),
    (b"<v@.local.example>", 501),
    (b"<v@local..example>", 501),
    (b"<v@local.example\0.other.example>", 500),
    (b"<v@local.example\t>", 500),
    (b"<v@local.example\x0b>", 500),
    (b"<v@other.example,v@local.example>", 501),
    (b"<v@other.example;v@local.example>", 501),
    (b"<v@local.example>,<v@other.example>", 501),
    (b"<v@local.example> <v@other.example>", None),
    (b"<v@local.example>v@other.example", 501),
    (b"v@local.example v@other.example", 501),
    (b"v@local.example", 501),
    (b"<v@local.example", 501),
    (b"<<v@local.example>>", 501),
    (b"<v@local.example (comment)>", 501),
    (b"<v(comment)@local.example>", 501),
    (b"(comment)<v@local.example>", 501),
    (b"User <v@local.example>", 501),
    (b"<v>", 553),
    (b"<>", None),
    (b"< v@local.example >", 501),
    (b"<v@local.example >", 501),
    (b"<v @local.example>", 501),
    (b"<\"v@local.example>", 501),
    (b"<@local.example>", 501),
    (b"<v@>", 501),
    (b"<@>", 501),
    (b"<v@xn--bcher-kva.example>", 550),
    (b"<" + b"v" * 65 + b"@local.example>", 501),
    (b"<v@" + b"a" * 64 + b".local.example>", 501),
    (b"<v@" + b"a." * 125 + b"local.example>", 501),
    (b"<v@local.example> NOTIFY=NEVER NOTIFY=NEVER", 501),
    (b"<v@local.example> NOTIFY=NEVER,FAILURE", 501),
    (b"<v@local.example> ORCPT=rfc822;v+0D+0Ax@local.example", 501),
    (b"<v@local.example> ORCPT=rfc822;v+zz@local.example", 501),
    (b"<v@local.example> SIZE=1", 555),
    (b"<v@local.example> FOO=BAR", 555),
    ("<v@bücher.example>".encode(), 553),
    (b"<v@local.example\xff>", None),
]

# What is accepted, and how the back end reads it: in one canonical form.
ACCEPTED_RECIPIENTS = [
    (b"<v@local.example>", b"<v@local.example>"),
    (b"<v@LOCAL.EXAMPLE>", b"<v@LOCAL.EXAMPLE>"),
    (b"<v@local.example.>", b"<v@local.example>"),
    (b'<"v"@local.example>', b"<v@local.example>"),
    (b'<"a b"@local.example>', b'<"a b"@local.example>'),
    (b'<"\\v"@local.example>', b"<v@local.example>"),
    (b"<postmaster>", b"<postmaster>"),
    (b"<Postmaster@local.example>", b"<Postmaster@local.example>"),
    (b"<v+tag@local.example>", b"<v+tag@local.example>"),
    (b"<v@deep.down.wild.example>", b"<v@deep.down.wild.example>"),
    (b"<v@local.example> ORCPT=rfc822;v@other.example", b"<v@local.example>"),
    (b"<v@local.example>  NOTIFY=NEVER", b"<v@local.example> NOTIFY=NEVER"),
]

REFUSED_SENDERS = [
    (b"<a@b@sender.example>", 501),
    (b"<a b@sender.example>", 501),
    (b"<a@sender.example> <b@sender.example>", None),
    (b"<a@sender.example (comment)>", 501),
    (b"<a(comment)@sender.example>", 501),
    (b"a@sender.example", 501),
    (b"User <a@sender.example>", 501),
    (b"<a@sender.example", 501),
    (b"<" + b"a" * 65 + b"@sender.example>", 501),
    (b"<a@" + b"b" * 64 + b".example>", 501),
    (b"<a@" + b"b." * 128 + b"example>", 501),
    (b'<"a\0"@sender.example>', 500),
    (b"<a@sender.example\0>", 500),
    (b"<a@sender.example> SIZE=1 SIZE=2", 501),
    (b"<a@sender.example> SIZE=-1", 501),
    (b"<a@sender.example> SIZE=99999999999999999999", None),
    (b"<a@sender.example> SIZE=1e3", 501),
    (b"<a@sender.example> BODY=X", None),
    (b"<a@sender.example> RET=ALL RET=HDRS", 501),
    (b"<a@sender.example> RET=", 501),
    (b"<a@sender.example> ENVID=a+00b", 501),
    (b"<a@sender.example> ENVID=a+0D+0Ab", 501),
    (b"<a@sender.example> FOO=BAR", 555),
    (b"<a@sender.example> AUTH=<>", None),
    ("<ä@sender.example>".encode(), 553),
    (b"<a@sender.example\xff> SMTPUTF8", None),
]

ACCEPTED_SENDERS = [
    (b"<>", b"<>"),
    (b"<a@sender.example>", b"<a@sender.example>"),
    (b"<A@Sender.Example>", b"<A@Sender.Example>"),
    (b'<"\\""@sender.example>', b'<"\\""@sender.example>'),
    (b'<"a"@sender.example>', b"<a@sender.example>"),
    (b'<"a@b"@sender.example>', b'<"a@b"@sender.example>'),
    (b"<a@[192.0.2.1]>", b"<a@[192.0.2.1]>"),
    (b"<@route.example:a@sender.example>", b"<a@sender.example>"),
    (b"<a@mailfrom.notexist.legitimate.example>", b"<a@mailfrom.notexist.legitimate.example>"),
]


def own_reading(line):
    """The domain of a RCPT seen in the south, read by a parser of the tests' own (ORACLE P-1)."""
    path = re.match(rb"RCPT TO:<(.*?)>(?: |$)", line)[1]
    unquoted = re.sub(rb'"(?:[^"\\]|\\.)*"', lambda quoted: b"q" * len(quoted[0]), path)
    return path[unquoted.rindex(b"@") + 1:].rstrip(b".").lower() if b"@" in unquoted else None


class Relaying(Story):
    LOCAL = {"relay": {"domains": "local.example *.wild.example"}, "limits": {"errors": 10000, "junk": 10000}}

    def assert_refused(self, reply, code):
        self.assertIn(reply.code, (code,) if code else (500, 501, 550, 553, 555, 503), repr(reply))
        self.assertEqual(reply.enhanced and reply.enhanced[0], "5", repr(reply))

    def test_every_recipient_form_that_means_another_place_is_refused_and_nothing_goes_south(self):
        gateway, back = self.pair(self.LOCAL)
        before = len(back.connections)
        for form, code in REFUSED_RECIPIENTS:
            with self.subTest(form=form), Client(gateway.smtp) as client:
                client.ehlo()
                self.assert_reply(client.mail(), 250)
                self.assert_refused(client.ask(b"RCPT TO:" + form), code)
                self.assert_refused(client.ask("DATA"), 503)
                self.assert_reply(client.quit(), 221)
        self.assert_nothing_went_south(back, before)

    def test_the_same_forms_behind_a_good_recipient_do_not_slip_through(self):
        gateway, back = self.pair(self.LOCAL)
        client = self.greeted(gateway.smtp)
        client.envelope()
        for form, code in REFUSED_RECIPIENTS:
            with self.subTest(form=form):
                self.assert_refused(client.ask(b"RCPT TO:" + form), code)
        self.assert_reply(client.data(MESSAGE), 250)
        self.assertEqual(back.wait_for(1)[0].rcpt, [b"RCPT TO:<v@local.example>"])
        self.assertEqual(back.recipients(), [b"RCPT TO:<v@local.example>"])

    def test_the_same_forms_pipelined_do_not_slip_through(self):
        gateway, back = self.pair(self.LOCAL)
        client = self.greeted(gateway.smtp)
        client.send(b"MAIL FROM:<a@sender.example>\r\n" +
                    b"".join(b"RCPT TO:" + form + b"\r\n" for form, _ in REFUSED_RECIPIENTS) +
                    b"RCPT TO:<v@local.example>\r\n")
        replies = client.replies(len(REFUSED_RECIPIENTS) + 2)
        self.assertEqual((replies[0].code, replies[-1].code), (250, 250))
        self.assertTrue(all(reply.code >= 500 for reply in replies[1:-1]), replies)
        self.assertEqual(back.recipients(), [b"RCPT TO:<v@local.example>"])

    def test_local_recipients_reach_the_back_end_in_one_canonical_form(self):
        gateway, back = self.pair(self.LOCAL)
        for form, canonical in ACCEPTED_RECIPIENTS:
            with self.subTest(form=form), Client(gateway.smtp) as client:
                client.ehlo()
                client.mail()
                self.assert_reply(client.ask(b"RCPT TO:" + form), 250)
                arrived = back.recipients()[-1]
                self.assertTrue(arrived.startswith(b"RCPT TO:" + canonical), arrived)
                self.assertIn(own_reading(arrived), (None, b"local.example", b"deep.down.wild.example"))
                client.quit()

    def test_a_wildcard_stands_for_names_below_and_not_for_the_name(self):
        gateway, _ = self.pair(self.LOCAL)
        client = self.greeted(gateway.smtp)
        client.mail()
        self.assert_reply(client.rcpt("v@wild.example"), 550, "5.7.1")
        self.assert_reply(client.rcpt("v@a.wild.example"), 250)

    def test_every_bad_sender_form_is_refused_and_nothing_goes_south(self):
        gateway, back = self.pair(self.LOCAL)
        before = len(back.connections)
        for form, code in REFUSED_SENDERS:
            with self.subTest(form=form), Client(gateway.smtp) as client:
                client.ehlo()
                self.assertGreaterEqual(client.ask(b"MAIL FROM:" + form).code if code is None else
                                        self.assert_reply(client.ask(b"MAIL FROM:" + form), code).code, 500)
                self.assert_reply(client.rcpt(), 503, "5.5.1")
        self.assert_nothing_went_south(back, before)

    def test_good_senders_reach_the_back_end_in_one_canonical_form(self):
        gateway, back = self.pair(self.LOCAL)
        for form, canonical in ACCEPTED_SENDERS:
            with self.subTest(form=form), Client(gateway.smtp) as client:
                client.ehlo()
                self.assert_reply(client.ask(b"MAIL FROM:" + form), 250)
                self.assert_reply(client.rcpt(), 250)
                arrived = [line for line in back.seen() if line.startswith(b"MAIL")][-1]
                self.assertTrue((arrived + b" ").startswith(b"MAIL FROM:" + canonical + b" "), arrived)
                client.quit()

    def test_a_command_hidden_in_a_path_is_not_run(self):
        gateway, back = self.pair(self.LOCAL)
        before = len(back.connections)
        client = self.greeted(gateway.smtp)
        client.send(b"MAIL FROM:<a@b\r\nRCPT TO:<x@local.example>>\r\n")
        self.assertEqual([reply.code // 100 for reply in client.replies(2)], [5, 5])
        for ending in (b"\n", b"\r"):
            client.ask("RSET")
            client.send(b"MAIL FROM:<a@sender.example>" + ending + b"RCPT TO:<v@local.example>\r\n")
            self.assertEqual(client.reply().code // 100, 5)
            self.assert_reply(client.ask("DATA"), 503)
        client.quit()
        self.assert_nothing_went_south(back, before)

    def test_an_allowed_network_may_relay_but_not_by_old_routes(self):
        gateway, back = self.pair({**self.LOCAL, "relay": {"domains": "local.example", "networks": "127.0.0.77"}})
        client = self.greeted(gateway.smtp, source="127.0.0.77")
        self.assert_reply(client.deliver(MESSAGE, recipients=("v@other.example",)), 250)
        client.mail()
        for form in (b"<v%other.example@local.example>", b"<@local.example:v@other.example>", b'<"v@x.example"@other.example>'):
            self.assert_reply(client.ask(b"RCPT TO:" + form), 550, "5.7.1")
        self.assertEqual(back.recipients(), [b"RCPT TO:<v@other.example>"])
        stranger = self.greeted(gateway.smtp)
        stranger.mail()
        self.assert_reply(stranger.rcpt("v@other.example"), 550, "5.7.1")

    def test_a_refusal_carries_the_session_id_that_is_in_the_log(self):
        gateway, _ = self.pair(self.LOCAL)
        client = self.greeted(gateway.smtp)
        client.mail()
        reply = self.assert_reply(client.rcpt("v@other.example"), 550, "5.7.1")
        line = gateway.wait_log(event="refused")[0]
        self.assertIn(line["id"], reply.text)
        self.assertEqual((line["check"], line["to"], line["from"]), ("relay", "v@other.example", "a@sender.example"))


class Authentication(Story):
    """AUTH is relayed line by line to the back end, and its 235 allows relaying in that session."""
    KEYWORDS = ("PIPELINING", "AUTH PLAIN LOGIN CRAM-MD5")

    def submission(self):
        gateway, back = self.pair({"listen smtp": {"auth": "yes"}, "listen smtps": {"auth": "yes"}},
                                  keywords=self.KEYWORDS, users={"ann": "secret"})
        return gateway, back

    def plain(self, user, password):
        return base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode()

    def secured(self, gateway):
        client = self.greeted(gateway.smtp)
        client.starttls()
        return client, client.ehlo()

    def test_auth_is_offered_inside_tls_only(self):
        gateway, _ = self.submission()
        client = self.client(gateway.smtp)
        self.assertFalse([line for line in client.ehlo().lines if line.startswith("AUTH")])
        self.assertEqual(client.ask("AUTH PLAIN " + self.plain("ann", "secret")).code // 100, 5)
        client.starttls()
        self.assertIn("AUTH PLAIN LOGIN", client.ehlo().lines)

    def test_who_has_logged_in_may_relay(self):
        gateway, back = self.submission()
        client, _ = self.secured(gateway)
        self.assert_reply(client.ask("AUTH PLAIN " + self.plain("ann", "secret")), 235)
        self.assert_reply(client.deliver(MESSAGE, recipients=("v@other.example",)), 250)
        message = back.wait_for(1)[0]
        self.assertEqual((message.connection.user, message.rcpt), ("ann", [b"RCPT TO:<v@other.example>"]))
        self.assertIn(b"with ESMTPSA", message.body)

    def test_login_line_by_line_works_on_implicit_tls(self):
        gateway, back = self.submission()
        client = self.greeted(gateway.smtps, tls=any_certificate())
        self.assert_reply(client.ask("AUTH LOGIN"), 334)
        self.assert_reply(client.ask(base64.b64encode(b"ann")), 334)
        self.assert_reply(client.ask(base64.b64encode(b"secret")), 235)
        self.assert_reply(client.deliver(MESSAGE, recipients=("v@other.example",)), 250)

    def test_a_wrong_password_does_not_help(self):
        gateway, back = self.submission()
        client, _ = self.secured(gateway)
        self.assert_reply(client.ask("AUTH PLAIN " + self.plain("ann", "guess")), 535, "5.7.8")
        client.mail()
        self.assert_reply(client.rcpt("v@other.example"), 550, "5.7.1")
        self.assertEqual(back.recipients(), [])

    def test_the_login_of_one_session_is_not_the_next_ones(self):
        gateway, back = self.submission()
        client, _ = self.secured(gateway)
        self.assert_reply(client.ask("AUTH PLAIN " + self.plain("ann", "secret")), 235)
        other, _ = self.secured(gateway)
        other.mail()
        self.assert_reply(other.rcpt("v@other.example"), 550, "5.7.1")

    def test_no_password_reaches_the_log(self):
        gateway, _ = self.submission()
        client, _ = self.secured(gateway)
        secret = self.plain("ann", "secret")
        client.ask("AUTH PLAIN " + secret)
        client.quit()
        gateway.wait_log(event="connection")
        self.assertNotIn(secret, gateway.text())
        self.assertNotIn("secret", gateway.text())


class Commands(Story):
    """The command stream (ATTACKS B): nothing of it reaches the back end."""

    def silent(self, sections=None):
        gateway, back = self.pair(sections)
        return gateway, back, len(back.connections)

    def test_commands_for_other_times_are_answered_here(self):
        gateway, back, before = self.silent()
        client = self.greeted(gateway.smtp)
        for line, code in (("VRFY v", 252), ("EXPN list", 502), ("ETRN local.example", 502), ("TURN", 502), ("HELP", None),
                           ("XCLIENT ADDR=192.0.2.1", 502), ("XFORWARD ADDR=192.0.2.1", 502), ("XEXCH50 1 2", 502),
                           ("SEND FROM:<a@b.example>", None), ("FOO", 500), ("", 500), ("NOOP", 250)):
            with self.subTest(line=line):
                reply = client.ask(line)
                self.assertEqual(reply.code, code or reply.code, repr(reply))
        client.quit()
        self.assert_nothing_went_south(back, before)

    def test_web_requests_end_the_session_and_their_bodies_are_not_read(self):
        gateway, back, before = self.silent()
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n",
                        b"CONNECT a:25\r\n", b"Host: x\r\nRCPT TO:<v@local.example>\r\n", b"SSH-2.0-x\r\n",
                        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500, b"\x80\x2e\x01\x00\x02"):
            with self.subTest(request=request[:20]), Client(gateway.smtp) as client:
                client.send(request)
                rest = client.rest()
                self.assertLessEqual(rest.count(b"\r\n"), 1, rest)
                self.assertNotIn(b"250", rest)
        self.assert_nothing_went_south(back, before)

    def test_commands_before_their_time_are_not_run(self):
        """Pipelining where RFC 2920 does not allow it (ATTACKS B01, B02)."""
        gateway, back, before = self.silent()
        for pieces in ((b"EHLO client.example\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<v@other.example>\r\n",),
                       (b"EHLO client.example\r\n", b"MAIL FROM:<a@sender.example>\r\nNOOP\r\nQUIT\r\n"),
                       (b"EHLO client.example\r\n", b"DATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n"),
                       (b"HELO client.example\r\nQUIT\r\nMAIL FROM:<a@sender.example>\r\n",)):
            with self.subTest(pieces=pieces), Client(gateway.smtp) as client:
                client.send(*pieces)
                client.finish()
                codes = [int(line[:3]) for line in client.rest().split(b"\r\n")[:-1] if line[3:4] == b" "]
                self.assertFalse(354 in codes, codes)
                self.assertTrue({503, 554} & set(codes) or codes[-1] == 221, codes)
        self.assert_nothing_went_south(back, before)

    def test_a_transaction_leaves_nothing_behind(self):
        gateway, back = self.pair(answers={".": ["554 5.6.0 no", "250 2.0.0 ok"]})
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.deliver(MESSAGE), 554)
        for line in ("RCPT TO:<v@local.example>", "DATA", "BDAT 0 LAST"):
            self.assert_reply(client.ask(line), 503, "5.5.1")
        client.envelope()
        client.ask("RSET")
        self.assert_reply(client.rcpt(), 503, "5.5.1")
        client.envelope()
        client.ehlo()
        self.assert_reply(client.rcpt(), 503, "5.5.1")
        self.assertEqual(back.messages, [])

    def test_a_line_beyond_the_limit_is_refused_whole(self):
        gateway, back, before = self.silent()
        client = self.greeted(gateway.smtp)
        for n in (2049, 4096, 16000):
            self.assert_reply(client.ask(b"NOOP " + b"x" * n + b"\nMAIL FROM:<a@b.example>"), 500, "5.5.2")
        self.assert_reply(client.rcpt(), 503)
        self.assert_nothing_went_south(back, before)

    def test_an_endless_line_ends_the_session(self):
        gateway, back, before = self.silent()
        client = self.greeted(gateway.smtp)
        with contextlib.suppress(Gone):
            for _ in range(100):
                client.send(b"x" * 1_000_000)
        gateway.wait_log(event="connection", end=re.compile("endless"))

    def test_many_errors_and_much_junk_end_the_session(self):
        for section, line in (({"errors": 5}, "FOO"), ({"junk": 5}, "NOOP"), ({"junk": 5}, "RSET"), ({"junk": 5}, "VRFY x")):
            with self.subTest(line=line):
                gateway, _, _ = self.silent({"limits": section})
                client = self.greeted(gateway.smtp)
                codes = [client.ask(line).code for _ in range(5)]
                self.assertNotIn(421, codes)
                client.send(line.encode() + b"\r\n")
                self.assertIn(b"421 4.7.0", client.rest())

    def test_recipients_beyond_the_limit_are_for_another_transaction(self):
        gateway, back = self.pair({"limits": {"recipients": 100}})
        client = self.greeted(gateway.smtp)
        client.mail()
        client.send(b"".join(b"RCPT TO:<v%d@local.example>\r\n" % n for n in range(130)))
        codes = [reply.code for reply in client.replies(130)]
        self.assertEqual((codes[:100], codes[100:]), ([250] * 100, [452] * 30))
        self.assert_reply(client.data(MESSAGE), 250)
        self.assertEqual(len(back.messages[0].rcpt), 100)

    def test_a_message_above_the_limit_is_refused_and_discarded(self):
        gateway, back = self.pair({"limits": {"message_size": "64k"}})
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.mail(parameters=" SIZE=70000"), 552, "5.3.4")
        self.assert_reply(client.deliver(b"Subject: big\r\n\r\n" + b"x" * 70 * 1000 + b"\r\n"), 552, "5.3.4")
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertEqual(len(back.messages), 1)

    def test_a_transaction_needs_its_commands_in_order(self):
        gateway, back, before = self.silent()
        client = self.client(gateway.smtp)
        for line in ("MAIL FROM:<a@sender.example>", "RCPT TO:<v@local.example>", "DATA"):
            self.assert_reply(client.ask(line), 503, "5.5.1")
        client.ehlo()
        self.assert_reply(client.rcpt(), 503, "5.5.1")
        client.mail()
        self.assert_reply(client.mail(), 503, "5.5.1")
        self.assert_reply(client.ask("DATA"), 503, "5.5.1")
        self.assert_nothing_went_south(back, before)


if __name__ == "__main__":
    main(__name__)
