/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fault.h"
#include "cache/barrier.h"
#include "cache/cache.h"
#include "cache/reclaim.h"
#include "cache/thread.h"
#include "os/lock.h"

enum { CAPACITY = 8, RETRIES = 70 /* more than the misses after which a refused thread asks again */ };

static struct opool__slab slab;
static const struct opool__label label = {.name = "unit", .type = "struct unit", .checks = OPOOL_CHECKS_BASIC};
static struct opool__depot depot;
static struct opool__cache cache;

/* What the api layer has called when a thread ends. */
static void at_thread_end(void *thread)
{
    opool__cache_leave(thread);
}

static unsigned one_processor(void)
{
    return 1;
}

static void start_without_barrier_init(void)
{
    fault_install();
    opool__os.processors = one_processor; /* one shard: what is where does not depend on thread numbers */
    ck_assert_int_eq(opool__os.thread_end_init(at_thread_end), 0);
    ck_assert_int_eq(opool__slab_init(&slab, 64, 8, 0, NULL), 0);
    opool__depot_init(&depot, &slab, &label, CAPACITY, 0);
    opool__cache_open(&cache, &depot);
}

static void start_cache(void)
{
    start_without_barrier_init();
    opool__barrier_init();
}

static void *make_object(void)
{
    void *object = opool__slab_take(&slab);
    EXPECT(object != NULL);
    return object;
}

static struct opool_head *head_of(const struct opool__thread *thread)
{
    return &thread->heads[cache.shared_number];
}

static struct opool_head *own_head(void)
{
    return head_of(opool__thread_known());
}

static size_t cached(const struct opool_head *head)
{
    size_t loaded = !head->loaded ? 0 : head->top ? (size_t)(head->top - head->loaded->slots) : head->loaded->count;
    return loaded + (head->spare ? head->spare->count : 0);
}

/* As cache.h says: in fast mode, or missing always, in locked mode and without a magazine. */
static void check_head(const struct opool_head *head, bool fast)
{
    EXPECT(head->busy == 0 && head->shared_lock == 0);
    if (!head->loaded || !fast) {
        EXPECT(head->top == NULL && head->floor == NULL && head->limit == NULL);
        return;
    }
    EXPECT(head->floor == head->loaded->slots && head->limit == head->floor + head->loaded->capacity);
    EXPECT(head->top >= head->floor && head->top <= head->limit);
}

static void expect_idle(uint64_t in_thread, uint64_t in_depot)
{
    struct opool__cache_figures figures = opool__cache_read(&cache);
    EXPECT(figures.idle == in_thread);
    EXPECT(opool__depot_idle(&depot).all == in_depot);
}

static void put_new(size_t n)
{
    while (n-- > 0)
        EXPECT(opool__cache_put(&cache, make_object()));
}

/* ---- one thread ---- */

START_TEST(last_put_is_next_got)
{
    void *objects[3 * CAPACITY];
    for (int i = 0; i < 3 * CAPACITY; i++) {
        objects[i] = make_object();
        EXPECT(opool__cache_put(&cache, objects[i]));
        check_head(own_head(), true);
    }
    for (int i = 3 * CAPACITY; i-- > 0;) {
        EXPECT(opool__cache_get(&cache) == objects[i]);
        check_head(own_head(), true);
    }
    ck_assert_ptr_null(opool__cache_get(&cache));
    expect_idle(0, 0);
}
END_TEST

START_TEST(head_is_used_from_the_first_call_on)
{
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 0);
    ck_assert_ptr_null(opool__thread_known());
    ck_assert_ptr_null(opool__cache_get(&cache));
    ck_assert_ptr_nonnull(opool__thread_known());
    ck_assert(opool__thread_uses(opool__thread_known(), cache.shared_number));
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 1);
    ck_assert_ptr_eq(opool__heads, opool__thread_known()->heads);
    ck_assert_uint_eq(opool__cache_offset(&cache), cache.shared_number * sizeof(struct opool_head));
}
END_TEST

START_TEST(magazines_come_when_they_are_needed)
{
    (void)opool__cache_get(&cache);
    ck_assert_ptr_nonnull(own_head()->loaded); /* for the put that follows */
    ck_assert_uint_eq(depot.shared_magazines, 1);
    put_new(CAPACITY);
    ck_assert_ptr_null(own_head()->spare);
    ck_assert_uint_eq(depot.shared_magazines, 1);
    put_new(1);
    ck_assert_ptr_nonnull(own_head()->spare);
    ck_assert_uint_eq(depot.shared_magazines, 2);
    put_new(CAPACITY - 1);
    ck_assert_uint_eq(depot.shared_magazines, 2);
    expect_idle(2 * CAPACITY, 0);
    put_new(1); /* both full: the older one leaves */
    ck_assert_uint_eq(depot.shared_magazines, 3);
    expect_idle(CAPACITY + 1, CAPACITY);
}
END_TEST

/* The reason for two: at the border of one, no operation goes to the depot. */
START_TEST(border_of_a_magazine_costs_no_exchange)
{
    put_new(CAPACITY + 1);
    for (int i = 0; i < 100; i++) {
        void *first = opool__cache_get(&cache), *second = opool__cache_get(&cache);
        EXPECT(first && second && first != second);
        EXPECT(opool__cache_put(&cache, second) && opool__cache_put(&cache, first));
    }
    struct opool__flows flows = opool__depot_flows(&depot);
    ck_assert_uint_eq(flows.flushes, 0);
    ck_assert_uint_eq(flows.refills, 0);
}
END_TEST

START_TEST(figures_follow_what_is_put)
{
    put_new(5 * CAPACITY + 3);
    for (int i = 0; i < 4 * CAPACITY; i++)
        EXPECT(opool__cache_get(&cache) != NULL);
    struct opool__cache_figures figures = opool__cache_read(&cache);
    struct opool__flows flows = opool__depot_flows(&depot);
    ck_assert_uint_eq(figures.puts, 5 * CAPACITY + 3);
    ck_assert_uint_eq(figures.idle, cached(own_head()));
    /* What the fast path does not count follows: gets of this head. */
    ck_assert_uint_eq(flows.to_caches + figures.puts - flows.from_caches - figures.idle, 4 * CAPACITY);
    ck_assert_uint_eq(figures.idle + opool__depot_idle(&depot).all, CAPACITY + 3);
}
END_TEST

static void put_twice(void *unused UNIT_UNUSED)
{
    void *object = make_object();
    EXPECT(opool__cache_put(&cache, object));
    (void)opool__cache_put(&cache, object);
}

START_TEST(put_twice_in_a_row_is_a_fault)
{
    struct unit_child child = unit_in_child(put_twice, NULL);
    ck_assert(unit_aborted(&child));
    ck_assert_ptr_nonnull(strstr(child.said, "opool: pool 'unit' (struct unit): put of 0x"));
    ck_assert_ptr_nonnull(strstr(child.said, ": put twice in a row\n"));
}
END_TEST

START_TEST(put_without_memory_changes_nothing)
{
    put_new(2 * CAPACITY);
    void *object = make_object();
    fault_all(fault_kind(FAULT_COMMIT) | fault_kind(FAULT_RESERVE));
    /* Slabs of magazines have slots left: take them all. */
    while (opool__magazine_make(CAPACITY))
        continue;
    size_t before = cached(own_head());
    /* The depot takes the full magazine and has no empty one. */
    bool kept = opool__cache_put(&cache, object);
    ck_assert(!kept);
    ck_assert_uint_eq(cached(own_head()) + opool__depot_idle(&depot).all, before);
    check_head(own_head(), true);
    fault_heal();
    ck_assert(opool__cache_put(&cache, object));
    ck_assert_ptr_eq(opool__cache_get(&cache), object);
}
END_TEST

