/* SPDX-License-Identifier: MIT */

/*
 * What holds whoever writes into objects, and whatever: the library reads nothing that it follows from them, one type's
 * addresses are never another's, and the order of slots is not to be foreseen. Metadata and its damage:
 * unit/test_slab.c and unit/test_depot.c, which can reach it.
 */

#include <sys/mman.h>

#include "contract.h"

/* There the put audit looks into objects. */
#if defined(__SANITIZE_ADDRESS__) || THREAD_SANITIZER
#define LOOKED_INTO 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define LOOKED_INTO 1
#endif
#endif
#ifndef LOOKED_INTO
#define LOOKED_INTO 0
#endif

enum { FF = 0xff, LARGEST = 4096 };

struct filled {
    unsigned char bytes[200];
};

static bool is_filled(const struct filled *filled)
{
    return filled->bytes[0] == FF && memcmp(filled->bytes, filled->bytes + 1, sizeof filled->bytes - 1) == 0;
}

static int fill(struct filled *filled, void *arg)
{
    (void)arg;
    memset(filled, FF, sizeof *filled);
    return 0;
}

static bool stays_filled(struct filled *filled, void *refuse)
{
    static unsigned resets;
    if (!is_filled(filled))
        abort();
    return !refuse || __atomic_add_fetch(&resets, 1u, __ATOMIC_RELAXED) % 16 != 0;
}

static void was_filled(struct filled *filled, void *arg)
{
    (void)arg;
    if (!is_filled(filled))
        abort();
}

OPOOL_DEFINE(filled_pool, struct filled, .init = fill, .reset = stays_filled, .fini = was_filled);

struct other {
    unsigned char bytes[200];
};
OPOOL_DEFINE(other_pool, struct other);

struct page {
    _Alignas(LARGEST) unsigned char bytes[LARGEST];
};
OPOOL_DEFINE(page_pool, struct page);

static const enum opool_checks levels[] = {OPOOL_CHECKS_OFF, OPOOL_CHECKS_BASIC, OPOOL_CHECKS_FULL};
enum { LEVELS = 3, KINDS = 3 };

/* ---- nothing is followed from objects ---- */

/* Were there a link in an idle or a free one, it would lead to the end of the address space. */
enum { THREADS = 3, HELD = 60, ROUNDS = 400 };

static void check_all(struct filled *const *held, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_filled(held[i]))
            abort();
}

static void *use_filled(void *pool_of_all)
{
    struct filled_pool *pool = pool_of_all;
    struct filled *held[HELD];
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t n = 0;
        while (n < HELD / 2 && (held[n] = filled_pool_get(pool)) != NULL)
            n++;
        n += filled_pool_get_batch(pool, held + n, HELD / 2);
        check_all(held, n);
        while (n > HELD / 3)
            filled_pool_put(pool, held[--n]);
        if (n && round % 8 == 0)
            filled_pool_discard(pool, held[--n]);
        filled_pool_put_batch(pool, held, n);
    }
    return NULL;
}

START_TEST(objects_of_ff_lead_nowhere)
{
    static char region[THREADS * HELD * 160]; /* less than all want at once */
    struct opool_options options = {.checks = levels[_i % LEVELS], .arg = _i % 2 ? region : NULL};
    struct filled_pool *pool;
    pthread_t threads[THREADS];
    if (_i / LEVELS == 1)
        options.capacity = THREADS * HELD / 2;
    if (_i / LEVELS == 2) {
        memset(region, FF, sizeof region);
        options.region = region;
        options.region_size = sizeof region;
    }
    ck_assert_int_eq(filled_pool_create(&pool, &options), 0);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(use_filled, pool);
    for (int tick = 0; tick < 50; tick++) {
        opool_epoch_advance();
        sleep_ms(1);
    }
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    check_equations(filled_pool_base(pool));
    ck_assert_uint_eq(figures(filled_pool_base(pool)).live, 0);
    opool_release();
    ck_assert_uint_eq(idle_objects(filled_pool_base(pool)), 0);
    filled_pool_destroy(&pool);
}
END_TEST

