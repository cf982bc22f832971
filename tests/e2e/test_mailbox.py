#!/usr/bin/env python3
"""The forms of test_author.py with a real mail server behind the gateway: what lies in the mailbox in the end has one reading."""
from parts.real import OpenSmtpd, Postfix
from parts.story import main
from test_author import ROWS, VICTIM, WAYS, Judging


class Mailbox(Judging):
    def fill(self, server):
        """Each form, in turn in each way; how many have got through."""
        self.addCleanup(server.stop)
        self.start(server)
        taken = 0
        for at, (what, header, expected) in enumerate(ROWS):
            sender, name = WAYS[at % len(WAYS)]
            if (sender, name) == ("", VICTIM):
                sender = "a@attack.example"
            with self.subTest(what), self.client(self.gate.smtp) as attacker:
                attacker.ehlo(name)         # in a session of its own: Postfix counts the RSETs of one
                reply = attacker.deliver(header + b"\r\nbody\r\n", sender=sender)
                self.assertEqual(reply.code, 550 if expected.startswith("5.") or expected == VICTIM else 250, reply)
                taken += reply.code == 250
                attacker.quit()
        return taken

    def assert_mailbox(self, server, taken):
        self.assertGreater(taken, 25)
        for message in server.wait_for(taken):
            self.assert_not_fooled(message)
        self.assertEqual(len(server.messages()), taken)

    def test_of_postfix(self):
        postfix = Postfix()
        self.assert_mailbox(postfix, self.fill(postfix))

    def test_of_opensmtpd(self):
        opensmtpd = OpenSmtpd()
        self.assert_mailbox(opensmtpd, self.fill(opensmtpd))


if __name__ == "__main__":
    main(__name__)
