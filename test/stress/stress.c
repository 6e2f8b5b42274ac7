/* SPDX-License-Identifier: MIT */

/*
 * Objects on the move, after mimalloc's test-stress: threads get objects of several pools, fill them, hand them to
 * each other through arrays of atomically exchanged pointers, and put what they hold in random order, one by one and
 * in batches. Threads end after each round; half of what they hold lives on and is put by a thread of the next round.
 * Every object is verified when it changes hands and when it is put.
 *
 * The pools: plain, with init, reset and fini, with a reset that refuses, with an init that fails, listed with borrowed
 * members, with a capacity and waiters; 8 bytes to 64 KiB. Besides, one pool a round that is closed while objects are
 * out, pools that live for a few calls, and a thread that reads figures all the time. With --ticks another thread
 * ticks, and releases all that is idle now and then.
 *
 * After each round, when only this thread is left, the equations of struct opool_stats hold exactly.
 */

#include "stress.h"

#include <opool.h>

/* ---- objects ---- */

#define BUILT UINT64_C(0x6275696c742e2e2e)

/* Of all objects but the smallest. */
struct body {
    uint64_t stamp;
    uint64_t built;  /* BUILT from init to fini */
    uint32_t used;   /* 0 in an idle object, if there is a reset */
    uint32_t refuse; /* reset shall say no */
};

struct tiny {
    uint64_t stamp;
};
struct small {
    struct body body;
    uint64_t words[3];
};
struct listed {
    struct body body;
    const void *owner;
    const char *labels[2];
    uint64_t words[20];
};
struct moody {
    struct body body;
    uint64_t words[61];
};
struct bounded {
    struct body body;
    uint64_t words[125];
};
struct large {
    struct body body;
    uint64_t words[(16 << 10) / 8 - 3];
};
struct huge {
    struct body body;
    uint64_t words[(64 << 10) / 8 - 3];
};

/* What the callbacks of one pool saw. */
struct seen {
    uint64_t init, fini, refused, init_failed, calls;
};

static int init_body(struct body *body, struct seen *seen)
{
    if (body->stamp || body->built || body->used)
        report(&shared_corrupt, "init: memory is not zero");
    body->built = BUILT;
    count(&seen->init, 1);
    return 0;
}

static bool reset_body(struct body *body, struct seen *seen)
{
    bool refuse = body->refuse != 0;
    if (body->built != BUILT)
        report(&shared_corrupt, "reset: not a built object");
    body->used = body->refuse = 0;
    count(&seen->refused, refuse);
    return !refuse;
}

static void fini_body(struct body *body, struct seen *seen)
{
    if (body->built != BUILT)
        report(&shared_corrupt, "fini: not a built object, or torn down twice");
    body->built = body->stamp = 0;
    count(&seen->fini, 1);
}

#define CALLBACKS(T) \
    static int T##_init(struct T *object, void *arg) \
    { \
        return init_body(&object->body, arg); \
    } \
    static bool T##_reset(struct T *object, void *arg) \
    { \
        return reset_body(&object->body, arg); \
    } \
    static void T##_fini(struct T *object, void *arg) \
    { \
        fini_body(&object->body, arg); \
    }
CALLBACKS(small)
CALLBACKS(bounded)
CALLBACKS(large)
CALLBACKS(huge)

static bool listed_reset(struct listed *listed, void *arg)
{
    return reset_body(&listed->body, arg);
}

static int listed_init(struct listed *listed, void *arg)
{
    return init_body(&listed->body, arg);
}

static void listed_fini(struct listed *listed, void *arg)
{
    if (listed->owner || listed->labels[1])
        report(&shared_corrupt, "fini: a borrowed member is still there");
    fini_body(&listed->body, arg);
}

/* Fails every 16th time. */
static int moody_init(struct moody *moody, void *arg)
{
    struct seen *seen = arg;
    if (count(&seen->calls, 1) % 16 == 0) {
        count(&seen->init_failed, 1);
        return ECONNREFUSED;
    }
    return init_body(&moody->body, seen);
}

