/* SPDX-License-Identifier: MIT */
#include "depot/bounded.h"

#include "epoch/epoch.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/random.h"

enum { WAITING, SERVED };

enum { CHOICE = 8 }; /* under full checks a take gets one of so many */

void opool__bounded_init(struct opool__bounded *store, const struct opool__slab *slab, size_t capacity,
                         const struct opool__label *label)
{
    *store = (struct opool__bounded){
        .slab = slab, .label = label, .capacity = capacity ? capacity : SIZE_MAX, .shared_tight = OPOOL__TIGHT};
    store->random = label->checks == OPOOL_CHECKS_FULL ? opool__os.seed() : 0;
    for (int age = 0; age < OPOOL__AGES; age++)
        store->ages[age].top = store->ages[age].bottom = OPOOL__SLOT_NONE;
    store->newest_link = &store->oldest;
}

/* ---- chains: a link is looked at before it is followed ---- */

static _Noreturn void damaged(struct opool__bounded *store, uint32_t index, const char *what)
{
    const struct opool__slab *slab = store->slab;
    opool__lock_drop(&store->lock); /* the user's callback may use the pool once more */
    opool__slab_damaged(store->label, opool__slab_has_index(slab, index) ? opool__slab_slot(slab, index) : NULL, what);
}

/* With checks off too: behind another index lies memory of anybody. */
static struct opool__slot slot_of(struct opool__bounded *store, uint32_t index)
{
    if (__builtin_expect(!opool__slab_has_index(store->slab, index), 0))
        damaged(store, index, "a list of idle objects leads out of the pool");
    return opool__slab_slot_data(store->slab, index);
}

/* Of what comes out of magazines, or from a put whose pointer was checked or not. */
static uint32_t index_of(struct opool__bounded *store, const void *object)
{
    uint32_t index = opool__slab_index_of(store->slab, object);
    if (__builtin_expect(index == OPOOL__SLOT_NONE, 0)) {
        opool__lock_drop(&store->lock);
        opool__slab_damaged(store->label, object, "a magazine holds what is no object of the pool");
    }
    return index;
}

static void set_state(struct opool__slot slot, enum opool__slot_state state)
{
    opool__store_relaxed(slot.shared_state, (uint8_t)state);
}

/* One in a list: its index, its metadata, the one above it (NONE: it is the top), how many are below it. */
struct member {
    uint32_t index, above;
    uint64_t below;
    struct opool__slot slot;
};

/* Without checks a double put may be what makes list and count differ, and nobody wants to know. */
static void check_member(struct opool__bounded *store, const struct member *member)
{
    if (store->label->checks == OPOOL_CHECKS_OFF)
        return;
    if (opool__load_relaxed(member->slot.shared_state) != OPOOL__SLOT_IDLE)
        damaged(store, member->index, "a list of idle objects leads to a slot that holds none");
    if ((*member->slot.link == OPOOL__SLOT_NONE) != (member->below == 0))
        damaged(store, member->index, "a list of idle objects is not as long as its count");
}

static struct member member_at(struct opool__bounded *store, uint32_t index, uint32_t above, uint64_t below)
{
    struct member member = {index, above, below, slot_of(store, index)};
    check_member(store, &member);
    return member;
}

/* The first `depth` ones stay above it. */
static struct member chain_take(struct opool__bounded *store, struct opool__chain *chain, uint32_t depth)
{
    struct member member = member_at(store, chain->top, OPOOL__SLOT_NONE, chain->count - 1);
    uint32_t *from = &chain->top;
    for (; depth > 0; depth--) {
        from = member.slot.link;
        member = member_at(store, *from, member.index, member.below - 1);
    }
    *from = *member.slot.link;
    if (member.below == 0)
        chain->bottom = member.above;
    chain->count--;
    return member;
}

static void chain_push(struct opool__chain *chain, uint32_t index, struct opool__slot slot)
{
    *slot.link = chain->top;
    chain->top = index;
    if (chain->count++ == 0)
        chain->bottom = index;
}

/* All of `from`, on top of `to`. */
static void chain_append(struct opool__bounded *store, struct opool__chain *to, struct opool__chain *from)
{
    if (from->count) {
        *slot_of(store, from->bottom).link = to->top;
        to->bottom = to->count ? to->bottom : from->bottom;
        to->top = from->top;
        to->count += from->count;
    }
    *from = (struct opool__chain){.top = OPOOL__SLOT_NONE, .bottom = OPOOL__SLOT_NONE};
}

