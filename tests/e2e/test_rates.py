#!/usr/bin/env python3
"""Rates over two workers (check_rates.c, rates.c): both count into one table, no window has more than its limit, the back end does
not hear of the excess, and what is counted outlasts a worker (ORACLE P-9, D-*)."""
import os
import signal
import threading
import time

from parts.gateway import QUIET, Gateway
from parts.place import fresh_endpoint, text, until
from parts.story import Story, main
from parts.wire import Gone

WINDOW = 2.0        # seconds
CLIENT = "192.0.2.7"


class Rates(Story):
    def settings(self, **rates):
        """These [rate] sections, and a listener that tells clients apart by PROXY."""
        self.where = fresh_endpoint()
        return {**QUIET, "server": {"workers": "2"},
                "listen balanced": {"address": text(self.where), "proxy_from": "127.0.0.0/8", "tls": "off"},
                **{"rate " + name: {"window": "%gs" % WINDOW, **keys} for name, keys in rates.items()}}

    def start(self, **rates):
        return self.pair(self.settings(**rates))

    def greeted(self, address=CLIENT):
        """A client from there and its first reply."""
        client = self.client(self.where, greeted=False)
        family, ours = ("TCP6", "2001:db8::25") if ":" in address else ("TCP4", "192.0.2.25")
        client.send(b"PROXY %s %s %s 4711 25\r\n" % (family.encode(), address.encode(), ours.encode()))
        return client, client.reply()

    def inside(self, address=CLIENT):
        client, greeting = self.greeted(address)
        self.assert_reply(greeting, 220)
        self.assert_reply(client.ehlo(), 250)
        return client

    def test_no_window_has_more_connections_than_its_limit(self):
        limit = 10
        gateway, _ = self.start(doors={"count": "connections", "per": "address", "limit": str(limit)})
        accepted, refused, until_then = [], [], time.monotonic() + 3 * WINDOW
        lock = threading.Lock()

        def knock():
            while time.monotonic() < until_then:
                before = time.monotonic()
                _, reply = self.greeted()
                after = time.monotonic()
                with lock:
                    (accepted if reply.code == 220 else refused).append((before, after, reply))
                time.sleep(0.05)

        threads = [threading.Thread(target=knock) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertGreater(len(accepted), limit // 2)      # a window may refuse early, by an eighth, and a slow machine knocks less
        self.assertGreater(len(refused), limit)
        for _, _, reply in refused:
            self.assert_reply(reply, 421, "4.7.0")
        starts, ends = sorted(one[0] for one in accepted), sorted(one[1] for one in accepted)
        for i in range(len(accepted) - limit):      # the most that the moments of acceptance can lie apart
            self.assertGreaterEqual(ends[i + limit] - starts[i], WINDOW)
        self.assertGreaterEqual(len(gateway.log(event="refused", check="rates")), len(refused))

    def test_sessions_of_several_workers_share_their_messages(self):
        gateway, back = self.start(mails={"count": "messages", "per": "address", "limit": "5", "window": "60s"})
        since = len(back.connections)
        clients = [self.inside() for _ in range(8)]
        replies = [client.mail("a@sender.example") for client in clients]
        self.assertEqual([reply.code for reply in replies], [250] * 5 + [451] * 3)
        for reply in replies[5:]:
            self.assert_reply(reply, 451, "4.7.1")
        line = gateway.wait_log(event="refused", check="rates")[0]
        self.assertEqual(line["reason"], "mails: 6 messages of 192.0.2.7 in 60s, 5 allowed")
        self.assert_nothing_went_south(back, since)

    def test_a_network_that_rotates_its_addresses(self):
        self.start(mails={"count": "messages", "per": "network", "limit": "3", "window": "60s"},
                   sites={"count": "messages", "per": "site", "limit": "6", "window": "60s"})
        codes = [self.inside("2001:db8:1:1::%x" % i).mail("a@sender.example").code for i in range(1, 6)]
        self.assertEqual(codes, [250] * 3 + [451] * 2)
        codes = [self.inside("2001:db8:1:%x::1" % i).mail("a@sender.example").code for i in range(2, 5)]
        self.assertEqual(codes, [250] + [451] * 2)
        self.assert_reply(self.inside("2001:db8:2::1").mail("a@sender.example"), 250)

    def test_the_harvest_brake_keeps_the_back_end_out_of_it(self):
        gateway, back = self.start(harvest={"count": "unknown_recipients", "per": "address", "limit": "3", "window": "3s"})
        back.answers["RCPT"] = "550 5.1.1 No such user"
        first = self.inside()
        self.assert_reply(first.mail("a@sender.example"), 250)
        for name in "abc":
            self.assert_reply(first.rcpt(name + "@local.example"), 550, "5.1.1")
        heard = back.seen()
        self.assert_reply(first.rcpt("d@local.example"), 450, "4.7.1")
        self.assertEqual(back.seen(), heard)
        _, reply = self.greeted()
        self.assert_reply(reply, 421, "4.7.0")
        self.assertTrue(gateway.log(event="refused", check="rates"))
        until(lambda: self.greeted()[1].code == 220, "the brake is let go")

    def test_what_is_counted_outlasts_a_killed_worker(self):
        gateway = Gateway(self.backend().endpoint,
                          self.settings(mails={"count": "messages", "per": "address", "limit": "4", "window": "60s"}))
        self.addCleanup(gateway.kill)       # what it tells of its workers' end is no failure here
        for _ in range(4):
            self.assert_reply(self.inside().mail("a@sender.example"), 250)
        workers = gateway.workers()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        until(lambda: len(gateway.workers()) == 2 and not set(workers) & set(gateway.workers()), "new workers")

        def answered():
            try:
                return self.inside().mail("a@sender.example")
            except (Gone, OSError):
                return None
        self.assert_reply(until(answered, "a new worker answers"), 451, "4.7.1")


if __name__ == "__main__":
    main(__name__)
