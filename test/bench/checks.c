/* SPDX-License-Identifier: MIT */

/*
 * The price list of checks: nanoseconds for a get and a put, at each level, against a build without any.
 *
 *     bench_checks WITHOUT [OPOOL [ROUNDS]]
 *
 * WITHOUT: this program, built with the library and the header that have no checks (-Dchecks=false); OPOOL: the
 * command, for the put audit, or "-". A benchmark: it prints, and judges nothing.
 *
 * "guards" is basic with one get in 5000 in a guard slot (OPOOL_GUARD_SLOTS), "audit" is basic under `opool audit`.
 *
 * Each figure comes from a process of its own, and all take turns; figures are medians of the rounds in nanoseconds of
 * processor time. The ratio is the median of the ratios of each round, whose processes ran next to each other.
 */
#include <opool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 256, MORE = 4096, ROUNDS = 11, ROUNDS_MOST = 99, NS_A_FIGURE = 30000000 };

struct small {
    unsigned char bytes[64];
};
struct middle {
    unsigned char bytes[256];
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

/* ---- one figure ---- */

/* A compiler must not see what happens to it. */
static void use(void *object)
{
    __asm__ __volatile__("" : : "r"(object) : "memory");
}

#define WORK(N) \
    static struct N##_pool *N##s; \
    static struct N *N##_held[MORE]; \
    static void N##_start(void) \
    { \
        if (N##_pool_create(&N##s, NULL) != 0) \
            exit(1); \
    } \
    static inline struct N *N##_new(void) \
    { \
        struct N *object = N##_pool_get(N##s); \
        if (!object) \
            exit(1); \
        use(object); \
        return object; \
    } \
    static void N##_pair(size_t n) \
    { \
        for (size_t i = 0; i < n; i++) \
            N##_pool_put(N##s, N##_new()); \
    } \
    static inline void N##_group(size_t n, size_t group) \
    { \
        for (size_t done = 0; done < n; done += group) { \
            for (size_t i = 0; i < group; i++) \
                N##_held[i] = N##_new(); \
            for (size_t i = 0; i < group; i++) \
                N##_pool_put(N##s, N##_held[i]); \
        } \
    } \
    static inline __attribute__((unused)) void N##_many(size_t n) \
    { \
        N##_group(n, MANY); \
    }
WORK(small)
WORK(middle)
WORK(large)

/* More than a thread caches: all of them come from the depot and go there. */
static void middle_depot(size_t n)
{
    middle_group(n, MORE);
}

/* Each object is built and torn down. */
static void middle_build(size_t n)
{
    for (size_t done = 0; done < n; done += MANY) {
        for (size_t i = 0; i < MANY; i++)
            middle_held[i] = middle_new();
        for (size_t i = 0; i < MANY; i++)
            middle_pool_discard(middles, middle_held[i]);
    }
}

static const struct {
    const char *name;
    void (*start)(void);
    void (*run)(size_t n);
} figures[] = {{"64 bytes, one at a time", small_start, small_pair},
               {"256 bytes, one at a time", middle_start, middle_pair},
               {"256 bytes, 256 at a time", middle_start, middle_many},
               {"256 bytes, 4096 at a time", middle_start, middle_depot},
               {"256 bytes, built and torn down", middle_start, middle_build},
               {"4096 bytes, one at a time", large_start, large_pair},
               {"4096 bytes, 256 at a time", large_start, large_many}};
enum { FIGURES = sizeof figures / sizeof *figures };

/* As often as fits the time; the first runs only find out how often that is, and warm up. */
static double measure(size_t figure)
{
    size_t n = MORE;
    figures[figure].start();
    double start = now_ns();
    figures[figure].run(n);
    for (double took = now_ns() - start; took < (double)(NS_A_FIGURE / 8); took = now_ns() - start) {
        n *= 2;
        start = now_ns();
        figures[figure].run(n);
    }
    n *= 8;
    start = now_ns();
    figures[figure].run(n);
    return (now_ns() - start) / (double)n;
}

/* ---- levels: a process each ---- */

static const struct {
    const char *name, *variable, *value;
    bool audit;
} levels[] = {{"without", NULL, NULL, false},
              {"off", "OPOOL_CHECKS", "off", false},
              {"basic", "OPOOL_CHECKS", "basic", false},
              {"full", "OPOOL_CHECKS", "full", false},
              {"guards", "OPOOL_GUARD_SLOTS", "1/5000", false},
              {"audit", "OPOOL_CHECKS", "basic", true}};
enum { LEVELS = sizeof levels / sizeof *levels };

static char self[4096];
static const char *without, *tool;

static void become(size_t level, const char *number)
{
    if (levels[level].variable)
        setenv(levels[level].variable, levels[level].value, 1);
    if (levels[level].audit)
        execl(tool, tool, "audit", "--output", "/dev/null", "--", self, "--figure", number, (char *)NULL);
    else
        execl(level == 0 ? without : self, self, "--figure", number, (char *)NULL);
    _exit(1);
}

static double run(size_t level, size_t figure)
{
    char number[32], line[64];
    int ends[2], status;
    snprintf(number, sizeof number, "%zu", figure);
    if (pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        become(level, number);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (n <= 0 || status != 0) {
        fprintf(stderr, "checks: no figure %zu at level %s\n", figure, levels[level].name);
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

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

static bool is_there(size_t level)
{
    return !levels[level].audit || tool;
}

static void print_row(size_t figure, int rounds)
{
    static double ns[LEVELS][ROUNDS_MOST], ratios[LEVELS][ROUNDS_MOST];
    for (int i = 0; i < rounds; i++)
        for (size_t level = 0; level < LEVELS; level++) {
            if (!is_there(level))
                continue;
            ns[level][i] = run(level, figure);
            ratios[level][i] = ns[level][i] / ns[0][i];
        }
    printf("%-30s", figures[figure].name);
    for (size_t level = 0; level < LEVELS; level++)
        if (is_there(level))
            printf(" %8.2f %6.2f", median(ns[level], rounds), median(ratios[level], rounds));
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--figure") == 0) {
        printf("%f\n", measure(strtoul(argv[2], NULL, 10) % FIGURES));
        return 0;
    }
    int rounds = argc > 3 ? atoi(argv[3]) : ROUNDS;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST) {
        fputs("usage: checks WITHOUT [OPOOL [ROUNDS]]\n", stderr);
        return 2;
    }
    without = argv[1];
    tool = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    unsetenv("OPOOL_CHECKS");
    unsetenv("OPOOL_GUARD_SLOTS");
    printf("%-30s", "ns, ratio");
    for (size_t level = 0; level < LEVELS; level++)
        if (is_there(level))
            printf(" %15s", levels[level].name);
    putchar('\n');
    for (size_t figure = 0; figure < FIGURES; figure++)
        print_row(figure, rounds);
    return 0;
}
