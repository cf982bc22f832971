#!/usr/bin/env python3
"""The door: the greeting's pause, early talkers, the tarpit over all workers, limits under stress (ATTACKS B01 to B06, K01, K03;
ORACLE P-3, P-12, Z-1, Z-5)."""
import os
import signal
import socket

from parts.gateway import Gateway, children
from parts.place import LIMIT, fresh_endpoint, text, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client, any_certificate, deliver

STRANGERS = {"networks": "192.0.2.1"}       # by default clients on this machine are known to be good
PAUSED = {"door": {"pause": "500ms", **STRANGERS}}
LONG = {"door": {"pause": "30s", **STRANGERS}}


class Greeting(Story):
    def first_line(self, where, **settings):
        """A client that has read the first line of a greeting that goes on."""
        client = self.client(where, greeted=False, **settings)
        self.assertRegex(client.line(), rb"^220-mx\.local\.example ESMTP")
        return client

    def test_its_last_line_follows_after_the_pause_and_mail_comes_in(self):
        gateway, back = self.pair(PAUSED)
        client = self.first_line(gateway.smtp)
        self.assert_reply(client.reply(), 220)
        client.ehlo()
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assertEqual(len(back.messages), 1)

    def test_an_early_talker_reads_its_refusal_whatever_it_sends_and_nothing_goes_south(self):
        gateway, back = self.pair(LONG)
        before = len(back.connections)
        for spoken in (b"E", b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n", b"\x16\x03\x01" + bytes(300), b"x" * 300000):
            client = self.first_line(gateway.smtp)
            client.send(spoken)
            self.assert_reply(client.reply(), 220)
            self.assert_reply(client.reply(), 554, "5.5.1")
            self.assertEqual(client.rest(), b"")
        self.assertEqual(len(gateway.wait_log(4, event="refused", check="door")), 4)
        self.assert_nothing_went_south(back, before)

    def test_one_that_speaks_before_it_reads_anything_is_one_too(self):
        gateway, _ = self.pair(LONG)
        client = self.client(gateway.smtp, greeted=False)
        client.send(b"EHLO x\r\n")
        self.assertRegex(client.rest(), rb"^220-.*\r\n220 .*\r\n554 5\.5\.1 .*\r\n$")
        gateway.wait_log(event="early_talker", spoke="SMTP")

    def test_people_and_known_clients_are_greeted_at_once(self):
        gateway, _ = self.pair({"door": {"pause": "30s"}})
        self.assert_reply(self.client(gateway.smtp).greeting, 220)
        gateway.change(LONG)
        gateway.reload()
        self.assert_reply(self.client(gateway.smtps, tls=any_certificate()).greeting, 220)

    def test_several_listeners_each_as_it_is_told(self):
        other = fresh_endpoint()
        gateway, _ = self.pair({"listen other": {"address": text(other)}, "door": {**LONG["door"], "listeners": "other"}})
        self.assert_reply(self.client(gateway.smtp).greeting, 220)
        self.first_line(other)

    def test_behind_a_load_balancer_the_pause_begins_with_the_client(self):
        where = fresh_endpoint()
        gateway, _ = self.pair({"listen balanced": {"address": text(where), "proxy_from": "127.0.0.9"}, **LONG})
        client = self.client(where, source="127.0.0.9", greeted=False)
        client.send(b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\n")
        self.assertRegex(client.line(), rb"^220-")
        early = self.client(where, source="127.0.0.9", greeted=False)
        early.send(b"PROXY TCP4 198.51.100.7 192.0.2.25 4711 25\r\nEHLO x\r\n")
        self.assertRegex(early.rest(), rb"\r\n554 5\.5\.1 .*\r\n$")
        gateway.wait_log(event="early_talker", client="198.51.100.7:4711")

    def test_a_stop_in_the_pause_ends_the_greeting_and_says_so(self):
        gateway, _ = self.pair(LONG)
        client = self.first_line(gateway.smtp)
        gateway.signal(signal.SIGTERM)
        self.assertRegex(client.rest(), rb"^220 .*\r\n421 4\.3\.2 .*\r\n$")
        client.close()
        self.assertEqual(gateway.wait(), 0)

    def test_clients_that_leave_in_the_pause_leave_nothing_behind(self):
        gateway, _ = self.pair(LONG)
        for end in (Client.close, Client.reset):
            end(self.first_line(gateway.smtp))
        gateway.wait_log(2, event="connection")


class Tarpit(Story):
    PLACES = 3
    SECTIONS = {"server": {"workers": 2}, "door": {"pause": "0", **STRANGERS}, "limits": {"sessions_per_address": 100},
                "tarpit": {"sessions": PLACES, "delay": "60s", "longest": "60s", "after": 0}}

    def refused(self, gateway, count):
        """So many clients that have said what is refused: those that were answered, and those that are held."""
        clients = [self.greeted(gateway.smtp) for _ in range(count)]
        for client in clients:
            client.send(b"FOO\r\n")
        for client in clients:
            client.sock.setblocking(False)

        def answered():
            done = [client for client in clients if b"\r\n" in self.peek(client)]
            return done if len(done) >= count - self.PLACES else None

        done = until(answered, "all but %d are answered" % self.PLACES)
        return done, [client for client in clients if client not in done]

    @staticmethod
    def peek(client):
        try:
            return client.sock.recv(1000, socket.MSG_PEEK)
        except BlockingIOError:
            return b""

    def test_no_more_are_held_than_there_are_places_over_all_workers(self):
        gateway, _ = self.pair(self.SECTIONS)
        done, held = self.refused(gateway, 16)
        self.assertEqual(len(held), self.PLACES)
        for client in held:
            self.assertEqual(self.peek(client), b"")
        for client in done:
            client.sock.settimeout(LIMIT)
            self.assert_reply(client.reply(), 500)
            client.quit()

    def test_places_of_killed_workers_are_free_again(self):
        gateway = Gateway(self.backend().endpoint, self.SECTIONS)
        self.addCleanup(gateway.kill)
        self.assertEqual(len(self.refused(gateway, 10)[1]), self.PLACES)
        workers = children(gateway.pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(set(children(gateway.pid)) - set(workers)) == 2, "new workers")
        self.assertEqual(len(self.refused(gateway, 10)[1]), self.PLACES)

    def test_a_stop_waits_for_nobody_in_it(self):
        gateway, _ = self.pair(self.SECTIONS)
        done, held = self.refused(gateway, 4)
        gateway.signal(signal.SIGTERM)
        for client in done + held:
            client.sock.settimeout(LIMIT)
            self.assertRegex(client.rest(), rb"^500 .*\r\n421 4\.3\.2 .*\r\n$")
            client.close()
        self.assertEqual(gateway.wait(), 0)


class Stress(Story):
    SECTIONS = {"limits": {"sessions": 10, "stress": 50, "sessions_per_address": 10}, "timeouts": {"stress": "1s"},
                "door": {"pause": "0", **STRANGERS}}

    @staticmethod
    def without_waiting(client):
        client.sock.setblocking(False)
        return client

    def test_silent_clients_make_room_when_sessions_run_short(self):
        gateway, _ = self.pair(self.SECTIONS)
        silent = [self.client(gateway.smtp) for _ in range(6)]
        gateway.wait_log(event="stress", **{"is": "on"})
        gateway.wait_log(2, event="connection", end="client timed out")
        gateway.wait_log(event="stress", **{"is": "off"})
        told = [client for client in silent if Tarpit.peek(self.without_waiting(client)).startswith(b"421 4.4.2")]
        self.assertGreaterEqual(len(told), 2)

    def test_all_workers_see_it(self):
        gateway, _ = self.pair({**self.SECTIONS, "server": {"workers": 4}})
        for _ in range(9):
            self.client(gateway.smtp)
        gateway.wait_log(5, event="connection", end="client timed out")     # until four are left, of whichever worker

    def test_who_is_known_to_be_good_keeps_the_usual_limits(self):
        gateway, back = self.pair({**self.SECTIONS, "door": {"pause": "0", "networks": "127.0.0.77"}})
        friend = self.greeted(gateway.smtp, source="127.0.0.77")
        for _ in range(5):
            self.client(gateway.smtp)
        gateway.wait_log(event="stress", **{"is": "on"})
        gateway.wait_log(1, event="connection", end="client timed out")
        for _ in range(5):
            self.assert_reply(friend.ask("FOO"), 500)
        self.assert_reply(friend.deliver(MESSAGE), 250)
        self.assertEqual(len(back.messages), 1)


class Crowd(Story):
    """A small form of tests/bench/door, without times."""

    def test_refused_connects_and_slow_clients_do_not_keep_mail_out(self):
        gateway, back = self.pair({"limits": {"sessions": 250, "stress": 0, "sessions_per_address": 200, "memory": "400M"},
                                   "door": {"pause": "1s", **STRANGERS}})
        slow = [self.client(gateway.smtp, source="127.0.0.50", greeted=False) for _ in range(200)]
        for client in slow:
            self.assertRegex(client.line(), rb"^220-")
        for _ in range(500):
            turned_away = Client(gateway.smtp, source="127.0.0.50", greeted=False)
            self.assertRegex(turned_away.rest(), rb"^421 4\.7\.0 Too many connections from your address")
            turned_away.close()
        for client in slow:
            self.assert_reply(client.reply(), 220)
            client.send(b"E")
        for _ in range(20):
            self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        self.assertEqual(len(back.messages), 20)


main(__name__)
