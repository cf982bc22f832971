"""Certificates made for the run, with openssl(1)."""
import itertools
import ssl
import subprocess

from .place import home

_number = itertools.count(1)
KINDS = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"],
         "rsa3072": ["-newkey", "rsa:3072"]}


class Certificate:
    """A self-signed one: `chain` and `key` are its files."""

    def __init__(self, name="mx.local.example", kind="ecdsa", days=90, names=()):
        folder = home() / ("cert%d" % next(_number))
        folder.mkdir()
        self.chain, self.key = folder / "chain.pem", folder / "key.pem"
        self.name = name
        alternatives = ",".join("DNS:" + n for n in (name, *names))
        subprocess.run(["openssl", "req", "-x509", "-nodes", *KINDS[kind], "-keyout", self.key, "-out", self.chain,
                        "-days", str(days), "-subj", "/CN=" + name, "-addext", "subjectAltName=" + alternatives],
                       check=True, capture_output=True)
        self.key.chmod(0o644)   # read by a gateway that was started without privileges

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.chain.read_text())

    @property
    def keys(self):
        """The keys of a [certificate NAME] section."""
        return {"chain": self.chain, "key": self.key}

    def server(self):
        """A TLS context for the fake back end."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context

    def trusted(self):
        """A client context that accepts this certificate only."""
        return ssl.create_default_context(cafile=str(self.chain))


_made = {}


def certificate(name="mx.local.example", kind="ecdsa"):
    """One made before, when there is one."""
    if (name, kind) not in _made:
        _made[name, kind] = Certificate(name, kind)
    return _made[name, kind]
