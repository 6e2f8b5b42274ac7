/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_WATCH_H
#define OPOOL_API_WATCH_H

/* Watermarks of one pool: at most one watch a figure. */

#include <opool/epoch.h>

enum { OPOOL__WATCH_FIGURES = OPOOL_WATCH_RESIDENT_BYTES + 1 };

struct opool__watches {
    uint32_t lock;
    uint32_t shared_count;   /* figures that are watched; mostly 0, and then nobody looks further */
    uint32_t shared_looking; /* 1 while somebody compares and tells: one at a time */
    struct opool__watched {
        struct opool_watch watch; /* high 0: none */
        bool above;               /* high was told, low was not since */
    } figures[OPOOL__WATCH_FIGURES];
};

/* In the child of a fork: nobody is looking, and eventfds are its parent's. */
void opool__watch_forked(struct opool__watches *watches);

#endif
