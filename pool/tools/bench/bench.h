/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_H
#define OPOOL_TOOLS_BENCH_H

/* What the files of `opool bench` share: what is to be measured, and what came out. */

#include <stdbool.h>
#include <stddef.h>

enum pattern { PATTERN_PAIR, PATTERN_BATCH, PATTERN_REPLACE, PATTERN_HANDOFF, PATTERN_BURST, PATTERNS };

/* How a child of the command comes by objects. */
enum kind {
    KIND_INLINED, /* a pool, by the code that OPOOL_DEFINE inlines */
    KIND_CALLS,   /* a pool, by the exported calls */
    KIND_MALLOC,
    KIND_ALIGNED, /* aligned_alloc, for what malloc does not align */
    KINDS
};

enum {
    ROUNDS_MOST = 1000,
    ROUNDS_FEWEST = 6, /* of 5 the whole range holds the truth in 94 % */
    THREADS_MOST = 1024,
    MILLISECONDS_MOST = 10000,
    BURST_SILENCE_MS = 250, /* between two bursts: two epochs and a little more */
    BURST_PERIOD_MS = 50,
    TEXT_MOST = 1024
};

struct load {
    size_t size, align;
    unsigned threads;
    size_t live; /* objects that a thread holds at once; 0: the pattern's own number */
    enum pattern pattern;
    unsigned milliseconds; /* of work that a thread does for one figure */
};

struct options {
    struct load load;
    bool all; /* patterns */
    unsigned rounds;
    const char *json;
    const char *measure; /* in a child: of what */
    bool help;
};

/* What one child measured. */
struct figure {
    double ns;            /* of processor time for a get and its put */
    size_t peak, after;   /* bursts: resident KiB with all objects out, and after the silence */
    bool good;            /* else `text` says why not */
    char text[TEXT_MOST]; /* the file that serves malloc; opool's version */
};

/* One row of a pattern: all rounds of one configuration. */
struct row {
    const char *name, *source;
    double ns[ROUNDS_MOST], peak[ROUNDS_MOST], after[ROUNDS_MOST];
    unsigned rounds;
    const char *failed; /* NULL: it did not */
};

#endif
