#!/usr/bin/env python3
"""What testssl.sh says of the defaults: nothing, but that this certificate is of our own making."""
import json
import re
import shutil
import subprocess
import unittest

from parts.certs import certificate
from parts.place import fresh_folder, text
from parts.story import Story, main

# Said of any self-signed certificate that is tried by an address; and of the openssl(1) that testssl.sh works with.
OUR_OWN = re.compile(r"(cert_trust|cert_chain_of_trust|cert_revocation)( <cert#[12]>)?|engine_problem")
MINUTES = 10


@unittest.skipUnless(shutil.which("testssl"), "testssl.sh is not here")
class Testssl(Story):
    def test_nothing_is_found_on_the_defaults(self):
        gateway, _ = self.pair({"certificate main": certificate().keys, "certificate rsa": certificate(kind="rsa3072").keys,
                                "limits": {"sessions_per_address": 1000}})
        report = fresh_folder() / "report.json"
        said = subprocess.run(["testssl", "-t", "smtp", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", report,
                               "--nodns", "min", text(gateway.smtp)], capture_output=True, text=True, timeout=60 * MINUTES)
        findings = json.loads(report.read_text())
        said_good = {line["id"] for line in findings if line["severity"] == "OK"}
        self.assertLessEqual({"TLS1_2", "TLS1_3", "SSLv3", "heartbleed", "secure_client_renego", "RC4", "PFS"}, said_good, said.stdout)
        bad = [line for line in findings
               if line["severity"] not in ("OK", "INFO") and not OUR_OWN.fullmatch(line["id"])]
        self.assertEqual(bad, [])


if __name__ == "__main__":
    main(__name__)
