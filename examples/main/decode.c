/* SPDX-License-Identifier: MIT */
/*
 * Decodes real zstd frames and says what a frame costs.
 *
 *     decode about                                    versions, and what one CPUID instruction takes
 *     decode pack CONTENT FRAME-BYTES OUTPUT          compress a file into independent frames
 *     decode run METHOD MILLISECONDS CONTENT FRAME-BYTES FRAMES [FRAME-BYTES FRAMES ...]
 *
 * Output of run, a line each; every output is compared with CONTENT, outside the time taken:
 *
 *     source PATH-OF-THE-LIBRARY-THAT-SERVES-MALLOC
 *     decode METHOD FRAME-BYTES THREADS FRAMES NANOSECONDS WALL-NANOSECONDS [GETS BUILT]
 *
 * NANOSECONDS is the threads' processor time over the frames decoded, so one thread and two compare.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <opool.h>
#include <zstd.h>

#include "frames.h"
#include "methods.h"

enum { THREADS_MAX = 2 };

struct job {
    const struct method *method;
    const struct frames *frames;
    unsigned char *output;
    pthread_barrier_t *start;
    unsigned first, step; /* this thread's frames: first, first + step, ... */
    double processor, begin, end;
    const char *error;
    size_t error_frame;
};

struct cost {
    double processor, wall; /* nanoseconds */
};

static double nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static bool decode_one(struct job *job, size_t i)
{
    const struct frame *frame = &job->frames->list[i];
    size_t result = job->method->decode(frame, job->output + frame->content_offset);
    if (!ZSTD_isError(result) && result == frame->content_size)
        return true;
    job->error = ZSTD_isError(result) ? ZSTD_getErrorName(result) : "shorter than its header says";
    job->error_frame = i;
    return false;
}

static void *decode_share(void *argument)
{
    struct job *job = argument;
    pthread_barrier_wait(job->start);
    job->begin = nanoseconds(CLOCK_MONOTONIC);
    double processor = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = job->first; i < job->frames->count; i += job->step) {
        if (!decode_one(job, i))
            break;
    }
    job->processor = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - processor;
    job->end = nanoseconds(CLOCK_MONOTONIC);
    return NULL;
}

/* The calling thread takes the first share: with one thread none is started, as in a program without threads. */
static bool decode_shares(struct job jobs[], unsigned threads)
{
    pthread_t others[THREADS_MAX];
    pthread_barrier_t start;
    if (pthread_barrier_init(&start, NULL, threads) != 0)
        return false;
    for (unsigned t = 0; t < threads; t++)
        jobs[t].start = &start;
    for (unsigned t = 1; t < threads; t++) {
        if (pthread_create(&others[t], NULL, decode_share, &jobs[t]) != 0) {
            fputs("decode: no second thread\n", stderr);
            exit(1); /* the threads at the barrier would wait for ever */
        }
    }
    decode_share(&jobs[0]);
    for (unsigned t = 1; t < threads; t++)
        pthread_join(others[t], NULL);
    pthread_barrier_destroy(&start);
    return true;
}

static bool report_errors(const struct job jobs[], unsigned threads)
{
    for (unsigned t = 0; t < threads; t++) {
        if (!jobs[t].error)
            continue;
        fprintf(stderr, "decode: %s: frame %zu of %zu bytes: %s\n", jobs[t].method->name, jobs[t].error_frame,
                jobs[t].frames->frame_bytes, jobs[t].error);
        return false;
    }
    return true;
}

static bool compare(const struct frames *frames, const unsigned char *content, const unsigned char *output)
{
    if (memcmp(content, output, frames->content_size) == 0)
        return true;
    size_t at = 0;
    while (content[at] == output[at])
        at++;
    fprintf(stderr, "decode: frames of %zu bytes: byte %zu of the output differs from the original\n",
            frames->frame_bytes, at);
    return false;
}

/* All frames once. The output is overwritten before, so that what an earlier pass left can not pass for this one's. */
static bool decode_pass(const struct method *method, const struct frames *frames, unsigned threads,
                        const unsigned char *content, unsigned char *output, struct cost *cost)
{
    struct job jobs[THREADS_MAX];
    for (unsigned t = 0; t < threads; t++)
        jobs[t] = (struct job){.method = method, .frames = frames, .output = output, .first = t, .step = threads};
    memset(output, 0x55, frames->content_size);
    if (!decode_shares(jobs, threads) || !report_errors(jobs, threads) || !compare(frames, content, output))
        return false;
    double begin = jobs[0].begin, end = jobs[0].end;
    for (unsigned t = 0; t < threads; t++) {
        cost->processor += jobs[t].processor;
        begin = jobs[t].begin < begin ? jobs[t].begin : begin;
        end = jobs[t].end > end ? jobs[t].end : end;
    }
    cost->wall += end - begin;
    return true;
}

static bool decode_for(const struct method *method, const struct frames *frames, unsigned threads, double budget,
                       const unsigned char *content, unsigned char *output)
{
    struct cost cost = {0, 0};
    if (!decode_pass(method, frames, threads, content, output, &cost)) /* warms up */
        return false;
    cost = (struct cost){0, 0};
    double decoded = 0;
    do {
        if (!decode_pass(method, frames, threads, content, output, &cost))
            return false;
        decoded += (double)frames->count;
    } while (cost.wall < budget);
    printf("decode %s %zu %u %zu %.1f %.1f", method->name, frames->frame_bytes, threads, frames->count,
           cost.processor / decoded, cost.wall / decoded);
    if (method->use) {
        uint64_t gets = 0, built = 0;
        method->use(&gets, &built);
        printf(" %llu %llu", (unsigned long long)gets, (unsigned long long)built);
    }
    putchar('\n');
    return true;
}

