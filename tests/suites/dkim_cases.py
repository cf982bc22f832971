"""How a message and its keys are handed to dkim_run."""
import subprocess

import suite


def crlf(octets):
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def case(now, keys, message):
    """`keys`: name -> TXT record."""
    facts = "".join("TXT %s OK %s\n" % (suite.word(name.lower()), suite.word(record)) for name, record in keys.items())
    return b"%d %d %d\n" % (now, len(facts), len(message)) + facts.encode() + message + b"\n"


def play(cases):
    """The results of each case: a list with one text for each signature."""
    run = subprocess.run([suite.program("dkim_run")], input=b"".join(cases), stdout=subprocess.PIPE, timeout=280,
                         check=True)
    results = [line.split("\t") for line in run.stdout.decode("latin-1").splitlines()]
    assert len(results) == len(cases), "dkim_run did not answer every case"
    return results
