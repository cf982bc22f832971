/* All of wirecheck on hostile captures: both wires, a log and a configuration, read, joined and judged by every invariant.
 *
 * Input: north pcap, south pcap, log, ini, each with its length in front (four octets, the most significant first); a length beyond the end
 * means the rest. They are handed over as files in memory. die() must not end the process here: the linker leads it to __wrap_die()
 * (CMakeLists.txt), which jumps back; what was allocated until then is lost, so leaks are not looked for. */
#include "invariant.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILES = 4, PATH = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __wrap_die(int status, const char *format, ...) __attribute__((noreturn));
const char *__asan_default_options(void);

static jmp_buf death;

void __wrap_die(int status, const char *format, ...)
{
    (void)status, (void)format;
    longjmp(death, 1);
}

const char *__asan_default_options(void)
{
    return "detect_leaks=0:allocator_may_return_null=1";
}

/* The next file of the input, in memory. */
static int next_file(const uint8_t **data, size_t *size)
{
    int file = memfd_create("fuzz", 0);
    size_t n = 0;

    for (int i = 0; i < 4 && *size > 0; i++, ++*data, --*size)
        n = n << 8 | **data;
    if (n > *size)
        n = *size;
    if (file < 0 || write(file, *data, n) != (ssize_t)n || lseek(file, 0, SEEK_SET) != 0)
        abort();
    *data += n;
    *size -= n;
    return file;
}

static void judge_all(const struct trial *t)
{
    static const struct invariant *const families[] = {
        custody_invariants, relaying_invariants, framing_invariants,  encryption_invariants,
        timing_invariants,  logging_invariants,  question_invariants,
    };

    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (const struct invariant *i = families[f]; i->id != NULL; i++) {
            struct tally tally = { 0 };
            if (!i->needs_east)
                i->judge(t, &tally);
            tally_free(&tally);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trial trial; /* behind longjmp() */
    static int file[FILES];
    char path[FILES][PATH];

    for (int i = 0; i < FILES; i++) {
        file[i] = next_file(&data, &size);
        snprintf(path[i], sizeof path[i], "/proc/self/fd/%d", file[i]);
    }
    if (setjmp(death) == 0) {
        trial_read(&trial,
                   &(struct trial_files){ .north = path[0], .south = path[1], .log = path[2], .config = path[3] });
        judge_all(&trial);
        trial_free(&trial);
    } else {
        close_range((unsigned)file[FILES - 1] + 1, ~0U, 0); /* what was open when it died */
    }
    for (int i = 0; i < FILES; i++)
        close(file[i]);
    return 0;
}
