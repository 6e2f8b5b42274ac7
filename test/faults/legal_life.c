/* SPDX-License-Identifier: MIT */

/* Right use of pools, and of callbacks, that looks like a fault. */

#include "case.h"

static void no_pool_twice(void)
{
    struct opool *one = new_pool("conns", 0), *two = new_pool("conns", 0);
    opool_destroy(&one);
    opool_destroy(&one);
    opool_close(&one);
    opool_close(&two);
    opool_close(&two);
    opool_destroy(&two);
    opool_destroy(NULL);
    opool_close(NULL);
}

static void pool_where_another_was(void)
{
    for (int i = 0; i < 200; i++) {
        struct opool *one = new_pool("conns", 0);
        struct conn *conns[3] = {get_from(one), get_from(one), get_from(one)};
        for (int k = 0; k < 3; k++) {
            memset(conns[k], 0xff, sizeof *conns[k]);
            put_to(one, conns[k]);
        }
        opool_destroy(&one);
    }
}

static void thousand_pools(void)
{
    enum { POOLS = 1000 };
    static struct opool *pools[POOLS];
    static struct conn *conns[POOLS];
    for (int i = 0; i < POOLS; i++)
        conns[i] = get_from(pools[i] = new_pool("conns", 0));
    for (int i = POOLS; i-- > 0;)
        put_to(pools[i], conns[i]);
    for (int i = 0; i < POOLS; i++)
        opool_destroy(&pools[i]);
}

static void put_to_a_closed_pool(void)
{
    struct opool *closed = new_pool("conns", 0), *handle = closed;
    struct conn *one = get_from(closed), *two = get_from(closed), *three = get_from(closed);
    opool_close(&handle);
    REQUIRE(opool_get(closed) == NULL && errno == ESHUTDOWN);
    put_to(closed, two);
    opool_discard(closed, one);
    put_to(closed, three);
}

static void get_at_the_capacity(void)
{
    struct opool *small = new_pool("conns", 2);
    struct conn *one = get_from(small), *two = get_from(small);
    REQUIRE(opool_get(small) == NULL && errno == EAGAIN);
    REQUIRE(opool_get_wait(small, 0) == NULL && errno == ETIMEDOUT);
    REQUIRE(opool_get_wait(small, 5) == NULL && errno == ETIMEDOUT);
    for (int i = 0; i < 20; i++) {
        put_to(small, one);
        one = opool_get_wait(small, 0);
        REQUIRE(one);
    }
    put_to(small, one);
    put_to(small, two);
    opool_destroy(&small);
}

static void region_filled_and_emptied(void)
{
    static char region[1 << 16] __attribute__((aligned(64)));
    struct opool_type type = {.name = "region", .shape = OPOOL_SHAPE_TRUSTED("bytes"), .size = 96, .align = 8};
    struct opool_options options = {.region = region, .region_size = sizeof region, .checks = level};
    for (int round = 0; round < 2; round++) {
        struct opool *pool_of_region;
        void *objects[1000];
        REQUIRE(opool_create(&pool_of_region, &type, &options) == 0);
        for (int again = 0; again < 3; again++) {
            size_t n = opool_get_batch(pool_of_region, objects, 1000);
            REQUIRE(n > 100 && n < 1000 && errno == EAGAIN);
            for (size_t i = 0; i < n; i++)
                memset(objects[i], 0xff, 96);
            opool_put_batch(pool_of_region, objects, n);
        }
        opool_destroy(&pool_of_region);
        memset(region, 0x55, sizeof region); /* the caller's again */
    }
}

static void prefill_and_keep(void)
{
    struct job_pool *jobs;
    REQUIRE(job_pool_create(&jobs, &(struct opool_options){.prefill = 100, .keep = 50, .checks = level}) == 0);
    for (int i = 0; i < 5; i++) {
        struct job *job = job_pool_get(jobs);
        memset(job, 0xff, sizeof *job);
        job_pool_put(jobs, job);
        opool_epoch_advance();
    }
    job_pool_destroy(&jobs);
}

/* ---- callbacks ---- */

OPOOL_REF_TYPE(conn_ref, struct conn);

struct node {
    conn_ref conn; /* an object of another pool for as long as this one lives */
    unsigned char bytes[40];
};

