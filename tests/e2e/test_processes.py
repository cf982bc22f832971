#!/usr/bin/env python3
"""Supervisor and workers: reload, drain, crash, privileges, caps, systemd (ORACLE X12, X13, H-1, H-7; DESIGN 6)."""
import contextlib
import os
import re
import signal
import socket
import subprocess

from parts.gateway import Gateway, binary, environment, status_of
from parts.place import LIMIT, fresh_endpoint, fresh_folder, text, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client, Gone, any_certificate, deliver, stuffed


class Reload(Story):
    def sessions_at_every_stage(self, gateway, count=5):
        """Clients that stand at the greeting, behind EHLO, inside TLS, in a transaction, and in mid-message; and how each goes
        on to a delivered message."""
        def greeted(client):
            client.ehlo()
            return client.deliver(MESSAGE)

        def introduced(client):
            return client.deliver(MESSAGE)

        def with_recipient(client):
            return client.data(MESSAGE)

        def in_message(client):
            client.send(stuffed(MESSAGE)[9:])
            return client.reply()

        sessions = []
        for _ in range(count):
            for stage, go_on in enumerate((greeted, introduced, introduced, with_recipient, in_message)):
                client = self.client(gateway.smtps if stage == 2 else gateway.smtp, tls=any_certificate() if stage == 2 else None)
                if stage > 0:
                    client.ehlo()
                if stage > 2:
                    client.envelope()
                if stage > 3:
                    client.ask("DATA")
                    client.send(stuffed(MESSAGE)[:9])
                sessions.append((client, go_on))
        return sessions

    def test_no_session_is_lost_by_a_reload_and_new_ones_see_the_new_configuration(self):
        gateway, back = self.pair({"limits": {"sessions_per_address": 100}})
        sessions = self.sessions_at_every_stage(gateway)
        gateway.change({"server": {"hostname": "new.local.example"}})
        gateway.reload()
        self.assertIn("new.local.example", self.client(gateway.smtp).greeting.text)
        for client, go_on in sessions:
            self.assert_reply(go_on(client), 250)
        self.assertEqual(len(back.messages), len(sessions))
        self.assertTrue(all(b"by mx.local.example" in message.body for message in back.messages))

    def test_many_reloads_in_a_row_lose_nothing(self):
        gateway, back = self.pair({"limits": {"sessions_per_address": 100}})
        clients = []
        for round_ in range(8):
            clients.append(self.greeted(gateway.smtp))
            gateway.change({"server": {"hostname": "mx%d.local.example" % round_}})
            gateway.reload()
        for client in clients:
            self.assert_reply(client.deliver(MESSAGE), 250)
            client.quit()
            client.close()
        until(lambda: len(gateway.workers()) == 2, "old workers end with their last session")

    def test_a_reload_opens_and_closes_listeners(self):
        gateway, back = self.pair()
        where = fresh_endpoint()
        gateway.change({"listen more": {"address": text(where)}, "listen smtps": None})
        gateway.reload()
        self.assert_reply(deliver(where, MESSAGE), 250)
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        until(lambda: self.refuses(gateway.smtps), "the dropped listener is closed")

    def refuses(self, where):
        try:
            Client(where, greeted=False).close()
            return False
        except ConnectionRefusedError:
            return True

    def test_a_bad_configuration_changes_nothing_and_says_what_is_wrong(self):
        gateway, back = self.pair()
        client = self.greeted(gateway.smtp)
        workers = gateway.workers()
        gateway.change({"limits": {"sesions": "7", "errors": "many"}})
        gateway.signal(signal.SIGHUP)
        gateway.wait_log(event="reload", text="the configuration in force stays")
        said = "\n".join(line["text"] for line in gateway.log(event="reload"))
        self.assertRegex(said, r"postern\.ini:\d+.*sesions.*sessions")
        self.assertRegex(said, r"postern\.ini:\d+.*errors")
        self.assertEqual(gateway.workers(), workers)
        self.assert_reply(client.deliver(MESSAGE), 250)
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)


