/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CACHE_BARRIER_H
#define OPOOL_CACHE_BARRIER_H

#include <stdbool.h>

/* The store-load order between owners of heads and reclaimers: whether it can be had, and making it. */

/* Say that barriers will be used; before the first head is. Refused: caches work under their locks. Idempotent. */
void opool__barrier_init(void);

/* May heads be used without their lock? False from the first refusal on. */
bool opool__barrier_usable(void);

/* A barrier on every thread of the process; false: refused, and usable is false from now on. */
bool opool__barrier(void);

#endif
