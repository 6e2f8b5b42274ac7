/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_TICK_H
#define OPOOL_TOOLS_PROFILE_COLLECT_TICK_H

/* What is written from time to time by whichever thread's call comes then: a point of the timeline, the sums of the
   header. When the timeline is full every second point goes, and the next ones come half as often. */

#include "image.h"

/* When the next one is due, by opool__clock_now. */
extern OPOOL__HIDDEN uint64_t opool__tick_due;

OPOOL__HIDDEN void opool__tick_start(void);
OPOOL__HIDDEN void opool__tick_now(uint64_t now);

/* The last one, at the process's end. */
OPOOL__HIDDEN void opool__tick_end(void);

static inline void opool__tick(uint64_t now)
{
    if (OPOOL__UNLIKELY(now >= opool__load_relaxed(&opool__tick_due)))
        opool__tick_now(now);
}

#endif
