/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_TICKING_H
#define OPOOL_TOOLS_TRY_TICKING_H

/*
 * Who ticks, so that what a burst left goes back.
 *
 * Slow paths of the pools do it anyway (options.epoch_ms), but a program whose requests are all hits has none: so each
 * LOOK_EACH-th request looks at the clock, and ticks when it is time. A program that makes no requests needs a thread,
 * which is not for every program: one that has a second thread can not enter a user namespace (unshare, setns), takes
 * its C library's locks in earnest, and, if it counts its threads, finds one too many. So that is for who asks.
 */
#include <stdbool.h>
#include <stdint.h>

#include "area.h"

/* So many requests of a thread, of one kind, from look to look; the first one of all looks too. */
enum { OPOOL__TICKING_EACH = 1024 };

/* What a pool shall have as options.epoch_ms. */
__attribute__((visibility("hidden"))) unsigned opool__ticking_start(const struct opool__try_config *config);

/* This process came out of a fork: it has no thread yet. */
__attribute__((visibility("hidden"))) void opool__ticking_forked(void);

/* Inside (serve.h), but in no call of a pool. */
__attribute__((visibility("hidden"), cold)) void opool__ticking_look(void);

static inline bool opool__ticking_due(uint64_t gets)
{
    return __builtin_expect(gets % OPOOL__TICKING_EACH == 1, 0);
}

#endif