static void moody_fini(struct moody *moody, void *arg)
{
    fini_body(&moody->body, arg);
}

OPOOL_DEFINE(tiny_pool, struct tiny);
OPOOL_DEFINE(small_pool, struct small, .init = small_init, .reset = small_reset, .fini = small_fini);
OPOOL_DEFINE_MEMBERS(listed_pool, struct listed, (body, OPOOL_BORROWED(owner), OPOOL_BORROWED(labels), words),
                     .init = listed_init, .reset = listed_reset, .fini = listed_fini);
OPOOL_DEFINE(moody_pool, struct moody, .init = moody_init, .fini = moody_fini);
OPOOL_DEFINE(bounded_pool, struct bounded, .init = bounded_init, .reset = bounded_reset, .fini = bounded_fini);
OPOOL_DEFINE(large_pool, struct large, .init = large_init, .reset = large_reset, .fini = large_fini);
OPOOL_DEFINE(huge_pool, struct huge, .init = huge_init, .reset = huge_reset, .fini = huge_fini);

/* ---- kinds of pools: a table, so that one piece of code uses all of them, each through its own inlined calls ---- */

struct kind {
    const char *name;
    size_t words_at, words, step;
    bool has_body, has_reset, borrows, can_fail;
    unsigned capacity, weight;
    int (*create)(struct opool **, const struct opool_options *);
    void *(*get)(struct opool *);
    void *(*get_wait)(struct opool *, int);
    void (*put)(struct opool *, void *);
};

#define CALLS(N, T) \
    static int N##_make(struct opool **out, const struct opool_options *options) \
    { \
        struct N *pool; \
        int r = N##_create(&pool, options); \
        *out = N##_base(pool); \
        return r; \
    } \
    static void *N##_take(struct opool *pool) \
    { \
        return N##_get((struct N *)(void *)pool); \
    } \
    static void *N##_take_wait(struct opool *pool, int timeout_ms) \
    { \
        return N##_get_wait((struct N *)(void *)pool, timeout_ms); \
    } \
    static void N##_give(struct opool *pool, void *object) \
    { \
        N##_put((struct N *)(void *)pool, (struct T *)object); \
    }
CALLS(tiny_pool, tiny)
CALLS(small_pool, small)
CALLS(listed_pool, listed)
CALLS(moody_pool, moody)
CALLS(bounded_pool, bounded)
CALLS(large_pool, large)
CALLS(huge_pool, huge)

#define WORDS(T) offsetof(struct T, words), sizeof(((struct T *)0)->words) / sizeof(uint64_t)
#define CALLED(N) N##_make, N##_take, N##_take_wait, N##_give

enum { TINY, SMALL, LISTED, MOODY, BOUNDED, BOUNDED_LARGE, HUGE_ONE, LASTING, OF_ROUND = LASTING, KINDS };

static const struct kind kinds[KINDS] = {
    [TINY] = {"tiny", 0, 0, 1, false, false, false, false, 0, 20, CALLED(tiny_pool)},
    [SMALL] = {"small", WORDS(small), 1, true, true, false, false, 0, 20, CALLED(small_pool)},
    [LISTED] = {"listed", WORDS(listed), 1, true, true, true, false, 0, 20, CALLED(listed_pool)},
    [MOODY] = {"moody", WORDS(moody), 1, true, false, false, true, 0, 10, CALLED(moody_pool)},
    [BOUNDED] = {"bounded", WORDS(bounded), 4, true, true, false, true, 40, 12, CALLED(bounded_pool)},
    [BOUNDED_LARGE] = {"bounded large", WORDS(large), 64, true, true, false, true, 7, 3, CALLED(large_pool)},
    [HUGE_ONE] = {"huge", WORDS(huge), 512, true, true, false, false, 0, 2, CALLED(huge_pool)},
    [OF_ROUND] = {"of a round", WORDS(small), 1, true, true, false, false, 0, 13, CALLED(small_pool)},
};

