/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_MODULES_H
#define OPOOL_TOOLS_PROFILE_COLLECT_MODULES_H

/* Which files are mapped where, for who looks up names afterwards. The loader is asked, at the start, after a dlclose,
   and where an address is of none that is known: outside all locks of ours, because it has its own. */

#include "image.h"

OPOOL__HIDDEN void opool__modules_note(void);

/* For fork: else a child could wait for ever for the loader's lock, which a thread held that is not there. */
OPOOL__HIDDEN void opool__modules_lock(void);
OPOOL__HIDDEN void opool__modules_unlock(void);

/* In a child. `locked`: by fork's handler in the parent; else a thread that is not here may have been asking the
   loader, whose lock nobody drops then: it is not asked any more. */
OPOOL__HIDDEN void opool__modules_renew(bool locked);

/* Is the code at these addresses that which was there when the site was made? */
OPOOL__HIDDEN bool opool__modules_are_same(const uintptr_t *addresses, uint32_t count, uint32_t site);

/* All of these addresses are to be known, if the loader knows them. */
OPOOL__HIDDEN void opool__modules_need(const uintptr_t *addresses, uint32_t count);

#endif
