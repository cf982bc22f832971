/* What a client speaks, by its first octets. */
#include "protocol.h"

#include "test.h"

static const struct sample {
    struct str start;
    const char *name;
} samples[] = {
    { STR_INIT("EHLO x\r\n"), "SMTP" },
    { STR_INIT("mail from:<>"), "SMTP" },
    { STR_INIT("starttls"), "SMTP" },
    { STR_INIT("GET / HTTP/1.1\r\n"), "HTTP" },
    { STR_INIT("host: x"), "HTTP" },
    { STR_INIT("OPTIONS * HTTP/1.1\r\n"), "HTTP" },
    { STR_INIT("OPTIONS sip:x SIP/2.0\r\nVia: x\r\n"), "SIP" },
    { STR_INIT("GET / HTTP/1.1\r\nX: SIP/2.0\r\n"), "HTTP" },
    { STR_INIT("SSH-2.0-x"), "SSH" },
    { STR_INIT("PROXY TCP4 1.2.3.4"), "PROXY" },
    { STR_INIT("\r\n\r\n\0\r\nQUIT\n\x21\x11"), "PROXY" },
    { STR_INIT("\r\n\r\n"), "text" },
    { STR_INIT("\x16\x03\x01\x02\x00\x01"), "TLS" },
    { STR_INIT("\x16"), "binary" },
    { STR_INIT("\x80\x2e\x01\x00\x02"), "SSLv2" },
    { STR_INIT("\x80\x2e"), "binary" },
    { STR_INIT("\x03\x00\x00\x13"), "RDP" },
    { STR_INIT("\x00\x00\x00\x85\xff"), "SMB" },
    { STR_INIT("\x05\x01\x00"), "SOCKS" },
    { STR_INIT("E"), "text" },
    { STR_INIT("h\xc3\xa4"), "binary" },
    { STR_INIT(""), "text" },
};

static void names_what_it_knows(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const char *name = protocol_guess(samples[i].start);

        CHECK_ROW(samples[i].name);
        CHECK_EQ_STR(name, strlen(name), samples[i].name);
    }
}

static const struct test_case tests[] = { TEST(names_what_it_knows) };

TEST_MAIN(tests)
