/* SPDX-License-Identifier: MIT */
#include "epoch/pace.h"

/* Below so many objects a tick tore down nothing worth a longer epoch. */
enum { CHURN_LEAST = 16 };

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
    return tick->torn_down >= CHURN_LEAST && tick->rebuilt >= tick->torn_down / 2;
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

uint64_t opool__pace_next(struct opool__pace *pace, const struct opool__pace_tick *tick)
{
    bool over = tick->soft_limit && tick->idle_bytes > tick->soft_limit, limited = over || tick->pressure;
    /* What goes because memory is short says nothing about the period. */
    bool shortened = pace->last < pace->period * pace->factor;
    if (!limited && !shortened && churned(tick))
        lengthen(pace);
    else if (!limited)
        hold_or_try(pace);
    uint64_t target = pace->period * pace->factor, next = pace->last * 2;
    if (tick->pressure)
        next = OPOOL__PACE_LEAST_NS;
    else if (over)
        next = pace->last / 2;
    next = next < target ? next : target;
    pace->last = next > OPOOL__PACE_LEAST_NS ? next : OPOOL__PACE_LEAST_NS;
    return pace->last;
}
