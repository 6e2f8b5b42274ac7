/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SLAB_SLAB_H
#define OPOOL_SLAB_SLAB_H

/*
 * Memory of one pool, cut into equal slots. A slot's address never serves another pool while this one lives. Metadata
 * stands out of line, behind a guard gap, so that any address can be judged without touching memory that is not ours.
 *
 *     extent:  [ a bit a slab | records of slabs ... | no access | slots of slab 0, slab 1, ... | no access ]
 *
 * An extent is one reservation, committed from its start as it fills; a pool has one unless the system gave little
 * address space. Slots are taken from the fullest slab that has room, so that the others empty; one empty slab is kept,
 * the next ones go back to the system: they are cold, which a bit says, so that their records can go back too, by whole
 * pages.
 *
 * slots == used + free slots: slots that were not used since the system gave their memory do not count, they are only
 * address space. The lists of all buckets hold exactly the slabs in use with room.
 *
 * Of a slab that is not empty, ticks give those pages back that hold nothing but free slots (pages.c).
 */

#include <opool/atomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "epoch/epoch.h"
#include "slab/layout.h"
#include "slab/record.h"

enum { OPOOL__EXTENTS = 16, OPOOL__BUCKETS = 8 };

/* Lists of slabs: by eighths of fullness (never quite full), and empty ones. */
enum { OPOOL__LIST_EMPTY = OPOOL__BUCKETS, OPOOL__LISTS };

struct opool__extent {
    char *slots, *records;
    uint64_t *cold;                            /* a bit a slab; NULL for the caller's region */
    uint32_t first_slab, slabs;                /* in slabs of the pool */
    uint32_t shared_opened;                    /* slabs from the start that were ever in use */
    size_t committed_slots, committed_records; /* bytes */
    size_t told_slots;                         /* of these, bytes that memory tools know of: whole slabs */
    void *map;                                 /* NULL: the caller's region */
    size_t map_bytes;
};

struct opool__slab {
    struct opool__layout layout;
    uint32_t lock;
    uint32_t shared_extents; /* how many of them are valid; only grows */
    struct opool__extent extents[OPOOL__EXTENTS];
    uint32_t lists[OPOOL__LISTS], empties;
    uint32_t colds, cold_from; /* how many slabs are cold; none below the second */
    size_t goal_slots;         /* address space to reserve, in slots */
    uintptr_t *shared_bound;   /* receives the number of slots of the first extent that were ever in use; may be NULL */
    /* Figures, under the lock: */
    uint32_t shared_given;   /* 1: pages.c may find something; looked at without the lock */
    uint64_t slots, used;    /* ever used since their memory was given; with an object */
    uint64_t metadata_bytes; /* pages of records that were touched and not given back */
    uint64_t given_back;     /* bytes of slots, so far */
};

/* Where an address lies. */
enum opool__place { OPOOL__FOREIGN, OPOOL__INTERIOR, OPOOL__UNUSED, OPOOL__SLOT };

/*
 * Reserve address space for about `slots` objects (0: as much as is sensible). *bound as in shared_bound.
 * 0, -ENOMEM (nothing is left behind), or -EINVAL: no slot fits the address space.
 */
int opool__slab_init(struct opool__slab *slab, size_t size, size_t align, size_t slots, uintptr_t *bound);

/* Use the caller's region and nothing else. 0, or -EINVAL: not even one slot fits. */
int opool__slab_init_region(struct opool__slab *slab, size_t size, size_t align, void *region, size_t bytes,
                            uintptr_t *bound);

/* Give all address space back. No slot may be in use any more. */
void opool__slab_fini(struct opool__slab *slab);

/* A slot, its first `size` bytes zero, state OUT; NULL: the system gives no memory, or the region is full. */
void *opool__slab_take(struct opool__slab *slab);

/* Take back a slot in state OUT. Needs no memory. */
void opool__slab_give(struct opool__slab *slab, void *slot);

/* For ticks: give back what holds nothing but free slots: pages, and the empty slab that is kept; where nothing was
   taken since the last tick began, or (`every`) in all slabs. At most `most` slabs; the others next time. A system call
   for each run of pages, under the lock, which is let go between slabs. */
void opool__slab_trim(struct opool__slab *slab, bool every, uint32_t most);

