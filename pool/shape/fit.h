/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_FIT_H
#define OPOOL_SHAPE_FIT_H

/*
 * The footprint guard of an owning pool: which objects hold too much to be kept, and whether the pool churns (throws
 * away what is made again at once) or bloats (keeps far more than is used). Works on windows of puts, no clock:
 *
 *     churn: at least 1 put in 200 refused, and at least half as many bytes made again as were refused;
 *     bloat: used in all < held in all / 8;
 *     each in two windows running, because one may be chance.
 *
 * The callback gives two numbers because one is not enough: once every object has bloated, all footprints look alike.
 * A calibrated cap is not below what init allocates: to refuse that would only make it again.
 * The cap follows the load faster than that, so that it is not the guard that churns when the load changes.
 *
 * Bytes are made again when objects grow while refused bytes are owed; a pool that only grows makes nothing again.
 *
 * Not thread-safe: the caller has a lock around it.
 */

#include <opool/types.h>

enum {
    OPOOL__FIT_CLASSES = 48,
    OPOOL__FIT_WINDOW = 8192,
    OPOOL__FIT_CALIBRATION = 256 /* puts between two looks at what the cap should be: a divisor of the window */
};

enum opool__fit_finding { OPOOL__FIT_FINE, OPOOL__FIT_CHURN, OPOOL__FIT_BLOAT };

/* What a pool does wrong, and what to do instead. */
struct opool__fit_advice {
    enum opool__fit_finding finding;
    bool raise;                   /* the fixed cap is below what nearly all uses need: not the object is wrong */
    size_t cap;                   /* in force */
    unsigned refused_per_mille;   /* of the puts */
    unsigned remade_per_cent;     /* of the refused bytes; at most 100 */
    unsigned long long held_fold; /* held is so many times used */
    size_t keep;                  /* bytes to have in the object, */
    unsigned percentile;          /* enough for so many in 100 uses */
};

struct opool__fit {
    size_t fixed_cap;                       /* opool_options.footprint_max; 0: calibrated */
    size_t cap;                             /* most bytes an object may hold; 0: not known yet */
    uint32_t used_log2[OPOOL__FIT_CLASSES]; /* puts by ceil(log2(used)), halved each window */
    uint32_t samples;                       /* their sum */
    size_t floor;  /* what new objects hold, however little they are used; 0: no more than that */
    uint64_t owed; /* refused bytes that were not made again so far */
    /* This window: */
    uint32_t puts, refused;
    uint64_t used, held, refused_bytes, remade_bytes;
    size_t least_new; /* the least that a new object held without need; 0: none did */
    /* Windows in a row that churned or bloated. */
    uint32_t churning, bloating;
    bool told, news;
    struct opool__fit_advice advice; /* with the first finding */
};

void opool__fit_start(struct opool__fit *fit, size_t footprint_max);

/* May an object that holds so much be kept? */
static inline bool opool__fit_allows(size_t cap, size_t held)
{
    return cap == 0 || held <= cap;
}

/* A put, for the windows. */
struct opool__fit_note {
    struct opool_footprint footprint;
    size_t grown; /* bytes that the object holds more than when it was put last */
    bool kept;
};
void opool__fit_add(struct opool__fit *fit, const struct opool__fit_note *note);

/* True once in the life of a pool: what there is to tell. */
bool opool__fit_news(struct opool__fit *fit, struct opool__fit_advice *advice);

bool opool__fit_churns(const struct opool__fit *fit);
bool opool__fit_bloats(const struct opool__fit *fit);

#endif
