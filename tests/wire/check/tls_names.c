/* The numbers of TLS in words (IANA's registry), for reports. */
#include "tls.h"

#include <stdio.h>

struct name {
    unsigned number;
    const char *text;
};

#define NAMES(table) (table), sizeof(table) / sizeof *(table)

static const struct name versions[] = {
    { 0x0300, "SSL 3.0" }, { 0x0301, "TLS 1.0" }, { 0x0302, "TLS 1.1" }, { 0x0303, "TLS 1.2" }, { 0x0304, "TLS 1.3" }
};

static const struct name suites[] = {
    { 0x1301, "TLS_AES_128_GCM_SHA256" },
    { 0x1302, "TLS_AES_256_GCM_SHA384" },
    { 0x1303, "TLS_CHACHA20_POLY1305_SHA256" },
    { 0x1304, "TLS_AES_128_CCM_SHA256" },
    { 0x1305, "TLS_AES_128_CCM_8_SHA256" },
    { 0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
    { 0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
    { 0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" },
    { 0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" },
    { 0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
    { 0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" },
    /* Those that a weakened gateway would fall for. */
    { 0x0000, "TLS_NULL_WITH_NULL_NULL" },
    { 0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA" },
    { 0x002F, "TLS_RSA_WITH_AES_128_CBC_SHA" },
    { 0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA" },
    { 0x009C, "TLS_RSA_WITH_AES_128_GCM_SHA256" },
    { 0x009D, "TLS_RSA_WITH_AES_256_GCM_SHA384" },
    { 0x009E, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256" },
    { 0x009F, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384" },
    { 0xC009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA" },
    { 0xC00A, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA" },
    { 0xC013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA" },
    { 0xC014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA" },
    { 0xCCAA, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
};

static const struct name groups[] = { { 0x0017, "secp256r1" },       { 0x0018, "secp384r1" },
                                      { 0x0019, "secp521r1" },       { 0x001A, "brainpoolP256r1" },
                                      { 0x001B, "brainpoolP384r1" }, { 0x001C, "brainpoolP512r1" },
                                      { 0x001D, "x25519" },          { 0x001E, "x448" },
                                      { 0x0100, "ffdhe2048" },       { 0x0101, "ffdhe3072" },
                                      { 0x0102, "ffdhe4096" },       { 0x11EC, "X25519MLKEM768" } };

static const struct name alerts[] = { { 0, "close_notify" },
                                      { 10, "unexpected_message" },
                                      { 20, "bad_record_mac" },
                                      { 21, "decryption_failed" },
                                      { 22, "record_overflow" },
                                      { 30, "decompression_failure" },
                                      { 40, "handshake_failure" },
                                      { 41, "no_certificate" },
                                      { 42, "bad_certificate" },
                                      { 43, "unsupported_certificate" },
                                      { 44, "certificate_revoked" },
                                      { 45, "certificate_expired" },
                                      { 46, "certificate_unknown" },
                                      { 47, "illegal_parameter" },
                                      { 48, "unknown_ca" },
                                      { 49, "access_denied" },
                                      { 50, "decode_error" },
                                      { 51, "decrypt_error" },
                                      { 60, "export_restriction" },
                                      { 70, "protocol_version" },
                                      { 71, "insufficient_security" },
                                      { 80, "internal_error" },
                                      { 86, "inappropriate_fallback" },
                                      { 90, "user_canceled" },
                                      { 100, "no_renegotiation" },
                                      { 109, "missing_extension" },
                                      { 110, "unsupported_extension" },
                                      { 112, "unrecognized_name" },
                                      { 113, "bad_certificate_status_response" },
                                      { 115, "unknown_psk_identity" },
                                      { 116, "certificate_required" },
                                      { 120, "no_application_protocol" } };

/* The number itself when it has no name; a few calls may stand in one printf(). */
static const char *find(const struct name *names, size_t n, unsigned number, int digits)
{
    static char text[8][8];
    static unsigned turn;

    for (size_t i = 0; i < n; i++)
        if (names[i].number == number)
            return names[i].text;
    char *unknown = text[turn++ % 8];
    snprintf(unknown, sizeof text[0], "0x%0*X", digits, number & 0xFFFF);
    return unknown;
}

const char *tls_version_name(uint16_t version)
{
    return find(NAMES(versions), version, 4);
}

const char *tls_suite_name(uint16_t suite)
{
    return find(NAMES(suites), suite, 4);
}

const char *tls_group_name(uint16_t group)
{
    return find(NAMES(groups), group, 4);
}

const char *tls_alert_name(uint8_t description)
{
    return find(NAMES(alerts), description, 2);
}
