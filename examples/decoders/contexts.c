/* SPDX-License-Identifier: MIT */
/*
 * What the pools of decoders promise, as a test: a context is built once, what it decodes does not depend on what it
 * decoded before, one that met damaged input is torn down, and contexts of fixed shape allocate nothing.
 * Under OPOOL_CHECKS=full also: reset leaves nothing to the next user that a check could find.
 */
#define _GNU_SOURCE /* mallinfo2 */
#define ZSTD_STATIC_LINKING_ONLY
#include "contexts.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd_errors.h>

#include "formats.h"
#include "inflate_context.h"
#include "zstd_contexts.h"

enum { CONTENT_BYTES = 400000, ROUNDS = 3 };

static unsigned passed, failed, skipped, lines;
static const char *about = ""; /* which format */

void claim(bool holds, const char *what)
{
    passed += holds;
    failed += !holds;
    if (!holds)
        printf("FAILED: %s%s%s\n", about, *about ? ": " : "", what);
}

void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    unsigned state = seed;
    for (size_t i = 0; i < size; i++) {
        state = state * 1103515245 + 12345;
        /* Words that come again, with noise between: there is something to match, at many distances. */
        bytes[i] =
            i > 500 && state >> 28 != 0 ? bytes[i - 1 - (i / 64 * 37 + seed) % 499] : (unsigned char)(state >> 16);
    }
}

static void count_line(const char *line, void *arg)
{
    (void)arg;
    lines++;
    printf("    said: %s\n", line);
}

static bool decode_all(const struct format *format, struct set *set)
{
    bool ok = true;
    memset(set->output, 0x55, set->size);
    for (size_t i = 0; i < set->count; i++)
        ok = format->pooled(&set->items[i], set->output + set->items[i].offset) && ok;
    return ok && memcmp(set->output, set->expected, set->size) == 0;
}

static struct opool_stats read_stats(const struct format *format)
{
    struct opool_stats stats = {0};
    claim(opool_stats_read(format->base(), &stats) == 0, "figures");
    return stats;
}

static void check_reuse(const struct format *format, struct set *set)
{
    bool right = true;
    for (unsigned round = 0; round < ROUNDS; round++)
        right = decode_all(format, set) && right;
    struct opool_stats stats = read_stats(format);
    claim(right, "a context used again decodes as a new one");
    claim(stats.gets == ROUNDS * set->count && stats.built == 1, "one context is built for all items");
    claim(stats.live == 0 && stats.discarded == 0, "all are back, none was discarded");
}

/* Ways to damage an item: each one is refused, or decodes to something (Opus has no checksum), and what comes after it
   is right. */
static void check_damage(const struct format *format, struct set *set)
{
    struct item item = set->items[0];
    unsigned char *output = malloc(item.size), *packed = malloc(item.packed_size);
    struct opool_stats before = read_stats(format);
    unsigned refused = 0;
    bool right = output && packed;
    item.packed = packed;
    for (unsigned i = 0; right && i < 40; i++) {
        size_t whole = set->items[0].packed_size;
        memcpy(packed, set->items[0].packed, whole);
        item.packed_size = i < 10 ? whole - 1 - i * whole / 12 : whole;
        if (i >= 10)
            packed[i * whole / 41] ^= (unsigned char)(1 + i * 5);
        refused += !format->pooled(&item, output);
        right =
            format->pooled(&set->items[1], set->output + set->items[1].offset) &&
            memcmp(set->output + set->items[1].offset, set->expected + set->items[1].offset, set->items[1].size) == 0;
    }
    struct opool_stats after = read_stats(format);
    free(packed);
    free(output);
    claim(right, "after damaged items the next one is right");
    claim(refused >= 10, "cut items are refused");
    claim(after.discarded - before.discarded == refused, "each refused item costs the context that met it");
    claim(after.built - before.built == refused, "and a new one is built in its place");
    claim(after.live == 0, "none is lost");
}

