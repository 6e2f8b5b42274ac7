/* SPDX-License-Identifier: MIT */
#include <opool/inline.h>

#include "check/guard_arena.h"
#include "os/os.h"

static __thread struct {
    uint64_t random; /* 0: not yet */
    uint32_t left;   /* gets up to the next that is guarded, and that one */
} own __attribute__((tls_model(OPOOL_TLS_MODEL)));

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014. */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* From 1 to n. */
static uint32_t draw(uint32_t n)
{
    own.random += UINT64_C(0x9e3779b97f4a7c15);
    return 1 + (uint32_t)((scramble(own.random) >> 32) * n >> 32);
}

/*
 * Distances from one guarded get to the next are evenly spread over 1 .. 2N-1, so N on average. A thread that began by
 * such a distance would be guarded too seldom while it is young: it begins in the middle of one, as if it had made gets
 * for ever. Then the first is k gets away with a probability in proportion to the distances of at least k, which are
 * 2N-k; and of the pairs of different numbers in 1 .. 2N as many have k as the smaller one.
 */
static uint32_t first_distance(void)
{
    uint32_t a = draw(2 * opool__guard_arena.one_in), b = draw(2 * opool__guard_arena.one_in - 1);
    b += b >= a;
    return a < b ? a : b;
}

bool opool__guard_slots_turn(void)
{
    if (OPOOL__UNLIKELY(own.random == 0)) {
        own.random = scramble(opool__os.now() ^ opool__os.thread_number() << 40) | 1;
        own.left = first_distance();
    }
    if (OPOOL__LIKELY(--own.left != 0))
        return false;
    own.left = draw(2 * opool__guard_arena.one_in - 1);
    return true;
}

void opool__guard_turn_reset(void)
{
    own.random = 0;
}
