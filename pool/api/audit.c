/* SPDX-License-Identifier: MIT */
#include "api/pool.h"
#include "os/asks.h"
#include "os/os.h"
#include "shape/sanitizer.h"

/* Who audits puts: the sanitizer that the program is built with, or a library that `opool audit` preloads. A weak
   symbol would do for the latter, but a static copy of this library in a program at a fixed address has it resolved
   to nothing when the program is linked. */
static const struct opool__auditor *shared_auditor;
static uint32_t shared_found;

static const struct opool__auditor *ask(void)
{
    const struct opool__auditor *found;
    opool__loader_enter();
    if ((found = opool__sanitizer_auditor()) == NULL)
        found = opool__os.symbol(OPOOL__AUDITOR_SYMBOL);
    opool__loader_leave();
    return found;
}

void opool__audit_find(void)
{
    if (opool__load_acquire(&shared_found))
        return;
    /* Wanted or not is asked before the turn at the loader: the answer may call the user's log, which may fork, and a
       fork waits until nobody is at the loader. Who comes at the same time finds the same. */
    const struct opool__auditor *found = opool__audit_wanted() ? ask() : NULL;
    opool__store_relaxed(&shared_auditor, found);
    /* release: who sees it sees the auditor. */
    opool__store_release(&shared_found, 1u);
}

/* In a sanitized program an owning pool has said that its objects own memory, and its footprint guard watches over
   that: a line of ours in each test run would tell nothing new. */
static bool is_guarded(const struct opool *pool)
{
    return pool->type.footprint && opool__load_relaxed(&shared_auditor) == opool__sanitizer_auditor();
}

void opool__audit_join(struct opool *pool)
{
    const struct opool__auditor *auditor = opool__load_relaxed(&shared_auditor);
    if (!auditor || is_guarded(pool))
        return;
    const char *near = pool->type.type ? pool->type.type : pool->type.name ? pool->type.name : pool->type.shape;
    pool->audited_as = auditor->pool(pool->name, pool->type_name, pool->type.size, near);
    pool->auditor = auditor;
    pool->traced = true;
}
