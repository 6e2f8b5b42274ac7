/* SPDX-License-Identifier: MIT */
/*
 * What a kept decoder context gains: pooled against made and freed for each item, format by format.
 * `decoders-bench --help` says how it is used.
 *
 * Both ways take turns, first one, then the other first, round after round: what the machine does meanwhile meets both.
 * Figures are processor time. Every output is compared with what it must be, outside the time taken.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "formats.h"

enum { ROUNDS_MOST = 1000, BYTES_LEAST = 64 << 10, BYTES_MOST = 4 << 20 };

struct options {
    const char *path;
    unsigned rounds;
    double milliseconds; /* of each measurement */
    bool json;
};

/* Of one format; nanoseconds an item. */
struct row {
    const struct format *format;
    double pooled[ROUNDS_MOST], created[ROUNDS_MOST], ratio[ROUNDS_MOST];
    unsigned rounds;
    struct opool_stats stats;
};

static const char usage[] = "usage: decoders-bench [--quick] [--rounds N] [--json] [FILE]\n";

static double processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

typedef bool decode_function(const struct item *item, unsigned char *output);

static bool check_output(const struct format *format, const struct set *set)
{
    if (memcmp(set->output, set->expected, set->size) == 0)
        return true;
    fprintf(stderr, "decoders-bench: %s: the output is not what it was made from\n", format->name);
    return false;
}

/* Nanoseconds an item, or a negative number after a line on standard error. */
static double measure(const struct format *format, decode_function *decode, const struct set *set, double milliseconds)
{
    double begin, end;
    size_t items = 0;
    memset(set->output, 0x55, set->size);
    begin = processor_time();
    do {
        for (size_t i = 0; i < set->count; i++) {
            if (decode(&set->items[i], set->output + set->items[i].offset))
                continue;
            fprintf(stderr, "decoders-bench: %s: item %zu can not be decoded\n", format->name, i);
            return -1;
        }
        items += set->count;
        end = processor_time();
    } while (end - begin < milliseconds * 1e6);
    return check_output(format, set) ? (end - begin) / (double)items : -1;
}

static bool measure_round(struct row *row, const struct set *set, double milliseconds)
{
    unsigned round = row->rounds;
    for (unsigned turn = 0; turn < 2; turn++) {
        bool pooled = (round + turn) % 2 == 0;
        double result = measure(row->format, pooled ? row->format->pooled : row->format->created, set, milliseconds);
        if (result < 0)
            return false;
        *(pooled ? &row->pooled[round] : &row->created[round]) = result;
    }
    row->ratio[round] = row->pooled[round] / row->created[round];
    row->rounds++;
    return true;
}

static bool measure_rounds(struct row *row, const struct set *set, const struct options *options)
{
    int error = row->format->open();
    if (error) {
        fprintf(stderr, "decoders-bench: no pool: %s\n", strerror(-error));
        return false;
    }
    bool ok = measure(row->format, row->format->pooled, set, 0) > 0 && /* warms up */
              measure(row->format, row->format->created, set, 0) > 0;
    while (ok && row->rounds < options->rounds)
        ok = measure_round(row, set, options->milliseconds);
    ok = ok && opool_stats_read(row->format->base(), &row->stats) == 0;
    row->format->close();
    return ok;
}

static bool measure_format(struct row *row, const unsigned char *content, size_t size, const struct options *options)
{
    struct set set = {0};
    bool made = row->format->make(&set, content, size);
    if (!made)
        fprintf(stderr, "decoders-bench: %s: out of memory, or the library failed to pack\n", row->format->name);
    bool ok = made && measure_rounds(row, &set, options);
    set_free(&set);
    return ok;
}

/* ---- report */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct summary {
    double median, least, most;
};

static struct summary summarise(const double *values, unsigned count)
{
    double sorted[ROUNDS_MOST];
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, by_value);
    return (struct summary){(sorted[(count - 1) / 2] + sorted[count / 2]) / 2, sorted[0], sorted[count - 1]};
}

/* Each CPUID traps there, and zstd and Opus ask it for each context that they initialise: much of what is gained. */
static bool virtual_machine(void)
{
#if defined(__x86_64__) || defined(__i386__)
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && c >> 31 != 0;
#else
    return false;
#endif
}

static void print_values(const char *name, const double *values, unsigned count)
{
    struct summary summary = summarise(values, count);
    printf("\"%s\": {\"median\": %.4f, \"min\": %.4f, \"max\": %.4f, \"raw\": [", name, summary.median, summary.least,
           summary.most);
    for (unsigned i = 0; i < count; i++)
        printf("%s%.4f", i ? ", " : "", values[i]);
    fputs("]}", stdout);
}

static void print_json_row(const struct row *row)
{
    printf("  {\"format\": \"%s\", \"item\": \"%s\", \"unit\": \"ns\", ", row->format->name, row->format->item);
    print_values("pooled", row->pooled, row->rounds);
    fputs(", ", stdout);
    print_values("created", row->created, row->rounds);
    fputs(", ", stdout);
    print_values("ratio", row->ratio, row->rounds);
    printf(", \"gets\": %llu, \"built\": %llu}", (unsigned long long)row->stats.gets,
           (unsigned long long)row->stats.built);
}

