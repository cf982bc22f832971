#include "received.h"

#include "../policy/header.h"
#include "date.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool ends_word(char c)
{
    return is_space(c) || c == '(' || c == ')' || c == ';' || c == ',';
}

static struct str take_word(struct str *s)
{
    size_t n = 0;
    struct str word;

    while (n < s->n && !ends_word(s->p[n]))
        n++;
    word = str_from(s->p, n);
    *s = str_skip(*s, n);
    return word;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]", "[192.0.2.1]:40112", or an address without brackets. */
static bool read_address(struct str word, struct address *out)
{
    if (word.n > 0 && word.p[0] == '[') {
        word = str_skip(word, 1);
        word.n = str_find(word, ']');
    }
    if (str_istarts(word, STR("IPv6:")))
        word = str_skip(word, 5);
    return address_parse(word, out);
}

static void note_address(struct received *r, struct str word)
{
    struct address address;

    if (!read_address(word, &address) || (r->addresses > 0 && address_eq(&address, &r->address)))
        return;
    r->address = address;
    r->addresses++;
}

/* A word of the comments behind "from": an address, or what the client called itself ("helo=x" of Exim, "HELO x" of qmail). */
static void note_comment(struct received *r, struct str word, bool *helo_follows)
{
    if (*helo_follows || str_istarts(word, STR("helo=")))
        r->helo = *helo_follows ? word : str_skip(word, 5);
    else
        note_address(r, word);
    *helo_follows = str_ieq(word, STR("HELO")) || str_ieq(word, STR("EHLO"));
}

/* The part from "from" up to "by" outside of comments, or the end. */
static void read_from(struct str *s, struct received *r)
{
    size_t depth = 0;
    bool helo_follows = false, is_first = true;

    while (s->n > 0) {
        struct str word = take_word(s);

        if (word.n > 0 && depth == 0 && !is_first && str_ieq(word, STR("by"))) {
            *s = str_from(word.p, s->n + word.n);
            return;
        }
        if (word.n > 0 && depth == 0 && is_first) {
            r->from = word;
            if (word.p[0] == '[')
                note_address(r, word);
            is_first = false;
        } else if (word.n > 0 && depth > 0) {
            note_comment(r, word, &helo_follows);
        }
        if (s->n == 0 || s->p[0] == ';')
            return;
        depth += s->p[0] == '(';
        depth -= s->p[0] == ')' && depth > 0;
        *s = str_skip(*s, 1);
    }
}

static struct str skip_space(struct str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = str_skip(s, 1);
    return s;
}

/* The date stands behind the last ";" (a comment may hold others). */
static void read_date(struct str value, struct received *r)
{
    size_t at = value.n;

    while (at > 0 && value.p[at - 1] != ';')
        at--;
    r->has_date = at > 0 && date_read_mail(str_skip(value, at), &r->date);
}

void received_read(struct str value, struct received *r)
{
    struct str s = skip_space(value), word;

    *r = (struct received){ 0 };
    read_date(value, r);
    word = take_word(&s);
    if (str_ieq(word, STR("from"))) {
        s = skip_space(s);
        read_from(&s, r);
        word = take_word(&s);
    }
    if (str_ieq(word, STR("by"))) {
        s = skip_space(s);
        r->by = take_word(&s);
    }
    if (r->helo.n == 0)
        r->helo = r->from;
}
