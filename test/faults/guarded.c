/* SPDX-License-Identifier: MIT */

/* Touches of objects in guard slots: each get is served from one here. */

#include "case.h"

enum { AT = offsetof(struct conn, text) + 5, PAGE_LEAST = 4096 };

static void guard_all(void)
{
    REQUIRE(setenv("OPOOL_GUARD_SLOTS", "1/1", 1) == 0);
}

/* Objects stand by turns at the end and at the start of their pages. */
static struct conn *get_at(bool end)
{
    struct conn *conns[] = {get(), get()};
    bool first_at_end = (uintptr_t)conns[0] % PAGE_LEAST != 0;
    REQUIRE(first_at_end != ((uintptr_t)conns[1] % PAGE_LEAST != 0));
    put(conns[first_at_end == end]);
    return conns[first_at_end != end];
}

static volatile char *touched(const char *call, void *object, long offset)
{
    about(call, object);
    return (volatile char *)object + offset;
}

static void guarded_object_written_after_put(void)
{
    guard_all();
    struct conn *conn = get();
    put(conn);
    *touched("write", conn, AT) = 'x';
}

static void guarded_object_read_after_put(void)
{
    guard_all();
    struct conn *conn = get();
    put(conn);
    (void)*touched("read", conn, AT);
}

static void guarded_object_written_past_the_end(void)
{
    guard_all();
    struct conn *conn = get_at(true);
    *touched("write", conn, sizeof *conn) = 'x';
}

static void guarded_object_read_past_the_end(void)
{
    guard_all();
    struct conn *conn = get_at(true);
    (void)*touched("read", conn, sizeof *conn + 20);
}

static void guarded_object_written_before_the_start(void)
{
    guard_all();
    struct conn *conn = get_at(false);
    *touched("write", conn, -1) = 'x';
}

static void guarded_object_written_past_the_end_where_it_may(void)
{
    guard_all();
    struct conn *conn = get_at(false);
    *touched("put", conn, sizeof *conn) = 'x';
    put(conn);
}

static void guarded_object_put_twice(void)
{
    guard_all();
    struct conn *conn = get();
    put(conn);
    put(about("put", conn));
}

static void guarded_object_put_by_its_middle(void)
{
    guard_all();
    put(about("put", get()->text));
}

const struct fault_case guarded_cases[] = {CASE(guarded_object_written_after_put),
                                           CASE(guarded_object_read_after_put),
                                           CASE(guarded_object_written_past_the_end),
                                           CASE(guarded_object_read_past_the_end),
                                           CASE(guarded_object_written_before_the_start),
                                           CASE(guarded_object_written_past_the_end_where_it_may),
                                           CASE(guarded_object_put_twice),
                                           CASE(guarded_object_put_by_its_middle),
                                           {NULL, NULL}};
