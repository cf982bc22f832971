/* Received fields as real servers write them, and dates as people do. */
#include "../../proxy/received.h"

#include <stdlib.h>

#include "../../proxy/date.h"
#include "../../proxy/json.h"
#include "../../proxy/trace.h"
#include "test.h"

/* clang-format off */
static const struct row {
    const char *server, *value, *helo, *address, *by;
    unsigned addresses;
} rows[] = {
    { "Postfix", " from mail.a.example (mail.a.example [192.0.2.1])\r\n\tby mx.b.example (Postfix) with ESMTPS id 1\r\n"
      "\tfor <v@b.example>; Sun, 22 Nov 2026 12:00:00 +0000 (UTC)", "mail.a.example", "192.0.2.1", "mx.b.example", 1 },
    { "Postfix with TLS", " from mail.a.example (unknown [IPv6:2001:db8::1])\r\n\t(using TLSv1.3 with cipher "
      "TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519 server-signature by RSA-PSS)\r\n"
      "\tby mx.b.example (Postfix) with ESMTPS; Sun, 22 Nov 2026 12:00:00 +0000", "mail.a.example", "2001:db8::1",
      "mx.b.example", 1 },
    { "Postern", " from client.example ([192.0.2.1])\r\n\tby gw.local.example (Postern) with ESMTP\r\n\tid ABC.1;\r\n"
      "\tSun, 22 Nov 2026 12:00:00 +0000", "client.example", "192.0.2.1", "gw.local.example", 1 },
    { "Exim", " from [192.0.2.1] (port=4711 helo=mail.a.example)\r\n\tby mx.b.example with esmtps (TLS1.3)\r\n"
      "\t(envelope-from <a@a.example>) id 1-2; Sun, 22 Nov 2026 12:00:00 +0000", "mail.a.example", "192.0.2.1",
      "mx.b.example", 1 },
    { "Exim with a name", " from out.a.example ([192.0.2.1]:4711 helo=mail.a.example) by mx.b.example with esmtp; "
      "Sun, 22 Nov 2026 12:00:00 +0000", "mail.a.example", "192.0.2.1", "mx.b.example", 1 },
    { "qmail", " from unknown (HELO mail.a.example) (192.0.2.1)\r\n  by mx.b.example with SMTP; "
      "22 Nov 2026 12:00:00 -0000", "mail.a.example", "192.0.2.1", "mx.b.example", 1 },
    { "sendmail", " from mail.a.example (out.a.example [192.0.2.1] (may be forged))\r\n\tby mx.b.example (8.17.1/8.17.1) "
      "with ESMTP id 1; Sun, 22 Nov 2026 12:00:00 GMT", "mail.a.example", "192.0.2.1", "mx.b.example", 1 },
    { "Exchange", " from MAIL.a.example (192.0.2.1) by MX.b.example (198.51.100.1) with Microsoft SMTP Server id 15; "
      "Sun, 22 Nov 2026 12:00:00 +0000", "MAIL.a.example", "192.0.2.1", "MX.b.example", 1 },
    { "a local one", " by mx.b.example (Postfix, from userid 0)\r\n\tid 1; Sun, 22 Nov 2026 12:00:00 +0000", "", "",
      "mx.b.example", 0 },
    { "two addresses", " from a.example ([192.0.2.1] [192.0.2.2]) by b.example; Sun, 22 Nov 2026 12:00:00 +0000",
      "a.example", "192.0.2.2", "b.example", 2 },
    { "one address twice", " from [192.0.2.1] ([192.0.2.1]) by b.example; Sun, 22 Nov 2026 12:00:00 +0000", "[192.0.2.1]",
      "192.0.2.1", "b.example", 1 },
};
/* clang-format on */

