/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_TRACE_H
#define OPOOL_API_TRACE_H

/*
 * Pools whose gets and puts all come out of line, one by one, because somebody looks at each: full checks, which keep
 * the life of every object (check/life.h) and hide idle ones (check/fill.h), and the put audit. Here is what each gets
 * to see, and when. Nothing here is called for a pool that is not traced.
 *
 *     slot:   [ object | zone ]    the zone reaches to the next slot; under full checks it has 32 bytes or more
 *
 * A write past the end shows in the zone at the object's next call, one before the start in the last bytes of the zone
 * in front, where that is of the same slab.
 */

#include <stdbool.h>
#include <stddef.h>

struct opool;
struct opool__label;
struct opool__text;

/* Bytes that a slot has beyond its object, at least. */
size_t opool__trace_zone(const struct opool *pool, bool region);

/* With label, type and slab set. 0 or -ENOMEM. */
int opool__trace_start(struct opool *pool);
void opool__trace_end(struct opool *pool);

/* A slot becomes an object: before init. False: no memory. */
bool opool__trace_built(struct opool *pool, void *object);

/* The calling thread has it from now on; call is "get". Objects that are idle are shown again. */
void opool__trace_got(struct opool *pool, void *object);

/* A put or discard begins: the object is the caller's, until it is idle or gone. */
void opool__trace_claim(struct opool *pool, const char *call, void *object);

/* It was reset, and is idle from now on. */
void opool__trace_idle(struct opool *pool, void *object);

/* Where the bytes are kept that an object of an owning pool held when it was put last. */
void *opool__trace_held(const struct opool *pool, void *object);

/* It is torn down: before clear and fini, and after them. */
void opool__trace_ending(struct opool *pool, void *object);
void opool__trace_gone(struct opool *pool, void *object);

/* Around the calls of users for traced pools; `caller` is where the call returns to, for call stacks. Under full checks
   a call on a thread that is inside one already, and not in a callback of it, is a signal handler's: a fault. */
struct opool__call {
    unsigned inside;
    const void *caller;
};
struct opool__call opool__call_begin(const struct opool *pool, const char *call, const void *object,
                                     const void *caller);
void opool__call_end(struct opool__call before);

/* Of the innermost such call on this thread; NULL: it is in none. */
const void *opool__caller(void);

#endif
