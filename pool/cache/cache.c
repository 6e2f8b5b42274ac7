/* SPDX-License-Identifier: MIT */
#include "cache/cache.h"

#include "cache/barrier.h"
#include "os/lock.h"
#include "os/state.h"

/* Which cache has which number; under opool__threads_lock. */
static OPOOL__STATE struct opool__cache *by_number[OPOOL__HEADS];

/* ---- numbers ---- */

static uint32_t lowest_free_number(void)
{
    for (uint32_t n = 1; n < OPOOL__HEADS; n++)
        if (!by_number[n])
            return n;
    return 0;
}

void opool__cache_open(struct opool__cache *cache, struct opool__depot *depot)
{
    *cache = (struct opool__cache){.depot = depot};
    opool__lock_take(&opool__threads_lock);
    cache->shared_number = lowest_free_number();
    if (cache->shared_number)
        by_number[cache->shared_number] = cache;
    opool__lock_drop(&opool__threads_lock);
}

void opool__cache_free_number(struct opool__cache *cache)
{
    by_number[cache->shared_number] = NULL;
    opool__store_relaxed(&cache->shared_number, 0u);
}

/* ---- a head, under its lock ---- */

/*
 * Everything the fast path reads follows from the loaded magazine, its count, and whether barriers can be had. Without
 * them every operation must come out of line, where the lock orders it: then all three are NULL and stay so, whoever
 * works on the head, and the count is in the magazine. (Three equal pointers that move would not do: the fast path
 * could read one of them from before and one from after a reclaimer's visit.)
 */
static void set_count(struct opool_head *head, uint32_t count)
{
    struct opool__magazine *loaded = head->loaded;
    bool fast = loaded && opool__barrier_usable();
    if (loaded && !fast)
        loaded->count = count;
    opool__store_relaxed(&head->top, fast ? loaded->slots + count : NULL);
    opool__store_relaxed(&head->floor, fast ? loaded->slots : NULL);
    opool__store_relaxed(&head->limit, fast ? loaded->slots + loaded->capacity : NULL);
}

static uint32_t loaded_count(const struct opool_head *head)
{
    void **top = opool__load_relaxed(&head->top);
    return !head->loaded ? 0 : top ? (uint32_t)(top - head->loaded->slots) : head->loaded->count;
}

static void load(struct opool_head *head, struct opool__magazine *magazine)
{
    head->loaded = magazine;
    set_count(head, magazine ? magazine->count : 0);
}

/* The two magazines change places. */
static void swap(struct opool_head *head)
{
    struct opool__magazine *was = head->loaded;
    was->count = loaded_count(head);
    load(head, head->spare);
    head->spare = was;
}

/* ---- get ---- */

/* The loaded magazine is empty or missing; get objects into its place. False: none to be had. */
static bool refill(struct opool__cache *cache, const struct opool__thread *thread, struct opool_head *head)
{
    struct opool__depot *depot = cache->depot;
    if (head->spare && head->spare->count) {
        swap(head);
        return true;
    }
    struct opool__magazine *empty = head->loaded, *filled = opool__depot_take(depot, thread->shard);
    if (!filled) {
        /* A put follows this get: have its magazine ready while lack of memory is nobody's problem. */
        if (!empty)
            load(head, opool__depot_empty(depot, thread->shard));
        return false;
    }
    load(head, filled);
    if (empty)
        empty->count = 0;
    if (empty && head->spare)
        opool__depot_give_empty(depot, thread->shard, empty);
    else if (empty)
        head->spare = empty;
    return true;
}

static void *pop(struct opool_head *head)
{
    uint32_t count = loaded_count(head) - 1;
    void *object = opool__read_plain(&head->loaded->slots[count]);
    set_count(head, count);
    return object;
}

/* ---- put ---- */

/* Make room for one object on top. False: no magazine can be had. */
static bool make_room(struct opool__cache *cache, const struct opool__thread *thread, struct opool_head *head)
{
    struct opool__depot *depot = cache->depot;
    if (!head->loaded) {
        load(head, opool__depot_empty(depot, thread->shard));
        return head->loaded != NULL;
    }
    if (loaded_count(head) < head->loaded->capacity)
        return true;
    if (head->spare && head->spare->count == 0) {
        swap(head);
        return true;
    }
    struct opool__magazine *empty = NULL;
    if (head->spare) {
        empty = opool__depot_give(depot, thread->shard, head->spare);
        head->spare = NULL;
    }
    if (!empty)
        empty = opool__depot_empty(depot, thread->shard);
    if (!empty)
        return false;
    head->spare = empty;
    swap(head);
    return true;
}

static void push(struct opool_head *head, void *object)
{
    uint32_t count = loaded_count(head);
    opool__write_plain(&head->loaded->slots[count], object);
    set_count(head, count + 1);
    opool__store_relaxed(&head->puts, opool__load_relaxed(&head->puts) + 1);
}

