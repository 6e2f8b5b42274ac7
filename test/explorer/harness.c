/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "epoch/epoch.h"
#include "os/os.h"

/* ---- system calls ---- */

enum { ARENA = 1 << 20, PAGE = 64, COMMITS = 64, CLOCK_STEP = 8000000 };

/* Small on purpose: what an execution may have written is zeroed before the next one. */
static _Alignas(4096) char arena[ARENA];
static size_t arena_used;
static struct {
    char *at;
    size_t bytes;
} commits[COMMITS];
static unsigned commit_count;

static unsigned ticks_begun; /* what the library's clock says, without a look that others could see */
static unsigned shard_count, refuse_from, barriers_so_far;
static uint64_t clock_now[EXPLORER_THREADS + 1], clock_step; /* each thread has a clock of its own: no order matters */

static int fake_reserve(void **out, size_t bytes)
{
    size_t at = (arena_used + 4095) / 4096 * 4096;
    if (bytes > ARENA - at)
        return -ENOMEM;
    arena_used = at + bytes;
    *out = arena + at;
    return 0;
}

static int fake_release(void *at, size_t bytes)
{
    (void)at;
    (void)bytes;
    return 0;
}

static int fake_commit(void *at, size_t bytes)
{
    if (commit_count == COMMITS)
        return -ENOMEM;
    commits[commit_count].at = at;
    commits[commit_count++].bytes = bytes;
    return 0;
}

static int fake_purge(void *at, size_t bytes)
{
    memset(at, 0, bytes);
    return 0;
}

static int fake_barrier_register(void)
{
    return refuse_from == 1 ? -EPERM : 0;
}

static int fake_barrier(void)
{
    if (refuse_from && ++barriers_so_far >= refuse_from)
        return -EPERM;
    explorer_membarrier();
    return 0;
}

/* Two looks at the clock behind the first one and a wait of 10 ms is over. */
static uint64_t fake_now(void)
{
    if (clock_step)
        explorer_timed();
    return clock_now[explorer_self()] += clock_step;
}

static void fake_wait(uint32_t *word, uint32_t expected, uint64_t deadline)
{
    (void)expected;
    if (deadline)
        explorer_yield();
    else
        explorer_wait(word);
}

static void fake_wake(uint32_t *word, int count)
{
    (void)word;
    (void)count;
}

static int fake_at_thread_end(void *value)
{
    (void)value;
    return 0;
}

static size_t fake_address_limit(void)
{
    return (size_t)64 * 32768;
}

static size_t fake_page_size(void)
{
    return PAGE;
}

static unsigned fake_processors(void)
{
    return shard_count;
}

static uint64_t fake_thread_number(void)
{
    return explorer_self();
}

static void install_table(void)
{
    opool__os.reserve = fake_reserve;
    opool__os.release = fake_release;
    opool__os.commit = fake_commit;
    opool__os.purge = fake_purge;
    opool__os.barrier_register = fake_barrier_register;
    opool__os.barrier = fake_barrier;
    opool__os.now = fake_now;
    opool__os.wait = fake_wait;
    opool__os.wake = fake_wake;
    opool__os.at_thread_end = fake_at_thread_end;
    opool__os.address_limit = fake_address_limit;
    opool__os.page_size = fake_page_size;
    opool__os.processors = fake_processors;
    opool__os.thread_number = fake_thread_number;
}

/* ---- locks ---- */

static bool real_locks;

/* The linker puts this in the place of opool__lock_take (--wrap). */
void __real_opool__lock_take(uint32_t *lock);
void __wrap_opool__lock_take(uint32_t *lock);
void __wrap_opool__lock_take(uint32_t *lock)
{
    if (real_locks || !explorer_lock(lock, 1u))
        __real_opool__lock_take(lock);
}

void harness_real_locks(void)
{
    real_locks = true;
}

/* ---- state ---- */

extern char __start_opool_state[], __stop_opool_state[]; /* made by the linker: os/state.h */
extern struct opool_head *const opool__explorer_missing;

