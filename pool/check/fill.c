/* SPDX-License-Identifier: MIT */
#include "check/fill.h"

#include <string.h>

/* Copies whole objects, of which bytes may never have been written: that is no use of them. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define READS_OBJECTS __attribute__((no_sanitize("memory"), noinline))
#endif
#endif
#ifndef READS_OBJECTS
#define READS_OBJECTS
#endif

READS_OBJECTS struct opool__damage opool__fill_check(const void *at, size_t bytes, unsigned char value)
{
    const unsigned char *byte = at;
    size_t first = 0, end = bytes;
    /* All equal to the first, which is the value: memcmp is faster than a loop of bytes. */
    if (bytes == 0 || (byte[0] == value && memcmp(byte, byte + 1, bytes - 1) == 0))
        return (struct opool__damage){0, 0};
    while (first < end && byte[first] == value)
        first++;
    while (end > first && byte[end - 1] == value)
        end--;
    return (struct opool__damage){first, end - first};
}

void opool__fill(void *at, size_t bytes, unsigned char value)
{
    memset(at, value, bytes);
}

void opool__fill_hide(void *object, void *copy, size_t bytes)
{
    memcpy(copy, object, bytes);
    memset(object, OPOOL__FILL_IDLE, bytes);
}

void opool__fill_show(void *object, const void *copy, size_t bytes)
{
    memcpy(object, copy, bytes);
}
