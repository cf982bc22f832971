/* T-1 to T-8: each with what holds, what breaks it, and what is left in doubt. Where keys would be needed, what TLS
 * hides is put into the session that was read. */
#include "play.h"
#include "play_text.h"
#include "tls_talk.h"
#include "weave.h"

#define GO "N> STARTTLS\nN< 220 2.0.0 Go\n"
#define CLIENT_HELLO "N} \\x16\\x03\\x01\\0\\x04\\x01\\0\\0\\0\n"
#define ALERT "N{ \\x15\\x03\\x03\\0\\x02\\x02\\x32\n"
#define FAILED HELLO GO CLIENT_HELLO ALERT
#define STRICT INI "[listen smtp]\naddress = 192.0.2.1:25\nrequire_tls = yes\n"
#define SOUTH_REQUIRED \
    "[relay]\ndomains = local.example\n[backend]\nservers = 192.0.2.10:25, 192.0.2.11, 192.0.2.13\ntls = " \
    "required\n[route " \
    "b.example]\n" \
    "servers = 192.0.2.12:25, 192.0.2.13:25\n"
#define SOUTH_TLS "S< 220 b\nS> EHLO mx\nS< 250-b\\r\\n250 STARTTLS\nS> STARTTLS\n"
#define SOUTH_HELLO "S} \\x16\\x03\\x01\\0\\x04\\x01\\0\\0\\0\n"
#define SOUTH_DATA_RECORD "S} \\x17\\x03\\x03\\0\\x02xx\n"

static const struct play_row rows[] = {
    { "an alert behind the go-ahead", "T-1", HELD, INI, FAILED },
    { "nothing behind the go-ahead", "T-1", HELD, INI, HELLO GO },
    { "a reply in clear behind the go-ahead", "T-1", VIOLATED, INI, HELLO GO CLIENT_HELLO "N< 454 4.7.0 TLS failed\n" },
    { "a reply in clear behind an alert", "T-1", VIOLATED, INI, FAILED "N< 221 2.0.0 Bye\n" },
    { "the client speaks in clear, and gets an alert", "T-1", HELD, INI, HELLO GO "N> EHLO x\n" ALERT },
    { "no TLS at all", "T-1", NOTHING, INI, ACCEPTED QUIT },

    { "nothing behind STARTTLS", "T-2", HELD, INI, FAILED },
    { "clear text behind STARTTLS that is dropped", "T-2", HELD, INI,
      HELLO "N> STARTTLS\nN+ NOOP\nN< 220 2.0.0 Go\n" CLIENT_HELLO ALERT },
    { "STARTTLS refused because of it", "T-2", NOTHING, INI,
      HELLO "N> STARTTLS\nN+ NOOP\nN< 554 5.5.0 no\nN< 250 2.0.0 OK\n" },

    { "a failed handshake", "T-7", HELD, INI, FAILED },
    { "a connection south before it", "T-7", HELD, INI,
      NORTH BACK_END "N> RSET\nN< 250 2.0.0 OK\n" GO CLIENT_HELLO ALERT },
    { "a connection south behind it", "T-7", VIOLATED, INI, FAILED BACK_END },
    { "a probe behind it", "T-7", HELD, INI,
      HELLO GO CLIENT_HELLO "P< 220 b\nP> EHLO mx\nP< 250 b\nP> QUIT\nP< 221 b\n" ALERT },

    { "no TLS south", "T-8", NOTHING, INI, ACCEPTED },
    { "TLS south that fails", "T-8", HELD, INI,
      NORTH SOUTH_TLS "S< 220 go\n" SOUTH_HELLO "S{ \\x15\\x03\\x03\\0\\x02\\x02\\x28\n" },
    { "injected replies that end it", "T-8", HELD, INI, NORTH SOUTH_TLS "S< 220 go\\r\\n250 evil\n" SOUTH_HELLO },
    { "injected replies, and on it goes", "T-8", VIOLATED, INI,
      NORTH SOUTH_TLS "S< 220 go\\r\\n250 evil\n" SOUTH_HELLO
                      "S{ \\x16\\x03\\x03\\0\\x04\\x02\\0\\0\\0\n" SOUTH_DATA_RECORD },
};

