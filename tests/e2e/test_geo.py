#!/usr/bin/env python3
"""Where clients may come from (check_geo.c), with databases that come, go and break while mail comes in (ATTACKS M01, ORACLE D-7)."""
import os
import re
import threading

from parts import mmdb
from parts.place import fresh_endpoint, fresh_folder, text, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client

GERMANY, FRANCE, NOWHERE = "203.0.113.7", "198.51.100.7", "100.64.0.1"


def country(**places):
    """A database that knows two networks under these codes: country(germany="DE", france="FR")."""
    return mmdb.database({"203.0.113.0/24": mmdb.nested(places["germany"], "EU"), "198.51.100.0/24": mmdb.nested(places["france"], "EU")})


class Geo(Story):
    def setUp(self):
        super().setUp()
        self.path = fresh_folder("geo") / "country.mmdb"
        self.path.parent.chmod(0o755)
        self.where = fresh_endpoint()

    def put(self, octets):
        """As an operator should: a new file, renamed over the old one."""
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(octets)
        fresh.chmod(0o644)
        fresh.rename(self.path)

    def start(self, rule, gateway=None, **geo):
        """A gateway of two workers that tells clients apart by PROXY, with a rule [origin far]."""
        return self.pair({"listen balanced": {"address": text(self.where), "proxy_from": "127.0.0.0/8", "tls": "off"},
                          "geo": {"country_database": str(self.path), "refresh": "1s", **geo},
                          "origin far": rule}, gateway)

    def client_from(self, address):
        client = self.client(self.where, greeted=False)
        client.send(b"PROXY TCP4 %s 192.0.2.1 4711 25\r\n" % address.encode())
        return client

    def rcpt_from(self, address, recipient="v@local.example"):
        """The code of RCPT's answer."""
        client = self.client_from(address)
        self.assert_reply(client.reply(), 220)
        self.assert_reply(client.ehlo(), 250)
        self.assert_reply(client.mail("a@sender.example"), 250)
        code = client.rcpt(recipient).code
        client.close()
        return code

    def await_on_all(self, address, code):
        """Until ten clients in a row have heard it: each worker has looked by then."""
        until(lambda: all(self.rcpt_from(address) == code for _ in range(10)), "clients from %s hear %d" % (address, code))

    def lines(self, gateway, pattern):
        return gateway.log(event="geoip", text=re.compile(pattern))

    def test_countries_are_refused_and_others_are_not(self):
        self.put(country(germany="DE", france="FR"))
        gateway, _ = self.start({"deny": "FR"})
        self.assertEqual([self.rcpt_from(address) for address in (FRANCE, GERMANY, NOWHERE)], [550, 250, 250])
        self.assertEqual(self.rcpt_from(FRANCE, "postmaster@local.example"), 250)
        line, = gateway.wait_log(event="refused", check="geo")
        self.assertEqual(line["reason"], "far: 198.51.100.7 (FR, EU)")
        self.assertEqual(len(self.lines(gateway, "in use")), 2)

    def test_refused_early_a_client_costs_no_connection_to_the_mail_server(self):
        self.put(country(germany="DE", france="FR"))
        _, back = self.start({"deny": "FR", "early": "yes"})
        before = len(back.connections)
        for _ in range(5):
            client = self.client_from(FRANCE)
            self.assert_reply(client.reply(), 554, "5.7.1")
            self.assertEqual(client.rest(), b"")
        self.assert_nothing_went_south(back, before)
        self.assertEqual(self.rcpt_from(GERMANY), 250)

    def test_replaced_under_traffic_every_worker_says_so_once(self):
        self.put(country(germany="DE", france="FR"))
        gateway, back = self.start({"deny": "FR"})
        stop, codes = threading.Event(), set()

        def mail():
            while not stop.is_set():
                client = Client(self.where, greeted=False)
                client.send(b"PROXY TCP4 %s 192.0.2.1 4711 25\r\n" % GERMANY.encode())
                client.reply(), client.ehlo(), client.mail("a@sender.example")
                codes.add(client.rcpt("v@local.example").code)
                client.close()
        thread = threading.Thread(target=mail)
        thread.start()
        try:
            for turn, other in enumerate(("CH", "AT", "FR", "DE")):
                self.put(country(germany=other, france="FR"))
                self.await_on_all(GERMANY, 550 if other == "FR" else 250)
                until(lambda n=2 * (turn + 1): len(self.lines(gateway, "replaced")) == n, "each worker has told of turn %d" % turn)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(codes, {250, 550})
        self.assertEqual(len(self.lines(gateway, "replaced")), 8)
        self.assertEqual(len(gateway.workers()), 2)

    def test_a_broken_one_is_told_once_by_each_worker_and_the_old_one_stays(self):
        self.put(country(germany="DE", france="FR"))
        gateway, _ = self.start({"deny": "FR"})
        self.put(country(germany="FR", france="DE")[:-40])
        until(lambda: self.rcpt_from(FRANCE) == 550 and len(self.lines(gateway, "the one before stays in use")) == 2,
              "both workers tell of the broken file")
        for _ in range(20):
            self.assertEqual([self.rcpt_from(FRANCE), self.rcpt_from(GERMANY)], [550, 250])
        self.assertEqual(len(gateway.log(event="geoip", level="warn")), 2)

    def test_a_missing_one_is_as_configured_and_used_when_it_comes(self):
        gateway, _ = self.start({"allow": "DE"}, missing="tempfail")
        self.assertEqual(self.rcpt_from(GERMANY), 451)
        told = self.lines(gateway, "No such file")
        self.assertEqual(len(told), 2)
        self.assertFalse([line for line in told if line["time"].startswith("1970")])    # the worker's clock goes by then
        self.put(country(germany="DE", france="FR"))
        self.await_on_all(GERMANY, 250)
        self.assertEqual(self.rcpt_from(FRANCE), 550)

    def test_workers_in_an_empty_root_find_their_databases(self):
        if os.geteuid() != 0:
            self.skipTest("not root")
        self.put(country(germany="DE", france="FR"))
        gateway, _ = self.start({"deny": "FR"}, gateway={"as_root": True})
        self.assertEqual([self.rcpt_from(FRANCE), self.rcpt_from(GERMANY)], [550, 250])
        self.put(country(germany="FR", france="DE"))
        self.await_on_all(GERMANY, 550)
        gateway.reload()
        self.assertEqual([self.rcpt_from(FRANCE), self.rcpt_from(GERMANY)], [250, 550])

    def test_mail_of_others_goes_through(self):
        self.put(country(germany="DE", france="FR"))
        gateway, _ = self.start({"allow": "DE"})
        client = self.client_from(GERMANY)
        self.assert_reply(client.reply(), 220)
        client.ehlo()
        self.assert_reply(client.deliver(MESSAGE), 250)
        gateway.wait_log(event="transaction", outcome="accepted")


if __name__ == "__main__":
    main(__name__)