/* The empty slab alone. Returns whether it is there and stays. */
bool opool__slab_trim_empty(struct opool__slab *slab, bool every);

/* Bytes of slots that went back to the system so far; bytes of slots and metadata that are here. */
uint64_t opool__slab_given_back(struct opool__slab *slab);
uint64_t opool__slab_resident(struct opool__slab *slab);

/* Judge any address. OPOOL__SLOT: the start of a slot that was in use at some time, *index is valid. OPOOL__INTERIOR:
   *offset is the distance to the start of its slot. */
enum opool__place opool__slab_find(const struct opool__slab *slab, const void *address, uint32_t *index,
                                   size_t *offset);

/* Slots that were ever in use, and their slabs' others, have indexes below this. Under the lock, or its caller's. */
uint32_t opool__slab_end(const struct opool__slab *slab);

/* First slot of the first extent. */
void *opool__slab_base(const struct opool__slab *slab);

/* ---- slots by index: for the layers above, on slots that are in use ---- */

static inline const struct opool__extent *opool__slab_extent_of(const struct opool__slab *slab, const void *slot)
{
    const struct opool__extent *extent = slab->extents;
    while ((uintptr_t)slot - (uintptr_t)extent->slots >= extent->slabs * slab->layout.slab_bytes)
        extent++;
    return extent;
}

static inline uint32_t opool__slab_index(const struct opool__slab *slab, const void *slot)
{
    const struct opool__extent *extent = opool__slab_extent_of(slab, slot);
    size_t local = opool__layout_index(&slab->layout, (uintptr_t)slot - (uintptr_t)extent->slots);
    return (uint32_t)local + (extent->first_slab << slab->layout.shift);
}

static inline const struct opool__extent *opool__slab_extent_at(const struct opool__slab *slab, uint32_t number)
{
    const struct opool__extent *extent = slab->extents;
    while (number - extent->first_slab >= extent->slabs)
        extent++;
    return extent;
}

/* Since the last tick began. Under the lock. */
static inline bool opool__slab_was_taken_from(const struct opool__record *record)
{
    return (uint32_t)opool__epoch_now() - record->taken_in < 2;
}

/* `local`: of the extent. Under the lock. */
static inline bool opool__slab_is_cold(const struct opool__extent *extent, uint32_t local)
{
    return extent->cold[local / 64] >> local % 64 & 1;
}

static inline struct opool__record *opool__slab_record(const struct opool__slab *slab, uint32_t number)
{
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    return (struct opool__record *)(void *)(extent->records +
                                            (number - extent->first_slab) * slab->layout.record_bytes);
}

static inline uint32_t opool__slab_within(const struct opool__slab *slab, uint32_t index)
{
    return index & (uint32_t)((UINT64_C(1) << slab->layout.shift) - 1);
}

static inline void *opool__slab_slot(const struct opool__slab *slab, uint32_t index)
{
    uint32_t number = index >> slab->layout.shift;
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    size_t local = ((size_t)(number - extent->first_slab) << slab->layout.shift) + opool__slab_within(slab, index);
    return extent->slots + local * slab->layout.stride;
}

static inline uint32_t *opool__slab_link(const struct opool__slab *slab, uint32_t index)
{
    struct opool__record *record = opool__slab_record(slab, index >> slab->layout.shift);
    return opool__record_links(record) + opool__slab_within(slab, index);
}

static inline uint8_t *opool__slab_shared_state(const struct opool__slab *slab, uint32_t index)
{
    struct opool__record *record = opool__slab_record(slab, index >> slab->layout.shift);
    uint8_t *states = (uint8_t *)(opool__record_links(record) + slab->layout.slots);
    return states + opool__slab_within(slab, index);
}

/* Move a slot from one state to the other; false: it was in another state, and still is. A check for misuse, not a
   lock: of two threads that race to put one object both may pass. */
static inline bool opool__slab_move(const struct opool__slab *slab, const void *slot, enum opool__slot_state from,
                                    enum opool__slot_state to)
{
    uint8_t *state = opool__slab_shared_state(slab, opool__slab_index(slab, slot));
    if (opool__load_relaxed(state) != (uint8_t)from)
        return false;
    opool__store_relaxed(state, (uint8_t)to);
    return true;
}

#endif
