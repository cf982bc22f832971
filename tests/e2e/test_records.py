#!/usr/bin/env python3
"""`postern run --record`: what was judged can be judged again. The same message gives the same verdict in run, explain and
replay, and another configuration shows what it would change."""
import json
import os
import signal
import stat
import subprocess

from parts.dns import DNS
from parts.gateway import binary, environment
from parts.place import fresh_folder
from parts.story import MESSAGE, Story, main
from parts.wire import Client

ZONE = {
    "good.example": [("TXT", "v=spf1 ip4:127.0.0.1 -all")],
    "_dmarc.good.example": [("TXT", "v=DMARC1; p=reject")],
    "bad.example": [("TXT", "v=spf1 -all")],
    "_dmarc.bad.example": [("TXT", "v=DMARC1; p=reject")],
}


def run(*words):
    return subprocess.run([binary(), *words], capture_output=True, env=environment(), timeout=60, text=True)


class Records(Story):
    def start(self, **record):
        dns = DNS(ZONE)
        self.addCleanup(dns.stop)
        self.file = fresh_folder("records") / "records"
        self.sink_ = self.sink()
        return self.gateway(self.sink_.endpoint, {
            "server": {"workers": 1}, "dns": {"servers": dns.text}, "timeouts": {"verdict": "2s"},
            "record": {"transactions": 100, "file": self.file, **record}})

    def send(self, gateway, domain, recipients=("v@local.example",)):
        with Client(gateway.smtp) as client:
            client.ehlo()
            message = MESSAGE.replace(b"a@sender.example", b"a@" + domain.encode())
            reply = client.deliver(message, sender="a@" + domain, recipients=recipients)
            client.quit()
        return reply

    def dump(self, gateway):
        n = len(gateway.log(event="record"))
        gateway.signal(signal.SIGUSR2)
        gateway.wait_log(n + 1, event="record")
        return self.file.read_text()

    def replay(self, gateway, *words):
        done = run("replay", "-c", str(gateway.ini), *words, str(self.file))
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done

    def test_nothing_is_written_until_it_is_asked_for(self):
        gateway = self.start()
        self.send(gateway, "good.example")
        self.assertEqual(self.file.read_bytes(), b"")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        text = self.dump(gateway)
        self.assertEqual(text.count("record 1\n"), 1)
        self.assertIn('from "a@good.example"\nrcpt accepted "v@local.example"\nrcpts 1\n', text)
        self.assertNotIn("A line.", text)

    def test_the_same_configuration_changes_nothing(self):
        gateway = self.start()
        codes = [self.send(gateway, domain).code for domain in ("good.example", "bad.example", "good.example")]
        text = self.dump(gateway)
        self.assertEqual(text.count("record 1\n"), 3)
        done = self.replay(gateway, "--all", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["result"] for line in lines], ["same"] * 3, done.stdout + text)
        self.assertEqual([line["new"]["code"] or 250 for line in lines], codes)
        self.assertEqual(done.returncode, 0)

    def test_another_configuration_shows_what_would_change(self):
        gateway = self.start()
        self.send(gateway, "good.example")
        self.send(gateway, "bad.example")
        self.dump(gateway)
        # A message refused by its header has no parts on record: whether they would be refused cannot be told.
        gateway.change({"dmarc": {"mode": "monitor"}, "attachment": {"mode": "off"}})
        done = self.replay(gateway)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("author bad.example\n    changed: reject 550 5.7.26 (dmarc) -> accept", done.stdout)
        self.assertIn("2 records: 1 change, 1 stay", done.stdout)

    def test_refused_recipients_are_recorded(self):
        gateway = self.start()
        with Client(gateway.smtp) as client:
            client.ehlo()
            client.send(b"MAIL FROM:<a@good.example>\r\n")
            client.reply()
            client.send(b"RCPT TO:<v@elsewhere.example>\r\n")
            self.assertEqual(client.reply().code, 550)
            client.quit()
        gateway.wait_log(event="transaction")
        text = self.dump(gateway)
        self.assertIn('rcpt refused "v@elsewhere.example"\nrcpts 1\nsize 0\nverdict reject 550 "5.7.1" "relay"\n', text)
        self.assertEqual(self.replay(gateway).returncode, 0)
        gateway.change({"relay": {"domains": "local.example elsewhere.example"}})
        done = self.replay(gateway)
        self.assertEqual(done.returncode, 1)
        self.assertIn("recipient <v@elsewhere.example>: refused -> accept", done.stdout)

    def test_only_the_last_ones_are_kept(self):
        gateway = self.start(transactions=3)
        for _ in range(5):
            self.send(gateway, "good.example")
        self.assertEqual(self.dump(gateway).count("record 1\n"), 3)

    def test_a_worker_that_drains_still_writes_them(self):
        gateway = self.start()
        self.send(gateway, "good.example")
        client = self.greeted(gateway.smtp)
        for command in ("MAIL FROM:<a@good.example>", "RCPT TO:<v@local.example>", "DATA"):
            client.ask(command)
        gateway.signal(signal.SIGTERM)
        gateway.wait_log(event="stopping")
        self.assertEqual(self.dump(gateway).count("record 1\n"), 1)
        client.send(MESSAGE.replace(b"a@sender.example", b"a@good.example") + b".\r\n")
        self.assertEqual(client.reply().code, 250)
        gateway.stop()

    def test_explain_says_the_same_of_the_same_message(self):
        gateway = self.start()
        for domain in ("good.example", "bad.example"):
            code = self.send(gateway, domain).code
            done = run("explain", "-c", str(gateway.ini), "--ip", "127.0.0.1", "--helo", "client.example", "--mail-from",
                       "a@" + domain, "--rcpt", "v@local.example", "--json", str(self.message(domain)))
            said = json.loads(done.stdout)
            self.assertEqual(int(said["reply"][:3]), code, done.stdout)

    def message(self, domain):
        path = fresh_folder("message") / "message.eml"
        path.write_bytes(MESSAGE.replace(b"a@sender.example", b"a@" + domain.encode()))
        return path


if __name__ == "__main__":
    main(__name__)
