/* SPDX-License-Identifier: MIT */

/* The process around the pools: before main, at exit, the environment, and the walk over all pools. */

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

OPOOL_DEFINE(thing_pool, struct thing, .reset = thing_reset);
OPOOL_DEFINE(plain_pool, struct thing);

static struct thing_pool *new_pool(struct opool_options options)
{
    struct thing_pool *pool;
    CHILD_ASSERT(thing_pool_create(&pool, &options) == 0);
    return pool;
}

static void use(struct thing_pool *pool)
{
    struct thing *things[50];
    CHILD_ASSERT(thing_pool_get_batch(pool, things, 50) == 50);
    for (int i = 0; i < 50; i++)
        thing_pool_put(pool, things[i]);
}

/* ---- before main and after it ---- */

static struct thing_pool *early_pool;
static struct thing *early_thing;

__attribute__((constructor)) static void before_main(void)
{
    early_pool = new_pool((struct opool_options){.name = "early"});
    use(early_pool);
    early_thing = thing_pool_get(early_pool);
    early_thing->n = 12;
}

__attribute__((destructor)) static void after_main(void)
{
    use(early_pool);
}

START_TEST(a_pool_from_before_main)
{
    ck_assert(is_listed(thing_pool_base(early_pool)));
    ck_assert_uint_eq(early_thing->n, 12);
    ck_assert_uint_eq(figures(thing_pool_base(early_pool)).live, 1);
    thing_pool_put(early_pool, early_thing);
    use(early_pool);
    check_equations(thing_pool_base(early_pool));
    thing_pool_destroy(&early_pool);
    early_pool = new_pool((struct opool_options){.name = "early"}); /* for the destructor */
}
END_TEST

/* ---- ways to end ---- */

static struct thing_pool *left_over, *left_bounded;

/* Idle objects, objects out, and a second thread with a cache. */
static void *use_left_over(void *unused)
{
    (void)unused;
    use(left_over);
    use(left_bounded);
    return NULL;
}

static sem_t never;

static void *use_and_stay(void *unused)
{
    use_left_over(unused);
    sem_post(unused);
    wait_for(&never);
    return NULL;
}

static void leave_pools_alive(void)
{
    sem_t ready;
    left_over = new_pool((struct opool_options){.name = "left over"});
    left_bounded = new_pool((struct opool_options){.name = "left bounded", .capacity = 100});
    sem_init(&ready, 0, 0);
    sem_init(&never, 0, 0);
    start_thread(use_and_stay, &ready);
    wait_for(&ready);
    use_left_over(NULL);
    CHILD_ASSERT(thing_pool_get(left_over) && thing_pool_get(left_bounded));
}

static void use_at_exit(void)
{
    use(left_over);
    use(left_bounded);
    use(new_pool((struct opool_options){.name = "made at exit"}));
    dprintf(STDERR_FILENO, "atexit\n");
}

static void end_by_exit(void)
{
    leave_pools_alive();
    exit(7);
}

static void end_by_exit_with_handler(void)
{
    atexit(use_at_exit);
    leave_pools_alive();
    exit(7);
}

static void end_by_exit_with_later_handler(void)
{
    leave_pools_alive();
    atexit(use_at_exit);
    exit(7);
}

static void end_by_quick_exit(void)
{
    leave_pools_alive();
    at_quick_exit(use_at_exit);
    quick_exit(7);
}

static void end_at_once(void)
{
    leave_pools_alive();
    _exit(7);
}

static void *exit_from_here(void *unused)
{
    use_left_over(unused);
    exit(7);
}

static void end_by_another_thread(void)
{
    atexit(use_at_exit);
    leave_pools_alive();
    run_thread(exit_from_here, NULL);
}

static pthread_t first_thread;

static void *exit_after_first(void *unused)
{
    join_thread(first_thread);
    return exit_from_here(unused);
}

/* The first thread ends before the process does, and its caches are given back as those of any other. */
static void end_the_first_thread(void)
{
    leave_pools_alive();
    first_thread = pthread_self();
    start_thread(exit_after_first, NULL);
    pthread_exit(NULL);
}

static const struct {
    void (*end)(void);
    const char *says;
} ends[] = {{end_by_exit, ""},
            {end_by_exit_with_handler, "atexit\n"},
            {end_by_exit_with_later_handler, "atexit\n"},
            {end_by_quick_exit, "atexit\n"},
            {end_at_once, ""},
            {end_by_another_thread, "atexit\n"},
            {end_the_first_thread, ""}};
