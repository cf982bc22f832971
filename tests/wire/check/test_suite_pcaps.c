/* Captures of real SMTP sessions (shared/suites/pcap), read from the wire to the dialogue, and held against their
 * turns as somebody else's program decoded them (streams/NAME.N.json): the same octets, the same dialogue, the same
 * commands. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "dialogue.h"
#include "tell.h"
#include "test.h"
#include "weave.h"

/* No key log belongs to these captures. Stands in for tls.c: what is in TLS is not read. */
void tls_read(struct tls_session *t, const struct connection *c, const size_t start[2], const struct keylog *keys)
{
    (void)c;
    (void)start;
    (void)keys;
    *t = (struct tls_session){ .why_not = "no key" };
}

void tls_free(struct tls_session *t)
{
    (void)t;
}

/* ---- a stream's JSON ---- */

struct decoded {
    struct buffer text; /* the file */
    struct weave weave; /* a connection of its turns */
    size_t mail, rcpt, data;
    unsigned client_port;
};

static bool read_file(struct buffer *text, const char *path)
{
    FILE *file = fopen(path, "rb");
    char chunk[65536];
    size_t n;

    if (file == NULL)
        return false;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_add(text, chunk, n);
    fclose(file);
    return true;
}

static size_t number_of(struct slice json, const char *quoted_key)
{
    struct slice key = slice_of(quoted_key);
    size_t at = slice_find(json, key, 0) + key.n, value = 0;

    while (at < json.n && (json.p[at] == ':' || json.p[at] == ' '))
        at++;
    for (; at < json.n && json.p[at] >= '0' && json.p[at] <= '9'; at++)
        value = value * 10 + (size_t)(json.p[at] - '0');
    return value;
}

static void add_base64(struct buffer *to, struct slice text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned n = 0;

    for (size_t i = 0; i < text.n && text.p[i] != '='; i++) {
        const char *digit = strchr(digits, text.p[i]);
        uint8_t octet;

        bits = bits << 6 | (uint32_t)(digit - digits);
        n += 6;
        if (n < 8)
            continue;
        n -= 8;
        octet = (uint8_t)(bits >> n);
        buffer_add(to, &octet, 1);
    }
}

/* ["c", "base64"] or ["s", "base64"] at `at`, which goes behind it. */
static void weave_turn(struct weave *w, struct slice json, size_t *at)
{
    enum side by = json.p[*at + 2] == 'c' ? CLIENT : SERVER;
    size_t start = *at + 7, end = slice_find(json, SLICE("\""), start);
    struct buffer octets = { 0 };

    add_base64(&octets, slice_part(json, start, end));
    weave_octets(w, by, octets.p, octets.n);
    buffer_free(&octets);
    *at = end;
}

static bool decoded_read(struct decoded *d, const char *path)
{
    struct slice json;

    *d = (struct decoded){ .client_port = 0 };
    if (!read_file(&d->text, path))
        return false;
    json = buffer_slice(&d->text);
    d->mail = number_of(json, "\"mail\"");
    d->rcpt = number_of(json, "\"rcpt\"");
    d->data = number_of(json, "\"data\"");
    d->client_port = (unsigned)number_of(json, "\"client_port\"");
    weave_begin(&d->weave);
    for (size_t at = slice_find(json, SLICE("\"turns\""), 0); at < json.n; at++)
        if (slice_equal(slice_part(json, at, at + 2), SLICE("[\"")))
            weave_turn(&d->weave, json, &at);
    return true;
}

static void decoded_free(struct decoded *d)
{
    weave_free(&d->weave);
    buffer_free(&d->text);
}

/* ---- a capture ---- */

/* In POSTERN_SHARED, or in ../shared beside the project. */
static const char *folder(void)
{
    static char path[256];
    const char *shared = getenv("POSTERN_SHARED");

    snprintf(path, sizeof path, "%s/suites/pcap", shared != NULL ? shared : "../shared");
    return path;
}

/* The capture that "NAME.N.json" is of; unpacked to a file of our own when it is packed. */
static bool find_capture(const char *json, char path[512], bool *is_temporary)
{
    static const char *const ends[] = { ".pcap", ".pcapng", ".pcap.gz" };
    int n = (int)strlen(json) - (int)strlen(".1.json");
    char command[1100];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, 512, "%s/%.*s%s", folder(), n, json, ends[i]);
        *is_temporary = i == 2;
        if (access(path, R_OK) != 0)
            continue;
        if (!*is_temporary)
            return true;
        snprintf(command, sizeof command, "gzip -dc '%s' > /tmp/test_suite_pcaps.%ld", path, (long)getpid());
        snprintf(path, 512, "/tmp/test_suite_pcaps.%ld", (long)getpid());
        return system(command) == 0; /* NOLINT(cert-env33-c): names of our own suite */
    }
    return false;
}

