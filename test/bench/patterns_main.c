/* SPDX-License-Identifier: MIT */

/*
 * One pattern, once. Built twice: with typed pools, and with malloc (SOURCE_MALLOC).
 *
 *     patterns-... NAME THREADS SCALE     a line: operations, nanoseconds of processor time and of wall time of all
 *                                         threads, peak of resident KiB, the file that serves
 *     patterns-... --list                 a line each: name, size, fewest threads, what
 *
 * SCALE multiplies the work; 1 is about a tenth of a second a thread.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <inttypes.h>
#include <time.h>

#include "patterns.h"

#ifdef SOURCE_MALLOC
#define SERVES "malloc"
#else
#define SERVES "opool_get"
#endif

static double nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static const char *serving_file(void)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, SERVES);
    return function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown";
}

static unsigned long peak_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

static int list(void)
{
    for (int i = 0; i < PATTERNS; i++)
        printf("%s %zu %u %s\n", patterns[i].name, patterns[i].size, patterns[i].threads_least, patterns[i].what);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int measure(const struct pattern *pattern, unsigned threads, double scale)
{
    uint64_t got, operations = (uint64_t)((double)pattern->operations * scale);
    operations = operations > 0 ? operations : 1;
    double wall = nanoseconds(CLOCK_MONOTONIC), processor = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    const struct tally tally = pattern_run(pattern, threads, operations, &got);
    processor = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - processor;
    wall = nanoseconds(CLOCK_MONOTONIC) - wall;
    if (tally.live != 0 || tally.gets != tally.puts || source_faults != 0)
        source_fail("objects went astray");
    printf("%" PRIu64 " %.0f %.0f %lu %s\n", got, processor, wall, peak_kib(), serving_file());
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    unsigned long threads = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    double scale = argc == 4 ? strtod(argv[3], NULL) : 0;
    for (int i = 0; i < PATTERNS && scale > 0 && scale <= 1000; i++)
        if (threads >= patterns[i].threads_least && threads <= PATTERN_THREADS_MOST &&
            strcmp(argv[1], patterns[i].name) == 0)
            return measure(&patterns[i], (unsigned)threads, scale);
    fputs("usage: patterns-... NAME THREADS SCALE, or --list\n", stderr);
    return 2;
}
