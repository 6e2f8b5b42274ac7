/* SPDX-License-Identifier: MIT */

/* The end of a pool: close, destroy, with objects out, from callbacks, and while threads still put. */

#include "contract.h"

struct thing {
    unsigned n;
    unsigned char more[60];
};

/* The arg of the pools here: what a callback does once, and how often fini ran. */
struct script {
    void (*in_init)(struct script *), (*in_reset)(struct script *), (*in_fini)(struct script *);
    struct opool *victim; /* whom it acts upon */
    unsigned finis;
    bool refuse;
};

static void act_once(struct script *script, void (**act)(struct script *))
{
    void (*now)(struct script *) = *act;
    if (!now) /* nearly always: then threads may share a script */
        return;
    *act = NULL;
    now(script);
}

static int thing_init(struct thing *thing, void *arg)
{
    struct script *script = arg;
    (void)thing;
    act_once(script, &script->in_init);
    return 0;
}

static bool thing_reset(struct thing *thing, void *arg)
{
    struct script *script = arg;
    thing->n = 0;
    act_once(script, &script->in_reset);
    return !script->refuse;
}

static void thing_fini(struct thing *thing, void *arg)
{
    struct script *script = arg;
    (void)thing;
    __atomic_fetch_add(&script->finis, 1u, __ATOMIC_RELAXED);
    act_once(script, &script->in_fini);
}

OPOOL_DEFINE(thing_pool, struct thing, .init = thing_init, .reset = thing_reset, .fini = thing_fini);
OPOOL_DEFINE(plain_pool, struct thing);

static struct thing_pool *new_pool(struct script *script, size_t capacity)
{
    struct opool_options options = {.arg = script, .capacity = capacity};
    struct thing_pool *pool;
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
    return pool;
}

/* Over a pool with caches and one with a capacity. */
static const size_t capacities[] = {0, 200};
enum { CAPACITIES = 2 };

/* ---- close ---- */

START_TEST(close_of_an_idle_pool_frees_it)
{
    struct script script = {.finis = 0};
    struct thing_pool *pool = new_pool(&script, capacities[_i]);
    struct opool *base = thing_pool_base(pool);
    struct thing *things[100];
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 100), 100);
    thing_pool_put_batch(pool, things, 100);
    thing_pool_close(&pool);
    ck_assert_ptr_null(pool);
    ck_assert_uint_eq(script.finis, 100);
    ck_assert(!is_listed(base));
}
END_TEST

START_TEST(the_last_put_frees_a_closed_pool)
{
    struct script script = {.finis = 0};
    struct thing_pool *pool = new_pool(&script, capacities[_i]), *handle = pool;
    struct opool *base = thing_pool_base(pool);
    struct thing *things[10];
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 10), 10);
    thing_pool_put_batch(pool, things + 6, 4);
    thing_pool_close(&handle);
    ck_assert_uint_eq(script.finis, 4);
    ck_assert(is_listed(base));
    errno = 0;
    ck_assert_ptr_null(thing_pool_get(pool));
    ck_assert_int_eq(errno, ESHUTDOWN);
    errno = 0;
    ck_assert_ptr_null(thing_pool_get_wait(pool, -1));
    ck_assert_int_eq(errno, ESHUTDOWN);
    errno = 0;
    ck_assert_uint_eq(thing_pool_get_batch(pool, things + 6, 4), 0);
    ck_assert_int_eq(errno, ESHUTDOWN);
    memset(things[0], 1, sizeof *things[0]);
    thing_pool_put(pool, things[0]);
    ck_assert_uint_eq(script.finis, 5); /* nothing is kept any more */
    thing_pool_discard(pool, things[1]);
    opool_put(base, things[2]);
    thing_pool_put_batch(pool, things + 3, 2);
    ck_assert_uint_eq(script.finis, 9);
    check_equations(base);
    ck_assert_uint_eq(figures(base).live, 1);
    ck_assert(is_listed(base));
    script.refuse = true;
    thing_pool_put(pool, things[5]);
    ck_assert_uint_eq(script.finis, 10);
    ck_assert(!is_listed(base));
}
END_TEST

enum { PUTTERS = 4, HELD = 40, CLOSE_ROUNDS = 150 };

struct putter {
    struct thing_pool *pool;
    struct thing *things[HELD];
    sem_t *ready;
    pthread_barrier_t *start;
    int wrong;
};

