/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_TREE_H
#define OPOOL_TOOLS_TRY_TREE_H

/* The processes that descend from this one, as /proc shows them: while they run, and this process is the one that
   orphans come to (opool__launch_start makes it that). */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct opool__tree_usage {
    uint64_t cpu_us, faults; /* so far */
    uint64_t peak_kib;       /* resident, of the largest one */
};

struct opool__tree_usage opool__tree_usage(void);

/* Does one of them accept connections, by TCP or a Unix socket? */
bool opool__tree_listens(void);

/* Is one of them left that has not ended? */
bool opool__tree_lives(void);

/* To the children of this process, or to all descendants. */
void opool__tree_signal(int number, bool all);

#endif
