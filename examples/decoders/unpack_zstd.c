/* SPDX-License-Identifier: MIT */
/* .zst files: frames that are whole in the buffer go through a one-shot context, the others through a stream. */
#define ZSTD_STATIC_LINKING_ONLY
#include "unpack.h"

#include <string.h>

#include <zstd_errors.h>

#include "zstd_contexts.h"

/* Larger windows than this are not kept: one odd file must not cost 128 MiB until the end of the run. */
enum { OWNED_BYTES_KEPT = 32 << 20 };

enum { MAGIC_BYTES = 4 };

enum kind { ONE_SHOT, STREAM, OWNED, CREATED };

struct decoder {
    enum kind kind;
    ZSTD_DCtx *context;
    void *object; /* of the pool */
};

int memory_open_zstd(struct memory *memory, unsigned threads)
{
    struct opool_options options = {.capacity = threads};
    struct opool_options owned = {.capacity = threads, .footprint_max = OWNED_BYTES_KEPT};
    if (!zstd_contexts_fit())
        return -ENOTSUP;
    int error = one_shot_pool_create(&memory->one_shot, &options);
    if (!error)
        error = stream_pool_create(&memory->stream, &options);
    return error ? error : owned_pool_create(&memory->owned, &owned);
}

void memory_close_zstd(struct memory *memory)
{
    one_shot_pool_destroy(&memory->one_shot);
    stream_pool_destroy(&memory->stream);
    owned_pool_destroy(&memory->owned);
}

void memory_print_zstd(const struct memory *memory, FILE *out)
{
    pool_print(one_shot_pool_base(memory->one_shot), out);
    pool_print(stream_pool_base(memory->stream), out);
    pool_print(owned_pool_base(memory->owned), out);
}

static ZSTD_DCtx *get_one_shot(const struct memory *memory, struct decoder *decoder)
{
    struct one_shot *object = one_shot_pool_get(memory->one_shot);
    decoder->object = object;
    return object ? one_shot_context(object) : NULL;
}

static ZSTD_DCtx *get_stream(const struct memory *memory, struct decoder *decoder)
{
    struct stream *object = stream_pool_get(memory->stream);
    decoder->object = object;
    return object ? stream_context(object) : NULL;
}

static ZSTD_DCtx *get_owned(const struct memory *memory, struct decoder *decoder, size_t window)
{
    struct owned *object = owned_pool_get(memory->owned);
    decoder->object = object;
    if (!object)
        return NULL;
    object->needed = ZSTD_estimateDStreamSize(window);
    return object->context;
}

static bool get(const struct memory *memory, struct decoder *decoder, enum kind kind, size_t window)
{
    decoder->kind = memory->pooled ? kind : CREATED;
    switch (decoder->kind) {
    case ONE_SHOT:
        decoder->context = get_one_shot(memory, decoder);
        break;
    case STREAM:
        decoder->context = get_stream(memory, decoder);
        break;
    case OWNED:
        decoder->context = get_owned(memory, decoder, window);
        break;
    case CREATED:
        decoder->context = ZSTD_createDCtx();
        break;
    }
    return decoder->context != NULL;
}

static void put(const struct memory *memory, const struct decoder *decoder)
{
    switch (decoder->kind) {
    case ONE_SHOT:
        one_shot_pool_put(memory->one_shot, decoder->object);
        break;
    case STREAM:
        stream_pool_put(memory->stream, decoder->object);
        break;
    case OWNED:
        owned_pool_put(memory->owned, decoder->object);
        break;
    case CREATED:
        ZSTD_freeDCtx(decoder->context);
        break;
    }
}

static void discard(const struct memory *memory, const struct decoder *decoder)
{
    switch (decoder->kind) {
    case ONE_SHOT:
        one_shot_pool_discard(memory->one_shot, decoder->object);
        break;
    case STREAM:
        stream_pool_discard(memory->stream, decoder->object);
        break;
    case OWNED:
        owned_pool_discard(memory->owned, decoder->object);
        break;
    case CREATED:
        ZSTD_freeDCtx(decoder->context);
        break;
    }
}

