/*
 * The sysroot's libuv and c-ares were compiled against a newer glibc than Debian 12's, and its headers turn strtol()
 * and strtoul() into these two names (C23: "0b" is read as binary). Sanitizer builds link those archives with the
 * host's glibc, which may lack them. CMake adds this file only then; released binaries never contain it.
 */
#include <stdlib.h>

long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);

long __isoc23_strtol(const char *text, char **end, int base)
{
    return strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
    return strtoul(text, end, base);
}
