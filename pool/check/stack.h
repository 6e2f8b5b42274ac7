/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_STACK_H
#define OPOOL_CHECK_STACK_H

/*
 * Call stacks, each kept once and known by a number, for messages that say where an object was got and put.
 *
 * Memory comes from the system and is bounded: OPOOL__STACK_FRAMES frames in all, then no new stack gets a number.
 * Nothing is ever removed, so a number is good until the process ends, and in its forked children.
 */

#include <stddef.h>
#include <stdint.h>

#include "os/text.h"
#include "os/unwind.h"

enum { OPOOL__FRAMES_MOST = 24, OPOOL__STACK_FRAMES = 1 << 20 };

/* Before the first capture, and as often as anybody likes, which notes what is loaded by now: may load a library and
   allocate. Where the system refuses memory, or can not unwind, there are no stacks. Outside all locks. */
void opool__stack_start(void);

/* The number of the caller's call stack, the same for equal ones, without the frames of this library at the top; 0:
   there is none to be had. Lock-free, without malloc, and async-signal-safe. Frames of a static copy of this library
   can not be told from the program's: there `from` is better. */
uint32_t opool__stack_here(void);

/* The same, from the frame on that `caller` returns to: __builtin_return_address(0) of the function which the user
   called, not inlined. A caller that is not on the stack: as `here`. */
uint32_t opool__stack_from(const void *caller);

/* A line for each frame, innermost first: "    #0 0x55d0c8a3f1a4 /usr/bin/program+0x11a4 (function)\n". What is not
   known is left out: the function, or file and offset ("?"). Addresses are inside the call. Async-signal-safe, takes no
   lock; asks the kernel what is mapped now, so that code which was unloaded since has no file. 0: nothing. */
void opool__stack_tell(uint32_t stack, void (*line)(void *to, const char *text, size_t length), void *to);

/* What stands behind the number of a frame in such a line, newline included. */
void opool__stack_add_line(struct opool__text *text, uintptr_t frame, const struct opool__where *where);

/* Up to OPOOL__FRAMES_MOST code addresses, inside the calls; how many. */
unsigned opool__stack_frames(uint32_t stack, uintptr_t *frames);

#endif
