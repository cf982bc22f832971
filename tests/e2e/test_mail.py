#!/usr/bin/env python3
"""Mail goes through, by every door there is, and arrives byte for byte below our header block (ORACLE A-1, A-2, A-8)."""
import re
import socket
import struct
import unittest

from parts.place import SUITES, fresh_endpoint, fresh_endpoint6, text
from parts.story import MESSAGE, Story, main
from parts.wire import END, any_certificate, deliver, stuffed

SUITE = SUITES / "mime/mail-parser"


class Doors(Story):
    """Each kind of listener, to the built-in sink."""

    def through(self, gateway, sink, client, message=MESSAGE):
        n = sink.count() + 1
        self.assertEqual(client.ehlo().code, 250)
        self.assert_reply(client.deliver(message), 250, "2.0.0")
        envelope, arrived = sink.message(n)
        self.assertEqual(envelope, b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\n")
        self.assert_same_below_our_block(arrived, message)
        self.assert_reply(client.quit(), 221, "2.0.0")
        return arrived

    def test_a_message_in_clear_reaches_the_sink(self):
        sink = self.sink()
        gateway = self.gateway(sink.endpoint)
        arrived = self.through(gateway, sink, self.client(gateway.smtp))
        self.assertRegex(arrived, rb"\AReceived: from client\.example \(\[127\.0\.0\.1\]\)\r\n"
                                  rb"\tby mx\.local\.example \(Postern\) with ESMTP\r\n")

    def test_a_message_over_starttls_reaches_the_sink(self):
        sink = self.sink()
        gateway = self.gateway(sink.endpoint)
        client = self.greeted(gateway.smtp)
        client.starttls()
        arrived = self.through(gateway, sink, client)
        self.assertIn(b"with ESMTPS\r\n\t(version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384)\r\n", arrived)

    def test_a_message_over_implicit_tls_reaches_the_sink(self):
        sink = self.sink()
        gateway = self.gateway(sink.endpoint)
        arrived = self.through(gateway, sink, self.client(gateway.smtps, tls=any_certificate()))
        self.assertIn(b"with ESMTPS\r\n", arrived)

    def test_a_message_over_ipv6_reaches_the_sink(self):
        where = fresh_endpoint6()
        if not where:
            self.skipTest("no IPv6 here")
        sink = self.sink()
        gateway = self.gateway(sink.endpoint, {"listen six": {"address": text(where)}})
        arrived = self.through(gateway, sink, self.client(where))
        self.assertIn(b"([IPv6:::1])", arrived)

    def test_the_sink_may_be_reached_over_ipv6(self):
        where = fresh_endpoint6()
        if not where:
            self.skipTest("no IPv6 here")
        back = self.backend(endpoint=where)
        gateway = self.gateway(where)
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250, "2.0.0")
        self.assert_same_below_our_block(back.wait_for(1)[0].body, MESSAGE)

    def test_several_listeners_with_several_addresses_serve_at_once(self):
        where = [fresh_endpoint() for _ in range(3)]
        gateway, back = self.pair({"listen more": {"address": " ".join(map(text, where[:2]))},
                                   "listen other": {"address": text(where[2]), "tls": "off"}})
        clients = [self.greeted(place) for place in (gateway.smtp, *where)]
        for client in clients:
            self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertEqual(len(back.wait_for(4)), 4)
        self.assertNotIn("STARTTLS", clients[3].ehlo().lines)
        for name, client in zip(("smtp", "more", "more", "other"), clients):
            client.quit()
            gateway.wait_log(event="connection", listener=name, client="127.0.0.1:%d" % client.port)

    def test_helo_still_works(self):
        gateway, back = self.pair()
        client = self.client(gateway.smtp)
        self.assert_reply(client.ask("HELO client.example"), 250)
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertIn(b" with SMTP\r\n", back.wait_for(1)[0].body)


