/* SPDX-License-Identifier: MIT */

/* What is written and read where it should not be, or left behind. */

#include "case.h"

enum { AT = offsetof(struct conn, text) + 5 };

/* Not inlined, so that no compiler concludes anything from where it points. */
static __attribute__((noinline)) void poke(void *object, long offset, const char *bytes)
{
    memcpy((char *)object + offset, bytes, strlen(bytes));
}

/* Of several: not the first slot, which has nothing of ours before it. */
static struct conn *get_one_between(void)
{
    struct conn *conns[3] = {get(), get(), get()};
    struct conn *between = conns[0];
    for (int i = 0; i < 3; i++)
        if ((conns[i] < conns[(i + 1) % 3]) != (conns[i] < conns[(i + 2) % 3]))
            between = conns[i];
    for (int i = 0; i < 3; i++)
        if (conns[i] != between)
            put(conns[i]);
    return between;
}

/* ---- use after put ---- */

static void use_after_put_write(void)
{
    struct conn *conn = get();
    put(conn);
    poke(conn, AT, "xyz");
    about("get", conn);
    (void)get();
}

static void use_after_put_write_met_at_destroy(void)
{
    struct opool *gone = new_pool("conns", 0);
    struct conn *conn = get_from(gone);
    put_to(gone, conn);
    poke(conn, AT, "x");
    about("tear-down", conn);
    opool_destroy(&gone);
}

static void use_after_put_write_met_by_a_tick(void)
{
    struct conn *conn = get();
    put(conn);
    poke(conn, AT, "x");
    about("tear-down", conn);
    for (int i = 0; i < 4; i++)
        (void)opool_epoch_advance();
}

static void use_after_put_write_to_the_first_and_last_byte(void)
{
    struct conn *conn = get();
    put(conn);
    poke(conn, 0, "a");
    poke(conn, sizeof *conn - 1, "z");
    about("get", conn);
    (void)get();
}

static void use_after_put_read(void)
{
    struct conn *conn = get();
    memcpy(conn->text, "secret", 7);
    put(conn);
    tell("read", "%s", memcmp(conn->text, "secret", 7) == 0 ? "what its last user wrote" : "other bytes");
}

static void use_after_discard_write(void)
{
    struct conn *conn = get();
    put(get());
    opool_discard(pool(), conn);
    poke(conn, AT, "x");
    about("get", conn);
    struct conn *two[] = {get(), get()};
    put(two[0]);
    put(two[1]);
}

/* ---- over the edge ---- */

static void write_past_the_end(void)
{
    struct conn *conn = get_one_between();
    poke(conn, sizeof *conn, "xy");
    put(about("put", conn));
}

static void write_before_the_start(void)
{
    struct conn *conn = get_one_between();
    poke(conn, -2, "xy");
    put(about("put", conn));
}

static void write_past_the_end_of_an_idle_object(void)
{
    struct conn *conn = get_one_between();
    put(conn);
    poke(conn, sizeof *conn, "x");
    about("get", conn);
    for (int i = 0; i < 3; i++)
        (void)get();
}

static void write_past_the_end_then_discard(void)
{
    struct conn *conn = get_one_between();
    poke(conn, sizeof *conn, "x");
    opool_discard(pool(), about("discard", conn));
}

/* ---- left behind ---- */

struct session {
    int socket;
    char user[12];
};

static bool session_reset(struct session *session, void *arg)
{
    (void)arg;
    session->socket = 0;
    return true;
}

OPOOL_DEFINE_MEMBERS(session_pool, struct session, (socket, user), .reset = session_reset);

static void reset_that_forgets_a_member(void)
{
    struct session_pool *sessions;
    REQUIRE(session_pool_create(&sessions, &(struct opool_options){.name = "conns", .checks = level}) == 0);
    struct session *session = session_pool_get(sessions);
    session->socket = 5;
    memcpy(session->user, "joe", 4);
    about_pool("conns", "struct session");
    session_pool_put(sessions, session);
    session_pool_put(sessions, session_pool_get(sessions));
}

/* Less held than used. */
static struct opool_footprint lie(const struct conn *conn, void *arg)
{
    (void)conn, (void)arg;
    return (struct opool_footprint){.used = 4096, .held = 0};
}

OPOOL_DEFINE_OWNING(lying_pool, struct conn, lie, "its footprint lies");

static void footprint_that_lies(void)
{
    struct lying_pool *lying;
    REQUIRE(lying_pool_create(&lying, &(struct opool_options){.name = "conns", .checks = level}) == 0);
    for (int i = 0; i < 100; i++)
        lying_pool_put(lying, lying_pool_get(lying));
    lying_pool_destroy(&lying);
}

const struct fault_case content_cases[] = {CASE(use_after_put_write),
                                           CASE(use_after_put_write_met_at_destroy),
                                           CASE(use_after_put_write_met_by_a_tick),
                                           CASE(use_after_put_write_to_the_first_and_last_byte),
                                           CASE(use_after_put_read),
                                           CASE(use_after_discard_write),
                                           CASE(write_past_the_end),
                                           CASE(write_before_the_start),
                                           CASE(write_past_the_end_of_an_idle_object),
                                           CASE(write_past_the_end_then_discard),
                                           CASE(reset_that_forgets_a_member),
                                           CASE(footprint_that_lies),
                                           {NULL, NULL}};
