#!/usr/bin/env python3
"""`postern explain` and `postern replay`: what they say, to people and to programs, and with which status they end."""
import json
import subprocess

from parts import mmdb
from parts.gateway import binary, environment
from parts.place import fresh_folder
from parts.story import Story, main

PLAIN = (b"Return-Path: <alice@sender.example>\n"
         b"Received: from mail.sender.example (mail.sender.example [192.0.2.1])\n"
         b"\tby mx.local.example (Postfix) with ESMTPS id 1\n"
         b"\tfor <v@local.example>; Sun, 22 Nov 2026 12:00:05 +0000 (UTC)\n"
         b"Received: from laptop ([10.0.0.5]) by mail.sender.example with ESMTP;\n"
         b"\tSun, 22 Nov 2026 12:59:59 +0100\n"
         b"From: alice@sender.example\nSubject: hi\n\nHello\n")
INI = """[server]
hostname = mx.local.example
[listen smtp]
address = 127.0.0.1:2525
tls = off
[backend]
servers = 127.0.0.1:2526
[relay]
domains = local.example
[standing]
mode = off
[rdns]
mode = off
unconfirmed = off
[helo]
unresolvable = off
mismatch = off
[sender]
exists = off
null_mx = off
"""
GEO = """[geo]
country_database = %s
[origin far]
deny = DE
"""
RESULTS = {"none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror"}
FACTS = (b'TXT sender.example OK "v=spf1 ip4:192.0.2.0/24 -all"\nTXT mail.sender.example NODATA\n'
         b'TXT _dmarc.sender.example OK "v=DMARC1; p=reject"\nTXT _dmarc.example NODATA\n')
OTHER_FACTS = b"TXT b.example NODATA\nTXT _dmarc.b.example NODATA\n"
GIVEN = ("--ip", "192.0.2.1", "--helo", "mail.sender.example", "--mail-from", "alice@sender.example")


class Run:
    """One run of the command, to its end."""

    def __init__(self, *arguments, stdin=b""):
        run = subprocess.run([binary(), *arguments], input=stdin, capture_output=True, env=environment(), timeout=60)
        self.status, self.out, self.err = run.returncode, run.stdout, run.stderr.decode("utf-8", "replace")

    def text(self):
        return self.out.decode("ascii")

    def json(self):
        return json.loads(self.out)


def write(name, content):
    path = fresh_folder("explain") / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


