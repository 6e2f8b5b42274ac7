/* SPDX-License-Identifier: MIT */
#include "cache/cache.h"

#include "cache/barrier.h"
#include "epoch/epoch.h"
#include "os/lock.h"
#include "os/state.h"

/* Which cache has which number; under opool__threads_lock. */
static OPOOL__STATE struct opool__cache *by_number[OPOOL__HEADS];

/* Most objects that a thread takes at once from what was not used in this epoch, and of the promise's exemption. */
enum { STEP_MOST = 8 };

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
    if (cache->shared_number) {
        by_number[cache->shared_number] = cache;
        opool__store_relaxed(opool__cache_tight(cache), (uint32_t)OPOOL__LOOSE);
    }
    opool__lock_drop(&opool__threads_lock);
}

struct opool__cache *opool__cache_of(uint32_t number)
{
    return by_number[number];
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
 *
 * The floor stands at `low`, not at the bottom: a get that needs what was not used in this epoch comes out of line.
 */
static void set_count(struct opool_head *head, uint32_t count)
{
    struct opool__magazine *loaded = head->loaded;
    bool fast = loaded && opool__barrier_usable();
    if (loaded && !fast)
        loaded->count = count;
    opool__store_relaxed(&head->top, fast ? loaded->slots + count : NULL);
    opool__store_relaxed(&head->floor, fast ? loaded->slots + loaded->low : NULL);
    opool__store_relaxed(&head->limit, fast ? loaded->slots + loaded->capacity : NULL);
}

static uint32_t loaded_count(const struct opool_head *head)
{
    void **top = opool__load_relaxed(&head->top);
    if (!head->loaded)
        return 0;
    return top ? (uint32_t)(top - head->loaded->slots) - head->loaded->vacant : head->loaded->count;
}

/* The objects of the loaded magazine move to its bottom, and none of them was used in this epoch if a tick had armed
   the head. Returns how many; the head's words stay as they are. */
static uint32_t close_gap(const struct opool_head *head)
{
    struct opool__magazine *loaded = head->loaded;
    uint32_t count = loaded_count(head), vacant = loaded->vacant;
    for (uint32_t i = 0; vacant && i < count; i++)
        opool__write_plain(&loaded->slots[i], opool__read_plain(&loaded->slots[vacant + i]));
    loaded->vacant = 0;
    loaded->low = loaded->low < count ? loaded->low : count;
    return count;
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

/* 1, 2, 4, 8, 8, ...: how many old objects a thread takes at once; the next tick starts again. */
static uint32_t next_step(struct opool__magazine *magazine)
{
    uint32_t step = magazine->step;
    magazine->step = step < STEP_MOST ? 2 * step : STEP_MOST;
    return step;
}

/* Some of the objects outside magazines, into the empty loaded one. What they need not is kept an epoch longer: few. */
static bool rescue(struct opool__depot *depot, struct opool_head *head)
{
    struct opool__magazine *loaded = head->loaded;
    uint32_t step = next_step(loaded), most = step < loaded->capacity ? step : loaded->capacity;
    uint32_t n = opool__bounded_rescue(&depot->store, loaded->slots, most);
    set_count(head, n);
    return n != 0;
}

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
        return head->loaded && rescue(depot, head);
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
    struct opool__magazine *loaded = head->loaded;
    uint32_t count = loaded_count(head) - 1;
    void *object = opool__read_plain(&loaded->slots[count]);
    if (loaded->low > count) {
        uint32_t step = opool__barrier_usable() ? next_step(loaded) : 1;
        loaded->low = loaded->low > step ? loaded->low - step : 0;
    }
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
    return count && opool__read_plain(&head->loaded->slots[head->loaded->vacant + count - 1]) == object;
}

/* ---- the owner's way in ---- */

static bool takes_heads(const struct opool__cache *cache)
{
    return !opool__load_relaxed(&cache->shared_closing) &&
           opool__load_relaxed(opool__cache_tight(cache)) == OPOOL__LOOSE;
}

/* The calling thread's head for this pool, taken into use if it was not. NULL: no cache. */
static struct opool_head *own_head(struct opool__cache *cache, struct opool__thread *thread)
{
    uint32_t number = opool__load_relaxed(&cache->shared_number);
    if (opool__thread_uses(thread, number))
        return &thread->heads[number];
    if (!number || !takes_heads(cache))
        return NULL;
    opool__lock_take(&opool__threads_lock);
    bool open = opool__load_relaxed(&cache->shared_number) == number && takes_heads(cache);
    if (open) {
        opool__thread_mark(thread, number, true);
        thread->touched[number / 64] |= UINT64_C(1) << number % 64;
    }
    opool__lock_drop(&opool__threads_lock);
    opool__epoch_stir();
    return open ? &thread->heads[number] : NULL;
}

static void hand_in(struct opool__cache *cache, struct opool__thread *thread, struct opool_head *head);

/* Lock the caller's head and disarm it. NULL: there is none, or the pool is closing: then it stays armed, for the one
   who empties it; or the pool is at its capacity: then it stays armed and empty. */
static struct opool_head *enter(struct opool__cache *cache, struct opool__thread *thread)
{
    for (;;) {
        struct opool_head *head = thread ? own_head(cache, thread) : NULL;
        if (!head)
            return NULL;
        opool__lock_take(&head->shared_lock);
        /* A tick may just have put it out of use. */
        bool used = opool__thread_uses(thread, opool__load_relaxed(&cache->shared_number));
        if (used && takes_heads(cache)) {
            if (head->loaded)
                set_count(head, close_gap(head));
            return head;
        }
        if (used && !opool__load_relaxed(&cache->shared_closing))
            hand_in(cache, thread, head);
        opool__lock_drop(&head->shared_lock);
        if (!takes_heads(cache))
            return NULL;
    }
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
        opool__fault(label, OPOOL__FAULT_PUT_IN_A_ROW, "put", object, NULL);
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

/* The magazine's memory, and what it holds, to the depot. */
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

/* The head has no magazines and every operation misses, in between too; what it had is the caller's. */
struct magazines {
    struct opool__magazine *spare, *loaded;
};
static struct magazines strip(struct opool_head *head)
{
    struct magazines had = {head->spare, head->loaded};
    if (had.loaded)
        had.loaded->count = close_gap(head);
    head->loaded = head->spare = NULL;
    opool__store_relaxed(&head->top, NULL);
    opool__head_arm(head);
    return had;
}

static uint64_t empty_head(struct opool__depot *depot, uint32_t shard, struct opool_head *head)
{
    struct magazines had = strip(head);
    return give_up(depot, shard, had.spare) + give_up(depot, shard, had.loaded);
}

/* Under opool__threads_lock: the head's puts are counted by its cache from now on. */
static void put_out_of_use(struct opool__cache *cache, struct opool__thread *thread, uint32_t number)
{
    uint64_t *puts = &thread->heads[number].puts;
    cache->retired_puts += opool__load_relaxed(puts);
    opool__store_relaxed(puts, 0u);
    opool__thread_mark(thread, number, false);
}

uint64_t opool__head_give_up(struct opool__thread *thread, uint32_t number)
{
    struct opool__cache *cache = by_number[number];
    uint64_t objects = empty_head(cache->depot, thread->shard, &thread->heads[number]);
    if (opool__load_relaxed(opool__cache_tight(cache)) != OPOOL__LOOSE)
        opool__depot_drain(cache->depot);
    put_out_of_use(cache, thread, number);
    return objects;
}

/* In the pool's tight mode: the owner gives what the reclaimer could not take, to those who wait for it. */
static void hand_in(struct opool__cache *cache, struct opool__thread *thread, struct opool_head *head)
{
    if (empty_head(cache->depot, thread->shard, head))
        opool__depot_drain(cache->depot);
}

static uint64_t retire(struct opool__depot *depot, uint32_t shard, struct opool__magazine *magazine, uint32_t tick)
{
    if (!magazine)
        return 0;
    /* What was used after the last tick looked was used before the head was armed: it is not doomed yet. */
    uint32_t count = magazine->count, low = magazine->low < count ? magazine->low : count;
    opool__depot_retire(depot, magazine->slots, low, magazine->seen, tick, true);
    opool__depot_retire(depot, magazine->slots + low, count - low, tick - 1, tick, true);
    opool__depot_give_empty(depot, shard, magazine);
    return count;
}

uint64_t opool__head_retire(struct opool__thread *thread, uint32_t number, uint32_t tick)
{
    struct opool__cache *cache = by_number[number];
    struct magazines had = strip(&thread->heads[number]);
    uint64_t objects = retire(cache->depot, thread->shard, had.spare, tick);
    objects += retire(cache->depot, thread->shard, had.loaded, tick);
    put_out_of_use(cache, thread, number);
    return objects;
}

/* An empty one is not kept for what may never come. */
static void age_spare(struct opool__depot *depot, uint32_t shard, struct opool_head *head, uint32_t tick)
{
    if (!head->spare)
        return;
    opool__depot_age_magazine(depot, head->spare, tick, false);
    if (head->spare->count == 0) {
        opool__depot_give_empty(depot, shard, head->spare);
        head->spare = NULL;
    }
}

uint64_t opool__head_age(struct opool__thread *thread, uint32_t number, uint32_t tick, bool running)
{
    const struct opool__cache *cache = by_number[number];
    struct opool_head *head = &thread->heads[number];
    uint64_t before = opool__head_objects(head);
    struct opool__magazine *loaded = head->loaded;
    age_spare(cache->depot, thread->shard, head, tick);
    if (loaded && !running) {
        opool__depot_age_magazine(cache->depot, loaded, tick, false);
    } else if (loaded && loaded->seen != tick) {
        opool__depot_retire(cache->depot, loaded->slots, loaded->low, loaded->seen, tick, true);
        loaded->vacant = loaded->low;
        loaded->low = OPOOL__LOW_ALL;
        loaded->step = 1;
        loaded->seen = tick;
    }
    if (running)
        opool__head_arm(head);
    uint64_t after = opool__head_objects(head);
    return before > after ? before - after : 0;
}

uint64_t opool__head_objects(const struct opool_head *head)
{
    return loaded_count(head) + (head->spare ? head->spare->count : 0);
}

/* All heads of the thread, which is the caller or is no more. Under opool__threads_lock. */
static void give_up_all(struct opool__thread *thread)
{
    for (uint32_t number = 0; (number = opool__thread_next_used(thread, number)) != 0;) {
        opool__lock_take(&thread->heads[number].shared_lock);
        (void)opool__head_give_up(thread, number);
        opool__lock_drop(&thread->heads[number].shared_lock);
    }
}

/* The thread is no more, nor are its callbacks. */
static void forget_calls(struct opool__thread *thread)
{
    for (uint32_t number = 1; number < OPOOL__HEADS; number++)
        if (thread->touched[number / 64] == 0)
            number |= 63;
        else
            opool__store_relaxed(&thread->heads[number].calling, 0u);
}

void opool__cache_leave(struct opool__thread *thread)
{
    opool__thread_leave();
    opool__lock_take(&opool__threads_lock);
    give_up_all(thread);
    forget_calls(thread);
    opool__thread_free(thread);
    opool__lock_drop(&opool__threads_lock);
}

void opool__cache_flush(void)
{
    struct opool__thread *thread = opool__thread_known();
    if (!thread)
        return;
    opool__lock_take(&opool__threads_lock);
    give_up_all(thread);
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
    (void)opool__head_give_up(thread, number);
}

void opool__cache_adopt(void)
{
    const struct opool__thread *own = opool__thread_known();
    for (struct opool__thread *thread = opool__threads; thread; thread = thread->next) {
        if (thread == own)
            continue;
        for (uint32_t number = 0; (number = opool__thread_next_used(thread, number)) != 0;)
            adopt_head(thread, number);
        forget_calls(thread);
        opool__thread_free(thread);
    }
}

/* ---- figures ---- */

struct opool__cache_figures opool__cache_read(struct opool__cache *cache)
{
    opool__lock_take(&opool__threads_lock);
    struct opool__cache_figures figures = {.puts = cache->retired_puts,
                                           .stolen = cache->stolen,
                                           .steal_timeouts = cache->steal_timeouts,
                                           .abandoned = cache->abandoned,
                                           .tightened = cache->tightened};
    uint32_t number = cache->shared_number;
    for (struct opool__thread *thread = opool__threads_listed; thread && number; thread = thread->next_listed) {
        if (!opool__thread_uses(thread, number))
            continue;
        struct opool_head *head = &thread->heads[number];
        opool__lock_take(&head->shared_lock);
        figures.idle += opool__head_objects(head);
        figures.puts += opool__load_relaxed(&head->puts);
        figures.heads++;
        opool__lock_drop(&head->shared_lock);
    }
    opool__lock_drop(&opool__threads_lock);
    return figures;
}

bool opool__cache_any_in_use(void)
{
    bool any = false;
    opool__lock_take(&opool__threads_lock);
    for (struct opool__thread *thread = opool__threads_listed; thread && !any; thread = thread->next_listed)
        any = opool__thread_next_used(thread, 0) != 0;
    opool__lock_drop(&opool__threads_lock);
    return any;
}

bool opool__cache_calling(void)
{
    const struct opool__thread *thread = opool__thread_known();
    for (uint32_t number = 1; thread && number < OPOOL__HEADS; number++)
        if (thread->touched[number / 64] == 0)
            number |= 63;
        else if (thread->touched[number / 64] >> number % 64 & 1 && opool__load_relaxed(&thread->heads[number].calling))
            return true;
    return false;
}