static char *image;
static unsigned acting; /* whose thread-locals init works on; 0: nobody's */

unsigned opool__explorer_self(void);
unsigned opool__explorer_self(void)
{
    return acting ? acting : explorer_self();
}

static void restore_state(void)
{
    size_t bytes = (size_t)(__stop_opool_state - __start_opool_state);
    if (!image) {
        image = malloc(bytes);
        if (!image)
            abort();
        memcpy(image, __start_opool_state, bytes);
    }
    memcpy(__start_opool_state, image, bytes);
}

static unsigned char holders[HARNESS_OBJECTS]; /* 0: idle, or the thread */
static void *objects[HARNESS_OBJECTS];
static unsigned used_in[HARNESS_OBJECTS]; /* ticks begun when a get returned it or a put received it */
static bool gone[HARNESS_OBJECTS];        /* torn down, or not built yet */
static struct opool *open_pools[2];
static uint32_t pools_version;  /* hooked, so that the order of a change and a look is explored */
static struct opool__slab slab; /* of all pools: its slots are the objects, by index */

static int number_of(const void *object)
{
    return (int)opool__slab_index(&slab, object);
}

void harness_reset(unsigned shards)
{
    install_table();
    restore_state();
    while (commit_count > 0) {
        commit_count--;
        memset(commits[commit_count].at, 0, commits[commit_count].bytes);
    }
    arena_used = 0;
    memset(clock_now, 0, sizeof clock_now);
    clock_step = CLOCK_STEP;
    ticks_begun = 0;
    shard_count = shards;
    refuse_from = barriers_so_far = 0;
    real_locks = false;
    acting = 0;
    memset(holders, 0, sizeof holders);
    memset(used_in, 0, sizeof used_in);
    memset(gone, 0, sizeof gone);
    memset(open_pools, 0, sizeof open_pools);
    pools_version = 0;
    explorer_heads_reset(opool__explorer_missing);
    if (opool__slab_init(&slab, sizeof(uint64_t), sizeof(uint64_t), HARNESS_OBJECTS, NULL) != 0)
        explorer_fail("harness: no memory for objects");
    for (int i = 0; i < HARNESS_OBJECTS; i++)
        objects[i] = opool__slab_take(&slab);
}

void harness_refuse_barrier(unsigned nth)
{
    refuse_from = nth;
}

void harness_attach(unsigned t)
{
    acting = t;
    const struct opool__thread *record = opool__thread_self();
    acting = 0;
    if (!record)
        explorer_fail("harness: no memory for a thread");
    explorer__engine.thread[t].heads = record->heads;
    opool__heads = opool__explorer_missing;
}

void harness_run_as(unsigned t, void (*step)(void))
{
    acting = t;
    opool__heads = explorer__engine.thread[t].heads;
    step();
    opool__heads = opool__explorer_missing;
    acting = 0;
}

/* ---- pools ---- */

static const struct opool__label label = {.name = "explored", .type = "object", .checks = OPOOL_CHECKS_OFF};

void harness_open(struct opool *pool, uint32_t capacity)
{
    harness_open_bounded(pool, capacity, 0);
}

void harness_open_bounded(struct opool *pool, uint32_t capacity, unsigned most)
{
    (void)opool__add_relaxed(&pools_version, 1u);
    open_pools[open_pools[0] != NULL] = pool;
    for (unsigned i = HARNESS_OBJECTS; i-- > 0 && most;) {
        opool__slab_give(&slab, objects[i]);
        gone[i] = true;
    }
    opool__barrier_init();
    opool__depot_init(&pool->depot, &slab, &label, capacity, most);
    opool__cache_open(&pool->cache, &pool->depot);
    pool->front.slots = UINTPTR_MAX; /* every pointer passes the inlined check: 0 * anything is below */
    opool__store_relaxed(&pool->front.offset, opool__cache_offset(&pool->cache));
}

