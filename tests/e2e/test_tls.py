#!/usr/bin/env python3
"""TLS on both wires: what is never interpreted, what is never sent, which certificate is shown (ORACLE T-1 to T-8,
ATTACKS C)."""
import hashlib
import os
import re
import socket
import ssl
import subprocess

from parts import place
from parts.certs import Certificate, certificate
from parts.place import text
from parts.story import MESSAGE, Story, main
from parts.wire import Client, Gone, any_certificate, deliver

CHECK_FILES = 30    # seconds between two looks of the gateway at its certificate files


def shown(where, context=None, name=None):
    """The certificate shown to a client, in DER."""
    with Client(where) as client:
        client.ehlo()
        client.starttls(context, name)
        return client.sock.getpeercert(binary_form=True)


def tls12(ciphers):
    context = any_certificate(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(ciphers)
    return context


def assert_only_records(story, raw):
    """T-1: nothing but TLS records (alerts, as a rule) after the go-ahead."""
    while raw:
        story.assertRegex(raw[:3], rb"\A[\x14-\x17]\x03[\x00-\x04]")
        raw = raw[5 + int.from_bytes(raw[3:5], "big"):]


class Starttls(Story):
    def test_commands_in_the_segment_of_starttls_are_never_run(self):
        gateway, back = self.pair()
        before = len(back.connections)
        for line in (b"STARTTLS", b"starttls", b"StArTtLs "):
            for behind in (b"EHLO inside.example\r\n", b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\n",
                           b"x", b"\r\n", b"\x16\x03\x01"):
                with self.subTest(line=line, behind=behind), Client(gateway.smtp) as client:
                    client.ehlo()
                    client.send(line + b"\r\n" + behind)
                    said = client.rest()
                    if said.startswith(b"220"):
                        assert_only_records(self, said.split(b"\r\n", 1)[1])
                    else:
                        self.assertRegex(said, rb"\A5\d\d [^\r]*\r\n\Z|\A\Z")
        self.assert_nothing_went_south(back, before)

    def test_commands_sent_before_the_handshake_are_never_run(self):
        gateway, back = self.pair()
        before = len(back.connections)
        for pieces in ((b"MAIL FROM:<a@sender.example>\r\n",), (b"QUIT\r\n",), (b"\0" * 600,), (b"\x16\x03\x01\xff\xff" * 9,)):
            with self.subTest(pieces=pieces), Client(gateway.smtp) as client:
                client.ehlo()
                self.assert_reply(client.ask("STARTTLS"), 220)
                client.send(*pieces)
                client.finish()
                assert_only_records(self, client.rest())
        self.assert_nothing_went_south(back, before)

    def test_a_clear_command_that_came_early_is_not_answered_inside_tls(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.send(b"STARTTLS\r\n", b"NOOP\r\n")
        with self.assertRaises((Gone, ssl.SSLError, ConnectionError, AssertionError)):
            client.reply()
            client.secure()
            client.reply()

    def test_nothing_learnt_in_clear_remains(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.deliver(MESSAGE), 250)
        client.starttls()
        self.assert_reply(client.ask("DATA"), 503)
        self.assert_reply(client.mail(), 503, "5.5.1")
        self.assertNotIn("STARTTLS", client.ehlo().lines)
        self.assert_reply(client.rcpt(), 503, "5.5.1")
        self.assert_reply(client.deliver(MESSAGE), 250)
        first, second = (message.connection for message in back.messages)
        self.assertIsNot(first, second)     # what was said in clear ended with its own connection

    def test_a_second_starttls_is_refused(self):
        gateway, _ = self.pair()
        client = self.greeted(gateway.smtp)
        client.starttls()
        client.ehlo()
        self.assertIn(client.ask("STARTTLS").code, (503, 454))
        self.assert_reply(client.deliver(MESSAGE), 250)

    def test_starttls_takes_no_argument_and_has_no_place_in_a_transaction(self):
        gateway, _ = self.pair()
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.ask("STARTTLS now"), 501)
        client.mail()
        self.assert_reply(client.ask("STARTTLS"), 503)

    def test_where_tls_is_required_nothing_happens_in_clear(self):
        gateway, back = self.pair({"listen smtp": {"require_tls": "yes"}})
        before = len(back.connections)
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.mail(), 530, "5.7.0")
        self.assert_reply(client.ask("DATA"), 530)
        self.assert_nothing_went_south(back, before)
        client.starttls()
        client.ehlo()
        self.assert_reply(client.deliver(MESSAGE), 250)

    def test_a_handshake_that_fails_never_opens_the_back_end(self):
        gateway, back = self.pair()
        before = len(back.connections)
        for tls in (any_certificate(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1),
                    tls12("AES128-SHA:@SECLEVEL=0"), certificate("stranger.example").trusted()):
            client = self.greeted(gateway.smtp)
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                client.starttls(tls, "mx.local.example")
        gateway.wait_log(3, event="connection")
        self.assert_nothing_went_south(back, before)

    def test_a_handshake_without_an_end_is_closed(self):
        gateway, _ = self.pair({"timeouts": {"tls_handshake": "1s"}})
        for hello in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            client = self.client(gateway.smtps, greeted=False)
            client.send(hello)
            assert_only_records(self, client.rest())
        gateway.wait_log(2, event="connection")


