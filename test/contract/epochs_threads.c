/* SPDX-License-Identifier: MIT */

/*
 * The second sentence of the promise, with threads that run: each object notes the epoch of its last use, and fini says
 * whether a tick came too early. Threads end and begin, flush, sleep, wait at a capacity, discard; one thread ticks.
 *
 * A use is noted before the put and after the get, so that what is noted is never later than the use itself.
 */

#include "contract.h"

enum { POOLS = 4, THREADS = 4, HELD = 64, BOUNDED = 3, CAPACITY = 100, FOR_MS = 1500 };

/* All atomic, relaxed: they must not order anything. */
struct thing {
    uint32_t owner; /* 0: idle */
    uint32_t built; /* from init to fini */
    uint64_t used;
    unsigned char more[40];
};

static uint64_t shared_early, shared_twice, shared_missing;
static bool shared_stop, shared_ended;

static void add(uint64_t *counter, bool what)
{
    if (what)
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void note_use(struct thing *thing, uint64_t epoch)
{
    __atomic_store_n(&thing->used, epoch, __ATOMIC_RELAXED);
}

static int thing_init(struct thing *thing, void *arg)
{
    (void)arg;
    __atomic_store_n(&thing->built, 1, __ATOMIC_RELAXED);
    return 0;
}

static void thing_fini(struct thing *thing, void *arg)
{
    (void)arg;
    uint64_t used = __atomic_load_n(&thing->used, __ATOMIC_RELAXED);
    add(&shared_twice, __atomic_load_n(&thing->owner, __ATOMIC_RELAXED) != 0);
    add(&shared_twice, __atomic_exchange_n(&thing->built, 0, __ATOMIC_RELAXED) != 1);
    add(&shared_early, !shared_ended && used && used + 2 > opool_epoch_now());
}

OPOOL_DEFINE(thing_pool, struct thing, .init = thing_init, .fini = thing_fini);

static struct thing_pool *pools[POOLS];
static const struct opool_options options[POOLS] = {
    {.name = "plain"}, {.magazine = 3}, {.keep = 20}, {.capacity = CAPACITY}};

/* ---- a thread ---- */

struct user {
    uint32_t number, seed;
    struct thing *held[POOLS][HELD];
    unsigned count[POOLS];
};

static uint32_t draw(struct user *user, uint32_t n)
{
    user->seed = user->seed * 1103515245u + 12345u;
    return (user->seed >> 16) % n;
}

static void get_one(struct user *user, int i)
{
    struct thing *thing =
        i == BOUNDED && draw(user, 5) == 0 ? thing_pool_get_wait(pools[i], 2) : thing_pool_get(pools[i]);
    uint32_t idle = 0;
    add(&shared_missing, !thing && i != BOUNDED);
    if (!thing)
        return;
    add(&shared_twice,
        !__atomic_compare_exchange_n(&thing->owner, &idle, user->number, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    add(&shared_twice, __atomic_load_n(&thing->built, __ATOMIC_RELAXED) != 1);
    note_use(thing, opool_epoch_now());
    user->held[i][user->count[i]++] = thing;
}

static void put_one(struct user *user, int i)
{
    unsigned at = draw(user, user->count[i]);
    struct thing *thing = user->held[i][at];
    user->held[i][at] = user->held[i][--user->count[i]];
    add(&shared_twice, __atomic_exchange_n(&thing->owner, 0, __ATOMIC_RELAXED) != user->number);
    note_use(thing, opool_epoch_now());
    if (draw(user, 100) == 0) {
        note_use(thing, 0); /* its fini is no tick's */
        thing_pool_discard(pools[i], thing);
    } else {
        thing_pool_put(pools[i], thing);
    }
}

static void *use_pools(void *arg)
{
    struct user *user = arg;
    do {
        int i = (int)draw(user, POOLS);
        if (draw(user, 100) < 48 && user->count[i] < HELD)
            get_one(user, i);
        else if (user->count[i])
            put_one(user, i);
        if (draw(user, 5000) == 0)
            opool_thread_flush();
        if (draw(user, 3000) == 0)
            sleep_ms((long)draw(user, 4));
    } while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED) && draw(user, 20000));
    for (int i = 0; i < POOLS; i++)
        while (user->count[i])
            put_one(user, i);
    return NULL;
}

static void *start_users(void *arg)
{
    struct user *user = arg;
    while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED))
        run_thread(use_pools, user);
    return NULL;
}

static void *tick(void *unused)
{
    while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED)) {
        struct timespec pause = {.tv_nsec = 300000};
        opool_epoch_advance();
        nanosleep(&pause, NULL);
    }
    return unused;
}

START_TEST(no_tick_is_early)
{
    static struct user users[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < POOLS; i++)
        ck_assert_int_eq(thing_pool_create(&pools[i], &options[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        users[i].number = i + 1;
        users[i].seed = (i + 1) * 77777;
        threads[i] = start_thread(start_users, &users[i]);
    }
    pthread_t ticker = start_thread(tick, NULL);
    sleep_ms(FOR_MS);
    __atomic_store_n(&shared_stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    join_thread(ticker);
    for (int i = 0; i < 3; i++)
        opool_epoch_advance();
    ck_assert_uint_eq(shared_early, 0);
    ck_assert_uint_eq(shared_twice, 0);
    ck_assert_uint_eq(shared_missing, 0);
    shared_ended = true;
    for (int i = 0; i < POOLS; i++) {
        struct opool_stats stats = figures(thing_pool_base(pools[i]));
        check_equations(thing_pool_base(pools[i]));
        ck_assert_uint_le(stats.built - stats.torn_down, options[i].keep);
        ck_assert_uint_gt(stats.torn_down, stats.discarded); /* ticks did tear down */
        thing_pool_destroy(&pools[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("epochs with threads");
    TCase *running = new_case(suite, "running");
    tcase_add_test(running, no_tick_is_early);
    return run_suite_as(suite, CK_FORK);
}
