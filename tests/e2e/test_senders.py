#!/usr/bin/env python3
"""Real senders and real mail servers on both sides: swaks, openssl, smtp-source, Postfix and Exim send; Postfix stores."""
import hashlib
import re
import subprocess

from parts.certs import certificate
from parts.place import LIMIT, fresh_folder, text, until
from parts.real import Exim, Postfix, smtp_source
from parts.story import MESSAGE, Story, main
from parts.wire import Client, deliver

LETTER = (b"From: Ann <a@sender.example>\r\nTo: v@local.example\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n"
          b"Message-ID: <letter@sender.example>\r\nSubject: byte for byte\r\nMIME-Version: 1.0\r\n"
          b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
          b".\r\n..\r\n.dots in front\r\n" + "Grüße, 日本\r\n".encode() + b"trailing blanks   \r\n\ttab\r\n" +
          b"x" * 990 + b"\r\nFrom here\r\n\r\n\r\nend\r\n")


def swaks(where, *arguments):
    return subprocess.run(["swaks", "--server", text(where), "--helo", "client.example", "--from", "a@sender.example",
                           "--to", "v@local.example", *arguments], capture_output=True, text=True, timeout=LIMIT)


def stored(message):
    """What Postfix stores below the fields it puts in front itself."""
    return re.sub(rb"\A(?:Return-Path|X-Original-To|Delivered-To): [^\r]*\r\n(?:(?:X-Original-To|Delivered-To): [^\r]*\r\n)*"
                  rb"Received: from [^\r]*\r\n(?:\t[^\r]*\r\n)+", b"", message)