/* While another thread closes: puts and, as long as it still holds something, gets. */
static void *put_all(void *arg)
{
    struct putter *putter = arg;
    for (int i = 0; i < HELD; i++)
        putter->wrong += (putter->things[i] = thing_pool_get(putter->pool)) == NULL;
    sem_post(putter->ready);
    pthread_barrier_wait(putter->start);
    for (int i = 0; i < HELD; i++) {
        errno = 0;
        struct thing *more = i % 4 == 0 ? thing_pool_get(putter->pool) : NULL;
        putter->wrong += i % 4 == 0 && !more && errno != ESHUTDOWN;
        if (more)
            thing_pool_put(putter->pool, more);
        putter->things[i]->n = 1;
        thing_pool_put(putter->pool, putter->things[i]);
    }
    return NULL;
}

START_TEST(close_while_threads_put)
{
    for (int round = 0; round < CLOSE_ROUNDS; round++) {
        struct script script = {.finis = 0};
        struct putter putters[PUTTERS];
        pthread_t threads[PUTTERS];
        pthread_barrier_t start;
        sem_t ready;
        struct thing_pool *pool = new_pool(&script, capacities[_i]);
        struct opool *base = thing_pool_base(pool);
        pthread_barrier_init(&start, NULL, PUTTERS + 1);
        sem_init(&ready, 0, 0);
        for (int i = 0; i < PUTTERS; i++) {
            putters[i] = (struct putter){.pool = pool, .ready = &ready, .start = &start};
            threads[i] = start_thread(put_all, &putters[i]);
        }
        for (int i = 0; i < PUTTERS; i++)
            wait_for(&ready);
        pthread_barrier_wait(&start);
        thing_pool_close(&pool);
        for (int i = 0; i < PUTTERS; i++) {
            join_thread(threads[i]);
            ck_assert_int_eq(putters[i].wrong, 0);
        }
        ck_assert(!is_listed(base));
        ck_assert_uint_ge(script.finis, PUTTERS * HELD);
        pthread_barrier_destroy(&start);
    }
    ck_assert_ptr_null(opool_next(NULL));
}
END_TEST

static long address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages;
}

/* A pool reserves gigabytes of addresses: one that stays shows. */
START_TEST(an_ended_pool_gives_its_memory_back)
{
    struct script script = {.finis = 0};
    long before = 0;
    for (int round = 0; round < 20; round++) {
        struct thing_pool *pool = new_pool(&script, _i % 2 ? 100000000 : 0), *handle = pool;
        struct thing *thing = thing_pool_get(pool);
        if (_i / 2) {
            thing_pool_put(pool, thing);
            thing_pool_destroy(&pool);
        } else {
            thing_pool_close(&handle);
            thing_pool_put(pool, thing);
        }
        before = round == 2 ? address_space() : before;
    }
    ck_assert_int_lt(address_space() - before, (1L << 30) / sysconf(_SC_PAGESIZE));
}
END_TEST

/* ---- destroy with objects out ---- */

static char said[1024];

static void destroy_and_listen(struct thing_pool **pool)
{
    struct capture capture = capture_start();
    thing_pool_destroy(pool);
    capture_stop(capture, said, sizeof said);
}

START_TEST(destroy_says_how_many_are_out)
{
    struct script script = {.finis = 0};
    struct thing_pool *pool = new_pool(&script, capacities[_i]), *stale = pool;
    struct thing *things[10];
    struct opool_stats stats;
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 10), 10);
    for (unsigned i = 0; i < 10; i++)
        things[i]->n = i;
    thing_pool_put(pool, things[9]);
    thing_pool_discard(pool, things[8]);
    ck_assert_uint_eq(script.finis, 1);
    destroy_and_listen(&pool);
    expect_match(said, "^opool: pool 'thing_pool' \\(struct thing\\): destroy: 8 objects are out[^\n]*\n$");
    ck_assert_ptr_null(pool);
    ck_assert_uint_eq(script.finis, 2); /* of the idle one; never of those that are out */
    ck_assert(!is_listed(thing_pool_base(stale)));
    ck_assert_int_eq(opool_stats_read(thing_pool_base(stale), &stats), -EINVAL);
    for (int round = 0; round < 100; round++) { /* new pools do not get that memory */
        struct thing *thing;
        pool = new_pool(&script, 0);
        memset(thing = thing_pool_get(pool), 0xff, sizeof *thing);
        thing_pool_put(pool, thing);
        thing_pool_destroy(&pool);
    }
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_uint_eq(things[i]->n, i);
        memset(things[i], 0x11, sizeof *things[i]);
    }
}
END_TEST

START_TEST(destroy_knows_the_singular)
{
    struct script script = {.finis = 0};
    struct thing_pool *pool = new_pool(&script, capacities[_i]);
    struct thing *thing = thing_pool_get(pool);
    destroy_and_listen(&pool);
    expect_match(said, "^opool: pool 'thing_pool' \\(struct thing\\): destroy: 1 object is out[^\n]*\n$");
    thing->n = 1;
}
END_TEST

