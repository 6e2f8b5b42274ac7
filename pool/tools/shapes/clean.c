/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "report.h"

/* Bytes of a well-formed UTF-8 character at `at` that a terminal may see; 0: it is none. */
static size_t good_length(const unsigned char *at)
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

const char *opool__shapes_clean(struct memory *memory, const char *text)
{
    const unsigned char *from = (const unsigned char *)text;
    char *clean = opool__shapes_take(memory, strlen(text) + 1), *to = clean;
    while (*from) {
        size_t length = good_length(from);
        if (length == 0)
            *to++ = '?';
        else
            memcpy(to, from, length);
        to += length;
        from += length ? length : 1;
    }
    return clean;
}