static void servers_write_it_each_in_its_own_way(void)
{
    char address[ADDRESS_TEXT_MAX] = "";
    struct received r;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_ROW(rows[i].server);
        received_read(str_of(rows[i].value), &r);
        CHECK_EQ_STR(r.helo.p, r.helo.n, rows[i].helo);
        CHECK_EQ_STR(r.by.p, r.by.n, rows[i].by);
        CHECK_EQ_INT(r.addresses, rows[i].addresses);
        if (r.addresses > 0)
            CHECK_EQ_STR(address, address_print(&r.address, address), rows[i].address);
        CHECK(r.has_date && r.date == 1795348800);
    }
}

static void nonsense_says_nothing(void)
{
    static const char *const values[] = {
        "", " ", ";", "from", "from by", "(((((", "from (", "by", "from a by ;", ")"
    };
    struct received r;

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CHECK_ROW(values[i]);
        received_read(str_of(values[i]), &r);
        CHECK(r.addresses == 0 && !r.has_date);
    }
}

/* clang-format off */
static const struct date_row {
    const char *text;
    int64_t seconds; /* -1: no date */
} dates[] = {
    { "1795348800", 1795348800 }, { "0", 0 },
    { "2026-11-22", 1795305600 }, { "2026-11-22T12:00:00Z", 1795348800 }, { "2026-11-22 12:00", 1795348800 },
    { "2026-11-22T13:00:00+01:00", 1795348800 }, { "2026-11-22T13:00:00+0100", 1795348800 },
    { "Sun, 22 Nov 2026 12:00:00 +0000", 1795348800 }, { "22 Nov 2026 12:00 GMT", 1795348800 },
    { " Sun , 22 (a comment) Nov 2026 04:00:00 PST (whatever)", 1795348800 }, { "22 Nov 26 12:00:00 -0000", 1795348800 },
    { "Thu, 01 Jan 1970 00:00:00 +0000", 0 }, { "29 Feb 2028 00:00:00 +0000", 1835395200 },
    { "29 Feb 2026 00:00:00 +0000", -1 }, { "31 Nov 2026 00:00:00 +0000", -1 }, { "22 Foo 2026 12:00:00 +0000", -1 },
    { "22 Nov 2026 25:00:00 +0000", -1 }, { "22 Nov 2026 12:00:00 +00", -1 }, { "22 Nov 2026", -1 }, { "", -1 },
    { "tomorrow", -1 }, { "2026-13-01", -1 }, { "2026-11-22T", -1 }, { "-5", -1 }, { "99999999999999999999", -1 },
};
/* clang-format on */

static void dates_are_read_strictly(void)
{
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        int64_t seconds = -1;

        CHECK_ROW(dates[i].text);
        CHECK_EQ_INT(date_read(str_of(dates[i].text), &seconds) ? seconds : -1, dates[i].seconds);
    }
}

static void dates_come_back_as_they_were_printed(void)
{
    char text[32];
    int64_t seconds;

    for (int64_t at = 0; at < 4102444800; at += 86400 * 13 + 12345) {
        size_t n = trace_date(at, text);

        CHECK(date_read_mail(str_from(text, n), &seconds) && seconds == at);
    }
}

static void json_is_json_whatever_the_octets(void)
{
    char *text = NULL;
    size_t n;
    struct json j = { .out = open_memstream(&text, &n) };

    json_begin(&j, NULL, '{');
    json_str(&j, "a\"", str_from("\0\x1b\"\\\xc3\xbc\xff\x7f\xc2\x9b", 10));
    json_begin(&j, "list", '[');
    json_num(&j, NULL, 1);
    json_text(&j, NULL, "two");
    json_end(&j, ']');
    json_end(&j, '}');
    fclose(j.out);
    CHECK_EQ_STR(text, n,
                 "{\"a\\\"\": \"\\u0000\\u001b\\\"\\\\\xc3\xbc\\ufffd\\u007f\\u009b\", \"list\": [1, \"two\"]}");
    free(text);
}

static const struct test_case tests[] = {
    TEST(servers_write_it_each_in_its_own_way),
    TEST(nonsense_says_nothing),
    TEST(dates_are_read_strictly),
    TEST(dates_come_back_as_they_were_printed),
    TEST(json_is_json_whatever_the_octets),
};

TEST_MAIN(tests)