static void protect(struct page *const *pages, size_t n, int protection)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(mprotect(pages[i], sizeof *pages[i], protection), 0);
}

/* Idle objects that nobody could read went through caches, depot, victims and back. */
START_TEST(idle_objects_are_never_touched)
{
    enum { PAGES = 300 };
    static struct page *pages[PAGES];
    struct opool_options options = {.checks = OPOOL_CHECKS_BASIC, .magazine = 16};
    struct page_pool *pool;
    ck_assert_int_eq(page_pool_create(&pool, &options), 0);
    ck_assert_uint_eq(page_pool_get_batch(pool, pages, PAGES), PAGES);
    protect(pages, PAGES, PROT_NONE);
    for (int round = 0; round < 4; round++) {
        page_pool_put_batch(pool, pages, PAGES);
        opool_epoch_advance();
        if (round % 2)
            opool_thread_flush();
        opool_epoch_advance();
        check_equations(page_pool_base(pool));
        ck_assert_uint_eq(page_pool_get_batch(pool, pages, PAGES), PAGES);
    }
    ck_assert_uint_eq(figures(page_pool_base(pool)).built, PAGES);
    protect(pages, PAGES, PROT_READ | PROT_WRITE);
    page_pool_put_batch(pool, pages, PAGES);
    page_pool_destroy(&pool);
}
END_TEST

/* ---- addresses keep their type ---- */

enum { SEEN_MOST = 1 << 16, BURST = 3000 };

static uintptr_t seen[SEEN_MOST]; /* a set, open addressing; 0: free */
static size_t seen_count;

static uintptr_t *place_of(uintptr_t address)
{
    size_t at = (size_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 48);
    while (seen[at % SEEN_MOST] && seen[at % SEEN_MOST] != address)
        at++;
    return &seen[at % SEEN_MOST];
}

static void remember(const void *object)
{
    uintptr_t *place = place_of((uintptr_t)object);
    seen_count += *place == 0;
    ck_assert_uint_lt(seen_count, SEEN_MOST / 2);
    *place = (uintptr_t)object;
}

/* Does any byte of it belong to what was remembered? Objects of both types are as large, on multiples of 8. */
static bool overlaps(const void *object)
{
    for (uintptr_t at = (uintptr_t)object - sizeof(struct other) + 8; at < (uintptr_t)object + sizeof(struct other);
         at += 8)
        if (*place_of(at))
            return true;
    return false;
}

/* A burst of one type goes, its pages go back to the system; the other type bursts then, in a pool that was there or is
   new: no byte of the first type's is ever one of the second's while the first type's pool lives. */
START_TEST(addresses_keep_their_type)
{
    static struct filled *filled[BURST];
    static struct other *others[BURST];
    struct opool_options options = {.checks = levels[_i % LEVELS]};
    struct filled_pool *pool;
    struct other_pool *stays, *comes;
    ck_assert_int_eq(filled_pool_create(&pool, &options), 0);
    ck_assert_int_eq(other_pool_create(&stays, &options), 0);
    for (int round = 0; round < 5; round++) {
        ck_assert_int_eq(other_pool_create(&comes, &options), 0);
        ck_assert_uint_eq(filled_pool_get_batch(pool, filled, BURST), BURST);
        for (int i = 0; i < BURST; i++)
            remember(filled[i]);
        filled_pool_put_batch(pool, filled, BURST);
        opool_release();
        opool_epoch_advance();
        ck_assert_uint_eq(figures(filled_pool_base(pool)).slots, 0);
        struct other_pool *uses[] = {stays, comes};
        for (int use = 0; use < 2; use++) {
            ck_assert_uint_eq(other_pool_get_batch(uses[use], others, BURST), BURST);
            for (int i = 0; i < BURST; i++)
                ck_assert(!overlaps(others[i]));
            other_pool_put_batch(uses[use], others, BURST);
        }
        other_pool_destroy(&comes);
    }
    ck_assert_uint_lt(seen_count, 2 * BURST); /* its own addresses come again */
    other_pool_destroy(&stays);
    filled_pool_destroy(&pool);
}
END_TEST

