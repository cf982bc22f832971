#include <stdio.h>

#include "../policy/header.h"
#include "message_rules.h"
#include "session_state.h"
#include "trace.h"

static bool is_streaming(const struct transaction *tx)
{
    return tx->flow == FLOW_REDIRECT || tx->flow == FLOW_ASKED || tx->flow == FLOW_OPEN;
}

/* ---- the beginning ---- */

/* How many signatures will be verified; none of outgoing mail. */
static size_t signatures_wanted(const struct session *s)
{
    const struct policy *policy = &s->env->config->policy;
    const struct envelope who = { .client = s->peer.client, .is_authenticated = s->is_authenticated };

    if (policy_is_exempt(policy, &who) || (!policy->dkim.check && !policy->arc.check))
        return 0;
    return (size_t)policy->dkim.signatures;
}

/* Of outgoing mail nothing is looked at. */
static void look_at_parts(struct session *s)
{
    const struct policy *policy = &s->env->config->policy;
    const struct envelope who = { .client = s->peer.client, .is_authenticated = s->is_authenticated };
    const struct mime_limits limits = { policy->attachment.depth, policy->attachment.parts };

    if (policy->attachment.rule.mode != RULE_OFF && !policy_is_exempt(policy, &who))
        message_look_at_parts(&s->tx->message, &limits);
}

static void receiving_begin(struct session *s)
{
    struct transaction *tx = s->tx;
    bool is_binary = tx->mail.mail.body == BODY_BINARYMIME;

    tx->receiving = true;
    data_init(&tx->decoder, tx->used_bdat, is_binary, message_is_normalised(s->env->config, &s->peer.client.address));
    message_init(&tx->message, &s->env->messages, (size_t)s->env->config->limits.header_size, is_binary);
    message_hash_body(&tx->message, signatures_wanted(s));
    look_at_parts(s);
}

/* no accepted recipient, no message. A doomed transaction ends here (P-13). True when DATA cannot go on. */
static bool refuse_message(struct session *s)
{
    struct transaction *tx = s->tx;

    if (tx != NULL && tx->doom.is_set && tx->recipients > 0) {
        finish_refused(s);
    } else if (tx == NULL || tx->recipients == 0) {
        refuse(s, 503, "5.5.1", tx == NULL ? "Need MAIL first" : "No valid recipients", "sequence",
               STR("message without recipients"));
    } else {
        return false;
    }
    return true;
}

void do_data(struct session *s, struct command *c, struct str line)
{
    (void)c;
    (void)line;
    if (refuse_message(s))
        return;
    if (s->tx->receiving) /* RFC 3030 2: DATA and BDAT do not mix */
        refuse(s, 503, "5.5.1", "DATA after BDAT", "sequence", STR("DATA after BDAT"));
    else if (s->tx->mail.mail.body == BODY_BINARYMIME) /* RFC 3030 3 */
        refuse(s, 503, "5.5.1", "BINARYMIME needs BDAT", "sequence", STR("DATA with BODY=BINARYMIME"));
    else
        judge(s, AT_DATA);
}

static void chunk_begin(struct session *s);

void data_judged(struct session *s, const struct verdict *v)
{
    struct transaction *tx = s->tx;

    if (verdict_refuses(v)) {
        await_client(s, WAIT_COMMAND);
        doom_verdict(s, v);
        if (tx->used_bdat)
            chunk_begin(s);
        else
            refuse_message(s);
        return;
    }
    if (tx->doom.is_set && !tx->used_bdat) { /* the back end was lost while answers were awaited */
        await_client(s, WAIT_COMMAND);
        refuse_message(s);
        return;
    }
    receiving_begin(s);
    if (tx->used_bdat) {
        chunk_begin(s);
        return;
    }
    say(s, 354, "", "End data with <CR><LF>.<CR><LF>");
    await_client(s, WAIT_DATA);
}

/* ---- BDAT, RFC 3030 2 ---- */

