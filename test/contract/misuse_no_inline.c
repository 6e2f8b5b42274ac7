/* SPDX-License-Identifier: MIT */

/* All of misuse.c, where get and put call the exported functions: the same lines. */

#define OPOOL_NO_INLINE
#include "misuse.c"
