/* SPDX-License-Identifier: MIT */

/*
 * Worker processes: a pool that is filled before fork, and a thread that ticks in each of them.
 *
 * Introduces opool_epoch_start in a forked child, opool_options.prefill, and what a child finds.
 *
 * Each worker finds what its parent built, uses it, makes a burst of its own, and waits until its own ticks have torn
 * down all but what the pool keeps. It checks that in every worker.
 */
#include <opool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 3, KEEP = 50, BURST = 2000, PERIOD_MS = 20, PATIENCE_MS = 20000 };

struct context {
    char bytes[1000];
};

OPOOL_DEFINE(context_pool, struct context);

static struct opool_stats figures(struct context_pool *pool)
{
    struct opool_stats stats = {0};
    (void)opool_stats_read(context_pool_base(pool), &stats);
    return stats;
}

static uint64_t exist(struct context_pool *pool)
{
    struct opool_stats stats = figures(pool);
    return stats.built - stats.torn_down;
}

static bool burst(struct context_pool *pool)
{
    static struct context *contexts[BURST];
    size_t n = context_pool_get_batch(pool, contexts, BURST);
    context_pool_put_batch(pool, contexts, n);
    return n == BURST;
}

/* Only the calling thread lives on in a child: the parent's epoch thread, if it had one, does not. */
static int work(struct context_pool *pool)
{
    const struct timespec pause = {0, PERIOD_MS * 1000000L};
    struct opool_epoch_options options = {.period_ms = PERIOD_MS};
    uint64_t found = figures(pool).built;
    if (opool_epoch_start(&options) != 0 || found != KEEP || !burst(pool))
        return 1;
    for (int waited = 0; exist(pool) > KEEP && waited < PATIENCE_MS; waited += PERIOD_MS)
        nanosleep(&pause, NULL);
    printf("worker %d: found %u, built %u, keeps %u\n", (int)getpid(), (unsigned)found, (unsigned)figures(pool).built,
           (unsigned)exist(pool));
    opool_epoch_stop();
    return exist(pool) == KEEP ? 0 : 1;
}

int main(void)
{
    struct opool_options options = {.prefill = KEEP, .keep = KEEP};
    struct context_pool *pool;
    int failed = 0, status;
    if (context_pool_create(&pool, &options) != 0)
        return 1;
    for (int i = 0; i < WORKERS; i++) {
        pid_t child = fork();
        if (child == 0)
            return work(pool);
        failed += child < 0;
    }
    while (wait(&status) > 0)
        failed += status != 0;
    context_pool_destroy(&pool);
    return failed ? 1 : 0;
}