/* What lies below the object `above`, `count` of them, becomes a chain of its own. */
static struct opool__chain chain_cut(struct opool__bounded *store, struct opool__chain *chain, uint32_t above,
                                     uint64_t count)
{
    const struct opool__chain none = {.top = OPOOL__SLOT_NONE, .bottom = OPOOL__SLOT_NONE};
    struct opool__chain lower = *chain;
    if (count == 0)
        return none;
    if (chain->count == count) {
        *chain = none;
        return lower;
    }
    uint32_t *link = member_at(store, above, OPOOL__SLOT_NONE, count).slot.link;
    lower.top = *link;
    lower.count = count;
    *link = OPOOL__SLOT_NONE;
    chain->bottom = above;
    chain->count -= count;
    return lower;
}

/* ---- the idle ones, under the lock ---- */

static void count_idle(struct opool__bounded *store, uint64_t more, uint64_t less)
{
    opool__store_relaxed(&store->shared_idle, opool__load_relaxed(&store->shared_idle) + more - less);
}

/*
 * `low` and `above_low` after an object came out of the recent ones. It was one of the low ones if fewer than `low` lie
 * below it: then these are one less, and those that stay are the ones that were not used since the last tick, no more
 * and no less, from wherever among them it came. Was it the one just above them, then the next one is. So a take from
 * below the top ages nothing and makes nothing younger, and both sentences of the promise stand as they do for a
 * stack: what a tick makes a victim was not used since the one before, and all of that.
 */
static void follow_low(struct opool__bounded *store, const struct member *taken)
{
    if (taken->below < store->low)
        store->low--;
    else if (taken->below == store->low)
        store->above_low = taken->above;
}

static void *pop_from(struct opool__bounded *store, enum opool__age age, uint32_t depth)
{
    struct opool__chain *chain = &store->ages[age];
    if (chain->count == 0)
        return NULL;
    struct member taken = chain_take(store, chain, depth);
    if (age == OPOOL__RECENT)
        follow_low(store, &taken);
    count_idle(store, 0, 1);
    set_state(taken.slot, OPOOL__SLOT_OUT);
    return opool__slab_slot(store->slab, taken.index);
}

/* Nobody shall come to rely on getting what was put last. */
static uint32_t choose(struct opool__bounded *store, uint64_t count)
{
    return store->random ? opool__random_below(&store->random, count < CHOICE ? (uint32_t)count : CHOICE) : 0;
}

static void *pop(struct opool__bounded *store)
{
    for (enum opool__age age = OPOOL__RECENT; age < OPOOL__AGES; age++)
        if (store->ages[age].count)
            return pop_from(store, age, choose(store, store->ages[age].count));
    return NULL;
}

static void push(struct opool__bounded *store, enum opool__age age, uint32_t index, struct opool__slot slot)
{
    struct opool__chain *chain = &store->ages[age];
    if (age == OPOOL__RECENT && chain->count == store->low)
        store->above_low = index;
    chain_push(chain, index, slot);
    count_idle(store, 1, 0);
    set_state(slot, OPOOL__SLOT_IDLE);
}

/* ---- waiters ---- */

/* Give the oldest waiter what it waits for; its memory may be gone as soon as it is SERVED, so the wake only uses the
   address (a wake of a word that is no futex any more does nothing). */
static void serve(struct opool__bounded *store, enum opool__bounded_result result, void *object)
{
    struct opool__waiter *waiter = store->oldest;
    store->oldest = waiter->next;
    if (!store->oldest)
        store->newest_link = &store->oldest;
    waiter->result = result;
    waiter->object = object;
    /* release: the waiter reads result and object after it sees SERVED. */
    opool__store_release(&waiter->shared_state, (uint32_t)SERVED);
    opool__os.wake(&waiter->shared_state, 1);
}

static void enqueue(struct opool__bounded *store, struct opool__waiter *waiter)
{
    opool__reused(waiter, sizeof *waiter);
    *waiter = (struct opool__waiter){.shared_state = WAITING};
    *store->newest_link = waiter;
    store->newest_link = &waiter->next;
}

static void leave_queue(struct opool__bounded *store, const struct opool__waiter *waiter)
{
    struct opool__waiter **link = &store->oldest;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    if (!waiter->next)
        store->newest_link = link;
}

static enum opool__bounded_result served(const struct opool__waiter *waiter, void **object)
{
    *object = waiter->object;
    return waiter->result;
}

enum opool__bounded_result opool__bounded_await(struct opool__waiter *waiter, uint64_t deadline, void **object)
{
    while (opool__load_acquire(&waiter->shared_state) == WAITING) {
        if (deadline && opool__os.now() >= deadline)
            return OPOOL__BOUNDED_FULL;
        opool__os.wait(&waiter->shared_state, WAITING, deadline);
    }
    return served(waiter, object);
}

enum opool__bounded_result opool__bounded_leave(struct opool__bounded *store, struct opool__waiter *waiter,
                                                void **object)
{
    opool__lock_take(&store->lock);
    bool waiting = opool__load_relaxed(&waiter->shared_state) == WAITING;
    if (waiting)
        leave_queue(store, waiter);
    opool__lock_drop(&store->lock);
    return waiting ? OPOOL__BOUNDED_FULL : served(waiter, object);
}

