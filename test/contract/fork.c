/* SPDX-License-Identifier: MIT */

/* fork in a threaded program: the child can use every pool, what is out is out, nothing is lost or handed out twice. */

#include "contract.h"

struct thing {
    unsigned n;
    unsigned char more[60];
};

static bool thing_reset(struct thing *thing, void *arg)
{
    (void)arg;
    thing->n = 0;
    return true;
}

OPOOL_DEFINE(thing_pool, struct thing);
OPOOL_DEFINE(reset_pool, struct thing, .reset = thing_reset);

enum { POOLS = 4, CAPACITY = 100, THREADS = 4 };

static _Alignas(64) char region[64 << 10];

/* With caches; with caches and a reset; with a capacity; in a region. */
static struct opool *pools[POOLS];

static struct opool *new_pool(struct opool_options options)
{
    struct thing_pool *pool;
    if (thing_pool_create(&pool, &options) != 0)
        abort();
    return thing_pool_base(pool);
}

static void make_pools(void)
{
    struct reset_pool *reset;
    pools[0] = new_pool((struct opool_options){.name = "cached"});
    if (reset_pool_create(&reset, NULL) != 0)
        abort();
    pools[1] = reset_pool_base(reset);
    pools[2] = new_pool((struct opool_options){.name = "bounded", .capacity = CAPACITY});
    pools[3] = new_pool((struct opool_options){.name = "region", .region = region, .region_size = sizeof region});
}

static struct thing *get(int i)
{
    return thing_pool_get((struct thing_pool *)(void *)pools[i]);
}

static void put(int i, struct thing *thing)
{
    if (i == 1)
        reset_pool_put((struct reset_pool *)(void *)pools[i], thing);
    else
        thing_pool_put((struct thing_pool *)(void *)pools[i], thing);
}

/* Exits at the first thing wrong: for children. */
static void check_pool(struct opool *pool)
{
    struct opool_stats s;
    CHILD_ASSERT(opool_stats_read(pool, &s) == 0);
    uint64_t idle = s.idle_thread + s.idle_depot + s.idle_victim;
    CHILD_ASSERT(s.slots == s.live + idle + s.slots_free);
    CHILD_ASSERT(s.built == s.torn_down + s.live + idle);
    CHILD_ASSERT(s.gets == s.puts + s.live);
}

/* Everything but creating: no malloc, which another thread may have locked when this process was made. */
static void use_pools(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++)
        for (int i = 0; i < POOLS; i++) {
            struct thing *things[20];
            for (unsigned k = 0; k < 20; k++) {
                CHILD_ASSERT((things[k] = get(i)) != NULL);
                things[k]->n = k + 1;
            }
            for (unsigned k = 0; k < 20; k++) {
                CHILD_ASSERT(things[k]->n == k + 1);
                put(i, things[k]);
            }
            opool_discard(pools[i], get(i));
        }
}

static void destroy_pools(void)
{
    for (int i = 0; i < POOLS; i++)
        opool_destroy(&pools[i]);
}

static void expect_quiet_success(void (*act)(void))
{
    struct outcome outcome = in_child(act);
    expect_success(&outcome);
    ck_assert_str_eq(outcome.text, "");
}

/* ---- one thread ---- */

static void use_and_check(void)
{
    use_pools(3);
    for (int i = 0; i < POOLS; i++)
        check_pool(pools[i]);
    destroy_pools();
}

START_TEST(a_child_can_use_all_pools)
{
    make_pools();
    use_pools(3);
    expect_quiet_success(use_and_check);
    use_pools(3);
    for (int i = 0; i < POOLS; i++)
        check_equations(pools[i]);
    destroy_pools();
}
END_TEST

static struct thing *held[POOLS][10];

static void put_what_the_parent_holds(void)
{
    for (int i = 0; i < POOLS; i++) {
        struct opool_stats stats;
        CHILD_ASSERT(opool_stats_read(pools[i], &stats) == 0 && stats.live == 10);
        for (unsigned k = 0; k < 200 && (i < 2 || k < CAPACITY - 10); k++) {
            struct thing *thing = get(i);
            for (int h = 0; h < 10; h++)
                CHILD_ASSERT(thing && thing != held[i][h]);
        }
    }
    CHILD_ASSERT(get(2) == NULL && errno == EAGAIN); /* the parent's 10 count */
    for (int i = 0; i < POOLS; i++)
        for (unsigned h = 0; h < 10; h++) {
            CHILD_ASSERT(held[i][h]->n == h);
            put(i, held[i][h]);
            check_pool(pools[i]);
        }
}

