#!/usr/bin/env python3
"""The resolver against servers of every kind: broken, hostile, slow, silent (ATTACKS L, ORACLE D-1 to D-7). The questions are put by
dns_ask, as a session of the gateway puts them, and by the gateway itself, whose queries are counted where they arrive."""
import os
import re
import struct
import subprocess
import time

from parts import dns, results
from parts.dns import DNS, encode_name, encode_record, message
from parts.gateway import Gateway, Process, binary, environment, status_of
from parts.place import BUILD, LIMIT, ROOT, fresh_endpoint, text, until
from parts.story import Story, main

FAST = 150      # ms a try may last where the test waits for its end
PATIENT = 5000
SPF = [("TXT", "v=spf1 -all")]


def program():
    if not hasattr(program, "path"):
        subprocess.run([ROOT / "tests/build/preset", BUILD, "dns_ask"], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        program.path = ROOT / "build" / BUILD / "dns_ask"
    return program.path


def ask(servers, *questions, timeout=PATIENT, tries=1):
    """{question: what follows it in its fact}, and the counts under "queries" and "took". A question is "TXT example.org"."""
    servers = [server if isinstance(server, str) else server.text
               for server in (servers if isinstance(servers, list) else [servers])]
    end = subprocess.run([program(), str(timeout), str(tries), *servers], input="".join(q + "\n" for q in questions).encode(),
                         capture_output=True, timeout=LIMIT, env=environment())
    if end.returncode != 0:
        raise AssertionError("dns_ask ended with status %d: %s" % (end.returncode, end.stderr.decode()))
    facts = {}
    for line in end.stdout.decode().splitlines():
        match = re.match(r'([A-Z]+ (?:"(?:[^"\\]|\\.)*"|\S+)) (.*)', line)
        if line.startswith(("queries", "took")):
            facts[line.split()[0]] = int(line.split()[1])
        elif match:
            facts[match[1]] = match[2]
    return facts


def odd(name):
    """A name with an octet that c-ares does not send: it goes the other way to the wire."""
    return "+" + name


class Asked(Story):
    def expect(self, zone, question, answer, **settings):
        """For the name as it is, and for the odd one in its place."""
        kind, name = question.split(" ")
        if name in zone:
            self.expect_one({**zone, odd(name): zone[name]}, "%s %s" % (kind, odd(name)), answer, **settings)
        return self.expect_one(zone, question, answer, **settings)

    def expect_one(self, zone, question, answer, **settings):
        with DNS(zone) as server:
            facts = ask(server, question, **settings)
            self.assertEqual(facts.get(question), answer, "%s of %r" % (question, server.queries))
            return server, facts


class Answers(Asked):
    def test_records_of_every_kind(self):
        zone = {"example.org": [("TXT", "v=spf1 -all"), ("TXT", ["a", "b", ""]), ("MX", (20, "B.example.org")), ("MX", (5, "a.example.org")),
                                ("A", "192.0.2.1"), ("AAAA", "2001:db8::1")],
                "1.2.0.192.in-addr.arpa": [("PTR", "Host.Example.org")], "null.example.org": [("MX", (0, "."))]}
        with DNS(zone) as server:
            facts = ask(server, "TXT example.org", "MX example.org", "A example.org", "AAAA example.org",
                        "PTR 1.2.0.192.in-addr.arpa", "MX null.example.org", "A null.example.org", "A nobody.example.org")
        self.assertEqual(facts["TXT example.org"], 'OK "v=spf1 -all" "ab"')
        self.assertEqual(facts["MX example.org"], 'OK "5 a.example.org" "20 b.example.org"')
        self.assertEqual(facts["A example.org"], 'OK "192.0.2.1"')
        self.assertEqual(facts["AAAA example.org"], 'OK "2001:db8::1"')
        self.assertEqual(facts["PTR 1.2.0.192.in-addr.arpa"], 'OK "host.example.org"')
        self.assertEqual(facts["MX null.example.org"], 'OK "0 ."')
        self.assertEqual(facts["A null.example.org"], "NODATA")
        self.assertEqual(facts["A nobody.example.org"], "NXDOMAIN")
        self.assertEqual(facts["queries"], 8)

    def test_an_empty_text_is_a_value(self):
        self.expect({"x.example": [("TXT", [""])]}, "TXT x.example", 'OK ""')

    def test_a_text_of_no_strings_is_malformed(self):
        self.expect({"x.example": [("TXT", [])]}, "TXT x.example", "TEMP", timeout=FAST)

    def test_data_too_short_for_its_type_is_never_overread(self):
        for kind in ("MX", "A", "AAAA", "PTR", "CNAME"):
            for length in range(7):
                data = b"\x00\x05\x03abc"[:length]
                with self.subTest(kind=kind, length=length):
                    asked = "A" if kind == "CNAME" else kind
                    mode = dns.records([(kind, data)])
                    with DNS({"x.example": mode}) as server:
                        facts = ask(server, asked + " x.example", timeout=FAST)
                    state = facts[asked + " x.example"].split()[0]
                    self.assertIn(state, ("TEMP", "OK", "NXDOMAIN" if kind == "CNAME" else "TEMP"))
                    if kind == "MX" and length < 3:
                        self.assertEqual(state, "TEMP")
                    if kind == "A":
                        self.assertEqual(state, "OK" if length >= 4 else "TEMP")

    def test_a_server_that_fails_reads_temp(self):
        for name, mode in (("SERVFAIL", dns.SERVFAIL), ("REFUSED", dns.REFUSED), ("FORMERR", dns.FORMERROR), ("NOTIMP", dns.NOTIMP)):
            with self.subTest(name):
                self.expect({"x.example": mode}, "TXT x.example", "TEMP")

    def test_a_server_that_fails_once_is_asked_again(self):
        self.expect({"x.example": dns.after(1, SPF, dns.SERVFAIL)}, "TXT x.example", 'OK "v=spf1 -all"', tries=2)

    def test_a_server_that_is_silent_once_is_asked_again(self):
        self.expect({"x.example": dns.after(1, SPF, dns.DROP)}, "TXT x.example", 'OK "v=spf1 -all"', tries=3, timeout=FAST * 2)

    def test_the_second_server_is_asked_when_the_first_is_silent_or_gone(self):
        with DNS({"x.example": SPF}) as good, DNS({"x.example": dns.DROP}) as silent:
            for first in (silent.text, text(fresh_endpoint())):
                facts = ask([first, good], "TXT x.example", timeout=400)
                self.assertEqual(facts["TXT x.example"], 'OK "v=spf1 -all"')

    def test_a_server_without_edns_is_asked_without(self):
        def no_edns(server, query):
            has_opt = query.message[-11:-8] == b"\0\0\x29" or b"\0\0\x29" in query.message[12 + len(query.question):]
            return [message(query, rcode=dns.FORMERR)] if has_opt else server.of(SPF, query)
        self.expect({"x.example": no_edns}, "TXT x.example", 'OK "v=spf1 -all"', tries=2)


class Chains(Asked):
    def chain(self, n):
        zone = {"n%d.example" % i: [("CNAME", "n%d.example" % (i + 1))] for i in range(n)}
        zone["n%d.example" % n] = [("A", "192.0.2.1")]
        return zone

    def test_eight_links_are_followed_and_nine_are_not(self):
        server, _ = self.expect(self.chain(8), "A n0.example", 'OK "192.0.2.1"')
        self.assertEqual(server.count(), 1)
        self.expect(self.chain(9), "A n0.example", "TEMP")

    def test_loops_end(self):
        self.expect({"a.example": [("CNAME", "b.example")], "b.example": [("CNAME", "a.example")]}, "A a.example", "TEMP")
        self.expect({"a.example": [("CNAME", "a.example")]}, "A a.example", "TEMP")

    def link_by_link(self, server, query):
        """One link an answer, the rest left out."""
        owner, records = query.name, self.zone.get(query.name, [])
        return [message(query, [encode_record(owner, *record) for record in records if record[0] in (query.type, "CNAME")])]

    def test_a_server_that_gives_one_link_at_a_time_is_asked_for_the_others(self):
        for links, answer, queries in ((3, 'OK "192.0.2.1"', 4), (8, 'OK "192.0.2.1"', 9), (9, "TEMP", 9), (25, "TEMP", 9)):
            with self.subTest(links=links), DNS() as server:
                self.zone = self.chain(links)
                server.default = self.link_by_link
                self.assertEqual(ask(server, "A n0.example")["A n0.example"], answer)
                self.assertEqual(server.count(), queries)

    def test_the_code_is_that_of_the_last_name(self):
        self.expect({"a.example": [("CNAME", "nobody.test")]}, "A a.example", "NXDOMAIN")
        self.expect({"a.example": [("CNAME", "b.example")], "b.example": [("TXT", "x")]}, "A a.example", "NODATA")

    def test_a_referral_is_no_answer(self):
        def refer(server, query):
            return [message(query, authority=[encode_record("example", "NS", "ns.example")])]
        self.expect({"x.example": refer}, "TXT x.example", "TEMP")


class Hostile(Asked):
    def test_an_answer_cut_anywhere_is_no_answer(self):
        whole = len(message(dns.Query(struct.pack("!HH4H", 0, 0, 1, 0, 0, 0) + encode_name("c00.example") + b"\0\x10\0\1", None, True),
                            [encode_record(b"\xc0\x0c", *SPF[0])]))
        zone = {"c%02d.example" % n: dns.cut(n, SPF) for n in range(whole)}
        zone["whole.example"] = SPF
        with DNS(zone) as server:
            facts = ask(server, *["TXT c%02d.example" % n for n in range(whole)], "TXT whole.example", timeout=FAST)
        self.assertEqual({facts["TXT c%02d.example" % n] for n in range(whole)}, {"TEMP"})
        self.assertEqual(facts["TXT whole.example"], 'OK "v=spf1 -all"')

    def test_forgeries_before_the_answer_are_passed_over(self):
        for forge in (dns.wrong_id, dns.wrong_name, dns.wrong_type, dns.wrong_port):
            with self.subTest(forge.__name__):
                def lie(query, octets, forge=forge):
                    return forge(query, octets.replace(b"v=spf1 -all", b"v=spf1 +all"))
                server, _ = self.expect({"x.example": dns.before(lie, SPF)}, "TXT x.example", 'OK "v=spf1 -all"')
                self.assertEqual(server.count(), 1)

    def test_forgeries_alone_are_no_answer(self):
        for forge in (dns.wrong_id, dns.wrong_name, dns.wrong_type, dns.wrong_port, dns.no_answer_bit):
            with self.subTest(forge.__name__):
                mode = lambda server, query, forge=forge: [forge(query, octets) for octets in server.of(SPF, query)]
                self.expect({"x.example": mode}, "TXT x.example", "TEMP", timeout=FAST)

    def test_a_question_may_come_back_in_lower_case(self):
        def lower(server, query):
            return [octets[:12] + octets[12:12 + len(query.question)].lower() + octets[12 + len(query.question):]
                    for octets in server.of(SPF, query)]
        self.expect({"x.example": lower}, "TXT x.example", 'OK "v=spf1 -all"')

    def test_names_that_are_none_are_no_answer(self):
        for make in (dns.pointer_loop, dns.pointer_forward, dns.pointer_out, dns.label_64):
            with self.subTest(make.__name__):
                self.expect({"x.example": dns.raw(make)}, "TXT x.example", "TEMP", timeout=FAST)
        self.expect({"x.example": dns.raw(dns.name_256)}, "TXT x.example", "NODATA")    # the owner is another, at any rate

    def test_names_too_long_to_be_any_are_no_values(self):
        long = encode_name(".".join(["a" * 63] * 4))     # 257 octets
        for kind, data in (("MX", b"\0\x0a" + long), ("PTR", long)):
            self.expect({"x.example": dns.records([(kind, data)])}, kind + " x.example", "TEMP", timeout=FAST)
        self.expect({"x.example": dns.records([("CNAME", long)])}, "A x.example", "TEMP", timeout=FAST)

    def test_counts_that_lie_are_no_answer(self):
        for counts in ((1, 2, 0, 0), (1, 65535, 0, 0), (1, 1, 9, 0), (1, 1, 0, 9), (0, 1, 0, 0), (2, 1, 0, 0), (65535, 0, 0, 0)):
            with self.subTest(counts=counts):
                self.expect({"x.example": dns.raw(dns.lying_counts(*counts))}, "TXT x.example", "TEMP", timeout=FAST)

    def test_fewer_records_counted_than_sent(self):
        self.expect({"x.example": dns.raw(dns.lying_counts(1, 0, 0, 0))}, "TXT x.example", "NODATA")

    def test_records_nobody_asked_for_are_noise(self):
        self.expect({"x.example": dns.noisy(SPF)}, "TXT x.example", 'OK "v=spf1 -all"')

    def test_a_thousand_records_are_too_many(self):
        zone = {"x.example": [("TXT", "record %d" % i) for i in range(1000)],
                "mx.example": [("MX", (10, "mx%d.example" % i)) for i in range(1000)],
                "same.example": [("TXT", "v=spf1 -all")] * 1000}
        with DNS(zone) as server:
            facts = ask(server, "TXT x.example", "MX mx.example", "TXT same.example")
        self.assertEqual((facts["TXT x.example"], facts["MX mx.example"]), ("LIMIT", "LIMIT"))
        self.assertEqual(facts["TXT same.example"], 'OK "v=spf1 -all"')

    def test_text_up_to_8192_octets(self):
        with DNS({"fits.example": [("TXT", "x" * 8192)], "not.example": [("TXT", "x" * 8193)]}) as server:
            facts = ask(server, "TXT fits.example", "TXT not.example")
        self.assertEqual(len(facts["TXT fits.example"]), 8192 + 5)
        self.assertEqual(facts["TXT not.example"], "LIMIT")

    def test_answers_of_64_kilobytes(self):
        def full(record, n):
            return lambda query: message(query, [record] * n)
        strings = encode_record(b"\xc0\x0c", "TXT", ["x" * 255] * 255)
        empty = encode_record(b"\xc0\x0c", "TXT", [""])
        many = encode_record(b"\xc0\x0c", 16, b"\0" * 65000)
        with DNS() as server:
            for name, make, answer in (("one", full(strings, 1), "LIMIT"), ("empty", full(empty, 5000), None),
                                       ("strings", full(many, 1), None)):
                server.zone[name + ".example"] = dns.truncated(dns.raw(make))
            facts = ask(server, "TXT one.example", "TXT empty.example", "TXT strings.example")
            self.assertEqual(facts["TXT one.example"], "LIMIT")
            for name in ("empty", "strings"):
                self.assertIn(facts["TXT %s.example" % name], ('OK ""', "TEMP", "LIMIT"))

    def test_the_same_answer_many_times(self):
        self.expect({"x.example": dns.repeated(50, SPF)}, "TXT x.example", 'OK "v=spf1 -all"')

    def test_an_answer_after_its_time_is_for_nobody(self):
        late = {"slow.example": dns.late(0.5, [("TXT", "late")]), "then.example": dns.late(0.7, SPF)}
        with DNS(late) as server:
            facts = ask(server, "TXT slow.example", timeout=FAST)
            self.assertEqual(facts["TXT slow.example"], "TEMP")
            facts = ask(server, "TXT slow.example", "TXT then.example", timeout=2000)
        self.assertEqual(facts["TXT slow.example"], 'OK "late"')
        self.assertEqual(facts["TXT then.example"], 'OK "v=spf1 -all"')

    def test_names_from_the_wire_are_never_cut_or_joined(self):
        """D-3."""
        long = ".".join(["a" * 49] * 5)             # 249 octets
        with DNS() as server:
            server.default = SPF
            facts = ask(server, "TXT a..example", "TXT .example", "TXT example.", 'TXT "a\\x00b.example"', "TXT " + "a" * 64 + ".example",
                        "TXT " + "a" * 63 + ".example", "TXT %s.abc" % long, "TXT %s.abcd" % long, 'TXT "a b.example"')
            asked = {query.name for query in server.queries}
        for name in ("a..example", ".example", "example.", '"a\\x00b.example"', "a" * 64 + ".example", long + ".abcd"):
            self.assertEqual(facts["TXT " + name], "NXDOMAIN")
        self.assertEqual(facts['TXT "a b.example"'], 'OK "v=spf1 -all"')
        self.assertEqual(asked, {"a" * 63 + ".example", long + ".abc", "a b.example"})


class Tcp(Asked):
    def test_a_truncated_answer_is_fetched_by_tcp(self):
        server, _ = self.expect({"x.example": dns.truncated(SPF)}, "TXT x.example", 'OK "v=spf1 -all"')
        self.assertEqual([query.tcp for query in server.queries], [False, True])

    def test_an_answer_too_large_for_udp_is_fetched_by_tcp(self):
        server, _ = self.expect({"x.example": [("TXT", "x" * 3000)]}, "TXT x.example", 'OK "%s"' % ("x" * 3000))
        self.assertEqual(server.connections, 1)

    def test_many_truncated_answers(self):
        names = ["n%d.example" % i for i in range(60)]
        with DNS({name: dns.truncated([("TXT", name)]) for name in names}) as server:
            facts = ask(server, *["TXT " + name for name in names])
        for name in names:
            self.assertEqual(facts["TXT " + name], 'OK "%s"' % name)

    def test_truncated_by_tcp_too_is_no_answer(self):
        self.expect({"x.example": lambda server, query: [message(query, flags=dns.TC)]}, "TXT x.example", "TEMP")

    def test_a_server_that_does_not_answer_by_tcp(self):
        _, facts = self.expect({"x.example": dns.truncated(dns.DROP)}, "TXT x.example", "TEMP", timeout=FAST, tries=2)
        self.assertLess(facts["took"], FAST * 2 + 1500)


ODD = ("a+b", "bounces+123=user=example.net", "SRS0=HHH=TT=orig.example=Alice", "a=b", "!#$%&'~", "x{y}|z", "o'neill", "a b", "a\"b",
       "back\\slash", "back\\", "\\046", "(;)@", "\x01\x1f\x7f", "\x80", "\xe4\xf6\xfc", "\xff\xfe", "Upper+Case", "gr\xc3\xbc\xc3\x9fe")


def key(name):
    """As facts are written."""
    return '"%s"' % "".join(c if " " <= c <= "~" and c not in '"\\' else "\\x%02x" % ord(c) for c in name)


class Octets(Asked):
    """Names that c-ares does not send, as SPF macros make them of honest senders (D-3, resolver_raw.c)."""

    def test_every_name_is_asked_for_as_it_is(self):
        zone = {name + ".example": [("TXT", "v=spf1 ip4:192.0.2.%d -all" % i)] for i, name in enumerate(ODD)}
        with DNS(zone) as server:
            facts = ask(server, *["TXT " + key(name + ".example") for name in ODD])
            sent = sorted(query.name_sent for query in server.queries)
            self.assertEqual({query.room for query in server.queries}, {1232})
            self.assertEqual({query.flags for query in server.queries}, {dns.RD})
        self.assertEqual(sent, sorted(name + ".example" for name in ODD))
        answers = sorted(answer for question, answer in facts.items() if question.startswith("TXT"))
        self.assertEqual(answers, sorted('OK "v=spf1 ip4:192.0.2.%d -all"' % i for i in range(len(ODD))))

    def test_records_of_every_kind(self):
        zone = {"a+b.example": [("MX", (5, "mx.example")), ("A", "192.0.2.1"), ("AAAA", "2001:db8::1"), ("PTR", "host.example")]}
        with DNS(zone) as server:
            facts = ask(server, *[kind + " a+b.example" for kind in ("MX", "A", "AAAA", "PTR", "TXT")], "A no+body.example")
        self.assertEqual([facts[kind + " a+b.example"] for kind in ("MX", "A", "AAAA", "PTR", "TXT")],
                         ['OK "5 mx.example"', 'OK "192.0.2.1"', 'OK "2001:db8::1"', 'OK "host.example"', "NODATA"])
        self.assertEqual(facts["A no+body.example"], "NXDOMAIN")

    def test_the_longest_name_is_asked_for_and_none_that_is_longer(self):
        long = ".".join(["=" * 49] * 5)             # 249 octets
        with DNS() as server:
            server.default = SPF
            facts = ask(server, "TXT %s.abc" % long, "TXT %s.abcd" % long, "TXT %s.example" % ("+" * 63), "TXT %s.example" % ("+" * 64),
                        "TXT +..example", 'TXT "+\\x00.example"')
            asked = {query.name for query in server.queries}
        self.assertEqual(asked, {long + ".abc", "+" * 63 + ".example"})
        self.assertEqual([facts[q] for q in ("TXT %s.abcd" % long, "TXT %s.example" % ("+" * 64), "TXT +..example", 'TXT "+\\x00.example"')],
                         ["NXDOMAIN"] * 4)

    def test_an_alias_leads_to_it_and_from_it(self):
        zone = {"a+b.example": [("CNAME", "c=d.example")], "c=d.example": [("CNAME", "e.example")], "e.example": [("A", "192.0.2.1")]}
        for step in (None, lambda server, query: [message(query, [encode_record(query.name, *record) for record in zone[query.name]])]):
            with DNS(zone if step is None else {}) as server:
                server.default = step
                self.assertEqual(ask(server, "A a+b.example")["A a+b.example"], 'OK "192.0.2.1"')
                self.assertEqual(server.count(), 1 if step is None else 3)

    def test_a_dot_within_a_label_is_no_dot(self):
        """What an alias leads to may have one; it is never taken for another name."""
        target = b"\x03a.b\x07example\0"
        with DNS({"x.example": dns.records([("CNAME", target)])}) as server:
            server.default = SPF
            self.assertEqual(ask(server, "A x.example")["A x.example"], "TEMP")
            self.assertEqual(server.count(), 1)

    def test_forgeries_are_passed_over_without_another_query(self):
        for forge in (dns.wrong_id, dns.wrong_name, dns.wrong_type, dns.wrong_port, dns.no_answer_bit):
            with self.subTest(forge.__name__):
                def lie(query, octets, forge=forge):
                    return forge(query, octets.replace(b"v=spf1 -all", b"v=spf1 +all"))
                server, _ = self.expect_one({"a+b.example": dns.before(lie, SPF)}, "TXT a+b.example", 'OK "v=spf1 -all"')
                self.assertEqual(server.count(), 1)

    def test_only_letters_have_two_cases(self):
        """RFC 1035 2.3.3: another octet with the bit that tells cases apart turned is another octet."""
        def bent(query, octets):
            at = octets.index(b"+")
            return octets[:at] + bytes([octets[at] ^ 0x20]) + octets[at + 1:].replace(b"v=spf1 -all", b"v=spf1 +all")
        self.expect_one({"a+b.example": dns.before(bent, SPF)}, "TXT a+b.example", 'OK "v=spf1 -all"')
        upper = lambda server, query: [octets.replace(query.question, query.question[:-4].upper() + query.question[-4:])
                                       for octets in server.of(SPF, query)]
        server, _ = self.expect_one({"a+b.example": upper}, "TXT a+b.example", 'OK "v=spf1 -all"')
        self.assertEqual(server.count(), 1)

    def test_a_flood_of_forgeries(self):
        mode = dns.before(dns.wrong_id, SPF)
        self.expect_one({"a+b.example": lambda server, query: mode(server, query)[:1] * 100 + server.of(SPF, query)},
                        "TXT a+b.example", 'OK "v=spf1 -all"')

    def test_ids_and_ports_are_drawn(self):
        """D-2: a port and an id for each query."""
        with DNS() as server:
            server.default = SPF
            ask(server, *["TXT +n%d.example" % i for i in range(64)])
            ports = [query.peer[1] for query in server.queries]
            ids = [query.id for query in server.queries]
        self.assertGreater(len(set(ports)), 55)
        self.assertGreater(len(set(ids)), 60)
        self.assertGreater(len({after - before for before, after in zip(ids, ids[1:])}), 50)

    def test_a_truncated_answer_is_fetched_by_tcp(self):
        for mode, answer in ((dns.truncated(SPF), 'OK "v=spf1 -all"'), ([("TXT", "x" * 3000)], 'OK "%s"' % ("x" * 3000)),
                             ([("TXT", "x" * 8193)], "LIMIT")):
            server, _ = self.expect_one({"a+b.example": mode}, "TXT a+b.example", answer)
            self.assertEqual([query.tcp for query in server.queries], [False, True])
            self.assertEqual(server.connections, 1)

    def test_datagrams_larger_than_said_are_fetched_by_tcp(self):
        def large(server, query):
            return [message(query, [encode_record(b"\xc0\x0c", "TXT", "x" * 5000)])] if not query.tcp else server.of(SPF, query)
        self.expect_one({"a+b.example": large}, "TXT a+b.example", 'OK "v=spf1 -all"')

    def test_the_whole_64_kilobytes_by_tcp(self):
        fill = encode_record(b"\0", "OPT", b"")
        full = lambda query: message(query, [encode_record(b"\xc0\x0c", "TXT", "v=spf1 -all")], additional=[
            encode_record(b"\0", 65280, b"\0" * (65535 - 12 - len(query.question) - 12 - 12 - len(fill)))])
        self.expect_one({"a+b.example": dns.truncated(dns.raw(full))}, "TXT a+b.example", 'OK "v=spf1 -all"')

    def test_what_comes_by_tcp_is_the_answer_or_none(self):
        for forge in (dns.wrong_id, dns.wrong_name, dns.wrong_type, dns.no_answer_bit, lambda query, octets: b"", lambda query, octets: octets[:9]):
            def mode(server, query, forge=forge):
                return [forge(query, octets) for octets in dns.truncated(SPF)(server, query)] if query.tcp else [message(query, flags=dns.TC)]
            server, _ = self.expect_one({"a+b.example": mode}, "TXT a+b.example", "TEMP", tries=2, timeout=500)
            self.assertEqual([query.tcp for query in server.queries], [False, True] * 2)

    def test_many_truncated_answers(self):
        names = ["+n%d.example" % i for i in range(60)]
        with DNS({name: dns.truncated([("TXT", name)]) for name in names}) as server:
            facts = ask(server, *["TXT " + name for name in names])
        for name in names:
            self.assertEqual(facts["TXT " + name], 'OK "%s"' % name)

    def test_an_answer_cut_anywhere_is_no_answer(self):
        whole = len(message(dns.Query(struct.pack("!HH4H", 0, 0, 1, 0, 0, 0) + encode_name("+00.example") + b"\0\x10\0\1", None, True),
                            [encode_record(b"\xc0\x0c", *SPF[0])]))
        zone = {"+%02d.example" % n: dns.cut(n, SPF) for n in range(whole)}
        zone["+whole.example"] = SPF
        with DNS(zone) as server:
            facts = ask(server, *["TXT +%02d.example" % n for n in range(whole)], "TXT +whole.example", timeout=FAST)
        self.assertEqual({facts["TXT +%02d.example" % n] for n in range(whole)}, {"TEMP"})
        self.assertEqual(facts["TXT +whole.example"], 'OK "v=spf1 -all"')

    def test_a_malformed_answer_is_a_try(self):
        server, _ = self.expect_one({"a+b.example": dns.raw(dns.pointer_loop)}, "TXT a+b.example", "TEMP", tries=3)
        self.assertEqual(server.count(), 3)

    def test_dead_servers_are_asked_as_often_as_others(self):
        silent = [DNS({"a+b.example": dns.DROP}) for _ in range(3)]
        for server in silent:
            self.addCleanup(server.stop)
        facts = ask(silent, "TXT a+b.example", timeout=FAST, tries=2)
        self.assertEqual(facts["TXT a+b.example"], "TEMP")
        self.assertGreaterEqual(facts["took"], FAST * 6 - 50)
        self.assertLess(facts["took"], FAST * 6 + 2000)
        self.assertEqual([server.count() for server in silent], [2, 2, 2])
        facts = ask([text(fresh_endpoint()), text(fresh_endpoint())], "TXT a+b.example", tries=2)
        self.assertEqual(facts["TXT a+b.example"], "TEMP")
        self.assertLess(facts["took"], PATIENT)

    def test_the_second_server_is_asked_when_the_first_is_silent_gone_or_fails(self):
        zone = {"a+b.example": SPF}
        with DNS(zone) as good, DNS({"a+b.example": dns.DROP}) as silent, DNS({"a+b.example": dns.SERVFAIL}) as broken:
            for first in (silent.text, broken.text, text(fresh_endpoint())):
                self.assertEqual(ask([first, good], "TXT a+b.example", timeout=400)["TXT a+b.example"], 'OK "v=spf1 -all"')

    def test_a_late_answer_is_for_nobody(self):
        with DNS({"a+b.example": dns.late(0.4, [("TXT", "late")]), "c+d.example": dns.late(0.7, SPF)}) as server:
            self.assertEqual(ask(server, "TXT a+b.example", timeout=FAST)["TXT a+b.example"], "TEMP")
            facts = ask(server, "TXT a+b.example", "TXT c+d.example", timeout=2000)
        self.assertEqual((facts["TXT a+b.example"], facts["TXT c+d.example"]), ('OK "late"', 'OK "v=spf1 -all"'))

    def test_many_questions_to_a_dead_server_wait_for_their_turn(self):
        with DNS() as server:
            server.default = dns.DROP
            facts = ask(server, *["TXT +n%d.example" % i for i in range(200)], timeout=FAST)
            self.assertEqual(server.count(), 200)
        self.assertEqual({facts["TXT +n%d.example" % i] for i in range(200)}, {"TEMP"})
        self.assertGreaterEqual(facts["took"], FAST * 3)


class Dead(Story):
    def test_silence_ends_after_all_tries(self):
        """L04: what a question may last is timeout times tries times servers, whatever comes of it."""
        silent = [DNS({"x.example": dns.DROP}) for _ in range(3)]
        for server in silent:
            self.addCleanup(server.stop)
        facts = ask(silent, "TXT x.example", timeout=FAST, tries=2)
        self.assertEqual(facts["TXT x.example"], "TEMP")
        self.assertGreaterEqual(facts["took"], FAST * 6 - 50)
        self.assertLess(facts["took"], FAST * 6 + 2000)
        self.assertEqual([server.count() for server in silent], [2, 2, 2])

    def test_closed_ports_need_no_patience(self):
        facts = ask([text(fresh_endpoint()), text(fresh_endpoint())], "TXT x.example", tries=2)
        self.assertEqual(facts["TXT x.example"], "TEMP")
        self.assertLess(facts["took"], PATIENT)

    def test_many_questions_to_a_dead_server_wait_for_their_turn(self):
        with DNS() as server:
            server.default = dns.DROP
            facts = ask(server, *["TXT n%d.example" % i for i in range(200)], timeout=FAST)
            self.assertEqual(server.count(), 200)
        self.assertEqual({facts["TXT n%d.example" % i] for i in range(200)}, {"TEMP"})
        self.assertGreaterEqual(facts["took"], FAST * 3)       # 64 at a time
        self.assertLess(facts["took"], 10000)

    def test_ids_and_ports_are_not_used_again(self):
        """D-2."""
        with DNS() as server:
            server.default = SPF
            ask(server, *["TXT n%d.example" % i for i in range(64)])
            ports = [query.peer[1] for query in server.queries]
            ids = [query.id for query in server.queries]
        self.assertGreater(len(set(ports)), 55)
        self.assertGreater(len(set(ids)), 60)
        steps = [after - before for before, after in zip(ids, ids[1:])]
        self.assertGreater(len(set(steps)), 50)

    def test_nobody_else_is_asked(self):
        """D-2: search lists, hosts files and the environment have no say."""
        inherited = {"LOCALDOMAIN": "evil.example", "RES_OPTIONS": "ndots:9 rotate", "HOSTALIASES": "/etc/hosts"}
        os.environ.update(inherited)
        try:
            with DNS() as server:
                facts = ask(server, "A localhost", "A x")
                self.assertEqual(sorted(query.name for query in server.queries), ["localhost", "x"])
        finally:
            for name in inherited:
                del os.environ[name]
        self.assertEqual((facts["A localhost"], facts["A x"]), ("NXDOMAIN", "NXDOMAIN"))


class Asking(Story):
    """Through the gateway, whose SPF check asks."""

    def asking(self, zone, sections=None, **keys):
        server = DNS(zone)
        self.addCleanup(server.stop)
        gateway, _ = self.pair({"dns": {"servers": server.text, "timeout": "300ms", "tries": 1, **keys}, "spf": {"fail": "reject"},
                                "server": {"workers": 1}, "limits": {"sessions_per_address": 300},
                                **(sections or {})})
        return server, gateway

    def envelope(self, gateway, domain="sender.example"):
        """The reply to RCPT."""
        client = self.greeted(gateway.smtp)
        client.ask("MAIL FROM:<a@%s>" % domain)
        reply = client.ask("RCPT TO:<v@local.example>")
        client.quit()
        return reply

    def test_a_sender_that_may_and_one_that_may_not(self):
        server, gateway = self.asking({"sender.example": [("TXT", "v=spf1 a:h.example -all")], "h.example": [("A", "127.0.0.1")],
                                       "other.example": [("TXT", "v=spf1 -all")]})
        self.assert_reply(self.envelope(gateway), 250, "2.1.5")
        self.assertEqual(self.envelope(gateway, "other.example").code, 550)
        asked = server.count()
        self.assert_reply(self.envelope(gateway), 250, "2.1.5")
        self.assertEqual(self.envelope(gateway, "other.example").code, 550)
        self.assertEqual(server.count(), asked)     # the answers are kept

    def mail_from(self, gateway, path):
        client = self.greeted(gateway.smtp)
        client.send(b"MAIL FROM:<" + path.encode("latin-1") + b">\r\nRCPT TO:<v@local.example>\r\n")
        replies = client.reply(), client.reply()
        client.quit()
        return replies[1]

    def greedy(self, name):
        """SPF that has as much to ask as it may: 10 terms MX of 10 hosts each (RFC 7208 4.6.4), none of which is the client."""
        zone = {name: [("TXT", "v=spf1 %s -all" % " ".join("mx:m%d.%s" % (i, name) for i in range(10)))]}
        for i in range(10):
            hosts = ["h%d.m%d.%s" % (k, i, name) for k in range(10)]
            zone["m%d.%s" % (i, name)] = [("MX", (k, host)) for k, host in enumerate(hosts)]
            zone.update((host, [("A", "192.0.2.%d" % (10 * i + k + 1))]) for k, host in enumerate(hosts))
        return zone

    def test_one_transaction_asks_no_more_than_its_facts(self):
        """D-1, D-4: whatever the zone, and each question once."""
        author = "a.b.c.d.e.f.g.h.i.j.author.example"
        signature = "DKIM-Signature: v=1; a=rsa-sha256; d=%s; s=s%d; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
        message_ = ("".join(signature % (author, i) for i in range(30)) + "From: a@%s\r\n\r\n" % author).encode()
        zone = {**self.greedy("sender.example"), **self.greedy("client.example")}
        for facts, least, most in ((64, 60, 64), (128, 64, 128), (256, 128, 250)):
            with self.subTest(facts=facts):
                server = DNS(zone)
                self.addCleanup(server.stop)
                server.default = lambda server, query: [message(query)]      # whatever else is asked for exists
                gateway, _ = self.pair({"dns": {"servers": server.text}, "server": {"workers": 1}, "limits": {"facts": facts},
                                        "spf": {"fail": "record"}})
                client = self.greeted(gateway.smtp)
                client.deliver(message_)
                asked = [(query.name, query.type) for query in server.queries]
                self.assertEqual(len(asked), len(set(asked)))
                self.assertLessEqual(len(asked), most)
                self.assertGreaterEqual(len(asked), least, asked)
                client.deliver(message_)        # nothing is asked again, but what did not fit may be
                client.quit()
                self.assertLessEqual(server.count(), 2 * most)

    def test_senders_by_name(self):
        """exists:%{l} (RFC 7208 7, 8.1 of its appendix D): local parts of honest mail are no host names."""
        local = ("bounces+123=user=example.net", "SRS0=HHH=TT=orig.example=alice", "a!b#c$d%e&f'g~h", "o'neill", "Upper+Case", '"a b"',
                 '"back\\\\slash"')
        asked = ("bounces+123=user=example.net", "srs0=hhh=tt=orig.example=alice", "a!b#c$d%e&f'g~h", "o'neill", "upper+case", "a b",
                 "back\\slash")
        zone = {"sender.example": [("TXT", "v=spf1 exists:%{l}._spf.sender.example -all")]}
        server, gateway = self.asking(zone)
        for path, name in zip(local, asked):
            with self.subTest(path):
                self.assertEqual(self.mail_from(gateway, path + "@sender.example").code, 550)
                self.assertGreaterEqual(server.count(name + "._spf.sender.example", "A"), 1)
                self.assertEqual(self.mail_from(gateway, path.replace("a", "x", 1) + "@sender.example").code, 550)
        server, gateway = self.asking({**zone, **{name + "._spf.sender.example": [("A", "127.0.0.2")] for name in asked}})
        for path in local:
            with self.subTest(path):
                self.assert_reply(self.mail_from(gateway, path + "@sender.example"), 250, "2.1.5")

    def test_senders_by_name_of_a_dead_server(self):
        zone = {"sender.example": [("TXT", "v=spf1 exists:%{l}._spf.sender.example -all")], "a+b._spf.sender.example": dns.DROP}
        server, gateway = self.asking(zone)
        self.assertEqual(self.mail_from(gateway, "a+b@sender.example").code, 451)
        self.assertEqual(server.count("a+b._spf.sender.example"), 1)

    def test_a_stop_while_a_sender_is_looked_up_by_name(self):
        zone = {"sender.example": [("TXT", "v=spf1 exists:%{l}._spf.sender.example -all")], "a+b._spf.sender.example": dns.DROP}
        server, gateway = self.asking(zone, {"timeouts": {"drain": "1s"}}, timeout="10s")
        client = self.greeted(gateway.smtp)
        client.send(b"MAIL FROM:<a+b@sender.example>\r\nRCPT TO:<v@local.example>\r\n")
        until(lambda: server.count("a+b._spf.sender.example"), "the question is asked")
        gateway.stop()          # in order, with everything closed

    def test_a_dead_server_is_a_reason_to_come_again(self):
        """L04: neither a yes nor a no, in a bounded time; and a reload finds another server."""
        server, gateway = self.asking({"sender.example": dns.DROP})
        self.assertEqual(self.envelope(gateway).code, 451)
        other = DNS({"sender.example": [("TXT", "v=spf1 ip4:127.0.0.1 -all")]})
        self.addCleanup(other.stop)
        gateway.change({"dns": {"servers": other.text}})
        gateway.reload()
        self.assertEqual(self.envelope(gateway).code, 250)

    def test_answers_that_come_one_by_one(self):
        zone = {"sender.example": [("TXT", "v=spf1 %s -all" % " ".join("include:i%d.example" % i for i in range(9)))]}
        for i in range(9):
            zone["i%d.example" % i] = dns.late(0.01 * (9 - i), [("TXT", "v=spf1 ip4:192.0.2.%d -all" % i)])
        server, gateway = self.asking(zone, in_flight=4, in_flight_session=2)
        clients = [self.greeted(gateway.smtp) for _ in range(50)]
        for client in clients:
            client.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\n")
        for client in clients:
            self.assertEqual([client.reply().code, client.reply().code], [250, 550])
        for i in range(9):      # 50 sessions share their questions
            self.assertLess(server.count("i%d.example" % i), 4)

    def test_clients_that_leave_while_their_sender_is_looked_up(self):
        server, gateway = self.asking({"sender.example": dns.late(0.3, SPF)}, timeout="5s")
        clients = [self.greeted(gateway.smtp) for _ in range(20)]
        for client in clients:
            client.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\n")
        until(server.count, "the question is asked")
        for client in clients[:19]:
            client.reset()
        self.assertEqual([clients[19].reply().code, clients[19].reply().code], [250, 550])

    def test_fifty_senders_and_no_server_that_answers(self):
        """L04: they wait for their turn, but no longer than a verdict may take; and nothing is left of it."""
        server, gateway = self.asking({}, in_flight=4)
        server.default = dns.DROP
        gateway.change({"timeouts": {"verdict": "2s"}})
        gateway.reload()
        clients, begun = [self.greeted(gateway.smtp) for _ in range(50)], time.monotonic()
        for i, client in enumerate(clients):
            client.send(b"MAIL FROM:<a@d%d.example>\r\nRCPT TO:<v@local.example>\r\n" % i)
        for client in clients:
            self.assertEqual([client.reply().code, client.reply().code], [250, 451])
        self.assertLess(time.monotonic() - begun, 4)
        server.default = [("TXT", "v=spf1 -all")]
        time.sleep(1)       # what is under way ends
        self.assertEqual(self.envelope(gateway, "then.example").code, 550)

    def test_a_transaction_hears_what_the_one_before_asked(self):
        """Whatever share of the queries the one before still has under way."""
        for share in 1, 16:
            with self.subTest(in_flight_session=share):
                server, gateway = self.asking({"sender.example": dns.late(1.5, SPF)}, timeout="5s", in_flight_session=share)
                gateway.change({"timeouts": {"verdict": "1s"}})
                gateway.reload()
                client = self.greeted(gateway.smtp)
                client.ask("MAIL FROM:<a@sender.example>")
                self.assertEqual(client.ask("RCPT TO:<v@local.example>").code, 451)
                client.ask("RSET")
                client.ask("MAIL FROM:<a@sender.example>")
                self.assertEqual(client.ask("RCPT TO:<v@local.example>").code, 550)
                self.assertEqual(server.count("sender.example"), 1)

    def test_a_stop_while_a_sender_is_looked_up(self):
        server, gateway = self.asking({"sender.example": dns.DROP}, {"timeouts": {"drain": "1s"}}, timeout="10s")
        clients = [self.greeted(gateway.smtp) for _ in range(5)]
        for client in clients:
            client.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<v@local.example>\r\n")
        until(server.count, "the question is asked")
        gateway.stop()          # in order, with everything closed


def signature(domain, selector):
    """One that costs a question for its key, and no more."""
    return ("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=%s; h=From;\r\n\tbh=%s=; b=%s\r\n" % (
        domain, selector, "A" * 43, "A" * 344)).encode()


def letter(author):
    return b"From: a@%s\r\n\r\nHi.\r\n" % author.encode()


def greedy(domain):
    """The worst record that is legal (RFC 7208 4.6.4): 10 terms "mx" of 10 hosts each, none of them the client's."""
    zone = {domain: [("TXT", "v=spf1 %s -all" % " ".join("mx:m%d.%s" % (m, domain) for m in range(10)))]}
    for m in range(10):
        zone["m%d.%s" % (m, domain)] = [("MX", (h, "h%d.m%d.%s" % (h, m, domain))) for h in range(10)]
        for h in range(10):
            zone["h%d.m%d.%s" % (h, m, domain)] = [("A", "192.0.2.1")]
    return zone


class Wire(Story):
    """What a message costs on the third wire, and what it cannot make us ask (ORACLE D-1 to D-7, ATTACKS G and L)."""

    def start(self, zone, **sections):
        self.dns = DNS(zone)
        self.addCleanup(self.dns.stop)
        settings = {"dns": {"servers": self.dns.text, "timeout": "2s", "tries": 1}, "server": {"workers": 1},
                    "limits": {"sessions_per_address": 300}, "timeouts": {"verdict": "20s"}}
        for name, keys in sections.items():
            settings[name] = {**settings.get(name, {}), **keys}
        self.gate, self.back = self.pair(settings)
        return self.gate

    def send(self, message, sender, helo="[127.0.0.1]", gate=None):
        """The reply, the queries it cost, and the octets of the client."""
        before = self.dns.count()
        client = self.greeted((gate or self.gate).smtp)
        client.ehlo(helo)
        reply = client.deliver(message, sender=sender)
        client.quit()
        client.close()
        return reply, self.dns.queries[before:], len(message) + len(sender) + len(helo) + 70

    def assert_once(self, queries):
        asked = [(query.name, query.type) for query in queries]
        self.assertEqual(len(asked), len(set(asked)), [one for one in asked if asked.count(one) > 1])

    def test_the_worst_record_costs_111_questions(self):
        """D-1, Z-7."""
        self.start(greedy("sender.example"), spf={"fail": "record"}, dmarc={"mode": "off"})
        reply, queries, _ = self.send(letter("a.example"), "a@sender.example")
        self.assert_reply(reply, 250)
        self.assertEqual(len(queries), 1 + 10 + 100)
        self.assert_once(queries)
        found = results.parse(results.fields(self.back.messages[0].body, "Authentication-Results")[0])[1]
        self.assertEqual(found["spf"][0][0], "fail")

    def test_one_term_more_is_an_error_and_costs_no_more(self):
        zone = greedy("sender.example")
        zone["sender.example"] = [("TXT", zone["sender.example"][0][1].replace(" -all", " a:x.sender.example a:y.sender.example -all"))]
        self.start(zone, spf={"fail": "record"}, dmarc={"mode": "off"})
        _, queries, _ = self.send(letter("a.example"), "a@sender.example")
        self.assertLessEqual(len(queries), 111)
        self.assertEqual(self.back.messages[0].body.count(b"spf=permerror"), 1)

    def test_signatures_beyond_the_cap_cost_nothing(self):
        self.start({}, dmarc={"mode": "off"})
        _, queries, _ = self.send(b"".join(signature("d%d.example" % n, "s") for n in range(200)) + letter("a.example"), "a@none.example")
        self.assertEqual(sum("_domainkey" in query.name for query in queries), 5)

    def test_a_name_of_many_labels_costs_eight_questions(self):
        """Z-7, ATTACKS I01."""
        self.start({})
        author = ".".join(["a"] * 120 + ["example"])
        _, queries, _ = self.send(letter(author), "a@none.example")
        self.assertLessEqual(sum(query.name.startswith("_dmarc.") for query in queries), 8)
        self.assert_once(queries)

    def test_everything_at_once_stays_within_the_limits(self):
        """D-1, G13: the caps of a transaction hold for all methods together; nothing is asked twice."""
        zone = {**greedy("sender.example"), **greedy("helo.example")}
        deep = ".".join(["b"] * 100)
        self.start(zone, limits={"facts": 256})
        message = b"".join(signature("%s.d%d.example" % (deep, n), "s") for n in range(9)) + letter(deep + ".author.example")
        started = time.monotonic()
        reply, queries, north = self.send(message, "a@sender.example", helo="helo.example")
        self.assertIn(reply.code, (250, 451, 550))
        self.assertLessEqual(len(queries), 256)
        self.assert_once(queries)
        east = sum(len(query.message) for query in queries)
        print("%d queries, %d octets for %d of the client, %.1f s" % (len(queries), east, north, time.monotonic() - started), end=" ")
        self.assertLess(east, 256 * 300)
        small, queries, north = self.send(letter("a.example"), "a@sender.example", helo="helo.example")
        self.assert_once(queries)

    def test_the_same_name_is_asked_once(self):
        """D-4: by several methods and messages of a session, with a cache and, within one message, without."""
        zone = {"x.example": [("TXT", "v=spf1 a:x.example mx:x.example include:y.example -all"), ("A", "192.0.2.1"), ("MX", (1, "x.example"))],
                "y.example": [("TXT", "v=spf1 a:x.example -all")], "_dmarc.x.example": [("TXT", "v=DMARC1; p=none")]}
        self.start(zone, spf={"fail": "record"})
        message = signature("x.example", "s") * 3 + letter("x.example")
        client = self.greeted(self.gate.smtp)
        client.ehlo("x.example")
        for _ in range(3):
            self.assert_reply(client.deliver(message, sender="a@x.example"), 250)
        self.assert_once(self.dns.queries)
        uncached = self.gateway(self.back.endpoint, {"dns": {"servers": self.dns.text, "cache_size": "0"}, "spf": {"fail": "record"}})
        _, queries, _ = self.send(message, "a@x.example", helo="x.example", gate=uncached)
        self.assertGreater(len(queries), 3)
        self.assert_once(queries)

    def test_names_made_of_what_the_client_says_are_names(self):
        """D-3, G05: macros, and letters of every kind in them."""
        terms = ["exists:%{l}.l.example", "exists:%{l-}.r.example", "exists:%{h}.h.example", "exists:%{s}.s.example", "exists:%{L}.u.example",
                 "exists:%{l1r-}.%{d1}.x.example", "exists:%{i}.%{v}.i.example"]
        below = ".".join(["z" * 60, "y" * 60])
        self.start({"%st%d.example" % (front, n): [("TXT", "v=spf1 %s ?all" % term)] for n, term in enumerate(terms)
                    for front in ("", below + ".")}, limits={"transactions": 1000, "errors": 1000})
        client = self.greeted(self.gate.smtp)
        client.ehlo("x" * 60 + "." + "y" * 60 + ".helo.example")
        for local in (b"a", b'"a b"', b'"a\\\\b"', b"a.b.c", b'".."', b'"' + b"." * 60 + b'"', b"x" * 64, b'"\\@"', b"a-" * 31 + b"a", b"=" * 63,
                      b"{}", b'"*"', b'"a;b(c"', b"_" * 64, b'"\\\""', b'" "'):
            for n in range(2 * len(terms)):
                domain = "%st%d.example" % (below + "." if n % 2 else "", n // 2)
                if client.ask(b"MAIL FROM:<" + local + b"@" + domain.encode() + b">").code == 250:
                    client.rcpt()
                    self.assertIn(client.data(letter("a.example")).code, (250, 451))
        self.assertGreater(self.dns.count(), 60)
        for query in self.dns.queries:
            labels = query.name_sent.split(".")
            self.assertLessEqual(len(query.name_sent), 253)
            self.assertTrue(all(0 < len(label) <= 63 for label in labels), query)
            self.assertRegex(query.name_sent, r"\A[!-~ ]+\Z")

    def test_ids_and_ports_of_the_gateway_are_its_own_choice(self):
        """D-2."""
        self.start({"n%d.example" % n: SPF for n in range(40)}, dmarc={"mode": "off"})
        client = self.greeted(self.gate.smtp)
        for n in range(40):
            client.deliver(letter("a.example"), sender="a@n%d.example" % n)
        self.assertGreater(len({query.id for query in self.dns.queries}), 35)
        self.assertGreater(len({query.peer[1] for query in self.dns.queries}), 35)

    def test_large_answers_and_chains(self):
        """D-5, D-6: a key by TCP, and behind a chain of CNAMEs; what is too long is no answer."""
        chain = {"c%d.example" % n: [("CNAME", "c%d.example" % (n + 1))] for n in range(1, 12)}
        for links, result in ((7, "pass"), (8, "pass"), (9, "temperror")):
            with self.subTest(links=links):
                zone = dict(chain)
                zone["sender.example"] = [("CNAME", "c%d.example" % (13 - links))]
                zone["c12.example"] = [("TXT", "v=spf1 ip4:127.0.0.0/8 -all")]
                self.start(zone, spf={"temperror": "record"})
                self.send(letter("a.example"), "a@sender.example")
                self.assertIn(b"spf=%s" % result.encode(), self.back.messages[-1].body.partition(b";")[2][:400])
        self.start({"sender.example": dns.truncated([("TXT", "v=spf1 ip4:127.0.0.0/8 -all"), ("TXT", "x" * 3000)])})
        self.send(letter("a.example"), "a@sender.example")
        self.assertIn(b"spf=pass", self.back.messages[-1].body)
        self.assertEqual([query.tcp for query in self.dns.asked("sender.example")], [False, True])

    def test_who_is_refused_before_costs_no_question(self):
        """D-7."""
        self.start({"sender.example": SPF}, limits={"sessions_per_address": 1})
        client = self.greeted(self.gate.smtp)
        self.assertEqual(self.client(self.gate.smtp).greeting.code, 421)
        client.mail("a@sender.example")
        self.assertEqual(client.rcpt("v@elsewhere.example").code, 550)
        self.assertEqual(client.ask("DATA").code, 503)
        client.ask("MAIL FROM:<a@sender.example> SIZE=999999999999")
        client.quit()
        self.assertEqual(self.dns.queries, [])

    def worst(self):
        return b"".join(signature("d%d.example" % n, "s") for n in range(9)) + letter("author.example")

    def test_with_all_of_the_dns_dead_each_message_has_its_451_in_time(self):
        """L04, R-3: the bound is [timeouts] verdict, for one session as for a hundred, and they cost what was promised."""
        self.start({}, timeouts={"verdict": "3s"})
        self.dns.default = dns.DROP
        started = time.monotonic()
        reply, _, _ = self.send(self.worst(), "a@sender.example", helo="helo.example")
        took = time.monotonic() - started
        self.assertEqual(reply.code, 451)
        self.assertLess(took, 3 + 2)
        worker, = self.gate.workers()
        before = int(status_of(worker)["VmRSS"].split()[0])
        clients = [self.greeted(self.gate.smtp) for _ in range(100)]
        started = time.monotonic()
        for n, client in enumerate(clients):
            client.mail("a@s%d.example" % n)
            client.rcpt()
            client.ask("DATA")
            client.send(self.worst().replace(b"author", b"author%d" % n) + b".\r\n")
        until(lambda: self.dns.count() > 64, "they ask")
        grown = int(status_of(worker)["VmRSS"].split()[0]) - before
        for client in clients:
            self.assertEqual(client.reply().code, 451)
        self.assertLess(time.monotonic() - started, 3 + 6)
        print("%.1f s, %d KB for 100 waiting" % (took, grown), end=" ")
        self.assertLess(grown, 100 * 200)       # KB
        self.assertEqual(self.back.messages, [])

    def test_answers_that_are_late_each_time_do_not_add_up(self):
        """G11, Z-7: each is in time, all of them are not."""
        zone = {"i%d.example" % n: dns.late(0.7, [("TXT", "v=spf1 include:i%d.example -all" % (n + 1))]) for n in range(9)}
        zone["i9.example"] = dns.late(0.7, [("TXT", "v=spf1 ip4:127.0.0.0/8 -all")])
        self.start(zone, timeouts={"verdict": "3s"})
        started = time.monotonic()
        reply, _, _ = self.send(letter("a.example"), "a@i0.example")
        took = time.monotonic() - started
        self.assert_reply(reply, 451, "4.7.24")
        self.assertLess(took, 3 + 2)
        self.assertEqual(self.back.messages, [])
        time.sleep(0.8)                          # the answer that came behind its time is for the next one
        self.send(letter("a.example"), "a@i0.example")


class Ini(Story):
    def test_a_gateway_without_questions_asks_none(self):
        with DNS() as server:
            gateway, _ = self.pair({"dns": {"servers": server.text}})
            self.greeted(gateway.smtp).quit()
            self.assertEqual(server.queries, [])

    def test_a_bad_server_is_an_error_of_the_configuration(self):
        check = Process([binary(), "check", "-c", Gateway(None, {"dns": {"servers": "localhost"}}, start=False).ini])
        self.assertEqual(check.wait(), 78)
        self.assertIn("[dns] servers", check.text())


if __name__ == "__main__":
    main(__name__)
