#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The file itself, not the name service: that would load shared libraries into a static program. */
static bool find_by_name(struct str user, struct identity *id)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *entry;
    bool found = false;

    while (file != NULL && !found && (entry = fgetpwent(file)) != NULL) {
        found = str_eq(str_of(entry->pw_name), user);
        if (found)
            *id = (struct identity){ true, entry->pw_uid, entry->pw_gid };
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static bool find_by_number(struct str user, struct identity *id)
{
    unsigned long long number;

    if (!str_to_u64(user, UINT32_MAX - 1, &number))
        return false;
    *id = (struct identity){ true, (uid_t)number, (gid_t)number };
    return true;
}

bool identity_find(struct str user, struct identity *id, FILE *errors)
{
    *id = (struct identity){ 0 };
    if (geteuid() != 0 || user.n == 0)
        return true;
    if (find_by_name(user, id) || find_by_number(user, id))
        return true;
    fprintf(errors, "[server] user: there is no user %.*s in /etc/passwd\n", STR_ARG(user));
    return false;
}

/* libuv keeps a descriptor of "/" in reserve, to turn clients away with: so it must be readable. */
int empty_root_open(void)
{
    char path[] = "/tmp/postern.XXXXXX";
    int fd = -1;

    if (mkdtemp(path) == NULL)
        return open("/var/empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (chmod(path, 0555) == 0)
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    rmdir(path);
    return fd;
}

bool privileges_limit(void)
{
    const struct rlimit no_core = { 0, 0 };

    return setrlimit(RLIMIT_CORE, &no_core) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* Capabilities that came without root, as systemd's AmbientCapabilities= gives them. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    return syscall(SYS_capset, &header, none) == 0;
}

static bool become(const struct identity *id)
{
    return setgroups(0, NULL) == 0 && setresgid(id->gid, id->gid, id->gid) == 0 &&
           setresuid(id->uid, id->uid, id->uid) == 0;
}

/* LeakSanitizer traces its own process at the end, which it may not when that is not dumpable. */
#if defined(__SANITIZE_ADDRESS__)
enum { IS_TRACED = 1 };
#elif defined(__has_feature)
enum { IS_TRACED = __has_feature(address_sanitizer) };
#else
enum { IS_TRACED = 0 };
#endif

static bool refuse_tracing(void)
{
    return IS_TRACED || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

const char *privileges_drop(const struct identity *id, int empty_root)
{
    if (empty_root >= 0 && (fchdir(empty_root) != 0 || chroot(".") != 0))
        return "enter the empty root directory";
    if (id->change && !become(id))
        return "become the user of [server] user";
    if ((id->change || geteuid() != 0) && !drop_capabilities())
        return "drop the capabilities";
    return refuse_tracing() ? NULL : "refuse tracing";
}
