/* SPDX-License-Identifier: MIT */
#include "patterns.h"

#include <pthread.h>

struct object_8 {
    unsigned char bytes[8];
};
struct object_64 {
    unsigned char bytes[64];
};
struct object_128 {
    unsigned char bytes[128];
};
struct object_256 {
    unsigned char bytes[256];
};
SOURCE(tiny, struct object_8);
SOURCE(small, struct object_64);
SOURCE(words, struct object_128);
SOURCE(large, struct object_256);

uint64_t source_faults;

static uint64_t next_random(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static size_t below(uint64_t random, size_t n)
{
    return (size_t)((random >> 32) * n >> 32);
}

/* ---- threads ---- */

struct worker {
    pthread_t thread;
    unsigned index, threads;
    uint64_t operations, got;
    uint64_t random;
};

static struct worker workers[PATTERN_THREADS_MOST];

static void start_worker(struct worker *worker, void *(*run)(void *))
{
    if (pthread_create(&worker->thread, NULL, run, worker) != 0)
        source_fail("the system starts no more threads");
}

static void set_up_workers(unsigned threads, uint64_t operations)
{
    for (unsigned i = 0; i < threads; i++)
        workers[i] = (struct worker){.index = i, .threads = threads, .operations = operations, .random = 4141 + i};
}

/* Returns what they got. */
static uint64_t run_workers(unsigned threads, void *(*run)(void *))
{
    uint64_t got = 0;
    for (unsigned i = 0; i < threads; i++)
        start_worker(&workers[i], run);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        got += workers[i].got;
    }
    return got;
}

/* ---- xmalloc-test ---- */

/*
 * Lever and Boreham: half of the threads only allocate, the others only free. Objects go from one half to the other in
 * batches, the last one first, and a batch is itself allocated by the one and freed by the other.
 */
enum { BATCH = 4096, QUEUE = 100 };

OPOOL_REF_TYPE(small_ref, struct object_64);

struct batch {
    size_t count;
    small_ref objects[BATCH];
};
SOURCE_RAW(batch, struct batch);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    struct batch *batches[QUEUE];
    size_t count;
    unsigned producers;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER, .emptied = PTHREAD_COND_INITIALIZER};

static void send_batch(struct batch *batch)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == QUEUE)
        pthread_cond_wait(&queue.emptied, &queue.lock);
    queue.batches[queue.count++] = batch;
    pthread_cond_signal(&queue.filled);
    pthread_mutex_unlock(&queue.lock);
}

static void end_sending(void)
{
    pthread_mutex_lock(&queue.lock);
    queue.producers--;
    pthread_cond_broadcast(&queue.filled);
    pthread_mutex_unlock(&queue.lock);
}

/* NULL: none comes any more. */
static struct batch *receive_batch(void)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0 && queue.producers > 0)
        pthread_cond_wait(&queue.filled, &queue.lock);
    struct batch *batch = queue.count > 0 ? queue.batches[--queue.count] : NULL;
    pthread_cond_signal(&queue.emptied);
    pthread_mutex_unlock(&queue.lock);
    return batch;
}

static void *produce(void *void_worker)
{
    struct worker *worker = void_worker;
    while (worker->got < worker->operations) {
        struct batch *batch = batch_get();
        for (batch->count = 0; batch->count < BATCH; batch->count++)
            batch->objects[batch->count] = small_ref_of(small_get());
        worker->got += BATCH + 1; /* the batch is one, too */
        send_batch(batch);
    }
    end_sending();
    return NULL;
}

static void *consume(void *void_worker)
{
    (void)void_worker;
    for (struct batch *batch; (batch = receive_batch()) != NULL; batch_put(batch))
        for (size_t i = 0; i < batch->count; i++)
            small_put(small_ref_get(batch->objects[i]));
    return NULL;
}

