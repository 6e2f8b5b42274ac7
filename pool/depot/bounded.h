/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_DEPOT_BOUNDED_H
#define OPOOL_DEPOT_BOUNDED_H

/*
 * The locked store of a pool: idle objects by age, a count of those that exist, and a queue of waiters. Pools in a
 * region or under full checks, and pools at their capacity, have all idle objects here; the others those that fit no
 * magazine, and those that a tick found unused.
 *
 *     recent    put here, newest on top; the `low` lowest of them were not used since the last tick
 *     victims   not used during one whole epoch; only ticks add to them
 *     doomed    not used during two: whoever ticks tears them down
 *
 * A take looks in this order, so an object that is wanted again escapes as long as it is there; it takes the top, under
 * full checks any one of the first eight. The lists are linked through the slots' links, out of line, so that a put
 * needs no memory and writes into no object.
 *
 *     held <= capacity;  held counts objects (idle, out, dying) and permits to build one
 *     a waiter is queued only while nothing is idle and held == capacity
 *
 * No take overtakes a waiter: what a put or a returned permit frees goes straight to the oldest one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/report.h"
#include "slab/slab.h"

enum opool__age { OPOOL__RECENT, OPOOL__VICTIM, OPOOL__DOOMED, OPOOL__AGES };

/* Slot indexes, each object's link is the next one below it; NONE: empty. */
struct opool__chain {
    uint32_t top, bottom;
    uint64_t count;
};

/* Where idle objects may be. LOOSE: here and in caches. TIGHTENING: caches get no more, but some may hold some still.
   TIGHT: here only. */
enum opool__tight { OPOOL__LOOSE, OPOOL__TIGHTENING, OPOOL__TIGHT };

enum opool__bounded_result {
    OPOOL__BOUNDED_OBJECT, /* *object is the caller's */
    OPOOL__BOUNDED_PERMIT, /* the caller may build one; it calls opool__bounded_return when it can not */
    OPOOL__BOUNDED_FULL,   /* all are out */
    OPOOL__BOUNDED_UNSURE, /* none is here; caches may hold some */
    OPOOL__BOUNDED_DYING,  /* those that are not out are torn down just now: who queues gets their permits */
    OPOOL__BOUNDED_CLOSED
};

/* Lives on the stack of the thread that waits; in the queue exactly while shared_state is WAITING, under the lock. */
struct opool__waiter {
    struct opool__waiter *next;
    uint32_t shared_state;
    enum opool__bounded_result result;
    void *object;
};

struct opool__bounded {
    uint32_t lock;
    uint64_t shared_idle; /* of all ages; peeked without the lock */
    struct opool__chain ages[OPOOL__AGES];
    /* How many recent ones were not used since the last tick, and which object lies on top of these. */
    uint64_t low;
    uint32_t above_low;
    uint64_t random; /* generator, for full checks; 0: takes come from the top. Under the lock */
    const struct opool__slab *slab;
    const struct opool__label *label;
    size_t capacity, held, dying;
    uint32_t shared_tight; /* enum opool__tight; LOOSE is written under the lock, the others by the reclaimer */
    struct opool__waiter *oldest, **newest_link;
    bool closed;
    uint64_t on_the_way;                      /* idle, from a shard to here */
    uint64_t refills, to_caches, from_caches; /* for statistics: times, objects */
};

/* capacity 0: no limit. */
void opool__bounded_init(struct opool__bounded *store, const struct opool__slab *slab, size_t capacity,
                         const struct opool__label *label);

/* What can be had without waiting. */
enum opool__bounded_result opool__bounded_take(struct opool__bounded *store, void **object);

/* The same; FULL, UNSURE, DYING: `waiter` is in the queue now, until it is served or leaves. */
enum opool__bounded_result opool__bounded_queue(struct opool__bounded *store, struct opool__waiter *waiter,
                                                void **object);

/* Sleep until the waiter is served or `deadline` (of os.now; 0: none) is over: then FULL, and it is still queued. */
enum opool__bounded_result opool__bounded_await(struct opool__waiter *waiter, uint64_t deadline, void **object);

/* Give up waiting; what it was served at the last moment, else FULL. */
enum opool__bounded_result opool__bounded_leave(struct opool__bounded *store, struct opool__waiter *waiter,
                                                void **object);

/* A permit to build one more, though others may be idle; false: capacity reached. */
bool opool__bounded_permit(struct opool__bounded *store);

/* An idle object of any age, if there is one: for threads that look here after their magazines, and for tear-down.
   NULL: none. */
void *opool__bounded_pop(struct opool__bounded *store);

/* Up to n idle objects for a thread's cache, the newest last. */
uint32_t opool__bounded_rescue(struct opool__bounded *store, void **objects, uint32_t n);

/* An object, reset. To the oldest waiter or on the stack. An object that is idle already is a fault. */
void opool__bounded_give(struct opool__bounded *store, void *object);

/* Idle objects (state IDLE), oldest first: to waiters, or to the list of their age. */
void opool__bounded_add(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n);

/* The same for those that the last tick saw, and that were not used since: as if they had been here then. */
void opool__bounded_add_unused(struct opool__bounded *store, void *const *objects, uint32_t n);

/* So many idle objects left a shard, under whose lock this is, and will be added; and such objects. */
void opool__bounded_expect(struct opool__bounded *store, uint64_t n);
void opool__bounded_add_expected(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n);

/* As opool__bounded_add for objects that come from a thread's cache: counted. */
void opool__bounded_add_from_cache(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n);

/* A permit that was not used, or an object that was torn down by who had it. */
void opool__bounded_return(struct opool__bounded *store);

/* An idle object that is torn down is neither out nor to be had: it is dying, in a pool with a capacity. Who is about
   to look for one condemns it first, and pardons it when he finds none; after its fini he buries it, which returns its
   permit. */
void opool__bounded_condemn(struct opool__bounded *store);
void opool__bounded_pardon(struct opool__bounded *store);
void opool__bounded_bury(struct opool__bounded *store);

/* Are there objects, or permits to build one? */
bool opool__bounded_holds(struct opool__bounded *store);

/* A tick: victims are doomed, and what was not used since the last one are victims. */
void opool__bounded_age(struct opool__bounded *store);

/* At most `most` stay doomed; the others, the youngest ones, are victims again. */
void opool__bounded_spare(struct opool__bounded *store, uint64_t most);

/* One of the doomed, dying from now on; NULL: none. */
void *opool__bounded_pop_doomed(struct opool__bounded *store);

/* With nobody waiting and a quarter of the capacity free: LOOSE from now on. Under the lock: who takes or queues
   afterwards sees it. */
bool opool__bounded_loosen(struct opool__bounded *store);

/* Takes find nothing from now on and waiters are woken. */
void opool__bounded_close(struct opool__bounded *store);

/* In the child of a fork: waiters are gone; `existing` objects are held. */
void opool__bounded_adopt(struct opool__bounded *store, size_t existing);

#endif
