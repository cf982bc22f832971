#!/usr/bin/env python3
"""Smuggling: whatever some parser somewhere takes for an end of data, one message stays one message (ATTACKS A; ORACLE F-1 to
F-4). The lenient servers are real: Debian's Postfix 3.7 and OpenSMTPD as they come."""
import collections
import itertools
import re

from parts.place import until
from parts.real import OpenSmtpd, Postfix
from parts.story import Story, main
from parts.wire import Client, any_certificate, deliver

LINE_ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\0\r\n", b"\r\0\n", b"\x0b", b"\x0c", b"\x1a", b"\x1c", b"\x85",
             b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\r\n\0", b" \r\n", b"\t\r\n"]
SEQUENCES = [before + b"." + behind for before, behind in itertools.product(LINE_ENDS, repeat=2)
             if b"\r\n.\r\n" not in before + b"." + behind]
SEQUENCES += [b"\r\n.\r\r\n", b"\r\n.\r.\r\n", b"\r\n\r.\r\n", b"\n.\n.\n", b"\r\n. .\r\n", b"\r\n..\r\n", b"\r\n.\0.\r\n"]
# The ones that real servers have fallen for; the others are near relatives.
KNOWN = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n",
         b"\r\n.\r\r\n"]
LENIENT = re.compile(rb"\r\r\n|\r\n|\r|\n|\0|\x0b|\x0c|\xc2\x85|\x85|\x1a|\xe2\x80[\xa8\xa9]")


def forged(sequence, token=b"t"):
    """The bytes of a DATA that hides a second transaction behind the sequence."""
    return (b"Subject: " + token + b"-outer\r\n\r\nbody" + sequence +
            b"MAIL FROM:<smuggler@sender.example>\r\nRCPT TO:<v@local.example>\r\nDATA\r\n"
            b"Subject: " + token + b"-inner\r\n\r\nsmuggled\r\n.\r\n")