/* What init and reset leave; fini sees it too. */
static bool is_new(const struct node *node)
{
    for (size_t i = 0; i < sizeof node->bytes; i++)
        if (node->bytes[i] != 0x11)
            return false;
    return true;
}

static int node_init(struct node *node, void *others)
{
    memset(node->bytes, 0x11, sizeof node->bytes);
    node->conn = conn_ref_of(get_from(others));
    return 0;
}

static bool node_reset(struct node *node, void *others)
{
    put_to(others, conn_ref_get(node->conn));
    node->conn = conn_ref_of(get_from(others));
    opool_discard(others, get_from(others));
    memset(node->bytes, 0x11, sizeof node->bytes);
    return true;
}

static void node_fini(struct node *node, void *others)
{
    REQUIRE(is_new(node));
    put_to(others, conn_ref_get(node->conn));
}

OPOOL_DEFINE(node_pool, struct node, .init = node_init, .reset = node_reset, .fini = node_fini,
             .kept = OPOOL_MEMBERS(conn));

static struct node_pool *new_nodes(struct opool *others)
{
    struct node_pool *nodes;
    REQUIRE(node_pool_create(&nodes, &(struct opool_options){.arg = others, .checks = level}) == 0);
    return nodes;
}

static void callbacks_that_use_another_pool(void)
{
    struct node_pool *nodes = new_nodes(pool());
    struct node *held[30];
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 30; i++) {
            held[i] = node_pool_get(nodes);
            REQUIRE(held[i] && is_new(held[i]));
            memset(held[i]->bytes, round, sizeof held[i]->bytes);
        }
        for (int i = 0; i < 30; i++)
            node_pool_put(nodes, held[i]);
        opool_epoch_advance(); /* some rounds tear down */
        if (round == 3)
            opool_release();
    }
    node_pool_destroy(&nodes);
}

static int fail_thrice(struct conn *conn, void *arg)
{
    int *calls = arg;
    conn->number = 1;
    return (*calls)++ < 3 ? EBUSY : 0;
}

static bool refuse_odd(struct conn *conn, void *arg)
{
    (void)arg;
    bool keep = conn->number % 2 == 0;
    *conn = (struct conn){.number = 1};
    return keep;
}

OPOOL_DEFINE(moody_pool, struct conn, .init = fail_thrice, .reset = refuse_odd);

static void init_and_reset_that_refuse(void)
{
    int calls = 0;
    struct moody_pool *moody;
    REQUIRE(moody_pool_create(&moody, &(struct opool_options){.arg = &calls, .checks = level}) == 0);
    for (int i = 0; i < 3; i++)
        REQUIRE(moody_pool_get(moody) == NULL && errno == EBUSY);
    for (int i = 0; i < 50; i++) {
        struct conn *conn = moody_pool_get(moody);
        REQUIRE(conn && conn->number == 1);
        conn->number = i;
        moody_pool_put(moody, conn);
    }
    moody_pool_destroy(&moody);
}

/* Own addresses in each object, and numbers: what differs between new objects is no state that reset left. */
static int count_init(struct conn *conn, void *arg)
{
    conn->number = (*(long *)arg)++;
    memcpy(conn->text, &(void *){conn}, sizeof(void *));
    return 0;
}

static bool count_reset(struct conn *conn, void *arg)
{
    (void)arg;
    memset(conn->text + sizeof(void *), 0, sizeof conn->text - sizeof(void *));
    return true;
}

OPOOL_DEFINE(numbered_pool, struct conn, .init = count_init, .reset = count_reset);

static void objects_that_know_their_number_and_address(void)
{
    long count = 0;
    struct numbered_pool *numbered;
    struct conn *conns[20];
    REQUIRE(numbered_pool_create(&numbered, &(struct opool_options){.arg = &count, .checks = level}) == 0);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 20; i++) {
            conns[i] = numbered_pool_get(numbered);
            memset(conns[i]->text + 20, 0xff, 40);
        }
        for (int i = 0; i < 20; i++)
            numbered_pool_put(numbered, conns[i]);
    }
    numbered_pool_destroy(&numbered);
}