START_TEST(what_is_out_is_out_in_the_child)
{
    make_pools();
    for (int i = 0; i < POOLS; i++)
        for (unsigned h = 0; h < 10; h++)
            (held[i][h] = get(i))->n = h;
    expect_quiet_success(put_what_the_parent_holds);
    for (int i = 0; i < POOLS; i++)
        for (unsigned h = 0; h < 10; h++) {
            ck_assert_uint_eq(held[i][h]->n, h);
            put(i, held[i][h]);
        }
    destroy_pools();
}
END_TEST

static void *use_in_a_thread(void *rounds)
{
    use_pools(*(unsigned *)rounds);
    return NULL;
}

static void use_in_threads(void)
{
    pthread_t threads[THREADS];
    unsigned rounds = 5;
    use_pools(1);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(use_in_a_thread, &rounds);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    use_and_check();
}

static void fork_again(void)
{
    static int depth;
    if (++depth == 4) {
        use_in_threads();
        return;
    }
    use_pools(1);
    int status;
    pid_t child = fork();
    if (child == 0) {
        fork_again();
        _exit(EXIT_SUCCESS);
    }
    use_in_threads();
    CHILD_ASSERT(waitpid(child, &status, 0) == child && status == 0);
}

START_TEST(children_of_children)
{
    make_pools();
    expect_quiet_success(fork_again);
    use_and_check();
}
END_TEST

static void create_in_the_child(void)
{
    make_pools();
    use_in_threads();
}

START_TEST(pools_of_the_child)
{
    expect_quiet_success(create_in_the_child);
    struct opool *earlier = new_pool((struct opool_options){.name = "earlier"});
    opool_put(earlier, opool_get(earlier));
    expect_quiet_success(create_in_the_child);
    opool_destroy(&earlier);
}
END_TEST

/* ---- other threads' caches ---- */

static sem_t ready, leave;

static void *cache_and_sleep(void *unused)
{
    struct thing *things[30];
    (void)unused;
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 30; k++)
            things[k] = get(i);
        for (int k = 0; k < 30; k++)
            put(i, things[k]);
    }
    sem_post(&ready);
    wait_for(&leave);
    return NULL;
}

static void start_sleepers(pthread_t *threads)
{
    sem_init(&ready, 0, 0);
    sem_init(&leave, 0, 0);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(cache_and_sleep, NULL);
    for (int i = 0; i < THREADS; i++)
        wait_for(&ready);
}

static void end_sleepers(pthread_t *threads)
{
    for (int i = 0; i < THREADS; i++)
        sem_post(&leave);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
}

static void regain(void)
{
    for (int i = 0; i < 2; i++) {
        struct opool_stats stats;
        CHILD_ASSERT(opool_stats_read(pools[i], &stats) == 0);
        CHILD_ASSERT(stats.idle_thread == 0 && stats.idle_depot == THREADS * 30 && stats.live == 0);
        struct thing *things[THREADS * 30];
        for (int k = 0; k < THREADS * 30; k++)
            CHILD_ASSERT((things[k] = get(i)) != NULL);
        CHILD_ASSERT(opool_stats_read(pools[i], &stats) == 0 && stats.built == THREADS * 30);
        for (int k = 0; k < THREADS * 30; k++)
            put(i, things[k]);
        check_pool(pools[i]);
    }
    use_in_threads();
}

START_TEST(a_child_regains_other_threads_caches)
{
    pthread_t threads[THREADS];
    make_pools();
    start_sleepers(threads);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(figures(pools[i]).idle_thread, THREADS * 30);
    expect_quiet_success(regain);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(figures(pools[i]).idle_thread, THREADS * 30);
    end_sleepers(threads);
    use_and_check();
}
END_TEST

/* A thread that is inside a callback when another one forks does not exist in the child, nor does its callback. */

static sem_t in_callback, goes_on;
static int blocks; /* atomic */

static void block_once(void)
{
    if (!__atomic_exchange_n(&blocks, 0, __ATOMIC_ACQ_REL))
        return;
    sem_post(&in_callback);
    wait_for(&goes_on);
}

static int blocking_init(struct thing *thing, void *arg)
{
    (void)thing;
    if (arg)
        block_once();
    return 0;
}

static bool blocking_reset(struct thing *thing, void *arg)
{
    (void)thing;
    if (!arg)
        block_once();
    return true;
}

OPOOL_DEFINE(blocking_pool, struct thing, .init = blocking_init, .reset = blocking_reset);
static struct blocking_pool *blocking;

