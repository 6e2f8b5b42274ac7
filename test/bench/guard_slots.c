/* SPDX-License-Identifier: MIT */

/*
 * What guard slots cost: a get and put of a 256-byte object, and 256 gets and then 256 puts, with guard slots off, at
 * several rates, and with malloc; and the memory that they take. A benchmark: it prints, and judges nothing.
 *
 *     guard_slots [--quick]
 *
 * The environment is read once a process, so each figure is one of a child; the kinds take turns, and what is printed
 * are medians, of processor time. "all slots taken": what a program sees from when its 64 slots hold objects or rest
 * until the next tick; "slots free": a slot for each object that is to be guarded, as after a tick, when gets are
 * counted out of line.
 */
#include <opool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MOST = 15, BATCH = 256 };

struct object {
    unsigned char bytes[256];
};

OPOOL_DEFINE(object_pool, struct object);

static const struct kind {
    const char *name, *one_in, *slots;
    bool uses_malloc;
} kinds[] = {
    {"off", "", "", false},
    {"1/5000, all slots taken", "1/5000", "64", false},
    {"1/5000, slots free", "1/5000", "16384", false},
    {"1/500, all slots taken", "1/500", "64", false},
    {"1/500, slots free", "1/500", "16384", false},
    {"malloc", "", "", true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct figures {
    double pair_ns, batch_ns, resident_kib, guarded;
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double resident_kib(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        perror("/proc/self/statm");
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* ---- in a child ---- */

static struct object_pool *pool; /* NULL: malloc */

static struct object *get(void)
{
    return pool ? object_pool_get(pool) : malloc(sizeof(struct object));
}

static void put(struct object *object)
{
    if (pool)
        object_pool_put(pool, object);
    else
        free(object);
}

static double time_pairs(long n)
{
    double start = now_ns();
    for (long i = 0; i < n; i++) {
        struct object *object = get();
        *(volatile unsigned char *)object->bytes = 1;
        put(object);
    }
    return (now_ns() - start) / (double)n;
}

static double time_batches(long n)
{
    static struct object *objects[BATCH];
    double start = now_ns();
    for (long i = 0; i < n / BATCH; i++) {
        for (int k = 0; k < BATCH; k++) {
            objects[k] = get();
            *(volatile unsigned char *)objects[k]->bytes = 1;
        }
        for (int k = 0; k < BATCH; k++)
            put(objects[k]);
    }
    return (now_ns() - start) / (double)(n / BATCH * BATCH);
}

static double guarded(void)
{
    struct opool_stats stats = {0};
    return pool && opool_stats_read(object_pool_base(pool), &stats) == 0 ? (double)stats.guarded : 0;
}

static void measure(const struct kind *kind, long n, struct figures *out)
{
    double before = resident_kib();
    if (!kind->uses_malloc && object_pool_create(&pool, NULL) != 0)
        exit(EXIT_FAILURE);
    do
        (void)time_batches(BATCH);
    while (strcmp(kind->slots, "64") == 0 && guarded() < 64);
    (void)time_batches(100 * BATCH);
    out->pair_ns = time_pairs(n);
    out->batch_ns = time_batches(n);
    out->resident_kib = resident_kib() - before;
    out->guarded = guarded();
}

/* ---- all of them ---- */

static bool run(const struct kind *kind, long n, struct figures *out)
{
    int ends[2], status;
    if (pipe(ends) != 0)
        return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct figures figures = {0};
        setenv("OPOOL_GUARD_SLOTS", kind->one_in, 1);
        setenv("OPOOL_GUARD_SLOTS_MOST", kind->slots, 1);
        measure(kind, n, &figures);
        _exit(write(ends[1], &figures, sizeof figures) == sizeof figures ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(ends[1]);
    bool read_all = child > 0 && read(ends[0], out, sizeof *out) == sizeof *out;
    close(ends[0]);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && read_all;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const struct figures *of, int rounds, size_t offset)
{
    double values[ROUNDS_MOST];
    for (int i = 0; i < rounds; i++)
        memcpy(&values[i], (const char *)&of[i] + offset, sizeof values[i]);
    qsort(values, (size_t)rounds, sizeof *values, compare);
    return values[rounds / 2];
}

int main(int argc, char **argv)
{
    static struct figures all[KINDS][ROUNDS_MOST];
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    int rounds = quick ? 3 : ROUNDS_MOST;
    long n = quick ? 200000 : 2000000;
    for (int round = 0; round < rounds; round++)
        for (int kind = 0; kind < KINDS; kind++)
            if (!run(&kinds[kind], n, &all[kind][round])) {
                fprintf(stderr, "%s: the child failed\n", kinds[kind].name);
                return EXIT_FAILURE;
            }
    printf("%ld get and put each, medians of %d\n", n, rounds);
    printf("%-28s %9s %7s %13s %7s %13s %9s\n", "", "pair", "to off", "256 at a time", "to off", "resident KiB",
           "guarded");
    double pair = 0, batch = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        double pair_ns = median(all[kind], rounds, offsetof(struct figures, pair_ns));
        double batch_ns = median(all[kind], rounds, offsetof(struct figures, batch_ns));
        pair = kind ? pair : pair_ns;
        batch = kind ? batch : batch_ns;
        printf("%-28s %6.2f ns %7.2f %10.2f ns %7.2f %13.0f %9.0f\n", kinds[kind].name, pair_ns, pair_ns / pair,
               batch_ns, batch_ns / batch, median(all[kind], rounds, offsetof(struct figures, resident_kib)),
               median(all[kind], rounds, offsetof(struct figures, guarded)));
    }
    return EXIT_SUCCESS;
}