enum { TRANSFERS = 64, TABLE = 300, BATCH = 48, ROUND_OPS = 25000 };

static struct opool *pools[KINDS];
static struct seen seen[KINDS];
static uint64_t shared_out[KINDS]; /* counted after a get, before a put: never above what is out */
static void *shared_transfers[LASTING][TRANSFERS];

/* ---- one object ---- */

struct held {
    struct opool *pool;
    void *object;
    uint64_t stamp;
    unsigned kind;
};

static uint64_t *words_of(const struct kind *kind, void *object)
{
    return (uint64_t *)(void *)((char *)object + kind->words_at);
}

static void check_fresh(const struct kind *kind, void *object)
{
    struct body *body = object;
    const struct listed *listed = object;
    if (kind->has_body && (body->built != BUILT || (kind->has_reset && body->used)))
        report(&shared_corrupt, "%s: %p is not as reset left it", kind->name, object);
    if (kind->borrows && (listed->owner || listed->labels[0] || listed->labels[1]))
        report(&shared_corrupt, "%s: %p has a borrowed member of its last user", kind->name, object);
}

static struct held receive(unsigned number, struct opool *pool, void *object)
{
    const struct kind *kind = &kinds[number];
    uint64_t out = count(&shared_out[number], 1);
    if (kind->capacity && out > kind->capacity)
        report(&shared_corrupt, "%s: %" PRIu64 " objects are out", kind->name, out);
    struct held held = {pool, object, stamp_object(object, kind->name), number};
    check_fresh(kind, object);
    if (kind->has_body)
        ((struct body *)object)->used = 1;
    if (kind->borrows) {
        struct listed *listed = object;
        listed->owner = pool;
        listed->labels[0] = listed->labels[1] = kind->name;
    }
    fill_words(words_of(kind, object), kind->words, kind->step, held.stamp);
    return held;
}

static void verify(const struct held *held)
{
    const struct kind *kind = &kinds[held->kind];
    if (read_stamp(held->object) != held->stamp)
        report(&shared_corrupt, "%s: %p was stamped by somebody else", kind->name, held->object);
    if (!are_filled(words_of(kind, held->object), kind->words, kind->step, held->stamp))
        report(&shared_corrupt, "%s: %p was written to by somebody else", kind->name, held->object);
}

/* Before the object goes back, by whatever way. */
static void release(const struct held *held)
{
    verify(held);
    unstamp_object(held->object, held->stamp, kinds[held->kind].name);
    count(&shared_out[held->kind], UINT64_MAX);
}

/* ---- a thread and what it holds ---- */

struct worker {
    uint64_t random, ops;
    unsigned count;
    struct held table[TABLE];
};

static void keep(struct worker *worker, struct held held)
{
    worker->table[worker->count++] = held;
}

static struct held draw(struct worker *worker)
{
    unsigned i = below(&worker->random, worker->count);
    struct held held = worker->table[i];
    worker->table[i] = worker->table[--worker->count];
    return held;
}

static unsigned choose_kind(struct worker *worker)
{
    unsigned at = below(&worker->random, 100), kind = 0;
    while (at >= kinds[kind].weight)
        at -= kinds[kind++].weight;
    return kind;
}

static void check_miss(unsigned kind, int error)
{
    bool expected = kinds[kind].can_fail && (error == EAGAIN || error == ETIMEDOUT || error == ECONNREFUSED);
    if (!expected)
        report(&shared_lost, "%s: get failed: %s", kinds[kind].name, strerror(error));
}

static void get_one(struct worker *worker)
{
    unsigned number = choose_kind(worker);
    const struct kind *kind = &kinds[number];
    struct opool *pool = pools[number];
    int timeout_ms = kind->capacity && one_in(&worker->random, 32) ? 1 + (int)below(&worker->random, 3) : 0;
    void *object = timeout_ms                    ? kind->get_wait(pool, timeout_ms)
                   : one_in(&worker->random, 16) ? opool_get(pool)
                                                 : kind->get(pool);
    if (object)
        keep(worker, receive(number, pool, object));
    else
        check_miss(number, errno);
    worker->ops++;
}