class Wire(Story):
    def test_versions_and_suites(self):
        gateway, _ = self.pair({"certificate rsa": certificate(kind="rsa").keys})
        for context, version, cipher in (
                (any_certificate(), "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
                (any_certificate(maximum_version=ssl.TLSVersion.TLSv1_2), "TLSv1.2", None),
                (tls12("ECDHE-RSA-AES128-GCM-SHA256"), "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"),
                (tls12("ECDHE-ECDSA-CHACHA20-POLY1305"), "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305")):
            client = self.greeted(gateway.smtp)
            client.starttls(context)
            self.assertEqual(client.sock.version(), version)
            self.assertIn(cipher, (client.sock.cipher()[0], None))
            client.ehlo()
            self.assert_reply(client.deliver(MESSAGE), 250)

    def test_the_end_of_a_session_is_told_by_close_notify(self):
        gateway, _ = self.pair()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = self.greeted(gateway.smtps, tls=any_certificate(maximum_version=version))
            self.assert_reply(client.quit(), 221)
            self.assertEqual(client.sock.recv(100), b"")    # anything else raises

    def test_a_connection_cut_inside_the_message_delivers_nothing(self):
        gateway, back = self.pair()
        for cut in (b"Subject: cut\r\n", b"Subject: cut\r\n\r\nbody\r\n.\r", b"Subject: cut\r\n\r\nbody\r\n."):
            client = self.greeted(gateway.smtps, tls=any_certificate())
            client.envelope()
            client.ask("DATA")
            client.send(cut)
            socket.socket(fileno=client.sock.detach()).close()      # FIN without close_notify
        gateway.wait_log(3, event="connection")
        self.assertEqual(back.messages, [])

    def test_a_message_in_records_of_one_octet(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtps, tls=any_certificate())
        client.envelope()
        client.ask("DATA")
        for octet in MESSAGE + b".\r\n":
            client.sock.send(bytes([octet]))
        self.assert_reply(client.reply(), 250)
        self.assert_same_below_our_block(back.messages[0].body, MESSAGE)

    def test_five_megabytes_over_tls(self):
        gateway, back = self.pair({"backend": {"tls": "required"}}, tls=certificate().server())
        message = b"Subject: large\r\n\r\n" + b"".join(b"%06d " % n + b"x" * 750 + b"\r\n" for n in range(6600))
        client = self.greeted(gateway.smtps, tls=any_certificate())
        self.assert_reply(client.deliver(message), 250)
        self.assert_same_below_our_block(back.wait_for(1)[0].body, message)


class Certificates(Story):
    def test_the_name_asked_for_chooses_the_certificate(self):
        one, two = certificate("one.example"), certificate("two.example")
        gateway, _ = self.pair({"certificate main": one.keys, "certificate two": two.keys})
        self.assertEqual(shown(gateway.smtp, name="two.example"), two.der)
        self.assertEqual(shown(gateway.smtp, name="one.example"), one.der)
        self.assertEqual(shown(gateway.smtp, name="three.example"), one.der)
        self.assertEqual(shown(gateway.smtp), one.der)
        self.assertEqual(shown(gateway.smtp, two.trusted(), "two.example"), two.der)

    def test_rsa_clients_and_ecdsa_clients_are_both_served(self):
        rsa, ecdsa = certificate(kind="rsa"), certificate(kind="ecdsa")
        gateway, _ = self.pair({"certificate main": ecdsa.keys, "certificate rsa": rsa.keys})
        self.assertEqual(shown(gateway.smtp, tls12("aRSA")), rsa.der)
        self.assertEqual(shown(gateway.smtp, tls12("aECDSA")), ecdsa.der)
        self.assertEqual(shown(gateway.smtp), ecdsa.der)
        self.assertEqual(self.openssl_sees(gateway, "-sigalgs", "rsa_pss_rsae_sha256"), rsa.der)

    def openssl_sees(self, gateway, *arguments):
        out = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", text(gateway.smtp), *arguments],
                             input=b"QUIT\r\n", capture_output=True, timeout=place.LIMIT).stdout
        return ssl.PEM_cert_to_DER_cert(re.search(rb"-----BEGIN.*?END CERTIFICATE-----\n", out, re.S)[0].decode())

    def test_new_files_are_served_after_sighup_and_a_bad_pair_keeps_the_old_ones(self):
        old, new, other = (Certificate() for _ in range(3))
        mine = Certificate()
        place_files(old, mine)
        gateway, _ = self.pair({"certificate main": mine.keys})
        client = self.greeted(gateway.smtp)
        self.assertEqual(shown(gateway.smtp), old.der)
        place_files(new, mine)
        gateway.reload()
        self.assertEqual(shown(gateway.smtp), new.der)
        os.replace(copy_of(other.key), mine.key)    # does not belong to the chain
        gateway.signal(1)
        gateway.wait_log(event="reload", text="the configuration in force stays")
        self.assertTrue(gateway.log(event="reload", text=re.compile(re.escape(str(mine.key)) + "|does not match|main")))
        self.assertEqual(shown(gateway.smtp), new.der)
        self.assert_reply(client.deliver(MESSAGE), 250)     # the session from before all this