static bool is_on_top(struct opool_head *head, const void *object)
{
    uint32_t count = loaded_count(head);
    return count && opool__read_plain(&head->loaded->slots[count - 1]) == object;
}

/* ---- the owner's way in ---- */

/* The calling thread's head for this pool, taken into use if it was not. NULL: no cache. */
static struct opool_head *own_head(struct opool__cache *cache, struct opool__thread *thread)
{
    uint32_t number = opool__load_relaxed(&cache->shared_number);
    if (opool__thread_uses(thread, number))
        return &thread->heads[number];
    opool__lock_take(&opool__threads_lock);
    bool open = number && !opool__load_relaxed(&cache->shared_closing);
    if (open) {
        opool__thread_mark(thread, number, true);
        thread->touched[number / 64] |= UINT64_C(1) << number % 64;
    }
    opool__lock_drop(&opool__threads_lock);
    return open ? &thread->heads[number] : NULL;
}

/* Lock the caller's head and disarm it. NULL: there is none, or the pool is closing: then it stays armed, for the one
   who empties it. */
static struct opool_head *enter(struct opool__cache *cache, struct opool__thread *thread)
{
    struct opool_head *head = thread ? own_head(cache, thread) : NULL;
    if (!head)
        return NULL;
    opool__lock_take(&head->shared_lock);
    if (opool__load_relaxed(&cache->shared_closing)) {
        opool__lock_drop(&head->shared_lock);
        return NULL;
    }
    set_count(head, loaded_count(head));
    return head;
}

static void leave(struct opool_head *head)
{
    opool__lock_drop(&head->shared_lock);
}

void *opool__cache_get(struct opool__cache *cache)
{
    struct opool__thread *thread = opool__thread_self();
    struct opool_head *head = enter(cache, thread);
    if (!head)
        return NULL;
    void *object = loaded_count(head) || refill(cache, thread, head) ? pop(head) : NULL;
    leave(head);
    return object;
}

bool opool__cache_on_top(struct opool__cache *cache, const void *object)
{
    struct opool__thread *thread = opool__thread_known();
    uint32_t number = opool__load_relaxed(&cache->shared_number);
    if (!thread || !opool__thread_uses(thread, number))
        return false;
    struct opool_head *head = &thread->heads[number];
    opool__lock_take(&head->shared_lock);
    bool on_top = is_on_top(head, object);
    opool__lock_drop(&head->shared_lock);
    return on_top;
}

bool opool__cache_put(struct opool__cache *cache, void *object)
{
    struct opool__thread *thread = opool__thread_self();
    struct opool_head *head = enter(cache, thread);
    if (!head)
        return false;
    const struct opool__label *label = cache->depot->label;
    if (label->checks != OPOOL_CHECKS_OFF && is_on_top(head, object)) {
        leave(head);
        opool__fault(label, "put", object, "put twice in a row");
    }
    bool room = make_room(cache, thread, head);
    if (room)
        push(head, object);
    leave(head);
    return room;
}

/* ---- runs: the fast path for many objects at once, see opool__get_inline ---- */

static struct opool_head *begin_section(const struct opool__cache *cache)
{
    struct opool_head *head = &opool__heads[opool__load_relaxed(&cache->shared_number)];
    opool__store_relaxed(&head->busy, 1u);
    opool__light_barrier();
    return head;
}

static void end_section(struct opool_head *head)
{
    opool__store_release(&head->busy, 0u);
}

size_t opool__cache_get_run(struct opool__cache *cache, void **objects, size_t n)
{
    struct opool_head *head = begin_section(cache);
    void **floor = opool__load_relaxed(&head->floor), **top = opool__load_relaxed(&head->top);
    size_t run = (uintptr_t)top > (uintptr_t)floor ? (size_t)(top - floor) : 0;
    run = run < n ? run : n;
    for (size_t i = 0; i < run; i++)
        objects[i] = opool__read_plain(--top);
    if (run)
        opool__store_relaxed(&head->top, top);
    end_section(head);
    return run;
}

size_t opool__cache_put_run(struct opool__cache *cache, void *const *objects, size_t n)
{
    struct opool_head *head = begin_section(cache);
    void **limit = opool__load_relaxed(&head->limit), **top = opool__load_relaxed(&head->top);
    size_t run = (uintptr_t)top < (uintptr_t)limit ? (size_t)(limit - top) : 0;
    run = run < n ? run : n;
    if (run && cache->depot->label->checks != OPOOL_CHECKS_OFF && opool__read_plain(top - 1) == objects[0])
        run = 0; /* put twice in a row: the single way says so */
    for (size_t i = 0; i < run; i++)
        opool__write_plain(top++, objects[i]);
    if (run) {
        opool__store_relaxed(&head->top, top);
        opool__store_relaxed(&head->puts, opool__load_relaxed(&head->puts) + run);
    }
    end_section(head);
    return run;
}

