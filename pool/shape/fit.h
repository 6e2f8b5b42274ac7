/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_FIT_H
#define OPOOL_SHAPE_FIT_H

/*
 * The footprint guard of an owning pool: which objects hold too much to be kept, and whether the pool churns (throws
 * away what is built again at once) or bloats (keeps far more than is used). Works on windows of puts, no clock.
 *
 * The callback gives two numbers because one is not enough: once every object has bloated, all footprints look alike.
 * Not thread-safe: the caller has a lock around it.
 */

#include <opool/types.h>

enum { OPOOL__FIT_CLASSES = 48, OPOOL__FIT_WINDOW = 8192 };

struct opool__fit {
    size_t fixed_cap;                       /* opool_options.footprint_max; 0: calibrated */
    size_t cap;                             /* most bytes an object may hold; 0: not known yet */
    uint32_t used_log2[OPOOL__FIT_CLASSES]; /* puts by ceil(log2(used)), halved each window */
    uint32_t samples;                       /* their sum */
    /* This window: */
    uint32_t puts, refused, rebuilt;
    uint64_t used, held;
    /* Windows in a row that churned or bloated; one alone may be chance. */
    uint32_t churning, bloating;
};

void opool__fit_start(struct opool__fit *fit, size_t footprint_max);

/* A put: may the object be kept? */
bool opool__fit_keep(struct opool__fit *fit, struct opool_footprint footprint);

/* An object was built. */
void opool__fit_built(struct opool__fit *fit);

bool opool__fit_churns(const struct opool__fit *fit);
bool opool__fit_bloats(const struct opool__fit *fit);

#endif
