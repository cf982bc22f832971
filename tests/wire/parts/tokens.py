"""Fresh 128-bit tokens in a scenario's conversation (ORACLE 0): in the name of EHLO, and in the local part of each MAIL FROM, so
that a checker can tell which transactions on the two wires belong together without asking the log.

Only the plain names of words.txt are replaced, in commands alone, and in the expectations that show them. Scenarios that ask
the DNS keep their names, since what is asked depends on them."""
import os
import re

HELO_NAME, SENDER = "client.example", "alice@sender.example"
ASKS_DNS = re.compile(r"\[(author|spf|dkim|arc|dmarc)\]")
HELLO = re.compile(r"(EHLO|HELO) " + re.escape(HELO_NAME) + r"\r\n")
MAIL = "MAIL FROM:<%s>"
ANYWHERE = ("<", "reply has", "reply lacks", "log has", "log lacks", "log counts", "[*")


def may_have(scenario):
    return not (scenario.of("zone:") or scenario.of("dns:") or any(ASKS_DNS.match(line) for line in scenario.config))


def put_into(steps):
    """The steps with tokens: each MAIL has a new one, and stands south as it stood north."""
    name = "%s.%s" % (os.urandom(16).hex(), HELO_NAME)
    sender, replaced = SENDER, []
    for line, word, rest in steps:
        if word == ">" and HELLO.fullmatch(rest):
            rest = rest.replace(HELO_NAME, name)
        elif word == ">" and rest.startswith(MAIL % SENDER):
            sender = "alice.%s@sender.example" % os.urandom(16).hex()
            rest = rest.replace(SENDER, sender, 1)
        elif word == "[" and rest.startswith(MAIL % SENDER):
            rest = rest.replace(SENDER, sender, 1)
        elif word == "[" and "HELO=" + HELO_NAME in rest:
            rest = rest.replace("HELO=" + HELO_NAME, "HELO=" + name)
        elif word in ANYWHERE:
            rest = rest.replace(HELO_NAME, "*" + HELO_NAME).replace("=" + SENDER, "=alice*@sender.example")
        replaced.append([line, word, rest])
    return replaced
