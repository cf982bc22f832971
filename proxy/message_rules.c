#include "message_rules.h"

#include "trace.h"

/* clang-format off */
const struct message_refusal message_refusals[MESSAGE_RULES] = {
    [RULE_BARE_CR] = { 550, "5.5.2", "Message contains a bare CR", "framing", "bare_cr" },
    [RULE_BARE_LF] = { 550, "5.5.2", "Message contains a bare LF", "framing", "bare_lf" },
    [RULE_NUL] = { 550, "5.5.2", "Message contains a NUL octet", "framing", "nul" },
    [RULE_LONE_DOT] = { 550, "5.5.2", "Message contains a dot between line ends other than CRLF", "framing",
                        "lone_dot" },
    [RULE_MESSAGE_SIZE] = { 552, "5.3.4", "Message too big", "limits.message_size", "message above the limit" },
    [RULE_HEADER_SIZE] = { 552, "5.3.4", "Message header too big", "limits.header_size",
                           "header section above the limit" },
    [RULE_FOLD_FIRST] = { 550, "5.6.0", "Message begins with a continuation line", "framing",
                          "first line starts with a blank" },
    [RULE_HOPS] = { 554, "5.4.6", "Too many hops, this message is in a loop", "limits.hops",
                    "too many Received fields" },
};
/* clang-format on */

enum message_rule message_rule_of_fault(enum data_fault fault)
{
    static const enum message_rule rules[] = {
        [DATA_CLEAN] = RULE_NONE, [DATA_BARE_CR] = RULE_BARE_CR,   [DATA_BARE_LF] = RULE_BARE_LF,
        [DATA_NUL] = RULE_NUL,    [DATA_LONE_DOT] = RULE_LONE_DOT,
    };

    return rules[fault];
}

bool message_is_normalised(const struct config *config, const struct address *client)
{
    return config->framing == FRAMING_NORMALISE || network_list_holds(&config->normalise, client);
}

enum message_rule message_rule_of_header(const struct config *config, struct str front, struct str header)
{
    /* F-5: a first line that is a continuation would become a part of the field we put in front of it. */
    if (front.n > 0 && (front.p[0] == ' ' || front.p[0] == '\t'))
        return RULE_FOLD_FIRST;
    return trace_hops(header) > config->limits.hops ? RULE_HOPS : RULE_NONE;
}