static void put_one(struct worker *worker)
{
    struct held held = draw(worker);
    release(&held);
    if (kinds[held.kind].has_reset)
        ((struct body *)held.object)->refuse = one_in(&worker->random, 32);
    if (one_in(&worker->random, 64))
        opool_discard(held.pool, held.object);
    else if (one_in(&worker->random, 16))
        opool_put(held.pool, held.object);
    else
        kinds[held.kind].put(held.pool, held.object);
    worker->ops++;
}

static void get_many(struct worker *worker)
{
    void *objects[BATCH];
    unsigned number = choose_kind(worker), room = TABLE - worker->count;
    size_t n = kinds[number].words > 1000 ? 2 : 1 + below(&worker->random, BATCH);
    n = n < room ? n : room;
    size_t got = opool_get_batch(pools[number], objects, n);
    if (got < n)
        check_miss(number, errno);
    for (size_t i = 0; i < got; i++)
        keep(worker, receive(number, pools[number], objects[i]));
    worker->ops += got;
}

/* All of one pool, up to a batch, with a NULL in it. */
static void put_many(struct worker *worker)
{
    void *objects[BATCH] = {NULL};
    size_t n = 1;
    struct opool *pool = worker->table[below(&worker->random, worker->count)].pool;
    for (unsigned i = worker->count; i-- > 0 && n < BATCH;) {
        if (worker->table[i].pool != pool)
            continue;
        release(&worker->table[i]);
        objects[n++] = worker->table[i].object;
        worker->table[i] = worker->table[--worker->count];
    }
    opool_put_batch(pool, objects, n);
    worker->ops += n;
}

/* Leave an object for whoever comes, and take what somebody left. */
static void exchange(struct worker *worker)
{
    struct held held = draw(worker);
    if (held.kind == OF_ROUND) {
        keep(worker, held);
        return;
    }
    verify(&held);
    void **place = &shared_transfers[held.kind][below(&worker->random, TRANSFERS)];
    void *other = __atomic_exchange_n(place, held.object, __ATOMIC_ACQ_REL);
    if (!other)
        return;
    held.object = other;
    held.stamp = read_stamp(other);
    if (!is_sealed(held.stamp, other))
        report(&shared_corrupt, "%s: %p has no valid stamp at its hand-over", kinds[held.kind].name, other);
    verify(&held);
    keep(worker, held);
}

/* A pool that lives for a few calls, and whose number was another's just before. */
static void use_short_pool(struct worker *worker)
{
    struct seen own = {0};
    struct opool_options options = {.name = "short", .arg = &own, .prefill = below(&worker->random, 3)};
    struct small *objects[4];
    struct small_pool *pool;
    if (!check_that(small_pool_create(&pool, &options) == 0, "a short pool is created", "worker"))
        return;
    for (int i = 0; i < 4; i++)
        if ((objects[i] = small_pool_get(pool)) != NULL)
            (void)stamp_object(objects[i], "short");
    for (int i = 0; i < 4; i++)
        if (objects[i])
            unstamp_object(objects[i], read_stamp(objects[i]), "short");
    small_pool_put_batch(pool, objects, 4);
    small_pool_destroy(&pool);
    check_that(own.init == own.fini && own.init >= 4, "a short pool tears down what it built", "worker");
}

static void step(struct worker *worker)
{
    unsigned what = below(&worker->random, 1000), level = below(&worker->random, TABLE);
    if (what == 0)
        use_short_pool(worker);
    else if (what < 40 && worker->count < TABLE)
        get_many(worker);
    else if (what < 60 && worker->count)
        put_many(worker);
    else if (what < 250 && worker->count)
        exchange(worker);
    else if (worker->count <= level)
        get_one(worker);
    else
        put_one(worker);
}

