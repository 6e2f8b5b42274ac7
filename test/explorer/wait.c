/* SPDX-License-Identifier: MIT */
/*
 * The locked store of pool/depot/bounded.c with its waiters: no object or permit is lost or given twice, no waiter
 * sleeps while something is free (a sleep that nobody ends is a livelock to the explorer), the oldest waiter is served
 * first.
 */
#include "depot/bounded.h"
#include "harness.h"
#include "os/os.h"

enum { CAPACITY = 2 };

static struct opool__slab slab;
static struct opool__bounded store;
static const struct opool__label label = {.name = "explored", .type = "object", .checks = OPOOL_CHECKS_BASIC};
static void *objects[CAPACITY];
static unsigned built, refused;
static uint64_t plain; /* of the object: a hand-over orders what its users do */

static void start(unsigned capacity)
{
    harness_reset(1);
    if (opool__slab_init(&slab, 8, 8, CAPACITY, NULL) != 0)
        explorer_fail("harness: no memory for slots");
    opool__bounded_init(&store, &slab, capacity, &label);
    built = refused = 0;
    plain = 0;
    for (unsigned i = 0; i < CAPACITY; i++)
        objects[i] = NULL;
}

static void start_one(void)
{
    start(1);
}

static void hold(void *object)
{
    for (unsigned i = 0; i < built; i++)
        if (objects[i] == object) {
            explorer_own(object); /* a bug if somebody has it */
            return;
        }
    explorer_fail("not an object of the store");
}

static void *build(void)
{
    explorer_check(built < store.capacity, "more objects than the capacity");
    void *object = opool__slab_take(&slab);
    objects[built++] = object;
    return object;
}

/* The whole way of a get that may wait. */
static enum opool__bounded_result take_wait(struct opool__bounded *from, int timeout_ms, void **object)
{
    struct opool__waiter waiter;
    if (timeout_ms == 0)
        return opool__bounded_take(from, object);
    uint64_t deadline = timeout_ms < 0 ? 0 : opool__os.now() + (uint64_t)timeout_ms * 1000000u;
    enum opool__bounded_result result = opool__bounded_queue(from, &waiter, object);
    if (result == OPOOL__BOUNDED_FULL)
        result = opool__bounded_await(&waiter, deadline, object);
    return result == OPOOL__BOUNDED_FULL ? opool__bounded_leave(from, &waiter, object) : result;
}

/* The object, or NULL when refused. */
static void *take(int timeout_ms)
{
    void *object = NULL;
    switch (take_wait(&store, timeout_ms, &object)) {
    case OPOOL__BOUNDED_PERMIT:
        object = build();
        break;
    case OPOOL__BOUNDED_OBJECT:
        break;
    default:
        refused++;
        return NULL;
    }
    hold(object);
    return object;
}

static void use(void)
{
    opool__write_plain(&plain, opool__read_plain(&plain) + 1);
}

static void give(void *object)
{
    if (!object)
        return;
    explorer_disown(object);
    opool__bounded_give(&store, object);
}

/* ---- threads ---- */

static void take_use_give(void)
{
    void *object = take(-1);
    explorer_check(object != NULL, "a waiter without a limit was refused");
    use();
    give(object);
}

static void take_at_once(void)
{
    void *object = take(0);
    if (object)
        use();
    give(object);
}

static void take_in_time(void)
{
    void *object = take(1);
    if (object)
        use();
    give(object);
}

/* A permit that could not be used wakes the next one. */
static void fail_to_build(void)
{
    void *object;
    enum opool__bounded_result result = take_wait(&store, -1, &object);
    if (result == OPOOL__BOUNDED_PERMIT)
        opool__bounded_return(&store);
    else if (result == OPOOL__BOUNDED_OBJECT) {
        hold(object);
        give(object);
    }
}

static void close_store(void)
{
    opool__bounded_close(&store);
}

static void take_or_closed(void)
{
    void *object = take(-1);
    give(object);
}

/* ---- first come, first served ---- */

static uint32_t first_waits;

static void start_order(void)
{
    start(1);
    opool__store_relaxed(&first_waits, 0u);
    objects[built++] = opool__slab_take(&slab);
    store.held = 1; /* out, with the giver */
}

static bool queue_holds(unsigned n)
{
    return store.oldest && (n == 1 || store.newest_link != (struct opool__waiter **)(void *)store.oldest);
}

static void wait_first(void)
{
    give(take(-1));
}

static void give_when_waiting(void)
{
    while (!queue_holds(1))
        explorer_yield();
    explorer_point();
    opool__bounded_give(&store, objects[0]);
    void *mine = take(0);
    explorer_check(mine == NULL || store.oldest == NULL, "a get overtook a waiter");
    give(mine);
}

/* ---- at the end ---- */

static void account(void)
{
    explorer_check(store.oldest == NULL, "a waiter was left");
    explorer_check(store.shared_idle == built && store.held == built, "objects or permits were lost");
    void *object;
    for (unsigned n = built; n > 0; n--) {
        explorer_check((object = opool__bounded_pop(&store)) != NULL, "an idle object was lost");
        hold(object);
    }
}

static void account_closed(void)
{
    explorer_check(store.oldest == NULL, "a waiter was left");
    explorer_check(store.shared_idle == built, "an object was lost");
}

static const struct explorer_test tests[] = {
    {.name = "two takers, one object",
     .init = start_one,
     .body = {take_use_give, take_use_give},
     .fini = account,
     .reduce = true,
     .must = 443},
    {.name = "three takers, one object",
     .init = start_one,
     .body = {take_use_give, take_use_give, take_use_give},
     .fini = account,
     .reduce = true,
     .must = 23138,
     .stale = 1},
    {.name = "waiter, and one that does not wait",
     .init = start_one,
     .body = {take_use_give, take_at_once},
     .fini = account,
     .reduce = true,
     .must = 268},
    {.name = "waiter that runs out of time",
     .init = start_one,
     .body = {take_use_give, take_in_time},
     .fini = account,
     .reduce = true,
     .must = 403},
    {.name = "permit handed on",
     .init = start_one,
     .body = {fail_to_build, take_use_give},
     .fini = account,
     .reduce = true,
     .must = 150},
    {.name = "close wakes waiters",
     .init = start_one,
     .body = {take_or_closed, take_or_closed, close_store},
     .fini = account_closed,
     .reduce = true,
     .must = 4753,
     .stale = 1},
    {.name = "nobody overtakes", .init = start_order, .body = {wait_first, give_when_waiting}, .fini = account},
};

int main(int argc, char **argv)
{
    static const struct explorer_program program = {
        .tests = tests, .count = sizeof tests / sizeof *tests, .files = "pool/"};
    return explorer_main(&program, argc, argv);
}