START_TEST(first_put_without_memory_is_refused)
{
    fault_all(fault_kind(FAULT_COMMIT) | fault_kind(FAULT_RESERVE));
    ck_assert(!opool__cache_put(&cache, &slab)); /* no record: nothing is even looked at */
    ck_assert_uint_gt(fault.refused, 0);
    ck_assert_ptr_null(opool__thread_known());
}
END_TEST

/* ---- runs ---- */

START_TEST(runs_give_the_newest_first)
{
    void *objects[CAPACITY], *got[2 * CAPACITY];
    (void)opool__cache_get(&cache); /* loads a magazine */
    for (int i = 0; i < CAPACITY; i++)
        objects[i] = make_object();
    ck_assert_uint_eq(opool__cache_put_run(&cache, objects, 3), 3);
    ck_assert_uint_eq(opool__cache_put_run(&cache, objects + 3, CAPACITY - 3), CAPACITY - 3);
    check_head(own_head(), true);
    ck_assert_uint_eq(opool__cache_read(&cache).puts, CAPACITY);
    ck_assert_uint_eq(opool__cache_get_run(&cache, got, 2), 2);
    ck_assert_uint_eq(opool__cache_get_run(&cache, got + 2, 2 * CAPACITY), CAPACITY - 2);
    for (int i = 0; i < CAPACITY; i++)
        ck_assert_ptr_eq(got[i], objects[CAPACITY - 1 - i]);
    ck_assert_uint_eq(opool__cache_get_run(&cache, got, 5), 0);
    check_head(own_head(), true);
}
END_TEST

START_TEST(runs_stop_at_the_border)
{
    void *objects[2 * CAPACITY];
    (void)opool__cache_get(&cache);
    for (int i = 0; i < 2 * CAPACITY; i++)
        objects[i] = make_object();
    ck_assert_uint_eq(opool__cache_put_run(&cache, objects, 2 * CAPACITY), CAPACITY);
    ck_assert_uint_eq(opool__cache_put_run(&cache, objects + CAPACITY, CAPACITY), 0);
    ck_assert_uint_eq(cached(own_head()), CAPACITY);
}
END_TEST

START_TEST(runs_miss_without_a_head_and_in_an_armed_one)
{
    void *object = make_object(), *got;
    ck_assert_uint_eq(opool__cache_put_run(&cache, &object, 1), 0);
    ck_assert_uint_eq(opool__cache_get_run(&cache, &got, 1), 0);
    put_new(2);
    own_head()->floor = OPOOL_ARMED;
    own_head()->limit = NULL;
    ck_assert_uint_eq(opool__cache_put_run(&cache, &object, 1), 0);
    ck_assert_uint_eq(opool__cache_get_run(&cache, &got, 1), 0);
    ck_assert_uint_eq(own_head()->busy, 0);
    ck_assert(opool__cache_put(&cache, object)); /* the slow path disarms */
    ck_assert_ptr_ne(own_head()->floor, OPOOL_ARMED);
    ck_assert_uint_eq(opool__cache_get_run(&cache, &got, 1), 1);
    ck_assert_ptr_eq(got, object);
}
END_TEST

START_TEST(run_leaves_a_double_put_to_the_single_way)
{
    void *object = make_object();
    (void)opool__cache_get(&cache);
    ck_assert_uint_eq(opool__cache_put_run(&cache, &object, 1), 1);
    ck_assert_uint_eq(opool__cache_put_run(&cache, &object, 1), 0);
    ck_assert_uint_eq(cached(own_head()), 1);
}
END_TEST

/* ---- numbers ---- */

START_TEST(lowest_free_number_first)
{
    struct opool__cache caches[5];
    ck_assert_uint_eq(cache.shared_number, 1);
    for (uint32_t i = 0; i < 5; i++) {
        opool__cache_open(&caches[i], &depot);
        ck_assert_uint_eq(caches[i].shared_number, i + 2);
    }
    ck_assert(opool__reclaim_close(&caches[3], true));
    ck_assert(opool__reclaim_close(&caches[1], true));
    ck_assert_uint_eq(caches[1].shared_number, 0);
    opool__cache_open(&caches[1], &depot);
    ck_assert_uint_eq(caches[1].shared_number, 3);
    opool__cache_open(&caches[3], &depot);
    ck_assert_uint_eq(caches[3].shared_number, 5);
    ck_assert(opool__reclaim_close(&caches[0], true));
    ck_assert(opool__reclaim_close(&caches[0], true)); /* again: nothing to do */
}
END_TEST

START_TEST(exhausted_numbers_mean_no_cache)
{
    enum { ALL = OPOOL__HEADS - 1 };
    static struct opool__cache caches[ALL];
    for (uint32_t i = 1; i < ALL; i++) {
        opool__cache_open(&caches[i], &depot);
        EXPECT(caches[i].shared_number == i + 1);
    }
    struct opool__cache late;
    opool__cache_open(&late, &depot);
    ck_assert_uint_eq(late.shared_number, 0);
    ck_assert_uint_eq(opool__cache_offset(&late), 0);
    ck_assert_ptr_null(opool__cache_get(&late));
    void *object = make_object(), *got;
    ck_assert(!opool__cache_put(&late, object));
    ck_assert_uint_eq(opool__cache_put_run(&late, &object, 1), 0);
    ck_assert_uint_eq(opool__cache_get_run(&late, &got, 1), 0);
    ck_assert_uint_eq(opool__cache_read(&late).heads, 0);
    ck_assert(opool__reclaim_close(&late, false));
    ck_assert(opool__cache_put(&caches[ALL - 1], object)); /* the last head of the array */
    ck_assert(opool__reclaim_close(&caches[7000], true));
    opool__cache_open(&late, &depot);
    ck_assert_uint_eq(late.shared_number, 7001);
    ck_assert(opool__cache_put(&late, opool__cache_get(&caches[ALL - 1])));
}
END_TEST

/* The next pool with a number must not hand out the objects of the last. */
START_TEST(number_used_again_finds_empty_heads)
{
    put_new(2 * CAPACITY);
    uint32_t number = cache.shared_number;
    const struct opool_head *head = own_head();
    ck_assert(opool__reclaim_close(&cache, true));
    ck_assert_uint_eq(opool__depot_idle(&depot).all, 2 * CAPACITY);
    ck_assert_ptr_null(head->top);
    ck_assert_ptr_null(head->loaded);
    ck_assert_ptr_null(head->spare);
    ck_assert_ptr_null(head->top);
    ck_assert_uint_eq(head->puts, 0);
    ck_assert(!opool__thread_uses(opool__thread_known(), number));
    ck_assert_uint_eq(cache.retired_puts, 2 * CAPACITY);
    ck_assert_uint_eq(cache.stolen, 2 * CAPACITY);
    struct opool__depot other;
    opool__depot_init(&other, &slab, &label, CAPACITY, 0);
    opool__cache_open(&cache, &other);
    ck_assert_uint_eq(cache.shared_number, number);
    ck_assert_ptr_null(opool__cache_get(&cache));
    ck_assert_uint_eq(opool__cache_read(&cache).puts, 0);
}
END_TEST

/* ---- other threads ---- */

enum command { IDLE, PUT, GET, END };

/* A thread that does as it is told, one thing at a time. */
struct worker {
    pthread_t thread;
    uint32_t command, done;
    size_t n;      /* objects to put or get */
    size_t result; /* how many it was */
    struct opool__thread *record;
};

static void obey(struct worker *worker, enum command command)
{
    worker->result = 0;
    for (size_t i = 0; i < worker->n; i++) {
        void *object = command == PUT ? make_object() : opool__cache_get(&cache);
        bool ok = command == PUT ? opool__cache_put(&cache, object) : object != NULL;
        worker->result += ok;
    }
    worker->record = opool__thread_known();
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (;;) {
        enum command command = (enum command)__atomic_load_n(&worker->command, __ATOMIC_ACQUIRE);
        if (command == END)
            return NULL;
        if (command == IDLE) {
            unit_nap(1);
            continue;
        }
        obey(worker, command);
        __atomic_store_n(&worker->command, (uint32_t)IDLE, __ATOMIC_RELAXED);
        __atomic_fetch_add(&worker->done, 1u, __ATOMIC_RELEASE);
    }
}

