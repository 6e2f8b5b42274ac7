/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_VERDICT_H
#define OPOOL_TOOLS_PROFILE_REPORT_VERDICT_H

#include "model.h"
#include "symbols.h"

/* What to do about each site (PROFILE.md, "Verdicts"). */

/** A gain whose upper end is below this part of the processor time can not be told from noise. */
#define OPOOL__PROFILE_NOISE 0.01

/** Sets the verdict of each site, and the guess at its type where there is one. */
void opool__profile_judge(struct model *model, const struct costs *costs);

/** "POOL", "UNIFY", ... */
const char *opool__profile_kind(enum kind kind);

/** Is it one of those that a pool is for? */
static inline bool opool__profile_is_poolable(const struct site *site)
{
    return site->verdict.kind <= KIND_BATCH;
}

/** All gains of poolable sites; noise: only of those below it, else only of the others. */
struct gain opool__profile_together(const struct model *model, bool noise, size_t *count);

#endif
