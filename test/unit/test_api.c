/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <sys/mman.h>

#include "api/pool.h"
#include "fault.h"

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

static struct opool *create(struct life *life, size_t size, struct opool_options options)
{
    struct opool_type type = type_of(size);
    struct opool *pool = (struct opool *)(void *)life;
    *life = (struct life){.size = size};
    options.arg = life;
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

static void scenario(void)
{
    use_plain();
    use_capacity();
    use_prefill();
    use_big();
    use_region();
    use_threads();
    use_close();
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

/* The scenario meets each kind of call, or the loop above says less than it seems to. */
START_TEST(scenario_makes_calls_of_every_kind)
{
    bool seen[FAULT_CALLS] = {false};
    for (uint32_t i = 0; i < clean.calls; i++)
        seen[clean.trace[i]] = true;
    for (int kind = 0; kind < FAULT_CALLS; kind++)
        ck_assert_msg(seen[kind], "no call of kind %d", kind);
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

static void start_api(void)
{
    fault_install();
    init_plan = (struct plan){0, false, 0, 0};
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

int main(void)
{
    Suite *suite = suite_create("api");
    add_failures(suite);
    add_the_rest(suite);
    return unit_main(suite);
}
