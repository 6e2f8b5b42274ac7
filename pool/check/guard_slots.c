/* SPDX-License-Identifier: MIT */
#include "check/guard_slots.h"

#include <opool/inline.h>
#include <string.h>

#include "check/fill.h"
#include "check/life.h"
#include "check/settings.h"
#include "check/stack.h"
#include "os/lock.h"
#include "os/os.h"

enum {
    REST_EPOCHS = 3, /* from the epoch of the put to the first that may use the slot again: two whole ones in between */
    NAME_MOST = 80,
    TEXT_MOST = 16384
};

#define REST_NS UINT64_C(10000000000) /* where nothing ticks */
#define PATIENCE_NS UINT64_C(1000000000)

enum state { NEW, MAKING, OUT, ENDING, RESTING, LOST };

struct slot {
    uint32_t shared_state; /* written under the lock */
    uint32_t next;         /* in the queue */
    uint64_t shared_uses;  /* how often it was taken; odd while that is written which follows */
    uint32_t shared_told;  /* 1: a touch of this use was reported */
    const void *pool;
    void *held;
    char *object; /* NULL: never used */
    size_t size, bytes;
    struct opool__event got, put;
    char name[NAME_MOST], type[NAME_MOST];
    uint64_t rest_epoch;
    size_t dirty; /* bytes that the system did not take back */
};

uintptr_t opool__guard_shared_from, opool__guard_shared_bytes;
uint32_t opool__guard_shared_open;

static struct {
    uint32_t lock;
    uint32_t one_in;
    struct slot *slots;
    char *from;
    size_t span; /* from slot to slot: its pages, and one without access before them */
    size_t page;
    uint32_t count;
    uint32_t used;           /* slots below it are not NEW */
    uint32_t oldest, newest; /* of the queue; by number, `count`: none */
    uint64_t taken;
    uint64_t shared_next_look; /* os.now: while no slot is to be had, and nothing ticks */
} arena;

/* ---- whose turn ---- */

static __thread struct {
    uint64_t random; /* 0: not yet */
    uint32_t left;   /* gets up to the next that is guarded, and that one */
} own __attribute__((tls_model(OPOOL_TLS_MODEL)));

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014. */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* From 1 to n. */
static uint32_t draw(uint32_t n)
{
    own.random += UINT64_C(0x9e3779b97f4a7c15);
    return 1 + (uint32_t)((scramble(own.random) >> 32) * n >> 32);
}

/*
 * Distances from one guarded get to the next are evenly spread over 1 .. 2N-1, so N on average. A thread that began by
 * such a distance would be guarded too seldom while it is young: it begins in the middle of one, as if it had made gets
 * for ever. Then the first is k gets away with a probability in proportion to the distances of at least k, which are
 * 2N-k; and of the pairs of different numbers in 1 .. 2N as many have k as the smaller one.
 */
static uint32_t first_distance(void)
{
    uint32_t a = draw(2 * arena.one_in), b = draw(2 * arena.one_in - 1);
    b += b >= a;
    return a < b ? a : b;
}

bool opool__guard_slots_turn(void)
{
    if (OPOOL__UNLIKELY(own.random == 0)) {
        own.random = scramble(opool__os.now() ^ opool__os.thread_number() << 40) | 1;
        own.left = first_distance();
    }
    if (OPOOL__LIKELY(--own.left != 0))
        return false;
    own.left = draw(2 * arena.one_in - 1);
    return true;
}

/* ---- start ---- */

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static opool__trap_look look;

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
    size_t table = round_up(count * sizeof(struct slot), page), bytes = count * span + page;
    void *slots, *from;
    int r = map(&slots, table, table);
    if (r != 0)
        return r;
    r = map(&from, bytes, 0);
    if (r == 0 && (r = opool__os.trap(look)) != 0)
        (void)opool__os.release(from, bytes);
    if (r != 0) {
        (void)opool__os.release(slots, table);
        return r;
    }
    arena.slots = slots;
    arena.from = from;
    arena.span = span;
    arena.page = page;
    arena.count = arena.oldest = arena.newest = count;
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
    arena.one_in = one_in < UINT32_MAX / 2 ? one_in : UINT32_MAX / 2;
    if (make_arena(wanted_slots()) == 0)
        return ON;
    if (!said)
        opool__print("opool: OPOOL_GUARD_SLOTS: the system refuses guard slots: pools created now have none\n");
    said = true;
    return UNKNOWN;
}

