/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_SAMPLE_H
#define OPOOL_TOOLS_PROFILE_COLLECT_SAMPLE_H

/*
 * Sampling by events: each allocation is looked at with the same chance, whatever its size, because small hot objects
 * are what pools are for. How many are skipped is drawn (geometrically), so that no rhythm of the program hides one.
 *
 * Who frees has to know whether the block was looked at: a filter says "surely not" for nearly all others. It counts
 * the live sampled blocks of each line of memory, as long as they are few; lines far apart share a counter. What is
 * known of such blocks stands in tables under locks: words beside all of the memory (block.h) would be a page
 * fault for each.
 */

#include "thread.h"

enum { OPOOL__FILTER_LINE_BITS = 8, OPOOL__FILTER_CELLS = 1 << 18 };

struct opool__known;

extern OPOOL__HIDDEN bool opool__sampling, opool__counting; /* the modes; else full */
extern OPOOL__HIDDEN uint8_t opool__sample_filter[OPOOL__FILTER_CELLS];

OPOOL__HIDDEN void opool__sample_start(uint32_t mode, uint32_t every);

/* Draws this thread's `skip`. None is skipped where the image is another process's: the next event is to see that. */
OPOOL__HIDDEN void opool__sample_skip(struct opool__worker *worker);

/* How many recorded calls until the next one that is timed: drawn in all modes, a thread's first ones as well. */
OPOOL__HIDDEN uint32_t opool__sample_until_timed(struct opool__worker *worker);

/* In a forked child: no block is known. */
OPOOL__HIDDEN void opool__sample_forget(void);

/* In one that was forked in the midst of a recording: what other threads were about to change. */
OPOOL__HIDDEN void opool__sample_forget_others(void);

static inline uint8_t *opool__sample_cell(const void *at)
{
    return &opool__sample_filter[(uintptr_t)at >> OPOOL__FILTER_LINE_BITS & (OPOOL__FILTER_CELLS - 1)];
}

/* Who frees a block got it from who allocated it, and sees what that one added. */
static inline bool opool__sample_excludes(const void *at)
{
    return opool__load_relaxed(opool__sample_cell(at)) == 0;
}

/* As opool__block_know and opool__block_forget. A handler that interrupts this very code must not wait for it: then
   what can not be forgotten at once is not. */
OPOOL__HIDDEN bool opool__sample_know(const void *at, uint32_t record, uint64_t size, uint64_t now);
OPOOL__HIDDEN bool opool__sample_take(const void *at, struct opool__known *known, bool may_wait);

#endif
