/* A TLS server and a TLS client given any ciphertext, in any pieces: they take what they are given, answer
 * with TLS records only (T-1), and a failure stays one.
 */
#include "fuzz.h"

#include "../../proxy/tls.h"
#include "../unit/certificates.h"

static struct tls_server *server;
static struct tls_client *client;

static void start(void)
{
    const struct cert *cert = cert_make(&(struct cert_spec){ "mx.example.org", { NULL }, CERT_P256, NULL, NULL });
    struct certificate section = { STR("mx"), str_of(cert->chain), str_of(cert->key) };
    struct config config = { .certificates = &section, .certificates_n = 1 };
    struct route route = { .tls_name = STR("mx.example.org") };
    char error[200];

    server = tls_server_new(&config, error, sizeof(error));
    client = tls_client_new(&config, &route, error, sizeof(error));
    REQUIRE(server != NULL && client != NULL);
}

/* Drops the output after a look at its first octets. (A client's alert may repeat the version of a senseless
 * ServerHello: mbedTLS's doing.)
 */
static void drain(struct tls *t, bool serves)
{
    struct str front = chain_front(tls_output(t));

    if (front.n == 0)
        return;
    REQUIRE(front.n >= 5 && front.p[0] >= 0x14 && front.p[0] <= 0x17);
    REQUIRE(front.p[1] == 3 || !serves);
    chain_drop(tls_output(t), tls_output(t)->n);
}

static void feed(struct tls *t, bool serves, struct str bytes, uint32_t seed)
{
    enum tls_result result = TLS_WANT;
    struct cuts cuts = { seed };

    REQUIRE(t != NULL);
    while (bytes.n > 0 && result == TLS_WANT) {
        struct str part = str_from(bytes.p, cut_next(&cuts, bytes.n));
        size_t given = part.n;

        result = tls_handshake(t, &part);
        REQUIRE(result != TLS_WANT || part.n == 0);
        bytes = str_skip(bytes, given);
        drain(t, serves);
    }
    if (result == TLS_FAILED) {
        REQUIRE(tls_error(t)[0] != '\0');
        REQUIRE(tls_handshake(t, &bytes) == TLS_FAILED);
    }
    tls_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_from((const char *)data, size);

    bool serves;

    if (size < 2)
        return 0;
    if (server == NULL)
        start();
    serves = (data[0] & 1) == 0;
    feed(serves ? tls_accept(server) : tls_connect(client), serves, str_skip(bytes, 2), data[1]);
    return 0;
}
