/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <sys/mman.h>

#include "fault.h"
#include "depot/depot.h"

enum { SIZE = 64, CAPACITY = 8, OBJECTS_MOST = 4096 };

static struct opool__slab slab;
static struct opool__label label = {.name = "unit", .type = "struct unit", .checks = OPOOL_CHECKS_BASIC};
static struct opool__depot depot;
static struct opool__bounded store;
static uint32_t sleepers; /* entries into the wait of the table */

static unsigned processors = 4;

static unsigned count_processors(void)
{
    return processors;
}

static void count_wait(uint32_t *word, uint32_t expected, uint64_t deadline)
{
    __atomic_fetch_add(&sleepers, 1u, __ATOMIC_ACQ_REL);
    fault.real.wait(word, expected, deadline);
}

static void start_depot(void)
{
    fault_install();
    opool__os.processors = count_processors;
    opool__os.wait = count_wait;
    ck_assert_int_eq(opool__slab_init(&slab, SIZE, 8, 0, NULL), 0);
    opool__depot_init(&depot, &slab, &label, CAPACITY, 0);
}

static void *make_object(void)
{
    void *object = opool__slab_take(&slab);
    EXPECT(object != NULL);
    return object;
}

static enum opool__slot_state state_of(const void *object)
{
    uint32_t index = opool__slab_index(&slab, object);
    return (enum opool__slot_state)opool__load_relaxed(opool__slab_shared_state(&slab, index));
}

/* ---- magazines ---- */

START_TEST(magazines_of_every_capacity)
{
    struct opool__magazine *all[OPOOL__MAGAZINE_MOST + 1];
    for (uint32_t n = 1; n <= OPOOL__MAGAZINE_MOST; n++) {
        all[n] = opool__magazine_make(n);
        EXPECT(all[n] && all[n]->capacity == n && all[n]->count == 0 && all[n]->next == NULL);
        size_t bytes = opool__magazine_bytes(n), least = sizeof(struct opool__magazine) + n * sizeof(void *);
        EXPECT(bytes >= least && bytes <= sizeof(struct opool__magazine) + 2 * n * sizeof(void *));
        EXPECT(unit_is_filled(all[n]->slots, 0, n * sizeof(void *)));
        memset(all[n]->slots, (int)n, n * sizeof(void *));
    }
    for (uint32_t n = 1; n <= OPOOL__MAGAZINE_MOST; n++) {
        EXPECT(unit_is_filled(all[n]->slots, (unsigned char)n, n * sizeof(void *)));
        EXPECT(all[n]->bottom == NULL);
        opool__magazine_free(all[n]);
    }
}
END_TEST

/* What the put of an empty magazine looks at is no object, also in memory that served before. */
START_TEST(magazine_used_again_is_clean)
{
    struct opool__magazine *magazine = opool__magazine_make(5);
    memset(magazine->slots, 0xff, 8 * sizeof(void *));
    magazine->bottom = magazine;
    magazine->next = magazine;
    magazine->count = 5;
    opool__magazine_free(magazine);
    struct opool__magazine *again = opool__magazine_make(7);
    ck_assert_ptr_eq(again, magazine); /* one class */
    ck_assert_ptr_null(again->bottom);
    ck_assert_ptr_null(again->next);
    ck_assert_uint_eq(again->count, 0);
    ck_assert_uint_eq(again->capacity, 7);
    ck_assert_ptr_eq(again->slots - 1, &again->bottom);
}
END_TEST

START_TEST(magazine_without_memory_is_null_and_then_works)
{
    fault_all(fault_kind(FAULT_RESERVE));
    ck_assert_ptr_null(opool__magazine_make(16));
    fault_all(fault_kind(FAULT_COMMIT));
    ck_assert_ptr_null(opool__magazine_make(16));
    ck_assert_ptr_null(opool__magazine_make(32));
    fault_heal();
    ck_assert_ptr_nonnull(opool__magazine_make(16));
    ck_assert_ptr_nonnull(opool__magazine_make(32));
}
END_TEST

/* ---- shards ---- */

static struct opool__magazine *fill(struct opool__magazine *magazine, uint32_t n)
{
    EXPECT(magazine != NULL);
    for (uint32_t i = 0; i < n; i++)
        magazine->slots[i] = make_object();
    magazine->count = n;
    return magazine;
}

static struct opool__magazine *make_filled(uint32_t n)
{
    return fill(opool__depot_empty(&depot, 0), n);
}

/* objects == sum of the counts; all in a state of their place. */
static void check_depot(void)
{
    uint64_t objects = depot.store.shared_idle;
    for (uint32_t i = 0; i <= depot.shard_mask; i++) {
        uint64_t in_shard = 0;
        uint32_t filled = 0, empties = 0;
        for (struct opool__magazine *m = depot.shards[i].filled; m; m = m->next, filled++) {
            EXPECT(m->count > 0 && m->count <= m->capacity);
            in_shard += m->count;
            for (uint32_t k = 0; k < m->count; k++)
                EXPECT(state_of(m->slots[k]) == OPOOL__SLOT_IDLE);
        }
        for (struct opool__magazine *m = depot.shards[i].empty; m; m = m->next, empties++)
            EXPECT(m->count == 0 && m->low == 0 && m->vacant == 0);
        EXPECT(in_shard == depot.shards[i].objects && filled == depot.shards[i].shared_filled);
        EXPECT(empties == depot.shards[i].empties);
        objects += in_shard;
    }
    EXPECT(opool__depot_idle(&depot).all == objects);
}

