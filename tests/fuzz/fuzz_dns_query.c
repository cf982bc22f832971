/* Our own DNS queries. The name in front (a length, and its octets) is a key as SPF macros make them: a query of it is
 * a message to c-ares too, that asks for this name and nothing else, and is no answer. The rest is what a server sends
 * back: taken for the answer only when its head says what RFC 5452 9.1 wants it to, whatever follows.
 */
#include <ares.h>

#include "fuzz.h"
#include "proxy/resolver_parts.h"

enum { ID = 0x1234, TYPE = 16 };

static void require_question(const struct dns_query *query, struct str key, bool has_opt)
{
    ares_dns_record_t *message = NULL;
    ares_dns_rec_type_t type;
    ares_dns_class_t class;
    const char *name;
    char text[DNS_TEXT_MAX];
    size_t n;

    REQUIRE(ares_dns_parse(query->octet + DNS_LENGTH, query->n, 0, &message) == ARES_SUCCESS);
    REQUIRE(ares_dns_record_get_id(message) == ID && ares_dns_record_get_flags(message) == ARES_FLAG_RD);
    REQUIRE(ares_dns_record_query_cnt(message) == 1);
    REQUIRE(ares_dns_record_query_get(message, 0, &name, &type, &class) == ARES_SUCCESS);
    REQUIRE(type == ARES_REC_TYPE_TXT && class == ARES_CLASS_IN);
    REQUIRE(dns_name_read(name, text, &n) && str_ieq(str_from(text, n), key));
    REQUIRE(ares_dns_record_rr_cnt(message, ARES_SECTION_ADDITIONAL) == has_opt);
    ares_dns_record_destroy(message);
}

static void require_match(const struct dns_query *query, const uint8_t *p, size_t n)
{
    const uint8_t *own = query->octet + DNS_LENGTH;

    REQUIRE(n >= query->question_end && p[0] == own[0] && p[1] == own[1] && (p[2] & 0xf8) == 0x80);
    REQUIRE(p[4] == 0 && p[5] == 1);
    REQUIRE(str_ieq(str_from((const char *)p + 12, query->question_end - 12),
                    str_from((const char *)own + 12, query->question_end - 12)));
    REQUIRE(dns_answer_code(p) <= 15 && dns_answer_is_truncated(p) == ((p[2] & 2) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length = size > 0 ? data[0] : 0;
    struct str key;
    struct dns_query query;
    char name[DNS_NAME_MAX + 1];
    uint8_t *answer;

    if (size < 1 + length)
        return 0;
    key = str_from((const char *)data + 1, length);
    if (dns_name_write(key, name) == DNS_NAME_BAD)
        return 0;
    for (int has_opt = 0; has_opt < 2; has_opt++) {
        dns_query_write(&query, name, TYPE, ID, has_opt);
        REQUIRE(query.n <= DNS_QUERY_MAX && query.question_end <= query.n);
        require_question(&query, key, has_opt);
        REQUIRE(!dns_query_is_answered(&query, query.octet + DNS_LENGTH, query.n));
    }
    data += 1 + length;
    size -= 1 + length;
    answer = malloc(size + 1); /* as long as it is, so that a sanitizer sees an octet too many */
    if (answer == NULL)
        abort();
    memcpy(answer, data, size);
    if (dns_query_is_answered(&query, answer, size))
        require_match(&query, answer, size);
    query.octet[DNS_LENGTH + 2] |= 0x80; /* its own question, given back: whatever the case of its letters */
    REQUIRE(dns_query_is_answered(&query, query.octet + DNS_LENGTH, query.question_end));
    REQUIRE(!dns_query_is_answered(&query, query.octet + DNS_LENGTH, query.question_end - 1));
    free(answer);
    return 0;
}
