/* SPDX-License-Identifier: MIT */

/* Objects that are given back more than once. */

#include "case.h"

static void double_put_in_a_row(void)
{
    struct conn *conn = get();
    put(conn);
    put(about("put", conn));
}

/* What is in the thread's cache gets to the depot, where the second copy is met at the latest. */
static void double_put_later(void)
{
    struct conn *conn = get(), *other = get();
    put(conn);
    put(other);
    put(about("put", conn));
    opool_thread_flush();
}

/* The rightful user of the object meets the copy: by then both had it. */
static void double_put_after_it_went_to_another_user(void)
{
    struct conn *stale = get();
    put(stale);
    struct conn *conn = get();
    REQUIRE(conn == stale);
    put(stale);
    put(about("put", conn));
}

/* Both threads have caches of their own before, and keep them until both have put. */
static struct {
    struct conn *conn;
    bool at_once;
    uint32_t ready, done;
} race;

static void await(uint32_t *count, uint32_t wanted)
{
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < wanted)
        continue;
}

static void join_in(uint32_t turn)
{
    put(get());
    about("put", race.conn);
    __atomic_fetch_add(&race.ready, 1u, __ATOMIC_SEQ_CST);
    await(&race.ready, 2);
    if (!race.at_once)
        await(&race.done, turn);
    put(race.conn);
    __atomic_fetch_add(&race.done, 1u, __ATOMIC_SEQ_CST);
    await(&race.done, 2);
}

static void *join_in_second(void *unused)
{
    (void)unused;
    join_in(1);
    return NULL;
}

static void put_by_two_threads(bool at_once)
{
    pthread_t thread;
    race.conn = get();
    race.at_once = at_once;
    REQUIRE(pthread_create(&thread, NULL, join_in_second, NULL) == 0);
    join_in(0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    opool_thread_flush();
}

static void double_put_by_two_threads(void)
{
    put_by_two_threads(false);
}

static void racing_double_put_by_two_threads(void)
{
    put_by_two_threads(true);
}

static void double_put_in_one_batch_in_a_row(void)
{
    struct conn *conn = get();
    void *objects[] = {get(), conn, NULL, about("put", conn)};
    opool_put_batch(pool(), objects, 4);
}

static void double_put_in_one_batch_apart(void)
{
    struct conn *conn = get();
    void *objects[] = {conn, get(), about("put", conn)};
    opool_put_batch(pool(), objects, 3);
    opool_thread_flush();
}

static void put_then_put_in_a_batch(void)
{
    struct conn *conn = get();
    void *objects[] = {about("put", conn), get()};
    put(conn);
    opool_put_batch(pool(), objects, 2);
}

static void put_after_discard(void)
{
    struct conn *conn = get();
    opool_discard(pool(), conn);
    put(about("put", conn));
    opool_thread_flush();
}

static void double_discard(void)
{
    struct conn *conn = get();
    opool_discard(pool(), conn);
    opool_discard(pool(), about("discard", conn));
}

static void discard_after_put(void)
{
    struct conn *conn = get();
    put(conn);
    opool_discard(pool(), about("discard", conn));
}

/* ---- callbacks that give their own object back ---- */

static bool own_reset(struct conn *conn, void *arg);
static void own_fini(struct conn *conn, void *arg);

OPOOL_DEFINE(own_pool, struct conn, .reset = own_reset, .fini = own_fini);

/* What a callback does, once. */
static struct {
    struct own_pool *pool;
    void (*in_reset)(struct own_pool *pool, struct conn *conn), (*in_fini)(struct own_pool *pool, struct conn *conn);
} own;

static bool own_reset(struct conn *conn, void *arg)
{
    void (*call)(struct own_pool *, struct conn *) = own.in_reset;
    (void)arg;
    own.in_reset = NULL;
    if (call)
        call(own.pool, conn);
    return true;
}

static void own_fini(struct conn *conn, void *arg)
{
    void (*call)(struct own_pool *, struct conn *) = own.in_fini;
    (void)arg;
    own.in_fini = NULL;
    if (call)
        call(own.pool, conn);
}

static void put_own(struct own_pool *to, struct conn *conn)
{
    own_pool_put(to, conn);
}

static void discard_own(struct own_pool *to, struct conn *conn)
{
    own_pool_discard(to, conn);
}

static struct conn *get_own(void)
{
    REQUIRE(own_pool_create(&own.pool, &(struct opool_options){.name = "conns", .checks = level}) == 0);
    struct conn *conn = own_pool_get(own.pool);
    REQUIRE(conn);
    return conn;
}

static void put_of_an_object_in_its_own_reset(void)
{
    struct conn *conn = get_own();
    own.in_reset = put_own;
    own_pool_put(own.pool, about("put", conn));
    opool_thread_flush();
}

static void discard_of_an_object_in_its_own_reset(void)
{
    struct conn *conn = get_own();
    own.in_reset = discard_own;
    about("put", conn);
    tell("call", "discard");
    own_pool_put(own.pool, conn);
    opool_thread_flush();
}

static void put_of_an_object_in_its_own_fini(void)
{
    struct conn *conn = get_own();
    own.in_fini = put_own;
    own_pool_discard(own.pool, about("put", conn));
    opool_thread_flush();
}

const struct fault_case twice_cases[] = {CASE(double_put_in_a_row),
                                         CASE(double_put_later),
                                         CASE(double_put_after_it_went_to_another_user),
                                         CASE(double_put_by_two_threads),
                                         CASE(racing_double_put_by_two_threads),
                                         CASE(double_put_in_one_batch_in_a_row),
                                         CASE(double_put_in_one_batch_apart),
                                         CASE(put_then_put_in_a_batch),
                                         CASE(put_after_discard),
                                         CASE(double_discard),
                                         CASE(discard_after_put),
                                         CASE(put_of_an_object_in_its_own_reset),
                                         CASE(discard_of_an_object_in_its_own_reset),
                                         CASE(put_of_an_object_in_its_own_fini),
                                         {NULL, NULL}};
