/* SPDX-License-Identifier: MIT */
#include "depot/depot.h"

#include <string.h>

#include "epoch/epoch.h"
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
    opool__fault(depot->label, state == OPOOL__SLOT_IDLE ? OPOOL__FAULT_PUT_TWICE_LATE : OPOOL__FAULT_PUT_FREE_LATE,
                 "put", object, NULL);
}

/* What a magazine holds was a slot when it was put: if it is none now, then somebody wrote into the magazine. */
static uint8_t *state_of(const struct opool__depot *depot, const struct opool__view *view, const void *object)
{
    uint8_t *state = opool__view_state(view, object);
    if (__builtin_expect(!state, 0))
        opool__slab_damaged(depot->label, object, "a magazine holds what is no object of the pool");
    return state;
}

static void mark_idle(const struct opool__depot *depot, void *const *objects, uint32_t n)
{
    if (depot->label->checks == OPOOL_CHECKS_OFF)
        return;
    const struct opool__view view = opool__slab_view(depot->slab);
    for (uint32_t i = 0; i < n; i++) {
        void *object = opool__read_plain(&objects[i]);
        if (!opool__slab_move(state_of(depot, &view, object), OPOOL__SLOT_OUT, OPOOL__SLOT_IDLE))
            report_not_out(depot, object);
    }
}

static void mark_out(const struct opool__depot *depot, void *const *objects, uint32_t n)
{
    if (depot->label->checks == OPOOL_CHECKS_OFF)
        return;
    const struct opool__view view = opool__slab_view(depot->slab);
    for (uint32_t i = 0; i < n; i++) {
        void *object = opool__read_plain(&objects[i]);
        if (!opool__slab_move(state_of(depot, &view, object), OPOOL__SLOT_IDLE, OPOOL__SLOT_OUT))
            opool__slab_damaged(depot->label, object, "an object in the depot is not idle");
    }
}

/* ---- one shard, under its lock ---- */

static void push_filled_locked(struct opool__shard *shard, struct opool__magazine *magazine)
{
    magazine->next = shard->filled;
    shard->filled = magazine;
    opool__store_relaxed(&shard->shared_filled, opool__load_relaxed(&shard->shared_filled) + 1);
    shard->objects += magazine->count;
}

/* One of a shard's lists, with `count` from here on: a magazine that holds `least` objects or more. */
static void expect_magazine(const struct opool__depot *depot, struct opool__shard *shard,
                            const struct opool__magazine *magazine, uint32_t count, uint32_t least)
{
    const char *what = NULL;
    if (!opool__magazine_is_one(magazine, depot->magazine_capacity))
        what = "a list of magazines leads to what is none";
    else if ((magazine->next == NULL) != (count == 1))
        what = "a list of magazines is not as long as its count";
    else if (magazine->count < least || magazine->count > magazine->capacity)
        what = "a magazine counts objects that it can not hold";
    if (__builtin_expect(what == NULL, 1))
        return;
    opool__lock_drop(&shard->lock); /* the user's callback may use the pool once more */
    opool__slab_damaged(depot->label, magazine, what);
}

