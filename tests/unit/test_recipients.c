/* What the back ends said about recipients: which answers are remembered, for how long, and what a flood can do. */
#include "proxy/recipients.h"

#include "test.h"

static const struct recipients_policy policy = { .positive_ttl = 3600000, .negative_ttl = 600000 };
static struct shared_table *table;

static void begin(uint64_t memory)
{
    shared_table_free(table);
    table = shared_table_new(memory);
    CHECK(table != NULL);
}

static void said(const char *rcpt, int code, const char *enhanced, uint64_t now)
{
    const struct reply reply = { code, str_of(enhanced), STR_INIT("words") };

    recipients_answered(table, &policy, STR(""), str_of(rcpt), &reply, now);
}

static enum recipient_memory known(const char *rcpt, uint64_t now)
{
    return recipients_find(table, STR(""), str_of(rcpt), now).memory;
}

/* clang-format off */
static const struct row {
    int code;
    const char *enhanced;
    enum recipient_memory memory;
} rows[] = {
    { 250, "2.1.5", RECIPIENT_ACCEPTED_THERE },
    { 250, "", RECIPIENT_ACCEPTED_THERE },
    { 251, "2.1.5", RECIPIENT_ACCEPTED_THERE },
    { 550, "5.1.1", RECIPIENT_UNKNOWN_THERE },
    { 550, "5.1.6", RECIPIENT_UNKNOWN_THERE },
    { 550, "5.1.10", RECIPIENT_UNKNOWN_THERE },
    { 551, "5.1.6", RECIPIENT_UNKNOWN_THERE },
    { 553, "5.1.1", RECIPIENT_UNKNOWN_THERE },
    /* for now */
    { 450, "4.1.1", RECIPIENT_NOT_KNOWN },
    { 450, "5.1.1", RECIPIENT_NOT_KNOWN },
    { 451, "4.3.0", RECIPIENT_NOT_KNOWN },
    { 452, "4.2.2", RECIPIENT_NOT_KNOWN },
    { 421, "4.3.2", RECIPIENT_NOT_KNOWN },
    /* about space, policy, the sender, the session, or anything */
    { 552, "5.2.2", RECIPIENT_NOT_KNOWN },
    { 552, "5.1.1", RECIPIENT_NOT_KNOWN },
    { 550, "5.2.1", RECIPIENT_NOT_KNOWN },
    { 550, "5.3.4", RECIPIENT_NOT_KNOWN },
    { 550, "5.7.1", RECIPIENT_NOT_KNOWN },
    { 550, "5.7.26", RECIPIENT_NOT_KNOWN },
    { 550, "5.1.7", RECIPIENT_NOT_KNOWN },
    { 550, "5.1.8", RECIPIENT_NOT_KNOWN },
    { 550, "5.1.0", RECIPIENT_NOT_KNOWN },
    { 550, "5.0.0", RECIPIENT_NOT_KNOWN },
    { 550, "5.1.11", RECIPIENT_NOT_KNOWN },
    { 550, "", RECIPIENT_NOT_KNOWN },
    { 553, "5.1.3", RECIPIENT_NOT_KNOWN },
    { 554, "5.1.1", RECIPIENT_NOT_KNOWN },
    { 503, "5.5.1", RECIPIENT_NOT_KNOWN },
    { 530, "5.7.0", RECIPIENT_NOT_KNOWN },
};
/* clang-format on */

static void only_what_is_beyond_doubt_is_remembered(void)
{
    char name[32];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct known_recipient found;

        snprintf(name, sizeof name, "%d %s", rows[i].code, rows[i].enhanced);
        CHECK_ROW(name);
        begin(4096);
        said("bob@local.example", rows[i].code, rows[i].enhanced, 100);
        found = recipients_find(table, STR(""), STR("bob@local.example"), 100);
        CHECK_EQ_INT(found.memory, rows[i].memory);
        if (found.memory != RECIPIENT_UNKNOWN_THERE)
            continue;
        CHECK_EQ_INT(found.code, rows[i].code);
        CHECK_EQ_STR(found.enhanced, strlen(found.enhanced), rows[i].enhanced);
    }
}

static void is_over_in_time(void)
{
    begin(4096);
    said("dead@x", 550, "5.1.1", 100);
    said("bob@x", 250, "2.1.5", 100);
    CHECK_EQ_INT(known("dead@x", 699), RECIPIENT_UNKNOWN_THERE);
    CHECK_EQ_INT(known("dead@x", 700), RECIPIENT_NOT_KNOWN);
    CHECK_EQ_INT(known("bob@x", 3699), RECIPIENT_ACCEPTED_THERE);
    CHECK_EQ_INT(known("bob@x", 3700), RECIPIENT_NOT_KNOWN);
}