START_TEST(shards_follow_the_processors)
{
    static const struct {
        unsigned processors;
        uint32_t shards;
    } cases[] = {{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {8, 8}, {9, 8}, {1000, 8}};
    for (size_t i = 0; i < UNIT_LENGTH(cases); i++) {
        processors = cases[i].processors;
        opool__depot_init(&depot, &slab, &label, CAPACITY, 0);
        ck_assert_uint_eq(depot.shard_mask + 1, cases[i].shards);
    }
}
END_TEST

START_TEST(a_shard_is_a_stack)
{
    struct opool__magazine *filled[5];
    for (uint32_t i = 0; i < 5; i++) {
        filled[i] = make_filled(i + 1);
        ck_assert_ptr_null(opool__depot_give(&depot, 1, filled[i]));
        check_depot();
    }
    ck_assert_uint_eq(opool__depot_idle(&depot).all, 15);
    for (uint32_t i = 5; i-- > 0;) {
        struct opool__magazine *taken = opool__depot_take(&depot, 1);
        ck_assert_ptr_eq(taken, filled[i]);
        for (uint32_t k = 0; k < taken->count; k++)
            ck_assert_int_eq(state_of(taken->slots[k]), OPOOL__SLOT_OUT);
        check_depot();
    }
    ck_assert_ptr_null(opool__depot_take(&depot, 1));
    ck_assert_uint_eq(opool__depot_idle(&depot).all, 0);
}
END_TEST

START_TEST(every_shard_is_looked_at)
{
    for (uint32_t from = 0; from < 4; from++)
        for (uint32_t to = 0; to < 4; to++) {
            struct opool__magazine *filled = make_filled(3);
            (void)opool__depot_give(&depot, from + 4 * to, filled); /* any number is a shard's */
            ck_assert_uint_eq(depot.shards[from].objects, 3);
            ck_assert_ptr_eq(opool__depot_take(&depot, to + 400), filled);
            ck_assert_ptr_null(opool__depot_take(&depot, to));
        }
    check_depot();
}
END_TEST

START_TEST(own_shard_comes_first)
{
    struct opool__magazine *filled[4];
    for (uint32_t i = 0; i < 4; i++)
        (void)opool__depot_give(&depot, i, filled[i] = make_filled(1));
    ck_assert_ptr_eq(opool__depot_take(&depot, 2), filled[2]);
    ck_assert_ptr_eq(opool__depot_take(&depot, 2), filled[3]); /* then the next ones */
    ck_assert_ptr_eq(opool__depot_take(&depot, 2), filled[0]);
}
END_TEST

START_TEST(few_empties_are_kept)
{
    struct opool__magazine *all[20];
    for (int i = 0; i < 20; i++)
        all[i] = opool__depot_empty(&depot, 0);
    ck_assert_uint_eq(depot.shared_magazines, 20);
    for (int i = 0; i < 20; i++) {
        all[i]->count = all[i]->low = all[i]->vacant = 3; /* what its last user left */
        opool__depot_give_empty(&depot, 0, all[i]);
        ck_assert_uint_le(depot.shards[0].empties, 2);
    }
    check_depot();
    ck_assert_uint_eq(depot.shared_magazines, 2);
    ck_assert_ptr_nonnull(opool__depot_empty(&depot, 0));
    ck_assert_uint_eq(depot.shared_magazines, 2); /* taken, not made */
    ck_assert_uint_eq(depot.shards[0].empties, 1);
}
END_TEST

START_TEST(give_returns_an_empty_one_at_hand)
{
    struct opool__magazine *filled = make_filled(2), *empty = opool__depot_empty(&depot, 0);
    opool__depot_give_empty(&depot, 0, empty);
    ck_assert_ptr_eq(opool__depot_give(&depot, 0, filled), empty);
}
END_TEST

START_TEST(pop_takes_single_objects_and_frees_what_it_empties)
{
    void *seen[12];
    for (uint32_t shard = 0; shard < 4; shard++)
        (void)opool__depot_give(&depot, shard, make_filled(3));
    for (int i = 0; i < 12; i++) {
        seen[i] = opool__depot_pop(&depot);
        EXPECT(seen[i] && state_of(seen[i]) == OPOOL__SLOT_OUT);
        for (int k = 0; k < i; k++)
            EXPECT(seen[k] != seen[i]);
        check_depot();
    }
    ck_assert_ptr_null(opool__depot_pop(&depot));
    ck_assert_uint_eq(opool__depot_idle(&depot).all, 0);
}
END_TEST

START_TEST(flows_count_what_caches_took_and_gave)
{
    (void)opool__depot_give(&depot, 0, make_filled(3));
    (void)opool__depot_give(&depot, 1, make_filled(5));
    opool__depot_stock(&depot, make_filled(7)); /* prefill comes from no cache */
    (void)opool__depot_take(&depot, 1);
    (void)opool__depot_pop(&depot); /* nor does this go to one */
    struct opool__flows flows = opool__depot_flows(&depot);
    ck_assert_uint_eq(flows.flushes, 2);
    ck_assert_uint_eq(flows.from_caches, 8);
    ck_assert_uint_eq(flows.refills, 1);
    ck_assert_uint_eq(flows.to_caches, 5);
    ck_assert_uint_eq(opool__depot_idle(&depot).all, 9);
    check_depot();
}
END_TEST

START_TEST(nothing_is_left_of_a_depot)
{
    (void)opool__depot_give(&depot, 0, make_filled(CAPACITY));
    for (uint32_t i = 0; i < 8; i++)
        opool__depot_give_empty(&depot, i, opool__magazine_make(CAPACITY));
    depot.shared_magazines += 8;
    for (void *object; (object = opool__depot_pop(&depot)) != NULL;)
        opool__slab_give(&slab, object);
    opool__depot_fini(&depot);
    ck_assert_uint_eq(depot.shared_magazines, 0);
    ck_assert_uint_eq(slab.used, 0);
}
END_TEST

/* ---- double puts ---- */

static void give_twice(void *checks)
{
    label.checks = *(enum opool_checks *)checks;
    struct opool__magazine *first = make_filled(3), *second = make_filled(2);
    second->slots[1] = first->slots[0];
    (void)opool__depot_give(&depot, 0, first);
    (void)opool__depot_give(&depot, 1, second);
}

static void twice_in_one(void *unused UNIT_UNUSED)
{
    struct opool__magazine *magazine = make_filled(3);
    magazine->slots[2] = magazine->slots[0];
    (void)opool__depot_give(&depot, 0, magazine);
}

/* The line without address and thread. */
static void expect_fault(const struct unit_child *child, const char *why)
{
    char end[160];
    snprintf(end, sizeof end, ": %s\n", why);
    size_t length = strlen(child->said), tail = strlen(end);
    ck_assert_msg(unit_aborted(child), "status %x", (unsigned)child->status);
    ck_assert_int_eq(strncmp(child->said, "opool: pool 'unit' (struct unit): put of 0x", 43), 0);
    ck_assert_uint_gt(length, tail);
    ck_assert_str_eq(child->said + length - tail, end);
    ck_assert_ptr_eq(strchr(child->said, '\n'), child->said + length - 1);
}

START_TEST(double_put_is_found_when_both_copies_arrive)
{
    enum opool_checks basic = OPOOL_CHECKS_BASIC, off = OPOOL_CHECKS_OFF;
    struct unit_child child = unit_in_child(give_twice, &basic);
    expect_fault(&child, "the object is idle already: it was put twice; found when a magazine left the cache, "
                         "OPOOL_CHECKS=full finds the call");
    child = unit_in_child(twice_in_one, NULL);
    expect_fault(&child, "the object is idle already: it was put twice; found when a magazine left the cache, "
                         "OPOOL_CHECKS=full finds the call");
    child = unit_in_child(give_twice, &off);
    ck_assert(unit_succeeded(&child));
    ck_assert_str_eq(child.said, "");
}
END_TEST

START_TEST(double_put_aborts)
{
    enum opool_checks basic = OPOOL_CHECKS_BASIC;
    give_twice(&basic);
}
END_TEST

/* ---- store ---- */

/* The whole way of a get that may wait. */
static enum opool__bounded_result take_wait(struct opool__bounded *from, int timeout_ms, void **object)
{
    struct opool__waiter waiter;
    if (timeout_ms == 0)
        return opool__bounded_take(from, object);
    uint64_t deadline = timeout_ms < 0 ? 0 : opool__os.now() + (uint64_t)timeout_ms * 1000000u;
    enum opool__bounded_result result = opool__bounded_queue(from, &waiter, object);
    if (result == OPOOL__BOUNDED_FULL)
        result = opool__bounded_await(&waiter, deadline, object);
    return result == OPOOL__BOUNDED_FULL ? opool__bounded_leave(from, &waiter, object) : result;
}

static void start_store(size_t capacity)
{
    opool__bounded_init(&store, &slab, capacity, &label);
}

static size_t check_chain(const struct opool__chain *chain)
{
    size_t count = 0;
    uint32_t last = OPOOL__SLOT_NONE;
    for (uint32_t at = chain->top; at != OPOOL__SLOT_NONE; at = *opool__slab_link(&slab, at), count++) {
        EXPECT(*opool__slab_shared_state(&slab, at) == OPOOL__SLOT_IDLE);
        EXPECT(count < OBJECTS_MOST);
        last = at;
    }
    EXPECT(count == chain->count && last == chain->bottom);
    return count;
}

static void check_store(void)
{
    size_t idle = 0;
    for (int age = 0; age < OPOOL__AGES; age++)
        idle += check_chain(&store.ages[age]);
    EXPECT(idle == store.shared_idle && store.low <= store.ages[OPOOL__RECENT].count);
    EXPECT(store.held <= store.capacity);
    EXPECT(!store.oldest || (idle == 0 && store.held == store.capacity));
}

/* Take a permit and build. */
static void *build(void)
{
    void *object = NULL;
    EXPECT(take_wait(&store, 0, &object) == OPOOL__BOUNDED_PERMIT);
    return make_object();
}

START_TEST(store_is_a_stack_that_needs_no_memory)
{
    void *objects[100], *got;
    start_store(0);
    for (int i = 0; i < 100; i++)
        objects[i] = build();
    fault_all(UINT32_MAX);
    for (int i = 0; i < 100; i++) {
        memset(objects[i], i + 1, SIZE);
        opool__bounded_give(&store, objects[i]);
        check_store();
    }
    for (int i = 100; i-- > 0;) {
        EXPECT(take_wait(&store, 0, &got) == OPOOL__BOUNDED_OBJECT && got == objects[i]);
        EXPECT(state_of(got) == OPOOL__SLOT_OUT);
        EXPECT(unit_is_filled(got, (unsigned char)(i + 1), SIZE)); /* the links stand elsewhere */
        check_store();
    }
    ck_assert_uint_eq(fault.calls, 0);
    ck_assert_ptr_null(opool__bounded_pop(&store));
}
END_TEST

START_TEST(capacity_is_exact)
{
    void *objects[5], *got;
    start_store(5);
    for (int i = 0; i < 5; i++)
        objects[i] = build();
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    opool__bounded_give(&store, objects[2]);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_OBJECT);
    ck_assert_ptr_eq(got, objects[2]);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    opool__bounded_return(&store); /* one was torn down */
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_PERMIT);
    opool__bounded_return(&store); /* init failed */
    ck_assert(opool__bounded_permit(&store));
    ck_assert(!opool__bounded_permit(&store));
    check_store();
}
END_TEST

START_TEST(permits_count_idle_objects_too)
{
    start_store(2);
    void *first = build();
    opool__bounded_give(&store, first);
    ck_assert(opool__bounded_permit(&store)); /* though one is idle: prefill */
    ck_assert(!opool__bounded_permit(&store));
    ck_assert_ptr_eq(opool__bounded_pop(&store), first);
    ck_assert_ptr_null(opool__bounded_pop(&store));
    check_store();
}
END_TEST

