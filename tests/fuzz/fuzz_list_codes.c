/* A return code of a block list, and the address after its first blank as an answer: what is read prints as itself or less, holds
 * no alarm, and says "listed" of exactly the addresses within its ranges.
 */
#include "fuzz.h"
#include "policy/list.h"

static bool is_within(const struct list_code *code, const struct address *address)
{
    for (size_t i = 0; i < 4; i++)
        if (address->byte[12 + i] < code->low[i] || address->byte[12 + i] > code->high[i])
            return false;
    return address_is_v4(address);
}

static void must_print_as_itself(const struct list_code *code)
{
    char text[LIST_CODE_TEXT_MAX];
    size_t n = list_code_print(code, text);
    struct list_code again;

    REQUIRE(n < sizeof text && text[n] == '\0');
    REQUIRE(list_code_parse(str_from(text, n), &again));
    for (size_t i = 0; i < 4; i++)
        REQUIRE(code->low[i] <= code->high[i] && again.low[i] == code->low[i] && again.high[i] == code->high[i]);
    REQUIRE(again.points == code->points && code->points <= 100);
}

static void must_read(const struct list_code *code, struct str text)
{
    const struct list_policy list = { .codes = { code, 1 }, .points = 7 };
    uint64_t points = 0;
    enum list_word word = list_read(&list, text, &points);
    struct address address;
    bool is_address = address_parse(text, &address);

    REQUIRE(is_address || word == LIST_SAYS_ALARM);
    REQUIRE((word == LIST_SAYS_ALARM) == list_is_alarm(text));
    if (is_address)
        REQUIRE((word == LIST_SAYS_LISTED) == is_within(code, &address));
    if (word == LIST_SAYS_LISTED)
        REQUIRE(points == (code->points > 0 ? code->points : 7));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_from((const char *)data, size);
    size_t n = str_find(text, ' ');
    struct list_code code;

    if (!list_code_parse(str_from(text.p, n), &code))
        return 0;
    must_print_as_itself(&code);
    must_read(&code, STR("127.0.0.1"));
    must_read(&code, STR("127.255.255.254"));
    must_read(&code, str_skip(text, n < text.n ? n + 1 : n));
    return 0;
}
