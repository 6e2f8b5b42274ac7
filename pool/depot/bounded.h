/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_DEPOT_BOUNDED_H
#define OPOOL_DEPOT_BOUNDED_H

/*
 * The locked store of a pool: a stack of idle objects, a count of those that exist, and a queue of waiters. Pools with
 * a capacity, in a region, or under full checks have all their objects here; the others only what fits no magazine.
 *
 * The stack is linked through the slots' links, out of line, so that a put needs no memory and writes into no object.
 *
 *     held <= capacity;  held counts objects (idle, out) and permits to build one
 *     a waiter is queued only while nothing is idle and held == capacity
 *
 * No get overtakes a waiter: what a put or a returned permit frees goes straight to the oldest one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/report.h"
#include "slab/slab.h"

struct opool__waiter;

struct opool__bounded {
    uint32_t lock;
    uint32_t shared_top; /* slot index of the top idle object, OPOOL__SLOT_NONE: none; peeked without the lock */
    const struct opool__slab *slab;
    const struct opool__label *label;
    size_t capacity, held, idle;
    struct opool__waiter *oldest, **newest_link;
    bool closed;
};

enum opool__bounded_result {
    OPOOL__BOUNDED_OBJECT, /* *object is the caller's */
    OPOOL__BOUNDED_PERMIT, /* the caller may build one; it calls opool__bounded_return when it can not */
    OPOOL__BOUNDED_FULL,   /* nothing idle, capacity reached, and the time is over */
    OPOOL__BOUNDED_CLOSED
};

/* capacity 0: no limit. */
void opool__bounded_init(struct opool__bounded *store, const struct opool__slab *slab, size_t capacity,
                         const struct opool__label *label);

/* Waits up to timeout_ms (-1: for ever, 0: not) when all is out. */
enum opool__bounded_result opool__bounded_take(struct opool__bounded *store, int timeout_ms, void **object);

/* A permit to build one more, though others may be idle; false: capacity reached. */
bool opool__bounded_permit(struct opool__bounded *store);

/* An idle object, if there is one: for threads that look here after their magazines, and for tear-down. Takes what
   would be handed to no waiter. NULL: none. */
void *opool__bounded_pop(struct opool__bounded *store);

/* An object, reset. To the oldest waiter or on the stack. An object that is idle already is a fault. */
void opool__bounded_give(struct opool__bounded *store, void *object);

/* A permit that was not used, or an object that was torn down. */
void opool__bounded_return(struct opool__bounded *store);

/* Are there objects, or permits to build one? */
bool opool__bounded_holds(struct opool__bounded *store);

/* Takes find nothing from now on and waiters are woken. */
void opool__bounded_close(struct opool__bounded *store);

/* In the child of a fork: waiters are gone; `existing` objects are held. */
void opool__bounded_adopt(struct opool__bounded *store, size_t existing);

#endif
