#!/usr/bin/env python3
"""How often look-alikes and borrowed names are seen where there are none, in the mail of the published suites; and how many of
those that somebody would register are found.

    tests/suites/lookalike.py [build/asan/lookalike_run]

Prints the rates. Each is held at what was found when it was last measured: see ALARMS and FOUND.
"""
import base64
import email.utils
import glob
import itertools
import json
import os
import re
import subprocess

import suite

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+\Z")

# Well-known names, whose look-alikes are in real mail, and 144 as companies of some trade have them.
BRANDS = """google.com microsoft.com apple.com amazon.com facebook.com paypal.com netflix.com linkedin.com dropbox.com docusign.com
    adobe.com intuit.com chase.com wellsfargo.com citibank.com barclays.co.uk hsbc.com santander.com sparkasse.de volksbank.de
    commerzbank.de deutsche-bank.de postbank.de ing.com dhl.com ups.com fedex.com dpd.com hermes.de telekom.de vodafone.com
    orange.fr telefonica.com siemens.com bosch.com bmw.de volkswagen.de mercedes-benz.com allianz.com zurich.com bahn.de
    lufthansa.com airbus.com ikea.com zalando.com ebay.com otto.de mail.ru yandex.ru github.com gitlab.com debian.org python.org
    wikipedia.org mozilla.org heise.de""".split()
OWNERS = "mueller schmidt becker hoffmann wagner krueger martin dupont rossi garcia jansen novak".split()
TRADES = ["-bau.de", "-logistik.de", "-partner.com", "group.com", "-consulting.eu", "bank.com", "tech.io", "-immobilien.de", "media.net",
          "law.com", ".de", ".co.uk"]
COMPANIES = BRANDS + [owner + trade for owner in OWNERS for trade in TRADES]

PEOPLE = ["Erika Mustermann", "Peter Müller", "John Smith", "Anna Schmidt", "Maria Garcia", "David Johnson", "Thomas Weber",
          "Jean Martin", "Иван Иванов", "山田 太郎"]

# Found when measured: alarms, and the share of what is made up that is found.
ALARMS = {"each": 6, "companies": 1, "suffixes": 7, "people": 0, "authors": 0}
FOUND = {"letters": 1.0, "typing": 1.0, "words": 1.0, "ending": 1.0, "prefix": 1.0}


def run(kind, ours, lines):
    """The answers of lookalike_run, a line each."""
    answer = subprocess.run([suite.program("lookalike_run"), kind, *ours], input="".join(line + "\n" for line in lines).encode(),
                            stdout=subprocess.PIPE, check=True)
    return answer.stdout.decode().splitlines()


# ---- the corpora ----

def read(name):
    with open(name, "rb") as f:
        return f.read()


def texts():
    """Messages, and what was said in captured sessions."""
    for folder, pattern in (("mime", "mail-parser/*"), ("dkim", "*/*.msg"), ("dkim", "*/*.eml"),
                            ("dkim", "real/*.txt")):
        for name in sorted(glob.glob(os.path.join(suite.path(folder), pattern))):
            if os.path.isfile(name):
                yield read(name).decode("utf-8", "replace")
    yield read(suite.path("arc", "arc-validation-dev.yml")).decode("utf-8", "replace")
    for name in sorted(glob.glob(os.path.join(suite.path("pcap", "streams"), "*.json"))):
        turns = json.loads(read(name))["turns"]
        yield b"".join(base64.b64decode(octets) for _, octets in turns).decode("utf-8", "replace")


def froms(found):
    """The value of each From of the corpora, unfolded, once."""
    values = {re.sub(r"\r?\n[ \t]+", " ", match.group(1)).strip()
              for text in found for match in re.finditer(r"(?im)^[ \t]*from:[ \t]*([^\r\n]*(?:\r?\n[ \t]+[^\r\n]+)*)", text)}
    return sorted(value for value in values if "@" in value)


def is_reserved(name):
    """RFC 2606: example.com and example.org are nobody's, and stand for different people."""
    return "example" in name.split(".") or name.split(".")[-1] in ("example", "invalid", "test", "localhost")


def domains(found):
    """Every domain behind an "@" in the corpora."""
    names = {match.group(1).lower().rstrip(".") for text in found for match in re.finditer(r"@([A-Za-z0-9.-]+)", text)}
    return sorted(name for name in names if NAME.match(name) and len(name) < 200 and not is_reserved(name))


def suffixes():
    """The names of the public suffix list that people have registered: hosting services of all sorts."""
    lines = read(suite.path("psl", "public_suffix_list.dat")).decode().split("BEGIN PRIVATE DOMAINS")[1].splitlines()
    names = {line.strip().lstrip("*.!") for line in lines if line and not line.startswith("//")}
    return sorted(name for name in names if NAME.match(name) and name.count(".") == 1)


def author(value):
    """The domain of a From, as Python reads it."""
    address = email.utils.parseaddr(value)[1]
    name = address.rpartition("@")[2].lower()
    return name if NAME.match(name) and not is_reserved(name) else None


# ---- false alarms ----

def show(what, alarms, tried):
    print("%s: %d of %d (%.4f %%)" % (what, len(alarms), tried, 100.0 * len(alarms) / max(tried, 1)))
    for alarm in alarms[:12]:
        print("    " + alarm)
    return len(alarms)