static size_t tell(struct worker *worker, enum command command, size_t n)
{
    uint32_t done = worker->done;
    worker->n = n;
    __atomic_store_n(&worker->command, (uint32_t)command, __ATOMIC_RELEASE);
    unit_await(&worker->done, done + 1);
    return worker->result;
}

static void start_worker(struct worker *worker)
{
    memset(worker, 0, sizeof *worker);
    worker->thread = unit_thread(work, worker);
}

static void end_worker(struct worker *worker)
{
    __atomic_store_n(&worker->command, (uint32_t)END, __ATOMIC_RELEASE);
    unit_join(worker->thread);
}

START_TEST(threads_have_heads_of_their_own)
{
    struct worker workers[3];
    for (size_t i = 0; i < 3; i++) {
        start_worker(&workers[i]);
        ck_assert_uint_eq(tell(&workers[i], PUT, i + 1), i + 1);
    }
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 3);
    expect_idle(6, 0);
    for (size_t i = 0; i < 3; i++) {
        check_head(head_of(workers[i].record), true);
        ck_assert_uint_eq(tell(&workers[i], GET, 5), i + 1); /* nobody else's */
        end_worker(&workers[i]);
    }
}
END_TEST

START_TEST(ending_gives_all_to_the_depot)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, CAPACITY + 3);
    expect_idle(CAPACITY + 3, 0);
    end_worker(&worker);
    expect_idle(0, CAPACITY + 3);
    struct opool__cache_figures figures = opool__cache_read(&cache);
    ck_assert_uint_eq(figures.heads, 0);
    ck_assert_uint_eq(figures.puts, CAPACITY + 3); /* not forgotten */
    ck_assert(!worker.record->in_use);
    for (int i = 0; i < CAPACITY + 3; i++)
        EXPECT(opool__cache_get(&cache) != NULL); /* this thread has them */
}
END_TEST

START_TEST(records_are_used_again)
{
    struct opool__thread *records[5] = {NULL};
    for (int i = 0; i < 5; i++) {
        struct worker worker;
        start_worker(&worker);
        tell(&worker, PUT, 3);
        tell(&worker, GET, 3);
        records[i] = worker.record;
        end_worker(&worker);
        ck_assert_ptr_eq(records[i], records[0]);
    }
    ck_assert_ptr_null(opool__threads->next);
    ck_assert_uint_eq(fault.count[FAULT_RELEASE], 0);
}
END_TEST

static pthread_key_t late_key;

/* Runs after the library's own end of thread, in a later round of destructors or the same. */
static void put_late(void *result)
{
    static __thread int rounds;
    if (++rounds < 3) {
        pthread_setspecific(late_key, result);
        return;
    }
    EXPECT(opool__thread_known() == NULL);
    EXPECT(opool__cache_get(&cache) == NULL);
    void *object = make_object();
    EXPECT(!opool__cache_put(&cache, object));
    EXPECT(opool__cache_put_run(&cache, &object, 1) == 0);
    *(bool *)result = true;
}

static void *put_then_end(void *result)
{
    put_new(1);
    pthread_setspecific(late_key, result);
    return NULL;
}

START_TEST(no_cache_after_the_end_of_the_thread)
{
    bool came = false;
    ck_assert_int_eq(pthread_key_create(&late_key, put_late), 0);
    unit_join(unit_thread(put_then_end, &came));
    ck_assert(came);
    expect_idle(0, 1);
}
END_TEST

static uint32_t first_that_works(struct worker *worker)
{
    for (uint32_t i = 1; i <= RETRIES; i++)
        if (tell(worker, PUT, 1) == 1)
            return i;
    return 0;
}

START_TEST(refused_record_means_no_cache_until_memory_is_back)
{
    static const enum fault_call calls[] = {FAULT_RESERVE, FAULT_COMMIT, FAULT_AT_THREAD_END};
    struct worker worker;
    put_new(100); /* slots and magazines are not what fails here */
    start_worker(&worker);
    fault_all(fault_kind(calls[_i]));
    ck_assert_uint_eq(tell(&worker, GET, 1), 0);
    ck_assert_ptr_null(worker.record);
    ck_assert_uint_eq(fault.refused, 1);
    ck_assert_uint_eq(tell(&worker, GET, RETRIES), 0); /* goes on to be refused, at little cost */
    ck_assert_uint_eq(fault.refused, 2);
    fault_heal();
    ck_assert_uint_ne(first_that_works(&worker), 0);
    ck_assert_ptr_nonnull(worker.record);
    ck_assert_uint_eq(fault.count[FAULT_RELEASE], 0);
    end_worker(&worker);
    unsigned records = 0, in_use = 0;
    for (const struct opool__thread *t = opool__threads; t; t = t->next) {
        records++;
        in_use += t->in_use;
    }
    ck_assert_uint_eq(records, 2); /* this thread's and the worker's: none was lost */
    ck_assert_uint_eq(in_use, 1);
}
END_TEST

/* ---- close ---- */

START_TEST(close_empties_heads_of_sleeping_threads)
{
    struct worker workers[3];
    for (size_t i = 0; i < 3; i++) {
        start_worker(&workers[i]);
        tell(&workers[i], PUT, CAPACITY + i);
    }
    fault_heal();
    ck_assert(opool__reclaim_close(&cache, false));
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 1); /* one for all of them */
    expect_idle(0, 3 * CAPACITY + 3);
    ck_assert_uint_eq(cache.stolen, 3 * CAPACITY + 3);
    ck_assert_uint_eq(cache.retired_puts, 3 * CAPACITY + 3);
    ck_assert_uint_eq(cache.shared_number, 0);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(tell(&workers[i], PUT, 2), 0); /* no cache of this pool any more */
        ck_assert_uint_eq(tell(&workers[i], GET, 2), 0);
        end_worker(&workers[i]);
    }
}
END_TEST

START_TEST(close_of_a_quiet_pool_needs_no_barrier)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 5);
    fault_heal();
    ck_assert(opool__reclaim_close(&cache, true));
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 0);
    expect_idle(0, 5);
    end_worker(&worker);
}
END_TEST

/* The thread is stopped inside its section: played by hand, since no thread can be made to stop there. */
START_TEST(close_does_not_wait_for_a_stopped_thread)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 5);
    struct opool_head *head = head_of(worker.record);
    uint32_t number = cache.shared_number;
    __atomic_store_n(&head->busy, 1u, __ATOMIC_RELAXED);
    uint64_t start = unit_ms();
    ck_assert(!opool__reclaim_close(&cache, false));
    uint64_t passed = unit_ms() - start;
    ck_assert_uint_ge(passed, 9);
    ck_assert_uint_lt(passed, 30000); /* 10 ms, and what a busy machine adds */
    ck_assert_uint_eq(cache.steal_timeouts, 1);
    ck_assert_uint_eq(opool__cache_read(&cache).steal_timeouts, 1);
    ck_assert_uint_eq(cache.shared_number, number); /* nobody else may have it */
    ck_assert_ptr_eq(head->floor, OPOOL_ARMED);
    ck_assert_uint_eq(cached(head), 5);
    ck_assert_ptr_null(opool__cache_get(&cache)); /* no head is taken into use any more */
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 1);
    __atomic_store_n(&head->busy, 0u, __ATOMIC_RELEASE);
    ck_assert_uint_eq(tell(&worker, PUT, 1),
                      0); /* it leaves the section and finds the pool closing: the head stays armed */
    ck_assert_ptr_eq(head->floor, OPOOL_ARMED);
    ck_assert(opool__reclaim_close(&cache, false));
    expect_idle(0, 5);
    ck_assert_uint_eq(cache.shared_number, 0);
    end_worker(&worker);
}
END_TEST

