/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_POOL_H
#define OPOOL_API_POOL_H

/*
 * struct opool, and what the files of this layer share.
 *
 * Handles are type-stable memory: a stale one is still a struct opool, and says DESTROYED until it serves another
 * pool.
 *
 * Where an idle object may be: in the head of a thread's cache, in a magazine of the depot, in the depot's locked
 * store. A pool is either `cached` (all three), or not (the store alone: pools in a region, under full checks, or
 * without a number). Pools that are not cached, and those with a capacity, build by permit of the store.
 */

#include <opool/inline.h>

#include "api/footprint.h"
#include "api/fresh.h"
#include "api/guarded.h"
#include "api/trace.h"
#include "api/watch.h"
#include "cache/cache.h"
#include "check/life.h"
#include "shape/audit.h"

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
    uint64_t epoch_ns; /* options.epoch_ms; 0: slow paths do not tick */

    struct opool__slab slab;
    struct opool__depot depot;
    struct opool__cache cache;
    struct opool__guard guard; /* owning types */
    struct opool__fresh fresh; /* full checks */
    struct opool__watches watches;
    uint32_t shared_sampled;              /* 1: some gets are served from guard slots, see api/guarded.h */
    bool traced;                          /* each get and put is looked at, out of line: api/trace.h */
    struct opool__life life;              /* full checks */
    const struct opool__auditor *auditor; /* NULL: nobody looks at what objects own */
    uint32_t audited_as;

    uint32_t shared_state; /* enum opool__state; written under the registry lock */
    uint32_t shared_pins;  /* threads that need the pool to stay; down only under the registry lock */
    uint32_t index;        /* in the table of handles */

    uint64_t shared_torn_by_tick; /* objects, since the last tick began */
    uint64_t built_at_tick;       /* shared_built then; under the reclaim lock */

    /* Figures of slow paths; relaxed. Gets and puts that went through a head are counted by cache and depot. */
    uint64_t shared_built, shared_torn_down, shared_discarded, shared_bloated, shared_gets, shared_puts,
        shared_live_peak, shared_guarded, shared_capacity_fails, shared_memory_fails, shared_init_fails;
};

/* Does the store count the objects that exist? */
static inline bool opool__by_permit(const struct opool *pool)
{
    return !pool->cached || pool->capacity;
}

static inline bool opool__guarded_some(const struct opool *pool)
{
    return opool__load_relaxed(&pool->shared_sampled) != 0;
}

static inline void opool__count(uint64_t *counter)
{
    opool__add_relaxed(counter, 1u);
}

static inline enum opool__state opool__state_of(const struct opool *pool)
{
    /* acquire: who sees CLOSING sees what close did before. */
    return (enum opool__state)opool__load_acquire(&pool->shared_state);
}

/* ---- process.c ---- */

/* Once a process: fork handlers, the thread end hook, barriers. 0 or -ENOMEM. */
int opool__process_init(void);

/* ---- audit.c ---- */

/* Is anybody there who audits puts? Once a process. */
void opool__audit_find(void);

/* With the pool's label set. An audited pool works out of line: its caches are used by slow paths only. */
void opool__audit_join(struct opool *pool);

/* ---- registry.c ---- */

/* Handles. `claim` gives a zeroed one, NULL: no memory; `publish` lets walks see it; `retire` makes it DESTROYED and
   keeps it so until many others were retired. */
struct opool *opool__registry_claim(void);
void opool__registry_publish(struct opool *pool);
void opool__registry_retire(struct opool *pool);

/* The next pool after `previous` in state OPEN or CLOSING; NULL: none. */
struct opool *opool__registry_next(const struct opool *previous);

/* The same for fork: state ENDING too, under the registry lock or its like. */
struct opool *opool__registry_next_of_all(const struct opool *previous);

/* Guards states, pins, and the set of handles. */
extern uint32_t opool__registry_lock;
void opool__registry_lock_handles(void);
void opool__registry_unlock_handles(void);
void opool__registry_reset_locks(void);

/* The next pool after `previous`, pinned; unpins `previous`, without settling it. For walks that hold the reclaim
   lock: settle_all follows them. */
