/* SPDX-License-Identifier: MIT */
/*
 * Dozing (pool/epoch/epoch.h): who dozes says so and then looks under the lock; who makes something idle does so under
 * the lock and then stirs. So one of the two sees the other: nobody dozes beside something idle without being woken.
 */
#include "epoch/epoch.h"
#include "harness.h"
#include "os/lock.h"

static uint32_t lock;
static uint64_t idle; /* under the lock */
static bool dozes, woken;

static void start(void)
{
    harness_reset(1);
    lock = 0;
    idle = 0;
    dozes = woken = false;
}

static void wake(void)
{
    woken = true;
}

static void doze(void)
{
    opool__epoch_doze(wake);
    opool__lock_take(&lock);
    bool seen = opool__read_plain(&idle) != 0;
    opool__lock_drop(&lock);
    dozes = !seen;
    if (seen)
        opool__epoch_rouse();
}

static void give(void)
{
    opool__lock_take(&lock);
    opool__write_plain(&idle, opool__read_plain(&idle) + 1);
    opool__lock_drop(&lock);
    opool__epoch_stir();
}

static void give_twice(void)
{
    give();
    give();
}

/* What the one who dozes must not do. */
static void look_and_doze(void)
{
    opool__lock_take(&lock);
    dozes = opool__read_plain(&idle) == 0;
    opool__lock_drop(&lock);
    if (dozes)
        opool__epoch_doze(wake);
}

/* What the one who gives must not do. */
static void stir_and_give(void)
{
    opool__epoch_stir();
    opool__lock_take(&lock);
    opool__write_plain(&idle, opool__read_plain(&idle) + 1);
    opool__lock_drop(&lock);
}

static void check(void)
{
    explorer_check(!dozes || woken, "it dozes, something is idle, and nobody wakes it");
}

#define MISSED "nobody wakes it"

static const struct explorer_test tests[] = {
    {.name = "one gives", .init = start, .body = {doze, give}, .fini = check},
    {.name = "one gives twice", .init = start, .body = {doze, give_twice}, .fini = check, .preemptions = 4, .stale = 2},
    {.name = "two give", .init = start, .body = {doze, give, give}, .fini = check, .preemptions = 2, .stale = 2},
    {.name = "control: a look before the word",
     .init = start,
     .body = {look_and_doze, give},
     .fini = check,
     .expect = MISSED},
    {.name = "control: a stir before the gift",
     .init = start,
     .body = {doze, stir_and_give},
     .fini = check,
     .expect = MISSED},
};

int main(int argc, char **argv)
{
    static const struct explorer_program program = {
        .tests = tests, .count = sizeof tests / sizeof *tests, .files = "pool/"};
    return explorer_main(&program, argc, argv);
}
