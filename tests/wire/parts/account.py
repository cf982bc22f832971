"""Accounts of a campaign: what its clients were told, against what the ledger has in its book (ORACLE 1 and 6).

An attempt is committed when the book has its token and number. One that was answered 250 must be committed exactly once, before the
answer. One that was not may be committed all the same, but only where table 6 says so, and each of these is put down to what was
done to the rig at that very time:

    X1   the client left behind its end of data
    X2   the back end was killed, or closed, between its entry and its answer: the client was told 4xx
    X3   the back end answered too late, by its own clock: the client was told 4xx
    X11  the gateway was killed between the end of data south and its answer north: the client was told nothing

What is put down to nothing is a violation. So is every answer that no fault explains: 5xx, nonsense, silence."""
import collections
import json
import re

from parts.verdict import Sum

SLACK = 0.25        # seconds between a fault and the moment a client of the same loop hears of it
ROUNDING = 0.05     # seconds: the gateway's clock is that of its loop's last turn
IDLE = ("connect", "greeting", "ehlo", "starttls", "handshake", "mail")   # states in which no transaction is under way
RETRANSMITTED = b"is sent again"      # in what a rig tells of a connection, see rig.kernel_end_of()
HALF_OPEN = b"other end: none"
TERMS = ("X1", "X2", "X3", "X11")