class Explain(Story):
    def explain(self, *arguments, message=PLAIN, facts=FACTS + OTHER_FACTS, ini=INI):
        words = ["explain", "-c", write("postern.ini", ini)]
        if facts is not None:
            words += ["--facts", write("facts", facts)]
        return Run(*words, *arguments, *([write("message.eml", message)] if message is not None else []))

    def test_the_envelope_is_read_from_the_newest_trace_fields(self):
        run = self.explain()
        self.assertEqual(run.status, 0, run.err)
        self.assertRegex(run.text(), r"client +192\.0\.2\.1 +\(from the newest Received field\)")
        self.assertRegex(run.text(), r"HELO +mail\.sender\.example +\(from the newest Received field\)")
        self.assertRegex(run.text(), r"MAIL FROM +<alice@sender\.example> +\(from the Return-Path field\)")

    def test_the_journey_goes_from_the_oldest_hop_to_the_newest(self):
        text = self.explain().text()
        self.assertIn("from laptop [10.0.0.5] by mail.sender.example", text)
        self.assertIn("12:00:05 +0000  +6 s", text)
        self.assertLess(text.index("from laptop"), text.index("from mail.sender.example"))

    def test_what_cannot_be_read_has_to_be_given(self):
        for message, option in ((b"From: a@b.example\n\n", "--ip"),
                                (PLAIN.replace(b"[192.0.2.1])", b"[192.0.2.1] [192.0.2.2])"), "--ip"),
                                (PLAIN.replace(b"Return-Path", b"X-Path"), "--mail-from"),
                                (b"Return-Path: <b@c.example>\n" + PLAIN, "--mail-from")):
            run = self.explain(message=message)
            self.assertEqual(run.status, 64, run.err)
            self.assertIn(option + " is needed", run.err)
            self.assertEqual(self.explain(*GIVEN, message=message).status, 0)

    def test_the_json_object_has_its_keys_and_no_others(self):
        said = self.explain("--json").json()
        self.assertEqual(list(said), ["verdict", "reply", "spf", "helo_spf", "dkim", "arc", "dmarc", "checks", "facts"])
        self.assertEqual(said["verdict"], "accept")
        for key in ("spf", "helo_spf"):
            self.assertEqual(list(said[key]), ["result", "identity", "domain", "explanation", "lookups", "void_lookups"])
            self.assertIn(said[key]["result"], RESULTS)
        self.assertEqual(list(said["arc"]), ["result", "sealers", "reason"])
        self.assertEqual(list(said["dmarc"]),
                         ["result", "domain", "policy_domain", "organizational_domain", "policy", "aligned"])
        for fact in said["facts"]:
            self.assertEqual(list(fact), ["type", "name", "state", "values"])

    def test_json_and_text_survive_any_octets(self):
        hostile = bytes(octet for octet in range(256) if octet not in b"\0\r\n")
        message = (PLAIN.replace(b"from laptop", b"from " + hostile)
                   .replace(b"alice@sender.example\nSubject", b"\"" + hostile + b"\"@sender.example\nSubject"))
        self.explain("--json", message=message).json()
        for octet in self.explain(message=message).out:
            self.assertTrue(octet == 10 or 32 <= octet < 127, octet)

    def test_a_refused_recipient_ends_it(self):
        run = self.explain("--rcpt", "v@elsewhere.example", "--json")
        self.assertEqual((run.status, run.json()["verdict"]), (1, "reject"))
        self.assertEqual(run.json()["reply"], "550 5.7.1 Relaying denied")
        self.assertIn({"name": "relay", "result": "not-local", "detail": "not-local: elsewhere.example"},
                      run.json()["checks"])

    def test_one_good_recipient_is_enough(self):
        run = self.explain("--rcpt", "v@elsewhere.example", "--rcpt", "v@local.example", "--json")
        self.assertEqual((run.status, run.json()["verdict"], run.json()["reply"]), (0, "accept", "250"))

    def test_the_presets_take_the_recipients_for_local_ones(self):
        run = Run("explain", "-c", "/nonexistent", write("m", PLAIN))
        self.assertEqual(run.status, 78)
        run = Run("explain", "--facts", write("facts", FACTS), "--rcpt", "v@anywhere.example", *GIVEN, write("m", PLAIN))
        self.assertEqual(run.status, 0, run.err)
        self.assertIn("the presets", run.text())

    def test_standard_input_and_the_envelope_alone(self):
        ini = write("postern.ini", INI)
        self.assertEqual(Run("explain", "-c", ini, "--facts", write("facts", FACTS), "-", stdin=PLAIN).status, 0)
        run = Run("explain", "-c", ini, "--facts", write("facts", FACTS), *GIVEN)
        self.assertEqual(run.status, 0, run.err)
        self.assertNotIn("Journey", run.text())

    def test_the_rules_of_the_session_hold(self):
        received = b"Received: from a.example by b.example; Sun, 22 Nov 2026 12:00:00 +0000\r\n"
        for message, reply in (
                (PLAIN.replace(b"Hello", b"Hel\rlo"), "550 5.5.2 Message contains a bare CR"),
                (PLAIN.replace(b"Hello", b"Hel\0lo"), "550 5.5.2 Message contains a NUL octet"),
                (b" x\n" + PLAIN, "550 5.6.0 Message begins with a continuation line"),
                (received * 101 + b"\r\n", "554 5.4.6 Too many hops, this message is in a loop"),
                (b"X: " + b"x" * 262144 + b"\r\n\r\n", "552 5.3.4 Message header too big")):
            run = self.explain(*GIVEN, "--json", message=message)
            said = run.json()
            self.assertEqual((run.status, said["verdict"]), (1, "reject"))
            self.assertEqual(said["reply"], reply)

    def test_more_rounds_of_questions_than_allowed_are_the_senders_error(self):
        """As in the scenario of that name: limits.passes holds here, too."""
        chain = ["sender.example"] + ["%s.example" % c for c in "abcdefgh"]
        facts = "".join('TXT %s OK "v=spf1 include:%s -all"\n' % pair for pair in zip(chain, chain[1:]))
        facts += 'TXT h.example OK "v=spf1 ip4:192.0.2.1 -all"\nTXT mail.sender.example NODATA\nTXT _dmarc.sender.example NODATA\n'
        facts += "TXT _dmarc.example NODATA\n"
        for passes, result in ((64, "pass"), (8, "permerror")):
            run = self.explain("--json", *GIVEN, facts=facts.encode(), ini=INI + "[limits]\npasses = %d\n" % passes)
            self.assertEqual(run.json()["spf"]["result"], result)

    def test_framing_may_be_repaired_as_in_the_session(self):
        message = PLAIN.replace(b"Hello", b"Hel\rlo")
        self.assertEqual(self.explain(*GIVEN, message=message, ini=INI + "[framing]\nmode = normalise\n").status, 0)
        self.assertEqual(self.explain(*GIVEN, message=message, ini=INI + "[framing]\nnormalise = 192.0.2.0/24\n").status,
                         0)

    def test_bad_input_is_told_with_its_place(self):
        run = self.explain(facts="TXT a.example NODATA\nTXT a.example NODATA\n")
        self.assertEqual(run.status, 65)
        self.assertRegex(run.err, r"facts:2: ")
        self.assertEqual(Run("explain", *GIVEN, "/nonexistent").status, 65)
        self.assertEqual(self.explain(ini="[server]\nhostname = 1 2\n").status, 78)
        for words in (("--ip", "x"), ("--helo", "a b"), ("--mail-from", "a@b@c"), ("--rcpt", "<>"), ("--now", "soon"),
                      ("--never-heard-of",), ("one", "two")):
            self.assertEqual(Run("explain", "--facts", write("facts", FACTS), *GIVEN, *words).status, 64, words)

    def test_without_an_answer_it_is_missing_and_for_now(self):
        run = self.explain(facts="TXT sender.example NODATA\nTXT mail.sender.example NODATA\n")
        self.assertEqual(run.status, 2)
        self.assertRegex(run.text(), r"TXT +_dmarc\.sender\.example +TEMP: MISSING")

    def test_saved_answers_give_the_same_verdict(self):
        saved = str(fresh_folder("explain") / "saved")
        first = self.explain("--ip", "198.51.100.9", "--json", "--save-facts", saved)
        self.assertEqual((first.status, first.json()["dmarc"]["result"]), (1, "fail"))
        with open(saved, "rb") as file:
            again = self.explain("--ip", "198.51.100.9", "--json", facts=file.read())
        self.assertEqual(again.json(), first.json())

    def test_databases_say_where_the_client_is(self):
        ini = INI + GEO % write("country.mmdb", mmdb.database(mmdb.ORIGINS))
        given = ("--ip", "203.0.113.9", "--helo", "mail.sender.example", "--mail-from", "", "--rcpt", "v@local.example")
        saved = str(fresh_folder("explain") / "saved")
        live = self.explain(*given, "--save-facts", saved, message=None, facts=None, ini=ini)
        self.assertEqual(live.status, 1, live.err + live.text())
        self.assertRegex(live.text(), r'GEO +203\.0\.113\.9\n +"DE"\n +"EU"\n')
        self.assertIn("far: 203.0.113.9 (DE, EU)", live.text())
        with open(saved, "rb") as file:
            again = self.explain(*given, message=None, facts=file.read(), ini=INI + GEO % "/nonexistent/country.mmdb")
        self.assertEqual(again.status, 1, again.err + again.text())
        untold = self.explain(*given, "--json", message=None, facts=b"", ini=ini)   # nothing but what the file says
        self.assertIn("no answer for GEO 203.0.113.9", untold.err)
        broken = self.explain(*given, message=None, facts=None, ini=INI + GEO % "/nonexistent/country.mmdb")
        self.assertEqual(broken.status, 0, broken.err + broken.text())
        self.assertIn("No such file", broken.err)

    def test_time_is_read_in_three_forms(self):
        for now in ("1795348800", "2026-11-22T12:00:00Z", "Sun, 22 Nov 2026 13:00:00 +0100"):
            self.assertIn("Sun, 22 Nov 2026 12:00:00 +0000", self.explain("--now", now).text())