/* A pool of its own for each row, so that the figures of its use are that row's. */
static bool decode_row(const struct method *method, const struct frames *frames, unsigned threads, double budget,
                       const unsigned char *content, unsigned char *output)
{
    if (!method->open())
        return false;
    bool ok = decode_for(method, frames, threads, budget, content, output);
    method->close();
    return ok;
}

static bool parse_frame_bytes(const char *text, size_t *bytes)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *bytes = value;
    if (*end == '\0' && value >= 1 && value <= 1ul << 30)
        return true;
    fputs("decode: FRAME-BYTES is 1 to 1073741824\n", stderr);
    return false;
}

/* `file` points to two arguments: FRAME-BYTES FRAMES. */
static bool decode_file(const struct method *method, char **file, double budget, const unsigned char *content,
                        size_t size, unsigned char *output)
{
    struct frames frames;
    size_t frame_bytes;
    if (!parse_frame_bytes(file[0], &frame_bytes) || !frames_load(&frames, file[1], frame_bytes, size))
        return false;
    bool ok = true;
    for (unsigned threads = 1; ok && threads <= THREADS_MAX; threads++)
        ok = decode_row(method, &frames, threads, budget, content, output);
    frames_free(&frames);
    return ok;
}

/* LD_PRELOAD only warns about a library that it can not load: the driver checks this line. */
static void print_source(void)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    printf("source %s\n", function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown");
}

static bool check_slot(void)
{
    if (method_needed_bytes() <= method_slot_bytes())
        return true;
    fprintf(stderr, "decode: built with slots of %zu bytes, but this libzstd (%s) needs %zu: build again\n",
            method_slot_bytes(), ZSTD_versionString(), method_needed_bytes());
    return false;
}

static int run(const char *method_name, const char *milliseconds, const char *content_path, char **files)
{
    const struct method *method = method_find(method_name);
    double budget = strtod(milliseconds, NULL) * 1e6;
    unsigned char *content = NULL;
    size_t size = 0;
    if (!method || !(budget >= 0 && budget < 1e11)) {
        fputs("decode: METHOD is create, initialise or keep; MILLISECONDS is 0 to 100000\n", stderr);
        return 2;
    }
    if (!check_slot() || !file_read(content_path, &content, &size))
        return 1;
    unsigned char *output = malloc(size);
    bool ok = output != NULL;
    if (!ok)
        fputs("decode: out of memory\n", stderr);
    print_source();
    for (char **file = files; ok && *file; file += 2)
        ok = decode_file(method, file, budget, content, size, output);
    free(output);
    free(content);
    return fflush(stdout) == 0 && ok ? 0 : 1;
}

static int pack(const char *content_path, const char *bytes, const char *path)
{
    size_t frame_bytes;
    if (!parse_frame_bytes(bytes, &frame_bytes))
        return 2;
    return frames_pack(content_path, path, frame_bytes) ? 0 : 1;
}

#if defined(__x86_64__) || defined(__i386__)
static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
#endif

/* Median of a few. On a virtual machine CPUID always traps to the hypervisor, and libzstd asks it for each context that
   it initialises: without this figure nobody could tell where that time goes. */
static double cpuid_nanoseconds(void)
{
#if defined(__x86_64__) || defined(__i386__)
    double each[21];
    volatile unsigned leaf = 0; /* volatile, and the results used: else it is done once, or not at all */
    for (size_t i = 0; i < 21; i++) {
        unsigned a, b, c, d;
        double start = nanoseconds(CLOCK_MONOTONIC);
        for (int k = 0; k < 10; k++) {
            __cpuid(leaf, a, b, c, d);
            __asm__ __volatile__("" : : "r"(a), "r"(b), "r"(c), "r"(d));
        }
        each[i] = (nanoseconds(CLOCK_MONOTONIC) - start) / 10;
    }
    qsort(each, 21, sizeof each[0], by_value);
    return each[10];
#else
    return 0;
#endif
}

static int about(void)
{
    printf("opool %s\n", opool_version());
#ifdef __clang__
    printf("compiler %s\n", __VERSION__);
#else
    printf("compiler gcc %s\n", __VERSION__);
#endif
    printf("libzstd %s\n", ZSTD_versionString());
    printf("slot-bytes %zu\n", method_slot_bytes());
    printf("needed-bytes %zu\n", method_needed_bytes());
    printf("cpuid-nanoseconds %.0f\n", cpuid_nanoseconds());
    return check_slot() && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "about") == 0)
        return about();
    if (argc == 5 && strcmp(argv[1], "pack") == 0)
        return pack(argv[2], argv[3], argv[4]);
    if (argc >= 7 && argc % 2 == 1 && strcmp(argv[1], "run") == 0)
        return run(argv[2], argv[3], argv[4], argv + 5);
    fputs("usage: decode about | pack CONTENT FRAME-BYTES OUTPUT | run METHOD MILLISECONDS CONTENT "
          "FRAME-BYTES FRAMES [FRAME-BYTES FRAMES ...]\n",
          stderr);
    return 2;
}