class Account:
    """Sums over rounds and rigs."""

    def __init__(self, kind):
        self.kind = kind
        self.injected = collections.Counter()
        self.phases = collections.Counter()     # (kind of fault, state of a client when it struck)
        self.ends = collections.Counter()       # how attempts ended
        self.terms = collections.Counter()      # committed without a 250, by row of table 6
        self.acknowledged = self.committed = self.expected = self.seen = self.lost = self.attempts = 0
        self.unlogged = 0
        self.violations = []
        self.notes = []
        self.seconds = 0.0
        self.verdicts = collections.Counter()   # of wirecheck, on each rig
        self.wire = Sum()                       # and what it had looked at
        self.skipped = None                     # why

    def violate(self, what):
        self.violations.append(what)

    @classmethod
    def skip(cls, kind, why):
        account = cls(kind)
        account.skipped = why
        return account

    @property
    def result(self):
        return "skipped" if self.skipped else "ok" if self.ok else "FAILED"

    @property
    def ok(self):
        return not self.violations and self.committed == self.acknowledged + sum(self.terms.values()) and not self.lost

    def row(self):
        return {"kind": self.kind, "injected": dict(self.injected), "acknowledged": self.acknowledged,
                "committed": self.committed, "terms": dict(self.terms), "duplicates expected": self.expected,
                "duplicates seen": self.seen, "lost": self.lost, "attempts": self.attempts,
                "phases": {"%s/%s" % key: n for key, n in sorted(self.phases.items())},
                "ends": {str(key): n for key, n in sorted(self.ends.items(), key=str)}, "unlogged": self.unlogged,
                "wirecheck": dict(self.verdicts), "violations": self.violations[:100], "notes": self.notes,
                "seconds": round(self.seconds, 1), "skipped": self.skipped, "result": self.result}

    @classmethod
    def of_row(cls, row):
        """What row() said in another process."""
        account = cls(row["kind"])
        for name in ("injected", "terms", "ends"):
            getattr(account, name).update(row[name])
        for name in ("acknowledged", "committed", "lost", "attempts", "violations", "notes", "seconds", "unlogged", "skipped"):
            setattr(account, name, row[name])
        account.expected, account.seen = row["duplicates expected"], row["duplicates seen"]
        account.phases.update({tuple(key.split("/")): n for key, n in row["phases"].items()})
        return account

    # ---- a rig's round ----

    def add(self, attempts, entries, events, south_end, is_relayed=False, log="", allow=None):
        """`south_end`: seconds the gateway waits for the answer to a message. `is_relayed`: a link of ours is behind it. `log`: text of the
        gateway's, to look for unknown outcomes. `allow(attempt)`: what a campaign of its own expects besides."""
        by_name, committed = {}, collections.defaultdict(list)
        for attempt in attempts:
            by_name[attempt.token, attempt.number] = attempt
            self.ends[attempt.end] += 1
        for entry in entries:
            committed[entry.token, entry.attempt].append(entry)
        self.attempts += len(attempts)
        self.committed += len(entries)
        for attempt in attempts:
            self._answer(attempt, committed.get((attempt.token, attempt.number), []), events, allow)
        unknown = set(re.findall(r"from=<?([0-9a-f]{32})@[^\n]*outcome=unknown", log))
        extra = collections.Counter()           # by token
        for name, found in committed.items():
            attempt = by_name.get(name)
            if attempt is None or attempt.ended is None:
                self.violate("invented: %s.%d is committed, but no client has ended it" % name)
                continue
            self._entry(attempt, found)
            if attempt.end != 250:
                term = self._term(attempt, found[0], events, south_end, is_relayed)
                if term is None:
                    self.violate("unexplained: %r is committed" % attempt)
                    continue
                self.terms[term] += 1
                extra[attempt.token] += 1
                self.unlogged += term in ("X2", "X3") and attempt.token not in unknown
        self._duplicates(attempts, committed, extra)

    def _answer(self, attempt, found, events, allow):
        if attempt.end == 250:
            self.acknowledged += 1
            if not found:
                self.lost += 1
                self.violate("LOST (A-12): %r is not committed" % attempt)
            elif found[0].time > attempt.over:
                self.violate("A-1: %r was committed only %f s after its 250" % (attempt, found[0].time - attempt.over))
        elif isinstance(attempt.end, int) and not 400 <= attempt.end < 500:
            self.violate("A-3: %r" % attempt)
        elif attempt.end == "silent" and not self._is_unheard(attempt, events):
            self.violate("no answer: %r" % attempt)
        elif attempt.end == "lost" and not self._struck(attempt, events) and not (allow and allow(attempt)):
            self.violate("a connection was lost for no reason: %r" % attempt)

    @staticmethod
    def _was(events, attempt, since, *kinds):
        """Whether one of these befell the rig between then and the attempt's end. Calls fail in the attempt itself."""
        return any(kind in kinds and before <= attempt.over and after >= since - (0 if kind == "call" else SLACK)
                   for kind, before, after in events)

    def _is_unheard(self, attempt, events):
        """Nothing passed; or packets got lost, and one end still waits to send again (RFC 6298 5.5: after twice the time, each time), or
        the client stands alone in a half-open connection (RFC 9293 3.5.1), waiting for a greeting from nobody."""
        if self._was(events, attempt, attempt.began, "north silent"):
            return True
        is_half_open = attempt.state == "greeting" and HALF_OPEN in attempt.text
        return (RETRANSMITTED in attempt.text or is_half_open) and self._was(events, attempt, attempt.began, "north loss")

    def _struck(self, attempt, events):
        """A worker ends or is killed, or the link is cut; the supervisor's end lets workers close what is idle, until they have all left."""
        if attempt.state in ("connect", "greeting") and self._was(events, attempt, attempt.began, "starved"):
            return True     # without a descriptor there is nobody to say 421
        if attempt.state == "connect" and self._was(events, attempt, attempt.began, "away"):
            return True     # nobody listens
        if attempt.state in IDLE and self._was(events, attempt, attempt.began, "supervisor"):
            return True
        return self._was(events, attempt, attempt.began, "worker", "all", "north cut", "call", "no memory")

    def _entry(self, attempt, found):
        if len(found) > 1:
            self.violate("A-10: %r is committed %d times" % (attempt, len(found)))
        if (found[0].sum, found[0].size) != (attempt.sum, attempt.size):
            self.violate("A-2: %r is committed with other octets (%d, sent %d)" % (attempt, found[0].size, attempt.size))

    def _term(self, attempt, entry, events, south_end, is_relayed):
        """The row of table 6 this is put down to, or None."""
        def was(*kinds):
            return self._was(events, attempt, entry.time, *kinds)
        if attempt.end == "left" or (attempt.end in ("lost", "silent") and was("north cut", "north silent", "north loss", "call", "no memory")):
            return "X1"
        if attempt.end == "lost":
            return "X11" if was("worker", "all") else None
        # A back end that got no processor is late, too. Its own clock says so; a link that got none may hold an answer up that was given in
        # time, and then the gateway has waited for as long as it must: the client was not told before.
        arrived = attempt.over if is_relayed else entry.answered
        is_late = entry.answered and arrived + ROUNDING > attempt.ended + south_end
        if entry.fate == "late" or is_late or was("south silent", "south loss"):
            return "X3"
        return "X2" if entry.fate == "lose" or was("backend", "south cut", "call", "harmless call", "no memory") else None

    def _duplicates(self, attempts, committed, extra):
        """A token is committed as often as its attempts were put down to a row, and once for its 250 (A-9)."""
        times = collections.Counter()
        for (token, _), found in committed.items():
            times[token] += len(found)
        done = {attempt.token for attempt in attempts if attempt.end == 250}
        self.expected += sum(extra[token] for token in done)
        self.seen += sum(times[token] - 1 for token in done if times[token])
        for token in done:
            if times[token] > 1 + extra[token]:
                self.violate("A-9: %s is committed %d times, %d explained" % (token, times[token], 1 + extra[token]))


