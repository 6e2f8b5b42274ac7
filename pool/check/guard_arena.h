/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_GUARD_ARENA_H
#define OPOOL_CHECK_GUARD_ARENA_H

/*
 * The arena of guard slots, for the files that make it up: guard_slots.c, the life of a slot; guard_turn.c, which gets
 * are guarded; guard_tell.c, what is said.
 */

#include "check/guard_slots.h"
#include "check/life.h"
#include "os/trap.h"

enum opool__guard_state {
    OPOOL__GUARD_NEW,
    OPOOL__GUARD_MAKING,
    OPOOL__GUARD_OUT,
    OPOOL__GUARD_ENDING,
    OPOOL__GUARD_RESTING,
    OPOOL__GUARD_LOST
};

enum { OPOOL__GUARD_NAME_MOST = 80 };

struct opool__guard_slot {
    uint32_t shared_state; /* written under the lock */
    uint32_t next;         /* in the queue */
    uint64_t shared_uses;  /* how often it was taken; odd while that is written which follows */
    uint32_t shared_told;  /* 1: a touch of this use was reported */
    const void *pool;
    void *held;
    char *object; /* NULL: never used */
    size_t size, bytes;
    struct opool__event got, put;
    char name[OPOOL__GUARD_NAME_MOST], type[OPOOL__GUARD_NAME_MOST];
    uint64_t rest_epoch;
    size_t dirty; /* bytes that the system did not take back */
};

struct opool__guard_arena {
    uint32_t lock;
    uint32_t one_in;
    struct opool__guard_slot *slots;
    char *from;
    size_t span; /* from slot to slot: its pages, and one without access before them */
    size_t page;
    uint32_t count;
    uint32_t used;           /* slots below it are not NEW */
    uint32_t oldest, newest; /* of the queue; by number, `count`: none */
    uint64_t taken;
    uint64_t shared_next_look; /* os.now: while no slot is to be had, and nothing ticks */
};
extern struct opool__guard_arena opool__guard_arena;

/* The first of its pages. */
static inline char *opool__guard_pages(uint32_t number)
{
    return opool__guard_arena.from + number * opool__guard_arena.span + opool__guard_arena.page;
}

static inline uint32_t opool__guard_number(const void *address)
{
    return (uint32_t)((size_t)((const char *)address - opool__guard_arena.from) / opool__guard_arena.span);
}

/* The slot whose pages the address is in, or before; NULL: it is behind the last one. */
static inline struct opool__guard_slot *opool__guard_slot_at(const void *address)
{
    uint32_t number = opool__guard_number(address);
    return number < opool__guard_arena.count ? &opool__guard_arena.slots[number] : NULL;
}

/* How far the address is from the last object there: 0 inside. */
static inline size_t opool__guard_distance(const struct opool__guard_slot *slot, const void *address)
{
    const char *at = address;
    if (!slot->object)
        return SIZE_MAX;
    if (at < slot->object)
        return (size_t)(slot->object - at);
    return at < slot->object + slot->size ? 0 : (size_t)(at - slot->object) - slot->size + 1;
}

static inline enum opool__guard_state opool__guard_state_of(const struct opool__guard_slot *slot)
{
    return (enum opool__guard_state)opool__load_relaxed(&slot->shared_state);
}

/* ---- guard_turn.c ---- */

/* The calling thread counts on its own: in a forked child. */
void opool__guard_turn_reset(void);

/* ---- guard_tell.c ---- */

/* A fault at `call`, told with the story of the slot; NULL: of none. The detail's name and type are the slot's. */
_Noreturn void opool__guard_fail(const struct opool__label *label, enum opool__fault fault, const char *call,
                                 const void *object, const struct opool__guard_slot *slot,
                                 const struct opool__event *now, const struct opool__detail *detail);

/* What the trap calls. */
void opool__guard_look(const struct opool__trap *trap);
void opool__guard_tell_reset(void);

#endif
