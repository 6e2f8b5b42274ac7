/* SPDX-License-Identifier: MIT */

/*
 * Contexts of libzstd in pools: a ZSTD_DCtx owns the same bytes at each put, a ZSTD_DStream a window that follows the
 * frames; a decoder whose workspace lies in the object owns nothing. Frames are small, but for a few.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <opool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { FRAMES = 60, LARGE_EACH = 20, SMALL = 4000, LARGE = 1 << 20, WORKSPACE = 192 << 10 };

struct context {
    uint32_t frames;
    ZSTD_DCtx *decoder;
};

struct stream {
    uint32_t frames;
    ZSTD_DStream *decoder;
};

struct fixed {
    _Alignas(16) unsigned char workspace[WORKSPACE];
};

static struct opool_footprint context_footprint(const struct context *context, void *arg)
{
    (void)arg;
    size_t size = ZSTD_sizeof_DCtx(context->decoder);
    return (struct opool_footprint){size, size};
}

static int context_init(struct context *context, void *arg)
{
    (void)arg;
    context->decoder = ZSTD_createDCtx();
    return context->decoder ? 0 : -1;
}

static void context_fini(struct context *context, void *arg)
{
    (void)arg;
    ZSTD_freeDCtx(context->decoder);
}

static struct opool_footprint stream_footprint(const struct stream *stream, void *arg)
{
    (void)arg;
    (void)stream;
    return (struct opool_footprint){1, 1}; /* a lie, which the audit finds out */
}

static int stream_init(struct stream *stream, void *arg)
{
    (void)arg;
    stream->decoder = ZSTD_createDStream();
    return stream->decoder ? 0 : -1;
}

static void stream_fini(struct stream *stream, void *arg)
{
    (void)arg;
    ZSTD_freeDStream(stream->decoder);
}

OPOOL_DEFINE_OWNING(context_pool, struct context, context_footprint, "libzstd allocates the decoder",
                    .init = context_init, .fini = context_fini);
OPOOL_DEFINE_OWNING(stream_pool, struct stream, stream_footprint, "libzstd allocates the decoder", .init = stream_init,
                    .fini = stream_fini);
OPOOL_DEFINE(fixed_pool, struct fixed);

static char source[LARGE], frame[2 * LARGE], plain[LARGE];

static void must(bool good)
{
    if (!good)
        exit(3);
}

static size_t compress(size_t size, int level)
{
    size_t n = ZSTD_compress(frame, sizeof frame, source, size, level);
    must(!ZSTD_isError(n));
    return n;
}

static void decode_context(struct context_pool *pool, size_t size, size_t packed)
{
    struct context *context = context_pool_get(pool);
    must(context && ZSTD_decompressDCtx(context->decoder, plain, sizeof plain, frame, packed) == size);
    context_pool_put(pool, context);
}

static void decode_stream(struct stream_pool *pool, size_t packed)
{
    struct stream *stream = stream_pool_get(pool);
    must(stream && !ZSTD_isError(ZSTD_initDStream(stream->decoder)));
    ZSTD_inBuffer in = {frame, packed, 0};
    for (size_t left = 1; left;) {
        ZSTD_outBuffer out = {plain, 1000, 0}; /* less than a frame, so that the stream keeps its window */
        left = ZSTD_decompressStream(stream->decoder, &out, &in);
        must(!ZSTD_isError(left));
    }
    stream_pool_put(pool, stream);
}

static void decode_fixed(struct fixed_pool *pool, size_t size, size_t packed)
{
    struct fixed *fixed = fixed_pool_get(pool);
    must(fixed != NULL);
    ZSTD_DCtx *decoder = ZSTD_initStaticDCtx(fixed->workspace, sizeof fixed->workspace);
    must(decoder && ZSTD_decompressDCtx(decoder, plain, sizeof plain, frame, packed) == size);
    fixed_pool_put(pool, fixed);
}

int main(void)
{
    struct context_pool *contexts;
    struct stream_pool *streams;
    struct fixed_pool *fixed;
    must(context_pool_create(&contexts, NULL) == 0 && stream_pool_create(&streams, NULL) == 0 &&
         fixed_pool_create(&fixed, NULL) == 0);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (char)(i * i >> 7);
    for (int i = 0; i < FRAMES; i++) {
        size_t size = i % LARGE_EACH == LARGE_EACH - 1 ? LARGE : SMALL, packed = compress(size, 3);
        decode_context(contexts, size, packed);
        decode_stream(streams, packed);
        decode_fixed(fixed, size, packed);
    }
    fixed_pool_destroy(&fixed);
    stream_pool_destroy(&streams);
    context_pool_destroy(&contexts);
    return 0;
}
