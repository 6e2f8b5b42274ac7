/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_EPOCH_PACE_H
#define OPOOL_EPOCH_PACE_H

/*
 * How long the next epoch shall be. Arithmetic only: no clock, no locks; one thread uses it.
 *
 * Limits win: under memory pressure the next tick comes after 10 ms, above the soft limit after half the time of the
 * last one, and so on down to 10 ms; afterwards the time doubles from tick to tick. When four such ticks in a row found
 * nothing to tear down, all that is idle is also in use, and limits are not heeded until a tick finds something.
 *
 * Back-off: what a tick tore down and the epoch behind it built again should not have gone, if it was not just a small
 * part of what is idle. Epochs get twice as long, up to 64 periods, but not above ten minutes (or the period). A
 * shorter one is tried again after 8 epochs; when the same happens again soon, the wait for the next try doubles, up to
 * 256 epochs; when it does not, it halves. So a load that swings at a pace of its own is torn down and built again less
 * than once in a hundred times, and when it is gone the period comes back; time without anything idle counts for that
 * as well.
 */

#include <stdbool.h>
#include <stdint.h>

#define OPOOL__PACE_LEAST_NS UINT64_C(10000000)
#define OPOOL__PACE_MOST_NS UINT64_C(600000000000)
enum { OPOOL__PACE_FACTOR_MOST = 64, OPOOL__PACE_HOLD_LEAST = 8, OPOOL__PACE_HOLD_MOST = 256, OPOOL__PACE_VAIN = 4 };

struct opool__pace {
    uint64_t period, last; /* ns: as asked for; the last answer */
    uint32_t factor;       /* epochs are so many periods long, limits aside */
    uint32_t hold, left;   /* epochs between tries of a shorter one; and until the next */
    uint32_t calm;         /* epochs since something was torn down and built again at once */
    uint32_t vain;         /* ticks in a row that a limit brought, and that tore nothing down */
};

struct opool__pace_tick {
    uint64_t torn_down;              /* bytes of objects, by the tick before the last epoch */
    uint64_t rebuilt;                /* bytes of objects built during it */
    uint64_t found;                  /* bytes that this tick tore down */
    uint64_t idle_bytes, soft_limit; /* of all pools, beyond what they keep; limit 0: none */
    bool pressure;
};

void opool__pace_start(struct opool__pace *pace, uint64_t period_ns);

/* Nanoseconds from this tick to the next. */
uint64_t opool__pace_next(struct opool__pace *pace, const struct opool__pace_tick *tick);

/* So many nanoseconds went by without a tick, as nothing was idle. */
void opool__pace_rest(struct opool__pace *pace, uint64_t ns);

/* Would an earlier tick be of use when a limit asks for it? */
bool opool__pace_heeds_limits(const struct opool__pace *pace);

#endif
