/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <dirent.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "api/pool.h"
#include "cache/reclaim.h"
#include "fault.h"
#include "opool/epoch.h"
#include "os/sleeper.h"

/*
 * What the api does with every refusal of the system and of init, and that nothing grows.
 *
 * The failure loop runs one scenario in a child for each call of the os table that it makes: the call fails once, or
 * from there on for ever, all calls or those of its kind; then the table is healthy again, and the scenario must
 * succeed in all it does and leave as much address space behind as in a child in which nothing ever failed.
 */

/* In children: a line, and the child has failed. */
#define MUST(condition) \
    do { \
        if (!(condition)) \
            must_failed(__LINE__, #condition); \
    } while (0)

static _Noreturn void must_failed(int line, const char *condition)
{
    fprintf(stderr, "test_api.c:%d: '%s' does not hold (errno %d)\n", line, condition, errno);
    _exit(1);
}

/* ---- objects ---- */

enum { MARK = 0x5eed };

static struct plan {
    uint32_t first; /* call of init to fail; 0: none */
    bool for_ever;
    int error; /* as init returns it */
    uint32_t calls;
} init_plan;

/* Of one pool: fini follows every init that succeeded, and no other. */
struct life {
    uint32_t built, torn_down;
    size_t size;
};

static int init(void *object, void *arg)
{
    struct life *life = arg;
    uint32_t number = ++init_plan.calls;
    size_t looked_at = life->size < 4096 ? life->size : 4096; /* of big ones not all: the loop makes many */
    MUST(unit_is_filled(object, 0, looked_at));
    memset(object, 0xa5, looked_at); /* what a failed init leaves must not be seen by the next one */
    if (init_plan.first && (init_plan.for_ever ? number >= init_plan.first : number == init_plan.first))
        return init_plan.error;
    *(uint32_t *)object = MARK;
    life->built++;
    return 0;
}

static void fini(void *object, void *arg)
{
    MUST(*(uint32_t *)object == MARK);
    ((struct life *)arg)->torn_down++;
    errno = EXDEV; /* as callbacks may: nobody who was called for something else may see it */
}

static struct opool_type type_of(size_t size)
{
    return (struct opool_type){
        .name = "unit", .shape = OPOOL_SHAPE_TRUSTED("a test"), .size = size, .align = 8, .init = init, .fini = fini};
}

/* ---- steps of the scenario: all may fail when something does, none otherwise ---- */

static bool healthy;

/* A failure that is told as it should be. */
static void must_be_excused(int error)
{
    MUST(!healthy);
    MUST(error == ENOMEM || (init_plan.first && error == abs(init_plan.error)));
}

static bool reset_nothing(void *object UNIT_UNUSED, void *arg UNIT_UNUSED)
{
    return true;
}

static struct opool *create(struct life *life, size_t size, struct opool_options options)
{
    struct opool_type type = type_of(size);
    struct opool *pool = (struct opool *)(void *)life;
    *life = (struct life){.size = size};
    options.arg = life;
    if (options.checks == OPOOL_CHECKS_FULL)
        type.reset = reset_nothing; /* is verified: that takes memory of its own */
    int r = opool_create(&pool, &type, &options);
    if (r != 0) {
        must_be_excused(-r);
        MUST(pool == NULL && life->built == life->torn_down); /* all undone */
        return NULL;
    }
    MUST(pool != NULL);
    return pool;
}

static void *get(struct opool *pool)
{
    errno = 0;
    void *object = opool_get(pool);
    if (!object)
        must_be_excused(errno);
    else
        MUST(*(uint32_t *)object == MARK);
    return object;
}

/* As many as can be had of n. */
static size_t get_all(struct opool *pool, void **objects, size_t n)
{
    size_t got = 0;
    for (size_t i = 0; i < n; i++)
        if ((objects[got] = get(pool)) != NULL)
            got++;
    return got;
}

/* The three equations, from the counters that the stats are made of. */
static void check_equations(struct opool *pool, uint64_t live)
{
    struct opool__cache_figures cache = opool__cache_read(&pool->cache);
    struct opool__flows flows = opool__depot_flows(&pool->depot);
    uint64_t exist = live + cache.idle + opool__depot_idle(&pool->depot).all;
    uint64_t gets = flows.to_caches + cache.puts - flows.from_caches - cache.idle + pool->shared_gets;
    MUST(pool->slab.used == exist);
    MUST(pool->shared_built == pool->shared_torn_down + exist);
    MUST(gets == cache.puts + pool->shared_puts + live);
}

static void destroy(struct opool *pool, const struct life *life)
{
    check_equations(pool, 0);
    opool_destroy(&pool);
    MUST(pool == NULL && life->built == life->torn_down);
}

enum { MANY = 300 };
static void *objects[2 * MANY];

static void use_plain(void)
{
    struct life life;
    struct opool *pool = create(&life, 200, (struct opool_options){0});
    if (!pool)
        return;
    size_t got = get_all(pool, objects, MANY);
    check_equations(pool, got);
    while (got > MANY / 2)
        opool_put(pool, objects[--got]);
    for (int i = 0; i < 20 && got; i++)
        opool_discard(pool, objects[--got]);
    check_equations(pool, got);
    errno = 0;
    size_t batch = opool_get_batch(pool, objects + got, MANY);
    if (batch < MANY)
        must_be_excused(errno);
    check_equations(pool, got + batch);
    opool_put_batch(pool, objects, got + batch);
    destroy(pool, &life);
}

static void use_capacity(void)
{
    enum { CAPACITY = 50 };
    struct life life;
    struct opool *pool = create(&life, 64, (struct opool_options){.capacity = CAPACITY});
    if (!pool)
        return;
    size_t got = get_all(pool, objects, CAPACITY);
    check_equations(pool, got);
    if (got == CAPACITY) {
        MUST(opool_get(pool) == NULL && errno == EAGAIN);
        MUST(opool_get_wait(pool, 1) == NULL && errno == ETIMEDOUT);
    }
    opool_put_batch(pool, objects, got);
    destroy(pool, &life);
}

static void use_prefill(void)
{
    struct life life;
    struct opool *pool = create(&life, 100, (struct opool_options){.prefill = MANY});
    if (!pool)
        return;
    MUST(life.built == MANY);
    check_equations(pool, 0);
    size_t got = get_all(pool, objects, MANY);
    MUST(got == MANY && life.built == MANY);
    opool_put_batch(pool, objects, got);
    destroy(pool, &life);
}

/* Verified at put, destroyed and closed. */
static void use_full(void)
{
    for (int closed = 0; closed < 2; closed++) {
        static struct life life;
        struct opool *pool = create(&life, 5000, (struct opool_options){.checks = OPOOL_CHECKS_FULL});
        if (!pool)
            return;
        MUST(pool->fresh.map_bytes >= 10000);
        size_t got = get_all(pool, objects, 10);
        opool_put_batch(pool, objects, got);
        got = get_all(pool, objects, 10);
        opool_put_batch(pool, objects, got);
        check_equations(pool, 0);
        if (closed)
            opool_close(&pool);
        else
            destroy(pool, &life);
        MUST(life.built == life.torn_down);
    }
}

static void use_big(void)
{
    struct life life;
    struct opool *pool = create(&life, 300 << 10, (struct opool_options){0});
    if (!pool)
        return;
    size_t got = get_all(pool, objects, 4);
    for (size_t i = 0; i < got; i++)
        opool_discard(pool, objects[i]); /* slabs empty: purges */
    got = get_all(pool, objects, 4);
    opool_put_batch(pool, objects, got);
    destroy(pool, &life);
}

static void use_region(void)
{
    static char region[10000];
    struct life life;
    memset(region, 0xee, sizeof region);
    struct opool *pool = create(&life, 64, (struct opool_options){.region = region, .region_size = sizeof region});
    if (!pool)
        return;
    size_t got = get_all(pool, objects, pool->capacity);
    MUST(init_plan.first || got == pool->capacity); /* needs no memory */
    MUST(got < pool->capacity || (opool_get(pool) == NULL && errno == EAGAIN));
    check_equations(pool, got);
    opool_put_batch(pool, objects, got);
    destroy(pool, &life);
}

/* A thread that leaves objects in its cache, stays until told to end, and may do more before. */
struct guest {
    struct opool *pool;
    uint32_t ready, leave;
};

static void *stay(void *argument)
{
    struct guest *guest = argument;
    void *held[MANY];
    size_t got = get_all(guest->pool, held, MANY);
    opool_put_batch(guest->pool, held, got);
    __atomic_store_n(&guest->ready, 1u, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&guest->leave, __ATOMIC_ACQUIRE))
        unit_nap(1);
    return NULL;
}

static pthread_t invite(struct guest *guest, struct opool *pool)
{
    pthread_t thread;
    *guest = (struct guest){.pool = pool};
    MUST(pthread_create(&thread, NULL, stay, guest) == 0);
    while (!__atomic_load_n(&guest->ready, __ATOMIC_ACQUIRE))
        unit_nap(1);
    return thread;
}

static void send_off(struct guest *guest, pthread_t thread)
{
    __atomic_store_n(&guest->leave, 1u, __ATOMIC_RELEASE);
    MUST(pthread_join(thread, NULL) == 0);
}

