/* SPDX-License-Identifier: MIT */
#include "measure.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "patterns.h"
#include "source.h"

enum { CHUNK_MOST = 64, STEP = 1024 };

/* Of one producer and one consumer. Who waits does so until the channel is half full, or half empty: else each chunk
   would be a sleep and a wake, which would be most of what is measured. */
struct channel {
    pthread_mutex_t lock;
    pthread_cond_t filling, emptying;
    size_t chunk, chunks; /* objects a chunk, chunks that fit */
    size_t filled, taken; /* chunks so far */
    bool consumer_waits, producer_waits;
    void **objects;
};

struct crew;

struct worker {
    struct crew *crew;
    pthread_t thread;
    unsigned index;
    void **objects; /* room for what it holds */
    struct channel *channel;
    double ns; /* of its processor time */
};

/* All that work on one figure. */
struct crew {
    struct source source;
    struct load load;
    void (*work)(struct worker *);
    uint64_t count; /* operations a thread, of handoff: a pair of threads */
    size_t live;
    pthread_barrier_t barrier;
    struct worker *workers;
    struct channel *channels;
    double burst_ns, start; /* bursts: of the process */
    size_t peak, after;     /* bursts: resident KiB */
};

static _Noreturn __attribute__((noinline, cold)) void fail(const char *what)
{
    fprintf(stderr, "opool bench: %s\n", what);
    _exit(1); /* other threads still run */
}

static double nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double thread_ns(void)
{
    return nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}

/* Not from the malloc that is measured. */
static void *room(size_t count, size_t size)
{
    void *at = count <= SIZE_MAX / size
                   ? mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                   : MAP_FAILED;
    if (at == MAP_FAILED)
        fail("out of memory");
    return at;
}

/* As its user would: the first byte and the last. */
OPOOL__INLINE void touch(const struct source *source, void *object)
{
    if (OPOOL__UNLIKELY(!object))
        fail("out of memory");
    volatile unsigned char *bytes = object;
    bytes[0] = 1;
    bytes[source->size - 1] = 1;
}

OPOOL__INLINE void *take(enum kind kind, const struct source *source)
{
    void *object = source_get(kind, source);
    touch(source, object);
    return object;
}

