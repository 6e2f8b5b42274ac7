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

/* So often it looks whether a limit was passed since the last tick. */
#define LOOK_NS UINT64_C(100000000)

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

static void rouse(void)
{
    opool__sleeper_rouse(&ticker.sleeper);
}

/* True: nothing is idle, and whoever puts something wakes the thread from now on. */
static bool doze(const struct opool__tick_report *report)
{
    if (report->left_idle || report->heads || report->untrimmed)
        return false;
    opool__epoch_doze(rouse);
    if (!opool__anything_idle())
        return true;
    opool__epoch_rouse();
    return false;
}

/* `torn_down`: bytes, by the tick before; 0 when a doze lies between: what is built then is not built again at once. */
static void note(struct opool__pace *pace, uint64_t torn_down, const struct opool__tick_report *report, bool pressure)
{
    const struct opool__pace_tick tick = {.torn_down = torn_down,
                                          .rebuilt = report->rebuilt_bytes,
                                          .found = report->torn_down_bytes,
                                          .idle_bytes = report->idle_bytes,
                                          .soft_limit = ticker.options.soft_limit_bytes,
                                          .pressure = pressure};
    (void)opool__pace_next(pace, &tick);
}

/* Until a tick is due, or something asks for it. Looks at limits on the way, while that is of use. */
static unsigned sleep_until(uint64_t due, const struct opool__pace *pace)
{
    uint64_t limit = ticker.options.soft_limit_bytes;
    bool looks = opool__pace_heeds_limits(pace) && (limit || ticker.sleeper.sources & OPOOL__SOURCE_CGROUP);
    for (;;) {
        uint64_t look = opool__os.now() + LOOK_NS;
        unsigned why = opool__sleeper_sleep(&ticker.sleeper, looks && look < due ? look : due);
        if (why || opool__os.now() >= due)
            return why;
        if (opool__sleeper_under_pressure(&ticker.sleeper))
            return OPOOL__PRESSURE;
        if (limit && opool__idle_bytes() > limit)
            return 0;
    }
}

/* Nothing is idle: until something is; a whole epoch begins then. Returns whether it took longer than an epoch. */
static bool sleep_idle(struct opool__pace *pace)
{
    uint64_t start = opool__os.now();
    opool__sleeper_doze(&ticker.sleeper);
    uint64_t slept = opool__os.now() - start;
    bool is_long = slept >= pace->last;
    opool__pace_rest(pace, slept);
    return is_long;
}

static bool stopped(void)
{
    return opool__load_acquire(&ticker.shared_stop) != 0;
}

static void *run(void *unused)
{
    struct opool__pace pace;
    uint64_t torn_down = 0;
    opool__pace_start(&pace, (uint64_t)ticker.options.period_ms * 1000000u);
    while (!stopped()) {
        unsigned why = sleep_until(opool__os.now() + pace.last, &pace);
        if (why == OPOOL__WOKEN) /* to stop, or late from a doze */
            continue;
        struct opool__tick_report report = opool__tick();
        bool pressure = (why & OPOOL__PRESSURE) || opool__sleeper_under_pressure(&ticker.sleeper);
        note(&pace, torn_down, &report, pressure);
        bool rested = doze(&report) && sleep_idle(&pace);
        torn_down = rested ? 0 : report.torn_down_bytes;
    }
    return unused;
}

static void await_stop(void)
{
    while (opool__load_acquire(&ticker.shared_phase) == STOPPING)
        opool__os.wait(&ticker.shared_phase, STOPPING, 0);
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
        opool__sleeper_wake(&ticker.sleeper);
        opool__os.thread_join(ticker.thread);
        opool__epoch_rouse(); /* it may have dozed: nobody is to be woken any more */
        opool__lock_take(&ticker.lock);
        opool__sleeper_close(&ticker.sleeper);
        opool__store_release(&ticker.shared_phase, (uint32_t)NONE);
        opool__lock_drop(&ticker.lock);
        opool__os.wake(&ticker.shared_phase, INT32_MAX);
    }
    await_stop();
}

void opool_epoch_stop(void)
{
    if (!opool__refused_in_callback("opool_epoch_stop", false))
        stop();
}

/* Callbacks use what the program's own exit handlers and destructors are about to end. */
static void stop_at_exit(void)
{
    if (opool__load_acquire(&ticker.shared_phase) != NONE && !opool__os.is_thread(ticker.thread))
        stop();
}

/* ---- start ---- */

static void say_what_is_missing(int error)
{
    opool__say("opool_epoch_start: use_pressure: no pressure stall information (%s) and no control group with a "
               "memory limit: ticks come by the period alone",
               strerror(error));
}

static void register_at_exit(void)
{
    ticker.at_exit = ticker.at_exit || atexit(stop_at_exit) == 0;
}

void opool__ticker_at_exit(void)
{
    opool__lock_take(&ticker.lock);
    register_at_exit();
    opool__lock_drop(&ticker.lock);
}

/* -EBUSY: somebody began to stop it. *missing: why pressure was asked for and cannot be heeded; 0: it can. */
static int start_locked(const struct opool_epoch_options *options, int *missing)
{
    uint32_t phase = opool__load_relaxed(&ticker.shared_phase);
    if (phase != NONE)
        return phase == STOPPING ? -EBUSY : -EALREADY;
    ticker.options = *options;
    opool__sleeper_open(&ticker.sleeper, ticker.options.use_pressure);
    opool__store_relaxed(&ticker.shared_stop, 0u);
    int r = opool__os.thread_start(&ticker.thread, run, "opool-epoch");
    if (r != 0) {
        opool__sleeper_close(&ticker.sleeper);
        return r;
    }
    opool__store_release(&ticker.shared_phase, (uint32_t)RUNNING);
    register_at_exit();
    *missing = options->use_pressure && ticker.sleeper.sources == 0 ? ticker.sleeper.error : 0;
    return 0;
}

int opool__epoch_start(const struct opool_epoch_options *options, size_t options_size)
{
    struct opool_epoch_options own = {0};
    if (options)
        memcpy(&own, options, options_size < sizeof own ? options_size : sizeof own);
    if (own.period_ms == 0)
        own.period_ms = DEFAULT_MS;
    int missing = 0, r = opool__process_init(); /* before the lock: it registers fork handlers, which take it */
    if (r != 0)
        return r;
    do {
        await_stop();
        opool__lock_take(&ticker.lock);
        r = start_locked(&own, &missing);
        opool__lock_drop(&ticker.lock);
    } while (r == -EBUSY);
    if (r == 0 && missing)
        say_what_is_missing(missing);
    return r;
}

/* For other languages: the size is that of this version. */
#undef opool_epoch_start
int opool_epoch_start(const struct opool_epoch_options *options)
{
    return opool__epoch_start(options, sizeof *options);
}

void opool__ticker_lock(void)
{
    opool__lock_take(&ticker.lock);
}

void opool__ticker_unlock(void)
{
    opool__lock_drop(&ticker.lock);
}

void opool__ticker_forget(void)
{
    opool__lock_reset(&ticker.lock);
    opool__sleeper_close(&ticker.sleeper);
    opool__store_relaxed(&ticker.shared_phase, (uint32_t)NONE);
    opool__store_relaxed(&opool__shared_dormant, 0u);
}