class Stop(Story):
    def test_a_message_under_way_is_finished_and_idle_sessions_hear_421(self):
        gateway, back = self.pair()
        idle, busy = self.greeted(gateway.smtp), self.greeted(gateway.smtp)
        busy.envelope()
        busy.ask("DATA")
        busy.send(stuffed(MESSAGE)[:9])
        gateway.signal(signal.SIGTERM)
        self.assert_reply(idle.reply(), 421, "4.3.2")
        self.assertEqual(idle.rest(), b"")
        idle.close()
        busy.send(stuffed(MESSAGE)[9:])
        self.assert_reply(busy.reply(), 250)
        self.assert_reply(busy.reply(), 421, "4.3.2")
        busy.close()
        self.assertEqual(gateway.wait(), 0)
        self.assertEqual(len(back.messages), 1)

    def test_nobody_is_let_in_once_it_stops(self):
        gateway, _ = self.pair()
        busy = self.greeted(gateway.smtp)
        busy.envelope()
        busy.ask("DATA")
        gateway.signal(signal.SIGTERM)
        gateway.wait_log(event="stopping")
        def closed():
            with contextlib.suppress(Gone, ConnectionError):
                with Client(gateway.smtp) as client:
                    return client.greeting.code == 421
            return True
        until(closed, "no new sessions")
        busy.send(stuffed(MESSAGE))
        self.assert_reply(busy.reply(), 250)

    def test_the_second_signal_ends_it_at_once(self):
        gateway, back = self.pair({"timeouts": {"drain": "3600s"}})
        busy = self.greeted(gateway.smtp)
        busy.envelope()
        busy.ask("DATA")
        busy.send(MESSAGE)
        gateway.signal(signal.SIGTERM)
        gateway.wait_log(event="stopping")
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(), 0)
        self.assertEqual(back.messages, [])

    def test_the_drain_has_an_end(self):
        gateway, back = self.pair({"timeouts": {"drain": "1s"}})
        busy = self.greeted(gateway.smtp)
        busy.envelope()
        busy.ask("DATA")
        gateway.signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(), 0)
        busy.rest()
        self.assertEqual(back.messages, [])


class Crash(Story):
    def test_a_killed_worker_costs_its_sessions_only_and_comes_back(self):
        back = self.backend()
        gateway = Gateway(back.endpoint, {"limits": {"sessions_per_address": 100}})
        self.addCleanup(gateway.kill)
        clients = [self.greeted(gateway.smtp) for _ in range(24)]
        victim, other = gateway.workers()
        os.kill(victim, signal.SIGKILL)
        gateway.wait_log(event="worker", level="error", text=re.compile(r"process %d\) died of signal 9" % victim))
        survivors = 0
        for client in clients:
            with contextlib.suppress(Gone):
                self.assert_reply(client.deliver(MESSAGE), 250)
                survivors += 1
        self.assertTrue(0 < survivors < 24, survivors)
        until(lambda: len(gateway.workers()) == 2, "the worker is back")
        self.assertIn(other, gateway.workers())
        until(lambda: all(self.served(gateway) for _ in range(20)), "both workers serve")

    def served(self, gateway):
        try:
            return deliver(gateway.smtp, MESSAGE).code == 250
        except (Gone, ConnectionError):
            return False

    def in_line(self, gateway, n):
        """Connections that stand in the accept queues of workers that do not look."""
        workers = gateway.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        sockets = [socket.create_connection(gateway.smtp, LIMIT) for _ in range(n)]
        for sock in sockets:
            self.addCleanup(sock.close)
        return workers, sockets

    def heard(self, sock):
        """The greeting's code, or b"" when the connection is reset or closed."""
        try:
            return sock.recv(3)
        except ConnectionError:
            return b""

    def test_clients_in_line_at_a_killed_worker_are_greeted_by_the_next_one(self):
        back = self.backend()
        gateway = Gateway(back.endpoint, {"limits": {"sessions_per_address": 200}})
        self.addCleanup(gateway.kill)
        for _ in range(3):
            workers, sockets = self.in_line(gateway, 40)
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            self.assertEqual([self.heard(sock) for sock in sockets], [b"220"] * 40)
            for sock in sockets:
                sock.close()
            until(lambda: len(set(gateway.workers()) - set(workers)) == 2 and self.served(gateway), "new workers")

    def test_clients_in_line_when_all_processes_are_killed_are_not_left_waiting(self):
        back = self.backend()
        gateway = Gateway(back.endpoint, {"limits": {"sessions_per_address": 200}})
        self.addCleanup(gateway.kill)
        workers, sockets = self.in_line(gateway, 40)
        gateway.signal(signal.SIGKILL)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual([self.heard(sock) for sock in sockets], [b""] * 40)

    def test_clients_in_line_when_the_supervisor_is_killed_are_not_left_waiting(self):
        back = self.backend()
        gateway = Gateway(back.endpoint, {"limits": {"sessions_per_address": 200}})
        self.addCleanup(gateway.kill)
        workers, sockets = self.in_line(gateway, 40)
        gateway.signal(signal.SIGKILL)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        self.assertLessEqual({self.heard(sock) for sock in sockets}, {b"", b"421", b"220"})

    def test_the_counts_of_a_killed_worker_are_forgotten(self):
        back = self.backend()
        gateway = Gateway(back.endpoint, {"server": {"workers": 1}, "limits": {"sessions_per_address": 3}})
        self.addCleanup(gateway.kill)
        for _ in range(2):
            clients = [self.greeted(gateway.smtp) for _ in range(3)]
            self.assert_reply(self.client(gateway.smtp).greeting, 421, "4.7.0")
            worker, = gateway.workers()
            os.kill(worker, signal.SIGKILL)
            until(lambda: gateway.workers() not in ([worker], []), "a new worker")
            for client in clients:
                client.close()
            until(lambda: self.served(gateway), "the new worker serves")

    def test_workers_end_when_their_supervisor_is_gone(self):
        back = self.backend()
        gateway = Gateway(back.endpoint)
        self.addCleanup(gateway.kill)
        busy = self.greeted(gateway.smtp)
        busy.envelope()
        busy.ask("DATA")
        workers = gateway.workers()
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        busy.send(stuffed(MESSAGE))
        self.assert_reply(busy.reply(), 250)
        busy.rest()
        busy.close()
        until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in workers), "the workers end")


