"""Mail servers of Debian 12, each in a tree of its own (tests/e2e/mta) that it is chrooted into: private instances with their own
configuration, queue and mailboxes, which never touch the system's. They need root."""
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

from .place import LIMIT, ROOT, fresh_endpoint, until
from .wire import Client

_instances = itertools.count(1)


def tree(package):
    if os.geteuid() != 0:
        raise unittest.SkipTest("chroot needs root")
    made = subprocess.run([ROOT / "tests/e2e/mta", package], stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(made.stdout.strip())


class Instance:
    """A server process in a tree: `folder` as seen from here, `inside` as seen by it."""
    package = None

    def __init__(self):
        self.tree = tree(self.package)
        self.inside = "/var/e2e/%d.%d" % (os.getpid(), next(_instances))
        self.folder = self.tree / self.inside[1:]
        self.folder.mkdir()
        self.endpoint = fresh_endpoint()
        self.process = None

    def start(self, *command):
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(["chroot", self.tree, *command], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, start_new_session=True)
        until(self.is_up, lambda: "%s serves:\n%s" % (self.package, self.log()))

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError("%s has ended:\n%s" % (self.package, self.log()))
        try:
            with Client(self.endpoint) as client:
                return client.greeting.code == 220
        except OSError:
            return False

    def log(self):
        return "".join(file.read_text(errors="replace") for file in (self.folder / "output", self.folder / "log") if file.exists())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            subprocess.run(["rm", "-rf", self.folder], check=True)

    def write(self, name, content):
        (self.folder / name).write_text(content)

    def make_folder(self, name, owner=0, group=0, mode=0o700):
        folder = self.folder / name
        folder.mkdir(parents=True)
        os.chown(folder, owner, group)
        folder.chmod(mode)
        return folder

    # ---- mailbox ----

    def messages(self):
        """What lies in the Maildir, with the ends of lines as on the wire."""
        return [file.read_bytes().replace(b"\n", b"\r\n") for file in sorted((self.folder / "mail").glob("**/new/*"))]

    def queued(self, *folders):
        return [file for folder in folders for file in folder.glob("**/*") if file.is_file()]

    def wait_for(self, n):
        until(lambda: len(self.messages()) >= n, lambda: "%d messages in the mailbox:\n%s" % (n, self.log()))
        return self.messages()


class Postfix(Instance):
    """Postfix 3.7 as Debian 12 configures it, but for where it listens and where its things are."""
    package = "postfix"
    POSTFIX, POSTDROP, BOX = 101, 105, 1000
    MAIN = {
        "smtpd_banner": "$myhostname ESMTP $mail_name (Debian/GNU)", "biff": "no", "append_dot_mydomain": "no",
        "readme_directory": "no", "compatibility_level": "3.6",     # to here: /usr/share/postfix/main.cf.debian
        "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
        "setgid_group": "postdrop", "myhostname": "back.local.example", "mydestination": "", "inet_protocols": "ipv4",
        "virtual_mailbox_domains": "local.example", "virtual_mailbox_maps": "static:box/",
        "virtual_uid_maps": "static:1000", "virtual_gid_maps": "static:1000", "alias_maps": "", "alias_database": "",
    }
    # master.cf: name, type, how many, program
    SERVICES = (("pickup", "unix", "1", "pickup"), ("cleanup", "unix", "0", "cleanup"), ("qmgr", "unix", "1", "qmgr"),
                ("tlsmgr", "unix", "1", "tlsmgr"), ("rewrite", "unix", "-", "trivial-rewrite"), ("bounce", "unix", "0", "bounce"),
                ("defer", "unix", "0", "bounce"), ("trace", "unix", "0", "bounce"), ("verify", "unix", "1", "verify"),
                ("proxymap", "unix", "-", "proxymap"), ("smtp", "unix", "-", "smtp"), ("relay", "unix", "-", "smtp"),
                ("error", "unix", "-", "error"), ("retry", "unix", "-", "error"), ("virtual", "unix", "-", "virtual"),
                ("anvil", "unix", "1", "anvil"), ("scache", "unix", "1", "scache"), ("postlog", "unix-dgram", "1", "postlogd"))
    PUBLIC = ("pickup", "cleanup", "qmgr", "postlog")
    WITH_ROOT = ("virtual",)

    def __init__(self, certificate=None, **main):
        super().__init__()
        self.make_folder("etc", mode=0o755)
        if certificate:
            shutil.copy(certificate.chain, self.folder / "etc/chain.pem")
            shutil.copy(certificate.key, self.folder / "etc/key.pem")
            main = {"smtpd_tls_cert_file": self.inside + "/etc/chain.pem", "smtpd_tls_key_file": self.inside + "/etc/key.pem",
                    "smtpd_tls_security_level": "may", **main}
        self.make_queue()
        self.make_folder("data", self.POSTFIX)
        self.make_folder("mail", self.BOX, self.BOX)
        own = {"queue_directory": self.inside + "/queue", "data_directory": self.inside + "/data",
               "virtual_mailbox_base": self.inside + "/mail", "maillog_file": self.inside + "/log"}
        self.write("etc/main.cf", "".join("%s = %s\n" % pair for pair in {**self.MAIN, **own, **main}.items()))
        self.write("etc/master.cf", "".join(self.service_lines()))
        self.start("/usr/lib/postfix/sbin/master", "-c", self.inside + "/etc", "-d")

    def make_queue(self):
        self.make_folder("queue", mode=0o755)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            self.make_folder("queue/" + name, self.POSTFIX)
        self.make_folder("queue/pid", mode=0o755)
        self.make_folder("queue/maildrop", self.POSTFIX, self.POSTDROP, 0o1730)
        self.make_folder("queue/public", self.POSTFIX, self.POSTDROP, 0o2710)

    def is_idle(self):
        return not self.queued(*(self.folder / "queue" / name for name in ("incoming", "active", "deferred", "maildrop")))

    def service_lines(self):
        yield "%s:%d inet n - n - - smtpd\n" % self.endpoint
        for name, kind, most, program in self.SERVICES:
            yield "%s %s %s %s n - %s %s\n" % (name, kind, "n" if name in self.PUBLIC else "-",
                                               "n" if name in self.WITH_ROOT else "-", most, program)


class OpenSmtpd(Instance):
    """OpenSMTPD 6.8, one mailbox for everybody at local.example. Its queue and socket have fixed places in the tree."""
    package = "opensmtpd"

    def __init__(self):
        super().__init__()
        self.make_folder("mail", Postfix.BOX, Postfix.BOX)
        self.write("smtpd.conf",
                   'table everybody { "@local.example" = "box" }\n'
                   "listen on %s port %d\n" % self.endpoint +
                   'action "deliver" maildir "%s/mail" virtual <everybody>\n' % self.inside +
                   'match from any for domain "local.example" action "deliver"\n')
        self.start("/usr/sbin/smtpd", "-d", "-f", self.inside + "/smtpd.conf")


    def is_idle(self):
        return not self.queued(self.tree / "var/spool/smtpd/queue", self.tree / "var/spool/smtpd/incoming")


class Exim(Instance):
    """Exim 4.96 with GnuTLS, as a sender that hands everything to one place. It speaks CHUNKING."""
    package = "exim4-daemon-light"

    def __init__(self, smart_host):
        super().__init__()
        self.make_folder("spool", 104, 104, 0o755)
        self.write("exim.conf",
                   "exim_user = Debian-exim\nexim_group = Debian-exim\nspool_directory = %s/spool\n" % self.inside +
                   "log_file_path = %s/spool/%%slog\nprimary_hostname = exim.sender.example\n" % self.inside +
                   "begin routers\nout:\n  driver = manualroute\n  transport = out\n  self = send\n" +
                   "  route_list = * %s\n" % smart_host[0] +
                   "begin transports\nout:\n  driver = smtp\n  port = %d\n  hosts_require_tls = *\n" % smart_host[1] +
                   "  tls_verify_certificates =\n  allow_localhost\n")

    def send(self, message, sender="a@sender.example", recipient="v@local.example"):
        """Submits and delivers in one go; returns what its log says."""
        subprocess.run(["chroot", self.tree, "/usr/sbin/exim4", "-C", self.inside + "/exim.conf", "-odf", "-oi", "-f", sender,
                        recipient], input=message, check=True, timeout=LIMIT, capture_output=True)
        return (self.folder / "spool/mainlog").read_text()

    def stop(self):
        subprocess.run(["rm", "-rf", self.folder], check=True)


def smtp_source(*arguments):
    """Postfix's load generator; returns when it is done."""
    return subprocess.run(["chroot", tree("postfix"), "/usr/sbin/smtp-source", *arguments], check=True, timeout=2 * LIMIT,
                          capture_output=True)
