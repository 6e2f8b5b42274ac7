/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BEHIND_H
#define OPOOL_TOOLS_BEHIND_H

/*
 * For libraries that are preloaded and wrap malloc: the allocator that comes next in the order of libraries, which
 * does the work. Never by names such as __libc_malloc, which a program's own allocator may define too.
 *
 * To find it the loader may allocate: from a small area of ours, for ever. Everything here may be called in malloc.
 */
#include <opool/inline.h>
#include <stdbool.h>
#include <stddef.h>

/* All NULL until opool__behind_known() was true once. */
struct opool__behind {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*memalign)(size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t); /* may be NULL */
    size_t (*usable_size)(void *);          /* may be NULL */
};

extern __attribute__((visibility("hidden"))) struct opool__behind opool__behind;

/* No thread is there before the first malloc. False: this call comes from the search itself. */
__attribute__((visibility("hidden"))) bool opool__behind_find(void);

static inline bool opool__behind_known(void)
{
    return OPOOL__LIKELY(opool__behind.malloc != NULL) || opool__behind_find();
}

/* What the search itself allocates: zero, aligned to 16 bytes, never taken back; NULL when there is no more. */
__attribute__((visibility("hidden"))) void *opool__first_aid_take(size_t size);
__attribute__((visibility("hidden"))) bool opool__first_aid_has(const void *at);

/* What realloc does with one: a new block, by the malloc that the process uses, which is the wrapped one. */
__attribute__((visibility("hidden"))) void *opool__first_aid_move(const void *at, size_t size);

/* The process's malloc is not ours: the program brings one that the loader finds first. */
__attribute__((visibility("hidden"))) bool opool__behind_is_not_used(void);

#endif