class IntoPostfix(Story):
    """A real Postfix stands behind the gateway and delivers into a Maildir."""

    def postfix(self, **main):
        postfix = Postfix(**main)
        self.addCleanup(postfix.stop)
        return postfix

    def test_a_letter_by_swaks_over_starttls_arrives_byte_for_byte(self):
        postfix = self.postfix()
        gateway = self.gateway(postfix.endpoint)
        letter = fresh_folder() / "letter"
        letter.write_bytes(LETTER.removesuffix(b"\r\n"))     # swaks ends the last line itself
        said = swaks(gateway.smtp, "--tls", "--data", "@%s" % letter)
        self.assertEqual(said.returncode, 0, said.stdout)
        self.assertRegex(said.stdout, r"TLS started with cipher TLSv1\.3")
        self.assert_same_below_our_block(stored(postfix.wait_for(1)[0]), LETTER)

    def test_a_relay_attempt_by_swaks_is_refused_and_postfix_hears_nothing(self):
        postfix = self.postfix()
        gateway = self.gateway(postfix.endpoint)
        before = postfix.log().count(" connect from")
        said = swaks(gateway.smtp, "--tls", "--to", "v@other.example")
        self.assertEqual(said.returncode, 24, said.stdout)      # swaks: no recipient was accepted
        self.assertRegex(said.stdout, r"<~\* 550 5\.7\.1 Relaying denied")
        gateway.wait_log(event="connection")
        self.assertEqual(postfix.log().count(" connect from"), before)

    def test_xclient_tells_postfix_who_the_client_is(self):
        postfix = self.postfix(smtpd_authorized_xclient_hosts="127.0.0.0/8")
        gateway = self.gateway(postfix.endpoint, {"backend": {"client_info": "xclient"}})
        with Client(gateway.smtp, source="127.0.0.99") as client:
            client.ehlo("helo.sender.example")
            self.assert_reply(client.deliver(LETTER), 250)
            client.quit()
        self.assertRegex(postfix.wait_for(1)[0], rb"Received: from [^ ]* \(unknown \[127\.0\.0\.99\]\)\r\n"
                                                 rb"\tby back\.local\.example \(Postfix\)")
        self.assertIn("client=unknown[127.0.0.99]", postfix.log())

    def test_tls_to_postfix_with_its_certificate_pinned(self):
        mine = certificate("back.local.example")
        postfix = self.postfix(certificate=mine, smtpd_tls_security_level="encrypt")
        gateway = self.gateway(postfix.endpoint, {"backend": {"tls": "required",
                                                             "tls_fingerprint": hashlib.sha256(mine.der).hexdigest()}})
        self.assert_reply(deliver(gateway.smtp, LETTER), 250)
        self.assertEqual(len(postfix.wait_for(1)), 1)

    def test_five_megabytes_reach_the_mailbox(self):
        postfix = self.postfix()
        gateway = self.gateway(postfix.endpoint)
        message = LETTER + b"".join(b"%06d " % n + b"x" * 750 + b"\r\n" for n in range(6600))
        self.assert_reply(deliver(gateway.smtp, message), 250)
        self.assert_same_below_our_block(stored(postfix.wait_for(1)[0]), message)

    def test_the_size_limit_of_postfix_is_ours(self):
        postfix = self.postfix(message_size_limit="100000")
        gateway = self.gateway(postfix.endpoint)
        client = self.greeted(gateway.smtp)
        self.assertIn("SIZE 100000", client.ehlo().lines)
        reply = client.deliver(b"Subject: big\r\n\r\n" + b"x" * 990 * 200 + b"\r\n")
        self.assertEqual((reply.code, postfix.messages()), (552, []))

    def test_postfix_words_about_a_recipient_are_passed_on(self):
        postfix = self.postfix(virtual_mailbox_maps="inline:{ v@local.example=box/ }")
        gateway = self.gateway(postfix.endpoint)
        client = self.greeted(gateway.smtp)
        client.mail()
        self.assertRegex(self.assert_reply(client.rcpt("nobody@local.example"), 550, "5.1.1").text, "User unknown")
        self.assert_reply(client.rcpt(), 250)
        self.assert_reply(client.data(LETTER), 250)

    def test_a_hundred_sessions_of_smtp_source_arrive_in_the_mailbox(self):
        postfix = self.postfix(smtpd_client_connection_rate_limit="0")
        gateway = self.gateway(postfix.endpoint)
        smtp_source("-s", "8", "-m", "100", "-l", "5000", "-f", "a@sender.example", "-t", "v@local.example", text(gateway.smtp))
        self.assertEqual(len(postfix.wait_for(100)), 100)
        self.assertEqual(len(gateway.log(event="transaction", outcome="accepted")), 100)


