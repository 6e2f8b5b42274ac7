/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/pool.h"
#include "epoch/epoch.h"
#include "epoch/pace.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"
#include "os/sleeper.h"

/*
 * The background thread that ticks. When is the pace's decision (epoch/pace.c), the sleeper's what ends a sleep early
 * (os/sleeper.c); here is its life.
 *
 * It dozes, with no deadline, when the last tick left nothing idle: it says so, looks again, and sleeps until somebody
 * puts something (epoch/epoch.h).
 */

enum { DEFAULT_MS = 1000 };

enum phase { NONE, RUNNING, STOPPING };

static struct {
    uint32_t lock;         /* of start and stop */
    uint32_t shared_phase; /* enum phase; stop waits on it */
    uint32_t shared_stop;
    uintptr_t thread;
    struct opool_epoch_options options;
    struct opool__sleeper sleeper;
    bool at_exit; /* registered */
} ticker;

static void wake(void)
{
    opool__sleeper_wake(&ticker.sleeper);
}

/* True: nothing is idle, and whoever puts something wakes the thread from now on. */
static bool doze(const struct opool__tick_report *report)
{
    if (report->left_idle || report->heads)
        return false;
    opool__epoch_doze(wake);
    if (!opool__anything_idle())
        return true;
    opool__epoch_rouse();
    return false;
}

/* What was built since the last tick, of what that tick tore down. */
struct history {
    uint64_t built, torn_down;
};

static uint64_t delay_after(struct opool__pace *pace, struct history *history, const struct opool__tick_report *report,
                            bool pressure)
{
    struct opool__pace_tick tick = {.torn_down = history->torn_down,
                                    .rebuilt = report->built - history->built,
                                    .idle_bytes = report->idle_bytes,
                                    .soft_limit = ticker.options.soft_limit_bytes,
                                    .pressure = pressure};
    *history = (struct history){.built = report->built, .torn_down = report->torn_down};
    return opool__pace_next(pace, &tick);
}

static bool stopped(void)
{
    return opool__load_acquire(&ticker.shared_stop) != 0;
}

static void *run(void *unused)
{
    struct opool__pace pace;
    struct history history = {0, 0};
    uint64_t delay = (uint64_t)ticker.options.period_ms * 1000000u;
    opool__pace_start(&pace, delay);
    bool dozes = false;
    while (!stopped()) {
        uint64_t due = dozes ? 0 : opool__os.now() + delay;
        unsigned why = opool__sleeper_sleep(&ticker.sleeper, due);
        if (why & OPOOL__WOKEN) { /* to stop, or from a doze: a whole epoch begins */
            dozes = false;
            continue;
        }
        struct opool__tick_report report = opool__tick();
        bool pressure = (why & OPOOL__PRESSURE) || opool__sleeper_under_pressure(&ticker.sleeper);
        delay = delay_after(&pace, &history, &report, pressure);
        dozes = doze(&report);
    }
    return unused;
}

static void stop(void)
{
    opool__lock_take(&ticker.lock);
    bool mine = opool__load_relaxed(&ticker.shared_phase) == RUNNING;
    if (mine)
        opool__store_relaxed(&ticker.shared_phase, (uint32_t)STOPPING);
    opool__lock_drop(&ticker.lock);
    if (mine) {
        opool__store_release(&ticker.shared_stop, 1u);
        wake();
        opool__os.thread_join(ticker.thread);
        opool__epoch_rouse(); /* it may have dozed: nobody is to be woken any more */
        opool__lock_take(&ticker.lock);
        opool__sleeper_close(&ticker.sleeper);
        opool__store_release(&ticker.shared_phase, (uint32_t)NONE);
        opool__lock_drop(&ticker.lock);
        opool__os.wake(&ticker.shared_phase, INT32_MAX);
    }
    while (opool__load_acquire(&ticker.shared_phase) == STOPPING)
        opool__os.wait(&ticker.shared_phase, STOPPING, 0);
}

void opool_epoch_stop(void)
{
    if (!opool__refused_in_callback("opool_epoch_stop"))
        stop();
}

/* Callbacks use what the program's own exit handlers and destructors are about to end. */
static void stop_at_exit(void)
{
    if (opool__load_acquire(&ticker.shared_phase) == RUNNING && !opool__os.is_thread(ticker.thread))
        stop();
}

/* ---- start ---- */

static void say_what_is_missing(void)
{
    if (opool__checks_default() != OPOOL_CHECKS_OFF)
        opool__say("opool_epoch_start: use_pressure: this system has neither pressure stall information nor a control "
                   "group with a memory limit: ticks come by the period alone");
}

static int start_locked(void)
{
    if (opool__load_relaxed(&ticker.shared_phase) != NONE)
        return -EALREADY;
    int r = opool__process_init();
    if (r == 0)
        r = opool__sleeper_open(&ticker.sleeper, ticker.options.use_pressure);
    if (r != 0)
        return r;
    opool__store_relaxed(&ticker.shared_stop, 0u);
    r = opool__os.thread_start(&ticker.thread, run, "opool-epoch");
    if (r != 0) {
        opool__sleeper_close(&ticker.sleeper);
        return r;
    }
    opool__store_release(&ticker.shared_phase, (uint32_t)RUNNING);
    ticker.at_exit = ticker.at_exit || atexit(stop_at_exit) == 0;
    return 0;
}

int opool__epoch_start(const struct opool_epoch_options *options, size_t options_size)
{
    struct opool_epoch_options own = {0};
    if (options)
        memcpy(&own, options, options_size < sizeof own ? options_size : sizeof own);
    if (own.period_ms == 0)
        own.period_ms = DEFAULT_MS;
    opool__lock_take(&ticker.lock);
    bool free = opool__load_relaxed(&ticker.shared_phase) == NONE;
    if (free)
        ticker.options = own;
    int r = start_locked();
    bool missing = r == 0 && own.use_pressure && ticker.sleeper.sources == 0;
    opool__lock_drop(&ticker.lock);
    if (missing)
        say_what_is_missing();
    return r;
}

/* For other languages: the size is that of this version. */
#undef opool_epoch_start
int opool_epoch_start(const struct opool_epoch_options *options)
{
    return opool__epoch_start(options, sizeof *options);
}

void opool__ticker_forget(void)
{
    opool__lock_reset(&ticker.lock);
    opool__sleeper_forget(&ticker.sleeper);
    opool__store_relaxed(&ticker.shared_phase, (uint32_t)NONE);
    opool__store_relaxed(&opool__shared_dormant, 0u);
}
