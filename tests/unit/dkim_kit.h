/* What the tests of DKIM share: octets out of base64, public keys of any shape, and the example of RFC 8463. */
#ifndef TESTS_DKIM_KIT_H
#define TESTS_DKIM_KIT_H

#include "policy/dkim.h"

static inline struct arena *kit_arena(void)
{
    static char memory[1 << 18];
    static struct arena arena;

    if (arena.base == NULL || arena.used > sizeof memory / 2)
        arena_init(&arena, memory, sizeof memory);
    return &arena;
}

static inline struct str kit_octets(const char *base64)
{
    return base64_read(str_of(base64), 1 << 16, kit_arena());
}

/* ---- DER ---- */

static inline struct str kit_der(int kind, struct str a, struct str b)
{
    size_t n = a.n + b.n, head = n < 0x80 ? 2 : n < 0x100 ? 3 : 4;
    unsigned char *p = arena_take(kit_arena(), head + n);

    p[0] = (unsigned char)kind;
    p[1] = (unsigned char)(head == 2 ? n : 0x80 + head - 2);
    if (head == 3)
        p[2] = (unsigned char)n;
    if (head == 4) {
        p[2] = (unsigned char)(n >> 8);
        p[3] = (unsigned char)n;
    }
    if (a.n > 0)
        memcpy(p + head, a.p, a.n);
    if (b.n > 0)
        memcpy(p + head + a.n, b.p, b.n);
    return str_from((const char *)p, head + n);
}

/* A number of so many bits (an odd one, a modulus for all that anybody looks at), as INTEGER. */
static inline struct str kit_modulus(unsigned bits)
{
    size_t n = (bits + 7) / 8;
    unsigned top = (bits - 1) % 8;
    char *p = arena_take(kit_arena(), n + 1);

    memset(p, 0x5b, n + 1);
    p[0] = 0;
    p[1] = (char)(1u << top);
    return kit_der(0x02, top == 7 ? str_from(p, n + 1) : str_from(p + 1, n), STR(""));
}

/* RSAPublicKey; `exponent` as its INTEGER's octets. */
static inline struct str kit_bare_key(unsigned bits, struct str exponent)
{
    return kit_der(0x30, kit_modulus(bits), kit_der(0x02, exponent, STR("")));
}

#define KIT_RSA_OID STR("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")

/* SubjectPublicKeyInfo around it. */
static inline struct str kit_key_info(struct str oid, struct str key)
{
    struct str algorithm = kit_der(0x30, kit_der(0x06, oid, STR("")), kit_der(0x05, STR(""), STR("")));

    return kit_der(0x30, algorithm, kit_der(0x03, STR("\0"), key));
}

static inline struct str kit_key(unsigned bits)
{
    return kit_key_info(KIT_RSA_OID, kit_bare_key(bits, STR("\x01\x00\x01")));
}

/* ---- RFC 8463 A ---- */

#define KIT_ED_KEY "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define KIT_RSA_KEY \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/" \
    "byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/" \
    "K4w3QIDAQAB"
#define KIT_ED_FIELD \
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n" \
    " d=football.example.com; i=@football.example.com;\r\n" \
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n" \
    " subject : date : message-id : from : subject : date;\r\n" \
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" \
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n" \
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define KIT_RSA_FIELD \
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n" \
    " d=football.example.com; i=@football.example.com;\r\n" \
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n" \
    " date : message-id : from : subject : date;\r\n" \
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" \
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n" \
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n" \
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
#define KIT_FIELDS \
    "From: Joe SixPack <joe@football.example.com>\r\n" \
    "To: Suzie Q <suzie@shopping.example.net>\r\n" \
    "Subject: Is dinner ready?\r\n" \
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n" \
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
#define KIT_BODY \
    "Hi.\r\n" \
    "\r\n" \
    "We lost the game.  Are you hungry yet?\r\n" \
    "\r\n" \
    "Joe.\r\n"
#define KIT_BODY_HASH "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="

#endif