static void store_twice(void *unused UNIT_UNUSED)
{
    start_store(5);
    void *object = build();
    opool__bounded_give(&store, object);
    opool__bounded_give(&store, object);
}

START_TEST(double_put_into_the_store_is_found)
{
    struct unit_child child = unit_in_child(store_twice, NULL);
    expect_fault(&child, "the object is idle already: put twice");
}
END_TEST

START_TEST(adopt_forgets_waiters_and_counts_what_exists)
{
    start_store(3);
    (void)build();
    store.oldest = (struct opool__waiter *)(void *)&store; /* of a thread that is not here */
    opool__bounded_adopt(&store, 1);
    ck_assert_ptr_null(store.oldest);
    ck_assert(opool__bounded_permit(&store));
    ck_assert(opool__bounded_permit(&store));
    ck_assert(!opool__bounded_permit(&store));
}
END_TEST

/* ---- waiters ---- */

enum { WAITERS = 6 };

struct waiter {
    pthread_t thread;
    int timeout_ms;
    enum opool__bounded_result result;
    void *object;
    uint32_t served; /* place in the order in which they came back */
};

static struct waiter waiters[WAITERS];
static uint32_t served;

static void *wait_for_one(void *argument)
{
    struct waiter *waiter = argument;
    waiter->result = take_wait(&store, waiter->timeout_ms, &waiter->object);
    waiter->served = __atomic_fetch_add(&served, 1u, __ATOMIC_ACQ_REL);
    return NULL;
}

/* Each is in the queue before the next one starts. */
static void start_waiters(uint32_t n, int timeout_ms)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t asleep = __atomic_load_n(&sleepers, __ATOMIC_ACQUIRE);
        waiters[i].timeout_ms = timeout_ms;
        waiters[i].thread = unit_thread(wait_for_one, &waiters[i]);
        unit_await(&sleepers, asleep + 1);
    }
}

static void join_waiters(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        unit_join(waiters[i].thread);
}

static void *full_store(void)
{
    start_store(1);
    return build();
}

START_TEST(waiters_are_served_in_order)
{
    void *object = full_store();
    start_waiters(WAITERS, -1);
    for (uint32_t i = 0; i < WAITERS; i++) {
        opool__bounded_give(&store, object);
        unit_await(&served, i + 1);
        unit_join(waiters[i].thread);
        ck_assert_uint_eq(waiters[i].served, i);
        ck_assert_int_eq(waiters[i].result, OPOOL__BOUNDED_OBJECT);
        ck_assert_ptr_eq(waiters[i].object, object);
        ck_assert_int_eq(state_of(object), OPOOL__SLOT_OUT);
        ck_assert_uint_eq(store.shared_idle, 0);
    }
    ck_assert_ptr_null(store.oldest);
}
END_TEST

START_TEST(nobody_overtakes_a_waiter)
{
    void *object = full_store(), *got;
    start_waiters(1, -1);
    opool__bounded_give(&store, object);
    /* The waiter may not have run yet: the object is its own all the same. */
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    ck_assert_ptr_null(opool__bounded_pop(&store));
    ck_assert(!opool__bounded_permit(&store));
    join_waiters(1);
    ck_assert_ptr_eq(waiters[0].object, object);
}
END_TEST

START_TEST(a_returned_permit_goes_to_the_waiter)
{
    void *got;
    (void)full_store();
    start_waiters(2, -1);
    opool__bounded_return(&store);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    unit_await(&served, 1);
    opool__bounded_return(&store); /* the first one could not build */
    join_waiters(2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(waiters[i].result, OPOOL__BOUNDED_PERMIT);
        ck_assert_uint_eq(waiters[i].served, (uint32_t)i);
    }
    ck_assert_uint_eq(store.held, 1);
}
END_TEST

static void never_wait(uint32_t *word UNIT_UNUSED, uint32_t expected UNIT_UNUSED, uint64_t deadline UNIT_UNUSED)
{
    ck_abort_msg("a wait of zero milliseconds sleeps");
}

START_TEST(waiting_ends_in_time)
{
    void *object = full_store(), *got;
    uint64_t start = unit_ms();
    ck_assert_int_eq(take_wait(&store, 40, &got), OPOOL__BOUNDED_FULL);
    uint64_t passed = unit_ms() - start;
    ck_assert_uint_ge(passed, 40);
    ck_assert_uint_lt(passed, 30000);
    const struct opool__os real = opool__os;
    opool__os.wait = never_wait;
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    opool__os = real;
    check_store();
    opool__bounded_give(&store, object); /* to nobody: the waiter has left */
    ck_assert_uint_eq(store.shared_idle, 1);
    ck_assert_int_eq(take_wait(&store, 40, &got), OPOOL__BOUNDED_OBJECT);
}
END_TEST

/* First, middle and last leave the queue; the others are served in order. */
START_TEST(waiters_that_leave_do_not_disturb_the_others)
{
    void *object = full_store();
    static const int timeouts[WAITERS] = {30, -1, 30, -1, -1, 30};
    for (uint32_t i = 0; i < WAITERS; i++) {
        uint32_t asleep = __atomic_load_n(&sleepers, __ATOMIC_ACQUIRE);
        waiters[i].timeout_ms = timeouts[i];
        waiters[i].thread = unit_thread(wait_for_one, &waiters[i]);
        unit_await(&sleepers, asleep + 1);
    }
    unit_await(&served, 3);
    for (uint32_t i = 0; i < 3; i++) {
        opool__bounded_give(&store, object);
        unit_await(&served, 4 + i);
    }
    join_waiters(WAITERS);
    for (uint32_t i = 0, next = 3; i < WAITERS; i++) {
        ck_assert_int_eq(waiters[i].result, timeouts[i] < 0 ? OPOOL__BOUNDED_OBJECT : OPOOL__BOUNDED_FULL);
        if (timeouts[i] < 0)
            ck_assert_uint_eq(waiters[i].served, next++);
    }
    ck_assert_ptr_null(store.oldest);
    ck_assert_ptr_eq(store.newest_link, &store.oldest);
}
END_TEST

START_TEST(a_waiter_queues_behind_those_that_stayed)
{
    void *object = full_store();
    start_waiters(2, 30);
    join_waiters(2);
    start_waiters(1, -1);
    pthread_t stays = waiters[0].thread;
    waiters[1].timeout_ms = 30;
    waiters[1].thread = unit_thread(wait_for_one, &waiters[1]);
    unit_join(waiters[1].thread); /* the newest left */
    uint32_t asleep = __atomic_load_n(&sleepers, __ATOMIC_ACQUIRE);
    waiters[2].timeout_ms = -1;
    waiters[2].thread = unit_thread(wait_for_one, &waiters[2]);
    unit_await(&sleepers, asleep + 1);
    for (uint32_t i = 0; i < 2; i++) {
        opool__bounded_give(&store, object);
        unit_await(&served, 4 + i);
    }
    unit_join(stays);
    unit_join(waiters[2].thread);
    ck_assert_uint_eq(waiters[0].served, 3);
    ck_assert_uint_eq(waiters[2].served, 4);
    check_store();
}
END_TEST

START_TEST(close_wakes_all)
{
    void *object = full_store(), *got;
    start_waiters(WAITERS, -1);
    opool__bounded_close(&store);
    join_waiters(WAITERS);
    for (int i = 0; i < WAITERS; i++)
        ck_assert_int_eq(waiters[i].result, OPOOL__BOUNDED_CLOSED);
    opool__bounded_give(&store, object); /* puts go on */
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_CLOSED);
    ck_assert_int_eq(take_wait(&store, -1, &got), OPOOL__BOUNDED_CLOSED);
    ck_assert_ptr_eq(opool__bounded_pop(&store), object); /* for tear-down */
}
END_TEST

/* ---- threads ---- */

enum { USERS = 4, OBJECTS = 3, ROUNDS = 3000 };

static uint32_t out_now, full_results;

static void *use_store(void *unused UNIT_UNUSED)
{
    for (int i = 0; i < ROUNDS; i++) {
        void *object = NULL;
        enum opool__bounded_result result = take_wait(&store, i % 3 - 1, &object);
        if (result == OPOOL__BOUNDED_FULL) {
            __atomic_fetch_add(&full_results, 1u, __ATOMIC_RELAXED);
            continue;
        }
        if (result == OPOOL__BOUNDED_PERMIT)
            object = make_object();
        EXPECT(__atomic_add_fetch(&out_now, 1u, __ATOMIC_RELAXED) <= OBJECTS);
        ++*(uint64_t *)object; /* ours alone */
        __atomic_fetch_sub(&out_now, 1u, __ATOMIC_RELAXED);
        if (i % 50 == 0) {
            opool__slab_give(&slab, object);
            opool__bounded_return(&store);
        } else {
            opool__bounded_give(&store, object);
        }
    }
    return NULL;
}