void harness_stock(struct opool *pool, unsigned first, unsigned n)
{
    while (n > 0) {
        struct opool__magazine *magazine = opool__depot_empty(&pool->depot, 0);
        for (; n > 0 && magazine->count < magazine->capacity; n--)
            magazine->slots[magazine->count++] = objects[first++];
        opool__depot_stock(&pool->depot, magazine);
    }
}

void harness_close(struct opool *pool)
{
    opool__store_release(&pool->front.offset, 0u);
    while (!opool__reclaim_close(&pool->cache, false))
        explorer_yield();
}

/* ---- what inlined code calls out of line ---- */

void *opool__get_slow(struct opool *pool)
{
    return opool__cache_get(&pool->cache);
}

void opool__put_slow(struct opool *pool, void *object)
{
    if (!opool__cache_put(&pool->cache, object))
        opool__bounded_give(&pool->depot.store, object);
}

void opool_put(struct opool *pool, void *object)
{
    (void)pool;
    (void)object;
    explorer_fail("the inlined check refused an object");
}

/* ---- objects ---- */

/* The look at the clock is for the explorer: it makes the order against a tick's beginning matter. */
static void use(int number)
{
    (void)opool__epoch_now();
    used_in[number] = ticks_begun;
}

static int hold(void *object)
{
    if (!object)
        return -1;
    int number = number_of(object);
    explorer_own(object); /* a bug if somebody has it */
    explorer_check(holders[number] == 0 && !gone[number], "an object was handed out twice");
    use(number);
    holders[number] = (unsigned char)(opool__explorer_self() ? opool__explorer_self() : EXPLORER_THREADS + 1);
    return number;
}

/* Objects that init puts were never got. */
static void let_go(int number)
{
    use(number);
    if (holders[number])
        explorer_disown(objects[number]);
    holders[number] = 0;
}

int harness_hold(void *object)
{
    return hold(object);
}

int harness_get(struct opool *pool)
{
    return hold(opool__get_inline(pool));
}

void harness_get_two(struct opool *pool, int numbers[2])
{
    void *got[2] = {NULL, NULL};
    size_t n = opool__cache_get_run(&pool->cache, got, 2);
    while (n < 2 && (got[n] = opool__cache_get(&pool->cache)) != NULL)
        n++;
    for (int i = 0; i < 2; i++)
        numbers[i] = hold(got[i]);
}

void harness_put_two(struct opool *pool, const int numbers[2])
{
    void *given[2];
    size_t n = 0, done = 0;
    for (int i = 0; i < 2; i++)
        if (numbers[i] >= 0) {
            let_go(numbers[i]);
            given[n++] = objects[numbers[i]];
        }
    while (done < n) {
        size_t run = opool__cache_put_run(&pool->cache, given + done, n - done);
        done += run;
        if (run == 0)
            opool__put_slow(pool, given[done++]);
    }
}

void harness_pop(struct opool *pool)
{
    (void)hold(opool__depot_pop(&pool->depot));
}

void harness_put(struct opool *pool, int object)
{
    if (object < 0)
        return;
    let_go(object);
    opool__put_inline(pool, objects[object]);
}

/* ---- ticks ---- */

void harness_hide(struct opool *pool)
{
    opool__reclaim_begin();
    (void)opool__add_relaxed(&pools_version, 1u);
    open_pools[open_pools[0] != pool] = NULL;
    opool__reclaim_end();
}

unsigned harness_age(void)
{
    opool__reclaim_begin();
    unsigned tick = (unsigned)opool__epoch_begin();
    ticks_begun = tick;
    for (int i = 0; i < 2; i++)
        if (open_pools[i])
            opool__bounded_age(&open_pools[i]->depot.store);
    (void)opool__reclaim_tick(tick);
    for (int i = 0; i < 2; i++)
        if (open_pools[i]) {
            opool__depot_age(&open_pools[i]->depot, tick);
            opool__reclaim_loosen_at_tick(&open_pools[i]->cache, tick);
        }
    opool__reclaim_end();
    return tick;
}

