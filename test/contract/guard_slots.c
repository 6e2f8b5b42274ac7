/* SPDX-License-Identifier: MIT */

/*
 * Guard slots as a program sees them: OPOOL_GUARD_SLOTS=1/1 makes every get one that is guarded, as long as there are
 * slots, so that what is rare in use happens each time here.
 */

#include "contract.h"

#include <setjmp.h>

struct thing {
    long n;
    const char *borrowed;
    char more[75];
};

/* ---- callbacks that are counted ---- */

static struct {
    unsigned inits, resets, finis;
    int init_error;
    bool refuses, borrowed_at_fini;
    struct thing *put_inside;
    struct opool *put_into;
} calls;

static int count_init(struct thing *thing, void *arg)
{
    (void)arg;
    __atomic_fetch_add(&calls.inits, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < sizeof *thing; i++)
        if (((const char *)thing)[i])
            return EBADMSG;
    thing->n = 4711;
    return calls.init_error;
}

static bool count_reset(struct thing *thing, void *arg)
{
    (void)arg;
    __atomic_fetch_add(&calls.resets, 1, __ATOMIC_RELAXED);
    memset(thing->more, 0, sizeof thing->more);
    thing->n = 4711;
    if (thing == calls.put_inside)
        opool_put(calls.put_into, thing);
    return !calls.refuses;
}

static void count_fini(struct thing *thing, void *arg)
{
    (void)arg;
    __atomic_fetch_add(&calls.finis, 1, __ATOMIC_RELAXED);
    if (thing->borrowed)
        __atomic_store_n(&calls.borrowed_at_fini, true, __ATOMIC_RELAXED);
}

OPOOL_DEFINE_MEMBERS(thing_pool, struct thing, (n, OPOOL_BORROWED(borrowed), more), .init = count_init,
                     .reset = count_reset, .fini = count_fini);

struct plain {
    char bytes[95];
};
OPOOL_DEFINE(plain_pool, struct plain);

struct owner {
    char *memory;
    size_t used;
};

static struct opool_footprint owner_footprint(const struct owner *owner, void *arg)
{
    (void)arg;
    return (struct opool_footprint){owner->used, owner->memory ? 4096 : 0};
}

static void owner_fini(struct owner *owner, void *arg)
{
    (void)arg;
    free(owner->memory);
}

OPOOL_DEFINE_OWNING(owner_pool, struct owner, owner_footprint, "it is a test", .fini = owner_fini);

/* ---- pools ---- */

static enum opool_checks level;
static struct plain_pool *plain;
static struct thing_pool *things;

static void set(const char *one_in, const char *slots)
{
    setenv("OPOOL_GUARD_SLOTS", one_in, 1);
    setenv("OPOOL_GUARD_SLOTS_MOST", slots, 1);
}

static void open_with(const struct opool_options *options)
{
    struct opool_options with = options ? *options : (struct opool_options){0};
    with.checks = level;
    if (plain_pool_create(&plain, &with) != 0 || thing_pool_create(&things, &with) != 0)
        abort();
}

static void open_all(void)
{
    set("1/1", "64");
    open_with(NULL);
}

static uint64_t guarded(void)
{
    return figures(plain_pool_base(plain)).guarded;
}

/* At the start of its page, or at its end. */
static struct plain *get_at(bool start)
{
    struct plain *object = plain_pool_get(plain);
    CHILD_ASSERT(object != NULL);
    if (((uintptr_t)object % 4096 == 0) != start)
        object = plain_pool_get(plain);
    CHILD_ASSERT(((uintptr_t)object % 4096 == 0) == start);
    return object;
}

static void read_byte(const void *at)
{
    (void)*(const volatile char *)at;
}

static void write_byte(void *at)
{
    *(volatile char *)at = 1;
}

/* ---- touches ---- */

static void overrun_by_reading(void)
{
    open_all();
    read_byte(get_at(false)->bytes + 95);
}

static void overrun_by_writing(void)
{
    open_all();
    write_byte(get_at(false)->bytes + 95);
}

static void underrun_by_reading(void)
{
    open_all();
    read_byte((char *)get_at(true) - 1);
}

static void underrun_by_writing(void)
{
    open_all();
    write_byte((char *)get_at(true) - 8);
}

static struct plain *put_one(void)
{
    open_all();
    struct plain *volatile object = plain_pool_get(plain); /* volatile: compilers would say what is wrong */
    memset(object, 1, sizeof *object);
    plain_pool_put(plain, object);
    return object;
}

