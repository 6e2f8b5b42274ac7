/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_STACK_H
#define OPOOL_TOOLS_PROFILE_COLLECT_STACK_H

/*
 * Which site a call comes from: its return addresses, without unwinding at each call.
 *
 * Unwinding takes microseconds. But the code at a return address says where the next one lies: as compilers make it,
 * either at a distance that never changes, or where the frame pointer of that function tells (alloca, aligned locals,
 * functions compiled to have one). Which of them, an unwinding shows. So what it found is kept as a path in a tree: a
 * node is a return address below a parent node, and knows the way from its place on the stack to the next one's, and
 * where the frame pointer was saved. A later call goes down the tree along the words that lie on its own stack, and
 * where each word has a child, the stack is the same: nothing is assumed, each return address is read.
 *
 * Where a distance changes all the same there is a node for each, at most VARIANTS: the one is taken behind which the
 * next word fits, which a stale return address could do by accident. Not with x86-64 code of gcc and clang. Stacks with
 * signal frames, or code without unwind information, are unwound each time.
 *
 * Readers take no lock; nodes are never changed once they can be found, but hidden where code is unloaded. Memory is
 * bounded: a full tree learns nothing.
 */

#include "image.h"

struct opool__caller {
    const void *address;  /* return address of the wrapper */
    const uintptr_t *cfa; /* where the caller's stack ended before the call */
    uintptr_t base;       /* the caller's frame pointer register, whatever it uses it for */
};

/* In a function that the program calls. */
#if defined(__x86_64__)
#define OPOOL__CALLER_BASE (*(const uintptr_t *)__builtin_frame_address(0))
#else
#define OPOOL__CALLER_BASE 0
#endif
#define OPOOL__CALLER ((struct opool__caller){__builtin_return_address(0), __builtin_dwarf_cfa(), OPOOL__CALLER_BASE})

/* False: no memory. */
OPOOL__HIDDEN bool opool__stack_start(uint32_t frames);

/* In a forked child: all is unknown again. */
OPOOL__HIDDEN void opool__stack_forget(void);

/* Code between the two was unloaded: what is known of stacks that go through it is hidden. Shown, if the same code
   comes back; dropped, if other code comes to its place. */
OPOOL__HIDDEN void opool__stack_hide(uintptr_t start, uintptr_t end);
OPOOL__HIDDEN void opool__stack_show(uintptr_t start, uintptr_t end);
OPOOL__HIDDEN void opool__stack_drop(uintptr_t start, uintptr_t end);

/* The site's index; UINT32_MAX: no room. `*top` is the highest word that this thread's unwindings found to be there; it
   is not to be read beyond. `function`: for a new site. */
OPOOL__HIDDEN uint32_t opool__stack_site(struct opool__caller caller, uintptr_t *top, uint32_t function);

#endif