static uint64_t xmalloc_test(unsigned threads, uint64_t operations)
{
    uint64_t got = 0;
    unsigned producers = threads / 2;
    set_up_workers(threads, operations * 2); /* by half of them */
    queue.count = 0;
    queue.producers = producers;
    for (unsigned i = 0; i < threads; i++)
        start_worker(&workers[i], i < producers ? produce : consume);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        got += workers[i].got;
    }
    return got;
}

/* ---- cache-scratch and cache-thrash ---- */

/*
 * Berger: many writes to a small object, then the next one. An allocator that places objects of two threads in one
 * cache line makes both slow: cache-thrash sees whether it does so by itself (active false sharing), cache-scratch
 * whether it does when the objects lay there before, given to the threads by one (passive). Nearly all time is of the
 * writes; in the original, which writes some hundred times as often, all of it.
 */
enum { WRITES = 1000 };

static struct object_8 *handed_out[PATTERN_THREADS_MOST];

static void write_often(struct object_8 *object)
{
    static const unsigned at[] = {1, 4, 7};
    volatile unsigned char *bytes = object->bytes;
    const struct object_8 before = *object;
    for (unsigned i = 0; i < WRITES; i++)
        for (unsigned k = 0; k < 3; k++)
            bytes[at[k]]++;
    for (unsigned k = 0; k < 3; k++) { /* did anybody else write there? */
        if (bytes[at[k]] != (unsigned char)(before.bytes[at[k]] + WRITES))
            __atomic_fetch_add(&source_faults, 1, __ATOMIC_RELAXED);
        bytes[at[k]] = before.bytes[at[k]];
    }
}

static void *use_and_write(void *void_worker)
{
    struct worker *worker = void_worker;
    if (handed_out[worker->index])
        tiny_put(handed_out[worker->index]);
    for (; worker->got < worker->operations; worker->got++) {
        struct object_8 *object = tiny_get();
        write_often(object);
        tiny_put(object);
    }
    return NULL;
}

static uint64_t cache_thrash(unsigned threads, uint64_t operations)
{
    set_up_workers(threads, operations);
    memset(handed_out, 0, sizeof handed_out);
    return run_workers(threads, use_and_write);
}

static uint64_t cache_scratch(unsigned threads, uint64_t operations)
{
    set_up_workers(threads, operations);
    for (unsigned i = 0; i < threads; i++)
        handed_out[i] = tiny_get();
    return run_workers(threads, use_and_write) + threads;
}

/* ---- larson ---- */

/*
 * Larson and Krishnan: a server's threads replace random ones of the objects that they hold, end after a while, and
 * leave what they hold to a successor, who frees what it did not allocate. As many objects, and as much work of a
 * generation at full scale, as mimalloc-bench asks for.
 */
enum { HELD = 5000, GENERATIONS = 8 };

static struct object_256 *held[PATTERN_THREADS_MOST][HELD];

static void *serve(void *void_worker)
{
    struct worker *worker = void_worker;
    struct object_256 **objects = held[worker->index];
    for (uint64_t i = 0; i < worker->operations / GENERATIONS; i++) {
        worker->random = next_random(worker->random);
        size_t victim = below(worker->random, HELD);
        large_put(objects[victim]);
        objects[victim] = large_get();
    }
    worker->got += worker->operations / GENERATIONS;
    return NULL;
}

/* Each waits for its predecessor only: generations of two threads mix. */
static void *serve_in_turn(void *void_worker)
{
    for (int i = 0; i < GENERATIONS; i++) {
        pthread_t successor;
        if (pthread_create(&successor, NULL, serve, void_worker) != 0)
            source_fail("the system starts no more threads");
        pthread_join(successor, NULL);
    }
    return NULL;
}

static uint64_t larson(unsigned threads, uint64_t operations)
{
    set_up_workers(threads, operations);
    for (unsigned i = 0; i < threads; i++)
        for (unsigned k = 0; k < HELD; k++)
            held[i][k] = large_get();
    uint64_t got = run_workers(threads, serve_in_turn);
    for (unsigned i = 0; i < threads; i++)
        for (unsigned k = 0; k < HELD; k++)
            large_put(held[i][k]);
    return got + (uint64_t)threads * HELD;
}