class ProxyProtocol(Story):
    V2 = b"\r\n\r\n\0\r\nQUIT\n"

    def balanced(self):
        """A gateway behind a load balancer at 127.0.0.9."""
        where = fresh_endpoint()
        gateway, back = self.pair({"listen balanced": {"address": text(where), "proxy_from": "127.0.0.9"}})
        return where, gateway, back

    def assert_seen_as(self, client, gateway, back, address):
        client.greeting = client.reply()
        client.ehlo()
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertIn(b"([%s])" % address.encode(), back.wait_for(1)[0].body)
        client.quit()
        line = gateway.wait_log(event="connection")[0]
        self.assertTrue(line["client"].startswith(address.replace("IPv6:", "[")))
        self.assertTrue(line["peer"].startswith("127.0.0.9:"))

    def test_a_version_1_header_names_the_client(self):
        where, gateway, back = self.balanced()
        client = self.client(where, source="127.0.0.9", greeted=False)
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n")
        self.assert_seen_as(client, gateway, back, "192.0.2.7")

    def test_a_version_1_header_may_come_in_pieces(self):
        where, gateway, back = self.balanced()
        client = self.client(where, source="127.0.0.9", greeted=False)
        client.send(b"PR", b"OXY TCP6 2001:db8::7 2001:db8::1 4711 ", b"25\r", b"\n")
        self.assert_seen_as(client, gateway, back, "IPv6:2001:db8::7")

    def test_a_version_2_header_names_the_client(self):
        where, gateway, back = self.balanced()
        client = self.client(where, source="127.0.0.9", greeted=False)
        client.send(self.V2 + b"\x21\x11" + struct.pack("!H", 12) + socket.inet_aton("192.0.2.7") +
                    socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4711, 25))
        self.assert_seen_as(client, gateway, back, "192.0.2.7")

    def test_a_header_from_a_stranger_is_a_wrong_command(self):
        where, gateway, back = self.balanced()
        before = len(back.connections)
        client = self.client(where)
        self.assert_reply(client.ask("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25"), 521)
        self.assert_nothing_went_south(back, before)

    def test_the_balancer_must_send_a_header(self):
        where, gateway, back = self.balanced()
        client = self.client(where, source="127.0.0.9", greeted=False)
        client.send(b"EHLO balancer.example\r\n")
        self.assertEqual(client.rest(), b"")
        gateway.wait_log(event="proxy_header", why="not a PROXY header")

    def test_the_client_named_in_the_header_is_the_one_that_may_relay(self):
        where = fresh_endpoint()
        gateway, back = self.pair({"listen balanced": {"address": text(where), "proxy_from": "127.0.0.9"},
                                   "relay": {"networks": "127.0.0.9"}})
        client = self.client(where, source="127.0.0.9", greeted=False)
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n")
        client.reply(), client.ehlo(), client.mail()
        self.assert_reply(client.rcpt("v@other.example"), 550, "5.7.1")


