/* See proxy_header.h. */
#include "proxy_header.h"

size_t proxy_header_length(struct slice s)
{
    struct slice signature = SLICE("\r\n\r\n\0\r\nQUIT\n");
    size_t end;

    if (slice_equal(slice_part(s, 0, signature.n), signature)) {
        end = s.n < 16 ? 16 : 16 + ((size_t)s.p[14] << 8 | s.p[15]);
        return end < s.n ? end : s.n;
    }
    if (!slice_equal(slice_part(s, 0, 6), SLICE("PROXY ")))
        return 0;
    end = slice_find(slice_part(s, 0, 107), SLICE("\r\n"), 0);
    return end + 2 <= s.n && end + 2 <= 107 ? end + 2 : 0;
}
