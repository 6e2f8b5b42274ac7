/* SPDX-License-Identifier: MIT */

/*
 * What the put audit costs a release program: malloc and free, by one thread and by two, and get and put of objects of
 * several sizes, with `opool audit` and without. A benchmark: it prints, and judges nothing.
 *
 *     bench_audit OPOOL [ROUNDS]
 *
 * The two take turns, a process each; figures are medians of the rounds in nanoseconds of processor time, the ratio
 * is theirs.
 */
#include <opool.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 2000000, LIVE = 1000, PUTS = 200000, ROUNDS = 9, ROUNDS_MOST = 99 };

struct small {
    unsigned char bytes[64];
};
struct middle {
    unsigned char bytes[512];
};
struct large {
    unsigned char bytes[4096];
};

OPOOL_DEFINE(small_pool, struct small);
OPOOL_DEFINE(middle_pool, struct middle);
OPOOL_DEFINE(large_pool, struct large);

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- one figure, in a process of its own ---- */

static void *pairs(void *arg)
{
    void *volatile block; /* else the compiler leaves out both calls */
    for (int i = 0; i < PAIRS; i++) {
        block = malloc(100);
        free(block);
    }
    return arg;
}

static double one_thread(void)
{
    double start = now_ns();
    pairs(NULL);
    return (now_ns() - start) / (double)PAIRS;
}

static double two_threads(void)
{
    pthread_t other;
    double start = now_ns();
    if (pthread_create(&other, NULL, pairs, NULL) != 0)
        exit(1);
    pairs(NULL);
    pthread_join(other, NULL);
    return (now_ns() - start) / (2.0 * (double)PAIRS);
}

/* Many at a time, so that the table of blocks has to be looked through. */
static double many(void)
{
    static void *live[LIVE];
    double start = now_ns();
    for (int i = 0; i < PAIRS; i++) {
        free(live[i % LIVE]);
        live[i % LIVE] = malloc(16 + (size_t)(i * 37 % 1000));
    }
    return (now_ns() - start) / (double)PAIRS;
}

#define PUT_FIGURE(N) \
    static double N##_puts(void) \
    { \
        struct N##_pool *pool; \
        if (N##_pool_create(&pool, NULL) != 0) \
            exit(1); \
        double start = now_ns(); \
        for (int i = 0; i < PUTS; i++) \
            N##_pool_put(pool, N##_pool_get(pool)); \
        double ns = (now_ns() - start) / (double)PUTS; \
        N##_pool_destroy(&pool); \
        return ns; \
    }
PUT_FIGURE(small)
PUT_FIGURE(middle)
PUT_FIGURE(large)

static const struct {
    const char *name;
    double (*measure)(void);
} figures[] = {{"malloc and free, one thread", one_thread}, {"malloc and free, two threads", two_threads},
               {"malloc and free, 1000 live", many},        {"get and put, 64 bytes", small_puts},
               {"get and put, 512 bytes", middle_puts},     {"get and put, 4096 bytes", large_puts}};
enum { FIGURES = sizeof figures / sizeof *figures };

/* ---- rounds ---- */

static double run(const char *tool, const char *self, int figure)
{
    char number[16], line[64];
    int ends[2];
    snprintf(number, sizeof number, "%d", figure);
    if (pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (tool)
            execl(tool, tool, "audit", "--output", "/dev/null", "--", self, "--figure", number, (char *)NULL);
        else
            execl(self, self, "--figure", number, (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    if (n <= 0 || status != 0) {
        fprintf(stderr, "audit: %s does not run\n", tool ? tool : self);
        exit(1);
    }
    line[n] = '\0';
    return strtod(line, NULL);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return values[n / 2];
}

static void measure(const char *tool, const char *self, int figure, int rounds)
{
    double plain[ROUNDS_MOST], audited[ROUNDS_MOST];
    for (int i = 0; i < rounds; i++) {
        plain[i] = run(NULL, self, figure);
        audited[i] = run(tool, self, figure);
    }
    double before = median(plain, (size_t)rounds), after = median(audited, (size_t)rounds);
    printf("%-30s %8.1f %8.1f   %6.2f\n", figures[figure].name, before, after, after / before);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--figure") == 0) {
        printf("%f\n", figures[strtoul(argv[2], NULL, 10) % FIGURES].measure());
        return 0;
    }
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST) {
        fputs("usage: audit OPOOL [ROUNDS]\n", stderr);
        return 2;
    }
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    printf("%-30s %8s %8s   %6s\n", "ns", "plain", "audited", "ratio");
    for (int i = 0; i < FIGURES; i++)
        measure(argv[1], self, i, rounds);
    return 0;
}
