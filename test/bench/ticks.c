/* SPDX-License-Identifier: MIT */

/*
 * What ticks cost: a tick over many idle pools and sleeping threads, and how that grows; what running threads lose to
 * ticks at 1 kHz; how long single gets take under them. A benchmark: it prints, and judges nothing.
 *
 *     ticks [--quick]
 *
 * Times are of the wall clock, medians where there are several; the pairs with and without ticks take turns.
 */
#include <errno.h>
#include <opool.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POOLS_MOST = 1000, THREADS_MOST = 10000, STACK = 64 << 10 };

struct object {
    unsigned char bytes[256];
};

OPOOL_DEFINE(object_pool, struct object);

static struct object_pool *pools[POOLS_MOST];

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double at_share(double *values, size_t n, double share)
{
    qsort(values, n, sizeof *values, compare);
    size_t at = (size_t)((double)n * share);
    return values[at < n ? at : n - 1];
}

static int start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    int r = pthread_create(thread, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
    return r;
}

static double tick_us(void)
{
    double start = now_us();
    opool_epoch_advance();
    return now_us() - start;
}

/* ---- idle pools and sleeping threads ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_asleep = PTHREAD_COND_INITIALIZER, next_turn = PTHREAD_COND_INITIALIZER;
static int asleep, pools_used;
static bool let_go;

/* Younger threads use the pools again each turn; the others once. */
static int turns;
static char younger;

static void *use_all_and_sleep(void *arg)
{
    bool again = true;
    while (again) {
        for (int i = 0; i < pools_used; i++)
            object_pool_put(pools[i], object_pool_get(pools[i]));
        pthread_mutex_lock(&gate);
        int seen = turns;
        asleep++;
        pthread_cond_signal(&all_asleep);
        while (!let_go && (arg != &younger || turns == seen))
            pthread_cond_wait(&next_turn, &gate);
        again = !let_go;
        pthread_mutex_unlock(&gate);
    }
    return NULL;
}

static void await_asleep(int n)
{
    pthread_mutex_lock(&gate);
    while (asleep < n)
        pthread_cond_wait(&all_asleep, &gate);
    pthread_mutex_unlock(&gate);
}

/* Returns how many threads there could be. */
static int start_sleepers(pthread_t *threads, int wanted)
{
    int n = 0;
    asleep = 0;
    let_go = false;
    while (n < wanted && start_thread(&threads[n], use_all_and_sleep, n < wanted / 2 ? NULL : &younger) == 0)
        n++;
    await_asleep(n);
    return n;
}

static void take_a_turn(int n, int wanted)
{
    pthread_mutex_lock(&gate);
    asleep = 0;
    turns++;
    pthread_cond_broadcast(&next_turn);
    pthread_mutex_unlock(&gate);
    await_asleep(n > wanted / 2 ? n - wanted / 2 : 0);
}

static void end_sleepers(const pthread_t *threads, int n)
{
    pthread_mutex_lock(&gate);
    let_go = true;
    pthread_cond_broadcast(&next_turn);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static double overhead_mib(void)
{
    double bytes = 0;
    for (int i = 0; i < pools_used; i++) {
        struct opool_stats stats;
        if (opool_stats_read(object_pool_base(pools[i]), &stats) == 0)
            bytes += (double)stats.overhead_bytes;
    }
    return bytes / 1048576;
}

static void sleeping(int pool_count, int thread_count)
{
    static pthread_t threads[THREADS_MOST];
    double idle[101];
    pools_used = pool_count;
    int n = start_sleepers(threads, thread_count);
    double overhead = overhead_mib();
    double first = tick_us(), second = tick_us(), third = tick_us();
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        idle[i] = tick_us();
    printf("%6d %7d%s %10.2f %10.2f %10.2f %10.3f %12.1f\n", pool_count, n, n < thread_count ? "*" : " ", first / 1e3,
           second / 1e3, third / 1e3, at_share(idle, sizeof idle / sizeof *idle, 0.5) / 1e3, overhead);
    end_sleepers(threads, n);
}

static void all_sleeping(bool quick)
{
    static const struct {
        int pools, threads;
        bool quick;
    } sizes[] = {{1, 64, true},      {100, 64, true},   {1000, 1, true},   {1000, 64, true},
                 {1000, 256, false}, {10, 1000, false}, {1, 10000, false}, {10, 10000, false}};
    printf("Ticks over sleeping threads that used each pool once, ms: the first (arms), the second (takes), the third\n"
           "(tears down), then the median of 101 with nothing left; overhead of the library before, MiB\n"
           " pools threads       first     second      third       idle     overhead\n");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!quick || sizes[i].quick)
            sleeping(sizes[i].pools, sizes[i].threads);
    puts("*: the system gave no more threads");
}

