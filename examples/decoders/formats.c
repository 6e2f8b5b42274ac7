/* SPDX-License-Identifier: MIT */
/* Formats of bytes: the content is cut into pieces, each packed for itself. */
#define ZSTD_STATIC_LINKING_ONLY
#include "formats.h"

#include <stdlib.h>
#include <string.h>

#include "inflate_context.h"
#include "zstd_contexts.h"

enum { SMALL_PIECE = 4 << 10, STREAM_PIECE = 16 << 10, LEVEL = 3 };

bool set_allocate(struct set *set, size_t count, size_t packed_most, size_t size)
{
    set->items = calloc(count, sizeof *set->items);
    set->packed = malloc(count * packed_most);
    set->expected = malloc(size);
    set->output = malloc(size);
    set->count = count;
    set->size = size;
    return set->items && set->packed && set->expected && set->output;
}

void set_free(struct set *set)
{
    free(set->items);
    free(set->packed);
    free(set->expected);
    free(set->output);
    *set = (struct set){0};
}

/* Packs a piece into room for `most` bytes; 0: failed. */
typedef size_t pack_function(unsigned char *to, size_t most, const unsigned char *from, size_t size);

static bool make_pieces(struct set *set, const unsigned char *content, size_t size, size_t piece, pack_function *pack)
{
    size_t most = ZSTD_compressBound(piece) + 64; /* deflate's bound is lower */
    if (size == 0 || !set_allocate(set, (size + piece - 1) / piece, most, size))
        return false;
    memcpy(set->expected, content, size);
    for (size_t i = 0; i < set->count; i++) {
        struct item *item = &set->items[i];
        item->offset = i * piece;
        item->size = size - item->offset < piece ? size - item->offset : piece;
        item->packed = set->packed + i * most;
        item->packed_size = pack(item->packed, most, content + item->offset, item->size);
        if (item->packed_size == 0)
            return false;
    }
    return true;
}

static size_t pack_zstd(unsigned char *to, size_t most, const unsigned char *from, size_t size)
{
    size_t result = 0;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (context && !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)))
        result = ZSTD_compress2(context, to, most, from, size);
    ZSTD_freeCCtx(context);
    return ZSTD_isError(result) ? 0 : result;
}

static size_t pack_gzip(unsigned char *to, size_t most, const unsigned char *from, size_t size)
{
    z_stream stream = {
        .next_in = (unsigned char *)(uintptr_t)from, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)most};
    if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    int result = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return result == Z_STREAM_END ? stream.total_out : 0;
}

static bool make_small_zstd(struct set *set, const unsigned char *content, size_t size)
{
    return make_pieces(set, content, size, SMALL_PIECE, pack_zstd);
}

static bool make_stream_zstd(struct set *set, const unsigned char *content, size_t size)
{
    return make_pieces(set, content, size, STREAM_PIECE, pack_zstd);
}

static bool make_gzip(struct set *set, const unsigned char *content, size_t size)
{
    return make_pieces(set, content, size, SMALL_PIECE, pack_gzip);
}

/* ---- zstd, one shot */

static struct one_shot_pool *one_shots;

static int one_shot_open(void)
{
    return one_shot_pool_create(&one_shots, NULL);
}

static void one_shot_close(void)
{
    one_shot_pool_destroy(&one_shots);
}

static struct opool *one_shot_base(void)
{
    return one_shot_pool_base(one_shots);
}

static bool decode_whole(ZSTD_DCtx *context, const struct item *item, unsigned char *output)
{
    return ZSTD_decompressDCtx(context, output, item->size, item->packed, item->packed_size) == item->size;
}

static bool one_shot_pooled(const struct item *item, unsigned char *output)
{
    struct one_shot *decoder = one_shot_pool_get(one_shots);
    if (!decoder)
        return false;
    bool ok = decode_whole(one_shot_context(decoder), item, output);
    if (ok)
        one_shot_pool_put(one_shots, decoder);
    else
        one_shot_pool_discard(one_shots, decoder);
    return ok;
}

static bool one_shot_created(const struct item *item, unsigned char *output)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    bool ok = context && decode_whole(context, item, output);
    ZSTD_freeDCtx(context);
    return ok;
}

/* ---- zstd, in pieces */

static struct stream_pool *streams;
static struct owned_pool *owners;

static int stream_open(void)
{
    return stream_pool_create(&streams, NULL);
}

static void stream_close(void)
{
    stream_pool_destroy(&streams);
}

static struct opool *stream_base(void)
{
    return stream_pool_base(streams);
}