START_TEST(store_under_load)
{
    pthread_t threads[USERS];
    start_store(OBJECTS);
    for (int i = 0; i < USERS; i++)
        threads[i] = unit_thread(use_store, NULL);
    for (int i = 0; i < USERS; i++)
        unit_join(threads[i]);
    check_store();
    ck_assert_uint_eq(store.held, store.shared_idle);
    ck_assert_uint_eq(slab.used, store.held);
}
END_TEST

static void *use_depot(void *number)
{
    uint32_t shard = *(uint32_t *)number;
    for (int i = 0; i < ROUNDS; i++) {
        struct opool__magazine *magazine = opool__depot_take(&depot, shard);
        if (!magazine)
            magazine = fill(opool__depot_empty(&depot, shard), CAPACITY);
        for (uint32_t k = 0; k < magazine->count; k++)
            ++*(uint64_t *)magazine->slots[k];
        struct opool__magazine *empty = opool__depot_give(&depot, shard, magazine);
        if (empty)
            opool__depot_give_empty(&depot, shard, empty);
    }
    return NULL;
}

START_TEST(depot_under_load)
{
    pthread_t threads[USERS];
    uint32_t numbers[USERS];
    for (uint32_t i = 0; i < USERS; i++) {
        numbers[i] = i;
        threads[i] = unit_thread(use_depot, &numbers[i]);
    }
    for (int i = 0; i < USERS; i++)
        unit_join(threads[i]);
    check_depot();
    ck_assert_uint_eq(opool__depot_idle(&depot).all, slab.used);
    struct opool__flows flows = opool__depot_flows(&depot);
    ck_assert_uint_eq(flows.from_caches - flows.to_caches, slab.used);
    ck_assert_uint_eq(flows.flushes, USERS * ROUNDS);
}
END_TEST

/* ---- fork ---- */

START_TEST(locks_are_all_held_and_all_freed)
{
    opool__depot_lock_all(&depot);
    opool__magazine_lock_all();
    opool__magazine_unlock_all();
    opool__depot_unlock_all(&depot);
    (void)opool__depot_give(&depot, 0, make_filled(2)); /* would hang */
    opool__depot_lock_all(&depot);
    opool__magazine_lock_all();
    opool__magazine_reset_locks();
    opool__depot_reset_locks(&depot);
    (void)opool__depot_take(&depot, 0);
    (void)make_filled(2);
    check_depot();
}
END_TEST

/* ---- ages: the store against lists ---- */

enum { CHOICE = 8 }; /* under full checks a take gets any one of so many */

/* What bounded.h says, with arrays for lists: the last of each is its top. */
static struct {
    void *lists[OPOOL__AGES][OBJECTS_MOST];
    size_t counts[OPOOL__AGES], low;
    void *out[OBJECTS_MOST];
    size_t outs;
} model;

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

static void model_push(enum opool__age age, void *object)
{
    model.lists[age][model.counts[age]++] = object;
}

static void *model_pop(enum opool__age age)
{
    void *object = model.lists[age][--model.counts[age]];
    if (model.low > model.counts[OPOOL__RECENT])
        model.low = model.counts[OPOOL__RECENT];
    return object;
}

/* This one was taken: the top of the first list that is not empty, or one near it. */
static void model_take(const void *object)
{
    enum opool__age age = OPOOL__RECENT;
    while (age < OPOOL__AGES && model.counts[age] == 0)
        age++;
    EXPECT((object == NULL) == (age == OPOOL__AGES));
    if (!object)
        return;
    size_t at = model.counts[age] - 1, last = at, most = store.random ? CHOICE : 1;
    while (last - at < most && at > 0 && model.lists[age][at] != object)
        at--;
    EXPECT(last - at < most && model.lists[age][at] == object);
    memmove(model.lists[age] + at, model.lists[age] + at + 1, (last - at) * sizeof(void *));
    model.counts[age]--;
    model.low -= age == OPOOL__RECENT && at < model.low;
}

static void model_age(void)
{
    size_t kept = model.counts[OPOOL__RECENT] - model.low;
    for (size_t i = 0; i < model.counts[OPOOL__VICTIM]; i++)
        model_push(OPOOL__DOOMED, model.lists[OPOOL__VICTIM][i]);
    model.counts[OPOOL__VICTIM] = 0;
    for (size_t i = 0; i < model.low; i++)
        model_push(OPOOL__VICTIM, model.lists[OPOOL__RECENT][i]);
    memmove(model.lists[OPOOL__RECENT], model.lists[OPOOL__RECENT] + model.low, kept * sizeof(void *));
    model.counts[OPOOL__RECENT] = model.low = kept;
}

static void model_spare(size_t most)
{
    while (model.counts[OPOOL__DOOMED] > most)
        model_push(OPOOL__VICTIM, model_pop(OPOOL__DOOMED));
}

static void model_check(void)
{
    for (int age = 0; age < OPOOL__AGES; age++) {
        uint32_t at = store.ages[age].top;
        EXPECT(store.ages[age].count == model.counts[age]);
        for (size_t i = model.counts[age]; i-- > 0; at = *opool__slab_link(&slab, at))
            EXPECT(opool__slab_slot(&slab, at) == model.lists[age][i]);
    }
    EXPECT(store.low == model.low);
    check_store();
}

static void model_out(void *object)
{
    EXPECT(!object || state_of(object) == OPOOL__SLOT_OUT);
    if (object)
        model.out[model.outs++] = object;
}

static void *model_in(void)
{
    size_t which = random_below((uint32_t)model.outs);
    void *object = model.out[which];
    model.out[which] = model.out[--model.outs];
    return object;
}

static void add_some(enum opool__age age)
{
    void *some[5];
    uint32_t n = 0, wanted = random_below(6);
    while (n < wanted && model.outs)
        model_push(age, some[n++] = model_in());
    opool__bounded_add(&store, age, some, n);
}

static void rescue_some(void)
{
    void *some[8];
    uint32_t wanted = 1 + random_below(8), n = opool__bounded_rescue(&store, some, wanted);
    size_t idle = model.counts[OPOOL__RECENT] + model.counts[OPOOL__VICTIM] + model.counts[OPOOL__DOOMED];
    EXPECT(n == (wanted < idle ? wanted : idle));
    for (uint32_t i = n; i-- > 0;) { /* the newest comes last */
        model_take(some[i]);
        model_out(some[i]);
    }
}

static void step_store(uint32_t choice)
{
    uint32_t most;
    void *object;
    switch (choice) {
    case 0:
        opool__bounded_age(&store);
        model_age();
        break;
    case 1:
        most = random_below(20);
        opool__bounded_spare(&store, most);
        model_spare(most);
        break;
    case 2:
        object = opool__bounded_pop_doomed(&store);
        EXPECT(object == (model.counts[OPOOL__DOOMED] ? model_pop(OPOOL__DOOMED) : NULL));
        model_out(object);
        break;
    case 3:
        add_some((enum opool__age)random_below(OPOOL__AGES));
        break;
    case 4:
        rescue_some();
        break;
    default:
        if (model.outs == 0 || choice % 2) {
            model_take(object = opool__bounded_pop(&store));
            model_out(object);
        } else {
            object = model_in();
            opool__bounded_give(&store, object);
            model_push(OPOOL__RECENT, object);
        }
    }
}

START_TEST(the_store_is_three_lists)
{
    enum { MODELLED = 200, STEPS = 30000 };
    start_store(0);
    random_state = (uint32_t)_i + 1;
    store.random = _i % 2 ? (uint64_t)_i : 0; /* as under full checks, and not */
    for (int i = 0; i < MODELLED; i++)
        model.out[model.outs++] = build();
    for (int step = 0; step < STEPS; step++) {
        step_store(random_below(step / 500 % 2 ? 12 : 40)); /* sometimes much happens between two ticks */
        if (step % 4 == 0)
            model_check();
    }
    model_check();
}
END_TEST

START_TEST(rescues_are_counted)
{
    void *objects[3];
    start_store(0);
    ck_assert_uint_eq(opool__bounded_rescue(&store, objects, 3), 0);
    ck_assert_uint_eq(store.refills, 0);
    for (int i = 0; i < 3; i++)
        objects[i] = build();
    opool__bounded_add_from_cache(&store, OPOOL__VICTIM, objects, 3);
    ck_assert_uint_eq(opool__bounded_rescue(&store, objects, 2), 2);
    ck_assert_uint_eq(opool__bounded_rescue(&store, objects, 2), 1);
    ck_assert_uint_eq(store.refills, 2);
    ck_assert_uint_eq(store.to_caches, 3);
    ck_assert_uint_eq(store.from_caches, 3);
}
END_TEST