/* One round of one thread. Half of what it holds lives on. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    for (unsigned n = scaled(ROUND_OPS); n > 0; n--)
        step(worker);
    for (unsigned survivors = worker->count / 2; worker->count > survivors;)
        put_one(worker);
    count(&shared_ops, worker->ops);
    worker->ops = 0;
    return NULL;
}

/* ---- figures ---- */

static bool shared_stop;

static void read_all_figures(void)
{
    struct opool_stats stats;
    for (int i = 0; i < LASTING; i++) {
        if (opool_stats_read(pools[i], &stats) != 0 || strcmp(opool_name(pools[i]), kinds[i].name) != 0)
            report(&shared_failed, "stats_read of %s fails", kinds[i].name);
        else if (stats.torn_down > stats.built || stats.slots_free > stats.slots)
            report(&shared_failed, "figures of %s make no sense", kinds[i].name);
    }
}

static void *watch(void *null)
{
    FILE *nowhere = fopen("/dev/null", "w");
    while (!__atomic_load_n(&shared_stop, __ATOMIC_RELAXED)) {
        read_all_figures();
        if (nowhere && opool_stats_write(nowhere, OPOOL_JSON) != 0)
            report(&shared_failed, "stats_write fails");
        sleep_us(500);
    }
    if (nowhere)
        fclose(nowhere);
    return null;
}

/* ---- ticks ---- */

enum { RELEASE_EACH = 16, ENOUGH = 20 * RELEASE_EACH }; /* ticks */

/* Held while a tick runs, and while the equations are looked at, which hold when no call is in progress. */
static pthread_mutex_t no_tick = PTHREAD_MUTEX_INITIALIZER;
static uint64_t shared_released;

static void tick_once(uint64_t tick)
{
    pthread_mutex_lock(&no_tick);
    if (tick % RELEASE_EACH == RELEASE_EACH - 1)
        count(&shared_released, opool_release());
    else
        (void)opool_epoch_advance();
    pthread_mutex_unlock(&no_tick);
}

static void *tick_often(void *null)
{
    for (uint64_t tick = 0; !__atomic_load_n(&shared_stop, __ATOMIC_RELAXED); tick++) {
        tick_once(tick);
        sleep_us(stress.ticks_us);
    }
    return null;
}

/* Nothing is out, and nothing is kept: three ticks leave nothing. */
static void check_ticked(void)
{
    struct opool_stats s;
    for (int i = 0; i < 3; i++)
        (void)opool_epoch_advance();
    for (unsigned kind = 0; kind < LASTING; kind++) {
        check_that(opool_stats_read(pools[kind], &s) == 0 && s.built == s.torn_down, "all that is idle goes",
                   kinds[kind].name);
        check_that(s.torn_down > s.discarded, "ticks tear down", kinds[kind].name);
    }
    check_that(shared_released > 0 || opool_epoch_now() < ENOUGH, "releases give memory back", "end");
    printf("%" PRIu64 " ticks, %" PRIu64 " bytes released\n", opool_epoch_now(), shared_released);
}

/* Nobody else is left: the equations hold, and what we count is what the pool counts. */
static void check_equations(unsigned number)
{
    const char *name = kinds[number].name;
    struct opool_stats s;
    if (!check_that(opool_stats_read(pools[number], &s) == 0, "stats_read", name))
        return;
    uint64_t idle = s.idle_thread + s.idle_depot + s.idle_victim;
    check_that(s.slots == s.live + idle + s.slots_free, "slots == live + idle + slots_free", name);
    check_that(s.built == s.torn_down + s.live + idle, "built == torn_down + live + idle", name);
    check_that(s.gets == s.puts + s.live, "gets == puts + live", name);
    check_that(s.init_fails == read_count(&seen[number].init_failed), "init_fails", name);
    if (kinds[number].has_body)
        check_that(s.built == read_count(&seen[number].init) && s.torn_down == read_count(&seen[number].fini),
                   "built and torn_down are the calls of init and fini", name);
    uint64_t out = read_count(&shared_out[number]);
    if (s.live != out) {
        report(&shared_failed, "%s: live is %" PRIu64 ", and %" PRIu64 " are held", name, s.live, out);
        count(&shared_lost, s.live > out ? s.live - out : out - s.live);
    }
}

