/* Reading Authentication-Results: the input is the value of one. Which are ours to remove is tried against other readers
 * of the authserv-id, simpler and more lenient ones: what one of them takes for ours must go, and what nobody could take
 * for ours must stay (RFC 8601 5). What a sealer said of DMARC is tried against a reader that counts results.
 */
#include "fuzz.h"
#include "policy/arc.h"
#include "policy/results.h"

enum { TEXT_MAX = 4096 };

#define OUR_ID "gw.local.example"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_ours(struct str value)
{
    struct header_field field = { .raw = value, .name = STR_INIT("Authentication-Results"), .value = value };

    return results_is_ours(&field, STR(OUR_ID));
}

/* ---- others who read the authserv-id ---- */

/* Knows no comments, no quotes: a word. */
static struct str plain_word(struct str value)
{
    size_t n = 0;

    while (value.n > 0 && is_blank(value.p[0]))
        value = str_skip(value, 1);
    while (n < value.n && !is_blank(value.p[n]) && value.p[n] != ';' && value.p[n] != '(')
        n++;
    return str_from(value.p, n);
}

/* Drops comments, quotes and blanks wherever they are, and reads on to the ";" that it takes for one. */
static struct str squeezed_word(struct str value, bool knows_quotes, char out[TEXT_MAX])
{
    size_t depth = 0, n = 0;
    bool is_quoted = false;

    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];

        if (c == '\\' && (depth > 0 || is_quoted)) {
            i++;
            if (i < value.n && depth == 0)
                out[n++] = value.p[i];
        } else if (c == '"' && depth == 0) {
            is_quoted = !is_quoted && knows_quotes;
        } else if (!is_quoted && (c == '(' || (c == ')' && depth > 0))) {
            depth += c == '(' ? 1 : (size_t)-1;
        } else if (depth == 0 && !is_blank(c)) {
            if (c == ';' && !is_quoted)
                break;
            out[n++] = c;
        }
    }
    return str_from(out, n);
}

static void compare_readers(struct str value)
{
    char room[TEXT_MAX];
    struct str word = plain_word(value), id = STR(OUR_ID);

    if (str_ieq(word, id) || str_ieq(squeezed_word(value, true, room), id) ||
        str_ieq(squeezed_word(value, false, room), id))
        REQUIRE(is_ours(value));
}

/* One plain name and its ";": there are no two ways to read it. */
static void require_others_stay(struct str value)
{
    struct str word = plain_word(value);
    size_t blanks = (size_t)(word.p - value.p);

    for (size_t i = 0; i < blanks; i++)
        if (value.p[i] != ' ' && value.p[i] != '\t')
            return;
    if (word.n == 0 || word.n > 250 || (blanks + word.n < value.n && word.p[word.n] != ';'))
        return;
    for (size_t i = 0; i < word.n; i++)
        if (!((word.p[i] >= 'a' && word.p[i] <= 'z') || (word.p[i] >= '0' && word.p[i] <= '9') || word.p[i] == '.'))
            return;
    if (!str_istarts(word, STR(OUR_ID)))
        REQUIRE(!is_ours(value));
}

/* A comment before it and capitals make no difference. */
static void require_dress_is_nothing(struct str value)
{
    char room[2 * TEXT_MAX] = " (\\) gw)\r\n\t";
    size_t n = strlen(room);

    for (size_t i = 0; i < value.n; i++)
        room[n++] = value.p[i] >= 'a' && value.p[i] <= 'z' ? (char)(value.p[i] - 32) : value.p[i];
    REQUIRE(is_ours(str_from(room, n)) == is_ours(value));
}

/* ---- what a sealer said ---- */

/* Comments as blanks, quoted strings as "q", and no blanks around what joins words. */
static struct str simplify(struct str value, char out[TEXT_MAX])
{
    size_t depth = 0, n = 0;
    bool is_quoted = false;

    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool was_quoted = is_quoted, was_comment = depth > 0;

        if (c == '\\' && (was_comment || was_quoted))
            i++;
        else if (c == '"' && !was_comment)
            is_quoted = !is_quoted;
        else if (c == '(' && !was_quoted)
            depth++;
        else if (c == ')' && was_comment)
            depth--;
        if (was_comment || depth > 0 || (is_blank(c) && !was_quoted)) {
            if (n > 0 && memchr(" =/;", out[n - 1], 4) == NULL)
                out[n++] = ' ';
        } else {
            if (n > 0 && out[n - 1] == ' ' && memchr("=/;", c, 3) != NULL && !was_quoted)
                n--;
            out[n++] = was_quoted || is_quoted ? 'q' : ascii_lower(c);
        }
    }
    return str_from(out, n);
}

/* "dmarc=..." or "dmarc/1=...": `*result` is what follows. */
static bool is_dmarc(struct str part, struct str *result)
{
    size_t equals = str_find(part, '=');

    if (!str_istarts(part, STR("dmarc")) || equals == part.n || (equals > 5 && part.p[5] != '/' && part.p[5] != ' '))
        return false;
    *result = str_skip(part, equals + 1);
    return true;
}

static void require_one_pass(struct str value)
{
    char room[TEXT_MAX];
    struct str rest = simplify(value, room), result;
    size_t seen = 0;

    while (rest.n > 0) {
        size_t n = str_find(rest, ';');
        struct str part = str_from(rest.p, n);

        if (is_dmarc(part, &result)) {
            seen++;
            REQUIRE(str_istarts(result, STR("pass")) && (result.n == 4 || result.p[4] == ' '));
        }
        rest = str_skip(rest, n < rest.n ? n + 1 : n);
    }
    REQUIRE(seen == 1);
}

static void read_sealers_word(struct str value)
{
    struct str from;

    if (!arc_said_dmarc_pass(value, &from))
        return;
    require_one_pass(value);
    REQUIRE(from.n == 0 || (from.p >= value.p && from.p + from.n <= value.p + value.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char nothing[1];
    struct str value = { size > 0 ? (const char *)data : nothing, size };

    if (size >= TEXT_MAX / 2)
        return 0;
    compare_readers(value);
    require_others_stay(value);
    require_dress_is_nothing(value);
    read_sealers_word(value);
    return 0;
}
