/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_EPOCH_H
#define OPOOL_EPOCH_H

/*
 * Epochs: how memory follows the load. A tick begins an epoch for all pools of the process; an object is used when a
 * get returns it or a put receives it.
 *
 * 1. An idle object beyond `keep` that was unused during two whole epochs is torn down by the tick that ends the
 *    second, whether its thread runs, sleeps or ended. A running thread's cache may keep up to 8 such objects longer. A
 *    thread that is inside an operation on its cache at the moment of a tick, or was stopped there, delays this
 *    (counted: steal_timeouts), and where the system refuses membarrier (gauge `locked`) the cache of a thread that
 *    sleeps since then is left alone.
 * 2. No tick tears down an object that was used since the previous tick began.
 *
 * Nothing ticks unless asked: call opool_epoch_advance from a loop or timer of your own, or opool_epoch_start once, or
 * give pools options.epoch_ms. EPOCHS.md, installed beside the README, says how to choose the period.
 *
 * Thread safety: any call from any thread at any time; none is async-signal-safe.
 */

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One tick for every pool: begins an epoch, tears down what is due (fini, outside all locks, on the calling thread) and
 * gives the memory of free slots back to the system: empty slabs, and free pages of others. Stops no thread and waits
 * for none that is inside a get or put; for another tick, and up to 10 ms for a pool that meets its capacity or closes.
 * Takes as long as the tear-down takes: for an event loop that minds, opool_epoch_start. From a timer: one call a
 * wake-up, not one for each expiration that was missed, as two in a row are two epochs.
 *
 * @return the number of the epoch that it began; from inside a callback of a pool it is refused: a line on standard
 *         error says so (unless OPOOL_CHECKS=off), nothing happens, and the current epoch is returned; that of a
 *         watch may call it
 */
OPOOL_API uint64_t opool_epoch_advance(void);

/** The current epoch: ticks so far in this process; a forked child goes on from its parent's. */
OPOOL_API uint64_t opool_epoch_now(void);

/** How the background thread ticks; zero is the default of each. */
struct opool_epoch_options {
    unsigned period_ms;      /**< milliseconds between ticks; 0: 1000; less than 10: 10 */
    size_t soft_limit_bytes; /**< idle bytes of all pools, beyond what they keep, above which ticks come sooner; 0: no
                                  limit. Looked at ten times a second */
    bool use_pressure;       /**< ticks come sooner under memory pressure of the system or the control group */
};

/**
 * Start the thread that ticks, named "opool-epoch": all signals blocked but SIGSEGV and SIGBUS, usual scheduling, the
 * processors of its maker. Callbacks of pools (fini) run on it. It sleeps without waking while nothing is idle that a
 * tick could tear down; makes epochs longer, up to 64 periods (not above ten minutes), while much of what it tears down
 * is built again at once; and shorter, down to 10 ms, above the soft limit and under pressure (PSI, cgroup v2; where
 * the system has neither, one line on standard error says so).
 *
 * A forked child has no such thread and may start its own: start it after daemon(3), not before. With use_pressure it
 * holds up to six descriptors, else none; a program that closes them goes on by the period alone.
 *
 * @param options  read by this call only; NULL: all defaults
 * @return 0; -EALREADY: it runs, with the options of its start (stop it first); or what the system says when it gives
 *         no thread (-EAGAIN, -ENOMEM). Waits for a stop that another thread is about.
 */
OPOOL_API int opool_epoch_start(const struct opool_epoch_options *options);
OPOOL_API int opool__epoch_start(const struct opool_epoch_options *options, size_t options_size);
#define opool_epoch_start(...) opool__epoch_start(__VA_ARGS__, sizeof(struct opool_epoch_options))

/** Stop the thread and wait until its last tick is over, callbacks included: hold no lock that these take. Not running:
    nothing happens. From inside any callback: refused as in opool_epoch_advance. exit() does this by itself, before the
    exit handlers and destructors that were registered before the first start. */
OPOOL_API void opool_epoch_stop(void);

/**
 * First aid, when memory is needed now: tear down every idle object of every pool, `keep` and what was used a moment
 * ago included, and give the memory back. Caches of threads inside a call stay. Not for a loop: what it destroys the
 * next gets build again; epochs do the same work when it pays. From inside a callback: refused, 0; that of a watch may
 * call it. Blocks for a tick of another thread, and for fini.
 *
 * @return bytes given back to the system
 */
OPOOL_API size_t opool_release(void);

/** Give the calling thread's caches of all pools to their depots, for other threads: before a long sleep. Blocks for
    short locks only. */
OPOOL_API void opool_thread_flush(void);

/* ---- watermarks ---- */

/** What a watch looks at. */
enum opool_watch_figure {
    OPOOL_WATCH_LIVE,          /**< objects that are out */
    OPOOL_WATCH_IDLE_BYTES,    /**< bytes of idle objects */
    OPOOL_WATCH_RESIDENT_BYTES /**< bytes of slots and metadata taken from the system */
};

/**
 * Watermarks on one figure of a pool, with hysteresis: told once when the figure is at `high` or above, then once when
 * it is at `low` or below, and so on.
 */
struct opool_watch {
    enum opool_watch_figure figure;
    uint64_t high; /**< 0: ends the watch of this figure */
    uint64_t low;  /**< below high */
    /** May be NULL. Runs outside all locks, inside a slow path or a tick, on whichever thread saw the crossing: hold no
        lock that it takes while calling the pool. May use pools, this one too, call opool_release, and set watches; one
        at a time for each pool. `above`: high was reached, else low. */
    void (*crossed)(struct opool *pool, enum opool_watch_figure figure, bool above, uint64_t value, void *arg);
    void *arg;    /**< given to crossed */
    int event_fd; /**< a nonblocking eventfd(2), for an epoll loop: 1 is added at each crossing, up or down; 0: none.
                       Give each watch its own, and read the figures when it is readable. Stays the caller's, and open
                       until the watch ends: by high 0, destroy, close, or in a forked child */
};

/**
 * Set, replace or (high 0) end the watch of one figure. Figures are looked at in slow paths of the pool and at ticks:
 * a crossing back and forth between two looks is not seen. While a pool is watched its slow paths cost a look at the
 * caches of all threads that use it.
 *
 * Waits until a callback of this pool's watches that runs on another thread is over, but not inside a callback: so what
 * `arg` points to may be freed, and event_fd closed, when it returned.
 *
 * @param watch  copied
 * @return 0; -EINVAL: pool or watch is NULL, the figure is none, low is not below high, nobody is to be told, event_fd
 *         is no nonblocking eventfd, or the pool was destroyed; -EBADF: event_fd is not open
 */
#if defined(__cplusplus) && defined(__GNUC__) /* a struct and a function may have one name, as stat(2) has */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
OPOOL_API int opool_watch(struct opool *pool, const struct opool_watch *watch);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
OPOOL_API int opool__watch(struct opool *pool, const struct opool_watch *watch, size_t watch_size);
#define opool_watch(...) opool__watch(__VA_ARGS__, sizeof(struct opool_watch))

#ifdef __cplusplus
}
#endif
#endif