static const struct command_error_reply bdat_out_of_order = { 503, "5.5.1", "BDAT without a transaction" };
static const struct command_error_reply bdat_too_big = { 552, "5.3.4", "Message too big" };
static const struct command_error_reply bdat_in_clear = { 530, "5.7.0", "Must issue a STARTTLS command first" };

static void swallowed(struct session *s)
{
    await_client(s, WAIT_COMMAND);
    refuse(s, s->swallow->code, s->swallow->enhanced, s->swallow->text, "sequence", STR("BDAT out of place"));
    if (s->swallow == &bdat_too_big)
        leave(s, "BDAT too big");
}

/* The octets of a refused BDAT are still on their way, and must not run as commands (ATTACKS A). */
static void swallow(struct session *s, uint64_t size, const struct command_error_reply *reply)
{
    s->swallow = reply;
    s->swallow_left = size;
    if (size > 2 * s->env->config->limits.message_size) { /* bounded reading: this much is nobody's mistake */
        s->swallow = &bdat_too_big;
        size = 0;
    }
    if (size == 0) {
        s->swallow_left = 0;
        swallowed(s);
        return;
    }
    await_client(s, WAIT_BDAT);
}

void do_bdat(struct session *s, struct command *c, struct str line)
{
    struct transaction *tx = s->tx;

    (void)line;
    if (s->peer.listener->require_tls && !s->is_tls) {
        swallow(s, c->bdat.size, &bdat_in_clear);
    } else if (tx == NULL || tx->recipients == 0) {
        transaction_drop(s); /* P-13: a failed BDAT leaves nothing, RFC 3030 3 calls its state indeterminate */
        swallow(s, c->bdat.size, &bdat_out_of_order);
    } else if (c->bdat.size > s->env->config->limits.message_size) {
        transaction_drop(s);
        swallow(s, c->bdat.size, &bdat_too_big);
    } else {
        tx->bdat_left = c->bdat.size;
        tx->bdat_last = c->bdat.last;
        if (tx->receiving) {
            chunk_begin(s);
            return;
        }
        tx->used_bdat = true;
        if (tx->doom.is_set) { /* X4: the chunk is read, and its answer says why */
            receiving_begin(s);
            chunk_begin(s);
            return;
        }
        judge(s, AT_DATA);
    }
}

static void received(struct session *s);
static void conclude(struct session *s);

/* RFC 3030 4.2: a chunk that failed ends the transaction. */
static void chunk_end(struct session *s)
{
    struct transaction *tx = s->tx;

    await_client(s, WAIT_COMMAND);
    if (tx->bdat_last) {
        data_finish(&tx->decoder);
        received(s);
    } else if (tx->doom.is_set) {
        finish_refused(s);
    } else {
        say(s, 250, "2.0.0", "Chunk received");
    }
}

static void chunk_begin(struct session *s)
{
    bool is_idle = s->tx->bdat_left == 0 && !s->tx->bdat_last;

    if (s->tx->bdat_left == 0)
        chunk_end(s);
    else
        await_client(s, WAIT_BDAT);
    if (is_idle) /* "BDAT 0" brings a message no further, so it is bounded as NOOP is (B06) */
        count_junk(s);
}

/* ---- the header section ---- */

void doom_verdict(struct session *s, const struct verdict *v)
{
    char text[256], reason[160];

    snprintf(text, sizeof text, "%.*s", (int)(v->text.n < 255 ? v->text.n : 255), v->text.p);
    snprintf(reason, sizeof reason, "%.*s", (int)(v->reason.n < 159 ? v->reason.n : 159),
             v->reason.n > 0 ? v->reason.p : "");
    doom(s, v->code, v->enhanced, text, v->check, reason);
}

static struct str message_front(const struct message_store *m)
{
    return m->header_n > 0 ? message_header(m) : chain_front(&m->body);
}

static void doom_rule(struct session *s, enum message_rule rule)
{
    const struct message_refusal *r = &message_refusals[rule];

    doom(s, r->code, r->enhanced, r->text, r->check, r->reason);
}