/* ---- takes ---- */

static enum opool__bounded_result take_locked(struct opool__bounded *store, void **object)
{
    if (store->closed)
        return OPOOL__BOUNDED_CLOSED;
    if ((*object = pop(store)) != NULL)
        return OPOOL__BOUNDED_OBJECT;
    if (store->held < store->capacity) {
        store->held++;
        return OPOOL__BOUNDED_PERMIT;
    }
    /* Relaxed: TIGHT was written behind adds under this lock, which therefore came before this look. */
    if (opool__load_relaxed(&store->shared_tight) != OPOOL__TIGHT)
        return OPOOL__BOUNDED_UNSURE;
    return store->dying ? OPOOL__BOUNDED_DYING : OPOOL__BOUNDED_FULL;
}

enum opool__bounded_result opool__bounded_take(struct opool__bounded *store, void **object)
{
    opool__lock_take(&store->lock);
    enum opool__bounded_result result = take_locked(store, object);
    opool__lock_drop(&store->lock);
    return result;
}

enum opool__bounded_result opool__bounded_queue(struct opool__bounded *store, struct opool__waiter *waiter,
                                                void **object)
{
    opool__lock_take(&store->lock);
    enum opool__bounded_result result = take_locked(store, object);
    if (result == OPOOL__BOUNDED_FULL || result == OPOOL__BOUNDED_UNSURE || result == OPOOL__BOUNDED_DYING)
        enqueue(store, waiter);
    opool__lock_drop(&store->lock);
    return result;
}

bool opool__bounded_permit(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    bool permit = store->held < store->capacity;
    store->held += permit;
    opool__lock_drop(&store->lock);
    return permit;
}

/* A look without the lock: most pools never have anything here. What is missed was put at the same moment. */
static bool seems_empty(struct opool__bounded *store)
{
    return opool__load_relaxed(&store->shared_idle) == 0;
}

void *opool__bounded_pop(struct opool__bounded *store)
{
    if (seems_empty(store))
        return NULL;
    opool__lock_take(&store->lock);
    void *object = pop(store);
    opool__lock_drop(&store->lock);
    return object;
}

uint32_t opool__bounded_rescue(struct opool__bounded *store, void **objects, uint32_t n)
{
    if (seems_empty(store))
        return 0;
    opool__lock_take(&store->lock);
    uint64_t idle = opool__load_relaxed(&store->shared_idle);
    n = n < idle ? n : (uint32_t)idle;
    for (uint32_t i = n; i-- > 0;)
        opool__write_plain(&objects[i], pop(store));
    store->to_caches += n;
    store->refills += n > 0;
    opool__lock_drop(&store->lock);
    return n;
}

/* ---- gives ---- */

void opool__bounded_give(struct opool__bounded *store, void *object)
{
    opool__lock_take(&store->lock);
    uint32_t index = index_of(store, object);
    struct opool__slot slot = opool__slab_slot_data(store->slab, index);
    if (store->label->checks != OPOOL_CHECKS_OFF && opool__load_relaxed(slot.shared_state) != OPOOL__SLOT_OUT) {
        bool idle = opool__load_relaxed(slot.shared_state) == OPOOL__SLOT_IDLE;
        opool__lock_drop(&store->lock);
        opool__fault(store->label, idle ? OPOOL__FAULT_PUT_TWICE : OPOOL__FAULT_PUT_FREE, "put", object, NULL);
    }
    if (store->oldest)
        serve(store, OPOOL__BOUNDED_OBJECT, object);
    else
        push(store, OPOOL__RECENT, index, slot);
    opool__lock_drop(&store->lock);
    opool__epoch_stir();
}

/* Below all recent ones. */
static void push_below(struct opool__bounded *store, void *object)
{
    struct opool__chain *recent = &store->ages[OPOOL__RECENT];
    uint32_t index = index_of(store, object);
    struct opool__slot slot = opool__slab_slot_data(store->slab, index);
    if (store->low++ == 0)
        store->above_low = recent->bottom;
    *slot.link = OPOOL__SLOT_NONE;
    if (recent->count++ == 0)
        recent->top = index;
    else
        *slot_of(store, recent->bottom).link = index;
    recent->bottom = index;
    count_idle(store, 1, 0);
    set_state(slot, OPOOL__SLOT_IDLE);
}

static void serve_waiters(struct opool__bounded *store)
{
    while (store->oldest && opool__load_relaxed(&store->shared_idle))
        serve(store, OPOOL__BOUNDED_OBJECT, pop(store));
}

