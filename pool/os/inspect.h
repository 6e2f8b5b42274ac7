/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_INSPECT_H
#define OPOOL_OS_INSPECT_H

/* How the process looks at itself, for the put audit: entries of the table in os.h, which says what they mean. */

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define OPOOL__HAS_SINGLE_THREADED
#endif
#endif

bool opool__os_read_memory(void *to, const void *from, size_t bytes);
void opool__os_each_segment(bool (*look)(void *arg, const void *at, size_t bytes), void *arg);
void *opool__os_symbol(const char *name);

/* True: no other thread can be inside the program now. False: there may be. */
static inline bool opool__os_alone(void)
{
#if defined(OPOOL__HAS_SINGLE_THREADED) && !defined(OPOOL_EXPLORE)
    return __libc_single_threaded;
#else
    return false;
#endif
}

#endif
