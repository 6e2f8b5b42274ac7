/* SPDX-License-Identifier: MIT */
#include "check/guard_slots.h"

#include <string.h>

#include "check/fill.h"
#include "check/guard_arena.h"
#include "check/settings.h"
#include "check/stack.h"
#include "os/lock.h"
#include "os/os.h"

/* From the epoch of the put to the first that may use the slot again: two whole ones in between. */
enum { REST_EPOCHS = 3 };

#define REST_NS UINT64_C(10000000000) /* where nothing ticks */

uintptr_t opool__guard_shared_from, opool__guard_shared_bytes;
uint32_t opool__guard_shared_open;
struct opool__guard_arena opool__guard_arena;
static uint32_t start_lock;

/* ---- start ---- */

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static int map(void **out, size_t bytes, size_t committed)
{
    int r = opool__os.reserve(out, bytes);
    if (r != 0 || committed == 0)
        return r;
    r = opool__os.commit(*out, committed);
    if (r != 0)
        (void)opool__os.release(*out, bytes);
    return r;
}

static int make_arena(uint32_t count)
{
    size_t page = opool__os.page_size(), span = round_up(OPOOL__GUARD_OBJECT_MOST, page) + page;
    size_t table = round_up(count * sizeof(struct opool__guard_slot), page), bytes = count * span + page;
    void *slots, *from;
    int r = map(&slots, table, table);
    if (r != 0)
        return r;
    r = map(&from, bytes, 0);
    if (r == 0 && (r = opool__os.trap(opool__guard_look)) != 0)
        (void)opool__os.release(from, bytes);
    if (r != 0) {
        (void)opool__os.release(slots, table);
        return r;
    }
    opool__guard_arena.slots = slots;
    opool__guard_arena.from = from;
    opool__guard_arena.span = span;
    opool__guard_arena.page = page;
    opool__guard_arena.count = opool__guard_arena.oldest = opool__guard_arena.newest = count;
    opool__store_relaxed(&opool__guard_shared_open, 1u);
    opool__store_relaxed(&opool__guard_shared_from, (uintptr_t)from);
    opool__store_release(&opool__guard_shared_bytes, bytes);
    return 0;
}

static uint32_t wanted_slots(void)
{
    uint32_t slots = opool__settings_number("OPOOL_GUARD_SLOTS_MOST", "");
    if (slots == 0)
        return OPOOL__GUARD_SLOTS;
    return slots < OPOOL__GUARD_SLOTS_MOST ? slots : OPOOL__GUARD_SLOTS_MOST;
}

enum answer { UNKNOWN, OFF, ON };

/* Under the lock of the start. A refusal may be over when the next pool is created. */
static enum answer start(void)
{
    static bool said;
#ifdef OPOOL_NO_CHECKS
    uint32_t one_in = 0; /* programs take every pointer for one of the pool's slots */
#else
    uint32_t one_in = opool__settings_number("OPOOL_GUARD_SLOTS", "1/");
#endif
    if (one_in == 0)
        return OFF;
    /* Distances are up to twice that. */
    opool__guard_arena.one_in = one_in < UINT32_MAX / 2 ? one_in : UINT32_MAX / 2;
    if (make_arena(wanted_slots()) == 0)
        return ON;
    if (!said)
        opool__print("opool: OPOOL_GUARD_SLOTS: the system refuses guard slots: pools created now have none\n");
    said = true;
    return UNKNOWN;
}

bool opool__guard_slots_start(void)
{
    static uint32_t shared_answer;
    uint32_t answer = opool__load_acquire(&shared_answer);
    if (answer != UNKNOWN)
        return answer == ON;
    opool__lock_take(&start_lock);
    answer = opool__load_relaxed(&shared_answer);
    if (answer == UNKNOWN) {
        answer = (uint32_t)start();
        /* release: who sees ON sees the opool__guard_arena. */
        opool__store_release(&shared_answer, answer);
    }
    opool__lock_drop(&start_lock);
    if (answer == ON)
        opool__stack_start();
    return answer == ON;
}

static void set_state(struct opool__guard_slot *slot, enum opool__guard_state state)
{
    opool__store_relaxed(&slot->shared_state, (uint32_t)state);
}

/* ---- the queue, under the lock ---- */

static void queue_last(struct opool__guard_slot *slot)
{
    uint32_t number = (uint32_t)(slot - opool__guard_arena.slots);
    slot->next = opool__guard_arena.count;
    if (opool__guard_arena.oldest == opool__guard_arena.count)
        opool__guard_arena.oldest = number;
    else
        opool__guard_arena.slots[opool__guard_arena.newest].next = number;
    opool__guard_arena.newest = number;
}

static bool has_rested(const struct opool__guard_slot *slot, uint64_t epoch)
{
    return epoch >= slot->rest_epoch + REST_EPOCHS || opool__os.now() - slot->put.at >= REST_NS;
}

static bool has_any(uint64_t epoch)
{
    return opool__guard_arena.used < opool__guard_arena.count ||
           (opool__guard_arena.oldest != opool__guard_arena.count &&
            has_rested(&opool__guard_arena.slots[opool__guard_arena.oldest], epoch));
}

