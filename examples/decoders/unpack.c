/* SPDX-License-Identifier: MIT */
/*
 * Unpacks many .zst and .gz files at once: threads take one file after the other, decoders come from pools.
 * `unpack --help` says how it is used.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "unpack.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_WARNED };
enum { THREADS_MOST = 256, LINE = 4096 + 300 };

struct totals totals;

struct run {
    char **paths;
    unsigned count;
    struct memory memory;
    struct work work; /* path aside, the same for all */
    bool progress, terminal;
    unsigned threads;
    unsigned long long bytes; /* of all inputs */
    atomic_uint next;
    struct timespec begin;
    /* Standard error, and whether a line of progress stands on it; `ended` tells who shows progress that a file is
       done. */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool shown;
};

static const char usage[] =
    "usage: unpack [-j N] [-o DIR] [-f] [--progress] [--stats] [--memory=pool|malloc] FILE...\n";

static const char help[] =
    "Unpacks .zst, .tzst, .gz and .tgz files, N at a time, each to its name without the suffix (.tar for the last two\n"
    "kinds). Inputs stay. An output appears under its name when it is complete, never before.\n"
    "\n"
    "  -j N               files at a time, 1 to 256; default: one for each processor\n"
    "  -o DIR             write into this folder; default: beside each input\n"
    "  -f, --force        replace outputs that exist; default: such a file is an error, the others go on\n"
    "      --progress     show progress also where standard error is no terminal, a line a second\n"
    "      --quiet        show no progress\n"
    "      --stats        at the end, on standard output, what each pool did\n"
    "      --memory=KIND  decoders from pools (the default), or from malloc: a new one for each frame or file\n"
    "\n"
    "Exit status: 0 all unpacked; 1 a file was not, a line on standard error says which and why; 2 wrong usage, or it\n"
    "could not start; 3 all unpacked, and one had garbage behind its end (.gz), which was ignored.\n";

/* ---- progress */

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

static void show_progress(struct run *run)
{
    double seconds = seconds_since(&run->begin), mib = (double)atomic_load(&totals.written) / 1048576;
    double percent = run->bytes ? 100.0 * (double)atomic_load(&totals.read) / (double)run->bytes : 100;
    fprintf(stderr, "%s%u of %u files, %.0f %%, %.1f MiB, %.0f MiB/s%s", run->terminal ? "\r" : "",
            atomic_load(&totals.done), run->count, percent < 100 ? percent : 100, mib, seconds > 0 ? mib / seconds : 0,
            run->terminal ? "\x1b[K" : "\n");
    fflush(stderr);
    run->shown = run->terminal;
}

/* Locked. The next line of progress is drawn anew below. */
static void clear_progress(struct run *run)
{
    if (run->shown)
        fputs("\r\x1b[K", stderr);
    run->shown = false;
}

static struct timespec in_milliseconds(long milliseconds)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += milliseconds * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Files that end between two lines do not make more lines. The last line tells of the end, also of a run that was over
   before anybody looked. */
static void follow_progress(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    do {
        struct timespec until = in_milliseconds(run->terminal ? 100 : 1000);
        while (atomic_load(&totals.done) < run->count && pthread_cond_timedwait(&run->ended, &run->lock, &until) == 0)
            ;
        show_progress(run);
    } while (atomic_load(&totals.done) < run->count && !atomic_load(&totals.stop));
    if (run->terminal && run->shown)
        fputc('\n', stderr);
    run->shown = false;
    pthread_mutex_unlock(&run->lock);
}

/* ---- work */

static void count_outcome(struct run *run, enum outcome outcome, const char *line)
{
    pthread_mutex_lock(&run->lock);
    if (outcome == FAILED)
        atomic_fetch_add(&totals.failed, 1);
    if (outcome == WARNED)
        atomic_fetch_add(&totals.warned, 1);
    atomic_fetch_add(&totals.done, 1);
    if (line[0] && !atomic_load(&totals.stop)) {
        clear_progress(run);
        fprintf(stderr, "unpack: %s\n", line);
    }
    pthread_cond_signal(&run->ended);
    pthread_mutex_unlock(&run->lock);
}

static void *work(void *argument)
{
    struct run *run = argument;
    char line[LINE];
    unsigned i;
    while ((i = atomic_fetch_add(&run->next, 1)) < run->count && !atomic_load(&totals.stop)) {
        struct work one = run->work;
        one.path = run->paths[i];
        count_outcome(run, unpack_file(&run->memory, &one, line, sizeof line), line);
    }
    return NULL;
}

/* Threads that can not be had are done without, as long as there is one. */
static bool work_all(struct run *run)
{
    pthread_t threads[THREADS_MOST];
    unsigned started = 0;
    int error = 0;
    while (started < run->threads && !error) {
        error = pthread_create(&threads[started], NULL, work, run);
        started += !error;
    }
    if (started == 0) {
        fprintf(stderr, "unpack: no thread: %s\n", strerror(error));
        return false;
    }
    if (run->progress)
        follow_progress(run);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return true;
}