static void the_last_answer_counts(void)
{
    begin(4096);
    said("bob@x", 550, "5.1.1", 100);
    said("bob@x", 450, "4.2.1", 101); /* says nothing */
    CHECK_EQ_INT(known("bob@x", 102), RECIPIENT_UNKNOWN_THERE);
    said("bob@x", 250, "2.1.5", 103);
    CHECK_EQ_INT(known("bob@x", 104), RECIPIENT_ACCEPTED_THERE);
    shared_table_clear(table);
    CHECK_EQ_INT(known("bob@x", 104), RECIPIENT_NOT_KNOWN);
}

static void one_recipient_is_not_another(void)
{
    const struct reply reply = { 550, STR_INIT("5.1.1"), STR_INIT("no") };

    begin(4096);
    recipients_answered(table, &policy, STR("a.example"), STR("bob@x"), &reply, 1);
    CHECK_EQ_INT(recipients_find(table, STR("a.example"), STR("bob@x"), 2).memory, RECIPIENT_UNKNOWN_THERE);
    CHECK_EQ_INT(recipients_find(table, STR("b.example"), STR("bob@x"), 2).memory, RECIPIENT_NOT_KNOWN);
    CHECK_EQ_INT(recipients_find(table, STR(""), STR("bob@x"), 2).memory, RECIPIENT_NOT_KNOWN);
    CHECK_EQ_INT(recipients_find(table, STR("a.example"), STR("Bob@x"), 2).memory, RECIPIENT_NOT_KNOWN);
    CHECK_EQ_INT(recipients_find(table, STR("a.example"), STR("bob@y"), 2).memory, RECIPIENT_NOT_KNOWN);
    CHECK_EQ_INT(recipients_find(NULL, STR("a.example"), STR("bob@x"), 2).memory, RECIPIENT_NOT_KNOWN);
    recipients_answered(NULL, &policy, STR(""), STR("bob@x"), &reply, 1);
}

static void a_ttl_of_0_remembers_nothing(void)
{
    const struct recipients_policy none = { .positive_ttl = 0, .negative_ttl = 0 };
    const struct reply no = { 550, STR_INIT("5.1.1"), STR_INIT("no") };

    begin(4096);
    recipients_answered(table, &none, STR(""), STR("bob@x"), &no, 1);
    CHECK_EQ_INT(known("bob@x", 1), RECIPIENT_NOT_KNOWN);
    said("bob@x", 550, "5.1.1", 1);
    recipients_answered(table, &none, STR(""), STR("bob@x"), &no, 1); /* after a reload */
    CHECK_EQ_INT(known("bob@x", 1), RECIPIENT_NOT_KNOWN);
}

static int count_known(const char *kind, int n, enum recipient_memory memory, uint64_t now)
{
    char rcpt[32];
    int found = 0;

    for (int i = 0; i < n; i++) {
        snprintf(rcpt, sizeof rcpt, "%s%d@x", kind, i);
        found += known(rcpt, now) == memory;
    }
    return found;
}

static void tell(const char *kind, int n, int code, const char *enhanced, uint64_t now)
{
    char rcpt[32];

    for (int i = 0; i < n; i++) {
        snprintf(rcpt, sizeof rcpt, "%s%d@x", kind, i);
        said(rcpt, code, enhanced, now);
    }
}

/* 504 entries; invented names leave the mailboxes alone, and mailboxes leave half to the others. */
static void a_flood_pushes_out_its_own(void)
{
    static const uint8_t seed[SHARED_SEED] = "not by chance";
    int before;

    begin(4096);
    shared_table_set_seed(table, seed); /* or five mailboxes may meet in one place, and lose one */
    tell("user", 60, 250, "", 1);
    before = count_known("user", 60, RECIPIENT_ACCEPTED_THERE, 2);
    CHECK_EQ_INT(before, 60);
    tell("invented", TEST_LESS(20000), 550, "5.1.1", 2);
    CHECK_EQ_INT(count_known("user", 60, RECIPIENT_ACCEPTED_THERE, 3), 60);
    tell("catchall", TEST_LESS(20000), 250, "", 3);
    CHECK(count_known("invented", TEST_LESS(20000), RECIPIENT_UNKNOWN_THERE, 3) >= 504 / 2 - 8);
    tell("late", 100, 550, "5.1.1", 5000); /* all others are over */
    CHECK(count_known("late", 100, RECIPIENT_UNKNOWN_THERE, 5001) >= 98);
    shared_table_free(table);
    table = NULL;
}

static const struct test_case tests[] = {
    TEST(only_what_is_beyond_doubt_is_remembered),
    TEST(is_over_in_time),
    TEST(the_last_answer_counts),
    TEST(one_recipient_is_not_another),
    TEST(a_ttl_of_0_remembers_nothing),
    TEST(a_flood_pushes_out_its_own),
};
TEST_MAIN(tests)