bool opool__guard_slots_start(void)
{
    static uint32_t lock, shared_answer;
    uint32_t answer = opool__load_acquire(&shared_answer);
    if (answer != UNKNOWN)
        return answer == ON;
    opool__lock_take(&lock);
    answer = opool__load_relaxed(&shared_answer);
    if (answer == UNKNOWN) {
        answer = (uint32_t)start();
        /* release: who sees ON sees the arena. */
        opool__store_release(&shared_answer, answer);
    }
    opool__lock_drop(&lock);
    if (answer == ON)
        opool__stack_start();
    return answer == ON;
}

/* ---- addresses ---- */

/* The first of its pages. */
static char *pages_of(uint32_t number)
{
    return arena.from + number * arena.span + arena.page;
}

static uint32_t number_at(const void *address)
{
    return (uint32_t)((size_t)((const char *)address - arena.from) / arena.span);
}

/* The slot whose pages the address is in, or before; NULL: it is behind the last one. */
static struct slot *slot_at(const void *address)
{
    uint32_t number = number_at(address);
    return number < arena.count ? &arena.slots[number] : NULL;
}

/* How far the address is from the last object there: 0 inside. */
static size_t distance(const struct slot *slot, const void *address)
{
    const char *at = address;
    if (!slot->object)
        return SIZE_MAX;
    if (at < slot->object)
        return (size_t)(slot->object - at);
    return at < slot->object + slot->size ? 0 : (size_t)(at - slot->object) - slot->size + 1;
}

static enum state state_of(const struct slot *slot)
{
    return (enum state)opool__load_relaxed(&slot->shared_state);
}

static void set_state(struct slot *slot, enum state state)
{
    opool__store_relaxed(&slot->shared_state, (uint32_t)state);
}

/* ---- the queue, under the lock ---- */

static void queue_last(struct slot *slot)
{
    uint32_t number = (uint32_t)(slot - arena.slots);
    slot->next = arena.count;
    if (arena.oldest == arena.count)
        arena.oldest = number;
    else
        arena.slots[arena.newest].next = number;
    arena.newest = number;
}

static bool has_rested(const struct slot *slot, uint64_t epoch)
{
    return epoch >= slot->rest_epoch + REST_EPOCHS || opool__os.now() - slot->put.at >= REST_NS;
}

static bool has_any(uint64_t epoch)
{
    return arena.used < arena.count || (arena.oldest != arena.count && has_rested(&arena.slots[arena.oldest], epoch));
}

static bool look_locked(uint64_t epoch)
{
    bool any = has_any(epoch);
    if (!any)
        opool__store_relaxed(&arena.shared_next_look, opool__os.now() + REST_NS);
    opool__store_relaxed(&opool__guard_shared_open, any ? 1u : 0u);
    return any;
}

void opool__guard_slots_look(uint64_t epoch)
{
    if (opool__load_relaxed(&opool__guard_shared_bytes) == 0)
        return;
    opool__lock_take(&arena.lock);
    (void)look_locked(epoch);
    opool__lock_drop(&arena.lock);
}

bool opool__guard_slots_look_in_time(uint64_t epoch)
{
    if (opool__os.now() >= opool__load_relaxed(&arena.shared_next_look))
        opool__guard_slots_look(epoch);
    return opool__guard_slots_open();
}

static struct slot *pick(uint64_t epoch)
{
    if (!look_locked(epoch))
        return NULL;
    if (arena.used < arena.count)
        return &arena.slots[arena.used++];
    struct slot *slot = &arena.slots[arena.oldest];
    arena.oldest = slot->next;
    return slot;
}

/* ---- take ---- */