static const struct play_row required_rows[] = {
    { "MAIL in clear, refused", "T-4", HELD, STRICT,
      HELLO "N> MAIL FROM:<a@b.example>\nN< 530 5.7.0 Must issue STARTTLS\n" },
    { "MAIL in clear, taken", "T-4", VIOLATED, STRICT, NORTH },
    { "MAIL in clear, refused by another code", "T-4", VIOLATED, STRICT,
      HELLO "N> MAIL FROM:<a@b.example>\nN< 550 5.7.1 no\n" },
    { "MAIL in clear, refused with half the code", "T-4", VIOLATED, STRICT,
      HELLO "N> MAIL FROM:<a@b.example>\nN< 550 5.7.0 no\n" },
    { "a broken MAIL in clear", "T-4", HELD, STRICT, HELLO "N> MAIL FROM:<a@\nN< 501 5.1.7 no\n" },
    { "MAIL in clear before EHLO", "T-4", HELD, STRICT,
      "N< 220 mx\nN> MAIL FROM:<a@b.example>\nN< 503 5.5.1 EHLO first\n" },
    { "a login in clear", "T-4", VIOLATED, STRICT, HELLO "N> AUTH PLAIN AGEAYg==\nN< 235 2.7.0 OK\n" },
    { "a connection south in clear", "T-4", VIOLATED, STRICT,
      HELLO "N> MAIL FROM:<a@b.example>\n" BACK_END "N< 530 5.7.0 Must issue STARTTLS\n" },
    { "MAIL in clear where it may be", "T-4", NOTHING, INI, NORTH },
};

static void requires_tls(void)
{
    for (size_t i = 0; i < sizeof required_rows / sizeof *required_rows; i++) {
        const struct play_row *row = &required_rows[i];
        struct play p;

        CHECK_ROW(row->name);
        play_start(&p, row->script, row->ini);
        CHECK(endpoint_parse(&p.connection[0].end[SERVER], slice_of("192.0.2.1:25")));
        play_ready(&p);
        CHECK_EQ_INT(play_judge(&p, encryption_invariants, row->id), row->want);
        play_end(&p);
    }
}

static void judges_what_is_in_clear(void)
{
    PLAY_ROWS(rows, encryption_invariants);
}

/* ---- hidden things ---- */

static const struct tls_session good = { .has_client_hello = true,
                                         .has_server_hello = true,
                                         .version = 0x0303,
                                         .suite = 0xC02B,
                                         .group = 0x001d,
                                         .has_ems = true,
                                         .has_renegotiation_info = true,
                                         .offers_ems = true,
                                         .offers_renegotiation_info = true,
                                         .client_hellos = 1,
                                         .is_established = true,
                                         .is_decrypted = true };

/* What `id` says of a session that failed in the script, but has this TLS instead. `is_open`: nobody has closed it. */
static enum verdict judge_tls(const char *id, const struct tls_session *tls, bool is_open)
{
    struct play p;
    struct tls_session kept;

    play_start(&p, FAILED, INI);
    play_ready(&p);
    kept = *p.dialogue[0].tls;
    *p.dialogue[0].tls = *tls;
    p.dialogue[0].tls->start[CLIENT] = kept.start[CLIENT];
    p.dialogue[0].tls->start[SERVER] = kept.start[SERVER];
    p.connection[0].stream[SERVER].is_ended = !is_open;
    enum verdict v = play_judge(&p, encryption_invariants, id);
    *p.dialogue[0].tls = kept;
    play_end(&p);
    return v;
}

