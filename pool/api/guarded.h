/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_GUARDED_H
#define OPOOL_API_GUARDED_H

/*
 * Objects in guard slots (check/guard_slots.h). The get whose turn it is builds a new one there, though others may be
 * idle, and its put tears it down: reset runs as at every put, then fini. So a guarded object is never idle: no cache,
 * magazine or store sees it, and neither does a tick.
 *
 * For the books it holds a slot of its pool in which nobody is meanwhile, and a permit where objects are built by
 * permit. So all equations hold, capacity is exact, and what counts slots counts it: destroy, close, fork, the leak
 * report.
 *
 * While there is a slot to be had such a pool works out of line, so that each get is counted; its caches are used by
 * slow paths. While there is none, because all hold objects or rest, it works inline like any other: nothing would be
 * guarded. So a program that gets much has a few gets out of line after each tick, and one that gets little does not
 * notice.
 */

#include <stdbool.h>

#include "check/guard_slots.h"

struct opool;

/* With type and label set, and `traced`. */
void opool__guarded_join(struct opool *pool, bool region);

/* No get from now on: the user goes by where objects lie. */
void opool__guarded_leave(struct opool *pool);

/* A tick: slots may have rested long enough. */
void opool__guarded_tick(struct opool *pool);

/* NULL: it is not this get's turn, or a guarded object can not be had: the usual way then. errno stays. */
void *opool__guarded_get(struct opool *pool);

/* All of a put or discard of an address in the arena; a fault unless it is an object of this pool that is out. */
void opool__guarded_put(struct opool *pool, void *object);
void opool__guarded_discard(struct opool *pool, void *object);

#endif