/* ---- the order of slots ---- */

enum { FIRST = 200 };

/* Places of the first objects of a new pool, from its lowest one on. */
static void first_places(enum opool_checks checks, bool in_region, ptrdiff_t *places)
{
    static _Alignas(4096) char region[FIRST * 2 * sizeof(struct other)];
    struct opool_options options = {.checks = checks};
    struct other_pool *pool;
    struct other *objects[FIRST], *lowest;
    if (in_region) {
        options.region = region;
        options.region_size = sizeof region;
    }
    ck_assert_int_eq(other_pool_create(&pool, &options), 0);
    ck_assert_uint_eq(other_pool_get_batch(pool, objects, FIRST), FIRST);
    lowest = objects[0];
    for (int i = 0; i < FIRST; i++)
        lowest = objects[i] < lowest ? objects[i] : lowest;
    for (int i = 0; i < FIRST; i++)
        places[i] = (char *)objects[i] - (char *)lowest;
    other_pool_put_batch(pool, objects, FIRST);
    other_pool_destroy(&pool);
}

static int ascents(const ptrdiff_t *places)
{
    int n = 0;
    for (int i = 1; i < FIRST; i++)
        n += places[i] > places[i - 1];
    return n;
}

START_TEST(slots_come_in_random_order)
{
    bool in_region = _i / LEVELS;
    ptrdiff_t first[FIRST], second[FIRST];
    first_places(levels[_i % LEVELS], in_region, first);
    first_places(levels[_i % LEVELS], in_region, second);
    if (levels[_i % LEVELS] == OPOOL_CHECKS_OFF) {
        ck_assert_int_eq(ascents(first), FIRST - 1);
        return;
    }
    ck_assert_int_ne(memcmp(first, second, sizeof first), 0);
    ck_assert_int_gt(ascents(first), FIRST / 4); /* of random ones a half */
    ck_assert_int_lt(ascents(first), FIRST * 3 / 4);
}
END_TEST

/* How many of 1000 gets return what was put just before, next to 20 others that are idle. */
static int same_again(enum opool_checks checks)
{
    struct opool_options options = {.checks = checks};
    struct other_pool *pool;
    struct other *idle[20], *last;
    int same = 0;
    ck_assert_int_eq(other_pool_create(&pool, &options), 0);
    ck_assert_uint_eq(other_pool_get_batch(pool, idle, 20), 20);
    last = other_pool_get(pool);
    other_pool_put_batch(pool, idle, 20);
    for (int i = 0; i < 1000; i++) {
        const struct other *put = last;
        other_pool_put(pool, last);
        ck_assert_ptr_nonnull(last = other_pool_get(pool));
        same += last == put;
    }
    other_pool_put(pool, last);
    other_pool_destroy(&pool);
    return same;
}

START_TEST(no_order_of_reuse_under_full_checks)
{
    int same = same_again(OPOOL_CHECKS_FULL);
    ck_assert_int_gt(same, 125 - 63); /* one in eight; six standard deviations */
    ck_assert_int_lt(same, 125 + 63);
    ck_assert_int_eq(same_again(OPOOL_CHECKS_BASIC), 1000);
    ck_assert_int_eq(same_again(OPOOL_CHECKS_OFF), 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hardening");
    TCase *tests = new_case(suite, "whatever is in objects");
    tcase_add_loop_test(tests, objects_of_ff_lead_nowhere, 0, LEVELS * KINDS);
    if (!LOOKED_INTO)
        tcase_add_test(tests, idle_objects_are_never_touched);
    tcase_add_loop_test(tests, addresses_keep_their_type, 0, LEVELS);
    tcase_add_loop_test(tests, slots_come_in_random_order, 0, 2 * LEVELS);
    tcase_add_test(tests, no_order_of_reuse_under_full_checks);
    return run_suite(suite);
}
