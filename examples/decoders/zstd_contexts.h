/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_ZSTD_CONTEXTS_H
#define DECODERS_ZSTD_CONTEXTS_H

/*
 * Three pools of zstd decoders:
 *
 *     one_shot_pool   whole frames, input and output in memory: 96 KiB, of fixed shape
 *     stream_pool     frames in pieces, windows up to WINDOW_LOG: of fixed shape, the window is in the slot
 *     owned_pool      windows up to WINDOW_LOG_MOST: libzstd allocates, so the pool asks what each context holds
 *
 * ZSTD_initStaticDCtx builds a context inside memory of the caller, and such a context never allocates. The sizes come
 * from the build, which asked libzstd; zstd_contexts_fit says whether the libzstd that runs agrees.
 */
#ifndef ZSTD_STATIC_LINKING_ONLY
#error "define ZSTD_STATIC_LINKING_ONLY before the first include of zstd.h"
#endif
#include <errno.h>
#include <opool.h>
#include <zstd.h>

#include "window.h"

struct one_shot {
    _Alignas(16) unsigned char workspace[ZSTD_ONE_SHOT_BYTES];
};

struct stream {
    _Alignas(16) unsigned char workspace[ZSTD_STREAM_BYTES];
};

struct owned {
    ZSTD_DCtx *context;
    size_t needed; /* the user says, before put: bytes that this use's window asked for */
};

static inline bool zstd_contexts_fit(void)
{
    return ZSTD_estimateDCtxSize() <= sizeof(struct one_shot) &&
           ZSTD_estimateDStreamSize((size_t)1 << WINDOW_LOG) <= sizeof(struct stream);
}

/* A context in memory of the caller begins where that memory does; zstd.h promises only a pointer into it, so the init
   functions check that. */
static inline ZSTD_DCtx *one_shot_context(struct one_shot *decoder)
{
    return (ZSTD_DCtx *)(void *)decoder->workspace;
}

static inline ZSTD_DCtx *stream_context(struct stream *decoder)
{
    return (ZSTD_DCtx *)(void *)decoder->workspace;
}

static inline bool zstd_reset(ZSTD_DCtx *context)
{
    return !ZSTD_isError(ZSTD_DCtx_reset(context, ZSTD_reset_session_only));
}

static inline int one_shot_init(struct one_shot *decoder, void *arg)
{
    (void)arg;
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(decoder->workspace, sizeof decoder->workspace);
    return context && context == one_shot_context(decoder) ? 0 : ENOTSUP;
}

static inline bool one_shot_reset(struct one_shot *decoder, void *arg)
{
    (void)arg;
    return zstd_reset(one_shot_context(decoder));
}

/* The limit is a parameter, which a reset of the session leaves: a larger window is an error that says so, where
   without it libzstd would run out of workspace. */
static inline int stream_init(struct stream *decoder, void *arg)
{
    (void)arg;
    ZSTD_DCtx *context = ZSTD_initStaticDCtx(decoder->workspace, sizeof decoder->workspace);
    if (!context || context != stream_context(decoder))
        return ENOTSUP;
    return ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG)) ? ENOTSUP : 0;
}

static inline bool stream_reset(struct stream *decoder, void *arg)
{
    (void)arg;
    return zstd_reset(stream_context(decoder));
}

static inline int owned_init(struct owned *decoder, void *arg)
{
    (void)arg;
    decoder->context = ZSTD_createDCtx();
    return decoder->context ? 0 : ENOMEM;
}

static inline bool owned_reset(struct owned *decoder, void *arg)
{
    (void)arg;
    decoder->needed = 0;
    return zstd_reset(decoder->context);
}

static inline void owned_fini(struct owned *decoder, void *arg)
{
    (void)arg;
    ZSTD_freeDCtx(decoder->context);
}

static inline struct opool_footprint owned_footprint(const struct owned *decoder, void *arg)
{
    (void)arg;
    return (struct opool_footprint){.used = decoder->needed, .held = ZSTD_sizeof_DCtx(decoder->context)};
}

/* What libzstd keeps in a workspace is its own; the reset of the session is its word that no user sees another's. */
OPOOL_DEFINE(one_shot_pool, struct one_shot, .init = one_shot_init, .reset = one_shot_reset,
             .kept = OPOOL_MEMBERS(workspace));
OPOOL_DEFINE(stream_pool, struct stream, .init = stream_init, .reset = stream_reset, .kept = OPOOL_MEMBERS(workspace));
OPOOL_DEFINE_OWNING(owned_pool, struct owned, owned_footprint, "libzstd allocates the window that the frame asks for",
                    .init = owned_init, .reset = owned_reset, .fini = owned_fini, .kept = OPOOL_MEMBERS(context));

#endif