static void read_after_put(void)
{
    read_byte(put_one()->bytes + 24);
}

static void write_after_put(void)
{
    write_byte(put_one()->bytes + 94);
}

static void write_after_discard(void)
{
    open_all();
    struct thing *volatile thing = thing_pool_get(things);
    thing_pool_discard(things, thing);
    thing->n = 1;
}

static void write_after_the_pool_ended(void)
{
    struct plain *object = put_one();
    plain_pool_destroy(&plain);
    write_byte(object);
}

static void *read_it(void *object)
{
    read_byte(object);
    return NULL;
}

static void read_by_another_thread(void)
{
    run_thread(read_it, put_one());
}

static const struct {
    void (*act)(void);
    const char *says; /* behind the pool's name */
    bool was_put;
} touches[] = {
    {overrun_by_reading, "read of 0x[0-9a-f]+ by thread [0-9]+: past its end at 95, at offset 95\n", false},
    {overrun_by_writing, "write of 0x[0-9a-f]+ by thread [0-9]+: past its end at 95, at offset 95\n", false},
    {underrun_by_reading, "read of 0x[0-9a-f]+ by thread [0-9]+: before its start, at offset -1\n", false},
    {underrun_by_writing, "write of 0x[0-9a-f]+ by thread [0-9]+: before its start, at offset -8\n", false},
    {read_after_put, "read of 0x[0-9a-f]+ by thread [0-9]+: after it was put, at offset 24 of 95\n", true},
    {write_after_put, "write of 0x[0-9a-f]+ by thread [0-9]+: after it was put, at offset 94 of 95\n", true},
    {write_after_discard, "write of 0x[0-9a-f]+ by thread [0-9]+: after it was put, at offset 0 of 96\n", true},
    {write_after_the_pool_ended, "write of 0x[0-9a-f]+ by thread [0-9]+: after it was put, at offset 0 of 95\n", true},
    {read_by_another_thread, "read of 0x[0-9a-f]+ by thread [0-9]+: after it was put, at offset 0 of 95\n", true},
};
enum { TOUCHES = sizeof touches / sizeof *touches };

static const enum opool_checks levels[] = {OPOOL_CHECKS_OFF, OPOOL_CHECKS_BASIC, OPOOL_CHECKS_FULL};
enum { LEVELS = sizeof levels / sizeof *levels };

#define STACK_LINES "( at\n(opool:     #[0-9]+ 0x[^\n]*\n)+|\n)"

static void expect_signal(const struct outcome *outcome, int signal)
{
    ck_assert_msg(WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == signal, "status %#x: %s",
                  (unsigned)outcome->status, outcome->text);
}

/* Sanitizers say things of their own behind it, and end the process in their way. */
static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || THREAD_SANITIZER
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
    return true;
#endif
#endif
    return false;
}

START_TEST(a_touch_is_told_with_its_story)
{
    char pattern[1024];
    level = levels[_i / TOUCHES];
    struct outcome outcome = in_child(touches[_i % TOUCHES].act);
    snprintf(pattern, sizeof pattern,
             "^opool: pool '[a-z_]+' \\(struct [a-z]+\\): %sopool:   touched by thread [0-9]+" STACK_LINES
             "opool:   last got by thread [0-9]+" STACK_LINES "%s%s",
             touches[_i % TOUCHES].says,
             touches[_i % TOUCHES].was_put ? "opool:   last put by thread [0-9]+" STACK_LINES : "",
             is_sanitized() ? "" : "$");
    ck_assert_msg(matches(outcome.text, pattern), "'%.3000s' does not match '%s'", outcome.text, pattern);
    if (!is_sanitized())
        expect_signal(&outcome, SIGSEGV);
}
END_TEST

/* ---- handlers of the program ---- */

static sigjmp_buf back;
static volatile sig_atomic_t handled;

static void jump(int signal)
{
    handled = signal;
    siglongjmp(back, 1);
}

static void jump_with_info(int signal, siginfo_t *info, void *context)
{
    CHILD_ASSERT(info->si_code == SEGV_ACCERR && info->si_addr && context);
    jump(signal);
}

static void say_and_die(int signal)
{
    (void)signal;
    dprintf(STDERR_FILENO, "handled\n");
    _exit(3);
}

