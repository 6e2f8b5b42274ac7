/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_EPOCH_EPOCH_H
#define OPOOL_EPOCH_EPOCH_H

/* The process-wide epoch clock: a number that only grows. A leaf: it knows nothing of pools; who stamps with it or acts
   on it stands above. */

#include <opool/atomic.h>
#include <stdint.h>

uint64_t opool__epoch_now(void);

/* Begin the next epoch; returns its number. One caller at a time. */
uint64_t opool__epoch_begin(void);

/*
 * While nothing is idle whoever ticks may sleep without a deadline. He says so first, then looks again at every place
 * where something idle may be, under its lock; who makes something idle does so under that lock and stirs afterwards:
 * so one of the two sees the other.
 */
extern uint32_t opool__shared_dormant;
void opool__epoch_doze(void (*wake)(void));
void opool__epoch_rouse(void);

static inline void opool__epoch_stir(void)
{
    if (__builtin_expect(opool__load_relaxed(&opool__shared_dormant) != 0, 0))
        opool__epoch_rouse();
}

#endif
