/* The copy on disk (standing.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../policy/crypto.h"
#include "shared_table.h"
#include "standing_parts.h"

#define MAGIC "POSTERN-STANDING"

enum {
    VERSION = 1,
    MAGIC_SIZE = sizeof MAGIC - 1,
    AT_VERSION = MAGIC_SIZE,
    AT_WORDS = AT_VERSION + 8,
    AT_TIME = AT_WORDS + 8, /* hours since the epoch */
    AT_SEED = AT_TIME + 8,
    HEAD = AT_SEED + SHARED_SEED,
    PIECE = 4096 /* words are written by so many octets */
};

static uint64_t words_of(const struct standing_policy *policy)
{
    return (policy->memory / 64 - 1) * SHARED_WAYS; /* as in shared_table_new */
}

uint64_t standing_file_size(const struct standing_policy *policy)
{
    return HEAD + 8 * words_of(policy) + SHA256_SIZE;
}

static void put_u64(char *at, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        at[i] = (char)(n >> 8 * i & 0xff);
}

static uint64_t get_u64(const char *at)
{
    uint64_t n = 0;

    for (int i = 8; i-- > 0;)
        n = n << 8 | (unsigned char)at[i];
    return n;
}

/* ---- writing ---- */

struct out {
    int fd;
    struct sha256 sha;
};

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(fd, p, n);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return false;
        p += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

static bool put(struct out *out, const char *p, size_t n)
{
    sha256_add(&out->sha, str_from(p, n));
    return write_all(out->fd, p, n);
}

static bool put_head(struct out *out, const struct standing *s, uint64_t now_s)
{
    char head[HEAD] = MAGIC;
    uint8_t seed[SHARED_SEED];

    put_u64(head + AT_VERSION, VERSION);
    put_u64(head + AT_WORDS, shared_table_words(s->table));
    put_u64(head + AT_TIME, now_s / 3600 & STANDING_HOURS);
    shared_table_seed(s->table, seed);
    memcpy(head + AT_SEED, seed, sizeof seed);
    return put(out, head, sizeof head);
}

static bool put_words(struct out *out, const struct standing *s)
{
    size_t words = shared_table_words(s->table), n = 0;
    char piece[PIECE];

    for (size_t i = 0; i < words; i++) {
        put_u64(piece + n, shared_table_word(s->table, i));
        n += 8;
        if (n == sizeof piece || i + 1 == words) {
            if (!put(out, piece, n))
                return false;
            n = 0;
        }
    }
    return true;
}

static bool put_file(int fd, const struct standing *s, uint64_t now_s)
{
    struct out out = { .fd = fd };
    uint8_t digest[SHA256_SIZE];

    sha256_begin(&out.sha);
    if (!put_head(&out, s, now_s) || !put_words(&out, s))
        return false;
    sha256_end(&out.sha, digest);
    return write_all(fd, (const char *)digest, sizeof digest) && fsync(fd) == 0;
}

/* The name in its directory is safe, too. */
static void sync_directory(const char *path)
{
    char name[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    int fd;

    memcpy(name, slash != NULL ? path : "./", n > 0 ? n : 2);
    name[n > 0 ? n : 2] = '\0';
    fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

const char *standing_save(const struct standing *s, const char *path, uint64_t now_s)
{
    char fresh[PATH_MAX];
    int n = snprintf(fresh, sizeof fresh, "%s.new", path), fd, error;

    if (n < 0 || (size_t)n >= sizeof fresh) {
        errno = ENAMETOOLONG;
        return "cannot name the new file";
    }
    unlink(fresh); /* of a run that was killed */
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return "cannot make the new file";
    if (put_file(fd, s, now_s) && rename(fresh, path) == 0) {
        close(fd);
        sync_directory(path);
        return NULL;
    }
    error = errno;
    close(fd);
    unlink(fresh);
    errno = error;
    return "cannot write it";
}

/* ---- reading ---- */

static const char *fault_of_frame(const struct standing *s, struct str octets)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    if (octets.n < HEAD + SHA256_SIZE || memcmp(octets.p, MAGIC, MAGIC_SIZE) != 0)
        return "not a file of this kind";
    if (get_u64(octets.p + AT_VERSION) != VERSION)
        return "of another version";
    if (get_u64(octets.p + AT_WORDS) != shared_table_words(s->table) ||
        octets.n != HEAD + 8 * shared_table_words(s->table) + SHA256_SIZE)
        return "of another size than [standing] memory says";
    sha256_begin(&sha);
    sha256_add(&sha, str_from(octets.p, octets.n - SHA256_SIZE));
    sha256_end(&sha, digest);
    return memcmp(octets.p + octets.n - SHA256_SIZE, digest, sizeof digest) == 0 ? NULL : "damaged";
}

static const char *fault_of_words(const struct standing *s, const char *words)
{
    for (size_t i = 0; i < shared_table_words(s->table); i++) {
        uint64_t word = get_u64(words + 8 * i);

        if (word != 0 && !standing_value_is_valid(word & SHARED_VALUE))
            return "damaged: an entry that says nothing";
    }
    return NULL;
}

/* An entry is never younger than its file, or it would be kept for too long. */
static uint64_t not_after(uint64_t word, uint64_t hour)
{
    return word != 0 && (word & STANDING_HOURS) > hour ? (word & ~STANDING_HOURS) | hour : word;
}

const char *standing_take(struct standing *s, struct str octets)
{
    const char *fault = fault_of_frame(s, octets);
    uint8_t seed[SHARED_SEED];
    uint64_t hour;

    if (fault == NULL)
        fault = fault_of_words(s, octets.p + HEAD);
    if (fault != NULL)
        return fault;
    hour = get_u64(octets.p + AT_TIME);
    if (hour > STANDING_HOURS)
        return "damaged: a time that never comes";
    memcpy(seed, octets.p + AT_SEED, sizeof seed);
    shared_table_set_seed(s->table, seed);
    for (size_t i = 0; i < shared_table_words(s->table); i++)
        shared_table_put_word(s->table, i, not_after(get_u64(octets.p + HEAD + 8 * i), hour));
    return NULL;
}

/* One octet more than there should be tells a longer file. */
static size_t read_all(int fd, char *room, size_t size)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, room + n, size - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

static const char *fault_of_inode(int fd)
{
    struct stat stat;

    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        return "not a plain file";
    if (stat.st_uid != geteuid() || (stat.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return "open to others than its owner, who must be the user that starts Postern";
    return NULL;
}

const char *standing_load(struct standing *s, const char *path, bool *is_missing)
{
    size_t size = HEAD + 8 * shared_table_words(s->table) + SHA256_SIZE + 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    const char *fault;
    char *room;

    *is_missing = fd < 0 && errno == ENOENT;
    if (fd < 0)
        return *is_missing ? NULL : "it cannot be opened";
    room = malloc(size);
    fault = room == NULL ? "no memory" : fault_of_inode(fd);
    if (fault == NULL)
        fault = standing_take(s, str_from(room, read_all(fd, room, size)));
    free(room);
    close(fd);
    return fault;
}
