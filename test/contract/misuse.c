/* SPDX-License-Identifier: MIT */

/* Basic checks: each misuse ends a child with one line that says what was wrong; what only looks like misuse does not;
   with checks off nothing is said. misuse_no_inline.c runs the same again, where put is not inlined. */

#include "contract.h"

struct thing {
    long n;
    char more[88];
};
struct other {
    long n;
};

static bool thing_reset(struct thing *thing, void *arg)
{
    (void)arg;
    thing->n = 0;
    return true;
}

OPOOL_DEFINE(thing_pool, struct thing);
OPOOL_DEFINE(reset_pool, struct thing, .reset = thing_reset);
OPOOL_DEFINE(other_pool, struct other);

/* The pools under test, of one kind a run: inlined without and with a reset, untyped, with a capacity. */
enum kind { PLAIN, RESET, UNTYPED, BOUNDED, KINDS };
enum { MAGAZINE = 8 };

static const char *const kind_names[] = {"thing_pool", "reset_pool", "untyped", "bounded"};

static enum kind kind;
static enum opool_checks checks;
static struct opool *pool, *second;
static struct other_pool *other;

static struct opool *new_pool(const char *name)
{
    struct opool_options options = {
        .name = name, .magazine = MAGAZINE, .checks = checks, .capacity = kind == BOUNDED ? 100 : 0};
    struct thing_pool *plain = NULL;
    struct reset_pool *reset = NULL;
    int r = kind == RESET ? reset_pool_create(&reset, &options) : thing_pool_create(&plain, &options);
    CHILD_ASSERT(r == 0);
    return kind == RESET ? reset_pool_base(reset) : thing_pool_base(plain);
}

static void set_up(void)
{
    pool = new_pool(kind_names[kind]);
    second = new_pool("second");
    CHILD_ASSERT(other_pool_create(&other, &(struct opool_options){.checks = checks}) == 0);
}

static void *get_from(struct opool *from)
{
    void *object = kind == PLAIN ? thing_pool_get((struct thing_pool *)(void *)from) : opool_get(from);
    CHILD_ASSERT(object);
    return object;
}

/* volatile: compilers would say what is wrong */
static void put_to(struct opool *to, void *volatile object)
{
    if (kind == PLAIN)
        thing_pool_put((struct thing_pool *)(void *)to, object);
    else if (kind == RESET)
        reset_pool_put((struct reset_pool *)(void *)to, object);
    else
        opool_put(to, object);
}

static struct thing *get(void)
{
    return get_from(pool);
}

static void put(void *object)
{
    put_to(pool, object);
}

/* ---- misuse ---- */

static void put_of_the_stack(void)
{
    struct thing thing = {.n = 1};
    put(get());
    put(&thing);
}

static void put_of_the_heap(void)
{
    put(get());
    put(malloc(sizeof(struct thing)));
}

static void put_of_static_memory(void)
{
    static struct thing thing;
    put(&thing);
}

static void put_of_code(void)
{
    put((void *)(uintptr_t)&put_of_code);
}

static void put_of_a_number(void)
{
    put((void *)(uintptr_t)4096);
}

static void put_of_an_end(void)
{
    put((void *)~(uintptr_t)15);
}

static void discard_of_the_stack(void)
{
    struct thing thing = {.n = 1};
    opool_discard(pool, &thing);
}

static void batch_with_a_foreigner(void)
{
    struct thing thing = {.n = 1};
    void *objects[] = {get(), &thing, get()};
    opool_put_batch(pool, objects, 3);
}

static void put_of_the_handle(void)
{
    put(pool);
}

static void put_of_a_member(void)
{
    put((char *)get() + offsetof(struct thing, more));
}

static void put_of_one_byte_more(void)
{
    put((char *)get() + 1);
}

static void put_of_the_last_byte(void)
{
    put((char *)get() + sizeof(struct thing) - 1);
}

static void discard_of_a_member(void)
{
    opool_discard(pool, &get()->more);
}

static void put_to_another_pool(void)
{
    put(get());
    put(get_from(second));
}

static void put_to_a_pool_of_another_type(void)
{
    put(other_pool_get(other));
}

static void discard_to_another_pool(void)
{
    opool_discard(pool, get_from(second));
}

static void put_where_no_object_was(void)
{
    put((char *)get() + ((size_t)1 << 20) * sizeof(struct thing));
}

static void put_after_destroy(void)
{
    struct opool *gone = pool;
    struct capture capture = capture_start();
    struct thing *thing = get();
    char text[256];
    opool_destroy(&pool);
    capture_stop(capture, text, sizeof text);
    put_to(gone, thing);
}

