/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_INFLATE_CONTEXT_H
#define DECODERS_INFLATE_CONTEXT_H

/*
 * A pool of zlib's inflate streams. zlib takes its memory by zalloc: here from an arena inside the slot, so the object
 * is of fixed shape and never calls malloc. INFLATE_BYTES comes from the build, which measured what zlib asks for. An
 * object stays where it is while it lives, as zlib wants: its state points back to the z_stream.
 */
#include <errno.h>
#include <opool.h>
#include <string.h>
#include <zlib.h>

struct inflater {
    z_stream stream; /* pointers to the arena, and to the user's input and output */
    size_t used;     /* of the arena */
    _Alignas(64) unsigned char arena[INFLATE_BYTES];
};

/* NULL, which zlib tells as Z_MEM_ERROR: a zlib that needs more than the one that was built with. */
static inline voidpf inflater_allocate(voidpf opaque, uInt items, uInt size)
{
    struct inflater *inflater = opaque;
    size_t bytes = ((size_t)items * size + 63) / 64 * 64;
    if (bytes > sizeof inflater->arena - inflater->used)
        return NULL;
    inflater->used += bytes;
    return inflater->arena + inflater->used - bytes;
}

/* The arena ends with the object. zlib allocates twice, its state and, at first need, its window, and keeps both until
   inflateEnd. */
static inline void inflater_free(voidpf opaque, voidpf bytes)
{
    (void)opaque;
    (void)bytes;
}

static inline int inflater_init(struct inflater *inflater, void *arg)
{
    (void)arg;
    inflater->stream.zalloc = inflater_allocate;
    inflater->stream.zfree = inflater_free;
    inflater->stream.opaque = inflater;
    int result = inflateInit2(&inflater->stream, 15 + 16); /* the largest window, gzip's header and trailer */
    return result == Z_OK ? 0 : result == Z_MEM_ERROR ? ENOMEM : ENOTSUP;
}

static inline bool inflater_reset(struct inflater *inflater, void *arg)
{
    (void)arg;
    inflater->stream.next_in = NULL;
    inflater->stream.next_out = NULL;
    inflater->stream.avail_in = inflater->stream.avail_out = 0;
    return inflateReset(&inflater->stream) == Z_OK;
}

static inline void inflater_fini(struct inflater *inflater, void *arg)
{
    (void)arg;
    inflateEnd(&inflater->stream);
}

/* The window is taken at first need and kept, so `used` may differ from a new object's. */
OPOOL_DEFINE_MEMBERS(inflater_pool, struct inflater, (OPOOL_OPAQUE(stream), OPOOL_KEPT(used), OPOOL_KEPT(arena)),
                     .init = inflater_init, .reset = inflater_reset, .fini = inflater_fini);

#endif