RECORD = b"""record 1
id "4KQ2T7XJ3WZ5M" 1
time 1795348800
client 192.0.2.1:40112
helo "mail.sender.example"
flags esmtp tls
from "alice@sender.example"
rcpt accepted "v@local.example"
rcpts 1
size 300
verdict accept 0 "" ""
facts %d
%sheader %d
%s
end
"""
HEADER = b"From: alice@sender.example\r\nSubject: hi\r\n"


def record(facts=FACTS, header=HEADER):
    facts += b"PARTS parts NODATA\n"
    return RECORD % (len(facts), facts, len(header), header)


class Replay(Story):
    def replay(self, records, *arguments, ini=INI):
        return Run("replay", "-c", write("new.ini", ini), *arguments, write("records", records))

    def test_nothing_changes_under_the_same_configuration(self):
        run = self.replay(record() * 3)
        self.assertEqual(run.status, 0, run.err + run.text())
        self.assertIn("3 records: 0 change, 3 stay as they were", run.text())
        self.assertEqual(self.replay(record(), "--all").text().count("same: accept"), 1)

    def test_a_recipient_that_is_not_local_any_more_changes(self):
        run = self.replay(record(), ini=INI.replace("local.example\n", "other.example\n").replace("mx.local", "mx.other"))
        self.assertEqual(run.status, 1, run.err)
        self.assertIn("changed: accept -> reject 550 5.7.1 (relay: not-local: local.example)", run.text())
        self.assertIn("recipient <v@local.example>: accepted -> reject", run.text())

    def test_json_is_a_line_for_each(self):
        run = self.replay(record() * 2, "--json", "--all")
        lines = [json.loads(line) for line in run.out.splitlines()]
        self.assertEqual([line["result"] for line in lines], ["same", "same"])
        self.assertEqual(lines[0]["old"], {"verdict": "accept", "code": 0, "check": ""})

    def test_a_policy_that_judges_changes_what_it_would_have_refused(self):
        forged = record().replace(b"client 192.0.2.1", b"client 198.51.100.9")
        run = self.replay(forged)
        self.assertEqual(run.status, 1, run.err + run.text())
        self.assertRegex(run.text(), r"author sender\.example\n    changed: accept -> reject 550 5\.7\.26 \(dmarc: ")
        lenient = INI + "[dmarc]\nmode = monitor\n"
        self.assertEqual(self.replay(forged, ini=lenient).status, 0)

    def test_databases_answer_where_the_record_does_not(self):
        ini = INI + GEO % write("country.mmdb", mmdb.database({"192.0.2.0/24": mmdb.nested("DE", "EU")}))
        run = self.replay(record(), ini=ini)
        self.assertEqual(run.status, 1, run.err + run.text())
        self.assertIn("(geo: far: 192.0.2.1 (DE, EU))", run.text())
        run = self.replay(record(facts=FACTS + b"GEO 192.0.2.1 OK FR EU \"\" \"\"\n"), ini=ini)
        self.assertEqual(run.status, 0, run.err + run.text())

    def test_a_question_that_was_not_recorded_is_no_change(self):
        run = self.replay(record(facts=b"TXT sender.example NODATA\nTXT mail.sender.example NODATA\n"))
        self.assertEqual(run.status, 0, run.err + run.text())
        self.assertIn("not recorded: TXT _dmarc.sender.example", run.text())
        self.assertIn("0 change, 0 stay as they were, 1 cannot be told", run.text())

    def test_a_question_that_nobody_waited_for_then_is_not_missed_now(self):
        facts = b"TXT sender.example NODATA\nTXT mail.sender.example NODATA\nTXT _dmarc.sender.example TEMP\nTXT _dmarc.example UNKNOWN\n"
        run = self.replay(record(facts=facts).replace(b'accept 0 "" ""', b'tempfail 451 "4.7.0" "dmarc"'))
        self.assertIn("1 records: 0 change, 1 stay", run.text())

    def test_what_the_mail_server_decided_is_not_judged(self):
        said = record().replace(b'accept 0 "" ""', b'reject 550 "5.1.1" "backend"')
        self.assertIn("1 were decided elsewhere", self.replay(said).text())

    def test_records_that_are_damaged_are_refused_with_their_line(self):
        good = record()
        for damage, line in ((b"x" + good, 1), (good[:-5], None), (good.replace(b"time", b"tim"), 3),
                             (good.replace(b"rcpts 1", b"rcpts 0"), None), (good.replace(b"accept 0", b"perhaps 0"), None),
                             (good.replace(b"size 300", b"size -1"), None), (good.replace(b'"\nflags', b'\nflags'), None),
                             (good.replace(b"NODATA", b"NODATE", 1), 14), (good.replace(b"record 1", b"record 2"), None)):
            run = self.replay(damage)
            self.assertEqual(run.status, 65, damage)
            self.assertRegex(run.err, r"records:%s: " % (line or r"\d+"))

    def test_an_empty_file_holds_no_records(self):
        self.assertEqual(self.replay(b"").status, 0)
        self.assertEqual(Run("replay").status, 64)
        self.assertEqual(Run("replay", "-c", "/nonexistent", write("r", record())).status, 78)


if __name__ == "__main__":
    main(__name__)
