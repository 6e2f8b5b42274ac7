/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_LOCK_H
#define OPOOL_OS_LOCK_H

/*
 * A lock of 4 bytes: 0 free, 1 taken, 2 taken and somebody may sleep (Drepper, "Futexes are tricky", mutex 3). Zero
 * memory is a free lock. Not recursive, not fair. Held for a few dozen instructions everywhere in this library, except
 * where a comment says otherwise, and never while a callback of the user runs.
 *
 * The order in which locks may be taken, outermost first:
 *     a fork's turn at the loader (asks.h), ticker, reclaim, registry, threads, head, shard, store, slab,
 *     magazine slabs, guard slots, settings, log
 */

#include <stdbool.h>
#include <stdint.h>

void opool__lock_take(uint32_t *lock);
bool opool__lock_try(uint32_t *lock);
void opool__lock_drop(uint32_t *lock);

/* In the child of a fork, where no other thread is: whoever held or awaited it is gone. */
void opool__lock_reset(uint32_t *lock);

#endif
