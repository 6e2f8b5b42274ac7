/* SPDX-License-Identifier: MIT */

/*
 * Memory that follows the load: a burst of requests, then silence.
 *
 * Introduces opool_epoch_advance, opool_options.keep, opool_watch. A server calls opool_epoch_start(NULL) once instead,
 * and a thread ticks each second; here the program ticks itself, so that it can say what each tick does.
 *
 * It checks that 10,000 objects that were used in one epoch are all there after the next two ticks, that the third one
 * tears down all but the 100 that the pool keeps, and that the watch saw memory go up and come down, once each.
 */

#include <opool.h>
#include <stdio.h>

enum { BURST = 10000, KEEP = 100 };

struct request {
    char bytes[1000];
};

OPOOL_DEFINE(request_pool, struct request);

/* Outside all locks, on the thread that saw it: a server would log it, or refuse work while it is above. */
static void on_crossing(struct opool *pool, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    int *crossings = arg;
    (void)figure;
    crossings[above]++;
    printf("%s: %.1f MiB resident: %s\n", opool_name(pool), (double)value / 1048576,
           above ? "above the high mark" : "below the low mark");
}

static int burst(struct request_pool *pool)
{
    static struct request *requests[BURST];
    size_t n = request_pool_get_batch(pool, requests, BURST);
    request_pool_put_batch(pool, requests, n);
    return n == BURST ? 0 : -1;
}

static unsigned long idle(struct request_pool *pool)
{
    struct opool_stats stats;
    if (opool_stats_read(request_pool_base(pool), &stats) != 0)
        return 0;
    return (unsigned long)(stats.idle_thread + stats.idle_depot + stats.idle_victim);
}

int main(void)
{
    struct opool_options options = {.keep = KEEP};
    struct request_pool *pool;
    int crossings[2] = {0, 0};
    if (request_pool_create(&pool, &options) != 0)
        return 1;
    struct opool_watch watch = {.figure = OPOOL_WATCH_RESIDENT_BYTES,
                                .high = 8 << 20,
                                .low = 1 << 20,
                                .crossed = on_crossing,
                                .arg = crossings};
    if (opool_watch(request_pool_base(pool), &watch) != 0 || burst(pool) != 0)
        return 1;
    unsigned long left[4] = {idle(pool)};
    for (int tick = 1; tick <= 3; tick++) {
        opool_epoch_advance();
        left[tick] = idle(pool);
        printf("after tick %d: %lu idle\n", tick, left[tick]);
    }
    request_pool_destroy(&pool);
    bool kept = left[0] == BURST && left[1] == BURST && left[2] == BURST && left[3] == KEEP;
    return kept && crossings[true] == 1 && crossings[false] == 1 ? 0 : 1;
}