static void get_after_destroy(void)
{
    struct opool *gone = pool;
    opool_destroy(&pool);
    (void)(kind == PLAIN ? thing_pool_get((struct thing_pool *)(void *)gone) : opool_get(gone));
}

static void destroy_after_destroy(void)
{
    struct opool *gone = pool;
    opool_destroy(&pool);
    opool_destroy(&gone);
}

static void close_after_destroy(void)
{
    struct opool *gone = pool;
    opool_destroy(&pool);
    opool_close(&gone);
}

static void put_twice(void)
{
    struct thing *thing = get();
    put(thing);
    put(thing);
}

static void put_twice_after_others(void)
{
    struct thing *things[] = {get(), get(), get()};
    for (int i = 0; i < 3; i++)
        put(things[i]);
    put(things[2]);
}

/* The magazines hold MAGAZINE objects: the first put may fill one, the second then looks into it. */
static void put_twice_at_a_border(int before)
{
    struct thing *things[3 * MAGAZINE];
    for (int i = 0; i <= before; i++)
        things[i] = get();
    for (int i = 0; i <= before; i++)
        put(things[i]);
    put(things[before]);
}

static void put_twice_before_a_border(void)
{
    put_twice_at_a_border(MAGAZINE - 2);
}

static void put_twice_on_a_border(void)
{
    put_twice_at_a_border(MAGAZINE - 1);
}

static void put_twice_behind_a_border(void)
{
    put_twice_at_a_border(MAGAZINE);
}

static void put_twice_on_the_second_border(void)
{
    put_twice_at_a_border(2 * MAGAZINE - 1);
}

static void put_twice_behind_the_second_border(void)
{
    put_twice_at_a_border(2 * MAGAZINE);
}

static void put_twice_in_a_batch(void)
{
    struct thing *thing = get();
    void *objects[] = {get(), thing, NULL, thing};
    opool_put_batch(pool, objects, 4);
}

static void put_then_batch(void)
{
    struct thing *thing = get();
    void *objects[] = {thing, get()};
    put(thing);
    opool_put_batch(pool, objects, 2);
}

static void batch_then_put(void)
{
    struct thing *thing = get();
    void *objects[] = {get(), thing};
    opool_put_batch(pool, objects, 2);
    put(thing);
}

/* Others in between: found when both copies reach the depot. */
static void put_twice_far_apart(void)
{
    struct thing *things[8 * MAGAZINE];
    for (int i = 0; i < 8 * MAGAZINE; i++)
        things[i] = get();
    struct thing *twice = things[0];
    for (int i = 0; i < 8 * MAGAZINE; i++) {
        put(things[i]);
        if (i == MAGAZINE / 2)
            put(twice);
    }
}

static void *put_and_end(void *thing)
{
    put(thing);
    return NULL;
}

static void put_by_two_threads(void)
{
    struct thing *thing = get();
    run_thread(put_and_end, thing);
    run_thread(put_and_end, thing);
}

static void put_after_discard(void)
{
    struct thing *thing = get();
    opool_discard(pool, thing);
    opool_put(pool, thing);
}

static void discard_after_put(void)
{
    struct thing *thing = get();
    put(thing);
    opool_discard(pool, thing);
}

static void discard_twice(void)
{
    struct thing *thing = get();
    opool_discard(pool, thing);
    opool_discard(pool, thing);
}

static void put_to_no_pool(void)
{
    put_to(NULL, get());
}

static void discard_to_no_pool(void)
{
    opool_discard(NULL, get());
}

static void batch_to_no_pool(void)
{
    void *objects[] = {NULL, get()};
    opool_put_batch(NULL, objects, 2);
}

#define OF " of 0x[0-9a-f]+ by thread [0-9]+: "
#define TWICE "put" OF "[^\n]*put twice"
#define FOREIGN OF "not an object of any pool"
#define MIDDLE(offset) OF "a pointer into the middle: " offset " bytes past the start of an object"
#define OTHERS OF "not an object of this pool: the address is of pool 'second' \\(struct thing\\)"
#define GONE " of (0x[0-9a-f]+|\\(nil\\)|0x0) by thread [0-9]+: the pool was destroyed"