static void go_on_behind_a_handler(void)
{
    signal(SIGSEGV, jump);
    struct plain *object = put_one();
    if (sigsetjmp(back, 1) == 0)
        write_byte(object);
    CHILD_ASSERT(handled == SIGSEGV);
    for (int i = 0; i < 100; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    check_equations(plain_pool_base(plain));
}

static void go_on_behind_a_handler_with_information(void)
{
    struct sigaction action = {.sa_sigaction = jump_with_info, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    struct plain *object = put_one();
    if (sigsetjmp(back, 1) == 0)
        write_byte(object);
    CHILD_ASSERT(handled == SIGSEGV);
}

static void handle_by_ending(void)
{
    signal(SIGSEGV, say_and_die);
    write_byte(put_one());
}

static void ignore(void)
{
    signal(SIGSEGV, SIG_IGN);
    write_byte(put_one());
}

static void replace_later(void)
{
    struct plain *object = put_one();
    signal(SIGSEGV, say_and_die);
    write_byte(object);
}

START_TEST(handlers_of_the_program_are_called_behind_it)
{
    struct outcome outcome = in_child(go_on_behind_a_handler);
    expect_success(&outcome);
    expect_match(outcome.text, ": after it was put, at offset 0 of 95\n");
    outcome = in_child(go_on_behind_a_handler_with_information);
    expect_success(&outcome);
    expect_match(outcome.text, ": after it was put, at offset 0 of 95\n");
    outcome = in_child(handle_by_ending);
    expect_match(outcome.text, ": after it was put, at offset 0 of 95\nhandled\n$");
    ck_assert(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 3);
    outcome = in_child(ignore);
    expect_match(outcome.text, ": after it was put, at offset 0 of 95\n");
    expect_signal(&outcome, SIGSEGV);
    outcome = in_child(replace_later); /* ours is gone, as the page says */
    ck_assert_str_eq(outcome.text, "handled\n");
}
END_TEST

/* ---- wrong puts ---- */

static void put_twice(void)
{
    struct plain *volatile object = put_one();
    plain_pool_put(plain, object);
}

static void put_twice_to_a_pool_with_a_reset(void)
{
    open_all();
    struct thing *volatile thing = thing_pool_get(things);
    thing_pool_put(things, thing);
    thing_pool_put(things, thing);
}

static void put_after_discard(void)
{
    open_all();
    struct thing *volatile thing = thing_pool_get(things);
    thing_pool_discard(things, thing);
    thing_pool_put(things, thing);
}

static void discard_after_put(void)
{
    struct plain *volatile object = put_one();
    plain_pool_discard(plain, object);
}

static void put_to_another(void)
{
    open_all();
    opool_put(thing_pool_base(things), plain_pool_get(plain));
}

static void put_of_a_usual_one_to_another(void)
{
    open_all();
    struct plain_pool *small;
    static char region[8192] __attribute__((aligned(64)));
    CHILD_ASSERT(plain_pool_create(&small, &(struct opool_options){.region = region, .region_size = sizeof region}) ==
                 0);
    opool_put(thing_pool_base(things), plain_pool_get(small));
}

static void put_of_a_member(void)
{
    open_all();
    opool_put(thing_pool_base(things), &thing_pool_get(things)->more);
}

static void put_in_its_own_reset(void)
{
    open_all();
    calls.put_into = thing_pool_base(things);
    calls.put_inside = thing_pool_get(things);
    thing_pool_put(things, calls.put_inside);
}

static void put_twice_in_a_batch(void)
{
    open_all();
    struct plain *object = plain_pool_get(plain), *batch[] = {object, plain_pool_get(plain), object};
    plain_pool_put_batch(plain, batch, 3);
}

static void put_after_destroy(void)
{
    open_all();
    struct plain_pool *late = plain;
    struct plain *object = plain_pool_get(plain);
    plain_pool_destroy(&plain);
    memset(object, 1, sizeof *object); /* its memory stays */
    plain_pool_put(late, object);
}

static void write_into_the_rest_of_the_page(void)
{
    open_all();
    struct plain *object = get_at(true);
    *(volatile char *)((char *)object + sizeof *object) = 7;
    plain_pool_put(plain, object);
}

static const struct {
    void (*act)(void);
    const char *says;
} wrongs[] = {
    {put_twice,
     "put of 0x[0-9a-f]+ by thread [0-9]+: no object is there: its slot is free \\(put or discarded before\\)\n"},
    {put_twice_to_a_pool_with_a_reset,
     "put of .*: no object is there: its slot is free \\(put or discarded before\\)\n"},
    {put_after_discard, "put of .*: no object is there: its slot is free \\(put or discarded before\\)\n"},
    {discard_after_put, "discard of .*: no object is there: its slot is free \\(put or discarded before\\)\n"},
    {put_to_another, "put of .*: not an object of this pool: the address is of pool 'plain_pool' \\(struct plain\\)\n"},
    {put_of_a_member, "put of .*: a pointer into the middle: 16 bytes past the start of an object\n"},
    {put_in_its_own_reset, "put of .*: it is being put already, by thread [0-9]+: put twice\n"},
    {put_twice_in_a_batch, "put of .*: no object is there: its slot is free \\(put or discarded before\\)\n"},
    {write_into_the_rest_of_the_page, "put of .*: written past its end at 95, at offset 95: 1 bytes, now 07\n"},
};
enum { WRONGS = sizeof wrongs / sizeof *wrongs };

START_TEST(wrong_puts_are_named_at_every_level)
{
    char pattern[512];
    level = levels[_i / WRONGS];
    struct outcome outcome = in_child(wrongs[_i % WRONGS].act);
    snprintf(pattern, sizeof pattern, "^opool: pool '[a-z_]+' \\(struct [a-z]+\\): %s", wrongs[_i % WRONGS].says);
    expect_match(outcome.text, pattern);
    expect_signal(&outcome, SIGABRT);
}
END_TEST

START_TEST(usual_objects_are_judged_as_ever)
{
    struct outcome outcome = in_child(put_of_a_usual_one_to_another);
    expect_match(outcome.text,
                 ": not an object of this pool: the address is of pool 'plain_pool' \\(struct plain\\)\n");
    expect_signal(&outcome, SIGABRT);
    outcome = in_child(put_after_destroy);
    expect_match(outcome.text, "^opool: pool 'plain_pool' \\(struct plain\\): destroy: 1 object is out[^\n]*\n"
                               "opool: pool 'plain_pool' \\(struct plain\\): put of [^\n]*: the pool was destroyed\n");
    expect_signal(&outcome, SIGABRT);
}
END_TEST

/* ---- a life ---- */

START_TEST(a_guarded_object_is_built_reset_and_torn_down)
{
    level = levels[_i];
    open_all();
    struct opool *base = thing_pool_base(things);
    struct thing *thing = thing_pool_get(things);
    ck_assert(calls.inits == 1 && thing->n == 4711);
    check_equations(base);
    struct opool_stats out = figures(base);
    ck_assert(out.guarded == 1 && out.live == 1 && out.built == 1 && out.slots == 1);
    thing->borrowed = "borrowed";
    thing_pool_put(things, thing);
    ck_assert(calls.inits == 1 && calls.resets == 1 && calls.finis == 1 && !calls.borrowed_at_fini);
    struct opool_stats after = figures(base);
    ck_assert(after.puts == 1 && after.torn_down == 1 && after.discarded == 0 && after.live == 0);
    thing = thing_pool_get(things);
    thing->borrowed = "borrowed";
    thing_pool_discard(things, thing);
    ck_assert(!calls.borrowed_at_fini);
    ck_assert(calls.inits == 2 && calls.resets == 1 && calls.finis == 2);
    ck_assert_uint_eq(figures(base).discarded, 1);
    calls.refuses = true;
    thing_pool_put(things, thing_pool_get(things));
    ck_assert(calls.resets == 2 && calls.finis == 3);
    ck_assert_uint_eq(figures(base).discarded, 2);
    check_equations(base);
    thing_pool_destroy(&things);
    plain_pool_destroy(&plain);
    ck_assert_uint_eq(calls.inits, calls.finis);
}
END_TEST

START_TEST(owning_objects_are_judged_by_their_footprint)
{
    struct owner_pool *owners;
    set("1/1", "64");
    ck_assert_int_eq(owner_pool_create(&owners, &(struct opool_options){.footprint_max = 1000, .checks = levels[_i]}),
                     0);
    for (int i = 0; i < 8; i++) {
        struct owner *owner = owner_pool_get(owners);
        owner->memory = i % 2 ? malloc(4096) : NULL;
        owner_pool_put(owners, owner);
    }
    struct opool_stats stats = figures(owner_pool_base(owners));
    ck_assert(stats.guarded == 8 && stats.bloated == 4 && stats.torn_down == 8);
    owner_pool_destroy(&owners);
}
END_TEST

/* An init that fails has a get of a usual object follow, which there may be. */
START_TEST(an_init_that_fails_is_the_usual_get_s)
{
    set("1/1", "1");
    open_with(NULL);
    struct thing *first = thing_pool_get(things), *usual = thing_pool_get(things);
    ck_assert_uint_eq(figures(thing_pool_base(things)).guarded, 1);
    thing_pool_put(things, first);
    thing_pool_put(things, usual);
    for (int i = 0; i < 3; i++)
        opool_epoch_advance();
    calls.init_error = EDOM;
    errno = 0;
    ck_assert_ptr_null(thing_pool_get(things)); /* the usual one is gone too */
    ck_assert_int_eq(errno, EDOM);
    check_equations(thing_pool_base(things));
    calls.init_error = 0;
    usual = thing_pool_get(things);
    thing_pool_put(things, usual);
    for (int i = 0; i < 2; i++)
        opool_epoch_advance();
    struct thing *again = thing_pool_get(things); /* or guarded now */
    ck_assert_ptr_nonnull(again);
    thing_pool_put(things, again);
    check_equations(thing_pool_base(things));
}
END_TEST

START_TEST(all_ways_to_get_are_guarded)
{
    struct plain *batch[10];
    open_all();
    ck_assert_ptr_nonnull(opool_get(plain_pool_base(plain)));
    ck_assert_ptr_nonnull(plain_pool_get_wait(plain, 0));
    ck_assert_uint_eq(plain_pool_get_batch(plain, batch, 10), 10);
    ck_assert_uint_eq(guarded(), 12);
    plain_pool_put_batch(plain, batch, 10);
    ck_assert_uint_eq(figures(plain_pool_base(plain)).torn_down, 10);
    check_equations(plain_pool_base(plain));
}
END_TEST

START_TEST(who_asks_for_the_slots_gets_them)
{
    struct opool_slots slots;
    set("1/1", "64");
    open_with(&(struct opool_options){.capacity = 20});
    struct plain *before = plain_pool_get(plain);
    ck_assert_int_eq(opool_slots_of(plain_pool_base(plain), &slots), 0);
    for (int i = 0; i < 19; i++) {
        struct plain *object = plain_pool_get(plain);
        ck_assert_uint_lt((size_t)((char *)object - (char *)slots.base) / slots.stride, slots.slots);
    }
    ck_assert_uint_eq(guarded(), 1);
    plain_pool_put(plain, before);
    check_equations(plain_pool_base(plain));
}
END_TEST

/* Though the thread's cache has what a batch asks for. */
START_TEST(batches_and_waits_are_guarded_before_the_cache_is_asked)
{
    enum { SLOTS = 4, USUAL = 6 };
    struct plain *guarded_ones[SLOTS], *batch[USUAL];
    set("1/1", "4");
    open_with(NULL);
    for (int i = 0; i < SLOTS; i++)
        guarded_ones[i] = plain_pool_get(plain);
    ck_assert_uint_eq(plain_pool_get_batch(plain, batch, USUAL), USUAL);
    ck_assert_uint_eq(guarded(), SLOTS);
    plain_pool_put_batch(plain, guarded_ones, SLOTS);
    for (int tick = 0; tick < 3; tick++)
        opool_epoch_advance();
    plain_pool_put_batch(plain, batch, USUAL);
    ck_assert_uint_eq(figures(plain_pool_base(plain)).idle_thread, USUAL);
    ck_assert_ptr_nonnull(plain_pool_get_wait(plain, 0));
    ck_assert_uint_eq(guarded(), SLOTS + 1);
    ck_assert_uint_eq(plain_pool_get_batch(plain, batch, USUAL), USUAL);
    ck_assert_uint_eq(guarded(), 2 * SLOTS);
    check_equations(plain_pool_base(plain));
}
END_TEST

struct large {
    char bytes[(64 << 10) + 1];
};
OPOOL_DEFINE(large_pool, struct large);

START_TEST(large_objects_and_regions_are_not)
{
    static char region[8192] __attribute__((aligned(64)));
    struct large_pool *large;
    set("1/1", "64");
    open_with(&(struct opool_options){.region = region, .region_size = sizeof region});
    ck_assert_int_eq(large_pool_create(&large, NULL), 0);
    for (int i = 0; i < 10; i++) {
        large_pool_put(large, large_pool_get(large));
        plain_pool_put(plain, plain_pool_get(plain));
    }
    ck_assert_uint_eq(guarded(), 0);
    ck_assert_uint_eq(figures(large_pool_base(large)).guarded, 0);
    ck_assert_uint_eq(figures(large_pool_base(large)).hits, 9); /* and their pools work as fast as ever */
}
END_TEST

/* ---- how many ---- */

START_TEST(nothing_is_guarded_unless_asked_for)
{
    unsetenv("OPOOL_GUARD_SLOTS");
    open_with(NULL);
    for (int i = 0; i < 100000; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    ck_assert_uint_eq(guarded(), 0);
}
END_TEST

static int say_how_many(void)
{
    set("1/1", "64");
    open_with(NULL);
    for (int i = 0; i < 100; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    struct opool_stats stats; /* not by ck_assert: this is no test */
    if (opool_stats_read(plain_pool_base(plain), &stats) != 0)
        return EXIT_FAILURE;
    dprintf(STDERR_FILENO, "%d guarded\n", (int)stats.guarded);
    return EXIT_SUCCESS;
}

static void run_under_tools(void)
{
    unsetenv("OPOOL_TOOLS");
    execl("/proc/self/exe", "guard_slots", "--how-many", (char *)NULL);
}

START_TEST(nothing_is_guarded_under_a_memory_tool)
{
    struct outcome outcome = in_child(run_under_tools);
    expect_success(&outcome);
    ck_assert_str_eq(outcome.text, is_sanitized() ? "0 guarded\n" : "64 guarded\n");
}
END_TEST

/* Six standard deviations are 5 %. */
START_TEST(one_in_n_of_a_million_is_guarded)
{
    enum { N = 200, GETS = 1000000 };
    set("1/200", "16384"); /* a slot each */
    open_with(NULL);
    for (int i = 0; i < GETS; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    double share = (double)(guarded() * N) / 1e6;
    ck_assert_msg(share > 0.95 && share < 1.05, "%g of what it should be", share);
    check_equations(plain_pool_base(plain));
}
END_TEST

START_TEST(without_a_free_slot_gets_are_usual_ones)
{
    struct plain *objects[10];
    set("1/1", "4");
    open_with(NULL);
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_nonnull(objects[i] = plain_pool_get(plain));
    ck_assert_uint_eq(guarded(), 4);
    for (int i = 0; i < 10; i++)
        plain_pool_put(plain, objects[i]);
    struct opool_stats stats = figures(plain_pool_base(plain));
    ck_assert(stats.torn_down == 4 && stats.idle_thread == 6);
    check_equations(plain_pool_base(plain));
}
END_TEST

START_TEST(slots_are_used_again_after_two_whole_epochs)
{
    set("1/1", "4");
    open_with(NULL);
    for (unsigned round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++)
            plain_pool_put(plain, plain_pool_get(plain));
        ck_assert_uint_eq(guarded(), 4 * (round + 1));
        for (int i = 0; i < 2; i++) {
            opool_epoch_advance();
            plain_pool_put(plain, plain_pool_get(plain));
        }
        ck_assert_uint_eq(guarded(), 4 * (round + 1));
        opool_epoch_advance();
    }
}
END_TEST

/* ---- books ---- */

static void *put_soon(void *thing)
{
    sleep_ms(50);
    plain_pool_put(plain, thing);
    return NULL;
}

START_TEST(capacity_is_exact)
{
    struct plain *objects[6];
    set("1/1", _i ? "64" : "3");
    level = OPOOL_CHECKS_BASIC;
    open_with(&(struct opool_options){.capacity = 6});
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 6; i++)
            ck_assert_ptr_nonnull(objects[i] = plain_pool_get(plain));
        ck_assert(plain_pool_get(plain) == NULL && errno == EAGAIN);
        pthread_t thread = start_thread(put_soon, objects[0]);
        ck_assert_ptr_nonnull(objects[0] = plain_pool_get_wait(plain, 20000));
        join_thread(thread);
        check_equations(plain_pool_base(plain));
        for (int i = 0; i < 6; i++)
            plain_pool_put(plain, objects[i]);
        opool_epoch_advance();
    }
    ck_assert_uint_ge(guarded(), 3);
}
END_TEST

START_TEST(close_waits_for_the_last_object)
{
    level = levels[_i];
    open_all();
    struct plain_pool *closed = plain;
    struct opool *base = plain_pool_base(plain);
    struct plain *objects[3] = {plain_pool_get(plain), plain_pool_get(plain), plain_pool_get(plain)};
    plain_pool_close(&plain);
    for (int i = 0; i < 3; i++) {
        ck_assert(is_listed(base));
        memset(objects[i], 1, sizeof *objects[i]);
        plain_pool_put(closed, objects[i]);
    }
    ck_assert(!is_listed(base));
    thing_pool_destroy(&things);
}
END_TEST

/* A handle that serves another pool does not make the new pool's what is still out of the old one. */
static void put_into_the_next_life_of_a_handle(void)
{
    open_all();
    struct plain *object = plain_pool_get(plain);
    struct opool *handle = plain_pool_base(plain);
    plain_pool_destroy(&plain);
    for (int i = 0; i < 1000; i++) {
        struct plain_pool *other;
        CHILD_ASSERT(plain_pool_create(&other, &(struct opool_options){.name = "next"}) == 0);
        if (plain_pool_base(other) == handle)
            plain_pool_put(other, object);
        plain_pool_destroy(&other);
    }
}

START_TEST(what_is_lost_belongs_to_nobody)
{
    struct outcome outcome = in_child(put_into_the_next_life_of_a_handle);
    expect_match(outcome.text, "opool: pool 'next' \\(struct plain\\): put of [^\n]*: not an object of this pool: the "
                               "address is of pool 'plain_pool' \\(struct plain\\)\n");
    expect_signal(&outcome, SIGABRT);
}
END_TEST

/* One place, however the loop is compiled. */
static __attribute__((noinline)) struct plain *get_one(void)
{
    struct plain *volatile object = plain_pool_get(plain);
    return object;
}

static void leave_five_out(void)
{
    set("1/1", "3");
    open_with(NULL);
    for (int i = 0; i < 5; i++)
        CHILD_ASSERT(get_one());
    plain_pool_destroy(&plain);
}

START_TEST(the_leak_report_has_them_all)
{
    level = OPOOL_CHECKS_FULL;
    struct outcome outcome = in_child(leave_five_out);
    /* By call stack, which an unrolled loop has more than one of. */
    ck_assert_ptr_nonnull(strstr(outcome.text, " objects, "));
    ck_assert_ptr_nonnull(strstr(outcome.text, "\nopool: never put: 5 objects, 475 bytes, got at "));
}
END_TEST

/* ---- fork ---- */

static struct plain *inherited[4];

static void use_in_the_child(void)
{
    for (int i = 0; i < 4; i++)
        plain_pool_put(plain, inherited[i]);
    for (int i = 0; i < 3; i++)
        opool_epoch_advance();
    for (int i = 0; i < 200; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    check_equations(plain_pool_base(plain));
    CHILD_ASSERT(figures(plain_pool_base(plain)).guarded > 4);
    plain_pool_destroy(&plain);
}

static void touch_in_the_child(void)
{
    plain_pool_put(plain, inherited[0]);
    write_byte(inherited[0]);
}

static unsigned shared_stop;

static void *keep_getting(void *unused)
{
    while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED))
        plain_pool_put(plain, plain_pool_get(plain));
    return unused;
}

START_TEST(a_child_goes_on_with_its_own_copy)
{
    pthread_t thread = 0;
    set("1/1", "8");
    open_with(NULL);
    for (int i = 0; i < 4; i++)
        inherited[i] = plain_pool_get(plain);
    if (_i)
        thread = start_thread(keep_getting, NULL);
    for (int i = 0; i < (_i ? 20 : 1); i++) {
        struct outcome outcome = in_child(use_in_the_child);
        if (!_i) { /* else the thread may have had one in its hands */
            expect_success(&outcome);
            ck_assert_str_eq(outcome.text, "");
        }
        ck_assert_msg(WIFEXITED(outcome.status), "status %#x: %s", (unsigned)outcome.status, outcome.text);
        outcome = in_child(touch_in_the_child);
        expect_match(outcome.text, "^opool: pool 'plain_pool' [^\n]*: after it was put, at offset 0 of 95\n");
    }
    __atomic_store_n(&shared_stop, 1, __ATOMIC_RELAXED);
    if (_i)
        join_thread(thread);
    for (int i = 0; i < 4; i++) {
        memset(inherited[i], 1, sizeof *inherited[i]);
        plain_pool_put(plain, inherited[i]);
    }
    check_equations(plain_pool_base(plain));
    plain_pool_destroy(&plain);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, HELD = 16 };

static void use_one(struct thing **held, unsigned *seed)
{
    unsigned at = (unsigned)rand_r(seed) % HELD;
    if (!held[at]) {
        held[at] = thing_pool_get(things);
        if (!held[at] || held[at]->n != 4711)
            abort();
        memset(held[at]->more, (int)(at + 1), sizeof held[at]->more);
        held[at]->n = (long)at;
        return;
    }
    if (held[at]->n != (long)at || held[at]->more[0] != (char)(at + 1) ||
        memcmp(held[at]->more, held[at]->more + 1, sizeof held[at]->more - 1) != 0)
        abort();
    if (rand_r(seed) % 10 == 0)
        thing_pool_discard(things, held[at]);
    else
        thing_pool_put(things, held[at]);
    held[at] = NULL;
}

static void *use_many(void *arg)
{
    struct thing *held[HELD] = {NULL};
    unsigned seed = (unsigned)(uintptr_t)arg;
    while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED))
        use_one(held, &seed);
    for (int i = 0; i < HELD; i++)
        thing_pool_put(things, held[i]);
    return NULL;
}

