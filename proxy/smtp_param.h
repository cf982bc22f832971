/* The parameters of MAIL and RCPT (RFC 5321 4.1.1.11): internal to smtp_command.c, which is the one caller.
 */
#ifndef PROXY_SMTP_PARAM_H
#define PROXY_SMTP_PARAM_H

#include "smtp_command.h"

/* Parses `rest`, what follows the path of out->verb (VERB_MAIL or VERB_RCPT), into `out`: nothing, or blanks
 * and parameters. `smtputf8` as for command_parse.
 */
enum command_error params_parse(struct str rest, bool smtputf8, struct command *out);

#endif