static const struct misuse {
    void (*act)(void);
    const char *line; /* behind the pool's name and type */
    bool no_pool;
} misuses[] = {
    {put_of_the_stack, "put" FOREIGN, false},
    {put_of_the_heap, "put" FOREIGN, false},
    {put_of_static_memory, "put" FOREIGN, false},
    {put_of_code, "put" FOREIGN, false},
    {put_of_a_number, "put" FOREIGN, false},
    {put_of_an_end, "put" FOREIGN, false},
    {put_of_the_handle, "put" FOREIGN, false},
    {discard_of_the_stack, "discard" FOREIGN, false},
    {batch_with_a_foreigner, "put" FOREIGN, false},
    {put_of_a_member, "put" MIDDLE("8"), false},
    {put_of_one_byte_more, "put" MIDDLE("1"), false},
    {put_of_the_last_byte, "put" MIDDLE("95"), false},
    {discard_of_a_member, "discard" MIDDLE("8"), false},
    {put_to_another_pool, "put" OTHERS, false},
    {discard_to_another_pool, "discard" OTHERS, false},
    {put_to_a_pool_of_another_type, "put" OF "[^\n]* of pool 'other_pool' \\(struct other\\)", false},
    {put_where_no_object_was, "put" OF "(no object was ever|not an object of any pool)", false},
    {put_after_destroy, "put" GONE, false},
    {get_after_destroy, "get" GONE, false},
    {destroy_after_destroy, "destroy" GONE, false},
    {close_after_destroy, "close" GONE, false},
    {put_twice, TWICE, false},
    {put_twice_after_others, TWICE, false},
    {put_twice_before_a_border, TWICE, false},
    {put_twice_on_a_border, TWICE, false},
    {put_twice_behind_a_border, TWICE, false},
    {put_twice_on_the_second_border, TWICE, false},
    {put_twice_behind_the_second_border, TWICE, false},
    {put_twice_in_a_batch, TWICE, false},
    {put_then_batch, TWICE, false},
    {batch_then_put, TWICE, false},
    {put_twice_far_apart, TWICE, false},
    {put_by_two_threads, TWICE, false},
    {put_after_discard, "put" OF "[^\n]*slot is free", false},
    {discard_after_put, "discard" OF "[^\n]*put twice", false},
    {discard_twice, "discard" OF "[^\n]*slot is free", false},
    {put_to_no_pool, "put" OF "the pool is NULL", true},
    {discard_to_no_pool, "discard" OF "the pool is NULL", true},
    {batch_to_no_pool, "put" OF "the pool is NULL", true},
};
enum { MISUSES = sizeof misuses / sizeof *misuses };

static const struct misuse *chosen;

static void do_misuse(void)
{
    set_up();
    chosen->act();
}

START_TEST(misuse_is_named)
{
    char pattern[512];
    kind = (enum kind)(_i % KINDS);
    chosen = &misuses[_i / KINDS];
    checks = _i % 2 ? OPOOL_CHECKS_BASIC : OPOOL_CHECKS_DEFAULT;
    snprintf(pattern, sizeof pattern, "^opool: pool '%s' \\(%s\\): %s", chosen->no_pool ? "NULL" : kind_names[kind],
             chosen->no_pool ? "[a-zA-Z]+" : "struct thing", chosen->line);
    struct outcome outcome = in_child(do_misuse);
    expect_abort(&outcome, pattern);
}
END_TEST

/* ---- checks off: undefined, but no line; these do no harm today ---- */

static void (*const unchecked[])(void) = {put_twice, put_to_another_pool, put_twice_on_a_border, put_twice_in_a_batch};
enum { UNCHECKED = sizeof unchecked / sizeof *unchecked };
static int chosen_unchecked;

static void do_unchecked(void)
{
    set_up();
    unchecked[chosen_unchecked]();
}

START_TEST(checks_off_say_nothing)
{
    kind = (enum kind)(_i % KINDS);
    checks = OPOOL_CHECKS_OFF;
    chosen_unchecked = _i / KINDS;
    if (kind == BOUNDED)
        return; /* its idle objects are a list: a second put ties a knot */
    struct outcome outcome = in_child(do_unchecked);
    ck_assert_str_eq(outcome.text, "");
    expect_success(&outcome);
}
END_TEST

static void misuse_no_pool(void)
{
    static struct thing thing;
    void *objects[] = {&thing};
    struct thing *volatile foreign = &thing; /* volatile: compilers would say it */
    opool_put(NULL, &thing);
    opool_discard(NULL, &thing);
    opool_put_batch(NULL, objects, 1);
    thing_pool_put(NULL, foreign);
    reset_pool_put(NULL, foreign);
}

START_TEST(checks_off_by_the_environment_say_nothing)
{
    setenv("OPOOL_CHECKS", "off", 1);
    struct outcome outcome = in_child(misuse_no_pool);
    unsetenv("OPOOL_CHECKS");
    ck_assert_str_eq(outcome.text, "");
    expect_success(&outcome);
}
END_TEST

/* ---- what only looks like misuse ---- */