static struct opool_footprint grown(const struct conn *conn, void *arg)
{
    (void)arg;
    size_t bytes = (size_t)conn->number * 1000;
    return (struct opool_footprint){.used = bytes, .held = bytes};
}

static bool grown_reset(struct conn *conn, void *arg)
{
    (void)conn, (void)arg;
    return true;
}

OPOOL_DEFINE_OWNING(grown_pool, struct conn, grown, "numbers alone", .reset = grown_reset,
                    .kept = OPOOL_MEMBERS(number));

static void owning_objects_that_grow(void)
{
    struct grown_pool *growing;
    REQUIRE(grown_pool_create(&growing, &(struct opool_options){.footprint_max = 50000, .checks = level}) == 0);
    for (int i = 0; i < 100; i++) {
        struct conn *one = grown_pool_get(growing), *two = grown_pool_get(growing);
        one->number = i;
        two->number = 100 - i;
        grown_pool_put(growing, one);
        grown_pool_put(growing, two);
    }
    grown_pool_destroy(&growing);
}

static void tell_crossing(struct opool *crossed, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    (void)figure, (void)value;
    (*(int *)arg)++;
    if (above)
        opool_put(crossed, opool_get(crossed));
    opool_epoch_advance();
    opool_release();
}

static void watch_that_ticks(void)
{
    struct opool *watched = new_pool("conns", 0);
    int crossings = 0;
    struct conn *conns[50];
    struct opool_watch watch = {
        .figure = OPOOL_WATCH_LIVE, .high = 40, .low = 10, .crossed = tell_crossing, .arg = &crossings};
    REQUIRE(opool_watch(watched, &watch) == 0);
    for (int i = 0; i < 50; i++)
        conns[i] = get_from(watched);
    for (int i = 0; i < 50; i++)
        put_to(watched, conns[i]);
    opool_epoch_advance();
    REQUIRE(crossings >= 2);
    opool_destroy(&watched);
}

static bool close_here(struct conn *conn, void *arg);

OPOOL_DEFINE(closing_pool, struct conn, .reset = close_here);

static struct closing_pool *closing;

static bool close_here(struct conn *conn, void *arg)
{
    (void)arg;
    *conn = (struct conn){.number = 0};
    closing_pool_close(&closing);
    return true;
}

/* The put in which it is closed is the last one, and frees it. */
static void close_in_a_callback(void)
{
    for (int i = 0; i < 20; i++) {
        REQUIRE(closing_pool_create(&closing, &(struct opool_options){.checks = level}) == 0);
        struct conn *conn = closing_pool_get(closing);
        conn->number = 1;
        closing_pool_put(closing, conn);
        REQUIRE(!closing);
    }
}

/* ---- exit ---- */

static struct conn *until_exit, *until_the_end;

static void put_at_exit(void)
{
    if (until_exit)
        put(until_exit);
    until_exit = NULL;
}

static __attribute__((destructor)) void put_at_the_end(void)
{
    if (until_the_end)
        put(until_the_end);
    until_the_end = NULL;
}

/* One handler was registered before the library was used, and so runs last; one after. */
static void put_in_an_exit_handler(void)
{
    REQUIRE(atexit(put_at_exit) == 0);
    until_exit = get();
}

static void put_in_an_exit_handler_registered_later(void)
{
    until_exit = get();
    REQUIRE(atexit(put_at_exit) == 0);
}

static void put_in_a_destructor_of_the_program(void)
{
    until_the_end = get();
}

const struct fault_case legal_life_cases[] = {CASE(no_pool_twice),
                                              CASE(pool_where_another_was),
                                              CASE(thousand_pools),
                                              CASE(put_to_a_closed_pool),
                                              CASE(get_at_the_capacity),
                                              CASE(region_filled_and_emptied),
                                              CASE(prefill_and_keep),
                                              CASE(callbacks_that_use_another_pool),
                                              CASE(init_and_reset_that_refuse),
                                              CASE(objects_that_know_their_number_and_address),
                                              CASE(owning_objects_that_grow),
                                              CASE(watch_that_ticks),
                                              CASE(close_in_a_callback),
                                              CASE(put_in_an_exit_handler),
                                              CASE(put_in_an_exit_handler_registered_later),
                                              CASE(put_in_a_destructor_of_the_program),
                                              {NULL, NULL}};
