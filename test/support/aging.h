/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_AGING_H
#define TEST_SUPPORT_AGING_H

/*
 * Objects that know when they were used: each one has a number, and the test notes the epoch of its last get or put.
 * What fini says then is whether a tick came too early, and what is still there whether it came too late.
 */

#include "contract.h"

enum { MOST = 20000, EXEMPT = 8 };

struct thing {
    unsigned number;
    unsigned char more[60];
};

/* Of all things of a test, by number. */
static struct {
    unsigned built;
    uint64_t used[MOST];
    bool alive[MOST], out[MOST];
    unsigned early; /* torn down although used since the tick before the last */
} world;

SHARED_INLINE int thing_init(struct thing *thing, void *arg)
{
    (void)arg;
    thing->number = world.built++;
    world.alive[thing->number] = true;
    return 0;
}

SHARED_INLINE void thing_fini(struct thing *thing, void *arg)
{
    (void)arg;
    /* By whoever ticks, maybe two at once. */
    __atomic_store_n(&world.alive[thing->number], false, __ATOMIC_RELAXED);
    if (world.used[thing->number] + 2 > opool_epoch_now())
        __atomic_fetch_add(&world.early, 1, __ATOMIC_RELAXED);
}

OPOOL_DEFINE(thing_pool, struct thing, .init = thing_init, .fini = thing_fini);
OPOOL_DEFINE(plain_pool, struct thing);

static struct thing_pool *pool;
static __attribute__((unused)) struct plain_pool *plain;

SHARED_INLINE void open_with(struct opool_options options)
{
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
}

SHARED_INLINE void open_pool(void)
{
    open_with((struct opool_options){0});
}

SHARED_INLINE void close_pool(void)
{
    ck_assert_uint_eq(world.early, 0);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}

SHARED_INLINE struct thing *get(void)
{
    struct thing *thing = thing_pool_get(pool);
    if (thing) {
        world.used[thing->number] = opool_epoch_now();
        world.out[thing->number] = true;
    }
    return thing;
}

SHARED_INLINE void put(struct thing *thing)
{
    world.used[thing->number] = opool_epoch_now();
    world.out[thing->number] = false;
    thing_pool_put(pool, thing);
}

SHARED_INLINE unsigned alive(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < world.built; i++)
        n += __atomic_load_n(&world.alive[i], __ATOMIC_RELAXED);
    return n;
}

/* Refused membarrier: a cache whose thread made its last operation before that is left alone. */
SHARED_INLINE bool is_locked(void)
{
    return figures(thing_pool_base(pool)).locked != 0;
}

SHARED_INLINE void ticks(int n)
{
    for (; n > 0; n--)
        opool_epoch_advance();
}

/* n objects out at once, and back. */
SHARED_INLINE void burst(unsigned n)
{
    static __thread struct thing *things[MOST];
    for (unsigned i = 0; i < n; i++)
        ck_assert_ptr_nonnull(things[i] = get());
    for (unsigned i = 0; i < n; i++)
        put(things[i]);
}

SHARED_INLINE void *burst_100(void *unused)
{
    burst(100);
    return unused;
}

/* ---- another thread, that does what it is told and sleeps in between ---- */

struct worker {
    pthread_t thread;
    sem_t told, done;
    void *(*act)(void *);
    void *arg;
};

SHARED_INLINE void *work(void *arg)
{
    struct worker *worker = arg;
    for (;;) {
        wait_for(&worker->told);
        if (!worker->act)
            return NULL;
        worker->act(worker->arg);
        sem_post(&worker->done);
    }
}

SHARED_INLINE void hire(struct worker *worker)
{
    sem_init(&worker->told, 0, 0);
    sem_init(&worker->done, 0, 0);
    worker->thread = start_thread(work, worker);
}

SHARED_INLINE void tell(struct worker *worker, void *(*act)(void *), void *arg)
{
    worker->act = act;
    worker->arg = arg;
    sem_post(&worker->told);
    if (act)
        wait_for(&worker->done);
}

SHARED_INLINE void dismiss(struct worker *worker)
{
    tell(worker, NULL, NULL);
    join_thread(worker->thread);
}

#endif
