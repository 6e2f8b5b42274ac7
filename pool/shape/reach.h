/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_REACH_H
#define OPOOL_SHAPE_REACH_H

/* What a heap block leads to, and who else leads to it. One thread at a time: the put audit's lock is held. */

#include "shape/blocks.h"

enum { OPOOL__REACH_MOST = 1 << 16 }; /* blocks in one sum: what lies behind them is not counted */

struct opool__reach {
    uint64_t bytes;
    uint64_t blocks;
};

/* How far before a word the start of its block is looked for: pointers into the middle. 0: starts only. */
extern size_t opool__reach_interior;

/* The size of a live block, where the allocator knows better; 0: there is none. NULL: it does not. */
extern size_t (*opool__reach_size)(uintptr_t at);

/* The block that a word points to. */
bool opool__reach_block(uintptr_t word, struct opool__block *out);

/* Forget what was counted. */
void opool__reach_begin(void);

/* This block and all that it leads to through blocks born at `since` or later, and that were not counted since
   begin. */
struct opool__reach opool__reach_sum(const struct opool__block *block, uint64_t since);

/* Was the block counted since begin? */
bool opool__reach_counted(uintptr_t at);

/* Does a writable segment, or a heap block that was not counted since begin, hold this block's address? Memory of the
   object, `bytes` at `object`, does not count. Looks through all of it, within bounds: slow. */
bool opool__reach_held(uintptr_t at, const void *object, size_t bytes);

#endif
