#!/usr/bin/env python3
"""Custody: 250 in the north only after 250 in the south, every doubt is a 4xx, and killing any process loses nothing that was
answered 250 (ORACLE A-1 to A-12, table 6; ATTACKS N, O1)."""
import contextlib
import itertools
import os
import random
import signal
import socket
import threading
import time

from parts.backend import CLOSE
from parts.gateway import Gateway, status_of
from parts.place import LIMIT, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client, Gone, any_certificate, stuffed


def reset(connection, _):
    """An answer of the back end: RST."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.sock.close()
    return CLOSE


def keep_and_close(connection, message):
    """The back end has committed the message, and its answer is lost (X2)."""
    connection.backend.messages.append(message)
    return CLOSE


class Endings(Story):
    """Table 6 of ORACLE on the real wires."""

    def reply_to(self, answer, keywords=("PIPELINING",)):
        gateway, back = self.pair(answers={".": answer}, keywords=keywords)
        client = self.greeted(gateway.smtp)
        reply = client.deliver(MESSAGE)
        return reply, gateway, back, client

    def test_a_lost_answer_is_a_451_and_the_log_says_unknown(self):
        reply, gateway, back, _ = self.reply_to(keep_and_close)
        self.assert_reply(reply, 451, "4.4.2")
        self.assertEqual(len(back.messages), 1)
        gateway.wait_log(event="transaction", outcome="unknown")

    def test_whatever_is_no_good_answer_is_a_451(self):
        for answer in (CLOSE, reset, b"25\r\n", b"2500 x\r\n", b"hello\r\n", b"\0\0\0\r\n", b"999 x\r\n", b"354 go on\r\n",
                       b"150 wait\r\n", b"334 x\r\n", b"250-a\r\n550 b\r\n", b"250-" + b"x" * 100000 + b"\r\n",
                       b"250-x\r\n" * 20000 + b"250 x\r\n", b"250 \xff" * 2000 + b"\r\n"):
            with self.subTest(answer=answer if callable(answer) or answer is CLOSE else answer[:20]):
                reply, gateway, back, _ = self.reply_to(answer)
                self.assertEqual(reply.code // 10, 45, repr(reply))
                self.assertEqual(gateway.log(event="transaction", outcome="accepted"), [])

    def test_a_two_hundred_of_any_kind_is_a_250(self):
        for answer in (b"250 ok\r\n", b"251 fine\r\n", b"250-one\r\n250 two\r\n", b"250\r\n", b"250 2.0.0 \x1b[0m\r\n"):
            with self.subTest(answer=answer):
                self.assert_reply(self.reply_to(answer)[0], 250, "2.0.0")

    def test_the_back_end_goes_away_in_mid_message(self):
        gone = threading.Event()

        def leave(connection, _):
            connection.say("354 go on")
            gone.wait(5)
            return CLOSE
        gateway, back = self.pair({"limits": {"hold": "0"}}, answers={"DATA": leave})
        client = self.greeted(gateway.smtp)
        client.envelope()
        client.ask("DATA")
        client.send(b"Subject: x\r\n\r\n" + b"x" * 900 + b"\r\n")
        gone.set()
        client.send((b"y" * 900 + b"\r\n") * 300 + b".\r\n")
        self.assertEqual(client.reply().code // 10, 45)
        self.assertEqual(back.messages, [])
        self.assert_reply(client.ask("NOOP"), 250)

    def test_a_refusal_of_data_is_the_answer_to_its_end(self):
        gateway, back = self.pair(answers={"DATA": "452 4.3.1 no room"})
        self.assert_reply(self.greeted(gateway.smtp).deliver(MESSAGE), 452, "4.3.1")

    def test_a_back_end_that_shuts_down_is_a_451(self):
        for verb in ("MAIL", "RCPT"):
            gateway, back = self.pair(answers={verb: "421 4.3.2 shutting down"})
            client = self.greeted(gateway.smtp)
            client.mail()
            self.assertIn(client.rcpt().code, (451, 421))

    def test_replies_nobody_asked_for_end_the_connection_and_shift_nothing(self):
        gateway, back = self.pair(answers={"RCPT": b"250 2.1.5 ok\r\n250 2.0.0 early\r\n"})
        client = self.greeted(gateway.smtp)
        client.mail()
        first = client.rcpt()
        reply = client.data(MESSAGE) if first.code == 250 else first
        self.assertEqual(reply.code // 10, 45, repr(reply))
        self.assertEqual(back.messages, [])

    def test_a_client_that_leaves_behind_its_end_gets_its_message_delivered_once(self):
        for leave in (Client.close, Client.reset):
            gateway, back = self.pair()
            client = self.greeted(gateway.smtp)
            client.envelope()
            client.ask("DATA")
            client.send(stuffed(MESSAGE))
            back.wait_for(1) if leave is Client.reset else None
            leave(client)
            back.wait_for(1)
            gateway.wait_log(event="connection")
            self.assertEqual(len(back.messages), 1)

    def test_a_half_closed_client_gets_its_whole_answer(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.envelope()
        client.ask("DATA")
        client.send(stuffed(MESSAGE))
        client.finish()
        self.assert_reply(client.reply(), 250)
        self.assertEqual(len(back.messages), 1)

    def test_quit_behind_the_end_is_answered_in_order(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        client.envelope()
        client.ask("DATA")
        client.send(stuffed(MESSAGE) + b"QUIT\r\n")
        self.assertEqual([reply.code for reply in client.replies(2)], [250, 221])
        self.assertEqual(client.rest(), b"")

    def test_a_slow_back_end_is_a_451_at_the_bound(self):
        gateway, back = self.pair({"timeouts": {"south_end": "1s"}}, answers={".": None})
        self.assert_reply(self.greeted(gateway.smtp).deliver(MESSAGE), 451, "4.4.2")
        gateway.wait_log(event="transaction", outcome="unknown")

    def test_an_answer_that_came_while_the_worker_stood_still_counts(self):
        def answer_to_a_standing_worker(*_):
            os.kill(pid, signal.SIGSTOP)
            timer = threading.Timer(2, os.kill, (pid, signal.SIGCONT))      # twice as long as an answer may take
            timer.start()
            self.addCleanup(timer.join)
            return "250 2.0.0 ok"
        gateway, back = self.pair({"server": {"workers": 1}, "timeouts": {"south_end": "1s"}}, answers={".": answer_to_a_standing_worker})
        client = self.greeted(gateway.smtp)
        pid, = gateway.workers()
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertEqual(len(back.messages), 1)

    def test_retries_are_not_deduplicated(self):
        gateway, back = self.pair(answers={".": [keep_and_close, "250 2.0.0 ok"]})
        client = self.greeted(gateway.smtp)
        self.assert_reply(client.deliver(MESSAGE), 451)
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertEqual(len(back.messages), 2)


class Cuts(Story):
    """A client that is cut off before its end of data delivers nothing, wherever the cut is (A-6)."""

    def cut_everywhere(self, hold, tls, cut):
        gateway, back = self.pair({"limits": {"hold": hold, "sessions_per_address": 200}})
        body = b"Subject: cut\r\n\r\n" + b"z" * 40 + b"\r\n..\r\n"
        session = (b"EHLO client.example\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\nDATA\r\n")
        wire = stuffed(body)
        for at in itertools.chain(range(0, len(session), 9), range(len(session), len(session) + len(wire))):
            client = self.client(gateway.smtps if tls else gateway.smtp, tls=any_certificate() if tls else None)
            with contextlib.suppress(Gone):
                for line in session[:at].splitlines(True):
                    client.send(line)
                    if line.endswith(b"\n"):
                        client.reply()
                if at > len(session):
                    client.send(wire[:at - len(session)])
            cut(client)
        gateway.wait_log(len(range(0, len(session), 9)) + len(wire), event="connection")
        self.assertEqual(back.messages, [])
        self.assertFalse(any(b"\r\n.\r\n" in south.discarded for south in back.connections))
        self.assert_reply(self.greeted(gateway.smtp).deliver(MESSAGE), 250)

    def test_held_messages_cut_by_a_reset(self):
        self.cut_everywhere("1M", False, Client.reset)

    def test_streamed_messages_cut_by_a_reset(self):
        self.cut_everywhere("0", False, Client.reset)

    def test_streamed_messages_cut_by_a_close(self):
        self.cut_everywhere("0", False, Client.close)

    def test_streamed_messages_cut_by_a_half_close(self):
        self.cut_everywhere("0", False, Client.finish)

    def test_streamed_messages_inside_tls_cut_by_a_reset(self):
        self.cut_everywhere("0", True, Client.reset)


class BackEndCuts(Story):
    """A back end that is gone after any octet it has said (ATTACKS N05): 250 only where the whole 250 came."""

    def test_gone_after_any_octet_of_its_answers(self):
        gateway, back = self.pair({"timeouts": {"probe": "1s"}, "limits": {"sessions_per_address": 1000}}, keywords=("8BITMIME",))
        answers = (b"250 2.1.0 ok\r\n", b"250 2.1.5 ok\r\n", b"354 go on\r\n", b"250 2.0.0 taken\r\n")
        hello = b"220 back.local.example ESMTP\r\n250-back.local.example\r\n250 8BITMIME\r\n"
        for cut in range(len(hello), len(hello) + sum(map(len, answers)) + 1):
            with self.subTest(cut=cut - len(hello)):
                client = until(lambda: self.let_in(gateway), "the server is seen to be up")
                client.mail()
                n = len(back.messages)
                back.cut_after = cut
                reply = client.rcpt()
                if reply.code == 250:
                    reply = client.data(MESSAGE)
                back.cut_after = None
                self.assertIn(reply.code, (250, 451, 421), repr(reply))
                self.assertEqual(reply.code == 250, cut == len(hello) + sum(map(len, answers)))
                self.assertLessEqual(len(back.messages) - n, 1)

    def let_in(self, gateway):
        client = self.client(gateway.smtp)
        return client if client.greeting.code == 220 and client.ehlo().code == 250 else None


class Senders:
    """Clients that send messages with tokens, one after the other and whatever happens, and note which were answered 250."""

    def __init__(self, gateway, count):
        self.gateway = gateway
        self.acknowledged, self.attempts = set(), {}
        self.is_over = False
        self.threads = [threading.Thread(target=self.send, args=(n,), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def send(self, n):
        for serial in itertools.count():
            if self.is_over:
                return
            token = "t%d.%d.%08x" % (n, serial, random.getrandbits(32))
            size = random.choice((10, 300, 70000, 300000))
            self.attempts[token] = 1
            with contextlib.suppress(Gone, OSError, AssertionError):
                with Client(self.gateway.smtp) as client:
                    client.ehlo()
                    client.envelope()
                    if client.data(b"Message-ID: <%s@x>\r\n\r\n" % token.encode() + (b"x" * 900 + b"\r\n") * (size // 900)).code == 250:
                        self.acknowledged.add(token)
                    client.quit()

    def stop(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(60)


class Pressure(Story):
    """A side that does not read stops the other one; memory is not where it goes (ORACLE R-3)."""

    def push(self, client, chunk, most):
        """Sends until nothing goes any more; returns how much went."""
        sent = 0
        client.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < most:
                sent += client.sock.send(chunk)
        client.sock.settimeout(LIMIT)
        return sent

    def test_a_back_end_that_does_not_read_stops_the_client_and_gets_all_of_it_later(self):
        back = self.backend()
        back.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        gateway = self.gateway(back.endpoint, {"limits": {"message_size": "200M", "hold": "64k"}})
        back.reading.clear()
        client = self.greeted(gateway.smtp)
        client.envelope()
        client.ask("DATA")
        client.send(b"Subject: pressure\r\n\r\n")
        before = self.resident_kb(gateway)
        line = b"x" * 998 + b"\r\n"
        sent = self.push(client, line * 64, 100_000_000)
        self.assertLess(sent, 50_000_000)       # socket buffers, of any size a kernel gives them
        self.assertLess(self.resident_kb(gateway) - before, 4000)
        back.reading.set()
        client.send(b"x" * (1000 - sent % 1000 - 2) + b"\r\n" if sent % 1000 else b"", b".\r\n")
        self.assert_reply(client.reply(), 250)
        self.assertGreater(len(back.wait_for(1)[0].body), sent)

    def resident_kb(self, gateway):
        return sum(int(status_of(pid)["VmRSS"].split()[0]) for pid in gateway.workers())

    def test_a_client_that_reads_no_answers_is_not_read_either(self):
        gateway, _ = self.pair({"limits": {"errors": 10000, "junk": 10000}})
        client = self.greeted(gateway.smtp)
        client.mail()
        before = self.resident_kb(gateway)
        self.push(client, b"RCPT TO:<v@other.example>\r\n" * 1000, 50_000_000)
        self.assertLess(self.resident_kb(gateway) - before, 4000)


class KillLoop(Story):
    def start_again(self, gateway):
        """Its workers may hold the ports a moment longer: the killed ones while they die, the others while they drain."""
        def started():
            try:
                gateway.start()
                return True
            except AssertionError:
                return False
        until(started, "the gateway starts again")

    def play(self, kill, rounds, pause):
        back = self.backend()
        gateway = Gateway(back.endpoint, {"limits": {"hold": "64k", "sessions_per_address": 1000},
                                          "timeouts": {"drain": "0"}})
        self.addCleanup(gateway.kill)
        senders = Senders(gateway, 4)
        for _ in range(rounds):
            time.sleep(random.uniform(0, pause))
            kill(gateway)
        n = len(senders.acknowledged)
        until(lambda: len(senders.acknowledged) > n, "mail flows after the last kill")
        senders.stop()
        self.judge(senders, back)

    def judge(self, senders, back):
        taken = [message.body.split(b"Message-ID: <", 1)[1].split(b"@", 1)[0].decode() for message in back.messages]
        self.assertEqual(senders.acknowledged - set(taken), set(), "answered 250 and lost (A-12)")
        self.assertEqual(len(taken), len(set(taken)), "one attempt was delivered twice (A-10)")
        self.assertGreater(len(senders.acknowledged), 0)

    def test_all_processes_killed_again_and_again(self):
        def kill(gateway):
            gateway.kill()
            self.start_again(gateway)
        self.play(kill, 250, 0.06)

    def test_the_supervisor_killed_again_and_again(self):
        def kill(gateway):
            gateway.signal(signal.SIGKILL)
            gateway.wait()
            self.start_again(gateway)
        self.play(kill, 40, 0.06)

    def test_workers_killed_again_and_again(self):
        def kill(gateway):
            workers = until(lambda: len(gateway.workers()) == 2 and gateway.workers(), "two workers")
            os.kill(random.choice(workers), signal.SIGKILL)
        self.play(kill, 10, 0.5)

    def test_a_back_end_that_closes_at_random_costs_retries_and_the_sums_agree(self):
        lost = []

        def end_of_data(connection, message):
            dice = random.random()
            if dice < 0.1:
                lost.append(message)
                connection.backend.messages.append(message)
            return CLOSE if dice < 0.2 else "250 2.0.0 taken"
        back = self.backend(answers={".": end_of_data,
                                     "DATA": lambda *_: CLOSE if random.random() < 0.1 else "354 go on"})
        gateway = self.gateway(back.endpoint, {"limits": {"hold": "64k", "sessions_per_address": 1000}})
        senders = Senders(gateway, 4)
        until(lambda: len(senders.acknowledged) > 300, "300 messages")
        senders.stop()
        self.judge(senders, back)
        self.assertEqual(len(back.messages), len(senders.acknowledged) + len(lost))     # the identity of table 6
        self.assertGreaterEqual(len(gateway.log(event="transaction", outcome="unknown")), len(lost))


if __name__ == "__main__":
    main(__name__)
