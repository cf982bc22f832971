"""What every test file builds on: tests named by sentences, parts that clean up after themselves, and a closing line."""
import os
import re
import sys
import time
import unittest

from . import place
from .backend import Backend
from .gateway import Gateway, Sink
from .wire import Client

# ORACLE, unit of account: what the gateway may put in front of a message.
OUR_BLOCK = re.compile(rb"(?:(?:Received|Authentication-Results|Received-SPF|ARC-[A-Za-z-]+|X-Postern-[A-Za-z-]+): "
                       rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+")
MESSAGE = b"From: a@sender.example\r\nSubject: hello\r\n\r\nA line.\r\n"


class Story(unittest.TestCase):
    """Parts made by a test are stopped when it ends; a gateway that did not end well fails the test."""

    def gateway(self, *arguments, **settings):
        gateway = Gateway(*arguments, **settings)
        self.gateways = getattr(self, "gateways", []) + [gateway]
        self.addCleanup(gateway.stop)
        return gateway

    def backend(self, *arguments, **settings):
        backend = Backend(*arguments, **settings)
        self.addCleanup(backend.stop)
        return backend

    def pair(self, sections=None, gateway=None, **backend):
        """A fake back end and a gateway in front of it."""
        back = self.backend(**backend)
        return self.gateway(back.endpoint, sections, **(gateway or {})), back

    def sink(self, **settings):
        sink = Sink(**settings)
        self.addCleanup(sink.terminate)
        return sink

    def client(self, where, *arguments, **settings):
        client = Client(where, *arguments, **settings)
        self.addCleanup(client.close)
        return client

    def greeted(self, where, **settings):
        """A client that has said EHLO."""
        client = self.client(where, **settings)
        self.assertEqual(client.ehlo().code, 250)
        return client

    # ---- claims ----

    def assert_reply(self, reply, code, enhanced=None):
        self.assertEqual((reply.code, enhanced and reply.enhanced), (code, enhanced), repr(reply))
        return reply

    def assert_same_below_our_block(self, arrived, sent):
        """ORACLE A-2: the message byte for byte, below one block of fields of ours."""
        self.assertTrue(arrived.endswith(sent), "sent %r..., arrived %r..." % (sent[:2000], arrived[:2000]))
        block = arrived[:len(arrived) - len(sent)]
        self.assertRegex(block, rb"\A" + OUR_BLOCK.pattern + rb"\Z")

    def assert_nothing_went_south(self, backend, since):
        """No connection beyond the probes that were there before (ORACLE P-3)."""
        self.assertEqual(backend.seen(since), [])
        self.assertEqual(len(backend.connections), since)


class _Result(unittest.TextTestResult):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.shown = []

    def getDescription(self, test):
        case = getattr(test, "test_case", test)     # of a subtest
        sentence = getattr(case, "_testMethodName", str(case)).replace("test_", "", 1).replace("_", " ")
        which = " " + test._subDescription() if case is not test else ""
        return "%s: %s%s" % (type(case).__name__, sentence, which)

    def addError(self, test, err):
        super().addError(test, err)
        self.show_logs(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.show_logs(test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.show_logs(test)

    def show_logs(self, test):
        """Once per gateway: a test with many subtests has many reasons to fail."""
        for gateway in getattr(getattr(test, "test_case", test), "gateways", []):
            if gateway in self.shown:
                continue
            self.shown.append(gateway)
            self.stream.writeln("    the gateway's log ended:")
            for line in gateway.text().split("\n")[-12:]:
                self.stream.writeln("    " + line[:400])


def skip_all(why):
    """For a file whose tests all need something that is not there."""
    print("note: " + why)
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)


def main(module):
    """Runs the tests of a module (those named in the arguments only, when there are some) and prints the closing line."""
    start = time.monotonic()
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(sys.argv[1:], sys.modules[module]) if sys.argv[1:] else \
        loader.loadTestsFromModule(sys.modules[module])
    result = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=_Result).run(suite)
    bad = {test.id() for test, _ in result.failures + result.errors}
    bad_tests = {identity.split(" ")[0] for identity in bad}
    skipped = len(result.skipped)
    failed = len(bad_tests) + len(result.unexpectedSuccesses)
    print("%s: %.0f s with the %s build" % (os.path.basename(sys.argv[0]), time.monotonic() - start, place.BUILD))
    print("%d passed, %d failed, %d skipped" % (max(0, result.testsRun - failed - skipped), failed, skipped))
    sys.exit(1 if failed else 0)
