/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_STATS_COLLECT_H
#define OPOOL_STATS_COLLECT_H

#include "api/pool.h"

/* All figures of a pool that is pinned. */
struct opool_stats opool__stats_collect(struct opool *pool);

#endif