static bool is_bounded(const struct opool *pool)
{
    return pool->depot.store.capacity != SIZE_MAX;
}

static void end_object(struct opool *pool, void *object)
{
    int number = number_of(object);
    explorer_check(holders[number] == 0 && !gone[number], "an object was torn down that somebody has");
    explorer_own(object);
    gone[number] = true;
    explorer_disown(object);
    if (is_bounded(pool))
        opool__slab_give(&slab, object);
}

static void tear_down_idle(struct opool *pool, void *object)
{
    end_object(pool, object);
    if (is_bounded(pool))
        opool__bounded_bury(&pool->depot.store);
}

/* The pool may be hidden meanwhile: its memory stays, as destroy waits for ticks. */
static void tear_down_doomed(struct opool *pool)
{
    for (void *object; (object = opool__bounded_pop_doomed(&pool->depot.store)) != NULL;) {
        (void)opool__epoch_now(); /* as in use() */
        explorer_check(used_in[number_of(object)] + 2 <= ticks_begun,
                       "a tick tore down what was used since the one before it began");
        tear_down_idle(pool, object);
    }
}

void harness_tear_down(void)
{
    (void)opool__load_relaxed(&pools_version);
    struct opool *pools[2] = {open_pools[0], open_pools[1]};
    for (int i = 0; i < 2; i++)
        if (pools[i])
            tear_down_doomed(pools[i]);
}

unsigned harness_tick(void)
{
    unsigned tick = harness_age();
    harness_tear_down();
    return tick;
}

void harness_ticks_leave_nothing(void)
{
    for (int i = 0; i < 3; i++)
        (void)harness_tick();
    for (int i = 0; i < 2; i++)
        if (open_pools[i])
            explorer_check(opool__depot_idle(&open_pools[i]->depot).all == 0 &&
                               opool__cache_read(&open_pools[i]->cache).idle == 0,
                           "something was unused for two whole epochs and is still there");
}

/* ---- capacity ---- */

int harness_build(struct opool *pool)
{
    void *object = opool__slab_take(&slab);
    explorer_check(slab.used <= pool->depot.store.capacity, "more objects than the capacity");
    gone[number_of(object)] = false;
    return hold(object);
}

void harness_discard(struct opool *pool, int object)
{
    let_go(object);
    end_object(pool, objects[object]);
    opool__bounded_return(&pool->depot.store);
}

void harness_release(struct opool *pool)
{
    for (void *object; (object = opool__depot_condemn(&pool->depot)) != NULL;)
        tear_down_idle(pool, object);
}

void harness_stop_clock(void)
{
    clock_step = 0;
}

void harness_later(unsigned ms)
{
    clock_now[explorer_self()] += (uint64_t)ms * 1000000u;
}

void harness_check_range(int object, unsigned first, unsigned n)
{
    explorer_check(object < 0 || (unsigned)object - first < n, "an object of another pool came out");
}

void harness_account_forked(struct opool *pool, unsigned first, unsigned n, unsigned lost)
{
    unsigned found[HARNESS_OBJECTS] = {0}, missing = 0;
    explorer_check(opool__reclaim_close(&pool->cache, true), "a head could not be emptied after all threads ended");
    for (void *object; (object = opool__depot_pop(&pool->depot)) != NULL;)
        found[number_of(object)]++;
    for (unsigned i = 0; i < HARNESS_OBJECTS; i++) {
        bool ours = i - first < n;
        unsigned times = found[i] + (ours && holders[i]) + (ours && gone[i]);
        missing += times < ours;
        if (times > ours || missing > lost)
            explorer_fail("object %u is there %u times, expected %u", i, times, ours);
    }
}

void harness_account(struct opool *pool, unsigned first, unsigned n)
{
    harness_account_forked(pool, first, n, 0);
}

void harness_account_built(struct opool *pool)
{
    harness_account(pool, 0, HARNESS_OBJECTS);
}
