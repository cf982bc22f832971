"""Asks the program postern-faulty (tests/wire/faulty.c) for the failures of single calls."""
import errno
import mmap
import struct

from parts.place import fresh_folder

HEAD = struct.Struct("<8siIIiII")   # magic, pid, kind, at, fate, fired, kinds
KINDS_MAX, NAME = 32, 16
SIZE = HEAD.size + 4 * KINDS_MAX + NAME * KINDS_MAX
SHORT = -1
WORKERS, SUPERVISOR = 0, -2     # in the place of a pid: any process but the one that began, that one alone

IO = (SHORT, errno.EINTR, errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ECONNRESET)
# What the kernel may say of each (the man pages' lists, less what only a program's error could bring about). Not here: epoll_wait
# with anything but EINTR, since no other failure of it is anything but a bug.
FATES = {
    "alloc": (errno.ENOMEM,),
    "socket": (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
    "accept": (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EINTR, errno.EAGAIN,
               errno.EPERM),
    "connect": (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.EACCES),
    "read": (SHORT, errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.ECONNRESET, errno.EIO),
    "write": IO + (errno.EPIPE,),
    "recv": IO + (errno.ECONNREFUSED,),
    "send": IO + (errno.EPIPE, errno.ENETUNREACH, errno.EPERM),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
    "epoll_wait": (errno.EINTR,),
    "random": (errno.ENOSYS, errno.EINTR, errno.EAGAIN, SHORT),
    "option": (errno.ENOBUFS, errno.ENOMEM),
    "name": (errno.ENOBUFS,),
    "fcntl": (errno.EMFILE,),
    "bind": (errno.EADDRINUSE, errno.ENOMEM),
    "open": (errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    "fstat": (errno.ENOMEM,),
    "event": (errno.EMFILE,),
    "pipe": (errno.EMFILE,),
    "epoll": (errno.EMFILE,),
}


def fate_name(fate):
    return "short" if fate == SHORT else errno.errorcode[fate]


class Faulty:
    """The file shared with the program."""

    def __init__(self):
        self.path = fresh_folder("faulty") / "control"
        self.path.write_bytes(HEAD.pack(b"", -1, KINDS_MAX, 0, 0, 0, 0).ljust(SIZE, b"\0"))
        self.path.chmod(0o666)
        with open(self.path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)

    @property
    def names(self):
        """Kinds by name; known once the program runs."""
        n = HEAD.unpack_from(self._map)[6]
        at = HEAD.size + 4 * KINDS_MAX
        return {self._map[at + NAME * i:at + NAME * (i + 1)].rstrip(b"\0").decode(): i for i in range(n)}

    def count(self, pid):
        """From now on the calls of this process are counted; nothing fails."""
        struct.pack_into("<%dI" % KINDS_MAX, self._map, HEAD.size, *[0] * KINDS_MAX)
        HEAD.pack_into(self._map, 0, b"PFAULTS1", pid, KINDS_MAX, 0, 0, 0, len(self.names))

    def arm(self, pid, name, at, fate):
        self.count(pid)
        HEAD.pack_into(self._map, 0, b"PFAULTS1", pid, self.names[name], at, fate, 0, len(self.names))

    def disarm(self):
        """0: it has not failed; 1: it has; 2: and it was a transfer to or from a client."""
        fired = HEAD.unpack_from(self._map)[5]
        HEAD.pack_into(self._map, 0, b"PFAULTS1", -1, KINDS_MAX, 0, 0, 0, len(self.names))
        return fired

    def counts(self):
        return {name: struct.unpack_from("<I", self._map, HEAD.size + 4 * i)[0] for name, i in self.names.items()}