static void print_row(const struct row *row)
{
    struct summary pooled = summarise(row->pooled, row->rounds), created = summarise(row->created, row->rounds);
    struct summary ratio = summarise(row->ratio, row->rounds);
    double times = ratio.median < 1 ? 1 / ratio.median : ratio.median;
    char verdict[40] = "tie"; /* not all rounds say the same, or what they say is less than 2 % */
    if (times >= 1.02 && (ratio.most < 1 || ratio.least > 1))
        snprintf(verdict, sizeof verdict, "%.*fx %s", times < 1.095 ? 2 : 1, times, ratio.median < 1 ? "less" : "more");
    printf("%-14s %-19s %10.2f %10.2f   %.2f (%.2f..%.2f)  %s\n", row->format->name, row->format->item,
           created.median / 1000, pooled.median / 1000, ratio.median, ratio.least, ratio.most, verdict);
}

static void print_table(const struct row *rows, unsigned count, const struct options *options)
{
    printf("microseconds of processor time an item, with decoding; medians of %u rounds, the ratio round by round\n",
           options->rounds);
    printf("on a %s machine\n\n", virtual_machine() ? "virtual machine: CPUID traps, so this is not a bare" : "bare");
    printf("%-14s %-19s %10s %10s   %s\n", "format", "item", "made,freed", "pooled", "ratio (min..max)");
    for (unsigned i = 0; i < count; i++)
        print_row(&rows[i]);
}

/* Who serves malloc: LD_PRELOAD only warns about a library that it can not load. */
static const char *malloc_file(void)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    return function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown";
}

static void print_json(const struct row *rows, unsigned count, const struct options *options)
{
    printf("{\"rounds\": %u, \"virtual_machine\": %s, \"opool\": \"%s\", \"malloc\": \"%s\", \"rows\": [\n",
           options->rounds, virtual_machine() ? "true" : "false", opool_version(), malloc_file());
    for (unsigned i = 0; i < count; i++) {
        print_json_row(&rows[i]);
        puts(i + 1 < count ? "," : "");
    }
    puts("]}");
}

/* ---- arguments and input */

static bool read_content(const char *path, unsigned char *content, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file) {
        *size = fread(content, 1, BYTES_MOST, file);
        bool failed = ferror(file);
        int error = errno;
        fclose(file);
        errno = error;
        if (!failed && *size >= BYTES_LEAST)
            return true;
        if (!failed) {
            fprintf(stderr, "decoders-bench: %s: shorter than 64 KiB\n", path);
            return false;
        }
    }
    fprintf(stderr, "decoders-bench: %s: %s\n", path, strerror(errno));
    return false;
}

static bool parse_rounds(const char *text, unsigned *rounds)
{
    char *end;
    long value = strtol(text, &end, 10);
    *rounds = (unsigned)value;
    return end != text && !*end && value >= 1 && value <= ROUNDS_MOST;
}

/* -1: go on; else the exit status. */
static int parse(struct options *options, int argc, char **argv)
{
    enum { QUICK = 256, ROUNDS, JSON, HELP };
    static const struct option known[] = {
        {"quick", no_argument, NULL, QUICK},
        {"rounds", required_argument, NULL, ROUNDS},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == QUICK) {
            options->rounds = 3;
            options->milliseconds = 2;
        } else if (option == JSON) {
            options->json = true;
        } else if (option == HELP) {
            printf("%sDecodes FILE (its first 4 MiB; default: this program) in pieces, with pooled contexts and with\n"
                   "contexts made and freed for each. --rounds: 1 to 1000, default 11. Exit status: 0 done, 1 failed,\n"
                   "2 wrong usage.\n",
                   usage);
            return fflush(stdout) == 0 ? 0 : 1;
        } else if (option != ROUNDS || !parse_rounds(optarg, &options->rounds)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (argc - optind > 1) {
        fputs(usage, stderr);
        return 2;
    }
    if (optind < argc)
        options->path = argv[optind];
    return -1;
}

static bool measure_all(struct row *rows, unsigned *count, const struct options *options)
{
    static unsigned char content[BYTES_MOST];
    size_t size;
    if (!read_content(options->path, content, &size))
        return false;
    for (*count = 0; formats[*count]; ++*count) {
        rows[*count].format = formats[*count];
        if (!measure_format(&rows[*count], content, size, options))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    enum { FORMATS_MOST = 8 };
    static struct row rows[FORMATS_MOST];
    struct options options = {.path = "/proc/self/exe", .rounds = 11, .milliseconds = 30};
    unsigned count;
    int status = parse(&options, argc, argv);
    if (status >= 0)
        return status;
    if (!measure_all(rows, &count, &options))
        return 1;
    (options.json ? print_json : print_table)(rows, count, &options);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "decoders-bench: standard output: %s\n", strerror(errno));
    return 1;
}
