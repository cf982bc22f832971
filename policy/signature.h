/* A signature to be verified: the one slow thing a message needs, so it is not done within a pass.
 *
 * A check that has the key and the digest of the header puts a job into the outcome (pass_verify). Whoever called
 * policy_evaluate verifies it and answers the SIG question of the same name. The result is a fact from then on:
 * passes that follow do no mathematics, and a recording needs none.
 */
#ifndef POLICY_SIGNATURE_H
#define POLICY_SIGNATURE_H

#include <stdint.h>

#include "str.h"

struct signature_job {
    struct str name;      /* the key of the ASK_SIG question; in the arena, as all of it */
    bool is_ed25519;      /* else rsa-sha256 */
    struct str key;       /* DER for RSA, 32 octets for Ed25519; sizes and exponent have been judged */
    struct str signature; /* octets */
    uint8_t digest[32];   /* of the header fields */
};

/* "pass" or "fail"; NULL without the memory to find out. About 0.05 ms for RSA-2048, 0.25 ms for RSA-4096. */
const char *signature_verify(const struct signature_job *);

#endif
