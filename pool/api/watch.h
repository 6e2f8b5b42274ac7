/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_WATCH_H
#define OPOOL_API_WATCH_H

/* Watermarks of one pool: at most one watch a figure. */

#include <opool/epoch.h>

enum { OPOOL__WATCH_FIGURES = OPOOL_WATCH_RESIDENT_BYTES + 1 };

/* AGAIN: somebody came meanwhile, who may have seen more. */
enum opool__looking { OPOOL__NOBODY_LOOKS, OPOOL__LOOKS, OPOOL__LOOKS_AGAIN };

struct opool__watches {
    uint32_t lock;
    uint32_t shared_count;   /* figures that are watched; mostly 0, and then nobody looks further */
    uint32_t shared_looking; /* enum opool__looking: one compares and tells at a time */
    uint32_t shared_looks;   /* how often somebody was done with it */
    struct opool__watched {
        struct opool_watch watch; /* high 0: none */
        bool above;               /* high was told, low was not since */
    } figures[OPOOL__WATCH_FIGURES];
};

/* In the child of a fork: nobody is looking, and eventfds are its parent's. */
void opool__watch_forked(struct opool__watches *watches);

#endif