class South(Story):
    """How the back end learns of the client, and is spoken to."""

    def delivered(self, gateway, back):
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        return back.wait_for(1)[0]

    def test_xclient_hands_the_client_over(self):
        gateway, back = self.pair({"backend": {"client_info": "xclient"}},
                                  keywords=("PIPELINING", "XCLIENT NAME ADDR PORT PROTO HELO"))
        message = self.delivered(gateway, back)
        self.assertEqual(message.connection.xclient["ADDR"], "127.0.0.1")
        self.assertEqual(message.connection.xclient["HELO"], "client.example")

    def test_a_version_1_header_goes_to_the_back_end(self):
        gateway, back = self.pair({"backend": {"client_info": "proxy-v1"}}, proxy=1)
        self.assertEqual(self.delivered(gateway, back).connection.proxied[0], "127.0.0.1")

    def test_a_version_2_header_goes_to_the_back_end(self):
        gateway, back = self.pair({"backend": {"client_info": "proxy-v2"}}, proxy=2)
        self.assertEqual(self.delivered(gateway, back).connection.proxied[0], "127.0.0.1")

    def test_recipients_are_routed_by_domain_one_back_end_per_transaction(self):
        other = self.backend()
        gateway, back = self.pair({"route other.example": {"servers": text(other.endpoint), "tls": "off"},
                                   "relay": {"domains": "local.example other.example"}})
        client = self.greeted(gateway.smtp)
        client.envelope()
        self.assert_reply(client.rcpt("w@other.example"), 452, "4.5.3")
        self.assert_reply(client.data(MESSAGE), 250)
        self.assert_reply(client.deliver(MESSAGE, recipients=("w@other.example",)), 250)
        self.assertEqual([back.wait_for(1)[0].rcpt, other.wait_for(1)[0].rcpt],
                         [[b"RCPT TO:<v@local.example>"], [b"RCPT TO:<w@other.example>"]])

    def test_when_the_first_server_is_down_the_next_one_serves(self):
        nobody = fresh_endpoint()
        back = self.backend()
        gateway = self.gateway(sections={"backend": {"servers": text(nobody) + " " + text(back.endpoint)}})
        self.delivered(gateway, back)
        gateway.wait_log(event="backend_down", backend=text(nobody))

    def test_without_any_server_clients_hear_421_at_once(self):
        gateway = self.gateway(fresh_endpoint())
        client = self.client(gateway.smtp)
        self.assert_reply(client.greeting, 421, "4.3.2")
        self.assertEqual(client.rest(), b"")

    def test_a_server_that_is_gone_at_the_first_recipient_costs_a_451(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        back.stop()
        client.mail()
        self.assert_reply(client.rcpt(), 451, "4.4.1")

    def test_a_server_that_comes_up_is_used_without_a_restart(self):
        gateway = self.gateway(fresh_endpoint(), {"timeouts": {"probe": "1s"}})
        where = gateway.sections["backend"]["servers"].rsplit(":", 1)
        self.assert_reply(self.client(gateway.smtp).greeting, 421)
        back = self.backend(endpoint=(where[0], int(where[1])))
        gateway.wait_log(2, event="backend_up")
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        self.assertEqual(len(back.messages), 1)

    def test_a_server_that_was_away_for_a_moment_is_looked_at_soon(self):
        gateway, back = self.pair({"timeouts": {"probe": "3600s"}})
        client = self.greeted(gateway.smtp)
        back.stop_listening()
        client.mail()
        self.assert_reply(client.rcpt(), 451, "4.4.1")
        n = len(gateway.log(event="backend_up"))
        self.backend(endpoint=back.endpoint)
        gateway.wait_log(n + 1, event="backend_up")

    def test_the_back_ends_words_are_passed_on(self):
        gateway, back = self.pair(answers={"RCPT": ["250 2.1.5 ok", "450 4.2.2 mailbox full", "550 5.1.1 nobody here"],
                                           ".": "554 5.6.0 do not like it"})
        client = self.greeted(gateway.smtp)
        client.envelope()
        self.assertRegex(repr(self.assert_reply(client.rcpt("w@local.example"), 450, "4.2.2")), "mailbox full")
        self.assertRegex(repr(self.assert_reply(client.rcpt("x@local.example"), 550, "5.1.1")), "nobody here")
        self.assertRegex(repr(self.assert_reply(client.data(MESSAGE), 554, "5.6.0")), "do not like it")

    def test_what_the_gateway_shows_is_what_both_can(self):
        gateway, _ = self.pair(keywords=("SIZE 12345678", "8BITMIME", "XFOO", "ETRN", "VRFY", "AUTH PLAIN", "CHUNKING"))
        words = {line.split(" ")[0] for line in self.client(gateway.smtp).ehlo().lines[1:]}
        self.assertEqual(words, {"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "STARTTLS", "CHUNKING", "LIMITS"})

    def test_size_is_the_smaller_of_both(self):
        gateway, _ = self.pair(keywords=("SIZE 12345678",))
        self.assertIn("SIZE 12345678", self.client(gateway.smtp).ehlo().lines)


class Bytes(Story):
    """Odd messages, which arrive as they were sent."""

    def assert_passes(self, message, parameters="", sections=None, **way):
        gateway, back = self.pair(sections)
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.deliver(message, parameters=parameters, **way), 250)
        self.assert_same_below_our_block(back.wait_for(1)[0].body, message)
        return back.messages[0]

    def test_lines_of_dots(self):
        self.assert_passes(b"Subject: dots\r\n\r\n" + b"".join(b"." * n + b"\r\n" for n in range(1, 2000, 7)) +
                           b".\r\n..\r\n.a\r\n. \r\n\r\n.\r\n")

    def test_a_dot_line_behind_every_buffer_edge(self):
        body = b"Subject: edges\r\n\r\n"
        for edge in (512, 998, 1000, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
            for at in range(edge - 2, edge + 3):
                line = b"x" * ((at - len(body) - 2) % 997) + b"\r\n"
                body += line + b".\r\n"
        self.assert_passes(body)

    def test_lines_of_998_octets(self):
        self.assert_passes(b"Subject: long\r\n\r\n" + (b"x" * 998 + b"\r\n") * 50)

    def test_lines_far_beyond_998_octets_pass_whole_or_are_refused(self):
        message = b"Subject: long\r\n\r\n" + b"x" * 20000 + b"\r\n." + b"y" * 70000 + b"\r\n"
        gateway, back = self.pair()
        reply = self.greeted(gateway.smtp).deliver(message)
        if reply.code == 250:
            self.assert_same_below_our_block(back.wait_for(1)[0].body, message)
        else:
            self.assertEqual((reply.code // 100, back.messages), (5, []))

    def test_every_octet_but_the_three_forbidden_ones(self):
        octets = bytes(i for i in range(1, 256) if i not in b"\r\n")
        self.assert_passes(b"Subject: octets\r\n\r\n" + octets + b"\r\n" + octets[::-1] + b"\r\n", " BODY=8BITMIME")

    def test_an_empty_message(self):
        self.assert_passes(b"")

    def test_a_message_without_a_body(self):
        self.assert_passes(b"Subject: no body\r\n")

    def test_a_header_section_and_nothing_below_it(self):
        self.assert_passes(b"Subject: no body\r\n\r\n")

    def test_a_message_without_a_header(self):
        self.assert_passes(b"\r\nonly a body\r\n")

    def test_a_message_that_ends_in_many_empty_lines(self):
        self.assert_passes(b"Subject: blank\r\n\r\n" + b"\r\n" * 5000)

    def test_first_lines_that_could_join_our_header_block_do_not(self):
        for first in (b" folded\r\n", b"\tfolded\r\n", b": nameless\r\n", b".\r\n", b"..\r\n", b".leading dot\r\n",
                      b"no colon at all\r\n"):
            with self.subTest(first=first):
                message = first + b"Subject: x\r\n\r\nbody\r\n"
                gateway, back = self.pair()
                reply = self.greeted(gateway.smtp).deliver(message)
                if reply.code == 250:
                    arrived = back.wait_for(1)[0].body
                    self.assert_starts_apart(arrived, message)
                else:
                    self.assertEqual((reply.code // 100, back.messages), (5, []))

    def assert_starts_apart(self, arrived, message):
        """ORACLE F-5: none of the client's lines continues a field of ours."""
        self.assertTrue(arrived.endswith(message))
        block = arrived[:len(arrived) - len(message)]
        self.assertTrue(block.endswith(b"\r\n"))
        self.assertFalse(message.startswith((b" ", b"\t")) and not block.endswith(b"\r\n\r\n"), block)

    def test_five_megabytes_are_streamed(self):
        line = bytes(range(33, 127)) * 8
        message = b"Subject: large\r\n\r\n" + b"".join(b"%06d " % n + line + b"\r\n" for n in range(6600))
        self.assertGreater(len(message), 5_000_000)
        self.assert_passes(message, " SIZE=%d" % len(message))

    def test_messages_around_the_limit_of_what_is_held(self):
        gateway, back = self.pair({"limits": {"hold": "64k"}})
        client = self.greeted(gateway.smtp)
        for size in (65530, 65535, 65536, 65537, 65540, 70000, 200000):
            body = b"Subject: size\r\n\r\n" + b"." * 61 + b"\r\n"
            message = body + b"x" * (size - len(body) - 2) + b"\r\n"
            self.assert_reply(client.deliver(message), 250)
            self.assert_same_below_our_block(back.messages[-1].body, message)

    def test_the_end_may_be_cut_anywhere(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        for cut in range(1, len(END)):
            client.envelope()
            self.assert_reply(client.ask("DATA"), 354)
            client.send(b"Subject: cut\r\n\r\nbody" + END[:cut], END[cut:])
            self.assert_reply(client.reply(), 250)
            self.assertTrue(back.messages[-1].body.endswith(b"\r\n\r\nbody\r\n"))
        self.assertEqual(len(back.messages), len(END) - 1)

    def test_a_message_in_pieces_of_one_octet(self):
        message = b"Subject: slow\r\n\r\n..\r\n.\r\nx\r\n"
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.envelope()
        client.ask("DATA")
        wire = stuffed(message)
        client.send(*[wire[i:i + 1] for i in range(len(wire))])
        self.assert_reply(client.reply(), 250)
        self.assert_same_below_our_block(back.messages[0].body, message)

    def test_a_session_may_be_one_segment_from_mail_to_quit(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\nRCPT TO:<w@local.example>\r\nDATA\r\n")
        self.assertEqual([reply.code for reply in client.replies(4)], [250, 250, 250, 354])
        client.send(stuffed(MESSAGE) + b"MAIL FROM:<b@sender.example>\r\nRCPT TO:<x@local.example>\r\nDATA\r\n")
        self.assertEqual([reply.code for reply in client.replies(4)], [250, 250, 250, 354])
        client.send(stuffed(MESSAGE) + b"QUIT\r\n")
        self.assertEqual([reply.code for reply in client.replies(2)], [250, 221])
        self.assertEqual([len(message.rcpt) for message in back.wait_for(2)], [2, 1])

    def test_chunks_arrive_as_one_message(self):
        message = b"Subject: chunks\r\n\r\n.\r\n..x\r\n" + b"y" * 3000 + b"\r\n"
        for keywords in (("CHUNKING", "PIPELINING"), ("PIPELINING",)):
            with self.subTest(back_end=keywords):
                gateway, back = self.pair(keywords=keywords)
                client = self.greeted(gateway.smtp)
                client.envelope()
                for piece in (message[:20], message[20:21], message[21:]):
                    client.send(b"BDAT %d\r\n" % len(piece), piece)
                    self.assert_reply(client.reply(), 250)
                self.assert_reply(client.ask("BDAT 0 LAST"), 250)
                self.assert_same_below_our_block(back.wait_for(1)[0].body, message)

    def test_parameters_go_on_as_far_as_the_back_end_has_them(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.mail("a@sender.example", " SIZE=200 BODY=8BITMIME RET=HDRS ENVID=abc+2Bdef")
        client.rcpt("v@local.example", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;v@local.example")
        self.assert_reply(client.data(MESSAGE), 250)
        message = back.messages[0]
        self.assertEqual(set(message.mail.split(b" ")[2:]), {b"BODY=8BITMIME", b"RET=HDRS", b"ENVID=abc+2Bdef",
                                                             *re.findall(rb"SIZE=\d+", message.mail)})
        self.assertEqual(set(message.rcpt[0].split(b" ")[2:]), {b"NOTIFY=SUCCESS,DELAY", b"ORCPT=rfc822;v@local.example"})

    def test_addresses_outside_ascii_pass_with_smtputf8(self):
        gateway, back = self.pair({"relay": {"domains": "local.example bücher.example"}})
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.mail("ä@sender.example", " SMTPUTF8"), 250)
        self.assert_reply(client.rcpt("ö@bücher.example"), 250)
        self.assert_reply(client.data(MESSAGE), 250)
        self.assertIn("ö@".encode(), back.messages[0].rcpt[0])
        self.assertIn(b" SMTPUTF8", back.messages[0].mail)

    def test_forged_results_of_ours_are_removed_and_those_of_others_stay(self):
        gateway, back = self.pair()
        forged = b"Authentication-Results: mx.local.example;\r\n dkim=pass header.d=bank.example\r\n"
        other = b"Authentication-Results: mx.sender.example; spf=pass\r\n"
        rest = b"From: a@sender.example\r\n\r\nAuthentication-Results: mx.local.example; in the body\r\n"
        deliver(gateway.smtp, other + forged + rest)
        self.assert_same_below_our_block(back.messages[0].body, other + rest)


@unittest.skipUnless(SUITE.is_dir(), "the published messages are not here: " + str(SUITE))
class PublishedMessages(Story):
    """Odd and broken messages that others have collected, one transaction each."""

    def test_each_arrives_as_it_was_sent_or_is_refused_for_its_framing(self):
        gateway, back = self.pair({"limits": {"errors": 200}, "attachment": {"mode": "reject"}})
        client = self.greeted(gateway.smtp)
        passed = 0
        for path in sorted(SUITE.glob("*.eml")):
            original = path.read_bytes()
            message = re.sub(rb"\r\n|\n", b"\r\n", original)    # as any sender would put the file on the wire
            if not message.endswith(b"\r\n"):
                message += b"\r\n"
            with self.subTest(path.name):
                n = len(back.messages)
                reply = client.deliver(message, parameters=" BODY=8BITMIME")
                if re.search(rb"\r(?!\n)|\0", message):
                    self.assert_reply(reply, 550, "5.5.2")
                    self.assertEqual(len(back.messages), n)
                    continue
                self.assert_reply(reply, 250)
                self.assert_same_below_our_block(back.messages[n].body, message)
                passed += 1
        self.assertGreater(passed, 40)


if __name__ == "__main__":
    main(__name__)
