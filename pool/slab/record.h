/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SLAB_RECORD_H
#define OPOOL_SLAB_RECORD_H

/* Metadata of one slab, kept out of line: a record, then one link and one state byte a slot. */

#include <stdint.h>

#define OPOOL__SLOT_NONE UINT32_C(0x7fffffff)
#define OPOOL__SLAB_NONE UINT32_MAX

enum opool__slot_state {
    OPOOL__SLOT_ZERO,  /* free, and its memory is zero */
    OPOOL__SLOT_DIRTY, /* free, with what its last object left */
    OPOOL__SLOT_OUT,   /* holds an object that is with a user or in a thread's cache */
    OPOOL__SLOT_IDLE   /* holds an object that is in the depot */
};

/* used + |free list| + (slots - fresh) == slots of the layout; zeros of those in the free list are in state ZERO. */
struct opool__record {
    uint32_t used;  /* slots that hold an object, or are about to */
    uint32_t fresh; /* slots from here on were neither used nor listed since the slab's memory was last given back */
    uint32_t zeros;
    uint32_t taken_in; /* the epoch of the last take */
    uint32_t given;    /* 1: some slot was given since its pages were looked at */
    uint32_t free;     /* free list of the slots before `fresh`, by link; index in the slab, OPOOL__SLOT_NONE ends */
    uint32_t next, previous; /* in the list of its bucket, by slab number */
    uint32_t bucket;
};

enum { OPOOL__RECORD_SLOT_BYTES = sizeof(uint32_t) + 1 };

/* One a slot: of a free slot the next free one in the slab; of an idle object the next in the depot's stack, by slot
   index. */
static inline uint32_t *opool__record_links(struct opool__record *record)
{
    return (uint32_t *)(record + 1);
}

#endif