static void use_threads(void)
{
    struct life life;
    struct guest guest;
    struct opool *pool = create(&life, 48, (struct opool_options){0});
    if (!pool)
        return;
    for (int i = 0; i < 2; i++) {
        pthread_t thread = invite(&guest, pool);
        check_equations(pool, 0);
        size_t got = get_all(pool, objects, MANY);
        send_off(&guest, thread);
        check_equations(pool, got);
        opool_put_batch(pool, objects, got);
    }
    destroy(pool, &life);
}

/* Closed with objects out and in the cache of a thread that lives on: gone at the latest when both came back. */
static void use_close(void)
{
    static struct life life; /* callbacks may come after this returned */
    struct guest guest;
    struct opool *pool = create(&life, 80, (struct opool_options){0}), *handle = pool;
    if (!pool)
        return;
    pthread_t thread = invite(&guest, pool);
    size_t got = get_all(pool, objects, 10);
    opool_close(&pool);
    MUST(pool == NULL);
    MUST(got == 0 || (opool_get(handle) == NULL && errno == ESHUTDOWN));
    while (got)
        opool_put(handle, objects[--got]);
    send_off(&guest, thread);
    MUST(life.built == life.torn_down);
}

/* All idle objects age until they go, but for those that are kept. */
static void use_ticks(void)
{
    enum { KEEP = 10 };
    struct life life;
    struct opool *pool = create(&life, 120, (struct opool_options){.keep = KEEP});
    if (!pool)
        return;
    size_t got = get_all(pool, objects, MANY);
    opool_put_batch(pool, objects, got);
    for (int i = 0; i < 4; i++) {
        (void)opool_epoch_advance();
        check_equations(pool, 0);
    }
    MUST(!healthy || life.torn_down == MANY - KEEP);
    got = get_all(pool, objects, MANY);
    opool_put_batch(pool, objects, got / 2);
    (void)opool_release();
    check_equations(pool, got - got / 2);
    opool_put_batch(pool, objects + got / 2, got - got / 2);
    opool_thread_flush();
    destroy(pool, &life);
}

static void use_ticker(void)
{
    struct opool_epoch_options never = {.period_ms = 1000000000}; /* the calls are to be the same in each run */
    int r = opool_epoch_start(&never);
    MUST(r == 0 || (!healthy && (r == -EAGAIN || r == -ENOMEM)));
    MUST(r != 0 || opool_epoch_start(&never) == -EALREADY);
    opool_epoch_stop();
}

static void scenario(void)
{
    use_plain();
    use_capacity();
    use_prefill();
    use_full();
    use_big();
    use_region();
    use_threads();
    use_close();
    use_ticks();
    use_ticker();
    MUST(opool__registry_next(NULL) == NULL); /* no pool is left */
}

static void healthy_scenario(void)
{
    fault_heal();
    init_plan = (struct plan){0, false, 0, 0};
    healthy = true;
    scenario();
}

/* ---- one run of the loop, in a child ---- */

struct run {
    /* in */
    uint32_t first, kinds, error;
    bool for_ever;
    struct plan init;
    /* out */
    uint32_t calls, init_calls, refused;
    uint8_t trace[FAULT_TRACE];
    uint64_t reservations, kept;
};

static struct run *shared_run; /* with the child */

static unsigned two_processors(void)
{
    return 2;
}

static void run_in_child(void *unused UNIT_UNUSED)
{
    struct run *run = shared_run;
    fault_install();
    opool__os.processors = two_processors; /* the same calls on every machine */
    setenv("OPOOL_GUARD_SLOTS", "1/1", 1); /* as many objects as there are slots, and then usual ones */
    setenv("OPOOL_GUARD_SLOTS_MOST", "2", 1);
    fault_plan(run->first, run->for_ever, run->kinds);
    fault.error = run->error;
    init_plan = run->init;
    healthy = run->first == 0 && run->init.first == 0;
    scenario();
    run->calls = fault.calls;
    run->refused = fault.refused;
    run->init_calls = init_plan.calls;
    memcpy(run->trace, fault.trace, sizeof run->trace);
    healthy_scenario();
    run->reservations = fault.reservations - fault.kept;
    run->kept = fault.kept;
    uint64_t reservations = fault.reservations, bytes = fault.reserved_bytes;
    healthy_scenario();
    MUST(fault.reservations == reservations && fault.reserved_bytes == bytes); /* and nothing grows */
}

static unsigned runs, bad;

/* Runs with what shared_run says. */
static void run(uint64_t expected_reservations, const char *what)
{
    struct unit_child child = unit_in_child(run_in_child, NULL);
    bool good = unit_succeeded(&child);
    const struct run *r = shared_run;
    if (good && expected_reservations && r->reservations != expected_reservations) {
        good = false;
        printf("%llu reservations are left, not %llu\n", (unsigned long long)r->reservations,
               (unsigned long long)expected_reservations);
    }
    runs++;
    bad += !good;
    if (!good && bad <= 10)
        printf("%s %u %s kinds %x error %u: status %x: %s\n", what, r->first + r->init.first,
               r->for_ever || r->init.for_ever ? "for ever" : "once", (unsigned)r->kinds, r->error,
               (unsigned)child.status, child.said);
}

static struct run clean;

static void share_a_run(void)
{
    shared_run = mmap(NULL, sizeof *shared_run, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared_run, MAP_FAILED);
    run(0, "no failure");
    ck_assert_uint_eq(bad, 0);
    clean = *shared_run;
    ck_assert_uint_lt(clean.calls, FAULT_TRACE);
    ck_assert_uint_eq(clean.kept, 0);
}

static void fail_call(uint32_t point, bool for_ever, uint32_t kinds, uint32_t error)
{
    memset(shared_run, 0, sizeof *shared_run);
    shared_run->first = point;
    shared_run->for_ever = for_ever;
    shared_run->kinds = kinds;
    shared_run->error = error;
    run(clean.reservations, "call");
    if (bad == 0)
        ck_assert_uint_ge(shared_run->refused, 1); /* it did fail */
}

/* Watched runs take twenty times as long: a sample of the points is enough there. */
static uint32_t step(void)
{
    return unit_watched() ? 7 : 1;
}