static size_t in_use(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks + mallinfo2().hblkhd;
#else
    return 0;
#endif
}

/* Objects of fixed shape hold nothing on the heap, however often they were used. */
static void check_heap(const struct format *format, struct set *set)
{
    size_t before = in_use();
    claim(format->open() == 0, "second pool");
    size_t open = in_use();
    decode_all(format, set);
    size_t after = in_use();
    format->close();
    claim(after == open, "a context allocates nothing from the heap");
    claim(in_use() == before, "nothing is left on the heap");
}

static void check_format(const struct format *format, const unsigned char *content, size_t size)
{
    struct set set = {0};
    about = format->name;
    claim(format->make(&set, content, size), "packing");
    claim(format->open() == 0, "pool");
    check_reuse(format, &set);
    check_damage(format, &set);
    format->close();
    if (strcmp(format->name, "zstd owned") != 0)
        check_heap(format, &set);
    set_free(&set);
    about = "";
}

/* ---- windows */

/* A frame that asks for a window of 1 << log, of unknown size. Freed by the caller. */
static unsigned char *make_window(int log, size_t *size)
{
    static unsigned char content[100000];
    size_t most = ZSTD_compressBound(sizeof content);
    unsigned char *packed = malloc(most);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_inBuffer in = {content, sizeof content, 0};
    ZSTD_outBuffer out = {packed, most, 0};
    fill(content, sizeof content, 3);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, log);
    size_t left = ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
    do
        left = ZSTD_isError(left) ? 0 : ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
    while (left != 0 && !ZSTD_isError(left));
    claim(left == 0 && in.pos == in.size, "packing with a window");
    ZSTD_freeCCtx(context);
    *size = out.pos;
    return packed;
}

/* What ZSTD_decompressStream says at the end: 0, or an error. */
static size_t decode_window(ZSTD_DCtx *context, int log)
{
    static unsigned char output[200000];
    size_t size;
    unsigned char *packed = make_window(log, &size);
    ZSTD_inBuffer in = {packed, size, 0};
    ZSTD_outBuffer out = {output, sizeof output, 0};
    size_t result = ZSTD_decompressStream(context, &out, &in);
    while (!ZSTD_isError(result) && result != 0 && in.pos < in.size)
        result = ZSTD_decompressStream(context, &out, &in);
    free(packed);
    return result;
}

static void check_windows(void)
{
    struct stream_pool *pool;
    about = "windows";
    claim(stream_pool_create(&pool, NULL) == 0, "pool");
    for (int round = 0; round < 2; round++) { /* the limit must outlive a reset */
        for (int log = ZSTD_WINDOWLOG_MIN; log <= WINDOW_LOG; log++) {
            struct stream *decoder = stream_pool_get(pool);
            claim(decoder && decode_window(stream_context(decoder), log) == 0, "a window that fits is decoded");
            stream_pool_put(pool, decoder);
        }
        struct stream *decoder = stream_pool_get(pool);
        claim(decoder && ZSTD_getErrorCode(decode_window(stream_context(decoder), WINDOW_LOG + 1)) ==
                             ZSTD_error_frameParameter_windowTooLarge,
              "a larger window is refused as one");
        if (round == 0)
            stream_pool_put(pool, decoder);
        else
            stream_pool_discard(pool, decoder);
    }
    stream_pool_destroy(&pool);
}

static void use_owned(struct owned_pool *pool, int log)
{
    struct owned *decoder = owned_pool_get(pool);
    if (!decoder) {
        claim(false, "owned decoder");
        return;
    }
    decoder->needed = ZSTD_estimateDStreamSize((size_t)1 << log);
    claim(decode_window(decoder->context, log) == 0, "an owning context takes windows of all sizes");
    owned_pool_put(pool, decoder);
}