static uint64_t next_random(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

/* ---- patterns ---- */

OPOOL__INLINE void pair(enum kind kind, struct worker *worker)
{
    const struct source source = worker->crew->source;
    double start = thread_ns();
    for (uint64_t i = worker->crew->count; i > 0; i--)
        source_put(kind, &source, take(kind, &source));
    worker->ns = thread_ns() - start;
}

OPOOL__INLINE void take_all(enum kind kind, const struct source *source, void **objects, size_t n)
{
    for (size_t i = 0; i < n; i++)
        objects[i] = take(kind, source);
}

OPOOL__INLINE void put_all(enum kind kind, const struct source *source, void **objects, size_t n)
{
    for (size_t i = 0; i < n; i++)
        source_put(kind, source, objects[i]);
}

OPOOL__INLINE void batch(enum kind kind, struct worker *worker)
{
    const struct source source = worker->crew->source;
    size_t live = worker->crew->live;
    double start = thread_ns();
    for (uint64_t done = 0; done < worker->crew->count; done += live) {
        take_all(kind, &source, worker->objects, live);
        put_all(kind, &source, worker->objects, live);
    }
    worker->ns = thread_ns() - start;
}

OPOOL__INLINE void replace(enum kind kind, struct worker *worker)
{
    const struct source source = worker->crew->source;
    size_t live = worker->crew->live;
    void **objects = worker->objects;
    uint64_t random = 88172645463325252u + worker->index;
    take_all(kind, &source, objects, live);
    double start = thread_ns();
    for (uint64_t i = worker->crew->count; i > 0; i--) {
        random = next_random(random);
        size_t at = (size_t)(((random >> 32) * live) >> 32);
        source_put(kind, &source, objects[at]);
        objects[at] = take(kind, &source);
    }
    worker->ns = thread_ns() - start;
    put_all(kind, &source, objects, live);
}

static void send_chunk(struct channel *channel, void **objects)
{
    pthread_mutex_lock(&channel->lock);
    if (channel->filled - channel->taken == channel->chunks) {
        channel->producer_waits = true;
        while (channel->filled - channel->taken > channel->chunks / 2)
            pthread_cond_wait(&channel->emptying, &channel->lock);
        channel->producer_waits = false;
    }
    memcpy(channel->objects + channel->filled % channel->chunks * channel->chunk, objects,
           channel->chunk * sizeof *objects);
    channel->filled++;
    if (channel->consumer_waits && channel->filled - channel->taken >= channel->chunks / 2)
        pthread_cond_signal(&channel->filling);
    pthread_mutex_unlock(&channel->lock);
}

/* `last`: chunks that ever come. */
static void receive_chunk(struct channel *channel, void **objects, uint64_t last)
{
    pthread_mutex_lock(&channel->lock);
    if (channel->filled == channel->taken) {
        channel->consumer_waits = true;
        while (channel->filled - channel->taken < channel->chunks / 2 && channel->filled < last)
            pthread_cond_wait(&channel->filling, &channel->lock);
        channel->consumer_waits = false;
    }
    memcpy(objects, channel->objects + channel->taken % channel->chunks * channel->chunk,
           channel->chunk * sizeof *objects);
    channel->taken++;
    if (channel->producer_waits && channel->filled - channel->taken <= channel->chunks / 2)
        pthread_cond_signal(&channel->emptying);
    pthread_mutex_unlock(&channel->lock);
}

static void end_channel(struct channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    pthread_cond_signal(&channel->filling);
    pthread_mutex_unlock(&channel->lock);
}

OPOOL__INLINE void handoff(enum kind kind, struct worker *worker)
{
    const struct source source = worker->crew->source;
    struct channel *channel = worker->channel;
    void *objects[CHUNK_MOST];
    uint64_t chunks = worker->crew->count / channel->chunk;
    double start = thread_ns();
    for (uint64_t i = 0; i < chunks; i++) {
        if (worker->index % 2 == 0) {
            take_all(kind, &source, objects, channel->chunk);
            send_chunk(channel, objects);
        } else {
            receive_chunk(channel, objects, chunks);
            for (size_t k = 0; k < channel->chunk; k++)
                touch(&source, objects[k]);
            put_all(kind, &source, objects, channel->chunk);
        }
    }
    end_channel(channel);
    worker->ns = thread_ns() - start;
}

/* Without the malloc that is measured: a block of a reader's would lie at the top of its heap and keep it. */
static char *read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

/* KiB. What smaps_rollup says is exact; statm is not, by some pages a thread. */
static size_t resident(void)
{
    char text[4096];
    const char *at = strstr(read_file("/proc/self/smaps_rollup", text, sizeof text), "\nRss:");
    if (at)
        return (size_t)strtoull(at + 5, NULL, 10);
    at = strchr(read_file("/proc/self/statm", text, sizeof text), ' ');
    return at ? (size_t)strtoull(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) / 1024 : 0;
}

/* All threads meet; meanwhile the first one looks, and its look costs nothing. */
static void meet(struct worker *worker, size_t *looks)
{
    struct crew *crew = worker->crew;
    pthread_barrier_wait(&crew->barrier);
    if (worker->index == 0) {
        crew->burst_ns += nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - crew->start;
        if (looks)
            *looks = resident();
        crew->start = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    }
    pthread_barrier_wait(&crew->barrier);
}

static void keep_silence(void)
{
    struct timespec silence = {.tv_sec = BURST_SILENCE_MS / 1000, .tv_nsec = BURST_SILENCE_MS % 1000 * 1000000};
    while (nanosleep(&silence, &silence) != 0)
        continue;
}

OPOOL__INLINE void burst(enum kind kind, struct worker *worker)
{
    struct crew *crew = worker->crew;
    const struct source source = crew->source;
    for (int i = 0; i < 2; i++) {
        take_all(kind, &source, worker->objects, crew->live);
        meet(worker, i == 0 ? &crew->peak : NULL);
        put_all(kind, &source, worker->objects, crew->live);
        if (i == 0) {
            keep_silence();
            meet(worker, &crew->after);
        }
    }
    meet(worker, NULL);
}

#define OF_KIND(pattern, kind) \
    static void pattern##_##kind(struct worker *worker) \
    { \
        pattern(kind, worker); \
    }
#define OF_ALL_KINDS(pattern) \
    OF_KIND(pattern, KIND_INLINED) \
    OF_KIND(pattern, KIND_CALLS) \
    OF_KIND(pattern, KIND_MALLOC) \
    OF_KIND(pattern, KIND_ALIGNED)
OF_ALL_KINDS(pair)
OF_ALL_KINDS(batch)
OF_ALL_KINDS(replace)
OF_ALL_KINDS(handoff)
OF_ALL_KINDS(burst)

#define ALL_KINDS(pattern) \
    { \
        [KIND_INLINED] = pattern##_KIND_INLINED, [KIND_CALLS] = pattern##_KIND_CALLS, \
        [KIND_MALLOC] = pattern##_KIND_MALLOC, [KIND_ALIGNED] = pattern##_KIND_ALIGNED \
    }
static void (*const works[PATTERNS][KINDS])(struct worker *) = {
    [PATTERN_PAIR] = ALL_KINDS(pair),       [PATTERN_BATCH] = ALL_KINDS(batch), [PATTERN_REPLACE] = ALL_KINDS(replace),
    [PATTERN_HANDOFF] = ALL_KINDS(handoff), [PATTERN_BURST] = ALL_KINDS(burst),
};

/* ---- a crew ---- */

static void make_channel(struct channel *channel, size_t live)
{
    channel->chunk = live / 2 < CHUNK_MOST ? live / 2 : CHUNK_MOST;
    channel->chunks = live / channel->chunk;
    channel->objects = room(channel->chunks * channel->chunk, sizeof *channel->objects);
    if (pthread_mutex_init(&channel->lock, NULL) != 0 || pthread_cond_init(&channel->filling, NULL) != 0 ||
        pthread_cond_init(&channel->emptying, NULL) != 0)
        fail("no lock");
}

static void make_crew(struct crew *crew, const struct load *load, enum kind kind)
{
    unsigned threads = load->threads;
    bool hands_over = load->pattern == PATTERN_HANDOFF;
    crew->load = *load;
    crew->live = opool__bench_live(load);
    crew->work = works[load->pattern][kind];
    crew->workers = room(threads, sizeof *crew->workers);
    crew->channels = room(threads / 2 + 1, sizeof *crew->channels);
    for (unsigned i = 0; i < threads / 2 && hands_over; i++)
        make_channel(&crew->channels[i], crew->live);
    for (unsigned i = 0; i < threads; i++) {
        struct worker *worker = &crew->workers[i];
        worker->crew = crew;
        worker->index = i;
        worker->channel = hands_over ? &crew->channels[i / 2] : NULL;
        worker->objects = hands_over ? NULL : room(crew->live, sizeof *worker->objects);
    }
    if (pthread_barrier_init(&crew->barrier, NULL, threads) != 0)
        fail("no barrier");
}

static void *run_worker(void *void_worker)
{
    struct worker *worker = void_worker;
    pthread_barrier_wait(&worker->crew->barrier);
    worker->crew->work(worker);
    return NULL;
}

/* Nanoseconds that `count` operations a thread took of all threads. The first worker is the main thread: a process of
   one thread stays one, which glibc's malloc is faster in. */
static double run_crew(struct crew *crew, uint64_t count)
{
    double ns = 0;
    crew->count = count;
    for (unsigned i = 0; i < crew->load.threads / 2 && crew->load.pattern == PATTERN_HANDOFF; i++)
        crew->channels[i].filled = crew->channels[i].taken = 0;
    for (unsigned i = 1; i < crew->load.threads; i++)
        if (pthread_create(&crew->workers[i].thread, NULL, run_worker, &crew->workers[i]) != 0)
            fail("the system starts no more threads");
    crew->start = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    run_worker(&crew->workers[0]);
    for (unsigned i = 1; i < crew->load.threads; i++)
        pthread_join(crew->workers[i].thread, NULL);
    for (unsigned i = 0; i < crew->load.threads; i++)
        ns += crew->workers[i].ns;
    return ns;
}

/* Whole batches and chunks only. */
static uint64_t step_of(const struct crew *crew)
{
    switch (crew->load.pattern) {
    case PATTERN_BATCH:
        return crew->live;
    case PATTERN_HANDOFF:
        return crew->channels[0].chunk;
    default:
        return STEP;
    }
}

/* Nanoseconds an operation. To find how many operations fill the time warms up caches and free lists. */
static double run_steady(struct crew *crew)
{
    bool pairs = crew->load.pattern == PATTERN_HANDOFF;
    double at_once = pairs ? crew->load.threads / 2 : crew->load.threads;
    double budget = crew->load.milliseconds * 1e6 * (pairs ? 2 : 1) * at_once;
    uint64_t step = step_of(crew), count = step;
    double ns = run_crew(crew, count);
    while (ns < budget / 8 && count < UINT64_MAX / 4) {
        count *= 2;
        ns = run_crew(crew, count);
    }
    double steps = (double)(count / step) * budget / ns;
    count = steps < 1 ? step : (uint64_t)steps * step;
    return run_crew(crew, count) / ((double)count * at_once);
}

static double run_burst(struct crew *crew)
{
    const struct opool_epoch_options epochs = {.period_ms = BURST_PERIOD_MS};
    if (crew->source.pool && opool_epoch_start(&epochs) != 0)
        fail("the thread that ticks can not be started");
    run_crew(crew, crew->live);
    opool_epoch_stop();
    return crew->burst_ns / (2.0 * (double)crew->live * crew->load.threads);
}

/* ---- a figure ---- */

static const char *malloc_file(void)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    return function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown";
}