START_TEST(every_call_fails_once_and_for_ever)
{
    for (uint32_t point = 1; point <= clean.calls; point += step()) {
        enum fault_call kind = (enum fault_call)clean.trace[point - 1];
        for (uint32_t error = 0; error < FAULT_ERRORS && fault_errors[kind][error]; error++) {
            fail_call(point, false, UINT32_MAX, error);
            fail_call(point, true, fault_kind(kind), error);
        }
        fail_call(point, true, UINT32_MAX, 0);
    }
    printf("points=%u runs=%u bad=%u\n", clean.calls, runs, bad);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

/* The scenario meets each kind of call, or the loop above says less than it seems to; but handlers of fork are
   registered before it begins, when the library is loaded. */
START_TEST(scenario_makes_calls_of_every_kind)
{
    bool seen[FAULT_CALLS] = {false};
    for (uint32_t i = 0; i < clean.calls; i++)
        seen[clean.trace[i]] = true;
    for (int kind = 0; kind < FAULT_CALLS; kind++)
        ck_assert_msg(seen[kind] || kind == FAULT_AT_FORK, "no call of kind %d", kind);
}
END_TEST

static void fail_init(uint32_t call, bool for_ever, int error)
{
    memset(shared_run, 0, sizeof *shared_run);
    shared_run->init = (struct plan){.first = call, .for_ever = for_ever, .error = error};
    run(clean.reservations, "init");
}

START_TEST(init_fails_once_and_for_ever)
{
    uint32_t points = 0;
    for (uint32_t call = 1; call <= clean.init_calls; call += (call < 4 ? 1u : 41u) * step(), points++) {
        fail_init(call, false, EMFILE);
        fail_init(call, true, -EPROTO);
    }
    printf("init: points=%u of %u runs=%u bad=%u\n", points, clean.init_calls, runs, bad);
    ck_assert_uint_eq(bad, 0);
}
END_TEST

/* ---- init, exactly ---- */

static struct life life;

static struct opool *open_pool(size_t size, struct opool_options options)
{
    struct opool *pool;
    struct opool_type type = type_of(size);
    life = (struct life){.size = size};
    options.arg = &life;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    return pool;
}

START_TEST(error_of_init_is_passed_on)
{
    static const int errors[] = {EMFILE, -EMFILE, 1, -1, 4000};
    struct opool *pool = open_pool(64, (struct opool_options){0});
    for (size_t i = 0; i < UNIT_LENGTH(errors); i++) {
        init_plan = (struct plan){.first = 1, .for_ever = true, .error = errors[i]};
        for (int k = 0; k < 3; k++) {
            errno = 0;
            ck_assert_ptr_null(opool_get(pool));
            ck_assert_int_eq(errno, abs(errors[i]));
        }
        ck_assert_uint_eq(init_plan.calls, 3); /* one try a get */
    }
    ck_assert_uint_eq(pool->shared_init_fails, 15);
    ck_assert_uint_eq(pool->slab.used, 0);
    init_plan = (struct plan){0, false, 0, 0};
    ck_assert_ptr_nonnull(opool_get(pool));
    ck_assert_uint_eq(life.torn_down, 0); /* no fini of what was never built */
}
END_TEST

START_TEST(failed_init_gives_its_place_back)
{
    struct opool *pool = open_pool(64, (struct opool_options){.capacity = 1});
    init_plan = (struct plan){.first = 1, .for_ever = false, .error = EMFILE};
    ck_assert_ptr_null(opool_get(pool));
    ck_assert_int_eq(errno, EMFILE);
    void *object = opool_get(pool);
    ck_assert_ptr_nonnull(object);
    opool_put(pool, object);
    opool_destroy(&pool);
}
END_TEST

START_TEST(failed_prefill_undoes_everything)
{
    enum { PREFILL = 200 };
    struct opool_type type = type_of(64);
    struct opool_options options = {.prefill = PREFILL, .arg = &life};
    for (int n = 1; n <= PREFILL; n++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct opool *pool = (struct opool *)(void *)&life;
            life = (struct life){.size = 64};
            init_plan = (struct plan){.first = (uint32_t)n, .for_ever = n % 2, .error = sign * EMFILE};
            EXPECT(opool_create(&pool, &type, &options) == -EMFILE && pool == NULL);
            EXPECT(life.built == (uint32_t)n - 1 && life.torn_down == life.built);
            EXPECT(opool__registry_next(NULL) == NULL);
        }
    ck_assert_uint_eq(fault.reservations, 2); /* handles, and magazines of this capacity */
}
END_TEST

/* Numbers are few: 16383 failures must not mean pools without caches. */
START_TEST(failed_prefill_gives_the_number_back)
{
    struct opool_type type = type_of(64);
    struct opool_options options = {.prefill = 1, .arg = &life};
    struct opool *pool = open_pool(64, (struct opool_options){0});
    uint32_t number = pool->cache.shared_number;
    opool_destroy(&pool);
    for (int i = 0; i < 5; i++) {
        init_plan = (struct plan){.first = 1, .for_ever = true, .error = EMFILE};
        ck_assert_int_eq(opool_create(&pool, &type, &options), -EMFILE);
    }
    init_plan = (struct plan){0, false, 0, 0};
    pool = open_pool(64, (struct opool_options){0});
    ck_assert_uint_eq(pool->cache.shared_number, number);
}
END_TEST

/* ---- nothing grows ---- */

enum { BATCH = 1000, BATCHES = 5, WATCHED_BATCH = 20 /* their address space is small */, GROWTH_ROUNDS = 3 };

static int batch_size(void)
{
    return unit_watched() ? WATCHED_BATCH : BATCH;
}

static struct opool *batch[BATCH];

static struct opool_options nth_options(int i)
{
    return i % 3 == 0   ? (struct opool_options){0}
           : i % 3 == 1 ? (struct opool_options){.capacity = 20}
                        : (struct opool_options){.prefill = 5};
}

static void use_and_destroy_batch(void)
{
    for (int i = 0; i < batch_size(); i++)
        batch[i] = open_pool(64 + (size_t)(i % 7) * 100, nth_options(i));
    for (int i = 0; i < batch_size(); i++) {
        void *got[10];
        life.size = batch[i]->type.size;
        EXPECT(opool_get_batch(batch[i], got, 10) == 10);
        opool_put_batch(batch[i], got, 10);
    }
    for (int i = 0; i < batch_size(); i++)
        opool_destroy(&batch[i]);
}

static size_t count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    size_t lines = 0;
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static size_t resident_bytes(void)
{
    unsigned long total, resident;
    FILE *statm = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(statm);
    ck_assert_int_eq(fscanf(statm, "%lu %lu", &total, &resident), 2);
    fclose(statm);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

START_TEST(pools_that_come_and_go_leave_nothing)
{
    size_t mappings = 0, resident = 0;
    uint64_t reservations = 0, bytes = 0;
    for (int round = 0; round < GROWTH_ROUNDS; round++) {
        for (int i = 0; i < BATCHES; i++)
            use_and_destroy_batch();
        if (round > 0) {
            ck_assert_uint_eq(fault.reservations, reservations);
            ck_assert_uint_eq(fault.reserved_bytes, bytes);
            if (!unit_watched()) { /* they keep memory of their own */
                ck_assert_uint_le(count_mappings(), mappings + 2);
                ck_assert_uint_le(resident_bytes(), resident + (256 << 10));
            }
        }
        reservations = fault.reservations;
        bytes = fault.reserved_bytes;
        mappings = count_mappings();
        resident = resident_bytes();
    }
    printf("%d pools in %d rounds: %zu mappings, %zu KiB resident\n", batch_size() * BATCHES, GROWTH_ROUNDS, mappings,
           resident >> 10);
}
END_TEST

enum { MORE_THAN_NUMBERS = 17000, PROGRAM_BYTES = 64 << 20 };

/* More pools than there are numbers: all work, and leave the program's own memory its room. */
START_TEST(many_pools_leave_address_space)
{
    static struct opool *pools[MORE_THAN_NUMBERS];
    int many = unit_watched() ? 100 : MORE_THAN_NUMBERS;
    for (int i = 0; i < many; i++)
        pools[i] = open_pool(64, (struct opool_options){0});
    struct opool *last = pools[many - 1];
    ck_assert(last->cached == (many < OPOOL__HEADS));
    void *object = opool_get(last);
    ck_assert_ptr_nonnull(object);
    opool_put(last, object);
    void *program = malloc(PROGRAM_BYTES);
    ck_assert_ptr_nonnull(program);
    free(program);
    for (int i = 0; i < many; i++)
        opool_destroy(&pools[i]);
}
END_TEST

START_TEST(an_unused_pool_is_small)
{
    struct opool *first = open_pool(64, (struct opool_options){0});
    size_t before = resident_bytes();
    for (int i = 0; i < batch_size(); i++)
        batch[i] = open_pool(64, (struct opool_options){0});
    size_t each = (resident_bytes() - before) / (size_t)batch_size(),
           overhead = sizeof *first + batch[0]->slab.metadata_bytes;
    printf("an unused pool: %zu bytes resident, %zu by its own account\n", each, overhead);
    ck_assert_uint_lt(overhead, 8192);
    if (!unit_watched()) /* shadow memory */
        ck_assert_uint_lt(each, 8192);
    for (int i = 0; i < batch_size(); i++)
        opool_destroy(&batch[i]);
    opool_destroy(&first);
}
END_TEST

/* ---- regions ---- */

static void *use_region_pool(void *pool)
{
    for (int round = 0; round < 500; round++) {
        void *held[20];
        size_t got = opool_get_batch(pool, held, 10);
        for (; got < 20; got++)
            if ((held[got] = opool_get(pool)) == NULL)
                break;
        EXPECT(got == 20 || errno == EAGAIN);
        for (size_t i = 0; i < got; i++)
            if (round % 10 == 0)
                opool_discard(pool, held[i]);
            else
                opool_put(pool, held[i]);
    }
    return NULL;
}

static int init_quietly(void *object UNIT_UNUSED, void *arg UNIT_UNUSED)
{
    return 0;
}

START_TEST(a_region_pool_takes_nothing_from_the_system)
{
    enum { USERS = 4 };
    static char region[16384];
    struct opool_type type = type_of(200);
    struct opool_options options = {.region = region, .region_size = sizeof region};
    struct opool *pool;
    pthread_t users[USERS];
    type.init = init_quietly; /* the other counts without a lock */
    type.fini = NULL;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    fault_all(UINT32_MAX);
    for (int i = 0; i < USERS; i++)
        users[i] = unit_thread(use_region_pool, pool);
    for (int i = 0; i < USERS; i++)
        unit_join(users[i]);
    ck_assert_uint_eq(fault.calls, 0);
    check_equations(pool, 0);
    ck_assert_uint_eq(pool->shared_memory_fails, 0);
    opool_destroy(&pool);
    ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

START_TEST(capacity_of_a_region_is_what_fits)
{
    static char region[8192];
    for (size_t size = 1; size <= 600; size += 13) {
        struct opool *pool =
            open_pool(size < 4 ? 4 : size, (struct opool_options){.region = region, .region_size = 8192});
        size_t n = 0;
        while (opool_get(pool))
            n++;
        EXPECT(errno == EAGAIN && n == pool->capacity && n == pool->slab.layout.slots);
        pool->label.checks = OPOOL_CHECKS_OFF; /* objects are out: no line about it */
        opool_destroy(&pool);
    }
}
END_TEST

/* ---- create ---- */

START_TEST(create_refuses_what_makes_no_sense)
{
    static char region[64];
    const struct opool_type good = type_of(64);
    struct opool_type types[] = {good, good, good, good, good, good};
    static const struct opool_options bad_options[] = {
        {.capacity = 5, .prefill = 6},
        {.capacity = 5, .keep = 6},
        {.magazine = 129},
        {.region = region},
        {.region_size = 4096},
        {.region = region, .region_size = 30},
        {.capacity = SIZE_MAX / 2},
        {.checks = (enum opool_checks)4},
    };
    types[0].size = 0;
    types[1].size = OPOOL_SIZE_MAX + 1;
    types[2].align = 0;
    types[3].align = 24;
    types[4].align = 8192;
    types[5].shape = NULL;
    close(STDERR_FILENO); /* the lines are for test/contract */
    for (size_t i = 0; i < UNIT_LENGTH(types) + UNIT_LENGTH(bad_options); i++) {
        struct opool *pool = (struct opool *)(void *)&life;
        bool of_type = i < UNIT_LENGTH(types);
        int r = opool_create(&pool, of_type ? &types[i] : &good, of_type ? NULL : &bad_options[i - UNIT_LENGTH(types)]);
        ck_assert_msg(r == -EINVAL && pool == NULL, "case %zu: %d", i, r);
    }
    ck_assert_int_eq(opool_create(NULL, &good, NULL), -EINVAL);
    struct opool *pool = (struct opool *)(void *)&life;
    ck_assert_int_eq(opool_create(&pool, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(pool);
    ck_assert_ptr_null(opool__registry_next(NULL));
}
END_TEST

START_TEST(create_knows_other_versions)
{
    struct opool_type good = type_of(64);
    struct {
        struct opool_type type;
        uint64_t unknown;
    } longer = {.type = good, .unknown = 0};
    struct {
        struct opool_options options;
        uint64_t unknown;
    } more = {.unknown = 0};
    struct opool *pool;
    good.init = NULL; /* init of life: none here */
    longer.type.init = NULL;
    longer.type.fini = good.fini = NULL;
    ck_assert_int_eq(opool__create(&pool, &good, sizeof good, NULL, 0, OPOOL_ABI + 1), -ENOTSUP);
    ck_assert_ptr_null(pool);
    ck_assert_int_eq(opool__create(&pool, &longer.type, sizeof longer, &more.options, sizeof more, OPOOL_ABI), 0);
    opool_destroy(&pool);
    longer.unknown = 1;
    ck_assert_int_eq(opool__create(&pool, &longer.type, sizeof longer, NULL, 0, OPOOL_ABI), -ENOTSUP);
    more.unknown = 1;
    ck_assert_int_eq(opool__create(&pool, &good, sizeof good, &more.options, sizeof more, OPOOL_ABI), -ENOTSUP);
    good.abi = OPOOL_ABI + 1;
    ck_assert_int_eq(opool_create(&pool, &good, NULL), -ENOTSUP);
    good.abi = OPOOL_ABI;
    /* An older header: shorter structs, the rest is zero. */
    size_t shorter = offsetof(struct opool_type, init), fewer = offsetof(struct opool_options, capacity);
    more.options = (struct opool_options){.name = "old", .capacity = 77};
    ck_assert_int_eq(opool__create(&pool, &good, shorter, &more.options, fewer, OPOOL_ABI), 0);
    ck_assert_uint_eq(pool->capacity, 0);
    ck_assert_str_eq(pool->name, "old");
    opool_destroy(&pool);
}
END_TEST

/* ---- handles ---- */

static void put_stale(void *object)
{
    opool_put(batch[0], object);
}

/* A handle is not used again before many others were destroyed: until then a late put is named. */
START_TEST(a_destroyed_handle_stays_one_for_a_while)
{
    struct opool *pool = open_pool(64, (struct opool_options){.name = "late"});
    batch[0] = pool;
    opool_destroy(&pool);
    for (int i = 0; i < 60; i++) {
        pool = open_pool(64, (struct opool_options){0});
        EXPECT(pool != batch[0]);
        opool_destroy(&pool);
    }
    struct unit_child child = unit_in_child(put_stale, &life);
    ck_assert(unit_aborted(&child));
    ck_assert_ptr_nonnull(strstr(child.said, "opool: pool 'late' (late): put of 0x"));
    ck_assert_ptr_nonnull(strstr(child.said, ": the pool was destroyed\n"));
}
END_TEST

START_TEST(handles_are_used_again)
{
    struct opool *seen = NULL;
    for (int i = 0; i < 500; i++) {
        struct opool *pool = open_pool(64, (struct opool_options){0});
        seen = pool > seen ? pool : seen;
        opool_destroy(&pool);
    }
    ck_assert_uint_le(seen->index, 64); /* the quarantine, and the one in use */
}
END_TEST

START_TEST(a_handle_used_again_has_nothing_of_the_last_pool)
{
    struct opool_type type = type_of(64);
    struct opool *pool;
    for (int i = 0; i < 200; i++) {
        pool = open_pool(64, (struct opool_options){.capacity = 3, .keep = 2, .checks = OPOOL_CHECKS_FULL});
        opool_put(pool, opool_get(pool));
        opool_destroy(&pool);
    }
    type.init = NULL;
    type.fini = NULL;
    ck_assert_int_eq(opool_create(&pool, &type, NULL), 0);
    ck_assert(pool->capacity == 0 && pool->keep == 0 && pool->cached);
    ck_assert(pool->shared_gets == 0 && pool->shared_puts == 0 && pool->shared_built == 0);
    ck_assert(pool->shared_live_peak == 0 && pool->shared_pins == 0);
    opool_destroy(&pool);
}
END_TEST

/* ---- ticks ---- */

static void burst(struct opool *pool, size_t n)
{
    ck_assert_uint_eq(opool_get_batch(pool, objects, n), n);
    opool_put_batch(pool, objects, n);
}

static void ticks(int n)
{
    for (; n > 0; n--)
        (void)opool__tick();
}

static uint64_t exist(struct opool *pool)
{
    return opool__load_relaxed(&pool->shared_built) - opool__load_relaxed(&pool->shared_torn_down);
}

/* What whoever decides about the next tick gets to know. */
START_TEST(a_tick_says_what_it_found)
{
    struct opool *pool = open_pool(64, (struct opool_options){.keep = 3});
    uint64_t epoch = opool_epoch_now();
    ck_assert(!opool__anything_idle());
    burst(pool, 10);
    static const struct opool__tick_report reports[] = {
        {.idle_bytes = 448, .torn_down = 0, .left_idle = 7, .heads = 1},
        {.idle_bytes = 448, .torn_down = 0, .left_idle = 7, .heads = 0},
        {.idle_bytes = 448, .torn_down = 7, .left_idle = 0, .heads = 0},
        {.idle_bytes = 0, .torn_down = 0, .left_idle = 0, .heads = 0},
    };
    for (size_t i = 0; i < UNIT_LENGTH(reports); i++) {
        ck_assert(opool__anything_idle() == (i < 3));
        struct opool__tick_report report = opool__tick();
        ck_assert_uint_eq(report.epoch, epoch + i + 1);
        ck_assert_uint_eq(report.rebuilt_bytes, 0);
        ck_assert_uint_eq(report.torn_down_bytes, 64 * report.torn_down);
        ck_assert_uint_eq(report.idle_bytes, reports[i].idle_bytes);
        ck_assert_uint_eq(report.torn_down, reports[i].torn_down);
        ck_assert_uint_eq(report.left_idle, reports[i].left_idle);
        ck_assert_uint_eq(report.heads, reports[i].heads);
    }
    opool_put(pool, opool_get(pool));
    ck_assert(opool__anything_idle()); /* a cache in use may hold anything */
}
END_TEST

static char keep_region[8192];

START_TEST(keep_is_left_of_every_kind)
{
    static const struct opool_options kinds[] = {
        {.keep = 3},
        {.keep = 3, .capacity = 12},
        {.keep = 3, .checks = OPOOL_CHECKS_FULL},
        {.keep = 3, .region = keep_region, .region_size = sizeof keep_region},
        {.keep = 3, .prefill = 5},
    };
    struct opool *pool = open_pool(64, kinds[_i]);
    burst(pool, 10);
    void *held = opool_get(pool);
    ticks(6);
    ck_assert_uint_eq(exist(pool), 3 + 1); /* idle ones are kept, beside what is out */
    check_equations(pool, 1);
    opool_put(pool, held);
    ticks(6);
    ck_assert_uint_eq(exist(pool), 3);
    burst(pool, 3);
    ck_assert_uint_eq(pool->shared_built, 10); /* and they serve */
    opool_destroy(&pool);
}
END_TEST

START_TEST(release_says_what_it_gave_back)
{
    struct opool *first = open_pool(1000, (struct opool_options){.keep = 20}), *second = open_pool(64, nth_options(1));
    life.size = 1000;
    burst(first, 500);
    life.size = 64;
    burst(second, 20);
    uint64_t bytes = first->slab.slots * first->slab.layout.stride + second->slab.slots * second->slab.layout.stride;
    ck_assert_uint_eq(opool_release(), bytes);
    ck_assert_uint_eq(exist(first) + exist(second), 0);
    ck_assert_uint_eq(opool__slab_resident(&first->slab) + opool__slab_resident(&second->slab), 0);
    ck_assert_uint_eq(opool_release(), 0);
    life.size = 1000;
    void *held = opool_get(first);
    burst(first, 499);
    uint64_t before = opool__slab_given_back(&first->slab);
    bytes = opool_release();
    ck_assert_uint_gt(bytes, 0);
    ck_assert_uint_eq(opool__slab_given_back(&first->slab) - before, bytes);
    ck_assert_uint_eq(first->slab.used, 1); /* its slab stays */
    ck_assert_uint_le(first->slab.slots, first->slab.layout.slots);
    opool_put(first, held);
    opool_destroy(&first);
    opool_destroy(&second);
}
END_TEST

/* ---- slow paths that tick, by a clock of the test's ---- */

enum { FAKE_MS = 1000000 };

static uint64_t fake_now = 5000000000;

static uint64_t tell_fake_now(void)
{
    return fake_now;
}

/* Each of its calls is a slow path. */
static struct opool *open_slow(struct life *of)
{
    opool__os.now = tell_fake_now;
    return create(of, 64, (struct opool_options){.epoch_ms = 10, .checks = OPOOL_CHECKS_FULL});
}

/* Returns the epoch afterwards. */
static uint64_t use_slow(struct opool *pool, uint64_t pass_ns)
{
    fake_now += pass_ns;
    opool_put(pool, opool_get(pool));
    return opool_epoch_now();
}

START_TEST(slow_paths_tick_when_it_is_time)
{
    struct opool *pool = open_slow(&life);
    ck_assert_uint_eq(use_slow(pool, 0), 1); /* nobody ticked yet */
    ck_assert_uint_eq(use_slow(pool, 10 * FAKE_MS - 1), 1);
    ck_assert_uint_eq(use_slow(pool, 1), 2);
    ck_assert_uint_eq(use_slow(pool, 1000 * (uint64_t)FAKE_MS), 3); /* once, however late */
    ck_assert_uint_eq(opool_epoch_advance(), 4);
    ck_assert_uint_eq(use_slow(pool, 9 * FAKE_MS), 4); /* another's tick counts */
    ck_assert_uint_eq(use_slow(pool, FAKE_MS), 5);
    opool__reclaim_begin();
    ck_assert_uint_eq(use_slow(pool, 10 * FAKE_MS), 5); /* somebody is at it: no waiting */
    opool__reclaim_end();
    ck_assert_uint_eq(use_slow(pool, 0), 6);
    fake_now += 10 * FAKE_MS;
    void *object = opool_get(pool); /* a get does, too */
    ck_assert_uint_eq(opool_epoch_now(), 7);
    opool_put(pool, object);
}
END_TEST

START_TEST(slow_paths_tear_down_little_at_once)
{
    static struct life of_slow, of_old[2];
    struct opool *slow = open_slow(&of_slow), *old[2];
    for (int i = 0; i < 2; i++) {
        old[i] = create(&of_old[i], 64, (struct opool_options){0});
        burst(old[i], 50);
    }
    for (uint64_t tick = 1; tick <= 2; tick++)
        ck_assert_uint_eq(use_slow(slow, 10 * FAKE_MS), tick);
    fake_now += 10 * FAKE_MS;
    void *object = opool_get(slow);
    ck_assert_uint_eq(opool_epoch_now(), 3);
    ck_assert_uint_eq(of_old[0].torn_down, 0); /* the tick was enough for this call */
    static const uint32_t torn_down[] = {32, 64, 96, 100, 100};
    for (size_t i = 0; i < UNIT_LENGTH(torn_down); i++) {
        errno = 77;
        if (i % 2 == 0)
            opool_put(slow, object);
        else
            object = opool_get(slow);
        ck_assert_uint_eq(of_old[0].torn_down + of_old[1].torn_down, torn_down[i]);
        ck_assert_int_eq(errno, 77);
    }
    ck_assert_uint_eq(of_slow.torn_down, 0); /* it is in use */
    check_equations(old[0], 0);
    check_equations(old[1], 0);
}
END_TEST

static struct opool *used_by_init;
static uint64_t epoch_in_init;

static int init_that_uses(void *object UNIT_UNUSED, void *arg UNIT_UNUSED)
{
    epoch_in_init = use_slow(used_by_init, 10 * FAKE_MS);
    return 0;
}

START_TEST(slow_paths_inside_callbacks_do_not_tick)
{
    struct opool_type type = type_of(64);
    struct opool *pool;
    type.init = init_that_uses;
    type.fini = NULL;
    used_by_init = open_slow(&life);
    ck_assert_uint_eq(use_slow(used_by_init, 0), 1);
    ck_assert_int_eq(opool_create(&pool, &type, NULL), 0);
    ck_assert_ptr_nonnull(opool_get(pool));
    ck_assert_uint_eq(epoch_in_init, 1);
    ck_assert_uint_eq(use_slow(used_by_init, 0), 2);
}
END_TEST

/* ---- watermarks ---- */

static struct {
    unsigned count, depth;
    struct {
        enum opool_watch_figure figure;
        bool above;
        uint64_t value;
    } all[64];
} told;

static void note(struct opool *pool UNIT_UNUSED, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    EXPECT(arg == &told && told.count < UNIT_LENGTH(told.all));
    told.all[told.count].figure = figure;
    told.all[told.count].above = above;
    told.all[told.count++].value = value;
}

static void watch(struct opool *pool, enum opool_watch_figure figure, uint64_t high, uint64_t low)
{
    struct opool_watch watch = {.figure = figure, .high = high, .low = low, .crossed = note, .arg = &told};
    ck_assert_int_eq(opool_watch(pool, &watch), 0);
}

static void expect_told(unsigned count, enum opool_watch_figure figure, bool above, uint64_t value)
{
    ck_assert_uint_eq(told.count, count);
    ck_assert_int_eq(told.all[count - 1].figure, figure);
    ck_assert(told.all[count - 1].above == above);
    ck_assert_uint_eq(told.all[count - 1].value, value);
}

/* Each of its calls looks. */
static struct opool *open_looking(void)
{
    return open_pool(64, (struct opool_options){.checks = OPOOL_CHECKS_FULL});
}

START_TEST(live_crosses_its_marks_once_each)
{
    struct opool *pool = open_looking();
    void *out[5];
    watch(pool, OPOOL_WATCH_LIVE, 3, 1);
    for (unsigned round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++) {
            ck_assert_uint_eq(told.count, 2 * round + (i >= 3));
            out[i] = opool_get(pool);
        }
        expect_told(2 * round + 1, OPOOL_WATCH_LIVE, true, 3);
        for (int i = 5; i-- > 2;)
            opool_put(pool, out[i]);
        for (int i = 0; i < 3; i++) /* between the marks */
            opool_put(pool, opool_get(pool));
        ck_assert_uint_eq(told.count, 2 * round + 1);
        opool_discard(pool, out[1]); /* looks as well */
        expect_told(2 * round + 2, OPOOL_WATCH_LIVE, false, 1);
        opool_put(pool, out[0]);
        ck_assert_uint_eq(told.count, 2 * round + 2);
    }
}
END_TEST

START_TEST(idle_bytes_cross_their_marks_once_each)
{
    struct opool *pool = open_looking();
    void *out[5];
    watch(pool, OPOOL_WATCH_IDLE_BYTES, 3 * 64, 64);
    for (int i = 0; i < 5; i++)
        out[i] = opool_get(pool);
    for (int i = 0; i < 5; i++) {
        opool_put(pool, out[i]);
        ck_assert_uint_eq(told.count, i >= 2);
    }
    expect_told(1, OPOOL_WATCH_IDLE_BYTES, true, 3 * 64);
    ticks(2);
    ck_assert_uint_eq(told.count, 1); /* victims are idle */
    ticks(1);
    expect_told(2, OPOOL_WATCH_IDLE_BYTES, false, 0); /* by the tick */
}
END_TEST

START_TEST(resident_bytes_cross_their_marks_once_each)
{
    struct opool *pool = open_pool(1000, (struct opool_options){.checks = OPOOL_CHECKS_FULL});
    uint64_t high = 200 * 1000;
    watch(pool, OPOOL_WATCH_RESIDENT_BYTES, high, 1);
    for (int i = 0; i < 300; i++)
        ck_assert_ptr_nonnull(objects[i] = opool_get(pool));
    ck_assert_uint_eq(told.count, 1);
    ck_assert(told.all[0].above && told.all[0].value >= high && told.all[0].value < high + 8192);
    opool_put_batch(pool, objects, 300);
    ticks(2);
    ck_assert_uint_eq(told.count, 1);
    ticks(1);
    expect_told(2, OPOOL_WATCH_RESIDENT_BYTES, false, 0);
}
END_TEST

START_TEST(all_figures_are_watched_at_once)
{
    struct opool *pool = open_looking();
    for (unsigned figure = 0; figure < OPOOL__WATCH_FIGURES; figure++) {
        watch(pool, (enum opool_watch_figure)figure, 10 * 64, 1); /* live: more than there will be */
        ck_assert_uint_eq(pool->watches.shared_count, figure + 1);
    }
    burst(pool, 20);
    ck_assert_uint_eq(told.count, 2);
    ck_assert_int_eq(told.all[0].figure, OPOOL_WATCH_RESIDENT_BYTES);
    ck_assert_int_eq(told.all[1].figure, OPOOL_WATCH_IDLE_BYTES);
    watch(pool, OPOOL_WATCH_LIVE, 7, 1); /* replaced */
    ck_assert_uint_eq(pool->watches.shared_count, 3);
    void *out[7];
    ck_assert_uint_eq(opool_get_batch(pool, out, 7), 7);
    expect_told(3, OPOOL_WATCH_LIVE, true, 7);
    for (int i = 0; i < 2; i++) { /* ending twice is ending */
        watch(pool, OPOOL_WATCH_LIVE, 0, 0);
        ck_assert_uint_eq(pool->watches.shared_count, 2);
    }
    opool_put_batch(pool, out, 7);
    ck_assert_uint_eq(told.count, 3); /* low was not told: it had ended */
}
END_TEST

START_TEST(a_new_watch_starts_anew)
{
    struct opool *pool = open_looking();
    void *out[5];
    ck_assert_uint_eq(opool_get_batch(pool, out, 5), 5);
    watch(pool, OPOOL_WATCH_LIVE, 3, 1);
    expect_told(1, OPOOL_WATCH_LIVE, true, 5); /* at once: it is above already */
    watch(pool, OPOOL_WATCH_LIVE, 4, 2);
    expect_told(2, OPOOL_WATCH_LIVE, true, 5); /* what the last one told is forgotten */
    watch(pool, OPOOL_WATCH_LIVE, 6, 2);
    ck_assert_uint_eq(told.count, 2); /* below, and high was not told: nothing to take back */
    opool_put_batch(pool, out, 5);
    ck_assert_uint_eq(told.count, 2);
}
END_TEST

/* Uses the pool, so that its own slow paths look again; and ends its own watch when it is told to. */
static void use_inside(struct opool *pool, enum opool_watch_figure figure, bool above UNIT_UNUSED,
                       uint64_t value UNIT_UNUSED, void *end)
{
    void *more[4];
    EXPECT(told.depth++ == 0);
    told.count++;
    EXPECT(opool_get_batch(pool, more, 4) == 4);
    opool_put_batch(pool, more, 3);
    opool_discard(pool, more[3]);
    uint64_t epoch = opool_epoch_now();
    EXPECT(opool_epoch_advance() == epoch + 1);
    (void)opool_release();
    EXPECT(opool__depot_idle(&pool->depot).all == 0);
    if (end) {
        struct opool_watch none = {.figure = figure};
        EXPECT(opool_watch(pool, &none) == 0);
    }
    told.depth--;
}

static void cross_inside(void *end)
{
    struct opool *pool = open_looking();
    struct opool_watch both = {.figure = OPOOL_WATCH_LIVE, .high = 3, .low = 1, .crossed = use_inside, .arg = end};
    MUST(opool_watch(pool, &both) == 0);
    for (int i = 0; i < 2; i++) {
        burst(pool, 5);
        MUST(told.count == (end ? 1u : 2u * (unsigned)(i + 1)));
        check_equations(pool, 0);
    }
    MUST(pool->watches.shared_count == !end && pool->watches.shared_looking == 0);
    MUST(opool_epoch_now() == told.count);
}

START_TEST(a_watch_may_use_its_pool)
{
    struct unit_child child = unit_in_child(cross_inside, _i ? &told : NULL);
    ck_assert_msg(unit_succeeded(&child), "%x: %s", (unsigned)child.status, child.said);
}
END_TEST

static int added_fd;
static unsigned adds;

static void count_add(int fd)
{
    added_fd = fd;
    adds++;
    fault.real.event_add(fd);
}

START_TEST(an_event_is_added_at_each_crossing)
{
    struct opool *pool = open_looking();
    struct opool_watch watch = {.figure = OPOOL_WATCH_LIVE, .high = 3, .low = 1};
    watch.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ck_assert_int_gt(watch.event_fd, 0);
    opool__os.event_add = count_add;
    ck_assert_int_eq(opool_watch(pool, &watch), 0);
    for (int i = 0; i < 3; i++)
        burst(pool, 5);
    uint64_t counted = 0, full = UINT64_MAX - 1;
    ck_assert_int_eq(read(watch.event_fd, &counted, sizeof counted), sizeof counted);
    ck_assert_uint_eq(counted, 6);
    ck_assert_uint_eq(adds, 6);
    ck_assert_int_eq(added_fd, watch.event_fd);
    ck_assert_int_eq(write(watch.event_fd, &full, sizeof full), sizeof full);
    errno = 77;
    burst(pool, 5); /* it can count no further: that is no error, and nothing waits */
    ck_assert_uint_eq(adds, 8);
    ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(watches_of_another_size)
{
    struct opool *pool = open_looking();
    struct {
        struct opool_watch watch;
        uint64_t unknown;
    } more = {.watch = {.figure = OPOOL_WATCH_LIVE, .high = 3, .low = 1, .crossed = note, .arg = &told}, .unknown = 1};
    /* An older header: no descriptor in it. */
    more.watch.event_fd = 999;
    ck_assert_int_eq(opool__watch(pool, &more.watch, offsetof(struct opool_watch, event_fd)), 0);
    burst(pool, 5);
    ck_assert_uint_eq(told.count, 2);
    more.watch.event_fd = 0;
    ck_assert_int_eq(opool__watch(pool, &more.watch, sizeof more), 0);
    burst(pool, 5);
    ck_assert_uint_eq(told.count, 4);
    ck_assert_int_eq((opool_watch)(pool, &more.watch), 0);
    burst(pool, 5);
    ck_assert_uint_eq(told.count, 6);
}
END_TEST

/* In the child the eventfd is the parent's: it is told nothing there, the callback is. */
static void cross_in_child(void *pool)
{
    burst(pool, 5);
    MUST(told.count == 2);
}

START_TEST(a_forked_child_tells_its_parent_nothing)
{
    struct opool *pool = open_looking();
    struct opool_watch live = {.figure = OPOOL_WATCH_LIVE, .high = 3, .low = 1, .crossed = note, .arg = &told};
    struct opool_watch idle = {.figure = OPOOL_WATCH_IDLE_BYTES, .high = 100, .low = 1};
    live.event_fd = idle.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ck_assert_int_eq(opool_watch(pool, &live), 0);
    ck_assert_int_eq(opool_watch(pool, &idle), 0);
    struct unit_child child = unit_in_child(cross_in_child, pool);
    ck_assert_msg(unit_succeeded(&child), "%x: %s", (unsigned)child.status, child.said);
    uint64_t counted;
    ck_assert_int_eq(read(live.event_fd, &counted, sizeof counted), -1);
    burst(pool, 5);
    ck_assert_int_eq(read(live.event_fd, &counted, sizeof counted), sizeof counted);
}
END_TEST

START_TEST(senseless_watches_change_nothing)
{
    struct opool *pool = open_looking(), *destroyed = pool;
    static const struct opool_watch wrong[] = {
        {.figure = OPOOL_WATCH_LIVE, .high = 5, .low = 5},
        {.figure = OPOOL_WATCH_LIVE, .high = 5, .low = 6},
        {.figure = (enum opool_watch_figure)OPOOL__WATCH_FIGURES, .high = 5},
        {.figure = (enum opool_watch_figure) - 1, .high = 5},
        {.figure = OPOOL_WATCH_LIVE, .high = 5, .event_fd = -1},
    };
    watch(pool, OPOOL_WATCH_LIVE, 3, 1);
    for (size_t i = 0; i < UNIT_LENGTH(wrong); i++)
        ck_assert_int_eq(opool_watch(pool, &wrong[i]), -EINVAL);
    ck_assert_int_eq(opool_watch(pool, NULL), -EINVAL);
    ck_assert_int_eq(opool_watch(NULL, &wrong[0]), -EINVAL);
    ck_assert_uint_eq(pool->watches.shared_count, 1);
    burst(pool, 5);
    ck_assert_uint_eq(told.count, 2); /* the one that was there */
    opool_destroy(&pool);
    struct opool_watch good = {.figure = OPOOL_WATCH_LIVE, .high = 5};
    ck_assert_int_eq(opool_watch(destroyed, &good), -EINVAL);
}
END_TEST

/* ---- the thread that ticks ---- */

/* The number of the task with this name; 0: none. */
static int find_task(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    int found = 0;
    ck_assert_ptr_nonnull(tasks);
    for (const struct dirent *entry; !found && (entry = readdir(tasks)) != NULL;) {
        char path[300], comm[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%31s", comm) == 1 && strcmp(comm, name) == 0)
            found = atoi(entry->d_name);
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return found;
}

/* A line of its status, behind the colon. */
static uint64_t status_of(int task, const char *field, int base)
{
    char path[64], line[256];
    uint64_t value = UINT64_MAX;
    size_t length = strlen(field);
    snprintf(path, sizeof path, "/proc/self/task/%d/status", task);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            value = strtoull(line + length + 1, NULL, base);
    fclose(file);
    ck_assert_uint_ne(value, UINT64_MAX);
    return value;
}

static size_t count_descriptors(void)
{
    DIR *descriptors = opendir("/proc/self/fd");
    size_t n = 0;
    ck_assert_ptr_nonnull(descriptors);
    while (readdir(descriptors))
        n++;
    closedir(descriptors);
    return n;
}

static int start_ticking(unsigned period_ms)
{
    struct opool_epoch_options options = {.period_ms = period_ms};
    return opool_epoch_start(&options);
}

static void await_torn_down(struct opool *pool, uint64_t n)
{
    uint64_t until = unit_ms() + 30000;
    while (opool__load_relaxed(&pool->shared_torn_down) < n) {
        ck_assert_msg(unit_ms() < until, "waited 30 s for %llu objects", (unsigned long long)n);
        unit_nap(1);
    }
}

START_TEST(the_thread_has_a_name_and_no_signals)
{
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ck_assert_int_eq(start_ticking(1000), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < 32; signal++) /* only that thread's are blocked */
        ck_assert_int_eq(sigismember(&before, signal), sigismember(&after, signal));
    int task = find_task("opool-epoch");
    ck_assert_int_ne(task, 0);
    /* All are while libc starts it. */
    uint64_t blocked = status_of(task, "SigBlk", 16);
    for (uint64_t until = unit_ms() + 30000; blocked >> (SIGSEGV - 1) & 1; blocked = status_of(task, "SigBlk", 16))
        EXPECT(RUNNING_ON_VALGRIND || unit_ms() < until);
    for (int signal = 1; signal < 32; signal++) {
        bool can_be = signal != SIGKILL && signal != SIGSTOP && signal != SIGSEGV && signal != SIGBUS;
        ck_assert_msg(RUNNING_ON_VALGRIND || (blocked >> (signal - 1) & 1) == can_be, "signal %d", signal);
    }
    opool_epoch_stop();
    ck_assert_int_eq(find_task("opool-epoch"), 0);
}
END_TEST

START_TEST(start_and_stop_in_any_order)
{
    opool_epoch_stop(); /* nothing runs */
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq((opool_epoch_start)(&(struct opool_epoch_options){.period_ms = 20}), 0);
        ck_assert_int_eq(opool_epoch_start(NULL), -EALREADY);
        ck_assert_int_eq(start_ticking(10), -EALREADY);
        opool_epoch_stop();
        opool_epoch_stop();
    }
    size_t descriptors = count_descriptors();
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(opool_epoch_start(NULL), 0);
        opool_epoch_stop();
    }
    ck_assert_uint_eq(count_descriptors(), descriptors);
}
END_TEST

static void *start_and_stop(void *unused UNIT_UNUSED)
{
    for (int i = 0; i < 200; i++) {
        int r = start_ticking(10);
        EXPECT(r == 0 || r == -EALREADY);
        if (i % 3)
            opool_epoch_stop();
    }
    return NULL;
}

START_TEST(many_threads_start_and_stop)
{
    enum { STARTERS = 4 };
    pthread_t starters[STARTERS];
    struct opool *pool = open_pool(64, (struct opool_options){0});
    for (int i = 0; i < STARTERS; i++)
        starters[i] = unit_thread(start_and_stop, NULL);
    for (int i = 0; i < 200; i++)
        burst(pool, 10);
    for (int i = 0; i < STARTERS; i++)
        unit_join(starters[i]);
    opool_epoch_stop();
    ck_assert_int_eq(find_task("opool-epoch"), 0);
    ck_assert_int_eq(opool_epoch_start(NULL), 0);
    opool_epoch_stop();
    opool_destroy(&pool);
}
END_TEST

START_TEST(a_refused_thread_is_an_error_and_no_more)
{
    (void)opool_epoch_start(NULL); /* what the process makes once, and the descriptor that stays */
    opool_epoch_stop();
    size_t descriptors = count_descriptors();
    fault_all(fault_kind(FAULT_THREAD_START));
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(opool_epoch_start(NULL), -EAGAIN);
        opool_epoch_stop();
    }
    ck_assert_uint_eq(fault.refused, 5);
    ck_assert_uint_eq(count_descriptors(), descriptors);
    fault_heal();
    ck_assert_int_eq(opool_epoch_start(NULL), 0);
    opool_epoch_stop();
}
END_TEST

START_TEST(it_needs_no_descriptor)
{
    struct rlimit limit, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int use_pressure = 0; use_pressure < 2; use_pressure++) {
        struct opool_epoch_options options = {.period_ms = 10, .use_pressure = use_pressure};
        struct opool *pool = open_pool(64, (struct opool_options){0});
        ck_assert_int_eq(opool_epoch_start(&options), 0);
        burst(pool, 50);
        await_torn_down(pool, 50);
        opool_epoch_stop();
        opool_destroy(&pool);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

/* Until the epoch stays for as long as ten periods. */
static void await_doze(void)
{
    uint64_t epoch, until = unit_ms() + 30000;
    do {
        epoch = opool_epoch_now();
        unit_nap(100);
        ck_assert_uint_lt(unit_ms(), until);
    } while (opool_epoch_now() != epoch || epoch == 0);
}

/* No tick and no wake-up while nothing is idle, or no more than `keep`; a put, by whichever way, is noticed. */
START_TEST(it_dozes_while_nothing_is_idle)
{
    static const struct opool_options kinds[] = {{.keep = 3}, {.checks = OPOOL_CHECKS_FULL}};
    struct opool *pool = open_pool(64, kinds[_i]);
    uint64_t torn_down = 0;
    if (kinds[_i].keep)
        burst(pool, kinds[_i].keep);
    ck_assert_int_eq(start_ticking(10), 0);
    int task = find_task("opool-epoch");
    for (int round = 0; round < 2; round++) {
        await_doze();
        uint64_t epoch = opool_epoch_now(), switches = status_of(task, "voluntary_ctxt_switches", 10);
        unit_nap(300);
        ck_assert_uint_eq(status_of(task, "voluntary_ctxt_switches", 10), switches);
        ck_assert_uint_eq(opool_epoch_now(), epoch);
        burst(pool, 50);
        await_torn_down(pool, torn_down += 50 - kinds[_i].keep);
    }
    opool_epoch_stop();
    check_equations(pool, 0);
    ck_assert_uint_eq(exist(pool), kinds[_i].keep);
    opool_destroy(&pool);
}
END_TEST

START_TEST(prefilled_objects_wake_it)
{
    ck_assert_int_eq(start_ticking(10), 0);
    await_doze();
    struct opool *pool = open_pool(64, (struct opool_options){.prefill = 20});
    await_torn_down(pool, 20);
    opool_epoch_stop();
}
END_TEST

START_TEST(no_period_is_below_10_ms)
{
    struct opool *pool = open_pool(64, (struct opool_options){0});
    ck_assert_int_eq(start_ticking(1), 0);
    uint64_t start = unit_ms(), epoch = opool_epoch_now();
    while (unit_ms() - start < 200 || opool_epoch_now() < epoch + 2) { /* something is idle all the time */
        opool_put(pool, opool_get(pool));
        sched_yield(); /* valgrind lets others run at system calls */
        ck_assert_uint_lt(unit_ms() - start, 60000);
    }
    uint64_t begun = opool_epoch_now() - epoch, passed = unit_ms() - start;
    opool_epoch_stop();
    ck_assert_uint_le(begun, passed / 10 + 2);
}
END_TEST

static uint32_t in_fini, finis;

static void slow_fini(void *object UNIT_UNUSED, void *arg UNIT_UNUSED)
{
    __atomic_store_n(&in_fini, 1u, __ATOMIC_RELEASE);
    unit_nap(60);
    __atomic_store_n(&in_fini, 0u, __ATOMIC_RELEASE);
    __atomic_fetch_add(&finis, 1u, __ATOMIC_RELEASE);
}

START_TEST(stop_waits_for_the_last_tick)
{
    struct opool_type type = type_of(64);
    struct opool *pool;
    type.init = NULL;
    type.fini = slow_fini;
    ck_assert_int_eq(opool_create(&pool, &type, NULL), 0);
    burst(pool, 3);
    ck_assert_int_eq(start_ticking(10), 0);
    unit_await(&in_fini, 1);
    opool_epoch_stop();
    ck_assert_uint_eq(__atomic_load_n(&finis, __ATOMIC_ACQUIRE), 3); /* the whole tick */
    ck_assert_uint_eq(in_fini, 0);
}
END_TEST

/* ---- the thread, in a child of a fork and at the end of a process ---- */

static struct opool *of_parent;

static void tick_in_child(void *unused UNIT_UNUSED)
{
    MUST(find_task("opool-epoch") == 0);
    opool_epoch_stop(); /* none runs here */
    burst(of_parent, 20);
    MUST(start_ticking(10) == 0);
    MUST(find_task("opool-epoch") != 0);
    await_torn_down(of_parent, 20);
    await_doze();
    burst(of_parent, 20);
    await_torn_down(of_parent, 40);
    opool_epoch_stop();
    check_equations(of_parent, 0);
}

START_TEST(a_child_starts_its_own)
{
    of_parent = open_pool(64, (struct opool_options){0});
    ck_assert_int_eq(start_ticking(10), 0);
    if (_i == 0)
        await_doze();
    else
        ck_assert_int_eq((opool_epoch_stop(), start_ticking(1000000)), 0);
    struct unit_child child = unit_in_child(tick_in_child, NULL);
    ck_assert_msg(unit_succeeded(&child), "%x: %s", (unsigned)child.status, child.said);
    ck_assert_int_eq(opool_epoch_start(NULL), -EALREADY); /* the parent's goes on */
    ck_assert_uint_eq(exist(of_parent), 0);
    if (_i == 0) {
        burst(of_parent, 20);
        await_torn_down(of_parent, 20);
    }
    opool_epoch_stop();
}
END_TEST

static void exit_while_it_ticks(void *after_ms)
{
    struct opool *pool = open_pool(64, (struct opool_options){0});
    MUST(start_ticking(10) == 0);
    uint64_t start = unit_ms();
    do
        burst(pool, 100);
    while (unit_ms() - start < *(uint64_t *)after_ms);
    exit(0);
}

START_TEST(exit_while_it_runs)
{
    for (uint64_t after_ms = 0; after_ms < 40; after_ms += 3) {
        struct unit_child child = unit_in_child(exit_while_it_ticks, &after_ms);
        ck_assert_msg(unit_succeeded(&child), "%x: %s", (unsigned)child.status, child.said);
        ck_assert_str_eq(child.said, "");
    }
}
END_TEST

static void start_without_sources(void *options)
{
    opool__pressure_paths = (struct opool__pressure_paths){"/nonexistent/a", "/nonexistent/b", "/nonexistent/c"};
    MUST(opool_epoch_start((struct opool_epoch_options *)options) == 0);
    opool_epoch_stop();
}

START_TEST(missing_sources_of_pressure_are_told)
{
    struct opool_epoch_options with = {.use_pressure = true}, without = {.use_pressure = false};
    struct unit_child child = unit_in_child(start_without_sources, &with);
    ck_assert(unit_succeeded(&child));
    ck_assert_ptr_eq(strstr(child.said, "opool: opool_epoch_start: use_pressure: "), child.said);
    ck_assert_ptr_eq(strchr(child.said, '\n'), child.said + strlen(child.said) - 1);
    child = unit_in_child(start_without_sources, &without);
    ck_assert(unit_succeeded(&child));
    ck_assert_str_eq(child.said, "");
    setenv("OPOOL_CHECKS", "off", 1);
    child = unit_in_child(start_without_sources, &with); /* it is no check */
    ck_assert(unit_succeeded(&child));
    ck_assert_ptr_eq(strstr(child.said, "opool: opool_epoch_start: use_pressure: "), child.said);
}
END_TEST

static void start_api(void)
{
    fault_install();
    init_plan = (struct plan){0, false, 0, 0};
}

/* ---- guard slots ---- */

static struct life guarded_life;

static struct opool *sampled_pool(enum opool_checks checks)
{
    setenv("OPOOL_GUARD_SLOTS", "1/1", 1);
    setenv("OPOOL_GUARD_SLOTS_MOST", "2", 1);
    return create(&guarded_life, 64, (struct opool_options){.checks = checks});
}

static uint32_t offset_of(struct opool *pool)
{
    return opool__load_relaxed(&pool->front.offset);
}

static void get_and_put(struct opool *pool, int n)
{
    for (; n > 0; n--) {
        void *object = opool_get(pool);
        ck_assert_ptr_nonnull(object);
        opool_put(pool, object);
    }
}

START_TEST(gets_are_counted_only_while_a_slot_is_free)
{
    struct opool *pool = sampled_pool(_i ? OPOOL_CHECKS_BASIC : OPOOL_CHECKS_OFF);
    uint32_t offset = opool__cache_offset(&pool->cache);
    for (unsigned round = 1; round <= 3; round++) {
        ck_assert_uint_eq(offset_of(pool), 0);
        get_and_put(pool, 4);
        ck_assert_uint_eq(offset_of(pool), offset);
        ck_assert_uint_eq(opool__load_relaxed(&pool->shared_guarded), 2 * round);
        for (int tick = 0; tick < 2; tick++) {
            opool_epoch_advance();
            get_and_put(pool, 4);
            ck_assert_uint_eq(offset_of(pool), offset);
        }
        opool_epoch_advance();
    }
    opool_destroy(&pool);
}
END_TEST

static uint64_t later_ns;
static uint64_t (*now_before)(void);

static uint64_t now_later(void)
{
    return now_before() + later_ns;
}

START_TEST(without_ticks_slow_paths_look_after_ten_seconds)
{
    struct opool *pool = sampled_pool(OPOOL_CHECKS_BASIC);
    now_before = opool__os.now;
    opool__os.now = now_later;
    get_and_put(pool, 4);
    ck_assert_uint_ne(offset_of(pool), 0);
    later_ns = UINT64_C(11000000000);
    get_and_put(pool, 4); /* hits of the cache */
    ck_assert_uint_eq(opool__load_relaxed(&pool->shared_guarded), 2);
    void *one = opool_get(pool), *two = opool_get(pool);
    ck_assert_uint_eq(opool__load_relaxed(&pool->shared_guarded), 3);
    opool_put(pool, one);
    opool_put(pool, two);
    opool_destroy(&pool);
}
END_TEST

/* Whoever was about to let a pool work inline must not do so after its end. */
START_TEST(a_closing_pool_stays_out_of_line)
{
    struct opool *pool = sampled_pool(OPOOL_CHECKS_BASIC), *closed = pool;
    void *one = opool_get(pool), *two = opool_get(pool), *three = opool_get(pool), *four = opool_get(pool);
    ck_assert_uint_ne(offset_of(pool), 0);
    opool_close(&pool);
    ck_assert_uint_eq(offset_of(closed), 0);
    ck_assert_ptr_null(opool_get(closed));
    opool_put(closed, four);
    opool_put(closed, three);
    ck_assert_uint_eq(offset_of(closed), 0);
    opool_put(closed, two);
    opool_put(closed, one);
    ck_assert_uint_eq(guarded_life.built, guarded_life.torn_down);
}
END_TEST

/* And so do pools with caches that an auditor looks at. */
START_TEST(traced_pools_stay_out_of_line)
{
    struct opool *pool = sampled_pool(_i ? OPOOL_CHECKS_FULL : OPOOL_CHECKS_BASIC);
    pool->traced = true;
    get_and_put(pool, 10);
    ck_assert_uint_eq(offset_of(pool), 0);
    ck_assert_uint_eq(opool__load_relaxed(&pool->shared_guarded), 2);
    opool_destroy(&pool);
}
END_TEST

static void add_guard_slots(Suite *suite)
{
    TCase *tests = unit_case(suite, "guard slots");
    tcase_add_loop_test(tests, gets_are_counted_only_while_a_slot_is_free, 0, 2);
    tcase_add_test(tests, without_ticks_slow_paths_look_after_ten_seconds);
    tcase_add_test(tests, a_closing_pool_stays_out_of_line);
    tcase_add_loop_test(tests, traced_pools_stay_out_of_line, 0, 2);
}

static void add_failures(Suite *suite)
{
    TCase *loop = unit_case(suite, "failure loop"), *exact = unit_case(suite, "init");
    tcase_add_checked_fixture(loop, share_a_run, NULL);
    tcase_add_test(loop, scenario_makes_calls_of_every_kind);
    tcase_add_test(loop, every_call_fails_once_and_for_ever);
    tcase_add_test(loop, init_fails_once_and_for_ever);
    tcase_add_checked_fixture(exact, start_api, NULL);
    tcase_add_test(exact, error_of_init_is_passed_on);
    tcase_add_test(exact, failed_init_gives_its_place_back);
    tcase_add_test(exact, failed_prefill_undoes_everything);
    tcase_add_test(exact, failed_prefill_gives_the_number_back);
}

static void add_the_rest(Suite *suite)
{
    TCase *growth = unit_case(suite, "growth"), *create_case = unit_case(suite, "create");
    tcase_add_checked_fixture(growth, start_api, NULL);
    tcase_add_test(growth, pools_that_come_and_go_leave_nothing);
    tcase_add_test(growth, an_unused_pool_is_small);
    tcase_add_test(growth, many_pools_leave_address_space);
    tcase_add_test(growth, a_region_pool_takes_nothing_from_the_system);
    tcase_add_test(growth, capacity_of_a_region_is_what_fits);
    tcase_add_checked_fixture(create_case, start_api, NULL);
    tcase_add_test(create_case, create_refuses_what_makes_no_sense);
    tcase_add_test(create_case, create_knows_other_versions);
    tcase_add_test(create_case, a_destroyed_handle_stays_one_for_a_while);
    tcase_add_test(create_case, handles_are_used_again);
    tcase_add_test(create_case, a_handle_used_again_has_nothing_of_the_last_pool);
}

static TCase *api_case(Suite *suite, const char *name)
{
    TCase *tests = unit_case(suite, name);
    tcase_add_checked_fixture(tests, start_api, NULL);
    return tests;
}

static void add_ticks(Suite *suite)
{
    TCase *tests = api_case(suite, "ticks"), *watches = api_case(suite, "watches");
    tcase_add_test(tests, a_tick_says_what_it_found);
    tcase_add_loop_test(tests, keep_is_left_of_every_kind, 0, 5);
    tcase_add_test(tests, release_says_what_it_gave_back);
    tcase_add_test(tests, slow_paths_tick_when_it_is_time);
    tcase_add_test(tests, slow_paths_tear_down_little_at_once);
    tcase_add_test(tests, slow_paths_inside_callbacks_do_not_tick);
    tcase_add_test(watches, live_crosses_its_marks_once_each);
    tcase_add_test(watches, idle_bytes_cross_their_marks_once_each);
    tcase_add_test(watches, resident_bytes_cross_their_marks_once_each);
    tcase_add_test(watches, all_figures_are_watched_at_once);
    tcase_add_test(watches, a_new_watch_starts_anew);
    tcase_add_loop_test(watches, a_watch_may_use_its_pool, 0, 2);
    tcase_add_test(watches, an_event_is_added_at_each_crossing);
    tcase_add_test(watches, watches_of_another_size);
    tcase_add_test(watches, a_forked_child_tells_its_parent_nothing);
    tcase_add_test(watches, senseless_watches_change_nothing);
}

static void add_ticker(Suite *suite)
{
    TCase *tests = api_case(suite, "thread that ticks");
    tcase_add_test(tests, the_thread_has_a_name_and_no_signals);
    tcase_add_test(tests, start_and_stop_in_any_order);
    tcase_add_test(tests, many_threads_start_and_stop);
    tcase_add_test(tests, a_refused_thread_is_an_error_and_no_more);
    tcase_add_test(tests, it_needs_no_descriptor);
    tcase_add_loop_test(tests, it_dozes_while_nothing_is_idle, 0, 2);
    tcase_add_test(tests, prefilled_objects_wake_it);
    tcase_add_test(tests, no_period_is_below_10_ms);
    tcase_add_test(tests, stop_waits_for_the_last_tick);
    if (!UNIT_TSAN)
        tcase_add_loop_test(tests, a_child_starts_its_own, 0, 2);
    tcase_add_test(tests, exit_while_it_runs);
    tcase_add_test(tests, missing_sources_of_pressure_are_told);
}

int main(void)
{
    Suite *suite = suite_create("api");
    add_failures(suite);
    add_the_rest(suite);
    add_ticks(suite);
    add_ticker(suite);
    add_guard_slots(suite);
    return unit_main(suite);
}