static void add_locked(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = index_of(store, opool__read_plain(&objects[i]));
        push(store, age, index, opool__slab_slot_data(store->slab, index));
    }
    serve_waiters(store);
}

void opool__bounded_add(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n)
{
    opool__lock_take(&store->lock);
    add_locked(store, age, objects, n);
    opool__lock_drop(&store->lock);
}

void opool__bounded_add_unused(struct opool__bounded *store, void *const *objects, uint32_t n)
{
    opool__lock_take(&store->lock);
    for (uint32_t i = n; i-- > 0;)
        push_below(store, opool__read_plain(&objects[i]));
    serve_waiters(store);
    opool__lock_drop(&store->lock);
}

void opool__bounded_expect(struct opool__bounded *store, uint64_t n)
{
    opool__lock_take(&store->lock);
    store->on_the_way += n;
    opool__lock_drop(&store->lock);
}

void opool__bounded_add_expected(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n)
{
    opool__lock_take(&store->lock);
    store->on_the_way -= n;
    add_locked(store, age, objects, n);
    opool__lock_drop(&store->lock);
}

void opool__bounded_add_from_cache(struct opool__bounded *store, enum opool__age age, void *const *objects, uint32_t n)
{
    opool__lock_take(&store->lock);
    store->from_caches += n;
    add_locked(store, age, objects, n);
    opool__lock_drop(&store->lock);
}

/* Only then somebody asks for the dying. */
static bool is_limited(const struct opool__bounded *store)
{
    return store->capacity != SIZE_MAX;
}

static void return_locked(struct opool__bounded *store)
{
    if (store->oldest)
        serve(store, OPOOL__BOUNDED_PERMIT, NULL);
    else
        store->held--;
}

void opool__bounded_return(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    return_locked(store);
    opool__lock_drop(&store->lock);
}

/* In the child of a fork inside a fini nobody is dying any more: opool__bounded_adopt. */
static void bury_locked(struct opool__bounded *store)
{
    store->dying -= store->dying > 0;
}

void opool__bounded_condemn(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    store->dying += is_limited(store);
    opool__lock_drop(&store->lock);
}

void opool__bounded_pardon(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    bury_locked(store);
    opool__lock_drop(&store->lock);
}

void opool__bounded_bury(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    bury_locked(store);
    return_locked(store);
    opool__lock_drop(&store->lock);
}

/* ---- ages ---- */

void opool__bounded_age(struct opool__bounded *store)
{
    if (seems_empty(store))
        return; /* then `low` is 0 as well, but for what is put just now: that will be of this epoch */
    opool__lock_take(&store->lock);
    struct opool__chain *recent = &store->ages[OPOOL__RECENT];
    if (__builtin_expect(store->low > recent->count, 0))
        damaged(store, recent->top, "a list of idle objects is not as long as its count");
    chain_append(store, &store->ages[OPOOL__DOOMED], &store->ages[OPOOL__VICTIM]);
    store->ages[OPOOL__VICTIM] = chain_cut(store, recent, store->above_low, store->low);
    store->low = recent->count;
    opool__lock_drop(&store->lock);
}

void opool__bounded_spare(struct opool__bounded *store, uint64_t most)
{
    opool__lock_take(&store->lock);
    struct opool__chain *doomed = &store->ages[OPOOL__DOOMED];
    while (doomed->count > most) {
        struct member member = chain_take(store, doomed, 0);
        chain_push(&store->ages[OPOOL__VICTIM], member.index, member.slot);
    }
    opool__lock_drop(&store->lock);
}

void *opool__bounded_pop_doomed(struct opool__bounded *store)
{
    if (seems_empty(store))
        return NULL;
    opool__lock_take(&store->lock);
    void *object = pop_from(store, OPOOL__DOOMED, 0);
    store->dying += object && is_limited(store);
    opool__lock_drop(&store->lock);
    return object;
}

/* ---- life ---- */

bool opool__bounded_loosen(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    uint64_t free = store->capacity - store->held + opool__load_relaxed(&store->shared_idle);
    bool loose = !store->oldest && free > store->capacity / 4;
    if (loose)
        opool__store_relaxed(&store->shared_tight, (uint32_t)OPOOL__LOOSE);
    opool__lock_drop(&store->lock);
    return loose;
}

bool opool__bounded_holds(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    bool holds = store->held != 0;
    opool__lock_drop(&store->lock);
    return holds;
}

void opool__bounded_close(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    store->closed = true;
    while (store->oldest)
        serve(store, OPOOL__BOUNDED_CLOSED, NULL);
    opool__lock_drop(&store->lock);
}

void opool__bounded_adopt(struct opool__bounded *store, size_t existing)
{
    store->oldest = NULL;
    store->newest_link = &store->oldest;
    store->held = existing;
    store->dying = 0;
}