/* What damaged or cut input did to a context nobody knows: that one is not used again. */
static bool give_back(const struct memory *memory, const struct decoder *decoder, bool whole)
{
    if (whole)
        put(memory, decoder);
    else
        discard(memory, decoder);
    return whole;
}

static bool explain(struct flow *flow, size_t error)
{
    if (ZSTD_getErrorCode(error) == ZSTD_error_memory_allocation)
        return flow_fail(flow, "no memory to decode");
    return flow_fail(flow, "damaged: %s", ZSTD_getErrorName(error));
}

static bool decode_whole(struct decoder *decoder, struct flow *flow, size_t size)
{
    unsigned char *out = flow->buffers->out;
    size_t result =
        ZSTD_decompressDCtx(decoder->context, out, sizeof flow->buffers->out, flow->buffers->in + flow->at, size);
    if (ZSTD_isError(result))
        return explain(flow, result);
    flow->at += size;
    return flow_write(flow, out, result);
}

/* Ends when the frame does. Without input left, a decoder that wrote all it had and wants more was cut off. */
static bool decode_pieces(struct decoder *decoder, struct flow *flow)
{
    struct buffers *buffers = flow->buffers;
    for (;;) {
        if (flow_left(flow) == 0 && !flow_fill(flow))
            return false;
        ZSTD_inBuffer in = {buffers->in + flow->at, flow_left(flow), 0};
        ZSTD_outBuffer out = {buffers->out, sizeof buffers->out, 0};
        size_t result = ZSTD_decompressStream(decoder->context, &out, &in);
        if (ZSTD_isError(result))
            return explain(flow, result);
        flow->at += in.pos;
        if (!flow_write(flow, buffers->out, out.pos))
            return false;
        if (result == 0)
            return true;
        if (in.pos == 0 && out.pos == 0 && flow->at_end && flow_left(flow) == 0)
            return flow_fail(flow, "unexpected end of file");
    }
}

static bool decode_frame(const struct memory *memory, struct flow *flow, const ZSTD_frameHeader *header)
{
    struct decoder decoder = {0};
    size_t size = ZSTD_findFrameCompressedSize(flow->buffers->in + flow->at, flow_left(flow));
    bool whole =
        header->frameType == ZSTD_frame && header->frameContentSize <= sizeof flow->buffers->out && !ZSTD_isError(size);
    enum kind kind = whole ? ONE_SHOT : header->windowSize <= (size_t)1 << WINDOW_LOG ? STREAM : OWNED;
    if (header->frameType == ZSTD_skippableFrame)
        kind = STREAM;
    else if (!whole && header->windowSize > (size_t)1 << WINDOW_LOG_MOST)
        return flow_fail(flow, "needs a window of %llu MiB, the limit is %d MiB: zstd -d --long=31 takes more",
                         header->windowSize >> 20, 1 << (WINDOW_LOG_MOST - 20));
    if (!get(memory, &decoder, kind, (size_t)header->windowSize))
        return flow_fail(flow, "no decoder: %s", strerror(errno));
    return give_back(memory, &decoder, whole ? decode_whole(&decoder, flow, size) : decode_pieces(&decoder, flow));
}

static bool read_header(struct flow *flow, ZSTD_frameHeader *header)
{
    size_t wanted = ZSTD_getFrameHeader(header, flow->buffers->in + flow->at, flow_left(flow));
    if (wanted == 0)
        return true;
    if (!ZSTD_isError(wanted) || flow_left(flow) < MAGIC_BYTES)
        return flow_fail(flow, "unexpected end of file");
    return flow_fail(flow, flow->written || flow->read > flow_left(flow)
                               ? "what follows the last frame is no zstd frame"
                               : "not in zstd format");
}

/* A frame may end anywhere in the buffer: it is filled before each, so that a small one is there as a whole. */
bool unpack_zstd(const struct memory *memory, struct flow *flow)
{
    ZSTD_frameHeader header;
    if (!flow_fill(flow))
        return false;
    do {
        if (!read_header(flow, &header) || !decode_frame(memory, flow, &header))
            return false;
        if (flow_left(flow) < sizeof flow->buffers->in / 2 && !flow_fill(flow))
            return false;
    } while (flow_left(flow) > 0);
    return true;
}
