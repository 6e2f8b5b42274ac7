/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_MIRROR_H
#define OPOOL_OS_MIRROR_H

/*
 * A byte elsewhere for each byte of slots, for tools that do not look at memory which nobody may touch. Without a lock,
 * so that a forked child needs none: see mirror.c.
 */

#include <stdbool.h>
#include <stddef.h>

/* [at, at + bytes) is remembered, and if `mirror` is not NULL has a mirror from now on, zero: its address. False: no
   memory. */
bool opool__mirror_add(void *at, size_t bytes, void **mirror);

/* Those of all that was added in [at, at + bytes) go. `each`, unless NULL, is called for each before. */
void opool__mirror_remove(void *at, size_t bytes, void (*each)(void *at, size_t bytes, void *mirror));

/* The mirror of [at, at + bytes); NULL: it has none. */
void *opool__mirror_of(const void *at, size_t bytes);

#endif
