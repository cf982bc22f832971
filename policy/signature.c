#include "signature.h"

#include "crypto.h"

static bool rsa_holds(const struct signature_job *job, bool *no_memory)
{
    struct rsa_key key;

    return rsa_key_read(job->key, &key) && rsa_verify(&key, job->digest, job->signature, no_memory);
}

const char *signature_verify(const struct signature_job *job)
{
    bool no_memory = false;
    bool holds = job->is_ed25519 ? ed25519_verify(job->key, job->digest, job->signature) : rsa_holds(job, &no_memory);

    if (no_memory)
        return NULL;
    return holds ? "pass" : "fail";
}
