/* SPDX-License-Identifier: MIT */
#include "ticking.h"

#include <opool/atomic.h>
#include <opool/epoch.h>
#include <time.h>
#include <unistd.h>

#include "api/pool.h"
#include "count.h"

static unsigned period_ms;
static pid_t process;             /* whose thread it is, or would be */
static uint32_t shared_by_thread; /* until one is refused */
static uint32_t shared_asked;     /* for the thread, in this process */
static uint32_t shared_busy;      /* somebody is at the two below */
static uint64_t last_epoch, last_ms;

static uint64_t now_ms(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

unsigned opool__ticking_start(const struct opool__try_config *config)
{
    bool by_thread = config->by_thread != 0;
    period_ms = config->epoch_ms;
    process = getpid();
    last_ms = now_ms();
    opool__store_relaxed(&shared_by_thread, (uint32_t)by_thread);
    if (by_thread)
        opool__ticker_at_exit();
    return by_thread ? 0 : period_ms;
}

void opool__ticking_forked(void)
{
    process = getpid();
    opool__store_relaxed(&shared_asked, 0u);
    opool__store_relaxed(&shared_busy, 0u);
}

/* Once a process, since the library stops it at exit, after which there shall be no other. Not in a child that shares
   our memory (vfork), or that no handler of fork has seen: what the parent's locks are there nobody knows. */
static void ask_for_thread(void)
{
    struct opool_epoch_options options = {.period_ms = period_ms};
    if (opool__load_relaxed(&shared_asked) || getpid() != process || opool__exchange_acquire(&shared_asked, 1u))
        return;
    int r = opool_epoch_start(&options);
    if (r == 0)
        return;
    opool__count_area()->no_thread = (uint32_t)-r;
    opool__store_relaxed(&shared_by_thread, 0u);
}

/* A slow path that ticked meanwhile begins a new period. */
static bool is_due(uint64_t now)
{
    uint64_t epoch = opool_epoch_now();
    bool due = epoch == last_epoch && now - last_ms >= period_ms;
    if (epoch != last_epoch || due) {
        last_epoch = epoch;
        last_ms = now;
    }
    return due;
}

static void tick_if_due(void)
{
    if (opool__exchange_acquire(&shared_busy, 1u))
        return;
    if (is_due(now_ms()))
        (void)opool_epoch_advance();
    opool__store_release(&shared_busy, 0u);
}

void opool__ticking_look(void)
{
    if (opool__load_relaxed(&shared_by_thread))
        ask_for_thread();
    else
        tick_if_due();
}
