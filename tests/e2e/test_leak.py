#!/usr/bin/env python3
"""A worker leaks nothing: neither memory nor descriptors, over 100,000 sessions of all kinds (ORACLE R-1, R-2), and 20,000 whose
senders are looked up.

With the sanitizers' build LeakSanitizer judges a few thousand; with the release build it is what /proc says."""
import os
import subprocess
import threading

from parts.dns import DNS
from parts.gateway import status_of
from parts.place import BUILD, ROOT, fresh_folder, home, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client, Gone, any_certificate

IS_RELEASE = BUILD == "release"
WARM_UP, SESSIONS, TLS_SESSIONS = (10_000, 100_000, 3000) if IS_RELEASE else (500, 3000, 300)
LOOKUPS = 20_000 if IS_RELEASE else 1600
TOLERANCE_KB = 300      # what malloc's arenas and page counts may wander; a leak of 4 octets a session is more


def sessions_program():
    program = home() / "sessions"
    if not program.exists():
        subprocess.run(["cc", "-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", program,
                        ROOT / "tests/e2e/sessions.c"], check=True)
    return program


def play(where, sessions, processes=4):
    end = subprocess.run([sessions_program(), where[0], str(where[1]), str(sessions), str(processes)], capture_output=True,
                         text=True, timeout=600)
    if end.returncode != 0:
        raise AssertionError(end.stderr)


def play_tls(gateway, sessions, threads=4):
    """STARTTLS and implicit TLS in turn, some cut off in mid-handshake or without a farewell."""
    trouble = []

    def run():
        try:
            for n in range(sessions // threads):
                with Client(gateway.smtps if n % 2 else gateway.smtp, tls=any_certificate() if n % 2 else None) as client:
                    client.ehlo()
                    if not n % 2:
                        client.starttls()
                        client.ehlo()
                    if n % 5 == 0:
                        continue        # gone without a word
                    assert client.deliver(MESSAGE).code == 250
                    client.quit()
        except (Gone, OSError, AssertionError) as error:
            trouble.append(repr(error))
    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if trouble:
        raise AssertionError(trouble)


class Leak(Story):
    def resident_kb(self, gateway):
        """Its own: what all workers share has a fixed size, and is touched little by little."""
        return {pid: int(status_of(pid)["VmRSS"].split()[0]) - int(status_of(pid)["RssShmem"].split()[0]) for pid in gateway.workers()}

    def descriptors(self, gateway):
        return {pid: len(os.listdir("/proc/%d/fd" % pid)) for pid in gateway.workers()}

    def at_rest(self, gateway, connections):
        """Every session has its line in the log: then none is open."""
        until(lambda: gateway.raw().count(b"event=connection") >= connections, "all sessions have ended")

    def asking(self, server, **sections):
        self.addCleanup(server.stop)
        return self.gateway(self.sink(keep=False).endpoint,
                            {"limits": {"sessions_per_address": 1000}, "dns": {"servers": server.text}, "author": {"strict": "no"}, **sections})

    def watch(self, gateway, play_some, sessions):
        """What is there after the first of the sessions is what is there after the last."""
        start, warm_up = self.descriptors(gateway), sessions // 10
        play_some(warm_up)
        self.at_rest(gateway, warm_up)
        warm = self.resident_kb(gateway)
        play_some(sessions - warm_up)
        self.at_rest(gateway, sessions)
        end = self.resident_kb(gateway)
        print("    resident kB of each worker: %s when warm, %s after %d sessions" %
              (list(warm.values()), list(end.values()), sessions))
        self.assertEqual(set(warm), set(end), "no worker was restarted")
        until(lambda: all(n <= start[pid] for pid, n in self.descriptors(gateway).items()),      # a probe may have had one
              lambda: "descriptors: %s, then %s" % (start, self.descriptors(gateway)))
        if IS_RELEASE:
            for pid in warm:
                self.assertLess(end[pid] - warm[pid], TOLERANCE_KB)

    def test_memory_and_descriptors_return_to_where_they_were(self):
        gateway = self.asking(DNS())

        def play_some(sessions):
            play(gateway.smtp, sessions)
            play_tls(gateway, TLS_SESSIONS * sessions // SESSIONS)
        self.watch(gateway, play_some, SESSIONS)

    def test_the_same_while_senders_are_looked_up(self):
        """Answers that may not be kept: each session asks for itself, or shares a query under way. Records of them are kept, and the memory for
        these is full when warm."""
        key = "v=DKIM1; k=ed25519; p=zWO0rF356opWnRr3M9FDiqf8bA2X7NoF6WV8XsaAT9E="
        zone = {"sender.example": [("TXT", "v=spf1 include:spf.sender.example mx -all", 0), ("MX", (10, "mx.sender.example"), 0)],
                "spf.sender.example": [("TXT", "v=spf1 ip4:192.0.2.0/24 a:h1.example a:h2.example -all", 0)],
                "mx.sender.example": [("A", "127.1.0.%d" % i, 0) for i in range(1, 5)], "k1._domainkey.sender.example": [("TXT", key, 0)],
                "_dmarc.sender.example": [("TXT", "v=DMARC1; p=none", 0)]}
        server = DNS(zone, negative_ttl=None)
        gateway = self.asking(server, record={"transactions": 500, "file": fresh_folder("records") / "records"})
        self.watch(gateway, lambda sessions: play(gateway.smtp, sessions), LOOKUPS)
        self.assertGreater(server.count(), LOOKUPS)
        self.assertGreater(gateway.raw().count(b"dkim=pass/sender.example"), LOOKUPS // 10)
        self.assertGreater(gateway.raw().count(b"spf=pass/sender.example"), LOOKUPS // 20)


if __name__ == "__main__":
    main(__name__)