static void the_same_again_and_again(void)
{
    struct thing *thing = get();
    for (int i = 0; i < 100; i++) {
        put(thing);
        CHILD_ASSERT(get() == thing);
    }
    put(thing);
}

static void nothing_many_times(void)
{
    void *nothing[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3; i++) {
        put(NULL);
        opool_discard(pool, NULL);
        opool_put_batch(pool, nothing, 3);
        opool_put_batch(pool, nothing, 0);
    }
    put_to(NULL, NULL);
}

static void all_of_a_burst(int n, bool backwards)
{
    struct thing *things[400];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < n; i++)
            things[i] = get();
        for (int i = 0; i < n; i++)
            put(things[backwards ? n - 1 - i : i]);
    }
}

static void a_burst(void)
{
    all_of_a_burst(100, false);
}

static void a_burst_backwards(void)
{
    all_of_a_burst(100, true);
}

static void back_and_forth_at_each_border(void)
{
    struct thing *things[4 * MAGAZINE];
    for (int n = 1; n < 4 * MAGAZINE; n++) {
        for (int i = 0; i < n; i++)
            things[i] = get();
        for (int i = 0; i < n; i++)
            put(things[i]);
        for (int i = 0; i < 5; i++) {
            struct thing *one = get(), *two = get();
            put(two);
            put(one);
        }
    }
}

static void a_slot_after_discard(void)
{
    struct thing *thing = get();
    for (int i = 0; i < 20; i++) {
        opool_discard(pool, thing);
        thing = get();
    }
    put(thing);
}

static void contents_that_are_pointers(void)
{
    struct thing *one = get(), *two = get();
    for (int i = 0; i < 20; i++) {
        for (size_t at = 0; at + sizeof one <= sizeof *one; at += sizeof one) {
            memcpy((char *)one + at, &one, sizeof one);
            memcpy((char *)two + at, &one, sizeof one);
        }
        put(one);
        put(two);
        const struct thing *top = get(), *next = get(); /* in any order: the level may be the full one */
        CHILD_ASSERT((top == two && next == one) || (top == one && next == two));
    }
    put(one);
    put(two);
}

static void two_pools_in_turn(void)
{
    for (int i = 0; i < 50; i++) {
        void *one = get(), *two = get_from(second);
        put(one);
        put_to(second, two);
        other_pool_put(other, other_pool_get(other));
    }
}

static void batches_with_gaps(void)
{
    void *objects[100];
    for (int round = 0; round < 5; round++) {
        CHILD_ASSERT(opool_get_batch(pool, objects, 90) == 90);
        memmove(objects + 50, objects + 40, 50 * sizeof *objects);
        memset(objects + 40, 0, 10 * sizeof *objects);
        opool_put_batch(pool, objects, 100);
    }
}

static void batch_and_single_mixed(void)
{
    void *objects[20];
    CHILD_ASSERT(opool_get_batch(pool, objects, 20) == 20);
    put(objects[0]);
    opool_put_batch(pool, objects + 1, 19);
    put(get());
    CHILD_ASSERT(opool_get_batch(pool, objects, 20) == 20);
    opool_put_batch(pool, objects, 20);
}

/* Not in a row: a, b, a with a get in between. */
static void put_get_put_in_a_batch(void)
{
    struct thing *one = get();
    void *objects[] = {one};
    for (int i = 0; i < 10; i++) {
        opool_put_batch(pool, objects, 1);
        CHILD_ASSERT(opool_get_batch(pool, objects, 1) == 1);
    }
    put(objects[0]);
}

static void put_by_another_thread(void)
{
    struct thing *thing = get();
    for (int i = 0; i < 10; i++) {
        run_thread(put_and_end, thing);
        thing = get();
    }
    put(thing);
}

static void many_by_another_thread(void)
{
    for (int i = 0; i < 40; i++)
        run_thread(put_and_end, get());
    a_burst();
}

static void *get_and_end(void *unused)
{
    (void)unused;
    return get();
}

static void got_by_another_thread(void)
{
    for (int i = 0; i < 40; i++) {
        void *thing;
        pthread_join(start_thread(get_and_end, NULL), &thing);
        put(thing);
    }
}

static void after_the_depot(void)
{
    struct thing *things[5 * MAGAZINE];
    for (int i = 0; i < 5 * MAGAZINE; i++)
        things[i] = get();
    for (int i = 0; i < 5 * MAGAZINE; i++)
        put(things[i]);
    for (int i = 0; i < 5 * MAGAZINE; i++) { /* those come back out of it */
        struct thing *thing = get();
        put(thing);
        things[i] = get();
    }
    for (int i = 0; i < 5 * MAGAZINE; i++)
        put(things[i]);
}