static void copy_name(char *to, const char *from)
{
    size_t length = strnlen(from, NAME_MOST - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

/* At the end of the last page, as near as the alignment allows, or at the start of the first. */
static char *place(const struct slot *slot, const struct opool__guard_order *order, bool at_end)
{
    char *pages = pages_of((uint32_t)(slot - arena.slots));
    return at_end ? pages + (slot->bytes - order->size) / order->align * order->align : pages;
}

/* Both changes of `uses` are seen in order: the handler looks before and after. */
static void describe(struct slot *slot, const struct opool__guard_order *order)
{
    opool__store_release(&slot->shared_uses, slot->shared_uses + 1);
    slot->pool = order->pool;
    slot->held = NULL;
    slot->size = order->size;
    slot->bytes = round_up(order->size, arena.page);
    slot->object = place(slot, order, arena.taken++ % 2 != 0);
    slot->got = slot->put = (struct opool__event){0};
    copy_name(slot->name, order->label->name);
    copy_name(slot->type, order->label->type);
    opool__store_relaxed(&slot->shared_told, 0u);
    opool__store_release(&slot->shared_uses, slot->shared_uses + 1);
}

static struct slot *take(const struct opool__guard_order *order)
{
    opool__lock_take(&arena.lock);
    struct slot *slot = pick(order->epoch);
    if (slot) {
        set_state(slot, MAKING);
        describe(slot, order);
    }
    opool__lock_drop(&arena.lock);
    return slot;
}

/* Bytes of the slot's pages before and behind the object. */
static size_t room_before(const struct slot *slot)
{
    return (size_t)(slot->object - pages_of((uint32_t)(slot - arena.slots)));
}

static size_t room_behind(const struct slot *slot)
{
    return slot->bytes - room_before(slot) - slot->size;
}

/* What the system did not take back at put holds what the object left. */
static void clean(struct slot *slot, char *pages)
{
    if (slot->dirty == 0)
        return;
    memset(pages, 0, slot->bytes);
    slot->dirty = slot->dirty > slot->bytes ? slot->dirty : 0;
}

void *opool__guard_slots_take(const struct opool__guard_order *order)
{
    struct slot *slot = take(order);
    if (!slot)
        return NULL;
    char *pages = pages_of((uint32_t)(slot - arena.slots));
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
    struct slot *slot = slot_at(object);
    slot->held = held;
    opool__life_note(&slot->got, caller);
    opool__lock_take(&arena.lock);
    set_state(slot, OUT);
    opool__lock_drop(&arena.lock);
}

/* ---- what is told ---- */

struct told {
    struct opool__label label; /* first: the story gets it */
    const char *what;          /* "called", "touched": by the thread that tells, as `now` */
    struct opool__event now;
    struct slot slot; /* as it was */
};

static void tell_story(const struct opool__label *label, const void *object, struct opool__text *text)
{
    const struct told *told = (const struct told *)(const void *)label;
    (void)object;
    opool__life_tell(text, told->what, &told->now);
    opool__life_tell(text, "last got", &told->slot.got);
    opool__life_tell(text, "last put", &told->slot.put);
}

/* ---- put ---- */

struct claim {
    struct slot *slot; /* NULL: the address is no slot's */
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
    const struct slot *slot = claim->slot;
    enum state state = slot ? state_of(slot) : NEW;
    if (state == NEW || distance(slot, object) != 0) {
        refuse(claim, OPOOL__FAULT_NEVER_USED);
    } else if (object != slot->object) {
        claim->detail.offset = (size_t)((const char *)object - slot->object);
        refuse(claim, OPOOL__FAULT_INTERIOR);
    } else if (slot->pool != pool) {
        refuse(claim, OPOOL__FAULT_OTHER_POOL);
    } else if (state == ENDING) {
        claim->detail.thread = slot->put.thread;
        refuse(claim, OPOOL__FAULT_PUT_AT_ONCE);
    } else if (state != OUT) {
        refuse(claim, OPOOL__FAULT_PUT_FREE);
    }
}

static struct told remember(const struct opool__label *label, const struct slot *slot)
{
    struct told told = {.label = *label, .what = "called"};
    if (slot)
        told.slot = *slot;
    told.label.story = tell_story;
    return told;
}

static _Noreturn void fail(struct told *told, struct claim *claim, const char *call, const void *object)
{
    claim->detail.name = told->slot.name;
    claim->detail.type = told->slot.type;
    opool__fault(&told->label, claim->fault, call, object, &claim->detail);
}

/* Has somebody written between the object and its pages' ends? Such a page allows it. */
static bool is_overwritten(const struct slot *slot, struct claim *claim)
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
    struct claim claim = {.slot = slot_at(object), .fine = true};
    struct opool__event put;
    opool__life_note(&put, caller);
    opool__lock_take(&arena.lock);
    judge(&claim, pool, object);
    if (claim.fine) {
        set_state(claim.slot, ENDING);
        claim.slot->put = put;
    }
    opool__lock_drop(&arena.lock);
    if (!claim.fine || is_overwritten(claim.slot, &claim)) {
        struct told told = remember(label, claim.slot);
        told.now = put;
        fail(&told, &claim, call, object);
    }
    return claim.slot->held;
}

/* Protected first: what is written meanwhile would be in the next object's memory. */
void opool__guard_slots_rest(void *object, uint64_t epoch)
{
    struct slot *slot = slot_at(object);
    char *pages = pages_of((uint32_t)(slot - arena.slots));
    (void)opool__os.protect(pages, slot->bytes); /* refused: then this use is not watched any more */
    if (opool__os.purge(pages, slot->bytes) != 0)
        slot->dirty = slot->dirty > slot->bytes ? slot->dirty : slot->bytes;
    opool__lock_take(&arena.lock);
    if (slot->put.at == 0)
        slot->put.at = opool__os.now();
    slot->rest_epoch = epoch;
    set_state(slot, RESTING);
    queue_last(slot);
    opool__lock_drop(&arena.lock);
}

void opool__guard_slots_forget(const void *pool)
{
    if (opool__load_relaxed(&opool__guard_shared_bytes) == 0)
        return;
    opool__lock_take(&arena.lock);
    for (uint32_t i = 0; i < arena.used; i++) {
        struct slot *slot = &arena.slots[i];
        if (slot->pool != pool)
            continue;
        slot->pool = NULL;
        if (state_of(slot) != RESTING)
            set_state(slot, LOST);
    }
    opool__lock_drop(&arena.lock);
}

/* ---- touches, in a signal handler ---- */

/* What is told, and who puts it together. */
static char text_room[TEXT_MOST];
static uint32_t text_lock;

/* Of the slots around it the one with the nearest object: a page without access is behind one and before another. */
static struct slot *nearest(const void *address)
{
    uint32_t number = number_at(address), from = number ? number - 1 : 0;
    struct slot *best = NULL;
    for (uint32_t i = from; i <= number + 1 && i < arena.count; i++)
        if (distance(&arena.slots[i], address) < (best ? distance(best, address) : SIZE_MAX))
            best = &arena.slots[i];
    return best;
}

/* False: it is taken again just now, and what is said of it would be of two uses. */
static bool copy_slot(const struct slot *slot, struct told *told)
{
    uint64_t uses = opool__load_acquire(&slot->shared_uses);
    *told = remember(&(struct opool__label){.name = NULL}, slot);
    told->label.name = told->slot.name;
    told->label.type = told->slot.type;
    return uses % 2 == 0 && opool__load_acquire(&slot->shared_uses) == uses;
}

static enum opool__fault name_touch(const struct slot *slot, const void *address, struct opool__detail *detail)
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
static void look(const struct opool__trap *trap)
{
    struct told told;
    struct slot *slot = opool__guard_slots_has(trap->address) ? nearest(trap->address) : NULL;
    if (!slot || !copy_slot(slot, &told) || opool__exchange_acquire(&slot->shared_told, 1u) != 0)
        return;
    told.what = "touched";
    told.now.thread = opool__os.thread_number();
    told.now.stack = opool__stack_from(trap->code);
    tell_touch(&told, trap);
}

/* ---- fork ---- */

void opool__guard_slots_lock(void)
{
    opool__lock_take(&arena.lock);
}

void opool__guard_slots_unlock(void)
{
    opool__lock_drop(&arena.lock);
}

void opool__guard_slots_reset(void)
{
    opool__lock_reset(&arena.lock);
    opool__lock_reset(&text_lock);
    own.random = 0;
}