static void judges_hellos(void)
{
    struct tls_session t = good;

    CHECK_EQ_INT(judge_tls("T-5", &t, false), HELD);
    CHECK_EQ_INT(judge_tls("T-6", &t, false), HELD);
#define WITH(change, id, want) \
    do { \
        t = good; \
        change; \
        CHECK_ROW(#change); \
        CHECK_EQ_INT(judge_tls(id, &t, false), want); \
    } while (0)
    WITH(t.version = 0x0302, "T-5", VIOLATED);
    WITH(t.version = 0x0304, "T-5", VIOLATED); /* the suite is 1.2's */
    WITH((t.version = 0x0304, t.suite = 0x1303, t.has_ems = t.has_renegotiation_info = false), "T-5", HELD);
    WITH((t.version = 0x0304, t.suite = 0x1304), "T-5", VIOLATED);
    WITH(t.suite = 0xC027, "T-5", VIOLATED);
    WITH(t.group = 0x0019, "T-5", VIOLATED);
    WITH(t.group = 0, "T-5", VIOLATED);
    WITH((t.group = 0, t.is_established = false), "T-5", HELD);
    WITH(t.compression = 1, "T-5", VIOLATED);
    WITH(t.has_ems = false, "T-5", VIOLATED);
    WITH(t.has_ems = t.offers_ems = false, "T-5", HELD);
    WITH(t.has_renegotiation_info = false, "T-5", VIOLATED);
    WITH(t.offers_early_data = true, "T-5", VIOLATED);
    WITH(t.hello_requests = 1, "T-5", VIOLATED);
    WITH(t.is_renegotiated = true, "T-5", VIOLATED);
    WITH(t.renegotiations = 1, "T-5", HELD);
    WITH(t.has_server_hello = false, "T-5", NOTHING);
    WITH(t.tickets = 1, "T-6", VIOLATED);
    WITH(t.is_resumed = true, "T-6", VIOLATED);
}

static void judges_renegotiation(void)
{
    struct tls_alert refusal[2] = { { .by = SERVER, .level = 1, .description = 100 },
                                    { .by = SERVER, .level = 1, .description = 100 } };
    struct tls_session t = good;

    t.renegotiations = 1;
    t.alert = refusal;
    CHECK_EQ_INT(judge_tls("T-5", &t, true), UNSURE);
    t.alert_n = 1;
    CHECK_EQ_INT(judge_tls("T-5", &t, true), HELD);
    t.renegotiations = 2;
    CHECK_EQ_INT(judge_tls("T-5", &t, true), UNSURE);
    CHECK_EQ_INT(judge_tls("T-5", &t, false), HELD);
    t.alert_n = 2;
    CHECK_EQ_INT(judge_tls("T-5", &t, false), VIOLATED);
}

static void judges_the_end(void)
{
    struct tls_session t = good;

    t.has_close_notify[CLIENT] = true;
    CHECK_EQ_INT(judge_tls("T-7", &t, false), VIOLATED);
    CHECK_EQ_INT(judge_tls("T-7", &t, true), HELD);
    t.has_close_notify[SERVER] = true;
    CHECK_EQ_INT(judge_tls("T-7", &t, false), HELD);
    t = good; /* a client that is gone */
    CHECK_EQ_INT(judge_tls("T-7", &t, false), HELD);
}

/* Of a session that no key was given for, nobody knows the connections to the back end: T-7 has no doubts about it. */
static void looks_at_no_sealed_end(void)
{
    struct tls_session t = good;
    struct play p;

    t.is_decrypted = false;
    t.why_not = "no key log was given";
    play_start(&p, FAILED, INI);
    play_ready(&p);
    struct tls_session kept = *p.dialogue[0].tls;
    *p.dialogue[0].tls = t;
    p.dialogue[0].tls->start[CLIENT] = kept.start[CLIENT];
    p.dialogue[0].tls->start[SERVER] = kept.start[SERVER];
    p.dialogue[0].is_readable = false;
    p.t.session[0].doubt = t.why_not;
    CHECK_EQ_INT(play_judge(&p, encryption_invariants, "T-7"), NOTHING);
    p.t.keys = keylog_read("/dev/null"); /* one that lacks this session is another matter */
    CHECK_EQ_INT(play_judge(&p, encryption_invariants, "T-7"), UNSURE);
    keylog_free(p.t.keys);
    p.t.keys = NULL;
    *p.dialogue[0].tls = kept;
    play_end(&p);
}

static void keeps_required_tls_south(void)
{
    static const struct {
        const char *server;
        enum verdict want;
    } servers[] = { { "192.0.2.10:25", VIOLATED },
                    { "192.0.2.11:25", VIOLATED },
                    { "192.0.2.12:25", NOTHING },
                    { "192.0.2.13:25", NOTHING }, /* named twice, once without */
                    { "192.0.2.10:26", NOTHING } };

    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct play p;

        CHECK_ROW(servers[i].server);
        play_start(&p, ACCEPTED, SOUTH_REQUIRED);
        CHECK(endpoint_parse(&p.connection[2].end[SERVER], slice_of(servers[i].server)));
        play_ready(&p);
        CHECK_EQ_INT(play_judge(&p, encryption_invariants, "T-8"), servers[i].want);
        play_end(&p);
    }
}

/* ---- what is said in TLS ---- */

/* A turn: "> text" or "< text", CRLF is added. */
static void say_turn(struct talk *t, const char *turn)
{
    char text[200];

    snprintf(text, sizeof text, "%s\r\n", turn + 2);
    talk_say(t, turn[0] == '>' ? CLIENT : SERVER, text);
}

/* A session that says STARTTLS (with `behind` it in clear), and these turns in TLS; NULL ends. */
static void weave_tls(struct weave *w, struct talk *t, const char *behind, const char *const *turn)
{
    char starttls[100];
    size_t at[2] = { 0, 0 };

    snprintf(starttls, sizeof starttls, "STARTTLS\r\n%s", behind);
    talk_start(t, &(struct talk_plan){ .version = 0x0304, .suite = 0x1301 });
    CHECK(talk_handshake(t));
    for (; *turn != NULL; turn++)
        say_turn(t, *turn);
    weave_begin(w);
    weave_say(w, SERVER, "220 mx ESMTP\r\n");
    weave_say(w, CLIENT, starttls);
    weave_say(w, SERVER, "220 2.0.0 Go\r\n");
    for (size_t i = 0; i < t->write_n; i++) {
        enum side by = t->write[i].by;

        weave_octets(w, by, t->octets[by].p + at[by], t->write[i].end - at[by]);
        at[by] = t->write[i].end;
    }
    weave_close(w, CLIENT);
    weave_close(w, SERVER);
}

