/* SPDX-License-Identifier: MIT */

/* The pool under test, and all cases of the program that sees what a user sees. */

#include "case.h"

static bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    conn->number = 0;
    memset(conn->text, 0, sizeof conn->text);
    return true;
}

OPOOL_DEFINE(plain_pool, struct conn);
OPOOL_DEFINE(reset_pool, struct conn, .reset = conn_reset);

struct opool *new_pool(const char *name, size_t capacity)
{
    struct opool_options options = {.name = name, .capacity = capacity, .checks = level};
    struct plain_pool *plain = NULL;
    struct reset_pool *reset = NULL;
    if (kind == RESET)
        REQUIRE(reset_pool_create(&reset, &options) == 0);
    else
        REQUIRE(plain_pool_create(&plain, &options) == 0);
    return kind == RESET ? reset_pool_base(reset) : plain_pool_base(plain);
}

struct opool *pool(void)
{
    static struct opool *made;
    if (!made)
        made = new_pool("conns", 0);
    return made;
}

struct conn *get_from(struct opool *from)
{
    struct conn *conn = kind == EXPORTED ? opool_get(from) : plain_pool_get((struct plain_pool *)(void *)from);
    REQUIRE(conn);
    return conn;
}

void put_to(struct opool *to, void *object)
{
    if (kind == EXPORTED)
        opool_put(to, object);
    else if (kind == RESET)
        reset_pool_put((struct reset_pool *)(void *)to, object);
    else
        plain_pool_put((struct plain_pool *)(void *)to, object);
}

struct conn *get(void)
{
    return get_from(pool());
}

void put(void *object)
{
    put_to(pool(), object);
}

const char *const case_kinds[] = {"plain", "reset", "exported", NULL};

const struct case_group case_groups[] = {
    {"fault", pointer_cases},      {"fault", twice_cases},   {"fault", end_cases},       {"fault", content_cases},
    {"fault", signal_cases},       {"fault", guarded_cases}, {"legal", legal_use_cases}, {"legal", legal_life_cases},
    {"legal", legal_thread_cases}, {"other", told_cases},    {"other", step_cases},      {NULL, NULL}};
