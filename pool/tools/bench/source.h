/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_SOURCE_H
#define OPOOL_TOOLS_BENCH_SOURCE_H

/*
 * Where a pattern's objects come from. `kind` is a constant wherever these are inlined: no branch on it is left.
 *
 * The inlined kind is what OPOOL_DEFINE makes of N_get and N_put of a type without callbacks: these two calls, in which
 * the size of the type does not occur. So they serve a size that is known when the command runs.
 */

#include <stdlib.h>

#include <opool.h>

#include "bench.h"

struct source {
    struct opool *pool; /* NULL: malloc */
    size_t size, align;
};

OPOOL__INLINE void *source_get(enum kind kind, const struct source *source)
{
    switch (kind) {
    case KIND_INLINED:
        return opool__get_inline(source->pool);
    case KIND_CALLS:
        return opool_get(source->pool);
    case KIND_MALLOC:
        return malloc(source->size);
    default:
        return aligned_alloc(source->align, source->size);
    }
}

OPOOL__INLINE void source_put(enum kind kind, const struct source *source, void *object)
{
    switch (kind) {
    case KIND_INLINED:
        opool__put_inline(source->pool, object);
        break;
    case KIND_CALLS:
        opool_put(source->pool, object);
        break;
    default:
        free(object);
    }
}

#endif