static enum verdict judge_turns(const char *id, const char *behind, const char *const *turn)
{
    struct weave w;
    struct talk talk;
    struct dialogue d;
    struct session s = { .north = &d };
    struct trial t = { .session = &s, .session_n = 1 };
    struct tally tally = { .checked = 0 };
    const struct invariant *row = encryption_invariants;

    weave_tls(&w, &talk, behind, turn);
    struct keylog *keys = keylog_of(buffer_slice(&talk.keylog));
    dialogue_read(&d, &w.connection, &(struct dialogue_hints){ .keys = keys });
    CHECK(d.tls != NULL && d.tls->is_decrypted && d.tls->is_established);
    while (strcmp(row->id, id) != 0)
        row++;
    row->judge(&t, &tally);
    enum verdict v = tally.violated > 0       ? VIOLATED
                     : tally.inconclusive > 0 ? UNSURE
                     : tally.checked > 0      ? HELD
                                              : NOTHING;
    tally_free(&tally);
    dialogue_free(&d);
    keylog_free(keys);
    talk_end(&talk);
    weave_free(&w);
    return v;
}

static void judges_what_is_said_in_tls(void)
{
    static const struct {
        const char *name, *id;
        enum verdict want;
        const char *behind;
        const char *turn[8];
    } turns[] = {
        { "a good session", "T-3", HELD, "", { "> EHLO c", "< 250-mx\r\n250 SIZE", "> MAIL FROM:<a@b>", "< 250 OK" } },
        { "MAIL first, refused",
          "T-3",
          HELD,
          "",
          { "> MAIL FROM:<a@b>", "< 503 5.5.1 EHLO first", "> EHLO c", "< 250 mx" } },
        { "MAIL first, taken", "T-3", VIOLATED, "", { "> MAIL FROM:<a@b>", "< 250 OK" } },
        { "a login first, taken", "T-3", VIOLATED, "", { "> AUTH LOGIN", "< 334 VXNlcg==" } },
        { "STARTTLS offered", "T-3", VIOLATED, "", { "> EHLO c", "< 250-mx\r\n250 starttls" } },
        { "a host of that name", "T-3", HELD, "", { "> EHLO c", "< 250-STARTTLS\r\n250 SIZE" } },
        { "STARTTLS again, refused", "T-3", HELD, "", { "> EHLO c", "< 250 mx", "> STARTTLS", "< 503 5.5.1 no" } },
        { "STARTTLS again, taken", "T-3", VIOLATED, "", { "> EHLO c", "< 250 mx", "> STARTTLS", "< 220 2.0.0 Go" } },
        { "nothing said", "T-3", NOTHING, "", { NULL } },
        { "injected and dropped", "T-2", HELD, "NOOP\r\n", { "> EHLO c", "< 250 mx" } },
        { "injected and answered", "T-2", VIOLATED, "NOOP\r\n", { "< 250 OK", "> EHLO c", "< 250 mx" } },
        { "injected and answered, nothing more", "T-2", VIOLATED, "NOOP\r\n", { "< 250 OK" } },
        { "an orderly end without close_notify", "T-7", VIOLATED, "", { "> QUIT", "< 221 2.0.0 Bye" } },
        { "a timeout without close_notify", "T-7", VIOLATED, "", { "> EHLO c", "< 250 mx", "< 421 4.4.2 Timeout" } },
        { "a client that is gone", "T-7", HELD, "", { "> EHLO c", "< 250 mx" } },
        { "all is as promised", "T-5", HELD, "", { "> EHLO c", "< 250 mx" } },
        { "no tickets", "T-6", HELD, "", { "> EHLO c", "< 250 mx" } },
        { "records alone", "T-1", HELD, "", { "> EHLO c", "< 250 mx" } },
    };

    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        CHECK_ROW(turns[i].name);
        CHECK_EQ_INT(judge_turns(turns[i].id, turns[i].behind, turns[i].turn), turns[i].want);
    }
}

static const struct test_case tests[] = {
    TEST(judges_what_is_in_clear),
    TEST(requires_tls),
    TEST(judges_hellos),
    TEST(judges_renegotiation),
    TEST(judges_the_end),
    TEST(looks_at_no_sealed_end),
    TEST(keeps_required_tls_south),
    TEST(judges_what_is_said_in_tls),
};
TEST_MAIN(tests)
