/* The inside of the MIME walker, shared by the mime*.c files.
 *
 * - mime.c: lines, boundaries, levels
 * - mime_field.c: what the fields of a part say, in every reading
 * - mime_content.c: the first octets of a part, decoded
 * - mime_report.c: what is told, as text
 */
#ifndef POLICY_MIME_PARTS_H
#define POLICY_MIME_PARTS_H

#include "mime.h"

/* FNV-1a. A sender who makes two texts with one hash has a line taken for a boundary that is none: one part more. */
#define MIME_HASH_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t mime_hash(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}

static inline void mime_note(struct mime *m, enum mime_oddity oddity)
{
    m->odd |= 1u << oddity;
}

/* ---- mime_field.c ---- */

/* False when it is none that is read. */
bool mime_field(struct mime *, struct str name, struct str value);

/* ---- mime_content.c ---- */

void mime_window_open(struct mime *);
void mime_window_add(struct mime *, struct str octets);
/* Recognises what the window holds. Does nothing when it is closed. */
void mime_window_close(struct mime *);

/* ---- mime_report.c ---- */

void mime_record_open(struct mime *);
/* False when the open record takes no more words. */
bool mime_has_words(struct mime *);
/* A word of the open record, once: `key` with its "=". One longer than 120 octets loses its middle. */
void mime_tell(struct mime *, const char *key, struct str value);
/* The same, of a name that a part or a member of an archive has. */
void mime_tell_name(struct mime *, const char *key, struct str name);
void mime_record_close(struct mime *);
void mime_report(struct mime *, struct facts *);

#endif
