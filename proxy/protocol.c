#include "protocol.h"

#include <stdbool.h>

/* The first row that fits. Letters in front of a request stand for either case. */
static const struct protocol_row {
    struct str start;
    const char *name;
} rows[] = {
    { STR_INIT("EHLO"), "SMTP" },      { STR_INIT("HELO"), "SMTP" },
    { STR_INIT("MAIL FROM"), "SMTP" }, { STR_INIT("RCPT TO"), "SMTP" },
    { STR_INIT("DATA"), "SMTP" },      { STR_INIT("BDAT "), "SMTP" },
    { STR_INIT("RSET"), "SMTP" },      { STR_INIT("NOOP"), "SMTP" },
    { STR_INIT("QUIT"), "SMTP" },      { STR_INIT("AUTH "), "SMTP" },
    { STR_INIT("STARTTLS"), "SMTP" },  { STR_INIT("GET "), "HTTP" },
    { STR_INIT("POST "), "HTTP" },     { STR_INIT("PUT "), "HTTP" },
    { STR_INIT("HEAD "), "HTTP" },     { STR_INIT("CONNECT "), "HTTP" },
    { STR_INIT("DELETE "), "HTTP" },   { STR_INIT("TRACE "), "HTTP" },
    { STR_INIT("PATCH "), "HTTP" },    { STR_INIT("PROPFIND "), "HTTP" },
    { STR_INIT("OPTIONS "), "HTTP" },  { STR_INIT("HTTP/"), "HTTP" },
    { STR_INIT("Host:"), "HTTP" },     { STR_INIT("PRI * HTTP/2"), "HTTP" },
    { STR_INIT("INVITE "), "SIP" },    { STR_INIT("REGISTER "), "SIP" },
    { STR_INIT("SIP/"), "SIP" },       { STR_INIT("DESCRIBE "), "RTSP" },
    { STR_INIT("RTSP/"), "RTSP" },     { STR_INIT("SSH-"), "SSH" },
    { STR_INIT("PROXY "), "PROXY" },   { STR_INIT("\r\n\r\n\0\r\nQUIT\n"), "PROXY" },
    { STR_INIT("\x16\x03"), "TLS" },   { STR_INIT("\x03\0"), "RDP" }, /* TPKT, RFC 1006 6 */
    { STR_INIT("\0\0\0"), "SMB" },                                    /* NetBIOS session, RFC 1002 4.3.1 */
    { STR_INIT("\x05\x01"), "SOCKS" }, { STR_INIT("\x04\x01"), "SOCKS" },
};

/* A record of two octets of length, then a client hello (RFC 6101 E.2). */
static bool is_ssl2(struct str s)
{
    return s.n >= 3 && ((unsigned char)s.p[0] & 0x80) != 0 && s.p[2] == 1;
}

static bool is_sip(struct str s)
{
    return str_iends(str_from(s.p, str_find(s, '\r')), STR(" SIP/2.0"));
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < ' ' && s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\t') || s.p[i] > '~')
            return false;
    return true;
}

const char *protocol_guess(struct str s)
{
    if (s.n > 256) /* names are told by the front; what follows may be of any kind */
        s.n = 256;
    if (is_sip(s))
        return "SIP";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_istarts(s, rows[i].start))
            return rows[i].name;
    if (is_ssl2(s))
        return "SSLv2";
    return is_text(s) ? "text" : "binary";
}