/* What sanitizers note of a slot takes memory too. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INSTRUMENTED true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED true
#endif
#ifndef INSTRUMENTED
#define INSTRUMENTED false
#endif

static long resident_kib(void)
{
    long size, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &size, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A slot is as large as the largest window; the pages of a new one are taken when a window reaches them. The first is
   for what libzstd and the pool need once. */
static void check_pages(void)
{
    struct stream_pool *pool;
    about = "pages";
    if (INSTRUMENTED) {
        puts("skipped: untouched pages, under a sanitizer");
        skipped++;
        return;
    }
    claim(stream_pool_create(&pool, NULL) == 0, "pool");
    struct stream *first = stream_pool_get(pool);
    claim(first && decode_window(stream_context(first), 17) == 0, "a small window");
    long before = resident_kib();
    struct stream *second = stream_pool_get(pool);
    claim(second && decode_window(stream_context(second), 17) == 0, "another one");
    long grown = resident_kib() - before;
    claim(before > 0 && grown < (long)sizeof(struct stream) / 1024 / 3, "a small window leaves a large slot untouched");
    stream_pool_put(pool, first);
    stream_pool_put(pool, second);
    stream_pool_destroy(&pool);
}

/* The footprint that the pool is told is what libzstd holds: the large window is not kept, the small one is. */
static void check_footprint(void)
{
    struct owned_pool *pool;
    struct opool_stats stats = {0};
    about = "footprint";
    claim(owned_pool_create(&pool, &(struct opool_options){.footprint_max = 4 << 20}) == 0, "pool");
    use_owned(pool, 20);
    use_owned(pool, 20);
    claim(opool_stats_read(owned_pool_base(pool), &stats) == 0 && stats.bloated == 0 && stats.built == 1,
          "a context with a small window is kept");
    use_owned(pool, 25);
    claim(opool_stats_read(owned_pool_base(pool), &stats) == 0 && stats.bloated == 1, "one with a large window is not");
    use_owned(pool, 20);
    claim(opool_stats_read(owned_pool_base(pool), &stats) == 0 && stats.built == 2, "the next one is new, and small");
    owned_pool_destroy(&pool);
}

/* ---- the arena of zlib */

static void check_arena(void)
{
    struct inflater_pool *pool;
    struct inflater *full = calloc(1, sizeof *full);
    about = "arena";
    claim(inflater_pool_create(&pool, NULL) == 0, "pool");
    struct inflater *inflater = inflater_pool_get(pool);
    claim(inflater && inflater->used > 0 && inflater->used <= sizeof inflater->arena,
          "zlib took its state from the slot");
    unsigned char *state = inflater ? (unsigned char *)inflater->stream.state : NULL;
    claim(state >= inflater->arena && state < inflater->arena + sizeof inflater->arena, "its state lies in the slot");
    inflater_pool_put(pool, inflater);
    inflater_pool_destroy(&pool);
    if (full) {
        full->used = sizeof full->arena - 1024; /* a zlib that needs more than was measured */
        claim(inflater_init(full, NULL) == ENOMEM, "an arena that is too small is an error of init");
    }
    free(full);
}

/* The sizes were asked of the library that the build saw. */
static void check_sizes(void)
{
    about = "sizes";
    claim(zstd_contexts_fit(), "libzstd needs no more than the slots have");
    claim(sizeof(struct stream) <= OPOOL_SIZE_MAX, "a stream fits a slot");
}

int main(void)
{
    static unsigned char content[CONTENT_BYTES];
    opool_log_set(count_line, NULL);
    fill(content, sizeof content, 1);
    check_sizes();
    for (size_t i = 0; formats[i]; i++)
        check_format(formats[i], content, sizeof content);
    check_windows();
    check_pages();
    check_footprint();
    check_arena();
#ifdef OPUS_BYTES
    about = "opus";
    check_opus();
#else
    puts("skipped: built without libopus");
    skipped++;
#endif
    about = "";
    claim(lines == 0, "the library had nothing to say");
    printf("contexts: %u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed == 0 && fflush(stdout) == 0 ? 0 : 1;
}
