/* What a character of base64 stands for (RFC 4648 4). */
#ifndef POLICY_BASE64_H
#define POLICY_BASE64_H

enum { BASE64_NONE = 64 };

/* By octet, from "+" to "z": keys and signatures are hundreds of characters, read in each pass. */
static inline unsigned base64_value(char c)
{
    /* clang-format off */
    static const unsigned char of['z' - '+' + 1] = {
        62, 64, 64, 64, 63, /* + to / */
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61, /* 0 to 9 */
        64, 64, 64, 64, 64, 64, 64, /* : to @ */
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, /* A to Z */
        64, 64, 64, 64, 64, 64, /* [ to ` */
        26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, /* a to z */
    };
    /* clang-format on */
    unsigned at = (unsigned)(unsigned char)c - '+';

    return at < sizeof of ? of[at] : BASE64_NONE;
}

#endif
