/* SPF where it stands alone: judges what check_spf.c found about MAIL FROM, when DMARC did not decide.
 *
 * RFC 9989 asks receivers not to refuse for an SPF fail before DMARC was asked, since the same message may pass by
 * DKIM. So this check comes last in the table, and refuses for a fail only mail whose author domain has no DMARC
 * record. A fail of the HELO name alone refuses nothing.
 */
#include "check_spf.h"

/* No DMARC record was found for the author domain, or DMARC is off. An error is not "no record". */
static bool is_without_dmarc(const struct dmarc_result *dmarc)
{
    return dmarc->result == AUTH_NONE || dmarc->result == AUTH_ABSENT;
}

static bool may_refuse_fail(const struct pass *pass)
{
    switch (pass->policy->spf.fail) {
    case SPF_FAIL_REJECT: return true;
    case SPF_FAIL_WITHOUT_DMARC: return is_without_dmarc(&pass->outcome->auth.dmarc);
    default: return false;
    }
}

static void judge(struct pass *pass, const struct spf_result *spf)
{
    const struct spf_policy *policy = &pass->policy->spf;
    enum auth_result dmarc = pass->outcome->auth.dmarc.result;

    if (spf->result == AUTH_FAIL && may_refuse_fail(pass))
        spf_refuse_fail(pass, &check_spf_alone, spf);
    else if (spf->result == AUTH_TEMPERROR && policy->temperror == TEMPERROR_TEMPFAIL && dmarc != AUTH_PASS)
        spf_refuse_temperror(pass, &check_spf_alone, spf);
    else if (spf->result == AUTH_PERMERROR && policy->permerror_rejects && is_without_dmarc(&pass->outcome->auth.dmarc))
        spf_refuse_permerror(pass, &check_spf_alone, spf);
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
