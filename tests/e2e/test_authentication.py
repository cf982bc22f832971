#!/usr/bin/env python3
"""SPF, DKIM, ARC and DMARC through the running gateway, with real signatures, a real DNS and a back end that remembers what arrives.

Every message is judged three times: by the gateway, by `postern explain --json` with the same DNS, and by `postern replay` of
what the gateway recorded. The three must agree, and so must what stands in the log, in the reply and in the fields that arrive."""
import itertools
import json
import re
import signal
import subprocess
import time
from urllib.parse import unquote

from parts import dns, results, signing
from parts.dns import DNS
from parts.gateway import binary, environment
from parts.place import fresh_folder
from parts.signing import Key, signature, signed
from parts.story import Story, main

FAST = "250ms"
HERE = "ip4:127.0.0.0/8"
_keys = {}


def key(name="rsa"):
    """One of those of this run: rsa, ed25519, other, weak."""
    if name not in _keys:
        _keys[name] = Key("ed25519") if name == "ed25519" else Key(bits=1024 if name == "weak" else 2048)
    return _keys[name]


def letter(author="signed.example", body=b"Hi.\r\n\r\nSee you  \tthere.\r\n", subject=b"hello"):
    return b"From: Ann <a@%s>\r\nTo: v@local.example\r\nSubject: %s\r\nMessage-ID: <1@x.example>\r\n\r\n%s" % (
        author.encode(), subject, body)


def dmarc(record):
    return [("TXT", "v=DMARC1; " + record)]


def zone():
    """Senders by what SPF says of them, authors by what their DMARC record says."""
    spf = {"pass": HERE + " -all", "fail": "-all", "soft": "~all", "neutral": "?all", "via": "include:pass.example -all",
           "perm": "include:nobody.example -all", "explained": "-all exp=why.explained.example"}
    found = {name + ".example": [("TXT", "v=spf1 " + record)] for name, record in spf.items()}
    found.update({
        "none.example": [("A", "192.0.2.1")], "plain.example": [("A", "192.0.2.1")],
        "why.explained.example": [("TXT", "%{i} is no host of %{d}")],
        "temp.example": dns.SERVFAIL, "client.example": [("A", "127.0.0.1")],
        "_dmarc.signed.example": dmarc("p=reject"), "_dmarc.strict.example": dmarc("p=reject; adkim=s; aspf=s"),
        "_dmarc.pnone.example": dmarc("p=none"), "_dmarc.jailed.example": dmarc("p=quarantine"),
        "_dmarc.testing.example": dmarc("p=reject; t=y"), "_dmarc.broken.example": dmarc("p=perhaps"),
        "_dmarc.two.example": dmarc("p=reject") + dmarc("p=none"), "_dmarc.silent.example": dns.SERVFAIL,
        "_dmarc.pass.example": dmarc("p=reject"), "_dmarc.fail.example": dmarc("p=reject"),
        "_dmarc.sub.example": dmarc("p=none; sp=quarantine; np=reject"), "there.sub.example": [("A", "192.0.2.1")],
        "mail.pass.example": [("TXT", "v=spf1 %s -all" % HERE)],
        "list.example": [("TXT", "v=spf1 exists:%{l}.by.list.example -all")],
        "bounce+user=other.example.by.list.example": [("A", "127.0.0.2")],
    })
    for domain in ("signed.example", "mail.signed.example", "other.example", "strict.example", "mail.strict.example", "list.example",
                   "sealer.example", "forwarder.example", "jailed.example"):
        found["s._domainkey." + domain] = [("TXT", key().record)]
    found.update({
        "e._domainkey.signed.example": [("TXT", key("ed25519").record)],
        "weak._domainkey.signed.example": [("TXT", key("weak").record)],
        "wrong._domainkey.signed.example": [("TXT", key("other").record)],
        "revoked._domainkey.signed.example": [("TXT", "v=DKIM1; p=")],
        "silent._domainkey.signed.example": dns.SERVFAIL,
    })
    return found


# ---- what was said, in one form whoever said it: "spf=pass/a.example dkim=fail/b.example,none dmarc=..." ----

def named(result, domain):
    """What is no name is cut in the log, and shown in as many ways as there are readers."""
    shown = re.sub(r"[^ -~?]+|\?+", "?", domain or "")
    return "/".join(filter(None, (result, shown if len(shown) <= 100 else shown[:100] + "...")))


def words_of_log(line):
    return "spf=%s dkim=%s arc=%s dmarc=%s" % (line.get("spf", "-"), re.sub(r"[^ -~?]+|\?+", "?", unquote(line.get("dkim", "-"), "latin-1")),
                                              line.get("arc", "-").split("/")[0], line.get("dmarc", "-"))


def words_of_fields(message):
    """From the topmost Authentication-Results, which is ours."""
    identity, found = results.parse(results.fields(message, "Authentication-Results")[0])
    assert identity == "mx.local.example", identity
    spf = [named(result, about["smtp.mailfrom"].rpartition("@")[2]) for result, about in found.get("spf", ()) if "smtp.mailfrom" in about]
    dkim = [named(result, about.get("header.d")) for result, about in found.get("dkim", ()) if result != "policy" or "header.d" in about]
    arc = [result for result, about in found.get("arc", ())]
    author = [named(result, about.get("header.from")) for result, about in found.get("dmarc", ())]
    return "spf=%s dkim=%s arc=%s dmarc=%s" % (",".join(spf) or "-", ",".join(dkim) or "-", ",".join(arc) or "none", ",".join(author) or "-")


