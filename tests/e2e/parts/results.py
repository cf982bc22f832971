"""Authentication-Results as a strict reader of RFC 8601 reads them: {method: [(result, {property: value})]}."""
import re

FIELD = re.compile(rb"(?mi)^([^\s:]+)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)\r\n")
WORD = r'(?:"((?:[^"\\\x00-\x1f\x7f]|\\[ -~])*)"|([^\s"();]+))'


def fields(message, name):
    """The values of a field in the header section, unfolded, from the top."""
    head = message.partition(b"\r\n\r\n")[0] + b"\r\n"
    return [value.replace(b"\r\n", b"").strip().decode("utf-8") for found, value in FIELD.findall(head)
            if found.lower() == name.lower().encode()]


def unquoted(match, first):
    return re.sub(r"\\(.)", r"\1", match[first]) if match[first] is not None else match[first + 1]


def parse(value):
    """(authserv-id, results). A value that is no Authentication-Results is an error."""
    text = re.sub(r"\((?:[^()\\]|\\.)*\)", " ", value)     # ours has no nested comments, and none in quotes
    match = re.match(r"\s*%s\s*" % WORD, text)
    identity, text = unquoted(match, 1), text[match.end():]
    if re.fullmatch(r";\s*none\s*", text):
        return identity, {}
    results = {}
    while text:
        match = re.match(r";\s*([a-z0-9-]+)=([a-z]+)(?=[\s;]|$)\s*", text)
        if not match:
            raise AssertionError("no result at %r of %r" % (text, value))
        properties, text = {}, text[match.end():]
        results.setdefault(match[1], []).append((match[2], properties))
        while text and text[0] != ";":
            pair = re.match(r"(reason|[a-z]+\.[a-z-]+)=(?:%s)(@[A-Za-z0-9.-]+)?(?=[\s;]|$)\s*" % WORD, text)
            if not pair or pair[1] in properties:
                raise AssertionError("no property at %r of %r" % (text, value))
            properties[pair[1]] = unquoted(pair, 2) + (pair[4] or "")
            text = text[pair.end():]
    return identity, results
