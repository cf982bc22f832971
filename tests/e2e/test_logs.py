#!/usr/bin/env python3
"""The log: one line each, true to the wire, and never a raw byte of it (ORACLE L-1 to L-4)."""

from parts.story import MESSAGE, Story, main
from parts.wire import Client, any_certificate, deliver

HOSTILE = [
    b"EHLO \x1b]0;owned\x07", b"EHLO a\tb", b"EHLO %s%n%x%n", b"EHLO x;drop", b"EHLO \"quoted\" \\back\\slash",
    b"EHLO x event=transaction outcome=accepted", b"EHLO x\ntime=2026-01-01T00:00:00Z event=transaction outcome=accepted",
    b"EHLO x\rlevel=info", b"EHLO \xc2\x9b31m", b"EHLO \xe2\x80\xa8next", b"EHLO \xff\xfe", b"EHLO " + b"y" * 1900,
    b"MAIL FROM:<\x1b[31m@x.example>", b"MAIL FROM:<\"a\\\"b\\\\c\"@x.example>", b"MAIL FROM:<a@b.example> X=\"}{\"",
    b"MAIL FROM:<\"event=x \\\" outcome=accepted\"@x.example>", b"RCPT TO:<\"\x85\"@local.example>",
    b"RCPT TO:<\"a=b c\\\"d\"@other.example>", b"RCPT TO:<v@other.example\x9b>", b"\x1b\x1b\x1b", b"NOOP \x00\x01\x02",
    b"VRFY \xf0\x9f\x92\xa3", b"HELP \\x1b\\n", b"MAIL FROM:<>", b"RCPT TO:<" + b"z" * 200 + b"@other.example>",
]


class Lines(Story):
    def check_lines(self, raw):
        """L-2: printable ASCII, one record a line, at most 8 kB."""
        for line in raw.split(b"\n")[:-1]:
            self.assertRegex(line, rb"\A[\x20-\x7e]*\Z")
            self.assertLess(len(line), 8000)

    def play_hostile(self, gateway):
        for line in HOSTILE:
            with Client(gateway.smtp) as client:
                if not line.startswith(b"EHLO"):
                    client.ehlo()
                client.send(line + b"\r\n", b"QUIT\r\n")
                client.rest()
        gateway.wait_log(len(HOSTILE), event="connection")

    def test_hostile_names_and_paths_are_escaped(self):
        gateway, _ = self.pair()
        self.play_hostile(gateway)
        self.check_lines(gateway.raw())
        gateway.lines()     # each is logfmt, no key twice
        self.assertEqual(gateway.log(event="transaction", outcome="accepted"), [])

    def test_the_same_in_json(self):
        gateway, _ = self.pair({"log": {"format": "json"}})
        self.play_hostile(gateway)
        self.check_lines(gateway.raw())
        self.assertGreater(len(gateway.lines()), len(HOSTILE))

    def test_the_same_at_level_debug(self):
        gateway, _ = self.pair({"log": {"level": "debug"}})
        self.play_hostile(gateway)
        self.check_lines(gateway.raw())
        gateway.lines()

    def test_hostile_words_of_the_back_end_are_escaped_on_both_ways(self):
        words = b"550 5.1.1 \x1b[31mno\tsuch \xc2\x9b user \"x\" event=transaction\r\n"
        gateway, _ = self.pair(answers={"RCPT": words})
        client = self.greeted(gateway.smtp)
        client.mail()
        self.assert_reply(client.rcpt(), 550, "5.1.1")      # the client checks that it is printable ASCII
        client.quit()
        gateway.wait_log(event="connection")
        self.check_lines(gateway.raw())

    def test_one_line_for_each_connection_and_each_transaction(self):
        gateway, back = self.pair({"limits": {"sessions_per_address": 4}})
        waiting = [self.greeted(gateway.smtp) for _ in range(3)]
        with Client(gateway.smtp) as client:            # two messages, one refused at its end
            client.ehlo()
            self.assert_reply(client.deliver(MESSAGE), 250)
            self.assert_reply(client.deliver(b"Subject: x\r\n\r\nbare\nLF\r\n"), 550)
            client.envelope()
            client.ask("RSET")                          # one taken back
            client.envelope()                           # one left behind
            self.assert_reply(self.client(gateway.smtp).greeting, 421)
        waiting[0].quit()
        waiting[1].reset()
        waiting[2].close()
        lines = gateway.wait_log(5, event="connection")
        self.assertEqual(len({line["id"] for line in lines}), 5)
        outcomes = [line["outcome"] for line in gateway.log(event="transaction")]
        self.assertEqual(outcomes, ["accepted", "rejected", "aborted", "aborted"])
        numbers = [line["tx"] for line in gateway.log(event="transaction")]
        self.assertEqual(numbers, ["1", "2", "3", "4"])

    def test_as_many_accepted_in_the_log_as_on_the_wire(self):
        gateway, back = self.pair(answers={".": ["250 2.0.0 ok", "451 4.3.0 later", "554 5.6.0 no", "250 2.0.0 ok"]})
        replies = [deliver(gateway.smtp, MESSAGE).code for _ in range(8)]
        gateway.wait_log(8, event="connection")
        self.assertEqual(replies.count(250), len(gateway.log(event="transaction", outcome="accepted")))
        self.assertEqual(len(back.messages), replies.count(250))
        self.assertEqual([len(gateway.log(event="transaction", outcome=word)) for word in ("tempfailed", "rejected")], [1, 1])

    def test_the_lines_agree_with_the_wire(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtps, tls=any_certificate())
        self.assert_reply(client.deliver(MESSAGE, recipients=("v@local.example", "w@local.example")), 250)
        client.quit()
        transaction, = gateway.wait_log(event="transaction")
        self.assertEqual({key: transaction[key] for key in ("client", "helo", "from", "to", "recipients", "size", "protocol", "tls")},
                         {"client": "127.0.0.1:%d" % client.port, "helo": "client.example", "from": "a@sender.example",
                          "to": "v@local.example", "recipients": "2", "size": str(len(MESSAGE)), "protocol": "ESMTPS",
                          "tls": "TLS1_3"})
        self.assertIn(transaction["id"].encode(), back.messages[0].body)
        connection, = gateway.wait_log(event="connection")
        self.assertEqual((connection["id"], connection["accepted"], connection["end"]), (transaction["id"], "1", "quit"))

    def test_the_lines_name_both_ends_of_both_connections(self):
        gateway, back = self.pair()
        deliver(gateway.smtp, MESSAGE)
        transaction, = gateway.wait_log(event="transaction")
        connection, = gateway.wait_log(event="connection")
        self.assertEqual(transaction["client"], connection["client"])
        self.assertEqual(connection["address"], "%s:%d" % gateway.smtp[:2])
        self.assertEqual(transaction["backend"], "%s:%d" % back.endpoint[:2])
        self.assertEqual(transaction["via"], "%s:%d" % back.messages[0].connection.peer[:2])
        self.assertNotIn("peer", connection)

    def test_no_octet_of_a_message_is_in_the_log_at_any_level(self):
        gateway, _ = self.pair({"log": {"level": "debug"}})
        deliver(gateway.smtp, b"Subject: confidential-subject\r\n\r\nconfidential-body\r\n")
        gateway.wait_log(event="connection")
        self.assertNotIn("confidential", gateway.text())


if __name__ == "__main__":
    main(__name__)