START_TEST(a_held_head_lock_is_not_waited_for)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 5);
    struct opool_head *head = head_of(worker.record);
    opool__lock_take(&head->shared_lock);
    ck_assert(!opool__reclaim_close(&cache, false));
    opool__lock_drop(&head->shared_lock);
    ck_assert_uint_eq(cached(head), 5);
    ck_assert(opool__reclaim_close(&cache, false));
    expect_idle(0, 5);
    end_worker(&worker);
}
END_TEST

START_TEST(the_other_heads_are_taken_meanwhile)
{
    struct worker stopped, asleep;
    start_worker(&stopped);
    start_worker(&asleep);
    tell(&stopped, PUT, 3);
    tell(&asleep, PUT, 4);
    __atomic_store_n(&head_of(stopped.record)->busy, 1u, __ATOMIC_RELAXED);
    ck_assert(!opool__reclaim_close(&cache, false));
    expect_idle(3, 4);
    ck_assert_uint_eq(cache.stolen, 4);
    __atomic_store_n(&head_of(stopped.record)->busy, 0u, __ATOMIC_RELEASE);
    ck_assert(opool__reclaim_close(&cache, false));
    expect_idle(0, 7);
    end_worker(&stopped);
    end_worker(&asleep);
}
END_TEST

/* ---- ticks ---- */

static uint32_t ticks_so_far;

/* All that a tick does with caches; returns the heads that are still in use. */
static uint64_t tick_heads(void)
{
    opool__reclaim_begin();
    uint64_t heads = opool__reclaim_tick(++ticks_so_far);
    opool__reclaim_end();
    return heads;
}

static uint64_t aged(enum opool__age age)
{
    return depot.store.ages[age].count;
}

/* Of objects, in the order in which they were put. */
static void put_all(void **objects, size_t n)
{
    for (size_t i = 0; i < n; i++)
        EXPECT(opool__cache_put(&cache, objects[i] = make_object()));
}

/* A depot whose magazines have room for what these tests count. */
static void start_large(uint32_t capacity)
{
    opool__depot_init(&depot, &slab, &label, capacity, 0);
    depot.store.shared_tight = OPOOL__LOOSE; /* as the cache made it when it was opened */
}

enum { LARGE = 64 };

START_TEST(old_objects_come_by_growing_steps)
{
    /* After each get: how many old ones lie below the floor. */
    static const uint32_t lows[] = {59, 57, 57, 53, 53, 53, 53, 45, 45, 45, 45, 45, 45, 45, 45, 37};
    start_large(LARGE);
    put_new(60);
    for (int again = 0; again < 2; again++) {
        (void)tick_heads(); /* starts with one again */
        for (uint32_t i = 0; i < UNIT_LENGTH(lows); i++) {
            void *object;
            if (opool__cache_get_run(&cache, &object, 1) == 0)
                EXPECT((object = opool__cache_get(&cache)) != NULL);
            else
                EXPECT(i > 0 && lows[i] == lows[i - 1]); /* the fast way never goes below the floor */
            EXPECT(own_head()->loaded->low == lows[i]);
            EXPECT(own_head()->floor == own_head()->loaded->slots + lows[i]);
            EXPECT(cached(own_head()) == 59 - i);
        }
        EXPECT(aged(OPOOL__VICTIM) == 0); /* the tick found all of them used in its epoch */
        while (opool__cache_get(&cache))
            continue;
        put_new(60);
    }
}
END_TEST

START_TEST(the_last_steps_reach_the_bottom)
{
    start_large(LARGE);
    put_new(4);
    (void)tick_heads();
    for (uint32_t i = 4; i-- > 0;) {
        ck_assert_ptr_nonnull(opool__cache_get(&cache));
        ck_assert_uint_le(own_head()->loaded->low, i);
    }
    ck_assert_ptr_null(opool__cache_get(&cache));
    check_head(own_head(), true);
}
END_TEST

START_TEST(a_tick_takes_what_lies_below_the_floor)
{
    void *objects[20];
    start_large(LARGE);
    put_all(objects, 20);
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_ptr_eq(own_head()->floor, OPOOL_ARMED);
    ck_assert_ptr_null(own_head()->limit);
    for (int i = 20; i-- > 14;)
        ck_assert_ptr_eq(opool__cache_get(&cache), objects[i]);
    for (int i = 14; i < 20; i++)
        ck_assert(opool__cache_put(&cache, objects[i]));
    uint32_t low = own_head()->loaded->low; /* 20 - 1 - 2 - 4 */
    ck_assert_uint_eq(low, 13);
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 13);
    ck_assert_uint_eq(own_head()->loaded->vacant, 13);
    ck_assert_uint_eq(cache.stolen, 13);
    expect_idle(7, 13);
    ck_assert(opool__cache_on_top(&cache, objects[19]));
    void *new = make_object();
    ck_assert(opool__cache_put(&cache, new)); /* closes the gap */
    ck_assert_uint_eq(own_head()->loaded->vacant, 0);
    ck_assert_uint_eq(own_head()->loaded->low, 7); /* of these none was used since the tick */
    ck_assert_ptr_eq(opool__cache_get(&cache), new);
    for (int i = 20; i-- > 13;)
        ck_assert_ptr_eq(opool__cache_get(&cache), objects[i]);
    expect_idle(0, 13);
}
END_TEST

/* A gap is closed by whoever comes first: a get, a put, or one who gives the head up. */
START_TEST(gaps_are_closed_by_all)
{
    void *objects[20];
    start_large(LARGE);
    put_all(objects, 20);
    (void)tick_heads();
    ck_assert_ptr_eq(opool__cache_get(&cache), objects[19]);
    ck_assert(opool__cache_put(&cache, objects[19]));
    (void)tick_heads();
    ck_assert_uint_eq(own_head()->loaded->vacant, 19);
    switch (_i) {
    case 0:
        ck_assert_ptr_eq(opool__cache_get(&cache), objects[19]);
        break;
    case 1:
        opool__cache_flush();
        ck_assert_ptr_eq(depot.shards[0].filled->slots[0], objects[19]);
        ck_assert_uint_eq(depot.shards[0].filled->count, 1);
        break;
    default:
        (void)tick_heads(); /* no operation since: the head goes */
        ck_assert_uint_eq(aged(OPOOL__VICTIM), 20);
    }
    uint64_t in_thread = opool__cache_read(&cache).idle, in_depot = opool__depot_idle(&depot).all;
    ck_assert_uint_eq(in_thread, 0);
    ck_assert_uint_eq(in_depot, _i == 0 ? 19 : 20);
}
END_TEST

START_TEST(an_empty_spare_is_not_kept)
{
    put_new(CAPACITY + 1);
    for (int i = 0; i < CAPACITY + 1; i++)
        ck_assert_ptr_nonnull(opool__cache_get(&cache));
    ck_assert_ptr_nonnull(own_head()->spare);
    (void)tick_heads();
    ck_assert_ptr_null(own_head()->spare);
    put_new(CAPACITY + 2);
    expect_idle(CAPACITY + 2, 0);
}
END_TEST

START_TEST(what_the_spare_had_unused_leaves)
{
    put_new(CAPACITY + 3); /* the spare is full */
    (void)tick_heads();
    put_new(1);
    (void)tick_heads(); /* neither the spare nor the three below were used */
    ck_assert_uint_eq(aged(OPOOL__VICTIM), CAPACITY + 3);
    ck_assert_ptr_null(own_head()->spare);
    expect_idle(1, CAPACITY + 3);
    ck_assert_uint_eq(tick_heads(), 0);
    expect_idle(0, CAPACITY + 4);
}
END_TEST