def words_of_explain(said):
    dkim = ",".join(named(one["result"], one["domain"]) for one in said["dkim"]) or "none"
    return "spf=%s dkim=%s arc=%s dmarc=%s" % (named(said["spf"]["result"], said["spf"]["domain"]), dkim, said["arc"]["result"],
                                              named(said["dmarc"]["result"], said["dmarc"]["domain"]))


def other_reader(value):
    """The same by python3-authres; None where it is not installed."""
    authres = signing.debian("authres")
    if authres is None:
        return None
    read = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + value)
    found = {}
    for one in read.results:
        about = {"%s.%s" % (p.type, p.name): p.value for p in one.properties}
        if one.reason:
            about["reason"] = one.reason
        found.setdefault(one.method, []).append((one.result, about))
    return read.authserv_id, found


class Case:
    """One message and what became of it."""

    def __init__(self, reply, arrived, line):
        self.reply, self.message, self.line = reply, arrived, line
        self.arrived = arrived.body if arrived else None
        self.short = "%d %s" % (reply.code, reply.enhanced) if reply.code >= 400 else "250"


class Judged(Story):
    def start(self, sections=None, more=None, **backend):
        self.dns = DNS({**zone(), **(more or {})})
        self.addCleanup(self.dns.stop)
        self.records = fresh_folder("records") / "records"
        settings = {"dns": {"servers": self.dns.text, "timeout": FAST, "tries": 1}, "server": {"workers": 1},
                    "timeouts": {"verdict": "5s"}, "limits": {"errors": 10000, "junk": 10000, "transactions": 10000},
                    "record": {"transactions": 1000, "file": self.records}}
        for name, keys in (sections or {}).items():
            settings[name] = {**settings.get(name, {}), **keys}
        self.gate, self.back = self.pair(settings, **backend)
        self.replies = []
        return self.gate

    def send(self, message, sender="a@none.example", helo="client.example", recipients=("v@local.example",), source=None, client=None):
        n, lines = len(self.back.messages), len(self.gate.log(event="transaction"))
        is_ours, client = client is None, client or self.client(self.gate.smtp, source=source)
        client.ehlo(helo)
        reply = client.mail(sender)
        for recipient in recipients:
            reply = client.rcpt(recipient) if reply.code == 250 else reply
        if reply.code == 250:
            reply = client.data(message)
        client.ask("RSET")
        if is_ours:
            client.quit()
            client.close()
        line = self.gate.wait_log(lines + 1, event="transaction")[-1]
        arrived = self.back.messages[n:]
        self.assertEqual(len(arrived), int(reply.code == 250), reply)
        self.replies.append(reply.code)
        return Case(reply, arrived[0] if arrived else None, line)

    def explain(self, message, sender, helo="client.example", recipients=("v@local.example",), source=None):
        file = fresh_folder("explain") / "message"
        file.write_bytes(message)
        words = ["--ip", source or "127.0.0.1", "--helo", helo, "--mail-from", sender or "<>"]
        for recipient in recipients:
            words += ["--rcpt", recipient]
        run = subprocess.run([binary(), "explain", "-c", self.gate.ini, "--json", *words, file], capture_output=True, timeout=60,
                             env=environment())
        self.assertIn(run.returncode, (0, 1, 2), run.stderr)
        return json.loads(run.stdout)

    def judge(self, message, sender="a@none.example", **envelope):
        """Sends, and asks explain the same; they and everything that is written about it must agree."""
        case = self.send(message, sender, **envelope)
        envelope.pop("client", None)
        said = self.explain(message, sender, **envelope)
        self.assertEqual(said["reply"][:3], str(case.reply.code), said["reply"])
        if case.reply.code >= 400:
            self.assertIn(said["reply"], "%d %s" % (case.reply.code, case.reply.text))
        self.assertEqual(said["verdict"], case.line.get("verdict") or {2: "accept", 4: "tempfail", 5: "reject"}[case.reply.code // 100])
        if "spf" in case.line:
            self.assertEqual(words_of_explain(said), words_of_log(case.line))
        if case.arrived is not None and results.fields(case.arrived, "Authentication-Results"):
            self.assertEqual(words_of_fields(case.arrived), words_of_log(case.line))
            self.read_by_others(results.fields(case.arrived, "Authentication-Results")[0])
        if case.arrived is not None:
            self.assert_same_below_our_block(case.arrived, message)
        return case

    def read_by_others(self, value):
        """Where a value is quoted that need not be one word, that reader makes something else of it."""
        if not re.search(r'(?<!reason=)"[^"]*[^!-~"]', value) and '"@' not in value:
            self.assertIn(other_reader(value), (None, results.parse(value)))

    def assert_replayed(self):
        """What was recorded is judged again, and nothing changes."""
        n = len(self.gate.log(event="record"))
        self.gate.signal(signal.SIGUSR2)
        self.gate.wait_log(n + 1, event="record")
        run = subprocess.run([binary(), "replay", "-c", self.gate.ini, "--all", "--json", self.records], capture_output=True, timeout=60,
                             env=environment())
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual([(line["result"], line["new"]["code"] or 250, line["not_recorded"]) for line in lines],
                         [("same", code, []) for code in self.replies], self.records.read_text("latin-1")[-9000:])

    def assert_rows(self, rows):
        """(what, message, sender or envelope, reply, words); all of them before the first failure is told."""
        for what, message, envelope, reply, words in rows:
            with self.subTest(what):
                case = self.judge(message, **(envelope if isinstance(envelope, dict) else {"sender": envelope}))
                self.assertEqual(case.short, reply, case.reply)
                self.assertEqual(re.sub(r" arc=none", "", words_of_log(case.line)), words)
        self.assert_replayed()


class Spf(Judged):
    """The author has no DMARC record, so that SPF stands alone."""
    PLAIN = "dkim=none dmarc=none/plain.example"

    def rows(self, *rows):
        self.assert_rows([(what, letter("plain.example"), envelope, reply, "spf=%s %s" % (spf, self.PLAIN))
                          for what, envelope, reply, spf in rows])

    def test_each_result_has_its_reply(self):
        self.start()
        self.rows(
            ("pass", "a@pass.example", "250", "pass/pass.example"),
            ("pass by include", "a@via.example", "250", "pass/via.example"),
            ("fail", "a@fail.example", "550 5.7.23", "fail/fail.example"),
            ("softfail", "a@soft.example", "250", "softfail/soft.example"),
            ("neutral", "a@neutral.example", "250", "neutral/neutral.example"),
            ("no record", "a@none.example", "250", "none/none.example"),
            ("no domain", "a@nobody.example", "250", "none/nobody.example"),
            ("no answer", "a@temp.example", "451 4.7.24", "temperror/temp.example"),
            ("an error in the record", "a@perm.example", "250", "permerror/perm.example"),
            ("a return path of a list, asked for as it is", "bounce+user=other.example@list.example", "250", "pass/list.example"),
            ("the null sender with a good name", {"sender": "", "helo": "pass.example"}, "250", "pass/pass.example"),
            ("with a bad one", {"sender": "", "helo": "fail.example"}, "550 5.7.23", "fail/fail.example"),
            ("a bad name refuses nothing", {"sender": "a@pass.example", "helo": "fail.example"}, "250", "pass/pass.example"),
            ("nor an unanswered one", {"sender": "a@pass.example", "helo": "temp.example"}, "250", "pass/pass.example"),
        )

    def test_replies_in_full(self):
        self.start()
        case = self.judge(letter("plain.example"), "a@fail.example")
        self.assertEqual(case.reply.text.rpartition(" (")[0], "5.7.23 SPF: fail.example does not permit 127.0.0.1 to send its mail")
        self.assertEqual((case.line["check"], case.line["reason"]), ("spf_alone", "fail: mailfrom fail.example: -all"))
        self.assertEqual(case.line["helo_spf"], "none")
        case = self.judge(letter("plain.example"), "a@temp.example")
        self.assertEqual(case.reply.text.rpartition(" (")[0], "4.7.24 SPF: the DNS does not answer for temp.example, try again later")

    def test_refuses_at_the_recipient_when_told_so(self):
        self.start({"spf": {"fail": "reject", "permerror_rejects": "yes"}})
        for sender, reply in (("a@fail.example", "550 5.7.23"), ("a@temp.example", "451 4.7.24"), ("a@perm.example", "550 5.7.24")):
            with self.subTest(sender):
                case = self.judge(letter("plain.example"), sender)
                self.assertEqual((case.short, self.gate.log(event="refused")[-1]["check"]), (reply, "spf"))
                case = self.judge(letter("plain.example"), sender, recipients=("postmaster@local.example",))
                self.assertEqual(case.short, "250")
        self.assertEqual(self.judge(letter("plain.example"), "a@pass.example").short, "250")
        self.assert_replayed()

    def test_only_records_when_told_so(self):
        self.start({"spf": {"fail": "record", "temperror": "record"}})
        self.rows(("fail", "a@fail.example", "250", "fail/fail.example"), ("no answer", "a@temp.example", "250", "temperror/temp.example"))

    def test_explains_in_the_words_of_the_domain(self):
        self.start({"spf": {"explanation": "yes"}})
        case = self.judge(letter("plain.example"), "a@explained.example")
        self.assertEqual((case.short, case.reply.text.rpartition(" (")[0]), (
            "550 5.7.23", "5.7.23 SPF forbids 127.0.0.1; explained.example explained: 127.0.0.1 is no host of explained.example"))

    def test_writes_received_spf_when_told_so(self):
        self.start({"spf": {"received_spf": "yes", "fail": "record"}})
        case = self.judge(letter("plain.example"), '"a b"@fail.example')
        field, = results.fields(case.arrived, "Received-SPF")
        self.assertRegex(field, r'^fail \(.*\) +receiver=mx\.local\.example; +identity=mailfrom; +client-ip=127\.0\.0\.1; '
                                r'+envelope-from="\\"a b\\"@fail\.example"; +mechanism="?-all"?; +helo=client\.example$')
        self.judge(letter("plain.example"), "")

    def test_skipped_clients_are_not_asked_about(self):
        self.start({"spf": {"skip": "127.0.0.77/32"}})
        case = self.send(letter("plain.example"), "a@fail.example", source="127.0.0.77")
        self.assertEqual(case.short, "250")
        self.assertNotIn("spf", case.line)


class Dkim(Judged):
    """SPF has no say here, and the author wants mail refused that fails."""
    SPF = "spf=none/none.example dkim="

    def rows(self, *rows):
        self.assert_rows([(what, message, "a@none.example", reply, self.SPF + words) for what, message, reply, words in rows])

    def test_signatures_of_both_kinds(self):
        self.start()
        both = signature(letter(), key("ed25519"), "signed.example", "e")
        self.rows(
            ("RSA", signed(letter(), key(), "signed.example"), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("Ed25519", both + letter(), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("both", both + signed(letter(), key(), "signed.example"), "250", "pass/signed.example,pass/signed.example dmarc=pass/signed.example"),
            ("1024 bits", signed(letter(), key("weak"), "signed.example", selector="weak"), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("simple", signed(letter(), key(), "signed.example", c="simple/simple"), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("relaxed and simple", signed(letter(), key(), "signed.example", c="relaxed/simple"), "250",
             "pass/signed.example dmarc=pass/signed.example"),
            ("an empty body", signed(letter(body=b""), key(), "signed.example"), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("of a name below", signed(letter(), key(), "mail.signed.example"), "250", "pass/mail.signed.example dmarc=pass/signed.example"),
            ("not signed", letter(), "550 5.7.26", "none dmarc=fail/signed.example"),
        )

    def test_signatures_that_are_not_good(self):
        self.start()
        good, now = signed(letter(), key(), "signed.example"), int(time.time())
        self.rows(
            ("another body", good.replace(b"See you", b"Pay me"), "550 5.7.26", "fail/signed.example dmarc=fail/signed.example"),
            ("another Subject", good.replace(b"hello", b"hollo"), "550 5.7.26", "fail/signed.example dmarc=fail/signed.example"),
            ("more blanks, which relaxed does not count", good.replace(b"From: Ann", b"From:  Ann "), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("blanks where simple counts them", signed(letter(), key(), "signed.example", c="simple/simple").replace(b"From: Ann", b"From:  Ann"),
             "550 5.7.26", "fail/signed.example dmarc=fail/signed.example"),
            ("expired", signed(letter(), key(), "signed.example", t=now - 9000, x=now - 5000), "550 5.7.26",
             "fail/signed.example dmarc=fail/signed.example"),
            ("not yet expired", signed(letter(), key(), "signed.example", x=now + 900), "250", "pass/signed.example dmarc=pass/signed.example"),
            ("from the future", signed(letter(), key(), "signed.example", t=now + 90000), "550 5.7.26",
             "policy/signed.example dmarc=fail/signed.example"),
            ("the key of another", signed(letter(), key(), "signed.example", selector="wrong"), "550 5.7.26",
             "fail/signed.example dmarc=fail/signed.example"),
            ("no key", signed(letter(), key(), "signed.example", selector="nobody"), "550 5.7.26",
             "permerror/signed.example dmarc=fail/signed.example"),
            ("a revoked key", signed(letter(), key(), "signed.example", selector="revoked"), "550 5.7.26",
             "permerror/signed.example dmarc=fail/signed.example"),
            ("no answer", signed(letter(), key(), "signed.example", selector="silent"), "451 4.7.0",
             "temperror/signed.example dmarc=temperror/signed.example"),
            ("of somebody else", signed(letter(), key(), "other.example"), "550 5.7.26", "pass/other.example dmarc=fail/signed.example"),
            ("without From", signed(letter(), key(), "signed.example", fields=("Subject",)), "550 5.7.26",
             "permerror/signed.example dmarc=fail/signed.example"),
            ("a broken one above a good one", signature(letter(body=b"x\r\n"), key(), "signed.example") + good, "250",
             "fail/signed.example,pass/signed.example dmarc=pass/signed.example"),
            ("a good one behind five", signature(letter(body=b"x\r\n"), key(), "signed.example") * 5 + good, "550 5.7.26",
             ",".join(["fail/signed.example"] * 5) + " dmarc=fail/signed.example"),
            ("a name below where only the name itself counts", signed(letter("strict.example"), key(), "mail.strict.example"), "550 5.7.26",
             "pass/mail.strict.example dmarc=fail/strict.example"),
            ("the name itself", signed(letter("strict.example"), key(), "strict.example"), "250", "pass/strict.example dmarc=pass/strict.example"),
        )

    def test_a_signature_of_a_part_lends_nothing_to_the_rest(self):
        self.start()
        body = b"Hi.\r\n"
        part = signed(letter(body=body), key(), "signed.example", l=len(body))
        self.rows(("l= is the body", part, "250", "pass/signed.example dmarc=pass/signed.example"),
                  ("with something appended", part + b"Pay me.\r\n", "550 5.7.26", "pass/signed.example dmarc=fail/signed.example"),
                  ("l= beyond the body", signed(letter(body=body), key(), "signed.example", l=len(body) + 1), "550 5.7.26",
                   "permerror/signed.example dmarc=fail/signed.example"),
                  ("l=0", signed(letter(body=body), key(), "signed.example", l=0), "550 5.7.26", "pass/signed.example dmarc=fail/signed.example"))

    def test_dkimpy_agrees(self):
        dkim = signing.debian("dkim")
        if dkim is None:
            self.skipTest("no python3-dkim")
        self.start()
        answers = lambda name, timeout=5: dict(self.text_records()).get(name.decode().rstrip("."))
        kinds = [(kind, c) for kind in ("rsa", "ed25519") for c in itertools.product((b"simple", b"relaxed"), repeat=2)]
        for kind, c in kinds:
            with self.subTest(kind=kind, c=c):
                selector = "s" if kind == "rsa" else "e"
                field = dkim.sign(letter(), selector.encode(), b"signed.example", key(kind).dkimpy(), canonicalize=c,
                                  signature_algorithm=key(kind).algorithm.encode(), include_headers=[b"From", b"Subject", b"To"])
                case = self.judge(field + letter())
                self.assertEqual(words_of_log(case.line), self.SPF + "pass/signed.example arc=none dmarc=pass/signed.example")
                ours = signed(letter(), key(kind), "signed.example", selector=selector, c=b"/".join(c).decode())
                self.assertTrue(dkim.verify(ours, dnsfunc=answers))     # else our signer proves nothing above
        self.assert_replayed()

    def text_records(self):
        return [(name, records[0][1].encode()) for name, records in self.dns.zone.items() if isinstance(records, list)]

    def test_what_is_no_name_is_no_domain_and_is_not_asked_for(self):
        """ATTACKS E: d= and s= that are none, and what would stand in our own fields."""
        self.start()
        evil = [{"d": "signed.example\\x00.other.example"}, {"d": "signed.example;header.d=x"}, {"d": "(signed.example"}, {"d": '"signed.example"'},
                {"d": "signed example"}, {"d": ".signed.example"}, {"d": "signed..example"}, {"d": ""}, {"d": "x" * 64 + ".example"},
                {"d": ".".join(["x" * 60] * 5)}, {"d": "signed.example@other.example"}, {"d": "*.example"}, {"d": b"signed\xff.example"},
                {"d": b"sign\xe2\x80\x8bed.example"}, {"d": b"s\xc3\xbc.example"}, {"d": "example"},
                {"s": ""}, {"s": "a b"}, {"s": "a\r\n\tb"}, {"s": ".."}, {"s": "s._domainkey.other.example\r\n ."}, {"s": "y" * 64}, {"s": "%00"},
                {"s": 'x"; dmarc=pass'}, {"s": "x) dmarc=pass ("}, {"s": b"\x01\x7f"}, {"i": "@legitimate.example"}, {"i": 'a"b@signed.example'},
                {"a": "rsa-sha256; dmarc=pass"}, {"a": '"; dmarc=pass header.from=signed.example; x="'}, {"a": "x" * 900}]
        names = set()
        for tags in evil:
            with self.subTest(tags):
                case = self.judge(signed(letter("plain.example"), key(), "signed.example", **tags))
                self.assertEqual(case.short, "250")
                self.assertEqual(len(results.parse(results.fields(case.arrived, "Authentication-Results")[0])[1]["dmarc"]), 1)
                self.assertNotIn("dmarc=pass", case.line.get("dmarc", ""))
        for query in self.dns.queries:
            names.add(query.name)
            self.assertRegex(query.name, r"\A[a-z0-9_.-]+\Z")
            self.assertLessEqual(max(map(len, query.name.split("."))), 63)
        self.assertNotIn("s._domainkey.other.example", names)
        self.assert_replayed()


class Dmarc(Judged):
    def test_each_policy(self):
        self.start()
        none = "spf=none/none.example dkim=none dmarc="
        self.assert_rows([
            ("none", letter("pnone.example"), "a@none.example", "250", none + "fail/pnone.example"),
            ("quarantine", letter("jailed.example"), "a@none.example", "250", none + "fail/jailed.example"),
            ("reject", letter(), "a@none.example", "550 5.7.26", none + "fail/signed.example"),
            ("of a name below", letter("x.signed.example"), "a@none.example", "550 5.7.26", none + "fail/x.signed.example"),
            ("reject in test mode", letter("testing.example"), "a@none.example", "250", none + "fail/testing.example"),
            ("none at all", letter("plain.example"), "a@none.example", "250", none + "none/plain.example"),
            ("two are none", letter("two.example"), "a@none.example", "250", none + "none/two.example"),
            ("one that is none", letter("broken.example"), "a@none.example", "250", none + "permerror/broken.example"),
            ("sp for what exists", letter("there.sub.example"), "a@none.example", "250", none + "fail/there.sub.example"),
            ("np for what does not", letter("nowhere.sub.example"), "a@none.example", "550 5.7.26", none + "fail/nowhere.sub.example"),
            ("no answer", letter("silent.example"), "a@none.example", "451 4.7.0", none + "temperror/silent.example"),
            ("SPF of the author", letter("pass.example"), "a@pass.example", "250", "spf=pass/pass.example dkim=none dmarc=pass/pass.example"),
            ("of a name below the author", letter("pass.example"), "a@mail.pass.example", "250",
             "spf=pass/mail.pass.example dkim=none dmarc=pass/pass.example"),
            ("of a stranger", letter(), "a@pass.example", "550 5.7.26", "spf=pass/pass.example dkim=none dmarc=fail/signed.example"),
            ("of the HELO name under the null path", letter("pass.example"), {"sender": "", "helo": "pass.example"}, "250",
             "spf=pass/pass.example dkim=none dmarc=pass/pass.example"),
            ("of the HELO name alone", letter("pass.example"), {"sender": "a@none.example", "helo": "pass.example"}, "550 5.7.26",
             "spf=none/none.example dkim=none dmarc=fail/pass.example"),
            ("a signature saves what SPF forbids", signed(letter(), key(), "signed.example"), "a@fail.example", "250",
             "spf=fail/fail.example dkim=pass/signed.example dmarc=pass/signed.example"),
            ("and what SPF cannot tell", signed(letter(), key(), "signed.example"), "a@temp.example", "250",
             "spf=temperror/temp.example dkim=pass/signed.example dmarc=pass/signed.example"),
        ])

    def test_words(self):
        self.start()
        case = self.judge(letter(), "a@pass.example")
        self.assertEqual(case.reply.text.rpartition(" (")[0],
                         "5.7.26 DMARC: signed.example asks to reject mail that fails; SPF pass (not aligned), DKIM none")
        self.assertEqual((case.line["check"], case.line["reason"], case.line["policy"], case.line["disposition"]),
                         ("dmarc", "SPF pass (not aligned), DKIM none", "reject", "reject"))
        case = self.judge(letter("pass.example"), "a@pass.example")
        self.assertEqual((case.line["aligned"], case.line["policy"]), ("spf", "reject"))
        self.assertEqual(results.fields(case.arrived, "X-Postern-Verdict"), [])

    def test_quarantine_marks_the_message(self):
        self.start()
        case = self.judge(letter("jailed.example"))
        self.assertEqual((case.line["verdict"], case.line["check"], case.line["disposition"]), ("quarantine", "dmarc", "quarantine"))
        self.assertEqual(results.fields(case.arrived, "X-Postern-Verdict"),
                         ['quarantine; check=dmarc; dmarc=fail;        reason="SPF none, DKIM none"'])

    def test_quarantine_redirects_the_message(self):
        self.start({"dmarc": {"quarantine": "redirect", "quarantine_mailbox": "jail@local.example"}})
        case = self.judge(letter("jailed.example"), recipients=("v@local.example", "w@local.example"))
        self.assertEqual(case.short, "250")
        self.assertEqual(case.message.rcpt, [b"RCPT TO:<jail@local.example>"])
        self.assertEqual(case.message.mail, b"MAIL FROM:<a@none.example>")
        self.assertIn(b"for <jail@local.example>", case.arrived)
        self.assertNotIn(b"w@local.example", case.arrived)
        self.assertEqual((case.line["redirected_to"], case.line["verdict"], case.line["recipients"]), ("jail@local.example", "quarantine", "2"))
        good = self.judge(signed(letter("jailed.example"), key(), "jailed.example"), recipients=("v@local.example", "w@local.example"))
        self.assertEqual(good.message.rcpt, [b"RCPT TO:<v@local.example>", b"RCPT TO:<w@local.example>"])
        self.assertNotIn("redirected_to", good.line)
        self.assert_replayed()

    def test_quarantine_refuses_the_message(self):
        self.start({"dmarc": {"quarantine": "reject"}})
        self.assertEqual(self.judge(letter("jailed.example")).short, "550 5.7.26")
        self.assert_replayed()

    def test_monitor_says_what_would_have_happened(self):
        self.start({"dmarc": {"mode": "monitor"}})
        for author, would in (("signed.example", "reject"), ("jailed.example", "quarantine")):
            case = self.judge(letter(author))
            self.assertEqual((case.short, case.line["override"], case.line["disposition"]), ("250", "monitor", "none"))
            self.assertRegex(results.fields(case.arrived, "X-Postern-Verdict")[0], "^accept; check=dmarc; dmarc=fail; would=%s; +override=monitor; " % would)
        self.assert_replayed()

    def test_modes_by_author_domain(self):
        self.start({"dmarc": {"mode": "off", "enforce_domains": "signed.example", "monitor_domains": "fail.example"}})
        self.assertEqual(self.judge(letter()).short, "550 5.7.26")
        self.assertEqual(self.judge(letter("fail.example")).line["override"], "monitor")
        case = self.send(letter("pass.example"))
        self.assertEqual(case.short, "250")
        self.assertNotIn("dmarc", case.line)
        self.assert_replayed()

    def test_forwarders_and_lists(self):
        self.start({"dmarc": {"forwarders": "127.0.0.77/32", "lists": "list.example"}})
        stranger = signed(letter(), key(), "other.example")
        self.assertEqual(self.judge(stranger, source="127.0.0.77").line["override"], "forwarder")
        self.assertEqual(self.judge(stranger, source="127.0.0.78").short, "550 5.7.26")
        case = self.judge(signed(letter(), key(), "list.example"))
        self.assertEqual((case.short, case.line["override"]), ("250", "list"))
        self.assertEqual(self.judge(signed(letter(), key(), "list.example").replace(b"hello", b"hollo")).short, "550 5.7.26")
        self.assert_replayed()

    def test_the_postmaster_hears_everybody(self):
        """ORACLE P-10."""
        self.start()
        for recipients, reply in ((("postmaster@local.example",), "250"), (("Postmaster",), "250"),
                                  (("postmaster@local.example", "v@local.example"), "550 5.7.26")):
            for sender in ("a@none.example", "a@fail.example", ""):
                with self.subTest(recipients=recipients, sender=sender):
                    case = self.judge(letter(), sender, recipients=recipients)
                    self.assertEqual(case.short, reply)
                    self.assertEqual(case.line.get("override"), "postmaster" if reply == "250" else None)
        self.assertEqual(self.judge(letter("silent.example"), recipients=("postmaster@local.example",)).short, "250")
        self.assert_replayed()

    def test_mail_that_goes_out_is_not_judged(self):
        self.start({"relay": {"networks": "127.0.0.77/32"}, "listen smtp": {"auth": "yes"}}, keywords=("PIPELINING", "AUTH PLAIN"),
                   users={"ann": "secret"})
        case = self.send(letter(), "a@fail.example", source="127.0.0.77", recipients=("v@elsewhere.example",))
        inside = self.client(self.gate.smtp)
        inside.ehlo()
        inside.starttls()
        inside.ehlo()
        self.assertEqual(inside.ask("AUTH PLAIN AGFubgBzZWNyZXQ=").code, 235)
        for case in case, self.send(letter(), "a@fail.example", client=inside):
            self.assertEqual(case.short, "250")
            self.assertNotIn("spf", case.line)
            self.assertEqual(results.fields(case.arrived, "Authentication-Results"), [])
        self.assertEqual(self.dns.queries, [])
        self.assertEqual(self.send(letter(), "a@fail.example", source="127.0.0.78").short, "550 5.7.26")


class Arc(Judged):
    """A list that breaks the signature of the author, and vouches for what it found."""

    def setUp(self):
        self.dkim = signing.debian("dkim")
        if self.dkim is None or signing.debian("authres") is None:
            self.skipTest("no python3-dkim with python3-authres")

    def sealed(self, message, sealer="sealer.example", found="dmarc=pass header.from=signed.example", chain="none"):
        text = b"Authentication-Results: mx.%s; %s%s\r\n" % (sealer.encode(), found.encode(), b"; arc=pass" if chain == "pass" else b"")
        fields = self.dkim.arc_sign(text + message, b"s", sealer.encode(), key().dkimpy(), b"mx." + sealer.encode(),
                                    include_headers=[b"from", b"subject", b"to"])
        self.assertEqual(len(fields), 3)
        return b"".join(fields) + message

    def forwarded(self):
        return signed(letter(), key(), "signed.example").replace(b"Subject: hello", b"Subject: [list] hello")

    def test_a_trusted_sealer_overrides(self):
        self.start({"arc": {"trusted_sealers": "sealer.example"}})
        fail = "spf=none/none.example dkim=fail/signed.example arc=%s dmarc=fail/signed.example"
        once = self.sealed(self.forwarded())
        twice = self.sealed(self.sealed(self.forwarded(), "forwarder.example"), chain="pass")
        for what, message, reply, arc, override in (
                ("one seal", once, "250", "pass", "arc"),
                ("a trusted seal above another", twice, "250", "pass", "arc"),
                ("another above a trusted one", self.sealed(once, "forwarder.example", chain="pass"), "550 5.7.26", "pass", None),
                ("a sealer that is not trusted", self.sealed(self.forwarded(), "forwarder.example"), "550 5.7.26", "pass", None),
                ("who saw it fail", self.sealed(self.forwarded(), found="dmarc=fail header.from=signed.example"), "550 5.7.26", "pass", None),
                ("who saw another author", self.sealed(self.forwarded(), found="dmarc=pass header.from=other.example"), "550 5.7.26", "pass", None),
                ("changed after the seal", once.replace(b"[list]", b"[lost]"), "550 5.7.26", "fail", None),
                ("a body changed after it", once.replace(b"See you", b"Pay me"), "550 5.7.26", "fail", None),
                ("what the sealer saw, changed", once.replace(b"dmarc=pass", b"dmarc=pasS"), "550 5.7.26", "fail", None),
                ("a set taken away", twice.replace(b"i=1;", b"i=3;"), "550 5.7.26", "fail", None),
                ("not sealed", self.forwarded(), "550 5.7.26", "none", None)):
            with self.subTest(what):
                case = self.judge(message)
                self.assertEqual((case.short, words_of_log(case.line), case.line.get("override")), (reply, fail % arc, override))
                if override:
                    self.assertIn("override=arc", results.fields(case.arrived, "X-Postern-Verdict")[0])
        self.assert_replayed()

    def test_without_trust_a_chain_is_written_down_only(self):
        self.start({"dmarc": {"mode": "monitor"}})
        case = self.judge(self.sealed(self.forwarded()))
        self.assertEqual((case.short, case.line["arc"]), ("250", "pass"))
        self.assertIn("arc=pass (i=1)", re.sub(r"\s+", " ", results.fields(case.arrived, "Authentication-Results")[0]))


class Streams(Judged):
    """Messages longer than `hold`: their results go south before their end is seen."""
    BODY = b"".join(b"%05d Lorem ipsum dolor sit amet\r\n" % n for n in range(20000))

    def start(self, **sections):
        return super().start({"limits": {"hold": "16k"}, **sections})

    def test_a_good_signature_goes_through(self):
        self.start()
        message = signed(letter(body=self.BODY), key(), "signed.example")
        case = self.judge(message)
        self.assertEqual((case.short, case.line["dkim"]), ("250", "pass/signed.example"))
        self.assert_replayed()

    def contradicted(self, message):
        """The first try and the second one."""
        before = len(self.back.messages)
        client = self.greeted(self.gate.smtp)
        first = client.deliver(message, sender="a@none.example")
        self.assert_reply(first, 451, "4.7.0")
        self.assertEqual(len(self.back.messages), before)
        line = self.gate.wait_log(event="transaction", outcome="tempfailed")[-1]
        self.assertEqual(line["check"], "stream")
        return self.judge(message)

    def test_a_body_that_contradicts_costs_one_retry_which_is_right(self):
        self.start(dmarc={"mode": "monitor"})
        message = signed(letter(body=self.BODY), key(), "signed.example").replace(b"19999 Lorem", b"19999 Larem")
        case = self.contradicted(message)
        self.assertEqual((case.short, words_of_log(case.line)),
                         ("250", "spf=none/none.example dkim=fail/signed.example arc=none dmarc=fail/signed.example"))
        again = self.judge(message)                      # and the third
        self.assertEqual(again.short, "250")

    def test_what_is_to_be_refused_is_refused_at_its_end(self):
        self.start()
        message = signed(letter(body=self.BODY), key(), "signed.example").replace(b"19999 Lorem", b"19999 Larem")
        for _ in range(2):
            case = self.judge(message)
            self.assertEqual((case.short, case.line["dkim"]), ("550 5.7.26", "fail/signed.example"))
        self.assertEqual(self.back.messages, [])
        self.assert_replayed()

    def test_an_unsigned_one_is_refused_before_its_body(self):
        self.start()
        self.assertEqual(self.judge(letter(body=self.BODY)).short, "550 5.7.26")
        self.assertEqual([connection.discarded for connection in self.back.connections if connection.discarded], [])

    def test_a_redirected_stream_goes_to_one_mailbox(self):
        self.start(dmarc={"quarantine": "redirect", "quarantine_mailbox": "jail@local.example"})
        case = self.judge(letter("jailed.example", body=self.BODY))
        self.assertEqual(case.message.rcpt, [b"RCPT TO:<jail@local.example>"])
        broken = signed(letter("jailed.example", body=self.BODY), key(), "jailed.example").replace(b"19999 Lorem", b"19999 Larem")
        self.assertEqual(self.contradicted(broken).message.rcpt, [b"RCPT TO:<jail@local.example>"])

    def test_a_sealed_stream_of_a_changed_body(self):
        dkim = signing.debian("dkim")
        if dkim is None:
            self.skipTest("no python3-dkim")
        self.start(arc={"trusted_sealers": "sealer.example"})
        message = signed(letter(body=self.BODY), key(), "signed.example").replace(b"Subject: hello", b"Subject: [list] hello")
        message = Arc.sealed(self.with_dkim(dkim), message)
        self.assertEqual(self.judge(message).line["override"], "arc")
        changed = message.replace(b"19999 Lorem", b"19999 Larem")
        self.assertEqual(self.judge(changed).short, "550 5.7.26")

    def with_dkim(self, dkim):
        self.dkim = dkim
        return self


class Doubt(Judged):
    """ORACLE P-8: without an answer nothing passes that would not have passed with any answer, and nothing is refused for good."""
    MODES = {"SERVFAIL": dns.SERVFAIL, "REFUSED": dns.REFUSED, "silence": dns.DROP, "garbage": dns.raw(dns.pointer_loop)}
    # What is not answered, the message, its sender, what reads temperror, and the code of the 451.
    PLACES = [
        ("sender.example", lambda: letter("sender.example"), "a@sender.example", "spf", "4.7.24"),
        ("hosts.example", lambda: letter("sender.example"), "a@sender.example", "spf", "4.7.24"),
        ("sender.example", lambda: letter("plain.example"), "a@sender.example", "spf", "4.7.24"),
        ("s._domainkey.signed.example", lambda: signed(letter(), key(), "signed.example"), "a@none.example", "dkim", "4.7.0"),
        ("_dmarc.signed.example", letter, "a@none.example", "dmarc", "4.7.0"),
        ("_dmarc.signed.example", lambda: letter("x.signed.example"), "a@none.example", "dmarc", "4.7.0"),
    ]
    MORE = {"sender.example": [("TXT", "v=spf1 a:hosts.example -all")], "hosts.example": [("A", "127.0.0.1")],
            "_dmarc.sender.example": dmarc("p=reject")}

    def test_no_answer_is_a_451_or_a_word(self):
        for temperror, (how, mode) in itertools.product(("tempfail", "record"), self.MODES.items()):
            self.start({"spf": {"temperror": temperror}, "dmarc": {"temperror": temperror}, "dns": {"cache_size": "0"}}, more=self.MORE)
            for name, message, sender, method, code in self.PLACES:
                with self.subTest(temperror=temperror, how=how, name=name, method=method):
                    before, self.dns.zone[name] = self.dns.zone[name], mode
                    case = self.judge(message(), sender)
                    self.dns.zone[name] = before
                    self.assertTrue(case.line[method].startswith("temperror"), case.line)
                    self.assertFalse(case.line["dmarc"].startswith("pass"), case.line)
                    self.assertEqual(case.short, "451 " + code if temperror == "tempfail" else "250", case.reply)
                    if case.arrived is not None:
                        self.assertIn(method + "=temperror", results.fields(case.arrived, "Authentication-Results")[0])
            self.assert_replayed()

    def test_a_pass_that_needs_no_answer_stands(self):
        self.start(more={"client.example": dns.DROP, "temp.example": dns.DROP})
        case = self.judge(signed(letter(), key(), "signed.example"), "a@temp.example")
        self.assertEqual((case.short, case.line["spf"], case.line["dmarc"]), ("250", "temperror/temp.example", "pass/signed.example"))


    def test_a_sealer_whose_key_is_not_there_is_waited_for(self):
        """The message fails for certain; whether somebody trusted vouches for it is what nobody knows."""
        dkim = signing.debian("dkim")
        if dkim is None or signing.debian("authres") is None:
            self.skipTest("no python3-dkim with python3-authres")
        self.dkim = dkim
        for how, mode in self.MODES.items():
            with self.subTest(how):
                self.start({"arc": {"trusted_sealers": "sealer.example"}, "dns": {"cache_size": "0"}})
                sealed = Arc.sealed(self, letter())
                self.assertEqual(self.judge(sealed).line["override"], "arc")
                self.dns.zone["s._domainkey.sealer.example"] = mode
                case = self.judge(sealed)
                self.assertEqual((case.short, case.line["arc"].partition("/")[0]), ("451 4.7.0", "temperror"))
                self.dns.zone["s._domainkey.sealer.example"] = dns.NXDOMAIN
                self.assertEqual(self.judge(sealed).short, "550 5.7.26")
                self.assert_replayed()

    def test_a_name_in_helo_that_is_not_answered_refuses_nothing(self):
        self.start(more={"helo.example": dns.SERVFAIL})
        case = self.judge(letter("plain.example"), "a@pass.example", helo="helo.example")
        self.assertEqual((case.short, case.line["helo_spf"]), ("250", "temperror"))
        case = self.judge(letter("plain.example"), "", helo="helo.example")
        self.assertEqual((case.short, case.line["spf"]), ("451 4.7.24", "temperror/helo.example"))


class Reload(Judged):
    def test_a_reload_changes_what_is_judged_next(self):
        gateway = self.start()
        message = signed(letter(), key(), "signed.example")
        self.assertEqual((self.judge(message).short, self.judge(letter()).short), ("250", "550 5.7.26"))
        before = self.greeted(gateway.smtp)
        gateway.change({"dmarc": {"mode": "monitor"}})
        gateway.reload()
        self.assertEqual((self.judge(message).short, self.judge(letter()).line["override"]), ("250", "monitor"))
        self.assert_reply(before.deliver(letter(), sender="a@none.example"), 550, "5.7.26")     # an old session, in the old worker


if __name__ == "__main__":
    main(__name__)
