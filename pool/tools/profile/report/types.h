/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_TYPES_H
#define OPOOL_TOOLS_PROFILE_REPORT_TYPES_H

#include "symbols.h"

/* Which type the objects of a site of one size probably have, by the debug information around the call: a variable
   that is declared on the line of the call, one of the function, or any type of that size in the unit. `guess` says
   how sure. */

void opool__profile_guess(struct memory *memory, const struct site *site, uint64_t size, struct type_guess *guess);

#endif