START_TEST(what_is_added_goes_to_waiters_first)
{
    void *objects[3];
    start_store(3);
    for (int i = 0; i < 3; i++)
        objects[i] = build();
    start_waiters(2, -1);
    opool__bounded_add(&store, OPOOL__VICTIM, objects, 3);
    join_waiters(2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(waiters[i].result, OPOOL__BOUNDED_OBJECT);
        ck_assert_int_eq(state_of(waiters[i].object), OPOOL__SLOT_OUT);
    }
    ck_assert_ptr_ne(waiters[0].object, waiters[1].object);
    ck_assert_uint_eq(store.ages[OPOOL__VICTIM].count, 1);
    check_store();
}
END_TEST

START_TEST(loosens_when_more_than_a_quarter_is_free)
{
    void *objects[8];
    start_store(8);
    for (int i = 0; i < 8; i++)
        objects[i] = build();
    opool__bounded_give(&store, objects[0]);
    opool__bounded_return(&store); /* idle, or not there: both are free */
    ck_assert(!opool__bounded_loosen(&store));
    ck_assert_uint_eq(store.shared_tight, OPOOL__TIGHT);
    opool__bounded_give(&store, objects[2]);
    ck_assert(opool__bounded_loosen(&store));
    ck_assert_uint_eq(store.shared_tight, OPOOL__LOOSE);
}
END_TEST

/* Why nothing can be had: only FULL says that all are out. */
START_TEST(says_what_it_does_not_know)
{
    void *object, *got;
    start_store(1);
    object = build();
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    store.shared_tight = OPOOL__TIGHTENING;
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_UNSURE);
    store.shared_tight = OPOOL__TIGHT;
    opool__bounded_give(&store, object);
    opool__bounded_condemn(&store);
    ck_assert_ptr_eq(opool__bounded_pop(&store), object);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_DYING);
    opool__bounded_bury(&store);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_PERMIT);
    opool__bounded_condemn(&store);
    opool__bounded_pardon(&store);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
    opool__bounded_adopt(&store, 1);
    opool__bounded_bury(&store); /* of before the fork */
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_PERMIT);
    ck_assert_int_eq(take_wait(&store, 0, &got), OPOOL__BOUNDED_FULL);
}
END_TEST

/* The store's recent list against a model that knows each object's last use. */
START_TEST(the_store_ages_what_was_not_used)
{
    enum { MODELLED = 60, STEPS = 20000 };
    void *objects[MODELLED], *got;
    unsigned used[MODELLED] = {0}, tick = 0, seed = 7;
    bool idle[MODELLED] = {false};
    start_store(0);
    store.random = (uint64_t)_i;
    for (int i = 0; i < MODELLED; i++)
        objects[i] = build();
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1103515245u + 12345u;
        unsigned choice = seed >> 16, i = choice / 64 % MODELLED;
        if (choice % 64 == 0) {
            opool__bounded_age(&store);
            tick++;
            while ((got = opool__bounded_pop_doomed(&store)) != NULL) {
                for (i = 0; objects[i] != got; i++)
                    continue;
                EXPECT(idle[i] && used[i] + 2 <= tick);
                idle[i] = false;
            }
            for (i = 0; i < MODELLED; i++)
                EXPECT(!idle[i] || used[i] + 3 > tick);
        } else if (choice % 2 && !idle[i]) {
            opool__bounded_give(&store, objects[i]);
            idle[i] = true;
            used[i] = tick;
        } else if ((got = opool__bounded_pop(&store)) != NULL) {
            for (i = 0; objects[i] != got; i++)
                continue;
            idle[i] = false;
        }
        check_store();
    }
}
END_TEST

static void start_full_store(void)
{
    static struct opool__label full;
    full = label;
    full.checks = OPOOL_CHECKS_FULL;
    opool__bounded_init(&store, &slab, 0, &full);
}

/* Each of the first eight as often as any other, no other ever; of one object, that one. */
START_TEST(full_checks_choose_among_eight)
{
    enum { PUT = 12, TIMES = 8000 };
    uint32_t chosen[PUT] = {0};
    void *objects[PUT];
    start_full_store();
    ck_assert_uint_ne(store.random, 0);
    for (int i = 0; i < PUT; i++)
        objects[i] = build();
    for (int time = 0; time < TIMES; time++) {
        for (int i = PUT; i-- > 0;)
            opool__bounded_give(&store, objects[i]); /* objects[0] is the top */
        void *got = opool__bounded_pop(&store);
        for (int i = 0; i < PUT; i++)
            chosen[i] += objects[i] == got;
        check_store();
        while (opool__bounded_pop(&store) != NULL)
            continue;
    }
    for (int i = 0; i < CHOICE; i++) /* 1000 each; six standard deviations are 178 */
        ck_assert_uint_lt(chosen[i] - (TIMES / CHOICE - 178), 2 * 178);
    for (int i = CHOICE; i < PUT; i++)
        ck_assert_uint_eq(chosen[i], 0);
    opool__bounded_give(&store, objects[3]);
    ck_assert_ptr_eq(opool__bounded_pop(&store), objects[3]);
}
END_TEST

/* ---- ages: magazines ---- */

static uint64_t aged(enum opool__age age)
{
    return depot.store.ages[age].count;
}

START_TEST(the_unused_bottom_of_a_magazine_leaves)
{
    struct opool__magazine *magazine = make_filled(5);
    void *kept[2] = {magazine->slots[3], magazine->slots[4]};
    magazine->low = 3;
    magazine->seen = 6;
    magazine->step = 8;
    opool__depot_age_magazine(&depot, magazine, 7, false);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 3);
    ck_assert_uint_eq(magazine->count, 2);
    ck_assert(magazine->slots[0] == kept[0] && magazine->slots[1] == kept[1]);
    ck_assert(magazine->low == 2 && magazine->seen == 7 && magazine->step == 1);
    opool__depot_age_magazine(&depot, magazine, 7, false); /* the same tick again */
    ck_assert_uint_eq(magazine->count, 2);
    ck_assert_uint_eq(opool__depot_flows(&depot).from_caches, 3);
    check_depot();
}
END_TEST

START_TEST(what_a_tick_missed_is_doomed)
{
    struct opool__magazine *magazine = make_filled(4);
    magazine->low = 3;
    magazine->seen = 5;
    opool__depot_age_magazine(&depot, magazine, 7, false);
    ck_assert_uint_eq(aged(OPOOL__DOOMED), 3);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 0);
}
END_TEST

/* Epoch numbers are cut to 32 bits in magazines. */
START_TEST(ages_survive_the_end_of_32_bits)
{
    struct opool__magazine *magazine = make_filled(4);
    for (uint32_t tick = UINT32_MAX - 1, victims = 1; victims <= 3; victims++) {
        magazine->seen = tick++;
        magazine->low = 1;
        opool__depot_age_magazine(&depot, magazine, tick, false);
        ck_assert_uint_eq(aged(OPOOL__VICTIM), victims);
    }
    magazine->seen = UINT32_MAX;
    opool__depot_age_magazine(&depot, magazine, 1, false);
    ck_assert_uint_eq(aged(OPOOL__DOOMED), 1);
}
END_TEST

START_TEST(a_tick_sees_a_magazine_once)
{
    struct opool__magazine *magazine = make_filled(CAPACITY);
    magazine->low = CAPACITY;
    magazine->seen = 3; /* as of a head, before it was given to the shard */
    (void)opool__depot_give(&depot, 2, magazine);
    opool__depot_age(&depot, 3);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 0);
    ck_assert_uint_eq(depot.shards[2].objects, CAPACITY);
    opool__depot_age(&depot, 4);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), CAPACITY);
    check_depot();
}
END_TEST

/* What stays was put on top after the last tick; the magazines around it keep their order. */
START_TEST(a_shard_keeps_what_was_used)
{
    struct opool__magazine *filled[4];
    static const uint32_t lows[4] = {3, CAPACITY, 0, 5};
    for (int i = 0; i < 4; i++) {
        (void)opool__depot_give(&depot, 0, filled[i] = make_filled(CAPACITY));
        filled[i]->low = lows[i];
    }
    opool__depot_age(&depot, 1);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 3 + CAPACITY + 5);
    ck_assert_uint_eq(depot.shards[0].objects, 5 + CAPACITY + 3);
    ck_assert_uint_eq(depot.shards[0].shared_filled, 3);
    check_depot();
    ck_assert_ptr_eq(opool__depot_take(&depot, 0), filled[3]);
    ck_assert_ptr_eq(opool__depot_take(&depot, 0), filled[2]);
    ck_assert_ptr_eq(opool__depot_take(&depot, 0), filled[0]);
    ck_assert_uint_eq(depot.shared_magazines, 3);
}
END_TEST

