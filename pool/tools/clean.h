/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_CLEAN_H
#define OPOOL_TOOLS_CLEAN_H

/* Names from files and programs, as a terminal may see them: no control characters, which it would obey. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Bytes of a well-formed UTF-8 character at `at`, where a NUL ends the text, that is no control character; 0: it is
   none. */
static inline size_t opool__clean_length(const unsigned char *at)
{
    if (at[0] < 0x80)
        return at[0] >= 0x20 && at[0] != 0x7f;
    size_t length = at[0] >= 0xc2 && at[0] <= 0xdf   ? 2
                    : at[0] >= 0xe0 && at[0] <= 0xef ? 3
                    : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4
                                                     : 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0, beyond = at[0] == 0xf4 && at[1] >= 0x90;
    bool control = at[0] == 0xc2 && at[1] < 0xa0;
    return overlong || surrogate || beyond || control ? 0 : length;
}

/* A '?' in the place of each other byte. Returns `text`. */
static inline char *opool__clean(char *text)
{
    for (char *at = text; *at;) {
        size_t length = opool__clean_length((const unsigned char *)at);
        if (length == 0)
            *at = '?';
        at += length ? length : 1;
    }
    return text;
}

/* The same of a copy, cut to what `to` holds. */
static inline char *opool__clean_copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
    return opool__clean(to);
}

#endif
