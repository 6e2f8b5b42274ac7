/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_GUARD_SLOTS_H
#define OPOOL_CHECK_GUARD_SLOTS_H

/*
 * Guard slots: one get in N is served from pages that no other object shares, between pages that allow no access, so
 * that in a program in use the machine itself catches what reaches past an object, and what touches one that was put.
 *
 *     | no access | object ....... fill | no access | fill ........ object | no access | ...
 *       a page      slot 0: at its start              slot 1: at its end
 *
 * One arena a process, for all pools. A slot is
 *
 *     NEW       never used
 *     MAKING    its object is being built
 *     OUT       it is with a user
 *     ENDING    it is being put, by one thread
 *     RESTING   it was put: no access, and its contents are gone; in a queue, oldest first, until two whole epochs are
 *               over, or ten seconds where nothing ticks
 *     LOST      its pool was destroyed while it was out: it stays as it is
 *
 *     NEW, MAKING, OUT, ENDING, LOST or in the queue: each slot is exactly one of these, under the arena's lock
 *
 * What the arena knows of a slot's last use stays until the slot is taken again, and is read without the lock by the
 * signal handler: `uses` says whether it was taken meanwhile.
 *
 * A leaf: it knows pools by an address and a label. Who builds and tears down is api/guarded.c.
 */

#include <opool/atomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/report.h"

enum {
    OPOOL__GUARD_OBJECT_MOST = 64 << 10, /* bytes; larger ones would need more memory than they are worth */
    OPOOL__GUARD_SLOTS = 64,             /* unless the environment says otherwise */
    OPOOL__GUARD_SLOTS_MOST = 16384      /* each is two mappings, of 65530 that a process may have */
};

/* Reads OPOOL_GUARD_SLOTS and OPOOL_GUARD_SLOTS_MOST, reserves the arena and sets up the handler of its faults, once a
   process. False: guard slots are off, or the system refuses them now, which is said once. Under no lock. */
bool opool__guard_slots_start(void);

/* Is there a slot for the next object that is guarded? While there is none nobody needs to count gets. `look` finds
   out: ticks do, and who comes by ten seconds later. */
extern uint32_t opool__guard_shared_open;
static inline bool opool__guard_slots_open(void)
{
    return opool__load_relaxed(&opool__guard_shared_open) != 0;
}
void opool__guard_slots_look(uint64_t epoch);
bool opool__guard_slots_look_in_time(uint64_t epoch);

/* Is this get of the calling thread's one of those that are guarded? Each is with probability 1/N, whatever came before
   and however many a thread makes. */
bool opool__guard_slots_turn(void);

/* Is the address in the arena? */
extern uintptr_t opool__guard_shared_from, opool__guard_shared_bytes;
static inline bool opool__guard_slots_has(const void *address)
{
    return (uintptr_t)address - opool__load_relaxed(&opool__guard_shared_from) <
           opool__load_relaxed(&opool__guard_shared_bytes);
}

/* ---- a slot's life ---- */

/* Who wants one. The label is copied. */
struct opool__guard_order {
    const void *pool;
    const struct opool__label *label;
    size_t size, align;
    uint64_t epoch;
};

/* Memory for an object, all zero; MAKING. NULL: no slot is free, or the system refused. */
void *opool__guard_slots_take(const struct opool__guard_order *order);

/* It was built, and goes to a user: OUT. `held` is what the claim gives back; `caller`: as opool__stack_from has it. */
void opool__guard_slots_got(void *object, void *held, const void *caller);

/* `call` ("put") of an address in the arena: ENDING, for this caller alone; returns what it held. A fault, unless that
   is an object of the pool's that is out, and nobody wrote around it. */
void *opool__guard_slots_claim(const void *pool, const struct opool__label *label, const char *call, void *object,
                               const void *caller);

/* It was torn down, or not built in the end: RESTING from `epoch` on. */
void opool__guard_slots_rest(void *object, uint64_t epoch);

/* The pool ends, and its handle may serve another one: what is out of it is LOST. */
void opool__guard_slots_forget(const void *pool);

/* ---- fork ---- */

void opool__guard_slots_lock(void);
void opool__guard_slots_unlock(void);
/* In the child: the lock is free, and the thread that forked counts on its own. */
void opool__guard_slots_reset(void);

#endif