/* ---- giving heads up ---- */

void opool__head_arm(struct opool_head *head)
{
    opool__store_relaxed(&head->floor, OPOOL_ARMED);
    opool__store_relaxed(&head->limit, NULL);
}

static uint64_t give_up(struct opool__depot *depot, uint32_t shard, struct opool__magazine *magazine)
{
    if (!magazine)
        return 0;
    uint64_t objects = magazine->count;
    struct opool__magazine *empty = objects ? opool__depot_give(depot, shard, magazine) : magazine;
    if (empty)
        opool__depot_give_empty(depot, shard, empty);
    return objects;
}

uint64_t opool__head_empty(struct opool__depot *depot, uint32_t shard, struct opool_head *head)
{
    struct opool__magazine *loaded = head->loaded, *spare = head->spare;
    if (loaded)
        loaded->count = loaded_count(head);
    head->loaded = head->spare = NULL;
    opool__store_relaxed(&head->top, NULL);
    opool__head_arm(head);
    opool__store_relaxed(&head->puts, 0u);
    return give_up(depot, shard, spare) + give_up(depot, shard, loaded);
}

static void give_up_head(struct opool__thread *thread, uint32_t number)
{
    struct opool__cache *cache = by_number[number];
    struct opool_head *head = &thread->heads[number];
    cache->retired_puts += opool__load_relaxed(&head->puts);
    opool__head_empty(cache->depot, thread->shard, head);
    opool__store_relaxed(&head->calling, 0u); /* the thread is no more, nor are its callbacks */
    opool__thread_mark(thread, number, false);
}

void opool__cache_leave(struct opool__thread *thread)
{
    opool__thread_leave();
    opool__lock_take(&opool__threads_lock);
    for (uint32_t number = 1; number < OPOOL__HEADS; number++) {
        if (opool__load_relaxed(&thread->shared_used[number / 64]) == 0) {
            number |= 63;
            continue;
        }
        if (!opool__thread_uses(thread, number))
            continue;
        opool__lock_take(&thread->heads[number].shared_lock);
        give_up_head(thread, number);
        opool__lock_drop(&thread->heads[number].shared_lock);
    }
    thread->in_use = false;
    opool__lock_drop(&opool__threads_lock);
}

static void adopt_head(struct opool__thread *thread, uint32_t number)
{
    struct opool_head *head = &thread->heads[number];
    if (opool__load_relaxed(&head->shared_lock) != 0) {
        /* Its owner was changing magazines when the process forked: what it held is out for ever. */
        by_number[number]->abandoned++;
        head->loaded = head->spare = NULL;
        opool__lock_reset(&head->shared_lock);
    }
    /* A head that was only busy is consistent: `top` is the last thing that get and put change. */
    opool__store_relaxed(&head->busy, 0u);
    give_up_head(thread, number);
}

void opool__cache_adopt(void)
{
    const struct opool__thread *own = opool__thread_known();
    for (struct opool__thread *thread = opool__threads; thread; thread = thread->next) {
        if (thread == own)
            continue;
        for (uint32_t number = 1; number < OPOOL__HEADS; number++)
            if (opool__thread_uses(thread, number))
                adopt_head(thread, number);
        thread->in_use = false;
    }
}

/* ---- figures ---- */

struct opool__cache_figures opool__cache_read(struct opool__cache *cache)
{
    opool__lock_take(&opool__threads_lock);
    struct opool__cache_figures figures = {.puts = cache->retired_puts,
                                           .stolen = cache->stolen,
                                           .steal_timeouts = cache->steal_timeouts,
                                           .abandoned = cache->abandoned};
    uint32_t number = cache->shared_number;
    for (struct opool__thread *thread = opool__threads; thread && number; thread = thread->next) {
        if (!opool__thread_uses(thread, number))
            continue;
        struct opool_head *head = &thread->heads[number];
        opool__lock_take(&head->shared_lock);
        figures.idle += loaded_count(head) + (head->spare ? head->spare->count : 0);
        figures.puts += opool__load_relaxed(&head->puts);
        figures.heads++;
        opool__lock_drop(&head->shared_lock);
    }
    opool__lock_drop(&opool__threads_lock);
    return figures;
}

bool opool__cache_calling(void)
{
    const struct opool__thread *thread = opool__thread_known();
    for (uint32_t number = 1; thread && number < OPOOL__HEADS; number++)
        if (thread->touched[number / 64] >> number % 64 & 1 && opool__load_relaxed(&thread->heads[number].calling))
            return true;
    return false;
}