HEADS = ("kind", "injected", "acknowledged", "committed", "dup expected", "dup seen", "lost", "result")


def table(accounts):
    """The accounts as lines of text."""
    rows = [HEADS] + [(a.kind, sum(a.injected.values()), a.acknowledged, a.committed, a.expected, a.seen, a.lost,
                       a.result) for a in accounts]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(HEADS))]
    return "\n".join("  ".join(str(cell).ljust(width) if i in (0, 7) else str(cell).rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def details(account):
    """What is behind a row: injected kinds, rows of table 6, ends, and for kills in which phase of its session they met each client."""
    lines = ["%s: %d attempts, %.1f s" % (account.kind, account.attempts, account.seconds),
             "  injected: " + _counts(account.injected), "  committed without a 250: " + (_counts(account.terms) or "none"),
             "  attempts ended: " + _counts(account.ends)]
    if account.phases:
        states = collections.Counter()
        for (_, state), n in account.phases.items():
            states[state] += n
        lines.append("  clients' phases at the faults: " + _counts(states))
    if account.unlogged:
        lines.append("  of X2 and X3, not in the log: %d" % account.unlogged)
    if account.verdicts:
        lines.append("  wirecheck: " + _counts(account.verdicts))
    if account.skipped:
        lines.append("  skipped: " + account.skipped)
    lines += ["  note: " + note for note in account.notes]
    return "\n".join(lines)


SHOWN, FIRST, LAST = 4, 300, 400    # violations of a kind; characters of each


def _short(text):
    text = " | ".join(line.strip() for line in text.strip().split("\n"))
    return text if len(text) <= FIRST + LAST else text[:FIRST] + " ... " + text[-LAST:]


def violations(accounts):
    """As lines of text, to be the last that is said: some of each kind, so that no kind hides another."""
    lines = []
    for account in accounts:
        lines += ["VIOLATION: %s: %s" % (account.kind, _short(text)) for text in account.violations[:SHOWN]]
        if len(account.violations) > SHOWN:
            lines.append("VIOLATION: %s: and %d more" % (account.kind, len(account.violations) - SHOWN))
        if account.result == "FAILED" and not account.violations:
            lines.append("VIOLATION: %s: %d committed, %d acknowledged, %d explained, %d lost" % (
                account.kind, account.committed, account.acknowledged, sum(account.terms.values()), account.lost))
    return "\n".join(lines)


def _counts(counter):
    return ", ".join("%s %d" % (key, n) for key, n in sorted(counter.items(), key=lambda item: str(item[0])))


ABOUT = ("A gateway between clients and a back end while things go wrong (tests/wire/faults): each message that a client sent is sought in the "
         "book of the back end. What is committed without a 250 is put down to a row of ORACLE's table 6, or is a violation.")


def _shown(result):
    return "passed" if result == "ok" else result


def summary(accounts, seed):
    """A part of the page that tests/wire/report makes."""
    rows = [[a.kind, sum(a.injected.values()), a.attempts, a.acknowledged, a.committed, a.expected, a.seen, a.lost, _shown(a.result)]
            for a in accounts]
    tables = [{"title": "Accounts (seed %s)" % seed, "rows": rows,
               "head": ["kind", "injected", "attempts", "acknowledged", "committed", "duplicates expected", "seen", "lost", "result"]}]
    terms = [[a.kind, *(a.terms[term] for term in TERMS)] for a in accounts if a.terms]
    if terms:
        tables.append({"title": "Committed without a 250, by row of table 6", "head": ["kind", *TERMS], "rows": terms})
    tables.append({"title": "What was injected", "head": ["kind", "fault", "times"],
                   "rows": [[a.kind, fault, n] for a in accounts for fault, n in sorted(a.injected.items()) if n]})
    words = [[a.kind, word, text] for a in accounts
             for word, texts in (("FAILED", a.violations[:50]), ("skipped", [a.skipped] if a.skipped else []), ("note", a.notes)) for text in texts]
    if words:
        tables.append({"title": "Violations and notes", "head": ["kind", "", "what"], "rows": words})
    wire = Sum()
    for account in accounts:
        wire.merge(account.wire)
    part = {"title": "Faults", "about": ABOUT, "order": 60, "failed": sum(a.result == "FAILED" for a in accounts), "tables": tables}
    return {**part, "verdict": wire.as_json()} if wire.reports else part


def write_results(path, seed, accounts):
    """For the HTML report."""
    with open(path, "w") as file:
        json.dump({"seed": seed, "ok": all(a.ok for a in accounts), "campaigns": [a.row() for a in accounts]}, file, indent=1)
