/* SPDX-License-Identifier: MIT */
#include "shape/fit.h"

#include <string.h>

static unsigned ceil_log2(size_t n)
{
    unsigned bits = n < 2 ? 0 : (unsigned)(8 * sizeof(unsigned long long)) - (unsigned)__builtin_clzll(n - 1);
    return bits < OPOOL__FIT_CLASSES ? bits : OPOOL__FIT_CLASSES - 1;
}

/* The cap is twice the class of the 99th percentile of `used`: in [2, 4) times what nearly all uses need. */
static size_t calibrated_cap(const struct opool__fit *fit)
{
    uint64_t wanted = fit->samples - fit->samples / 100, seen = 0;
    unsigned size_class = 0;
    while (size_class < OPOOL__FIT_CLASSES - 1 && (seen += fit->used_log2[size_class]) < wanted)
        size_class++;
    return (size_t)2 << size_class;
}

static void decay(struct opool__fit *fit)
{
    fit->samples = 0;
    for (unsigned i = 0; i < OPOOL__FIT_CLASSES; i++)
        fit->samples += fit->used_log2[i] /= 2;
}

static void end_window(struct opool__fit *fit)
{
    if (!fit->fixed_cap)
        fit->cap = calibrated_cap(fit);
    /* At least one put in 200 refused, and half of those built again meanwhile. */
    bool churns = fit->refused >= OPOOL__FIT_WINDOW / 200 && fit->rebuilt * 2 >= fit->refused;
    bool bloats = fit->held / 8 > fit->used;
    fit->churning = churns ? fit->churning + 1 : 0;
    fit->bloating = bloats ? fit->bloating + 1 : 0;
    decay(fit);
    fit->puts = fit->refused = fit->rebuilt = 0;
    fit->used = fit->held = 0;
}

void opool__fit_start(struct opool__fit *fit, size_t footprint_max)
{
    memset(fit, 0, sizeof *fit);
    fit->fixed_cap = fit->cap = footprint_max;
}

bool opool__fit_keep(struct opool__fit *fit, struct opool_footprint footprint)
{
    bool keep = fit->cap == 0 || footprint.held <= fit->cap;
    fit->used_log2[ceil_log2(footprint.used)]++;
    fit->samples++;
    fit->used += footprint.used;
    fit->held += footprint.held;
    fit->refused += !keep;
    if (++fit->puts == OPOOL__FIT_WINDOW)
        end_window(fit);
    return keep;
}

void opool__fit_built(struct opool__fit *fit)
{
    fit->rebuilt += fit->rebuilt < fit->refused;
}

bool opool__fit_churns(const struct opool__fit *fit)
{
    return fit->churning >= 2;
}

bool opool__fit_bloats(const struct opool__fit *fit)
{
    return fit->bloating >= 2;
}
