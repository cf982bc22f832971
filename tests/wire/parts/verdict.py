"""wirecheck from Python: runs it, reads what it says, and adds reports up."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
WIRECHECK = ROOT / "build" / "tools" / "wirecheck"


class Broken(Exception):
    """wirecheck could not do its work."""


def wirecheck(north, south, east=None, log=None, keylog=None, config=None, out=None, more=(), limit=600):
    """Judges captures; returns the report, which is left in `out` (a file) as well."""
    out = pathlib.Path(out) if out else pathlib.Path(north).with_suffix(".report.json")
    options = [word for name, value in (("--log", log), ("--keylog", keylog), ("--config", config)) if value for word in (name, value)]
    command = [WIRECHECK, north, south, *([east] if east else []), *options, "--json", out, *more]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=limit, errors="replace")
    out.with_suffix(".txt").write_text(run.stdout + run.stderr)
    if run.returncode not in (0, 1, 2):
        raise Broken("wirecheck ended with %d: %s" % (run.returncode, run.stderr.strip()[-2000:]))
    return json.loads(out.read_text())


def log_of(folder):
    """A gateway's log in its folder: put together from log-* of all its starts when there is none yet."""
    log = folder / "log"
    if not log.exists():
        log.write_bytes(b"".join(part.read_bytes() for part in sorted(folder.glob("log-*"), key=lambda part: part.read_bytes()[:40])))
    return log


class Sum:
    """Reports added up: {id: row} in ORACLE's order, and every violation with the name of its part."""

    def __init__(self):
        self.rows, self.violations = {}, []
        self.sessions = self.messages = self.reports = self.packets = 0

    def add(self, report, part):
        self.reports += 1
        run = report["run"]
        self.sessions += run["sessions"]
        self.messages += run["messages"]
        self.packets += run["packets"]
        for row in report["invariants"]:
            total = self.rows.setdefault(row["id"], {"id": row["id"], "name": row["name"], "checked": 0, "violated": 0, "inconclusive": 0})
            for key in ("checked", "violated", "inconclusive"):
                total[key] += row[key]
        self.violations += [dict(violation, part=part) for violation in report["violations"]]

    def merge(self, other):
        """Another sum."""
        for row in other.rows.values():
            total = self.rows.setdefault(row["id"], {**row, "checked": 0, "violated": 0, "inconclusive": 0})
            for key in ("checked", "violated", "inconclusive"):
                total[key] += row[key]
        self.violations += other.violations
        for key in ("sessions", "messages", "reports", "packets"):
            setattr(self, key, getattr(self, key) + getattr(other, key))

    @property
    def violated(self):
        return sum(row["violated"] for row in self.rows.values())

    @property
    def inconclusive(self):
        return sum(row["inconclusive"] for row in self.rows.values())

    def share_in_doubt(self):
        """Of everything that was looked at, per mille."""
        return 1000 * self.inconclusive / max(1, sum(row["checked"] + row["inconclusive"] for row in self.rows.values()))

    def as_json(self):
        return {"run": {"sessions": self.sessions, "messages": self.messages, "packets": self.packets, "reports": self.reports},
                "invariants": list(self.rows.values()), "violations": self.violations}

    def table(self):
        """As text, a line for each invariant."""
        lines = ["%-6s %-66s %9s %8s %12s" % ("", "", "checked", "violated", "inconclusive")]
        for row in self.rows.values():
            lines.append("%-6s %-66.66s %9d %8d %12d" % (row["id"], row["name"], row["checked"], row["violated"], row["inconclusive"]))
        return "\n".join(lines)
