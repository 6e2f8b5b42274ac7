/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gain.h"

const uint64_t opool__profile_cost_sizes[COST_SIZES] = {32, 256, 2048, 16384, 131072, 1048576};

/* ---- the interval ---- */

/* Between measured sizes, by the logarithm of the size. */
static struct cost allocation_of(const struct costs *costs, double bytes)
{
    const uint64_t *sizes = opool__profile_cost_sizes;
    int above = 0;
    while (above < COST_SIZES && (double)sizes[above] < bytes)
        above++;
    if (above == 0)
        return costs->allocation[0];
    if (above == COST_SIZES)
        return costs->allocation[COST_SIZES - 1];
    const struct cost *a = &costs->allocation[above - 1], *b = &costs->allocation[above];
    double share = log(bytes / (double)sizes[above - 1]) / log((double)sizes[above] / (double)sizes[above - 1]);
    return (struct cost){a->low + (b->low - a->low) * share, a->high + (b->high - a->high) * share};
}

/* What a pool does without: the calls that move the break or map, the faults. */
static struct cost system_of(const struct costs *costs, const struct spent *spent)
{
    return (struct cost){
        spent->faults * costs->fault.low + spent->breaks * costs->brk.low + spent->maps * costs->map.low,
        spent->faults_most * costs->fault.high + spent->breaks * costs->brk.high + spent->maps * costs->map.high,
    };
}

/* A mean beyond so many times what is known to cost is one of interruptions, which a pool would have as well. */
static const double timed_most = 10;

/* In the process a pair costs more than it was measured to, since caches are cold: so would a pool's, in proportion. */
static double saved_by_time(const struct costs *costs, const struct spent *spent, struct cost pair, double system)
{
    double each = spent->timed_pair - 2 * costs->clock.low, cold = pair.high > 0 ? each / pair.high : 1;
    double saved = spent->pairs * (each - costs->pool.high * fmax(cold, 1));
    return fmin(saved, timed_most * (spent->pairs * pair.high + system));
}

/* No more than the program used can be gained. Where an end is a loss, it is the other processor time that makes the
   interval wider. */
void opool__profile_rates(struct gain *gain, double seconds, struct cost cpu)
{
    gain->has_share = cpu.low > 0;
    if (gain->has_share) {
        gain->high = fmin(gain->high, cpu.low);
        gain->low = fmin(gain->low, gain->high);
        gain->low_share = gain->low / (gain->low < 0 ? cpu.low : cpu.high);
        gain->high_share = gain->high / (gain->high < 0 ? cpu.high : cpu.low);
    }
    if (seconds > 0) {
        gain->low_a_second = gain->low / 1e3 / seconds;
        gain->high_a_second = gain->high / 1e3 / seconds;
    }
}

/*
 * Low: the allocator at its cheapest against a pool at its dearest; high: the other way round. What was timed in the
 * process has its faults and calls in it already, so the greater of the two is the upper end, not their sum.
 */
struct gain opool__profile_gain(const struct costs *costs, const struct spent *spent, double seconds, struct cost cpu)
{
    struct gain gain = {.low = 0};
    struct cost pair = allocation_of(costs, spent->bytes_each), system = system_of(costs, spent);
    gain.low = spent->pairs * (pair.low - costs->pool.high) + system.low + spent->cpuids * costs->cpuid.low;
    gain.high = spent->pairs * (pair.high - costs->pool.low) + system.high;
    if (spent->timed_pair > 0)
        gain.high = fmax(gain.high, saved_by_time(costs, spent, pair, system.high));
    gain.high += spent->cpuids * costs->cpuid.high + spent->filled_kib * costs->fill.high;
    gain.system = system.high;
    opool__profile_rates(&gain, seconds, cpu);
    return gain;
}

/* ---- costs that are given ---- */

struct words {
    const char *word;
    struct cost *cost;
    int count; /* costs, all set to the same */
};

static bool read_number(const char **at, double *to)
{
    char *end;
    errno = 0;
    *to = strtod(*at, &end);
    if (errno != 0 || end == *at || !(*to >= 0) || *to > 1e12)
        return false;
    *at = end;
    return true;
}

static bool read_cost(const char **at, const struct words *words)
{
    struct cost cost;
    if (!read_number(at, &cost.low))
        return false;
    cost.high = cost.low;
    if (**at == ':') {
        ++*at;
        if (!read_number(at, &cost.high))
            return false;
    }
    for (int i = 0; i < words->count; i++)
        words->cost[i] = cost;
    return cost.low <= cost.high;
}

bool opool__profile_read_costs(struct costs *costs, const char *text, bool *are_all, const char **why)
{
    const struct words words[] = {
        {"malloc", costs->allocation, COST_SIZES},
        {"pool", &costs->pool, 1},
        {"fault", &costs->fault, 1},
        {"brk", &costs->brk, 1},
        {"map", &costs->map, 1},
        {"cpuid", &costs->cpuid, 1},
        {"fill", &costs->fill, 1},
        {"clock", &costs->clock, 1},
    };
    const unsigned all = (1U << sizeof words / sizeof *words) - 1;
    unsigned seen = 0;
    *why = "costs are malloc, pool, fault, brk, map, cpuid, fill, clock, as in malloc=20:40,pool=3 (ns, low:high)";
    for (const char *at = text; *at; at++) {
        size_t length = strcspn(at, "="), i = 0;
        while (i < sizeof words / sizeof *words &&
               (strlen(words[i].word) != length || strncmp(at, words[i].word, length) != 0))
            i++;
        if (i == sizeof words / sizeof *words || at[length] != '=')
            return false;
        at += length + 1;
        if (!read_cost(&at, &words[i]) || (*at != ',' && *at != '\0'))
            return false;
        seen |= 1U << i;
        *are_all = seen == all;
        if (*at == '\0')
            return true;
    }
    return false;
}
