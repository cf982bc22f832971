#!/usr/bin/env python3
"""The brown-out over sockets (check_brownout.c, servers.c): a mail server that stops is noticed before any wait for it times out,
and it ends by itself."""
import contextlib
import socket
import time

from parts.place import until
from parts.story import MESSAGE, Story, main

SLOW = {"server": {"workers": "1"}, "brownout": {"mode": "reject", "slow": "3s", "very_slow": "30s"}}


class Brownout(Story):
    def waiting(self, gateway):
        """A client whose RCPT is not answered."""
        client = self.client(gateway.smtp)
        client.ehlo()
        self.assert_reply(client.mail("a@sender.example"), 250)
        client.send(b"RCPT TO:<b@local.example>\r\n")
        return client

    def greeting(self, gateway):
        client = self.client(gateway.smtp, greeted=False)
        reply = client.reply()
        client.close()
        return reply

    def test_a_server_that_stops_is_left_alone_and_tried_again(self):
        gateway, back = self.pair(SLOW)
        back.answers["RCPT"] = None
        waiting = [self.waiting(gateway) for _ in range(3)]
        until(lambda: len(back.recipients()) == 3, "three wait")
        time.sleep(3.5)
        self.assert_reply(self.greeting(gateway), 220)
        waiting.append(self.waiting(gateway))
        until(lambda: self.greeting(gateway).code == 421, "the fourth makes it a standstill")
        self.assert_reply(self.greeting(gateway), 421, "4.3.2")
        heard = len(back.connections)
        self.assert_reply(self.greeting(gateway), 421, "4.3.2")
        self.assertEqual(len(back.connections), heard)
        self.assertTrue(gateway.log(event="refused", check="brownout"))
        del back.answers["RCPT"]
        for connection in back.connections:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for client in waiting:
            self.assert_reply(client.reply(), 451)
        self.assert_reply(self.greeting(gateway), 220)
        client = self.client(gateway.smtp)
        client.ehlo()
        self.assert_reply(client.deliver(MESSAGE), 250)


if __name__ == "__main__":
    main(__name__)
