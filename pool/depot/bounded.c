/* SPDX-License-Identifier: MIT */
#include "depot/bounded.h"

#include "os/lock.h"
#include "os/os.h"

enum { WAITING, SERVED };

/* Lives on the stack of the thread that waits; in the queue exactly while shared_state is WAITING, under the lock. */
struct opool__waiter {
    struct opool__waiter *next;
    uint32_t shared_state;
    enum opool__bounded_result result;
    void *object;
};

void opool__bounded_init(struct opool__bounded *store, const struct opool__slab *slab, size_t capacity,
                         const struct opool__label *label)
{
    *store = (struct opool__bounded){
        .shared_top = OPOOL__SLOT_NONE, .slab = slab, .label = label, .capacity = capacity ? capacity : SIZE_MAX};
    store->newest_link = &store->oldest;
}

static void *pop(struct opool__bounded *store)
{
    uint32_t top = opool__load_relaxed(&store->shared_top);
    if (top == OPOOL__SLOT_NONE)
        return NULL;
    opool__store_relaxed(&store->shared_top, *opool__slab_link(store->slab, top));
    store->idle--;
    opool__store_relaxed(opool__slab_shared_state(store->slab, top), (uint8_t)OPOOL__SLOT_OUT);
    return opool__slab_slot(store->slab, top);
}

static void push(struct opool__bounded *store, void *object)
{
    uint32_t index = opool__slab_index(store->slab, object);
    *opool__slab_link(store->slab, index) = opool__load_relaxed(&store->shared_top);
    opool__store_relaxed(&store->shared_top, index);
    store->idle++;
    opool__store_relaxed(opool__slab_shared_state(store->slab, index), (uint8_t)OPOOL__SLOT_IDLE);
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
    waiter->next = NULL;
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

static uint64_t deadline_of(int timeout_ms)
{
    return timeout_ms < 0 ? 0 : opool__os.now() + (uint64_t)timeout_ms * 1000000u;
}

/* Without the lock. True: served; false: the time is over and the waiter has left the queue. */
static bool await(struct opool__bounded *store, struct opool__waiter *waiter, uint64_t deadline)
{
    while (opool__load_acquire(&waiter->shared_state) == WAITING) {
        if (!deadline || opool__os.now() < deadline) {
            opool__os.wait(&waiter->shared_state, WAITING, deadline);
            continue;
        }
        opool__lock_take(&store->lock);
        bool served = opool__load_relaxed(&waiter->shared_state) == SERVED;
        if (!served)
            leave_queue(store, waiter);
        opool__lock_drop(&store->lock);
        return served;
    }
    return true;
}

/* ---- the store ---- */

/* Under the lock: what can be had without waiting. */
static enum opool__bounded_result take_now(struct opool__bounded *store, void **object)
{
    if (store->closed)
        return OPOOL__BOUNDED_CLOSED;
    if ((*object = pop(store)) != NULL)
        return OPOOL__BOUNDED_OBJECT;
    if (store->held == store->capacity)
        return OPOOL__BOUNDED_FULL;
    store->held++;
    return OPOOL__BOUNDED_PERMIT;
}

enum opool__bounded_result opool__bounded_take(struct opool__bounded *store, int timeout_ms, void **object)
{
    struct opool__waiter waiter = {.shared_state = WAITING};
    uint64_t deadline = timeout_ms > 0 ? deadline_of(timeout_ms) : 0;
    opool__lock_take(&store->lock);
    enum opool__bounded_result result = take_now(store, object);
    bool waits = result == OPOOL__BOUNDED_FULL && timeout_ms != 0;
    if (waits)
        enqueue(store, &waiter);
    opool__lock_drop(&store->lock);
    if (!waits)
        return result;
    if (!await(store, &waiter, deadline))
        return OPOOL__BOUNDED_FULL;
    *object = waiter.object;
    return waiter.result;
}

bool opool__bounded_permit(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    bool permit = store->held < store->capacity;
    store->held += permit;
    opool__lock_drop(&store->lock);
    return permit;
}

void *opool__bounded_pop(struct opool__bounded *store)
{
    /* A look without the lock: most pools never have anything here. What is missed was put at the same moment. */
    if (opool__load_relaxed(&store->shared_top) == OPOOL__SLOT_NONE)
        return NULL;
    opool__lock_take(&store->lock);
    void *object = pop(store);
    opool__lock_drop(&store->lock);
    return object;
}

void opool__bounded_give(struct opool__bounded *store, void *object)
{
    opool__lock_take(&store->lock);
    uint8_t *state = opool__slab_shared_state(store->slab, opool__slab_index(store->slab, object));
    if (store->label->checks != OPOOL_CHECKS_OFF && opool__load_relaxed(state) != OPOOL__SLOT_OUT) {
        bool idle = opool__load_relaxed(state) == OPOOL__SLOT_IDLE;
        opool__lock_drop(&store->lock);
        opool__fault(store->label, "put", object, "%s",
                     idle ? "the object is idle already: put twice"
                          : "no object is there: its slot is free (put or discarded before)");
    }
    if (store->oldest)
        serve(store, OPOOL__BOUNDED_OBJECT, object);
    else
        push(store, object);
    opool__lock_drop(&store->lock);
}

void opool__bounded_return(struct opool__bounded *store)
{
    opool__lock_take(&store->lock);
    if (store->oldest)
        serve(store, OPOOL__BOUNDED_PERMIT, NULL);
    else
        store->held--;
    opool__lock_drop(&store->lock);
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
}