static void check_header(struct session *s)
{
    struct transaction *tx = s->tx;
    enum message_rule rule =
        message_rule_of_header(s->env->config, message_front(&tx->message), message_header(&tx->message));

    if (rule == RULE_NONE) {
        judge(s, AT_HEADERS);
        return;
    }
    doom_rule(s, rule);
    if (tx->received)
        finish_refused(s);
}

static bool has_outgrown_hold(const struct session *s)
{
    return s->tx->message.size > s->env->config->limits.hold;
}

void headers_judged(struct session *s, const struct verdict *v)
{
    struct transaction *tx = s->tx;

    tx->headers_judged = true;
    tx->headers_pending = false;
    if (verdict_refuses(v))
        doom_verdict(s, v);
    if (tx->received)
        conclude(s);
    else if (has_outgrown_hold(s))
        stream_begin(s);
}

/* ---- the body ---- */

static void take_chunk(struct session *s, struct str chunk)
{
    struct transaction *tx = s->tx;
    bool streams = is_streaming(tx);

    if (tx->doom.is_set) {
        tx->message.size += chunk.n;
        return;
    }
    if (tx->message.size + chunk.n > s->env->config->limits.message_size) {
        doom_rule(s, RULE_MESSAGE_SIZE);
        return;
    }
    switch (message_add(&tx->message, chunk, streams ? CHAIN_FORCE : CHAIN_BUDGET)) {
    case MESSAGE_OK: break;
    case MESSAGE_NO_ROOM:
        doom(s, 452, "4.3.1", "Out of message memory, try again", "limits.message_memory", "no message memory left");
        return;
    case MESSAGE_HEADER_TOO_LONG: doom_rule(s, RULE_HEADER_SIZE); return;
    }
    if (tx->message.header_done && !tx->headers_judged && !tx->headers_pending)
        check_header(s);
    else if (tx->headers_judged && tx->flow == FLOW_HELD && has_outgrown_hold(s))
        stream_begin(s);
}

/* All of the message is here: its header is judged first, where that has not been done, then the whole. */
static void conclude(struct session *s)
{
    const struct transaction *tx = s->tx;

    if (tx->doom.is_set) {
        finish_refused(s);
    } else if (tx->headers_judged) {
        body_ended(s);
        judge(s, AT_END);
    } else if (tx->headers_pending) {
        judge(s, AT_HEADERS);
    } else {
        check_header(s);
    }
}

static void received(struct session *s)
{
    struct transaction *tx = s->tx;
    enum data_fault fault = tx->decoder.fault;

    tx->received = true;
    tx->received_at = s->env->now;
    await_client(s, WAIT_END);
    if (fault != DATA_CLEAN)
        doom_rule(s, message_rule_of_fault(fault));
    if (!tx->doom.is_set && message_finish(&tx->message) != MESSAGE_OK)
        doom(s, 452, "4.3.1", "Out of message memory, try again", "limits.message_memory", "no message memory left");
    conclude(s);
}

void end_judged(struct session *s, const struct verdict *v)
{
    s->wait = WAIT_END;
    if (verdict_refuses(v))
        doom_verdict(s, v);
    if (s->tx->doom.is_set) { /* or the back end was lost while answers were awaited */
        finish_refused(s);
    } else {
        s->tx->accepted = true;
        deliver(s);
    }
}

/* ---- input ---- */

enum {
    SLACK = 64 /* what the decoder may add: a CRLF, a held CR */,
    INPUT_ROOM = 16384 + SLACK /* most that one input brings */
};

/* Nothing of the stream is on its way: then it may have one more input even over the budget, so that it always
 * comes to its end (BUDGET_SESSION counts that).
 */
static bool stream_is_dry(const struct session *s)
{
    return s->tx->message.body.n + s->wants.south.out.n == 0;
}

