/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_AREA_H
#define OPOOL_TOOLS_TRY_AREA_H

/*
 * The memory that `opool try` shares with the processes of its command: what they shall serve from pools, and an area
 * a process in which they count, so that nothing is lost however they end. A child of a fork takes an area of its own.
 *
 * A row of an area is written by one thread at a time; row 0 by all that found no other one, with atomic operations.
 * A thread that ends leaves its row to the next one, figures and all: only their sum means something.
 *
 * The file is sparse: what is not used costs nothing. Whoever reads it must take it for anything: each process of the
 * command may have written to it.
 */
#include <stddef.h>
#include <stdint.h>

#define OPOOL__TRY_MAGIC UINT64_C(0x32797274706f6f6c) /* counted up with each change of what is below */

/* Environment: the file. */
#define OPOOL__TRY_FILE "OPOOL_TRY_FILE"

/* Kinds: the sizes in the order of the configuration, then contexts. */
enum {
    OPOOL__TRY_SIZES = 64,
    OPOOL__TRY_DECODERS = OPOOL__TRY_SIZES,
    OPOOL__TRY_ENCODERS,
    OPOOL__TRY_KINDS,
    OPOOL__TRY_ROWS = 64,
    OPOOL__TRY_AREAS = 512,
    OPOOL__TRY_PATH = 512
};

/* Requests of `from` to `size` bytes, at this alignment at most. */
struct opool__try_size {
    uint64_t from, size, align;
    uint64_t capacity; /* 0: chosen */
    uint64_t prefill;
};

struct opool__try_config {
    uint32_t sizes;
    uint32_t epoch_ms;
    uint32_t contexts;  /* of zstd: 1 */
    uint32_t by_thread; /* 1: ticks come from a thread */
    struct opool__try_size size[OPOOL__TRY_SIZES];
};

/* What one row knows of one kind. Reused are those of `gets` that were not `built`. */
struct opool__try_count {
    uint64_t gets, puts, built, torn;
    uint64_t fell; /* gets that the pool refused: the program's allocator served them */
};

struct opool__try_row {
    uint32_t owner;  /* 1: a thread writes here */
    uint32_t shared; /* 1: row 0 */
    uint64_t others; /* allocations that are no business of any pool */
    struct opool__try_count of[OPOOL__TRY_KINDS];
} __attribute__((aligned(64)));

/* Objects there are, in use or idle, and the most there ever were. */
struct opool__try_held {
    uint64_t objects, most;
    uint64_t prefilled; /* built before the program began */
    uint64_t refused;   /* the errno value that creating the pool ended with */
};

enum opool__try_state {
    OPOOL__TRY_SERVES = 1,
    OPOOL__TRY_OWN_MALLOC, /* the program brings a malloc of its own: nothing is served */
    OPOOL__TRY_SANITIZED   /* its allocator is a sanitizer's, which shall see all blocks: nothing is served */
};

struct opool__try_area {
    uint32_t ready; /* an opool__try_state: the rest is valid */
    uint32_t rows;  /* rows below this one were used */
    uint32_t pid;
    uint32_t no_zstd;   /* contexts were asked for, and no libzstd was met */
    uint32_t no_thread; /* the errno value that starting the one that ticks ended with */
    char program[OPOOL__TRY_PATH];
    struct opool__try_held held[OPOOL__TRY_KINDS];
    struct opool__try_row row[OPOOL__TRY_ROWS];
};

/* The start of the file. */
struct opool__try_file {
    uint64_t magic;
    uint32_t taken; /* areas; more than there are: so many processes found none */
    struct opool__try_config config;
};

enum { OPOOL__TRY_AREA_FIRST = 8192, OPOOL__TRY_AREA_BYTES = 192 << 10 };

_Static_assert(sizeof(struct opool__try_file) <= OPOOL__TRY_AREA_FIRST, "areas begin behind the configuration");
_Static_assert(sizeof(struct opool__try_area) <= OPOOL__TRY_AREA_BYTES, "an area holds what a process counts");
/* Tool and library may be of two versions. */
_Static_assert(sizeof(struct opool__try_file) == 2592 && sizeof(struct opool__try_area) == 174720,
               "another size is another OPOOL__TRY_MAGIC");

static inline uint64_t opool__try_file_bytes(void)
{
    return OPOOL__TRY_AREA_FIRST + (uint64_t)OPOOL__TRY_AREAS * OPOOL__TRY_AREA_BYTES;
}

/* `areas`: the file from OPOOL__TRY_AREA_FIRST on. */
static inline struct opool__try_area *opool__try_area_at(void *areas, uint32_t number)
{
    return (struct opool__try_area *)(void *)((char *)areas + (uint64_t)number * OPOOL__TRY_AREA_BYTES);
}

#endif