static struct opool *make_pool(const struct load *load)
{
    const struct opool_type type = {
        .name = "bench", .shape = OPOOL_SHAPE_TRUSTED("bytes"), .size = load->size, .align = load->align};
    const struct opool_options options = {.checks = OPOOL_CHECKS_BASIC};
    struct opool *pool;
    if (opool_create(&pool, &type, &options) != 0)
        fail("no pool");
    return pool;
}

static enum kind kind_of(const struct load *load, const char *what)
{
    if (strcmp(what, BENCH_MEASURE_INLINED) == 0)
        return KIND_INLINED;
    if (strcmp(what, BENCH_MEASURE_CALLS) == 0)
        return KIND_CALLS;
    return load->align > alignof(max_align_t) ? KIND_ALIGNED : KIND_MALLOC;
}

bool opool__bench_can_measure(const char *what)
{
    static const char *const words[] = {BENCH_MEASURE_INLINED, BENCH_MEASURE_CALLS, BENCH_MEASURE_MALLOC,
                                        BENCH_MEASURE_SOURCE};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(what, words[i]) == 0)
            return true;
    return false;
}

int opool__bench_measure(const struct load *load, const char *what)
{
    static struct crew crew;
    if (strcmp(what, BENCH_MEASURE_SOURCE) == 0) {
        printf("bench 0 0 0 %s\n", malloc_file());
        return 0;
    }
    enum kind kind = kind_of(load, what);
    make_crew(&crew, load, kind);
    crew.source = (struct source){.size = load->size, .align = load->align};
    if (kind == KIND_INLINED || kind == KIND_CALLS)
        crew.source.pool = make_pool(load);
    double ns = load->pattern == PATTERN_BURST ? run_burst(&crew) : run_steady(&crew);
    printf("bench %.6f %zu %zu %s\n", ns, crew.peak, crew.after, crew.source.pool ? OPOOL_VERSION : malloc_file());
    opool_destroy(&crew.source.pool);
    return 0;
}
