"""Other implementations of SPF and DKIM, each called in this process with its answers at hand: what is measured is their
evaluation, neither the DNS nor the start of a program."""
import ctypes
import ctypes.util

import signed


class PySpf:
    name = "pyspf"

    def __init__(self, zone, place):
        import spf
        self.spf = spf
        self.zone = zone
        spf.DNSLookup = self.look_up

    def look_up(self, name, kind, *_, **__):
        text = self.zone.get(str(name).rstrip(".").lower())
        return [((name, kind), (text.encode(),))] if kind == "TXT" and text else []

    def check(self, _):
        return self.spf.check2(i=signed.CLIENT, s="a@" + signed.DOMAIN, h=signed.HELO)[0] == "pass"


class LibSpf2:
    """With its layer of zones, which is an answer from memory. "v=spf1" records of type SPF (99) it asks first, as old drafts
    had it; they are not there."""
    name = "libspf2"
    TXT, NO_HOST, NO_DATA, SUCCESS, PASS = 16, 1, 4, 0, 2

    def __init__(self, zone, place):
        self.library = library = ctypes.CDLL("libspf2.so.2")
        for function in ("SPF_dns_zone_new", "SPF_server_new_dns", "SPF_request_new"):
            getattr(library, function).restype = ctypes.c_void_p
        dns = ctypes.c_void_p(library.SPF_dns_zone_new(None, b"bench", 0))
        for name, text in zone.items():
            if text.startswith("v=spf1"):
                assert library.SPF_dns_zone_add_str(dns, name.encode(), self.TXT, self.SUCCESS, text.encode()) == 0
        self.server = ctypes.c_void_p(library.SPF_server_new_dns(dns, 0))
        assert self.server

    def check(self, _):
        library = self.library
        request, response = ctypes.c_void_p(library.SPF_request_new(self.server)), ctypes.c_void_p()
        library.SPF_request_set_ipv4_str(request, signed.CLIENT.encode())
        library.SPF_request_set_helo_dom(request, signed.HELO.encode())
        library.SPF_request_set_env_from(request, b"a@" + signed.DOMAIN.encode())
        library.SPF_request_query_mailfrom(request, ctypes.byref(response))
        result = library.SPF_response_result(response)
        library.SPF_response_free(response)
        library.SPF_request_free(request)
        return result == self.PASS


class DkimPy:
    name = "dkimpy"

    def __init__(self, zone, place):
        import dkim
        import nacl  # noqa: F401  for Ed25519
        self.dkim = dkim
        self.zone = zone

    def look_up(self, name, timeout=5):
        return self.zone.get(name.rstrip(b".").decode().lower(), "").encode()

    def check(self, message):
        return self.dkim.verify(message, dnsfunc=self.look_up)


class OpenDkim:
    """Its library with a file of keys, which it reads for each message: opendkim-testmsg can only ask the DNS."""
    name = "libopendkim"
    OPTIONS_QUERYMETHOD, OPTIONS_QUERYINFO, QUERY_FILE, SETOPT = 6, 7, 1, 1

    def __init__(self, zone, place):
        self.library = library = ctypes.CDLL(ctypes.util.find_library("opendkim"))
        for function in ("dkim_init", "dkim_verify"):
            getattr(library, function).restype = ctypes.c_void_p
        path = place / "keys"
        path.write_text("".join("%s %s\n" % (n, t) for n, t in zone.items() if "._domainkey." in n))
        self.handle = ctypes.c_void_p(library.dkim_init(None, None))
        for option, value in ((self.OPTIONS_QUERYMETHOD, ctypes.byref(ctypes.c_int(self.QUERY_FILE))),
                              (self.OPTIONS_QUERYINFO, ctypes.create_string_buffer(str(path).encode()))):
            size = 4 if option == self.OPTIONS_QUERYMETHOD else len(str(path))
            assert library.dkim_options(self.handle, self.SETOPT, option, value, ctypes.c_size_t(size)) == 0

    def check(self, message):
        library, status, test = self.library, ctypes.c_int(), ctypes.c_bool()
        handle = ctypes.c_void_p(library.dkim_verify(self.handle, b"bench", None, ctypes.byref(status)))
        library.dkim_chunk(handle, message, ctypes.c_size_t(len(message)))
        library.dkim_chunk(handle, b"", ctypes.c_size_t(0))
        status = library.dkim_eom(handle, ctypes.byref(test))
        library.dkim_free(handle)
        return status == 0


def available(zone, place):
    """Those of them that are installed, by name."""
    found = {}
    for peer in (PySpf, LibSpf2, DkimPy, OpenDkim):
        try:
            found[peer.name] = peer(zone, place)
        except (ImportError, OSError, TypeError):
            pass
    return found
