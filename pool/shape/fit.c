/* SPDX-License-Identifier: MIT */
#include "shape/fit.h"

#include <string.h>

/* What one object can add to the sums of a window, so that they do not overflow. */
#define MOST_BYTES (UINT64_C(1) << 47)

static unsigned ceil_log2(size_t n)
{
    unsigned bits = n < 2 ? 0 : (unsigned)(8 * sizeof(unsigned long long)) - (unsigned)__builtin_clzll(n - 1);
    return bits < OPOOL__FIT_CLASSES ? bits : OPOOL__FIT_CLASSES - 1;
}

/* 2 to the power of a class, or the next one; on a 32-bit system some are more than a size can be. */
static size_t power_of_2(unsigned exponent)
{
    return exponent < 8 * sizeof(size_t) ? (size_t)1 << exponent : SIZE_MAX;
}

/* The class that `percentile` in 100 uses need at most. */
static unsigned class_at(const struct opool__fit *fit, unsigned percentile)
{
    uint64_t wanted = fit->samples - (uint64_t)fit->samples * (100 - percentile) / 100, seen = 0;
    unsigned size_class = 0;
    while (size_class < OPOOL__FIT_CLASSES - 1 && (seen += fit->used_log2[size_class]) < wanted)
        size_class++;
    return size_class;
}

/* ---- now and then ---- */

/* The cap is twice the class of the 99th percentile of `used`: in [2, 4) times what nearly all uses need. */
static void calibrate(struct opool__fit *fit)
{
    size_t cap = power_of_2(class_at(fit, 99) + 1), floor = fit->floor ? fit->floor : fit->least_new;
    if (!fit->fixed_cap)
        fit->cap = cap > floor ? cap : floor;
}

/* ---- the end of a window ---- */

static void decay(struct opool__fit *fit)
{
    fit->samples = 0;
    for (unsigned i = 0; i < OPOOL__FIT_CLASSES; i++)
        fit->samples += fit->used_log2[i] /= 2;
}

/* At most 100. */
static unsigned per_cent(uint64_t part, uint64_t all)
{
    if (part >= all)
        return 100;
    return (unsigned)(all < UINT64_MAX / 100 ? part * 100 / all : part / (all / 100));
}

/* A part that holds nearly all uses, but not one that would bloat by itself where large uses are more than a few. */
static void advise_size(const struct opool__fit *fit, struct opool__fit_advice *advice)
{
    static const unsigned percentiles[] = {99, 95, 90, 75, 50};
    uint64_t mean = fit->used / OPOOL__FIT_WINDOW;
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        advice->percentile = percentiles[i];
        advice->keep = power_of_2(class_at(fit, percentiles[i]));
        if (advice->keep / 8 <= mean)
            return;
    }
}

/* Before the window's figures go. */
static void advise(struct opool__fit *fit)
{
    struct opool__fit_advice *advice = &fit->advice;
    advice->finding = opool__fit_churns(fit) ? OPOOL__FIT_CHURN : OPOOL__FIT_BLOAT;
    advice->cap = fit->cap;
    advice->refused_per_mille = fit->refused * 1000 / OPOOL__FIT_WINDOW;
    advice->remade_per_cent = per_cent(fit->remade_bytes, fit->refused_bytes);
    advice->held_fold = fit->held / (fit->used ? fit->used : 1);
    advise_size(fit, advice);
    advice->raise = advice->finding == OPOOL__FIT_CHURN && fit->fixed_cap && advice->keep > fit->fixed_cap;
    fit->told = fit->news = true;
}

static void end_window(struct opool__fit *fit)
{
    bool churns = fit->refused >= OPOOL__FIT_WINDOW / 200 && fit->remade_bytes * 2 >= fit->refused_bytes;
    bool bloats = fit->held / 8 > fit->used;
    fit->churning = churns ? fit->churning + 1 : 0;
    fit->bloating = bloats ? fit->bloating + 1 : 0;
    if (!fit->told && (opool__fit_churns(fit) || opool__fit_bloats(fit)))
        advise(fit);
    decay(fit);
    if (fit->least_new)
        fit->floor = fit->least_new;
    fit->least_new = 0;
    fit->puts = fit->refused = 0;
    fit->used = fit->held = fit->refused_bytes = fit->remade_bytes = 0;
}

/* ---- calls ---- */

void opool__fit_start(struct opool__fit *fit, size_t footprint_max)
{
    memset(fit, 0, sizeof *fit);
    fit->fixed_cap = fit->cap = footprint_max;
}

static uint64_t bounded(uint64_t bytes)
{
    return bytes < MOST_BYTES ? bytes : MOST_BYTES;
}

/* The first put of an object that holds more than this use can have made it grow to: it came with that. */
static void note_new(struct opool__fit *fit, const struct opool__fit_note *note)
{
    size_t held = note->footprint.held;
    if (note->grown != held || held <= power_of_2(ceil_log2(note->footprint.used) + 1))
        return;
    if (!fit->least_new || held < fit->least_new)
        fit->least_new = held;
}

/* Growth makes again what is owed, and no more; what is refused by this put is owed from now on. */
static void account(struct opool__fit *fit, const struct opool__fit_note *note)
{
    uint64_t grown = bounded(note->grown), remade = grown < fit->owed ? grown : fit->owed;
    fit->remade_bytes += remade;
    fit->owed -= remade;
    if (note->kept)
        return;
    uint64_t held = bounded(note->footprint.held);
    fit->refused++;
    fit->refused_bytes += held;
    fit->owed = fit->owed < UINT64_MAX - held ? fit->owed + held : UINT64_MAX;
}

void opool__fit_add(struct opool__fit *fit, const struct opool__fit_note *note)
{
    fit->used_log2[ceil_log2(note->footprint.used)]++;
    fit->samples++;
    fit->used += bounded(note->footprint.used);
    fit->held += bounded(note->footprint.held);
    account(fit, note);
    note_new(fit, note);
    if (++fit->puts == OPOOL__FIT_WINDOW)
        end_window(fit);
    if (fit->puts % OPOOL__FIT_CALIBRATION == 0)
        calibrate(fit);
}

bool opool__fit_news(struct opool__fit *fit, struct opool__fit_advice *advice)
{
    bool news = fit->news;
    if (news)
        *advice = fit->advice;
    fit->news = false;
    return news;
}

bool opool__fit_churns(const struct opool__fit *fit)
{
    return fit->churning >= 2;
}

bool opool__fit_bloats(const struct opool__fit *fit)
{
    return fit->bloating >= 2;
}