static struct opool__magazine *pop_filled_locked(const struct opool__depot *depot, struct opool__shard *shard)
{
    struct opool__magazine *magazine = shard->filled;
    if (magazine) {
        expect_magazine(depot, shard, magazine, opool__load_relaxed(&shard->shared_filled), 1);
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

static struct opool__magazine *pop_empty_locked(const struct opool__depot *depot, struct opool__shard *shard)
{
    struct opool__magazine *magazine = shard->empty;
    if (magazine) {
        expect_magazine(depot, shard, magazine, shard->empties, 0);
        shard->empty = magazine->next;
        shard->empties--;
        if (shard->empties_low > shard->empties)
            shard->empties_low = shard->empties;
    }
    return magazine;
}

/* ---- exchange with caches ---- */

static struct opool__magazine *take_from(const struct opool__depot *depot, struct opool__shard *shard)
{
    if (opool__load_relaxed(&shard->shared_filled) == 0)
        return NULL;
    opool__lock_take(&shard->lock);
    struct opool__magazine *magazine = pop_filled_locked(depot, shard);
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
        magazine = take_from(depot, &depot->shards[(shard + i) & depot->shard_mask]);
    if (magazine)
        mark_out(depot, magazine->slots, magazine->count);
    return magazine;
}

struct opool__magazine *opool__depot_give(struct opool__depot *depot, uint32_t shard, struct opool__magazine *filled)
{
    struct opool__shard *own = &depot->shards[shard & depot->shard_mask];
    mark_idle(depot, filled->slots, filled->count);
    opool__lock_take(&own->lock);
    push_filled_locked(own, filled);
    own->flushes++;
    own->from_caches += filled->count;
    struct opool__magazine *empty = pop_empty_locked(depot, own);
    opool__lock_drop(&own->lock);
    return empty;
}

void opool__depot_stock(struct opool__depot *depot, struct opool__magazine *filled)
{
    struct opool__shard *shard = &depot->shards[0];
    mark_idle(depot, filled->slots, filled->count);
    opool__lock_take(&shard->lock);
    push_filled_locked(shard, filled);
    opool__lock_drop(&shard->lock);
    opool__epoch_stir();
}

struct opool__magazine *opool__depot_empty(struct opool__depot *depot, uint32_t shard)
{
    struct opool__shard *own = &depot->shards[shard & depot->shard_mask];
    opool__lock_take(&own->lock);
    struct opool__magazine *empty = pop_empty_locked(depot, own);
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
    empty->count = empty->low = empty->vacant = 0;
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
    struct opool__magazine *magazine = pop_filled_locked(depot, shard);
    void *object = magazine ? opool__read_plain(&magazine->slots[--magazine->count]) : NULL;
    if (magazine && magazine->low > magazine->count)
        magazine->low = magazine->count;
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

void *opool__depot_condemn(struct opool__depot *depot)
{
    opool__bounded_condemn(&depot->store);
    void *object = opool__depot_pop(depot);
    if (!object)
        opool__bounded_pardon(&depot->store);
    return object;
}

/* ---- ages ---- */

/* Of what was unused since the tick `seen`. Ticks may miss a magazine that moves between cache and shard under them;
   then it is seen one tick later, and what is in it that much older. */
static enum opool__age age_at(uint32_t seen, uint32_t tick)
{
    return tick - seen >= 2 ? OPOOL__DOOMED : OPOOL__VICTIM;
}

void opool__depot_retire(struct opool__depot *depot, void *const *objects, uint32_t n, uint32_t seen, uint32_t tick,
                         bool from_cache)
{
    if (n == 0)
        return;
    enum opool__age age = age_at(seen, tick);
    if (from_cache) {
        mark_idle(depot, objects, n);
        opool__bounded_add_from_cache(&depot->store, age, objects, n);
    } else {
        opool__bounded_add(&depot->store, age, objects, n);
    }
}

/* How many of a magazine's objects, from the oldest on, were not used since the tick `seen`. */
static uint32_t unused(const struct opool__magazine *magazine)
{
    return magazine->low < magazine->count ? magazine->low : magazine->count;
}

void opool__depot_age_magazine(struct opool__depot *depot, struct opool__magazine *magazine, uint32_t tick, bool idle)
{
    if (magazine->seen == tick)
        return;
    uint32_t n = unused(magazine);
    opool__depot_retire(depot, magazine->slots, n, magazine->seen, tick, !idle);
    magazine->count -= n;
    for (uint32_t i = 0; n && i < magazine->count; i++)
        opool__write_plain(&magazine->slots[i], opool__read_plain(&magazine->slots[n + i]));
    magazine->low = magazine->count;
    magazine->step = 1;
    magazine->seen = tick;
}

/* Of the shard's magazines those of which all is unused, for the caller; the others keep what was used. */
static struct opool__magazine *age_shard_locked(struct opool__depot *depot, struct opool__shard *shard, uint32_t tick)
{
    struct opool__magazine *leaving = NULL;
    uint32_t left = opool__load_relaxed(&shard->shared_filled);
    for (struct opool__magazine **link = &shard->filled, *magazine; (magazine = *link) != NULL; left--) {
        expect_magazine(depot, shard, magazine, left, 1);
        if (magazine->seen == tick || unused(magazine) < magazine->count) {
            shard->objects -= magazine->count;
            opool__depot_age_magazine(depot, magazine, tick, true);
            shard->objects += magazine->count;
            link = &magazine->next;
            continue;
        }
        *link = magazine->next;
        opool__store_relaxed(&shard->shared_filled, opool__load_relaxed(&shard->shared_filled) - 1);
        shard->objects -= magazine->count;
        opool__bounded_expect(&depot->store, magazine->count);
        magazine->next = leaving;
        leaving = magazine;
    }
    return leaving;
}

/* Empty magazines that nobody needed since the last tick. */
static struct opool__magazine *spare_empties_locked(const struct opool__depot *depot, struct opool__shard *shard)
{
    struct opool__magazine *leaving = NULL;
    for (uint32_t n = shard->empties_low; n > 0; n--) {
        struct opool__magazine *magazine = pop_empty_locked(depot, shard);
        magazine->next = leaving;
        leaving = magazine;
    }
    shard->empties_low = shard->empties;
    return leaving;
}

static void retire_all(struct opool__depot *depot, struct opool__magazine *leaving, uint32_t tick)
{
    for (struct opool__magazine *next; leaving; leaving = next) {
        next = leaving->next;
        if (leaving->count)
            opool__bounded_add_expected(&depot->store, age_at(leaving->seen, tick), leaving->slots, leaving->count);
        free_magazine(depot, leaving);
    }
}

static void age_shard(struct opool__depot *depot, struct opool__shard *shard, uint32_t tick)
{
    opool__lock_take(&shard->lock);
    struct opool__magazine *leaving = age_shard_locked(depot, shard, tick);
    struct opool__magazine *empties = spare_empties_locked(depot, shard);
    opool__lock_drop(&shard->lock);
    /* Without the shard's lock: these may be a thousand. A get that looks here meanwhile builds one more than it had
       to; a pool at its capacity waits for the reclaim lock first. */
    retire_all(depot, leaving, tick);
    retire_all(depot, empties, tick);
}

void opool__depot_age(struct opool__depot *depot, uint32_t tick)
{
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        age_shard(depot, &depot->shards[i], tick);
}

/* Between ticks: what the last one saw here is not a victim before the next one, who finds it unused. What a tick
   missed may be a victim at once. */
static void drain_magazine(struct opool__depot *depot, struct opool__magazine *magazine)
{
    uint32_t n = unused(magazine);
    if (magazine->seen == (uint32_t)opool__epoch_now())
        opool__bounded_add_unused(&depot->store, magazine->slots, n);
    else
        opool__bounded_add(&depot->store, OPOOL__VICTIM, magazine->slots, n);
    opool__bounded_add(&depot->store, OPOOL__RECENT, magazine->slots + n, magazine->count - n);
}

void opool__depot_drain(struct opool__depot *depot)
{
    for (uint32_t i = 0; i <= depot->shard_mask; i++) {
        struct opool__shard *shard = &depot->shards[i];
        if (opool__load_relaxed(&shard->shared_filled) == 0)
            continue;
        opool__lock_take(&shard->lock);
        for (struct opool__magazine *magazine; (magazine = pop_filled_locked(depot, shard)) != NULL;) {
            drain_magazine(depot, magazine);
            free_magazine(depot, magazine);
        }
        opool__lock_drop(&shard->lock);
    }
}

/* ---- figures, end, fork ---- */

struct opool__depot_idle opool__depot_idle(struct opool__depot *depot)
{
    const struct opool__bounded *store = &depot->store;
    /* All at once: a tick moves them by thousands, and watermarks believe what is said here. */
    opool__depot_lock_all(depot);
    struct opool__depot_idle idle = {.all = opool__load_relaxed(&store->shared_idle) + store->on_the_way,
                                     .victims = store->ages[OPOOL__VICTIM].count + store->ages[OPOOL__DOOMED].count +
                                                store->on_the_way};
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        idle.all += depot->shards[i].objects;
    opool__depot_unlock_all(depot);
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
    opool__lock_take(&depot->store.lock);
    sum.refills += depot->store.refills;
    sum.to_caches += depot->store.to_caches;
    sum.from_caches += depot->store.from_caches;
    opool__lock_drop(&depot->store.lock);
    return sum;
}

void opool__depot_fini(struct opool__depot *depot)
{
    for (uint32_t i = 0; i <= depot->shard_mask; i++)
        for (struct opool__magazine *m; (m = pop_empty_locked(depot, &depot->shards[i])) != NULL;)
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
