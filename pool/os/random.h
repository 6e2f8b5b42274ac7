/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_RANDOM_H
#define OPOOL_OS_RANDOM_H

/*
 * Random numbers for the order in which slots are handed out: not for secrets. A generator is one word that its owner
 * guards by a lock; seeds are opool__os.seed's. Who sees enough of a pool's addresses can work out the rest of that
 * pool's order, of no other pool's.
 */

#include <stdint.h>

/* The entry of the table in os.h. */
uint64_t opool__os_seed(void);

/* A number below n; *state is not 0 (Vigna's xorshift64*: never 0 then). */
static inline uint32_t opool__random_below(uint64_t *state, uint32_t n)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (uint32_t)((x * UINT64_C(0x2545f4914f6cdd1d) >> 32) * n >> 32);
}

#endif