static bool look_locked(uint64_t epoch)
{
    bool any = has_any(epoch);
    if (!any)
        opool__store_relaxed(&opool__guard_arena.shared_next_look, opool__os.now() + REST_NS);
    opool__store_relaxed(&opool__guard_shared_open, any ? 1u : 0u);
    return any;
}

void opool__guard_slots_look(uint64_t epoch)
{
    if (opool__load_relaxed(&opool__guard_shared_bytes) == 0)
        return;
    opool__lock_take(&opool__guard_arena.lock);
    (void)look_locked(epoch);
    opool__lock_drop(&opool__guard_arena.lock);
}

bool opool__guard_slots_look_in_time(uint64_t epoch)
{
    if (opool__os.now() >= opool__load_relaxed(&opool__guard_arena.shared_next_look))
        opool__guard_slots_look(epoch);
    return opool__guard_slots_open();
}

static struct opool__guard_slot *pick(uint64_t epoch)
{
    if (!look_locked(epoch))
        return NULL;
    if (opool__guard_arena.used < opool__guard_arena.count)
        return &opool__guard_arena.slots[opool__guard_arena.used++];
    struct opool__guard_slot *slot = &opool__guard_arena.slots[opool__guard_arena.oldest];
    opool__guard_arena.oldest = slot->next;
    return slot;
}

/* ---- take ---- */