/* No false report, by the touches nor by the fills, while all of it happens at once. */
START_TEST(threads_under_ticks)
{
    pthread_t threads[THREADS];
    set("1/7", _i ? "8" : "500");
    level = levels[_i];
    open_with(NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        threads[i] = start_thread(use_many, (void *)(i + 1));
    for (int64_t end = now_ms() + 1700; now_ms() < end;) {
        opool_epoch_advance();
        sleep_ms(2);
    }
    __atomic_store_n(&shared_stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    struct opool_stats stats = figures(thing_pool_base(things));
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_gt(stats.guarded, 100);
    check_equations(thing_pool_base(things));
    thing_pool_destroy(&things);
    ck_assert_uint_eq(calls.inits, calls.finis);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--how-many") == 0)
        return say_how_many();
    /* Tools are found before main, and nothing is guarded under one that is told of objects. */
    if (!getenv("OPOOL_TOOLS") && setenv("OPOOL_TOOLS", "off", 1) == 0)
        execv("/proc/self/exe", argv);
    Suite *suite = suite_create("guard slots");
    TCase *tests = new_case(suite, "touches");
    tcase_add_loop_test(tests, a_touch_is_told_with_its_story, 0, TOUCHES * LEVELS);
    if (!is_sanitized())
        tcase_add_test(tests, handlers_of_the_program_are_called_behind_it);
    tests = new_case(suite, "puts");
    tcase_add_loop_test(tests, wrong_puts_are_named_at_every_level, 0, WRONGS * LEVELS);
    tcase_add_test(tests, usual_objects_are_judged_as_ever);
    tests = new_case(suite, "life");
    tcase_add_loop_test(tests, a_guarded_object_is_built_reset_and_torn_down, 0, LEVELS);
    tcase_add_loop_test(tests, owning_objects_are_judged_by_their_footprint, 0, LEVELS);
    tcase_add_test(tests, an_init_that_fails_is_the_usual_get_s);
    tcase_add_test(tests, all_ways_to_get_are_guarded);
    tcase_add_test(tests, batches_and_waits_are_guarded_before_the_cache_is_asked);
    tcase_add_test(tests, who_asks_for_the_slots_gets_them);
    tcase_add_test(tests, large_objects_and_regions_are_not);
    tests = new_case(suite, "how many");
    tcase_add_test(tests, nothing_is_guarded_unless_asked_for);
    tcase_add_test(tests, nothing_is_guarded_under_a_memory_tool);
    tcase_add_test(tests, one_in_n_of_a_million_is_guarded);
    tcase_add_test(tests, without_a_free_slot_gets_are_usual_ones);
    tcase_add_test(tests, slots_are_used_again_after_two_whole_epochs);
    tests = new_case(suite, "books");
    tcase_add_loop_test(tests, capacity_is_exact, 0, 2);
    tcase_add_loop_test(tests, close_waits_for_the_last_object, 0, LEVELS);
    tcase_add_test(tests, the_leak_report_has_them_all);
    tcase_add_test(tests, what_is_lost_belongs_to_nobody);
    tcase_add_loop_test(tests, a_child_goes_on_with_its_own_copy, 0, 2);
    tests = new_case(suite, "threads");
    tcase_add_loop_test(tests, threads_under_ticks, 0, LEVELS);
    return run_suite_as(suite, CK_FORK); /* the environment is read once a process */
}