struct opool *opool__registry_walk(struct opool *previous);

/* ---- object life: build.c ---- */

/* A new object, counted as built and handed out; NULL with errno. */
void *opool__build(struct opool *pool);

/* fini and give the slot up, and the permit with it. The object is out, and not in any cache. */
void opool__tear_down(struct opool *pool, void *object);

/* The same for one of the doomed or condemned. */
void opool__tear_down_idle(struct opool *pool, void *object);

/* The callbacks; init gives an errno value, and does not undo what this library did before. */
int opool__call_init(struct opool *pool, void *object);
void opool__call_fini(struct opool *pool, void *object);

/* One more exists. */
void opool__note_built(struct opool *pool);

/* Reset and clear. False: refused. */
bool opool__reset(struct opool *pool, void *object);

/* The calling thread is inside a callback of some pool that was called out of line, or that of the log. */
bool opool__in_callback(void);
/* Around each callback, that of a watch: the result of its begin is for its end. */
int opool__callback_begin(void);
void opool__callback_end(int state);
int opool__crossing_begin(void);
void opool__crossing_end(int state);

/* The calling thread is inside a callback of any kind: `call` is refused, with a line unless checks are off.
   `crossing_may`: not from that of a watch. */
bool opool__refused_in_callback(const char *call, bool crossing_may);

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

/* ---- leaks.c ---- */

/* Tell what is out of a pool that is being destroyed, under full checks. Outside all locks. */
void opool__leaks_of(struct opool *pool);

/* In the child of a fork. */
void opool__leaks_forked(void);

/* ---- check.c ---- */

/* Abort with a line unless `object` is one of this pool that is out, as far as its slot's state says; `object` looks
   at what this thread put last, too. Nothing with checks off. */
void opool__check_out(struct opool *pool, const char *call, const void *object);
void opool__check_object(struct opool *pool, const char *call, const void *object);

/* Abort, unless checks are off: a call on a pool that was destroyed, or on none. */
void opool__check_pool(const struct opool *pool, const char *call, const void *object);

/* ---- tick.c ---- */

/* What a tick found, for whoever decides when the next one is due. */
struct opool__tick_report {
    uint64_t epoch;
    uint64_t idle_bytes;      /* of all pools, beyond `keep`, before it tore down what was due */
    uint64_t torn_down;       /* objects, by this tick */
    uint64_t torn_down_bytes; /* of these */
    uint64_t rebuilt_bytes;   /* of what the tick before tore down, built again since */
    uint64_t left_idle;       /* objects beyond `keep`, afterwards */
    uint64_t heads;           /* caches in use */
    bool untrimmed;           /* memory of free slots was left for a later tick */
};

/* One tick. Not from inside a callback. */
struct opool__tick_report opool__tick(void);

/* Bytes of idle objects of all pools beyond `keep`, as far as that can be said without a look at threads' caches: these
   count with what the last tick found in them. */
uint64_t opool__idle_bytes(void);

/* Is there anything that a later tick could tear down? Looks under the locks, see epoch/epoch.h. */
bool opool__anything_idle(void);

/* In slow paths, by who holds an object of an open pool or has just put one: what the pool's options ask for beside
   the get or put itself. Ticks if one is due, with few tear-downs; compares with watermarks; leaves the tight mode. */
void opool__look_around(struct opool *pool);

/* ---- ticker.c: the background thread ---- */

/* For fork: nobody starts or stops it meanwhile; in the child there is none. */
void opool__ticker_lock(void);
void opool__ticker_unlock(void);
void opool__ticker_forget(void);

/* What stops it at exit, in advance: for who starts it inside malloc, where the C library may be in its list of exit
   handlers already, and hold that lock. */
void opool__ticker_at_exit(void);

/* ---- watch.c ---- */

/* In slow paths and ticks: compare with the watermarks, and tell. Outside all locks; the pool stays meanwhile. */
void opool__watch_look(struct opool *pool);

/* ---- fork.c ---- */

int opool__fork_init(void);

#endif
