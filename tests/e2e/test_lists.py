#!/usr/bin/env python3
"""Lists of the DNS (check_lists.c), with a server that plays lists of every kind: their self-tests at the start (RFC 5782 5), listed
clients and domains, lists that died, were sold, do not take our questions, or do not answer (ATTACKS L03, ORACLE P-8, P-10)."""
import re
import time

from parts.dns import DNS, DROP, SERVFAIL
from parts.gateway import QUIET
from parts.place import fresh_endpoint, text, until
from parts.story import MESSAGE, Story, main

SPAMMER, NEIGHBOUR = "192.0.2.7", "192.0.2.8"
LISTED = [("A", "127.0.0.2")]


def entries(zone, **names):
    """A list in order: its test entries, and these."""
    return {"2.0.0.127." + zone: LISTED, "test." + zone: LISTED, zone: [("TXT", "a list")],
            **{"%s.%s" % (name, zone): value for name, value in names.items()}}


def reverse(address):
    return ".".join(reversed(address.split(".")))


class Lists(Story):
    def start(self, zone, lists, timeout="500ms"):
        """A gateway with these lists that tells clients apart by PROXY; its DNS and its back end."""
        server = DNS(zone)
        self.addCleanup(server.stop)
        self.where = fresh_endpoint()
        gateway, back = self.pair({**QUIET, "dns": {"servers": server.text, "timeout": timeout},
                                   "listen balanced": {"address": text(self.where), "proxy_from": "127.0.0.0/8", "tls": "off"},
                                   **{"list " + name: keys for name, keys in lists.items()}})
        return gateway, server, back

    def client_from(self, address):
        client = self.client(self.where, greeted=False)
        client.send(b"PROXY TCP4 %s 192.0.2.1 4711 25\r\n" % address.encode())
        self.assert_reply(client.reply(), 220)
        self.assert_reply(client.ehlo(), 250)
        return client

    def mail_from(self, address, sender="a@sender.example", recipient="v@local.example"):
        """The reply to RCPT."""
        client = self.client_from(address)
        self.assert_reply(client.mail(sender), 250)
        return client.rcpt(recipient)

    def await_tests(self, server, zone, *subjects):
        for subject in subjects:
            until(lambda name="%s.%s" % (subject, zone): server.count(name, "A"), "the self-test %s of %s" % (subject, zone))

    def test_a_listed_client_is_refused_and_others_are_not(self):
        gateway, server, back = self.start(entries("zen.example", **{reverse(SPAMMER): LISTED}),
                                           {"zen.example": {"codes": "127.0.0.2-11"}})
        self.await_tests(server, "zen.example", "2.0.0.127", "1.0.0.127")
        reply = self.assert_reply(self.mail_from(SPAMMER), 550, "5.7.1")
        self.assertRegex(repr(reply), r"Client 192\.0\.2\.7 is listed by zen\.example \(")
        line, = gateway.wait_log(event="refused", check="lists")
        self.assertEqual(line["reason"], "client 192.0.2.7 is listed by zen.example (127.0.0.2): 5 points of 5")
        self.assertIn("(%s)" % line["id"], repr(reply))
        self.assert_reply(self.mail_from(SPAMMER, recipient="postmaster@local.example"), 250)
        self.assert_reply(self.mail_from(NEIGHBOUR), 250)
        self.assertEqual(gateway.log(event="list"), [])
        self.assertEqual((server.count("2.0.0.127.zen.example"), server.count("1.0.0.127.zen.example")), (1, 1))  # of two workers

    def test_domains_are_looked_up(self):
        zone = entries("dbl.example", **{"bad.example": [("A", "127.0.1.2")]})
        _, server, _ = self.start(zone, {"dbl.example": {"of": "helo mail_from from", "codes": "127.0.1.2-99"}})
        self.await_tests(server, "dbl.example", "test", "invalid")
        self.assert_reply(self.mail_from(NEIGHBOUR, sender="x@mail.bad.example"), 550, "5.7.1")
        client = self.client_from(NEIGHBOUR)
        client.envelope()
        self.assert_reply(client.data(b"From: x@bad.example\r\nSubject: hello\r\n\r\nA line.\r\n"), 550, "5.7.1")
        self.assert_reply(self.mail_from(NEIGHBOUR), 250)
        self.assertEqual(server.count(reverse(NEIGHBOUR) + ".dbl.example"), 0)

    def test_lists_that_fail_their_test_are_switched_off(self):
        cases = {"wildcard.example": ({"*.wildcard.example": LISTED}, "it lists 127.0.0.1"),
                 "dead.example": ({"dead.example": [("TXT", "closed")]}, "it does not list 127.0.0.2"),
                 "sold.example": ({"*.sold.example": [("A", "198.51.100.80")]}, "it answers 198.51.100.80"),
                 "rude.example": ({"*.rude.example": [("A", "127.255.255.254")]}, "it answers 127.255.255.254")}
        zone = {**entries("good.example")}
        for names, _ in cases.values():
            zone.update(names)
        gateway, server, _ = self.start(zone, {name: {"codes": "127.0.0.2"} for name in [*cases, "good.example"]})
        for name, (_, why) in cases.items():
            line, = gateway.wait_log(event="list", list=name, self_test="failed")
            self.assertEqual((line["level"], line["why"]), ("warn", why))
        self.assert_reply(self.mail_from(SPAMMER), 250)
        for name in cases:
            self.assertEqual(server.count("%s.%s" % (reverse(SPAMMER), name)), 0)
        self.assertEqual(server.count(reverse(SPAMMER) + ".good.example"), 1)
        self.assertEqual(len(gateway.log(event="list")), len(cases))

    def test_a_list_that_answers_everything_is_used_where_its_test_is_off(self):
        gateway, server, _ = self.start({"*.all.example": LISTED}, {"all.example": {"codes": "127.0.0.2", "self_test": "no"}})
        self.assert_reply(self.mail_from(SPAMMER), 550, "5.7.1")
        self.assertEqual(server.count("2.0.0.127.all.example"), 0)

    def test_an_alarm_after_a_good_test_is_told_once(self):
        zone = entries("zen.example", **{reverse(address): [("A", "127.255.255.255")] for address in (SPAMMER, NEIGHBOUR)})
        gateway, server, _ = self.start(zone, {"zen.example": {"codes": "127.0.0.2"}})
        self.await_tests(server, "zen.example", "2.0.0.127", "1.0.0.127")
        for address in (SPAMMER, NEIGHBOUR, SPAMMER):
            self.assert_reply(self.mail_from(address), 250)
        line, = gateway.wait_log(event="list", list="zen.example")
        self.assertEqual((line["answer"], line["why"]), ("127.255.255.255", "its answer is no listing"))

    def test_a_silent_list_stays_in_use_and_costs_its_timeout(self):
        gateway, server, _ = self.start({"*.slow.example": DROP}, {"slow.example": {"codes": "127.0.0.2", "timeout": "1s"}},
                                        timeout="5s")
        self.await_tests(server, "slow.example", "2.0.0.127", "1.0.0.127")
        client = self.client_from(SPAMMER)
        self.assert_reply(client.mail(), 250)
        begin = time.monotonic()
        self.assert_reply(client.rcpt(), 250)
        self.assertTrue(0.9 <= time.monotonic() - begin < 3, time.monotonic() - begin)
        gateway.wait_log(event="list", list="slow.example", why=re.compile("no answer"))
        self.assertEqual(gateway.log(self_test="failed"), [])

    def test_a_failing_server_changes_nothing(self):
        gateway, server, _ = self.start({"*.broken.example": SERVFAIL}, {"broken.example": {"codes": "127.0.0.2"}})
        self.await_tests(server, "broken.example", "2.0.0.127", "1.0.0.127")
        self.assert_reply(self.mail_from(SPAMMER), 250)
        gateway.wait_log(event="list", list="broken.example", why=re.compile("no answer"))
        self.assertEqual(gateway.log(self_test="failed"), [])

    def test_a_reload_keeps_what_is_known_and_tests_what_is_new(self):
        zone = {"*.wildcard.example": LISTED, **entries("new.example", **{reverse(SPAMMER): LISTED})}
        gateway, server, _ = self.start(zone, {"wildcard.example": {"codes": "127.0.0.2"}})
        gateway.wait_log(event="list", list="wildcard.example", self_test="failed")
        gateway.change({"list new.example": {"codes": "127.0.0.2"}})
        gateway.reload()
        self.await_tests(server, "new.example", "2.0.0.127", "1.0.0.127")
        until(lambda: "listed by new.example" in repr(self.mail_from(SPAMMER)),     # the old worker may take one client more
              "the new configuration is asked")
        self.assertEqual(server.count("2.0.0.127.wildcard.example"), 1)
        self.assertEqual(server.count(reverse(SPAMMER) + ".wildcard.example"), 0)

    def test_mail_of_others_goes_through(self):
        gateway, server, back = self.start(entries("zen.example"), {"zen.example": {"codes": "127.0.0.2-11"}})
        client = self.client_from(NEIGHBOUR)
        self.assert_reply(client.deliver(MESSAGE), 250)
        gateway.wait_log(event="transaction", outcome="accepted")


if __name__ == "__main__":
    main(__name__)