static void on_signal(int number)
{
    atomic_store(&totals.stop, number);
}

/* Ends the run after what is half done was removed, unless who started us wants it ignored, as nohup does. */
static void end_by(int number)
{
    struct sigaction old, action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

/* A closed pipe and a file size limit are errors of writing here. */
static void set_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    end_by(SIGINT);
    end_by(SIGTERM);
    end_by(SIGHUP);
}

static bool print_stats(const struct run *run, bool stats)
{
    if (stats && run->memory.pooled) {
        memory_print_zstd(&run->memory, stdout);
        memory_print_gzip(&run->memory, stdout);
    }
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    fprintf(stderr, "unpack: standard output: %s\n", strerror(errno));
    return false;
}

static int run_all(struct run *run, bool stats)
{
    int error = memory_open(&run->memory, run->threads);
    if (error == -ENOTSUP)
        fputs("unpack: built with slots for another libzstd than this one: build again\n", stderr);
    else if (error)
        fprintf(stderr, "unpack: no pools: %s\n", strerror(-error));
    if (error) {
        memory_close(&run->memory);
        return EXIT_USAGE;
    }
    clock_gettime(CLOCK_MONOTONIC, &run->begin);
    int status = EXIT_DONE;
    if (!work_all(run))
        status = EXIT_USAGE;
    else if (!print_stats(run, stats) || atomic_load(&totals.failed))
        status = EXIT_FAILED;
    else if (atomic_load(&totals.warned))
        status = EXIT_WARNED;
    memory_close(&run->memory);
    return status;
}

/* ---- arguments */

static unsigned processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > THREADS_MOST ? THREADS_MOST : (unsigned)count;
}

static bool parse_threads(const char *text, unsigned *threads)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *threads = (unsigned)value;
    return !errno && end != text && !*end && value >= 1 && value <= THREADS_MOST;
}

static bool parse_memory(const char *text, bool *pooled)
{
    *pooled = strcmp(text, "pool") == 0;
    return *pooled || strcmp(text, "malloc") == 0;
}

static int refuse(const char *what, const char *why)
{
    fprintf(stderr, "unpack: %s%s\n%s", what, why, usage);
    return EXIT_USAGE;
}

static unsigned long long size_of_all(char **paths, unsigned count)
{
    unsigned long long bytes = 0;
    struct stat about;
    for (unsigned i = 0; i < count; i++) {
        if (stat(paths[i], &about) == 0 && S_ISREG(about.st_mode))
            bytes += (unsigned long long)about.st_size;
    }
    return bytes;
}

/* -1: go on; else the exit status. */
static int parse(struct run *run, int argc, char **argv, bool *stats)
{
    enum { PROGRESS = 256, QUIET, STATS, MEMORY, HELP };
    static const struct option options[] = {
        {"progress", no_argument, NULL, PROGRESS},
        {"quiet", no_argument, NULL, QUIET},
        {"stats", no_argument, NULL, STATS},
        {"memory", required_argument, NULL, MEMORY},
        {"force", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    struct stat about;
    int option;
    while ((option = getopt_long(argc, argv, "j:o:f", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            if (!parse_threads(optarg, &run->threads))
                return refuse("-j wants a number from 1 to 256, not ", optarg);
            break;
        case 'o':
            if (stat(optarg, &about) != 0 || !S_ISDIR(about.st_mode))
                return refuse("no such folder: ", optarg);
            run->work.folder = optarg;
            break;
        case 'f':
            run->work.force = true;
            break;
        case PROGRESS:
            run->progress = true;
            break;
        case QUIET:
            run->progress = false;
            break;
        case STATS:
            *stats = true;
            break;
        case MEMORY:
            if (!parse_memory(optarg, &run->memory.pooled))
                return refuse("--memory is pool or malloc, not ", optarg);
            break;
        case HELP:
            printf("%s%s", usage, help);
            return print_stats(run, false) ? EXIT_DONE : EXIT_FAILED;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return refuse("no files", "");
    run->paths = argv + optind;
    run->count = (unsigned)(argc - optind);
    return -1;
}

int main(int argc, char **argv)
{
    static struct run run = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};
    bool stats = false;
    run.memory.pooled = true;
    run.terminal = run.progress = isatty(STDERR_FILENO);
    run.threads = processors();
    set_signals();
    int status = parse(&run, argc, argv, &stats);
    if (status >= 0)
        return status;
    if (run.threads > run.count)
        run.threads = run.count;
    run.bytes = size_of_all(run.paths, run.count);
    status = run_all(&run, stats);
    int number = atomic_load(&totals.stop);
    if (number) {
        signal(number, SIG_DFL);
        fputs("unpack: interrupted\n", stderr);
        raise(number);
    }
    return status;
}