class FromRealSenders(Story):
    def test_swaks_in_clear_over_starttls_and_over_implicit_tls(self):
        gateway, back = self.pair()
        for where, options in ((gateway.smtp, ()), (gateway.smtp, ("--tls",)), (gateway.smtps, ("--tls-on-connect",))):
            said = swaks(where, *options)
            self.assertEqual(said.returncode, 0, said.stdout)
        self.assertEqual([b"with " + kind in message.body for kind, message in
                          zip((b"ESMTP\r\n", b"ESMTPS\r\n", b"ESMTPS\r\n"), back.wait_for(3))], [True] * 3)

    def test_swaks_logs_in_and_relays(self):
        gateway, back = self.pair({"listen smtp": {"auth": "yes"}}, keywords=("AUTH PLAIN LOGIN",), users={"ann": "secret"})
        for mechanism in ("PLAIN", "LOGIN"):
            said = swaks(gateway.smtp, "--tls", "--auth", mechanism, "--auth-user", "ann", "--auth-password", "secret",
                         "--to", "v@other.example")
            self.assertEqual(said.returncode, 0, said.stdout)
        said = swaks(gateway.smtp, "--tls", "--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "wrong",
                     "--to", "v@other.example")
        self.assertNotEqual(said.returncode, 0)
        self.assertEqual(len(back.messages), 2)

    def test_openssl_s_client_sends_by_hand(self):
        gateway, back = self.pair()
        for arguments in (["-starttls", "smtp", "-connect", text(gateway.smtp)], ["-connect", text(gateway.smtps)]):
            script = (b"EHLO client.example\r\nMAIL FROM:<a@sender.example>\r\nrcpt TO:<v@local.example>\r\nDATA\r\n", MESSAGE, b".\r\nQUIT\r\n")
            openssl = subprocess.Popen(["openssl", "s_client", "-quiet", "-crlf", *arguments], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.addCleanup(openssl.stdout.close)
            for line in script[0].splitlines(True):     # one at a time: DATA waits for its 354
                openssl.stdin.write(line.replace(b"\r\n", b"\n"))
                openssl.stdin.flush()
                self.read_until(openssl.stdout, {b"E": b"250 ", b"M": b"250 ", b"r": b"250 ", b"D": b"354 "}[line[:1]])
            openssl.stdin.write((script[1] + script[2]).replace(b"\r\n", b"\n"))
            openssl.stdin.close()
            self.read_until(openssl.stdout, b"221 ")
            openssl.wait(LIMIT)
        for message in back.wait_for(2):
            self.assert_same_below_our_block(message.body, MESSAGE)

    def read_until(self, stream, start):
        for line in stream:
            if line.startswith(start):
                return
        self.fail("no %r from openssl" % start)

    def test_smtp_source_reuses_its_sessions(self):
        gateway, back = self.pair()
        smtp_source("-d", "-s", "5", "-m", "200", "-l", "4096", "-r", "3", "-N", "-f", "a@sender.example", "-t", "v@local.example",
                    text(gateway.smtp))
        self.assertEqual(len(back.wait_for(200)), 200)
        self.assertEqual({len(message.rcpt) for message in back.messages}, {3})

    def test_postfix_relays_everything_through_the_gateway(self):
        gateway, back = self.pair()
        sender = Postfix(relayhost="[%s]:%d" % gateway.smtp, smtp_tls_security_level="encrypt", virtual_mailbox_domains="",
                         smtp_host_lookup="native", mynetworks="127.0.0.0/8", smtp_generic_maps="")
        self.addCleanup(sender.stop)
        self.assert_reply(deliver(sender.endpoint, LETTER), 250)
        message = back.wait_for(1)[0]
        self.assertTrue(message.body.endswith(LETTER))
        self.assertRegex(message.body, rb"\AReceived: from back\.local\.example .*\r\n\tby mx\.local\.example \(Postern\) with ESMTPS")
        until(lambda: "status=sent (250 2.0.0 taken" in sender.log(), "Postfix has read our 250")

    def test_postfix_bounces_what_is_refused_and_keeps_what_is_deferred(self):
        gateway, back = self.pair(answers={".": "451 4.3.0 later"})
        sender = Postfix(relayhost="[%s]:%d" % gateway.smtp, smtp_tls_security_level="may", virtual_mailbox_domains="",
                         smtp_host_lookup="native", mynetworks="127.0.0.0/8")
        self.addCleanup(sender.stop)
        deliver(sender.endpoint, LETTER)
        until(lambda: "status=deferred" in sender.log(), "a 451 stays in the queue")
        deliver(sender.endpoint, LETTER, recipients=("v@other.example",))
        until(lambda: re.search(r"status=bounced .*550 5\.7\.1 Relaying denied", sender.log()), "a 550 is a bounce")

    def test_exim_sends_by_chunks_over_gnutls(self):
        gateway, back = self.pair(keywords=("PIPELINING", "8BITMIME", "SIZE 104857600", "CHUNKING"))
        exim = Exim(gateway.smtp)
        self.addCleanup(exim.stop)
        log = exim.send(LETTER.replace(b"\r\n", b"\n"))
        self.assertRegex(log, r"=> v@local\.example .*X=TLS1\.3.* K .*C=\"250")
        self.assertTrue(back.wait_for(1)[0].body.endswith(LETTER.partition(b"\r\n\r\n")[2]))


if __name__ == "__main__":
    main(__name__)
