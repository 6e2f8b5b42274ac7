/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_STATS_H
#define OPOOL_STATS_H

#include <stdio.h>

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Walk all pools: NULL starts; NULL ends. Pools created meanwhile may be missed. The caller sees to it that a pool that
 * it goes on to use is not destroyed meanwhile; the walk itself is safe.
 */
OPOOL_API struct opool *opool_next(struct opool *previous);

/** The pool's name, static as long as the pool lives. */
OPOOL_API const char *opool_name(const struct opool *pool);

/**
 * Figures of a pool. Exact when no call on it is in progress; else each figure is of some moment during the call. Takes
 * the pool's locks for a moment, stops no thread.
 *
 * @return 0, or -EINVAL: pool or out is NULL, or the pool was destroyed
 */
OPOOL_API int opool_stats_read(struct opool *pool, struct opool_stats *out);
OPOOL_API int opool__stats_read(struct opool *pool, struct opool_stats *out, size_t out_size);
#define opool_stats_read(...) opool__stats_read(__VA_ARGS__, sizeof(struct opool_stats))

/**
 * Figures of all pools: a table to read, one JSON object, or OpenMetrics text. Names are escaped as the format wants.
 *
 * @return 0; -EINVAL: out is NULL or format is none; -EIO or what errno says: the stream failed
 */
OPOOL_API int opool_stats_write(FILE *out, enum opool_format format);

#ifdef __cplusplus
}
#endif
#endif
