/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_STACK_H
#define OPOOL_TOOLS_PROFILE_COLLECT_STACK_H

/*
 * Which site a call comes from: its return addresses, without unwinding at each call.
 *
 * Unwinding takes microseconds. But where a function's frame has one size at a call, as nearly all have, the return
 * address of a frame says how far away that of the next one lies. So what an unwinding found is kept as a path in a
 * tree: a node is a return address below a parent node, and knows the distance from its place on the stack to the next
 * one's. A later call goes down the tree along the words that lie on its own stack, and where each word has a child,
 * the stack is the same: nothing is assumed, each return address is read.
 *
 * A frame whose size varies (alloca, realigned stacks) has a node for each distance, at most VARIANTS: the one is taken
 * behind which the next word fits. A stale return address could fit by accident, in a frame of another size than it
 * was left in; that is the limit. Stacks with signal frames, or code without unwind information, are unwound each time.
 *
 * Readers take no lock; nodes are never changed once they can be found. Memory is bounded: a full tree learns nothing.
 */

#include "collect_image.h"

struct opool__caller {
    const void *address;  /* return address of the wrapper */
    const uintptr_t *cfa; /* where the caller's stack ended before the call */
};

#define OPOOL__CALLER ((struct opool__caller){__builtin_return_address(0), __builtin_dwarf_cfa()})

/* False: no memory. */
OPOOL__HIDDEN bool opool__stack_start(uint32_t frames);

/* In a forked child: all is unknown again. */
OPOOL__HIDDEN void opool__stack_forget(void);

/* The site's index; UINT32_MAX: no room. `*top` is the highest word that this thread's unwindings found to be there; it
   is not to be read beyond. `function`: for a new site. */
OPOOL__HIDDEN uint32_t opool__stack_site(struct opool__caller caller, uintptr_t *top, uint32_t function);

#endif
