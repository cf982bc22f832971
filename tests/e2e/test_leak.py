#!/usr/bin/env python3
"""A worker leaks nothing: neither memory nor descriptors, over 100,000 sessions of all kinds (ORACLE R-1, R-2).

With the sanitizers' build LeakSanitizer judges a few thousand; with the release build it is what /proc says."""
import os
import subprocess
import threading

from parts.gateway import status_of
from parts.place import BUILD, LIMIT, ROOT, home, until
from parts.story import MESSAGE, Story, main
from parts.wire import Client, Gone, any_certificate

IS_RELEASE = BUILD == "release"
WARM_UP, SESSIONS, TLS_SESSIONS = (10_000, 100_000, 3000) if IS_RELEASE else (500, 3000, 300)
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
        return {pid: int(status_of(pid)["VmRSS"].split()[0]) for pid in gateway.workers()}

    def descriptors(self, gateway):
        return {pid: len(os.listdir("/proc/%d/fd" % pid)) for pid in gateway.workers()}

    def at_rest(self, gateway, connections):
        """Every session has its line in the log: then none is open."""
        until(lambda: gateway.raw().count(b"event=connection") >= connections, "all sessions have ended")

    def test_memory_and_descriptors_return_to_where_they_were(self):
        sink = self.sink(keep=False)
        gateway = self.gateway(sink.endpoint, {"limits": {"sessions_per_address": 1000}})
        start = self.descriptors(gateway)
        play(gateway.smtp, WARM_UP)
        play_tls(gateway, TLS_SESSIONS // 3)
        self.at_rest(gateway, WARM_UP)
        warm = self.resident_kb(gateway)
        play(gateway.smtp, SESSIONS - WARM_UP)
        play_tls(gateway, TLS_SESSIONS)
        self.at_rest(gateway, SESSIONS)
        end = self.resident_kb(gateway)
        print("    resident kB of each worker: %s when warm, %s after %d sessions" %
              (list(warm.values()), list(end.values()), SESSIONS))
        self.assertEqual(set(warm), set(end), "no worker was restarted")
        until(lambda: self.descriptors(gateway) == start, lambda: "descriptors: %s, then %s" % (start, self.descriptors(gateway)))
        if IS_RELEASE:
            for pid in warm:
                self.assertLess(end[pid] - warm[pid], TOLERANCE_KB)


if __name__ == "__main__":
    main(__name__)
