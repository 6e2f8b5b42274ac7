/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_SITES_H
#define OPOOL_TOOLS_PROFILE_REPORT_SITES_H

#include "model.h"

/* Which stacks are one site: those that meet in the call that asked for memory, leaving out functions that only pass
   the request on; or each of its own; or all of one function. */

enum grouping { BY_SITE, BY_STACK, BY_FUNCTION };

/** After the frames have names. `wrappers`: more functions to leave out, as shell patterns. */
void opool__profile_sites(struct model *model, enum grouping by, char *const *wrappers, size_t wrapper_count);

/** A place as people read it: "conn_new (conn.c:12)", "memalign+0x1f in libc.so.6", "0x1234 in a.out". */
const char *opool__profile_place(struct memory *memory, const struct frame *frame, size_t level);

#endif
