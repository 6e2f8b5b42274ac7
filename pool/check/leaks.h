/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_LEAKS_H
#define OPOOL_CHECK_LEAKS_H

/*
 * Objects that nobody put back: gathered by pool and call stack of their get, told oldest first, one message each.
 *
 *     opool: pool 'conn' (struct conn): 3 objects, 768 bytes, never put; got at:
 *     opool:     #0 0x55d0c8a3f1a4 /usr/bin/server+0x11a4 (accept_one)
 *     ...
 *     opool: never put: 3 objects, 768 bytes, got at 1 place
 *
 * What OPOOL_LEAKS leaves out (suppress.h) is summed up in a line. No malloc, no stdio.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/report.h"

struct opool__leaks_memory;

struct opool__leaks_sum {
    uint64_t objects, bytes, places; /* call stacks */
};

struct opool__leaks {
    struct opool__leaks_memory *memory; /* NULL: the system refused it, and there is only the sum */
    struct opool__leaks_sum all;        /* without places */
    bool at_exit;
};

void opool__leaks_begin(struct opool__leaks *leaks);

/* An object of `bytes`, got at `time` from a call stack, 0: not known. The label has to stay until they are told. */
void opool__leaks_add(struct opool__leaks *leaks, const struct opool__label *label, uint32_t stack, size_t bytes,
                      uint64_t time);

/* Tell them, and give the memory back: where opool_log_set says, or when the process ends, when the callback's program
   may be gone, on standard error. How many objects were told, not left out. Outside all locks. */
uint64_t opool__leaks_tell(struct opool__leaks *leaks, bool at_exit);

#endif