/* A cache that takes the magazine afterwards must not find marks above what is in it. */
START_TEST(single_pops_lower_the_mark)
{
    struct opool__magazine *magazine = make_filled(CAPACITY);
    (void)opool__depot_give(&depot, 0, magazine);
    opool__depot_age(&depot, 1);
    ck_assert_uint_eq(magazine->low, CAPACITY);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(opool__depot_pop(&depot));
    ck_assert_uint_eq(magazine->low, CAPACITY - 3);
}
END_TEST

START_TEST(shards_age_by_two_ticks)
{
    for (int i = 0; i < 3; i++)
        opool__depot_stock(&depot, make_filled(CAPACITY));
    opool__depot_age(&depot, 1);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 0);
    ck_assert_ptr_nonnull(opool__depot_take(&depot, 0));
    opool__depot_age(&depot, 2);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 2 * CAPACITY);
    ck_assert_uint_eq(opool__depot_idle(&depot).victims, 2 * CAPACITY);
    opool__bounded_age(&depot.store);
    ck_assert_uint_eq(aged(OPOOL__DOOMED), 2 * CAPACITY);
    opool__bounded_spare(&depot.store, 5);
    ck_assert_uint_eq(aged(OPOOL__DOOMED), 5);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), 2 * CAPACITY - 5);
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_nonnull(opool__bounded_pop_doomed(&depot.store));
    ck_assert_ptr_null(opool__bounded_pop_doomed(&depot.store));
    opool__depot_age(&depot, 3);
    opool__depot_age(&depot, 4);
    ck_assert_uint_eq(depot.shared_magazines, 1); /* the one that was taken */
    check_depot();
}
END_TEST

START_TEST(empties_that_nobody_needed_are_freed)
{
    struct opool__magazine *first = opool__depot_empty(&depot, 1), *second = opool__depot_empty(&depot, 1);
    opool__depot_give_empty(&depot, 1, first);
    opool__depot_give_empty(&depot, 1, second);
    opool__depot_age(&depot, 1);
    ck_assert_uint_eq(depot.shards[1].empties, 2); /* given since the last tick */
    opool__depot_give_empty(&depot, 1, opool__depot_empty(&depot, 1));
    opool__depot_age(&depot, 2);
    ck_assert_uint_eq(depot.shards[1].empties, 1);
    ck_assert_uint_eq(depot.shared_magazines, 1);
    opool__depot_age(&depot, 3);
    ck_assert_uint_eq(depot.shards[1].empties, 0);
    ck_assert_uint_eq(depot.shared_magazines, 0);
    check_depot();
}
END_TEST

START_TEST(drained_objects_keep_their_age)
{
    struct opool__magazine *magazine = make_filled(5);
    magazine->low = 2;
    opool__depot_stock(&depot, magazine);
    for (uint32_t shard = 1; shard < 4; shard++)
        (void)opool__depot_give(&depot, shard, make_filled(CAPACITY));
    /* Two were unused when a tick saw them: the last one, or one before it. */
    magazine->seen = (uint32_t)opool__epoch_begin() - (uint32_t)_i;
    opool__depot_drain(&depot);
    ck_assert_uint_eq(aged(OPOOL__VICTIM), _i ? 2 : 0);
    ck_assert_uint_eq(aged(OPOOL__RECENT), (_i ? 3 : 5) + 3 * CAPACITY);
    ck_assert_uint_eq(depot.store.low, _i ? 0 : 2);
    ck_assert_uint_eq(depot.shared_magazines, 0);
    check_depot();
    opool__bounded_age(&depot.store);
    ck_assert_uint_eq(aged(_i ? OPOOL__DOOMED : OPOOL__VICTIM), 2);
    for (uint32_t shard = 0; shard < 4; shard++)
        ck_assert_uint_eq(depot.shards[shard].objects, 0);
    check_depot();
}
END_TEST

/* The first copy is idle, the second one lies unused in a cache until a tick takes it. */
static void retire_twice(void *unused UNIT_UNUSED)
{
    struct opool__magazine *first = make_filled(3), *second = make_filled(2);
    second->slots[0] = first->slots[2];
    second->low = 1;
    (void)opool__depot_give(&depot, 0, first);
    opool__depot_age_magazine(&depot, second, 1, false);
}

START_TEST(a_tick_finds_double_puts)
{
    struct unit_child child = unit_in_child(retire_twice, NULL);
    expect_fault(&child, "the object is idle already: it was put twice; found when a magazine left the cache, "
                         "OPOOL_CHECKS=full finds the call");
}
END_TEST

/*
 * The promise, of shards and of magazines that caches hold: objects know the epoch of their last use, magazines wander,
 * ticks come in between and sometimes do not see a magazine that a cache holds.
 */
enum { KNOWN = 300, CACHES = 5 };

static struct {
    void *objects[KNOWN];
    uint32_t used[KNOWN];
    bool idle[KNOWN], missed[KNOWN]; /* missed: some tick did not see it since it was used */
    struct opool__magazine *held[CACHES];
    uint32_t tick;
} world;

static size_t number_of(const void *object)
{
    size_t i = 0;
    while (world.objects[i] != object)
        i++;
    return i;
}

static void use(const void *object, bool idle)
{
    size_t i = number_of(object);
    EXPECT(world.idle[i] != idle);
    world.idle[i] = idle;
    world.used[i] = world.tick;
    world.missed[i] = false;
}

/* As the owner of a cache: the top is used, `low` follows. */
static void use_held(struct opool__magazine *magazine)
{
    for (uint32_t n = random_below(CAPACITY); n > 0 && magazine->count; n--) {
        use(magazine->slots[--magazine->count], false);
        magazine->low = magazine->low < magazine->count ? magazine->low : magazine->count;
    }
    for (uint32_t n = random_below(CAPACITY), i = 0; n > 0 && i < KNOWN && magazine->count < CAPACITY; i++)
        if (!world.idle[i] && random_below(8) == 0) {
            use(magazine->slots[magazine->count++] = world.objects[i], true);
            n--;
        }
}

static void exchange(struct opool__magazine **held)
{
    uint32_t shard = random_below(4);
    struct opool__magazine *give = *held;
    *held = random_below(2) ? opool__depot_take(&depot, shard) : NULL;
    if (give && give->count == 0)
        opool__depot_give_empty(&depot, shard, give);
    else if (give && (give = opool__depot_give(&depot, shard, give)) != NULL)
        opool__depot_give_empty(&depot, shard, give);
    if (!*held)
        *held = opool__depot_empty(&depot, shard);
}

static void miss(const struct opool__magazine *magazine)
{
    for (uint32_t i = 0; i < magazine->count; i++)
        world.missed[number_of(magazine->slots[i])] = true;
}

static void tear_down_and_check(void)
{
    for (void *object; (object = opool__bounded_pop_doomed(&depot.store)) != NULL;) {
        size_t i = number_of(object);
        EXPECT(world.idle[i] && world.used[i] + 2 <= world.tick); /* none too early */
        use(object, false);                                       /* built again, for the test */
    }
    for (size_t i = 0; i < KNOWN; i++)
        EXPECT(!world.idle[i] || world.missed[i] || world.used[i] + 3 > world.tick); /* none too late */
}

static void tick_world(void)
{
    world.tick++;
    opool__bounded_age(&depot.store);
    for (int i = 0; i < CACHES; i++)
        if (world.held[i] && random_below(4) == 0)
            miss(world.held[i]);
        else if (world.held[i])
            opool__depot_age_magazine(&depot, world.held[i], world.tick, false);
    opool__depot_age(&depot, world.tick);
    tear_down_and_check();
    check_depot();
}

START_TEST(depots_keep_the_promise)
{
    random_state = (uint32_t)_i + 1;
    for (int i = 0; i < KNOWN; i++)
        world.objects[i] = make_object();
    for (int step = 0; step < 20000; step++) {
        uint32_t choice = random_below(step / 1000 % 2 ? 12 : 60);
        struct opool__magazine **held = &world.held[random_below(CACHES)];
        if (choice == 0) {
            tick_world();
        } else if (choice == 1) {
            void *object = opool__depot_pop(&depot);
            if (object)
                use(object, false);
        } else if (choice < 6 || !*held) {
            exchange(held);
        } else {
            use_held(*held);
        }
    }
}
END_TEST

/* ---- damage: found when it is used, and nothing is written to where it leads ---- */