static void a_pool_where_another_was(void)
{
    for (int i = 0; i < 200; i++) {
        put(get());
        opool_destroy(&pool);
        pool = new_pool(kind_names[kind]);
    }
}

static void put_to_a_closed_pool(void)
{
    struct thing *one = get(), *two = get();
    struct opool *closed = pool;
    opool_close(&pool);
    put_to(closed, one);
    put_to(closed, two);
}

static void discard_to_a_closed_pool(void)
{
    struct thing *one = get(), *two = get();
    struct opool *closed = pool;
    opool_close(&pool);
    opool_discard(closed, one);
    opool_discard(closed, two);
}

static void no_pool_twice(void)
{
    opool_destroy(&pool);
    opool_destroy(&pool);
    opool_close(&pool);
    opool_close(&second);
    opool_close(&second);
    opool_destroy(&second);
}

static void put_in_a_child(void)
{
    struct thing *thing = get();
    int status;
    put(get());
    pid_t child = fork();
    if (child == 0) {
        put(thing);
        put(get());
        _exit(EXIT_SUCCESS);
    }
    CHILD_ASSERT(waitpid(child, &status, 0) == child && status == 0);
    put(thing);
}

static void figures_in_between(void)
{
    struct opool_stats stats;
    struct thing *things[3 * MAGAZINE];
    for (int i = 0; i < 3 * MAGAZINE; i++)
        things[i] = get();
    for (int i = 0; i < 3 * MAGAZINE; i++) {
        put(things[i]);
        CHILD_ASSERT(opool_stats_read(pool, &stats) == 0 && stats.puts == (uint64_t)i + 1);
    }
}

static void first_and_last_slots(void)
{
    struct thing *things[90], *lowest = get(), *highest = lowest;
    for (int i = 0; i < 90; i++) {
        things[i] = get();
        lowest = things[i] < lowest ? things[i] : lowest;
        highest = things[i] > highest ? things[i] : highest;
    }
    opool_discard(pool, lowest);
    opool_discard(pool, highest);
    put(get());
    put(get());
}

static void random_order(void)
{
    struct thing *held[90];
    unsigned seed = 1;
    int n = 0;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        int pick = n ? (int)(seed >> 8) % n : 0;
        if (n < 90 && (seed >> 30 < 2 || n == 0)) {
            held[n++] = get();
            continue;
        }
        if (seed >> 29 == 7)
            opool_discard(pool, held[pick]);
        else
            put(held[pick]);
        held[pick] = held[--n];
    }
    while (n)
        put(held[--n]);
}

static void (*const look_alikes[])(void) = {the_same_again_and_again,
                                            nothing_many_times,
                                            a_burst,
                                            a_burst_backwards,
                                            a_slot_after_discard,
                                            back_and_forth_at_each_border,
                                            contents_that_are_pointers,
                                            two_pools_in_turn,
                                            batches_with_gaps,
                                            batch_and_single_mixed,
                                            put_get_put_in_a_batch,
                                            put_by_another_thread,
                                            many_by_another_thread,
                                            got_by_another_thread,
                                            after_the_depot,
                                            a_pool_where_another_was,
                                            put_to_a_closed_pool,
                                            discard_to_a_closed_pool,
                                            no_pool_twice,
                                            put_in_a_child,
                                            figures_in_between,
                                            first_and_last_slots,
                                            random_order};
enum { LOOK_ALIKES = sizeof look_alikes / sizeof *look_alikes };
static int chosen_look_alike;

static void do_look_alike(void)
{
    set_up();
    look_alikes[chosen_look_alike]();
}

START_TEST(right_use_is_not_named)
{
    kind = (enum kind)(_i % KINDS);
    checks = _i % 2 ? OPOOL_CHECKS_BASIC : OPOOL_CHECKS_DEFAULT;
    chosen_look_alike = _i / KINDS;
    struct outcome outcome = in_child(do_look_alike);
    ck_assert_str_eq(outcome.text, "");
    expect_success(&outcome);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("misuse");
    TCase *tcase = new_case(suite, "misuse");
    tcase_add_loop_test(tcase, misuse_is_named, 0, MISUSES * KINDS);
    tcase_add_loop_test(tcase, right_use_is_not_named, 0, LOOK_ALIKES * KINDS);
    tcase_add_loop_test(tcase, checks_off_say_nothing, 0, UNCHECKED * KINDS);
    tcase_add_test(tcase, checks_off_by_the_environment_say_nothing);
    return run_suite_as(suite, CK_NOFORK); /* the library is used in children only */
}