START_TEST(a_sleeping_head_goes_at_the_second_tick)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, CAPACITY + 3);
    fault_heal();
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 1);
    ck_assert_uint_eq(opool__cache_idle_at(&cache, ticks_so_far), CAPACITY + 3);
    ck_assert_uint_eq(opool__cache_idle_at(&cache, ticks_so_far + 1), 0);
    expect_idle(CAPACITY + 3, 0);
    ck_assert_uint_eq(tick_heads(), 0);
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 1); /* nothing was armed */
    ck_assert_uint_eq(opool__cache_idle_at(&cache, ticks_so_far), 0);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), CAPACITY + 3);
    ck_assert_uint_eq(cache.stolen, CAPACITY + 3);
    ck_assert_uint_eq(cache.retired_puts, CAPACITY + 3);
    const struct opool_head *head = head_of(worker.record);
    ck_assert(!head->loaded && !head->spare && !head->top && head->floor == OPOOL_ARMED && head->puts == 0);
    ck_assert_uint_eq(tell(&worker, GET, 7), 7); /* it wakes up, and gets them back by 1, 2, 4 */
    ck_assert_uint_eq(depot.store.to_caches, 7);
    ck_assert_uint_eq(depot.store.refills, 3);
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 1);
    end_worker(&worker);
}
END_TEST

/* Armed by another reclaimer than a tick, the head says by its floor what was used; and what the tick in between would
   have found is as old as if it had. */
START_TEST(a_retired_head_dooms_nothing_that_was_used)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 6);
    (void)tick_heads();
    tell(&worker, GET, 1);
    tell(&worker, PUT, 2);
    struct opool_head *head = head_of(worker.record);
    ck_assert_uint_eq(head->loaded->low, 5);
    opool__head_arm(head);
    ticks_so_far++; /* it did not get to this head */
    ck_assert_uint_eq(tick_heads(), 0);
    ck_assert_uint_eq(aged(OPOOL__DOOMED), 5);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 2);
    end_worker(&worker);
}
END_TEST

START_TEST(a_stopped_owner_is_left_and_counted)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 5);
    struct opool_head *head = head_of(worker.record);
    (void)tick_heads();
    __atomic_store_n(&head->busy, 1u, __ATOMIC_RELAXED);
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(cache.steal_timeouts, 1);
    ck_assert_uint_eq(opool__cache_idle_at(&cache, ticks_so_far), 5);
    expect_idle(5, 0);
    __atomic_store_n(&head->busy, 0u, __ATOMIC_RELEASE);
    ck_assert_uint_eq(tick_heads(), 0);
    ck_assert_uint_eq(aged(OPOOL__DOOMED), 5); /* as old as if it had not been stopped */
    end_worker(&worker);
}
END_TEST

START_TEST(a_held_head_is_left_and_counted)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 5);
    struct opool_head *head = head_of(worker.record);
    opool__lock_take(&head->shared_lock);
    fault_heal();
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 0);
    opool__lock_drop(&head->shared_lock);
    ck_assert_uint_eq(cache.steal_timeouts, 1);
    check_head(head, true); /* not armed */
    end_worker(&worker);
}
END_TEST

/* Without barriers every operation takes the lock, and so does the tick: running or not makes no difference. */
START_TEST(locked_heads_age_like_shards)
{
    fault_all(fault_kind(FAULT_BARRIER_REGISTER));
    opool__barrier_init();
    put_new(5);
    ck_assert_uint_eq(tick_heads(), 1);
    check_head(own_head(), false);
    put_new(2);
    void *used[4];
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(used[i] = opool__cache_get(&cache));
    for (int i = 4; i-- > 0;)
        ck_assert(opool__cache_put(&cache, used[i]));
    ck_assert_uint_eq(own_head()->loaded->low, 3); /* no steps: the owner looks each time */
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 3);
    expect_idle(4, 3);
    ck_assert_ptr_eq(opool__cache_get(&cache), used[0]);
    ck_assert(opool__cache_put(&cache, used[0]));
    ck_assert_uint_eq(tick_heads(), 1);
    expect_idle(1, 6);
    ck_assert_uint_eq(tick_heads(), 0); /* empty: out of use */
    ck_assert_uint_eq(cache.stolen, 7);
    expect_idle(0, 7);
}
END_TEST

START_TEST(refused_later_leaves_armed_heads_alone)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 5);
    fault_all(fault_kind(FAULT_BARRIER));
    ck_assert_uint_eq(tick_heads(), 1); /* armed, and the barrier was refused */
    ck_assert_uint_eq(fault.refused, 1);
    fault_heal();
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(cache.steal_timeouts, 1);
    expect_idle(5, 0);
    ck_assert_uint_eq(tell(&worker, GET, 1), 1); /* it works under its lock from now on, and can be aged */
    (void)tick_heads();
    (void)tick_heads();
    expect_idle(0, 4);
    end_worker(&worker);
}
END_TEST

/*
 * One thread that runs all the time, with ticks in between: the two sentences of the promise, with the 8 objects that
 * the first one exempts; and at each step what cache.h says of a head.
 */
enum { KNOWN = 200 };

static struct {
    void *objects[KNOWN];
    uint32_t used[KNOWN];
    bool idle[KNOWN];
    unsigned seed;
} world;

static unsigned random_below(unsigned n)
{
    world.seed = world.seed * 1103515245u + 12345u;
    return (world.seed >> 16) % n;
}

static void use(const void *object, bool idle)
{
    size_t i = 0;
    while (world.objects[i] != object)
        i++;
    EXPECT(world.idle[i] != idle);
    world.idle[i] = idle;
    world.used[i] = ticks_so_far;
}

static void get_somehow(void)
{
    void *object;
    if (opool__cache_get_run(&cache, &object, 1) == 0 && (object = opool__cache_get(&cache)) == NULL)
        return;
    use(object, false);
}

static void put_somehow(void)
{
    unsigned i = random_below(KNOWN);
    if (world.idle[i])
        return;
    use(world.objects[i], true);
    if (opool__cache_put_run(&cache, &world.objects[i], 1) == 0)
        EXPECT(opool__cache_put(&cache, world.objects[i]));
}

static void check_ages(void)
{
    const struct opool_head *head = own_head();
    uint32_t overdue = 0;
    if (head->loaded && head->floor != OPOOL_ARMED) {
        EXPECT(head->loaded->vacant == 0 && head->floor == head->loaded->slots + head->loaded->low);
        EXPECT(head->floor <= head->top);
    }
    for (int i = 0; i < KNOWN; i++)
        overdue += world.idle[i] && world.used[i] + 3 <= ticks_so_far;
    EXPECT(overdue <= 8);
}

static void whole_tick(void)
{
    opool__bounded_age(&depot.store);
    (void)tick_heads();
    opool__depot_age(&depot, ticks_so_far);
    for (void *object; (object = opool__bounded_pop_doomed(&depot.store)) != NULL;) {
        int i = 0;
        while (world.objects[i] != object)
            i++;
        EXPECT(world.idle[i] && world.used[i] + 2 <= ticks_so_far);
        use(object, false);
    }
    check_ages();
}

START_TEST(a_running_cache_keeps_the_promise)
{
    world.seed = (unsigned)_i + 1;
    start_large(_i == 0 ? CAPACITY : _i == 1 ? 1 : 50);
    for (int i = 0; i < KNOWN; i++)
        world.objects[i] = make_object();
    for (int step = 0, target = 0; step < 40000; step++) {
        if (step % 100 == 0)
            target = (int)random_below(3) * 4; /* of 8: how many of the operations put */
        if (random_below(30) == 0)
            whole_tick();
        else if ((int)random_below(8) < target)
            put_somehow();
        else
            get_somehow();
        uint64_t idle = 0;
        for (int i = 0; step % 16 == 0 && i < KNOWN; i++)
            idle += world.idle[i];
        if (step % 16 == 0)
            EXPECT(opool__cache_read(&cache).idle + opool__depot_idle(&depot).all == idle);
    }
}
END_TEST

/* ---- which heads are in use, and whose ---- */

static unsigned count_listed(void)
{
    unsigned n = 0;
    for (const struct opool__thread *t = opool__threads_listed; t; t = t->next_listed, n++)
        EXPECT(t->listed);
    return n;
}

