/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_UNPACK_H
#define DECODERS_UNPACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct one_shot_pool;
struct stream_pool;
struct owned_pool;
struct inflater_pool;
struct buffers_pool;

/* Where contexts and buffers come from: pools, or, when `pooled` is false, malloc, a new one for each use. */
struct memory {
    bool pooled;
    struct one_shot_pool *one_shot;
    struct stream_pool *stream;
    struct owned_pool *owned;
    struct inflater_pool *inflater;
    struct buffers_pool *buffers;
};

/* What a file needs beside its decoder. A zstd block is at most 128 KiB, so small frames are whole in `in`. */
struct buffers {
    unsigned char in[256 << 10];
    unsigned char out[256 << 10];
};

/* One file on its way: unread input is in[at, end). `error` is empty until something went wrong. */
struct flow {
    int from, to;
    struct buffers *buffers;
    size_t at, end;
    bool at_end; /* there is no more input than what is in the buffer */
    uint64_t read, written;
    char error[200], warning[100];
};

/* Of the whole run; read by whoever shows progress. */
struct totals {
    atomic_ullong read, written;      /* bytes */
    atomic_uint done, failed, warned; /* files */
    atomic_int stop;                  /* the signal that wants an end, or 0 */
};
extern struct totals totals;

/* All false results: flow->error says why (nothing of it is for the standard library's errno). */

/* Moves what is left to the front and reads until the buffer is full or the file ends. */
bool flow_fill(struct flow *flow);
bool flow_write(struct flow *flow, const unsigned char *bytes, size_t size);
static inline size_t flow_left(const struct flow *flow)
{
    return flow->end - flow->at;
}
/* Always false, so that it can be the result. */
bool flow_fail(struct flow *flow, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));

/* 0, or a negative errno value; memory_close after either. threads: most objects of a pool that are out at once. */
int memory_open_zstd(struct memory *memory, unsigned threads);
void memory_close_zstd(struct memory *memory);
int memory_open_gzip(struct memory *memory, unsigned threads);
void memory_close_gzip(struct memory *memory);

/* Decode all of the flow. Frames, or members, one after the other; the context of one that failed is discarded. */
bool unpack_zstd(const struct memory *memory, struct flow *flow);
bool unpack_gzip(const struct memory *memory, struct flow *flow);

/* Pool figures, a line each: "NAME gets N built N discarded N". */
void memory_print_zstd(const struct memory *memory, FILE *out);
void memory_print_gzip(const struct memory *memory, FILE *out);
struct opool;
void pool_print(struct opool *pool, FILE *out);

/* What one file is to become. */
struct work {
    const char *path;   /* of the input */
    const char *folder; /* for the output; NULL: beside the input */
    bool force;         /* may replace what is there */
};

enum outcome { UNPACKED, WARNED, FAILED };

/* The whole of one file: opened, decoded into a temporary name, renamed. `say` holds the line to show, or is empty. */
enum outcome unpack_file(const struct memory *memory, const struct work *work, char *say, size_t size);

int memory_open(struct memory *memory, unsigned threads);
void memory_close(struct memory *memory);

#endif