/* ---- rounds ---- */

static void open_pool(unsigned number)
{
    struct opool_options options = {
        .name = kinds[number].name, .arg = &seen[number], .capacity = kinds[number].capacity};
    int r = kinds[number].create(&pools[number], &options);
    if (r != 0) {
        fprintf(stderr, "create of %s: %s\n", kinds[number].name, strerror(-r));
        exit(1);
    }
}

static void run_threads(struct worker *workers, unsigned round)
{
    pthread_t threads[256];
    unsigned n = stress.threads;
    for (unsigned i = 0; i < n; i++) {
        /* What one thread holds goes to another one. */
        struct worker *worker = &workers[(i + round) % n];
        worker->random = mix(stress.seed) ^ mix((uint64_t)round << 16 | i);
        if (pthread_create(&threads[i], NULL, work, worker) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

/* Take half of what lies in the transfer arrays, or all of it. */
static void clear_transfers(struct worker *worker, bool all)
{
    for (unsigned kind = 0; kind < LASTING; kind++)
        for (unsigned i = 0; i < TRANSFERS; i++) {
            void *object = all || one_in(&worker->random, 2) ? shared_transfers[kind][i] : NULL;
            if (!object)
                continue;
            shared_transfers[kind][i] = NULL;
            worker->count = 0;
            keep(worker, (struct held){pools[kind], object, read_stamp(object), kind});
            put_one(worker);
        }
}

static void run_rounds(struct worker *workers)
{
    static struct worker own;
    unsigned round = 0;
    for (; goes_on(round); round++) {
        open_pool(OF_ROUND);
        run_threads(workers, round);
        pthread_mutex_lock(&no_tick);
        for (unsigned kind = 0; kind < LASTING; kind++)
            check_equations(kind);
        pthread_mutex_unlock(&no_tick);
        clear_transfers(&own, false);
        opool_close(&pools[OF_ROUND]);
    }
    for (unsigned i = 0; i < stress.threads; i++)
        while (workers[i].count)
            put_one(&workers[i]);
    clear_transfers(&own, true);
    printf("%u rounds\n", round);
}

static void close_pools(void)
{
    for (unsigned kind = 0; kind < LASTING; kind++) {
        check_equations(kind);
        opool_destroy(&pools[kind]);
    }
    for (unsigned kind = 0; kind < KINDS; kind++)
        check_that(read_count(&seen[kind].init) == read_count(&seen[kind].fini), "all that was built is torn down",
                   kinds[kind].name);
    check_that(read_count(&shared_out[OF_ROUND]) == 0, "all objects of closed pools are back", "end");
    check_that(opool_next(NULL) == NULL, "no pool is left", "end");
}

int main(int argc, char **argv)
{
    pthread_t watcher, ticker;
    start_stress(argc, argv, 8, 8);
    struct worker *workers = calloc(stress.threads, sizeof *workers);
    if (!workers)
        return 1;
    for (unsigned kind = 0; kind < LASTING; kind++)
        open_pool(kind);
    if (pthread_create(&watcher, NULL, watch, NULL) != 0)
        return 1;
    if (stress.ticks_us && pthread_create(&ticker, NULL, tick_often, NULL) != 0)
        return 1;
    run_rounds(workers);
    __atomic_store_n(&shared_stop, true, __ATOMIC_RELAXED);
    pthread_join(watcher, NULL);
    if (stress.ticks_us) {
        pthread_join(ticker, NULL);
        check_ticked();
    }
    close_pools();
    free(workers);
    return end_stress();
}
