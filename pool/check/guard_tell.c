/* SPDX-License-Identifier: MIT */
#include "check/guard_arena.h"
#include "check/stack.h"
#include "os/lock.h"
#include "os/os.h"

enum { TEXT_MOST = 16384 };

#define PATIENCE_NS UINT64_C(1000000000)

/* ---- what is told ---- */

struct told {
    struct opool__label label; /* first: the story gets it */
    const char *what;          /* "called", "touched": by the thread that tells, as `now` */
    struct opool__event now;
    struct opool__guard_slot slot; /* as it was */
};

static void tell_story(const struct opool__label *label, const void *object, struct opool__text *text)
{
    const struct told *told = (const struct told *)(const void *)label;
    (void)object;
    opool__life_tell(text, told->what, &told->now);
    opool__life_tell(text, "last got", &told->slot.got);
    opool__life_tell(text, "last put", &told->slot.put);
}

static struct told remember(const struct opool__label *label, const struct opool__guard_slot *slot)
{
    struct told told = {.label = *label, .what = "called"};
    if (slot)
        told.slot = *slot;
    told.label.story = tell_story;
    return told;
}

void opool__guard_fail(const struct opool__label *label, enum opool__fault fault, const char *call, const void *object,
                       const struct opool__guard_slot *slot, const struct opool__event *now,
                       const struct opool__detail *detail)
{
    struct told told = remember(label, slot);
    struct opool__detail named = *detail;
    told.now = *now;
    named.name = told.slot.name;
    named.type = told.slot.type;
    opool__fault(&told.label, fault, call, object, &named);
}

/* ---- touches, in a signal handler ---- */

/* What is told, and who puts it together. */
static char text_room[TEXT_MOST];
static uint32_t text_lock;

/* Of the slots around it the one with the nearest object: a page without access is behind one and before another. */
static struct opool__guard_slot *nearest(const void *address)
{
    uint32_t number = opool__guard_number(address), from = number ? number - 1 : 0;
    struct opool__guard_slot *best = NULL;
    for (uint32_t i = from; i <= number + 1 && i < opool__guard_arena.count; i++)
        if (opool__guard_distance(&opool__guard_arena.slots[i], address) <
            (best ? opool__guard_distance(best, address) : SIZE_MAX))
            best = &opool__guard_arena.slots[i];
    return best;
}

/* False: it is taken again just now, and what is said of it would be of two uses. */
static bool copy_slot(const struct opool__guard_slot *slot, struct told *told)
{
    uint64_t uses = opool__load_acquire(&slot->shared_uses);
    *told = remember(&(struct opool__label){.name = NULL}, slot);
    told->label.name = told->slot.name;
    told->label.type = told->slot.type;
    return uses % 2 == 0 && opool__load_acquire(&slot->shared_uses) == uses;
}

static enum opool__fault name_touch(const struct opool__guard_slot *slot, const void *address,
                                    struct opool__detail *detail)
{
    const char *at = address;
    detail->size = slot->size;
    if (at < slot->object) {
        detail->offset = (size_t)(slot->object - at);
        return OPOOL__FAULT_TOUCHED_BEFORE;
    }
    detail->offset = (size_t)(at - slot->object);
    return detail->offset < slot->size ? OPOOL__FAULT_TOUCHED_PUT : OPOOL__FAULT_TOUCHED_PAST;
}

/* Another thread tells its own touch, which may end the process before this one is told: waited for, but not for ever,
   as that thread may be stopped. */
static bool take_text_in_time(void)
{
    uint64_t until = opool__os.now() + PATIENCE_NS;
    while (!opool__lock_try(&text_lock)) {
        uint64_t now = opool__os.now();
        uint32_t never = 0;
        if (now >= until)
            return false;
        opool__os.wait(&never, 0, now + PATIENCE_NS / 1000);
    }
    return true;
}

static void tell_touch(struct told *told, const struct opool__trap *trap)
{
    static const char *const calls[] = {[OPOOL__ACCESS] = "access", [OPOOL__READ] = "read", [OPOOL__WRITE] = "write"};
    char small[1024];
    struct opool__text text = {small, sizeof small, 0};
    struct opool__detail detail = {0};
    enum opool__fault fault = name_touch(&told->slot, trap->address, &detail);
    bool mine = take_text_in_time();
    if (mine)
        text = (struct opool__text){text_room, sizeof text_room, 0};
    opool__fault_tell(&text, &told->label, fault, calls[trap->access], told->slot.object, &detail);
    if (mine)
        opool__lock_drop(&text_lock);
}

/* A program whose own handler goes on is told once a use, not at each try. */
void opool__guard_look(const struct opool__trap *trap)
{
    struct told told;
    struct opool__guard_slot *slot = opool__guard_slots_has(trap->address) ? nearest(trap->address) : NULL;
    if (!slot || !copy_slot(slot, &told) || opool__exchange_acquire(&slot->shared_told, 1u) != 0)
        return;
    told.what = "touched";
    told.now.thread = opool__os.thread_number();
    told.now.stack = opool__stack_from(trap->code);
    tell_touch(&told, trap);
}

void opool__guard_tell_reset(void)
{
    opool__lock_reset(&text_lock);
}
