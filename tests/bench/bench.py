"""The bench: measures, and prints one table. tests/bench/README.md tells what each row means.

    bench.py POSTERN ROUNDS
"""
import datetime
import os
import re
import subprocess
import sys

import mail
import memory
import rig
import speed

KB, MB = 1024, 1024 * 1024
HEAD = ("", "direct", "HAProxy", "Postern", "to HAProxy", "to reach")


def cell(value, form="%.2f"):
    return "" if value is None else form % value


def speed_row(speeds, title, kind, figure, form, to_reach="", compare=True):
    direct = speeds.median("direct", kind, figure) if figure != "middle" else None
    return (title, cell(direct, form), cell(speeds.median("haproxy", kind, figure), form),
            cell(speeds.median("postern", kind, figure), form),
            cell(speeds.ratio("postern", "haproxy", kind, figure)) if compare else "", to_reach)


def latency_row(speeds, title, kind):
    return (title, cell(speeds.median("direct", kind, "latency"), "(%.2f)"),
            cell(speeds.added("haproxy", kind, "latency")), cell(speeds.added("postern", kind, "latency")), "", "")


def tls_row(speeds, title, kind):
    return (title, "", "", cell(speeds.median("postern", kind, "middle"), "%.3f"), "", "")


def speed_rows(speeds):
    for name, kind in (("one message per connection", "one"), ("ten messages per connection", "ten")):
        yield speed_row(speeds, name + ": messages/s", kind, "rate", "%.0f")
        yield speed_row(speeds, name + ": CPU s per 1000, middle", kind, "middle", "%.3f", "2.00 x HAProxy")
        yield speed_row(speeds, name + ": CPU s per 1000, all processes", kind, "all", "%.3f")
    yield latency_row(speeds, "added latency of a message with a connection of its own, alone, ms", "alone one")
    yield latency_row(speeds, "added latency of a message in an open connection, alone, ms", "alone all")
    yield tls_row(speeds, "STARTTLS, one message per connection: CPU s per 1000", "tls one")
    yield tls_row(speeds, "STARTTLS, ten messages per connection: CPU s per 1000", "tls ten")


def memory_row(title, pair, unit, name, to_reach=""):
    return (title, "", "", "%.1f %s (RSS %.1f)" % (pair[0] / unit, name, pair[1] / unit), "", to_reach)


def memory_rows():
    plain, tls = memory.Idle(memory.IDLE), memory.Idle(memory.IDLE, tls=True)
    used, many = memory.Idle(memory.IDLE, after_message=True), memory.Idle(memory.MANY)
    flight = memory.Flight()
    yield memory_row("idle, all processes", plain.base, MB, "MB", "8 MB")
    yield memory_row("each of 1,000 idle plain sessions", plain.each, KB, "KB", "10 KB")
    yield memory_row("each of 1,000 idle TLS sessions", tls.each, KB, "KB", "45 KB")
    yield memory_row("each of 1,000 plain sessions after a message", used.each, KB, "KB")
    yield memory_row("5,000 plain sessions held at once", many.total, MB, "MB", "held")
    yield memory_row("after these have left", many.after, MB, "MB")
    yield memory_row("%d x 10 MB in flight to a slow server, peak" % flight.at_once, flight.peak, MB, "MB",
                     "%.1f MB stated" % (flight.budget / MB))


def print_table(rows):
    rows = [HEAD] + list(rows)
    width = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for n, row in enumerate(rows):
        print("| " + " | ".join(word.ljust(width[0]) if i == 0 else word.rjust(width[i])
                                for i, word in enumerate(row)) + " |")
        if n == 0:
            print("|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(width)) + "|")


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def machine():
    models = re.findall(r"^model name\s*:\s*(.*)$", open("/proc/cpuinfo", encoding="ascii").read(), re.M)
    return "%d cores %s" % (os.cpu_count(), models[0] if models else os.uname().machine)


def caption(rounds):
    return "%s, %s; %s, Linux %s; HAProxy %s; 4 KB messages, medians of %d rounds" % (
        datetime.date.today(), first_line(rig.binary(), "--version"), machine(), os.uname().release.split("-")[0],
        first_line("haproxy", "-v").split()[2].split("-")[0], rounds)


def main():
    rounds = int(sys.argv[2])
    rig.binary(sys.argv[1])
    rig.raise_descriptor_limit()
    speeds = speed.measure(rounds)
    rows = [*speed_rows(speeds), *mail.rows(max(1, rounds // 3)), *memory_rows()]
    print(caption(rounds) + "\n")
    print_table(rows)


main()
