/* SPDX-License-Identifier: MIT */

/* The end of a pool, and calls from where they are refused. */

#include "case.h"

static struct opool *destroyed(void)
{
    struct opool *gone = new_pool("conns", 0), *handle = gone;
    opool_destroy(&handle);
    return gone;
}

/* With one object out. What destroy says of it is not what these cases are about. */
static struct opool *destroyed_without(struct conn **out)
{
    struct opool *gone = new_pool("conns", 0), *handle = gone;
    *out = get_from(gone);
    tell("destroyed", "1 object is");
    opool_destroy(&handle);
    return gone;
}

static void put_after_destroy(void)
{
    struct conn *conn;
    struct opool *gone = destroyed_without(&conn);
    put_to(gone, about("put", conn));
}

static void discard_after_destroy(void)
{
    struct conn *conn;
    struct opool *gone = destroyed_without(&conn);
    opool_discard(gone, about("discard", conn));
}

static void put_in_a_batch_after_destroy(void)
{
    struct conn *conn;
    struct opool *gone = destroyed_without(&conn);
    opool_put_batch(gone, (void *[]){about("put", conn)}, 1);
}

static void get_after_destroy(void)
{
    struct opool *gone = destroyed();
    about("get", NULL);
    (void)get_from(gone);
}

static void destroy_after_destroy(void)
{
    struct opool *gone = destroyed();
    about("destroy", NULL);
    opool_destroy(&gone);
}

static void close_after_destroy(void)
{
    struct opool *gone = destroyed();
    about("close", NULL);
    opool_close(&gone);
}

static void get_after_close_and_the_last_put(void)
{
    struct opool *gone = new_pool("conns", 0), *handle = gone;
    struct conn *conn = get_from(gone);
    opool_close(&handle);
    put_to(gone, conn);
    about("get", NULL);
    (void)get_from(gone);
}

static void destroy_with_objects_out(void)
{
    struct opool *gone = new_pool("conns", 0);
    for (volatile int i = 0; i < 3; i++) /* one place, at which all were got */
        (void)get_from(gone);
    opool_destroy(&gone);
    REQUIRE(gone == NULL);
}

static void object_never_returned(void)
{
    put(get());
    (void)get();
}

/* ---- from inside a callback ---- */

static bool act(struct conn *conn, void *arg)
{
    void (**call)(void) = arg;
    (void)conn;
    (*call)();
    return true;
}

OPOOL_DEFINE(acting_pool, struct conn, .reset = act);

static struct acting_pool *acting;

static void in_a_reset(void (*call)(void))
{
    struct opool_options options = {.name = "conns", .checks = level, .arg = (void *)&call};
    REQUIRE(acting_pool_create(&acting, &options) == 0);
    struct acting_pool *made = acting;
    struct conn *conn = acting_pool_get(acting);
    if (kind == EXPORTED)
        opool_put(acting_pool_base(acting), conn);
    else
        acting_pool_put(acting, conn);
    REQUIRE(acting == made);
    acting_pool_destroy(&acting);
}

static void destroy_here(void)
{
    acting_pool_destroy(&acting);
}

static void tick_here(void)
{
    (void)opool_epoch_advance();
}

static void release_here(void)
{
    REQUIRE(opool_release() == 0);
}

static void destroy_in_a_callback(void)
{
    in_a_reset(destroy_here);
}

static void tick_in_a_callback(void)
{
    about_no_pool();
    in_a_reset(tick_here);
}

static void release_in_a_callback(void)
{
    about_no_pool();
    in_a_reset(release_here);
}

static void end_of_the_epoch_thread_in_a_callback(void)
{
    about_no_pool();
    REQUIRE(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 60000}) == 0);
    in_a_reset(opool_epoch_stop);
    opool_epoch_stop();
}

/* ---- create ---- */

static void create_with_options_that_make_no_sense(void)
{
    struct job_pool *jobs;
    about_pool("conns", "struct job");
    REQUIRE(job_pool_create(
                &jobs, &(struct opool_options){.name = "conns", .capacity = 1, .keep = 2, .checks = level}) == -EINVAL);
}

static void create_without_a_place_for_the_pool(void)
{
    about_no_pool();
    REQUIRE(job_pool_create(NULL, &(struct opool_options){.checks = level}) == -EINVAL);
}

const struct fault_case end_cases[] = {CASE(put_after_destroy),
                                       CASE(discard_after_destroy),
                                       CASE(put_in_a_batch_after_destroy),
                                       CASE(get_after_destroy),
                                       CASE(destroy_after_destroy),
                                       CASE(close_after_destroy),
                                       CASE(get_after_close_and_the_last_put),
                                       CASE(destroy_with_objects_out),
                                       CASE(object_never_returned),
                                       CASE(destroy_in_a_callback),
                                       CASE(tick_in_a_callback),
                                       CASE(release_in_a_callback),
                                       CASE(end_of_the_epoch_thread_in_a_callback),
                                       CASE(create_with_options_that_make_no_sense),
                                       CASE(create_without_a_place_for_the_pool),
                                       {NULL, NULL}};
