/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_LIFE_H
#define OPOOL_CHECK_LIFE_H

/*
 * What is known of each object of a pool under full checks, by the index of its slot: who has it, since when, and the
 * call stacks of its last get and put. Kept in memory of its own, by leaves that come with the first object in them
 * and stay until the pool goes, so an entry can be read at any time, by a signal handler too.
 *
 *     GONE -> OUT (built) -> CLAIMED (a put began) -> IDLE -> OUT ...
 *             OUT, CLAIMED, IDLE -> GONE (torn down)
 *
 * A put claims its object by one exchange: of two at once one fails, whichever threads they are of. All other changes
 * are made by whoever holds the object.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/text.h"

enum opool__phase { OPOOL__PHASE_GONE, OPOOL__PHASE_OUT, OPOOL__PHASE_CLAIMED, OPOOL__PHASE_IDLE };

/* How an object came where it is: a call, made by a thread. */
struct opool__event {
    uint64_t thread; /* 0: it never happened */
    uint64_t at;     /* os.now */
    uint32_t stack;  /* check/stack.h */
};

/* Of an object that `thread` claims, in one word: whoever comes second names it. Threads have numbers below 2^22. */
static inline uint32_t opool__phase_claimed(uint64_t thread)
{
    return (uint32_t)thread << 2 | OPOOL__PHASE_CLAIMED;
}

static inline enum opool__phase opool__phase_of(uint32_t phase)
{
    return (enum opool__phase)(phase & 3);
}

static inline uint64_t opool__phase_claimer(uint32_t phase)
{
    return phase >> 2;
}

/* Behind it stands the copy of the object, where there is one. */
struct opool__entry {
    uint32_t shared_phase; /* enum opool__phase; and of one that is claimed by whom, see opool__phase_claimed */
    struct opool__event got, put;
    size_t held; /* of an owning pool's object: bytes that it held when it was put last */
} __attribute__((aligned(16)));

struct opool__life {
    void **top; /* NULL: nothing is known; entries: top[index >> (shift + 10)][index >> shift & 1023][low bits] */
    size_t top_bytes, leaf_bytes, entry_bytes;
    unsigned shift;
    uint32_t lock;         /* around new leaves */
    uint64_t shared_bytes; /* of top and leaves; relaxed */
};

/* `copy_bytes` behind each entry; `slots`: an upper bound of their number; the first `at_once` entries are made now. 0
   or -ENOMEM. */
int opool__life_start(struct opool__life *life, size_t copy_bytes, size_t slots, size_t at_once);
void opool__life_end(struct opool__life *life);

static inline bool opool__life_known(const struct opool__life *life)
{
    return life->top != NULL;
}

/* NULL: no object was ever there. */
struct opool__entry *opool__life_at(const struct opool__life *life, uint32_t index);

/* The same, made where there is none; NULL: no memory. */
struct opool__entry *opool__life_make(struct opool__life *life, uint32_t index);

static inline void *opool__life_copy(struct opool__entry *entry)
{
    return entry + 1;
}

/* By the calling thread, now; `caller`: as opool__stack_from has it, or NULL. */
void opool__life_note(struct opool__event *event, const void *caller);

/* "opool:   last got by thread 4711 at" with the stack's lines, for a fault's story; nothing if it never happened.
   Async-signal-safe. */
void opool__life_tell(struct opool__text *text, const char *what, const struct opool__event *event);

#endif
