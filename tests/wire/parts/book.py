"""What a ledger (tests/wire/ledger.c) has committed. The file is the campaign's, so that no kill of the ledger takes anything away."""
import collections
import mmap
import os
import pathlib
import struct

HEAD = struct.Struct("<8sQQQQ24x")
ENTRY = struct.Struct("<32sIIQQII")
FATES = ("answer", "lose", "late", "forget", "double")

Entry = collections.namedtuple("Entry", "token attempt sum size time fate answered")


class Book:
    def __init__(self, path, room=100000):
        self.path = path
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, HEAD.size + room * ENTRY.size)     # a disk that is full says so here, not to the ledger (SIGBUS)
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    @property
    def count(self):
        return HEAD.unpack_from(self._map)[1]

    @property
    def strangers(self):
        return HEAD.unpack_from(self._map)[3]

    def entries(self, since=0):
        """In the order in which they were committed; times are seconds of time.monotonic(). `answered`: no earlier than the answer by
        more than rounding, 0 when there was none."""
        for at in range(since, self.count):
            token, attempt, total, size, ns, fate, answered = ENTRY.unpack_from(self._map, HEAD.size + at * ENTRY.size)
            yield Entry(token.decode("latin-1"), attempt, total, size, ns / 1e9, FATES[fate], answered and ns / 1e9 + answered / 1e3)

    def close(self):
        self._map.close()
        pathlib.Path(self.path).unlink()
