/* SPDX-License-Identifier: MIT */
#include "epoch/pace.h"

/* Below so many bytes, or such a share of what was idle, a tick tore down nothing worth a longer epoch. */
enum { CHURN_LEAST = 16 << 10, CHURN_SHARE = 16 };

/* Epochs: what happens again within so many is the same load. */
enum { SOON = 4 * OPOOL__PACE_HOLD_MOST };

void opool__pace_start(struct opool__pace *pace, uint64_t period_ns)
{
    uint64_t period = period_ns > OPOOL__PACE_LEAST_NS ? period_ns : OPOOL__PACE_LEAST_NS;
    *pace = (struct opool__pace){.period = period,
                                 .last = period,
                                 .factor = 1,
                                 .hold = OPOOL__PACE_HOLD_LEAST,
                                 .left = OPOOL__PACE_HOLD_LEAST,
                                 .calm = SOON};
}

static bool churned(const struct opool__pace_tick *tick)
{
    return tick->torn_down >= CHURN_LEAST && tick->torn_down >= tick->idle_bytes / CHURN_SHARE &&
           tick->rebuilt >= tick->torn_down / 2;
}

static void lengthen(struct opool__pace *pace)
{
    if (pace->factor < OPOOL__PACE_FACTOR_MOST)
        pace->factor *= 2;
    if (pace->calm < SOON && pace->hold < OPOOL__PACE_HOLD_MOST)
        pace->hold *= 2;
    pace->calm = 0;
    pace->left = pace->hold;
}

static uint64_t target(const struct opool__pace *pace)
{
    uint64_t ns = pace->period * pace->factor, most = OPOOL__PACE_MOST_NS;
    most = most > pace->period ? most : pace->period;
    return ns < most ? ns : most;
}

static void hold_or_try(struct opool__pace *pace)
{
    if (pace->calm < SOON)
        pace->calm++;
    if (--pace->left > 0)
        return;
    if (pace->calm > 2 * pace->hold && pace->hold > OPOOL__PACE_HOLD_LEAST)
        pace->hold /= 2;
    if (pace->factor > 1)
        pace->factor /= 2;
    pace->left = pace->hold;
}

bool opool__pace_heeds_limits(const struct opool__pace *pace)
{
    return pace->vain < OPOOL__PACE_VAIN;
}

/* Does a limit ask for an earlier tick? */
static bool is_limited(struct opool__pace *pace, const struct opool__pace_tick *tick, bool over)
{
    if (tick->found || (!over && !tick->pressure))
        pace->vain = 0;
    else if (opool__pace_heeds_limits(pace))
        pace->vain++;
    return (over || tick->pressure) && opool__pace_heeds_limits(pace);
}

uint64_t opool__pace_next(struct opool__pace *pace, const struct opool__pace_tick *tick)
{
    bool over = tick->soft_limit && tick->idle_bytes > tick->soft_limit, limited = is_limited(pace, tick, over);
    /* What goes because memory is short says nothing about the period. */
    bool shortened = pace->last < target(pace);
    if (!limited && !shortened && churned(tick))
        lengthen(pace);
    else if (!limited)
        hold_or_try(pace);
    uint64_t next = pace->last * 2;
    if (limited)
        next = tick->pressure ? OPOOL__PACE_LEAST_NS : pace->last / 2;
    next = next < target(pace) ? next : target(pace);
    pace->last = next > OPOOL__PACE_LEAST_NS ? next : OPOOL__PACE_LEAST_NS;
    return pace->last;
}

static bool is_rested(const struct opool__pace *pace)
{
    return pace->factor == 1 && pace->hold == OPOOL__PACE_HOLD_LEAST && pace->calm >= SOON;
}

void opool__pace_rest(struct opool__pace *pace, uint64_t ns)
{
    for (uint64_t epoch; (epoch = target(pace)) <= ns && !is_rested(pace); ns -= epoch)
        hold_or_try(pace);
    if (pace->last > target(pace))
        pace->last = target(pace);
}