class Start(Story):
    def run_with(self, ini):
        file = fresh_folder("ini") / "postern.ini"
        file.write_text(ini)
        return subprocess.run([binary(), "run", "-c", file], capture_output=True, text=True, timeout=LIMIT, env=environment())

    def test_a_bad_configuration_is_refused_with_status_78_and_every_error(self):
        end = self.run_with("[server]\nhostname = mx.local.example\nworkes = 2\n[backend]\nservers = nowhere\n[nonsense]\nx = 1\n")
        self.assertEqual(end.returncode, 78, end.stderr)
        for word in ("postern.ini:3", "workers", "postern.ini:5", "servers", "nonsense"):
            self.assertIn(word, end.stderr)

    def test_a_missing_file_is_refused_with_status_78(self):
        end = subprocess.run([binary(), "run", "-c", "/nonexistent.ini"], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(end.returncode, 78, end.stderr)
        self.assertIn("/nonexistent.ini", end.stderr)

    def test_a_port_in_use_is_named(self):
        gateway, _ = self.pair()
        second = Gateway(sections=gateway.sections, start=False)
        end = subprocess.run([binary(), "run", "-c", second.ini], capture_output=True, text=True, timeout=LIMIT)
        self.assertNotEqual(end.returncode, 0)
        self.assertIn(text(gateway.smtp), end.stderr)

    def test_the_printed_defaults_are_a_good_configuration_but_for_what_must_be_filled_in(self):
        defaults = subprocess.run([binary(), "check", "--defaults"], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(defaults.returncode, 0)
        for section in ("[server]", "[listen smtp]", "[backend]", "[relay]", "[limits]", "[timeouts]", "[log]"):
            self.assertIn(section, defaults.stdout)

    def test_what_check_prints_is_itself_a_good_configuration(self):
        gateway = Gateway(start=False)
        printed = subprocess.run([binary(), "check", "-c", gateway.ini], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(printed.returncode, 0, printed.stderr)
        gateway.ini.write_text(printed.stdout)
        again = subprocess.run([binary(), "check", "-c", gateway.ini], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual((again.returncode, again.stdout), (0, printed.stdout), again.stderr)

    def test_a_configuration_that_does_not_fit_its_memory_is_refused(self):
        gateway = Gateway(sections={"limits": {"sessions": 50000, "memory": "32M"}}, start=False)
        end = subprocess.run([binary(), "check", "-c", gateway.ini], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(end.returncode, 78)
        self.assertIn("memory", end.stderr)

    def test_systemd_is_told(self):
        path = str(fresh_folder("notify") / "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(path)
            os.chmod(path, 0o777)
            systemd.settimeout(LIMIT)
            gateway, _ = self.pair(gateway={"env": {"NOTIFY_SOCKET": path}})
            self.assertIn(b"READY=1", systemd.recv(1000))
            gateway.reload()
            self.assertRegex(systemd.recv(1000), rb"RELOADING=1\nMONOTONIC_USEC=\d+")
            self.assertIn(b"READY=1", systemd.recv(1000))
            gateway.terminate()
            self.assertIn(b"STOPPING=1", systemd.recv(1000))


class Privileges(Story):
    def test_workers_started_by_root_have_none(self):
        if os.geteuid() != 0:
            self.skipTest("not root")
        gateway, _ = self.pair(gateway={"as_root": True})
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)
        for pid in gateway.workers():
            status = status_of(pid)
            self.assertEqual(status["Uid"].split("\t"), ["65534"] * 4)
            self.assertEqual(status["Gid"].split("\t"), ["65534"] * 4)
            self.assertEqual(status["Groups"].strip(), "")
            self.assertEqual(status["NoNewPrivs"], "1")
            for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[which], 16), 0, which)
            self.assertEqual(os.listdir("/proc/%d/root" % pid), [])
            self.assertTrue(os.stat("/proc/%d/root" % pid).st_ino != os.stat("/").st_ino)

    def test_a_low_port_is_bound_before_they_are_dropped_and_survives_a_reload(self):
        if os.geteuid() != 0:
            self.skipTest("not root")
        where = fresh_endpoint()[0], 25
        gateway, _ = self.pair({"listen low": {"address": text(where)}}, gateway={"as_root": True})
        self.assert_reply(deliver(where, MESSAGE), 250)
        gateway.reload()
        self.assert_reply(deliver(where, MESSAGE), 250)


class Storage(Story):
    def test_no_worker_has_a_file_open_but_the_log(self):
        """ORACLE A-11: there is nothing a message could be written to."""
        gateway, _ = self.pair({"limits": {"hold": "64k"}})
        held, streamed = self.greeted(gateway.smtp), self.greeted(gateway.smtp)
        for client, n in ((held, 100), (streamed, 3000)):
            client.envelope()
            client.ask("DATA")
            client.send(b"Subject: x\r\n\r\n" + (b"x" * 98 + b"\r\n") * n)
        files = {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for pid in gateway.workers() for fd in os.listdir("/proc/%d/fd" % pid)}
        self.assertEqual({name for name in files if name.startswith("/")} - {"/dev/null"}, {str(gateway.output)})
        for client in (held, streamed):
            client.send(b".\r\n")
            self.assert_reply(client.reply(), 250)


class Caps(Story):
    def test_a_listener_lets_in_so_many_and_not_one_more(self):
        gateway, _ = self.pair({"listen smtp": {"sessions": 3}})
        clients = [self.greeted(gateway.smtp) for _ in range(3)]
        refused = self.client(gateway.smtp)
        self.assert_reply(refused.greeting, 421, "4.7.0")
        self.assertEqual(refused.rest(), b"")
        self.greeted(gateway.smtps, tls=any_certificate())      # another listener has its own
        clients[0].quit()
        until(lambda: self.is_let_in(gateway), "a place is free again")
        gateway.wait_log(event="connection", end=re.compile("Too many"))

    def is_let_in(self, gateway, **way):
        with Client(gateway.smtp, **way) as client:
            return client.greeting.code == 220

    def test_one_address_has_its_share_and_others_have_theirs(self):
        gateway, _ = self.pair({"limits": {"sessions_per_address": 2}})
        clients = [self.greeted(gateway.smtp, source="127.0.0.5") for _ in range(2)]
        self.assertFalse(self.is_let_in(gateway, source="127.0.0.5"))
        self.assertTrue(self.is_let_in(gateway, source="127.0.0.6"))
        clients[0].close()
        until(lambda: self.is_let_in(gateway, source="127.0.0.5"), "a place is free again")

    def test_all_workers_and_generations_count_together(self):
        gateway, _ = self.pair({"limits": {"sessions": 6}, "server": {"workers": 2}})
        clients = [self.greeted(gateway.smtp) for _ in range(6)]
        self.assertFalse(self.is_let_in(gateway))
        gateway.reload()
        self.assertFalse(self.is_let_in(gateway))
        for client in clients:
            client.quit()
        until(lambda: self.is_let_in(gateway), "places are free again")

    def test_when_descriptors_run_out_clients_are_turned_away_and_it_recovers(self):
        back = self.backend()
        gateway = self.gateway(back.endpoint, {"limits": {"sessions_per_address": 1000}, "server": {"workers": 1}},
                               wrapper=("prlimit", "--nofile=48:48"))
        let_in = []
        for _ in range(60):
            with contextlib.suppress(Gone, ConnectionError):
                let_in.append(self.greeted(gateway.smtp))
        self.assertTrue(10 < len(let_in) < 60, len(let_in))
        let_in[0].mail()
        self.assertIn(let_in[0].rcpt().code // 100, (2, 4))     # there may be no descriptor left for the back end
        for client in let_in:
            self.assert_reply(client.quit(), 221)
            client.close()
        self.assert_reply(deliver(gateway.smtp, MESSAGE), 250)

    def test_a_client_that_says_nothing_is_told_and_closed(self):
        gateway, _ = self.pair({"timeouts": {"command": "1s"}})
        idle, slow = self.greeted(gateway.smtp), self.greeted(gateway.smtp)
        slow.send(b"NO")
        for client in (idle, slow):
            self.assert_reply(client.reply(), 421, "4.4.2")
            self.assertEqual(client.rest(), b"")


if __name__ == "__main__":
    main(__name__)