/* ---- glibc-simple ---- */

/* glibc's own benchmark: so many at once; half of them freed first in first out, half of them last in first out. */
static const size_t counts[] = {25, 100, 400, 1600};
enum { COUNTS = sizeof counts / sizeof *counts, COUNT_MOST = 1600 };

static void *take_and_free(void *void_worker)
{
    struct worker *worker = void_worker;
    struct object_64 *objects[COUNT_MOST];
    for (size_t c = 0; c < COUNTS; c++)
        for (uint64_t done = 0; done < worker->operations / COUNTS; done += counts[c]) {
            for (size_t i = 0; i < counts[c]; i++)
                objects[i] = small_get();
            for (size_t i = 0; i < counts[c] / 2; i++)
                small_put(objects[i]);
            for (size_t i = counts[c]; i > counts[c] / 2; i--)
                small_put(objects[i - 1]);
            worker->got += counts[c];
        }
    return NULL;
}

static uint64_t glibc_simple(unsigned threads, uint64_t operations)
{
    set_up_workers(threads, operations);
    if (threads > 1)
        return run_workers(threads, take_and_free);
    take_and_free(&workers[0]); /* a process of one thread, which glibc's malloc is faster in */
    return workers[0].got;
}

/* ---- mleak ---- */

/*
 * Of mimalloc: threads that get one object, leave it in a random place of a table, put what they find there, and end.
 * Ends of threads are nearly all of its time; what counts is memory that goes astray with them.
 */
enum { AT_ONCE = 10, PLACES = 1000 };

static struct object_128 *places[PLACES];

static void *leave_one(void *void_worker)
{
    struct worker *worker = void_worker;
    struct object_128 *object = words_get();
    worker->random = next_random(worker->random);
    object = __atomic_exchange_n(&places[below(worker->random, PLACES)], object, __ATOMIC_ACQ_REL);
    if (object)
        words_put(object);
    worker->got++;
    return NULL;
}

static uint64_t mleak(unsigned threads, uint64_t operations)
{
    unsigned at_once = AT_ONCE * threads < PATTERN_THREADS_MOST ? AT_ONCE * threads : PATTERN_THREADS_MOST;
    uint64_t got = 0;
    set_up_workers(at_once, 1);
    while (got < operations * threads)
        got = run_workers(at_once, leave_one);
    for (unsigned i = 0; i < PLACES; i++) {
        if (places[i])
            words_put(places[i]);
        places[i] = NULL;
    }
    return got;
}

/* ---- rptest ---- */

/*
 * Of rpmalloc, with blocks of one size: in each loop a thread frees some of the blocks that it holds, then what was
 * left to it, then allocates some, in the place of others where there are any; here and there, with two steps through
 * its table, so that these are seldom the blocks that it freed last. In every second loop it allocates as many again
 * and leaves them to its neighbour. The original's neighbours may be left any number of bundles; these have room for
 * one.
 */
enum { BLOCKS = 1000, SOME_LEAST = 31, SOME_MOST = 100, GET_STEP = 7, PUT_STEP = 11, CROSS_RATE = 2 };
_Static_assert((int)BLOCKS <= (int)HELD, "the table is that of larson");

OPOOL_REF_TYPE(large_ref, struct object_256);

struct bundle {
    size_t count;
    large_ref blocks[SOME_MOST];
};
SOURCE_RAW(bundle, struct bundle);

static struct bundle *left_to[PATTERN_THREADS_MOST];

static void put_bundle(struct bundle *bundle)
{
    if (!bundle)
        return;
    for (size_t i = 0; i < bundle->count; i++)
        large_put(large_ref_get(bundle->blocks[i]));
    bundle_put(bundle);
}