class Wire(Story):
    """On the wire to a strict back end that keeps every byte."""
    totals = collections.Counter()

    @classmethod
    def tearDownClass(cls):
        print("smuggling, strict back end: %d transactions sent, %d refused, %d accepted, %d messages delivered" % (
            cls.totals["sent"], cls.totals["refused"], cls.totals["accepted"], cls.totals["delivered"]), flush=True)

    def send(self, client, pieces):
        """One transaction, which must get one final reply, and the session must go on in step."""
        client.envelope()
        client.ask("DATA")
        client.send(*pieces)
        reply = client.reply()
        self.assert_reply(client.ask("NOOP"), 250)      # a second reply, or commands that ran, would show here
        return reply

    def assert_no_second_end(self, raw):
        """F-1 and F-2 on the bytes between 354 and the end of data in the south."""
        self.assertIsNone(re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw), raw)
        lenient = LENIENT.sub(b"\r\n", b"\r\n" + raw + b".\r\n")
        self.assertEqual(lenient.count(b"\r\n.\r\n"), 1, raw)

    def play(self, client, back, sequence, pieces):
        before = len(back.messages), len(back.seen())
        reply = self.send(client, pieces)
        arrived = back.messages[before[0]:]
        verbs = [line[:4].upper() for line in back.seen()[before[1]:]]
        self.totals.update(sent=1, delivered=len(arrived), **{"accepted" if reply.code == 250 else "refused": 1})
        self.assertLessEqual(verbs.count(b"MAIL"), 1)
        self.assertLessEqual(verbs.count(b"DATA"), 1)
        if reply.code == 250:
            self.assertEqual(len(arrived), 1)
            self.assert_no_second_end(arrived[0].raw)
        else:
            self.assert_reply(reply, 550, "5.5.2")
            self.assertEqual(arrived, [])
        return reply

    def open(self, mode, hold="1M", tls=False):
        gateway, back = self.pair({"framing": {"mode": mode}, "limits": {"errors": 10000, "junk": 10000, "hold": hold,
                                                                         "transactions": 100000}})
        return self.greeted(gateway.smtps if tls else gateway.smtp, tls=any_certificate() if tls else None), back

    def test_every_false_end_is_refused_or_passed_on_harmless(self):
        client, back = self.open("reject")
        for sequence in SEQUENCES:
            with self.subTest(sequence=sequence):
                reply = self.play(client, back, sequence, [forged(sequence)])
                if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", sequence):
                    self.assertEqual(reply.code, 550)

    def test_every_false_end_is_repaired_or_refused_when_normalising(self):
        client, back = self.open("normalise")
        for sequence in SEQUENCES:
            with self.subTest(sequence=sequence):
                self.play(client, back, sequence, [forged(sequence)])

    def test_the_same_while_streaming(self):
        for mode in ("reject", "normalise"):
            client, back = self.open(mode, hold="0")
            for sequence in SEQUENCES[::3] + KNOWN:
                with self.subTest(mode=mode, sequence=sequence):
                    self.play(client, back, sequence, [b"Subject: x\r\n\r\n" + b"y" * 70000 + b"\r\n" + forged(sequence)])

    def test_known_ones_cut_at_every_octet(self):
        for mode, tls in itertools.product(("reject", "normalise"), (False, True)):
            client, back = self.open(mode, tls=tls)
            for sequence in KNOWN:
                wire = forged(sequence)
                at = wire.index(sequence)
                for cut in range(at, at + len(sequence) + 1):
                    with self.subTest(mode=mode, tls=tls, sequence=sequence, cut=cut - at):
                        self.play(client, back, sequence, [wire[:cut], wire[cut:]])

    def test_known_ones_at_every_buffer_edge(self):
        client, back = self.open("reject")
        for sequence, edge in itertools.product(KNOWN, (512, 998, 1000, 1024, 4096, 8192, 16384, 32768, 65536)):
            for shift in (-2, -1, 0, 1):
                with self.subTest(sequence=sequence, edge=edge, shift=shift):
                    wire = forged(sequence)
                    at = wire.index(sequence)
                    filler = b"X-Filler: " + b"f" * (edge + shift - at - 12) + b"\r\n" if edge > at + 20 else b""
                    self.play(client, back, sequence, [filler + wire])

    def test_a_device_that_cannot_do_better_is_repaired_and_nobody_else(self):
        gateway, back = self.pair({"framing": {"normalise": "127.0.0.88"}})
        message = b"Subject: device\n\nline\rline\0\n"
        device = self.greeted(gateway.smtp, source="127.0.0.88")
        self.assert_reply(self.send(device, [message + b"\r\n.\r\n"]), 250)
        self.assertTrue(back.messages[0].body.endswith(b"Subject: device\r\n\r\nline\r\nline\r\n\r\n"))
        self.assert_reply(self.send(self.greeted(gateway.smtp), [message + b"\r\n.\r\n"]), 550, "5.5.2")

    def test_chunks_hide_nothing_either(self):
        gateway, back = self.pair({"limits": {"errors": 1000}}, keywords=("CHUNKING", "PIPELINING"))
        client = self.greeted(gateway.smtp)
        for sequence in KNOWN + [b"\r\n.\r\n"]:
            for halves in ((0, 100000), (3, 100000), (len(b"Subject: t-outer\r\n\r\nbody") + 1, 100000)):
                with self.subTest(sequence=sequence, cut=halves[0]):
                    n = len(back.messages)
                    client.envelope()
                    wire = forged(sequence)
                    first, second = wire[:halves[0]], wire[halves[0]:]
                    client.send(b"BDAT %d\r\n" % len(first) + first)
                    client.reply()
                    client.send(b"BDAT %d LAST\r\n" % len(second) + second)
                    reply = client.reply()
                    self.assert_reply(client.ask("NOOP"), 250)
                    self.assertEqual(len(back.messages) - n, int(reply.code == 250))
                    if reply.code == 250:
                        self.assertTrue(back.messages[-1].body.endswith(wire))
                    client.ask("RSET")

    def test_a_message_by_chunks_to_a_back_end_that_takes_data_is_stuffed(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.envelope()
        wire = forged(b"\r\n.\r\n")
        client.send(b"BDAT %d LAST\r\n" % len(wire) + wire)
        self.assert_reply(client.reply(), 250)
        self.assertEqual(len(back.messages), 1)
        self.assertTrue(back.messages[0].body.endswith(wire))
        self.assert_no_second_end(back.messages[0].raw)


class LenientServers(Story):
    """The servers deliver what they take for a second message when nobody stands before them, and never behind Postern."""

    def subjects(self, server):
        """The Subject of each message in the mailbox: only real header sections count."""
        heads = [message.split(b"\r\n\r\n", 1)[0] for message in server.messages()]
        return [subject for head in heads for subject in re.findall(rb"(?m)^Subject: (\S+)", head)]

    def cut_short(self, server):
        """The outer messages that arrived without their forged half: the server has taken a false end for a true one."""
        return {subject[1] for message in server.messages() for subject in [re.search(rb"Subject: (\S+)-outer", message)]
                if subject and subject[1] + b"-inner" not in message}

    def send(self, where, sequence, token):
        """Returns the code of the first final reply to the message."""
        with Client(where) as client:
            client.ehlo()
            client.envelope()
            client.ask("DATA")
            wire = forged(sequence, token)
            end = wire.index(sequence) + len(sequence)
            client.send(wire[:end], wire[end:])
            code = client.reply().code
            client.send(b"QUIT\r\n")
            client.rest()
            return code

    def settle(self, server, where, name):
        """A last message: when it has arrived, and the queue is empty, nothing more is to come."""
        self.assert_reply(deliver(where, b"Subject: last-" + name + b"\r\n\r\nx\r\n"), 250)
        until(lambda: b"last-" + name in self.subjects(server) and server.is_idle(), "the queue is empty")

    def control(self, make, sequences):
        """What becomes of them without Postern, in a server of its own: nobody but the gateway talks to the other one."""
        server = make()
        self.addCleanup(server.stop)
        for n, sequence in enumerate(sequences):
            self.send(server.endpoint, sequence, b"direct%d" % n)
        self.settle(server, server.endpoint, b"direct")
        self.assertGreaterEqual(len(self.cut_short(server)), 3, "this server is not lenient: the test proves nothing")
        self.tell(server, "directly", sequences, [b"direct%d" % n for n in range(len(sequences))])
        server.stop()       # one of a kind at a time

    def judge(self, make, sequences):
        self.control(make, sequences)
        for mode in ("reject", "normalise"):
            self.judge_mode(make, sequences, mode)

    def judge_mode(self, make, sequences, mode):
        """A server for each gateway: whatever comes to it comes from this one."""
        server = make()
        self.addCleanup(server.stop)
        gateway = self.gateway(server.endpoint, {"framing": {"mode": mode}, "backend": {"tls": "off"}})
        tokens = [b"%s%d" % (mode.encode(), n) for n in range(len(sequences))]
        codes = {token: self.send(gateway.smtp, sequence, token) for token, sequence in zip(tokens, sequences)}
        self.settle(server, gateway.smtp, mode.encode())
        subjects, short = self.subjects(server), self.cut_short(server)
        for (token, code), sequence in zip(codes.items(), sequences):
            with self.subTest(token=token, sequence=sequence):
                self.assertEqual(subjects.count(token + b"-outer"), int(code == 250))
                self.assertNotIn(token + b"-inner", subjects)
                self.assertNotIn(token, short)
        accepted = sum(code == 250 for code in codes.values())
        self.tell(server, "through Postern (%s)" % mode, sequences, codes,
                  ", %d accepted, %d refused" % (accepted, len(codes) - accepted))
        server.stop()

    def tell(self, server, how, sequences, tokens, more=""):
        """What is really in the mailbox: outer messages are the sender's, inner ones are smuggled."""
        subjects, short = self.subjects(server), self.cut_short(server)
        print("smuggling, %s %s: %d sequences, %d messages sent%s, %d delivered, %d of them cut short, %d smuggled" % (
            type(server).__name__, how, len(sequences), len(tokens), more,
            sum(subjects.count(token + b"-outer") for token in tokens), sum(token in short for token in tokens),
            sum(subjects.count(token + b"-inner") for token in tokens)), flush=True)

    def test_postfix_with_its_default_configuration(self):
        self.judge(lambda: Postfix(smtpd_client_connection_rate_limit="0"), KNOWN + SEQUENCES[::12])

    def test_opensmtpd(self):
        self.judge(OpenSmtpd, KNOWN + SEQUENCES[::12])


if __name__ == "__main__":
    main(__name__)