static void *get_and_put(void *unused)
{
    (void)unused;
    struct thing *one = blocking_pool_get(blocking), *two = blocking_pool_get(blocking);
    blocking_pool_put(blocking, two);
    __atomic_store_n(&blocks, 1, __ATOMIC_RELEASE);
    blocking_pool_put(blocking, one);
    return NULL;
}

static void *destroy_in_a_thread(void *unused)
{
    (void)unused;
    struct thing *thing = blocking_pool_get(blocking);
    blocking_pool_discard(blocking, thing);
    blocking_pool_destroy(&blocking);
    return blocking;
}

static void destroy_blocking(void)
{
    run_thread(destroy_in_a_thread, NULL);
    CHILD_ASSERT(blocking == NULL);
}

START_TEST(a_callback_of_another_thread_ends_with_fork)
{
    sem_init(&in_callback, 0, 0);
    sem_init(&goes_on, 0, 0);
    ck_assert_int_eq(blocking_pool_create(&blocking, NULL), 0);
    pthread_t thread = start_thread(get_and_put, NULL);
    wait_for(&in_callback);
    struct outcome outcome = in_child(destroy_blocking);
    expect_match(outcome.text, "^opool: pool 'blocking_pool' \\(struct thing\\): destroy: 1 object is out[^\n]*\n$");
    expect_success(&outcome);
    sem_post(&goes_on);
    join_thread(thread);
    blocking_pool_destroy(&blocking);
}
END_TEST

static void *build_and_block(void *unused)
{
    (void)unused;
    __atomic_store_n(&blocks, 1, __ATOMIC_RELEASE);
    blocking_pool_put(blocking, blocking_pool_get(blocking));
    return NULL;
}

static void use_the_rest(void)
{
    struct thing *thing = blocking_pool_get(blocking); /* the other one is being built for ever */
    CHILD_ASSERT(thing != NULL);
    CHILD_ASSERT(blocking_pool_get(blocking) == NULL && errno == EAGAIN);
    blocking_pool_put(blocking, thing);
    CHILD_ASSERT(blocking_pool_get(blocking) == thing);
}

START_TEST(an_object_being_built_is_out_in_the_child)
{
    struct opool_options options = {.capacity = 2, .arg = &options};
    sem_init(&in_callback, 0, 0);
    sem_init(&goes_on, 0, 0);
    ck_assert_int_eq(blocking_pool_create(&blocking, &options), 0);
    pthread_t thread = start_thread(build_and_block, NULL);
    wait_for(&in_callback);
    expect_quiet_success(use_the_rest);
    sem_post(&goes_on);
    join_thread(thread);
    blocking_pool_destroy(&blocking);
}
END_TEST

static pid_t forked;

static int fork_here(void *object, void *arg)
{
    (void)object;
    (void)arg;
    forked = fork();
    return 0;
}