bool data_may_read(const struct session *s)
{
    const struct transaction *tx = s->tx;

    if (tx == NULL || tx->doom.is_set) /* swallowing */
        return true;
    if (is_streaming(tx))
        return !stream_is_full(s) && (stream_is_dry(s) || pool_fits(&s->env->messages, INPUT_ROOM));
    if (tx->headers_pending)
        return !has_outgrown_hold(s) && pool_fits(&s->env->messages, INPUT_ROOM);
    return true;
}

/* Z-2: each octet buys the time it takes at the minimum rate, and nobody may save up more than the cap. */
static void extend_time(struct session *s, size_t n)
{
    const struct config *config = s->env->config;
    uint64_t cap = s->env->now + config->timeouts.data_cap;
    uint64_t before = s->tx != NULL ? s->tx->wire_bytes : 0; /* so that single octets add up */

    s->wait_deadline += (before + n) * 1000 / config->min_data_rate - before * 1000 / config->min_data_rate;
    if (s->wait_deadline > cap)
        s->wait_deadline = cap;
}

/* True when there is room for `n` more octets. Without, a message whose headers are accepted streams from here on;
 * one that is not that far is refused for now.
 */
static bool make_room(struct session *s, size_t n)
{
    struct transaction *tx = s->tx;

    if (tx->doom.is_set || tx->flow != FLOW_HELD || pool_fits(&s->env->messages, n + SLACK))
        return true;
    if (tx->headers_judged) {
        stream_begin(s);
        return tx->flow == FLOW_OPEN;
    }
    if (tx->headers_pending)
        return false;
    doom(s, 452, "4.3.1", "Out of message memory, try again", "limits.message_memory", "no message memory left");
    return true;
}

/* What is dropped as it comes (behind a fault, a doom, or NULs that are repaired) makes no message grow, so it is counted
 * on the wire (F-9). Dots stuffed add a third at most.
 */
static bool reads_without_end(struct session *s)
{
    uint64_t limit = s->env->config->limits.message_size;

    if (s->tx->wire_bytes <= 2 * limit + 2 * INPUT_ROOM)
        return false;
    doom(s, 552, "5.3.4", "Message too big", "limits.message_size", "endless message");
    finish_refused(s);
    leave(s, "endless message");
    return true;
}

static size_t decode(struct session *s, struct str in)
{
    struct transaction *tx = s->tx;
    size_t total = 0;

    while (total < in.n) {
        size_t used;
        enum data_event event = data_read(&tx->decoder, str_skip(in, total), &used);

        total += used;
        if (event == DATA_CHUNK)
            take_chunk(s, tx->decoder.chunk);
        if (event == DATA_END) {
            received(s);
            return total;
        }
        if (event == DATA_NEED)
            break;
    }
    return total;
}

static size_t swallow_input(struct session *s, struct str in)
{
    size_t n = s->swallow_left < in.n ? (size_t)s->swallow_left : in.n;

    s->swallow_left -= n;
    if (s->swallow_left == 0)
        swallowed(s);
    return n;
}

static size_t bdat_input(struct session *s, struct str in)
{
    struct transaction *tx = s->tx;
    struct str chunk = str_from(in.p, tx->bdat_left < in.n ? (size_t)tx->bdat_left : in.n);

    decode(s, chunk);
    tx->bdat_left -= chunk.n;
    if (tx->bdat_left == 0)
        chunk_end(s);
    return chunk.n;
}

size_t data_input(struct session *s, struct str in)
{
    size_t used;

    if (s->swallow_left == 0 && !make_room(s, in.n))
        return 0;
    extend_time(s, in.n);
    if (s->swallow_left > 0)
        return swallow_input(s, in);
    s->tx->wire_bytes += in.n;
    if (reads_without_end(s))
        return in.n;
    used = s->wait == WAIT_BDAT ? bdat_input(s, in) : decode(s, in);
    deliver_continue(s); /* a stream flows as its bytes come, not only when earlier ones have left */
    return used;
}