START_TEST(threads_with_heads_in_use_are_listed)
{
    struct worker workers[3];
    ck_assert(!opool__cache_any_in_use());
    for (size_t i = 0; i < 3; i++) {
        start_worker(&workers[i]);
        ck_assert_uint_eq(count_listed(), i);
        tell(&workers[i], PUT, 1);
    }
    ck_assert_uint_eq(count_listed(), 3);
    ck_assert(opool__cache_any_in_use());
    end_worker(&workers[1]);
    ck_assert_uint_eq(count_listed(), 3); /* only ticks take out of the list */
    ck_assert_uint_eq(tick_heads(), 2);
    ck_assert_uint_eq(count_listed(), 2);
    tell(&workers[2], PUT, 1);
    ck_assert_uint_eq(tick_heads(), 1);
    ck_assert_uint_eq(count_listed(), 1);
    ck_assert_ptr_eq(opool__threads_listed, workers[2].record);
    tell(&workers[0], PUT, 1); /* in use again: listed again, once */
    tell(&workers[0], PUT, 1);
    ck_assert_uint_eq(count_listed(), 2);
    start_worker(&workers[1]);
    tell(&workers[1], PUT, 1);
    ck_assert_uint_eq(count_listed(), 3);
    for (size_t i = 0; i < 3; i++)
        end_worker(&workers[i]);
    ck_assert(!opool__cache_any_in_use());
    ck_assert_uint_eq(tick_heads(), 0);
    ck_assert_ptr_null(opool__threads_listed);
}
END_TEST

static bool modelled[OPOOL__HEADS];

static uint32_t model_next(uint32_t after)
{
    for (uint32_t number = after + 1; number < OPOOL__HEADS; number++)
        if (modelled[number])
            return number;
    return 0;
}

static void mark(struct opool__thread *thread, uint32_t number, bool used)
{
    modelled[number] = used;
    opool__thread_mark(thread, number, used);
    EXPECT(opool__thread_uses(thread, number) == used);
}

START_TEST(next_used_finds_each_head)
{
    static const uint32_t borders[] = {1, 63, 64, 65, 4095, 4096, 4097, 8191, 8192, 16382, 16383};
    static struct opool__thread thread;
    thread.listed = true; /* not by this test */
    world.seed = 1;
    for (int step = 0; step < 3000; step++) {
        /* Few bits and many, next to each other and far away. */
        uint32_t within = step / 500 % 2 ? 200 : OPOOL__HEADS - 1, number = 1 + random_below(within);
        bool at_border = random_below(4) == 0;
        number = at_border ? borders[random_below(UNIT_LENGTH(borders))] : number;
        mark(&thread, number, random_below(8) < (step / 1000 % 2 ? 6 : 3));
        uint32_t after = random_below(3) ? random_below(OPOOL__HEADS) : random_below(8) ? number - 1 : number;
        EXPECT(opool__thread_next_used(&thread, after) == model_next(after));
        EXPECT(opool__thread_next_used(&thread, number) == model_next(number));
        EXPECT(opool__thread_next_used(&thread, 0) == model_next(0));
    }
    for (uint32_t number = 1; number < OPOOL__HEADS; number++)
        if (modelled[number])
            mark(&thread, number, false);
    ck_assert_uint_eq(opool__thread_next_used(&thread, 0), 0);
    ck_assert(unit_is_filled(thread.groups, 0, sizeof thread.groups));
}
END_TEST

/* A tick over more heads than it looks at in one go. */
START_TEST(a_tick_sees_all_heads_of_a_thread)
{
    enum { POOLS = 300 };
    static struct opool__cache caches[POOLS];
    for (int i = 0; i < POOLS; i++) {
        opool__cache_open(&caches[i], &depot);
        EXPECT(opool__cache_put(&caches[i], make_object()));
    }
    ck_assert_uint_eq(tick_heads(), POOLS);
    for (int i = 0; i < POOLS; i += 2)
        EXPECT(opool__cache_put(&caches[i], make_object()));
    ck_assert_uint_eq(tick_heads(), POOLS / 2);
    ck_assert_uint_eq(opool__depot_idle(&depot).all, POOLS);
    for (int i = 0; i < POOLS; i++)
        EXPECT(opool__cache_read(&caches[i]).heads == (i % 2 == 0) &&
               opool__cache_read(&caches[i]).idle == (i % 2 == 0));
}
END_TEST

/* ---- flush and release ---- */

START_TEST(flush_gives_all_heads_of_the_caller)
{
    struct opool__cache other;
    struct worker worker;
    opool__cache_flush(); /* no record: nothing to give, and none is made */
    ck_assert_ptr_null(opool__thread_known());
    opool__cache_open(&other, &depot);
    put_new(CAPACITY + 2);
    ck_assert(opool__cache_put(&other, make_object()));
    start_worker(&worker);
    tell(&worker, PUT, 3);
    opool__cache_flush();
    ck_assert_uint_eq(opool__cache_read(&other).heads, 0);
    expect_idle(3, CAPACITY + 3);
    ck_assert_uint_eq(opool__depot_flows(&depot).from_caches, CAPACITY + 3);
    ck_assert_uint_eq(aged(OPOOL__RECENT) + aged(OPOOL__VICTIM), 0); /* into shards: it was just used */
    ck_assert_uint_eq(opool__cache_read(&cache).puts, CAPACITY + 5);
    void *object = opool__cache_get(&cache); /* and takes them back */
    ck_assert_ptr_nonnull(object);
    ck_assert(opool__cache_put(&cache, object));
    end_worker(&worker);
}
END_TEST

static void reclaim_all(void)
{
    opool__reclaim_begin();
    opool__reclaim_all();
    opool__reclaim_end();
}

static uint64_t fake_now = 5000000000;

static uint64_t tell_fake_now(void)
{
    return fake_now;
}

START_TEST(release_takes_what_it_can_at_once)
{
    struct worker asleep, stopped;
    struct opool__cache other;
    opool__cache_open(&other, &depot);
    ck_assert(opool__cache_put(&other, make_object()));
    put_new(2);
    start_worker(&asleep);
    start_worker(&stopped);
    tell(&asleep, PUT, 3);
    tell(&stopped, PUT, 4);
    __atomic_store_n(&head_of(stopped.record)->busy, 1u, __ATOMIC_RELAXED);
    fault_heal();
    opool__os.now = tell_fake_now; /* a wait would never end */
    reclaim_all();
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 1);
    expect_idle(4, 1 + 2 + 3);
    ck_assert_uint_eq(cache.stolen, 2 + 3);
    ck_assert_uint_eq(other.stolen, 1);
    __atomic_store_n(&head_of(stopped.record)->busy, 0u, __ATOMIC_RELEASE);
    reclaim_all();
    expect_idle(0, 10);
    end_worker(&asleep);
    end_worker(&stopped);
}
END_TEST

/* ---- the tight mode ---- */

enum { TIGHT_CAPACITY = 16 };

static void start_tight(void)
{
    start_cache();
    opool__depot_init(&depot, &slab, &label, CAPACITY, TIGHT_CAPACITY);
    depot.store.shared_tight = OPOOL__LOOSE; /* as the cache made it when it was opened */
}

/* As build does it: what exists is held. */
static void put_permitted(size_t n)
{
    for (size_t i = 0; i < n; i++)
        EXPECT(opool__bounded_permit(&depot.store));
    put_new(n);
}

START_TEST(tightening_moves_all_to_the_store)
{
    struct worker worker;
    put_permitted(CAPACITY + 1);
    opool__cache_flush(); /* to the shards */
    put_permitted(3);
    start_worker(&worker);
    tell(&worker, PUT, 4);
    fault_heal();
    ck_assert(opool__reclaim_tighten(&cache));
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 1);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHT);
    ck_assert_uint_eq(depot.store.shared_idle, CAPACITY + 8);
    expect_idle(0, CAPACITY + 8);
    ck_assert(opool__reclaim_tighten(&cache)); /* again: no barrier a get */
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 1);
    ck_assert_uint_eq(cache.tightened, 1);
    ck_assert_uint_eq(opool__cache_read(&cache).tightened, 1);
    ck_assert_ptr_null(opool__cache_get(&cache)); /* from now on by the store */
    ck_assert(!opool__cache_put(&cache, make_object()));
    ck_assert_uint_eq(tell(&worker, PUT, 2), 0);
    ck_assert_uint_eq(tell(&worker, GET, 1), 0);
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 0);
    end_worker(&worker);
}
END_TEST