/* The child goes on from inside the callback that forked, and ends the pool. */
START_TEST(a_callback_may_fork)
{
    struct opool_type type = {
        .name = "forking", .size = 64, .align = 8, .init = fork_here, .shape = OPOOL_SHAPE_TRUSTED("bytes")};
    struct opool *pool;
    int status;
    ck_assert_int_eq(opool_create(&pool, &type, NULL), 0);
    void *object = opool_get(pool);
    if (forked == 0) {
        alarm(10);
        opool_put(pool, object);
        check_pool(pool);
        opool_destroy(&pool);
        _exit(pool ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    ck_assert_int_eq(waitpid(forked, &status, 0), forked);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    opool_put(pool, object);
    opool_destroy(&pool);
}
END_TEST

/* ---- waiters ---- */

struct waiter {
    pid_t id;
    sem_t called;
    struct thing *thing;
};

static struct opool *narrow;
static struct thing *narrow_things[2];

static void *wait_in_the_parent(void *arg)
{
    struct waiter *waiter = arg;
    waiter->id = thread_id();
    sem_post(&waiter->called);
    waiter->thing = opool_get_wait(narrow, -1);
    return NULL;
}

static void capacity_without_waiters(void)
{
    for (int round = 0; round < 3; round++) {
        opool_put(narrow, narrow_things[0]);
        opool_put(narrow, narrow_things[1]);
        CHILD_ASSERT((narrow_things[0] = opool_get_wait(narrow, 1000)) != NULL);
        CHILD_ASSERT((narrow_things[1] = opool_get(narrow)) != NULL);
        CHILD_ASSERT(opool_get(narrow) == NULL && errno == EAGAIN);
        CHILD_ASSERT(opool_get_wait(narrow, 10) == NULL && errno == ETIMEDOUT);
    }
    check_pool(narrow);
}

START_TEST(waiters_of_the_parent_do_not_exist_in_the_child)
{
    struct waiter waiters[3];
    pthread_t threads[3];
    narrow = new_pool((struct opool_options){.name = "narrow", .capacity = 2});
    ck_assert_uint_eq(opool_get_batch(narrow, (void **)narrow_things, 2), 2);
    for (int i = 0; i < 3; i++) {
        sem_init(&waiters[i].called, 0, 0);
        threads[i] = start_thread(wait_in_the_parent, &waiters[i]);
        wait_for(&waiters[i].called);
        until_asleep(waiters[i].id);
    }
    expect_quiet_success(capacity_without_waiters);
    struct thing *thing = narrow_things[0];
    for (int i = 0; i < 3; i++) { /* and they still wait here, in their order */
        opool_put(narrow, thing);
        join_thread(threads[i]);
        thing = waiters[i].thing;
        ck_assert_ptr_nonnull(thing);
    }
    opool_put(narrow, thing);
    opool_put(narrow, narrow_things[1]);
    check_equations(narrow);
    opool_destroy(&narrow);
}
END_TEST

/* ---- fork at any moment ---- */

enum { FORKS = THREAD_SANITIZER ? 20 : 200, HELD = 12, FEW = 10 };

static unsigned left_in_bounded; /* of its capacity, for the threads */

/* What a thread writes down as held is out: written after get, and wiped before put. The child has a copy. */
static struct thing *notes[THREADS][POOLS][HELD];
static int stop;

static void *hammer(void *arg)
{
    struct thing *(*own)[HELD] = arg;
    unsigned seed = (unsigned)(uintptr_t)arg | 1;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        seed = seed * 1664525 + 1013904223;
        int i = (int)(seed >> 30), k = (int)(seed >> 16) % HELD;
        struct thing **note = &own[i][k], *thing = __atomic_load_n(note, __ATOMIC_RELAXED);
        if (!thing) {
            __atomic_store_n(note, get(i), __ATOMIC_RELEASE);
            continue;
        }
        __atomic_store_n(note, NULL, __ATOMIC_RELEASE);
        if (seed >> 12 & 15)
            put(i, thing);
        else
            opool_discard(pools[i], thing);
    }
    return NULL;
}

static unsigned noted(int i, const struct thing *thing)
{
    unsigned times = 0;
    for (int t = 0; t < THREADS; t++)
        for (int k = 0; k < HELD; k++)
            times += __atomic_load_n(&notes[t][i][k], __ATOMIC_ACQUIRE) == thing;
    return times;
}

/* Distinct objects, none of which another thread of the parent held. */
static void get_distinct(int i)
{
    enum { MANY = 120 };
    struct thing *things[MANY];
    unsigned got = 0;
    while (got < MANY && (things[got] = get(i)) != NULL) {
        CHILD_ASSERT(noted(i, things[got]) == 0);
        things[got]->n = got + 1;
        got++;
    }
    if (i == 2)
        CHILD_ASSERT(got <= left_in_bounded - (THREADS * HELD - noted(i, NULL)));
    for (unsigned k = 0; k < got; k++) {
        CHILD_ASSERT(things[k]->n == k + 1);
        put(i, things[k]);
    }
    CHILD_ASSERT(got + THREADS * (HELD + 1) >= (i == 2 ? left_in_bounded : CAPACITY));
}

static uint64_t idle_in_the_child(struct opool *pool)
{
    struct opool_stats s;
    CHILD_ASSERT(opool_stats_read(pool, &s) == 0);
    return s.idle_thread + s.idle_depot + s.idle_victim;
}

static void live_for_a_moment(void)
{
    alarm(20); /* a deadlock ends the child by a signal */
    for (int i = 0; i < POOLS; i++)
        check_pool(pools[i]); /* as if no other thread had been inside a call */
    for (int i = 0; i < POOLS; i++)
        get_distinct(i);
    if (__atomic_load_n(&notes[0][0][0], __ATOMIC_RELAXED))
        put(0, notes[0][0][0]);
    for (int tick = 0; tick < 4; tick++)
        opool_epoch_advance();
    for (int i = 0; i < POOLS; i++) {
        check_pool(pools[i]);
        CHILD_ASSERT(idle_in_the_child(pools[i]) == 0);
    }
    _exit(EXIT_SUCCESS);
}

/* In the second run the parent's pool with a capacity is full all the time, so in its tight mode. */
START_TEST(fork_at_any_moment)
{
    pthread_t threads[THREADS];
    make_pools();
    struct thing *filling[CAPACITY] = {NULL};
    for (int i = 0; _i && i < CAPACITY - FEW; i++)
        ck_assert_ptr_nonnull(filling[i] = get(2));
    left_in_bounded = _i ? FEW : CAPACITY;
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(hammer, notes[i]);
    for (int i = 0; i < FORKS; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            live_for_a_moment();
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(status == 0, "child %d: status %#x", i, (unsigned)status);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    if (_i)
        ck_assert_uint_gt(figures(pools[2]).tightened, 0);
    for (int i = 0; _i && i < CAPACITY - FEW; i++)
        put(2, filling[i]);
    for (int i = 0; i < POOLS; i++) {
        for (int t = 0; t < THREADS; t++)
            for (int k = 0; k < HELD; k++)
                put(i, notes[t][i][k]);
        check_equations(pools[i]);
        ck_assert_uint_eq(figures(pools[i]).live, 0);
    }
    destroy_pools();
}
END_TEST

/* The first pool under full checks loads what unwinds: a child of that moment has a loader that nobody has locked. */
static void *create_with_full_checks(void *unused)
{
    struct thing_pool *pool;
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL};
    (void)unused;
    CHILD_ASSERT(thing_pool_create(&pool, &options) == 0);
    thing_pool_put(pool, thing_pool_get(pool));
    thing_pool_destroy(&pool);
    return NULL;
}

static void fork_amid_first_creates(useconds_t later)
{
    pthread_t threads[THREADS];
    int status;
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(create_with_full_checks, NULL);
    usleep(later);
    pid_t child = fork();
    if (child == 0) {
        alarm(50); /* a busy machine, and sanitizers */
        create_with_full_checks(NULL);
        _exit(EXIT_SUCCESS);
    }
    CHILD_ASSERT(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
}

START_TEST(a_child_of_the_first_creates)
{
    int status;
    int64_t until = now_ms() + 1000; /* sanitized processes are slow to fork */
    for (useconds_t i = 0; i < 25 && (i < 4 || now_ms() < until); i++) {
        pid_t process = fork();
        if (process == 0) {
            fork_amid_first_creates(i * 4);
            _exit(EXIT_SUCCESS);
        }
        ck_assert_int_eq(waitpid(process, &status, 0), process);
        ck_assert_msg(status == 0, "process %u: status %#x", (unsigned)i, (unsigned)status);
    }
}
END_TEST

/* What the first create says of a setting goes to the log, which may do anything. */
static void fork_for_a_line(const char *line, void *lines)
{
    int status;
    CHILD_ASSERT(strstr(line, "OPOOL_AUDIT") != NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        struct opool *pool = new_pool((struct opool_options){.checks = OPOOL_CHECKS_FULL});
        opool_put(pool, opool_get(pool));
        _exit(EXIT_SUCCESS);
    }
    CHILD_ASSERT(waitpid(child, &status, 0) == child && status == 0);
    ++*(int *)lines;
}

START_TEST(the_log_of_the_first_create_may_fork)
{
    int lines = 0;
    alarm(60); /* a fork that waits for its own thread waits for ever */
    ck_assert_int_eq(setenv("OPOOL_AUDIT", "perhaps", 1), 0);
    opool_log_set(fork_for_a_line, &lines);
    struct opool *pool = new_pool((struct opool_options){0});
    ck_assert_int_eq(lines, 1);
    opool_log_set(NULL, NULL);
    opool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *tcase = new_case(suite, "fork");
    tcase_add_test(tcase, a_child_can_use_all_pools);
    tcase_add_test(tcase, what_is_out_is_out_in_the_child);
    tcase_add_test(tcase, children_of_children);
    tcase_add_test(tcase, pools_of_the_child);
    tcase_add_test(tcase, a_child_regains_other_threads_caches);
    tcase_add_test(tcase, a_callback_of_another_thread_ends_with_fork);
    tcase_add_test(tcase, a_callback_may_fork);
    tcase_add_test(tcase, an_object_being_built_is_out_in_the_child);
    tcase_add_test(tcase, waiters_of_the_parent_do_not_exist_in_the_child);
    tcase_add_test(tcase, the_log_of_the_first_create_may_fork);
    if (!THREAD_SANITIZER) /* which takes threads that ended in the parent for leaks of the child */
        tcase_add_test(tcase, a_child_of_the_first_creates);
    tcase_add_loop_test(tcase, fork_at_any_moment, 0, 2);
    return run_suite(suite);
}
