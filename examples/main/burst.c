/* SPDX-License-Identifier: MIT */

/*
 * Memory over time: a burst, silence, the burst again, silence. Four threads hold 100,000 objects of 256 bytes at once,
 * give them back, and sleep. Resident memory is sampled each 10 ms, and for certain when all are held and when a
 * silence ends: a busy machine may keep the one who samples waiting.
 *
 *     burst METHOD MILLISECONDS STAYS
 *     METHOD: malloc         the allocator as it is, or one that LD_PRELOAD names
 *             trim           the same, and malloc_trim(0) when the burst is over, which only glibc has
 *             pool           opool, whose epoch thread ticks each tenth of MILLISECONDS
 *     MILLISECONDS: of each silence
 *     STAYS: each so manieth object is not given back, as sessions are not; 0: all are
 *
 * Output, a line each: `source PATH`, `rss MILLISECONDS KIB` since the start, `burst NUMBER START END CPU` in ms.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <opool.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, SHARE = 25000, BURSTS = 2, SAMPLE_MS = 10 };

struct object {
    unsigned char bytes[256];
};

OPOOL_DEFINE(object_pool, struct object);

static struct object_pool *pool;
static bool pooled, failed;
static int stays;
static struct object *objects[THREADS][SHARE];
static pthread_barrier_t start, full, seen, over;

static double now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct object *get(void)
{
    return pooled ? object_pool_get(pool) : malloc(sizeof(struct object));
}

static void put(struct object *object)
{
    if (pooled)
        object_pool_put(pool, object);
    else
        free(object);
}

static void burst(struct object **own)
{
    for (int i = 0; i < SHARE; i++) {
        if (!own[i] && !(own[i] = get()))
            __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
        if (own[i])
            memset(own[i], i, sizeof *own[i]);
    }
    pthread_barrier_wait(&full);
    pthread_barrier_wait(&seen);
    for (int i = 0; i < SHARE; i++)
        if (own[i] && (stays == 0 || i % stays)) {
            put(own[i]);
            own[i] = NULL;
        }
}

static void *run(void *arg)
{
    for (int i = 0; i < BURSTS; i++) {
        pthread_barrier_wait(&start);
        burst(arg);
        pthread_barrier_wait(&over);
    }
    pthread_barrier_wait(&start); /* the end: the thread slept until then */
    return NULL;
}

/* ---- sampling, by the main thread and one that samples while it waits ---- */

static double began;
static int statm;
static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

static void print_resident(void)
{
    char text[200];
    long resident;
    pthread_mutex_lock(&output);
    ssize_t length = pread(statm, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%*d %ld", &resident) == 1)
        printf("rss %.1f %ld\n", now_ms(CLOCK_MONOTONIC) - began, resident * (sysconf(_SC_PAGESIZE) / 1024));
    pthread_mutex_unlock(&output);
}

static void *sample(void *stop)
{
    while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
        print_resident();
        nanosleep(&(struct timespec){0, SAMPLE_MS * 1000000L}, NULL);
    }
    return NULL;
}

static void one_burst(int number, bool trims, long silence_ms)
{
    struct timespec silence = {silence_ms / 1000, silence_ms % 1000 * 1000000L};
    double from = now_ms(CLOCK_MONOTONIC) - began, cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&full);
    print_resident();
    pthread_barrier_wait(&seen);
    pthread_barrier_wait(&over);
    if (trims)
        malloc_trim(0);
    double to = now_ms(CLOCK_MONOTONIC) - began;
    cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    pthread_mutex_lock(&output);
    printf("burst %d %.1f %.1f %.2f\n", number, from, to, cpu);
    pthread_mutex_unlock(&output);
    nanosleep(&silence, NULL);
    print_resident();
}

/* They wait at the barriers for those that could not be had: nothing goes on without them. */
static void start_thread(pthread_t *thread, void *(*function)(void *), void *argument)
{
    if (pthread_create(thread, NULL, function, argument) == 0)
        return;
    fputs("burst: not enough threads\n", stderr);
    exit(1);
}

static void print_source(void)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, pooled ? "opool__create" : "malloc");
    printf("source %s\n", function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown");
}

int main(int argc, char **argv)
{
    long silence = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    bool trims = argc == 4 && strcmp(argv[1], "trim") == 0, stop = false;
    pooled = argc == 4 && strcmp(argv[1], "pool") == 0;
    stays = argc == 4 ? (int)strtol(argv[3], NULL, 10) : -1;
    if (stays < 0 || silence < 100 || silence > 60000 || (!trims && !pooled && strcmp(argv[1], "malloc") != 0)) {
        fputs("usage: burst malloc|trim|pool MILLISECONDS (100 to 60000) STAYS\n", stderr);
        return 2;
    }
    struct opool_epoch_options ticks = {.period_ms = (unsigned)silence / 10};
    if (pooled && (object_pool_create(&pool, NULL) != 0 || opool_epoch_start(&ticks) != 0)) {
        fputs("burst: no pool, or no thread that ticks\n", stderr);
        return 1;
    }
    statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (statm < 0) {
        fputs("burst: /proc/self/statm can not be read\n", stderr);
        return 1;
    }
    print_source();
    pthread_barrier_init(&start, NULL, THREADS + 1);
    pthread_barrier_init(&full, NULL, THREADS + 1);
    pthread_barrier_init(&seen, NULL, THREADS + 1);
    pthread_barrier_init(&over, NULL, THREADS + 1);
    pthread_t threads[THREADS], sampler;
    began = now_ms(CLOCK_MONOTONIC);
    for (int i = 0; i < THREADS; i++)
        start_thread(&threads[i], run, objects[i]);
    start_thread(&sampler, sample, &stop);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    for (int i = 0; i < BURSTS; i++)
        one_burst(i + 1, trims, silence);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(sampler, NULL);
    pthread_barrier_wait(&start);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (failed)
        fputs("burst: out of memory\n", stderr);
    return fflush(stdout) == 0 && !failed ? 0 : 1;
}
