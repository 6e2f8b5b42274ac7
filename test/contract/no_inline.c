/* SPDX-License-Identifier: MIT */

/* All of typed.c, where get and put call the exported functions: the same results. */

#define OPOOL_NO_INLINE
#include "typed.c"