START_TEST(destroy_says_nothing_else)
{
    struct script script = {.finis = 0};
    struct thing_pool *pool = new_pool(&script, capacities[_i]);
    thing_pool_put(pool, thing_pool_get(pool));
    destroy_and_listen(&pool);
    ck_assert_str_eq(said, "");
    struct opool_options unchecked = {.arg = &script, .checks = OPOOL_CHECKS_OFF, .capacity = capacities[_i]};
    ck_assert_int_eq(thing_pool_create(&pool, &unchecked), 0);
    struct thing *thing = thing_pool_get(pool);
    destroy_and_listen(&pool);
    ck_assert_str_eq(said, "");
    thing->n = 1; /* still mapped */
}
END_TEST

static size_t child_capacity;

static void use_after_destroy(void (*use)(struct thing_pool *, struct thing *))
{
    static struct script script;
    struct thing_pool *pool = new_pool(&script, child_capacity), *stale = pool;
    struct thing *thing = thing_pool_get(pool);
    struct capture capture = capture_start();
    thing_pool_destroy(&pool);
    capture_stop(capture, said, sizeof said);
    use(stale, thing);
}

static void put_it(struct thing_pool *pool, struct thing *thing)
{
    thing->n = 77;
    thing_pool_put(pool, thing);
}

static void put_it_untyped(struct thing_pool *pool, struct thing *thing)
{
    opool_put(thing_pool_base(pool), thing);
}

static void put_it_in_a_batch(struct thing_pool *pool, struct thing *thing)
{
    thing_pool_put_batch(pool, &thing, 1);
}

static void discard_it(struct thing_pool *pool, struct thing *thing)
{
    thing_pool_discard(pool, thing);
}

static void get_another(struct thing_pool *pool, struct thing *thing)
{
    if (thing_pool_get(pool) == thing)
        _exit(EXIT_FAILURE);
}

static void destroy_it(struct thing_pool *pool, struct thing *thing)
{
    (void)thing;
    thing_pool_destroy(&pool);
}

static const struct {
    void (*use)(struct thing_pool *, struct thing *);
    const char *call;
} late_uses[] = {{put_it, "put"},         {put_it_untyped, "put"}, {put_it_in_a_batch, "put"},
                 {discard_it, "discard"}, {get_another, "get"},    {destroy_it, "destroy"}};
enum { LATE_USES = sizeof late_uses / sizeof *late_uses };

static int child_use;

static void use_late(void)
{
    use_after_destroy(late_uses[child_use].use);
}

START_TEST(late_use_is_named)
{
    char pattern[256];
    child_use = _i % LATE_USES;
    child_capacity = capacities[_i / LATE_USES];
    snprintf(pattern, sizeof pattern,
             "^opool: pool 'thing_pool' \\(struct thing\\): %s of [^ ]+ by thread [0-9]+: the pool was destroyed\n$",
             late_uses[child_use].call);
    struct outcome outcome = in_child(use_late);
    expect_abort(&outcome, pattern);
}
END_TEST

/* ---- from inside a callback ---- */

static void destroy_victim(struct script *script)
{
    struct opool *pool = script->victim;
    opool_destroy(&pool);
    ck_assert_ptr_eq(pool, script->victim);
}

enum from { INIT, RESET, UNTYPED_RESET, BATCH_RESET, FINI, PLACES };

static void arm(struct script *script, enum from from, void (*act)(struct script *))
{
    if (from == INIT)
        script->in_init = act;
    else if (from == FINI)
        script->in_fini = act;
    else
        script->in_reset = act;
}

static void run_callback(struct thing_pool *pool, enum from from)
{
    struct thing *thing = thing_pool_get(pool);
    ck_assert_ptr_nonnull(thing);
    if (from == UNTYPED_RESET)
        opool_put(thing_pool_base(pool), thing);
    else if (from == BATCH_RESET)
        thing_pool_put_batch(pool, &thing, 1);
    else if (from == FINI)
        thing_pool_discard(pool, thing);
    else
        thing_pool_put(pool, thing);
}

static void expect_refused_destroy(struct thing_pool *pool, struct script *script, enum from from)
{
    arm(script, from, destroy_victim);
    struct capture capture = capture_start();
    run_callback(pool, from);
    capture_stop(capture, said, sizeof said);
    expect_match(said, "^opool: pool '[a-z_]+' \\(struct thing\\): destroy: refused[^\n]*callback\n$");
}

/* For a reset that put inlines, the thread must have a cache: the first put of a thread goes out of line. */
static void warm_up(struct thing_pool *pool, enum from from)
{
    struct thing *things[2];
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 2), 2);
    thing_pool_put_batch(pool, things, 2);
    for (int i = 0; from == INIT && i < 2; i++)
        thing_pool_discard(pool, thing_pool_get(pool));
}

