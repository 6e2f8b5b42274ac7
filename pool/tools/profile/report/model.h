/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_MODEL_H
#define OPOOL_TOOLS_PROFILE_REPORT_MODEL_H

#include "gain.h"
#include "partition.h"
#include "read.h"

/*
 * What profiles say, added up: records of threads, processes and files are the figures of a *stack* (where the calls
 * came from, all frames), and stacks that meet where an allocation is asked for are a *site* (sites.c). model.c fills
 * in all but names, which symbols.c does, and verdicts (verdict.c).
 */

/* A file that code came from. */
struct binary {
    const char *path; /* "": code that was mapped from none */
    const char *name; /* without the folder */
    unsigned char id[OPOOL__PROFILE_ID];
    size_t id_bytes;
    uint64_t start, end, file_offset; /* where the first image had it */
    bool is_program;
    const char *trouble; /* why its symbols are not used; NULL: they are, or were not asked for */
    void *symbols;       /* of symbols.c */
};

/* A function that a frame is in: more than one where calls were inlined, innermost first. */
struct line {
    const char *function; /* NULL: unknown */
    const char *file;     /* NULL: unknown */
    int line;
    uint64_t into; /* bytes into the function, where there is no line */
};

/* A place that calls came from. */
struct frame {
    struct binary *binary; /* NULL: no file's code */
    uint64_t offset;       /* of the call in its file; its address without one */
    uint64_t address;      /* in the process it was seen in first */
    struct line *lines;
    size_t line_count; /* 0: no names */
    size_t number;     /* from 1, in the order in which they were seen */
};

/* Sums, scaled to all allocations where they were sampled. */
struct figures {
    uint64_t allocations, bytes, frees, foreign_frees;
    uint64_t live, live_bytes;           /* at the end */
    uint64_t live_peak, live_peak_bytes; /* sum of the threads' peaks: at most so many at once */
    uint64_t thread_peak;                /* of a site: the greatest of one thread's, as such a sum */
    uint64_t threads;                    /* of a site: that allocated or freed */
    uint64_t least, most, alignment;
    uint64_t grown, grown_bytes, moved_bytes;
    uint64_t faults; /* in the calls, scaled to all of them */
    uint64_t breaks, maps, fresh_bytes;
    uint64_t timed, timed_ns; /* not scaled */
    uint64_t burst;
    uint64_t size_classes[OPOOL__PROFILE_SIZE_CLASSES];
    uint64_t lifetimes[OPOOL__PROFILE_LIFETIMES];
    struct size_count *sizes; /* rising; those that were counted one by one */
    size_t size_count;
    uint64_t other_sizes; /* allocations of none of those */
};

/* The most that one thread of one process had in use. */
struct thread_peak {
    uint64_t thread; /* different ones for different processes */
    uint64_t blocks;
};

struct stack {
    char function; /* 'm'alloc, 'c'alloc, 'r'ealloc, 'a'ligned */
    size_t depth;
    struct frame *frames[OPOOL__PROFILE_FRAMES];
    struct figures figures;
    struct thread_peak *peaks; /* one a record */
    size_t peak_count;
    struct site *site;
};

enum kind { KIND_POOL, KIND_UNIFY, KIND_CONTEXT, KIND_BATCH, KIND_KEEP, KIND_NO };

struct judgement {
    enum kind kind;
    const char *why; /* a clause */
    uint64_t size;   /* to use; 0: none */
    struct partition classes;
    struct gain gain;
    bool for_memory;          /* what it had freed stayed resident */
    bool is_noise;            /* the gain ends below what can be measured */
    const struct context *of; /* KIND_CONTEXT */
};

/* What is known of the type of the objects. */
struct type_guess {
    const char *name;   /* "struct conn"; NULL: nothing */
    const char *others; /* further types of that size, where there is no telling; NULL: none */
    enum { SURE_NOT, SURE_SIZE, SURE_FUNCTION, SURE_LINE } sure;
    const char *file; /* where it is declared */
    int line;
    bool is_judged, is_fixed;
    const char *obstacle;   /* the first member in the way */
    const char *definition; /* to paste; NULL: none */
};

struct site {
    const char *name;      /* function of `at`, or its place */
    struct frame *at;      /* NULL: a site without frames */
    size_t level;          /* of `at` in its stacks, of the line in it */
    struct stack **stacks; /* most allocations first */
    size_t stack_count;
    struct figures figures;
    struct type_guess type;
    struct judgement verdict;
};

/* Creations of a library's objects: allocations under one call into it. */
struct context {
    const char *create, *free, *reset; /* free, reset: NULL: unknown */
    const char *configuration;         /* for `opool try`; NULL: none */
    const char *library;
    uint64_t creations, bytes;    /* bytes: of one */
    unsigned allocations, cpuids; /* of one */
    struct gain gain;
};

/* Of the process that had most of it: bytes that are resident but not in use, at the end. */
struct retained {
    uint64_t peak, live, resident; /* peak, live: of blocks that were recorded */
    bool is_much;                  /* more than half of what was freed */
};

struct model {
    struct memory *memory;
    const struct images *images;
    struct binary **binaries;
    struct frame **frames;
    struct stack **stacks;
    struct site **sites; /* in the order of the report */
    size_t binary_count, frame_count, stack_count, site_count;
    double seconds;     /* recorded, all processes one after the other */
    uint64_t cpu_ns;    /* of all processes; 0: unknown */
    double recorder_ns; /* of that, about what recording took */
    uint64_t allocations, frees, lost, dropped;
    uint64_t faults, threads; /* of all processes */
    uint64_t page_bytes;
    bool is_sampled, is_counts;
    struct retained retained;
    const char *allocator; /* that is not the C library's; NULL: it is */
};

/** How many events one that was seen stands for. */
uint64_t opool__profile_scale(const struct opool__profile_header *header);

/** Blocks or bytes in use at a point of the timeline, scaled; of a sum over threads that was torn, 0. */
uint64_t opool__profile_in_use(const struct opool__profile_header *header, uint64_t seen);

/** Adds everything up. Names are not known yet. */
void opool__profile_model(struct model *model, const struct images *images);

/** Adds the figures of `from`. */
void opool__profile_add(struct memory *memory, struct figures *to, const struct figures *from);

/** Lifetime below which a share of the freed lay, in ns, as the middle of its class; 0: nothing was freed. */
uint64_t opool__profile_lifetime(const struct figures *figures, double share);

/** Nanoseconds that the freed lived, all together. */
double opool__profile_lived(const struct figures *figures);

/** The size that most allocations asked for; its count. */
struct size_count opool__profile_main_size(const struct figures *figures);

/** All sizes: those counted one by one, and for the rest the upper end of their class. Rising. */
size_t opool__profile_all_sizes(struct memory *memory, const struct figures *figures, struct size_count **to);

/** Processor time of the program: without recording, and with it. */
static inline struct cost opool__profile_cpu(const struct model *model)
{
    double all = (double)model->cpu_ns;
    return (struct cost){model->recorder_ns < all * 3 / 4 ? all - model->recorder_ns : all / 4, all};
}

static inline uint64_t opool__profile_sum(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t opool__profile_product(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

#endif
