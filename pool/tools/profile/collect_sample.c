/* SPDX-License-Identifier: MIT */
#include "collect_sample.h"

#include <string.h>

bool opool__sampling, opool__counting;
uint32_t opool__sample_filter[OPOOL__FILTER_CELLS];

static double mean; /* of what is skipped between two */

void opool__sample_start(uint32_t mode, uint32_t every)
{
    opool__sampling = mode == OPOOL__PROFILE_SAMPLED;
    opool__counting = mode == OPOOL__PROFILE_COUNTS;
    /* -1 / ln(1 - 1/every), by its series: the rate of the exponential whose whole part is geometric. */
    mean = every > 1 ? every - 0.5 - 1.0 / (12.0 * every) : 0;
}

void opool__sample_forget(void)
{
    memset(opool__sample_filter, 0, sizeof opool__sample_filter);
}

/* Of a number that is uniform in (0, 1]: its logarithm to base 2, negated. One part in a hundred off at the most. */
static double minus_log2(uint64_t random)
{
    unsigned zeros = (unsigned)__builtin_clzll(random | 1);
    double mantissa = (double)((random | 1) << zeros >> 11) * 0x1p-52; /* 1 to 2 */
    return zeros + 1 - ((-mantissa / 3 + 2) * mantissa - 5.0 / 3);
}

uint64_t opool__sample_skip(struct opool__worker *worker)
{
    if (!opool__sampling)
        return 0;
    /* xorshift64*: the upper bits are what is used most. */
    worker->random |= worker->random == 0;
    worker->random ^= worker->random >> 12;
    worker->random ^= worker->random << 25;
    worker->random ^= worker->random >> 27;
    return 1 + (uint64_t)(minus_log2(worker->random * UINT64_C(0x2545F4914F6CDD1D)) * 0.6931471805599453 * mean);
}