/* What a tick does with threads that fall idle while younger ones, in front of them in its list, go on. */
static void falling_idle(bool quick)
{
    static pthread_t threads[THREADS_MOST];
    static const int sizes[] = {1000, 2000, 4000, 8000};
    pools_used = 1;
    puts("The tick at which the older half of threads is idle, and the younger half is not, ms; us a thread");
    for (size_t i = 0; i < (quick ? 2 : sizeof sizes / sizeof *sizes); i++) {
        int n = start_sleepers(threads, sizes[i]);
        (void)tick_us();
        take_a_turn(n, sizes[i]);
        double us = tick_us();
        printf("%14d%s %10.2f %10.3f\n", n, n < sizes[i] ? "*" : " ", us / 1e3, n ? us / n : 0);
        end_sleepers(threads, n);
    }
}

/* ---- running threads ---- */

static bool ticking, running;
static unsigned long ticks_made;

static void *tick_each_ms(void *unused)
{
    const struct timespec millisecond = {0, 1000000};
    while (__atomic_load_n(&running, __ATOMIC_RELAXED)) {
        if (__atomic_load_n(&ticking, __ATOMIC_RELAXED)) {
            opool_epoch_advance();
            ticks_made++;
        }
        nanosleep(&millisecond, NULL);
    }
    return unused;
}

enum { BATCH = 64 };

/* Pairs of get and put, up to BATCH out at once, for some time; ns a pair of the thread's processor time. */
static double pair_ns(double ms)
{
    struct timespec from, to;
    struct object *out[BATCH];
    double end = now_us() + ms * 1e3;
    unsigned long pairs = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    while (now_us() < end)
        for (int round = 0; round < 100; round++, pairs += BATCH) {
            for (int i = 0; i < BATCH; i++)
                out[i] = object_pool_get(pools[0]);
            for (int i = 0; i < BATCH; i++)
                object_pool_put(pools[0], out[i]);
        }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / (double)pairs;
}

static void throughput(bool quick)
{
    enum { ROUNDS = 21 };
    double ratios[ROUNDS], quiet[ROUNDS];
    int rounds = quick ? 5 : ROUNDS;
    for (int i = 0; i < rounds; i++) {
        double ns[2];
        for (int turn = 0; turn < 2; turn++) {
            int with = turn ^ (i & 1);
            __atomic_store_n(&ticking, with, __ATOMIC_RELAXED);
            ns[with] = pair_ns(quick ? 50 : 200);
        }
        quiet[i] = ns[0];
        ratios[i] = ns[1] / ns[0];
    }
    double low = at_share(ratios, (size_t)rounds, 0), high = ratios[rounds - 1];
    printf("\nA running thread, %d at a time: %.2f ns a get and put; under ticks at 1 kHz times %.3f (%.3f..%.3f), "
           "median\n"
           "of %d pairs of runs\n",
           BATCH, at_share(quiet, (size_t)rounds, 0.5), ratios[rounds / 2], low, high, rounds);
}

static void latency(bool quick)
{
    size_t n = quick ? 200000 : 3000000;
    double *ns = malloc(n * sizeof *ns), *empty = malloc(n * sizeof *empty);
    for (int with = 0; with < 2 && ns && empty; with++) {
        __atomic_store_n(&ticking, with, __ATOMIC_RELAXED);
        for (size_t i = 0; i < n; i++) {
            double start = now_us(), between = now_us();
            struct object *object = object_pool_get(pools[0]);
            double end = now_us();
            object_pool_put(pools[0], object);
            empty[i] = (between - start) * 1e3;
            ns[i] = (end - between) * 1e3;
        }
        printf(
            "One get, ns, %s: median %.0f, 99 %% %.0f, 99.9 %% %.0f, 99.99 %% %.0f; of these the clock: median %.0f, "
            "99.9 %% %.0f\n",
            with ? "ticks at 1 kHz" : "no ticks     ", at_share(ns, n, 0.5), at_share(ns, n, 0.99),
            at_share(ns, n, 0.999), at_share(ns, n, 0.9999), at_share(empty, n, 0.5), at_share(empty, n, 0.999));
    }
    if (!ns || !empty)
        fputs("ticks: no memory for the samples\n", stderr);
    free(ns);
    free(empty);
}

int main(int argc, char **argv)
{
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    pthread_t ticker;
    if (argc > 1 && !quick) {
        fputs("usage: ticks [--quick]\n", stderr);
        return 2;
    }
    for (int i = 0; i < POOLS_MOST; i++)
        if (object_pool_create(&pools[i], NULL) != 0) {
            fprintf(stderr, "ticks: pool %d: no memory\n", i);
            return 1;
        }
    all_sleeping(quick);
    falling_idle(quick);
    running = true;
    if (start_thread(&ticker, tick_each_ms, NULL) != 0) {
        perror("ticks: thread");
        return 1;
    }
    throughput(quick);
    latency(quick);
    running = false;
    pthread_join(ticker, NULL);
    printf("%lu ticks were made meanwhile\n", ticks_made);
    for (int i = 0; i < POOLS_MOST; i++)
        object_pool_destroy(&pools[i]);
    return 0;
}
