/* SPDX-License-Identifier: MIT */
/*
 * Three ways to decode a frame:
 *
 *     create      a context made and freed for each frame: what most programs do
 *     initialise  a slot from a pool, made into a context for each frame: pooled memory, nothing kept built
 *     keep        a context from a pool: built once, reset at each put
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <opool.h>
#include <zstd.h>
#include <zstd_errors.h>

/* ZSTD_initStaticDCtx builds a context inside memory of the caller, and such a context never allocates: it is of fixed
   shape. DECODER_BYTES comes from the build, which asked libzstd. */
struct decoder {
    _Alignas(16) unsigned char workspace[DECODER_BYTES];
};

static ZSTD_DCtx *build(struct decoder *decoder)
{
    return ZSTD_initStaticDCtx(decoder->workspace, sizeof decoder->workspace);
}

static size_t decode_with(ZSTD_DCtx *context, const struct frame *frame, unsigned char *to)
{
    return ZSTD_decompressDCtx(context, to, frame->content_size, frame->data, frame->size);
}

/* The error that zstd itself gives when it has no memory for a context. */
static size_t no_memory(void)
{
    return (size_t)0 - ZSTD_error_memory_allocation;
}

static bool open_nothing(void)
{
    return true;
}

static void close_nothing(void)
{
}

static size_t create_decode(const struct frame *frame, unsigned char *to)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context)
        return no_memory();
    size_t result = decode_with(context, frame, to);
    ZSTD_freeDCtx(context);
    return result;
}

OPOOL_DEFINE(slot_pool, struct decoder);
static struct slot_pool *slots;

static bool check_open(int error)
{
    if (error == 0)
        return true;
    fprintf(stderr, "decode: no pool: %s\n", strerror(-error));
    return false;
}

static bool initialise_open(void)
{
    return check_open(slot_pool_create(&slots, NULL));
}

static size_t initialise_decode(const struct frame *frame, unsigned char *to)
{
    struct decoder *decoder = slot_pool_get(slots);
    if (!decoder)
        return no_memory();
    ZSTD_DCtx *context = build(decoder);
    size_t result = context ? decode_with(context, frame, to) : no_memory();
    if (ZSTD_isError(result))
        slot_pool_discard(slots, decoder);
    else
        slot_pool_put(slots, decoder);
    return result;
}

static void initialise_close(void)
{
    slot_pool_destroy(&slots);
}

static void base_use(struct opool *pool, uint64_t *gets, uint64_t *built)
{
    struct opool_stats stats = {0};
    if (opool_stats_read(pool, &stats) != 0)
        return;
    *gets = stats.gets;
    *built = stats.built;
}

static void initialise_use(uint64_t *gets, uint64_t *built)
{
    base_use(slot_pool_base(slots), gets, built);
}

/* A context in memory of the caller begins where that memory does; zstd.h promises only a pointer into it, so init
   checks that. */
static ZSTD_DCtx *context_of(struct decoder *decoder)
{
    return (ZSTD_DCtx *)(void *)decoder->workspace;
}

static int decoder_init(struct decoder *decoder, void *argument)
{
    (void)argument;
    return build(decoder) == context_of(decoder) ? 0 : ENOTSUP;
}

static bool decoder_reset(struct decoder *decoder, void *argument)
{
    (void)argument;
    return !ZSTD_isError(ZSTD_DCtx_reset(context_of(decoder), ZSTD_reset_session_only));
}

OPOOL_DEFINE(decoder_pool, struct decoder, .init = decoder_init, .reset = decoder_reset);
static struct decoder_pool *decoders;

static bool keep_open(void)
{
    return check_open(decoder_pool_create(&decoders, NULL));
}

static size_t keep_decode(const struct frame *frame, unsigned char *to)
{
    struct decoder *decoder = decoder_pool_get(decoders);
    if (!decoder)
        return no_memory();
    size_t result = decode_with(context_of(decoder), frame, to);
    if (ZSTD_isError(result)) /* who knows what state it is in */
        decoder_pool_discard(decoders, decoder);
    else
        decoder_pool_put(decoders, decoder);
    return result;
}

static void keep_close(void)
{
    decoder_pool_destroy(&decoders);
}

static void keep_use(uint64_t *gets, uint64_t *built)
{
    base_use(decoder_pool_base(decoders), gets, built);
}

static const struct method methods[] = {
    {"create", open_nothing, create_decode, close_nothing, NULL},
    {"initialise", initialise_open, initialise_decode, initialise_close, initialise_use},
    {"keep", keep_open, keep_decode, keep_close, keep_use},
};

const struct method *method_find(const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}

size_t method_slot_bytes(void)
{
    return sizeof(struct decoder);
}

size_t method_needed_bytes(void)
{
    return ZSTD_estimateDCtxSize();
}
