#!/usr/bin/env python3
"""Exactly one author (ATTACKS E), over the wire: each form of a header section is refused, or has one reading to everybody. The
victim is legitimate.example, whose DMARC policy is reject; the attacker sends from attack.example, where everything is in order.

What arrives at the back end is read by three readers that are not ours: Python's old email parser, its new one, and a pattern.
None of them may find the victim in From. (An address that stands in quotes as a display name is a name: RFC 9989 2.4 leaves what
people make of it to others.)"""
import email
import email.errors
import email.policy
import re
from email.utils import getaddresses

from parts import results
from parts.dns import DNS
from parts.signing import Key, signature
from parts.story import OUR_BLOCK, Story, main

VICTIM = "legitimate.example"
E = b"From: a@attack.example\r\n"
L = b"From: b@legitimate.example\r\n"

# What it is, the header section, and what comes of it: the author domain, or the enhanced code of a 550.
ROWS = [
    # what real mail looks like
    ("plain", E, "attack.example"),
    ("all fields",
     b"Date: x\r\n" + E + b"To: v@local.example\r\nSubject: y\r\nMessage-ID: <z@attack.example>\r\n", "attack.example"),
    ("no Date, no Message-ID", b"Subject: x\r\n" + E, "attack.example"),
    ("any case", b"FROM: a@Attack.EXAMPLE\r\n", "attack.example"),
    ("no blank after the colon", b"from:a@attack.example\r\n", "attack.example"),
    ("folded", b"From:\r\n\tA\r\n <a@attack.example>\r\n", "attack.example"),
    ("dots in the display name", b"From: John Q. Public <a@attack.example>\r\n", "attack.example"),
    ("a quoted address as display name", b"From: \"b@legitimate.example\" <a@attack.example>\r\n", "attack.example"),
    ("a raw UTF-8 display name", b"From: J\xc3\xbcrgen <a@attack.example>\r\n", "attack.example"),
    ("an encoded display name", b"From: =?utf-8?q?J=C3=BCrgen?= <a@attack.example>\r\n", "attack.example"),
    ("comments", b"From: (x) A (y) <a@attack.example> (z)\r\n", "attack.example"),
    ("the old form", b"From: a@attack.example (A. Tack)\r\n", "attack.example"),
    ("two authors of one domain", b"From: a@attack.example, B <b@ATTACK.example>\r\n", "attack.example"),
    ("an address as its own display name", b"From: a@attack.example <a@attack.example>\r\n", "attack.example"),
    ("a group of one domain (RFC 6854)", b"From: Team: a@attack.example, b@attack.example;\r\n", "attack.example"),
    ("a group with a domain for a name", b"From: legitimate.example: a@attack.example;\r\n", "attack.example"),
    ("U-labels", b"From: a@m\xc3\xbcnchen.example\r\n", "xn--mnchen-3ya.example"),
    ("U-labels and A-labels", b"From: a@m\xc3\xbcnchen.example, b@XN--mnchen-3ya.example\r\n", "xn--mnchen-3ya.example"),
    ("a dot behind the domain", b"From: a@attack.example.\r\n", "attack.example"),
    ("odd dots in the local part", b"From: a..b.@attack.example\r\n", "attack.example"),
    ("a percent hack", b"From: b%legitimate.example@attack.example\r\n", "attack.example"),
    ("a UUCP path", b"From: legitimate.example!b@attack.example\r\n", "attack.example"),
    ("a domain below", b"From: b@legitimate.example.attack.example\r\n", "legitimate.example.attack.example"),
    ("a single label", b"From: root@localhost\r\n", "localhost"),
    ("a Sender is no author", b"Sender: b@legitimate.example\r\n" + E, "attack.example"),
    ("nor is Reply-To", E + b"Reply-To: b@legitimate.example\r\n", "attack.example"),
    ("nor a Resent-From, nor two",
     b"Resent-From: b@legitimate.example\r\nResent-From: c@legitimate.example\r\n" + E, "attack.example"),
    ("fields whose names hold ours",
     b"X-From: b@legitimate.example\r\n" + E + b"From-X: b@legitimate.example\r\n", "attack.example"),
    ("a blank before another colon (obsolete)", b"Subject : x\r\n" + E + b"X-Y\t: z\r\n", "attack.example"),
    ("a folded line of blanks in another field", b"Subject: x\r\n \r\n y\r\n" + E, "attack.example"),
    ("From within a fold of another field", b"DKIM-Signature: h=To:\r\n\tFrom:Subject\r\n" + E, "attack.example"),
    ("repeated fields that decide nothing",
     b"Comments: x\r\nComments: y\r\nReferences: x\r\nReferences: y\r\nBcc: x\r\nBcc: y\r\n" + E, "attack.example"),
    ("a Subject in a charset of old", b"Subject: \x1b$B%F\x1b(B \x85 \xfc\r\n" + E, "attack.example"),
    ("a letter whose last octet is 0x85", b"Subject: \xd1\x85from: x\r\n" + E, "attack.example"),

    # several From, in any order and dress
    ("two From, the victim first", L + E, "5.6.0"),
    ("two From, the victim last", E + L, "5.6.0"),
    ("two From, apart", E + b"Subject: x\r\nTo: y\r\n" + L, "5.6.0"),
    ("two From, the same", E + E, "5.6.0"),
    ("two From in other cases", E + b"fRoM: b@legitimate.example\r\n", "5.6.0"),
    ("two From, one with a blank", E + b"From : b@legitimate.example\r\n", "5.6.0"),
    ("two From, one with a tab", b"From\t: b@legitimate.example\r\n" + E, "5.6.0"),
    ("two From, one empty", E + b"From:\r\n", "5.6.0"),
    ("two From, one malformed", b"From: <\r\n" + E, "5.6.0"),
    ("three From", E + L + E, "5.6.0"),
    ("the only From with a blank", b"From : a@attack.example\r\n", "5.6.0"),
    ("the only From with a tab", b"From\t: a@attack.example\r\n", "5.6.0"),

    # lines that are no fields
    ("a line without a colon", b"no field\r\n" + E, "5.6.0"),
    ("at the end", E + b"no field\r\n", "5.6.0"),
    ("between two From", E + b"no field\r\n" + L, "5.6.0"),
    ("From only behind it", b"Subject: x\r\nno field\r\n" + E, "5.6.0"),
    ("nothing before the colon", b": x\r\n" + E, "5.6.0"),
    ("a first line that is a continuation", b" " + L + E, "5.6.0"),
    ("a first line of blanks", b" \r\n" + E, "5.6.0"),
    ("a name that is folded", b"From\r\n : b@legitimate.example\r\n" + E, "5.6.0"),
    ("a name folded before a blank line", b"From\r\n \r\n: b@legitimate.example\r\n" + E, "5.6.0"),
    ("a blank within the name", b"Fr om: b@legitimate.example\r\n" + E, "5.6.0"),
    ("mbox's line on top", b"From b@legitimate.example Sun Nov 22 12:00:00 2026\r\n" + E, "5.6.0"),
    ("mbox's line, escaped", b">From b@legitimate.example Sun Nov 22 12:00:00 2026\r\n" + E, "5.6.0"),
    ("a no-break space before the colon", b"From\xc2\xa0: b@legitimate.example\r\n" + E, "5.6.0"),
    ("the same as Latin-1", b"From\xa0: b@legitimate.example\r\n" + E, "5.6.0"),
    ("a zero width space in the name", b"From\xe2\x80\x8b: b@legitimate.example\r\n" + E, "5.6.0"),
    ("a byte order mark before the name", b"\xef\xbb\xbf" + L + E, "5.6.0"),
    ("a fullwidth colon", b"From\xef\xbc\x9a b@legitimate.example\r\n" + E, "5.6.0"),
    ("a vertical tab before the colon", b"From\x0b: b@legitimate.example\r\n" + E, "5.6.0"),
    ("a form feed before the name", b"\x0c" + L + E, "5.6.0"),
    ("a backspace in the name", b"Froo\x08m: b@legitimate.example\r\n" + E, "5.6.0"),

    # line ends of others
    ("a bare LF (BINARYMIME)", b"Subject: x\n" + L + E, "5.5.2"),
    ("a bare CR", b"Subject: x\r" + L + E, "5.5.2"),
    ("a NUL", b"Subject: x\x00\r\n" + E, "5.5.2"),
    ("a vertical tab", b"Subject: x\x0b" + L + E, "5.6.0"),
    ("a form feed", b"Subject: x\x0cfRom : b@legitimate.example\r\n" + E, "5.6.0"),
    ("a file separator", b"Subject: x\x1c" + L + E, "5.6.0"),
    ("NEL in UTF-8", b"Subject: x\xc2\x85" + L + E, "5.6.0"),
    ("NEL in ISO 8859", b"Subject: x\x85" + L + E, "5.6.0"),
    ("a line separator", b"Subject: x\xe2\x80\xa8" + L + E, "5.6.0"),
    ("a paragraph separator", b"Subject: x\xe2\x80\xa9From\t : b@legitimate.example\r\n" + E, "5.6.0"),

    # singletons (RFC 5322 3.6)
    ("two Senders", E + b"Sender: x@y.example\r\nSender: x@y.example\r\n", "5.6.0"),
    ("two Reply-Tos", b"Reply-To: x@y.example\r\n" + E + b"reply-to: z@y.example\r\n", "5.6.0"),
    ("two Subjects", b"Subject: x\r\n" + E + b"Subject: y\r\n", "5.6.0"),
    ("two Subjects, one with a blank", b"Subject: x\r\n" + E + b"Subject : y\r\n", "5.6.0"),
    ("two Tos", b"To: x\r\nTO: y\r\n" + E, "5.6.0"),
    ("two Ccs", b"Cc: x\r\nCc: y\r\n" + E, "5.6.0"),
    ("two Dates", b"Date: x\r\nDate: y\r\n" + E, "5.6.0"),
    ("two Message-IDs", b"Message-Id: <x@y>\r\nMessage-ID: <z@y>\r\n" + E, "5.6.0"),
    ("two Content-Types", b"Content-Type: text/plain\r\nContent-Type: text/html\r\n" + E, "5.6.0"),
    ("two encodings", b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n" + E, "5.6.0"),
    ("the first of them is told", b"Subject: x\r\nSubject: y\r\n" + E + L, "5.6.0"),

    # one From with two readings; test_mailbox.c has every form
    ("two bracketed addresses", b"From: <b@legitimate.example> <a@attack.example>\r\n", "5.6.0"),
    ("an address before the brackets' one", b"From: b@legitimate.example a@attack.example <a@attack.example>\r\n", "5.6.0"),
    ("words behind the brackets", b"From: <a@attack.example> b@legitimate.example\r\n", "5.6.0"),
    ("brackets that are missing", b"From: B b@legitimate.example\r\n", "5.6.0"),
    ("two @", b"From: a@attack.example@legitimate.example\r\n", "5.6.0"),
    ("a route", b"From: <@legitimate.example:a@attack.example>\r\n", "5.6.0"),
    ("a quoted local part that is an address", b"From: \"b@legitimate.example\"@attack.example\r\n", "5.6.0"),
    ("a quoted local part that ends one", b"From: <\"b@legitimate.example>\"@attack.example>\r\n", "5.6.0"),
    ("a quote that does not end", b"From: \"B <b@legitimate.example>, <a@attack.example>\r\n", "5.6.0"),
    ("a comment that does not end", b"From: b@legitimate.example (, a@attack.example\r\n", "5.6.0"),
    ("an address in a comment", b"From: a@attack.example (<b@legitimate.example>)\r\n", "5.6.0"),
    ("a comment within the domain", b"From: a@legitimate.example(.attack.example\r\n )\\.x\r\n", "5.6.0"),
    ("a comment before the domain", b"From: a@(legitimate.example)attack.example\r\n", "5.6.0"),
    ("a quoted pair in the domain", b"From: a@legitimate\\.example\r\n", "5.6.0"),
    ("an encoded local part", b"From: =?utf-8?q?b=40legitimate.example=3e?=@attack.example\r\n", "5.6.0"),
    ("an encoded domain", b"From: b@=?utf-8?q?legitimate.example?=\r\n", "5.6.0"),
    ("an encoded word that cuts", b"From: =?utf-8?q?b=40legitimate.example=00?= <a@attack.example>\r\n", "5.6.0"),
    ("an encoded address in brackets",
     b"From: =?utf-8?b?PGJAbGVnaXRpbWF0ZS5leGFtcGxlPg==?= <a@attack.example>\r\n", "5.6.0"),
    ("a blank line in the fold", b"From: b@legitimate.example,\r\n \r\n a@legitimate.example\r\n", "5.6.0"),
    ("a control character", b"From: a@attack.example\x0b, b@legitimate.example\r\n", "5.6.0"),
    ("not UTF-8", b"From: \xfc <a@attack.example>\r\n", "5.6.0"),
    ("a fullwidth @", b"From: b\xef\xbc\xa0legitimate.example@attack.example\r\n", "5.6.0"),
    ("a zero width space", b"From: a\xe2\x80\x8b@attack.example\r\n", "5.6.0"),
    ("a group that does not end", b"From: Team: a@attack.example\r\n", "5.6.0"),
    ("a malformed list with several domains", b"From: a@attack.example, b@legitimate.example, <\r\n", "5.6.0"),

    # found by holding random fields against Python's readers
    ("a quoted address before a bracket", b"From: \"b@legitimate.example\" [<a@attack.example>\r\n", "5.6.0"),
    ("an encoded address beside a bracket", b"From: =?utf-8?q?b=40legitimate.example?=] <a@attack.example>\r\n", "5.6.0"),
    ("a quoted address behind a fold", b"From: \"B\r\n b@legitimate.example\" <a@attack.example>\r\n", "5.6.0"),
    ("a quoted address behind a folded name", b"From: \"B\r\n C\" \"b@legitimate.example\" <a@attack.example>\r\n", "5.6.0"),
    ("a quoted address behind a folded comment",
     b"From: (x\r\n \") \"b@legitimate.example\" <a@attack.example>\r\n", "5.6.0"),

    # what follows the @
    ("a dot in front", b"From: b@.legitimate.example\r\n", "5.6.0"),
    ("two dots", b"From: b@legitimate..example\r\n", "5.6.0"),
    ("two dots behind", b"From: b@legitimate.example..\r\n", "5.6.0"),
    ("a dot alone", b"From: b@.\r\n", "5.6.0"),
    ("percent encoding", b"From: b@legitimate%2eexample\r\n", "5.6.0"),
    ("an ideographic full stop", b"From: b@legitimate\xe3\x80\x82example\r\n", "5.6.0"),
    ("a fullwidth full stop", b"From: b@legitimate\xef\xbc\x8eexample\r\n", "5.6.0"),
    ("a zero width space in the domain", b"From: b@legit\xe2\x80\x8bimate.example\r\n", "5.6.0"),
    ("a soft hyphen in the domain", b"From: b@legit\xc2\xadimate.example\r\n", "5.6.0"),
    ("fullwidth letters", b"From: b@\xef\xbd\x8cegitimate.example\r\n", "5.6.0"),
    ("Cyrillic capitals, which nobody looks up as such", b"From: b@\xd0\x9f\xd0\xa0\xd0\x98.example\r\n", "5.6.0"),
    ("a letter and a mark that joins it", b"From: b@cafe\xcc\x81.example\r\n", "5.6.0"),
    ("a hyphen in front", b"From: b@-legitimate.example\r\n", "5.6.0"),
    ("a slash", b"From: b@legitimate.example/attack.example\r\n", "5.6.0"),
    ("a label over 63", b"From: b@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example\r\n", "5.6.0"),

    # no domain, or several
    ("no field at all", b"", "5.7.26"),
    ("no From", b"Subject: x\r\n", "5.7.26"),
    ("a Sender alone", b"Sender: b@legitimate.example\r\n", "5.7.26"),
    ("a Resent-From alone", b"Resent-From: b@legitimate.example\r\nReply-To: b@legitimate.example\r\n", "5.7.26"),
    ("an empty From", b"From:\r\n", "5.7.26"),
    ("a From of blanks", b"From:  \t \r\n", "5.7.26"),
    ("a From of comments", b"From: (b) (legitimate.example)\r\n", "5.7.26"),
    ("a group of nobody", b"From: undisclosed:;\r\n", "5.7.26"),
    ("the null address", b"From: <>\r\n", "5.7.26"),
    ("a display name and the null address", b"From: B <>\r\n", "5.7.26"),
    ("a user without a domain", b"From: MAILER-DAEMON (Mail Delivery System)\r\n", "5.7.26"),
    ("the same in brackets", b"From: Mail Delivery System <MAILER-DAEMON>\r\n", "5.7.26"),
    ("a comma in the display name", b"From: Public, John <a@attack.example>\r\n", "5.7.26"),
    ("an encoded address", b"From: =?utf-8?q?b=40legitimate.example?=\r\n", "5.7.26"),
    ("an address literal", b"From: b@[192.0.2.1]\r\n", "5.7.26"),
    ("an IPv6 literal", b"From: b@[IPv6:2001:db8::1]\r\n", "5.7.26"),
    ("a domain in brackets", b"From: b@[legitimate.example]\r\n", "5.7.26"),
    ("two domains", b"From: a@attack.example, b@legitimate.example\r\n", "5.7.26"),
    ("two domains, the other way", b"From: B <b@legitimate.example>, A <a@attack.example>\r\n", "5.7.26"),
    ("a domain and one below", b"From: b@legitimate.example, a@x.legitimate.example\r\n", "5.7.26"),
    ("two domains in a group", b"From: T: a@attack.example, b@legitimate.example;\r\n", "5.7.26"),
    ("two groups", b"From: T: a@attack.example;, U: b@legitimate.example;\r\n", "5.7.26"),
    ("a domain in and one outside of a group", b"From: T: a@attack.example;, b@legitimate.example\r\n", "5.7.26"),
    ("an address for a display name", b"From: b@legitimate.example <a@attack.example>\r\n", "5.7.26"),
    ("a domain and a literal", b"From: b@legitimate.example, b@[192.0.2.1]\r\n", "5.7.26"),
    ("a domain and none", b"From: b@legitimate.example, b\r\n", "5.7.26"),
    # what only DMARC can tell
    ("the victim plainly", L, VICTIM),
    ("the victim in capitals", b"From: b@LEGITIMATE.example\r\n", VICTIM),
    ("the victim with a dot", b"From: b@legitimate.example.\r\n", VICTIM),
    ("the victim in a group", b"From: Team: b@legitimate.example;\r\n", VICTIM),
    ("the victim twice in one field", b"From: b@legitimate.example, c@legitimate.example\r\n", VICTIM),
    ("the victim behind a name in quotes", b"From: \"a@attack.example\" <b@legitimate.example>\r\n", VICTIM),
    ("the victim behind folds and comments", b"From:\r\n (x)\r\n B\r\n\t<b@legitimate.example>\r\n (y)\r\n", VICTIM),
    ("the victim under another Sender", b"Sender: a@attack.example\r\n" + L, VICTIM),
]

# Reverse-paths in which two readers might find two domains: each is refused, or is of the attacker on both sides.
PATHS = [
    b"<a@attack.example@legitimate.example>", b"<b@legitimate.example@attack.example>", b"<@legitimate.example:a@attack.example>",
    b'<"b@legitimate.example"@attack.example>', b'<"b@legitimate.example>"@attack.example>', b"<b@legitimate.example(@attack.example)>",
    b"<a@attack.example(b@legitimate.example)>", b"(b@legitimate.example)<a@attack.example>", b"<b@legitimate.example\\>@attack.example>",
    b"<a@attack.example,b@legitimate.example>", b"<a@attack.example>,<b@legitimate.example>", b"<b@legitimate.example> <a@attack.example>",
    b"<b@legitimate.example\0@attack.example>", b"<b@legitimate.example @attack.example>", b"<b%legitimate.example@attack.example>",
    b"b@legitimate.example <a@attack.example>", b"<b@legitimate\xef\xbc\x8eexample>", b"<<b@legitimate.example>@attack.example>",
]

FORGED = [
    b"Authentication-Results: mx.local.example; dmarc=pass header.from=legitimate.example\r\n",
    b"AUTHENTICATION-RESULTS: MX.Local.Example; dmarc=pass\r\n",
    b"Authentication-Results : mx.local.example; dmarc=pass\r\n",
    b"Authentication-Results:\r\n\tmx.local.example;\r\n\tdmarc=pass\r\n",
    b"Authentication-Results: (x (y)) mx.local.example (z) 1; dmarc=pass\r\n",
    b"Authentication-Results: mx.local(x).example; dmarc=pass\r\n",
    b"Authentication-Results: \"mx.local.example\"; dmarc=pass\r\n",
    b"Authentication-Results: mx.local.example.; dmarc=pass\r\n",
    b"Authentication-Results: (mx.local.example; dmarc=pass\r\n",
    b"Received-SPF: pass (mx.local.example: trust me)\r\n",
    b"received-spf\t: pass\r\n",
    b"X-Postern-Verdict: accept\r\n",
    b"x-postern-verdict:\r\n accept\r\n",
    b"X-POSTERN-: x\r\n",
    b"X-Postern-Anything\t : accept\r\n",
    b"Received-SPF:\r\n pass\r\n",
    b"aUTHENTICATION-rESULTS:mx.local.example;dmarc=pass\r\n",
    b"Authentication-Results:\r\n (a\r\n b)\r\n mx.local.example\r\n ; dmarc=pass\r\n",
    b"Authentication-Results: (\\)) mx.local.example; dmarc=pass\r\n",
    b"Authentication-Results: mx.local.example/1; dmarc=pass\r\n",
    b"Authentication-Results: mx . local . example; dmarc=pass\r\n",
    b"Authentication-Results: \"mx.local.\\example\"; dmarc=pass\r\n",
    b"Authentication-Results: \"mx.local.example; dmarc=pass\r\n",
    b"Authentication-Results: ; dmarc=pass\r\n",
    b"Authentication-Results:\r\n",
]
# Chains that nobody sealed, and the words of one that would be trusted.
CHAINS = [
    b"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=sealer.example; s=s; t=1; b=AAAA\r\n"
    b"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=sealer.example; s=s; h=from; bh=AAAA; b=AAAA\r\n"
    b"ARC-Authentication-Results: i=1; mx.local.example; dmarc=pass header.from=legitimate.example\r\n",
    b"ARC-Authentication-Results: i=1; mx.local.example; dmarc=pass\r\n",
    b"ARC-Seal: i=1; cv=pass; d=sealer.example\r\n",
    b"arc-seal: i=1; cv=none; d=sealer.example; d=sealer.example\r\nARC-SEAL: i=1\r\n",
    b"ARC-Seal: i=99999999999999999999; cv=none\r\n",
    b"X-ARC-Seal: i=1\r\n",
]
# Local parts that would be a result of ours, or a line of ours, or the end of one.
WORDS = [b'"; dmarc=pass header.from=legitimate.example; x="', b'"a; dmarc=pass (x"', b'"a\\"; dmarc=pass; x=\\"b"', b'"(dmarc=pass"', b'"\\\\"',
         b"a=b", b"a;dmarc", b"{dmarc=pass}", b"%0d%0aX-Postern-Verdict:", b"spf=pass", b'"outcome=accepted check="', b'" dmarc=pass "',
         b'"<b@legitimate.example>"', b'"b@legitimate.example"', b"'or'", b"`id`", b"$(id)", b"~", b"*", b"=?utf-8?q?a?="]
OTHERS = [
    b"Authentication-Results: mx.other.example; dmarc=pass\r\n",
    b"ARC-Authentication-Results: i=1; mx.local.example; dmarc=pass\r\n",
    b"X-Authentication-Results: mx.local.example; dmarc=pass\r\n",
]


# ---- three readers ----

def old_reader(message):
    fields = email.message_from_bytes(message, policy=email.policy.compat32).get_all("From", [])
    return [address.rpartition("@")[2] for _, address in getaddresses([str(field) for field in fields])]


def new_reader(message):
    found = []
    try:
        for field in email.message_from_bytes(message, policy=email.policy.default).get_all("From", []):
            found += [address.domain for address in getattr(field, "addresses", ())]
    except (email.errors.MessageError, IndexError, AttributeError):
        pass                # it stumbles over some that are malformed
    return found


def naive_reader(message):
    """What brackets hold that comes last, or else every word with an "@", in every line that begins with "From:"."""
    found = []
    for field in re.findall(rb"(?mi)^from[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.split(rb"\r?\n\r?\n", message, 1)[0]):
        brackets = re.findall(rb"<[^<>]*@([^<>@]*)>", field)
        found += brackets[-1:] or re.findall(rb"[^\s@]@([^\s<>@(),;:\"]+)", field)
    return [domain.decode("latin-1") for domain in found]


def readings(message):
    return {reader.__name__: [domain.lower().rstrip(".") for domain in reader(message)]
            for reader in (old_reader, new_reader, naive_reader)}


def below_ours(message):
    """A message as it arrived, less the block of fields of ours."""
    return message[OUR_BLOCK.match(message).end():]


# The ways in which a message may come: the sender, and the name in HELO. SPF is in order for attack.example alone.
WAYS = [("a@attack.example", "client.example"), ("", "attack.example"), ("", VICTIM), ("a@attack.example", VICTIM), ("b@attack.example", "[127.0.0.1]")]


def key():
    """The attacker's, which is in order too."""
    if not hasattr(key, "made"):
        key.made = Key()
    return key.made


def zone():
    return {"_dmarc." + VICTIM: [("TXT", "v=DMARC1; p=reject")], VICTIM: [("TXT", "v=spf1 -all")],
            "attack.example": [("TXT", "v=spf1 +all")], "s._domainkey.attack.example": [("TXT", key().record)],
            "s._domainkey.legitimate.example.attack.example": [("TXT", key().record)]}


class Judging(Story):
    def start(self, back_end=None, sections=None):
        """The attacker is at a gateway with every default, but for the bounds that so many messages meet."""
        dns = DNS(zone())
        self.addCleanup(dns.stop)
        settings = {"dns": {"servers": dns.text}, "limits": {"errors": 10000, "junk": 10000, "transactions": 10000}, **(sections or {})}
        if back_end is None:
            self.gate, self.back = self.pair(settings)
        else:
            self.gate, self.back = self.gateway(back_end.endpoint, settings), None
        self.attacker = self.greeted(self.gate.smtp)

    def assert_not_fooled(self, message):
        for reader, domains in readings(message).items():
            self.assertNotIn(VICTIM, domains, reader)


class Author(Judging):
    def setUp(self):
        self.start()

    def deliver(self, message, sender="a@attack.example"):
        """The reply, and what arrived: None or the message less our block."""
        n = len(self.back.messages)
        reply = self.attacker.deliver(message, sender=sender)
        arrived = self.back.messages[n:]
        self.assertEqual(len(arrived), int(reply.code == 250))
        return reply, below_ours(arrived[0].body) if arrived else None

    def test_each_form_is_refused_or_has_one_reading(self):
        self.assertGreater(len(ROWS), 60)
        for what, header, expected in ROWS:
            with self.subTest(what):
                message = header + b"\r\nbody\r\n"
                reply, arrived = self.deliver(message)
                if expected.startswith("5."):
                    self.assert_reply(reply, 550, expected)
                elif expected != VICTIM:
                    self.assert_reply(reply, 250)
                    self.assertEqual(arrived, message)      # and never rewritten
                    self.assert_not_fooled(arrived)
                    self.assertEqual(results.parse(results.fields(self.back.messages[-1].body, "Authentication-Results")[0])[1]["dmarc"][0][1],
                                     {"header.from": expected})     # the reading that was judged

    def test_in_whatever_way_they_come(self):
        """The null sender, and names in HELO: nothing of them lends the victim a reading. Under the null sender the HELO name is
        the sender (RFC 7208 2.4), and the victim's SPF forbids that."""
        for sender, name in WAYS:
            self.attacker.ehlo(name)
            good = 550 if (sender, name) == ("", VICTIM) else 250
            for what, header, expected in ROWS:
                with self.subTest(what, sender=sender, helo=name):
                    reply, arrived = self.deliver(header + b"\r\nbody\r\n", sender)
                    self.assertEqual(reply.code, 550 if expected.startswith("5.") or expected == VICTIM else good, reply)
                    if arrived is not None:
                        self.assert_not_fooled(arrived)

    def test_signed_by_the_attacker_they_are_the_same(self):
        """What authenticates the attacker authenticates nobody else."""
        for what, header, expected in ROWS:
            if header[:1] == b" ":
                continue        # it would be part of the signature
            with self.subTest(what):
                message = header + b"\r\nbody\r\n"
                fields = ("From",) * max(1, len(re.findall(rb"(?mi)^from[ \t]*:", header)))
                reply, arrived = self.deliver(signature(message, key(), "attack.example", fields=fields) + message)
                self.assertEqual(reply.code, 550 if expected.startswith("5.") or expected == VICTIM else 250)
                if arrived is not None:
                    self.assert_not_fooled(arrived)

    def test_what_is_read_as_the_victim_is_judged_as_the_victim(self):
        for what, header, expected in ROWS:
            if expected == VICTIM:
                with self.subTest(what):
                    reply, _ = self.deliver(header + b"\r\nbody\r\n")
                    self.assert_reply(reply, 550, "5.7.26")

    def test_the_envelope_lends_the_victim_nothing(self):
        """SPF passes for the attacker's HELO and for no sender of his that is the victim: RFC 7208 2.4, RFC 9989 4.4."""
        for name in ("attack.example", VICTIM, "legitimate.example.attack.example", "[127.0.0.1]", "client.legitimate.example"):
            for sender in ("", "a@attack.example", "legitimate.example@attack.example", "b@legitimate.example.attack.example",
                           "b@legitimate.example"):
                with self.subTest(helo=name, sender=sender), self.client(self.gate.smtp) as client:
                    client.ehlo(name)
                    self.assertEqual(client.deliver(L + b"\r\nbody\r\n", sender=sender).code, 550)
                    client.quit()
        self.assertEqual(self.back.messages, [])

    def test_each_path_of_the_envelope_has_one_reading(self):
        for path in PATHS:
            with self.subTest(path):
                n = len(self.back.messages)
                reply = self.attacker.ask(b"MAIL FROM:" + path)
                if reply.code == 250:
                    self.assert_reply(self.attacker.rcpt(), 250)
                    self.assert_reply(self.attacker.data(E + b"\r\nbody\r\n"), 250)
                    self.assertRegex(self.back.messages[n].mail, rb"(?i)\AMAIL FROM:<\S*@attack\.example>")
                    (result, about), = results.parse(results.fields(self.back.messages[n].body, "Authentication-Results")[0])[1]["spf"][:1]
                    self.assertEqual((result, about["smtp.mailfrom"].rpartition("@")[2]), ("pass", "attack.example"))
                else:
                    self.assertIn(reply.code, (500, 501, 553))

    def test_the_readers_would_be_fooled_without_us(self):
        """Else the test above proves nothing: each reader finds the victim in several of the messages that are refused."""
        fooled = {}
        for _, header, expected in ROWS:
            if expected.startswith("5."):
                for reader, domains in readings(header + b"\r\nbody\r\n").items():
                    fooled[reader] = fooled.get(reader, 0) + (VICTIM in domains)
        for reader, times in fooled.items():
            self.assertGreater(times, 20, reader)

    def test_cut_into_single_octets_the_forms_are_the_same(self):
        for what, header, expected in ROWS[::11]:
            with self.subTest(what):
                self.attacker.envelope("a@attack.example")
                self.attacker.ask("DATA")
                wire = header + b"\r\nbody\r\n.\r\n"
                for octet in wire:
                    self.attacker.send(bytes([octet]))
                reply = self.attacker.reply()
                if expected.startswith("5."):
                    self.assert_reply(reply, 550, expected)

    def test_forged_results_do_not_arrive(self):
        for forged in FORGED:
            with self.subTest(forged):
                reply, arrived = self.deliver(b"Subject: x\r\n" + forged + E + b"\r\n" + forged)
                self.assert_reply(reply, 250)
                self.assertEqual(arrived, b"Subject: x\r\n" + E + b"\r\n" + forged)
                self.assert_reply(self.deliver(forged + E + b"\r\n")[0], 250)
                self.assertNotIn(forged, self.back.messages[-1].body)

    def test_words_of_the_sender_are_no_results_of_ours(self):
        """In Authentication-Results, Received-SPF, the log and replies they are one value, or not there."""
        self.gate.change({"spf": {"received_spf": "yes"}, "relay": {"allow_percent": "yes"}})
        self.gate.reload()
        client = self.greeted(self.gate.smtp)
        accepted = 0
        for local in WORDS:
            with self.subTest(local):
                if client.ask(b"MAIL FROM:<" + local + b"@attack.example>").code != 250:
                    client.ask("RSET")
                    continue
                client.rcpt()
                lines = len(self.gate.log(event="transaction"))
                self.assert_reply(client.data(E + b"\r\nbody\r\n"), 250)
                line = self.gate.wait_log(lines + 1, event="transaction")[-1]
                self.assertEqual((line["spf"], line["dmarc"], line["outcome"]), ("pass/attack.example", "none/attack.example", "accepted"))
                message = self.back.messages[-1].body
                (ours,) = results.fields(message, "Authentication-Results")
                found = results.parse(ours)[1]
                self.assertEqual([(method, [result for result, _ in found[method]]) for method in found],
                                 [("spf", ["pass", "none"]), ("dkim", ["none"]), ("dmarc", ["none"])])
                self.assertTrue(found["spf"][0][1]["smtp.mailfrom"].endswith("@attack.example"))
                self.assertRegex(results.fields(message, "Received-SPF")[0], r'^pass \([a-z ]*\) .*; +helo=client\.example$')
                self.assertEqual(results.fields(message, "X-Postern-Verdict"), [])
                client.envelope("a@attack.example")
                refused = client.data(L + b"\r\nbody\r\n")
                self.assert_reply(refused, 550, "5.7.26")
                accepted += 1
        self.assertGreater(accepted, 10)

    def test_a_forged_chain_is_no_chain(self):
        self.gate.change({"arc": {"trusted_sealers": "sealer.example"}})
        self.gate.reload()
        self.attacker = self.greeted(self.gate.smtp)
        for chain in CHAINS:
            with self.subTest(chain):
                self.assert_reply(self.deliver(chain + L + b"\r\nbody\r\n")[0], 550, "5.7.26")
                reply, arrived = self.deliver(E + chain + b"\r\nbody\r\n")
                self.assert_reply(reply, 250)
                self.assertEqual(arrived, E + chain + b"\r\nbody\r\n")
                found = results.parse(results.fields(self.back.messages[-1].body, "Authentication-Results")[0])[1]
                self.assertNotEqual(found.get("arc", [("fail", {})])[0][0], "pass")

    def test_results_of_others_arrive(self):
        message = b"Subject: x\r\n" + b"".join(OTHERS) + E + b"\r\nbody\r\n"
        reply, arrived = self.deliver(message)
        self.assert_reply(reply, 250)
        self.assertEqual(arrived, message)

    def test_our_own_clients_are_not_judged(self):
        gateway, back = self.pair({"author": {"strict": "yes"}, "relay": {"networks": "127.0.0.0/8"}})
        client = self.greeted(gateway.smtp)
        for what, header, expected in ROWS:
            if expected in ("5.6.0", "5.7.26") and header[:1] not in (b" ", b"\t"):
                with self.subTest(what):
                    self.assert_reply(client.deliver(header + b"\r\nbody\r\n"), 250)
                    self.assertTrue(back.messages[-1].body.endswith(header + b"\r\nbody\r\n"))


if __name__ == "__main__":
    main(__name__)