static void copy_name(char *to, const char *from)
{
    size_t length = strnlen(from, OPOOL__GUARD_NAME_MOST - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

/* At the end of the last page, as near as the alignment allows, or at the start of the first. */
static char *place(const struct opool__guard_slot *slot, const struct opool__guard_order *order, bool at_end)
{
    char *pages = opool__guard_pages((uint32_t)(slot - opool__guard_arena.slots));
    return at_end ? pages + (slot->bytes - order->size) / order->align * order->align : pages;
}

/* Both changes of `uses` are seen in order: the handler looks before and after. */
static void describe(struct opool__guard_slot *slot, const struct opool__guard_order *order)
{
    opool__store_release(&slot->shared_uses, slot->shared_uses + 1);
    slot->pool = order->pool;
    slot->held = NULL;
    slot->size = order->size;
    slot->bytes = round_up(order->size, opool__guard_arena.page);
    slot->object = place(slot, order, opool__guard_arena.taken++ % 2 != 0);
    slot->got = slot->put = (struct opool__event){0};
    copy_name(slot->name, order->label->name);
    copy_name(slot->type, order->label->type);
    opool__store_relaxed(&slot->shared_told, 0u);
    opool__store_release(&slot->shared_uses, slot->shared_uses + 1);
}

static struct opool__guard_slot *take(const struct opool__guard_order *order)
{
    opool__lock_take(&opool__guard_arena.lock);
    struct opool__guard_slot *slot = pick(order->epoch);
    if (slot) {
        set_state(slot, OPOOL__GUARD_MAKING);
        describe(slot, order);
    }
    opool__lock_drop(&opool__guard_arena.lock);
    return slot;
}

/* Bytes of the slot's pages before and behind the object. */
static size_t room_before(const struct opool__guard_slot *slot)
{
    return (size_t)(slot->object - opool__guard_pages((uint32_t)(slot - opool__guard_arena.slots)));
}

static size_t room_behind(const struct opool__guard_slot *slot)
{
    return slot->bytes - room_before(slot) - slot->size;
}

/* What the system did not take back at put holds what the object left. */
static void clean(struct opool__guard_slot *slot, char *pages)
{
    if (slot->dirty == 0)
        return;
    memset(pages, 0, slot->bytes);
    slot->dirty = slot->dirty > slot->bytes ? slot->dirty : 0;
}

void *opool__guard_slots_take(const struct opool__guard_order *order)
{
    struct opool__guard_slot *slot = take(order);
    if (!slot)
        return NULL;
    char *pages = opool__guard_pages((uint32_t)(slot - opool__guard_arena.slots));
    if (opool__os.commit(pages, slot->bytes) != 0) {
        opool__guard_slots_rest(slot->object, order->epoch);
        return NULL;
    }
    clean(slot, pages);
    opool__fill(pages, room_before(slot), OPOOL__FILL_ZONE);
    opool__fill(slot->object + slot->size, room_behind(slot), OPOOL__FILL_ZONE);
    return slot->object;
}

void opool__guard_slots_got(void *object, void *held, const void *caller)
{
    struct opool__guard_slot *slot = opool__guard_slot_at(object);
    slot->held = held;
    opool__life_note(&slot->got, caller);
    opool__lock_take(&opool__guard_arena.lock);
    set_state(slot, OPOOL__GUARD_OUT);
    opool__lock_drop(&opool__guard_arena.lock);
}

/* ---- put ---- */

struct claim {
    struct opool__guard_slot *slot; /* NULL: the address is no slot's */
    enum opool__fault fault;
    bool fine;
    struct opool__detail detail;
};

static void refuse(struct claim *claim, enum opool__fault fault)
{
    claim->fine = false;
    claim->fault = fault;
}

/* Under the lock. The slot's names stay: nobody takes it before the lock is dropped, and then they are copied. */
static void judge(struct claim *claim, const void *pool, const void *object)
{
    const struct opool__guard_slot *slot = claim->slot;
    enum opool__guard_state state = slot ? opool__guard_state_of(slot) : OPOOL__GUARD_NEW;
    if (state == OPOOL__GUARD_NEW || opool__guard_distance(slot, object) != 0) {
        refuse(claim, OPOOL__FAULT_NEVER_USED);
    } else if (object != slot->object) {
        claim->detail.offset = (size_t)((const char *)object - slot->object);
        refuse(claim, OPOOL__FAULT_INTERIOR);
    } else if (slot->pool != pool) {
        refuse(claim, OPOOL__FAULT_OTHER_POOL);
    } else if (state == OPOOL__GUARD_ENDING) {
        claim->detail.thread = slot->put.thread;
        refuse(claim, OPOOL__FAULT_PUT_AT_ONCE);
    } else if (state != OPOOL__GUARD_OUT) {
        refuse(claim, OPOOL__FAULT_PUT_FREE);
    }
}

/* Has somebody written between the object and its pages' ends? Such a page allows it. */
static bool is_overwritten(const struct opool__guard_slot *slot, struct claim *claim)
{
    const char *pages = slot->object - room_before(slot), *end = slot->object + slot->size;
    struct opool__damage before = opool__fill_check(pages, room_before(slot), OPOOL__FILL_ZONE);
    struct opool__damage behind = opool__fill_check(end, room_behind(slot), OPOOL__FILL_ZONE);
    claim->detail.size = slot->size;
    if (behind.count) {
        claim->detail.offset = slot->size + behind.offset;
        claim->detail.count = behind.count;
        claim->detail.bytes = (const unsigned char *)end + behind.offset;
        refuse(claim, OPOOL__FAULT_WRITTEN_PAST);
    } else if (before.count) {
        claim->detail.offset = room_before(slot) - before.offset;
        claim->detail.count = before.count;
        claim->detail.bytes = (const unsigned char *)pages + before.offset;
        refuse(claim, OPOOL__FAULT_WRITTEN_BEFORE);
    }
    return !claim->fine;
}

void *opool__guard_slots_claim(const void *pool, const struct opool__label *label, const char *call, void *object,
                               const void *caller)
{
    struct claim claim = {.slot = opool__guard_slot_at(object), .fine = true};
    struct opool__event put;
    opool__life_note(&put, caller);
    opool__lock_take(&opool__guard_arena.lock);
    judge(&claim, pool, object);
    if (claim.fine) {
        set_state(claim.slot, OPOOL__GUARD_ENDING);
        claim.slot->put = put;
    }
    opool__lock_drop(&opool__guard_arena.lock);
    if (!claim.fine || is_overwritten(claim.slot, &claim))
        opool__guard_fail(label, claim.fault, call, object, claim.slot, &put, &claim.detail);
    return claim.slot->held;
}

/* Protected first: what is written meanwhile would be in the next object's memory. */
void opool__guard_slots_rest(void *object, uint64_t epoch)
{
    struct opool__guard_slot *slot = opool__guard_slot_at(object);
    char *pages = opool__guard_pages((uint32_t)(slot - opool__guard_arena.slots));
    (void)opool__os.protect(pages, slot->bytes); /* refused: then this use is not watched any more */
    if (opool__os.purge(pages, slot->bytes) != 0)
        slot->dirty = slot->dirty > slot->bytes ? slot->dirty : slot->bytes;
    opool__lock_take(&opool__guard_arena.lock);
    if (slot->put.at == 0)
        slot->put.at = opool__os.now();
    slot->rest_epoch = epoch;
    set_state(slot, OPOOL__GUARD_RESTING);
    queue_last(slot);
    opool__lock_drop(&opool__guard_arena.lock);
}

void opool__guard_slots_forget(const void *pool)
{
    if (opool__load_relaxed(&opool__guard_shared_bytes) == 0)
        return;
    opool__lock_take(&opool__guard_arena.lock);
    for (uint32_t i = 0; i < opool__guard_arena.used; i++) {
        struct opool__guard_slot *slot = &opool__guard_arena.slots[i];
        if (slot->pool != pool)
            continue;
        slot->pool = NULL;
        if (opool__guard_state_of(slot) != OPOOL__GUARD_RESTING)
            set_state(slot, OPOOL__GUARD_LOST);
    }
    opool__lock_drop(&opool__guard_arena.lock);
}

/* ---- fork ---- */

void opool__guard_slots_lock(void)
{
    opool__lock_take(&start_lock);
    opool__lock_take(&opool__guard_arena.lock);
}

void opool__guard_slots_unlock(void)
{
    opool__lock_drop(&opool__guard_arena.lock);
    opool__lock_drop(&start_lock);
}

void opool__guard_slots_reset(void)
{
    opool__lock_reset(&start_lock);
    opool__lock_reset(&opool__guard_arena.lock);
    opool__guard_tell_reset();
    opool__guard_turn_reset();
}