START_TEST(tightening_without_heads_empties_shards)
{
    put_permitted(CAPACITY + 1);
    opool__cache_flush();
    ck_assert(opool__reclaim_tighten(&cache));
    ck_assert_uint_eq(depot.store.shared_idle, CAPACITY + 1);
}
END_TEST

START_TEST(a_stopped_owner_hands_in)
{
    struct worker worker;
    put_permitted(3);
    start_worker(&worker);
    tell(&worker, PUT, 4);
    struct opool_head *head = head_of(worker.record);
    __atomic_store_n(&head->busy, 1u, __ATOMIC_RELAXED);
    uint64_t start = unit_ms();
    ck_assert(!opool__reclaim_tighten(&cache));
    uint64_t passed = unit_ms() - start;
    ck_assert_uint_ge(passed, 9);
    ck_assert_uint_lt(passed, 30000);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHTENING);
    ck_assert_uint_eq(cache.steal_timeouts, 1);
    ck_assert_uint_eq(depot.store.shared_idle, 3); /* the others are there */
    __atomic_store_n(&head->busy, 0u, __ATOMIC_RELEASE);
    if (_i == 0) {
        ck_assert_uint_eq(tell(&worker, GET, 1), 0); /* its next operation comes out of line */
    } else {
        end_worker(&worker);
    }
    ck_assert_uint_eq(depot.store.shared_idle, 7);
    ck_assert_uint_eq(depot.shards[0].objects, 0);
    ck_assert(opool__reclaim_tighten(&cache));
    ck_assert_uint_eq(cache.tightened, 1); /* it is one time */
    if (_i == 0)
        end_worker(&worker);
}
END_TEST

START_TEST(ticks_loosen_after_a_whole_epoch)
{
    void *objects[TIGHT_CAPACITY];
    for (uint32_t i = 0; i < TIGHT_CAPACITY; i++) {
        ck_assert(opool__bounded_permit(&depot.store));
        objects[i] = make_object();
    }
    ck_assert(opool__reclaim_tighten(&cache));
    uint64_t tick = cache.tight_tick;
    opool__reclaim_loosen_at_tick(&cache, tick + 2);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHT); /* all are out */
    for (int i = 0; i < 5; i++)
        opool__bounded_give(&depot.store, objects[i]);
    opool__reclaim_loosen_at_tick(&cache, tick + 1);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHT); /* too early */
    opool__reclaim_loosen_at_tick(&cache, tick + 2);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__LOOSE);
    ck_assert_ptr_nonnull(opool__cache_get(&cache)); /* with caches again */
    ck_assert_uint_eq(opool__cache_read(&cache).heads, 1);
    ck_assert(opool__reclaim_tighten(&cache));
    ck_assert_uint_eq(cache.tightened, 2);
}
END_TEST

START_TEST(slow_paths_loosen_after_a_second)
{
    opool__os.now = tell_fake_now;
    ck_assert(opool__reclaim_tighten(&cache));
    fake_now += 999999999;
    opool__reclaim_loosen(&cache);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHT);
    fake_now++;
    opool__reclaim_begin();
    opool__reclaim_loosen(&cache); /* does not wait for a tick */
    opool__reclaim_end();
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHT);
    opool__reclaim_loosen(&cache);
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__LOOSE);
}
END_TEST

START_TEST(without_barriers_running_owners_may_hide)
{
    struct worker worker;
    start_worker(&worker);
    tell(&worker, PUT, 4);
    fault_all(fault_kind(FAULT_BARRIER));
    opool__os.now = tell_fake_now; /* no use in waiting, which would never end */
    ck_assert(!opool__reclaim_tighten(&cache));
    ck_assert_uint_eq(depot.store.shared_tight, OPOOL__TIGHTENING);
    ck_assert_uint_eq(tell(&worker, PUT, 1), 0); /* hands in */
    ck_assert_uint_eq(depot.store.shared_idle, 4);
    end_worker(&worker);
}
END_TEST

/* ---- no barrier ---- */

START_TEST(refused_from_the_start_means_locked_mode)
{
    struct worker worker;
    fault_all(fault_kind(FAULT_BARRIER_REGISTER));
    opool__barrier_init();
    ck_assert(!opool__barrier_usable());
    fault_heal();
    opool__barrier_init(); /* once */
    ck_assert_uint_eq(fault.count[FAULT_BARRIER_REGISTER], 0);
    start_worker(&worker);
    tell(&worker, PUT, CAPACITY + 2);
    check_head(head_of(worker.record), false);
    ck_assert_uint_eq(tell(&worker, GET, 3), 3);
    check_head(head_of(worker.record), false);
    expect_idle(CAPACITY - 1, 0);
    void *object = make_object();
    put_new(1);
    ck_assert_uint_eq(opool__cache_put_run(&cache, &object, 1), 0);
    ck_assert_uint_eq(opool__cache_get_run(&cache, &object, 1), 0);
    ck_assert(opool__reclaim_close(&cache, false)); /* the locks are enough */
    ck_assert_uint_eq(fault.count[FAULT_BARRIER], 0);
    expect_idle(0, CAPACITY);
    end_worker(&worker);
}
END_TEST

START_TEST(refused_later_means_locked_mode_from_then_on)
{
    struct worker worker;
    struct opool__cache other;
    opool__cache_open(&other, &depot);
    start_worker(&worker);
    tell(&worker, PUT, CAPACITY);
    check_head(head_of(worker.record), true);
    fault_all(fault_kind(FAULT_BARRIER));
    ck_assert(!opool__barrier());
    ck_assert(!opool__barrier_usable());
    fault_heal();
    ck_assert(!opool__barrier()); /* once refused, never asked again */
    ck_assert_uint_eq(fault.calls, 0);
    /* The thread may be on its fast path: nothing can be taken. */
    ck_assert(!opool__reclaim_close(&cache, false));
    ck_assert_uint_eq(cache.steal_timeouts, 1);
    ck_assert_uint_eq(cached(head_of(worker.record)), CAPACITY);
    ck_assert(opool__reclaim_close(&cache, true));
    expect_idle(0, CAPACITY);
    /* Another pool: the owner's slow paths leave the head in locked mode. */
    ck_assert(opool__cache_put(&other, make_object()));
    check_head(&opool__thread_known()->heads[other.shared_number], false);
    ck_assert(opool__reclaim_close(&other, false));
    end_worker(&worker);
}
END_TEST

START_TEST(a_fast_head_goes_to_locked_mode_at_its_next_slow_path)
{
    put_new(CAPACITY);
    check_head(own_head(), true);
    fault_all(fault_kind(FAULT_BARRIER));
    ck_assert(!opool__barrier());
    void *object = opool__cache_get(&cache);
    ck_assert_ptr_nonnull(object);
    check_head(own_head(), false);
    ck_assert(opool__cache_put(&cache, object));
    ck_assert_ptr_eq(opool__cache_get(&cache), object);
    ck_assert_uint_eq(cached(own_head()), CAPACITY - 1);
    ck_assert(opool__reclaim_close(&cache, false));
    expect_idle(0, CAPACITY - 1);
}
END_TEST

/* ---- fork ---- */

static void adopt_and_tell(void *in_use)
{
    opool__cache_adopt();
    expect_idle(2, *(uint64_t *)in_use);
    _exit(cache.abandoned == (*(uint64_t *)in_use == 0) ? 0 : 1);
}