static uint32_t *top_link(void)
{
    return opool__slab_link(&slab, depot.store.ages[OPOOL__RECENT].top);
}

static void a_chain_leads_out(void)
{
    depot.store.ages[OPOOL__RECENT].top = opool__slab_end(&slab);
}

static void a_chain_leads_nowhere(void)
{
    depot.store.ages[OPOOL__RECENT].top = UINT32_MAX;
}

static void a_chain_ends_out(void)
{
    depot.store.ages[OPOOL__VICTIM].bottom = opool__slab_end(&slab) + 5;
}

static void a_link_leads_out(void)
{
    *top_link() = opool__slab_end(&slab) + 1000;
}

static void a_link_leads_to_one_in_use(void)
{
    *top_link() = opool__slab_index(&slab, make_object());
}

static void a_link_leads_to_itself(void)
{
    *top_link() = depot.store.ages[OPOOL__RECENT].top;
}

static void a_chain_is_too_short(void)
{
    *top_link() = OPOOL__SLOT_NONE;
}

static void a_chain_counts_too_few(void)
{
    depot.store.ages[OPOOL__RECENT].count = 1;
}

static void a_mark_leads_out(void)
{
    depot.store.above_low = UINT32_MAX / 3;
}

static void a_magazine_holds_a_foreign_pointer(void)
{
    depot.shards[0].filled->slots[2] = &depot;
}

static void a_magazine_holds_null(void)
{
    depot.shards[0].filled->slots[1] = NULL;
}

static void a_magazine_holds_an_interior_pointer(void)
{
    depot.shards[0].filled->slots[0] = (char *)depot.shards[0].filled->slots[0] + 8;
}

static void a_magazine_holds_one_in_use(void)
{
    depot.shards[0].filled->slots[0] = make_object();
}

static void a_list_leads_to_no_magazine(void)
{
    depot.shards[0].filled = (struct opool__magazine *)(void *)&depot;
}

static void a_list_goes_on_to_no_magazine(void)
{
    depot.shards[0].filled->next = (struct opool__magazine *)(uintptr_t)0x10;
}

static void a_list_leads_into_a_magazine(void)
{
    depot.shards[0].filled = (struct opool__magazine *)(void *)depot.shards[0].filled->slots;
}

static void a_list_leads_to_a_freed_magazine(void)
{
    opool__magazine_free(depot.shards[0].filled);
}

static void a_list_ends_too_early(void)
{
    depot.shards[0].filled->next = NULL;
}

static void a_list_leads_to_itself(void)
{
    depot.shards[0].filled->next = depot.shards[0].filled;
}

static void a_list_counts_too_many(void)
{
    depot.shards[0].shared_filled++;
}

static void a_magazine_counts_too_many(void)
{
    depot.shards[0].filled->count = CAPACITY + 1;
}

static void a_magazine_counts_none(void)
{
    depot.shards[0].filled->count = 0;
}

static void empties_lead_nowhere(void)
{
    depot.shards[0].empty = (struct opool__magazine *)(uintptr_t)64;
}

static const char outside[] = "a list of idle objects leads out of the pool", used[] = "to a slot that holds none",
                  length[] = "a list of idle objects is not as long as its count",
                  foreign[] = "a magazine holds what is no object of the pool", no_magazine[] = "leads to what is none",
                  unlike[] = "a list of magazines is not as long as its count",
                  too_many[] = "a magazine counts objects that it can not hold";

static const struct damage {
    const char *said;
    void (*harm)(void);
} damages[] = {{outside, a_chain_leads_out},
               {outside, a_chain_leads_nowhere},
               {outside, a_chain_ends_out},
               {outside, a_link_leads_out},
               {used, a_link_leads_to_one_in_use},
               {used, a_link_leads_to_itself},
               {length, a_chain_is_too_short},
               {length, a_chain_counts_too_few},
               {outside, a_mark_leads_out},
               {foreign, a_magazine_holds_a_foreign_pointer},
               {foreign, a_magazine_holds_null},
               {foreign, a_magazine_holds_an_interior_pointer},
               {"an object in the depot is not idle", a_magazine_holds_one_in_use},
               {no_magazine, a_list_leads_to_no_magazine},
               {no_magazine, a_list_goes_on_to_no_magazine},
               {no_magazine, a_list_leads_into_a_magazine},
               {no_magazine, a_list_leads_to_a_freed_magazine},
               {unlike, a_list_ends_too_early},
               {"metadata is damaged", a_list_leads_to_itself},
               {unlike, a_list_counts_too_many},
               {too_many, a_magazine_counts_too_many},
               {too_many, a_magazine_counts_none},
               {no_magazine, empties_lead_nowhere}};

/* Objects of each age, magazines of each kind. */
static void stock_all(void)
{
    for (int i = 0; i < 9; i++)
        opool__bounded_give(&depot.store, make_object());
    opool__bounded_age(&depot.store);
    for (int i = 0; i < 4; i++)
        opool__bounded_give(&depot.store, make_object());
    for (int i = 0; i < 3; i++) {
        void *victim = make_object();
        opool__bounded_add(&depot.store, OPOOL__VICTIM, &victim, 1);
        opool__depot_stock(&depot, make_filled(CAPACITY));
    }
    opool__depot_give_empty(&depot, 0, opool__magazine_make(CAPACITY));
    depot.shared_magazines++;
}

/* Everything that comes out of a depot does, one way or the other: of the tick's and of the caches'. */
static void use_all(bool ticks_first)
{
    for (uint32_t tick = 1; tick <= 3; tick++) {
        if (ticks_first) {
            opool__bounded_age(&depot.store);
            opool__depot_age(&depot, tick);
        }
        while (opool__bounded_pop_doomed(&depot.store))
            continue;
        (void)opool__depot_empty(&depot, 0);
        (void)opool__depot_take(&depot, 0);
        (void)opool__depot_pop(&depot);
    }
    while (opool__depot_pop(&depot))
        continue;
    opool__depot_fini(&depot);
}

static bool ticks_first;

static void use_damaged(void *damage)
{
    stock_all();
    ((const struct damage *)damage)->harm();
    use_all(ticks_first);
}

START_TEST(damage_is_found)
{
    const struct damage *damage = &damages[(size_t)_i % UNIT_LENGTH(damages)];
    ticks_first =
        _i >= (int)UNIT_LENGTH(damages) || damage->harm == a_chain_ends_out || damage->harm == a_mark_leads_out;
    struct unit_child child = unit_in_child(use_damaged, (void *)(uintptr_t)damage);
    ck_assert_msg(unit_aborted(&child), "status %x: %s", (unsigned)child.status, child.said);
    ck_assert_msg(strstr(child.said, "opool: pool 'unit' (struct unit): use of 0x") == child.said, "%s", child.said);
    ck_assert_msg(strstr(child.said, "the pool's metadata is damaged: ") != NULL, "%s", child.said);
    ck_assert_msg(strstr(child.said, damage->said) != NULL, "%s", child.said);
}
END_TEST

static void use_undamaged(void *unused UNIT_UNUSED)
{
    stock_all();
    use_all(ticks_first);
}

/* With checks off, what leads out of the pool ends in the same words, and never in a write there. */
START_TEST(checks_off_follow_no_link_out)
{
    static void (*const harms[])(void) = {a_chain_leads_out, a_chain_leads_nowhere, a_link_leads_out};
    label.checks = OPOOL_CHECKS_OFF;
    for (size_t i = 0; i < UNIT_LENGTH(harms); i++) {
        const struct damage damage = {outside, harms[i]};
        struct unit_child child = unit_in_child(use_damaged, (void *)(uintptr_t)&damage);
        ck_assert_msg(unit_aborted(&child) && strstr(child.said, outside), "%x: %s", (unsigned)child.status,
                      child.said);
    }
    for (int i = 0; i < 2; i++) {
        ticks_first = i;
        label.checks = i ? OPOOL_CHECKS_BASIC : OPOOL_CHECKS_OFF;
        struct unit_child child = unit_in_child(use_undamaged, NULL);
        ck_assert(unit_succeeded(&child));
    }
}
END_TEST

static void drain_damaged(void *harm)
{
    stock_all();
    ((const struct damage *)harm)->harm();
    opool__depot_drain(&depot);
}

/* What goes from magazines to the lists, which are by index, is looked at whatever the level. */
START_TEST(a_drain_finds_what_is_no_object)
{
    static void (*const harms[])(void) = {a_magazine_holds_a_foreign_pointer, a_magazine_holds_null,
                                          a_magazine_holds_an_interior_pointer};
    for (size_t i = 0; i < 2 * UNIT_LENGTH(harms); i++) {
        const struct damage damage = {foreign, harms[i / 2]};
        label.checks = i % 2 ? OPOOL_CHECKS_BASIC : OPOOL_CHECKS_OFF;
        struct unit_child child = unit_in_child(drain_damaged, (void *)(uintptr_t)&damage);
        ck_assert_msg(unit_aborted(&child) && strstr(child.said, foreign), "%x: %s", (unsigned)child.status,
                      child.said);
    }
}
END_TEST