enum { ENDS = sizeof ends / sizeof *ends };

/* What only the stack of the first thread knew is lost when that thread ends before the process: no leak of ours. */
const char *__lsan_default_options(void);
__attribute__((used, visibility("default"))) const char *__lsan_default_options(void)
{
    return "detect_leaks=0";
}

START_TEST(every_way_to_end)
{
    if (THREAD_SANITIZER && ends[_i].end == end_the_first_thread)
        return; /* it can not do that in a forked child */
    struct outcome outcome = in_child(ends[_i].end);
    ck_assert_str_eq(outcome.text, ends[_i].says);
    ck_assert(WIFEXITED(outcome.status));
    ck_assert_int_eq(WEXITSTATUS(outcome.status), 7);
}
END_TEST

/* ---- the environment ---- */

static const char *child_checks;
static enum opool_checks child_option;

/* Put twice: undefined, but harmless in a pool with caches, when nobody checks. */
static void put_twice(void)
{
    if (child_checks)
        setenv("OPOOL_CHECKS", child_checks, 1);
    else
        unsetenv("OPOOL_CHECKS");
    struct thing_pool *pool = new_pool((struct opool_options){.checks = child_option});
    struct thing_pool *second = new_pool((struct opool_options){.checks = child_option});
    use(second);
    struct thing *volatile thing = thing_pool_get(pool); /* volatile: compilers would say it */
    thing_pool_put(pool, thing);
    thing_pool_put(pool, thing);
}

#define ABORTS \
    "opool: pool 'thing_pool' \\(struct thing\\): put of 0x[0-9a-f]+ by thread [0-9]+: [^\n]*put twice[^\n]*\n$"
#define IGNORED(word) "^opool: OPOOL_CHECKS: '" word "'[^\n]*off, basic, full[^\n]*: ignored\n"

