/* Certificates made while a test runs, so that none with its key lies in the repository. They go to a folder
 * of their own under /tmp, which is removed when the program ends.
 */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/asn1write.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/rsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

enum cert_key { CERT_P256, CERT_P384, CERT_P521, CERT_RSA2048, CERT_RSA1024 };

struct cert {
    char chain[64], key[64]; /* PEM files */
    char common_name[80];    /* "CN=..." */
    char sha256[65];         /* of the DER form, in hex */
    mbedtls_pk_context pk;
};

struct cert_spec {
    const char *common_name;
    const char *dns[4]; /* subject alternative names */
    enum cert_key key;
    const struct cert *issuer; /* NULL: signs itself, as a CA */
    const char *until;         /* YYYYMMDDhhmmss; NULL: 2045 */
};

static char cert_folder[40];
static struct cert *cert_made[24];
static size_t cert_n;

static void cert_remove_all(void)
{
    for (size_t i = 0; i < cert_n; i++) {
        unlink(cert_made[i]->chain);
        unlink(cert_made[i]->key);
        mbedtls_pk_free(&cert_made[i]->pk);
        free(cert_made[i]);
    }
    rmdir(cert_folder);
}

static int cert_random(void *unused, unsigned char *out, size_t n)
{
    (void)unused;
    return mbedtls_psa_get_random(MBEDTLS_PSA_RANDOM_STATE, out, n);
}

/* Fixtures that cannot be made end the program: no test would say anything. */
static void cert_must(int ret, const char *what)
{
    if (ret == 0)
        return;
    printf("certificates.h: %s failed: -0x%04x\n", what, (unsigned)-ret);
    exit(2);
}

static void cert_make_key(mbedtls_pk_context *pk, enum cert_key kind)
{
    static const mbedtls_ecp_group_id curve[] = { [CERT_P256] = MBEDTLS_ECP_DP_SECP256R1,
                                                  [CERT_P384] = MBEDTLS_ECP_DP_SECP384R1,
                                                  [CERT_P521] = MBEDTLS_ECP_DP_SECP521R1 };
    bool rsa = kind == CERT_RSA2048 || kind == CERT_RSA1024;

    mbedtls_pk_init(pk);
    cert_must(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(rsa ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECKEY)), "key setup");
    if (rsa)
        cert_must(
            mbedtls_rsa_gen_key(mbedtls_pk_rsa(*pk), cert_random, NULL, kind == CERT_RSA2048 ? 2048 : 1024, 65537),
            "RSA key");
    else
        cert_must(mbedtls_ecp_gen_key(curve[kind], mbedtls_pk_ec(*pk), cert_random, NULL), "EC key");
}

static void cert_write_file(const char *path, const void *text, size_t n)
{
    FILE *file = fopen(path, "w");

    cert_must(file == NULL || fwrite(text, 1, n, file) != n, path);
    fclose(file);
}

static void cert_set_names(mbedtls_x509write_cert *crt, const char *const dns[4])
{
    mbedtls_x509_san_list list[4];
    size_t n = 0;

    for (; n < 4 && dns[n] != NULL; n++) {
        union {
            const char *in;
            unsigned char *out;
        } name = { dns[n] };

        list[n] = (mbedtls_x509_san_list){ .next = NULL };
        list[n].node.type = MBEDTLS_X509_SAN_DNS_NAME;
        list[n].node.san.unstructured_name.tag = MBEDTLS_ASN1_IA5_STRING;
        list[n].node.san.unstructured_name.len = strlen(dns[n]);
        list[n].node.san.unstructured_name.p = name.out;
        if (n > 0)
            list[n - 1].next = &list[n];
    }
    if (n > 0)
        cert_must(mbedtls_x509write_crt_set_subject_alternative_name(crt, list), "names");
}

static void cert_write(mbedtls_x509write_cert *crt, struct cert *made)
{
    unsigned char pem[8192], digest[32];
    mbedtls_x509_crt parsed;

    cert_must(mbedtls_x509write_crt_pem(crt, pem, sizeof(pem), cert_random, NULL), "certificate");
    cert_write_file(made->chain, pem, strlen((char *)pem));
    mbedtls_x509_crt_init(&parsed);
    cert_must(mbedtls_x509_crt_parse(&parsed, pem, strlen((char *)pem) + 1), "own certificate");
    mbedtls_sha256(parsed.raw.p, parsed.raw.len, digest, 0);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(made->sha256 + 2 * i, 3, "%02x", digest[i]);
    mbedtls_x509_crt_free(&parsed);
    cert_must(mbedtls_pk_write_key_pem(&made->pk, pem, sizeof(pem)), "key file");
    cert_write_file(made->key, pem, strlen((char *)pem));
}

static struct cert *cert_new(enum cert_key kind, const char *common_name)
{
    struct cert *made = calloc(1, sizeof(*made));

    cert_must(made == NULL || cert_n == sizeof(cert_made) / sizeof(cert_made[0]), "one more certificate");
    if (cert_n == 0) {
        snprintf(cert_folder, sizeof(cert_folder), "/tmp/postern-test-XXXXXX");
        cert_must(mkdtemp(cert_folder) == NULL || psa_crypto_init() != PSA_SUCCESS, "start");
        atexit(cert_remove_all);
    }
    cert_made[cert_n] = made;
    snprintf(made->chain, sizeof(made->chain), "%s/%zu.crt", cert_folder, cert_n);
    snprintf(made->key, sizeof(made->key), "%s/%zu.key", cert_folder, cert_n);
    snprintf(made->common_name, sizeof(made->common_name), "CN=%s", common_name);
    cert_n++;
    cert_make_key(&made->pk, kind);
    return made;
}

static struct cert *cert_make(const struct cert_spec *spec)
{
    struct cert *made = cert_new(spec->key, spec->common_name);
    const struct cert *issuer = spec->issuer != NULL ? spec->issuer : made;
    union {
        const mbedtls_pk_context *in;
        mbedtls_pk_context *out;
    } signer = { &issuer->pk };
    unsigned char serial[] = { 1, (unsigned char)cert_n };
    mbedtls_x509write_cert crt;

    mbedtls_x509write_crt_init(&crt);
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&crt, &made->pk);
    mbedtls_x509write_crt_set_issuer_key(&crt, signer.out);
    cert_must(mbedtls_x509write_crt_set_subject_name(&crt, made->common_name), "subject");
    cert_must(mbedtls_x509write_crt_set_issuer_name(&crt, issuer->common_name), "issuer");
    cert_must(mbedtls_x509write_crt_set_serial_raw(&crt, serial, sizeof(serial)), "serial number");
    cert_must(mbedtls_x509write_crt_set_validity(&crt, "20200101000000", spec->until ? spec->until : "20450101000000"),
              "validity");
    cert_must(mbedtls_x509write_crt_set_basic_constraints(&crt, spec->issuer == NULL, -1), "basic constraints");
    cert_set_names(&crt, spec->dns);
    cert_write(&crt, made);
    mbedtls_x509write_crt_free(&crt);
    return made;
}

#endif
