/* SPF where it stands alone: judges what check_spf.c found about MAIL FROM, when DMARC did not decide.
 *
 * RFC 9989 asks receivers not to refuse for an SPF fail before DMARC was asked, since the same message may pass by
 * DKIM. So this check comes last in the table, and refuses for a fail only mail whose author domain has no DMARC
 * record; while nobody knows whether there is one, it is asked to come again. A fail of the HELO name alone refuses
 * nothing.
 */
#include "check_spf.h"

/* No DMARC record was found for the author domain, or DMARC is off. An error is not "no record". */
static bool is_without_dmarc(const struct dmarc_result *dmarc)
{
    return dmarc->result == AUTH_NONE || dmarc->result == AUTH_ABSENT;
}

/* Whether there is one could not be found out. DMARC itself waits for that where it may refuse. In monitor mode, or for
 * a message that it would let through whatever the record says, it does not; a fail of SPF must not pass because of it.
 */
static bool is_dmarc_in_doubt(const struct pass *pass)
{
    const struct dmarc_result *dmarc = &pass->outcome->auth.dmarc;

    return dmarc->result == AUTH_TEMPERROR && dmarc->record.n == 0 &&
           pass->policy->dmarc.temperror == TEMPERROR_TEMPFAIL && pass->policy->spf.temperror == TEMPERROR_TEMPFAIL;
}

static bool may_refuse_fail(const struct pass *pass)
{
    switch (pass->policy->spf.fail) {
    case SPF_FAIL_REJECT: return true;
    case SPF_FAIL_WITHOUT_DMARC: return is_without_dmarc(&pass->outcome->auth.dmarc);
    default: return false;
    }
}

/* Results for which nothing but a DMARC record saves a message. */
static bool is_unwelcome(const struct spf_policy *policy, const struct spf_result *spf)
{
    return (spf->result == AUTH_FAIL && policy->fail == SPF_FAIL_WITHOUT_DMARC) ||
           (spf->result == AUTH_PERMERROR && policy->permerror_rejects);
}

static void judge(struct pass *pass, const struct spf_result *spf)
{
    const struct spf_policy *policy = &pass->policy->spf;
    const struct dmarc_result *dmarc = &pass->outcome->auth.dmarc;
    bool may_pass = dmarc->result == AUTH_PASS || dmarc->best_is_pass;

    if (spf->result == AUTH_FAIL && may_refuse_fail(pass))
        spf_refuse_fail(pass, &check_spf_alone, spf);
    else if (spf->result == AUTH_TEMPERROR && policy->temperror == TEMPERROR_TEMPFAIL && !may_pass)
        spf_refuse_temperror(pass, &check_spf_alone, spf);
    else if (spf->result == AUTH_PERMERROR && policy->permerror_rejects && is_without_dmarc(dmarc))
        spf_refuse_permerror(pass, &check_spf_alone, spf);
    else if (is_unwelcome(policy, spf) && is_dmarc_in_doubt(pass))
        pass_refuse(
            pass, &check_spf_alone, 451, "4.7.0",
            STR("SPF does not authenticate this client, and the DNS does not answer for DMARC; try again later"),
            STR("no answer to the question for the DMARC record"));
}

/* Of exempt and skipped clients nothing was asked: their result is absent. While DMARC or SPF is pending, that check
 * keeps the pass undecided.
 */
static void run(struct pass *pass)
{
    const struct authentication *auth = &pass->outcome->auth;

    if (auth->is_exempt || pass->envelope->only_postmaster || auth->dmarc.result == AUTH_PENDING)
        return;
    judge(pass, &auth->mail_from);
}

const struct check check_spf_alone = {
    .name = "spf_alone",
    .stages = 1u << AT_HEADERS | 1u << AT_END,
    .run = run,
};