static const struct {
    const char *environment;
    enum opool_checks option;
    bool aborts;
    const char *says;
} settings[] = {
    {NULL, OPOOL_CHECKS_DEFAULT, true, "^" ABORTS},
    {"", OPOOL_CHECKS_DEFAULT, true, "^" ABORTS},
    {"basic", OPOOL_CHECKS_DEFAULT, true, "^" ABORTS},
    {"off", OPOOL_CHECKS_DEFAULT, false, "^$"},
    {"off", OPOOL_CHECKS_BASIC, true, "^" ABORTS},
    {"basic", OPOOL_CHECKS_OFF, false, "^$"},
    {NULL, OPOOL_CHECKS_OFF, false, "^$"},
    {"basics", OPOOL_CHECKS_DEFAULT, true, IGNORED("basics") ABORTS},
    {"OFF", OPOOL_CHECKS_DEFAULT, true, IGNORED("OFF") ABORTS},
    {" off ", OPOOL_CHECKS_DEFAULT, false, "^$"},
    {"o ff", OPOOL_CHECKS_DEFAULT, true, IGNORED("o ff") ABORTS},
    {"full", OPOOL_CHECKS_DEFAULT, true, "^" ABORTS},
    {"off", OPOOL_CHECKS_FULL, true, "^" ABORTS},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* The environment is read once, here by the pool from before main: so the children start afresh. */
static const char *program;

static struct outcome run_setting(int i)
{
    struct outcome outcome;
    char number[16];
    int pipe_ends[2];
    snprintf(number, sizeof number, "%d", i);
    ck_assert_int_eq(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        if (settings[i].environment)
            setenv("OPOOL_CHECKS", settings[i].environment, 1);
        else
            unsetenv("OPOOL_CHECKS");
        execl(program, program, "--setting", number, (char *)NULL);
        _exit(127);
    }
    close(pipe_ends[1]);
    drain(pipe_ends[0], outcome.text, sizeof outcome.text);
    close(pipe_ends[0]);
    ck_assert_int_eq(waitpid(child, &outcome.status, 0), child);
    return outcome;
}

START_TEST(checks_follow_option_then_environment)
{
    struct outcome outcome = run_setting(_i);
    expect_match(outcome.text, settings[_i].says);
    if (settings[_i].aborts)
        ck_assert_int_eq(WIFSIGNALED(outcome.status) ? WTERMSIG(outcome.status) : 0, SIGABRT);
    else
        expect_success(&outcome);
}
END_TEST

/* ---- the walk ---- */

START_TEST(the_walk_lists_each_pool_once)
{
    enum { MANY = 200 };
    struct thing_pool *pools[MANY];
    unsigned seen[MANY] = {0}, others = 0;
    for (int i = 0; i < MANY; i++)
        pools[i] = new_pool((struct opool_options){.capacity = i % 2 ? 5 : 0});
    for (int i = 0; i < MANY; i += 3)
        thing_pool_destroy(&pools[i]);
    for (struct opool *at = NULL; (at = opool_next(at)) != NULL;) {
        int found = -1;
        for (int i = 0; i < MANY; i++)
            found = pools[i] && thing_pool_base(pools[i]) == at ? i : found;
        if (found < 0)
            others++;
        else
            seen[found]++;
    }
    ck_assert_uint_eq(others, 1); /* the early one */
    for (int i = 0; i < MANY; i++) {
        ck_assert_uint_eq(seen[i], pools[i] != NULL);
        thing_pool_destroy(&pools[i]);
    }
    ck_assert_ptr_eq(opool_next(NULL), thing_pool_base(early_pool));
    ck_assert_ptr_null(opool_next(thing_pool_base(early_pool)));
}
END_TEST

static int walks_on = 1;

static void *create_and_destroy(void *unused)
{
    (void)unused;
    for (int i = 0; i < 600; i++) {
        struct thing_pool *pool = new_pool((struct opool_options){.prefill = i % 4 == 0});
        thing_pool_put(pool, thing_pool_get(pool));
        thing_pool_destroy(&pool);
    }
    __atomic_store_n(&walks_on, 0, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(a_walk_while_pools_come_and_go)
{
    FILE *nowhere = fopen("/dev/null", "w");
    pthread_t thread = start_thread(create_and_destroy, NULL);
    while (__atomic_load_n(&walks_on, __ATOMIC_RELAXED)) {
        unsigned pools = 0;
        for (struct opool *at = NULL; (at = opool_next(at)) != NULL;)
            pools++;
        if (pools < 1 || pools > 3)
            ck_abort_msg("%u pools", pools);
        if (opool_stats_write(nowhere, OPOOL_JSON) != 0)
            ck_abort_msg("no figures");
    }
    join_thread(thread);
    fclose(nowhere);
}
END_TEST

/* ---- the writer ---- */

START_TEST(all_formats_can_be_written)
{
    static const enum opool_format formats[] = {OPOOL_TEXT, OPOOL_JSON, OPOOL_OPENMETRICS};
    struct thing_pool *pool = new_pool((struct opool_options){.name = "a \"quoted\\name\n"});
    use(pool);
    for (int i = 0; i < 3; i++) {
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        ck_assert_int_eq(opool_stats_write(out, formats[i]), 0);
        fclose(out);
        ck_assert_ptr_nonnull(strstr(text, "early"));
        ck_assert_ptr_nonnull(strstr(text, i ? "built" : "BUILT"));
        ck_assert_ptr_nonnull(strstr(text, i ? "\\\"quoted\\\\name" : "quoted"));
        free(text);
    }
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(a_writer_without_a_stream)
{
    FILE *full = fopen("/dev/full", "w");
    ck_assert_int_eq(opool_stats_write(NULL, OPOOL_TEXT), -EINVAL);
    ck_assert_int_eq(opool_stats_write(stdout, (enum opool_format)77), -EINVAL);
    if (!full)
        return;
    setvbuf(full, NULL, _IONBF, 0);
    ck_assert_int_lt(opool_stats_write(full, OPOOL_JSON), 0);
    fclose(full);
}
END_TEST

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--setting") == 0) {
        int i = atoi(argv[2]);
        child_checks = settings[i].environment;
        child_option = settings[i].option;
        put_twice();
        _exit(EXIT_SUCCESS);
    }
    Suite *suite = suite_create("process");
    TCase *life = new_case(suite, "life");
    tcase_add_test(life, a_pool_from_before_main);
    tcase_add_loop_test(life, every_way_to_end, 0, ENDS);
    tcase_add_loop_test(life, checks_follow_option_then_environment, 0, SETTINGS);
    TCase *walk = new_case(suite, "walk");
    tcase_add_test(walk, the_walk_lists_each_pool_once);
    tcase_add_test(walk, a_walk_while_pools_come_and_go);
    tcase_add_test(walk, all_formats_can_be_written);
    tcase_add_test(walk, a_writer_without_a_stream);
    return run_suite(suite);
}
