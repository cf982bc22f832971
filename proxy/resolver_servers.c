/* /etc/resolv.conf, of which nothing but the servers counts: names are never searched for, and how often and how long to
 * ask is said in the ini.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "resolver.h"

enum { FILE_MAX = 65536 /* octets read of it */, DNS_PORT = 53 };

static const char path[] = "/etc/resolv.conf";

/* resolv.conf(5): the keyword begins in the first column. An address with a zone ("fe80::1%eth0") does not parse. */
static bool read_line(struct str line, struct endpoint *out)
{
    struct str word, address;

    if (line.n == 0 || line.p[0] == ' ' || line.p[0] == '\t' || !str_word(&line, &word) || !str_word(&line, &address))
        return false;
    out->port = DNS_PORT;
    return str_eq(word, STR("nameserver")) && address_parse(address, &out->address);
}

size_t resolver_servers_of(struct str text, struct endpoint out[DNS_SERVERS_MAX])
{
    size_t n = 0;

    while (text.n > 0 && n < DNS_SERVERS_MAX) {
        size_t length = str_find(text, '\n');
        struct str line = str_from(text.p, length);

        text = str_skip(text, length < text.n ? length + 1 : length);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        n += read_line(line, &out[n]);
    }
    return n;
}

static size_t read_file(char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t n = 1;

    while (fd >= 0 && used < size && n > 0) {
        n = read(fd, out + used, size - used);
        if (n > 0)
            used += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    if (fd >= 0)
        close(fd);
    return used;
}

size_t resolver_system_servers(struct endpoint out[DNS_SERVERS_MAX], bool *found)
{
    static const struct endpoint local = { { { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, DNS_PORT };
    char text[FILE_MAX];
    size_t n = resolver_servers_of(str_from(text, read_file(text, sizeof text)), out);

    *found = n > 0;
    if (n > 0)
        return n;
    out[0] = local;
    return 1;
}