def each_protected(names):
    """Each domain of the corpora, as protected, against all others."""
    alarms = []
    for ours in names:
        alarms += ["%s: %s" % (theirs, said) for theirs, said in zip(names, run("domains", [ours], names)) if said != "none"]
    return alarms, len(names) * (len(names) - 1)


def companies_protected(senders):
    """All companies at once, against the authors of the corpora."""
    alarms = ["%s: %s" % (theirs, said) for theirs, said in zip(senders, run("domains", COMPANIES, senders)) if said != "none"]
    return alarms, len(senders)


def people_listed(values):
    alarms = ["%s: %s" % (value, said) for value, said in zip(values, run("persons", PEOPLE, values)) if said != "none"]
    return alarms, len(values)


def authors_listed(values):
    """Each author of the corpora as a listed person, against all others by another name."""
    names = sorted({email.utils.parseaddr(value)[0] for value in values if "=?" not in value} - {""})
    names = [name for name in names if len(name.split()) > 1]
    alarms, tried = [], 0
    for name in names:
        others = [value for value in values if name not in value]
        said = run("persons", [name], others)
        alarms += ["%s: %s" % (value, answer) for value, answer in zip(others, said) if answer != "none"]
        tried += len(others)
    return alarms, tried


# ---- what is found ----

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ALIKE = {"a": "аạáäα", "c": "сç", "d": "đ", "e": "еéë", "g": "ġ", "i": "1lіı", "k": "κ", "l": "1ił", "m": ["rn"], "n": "ñ", "o": "0оοö",
         "p": "р", "s": "ѕş", "u": "üυ", "v": "ν", "w": ["vv"], "x": "х", "y": "уý", "z": "ž"}
ENDINGS = "com net org de eu info biz co io app online shop xyz top co.uk com.br com.au us ru cn".split()


def edits(name):
    """Every single edit: Damerau's four sorts, with letters, digits and hyphens."""
    made = set()
    for i in range(len(name) + 1):
        made |= {name[:i] + c + name[i:] for c in LETTERS + "0123456789-"}
        if i < len(name):
            made.add(name[:i] + name[i + 1:])
            made |= {name[:i] + c + name[i + 1:] for c in LETTERS + "0123456789-"}
        if i + 1 < len(name):
            made.add(name[:i] + name[i + 1] + name[i] + name[i + 2:])
    return sorted(new for new in made if new != name and not new.startswith("-") and not new.endswith("-"))


def letters(name):
    """One letter or two in place of those they look like."""
    one = {name[:i] + new + name[i + 1:] for i, c in enumerate(name) for new in ALIKE.get(c, "")}
    two = {made[:i] + new + made[i + 1:] for made in one for i, c in enumerate(made) for new in ALIKE.get(c, "")}
    return sorted(one | two - {name})


def a_label(label):
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def made_up(ours):
    """What somebody might register to be taken for `ours`, by sort."""
    name, ending = ours.split(".", 1)
    words = "login secure support account service mail portal billing invoice payment".split()
    return {
        "letters": [a_label(new) + "." + ending for new in letters(name)],
        "typing": [new + "." + ending for new in edits(name)],
        "words": [pattern % pair + "." + end for word in words for pair in ((name, word), (word, name))
                  for pattern in ("%s-%s", "%s%s") for end in (ending, "com")],
        "ending": [name + "." + end for end in ENDINGS if end != ending],
        "prefix": [front + "." + back for front in (ours, ours.replace(".", "-"), "login." + ours, "www-" + ours.replace(".", "-"))
                   for back in ("attacker.com", "x.y.attacker.co.uk")],
    }


def detection():
    """The share of each sort that is found, over some names."""
    tried, found, missed = {}, {}, []
    for ours in ("example.org", "microsoft.com", "sparkasse.de", "wikipedia.org", "mueller-bau.de", "barclays.co.uk"):
        for sort, names in made_up(ours).items():
            said = run("domains", [ours], names)
            hits = [name for name, answer in zip(names, said) if answer != "none"]
            tried[sort] = tried.get(sort, 0) + len(names)
            found[sort] = found.get(sort, 0) + len(hits)
            missed += sorted(set(names) - set(hits))
    return tried, found, missed


def main():
    found = list(texts())
    values, names, suffix_names = froms(found), domains(found), suffixes()
    senders = [name for name in (author(value) for value in values) if name]
    measured = {
        "each": ("each domain of the corpora as protected, against the others", *each_protected(names)),
        "companies": ("%d companies protected, against the authors" % len(COMPANIES), *companies_protected(senders)),
        "suffixes": ("the same, against %d registered names of the public suffix list" % len(suffix_names),
                     *companies_protected(suffix_names)),
        "people": ("%d people listed, against each From" % len(PEOPLE), *people_listed(values)),
        "authors": ("each author listed, against the From of others", *authors_listed(values)),
    }
    failed = 0
    for key, (what, alarms, tried) in measured.items():
        failed += show(what, alarms, tried) > ALARMS[key]
    tried, hits, missed = detection()
    for sort in tried:
        print("found of %s: %d of %d (%.2f %%)" % (sort, hits[sort], tried[sort], 100.0 * hits[sort] / tried[sort]))
        failed += hits[sort] / tried[sort] < FOUND[sort]
    print("not found, some:", " ".join(itertools.islice(missed, 20)))
    suite.finish(len(measured) + len(tried) - failed, failed)


main()