static int owned_open(void)
{
    return owned_pool_create(&owners, NULL);
}

static void owned_close(void)
{
    owned_pool_destroy(&owners);
}

static struct opool *owned_base(void)
{
    return owned_pool_base(owners);
}

/* Output by 4 KiB, as a reader of a stream takes it: so the window of the context is used. */
static bool decode_pieces(ZSTD_DCtx *context, const struct item *item, unsigned char *output)
{
    ZSTD_inBuffer in = {item->packed, item->packed_size, 0};
    size_t done = 0, result = 1;
    while (result != 0) {
        size_t left = item->size - done;
        ZSTD_outBuffer out = {output + done, left < SMALL_PIECE ? left : SMALL_PIECE, 0};
        size_t before = in.pos;
        result = ZSTD_decompressStream(context, &out, &in);
        done += out.pos;
        if (ZSTD_isError(result) || (result != 0 && out.pos == 0 && in.pos == before))
            return false;
    }
    return done == item->size;
}

static bool stream_pooled(const struct item *item, unsigned char *output)
{
    struct stream *decoder = stream_pool_get(streams);
    if (!decoder)
        return false;
    bool ok = decode_pieces(stream_context(decoder), item, output);
    if (ok)
        stream_pool_put(streams, decoder);
    else
        stream_pool_discard(streams, decoder);
    return ok;
}

static bool stream_created(const struct item *item, unsigned char *output)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    bool ok = context && decode_pieces(context, item, output);
    ZSTD_freeDCtx(context);
    return ok;
}

static bool owned_pooled(const struct item *item, unsigned char *output)
{
    struct owned *decoder = owned_pool_get(owners);
    if (!decoder)
        return false;
    decoder->needed = ZSTD_estimateDStreamSize(item->size);
    bool ok = decode_pieces(decoder->context, item, output);
    if (ok)
        owned_pool_put(owners, decoder);
    else
        owned_pool_discard(owners, decoder);
    return ok;
}

/* ---- zlib */

static struct inflater_pool *inflaters;

static int inflate_open(void)
{
    return inflater_pool_create(&inflaters, NULL);
}

static void inflate_close(void)
{
    inflater_pool_destroy(&inflaters);
}

static struct opool *inflate_base(void)
{
    return inflater_pool_base(inflaters);
}

/* Output by 1 KiB: only then does zlib need its window. */
static bool inflate_pieces(z_stream *stream, const struct item *item, unsigned char *output)
{
    size_t done = 0;
    int result = Z_OK;
    stream->next_in = item->packed;
    stream->avail_in = (uInt)item->packed_size;
    while (result == Z_OK) {
        size_t left = item->size - done, piece = left < 1024 ? left : 1024;
        stream->next_out = output + done;
        stream->avail_out = (uInt)piece;
        result = inflate(stream, Z_NO_FLUSH);
        done += piece - stream->avail_out;
    }
    return result == Z_STREAM_END && done == item->size;
}

static bool inflate_pooled(const struct item *item, unsigned char *output)
{
    struct inflater *inflater = inflater_pool_get(inflaters);
    if (!inflater)
        return false;
    bool ok = inflate_pieces(&inflater->stream, item, output);
    if (ok)
        inflater_pool_put(inflaters, inflater);
    else
        inflater_pool_discard(inflaters, inflater);
    return ok;
}

static bool inflate_created(const struct item *item, unsigned char *output)
{
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return false;
    bool ok = inflate_pieces(&stream, item, output);
    inflateEnd(&stream);
    return ok;
}

static const struct format one_shot_format = {
    "zstd one-shot", "frame of 4 KiB", make_small_zstd, one_shot_open,
    one_shot_pooled, one_shot_created, one_shot_base,   one_shot_close,
};
static const struct format stream_format = {
    "zstd stream", "frame of 16 KiB", make_stream_zstd, stream_open,
    stream_pooled, stream_created,    stream_base,      stream_close,
};
static const struct format owned_format = {
    "zstd owned", "frame of 16 KiB", make_stream_zstd, owned_open,
    owned_pooled, stream_created,    owned_base,       owned_close,
};
static const struct format inflate_format = {
    "inflate", "member of 4 KiB", make_gzip, inflate_open, inflate_pooled, inflate_created, inflate_base, inflate_close,
};

const struct format *const formats[] = {
    &one_shot_format,
    &stream_format,
    &owned_format,
    &inflate_format,
#ifdef OPUS_BYTES
    &opus_format,
#endif
    NULL,
};