def copy_of(path):
    copy = path.with_suffix(".new")
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o644)
    return copy


def place_files(source, target):
    """Both files of a certificate put where another's are, each at once."""
    os.replace(copy_of(source.chain), target.chain)
    os.replace(copy_of(source.key), target.key)


class WatchedFiles(Story):
    """Without any signal: the gateway looks at its files from time to time. The waits of these tests are long, so their gateways
    run beside the other tests of this file."""

    def start(self, change):
        old, new, mine = Certificate(), Certificate(), Certificate()
        place_files(old, mine)
        gateway, _ = self.pair({"certificate main": mine.keys})
        client = self.greeted(gateway.smtp)
        self.assertEqual(shown(gateway.smtp), old.der)
        change(new, mine)
        return gateway, client, old, new

    def await_line(self, gateway, **wanted):
        limit, place.LIMIT = place.LIMIT, place.LIMIT + CHECK_FILES
        try:
            return gateway.wait_log(event="certificate", **wanted)
        finally:
            place.LIMIT = limit

    def test_changed_files_are_in_force_and_a_bad_pair_is_not(self):
        good, client, _, new = self.start(place_files)
        bad, _, kept, _ = self.start(lambda new, mine: os.replace(copy_of(new.key), mine.key))
        self.await_line(good, text=re.compile("in force"))
        good.wait_log(2, event="serving")
        self.assertEqual(shown(good.smtp), new.der)
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.await_line(bad, text="the certificates in force stay")
        self.assertEqual(shown(bad.smtp), kept.der)

    def test_the_end_of_a_certificate_is_announced_two_weeks_ahead(self):
        soon = Certificate(days=13)
        gateway, _ = self.pair({"certificate main": soon.keys})
        gateway.wait_log(event="certificate", level="warn", text=re.compile(r"\[certificate main\] expires in 1[23] days"))


class South(Story):
    def pair_with(self, keys, **backend):
        return self.pair({"backend": keys}, **backend)

    def assert_delivered_in_tls(self, gateway, back):
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        self.assertTrue(back.wait_for(1)[0].connection.is_tls)

    def assert_not_sent(self, gateway, back):
        """Neither in clear nor otherwise; the sender tries again."""
        client = self.client(gateway.smtp)
        if client.greeting.code == 220:
            client.ehlo()
            client.mail()
            self.assertEqual(client.rcpt().code, 451)
        else:
            self.assert_reply(client.greeting, 421)
        self.assertFalse([line for line in back.seen() if line.startswith((b"MAIL", b"RCPT"))])

    def test_opportunistic_tls_is_used_where_it_is_offered(self):
        self.assert_delivered_in_tls(*self.pair_with({"tls": "opportunistic"}, tls=certificate().server()))

    def test_opportunistic_tls_goes_on_in_clear_where_it_is_not(self):
        gateway, back = self.pair_with({"tls": "opportunistic"})
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        self.assertFalse(back.messages[0].connection.is_tls)

    def test_required_tls_that_is_not_offered_means_no_mail(self):
        self.assert_not_sent(*self.pair_with({"tls": "required"}))

    def test_the_pinned_certificate_is_taken_and_no_other(self):
        pin = hashlib.sha256(certificate().der).hexdigest()
        self.assert_delivered_in_tls(*self.pair_with({"tls": "required", "tls_fingerprint": pin},
                                                     tls=certificate().server()))
        self.assert_not_sent(*self.pair_with({"tls": "required", "tls_fingerprint": pin},
                                             tls=certificate("other.example").server()))

    def test_the_authority_and_the_name_are_checked(self):
        mine = certificate("back.local.example")
        keys = {"tls": "required", "tls_ca": mine.chain, "tls_name": "back.local.example"}
        self.assert_delivered_in_tls(*self.pair_with(keys, tls=mine.server()))
        self.assert_not_sent(*self.pair_with({**keys, "tls_name": "wrong.example"}, tls=mine.server()))
        self.assert_not_sent(*self.pair_with(keys, tls=certificate("other.example").server()))

    def test_replies_put_before_the_handshake_do_not_count(self):
        """Response injection (CVE-2021-38371)."""
        injected = b"220 2.0.0 go on\r\n250 back.local.example\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n"
        self.assert_not_sent(*self.pair_with({"tls": "required"}, tls=certificate().server(),
                                             answers={"STARTTLS": injected}))


if __name__ == "__main__":
    main(__name__)