START_TEST(child_adopts_heads_by_their_top)
{
    struct worker worker;
    uint64_t regained = CAPACITY + 1;
    put_new(2);
    start_worker(&worker);
    tell(&worker, PUT, CAPACITY + 1);
    head_of(worker.record)->busy = 1; /* it was inside its section */
    struct unit_child child = unit_in_child(adopt_and_tell, &regained);
    ck_assert_msg(unit_succeeded(&child), "%x: %s", (unsigned)child.status, child.said);
    head_of(worker.record)->busy = 0;
    opool__lock_take(&head_of(worker.record)->shared_lock); /* it was changing magazines */
    regained = 0;
    child = unit_in_child(adopt_and_tell, &regained);
    ck_assert_msg(unit_succeeded(&child), "%x: %s", (unsigned)child.status, child.said);
    opool__lock_drop(&head_of(worker.record)->shared_lock);
    end_worker(&worker);
}
END_TEST

/* ---- load ---- */

enum { USERS = 4, HELD = 20, ROUNDS = 4000 };

static uint32_t users_done;

/* Gets and puts, also in runs, while others do and while the pool is closed under them. */
static void *use_cache(void *unused UNIT_UNUSED)
{
    void *held[HELD];
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = opool__cache_get_run(&cache, held, HELD / 2);
        for (; n < HELD; n++)
            if ((held[n] = opool__cache_get(&cache)) == NULL && (held[n] = opool__depot_pop(&depot)) == NULL)
                held[n] = make_object();
        for (size_t i = 0; i < HELD; i++)
            ++*(uint64_t *)held[i]; /* ours alone */
        size_t put = opool__cache_put_run(&cache, held, HELD / 3);
        for (; put < HELD; put++)
            if (!opool__cache_put(&cache, held[put]))
                opool__bounded_give(&depot.store, held[put]);
    }
    __atomic_fetch_add(&users_done, 1u, __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(close_under_load_loses_nothing)
{
    pthread_t users[USERS];
    opool__bounded_init(&depot.store, &slab, 0, &label);
    for (int i = 0; i < USERS; i++)
        users[i] = unit_thread(use_cache, NULL);
    while (opool__depot_flows(&depot).flushes < 10 && __atomic_load_n(&users_done, __ATOMIC_ACQUIRE) < USERS)
        unit_nap(1);
    while (!opool__reclaim_close(&cache, false))
        continue;
    for (int i = 0; i < USERS; i++)
        unit_join(users[i]);
    expect_idle(0, slab.used);
    uint64_t popped = 0;
    for (; opool__depot_pop(&depot); popped++)
        continue;
    ck_assert_uint_eq(popped, slab.used);
}
END_TEST

static TCase *cache_case(Suite *suite, const char *name)
{
    TCase *tests = unit_case(suite, name);
    tcase_add_checked_fixture(tests, start_cache, NULL);
    return tests;
}

static void add_one_thread(Suite *suite)
{
    TCase *tests = cache_case(suite, "one thread");
    tcase_add_test(tests, last_put_is_next_got);
    tcase_add_test(tests, head_is_used_from_the_first_call_on);
    tcase_add_test(tests, magazines_come_when_they_are_needed);
    tcase_add_test(tests, border_of_a_magazine_costs_no_exchange);
    tcase_add_test(tests, figures_follow_what_is_put);
    tcase_add_test(tests, put_twice_in_a_row_is_a_fault);
    tcase_add_test(tests, put_without_memory_changes_nothing);
    tcase_add_test(tests, first_put_without_memory_is_refused);
    tcase_add_test(tests, runs_give_the_newest_first);
    tcase_add_test(tests, runs_stop_at_the_border);
    tcase_add_test(tests, runs_miss_without_a_head_and_in_an_armed_one);
    tcase_add_test(tests, run_leaves_a_double_put_to_the_single_way);
}

static void add_numbers_and_threads(Suite *suite)
{
    TCase *tests = cache_case(suite, "numbers and threads");
    tcase_add_test(tests, lowest_free_number_first);
    tcase_add_test(tests, exhausted_numbers_mean_no_cache);
    tcase_add_test(tests, number_used_again_finds_empty_heads);
    tcase_add_test(tests, threads_have_heads_of_their_own);
    tcase_add_test(tests, ending_gives_all_to_the_depot);
    tcase_add_test(tests, records_are_used_again);
    tcase_add_test(tests, no_cache_after_the_end_of_the_thread);
    tcase_add_loop_test(tests, refused_record_means_no_cache_until_memory_is_back, 0, 3);
    tcase_add_test(tests, child_adopts_heads_by_their_top);
}

static void add_close(Suite *suite)
{
    TCase *tests = cache_case(suite, "close");
    tcase_add_test(tests, close_empties_heads_of_sleeping_threads);
    tcase_add_test(tests, close_of_a_quiet_pool_needs_no_barrier);
    tcase_add_test(tests, close_does_not_wait_for_a_stopped_thread);
    tcase_add_test(tests, a_held_head_lock_is_not_waited_for);
    tcase_add_test(tests, the_other_heads_are_taken_meanwhile);
    tcase_add_test(tests, refused_later_means_locked_mode_from_then_on);
    tcase_add_test(tests, a_fast_head_goes_to_locked_mode_at_its_next_slow_path);
    tcase_add_test(tests, close_under_load_loses_nothing);
    TCase *refused = unit_case(suite, "refused");
    tcase_add_checked_fixture(refused, start_without_barrier_init, NULL);
    tcase_add_test(refused, refused_from_the_start_means_locked_mode);
}

static void add_ticks(Suite *suite)
{
    TCase *tests = cache_case(suite, "ticks"), *refused = unit_case(suite, "ticks, refused");
    tcase_add_test(tests, old_objects_come_by_growing_steps);
    tcase_add_test(tests, the_last_steps_reach_the_bottom);
    tcase_add_test(tests, a_tick_takes_what_lies_below_the_floor);
    tcase_add_loop_test(tests, gaps_are_closed_by_all, 0, 3);
    tcase_add_test(tests, an_empty_spare_is_not_kept);
    tcase_add_test(tests, what_the_spare_had_unused_leaves);
    tcase_add_test(tests, a_sleeping_head_goes_at_the_second_tick);
    tcase_add_test(tests, a_retired_head_dooms_nothing_that_was_used);
    tcase_add_test(tests, a_stopped_owner_is_left_and_counted);
    tcase_add_test(tests, a_held_head_is_left_and_counted);
    tcase_add_test(tests, refused_later_leaves_armed_heads_alone);
    tcase_add_loop_test(tests, a_running_cache_keeps_the_promise, 0, 3);
    tcase_add_test(tests, threads_with_heads_in_use_are_listed);
    tcase_add_test(tests, next_used_finds_each_head);
    tcase_add_test(tests, a_tick_sees_all_heads_of_a_thread);
    tcase_add_test(tests, flush_gives_all_heads_of_the_caller);
    tcase_add_test(tests, release_takes_what_it_can_at_once);
    tcase_add_checked_fixture(refused, start_without_barrier_init, NULL);
    tcase_add_test(refused, locked_heads_age_like_shards);
}

static void add_tight(Suite *suite)
{
    TCase *tests = unit_case(suite, "tight");
    tcase_add_checked_fixture(tests, start_tight, NULL);
    tcase_add_test(tests, tightening_moves_all_to_the_store);
    tcase_add_test(tests, tightening_without_heads_empties_shards);
    tcase_add_loop_test(tests, a_stopped_owner_hands_in, 0, 2);
    tcase_add_test(tests, ticks_loosen_after_a_whole_epoch);
    tcase_add_test(tests, slow_paths_loosen_after_a_second);
    tcase_add_test(tests, without_barriers_running_owners_may_hide);
}

int main(void)
{
    Suite *suite = suite_create("cache");
    add_one_thread(suite);
    add_numbers_and_threads(suite);
    add_close(suite);
    add_ticks(suite);
    add_tight(suite);
    return unit_main(suite);
}
