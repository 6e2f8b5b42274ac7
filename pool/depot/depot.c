/* SPDX-License-Identifier: MIT */
#include "depot/depot.h"

#include <string.h>

#include "os/lock.h"
#include "os/os.h"

enum { EMPTIES_KEPT = 2 }; /* a shard: enough for a flush and a refill; the others are freed */

static uint32_t shard_count(void)
{
    uint32_t processors = opool__os.processors(), count = 1;
    while (count < processors && count < OPOOL__SHARDS_MOST)
        count *= 2;
    return count;
}

void opool__depot_init(struct opool__depot *depot, const struct opool__slab *slab, const struct opool__label *label,
                       uint32_t magazine_capacity, size_t capacity)
{
    memset(depot, 0, sizeof *depot);
    depot->slab = slab;
    depot->label = label;
    depot->magazine_capacity = magazine_capacity;
    depot->shard_mask = shard_count() - 1;
    opool__bounded_init(&depot->store, slab, capacity, label);
}

/* ---- states of objects: the check that finds double puts whose copies both reach the depot ---- */

static _Noreturn void report_not_out(const struct opool__depot *depot, const void *object)
{
    uint8_t state = opool__load_relaxed(opool__slab_shared_state(depot->slab, opool__slab_index(depot->slab, object)));
    opool__fault(depot->label, "put", object,
                 "%s; found when a magazine left the cache, OPOOL_CHECKS=full finds the call",
                 state == OPOOL__SLOT_IDLE ? "the object is idle already: it was put twice"
                                           : "its slot is free: it was put after it was discarded, or twice");
}

static void mark_idle(const struct opool__depot *depot, const struct opool__magazine *magazine)
{
    if (depot->label->checks == OPOOL_CHECKS_OFF)
        return;
    for (uint32_t i = 0; i < magazine->count; i++) {
        void *object = opool__read_plain(&magazine->slots[i]);
        if (!opool__slab_move(depot->slab, object, OPOOL__SLOT_OUT, OPOOL__SLOT_IDLE))
            report_not_out(depot, object);
    }
}

static void mark_out(const struct opool__depot *depot, void *const *objects, uint32_t n)
{
    if (depot->label->checks == OPOOL_CHECKS_OFF)
        return;
    for (uint32_t i = 0; i < n; i++)
        (void)opool__slab_move(depot->slab, opool__read_plain(&objects[i]), OPOOL__SLOT_IDLE, OPOOL__SLOT_OUT);
}

/* ---- one shard, under its lock ---- */

static void push_filled_locked(struct opool__shard *shard, struct opool__magazine *magazine)
{
    magazine->next = shard->filled;
    shard->filled = magazine;
    opool__store_relaxed(&shard->shared_filled, opool__load_relaxed(&shard->shared_filled) + 1);
    shard->objects += magazine->count;
}

static struct opool__magazine *pop_filled_locked(struct opool__shard *shard)
{
    struct opool__magazine *magazine = shard->filled;
    if (magazine) {
        shard->filled = magazine->next;
        opool__store_relaxed(&shard->shared_filled, opool__load_relaxed(&shard->shared_filled) - 1);
        shard->objects -= magazine->count;
    }
    return magazine;
}

static void push_empty_locked(struct opool__shard *shard, struct opool__magazine *magazine)
{
    magazine->next = shard->empty;
    shard->empty = magazine;
    shard->empties++;
}

static struct opool__magazine *pop_empty_locked(struct opool__shard *shard)
{
    struct opool__magazine *magazine = shard->empty;
    if (magazine) {
        shard->empty = magazine->next;
        shard->empties--;
    }
    return magazine;
}

/* ---- exchange with caches ---- */

static struct opool__magazine *take_from(struct opool__shard *shard)
{
    if (opool__load_relaxed(&shard->shared_filled) == 0)
        return NULL;
    opool__lock_take(&shard->lock);
    struct opool__magazine *magazine = pop_filled_locked(shard);
    if (magazine) {
        shard->refills++;
        shard->to_caches += magazine->count;
    }
    opool__lock_drop(&shard->lock);
    return magazine;
}

struct opool__magazine *opool__depot_take(struct opool__depot *depot, uint32_t shard)
{
    struct opool__magazine *magazine = NULL;
    for (uint32_t i = 0; i <= depot->shard_mask && !magazine; i++)
        magazine = take_from(&depot->shards[(shard + i) & depot->shard_mask]);
    if (magazine)
        mark_out(depot, magazine->slots, magazine->count);
    return magazine;
}

