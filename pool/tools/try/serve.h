/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_SERVE_H
#define OPOOL_TOOLS_TRY_SERVE_H

/*
 * Pools of the configured sizes. A pool has a capacity, so that its slots lie in one range (opool_slots_of) and any
 * pointer is judged by its address alone: `opool__served_span` holds all ranges, a table leads to the one in question.
 *
 * No recursion: what the library asks of malloc while it serves this thread, as what a signal handler in the middle of
 * it asks, goes to the allocator behind. What such a call frees waits in a list until somebody leaves.
 */
#include <opool/inline.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "count.h"

/* The slots of one pool. */
struct opool__served {
    struct opool *pool;
    struct opool_slots slots;
    uintptr_t base;
    size_t bytes;  /* of the range */
    size_t usable; /* bytes of a slot */
    size_t least;  /* of a request */
    uint32_t kind;
};

struct opool__served_span {
    uintptr_t base, bytes; /* of all ranges together; 0 bytes: nothing is served */
};

extern __attribute__((visibility("hidden"))) struct opool__served_span opool__served_span;

/* Sizes up to this one have a table. */
enum { OPOOL__SERVED_SMALL = 32 << 10 };

/* The pool that serves so many bytes, plus 1; 0: none does. */
extern __attribute__((visibility("hidden"))) uint8_t opool__served_small[OPOOL__SERVED_SMALL + 1];

__attribute__((visibility("hidden"))) uint8_t opool__served_large(size_t size);
__attribute__((visibility("hidden"))) const struct opool__served *opool__served_in_span(const void *at);

/* Pools for all sizes. At the start, once; afterwards nothing here changes. `epoch_ms`: as in opool_options. */
__attribute__((visibility("hidden"))) void opool__serve_start(const struct opool__try_config *config,
                                                              unsigned epoch_ms);

/* An object for a request of `size` bytes; NULL: it is none of ours, or there is no room. errno stays as it is. */
__attribute__((visibility("hidden"))) void *opool__serve_get(uint32_t which, size_t align);
__attribute__((visibility("hidden"))) void opool__serve_put(const struct opool__served *served, void *at);

/* Blocks that were freed inside; each begins with the address of the next. */
extern __attribute__((visibility("hidden"))) void *opool__serve_shared_waiting;
__attribute__((visibility("hidden"), cold)) void opool__serve_put_waiting(void);

/* This thread enters the library: false, it is inside already. */
static inline bool opool__serve_enter(void)
{
    if (OPOOL__UNLIKELY(opool__load_relaxed(&opool__me.inside)))
        return false;
    opool__store_relaxed(&opool__me.inside, 1u);
    opool__light_barrier();
    return true;
}

static inline void opool__serve_leave(void)
{
    opool__light_barrier();
    opool__store_relaxed(&opool__me.inside, 0u);
    if (OPOOL__UNLIKELY(opool__load_relaxed(&opool__serve_shared_waiting) != NULL))
        opool__serve_put_waiting();
}

static inline uint8_t opool__served_which(size_t size)
{
    return OPOOL__LIKELY(size <= OPOOL__SERVED_SMALL) ? opool__served_small[size] : opool__served_large(size);
}

/* The pool in whose range this address lies; NULL: it is none of ours. */
static inline const struct opool__served *opool__served_of(const void *at)
{
    if (OPOOL__LIKELY((uintptr_t)at - opool__served_span.base >= opool__served_span.bytes))
        return NULL;
    return opool__served_in_span(at);
}

#endif
