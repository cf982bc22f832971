/* [dns] of the ini. */
#ifndef PROXY_DNS_SETTINGS_H
#define PROXY_DNS_SETTINGS_H

#include "../policy/option.h"

enum { DNS_SERVERS_MAX = 3 /* as resolv.conf(5) has it */ };

struct dns_settings {
    struct endpoint_list servers; /* empty in the ini: those of the system, see resolver_system_servers */
    uint64_t timeout;             /* ms, for one try at one server */
    uint64_t tries;               /* per server */
    uint64_t in_flight;           /* queries at once, per worker */
    uint64_t in_flight_session;   /* questions of one session at once; held by whoever asks for it */
    uint64_t cache_size;          /* octets, per worker */
    uint64_t cache_ttl;           /* ms, the longest an answer is kept whatever it says */
};

#endif
