/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SLAB_LAYOUT_H
#define OPOOL_SLAB_LAYOUT_H

/*
 * How objects of one shape lie in memory: pure arithmetic. All slots of a pool stand at one stride from the start of
 * its range, across slab borders, so that "is this the start of a slot, and which" is one multiplication.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opool__layout {
    size_t size, align;  /* of the object */
    size_t stride;       /* bytes from slot to slot: a multiple of align, at least size */
    unsigned rotate;     /* stride == odd << rotate */
    uintptr_t inverse;   /* odd * inverse == 1 modulo the word */
    uint32_t slots;      /* a slab: a power of two (a region: all that fit) */
    unsigned shift;      /* slot index >> shift is its slab */
    size_t slab_bytes;   /* slots * stride: whole pages (a region: any) */
    size_t record_bytes; /* metadata of one slab */
};

/* Size 1 to OPOOL_SIZE_MAX, align a power of two up to OPOOL_ALIGN_MAX. */
struct opool__layout opool__layout_choose(size_t size, size_t align, size_t page);

/* One slab that fills what a region of `bytes` holds beside its metadata; slots == 0: not even one fits. */
struct opool__layout opool__layout_region(size_t size, size_t align, size_t bytes);

/* Index of the slot `distance` bytes from the first; only for multiples of the stride. */
static inline size_t opool__layout_index(const struct opool__layout *layout, uintptr_t distance)
{
    return (distance >> layout->rotate) * layout->inverse;
}

/* The same for any distance: what is no multiple of the stride gives a number that no slot has (see
   opool__is_slot of opool/inline.h). */
static inline uintptr_t opool__layout_quotient(const struct opool__layout *layout, uintptr_t distance)
{
    uintptr_t q = distance * layout->inverse;
    return q >> layout->rotate | q << ((0u - layout->rotate) & (unsigned)(8 * sizeof q - 1));
}

#endif
