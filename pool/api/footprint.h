/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_FOOTPRINT_H
#define OPOOL_API_FOOTPRINT_H

/*
 * The footprint guard of a pool whose objects own memory. Whether an object may be kept is decided at each put by the
 * cap alone; what the windows of shape/fit.h need is collected in notes first, by threads apart from each other, so
 * that the lock around the windows is taken once in OPOOL__NOTES puts.
 *
 * Behind each object stand, in its slot, the bytes that it held when it was put last; under full checks, whose zone is
 * there, in its entry of the pool's life.
 */

#include "shape/fit.h"

enum { OPOOL__NOTES = 16, OPOOL__NOTE_SHARDS = 4 };

struct opool__notes {
    uint32_t lock;
    uint32_t count;
    struct opool__fit_note at[OPOOL__NOTES];
} __attribute__((aligned(64)));

struct opool__guard {
    size_t shared_cap; /* that of fit: read at every put, written at the end of a window */
    struct opool__notes notes[OPOOL__NOTE_SHARDS];
    uint32_t lock; /* around fit; inside that of notes */
    struct opool__fit fit;
};

struct opool;

/* Bytes that a slot has beyond an object of an owning type. */
#define OPOOL__HELD_BYTES sizeof(size_t)

void opool__footprint_start(struct opool__guard *guard, size_t footprint_max);

/* At put, before reset: asks the type's callback. False: the object holds too much to be kept. `slot`: where the object
   is, or what stands for it in the pool. */
bool opool__footprint_fits(struct opool *pool, const void *object, void *slot);

/* Does the guard say so now? */
struct opool__verdict {
    bool churn, bloat;
};
struct opool__verdict opool__footprint_verdict(struct opool *pool);

/* For fork. */
void opool__footprint_lock(struct opool *pool);
void opool__footprint_unlock(struct opool *pool);
void opool__footprint_reset_locks(struct opool *pool);

#endif