struct opool__magazine *opool__depot_give(struct opool__depot *depot, uint32_t shard, struct opool__magazine *filled)
{
    struct opool__shard *own = &depot->shards[shard & depot->shard_mask];
    mark_idle(depot, filled);
    opool__lock_take(&own->lock);
    push_filled_locked(own, filled);
    own->flushes++;
    own->from_caches += filled->count;
    struct opool__magazine *empty = pop_empty_locked(own);
    opool__lock_drop(&own->lock);
    return empty;
}

void opool__depot_stock(struct opool__depot *depot, struct opool__magazine *filled)
{
    struct opool__shard *shard = &depot->shards[0];
    mark_idle(depot, filled);
    opool__lock_take(&shard->lock);
    push_filled_locked(shard, filled);
    opool__lock_drop(&shard->lock);
}

struct opool__magazine *opool__depot_empty(struct opool__depot *depot, uint32_t shard)
{
    struct opool__shard *own = &depot->shards[shard & depot->shard_mask];
    opool__lock_take(&own->lock);
    struct opool__magazine *empty = pop_empty_locked(own);
    opool__lock_drop(&own->lock);
    if (!empty && (empty = opool__magazine_make(depot->magazine_capacity)) != NULL)
        opool__add_relaxed(&depot->shared_magazines, 1u);
    return empty;
}

static void free_magazine(struct opool__depot *depot, struct opool__magazine *magazine)
{
    opool__magazine_free(magazine);
    opool__sub_relaxed(&depot->shared_magazines, 1u);
}

void opool__depot_give_empty(struct opool__depot *depot, uint32_t shard, struct opool__magazine *empty)
{
    struct opool__shard *own = &depot->shards[shard & depot->shard_mask];
    empty->count = 0;
    opool__lock_take(&own->lock);
    bool keep = own->empties < EMPTIES_KEPT;
    if (keep)
        push_empty_locked(own, empty);
    opool__lock_drop(&own->lock);
    if (!keep)
        free_magazine(depot, empty);
}

/* ---- single objects ---- */

static void *pop_object(struct opool__depot *depot, uint32_t number)
{
    struct opool__shard *shard = &depot->shards[number];
    if (opool__load_relaxed(&shard->shared_filled) == 0)
        return NULL;
    opool__lock_take(&shard->lock);
    struct opool__magazine *magazine = pop_filled_locked(shard);
    void *object = magazine ? opool__read_plain(&magazine->slots[--magazine->count]) : NULL;
    bool emptied = magazine && magazine->count == 0;
    if (magazine && !emptied)
        push_filled_locked(shard, magazine);
    opool__lock_drop(&shard->lock);
    if (object)
        mark_out(depot, &object, 1);
    if (emptied)
        opool__depot_give_empty(depot, number, magazine);
    return object;
}

void *opool__depot_pop(struct opool__depot *depot)
{
    void *object = opool__bounded_pop(&depot->store);
    for (uint32_t i = 0; i <= depot->shard_mask && !object; i++)
        object = pop_object(depot, i);
    return object;
}

/* ---- figures, end, fork ---- */

uint64_t opool__depot_idle(struct opool__depot *depot)
{
    opool__lock_take(&depot->store.lock);
    uint64_t idle = depot->store.idle;
    opool__lock_drop(&depot->store.lock);
    for (uint32_t i = 0; i <= depot->shard_mask; i++) {
        opool__lock_take(&depot->shards[i].lock);
        idle += depot->shards[i].objects;
        opool__lock_drop(&depot->shards[i].lock);
    }
    return idle;
}

struct opool__flows opool__depot_flows(struct opool__depot *depot)
{
    struct opool__flows sum = {0, 0, 0, 0};
    for (uint32_t i = 0; i <= depot->shard_mask; i++) {
        struct opool__shard *shard = &depot->shards[i];
        opool__lock_take(&shard->lock);
        sum.refills += shard->refills;
        sum.flushes += shard->flushes;
        sum.to_caches += shard->to_caches;
        sum.from_caches += shard->from_caches;
        opool__lock_drop(&shard->lock);
    }
    return sum;
}

void opool__depot_fini(struct opool__depot *depot)
{
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        for (struct opool__magazine *m; (m = pop_empty_locked(&depot->shards[i])) != NULL;)
            free_magazine(depot, m);
}

void opool__depot_lock_all(struct opool__depot *depot)
{
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        opool__lock_take(&depot->shards[i].lock);
    opool__lock_take(&depot->store.lock);
}

void opool__depot_unlock_all(struct opool__depot *depot)
{
    opool__lock_drop(&depot->store.lock);
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        opool__lock_drop(&depot->shards[i].lock);
}

void opool__depot_reset_locks(struct opool__depot *depot)
{
    opool__lock_reset(&depot->store.lock);
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        opool__lock_reset(&depot->shards[i].lock);
}
