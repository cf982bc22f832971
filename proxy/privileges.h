/* What a worker may do: nothing but use the descriptors it was given.
 *
 * Started as root, it becomes the user of [server] user in an empty root directory, and no capability is left. Started as
 * another user it keeps that one. Either way it can gain nothing (no_new_privs), leaves no core file with keys in it, and
 * cannot be traced by its own user.
 */
#ifndef PROXY_PRIVILEGES_H
#define PROXY_PRIVILEGES_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "../policy/str.h"

/* Whom to become. `change` is false when not started as root, or when no user is named. */
struct identity {
    bool change;
    uid_t uid;
    gid_t gid;
};

/* Looks `user` up in /etc/passwd (a name, or a number, which need not stand there). False and a line in `errors` when there
 * is no such user.
 */
bool identity_find(struct str user, struct identity *, FILE *errors);

/* A descriptor of an empty directory that has no name any more, or -1: none could be made. For root, before the fork. */
int empty_root_open(void);

/* For the supervisor and its children: no core files, no new privileges. */
bool privileges_limit(void);

/* In the child; for good. NULL, or what could not be done (errno says why): then the child must not go on. */
const char *privileges_drop(const struct identity *, int empty_root);

#endif
