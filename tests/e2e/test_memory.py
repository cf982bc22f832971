#!/usr/bin/env python3
"""What the workers remember together: recipients that do not exist, senders who came before, and the record of senders, which
also survives a restart when it may."""
import os
import re
import signal
import stat
import subprocess
import time

from parts.gateway import NOBODY, Gateway, binary, environment
from parts.place import fresh_folder, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client

WORKERS = 2
UNKNOWN = "550 5.1.1 User unknown"


def dead_or_alive(_, line):
    """The back end's word about a recipient."""
    return UNKNOWN if b"dead" in line.lower() else "250 2.1.5 ok"


class Memory(Story):
    def start(self, sections, **backend):
        settings = {"server": {"workers": WORKERS}, **sections}
        return self.pair(settings, **backend)

    def rcpt(self, gateway, rcpt):
        """The answer to a recipient in a session of its own."""
        with Client(gateway.smtp) as client:
            client.ehlo()
            client.ask("MAIL FROM:<a@sender.example>")
            reply = client.ask("RCPT TO:<%s>" % rcpt)
            client.quit()
        return reply

    def send(self, gateway):
        with Client(gateway.smtp) as client:
            client.ehlo()
            reply = client.deliver(MESSAGE, sender="a@sender.example", recipients=["v@local.example"])
            client.quit()
        return reply

    # ---- recipients ----

    def asked_for(self, backend, rcpt):
        return sum(rcpt.encode() in line for c in backend.connections for line in c.commands)

    def test_a_dead_address_costs_one_connection_over_all_workers(self):
        gateway, backend = self.start({"recipients": {"mode": "reject"}}, answers={"RCPT": dead_or_alive})
        self.assert_reply(self.rcpt(gateway, "dead@local.example"), 550, "5.1.1")
        since = len(backend.connections)
        for _ in range(20):
            self.assert_reply(self.rcpt(gateway, "dead@local.example"), 550, "5.1.1")
        self.assertEqual(len(backend.connections), since)
        self.assertEqual(self.asked_for(backend, "dead@local.example"), 1)
        self.assert_reply(self.rcpt(gateway, "alive@local.example"), 250)
        self.assertEqual(len(gateway.log(event="refused", check="recipients")), 20)

    def test_a_worker_that_is_killed_leaves_the_memory_whole(self):
        gateway, backend = self.start({"recipients": {"mode": "reject"}}, answers={"RCPT": dead_or_alive})
        self.rcpt(gateway, "dead@local.example")
        old = gateway.workers()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(gateway.workers()) == WORKERS and not set(old) & set(gateway.workers()), "new workers")
        until(lambda: self.can_connect(gateway), "they serve")
        self.assert_reply(self.rcpt(gateway, "dead@local.example"), 550, "5.1.1")
        self.assertEqual(self.asked_for(backend, "dead@local.example"), 1)
        gateway.kill()    # its log tells of the signals

    def can_connect(self, gateway):
        try:
            with Client(gateway.smtp) as client:
                return client.ehlo().code == 250
        except (OSError, AssertionError):
            return False

    def test_a_new_mailbox_waits_for_its_time_or_for_a_reload(self):
        answers = {"RCPT": dead_or_alive}
        gateway, backend = self.start({"recipients": {"mode": "reject", "negative_ttl": "2s"}}, answers=answers)
        self.assert_reply(self.rcpt(gateway, "dead@local.example"), 550)
        backend.answers["RCPT"] = "250 2.1.5 ok"
        self.assert_reply(self.rcpt(gateway, "dead@local.example"), 550)
        gateway.reload()
        self.assert_reply(self.rcpt(gateway, "dead@local.example"), 250)
        backend.answers["RCPT"] = dead_or_alive
        self.assert_reply(self.rcpt(gateway, "dead@local.example"), 550)
        backend.answers["RCPT"] = "250 2.1.5 ok"
        until(lambda: self.rcpt(gateway, "dead@local.example").code == 250, "its time is over")

    def test_what_was_remembered_is_recorded_as_the_back_ends_word(self):
        file = self.place()
        gateway, _ = self.start({"server": {"workers": 1}, "recipients": {"mode": "reject"},
                                 "record": {"transactions": 10, "file": file}}, answers={"RCPT": dead_or_alive})
        self.rcpt(gateway, "dead@local.example")
        self.rcpt(gateway, "dead@local.example")    # of two transactions that the policy had no part in there is no record
        client = self.greeted(gateway.smtp)
        client.ask("MAIL FROM:<a@sender.example>")
        self.assert_reply(client.ask("RCPT TO:<dead@local.example>"), 550)
        self.assert_reply(client.ask("RCPT TO:<v@local.example>"), 250)
        self.assert_reply(client.data(MESSAGE), 250)
        self.assertEqual(len(gateway.wait_log(2, event="refused", check="recipients")), 2)
        gateway.signal(signal.SIGUSR2)
        gateway.wait_log(event="record")
        self.assertIn('rcpt elsewhere "dead@local.example"\nrcpt accepted "v@local.example"\n', file.read_text())
        gateway.change({"recipients": {"mode": "off"}})
        done = subprocess.run([binary(), "replay", "-c", gateway.ini, file], capture_output=True, env=environment(), timeout=60,
                              text=True)
        self.assertIn("1 records: 0 change, 1 stay as they were", done.stdout)

    # ---- the greylist ----

    def test_the_second_attempt_is_let_in_by_any_worker(self):
        gateway, _ = self.start({"greylist": {"mode": "reject", "delay": "2s"}})
        begun = time.monotonic()
        self.assert_reply(self.send(gateway), 451, "4.7.1")
        self.assert_reply(self.send(gateway), 451, "4.7.1")
        until(lambda: self.send(gateway).code == 250, "the delay is over")
        self.assertGreater(time.monotonic() - begun, 1)
        for _ in range(10):
            self.assert_reply(self.send(gateway), 250)
        self.assertTrue(gateway.log(event="transaction", check="greylist",
                                    reason=re.compile(r"127\.0\.0\.0/24 comes for the first time")))

    # ---- the record ----

    def standing(self, path, **more):
        return {"standing": {"mode": "score", "bad_from": 3, **({"checkpoint": path} if path else {}), **more}}

    def place(self):
        folder = fresh_folder("standing")
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        return folder / "standing"

    def points(self, gateway):
        """What the last message had against it."""
        return gateway.wait_log(event="transaction")[-1].get("points", "")

    def test_the_record_survives_a_restart(self):
        path = self.place()
        gateway, backend = self.start(self.standing(path), answers={".": "550 5.7.1 spam"})
        for _ in range(3):
            self.assert_reply(self.send(gateway), 550)
        self.assertFalse(path.exists())     # nothing is written while it runs
        gateway.stop()
        written = path.stat()
        self.assertEqual(stat.S_IMODE(written.st_mode), 0o600)
        self.assertEqual(list(path.parent.iterdir()), [path])
        backend.answers["."] = "250 2.0.0 taken"
        gateway.start()
        gateway.wait_log(event="standing", text=re.compile("was read"))
        self.assert_reply(self.send(gateway), 250)
        self.assertEqual(self.points(gateway), "standing:3")
        self.assertIn(b'points="standing:3"', backend.wait_for(1)[-1].body)

    def test_a_damaged_record_is_told_and_left(self):
        path = self.place()
        gateway, _ = self.start(self.standing(path), answers={".": ["550 5.7.1 spam"] * 3 + ["250 2.0.0 taken"]})
        for _ in range(3):
            self.send(gateway)
        gateway.stop()
        octets = bytearray(path.read_bytes())
        octets[5000] ^= 1
        path.write_bytes(octets)
        gateway.start()
        told = gateway.wait_log(event="standing", level="warn")
        self.assertIn("damaged", told[0]["text"])
        self.assert_reply(self.send(gateway), 250)
        self.assertEqual(self.points(gateway), "")

    def test_by_default_nothing_is_written(self):
        gateway, _ = self.start(self.standing(None))
        said = self.check(gateway)
        self.assertIn("# written per day: nothing\n", said)
        gateway.stop()
        self.assertEqual(gateway.log(event="standing"), [])

    def test_check_says_how_much_is_written(self):
        path = self.place()
        gateway, _ = self.start(self.standing(path, memory="64k"))
        said = self.check(gateway)
        gateway.stop()
        self.assertIn("# written per day: %d octets to %s" % (path.stat().st_size, path), said)
        self.assertRegex(said, r"#   standing of senders +1 x +65536 = ")

    def check(self, gateway):
        done = subprocess.run([binary(), "check", "-c", gateway.ini], capture_output=True, env=environment(), timeout=60, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_place_that_cannot_be_written_to_is_an_error_at_the_start(self):
        backend = self.backend()
        gateway = Gateway(backend.endpoint, self.standing("/nonexistent/standing"), start=False)
        done = subprocess.run([binary(), "run", "-c", gateway.ini], capture_output=True, env=environment(), timeout=60, text=True)
        self.assertEqual(done.returncode, 73, done.stderr)
        self.assertIn("[standing] checkpoint: cannot write to /nonexistent/standing", done.stderr)


if __name__ == "__main__":
    main(__name__)