/* Any links, states, marks and pointers: what is done afterwards ends well or in words. */
static void use_scribbled(void *round)
{
    random_state = *(const uint32_t *)round;
    label.checks = random_below(4) ? OPOOL_CHECKS_BASIC : OPOOL_CHECKS_FULL;
    opool__depot_init(&depot, &slab, &label, CAPACITY, 0);
    stock_all();
    uint32_t end = opool__slab_end(&slab),
             anything = random_below(2) ? random_below(end + 8) : random_below(UINT32_MAX);
    struct opool__chain *chain = &depot.store.ages[random_below(OPOOL__AGES)];
    switch (random_below(6)) {
    case 0:
        *opool__slab_link(&slab, random_below(end)) = anything;
        break;
    case 1:
        *opool__slab_shared_state(&slab, random_below(end)) = (uint8_t)anything;
        break;
    case 2:
        *(random_below(2) ? &chain->top : &chain->bottom) = anything;
        break;
    case 3:
        depot.store.above_low = anything;
        break;
    case 4:
        depot.shards[0].filled->slots[random_below(CAPACITY)] = (char *)opool__slab_base(&slab) + anything;
        break;
    default:
        chain->count = anything % 32;
    }
    use_all(random_below(2));
}

START_TEST(scribbles_end_in_words_or_well)
{
    int aborted = 0, rounds = unit_watched() ? 30 : 300;
    for (uint32_t round = 1; round <= (uint32_t)rounds; round++) {
        struct unit_child child = unit_in_child(use_scribbled, &round);
        bool said = strstr(child.said, "metadata is damaged") || strstr(child.said, "put twice");
        ck_assert_msg(unit_succeeded(&child) || (unit_aborted(&child) && said), "round %u: status %x: %s", round,
                      (unsigned)child.status, child.said);
        aborted += unit_aborted(&child);
    }
    printf("%d of %d scribbles were found\n", aborted, rounds);
    ck_assert_int_gt(aborted, rounds / 4);
}
END_TEST

/* ---- the objects themselves ---- */

/* Idle objects can not even be read while everything happens to them that can: there is nothing of ours in them. */
START_TEST(idle_objects_are_never_touched)
{
    enum { PAGES = 60 };
    void *objects[PAGES];
    ck_assert_int_eq(opool__slab_init(&slab, 4096, 4096, 0, NULL), 0);
    opool__depot_init(&depot, &slab, &label, CAPACITY, 0);
    for (int i = 0; i < PAGES; i++)
        objects[i] = make_object();
    for (int i = 0; i < PAGES; i++)
        ck_assert_int_eq(mprotect(objects[i], 4096, PROT_NONE), 0);
    for (int round = 0, next = 0; round < 3; round++, next = 0) {
        for (; next < PAGES / 2; next++)
            opool__bounded_give(&depot.store, objects[next]);
        while (next < PAGES) {
            struct opool__magazine *magazine = opool__depot_empty(&depot, 0);
            while (next < PAGES && magazine->count < CAPACITY)
                magazine->slots[magazine->count++] = objects[next++];
            struct opool__magazine *empty = opool__depot_give(&depot, (uint32_t)next, magazine);
            if (empty)
                opool__depot_give_empty(&depot, 0, empty);
        }
        if (round == 1)
            opool__depot_drain(&depot);
        for (uint32_t tick = 1; tick <= 2; tick++) {
            opool__bounded_age(&depot.store);
            opool__depot_age(&depot, 2 * (uint32_t)round + tick);
        }
        check_depot();
        int found = 0;
        while (opool__bounded_pop_doomed(&depot.store) || opool__depot_pop(&depot))
            found++;
        ck_assert_int_eq(found, PAGES);
    }
    for (int i = 0; i < PAGES; i++)
        opool__slab_give(&slab, objects[i]);
    ck_assert_uint_eq(slab.used, 0);
}
END_TEST

static void add_hardening(TCase *tests)
{
    tcase_add_loop_test(tests, damage_is_found, 0, 2 * (int)UNIT_LENGTH(damages));
    tcase_add_test(tests, checks_off_follow_no_link_out);
    tcase_add_test(tests, a_drain_finds_what_is_no_object);
    tcase_add_test(tests, scribbles_end_in_words_or_well);
    tcase_add_test(tests, idle_objects_are_never_touched);
}

static TCase *depot_case(Suite *suite, const char *name)
{
    TCase *tests = unit_case(suite, name);
    tcase_add_checked_fixture(tests, start_depot, NULL);
    return tests;
}

static void add_shards(TCase *tests)
{
    tcase_add_test(tests, shards_follow_the_processors);
    tcase_add_test(tests, a_shard_is_a_stack);
    tcase_add_test(tests, every_shard_is_looked_at);
    tcase_add_test(tests, own_shard_comes_first);
    tcase_add_test(tests, few_empties_are_kept);
    tcase_add_test(tests, give_returns_an_empty_one_at_hand);
    tcase_add_test(tests, pop_takes_single_objects_and_frees_what_it_empties);
    tcase_add_test(tests, flows_count_what_caches_took_and_gave);
    tcase_add_test(tests, nothing_is_left_of_a_depot);
    tcase_add_test(tests, double_put_is_found_when_both_copies_arrive);
    tcase_add_test_raise_signal(tests, double_put_aborts, SIGABRT);
    tcase_add_test(tests, depot_under_load);
    tcase_add_test(tests, locks_are_all_held_and_all_freed);
}

static void add_store(TCase *tests)
{
    tcase_add_test(tests, store_is_a_stack_that_needs_no_memory);
    tcase_add_test(tests, capacity_is_exact);
    tcase_add_test(tests, permits_count_idle_objects_too);
    tcase_add_test(tests, double_put_into_the_store_is_found);
    tcase_add_test(tests, adopt_forgets_waiters_and_counts_what_exists);
    tcase_add_test(tests, waiters_are_served_in_order);
    tcase_add_test(tests, nobody_overtakes_a_waiter);
    tcase_add_test(tests, a_returned_permit_goes_to_the_waiter);
    tcase_add_test(tests, waiting_ends_in_time);
    tcase_add_test(tests, waiters_that_leave_do_not_disturb_the_others);
    tcase_add_test(tests, a_waiter_queues_behind_those_that_stayed);
    tcase_add_test(tests, close_wakes_all);
    tcase_add_test(tests, store_under_load);
}

static void add_ages(TCase *tests)
{
    tcase_add_loop_test(tests, the_store_is_three_lists, 0, 6);
    tcase_add_loop_test(tests, the_store_ages_what_was_not_used, 0, 4);
    tcase_add_test(tests, full_checks_choose_among_eight);
    tcase_add_test(tests, rescues_are_counted);
    tcase_add_test(tests, what_is_added_goes_to_waiters_first);
    tcase_add_test(tests, loosens_when_more_than_a_quarter_is_free);
    tcase_add_test(tests, says_what_it_does_not_know);
    tcase_add_test(tests, the_unused_bottom_of_a_magazine_leaves);
    tcase_add_test(tests, what_a_tick_missed_is_doomed);
    tcase_add_test(tests, ages_survive_the_end_of_32_bits);
    tcase_add_test(tests, a_tick_sees_a_magazine_once);
    tcase_add_test(tests, a_shard_keeps_what_was_used);
    tcase_add_test(tests, single_pops_lower_the_mark);
    tcase_add_test(tests, shards_age_by_two_ticks);
    tcase_add_test(tests, empties_that_nobody_needed_are_freed);
    tcase_add_loop_test(tests, drained_objects_keep_their_age, 0, 2);
    tcase_add_test(tests, a_tick_finds_double_puts);
    tcase_add_loop_test(tests, depots_keep_the_promise, 0, 3);
}

int main(void)
{
    Suite *suite = suite_create("depot");
    TCase *magazines = depot_case(suite, "magazines");
    tcase_add_test(magazines, magazines_of_every_capacity);
    tcase_add_test(magazines, magazine_used_again_is_clean);
    tcase_add_test(magazines, magazine_without_memory_is_null_and_then_works);
    add_shards(depot_case(suite, "shards"));
    add_store(depot_case(suite, "store"));
    add_ages(depot_case(suite, "ages"));
    add_hardening(depot_case(suite, "hardening"));
    return unit_main(suite);
}
