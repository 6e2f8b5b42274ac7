/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_BLOCK_H
#define OPOOL_TOOLS_PROFILE_COLLECT_BLOCK_H

/*
 * What is known of a live block, in the words of its first two granules (shape/shadow.h). Only who has the block
 * writes them: malloc after it got it, free before it gives it back. So no locked instruction is needed.
 *
 *     first word:  birth, lower 41 bits | index of the record, 18 | size + 1, 5
 *     second word: size, 48 bits | birth, upper 16             only where the first one says BESIDE instead of a size
 *
 * A block of at most 16 bytes may be of one granule: it has no second word. Births count in 64 ns. So lifetimes of such
 * small blocks are known up to 39 hours, of the others for 200 years.
 *
 * Some allocators place blocks of 8 bytes between granules. They have the words of addresses that no program has.
 */

#include "image.h"
#include "shape/shadow.h"

enum { OPOOL__BLOCK_TINY = OPOOL__GRANULE, OPOOL__BLOCK_BESIDE = 31, OPOOL__BIRTH_BITS = 41, OPOOL__BIRTH_SHIFT = 6 };

_Static_assert(OPOOL__ROOM_RECORDS <= 1 << 18, "an index of a record fits");

struct opool__known {
    uint32_t record;      /* index */
    uint64_t size, birth; /* ns, maybe cut to 64 */
};

/* Where the words of a block are; 0: nowhere. */
static inline uintptr_t opool__block_place(const void *at)
{
    uintptr_t place = (uintptr_t)at;
    if (OPOOL__LIKELY(place % OPOOL__GRANULE == 0))
        return place;
#if UINTPTR_MAX > UINT32_MAX
    const uintptr_t beyond = (uintptr_t)1 << 47;
    if (place % OPOOL__GRANULE == OPOOL__GRANULE / 2 && place < beyond)
        return place + beyond - OPOOL__GRANULE / 2;
#endif
    return 0;
}

/* False: the block can not be known. */
static inline bool opool__block_know(const void *at, uint32_t record, uint64_t size, uint64_t now)
{
    uintptr_t place = opool__block_place(at);
    uint64_t *words = place ? opool__shadow_find(place) : NULL, birth = now >> OPOOL__BIRTH_SHIFT;
    bool tiny = size <= OPOOL__BLOCK_TINY;
    if (OPOOL__UNLIKELY(!words) && place)
        words = opool__shadow_make(place);
    if (!words || size >> 48)
        return false;
    uint64_t first = birth << (64 - OPOOL__BIRTH_BITS) | (uint64_t)record << 5;
    if (!tiny)
        opool__store_relaxed(&words[1], size << 16 | (birth >> OPOOL__BIRTH_BITS & 0xffff));
    opool__store_relaxed(&words[0], first | (tiny ? size + 1 : OPOOL__BLOCK_BESIDE));
    return true;
}

/* The last time before `now` with these lower bits. Shortly after it is now: another processor may be ahead. */
static inline uint64_t opool__birth_before(uint64_t now, uint64_t lower)
{
    const uint64_t all = (UINT64_C(1) << OPOOL__BIRTH_BITS) - 1, ahead = 1 << 16;
    uint64_t ago = (now - lower) & all;
    return all - ago < ahead ? now : now - ago;
}

/* False: nothing is known of it. It is forgotten. */
static inline bool opool__block_forget(const void *at, struct opool__known *known, uint64_t now)
{
    uintptr_t place = opool__block_place(at);
    uint64_t *words = place ? opool__shadow_find(place) : NULL;
    uint64_t first = words ? opool__load_relaxed(words) : 0;
    if (!first)
        return false;
    opool__store_relaxed(words, UINT64_C(0));
    uint64_t birth = first >> (64 - OPOOL__BIRTH_BITS), small = first & 31;
    known->record = (uint32_t)(first >> 5) & ((1u << 18) - 1);
    if (small == OPOOL__BLOCK_BESIDE) {
        uint64_t second = opool__load_relaxed(&words[1]);
        opool__store_relaxed(&words[1], UINT64_C(0)); /* a block that starts there next may not be known */
        known->size = second >> 16;
        birth |= (second & 0xffff) << OPOOL__BIRTH_BITS;
    } else {
        known->size = small - 1;
        birth = opool__birth_before(now >> OPOOL__BIRTH_SHIFT, birth);
    }
    known->birth = birth << OPOOL__BIRTH_SHIFT;
    return true;
}

#endif
