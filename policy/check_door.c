/* The door: who does not wait for the greeting, or for answers, is no mail server that anybody runs.
 *
 * RFC 5321 3.1 has the client wait for the greeting. The proxy draws it out ([door] pause) and says what it heard meanwhile;
 * RFC 2920 3.1 lists the commands whose answer has to be awaited, and the proxy says when somebody did not.
 *
 * Early talkers are judged while the greeting goes on, before anything they said is looked at: the proxy asks this check alone
 * then, AT_CONNECT, and a refusal ends the session. Exceptions by network, country and AS hold there; senders and recipients
 * are not known. What is only told or scored is judged with each recipient, as every score is.
 */
#include "rule.h"

static void object_to_talk(struct pass *pass)
{
    const struct envelope *envelope = pass->envelope;

    if (envelope->talked_early.n > 0)
        pass_object(pass, &check_door, &pass->policy->door.rule,
                    &(struct objection){ 554, "5.5.1",
                                         STR("Protocol error: you spoke before the greeting was complete"),
                                         arena_printf(pass->arena, "spoke before the greeting was complete: %.*s",
                                                      STR_ARG(envelope->talked_early)),
                                         0, false, false });
}

static void object_to_pipelining(struct pass *pass)
{
    if (pass->envelope->pipelined)
        pass_object(pass, &check_door, &pass->policy->door.pipelining,
                    &(struct objection){ 554, "5.5.0", STR("Improper use of SMTP command pipelining"),
                                         STR("input behind a command that ends a group"), 0, false, false });
}

/* AT_CONNECT nothing can be scored yet. */
static void run(struct pass *pass)
{
    if (pass->stage == AT_RCPT || pass->policy->door.rule.mode == RULE_REJECT)
        object_to_talk(pass);
    if (pass->stage == AT_RCPT)
        object_to_pipelining(pass);
}

#define DOOR(field) offsetof(struct policy, door.field)

/* clang-format off */
static const struct option options[] = {
    RULE_ROWS("door", DOOR(rule), "reject", "4"),
    { .section = "door", .key = "pause", .type = OPTION_SECONDS, .offset = DOOR(pause), .preset = "3s", .max = 60000,
      .help = "The greeting goes out at once, but its last line only after this: who speaks before is an early talker. "
              "Mail servers wait for it (RFC 5321 4.5.3.2.1 gives it five minutes); many bots do not. 0, or mode = off: no "
              "pause." },
    { .section = "door", .key = "networks", .type = OPTION_NETWORKS, .offset = DOOR(networks),
      .preset = "127.0.0.0/8 ::1",
      .help = "Clients known to be good: greeted without a pause, never held in the tarpit, and not cut short under "
              "stress. So are those of [relay] networks." },
    { .section = "door", .key = "listeners", .type = OPTION_WORDS, .offset = DOOR(listeners), .max = 32,
      .help = "Names of the listeners that greet with a pause. When left out, all that begin in clear and have auth = no: "
              "people's mail programs come in by the others." },
    { .section = "door", .key = "pipelining", .type = OPTION_CHOICE, .offset = DOOR(pipelining.mode), .preset = "reject",
      .choices = rule_modes,
      .help = "Commands sent behind EHLO, HELO, NOOP, VRFY or EXPN without waiting for its answer (RFC 2920 3.1); reject "
              "ends the session. Behind DATA, AUTH and STARTTLS it always does, whatever stands here: what comes "
              "there would be read as something it is not, which is how mail is smuggled." },
    { .section = "door", .key = "pipelining_weight", .type = OPTION_NUMBER, .offset = DOOR(pipelining.weight),
      .preset = "2", .max = 100, .unit = "points",
      .help = "Added to the score with pipelining = score. Of this and weight only the larger counts." },
};
/* clang-format on */

const struct check check_door = {
    .name = "door",
    .stages = 1u << AT_CONNECT | 1u << AT_RCPT,
    .run = run,
    .options = options,
    .options_n = sizeof options / sizeof *options,
    .help = "Who talks before being greeted, or on and on without waiting for answers.",
    .rule = DOOR(rule),
};