static const struct connection *find_connection(const struct flows *f, unsigned client_port)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->connection[i].end[CLIENT].port == client_port)
            return &f->connection[i];
    return NULL;
}

static size_t count(const struct dialogue *d, enum verb verb)
{
    size_t n = 0;

    for (size_t i = 0; i < d->command_n; i++)
        n += d->command[i].verb == verb;
    return n;
}

/* Whatever the other program took for granted where octets are missing, ours are the first of them. */
static void compare_octets(const struct connection *ours, const struct connection *theirs)
{
    for (enum side side = CLIENT; side <= SERVER; side++) {
        struct slice a = buffer_slice(&ours->stream[side].octets), b = buffer_slice(&theirs->stream[side].octets);

        CHECK(slice_equal(a, ours->doubt == NULL ? b : slice_part(b, 0, a.n)));
    }
}

/* Their turns do not keep which octets came first where both sides talked at once: early is no matter here. */
static void forget_early(struct buffer *told)
{
    size_t kept = 0;

    for (size_t i = 0; i < told->n; i++)
        if (told->p[i] != '!')
            told->p[kept++] = told->p[i];
    told->n = kept;
}

static void compare_dialogues(const struct connection *ours, struct decoded *theirs)
{
    static const struct dialogue_hints hints;
    struct buffer a = { 0 }, b = { 0 };
    struct dialogue d, e;

    for (enum side side = CLIENT; side <= SERVER; side++) /* the turns do not say who closed */
        theirs->weave.connection.stream[side].is_ended = ours->stream[side].is_ended || ours->stream[side].is_reset;
    dialogue_read(&d, ours, &hints);
    dialogue_read(&e, &theirs->weave.connection, &hints);
    dialogue_tell(&a, &d);
    dialogue_tell(&b, &e);
    forget_early(&a);
    forget_early(&b);
    buffer_add(&b, "", 1);
    if (ours->doubt == NULL)
        CHECK_EQ_STR((const char *)a.p, a.n, (const char *)b.p);
    if (ours->doubt == NULL && d.is_smtp && d.tls == NULL) {
        CHECK_EQ_INT(count(&d, VERB_MAIL), theirs->mail);
        CHECK_EQ_INT(count(&d, VERB_RCPT), theirs->rcpt);
        CHECK_EQ_INT(count(&d, VERB_DATA), theirs->data);
    }
    buffer_free(&a);
    buffer_free(&b);
    dialogue_free(&d);
    dialogue_free(&e);
}

static void compare(const char *json)
{
    char path[512];
    struct decoded theirs;
    struct capture c;
    struct flows f;
    const struct connection *ours;
    bool is_temporary;

    snprintf(path, sizeof path, "%s/streams/%s", folder(), json);
    CHECK(decoded_read(&theirs, path));
    CHECK(find_capture(json, path, &is_temporary));
    capture_read(&c, path, true);
    flows_read(&f, &c, 0);
    ours = find_connection(&f, theirs.client_port);
    CHECK(ours != NULL);
    if (ours != NULL) {
        compare_octets(ours, &theirs.weave.connection);
        compare_dialogues(ours, &theirs);
    }
    if (is_temporary)
        unlink(path);
    flows_free(&f);
    capture_free(&c);
    decoded_free(&theirs);
}

static bool is_json(const char *name)
{
    size_t n = strlen(name);

    return n > 7 && strcmp(name + n - 5, ".json") == 0;
}

static void reads_captures_as_others_do(void)
{
    char streams[256];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;

    if (access(folder(), R_OK) != 0)
        SKIP("no ../shared/suites/pcap");
    snprintf(streams, sizeof streams, "%s/streams", folder());
    dir = opendir(streams);
    CHECK(dir != NULL);
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (is_json(entry->d_name)) {
            CHECK_ROW(entry->d_name);
            compare(entry->d_name);
            n++;
        }
    if (dir != NULL)
        closedir(dir);
    CHECK(n > 20);
}

static const struct test_case tests[] = { TEST(reads_captures_as_others_do) };
TEST_MAIN(tests)
