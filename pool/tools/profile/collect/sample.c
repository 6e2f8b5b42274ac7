/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <string.h>

#include "block.h"
#include "os/lock.h"
#include "shape/table.h"

enum { SHARD_BITS = 4, SIZE_BITS = 46, MANY = UINT8_MAX };

/* One in so many recorded calls has its time and page faults taken, which are system calls. */
enum { TIMED_EVERY = 128, TIMED_EVERY_SAMPLED = 16 };

bool opool__sampling, opool__counting;
uint8_t opool__sample_filter[OPOOL__FILTER_CELLS];

/* a: record and size; b: birth. */
static struct shard {
    uint32_t lock; /* opool__thread.shard: the one that this thread holds */
    struct opool__table table;
} __attribute__((aligned(64))) shards[1 << SHARD_BITS];

/* Of what is skipped between two. */
static double mean_skipped, mean_untimed;

/* One in `every` comes then: -1 / ln(1 - 1/every), by its series, is the mean of the exponential whose whole part is
   geometric. */
static double mean_between(uint32_t every)
{
    return every > 1 ? every - 0.5 - 1.0 / (12.0 * every) : 0;
}

void opool__sample_start(uint32_t mode, uint32_t every)
{
    opool__sampling = mode == OPOOL__PROFILE_SAMPLED;
    opool__counting = mode == OPOOL__PROFILE_COUNTS;
    mean_skipped = mean_between(every);
    mean_untimed = mean_between(opool__sampling ? TIMED_EVERY_SAMPLED : TIMED_EVERY);
}

/* Locks may be held and tables half written by threads that are not here. */
void opool__sample_forget(void)
{
    if (opool__sampling)
        memset(opool__sample_filter, 0, sizeof opool__sample_filter);
    memset(shards, 0, sizeof shards);
}

void opool__sample_forget_others(void)
{
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++)
        if (shards[i].lock && &shards[i] != opool__thread.shard)
            shards[i] = (struct shard){.lock = 0};
}

/* ---- blocks ---- */

/* From many on it is not counted any more: the filter lets pass what comes there, for ever. */
static void count(const void *at, int one)
{
    uint8_t *cell = opool__sample_cell(at), seen = opool__load_relaxed(cell);
    while (seen != MANY && !opool__cas_relaxed(cell, &seen, (uint8_t)(seen + one)))
        continue;
}

static struct shard *shard_of(const void *at)
{
    return &shards[opool__hash((uintptr_t)at) >> (64 - SHARD_BITS)];
}

/* A signal handler may come between: it knows the shard as another thread's then, and empties it, before or after it
   is used here. */
static bool lock(struct shard *shard, bool may_wait, const struct shard **before)
{
    if (may_wait)
        opool__lock_take(&shard->lock);
    else if (!opool__lock_try(&shard->lock))
        return false;
    *before = opool__thread.shard;
    opool__thread.shard = shard;
    opool__light_barrier();
    return true;
}

static void unlock(struct shard *shard, const struct shard *before)
{
    opool__light_barrier();
    opool__thread.shard = before;
    opool__lock_drop(&shard->lock);
}

bool opool__sample_know(const void *at, uint32_t record, uint64_t size, uint64_t now)
{
    struct shard *shard = shard_of(at);
    const struct shard *before;
    if (size >> SIZE_BITS)
        return false;
    (void)lock(shard, true, &before);
    struct opool__entry *entry = opool__table_add(&shard->table, (uintptr_t)at);
    if (entry) {
        entry->a = (uint64_t)record << SIZE_BITS | size;
        entry->b = now;
    }
    unlock(shard, before);
    if (entry)
        count(at, 1);
    return entry;
}

bool opool__sample_take(const void *at, struct opool__known *known, bool may_wait)
{
    struct shard *shard = shard_of(at);
    const struct shard *before;
    if (!lock(shard, may_wait, &before))
        return false;
    struct opool__entry *entry = opool__table_find(&shard->table, (uintptr_t)at);
    if (entry) {
        *known = (struct opool__known){.record = (uint32_t)(entry->a >> SIZE_BITS),
                                       .size = entry->a & ((UINT64_C(1) << SIZE_BITS) - 1),
                                       .birth = entry->b};
        opool__table_remove(&shard->table, entry);
    }
    unlock(shard, before);
    if (entry)
        count(at, -1);
    return entry;
}

/* ---- how many are skipped ---- */

/* Of a number that is uniform in (0, 1]: its logarithm to base 2, negated. One part in a hundred off at the most. */
static double minus_log2(uint64_t random)
{
    unsigned zeros = (unsigned)__builtin_clzll(random | 1);
    double mantissa = (double)((random | 1) << zeros >> 11) * 0x1p-52; /* 1 to 2 */
    return zeros + 1 - ((-mantissa / 3 + 2) * mantissa - 5.0 / 3);
}

static uint64_t draw(struct opool__worker *worker, double mean)
{
    /* xorshift64*: the upper bits are what is used most. */
    worker->random |= worker->random == 0;
    worker->random ^= worker->random >> 12;
    worker->random ^= worker->random << 25;
    worker->random ^= worker->random >> 27;
    return 1 + (uint64_t)(minus_log2(worker->random * UINT64_C(0x2545F4914F6CDD1D)) * 0.6931471805599453 * mean);
}

void opool__sample_skip(struct opool__worker *worker)
{
    if (!opool__sampling)
        return;
    opool__thread.skip = draw(worker, mean_skipped);
    opool__light_barrier(); /* a signal handler may fork */
    if (!*opool__image_own)
        opool__thread.skip = 0;
}

uint32_t opool__sample_until_timed(struct opool__worker *worker)
{
    return (uint32_t)draw(worker, mean_untimed);
}
