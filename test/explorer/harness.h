/* SPDX-License-Identifier: MIT */
#ifndef EXPLORER_HARNESS_H
#define EXPLORER_HARNESS_H

/*
 * Runs the library's own cache and depot layers under the explorer: a table of system calls that costs nothing, the
 * library's state put back before each execution, pools without the api layer, and objects that know who holds them.
 */

#include <opool/inline.h>

#include "cache/barrier.h"
#include "cache/cache.h"
#include "cache/reclaim.h"
#include "explorer.h"

enum { HARNESS_OBJECTS = 8 };

/* What the api layer makes of cache and depot, as far as the protocol goes. `front` first: inlined code reads it. */
struct opool {
    struct opool_front front;
    struct opool__cache cache;
    struct opool__depot depot;
};

/* Call first in each init: everything is as when the process started. `shards` of each depot: 1 or 2. */
void harness_reset(unsigned shards);

/* Barriers from the nth one on are refused; 0: never; 1: from the start. After harness_reset, before harness_open. */
void harness_refuse_barrier(unsigned nth);

/* In init: reduced searches run the code of os/lock.c, too, instead of a lock that blocks. */
void harness_real_locks(void);

/* In init: modelled thread t has a record, as if it had used some pool before. */
void harness_attach(unsigned t);

/* Make a pool; magazines of `capacity` objects. */
void harness_open(struct opool *pool, uint32_t capacity);

/* The same with at most `most` objects at once, which harness_build makes. */
void harness_open_bounded(struct opool *pool, uint32_t capacity, unsigned most);

/* In init: `n` objects, objects[first] on, are in the depot, in magazines as full as can be. */
void harness_stock(struct opool *pool, unsigned first, unsigned n);

/* A tick as pool/api/tick.c makes it, for all pools that are open; then tear-down of what is due, which no get or put
   may have used since the tick before the last one began. Returns the tick's number. */
unsigned harness_tick(void);

/* The first half of it, and the second. */
unsigned harness_age(void);
void harness_tear_down(void);

/* In fini: three ticks, after which nothing may be idle. */
void harness_ticks_leave_nothing(void);

/* Ticks do not see the pool any more: as when destroy waited for them. */
void harness_hide(struct opool *pool);

/* The object is torn down, as after a discard. */
void harness_discard(struct opool *pool, int object);

/* An object comes into being: as init does, by permit of the pool's store. */
int harness_build(struct opool *pool);

/* The running thread's clock goes on by so many milliseconds. */
void harness_later(unsigned ms);

/* In init: it does so by harness_later only, and bounded waits do not end by themselves. */
void harness_stop_clock(void);

/* Tear down all that is in the depot, as opool_release does. */
void harness_release(struct opool *pool);

/* In init: modelled thread t runs this; nothing else does. */
void harness_run_as(unsigned t, void (*step)(void));

/* By the inlined fast path and what it falls back to. get: -1 when nothing is idle here; else the number of the object,
   which the running thread holds from now on: a bug if anybody held it. */
int harness_get(struct opool *pool);
void harness_put(struct opool *pool, int object);

/* The running thread holds an object that it took from the pool's store; returns its number. */
int harness_hold(void *object);

/* The same by runs, of up to two objects. */
void harness_get_two(struct opool *pool, int objects[2]);
void harness_put_two(struct opool *pool, const int objects[2]);

/* As a thread without a cache: hold one object, if there is one in the depot. */
void harness_pop(struct opool *pool);

/* In fini: close the pool, and find each of the objects first to first + n - 1 exactly once: held, or idle in the pool.
 */
void harness_account(struct opool *pool, unsigned first, unsigned n);

/* The same for the objects that harness_build made. */
void harness_account_built(struct opool *pool);

/* The same in the child of a fork, where up to `lost` objects may be nowhere: threads that are no more had them in
   their hands. */
void harness_account_forked(struct opool *pool, unsigned first, unsigned n, unsigned lost);

/* A bug if there is an object and it is not one of first to first + n - 1: it came out of a pool that it never went
 * into. */
void harness_check_range(int object, unsigned first, unsigned n);

/* close until it succeeds, as settle does. */
void harness_close(struct opool *pool);

#endif