START_TEST(destroy_from_its_own_callback_is_refused)
{
    struct script script = {.finis = 0};
    enum from from = (enum from)(_i % PLACES);
    struct thing_pool *pool = new_pool(&script, capacities[_i / PLACES]);
    warm_up(pool, from);
    script.victim = thing_pool_base(pool);
    expect_refused_destroy(pool, &script, from);
    ck_assert(is_listed(thing_pool_base(pool)));
    check_equations(thing_pool_base(pool));
    thing_pool_put(pool, thing_pool_get(pool));
    destroy_and_listen(&pool);
    ck_assert_str_eq(said, "");
    ck_assert_ptr_null(pool);
}
END_TEST

START_TEST(destroy_from_another_pool_s_callback_is_refused)
{
    struct script script = {.finis = 0};
    enum from from = (enum from)(_i % PLACES);
    struct thing_pool *pool = new_pool(&script, capacities[_i / PLACES]);
    struct plain_pool *other;
    ck_assert_int_eq(plain_pool_create(&other, NULL), 0);
    warm_up(pool, from);
    script.victim = plain_pool_base(other);
    expect_refused_destroy(pool, &script, from);
    ck_assert(is_listed(plain_pool_base(other)));
    plain_pool_put(other, plain_pool_get(other));
    plain_pool_destroy(&other);
    ck_assert_ptr_null(other);
    destroy_and_listen(&pool);
    ck_assert_str_eq(said, "");
}
END_TEST

static struct thing_pool *nested_pool;
static struct thing *nested_thing;

/* A put inside a put of the same pool, then destroy: still inside the outer one's callback. */
static void put_and_destroy(struct script *script)
{
    thing_pool_put(nested_pool, nested_thing);
    destroy_victim(script);
}

START_TEST(destroy_after_a_nested_put_is_refused)
{
    struct script script = {.finis = 0};
    nested_pool = new_pool(&script, capacities[_i]);
    warm_up(nested_pool, RESET);
    nested_thing = thing_pool_get(nested_pool);
    script.victim = thing_pool_base(nested_pool);
    script.in_reset = put_and_destroy;
    struct thing *thing = thing_pool_get(nested_pool);
    struct capture capture = capture_start();
    thing_pool_put(nested_pool, thing);
    capture_stop(capture, said, sizeof said);
    expect_match(said, "destroy: refused");
    ck_assert(is_listed(script.victim));
    thing_pool_destroy(&nested_pool);
}
END_TEST

static void close_victim(struct script *script)
{
    struct opool *pool = script->victim;
    opool_close(&pool);
    ck_assert_ptr_null(pool);
}

/* close is allowed there; and afterwards the thread is in no callback any more: the next pool can be destroyed. */
START_TEST(close_from_a_callback)
{
    struct script script = {.refuse = _i / PLACES};
    enum from from = (enum from)(_i % PLACES);
    struct thing_pool *pool = new_pool(&script, 0);
    struct opool *base = thing_pool_base(pool);
    warm_up(pool, from);
    script.victim = base;
    arm(&script, from, close_victim);
    run_callback(pool, from);
    ck_assert(!is_listed(base));
    pool = new_pool(&script, 0); /* with the number of the one before */
    destroy_and_listen(&pool);
    ck_assert_str_eq(said, "");
    ck_assert_ptr_null(pool);
    ck_assert_ptr_null(opool_next(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ending");
    TCase *closing = new_case(suite, "close");
    tcase_add_loop_test(closing, close_of_an_idle_pool_frees_it, 0, CAPACITIES);
    tcase_add_loop_test(closing, the_last_put_frees_a_closed_pool, 0, CAPACITIES);
    tcase_add_loop_test(closing, close_while_threads_put, 0, CAPACITIES);
    tcase_add_loop_test(closing, close_from_a_callback, 0, 2 * PLACES);
    tcase_add_loop_test(closing, an_ended_pool_gives_its_memory_back, 0, 4);
    TCase *destroying = new_case(suite, "destroy");
    tcase_add_loop_test(destroying, destroy_says_how_many_are_out, 0, CAPACITIES);
    tcase_add_loop_test(destroying, destroy_knows_the_singular, 0, CAPACITIES);
    tcase_add_loop_test(destroying, destroy_says_nothing_else, 0, CAPACITIES);
    tcase_add_loop_test(destroying, late_use_is_named, 0, CAPACITIES * LATE_USES);
    tcase_add_loop_test(destroying, destroy_from_its_own_callback_is_refused, 0, CAPACITIES * PLACES);
    tcase_add_loop_test(destroying, destroy_from_another_pool_s_callback_is_refused, 0, CAPACITIES * PLACES);
    tcase_add_loop_test(destroying, destroy_after_a_nested_put_is_refused, 0, CAPACITIES);
    return run_suite(suite);
}