static void leave_bundle(struct worker *worker, size_t count)
{
    struct bundle *bundle = bundle_get();
    for (bundle->count = 0; bundle->count < count; bundle->count++)
        bundle->blocks[bundle->count] = large_ref_of(large_get());
    worker->got += count + 1;
    /* What the neighbour did not take yet comes back. */
    put_bundle(__atomic_exchange_n(&left_to[(worker->index + 1) % worker->threads], bundle, __ATOMIC_ACQ_REL));
}

static size_t some(struct worker *worker)
{
    worker->random = next_random(worker->random);
    return SOME_LEAST + below(worker->random, SOME_MOST - SOME_LEAST);
}

/* Both return where the next one goes on. */
static size_t put_some(struct object_256 **blocks, size_t at, size_t count)
{
    for (; count > 0; count--, at = (at + PUT_STEP) % BLOCKS) {
        if (blocks[at])
            large_put(blocks[at]);
        blocks[at] = NULL;
    }
    return at;
}

static size_t get_some(struct object_256 **blocks, size_t at, size_t count)
{
    for (; count > 0; count--, at = (at + GET_STEP) % BLOCKS) {
        if (blocks[at])
            large_put(blocks[at]);
        blocks[at] = large_get();
    }
    return at;
}

static void *replace_and_leave(void *void_worker)
{
    struct worker *worker = void_worker;
    struct object_256 **blocks = held[worker->index];
    size_t put_at = 0, get_at = 0;
    memset(blocks, 0, BLOCKS * sizeof *blocks);
    for (uint64_t loop = 0; worker->got < worker->operations; loop++) {
        put_at = put_some(blocks, put_at, some(worker) * 8 / 10);
        put_bundle(__atomic_exchange_n(&left_to[worker->index], NULL, __ATOMIC_ACQ_REL));
        size_t count = some(worker);
        get_at = get_some(blocks, get_at, count);
        worker->got += count;
        if (loop % CROSS_RATE == 0)
            leave_bundle(worker, count);
    }
    (void)put_some(blocks, 0, BLOCKS);
    return NULL;
}

static uint64_t rptest(unsigned threads, uint64_t operations)
{
    set_up_workers(threads, operations);
    uint64_t got = run_workers(threads, replace_and_leave);
    for (unsigned i = 0; i < threads; i++)
        put_bundle(__atomic_exchange_n(&left_to[i], NULL, __ATOMIC_ACQ_REL));
    return got;
}

/* ---- all of them ---- */

const struct pattern patterns[PATTERNS] = {
    {"xmalloc-test", "allocated by one half of the threads, freed by the other, 4096 at a time", 64, 2, 4000000,
     xmalloc_test},
    {"cache-scratch", "3000 writes to each object; the first ones got by one thread for all", 8, 1, 30000,
     cache_scratch},
    {"cache-thrash", "3000 writes to each object", 8, 1, 30000, cache_thrash},
    {"larson", "5000 objects a thread, replaced at random; threads end and leave them to others", 256, 1, 4000000,
     larson},
    {"glibc-simple", "25 to 1600 at once, put half first in first out, half last in first out", 64, 1, 8000000,
     glibc_simple},
    {"mleak", "threads that get an object, leave it, and end", 128, 1, 2000, mleak},
    {"rptest",
     "some of 1000 objects a thread put and some got in each loop, some left to another thread in every second", 256, 1,
     4000000, rptest},
};

struct tally pattern_run(const struct pattern *pattern, unsigned threads, uint64_t operations, uint64_t *got)
{
    struct tally tally = {0, 0, 0};
    tiny_open();
    small_open();
    words_open();
    large_open();
    batch_open();
    bundle_open();
    *got = pattern->run(threads, operations);
    tiny_close(&tally);
    small_close(&tally);
    words_close(&tally);
    large_close(&tally);
    batch_close(&tally);
    bundle_close(&tally);
    return tally;
}
