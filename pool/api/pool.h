/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_POOL_H
#define OPOOL_API_POOL_H

/*
 * struct opool, and what the files of this layer share.
 *
 * Handles are type-stable memory: a stale one is still a struct opool, and says DESTROYED until it serves another pool.
 *
 * Where an idle object may be: in the head of a thread's cache, in a magazine of the depot, in the depot's locked
 * store. A pool is either `cached` (all three), or not (the store alone: pools with a capacity, in a region, under full
 * checks, or without a number).
 */

#include <opool/inline.h>

#include "cache/cache.h"
#include "shape/fit.h"

/* ENDING: inside destroy. */
enum opool__state { OPOOL__NONE, OPOOL__OPEN, OPOOL__CLOSING, OPOOL__ENDING, OPOOL__DESTROYED };

enum { OPOOL__NAME_MOST = 80 };

struct opool {
    struct opool_front front; /* ABI: what inlined code reads */

    /* Set by create: */
    struct opool_type type;
    void *arg;
    struct opool__label label;
    char name[OPOOL__NAME_MOST], type_name[OPOOL__NAME_MOST];
    size_t capacity, keep; /* as asked for; capacity of a region: what fits */
    bool cached;

    struct opool__slab slab;
    struct opool__depot depot;
    struct opool__cache cache;
    uint32_t fit_lock;
    struct opool__fit fit; /* owning types */

    uint32_t shared_state; /* enum opool__state; written under the registry lock */
    uint32_t shared_pins;  /* threads that need the pool to stay; down only under the registry lock */
    uint32_t index;        /* in the table of handles */

    /* Figures of slow paths; relaxed. Gets and puts that went through a head are counted by cache and depot. */
    uint64_t shared_built, shared_torn_down, shared_discarded, shared_bloated, shared_gets, shared_puts,
        shared_live_peak, shared_capacity_fails, shared_memory_fails, shared_init_fails;
};

static inline void opool__count(uint64_t *counter)
{
    opool__add_relaxed(counter, 1u);
}

static inline enum opool__state opool__state_of(const struct opool *pool)
{
    /* acquire: who sees CLOSING sees what close did before. */
    return (enum opool__state)opool__load_acquire(&pool->shared_state);
}

/* ---- options.c ---- */

/* What OPOOL_CHECKS says, read once; basic when it says nothing. */
enum opool_checks opool__checks_default(void);

/* ---- process.c ---- */

/* Once a process: fork handlers, the thread end hook, barriers. 0 or -ENOMEM. */
int opool__process_init(void);

/* ---- registry.c ---- */

/* Handles. `claim` gives a zeroed one, NULL: no memory; `publish` lets walks see it; `retire` makes it DESTROYED and
   keeps it so until many others were retired. */
struct opool *opool__registry_claim(void);
void opool__registry_publish(struct opool *pool);
void opool__registry_retire(struct opool *pool);

/* The next pool after `previous` in state OPEN or CLOSING; NULL: none. */
struct opool *opool__registry_next(const struct opool *previous);
struct opool *opool__registry_next_locked(const struct opool *previous);

/* Guards states, pins, and the set of handles. */
extern uint32_t opool__registry_lock;
void opool__registry_lock_handles(void);
void opool__registry_unlock_handles(void);
void opool__registry_reset_locks(void);

/* ---- object life: build.c ---- */

/* A new object, counted as built and handed out; NULL with errno. */
void *opool__build(struct opool *pool);

/* fini and give the slot up. The object is out, and not in any cache. */
void opool__tear_down(struct opool *pool, void *object);

/* What the callback of an owning type says. */
struct opool_footprint opool__footprint(struct opool *pool, const void *object);

/* Reset and clear. False: refused. */
bool opool__reset(struct opool *pool, void *object);

/* The calling thread is inside a callback of some pool that was called out of line. */
bool opool__in_callback(void);

/* ---- pin.c ---- */

/* Keep a pool in state OPEN or CLOSING from being freed, until unpin; false: it is in neither. */
bool opool__pin(struct opool *pool);
/* The same for one who holds an object of it or a permit to build one, and so needs no look at the state. */
void opool__pin_held(struct opool *pool);
/* Settles the pool if it is closing. Outside all locks. */
void opool__unpin(struct opool *pool);
/* The same under the registry lock, and without settling; true: nobody else pins the pool. */
bool opool__unpin_locked(struct opool *pool);

/* ---- destroy.c ---- */

/* After giving something back to a closing pool: tear down what is idle, and free the pool if nothing is left. */
void opool__settle(struct opool *pool);

/* At moments that come now and then, and when a thread ended: settle all closing pools. */
void opool__settle_all(void);

/* Undo what create did, for a pool that nobody saw. */
void opool__discard_pool(struct opool *pool);

/* ---- check.c ---- */

/* Abort with a line unless `object` is one of this pool that is out. Nothing with checks off. */
void opool__check_object(struct opool *pool, const char *call, const void *object);

/* Abort, unless checks are off: a call on a pool that was destroyed, or on none. */
void opool__check_pool(const struct opool *pool, const char *call, const void *object);

/* ---- fork.c ---- */

int opool__fork_init(void);

#endif
