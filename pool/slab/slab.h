/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SLAB_SLAB_H
#define OPOOL_SLAB_SLAB_H

/*
 * Memory of one pool, cut into equal slots. A slot's address never serves another pool while this one lives. Metadata
 * stands out of line, behind a guard gap, so that any address can be judged without touching memory that is not ours.
 *
 *     extent:  [ no access | a bit a slab | records of slabs | no access | slots of slab 0, slab 1, ... | no access ]
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
 *
 * Nothing here is read from memory that users have, and every link and index is checked before it is followed: damage
 * ends the process (opool__slab_damaged) before it becomes a write to where nobody wants it, whatever the level of
 * checks.
 *
 * Slots that were never used come in an order that nobody outside can foresee, where opool__slab_own asked for it: by
 * windows of a page, so that few objects touch as few pages as in ascending order.
 */

#include <opool/atomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "epoch/epoch.h"
#include "os/report.h"
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
    size_t zeroed;             /* bytes of a slot that a take makes zero: all of `size`, but for a guard behind it */
    uint32_t window;           /* slots that are listed at once, in random order; 1: one after the other */
    uint64_t random;           /* generator; 0: none. Under the lock */
    const struct opool__label *label; /* whose metadata it is, for faults */
    uintptr_t *shared_bound; /* receives the number of slots of the first extent that were ever in use; may be NULL */
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

/* Before the first take: faults name `label`, which outlives the slab. Slots that were never used come in random order
   from `seed` on (opool__os.seed); 0: in ascending order. */
void opool__slab_own(struct opool__slab *slab, const struct opool__label *label, uint64_t seed);

/* The metadata is not what this library left there: abort and say so. `label`: NULL for metadata of the library itself;
   `at`: the slot, or NULL. */
_Noreturn void opool__slab_damaged(const struct opool__label *label, const void *at, const char *what)
    __attribute__((cold));

/* Give all address space back. No slot may be in use any more. */
void opool__slab_fini(struct opool__slab *slab);

/* Nobody takes or gives slots any more, though some are in use: a region is its owner's again. */
void opool__slab_abandon(struct opool__slab *slab);

/* A slot, its first `zeroed` bytes zero, state OUT; NULL: the system gives no memory, or the region is full. */
void *opool__slab_take(struct opool__slab *slab);

/* Take back a slot in state OUT. Needs no memory. In another state: it was given up before, which is a fault; with
   checks off nothing happens then. */
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

/* As opool__slab_index_of, opool__view_state and opool__slab_has_index, in extents other than the first. */
uint32_t opool__slab_index_elsewhere(const struct opool__slab *slab, const void *address);
uint8_t *opool__slab_state_elsewhere(const struct opool__slab *slab, const void *address);
bool opool__slab_has_index_elsewhere(const struct opool__slab *slab, uint32_t index);

/* ---- any address, any index: what comes out of metadata is judged before it is used ---- */

/* The number of the slot in the first extent that starts at this address; none: a number that no slot has. */
static inline uintptr_t opool__slab_in_first(const struct opool__slab *slab, const void *address)
{
    return opool__layout_quotient(&slab->layout, (uintptr_t)address - (uintptr_t)slab->extents[0].slots);
}

/* Is it one of a slab that was ever in use? */
static inline bool opool__slab_has_first(const struct opool__slab *slab, uintptr_t number)
{
    uint64_t slots = (uint64_t)opool__load_relaxed(&slab->extents[0].shared_opened) * slab->layout.slots;
    return __builtin_expect(number < slots, 1);
}

/* The index of the slot that starts at this address; OPOOL__SLOT_NONE: none does whose slab was ever in use. */
static inline uint32_t opool__slab_index_of(const struct opool__slab *slab, const void *address)
{
    uintptr_t number = opool__slab_in_first(slab, address);
    return opool__slab_has_first(slab, number) ? (uint32_t)number : opool__slab_index_elsewhere(slab, address);
}

/* Where the states of a slab's slots stand in its record. */
static inline size_t opool__slab_states_offset(const struct opool__layout *layout)
{
    return sizeof(struct opool__record) + layout->slots * sizeof(uint32_t);
}

/* What it takes to look at many objects: the first extent at this moment. Those that are in question were built before,
   so their slabs were in use by now. */
struct opool__view {
    const struct opool__slab *slab;
    struct opool__layout layout;
    uintptr_t base;
    uint64_t slots;  /* of slabs that were ever in use */
    uint8_t *states; /* of the first slab */
};

static inline struct opool__view opool__slab_view(const struct opool__slab *slab)
{
    const struct opool__extent *first = slab->extents;
    return (struct opool__view){
        .slab = slab,
        .layout = slab->layout,
        .base = (uintptr_t)first->slots,
        .slots = (uint64_t)opool__load_relaxed(&first->shared_opened) * slab->layout.slots,
        .states = (uint8_t *)first->records + opool__slab_states_offset(&slab->layout),
    };
}

/* The state of the slot that starts at this address; NULL: none does whose slab was ever in use. */
static inline uint8_t *opool__view_state(const struct opool__view *view, const void *address)
{
    const struct opool__layout *layout = &view->layout;
    uintptr_t number = opool__layout_quotient(layout, (uintptr_t)address - view->base);
    if (__builtin_expect(number >= view->slots, 0))
        return opool__slab_state_elsewhere(view->slab, address);
    uintptr_t within = number & (((uintptr_t)1 << layout->shift) - 1);
    return view->states + (number >> layout->shift) * layout->record_bytes + within;
}

static inline uint8_t *opool__slab_state_of(const struct opool__slab *slab, const void *address)
{
    const struct opool__view view = opool__slab_view(slab);
    return opool__view_state(&view, address);
}

/* Was the slab of this slot ever in use? */
static inline bool opool__slab_has_index(const struct opool__slab *slab, uint32_t index)
{
    return opool__slab_has_first(slab, index) || opool__slab_has_index_elsewhere(slab, index);
}

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

/* What metadata says of one slot. */
struct opool__slot {
    uint32_t *link;
    uint8_t *shared_state;
};

static inline struct opool__slot opool__slab_slot_data(const struct opool__slab *slab, uint32_t index)
{
    struct opool__record *record = opool__slab_record(slab, index >> slab->layout.shift);
    uint32_t *links = opool__record_links(record), within = opool__slab_within(slab, index);
    return (struct opool__slot){links + within, (uint8_t *)(links + slab->layout.slots) + within};
}

static inline uint32_t *opool__slab_link(const struct opool__slab *slab, uint32_t index)
{
    return opool__slab_slot_data(slab, index).link;
}

static inline uint8_t *opool__slab_shared_state(const struct opool__slab *slab, uint32_t index)
{
    return opool__slab_slot_data(slab, index).shared_state;
}

/* Move a slot from one state to the other; false: it was in another state, and still is. A check for misuse, not a
   lock: of two threads that race to put one object both may pass. */
static inline bool opool__slab_move(uint8_t *state, enum opool__slot_state from, enum opool__slot_state to)
{
    if (opool__load_relaxed(state) != (uint8_t)from)
        return false;
    opool__store_relaxed(state, (uint8_t)to);
    return true;
}

#endif
