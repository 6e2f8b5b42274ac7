/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <setjmp.h>
#include <sys/mman.h>

#include "check/guard_slots.h"
#include "fault.h"
#include "os/lock.h"

enum { SLOTS = 4, EPOCH = 7 };

static const struct opool__label label = {.name = "conn", .type = "struct conn", .checks = OPOOL_CHECKS_BASIC};
static const struct opool__label other_label = {.name = "job", .type = "struct job", .checks = OPOOL_CHECKS_BASIC};
static int pool, other_pool; /* only addresses */

static uint64_t skipped_ns;
static uint64_t (*real_now)(void);

static uint64_t skipping_now(void)
{
    return real_now() + skipped_ns;
}

static void begin_with(const char *one_in, const char *slots)
{
    setenv("OPOOL_GUARD_SLOTS", one_in, 1);
    setenv("OPOOL_GUARD_SLOTS_MOST", slots, 1);
    fault_install();
    real_now = opool__os.now;
    opool__os.now = skipping_now;
    ck_assert(opool__guard_slots_start());
}

static void begin(void)
{
    begin_with("1/50", "4");
}

static char *take_as(const void *who, size_t size, size_t align, uint64_t epoch)
{
    struct opool__guard_order order = {
        .pool = who, .label = who == &pool ? &label : &other_label, .size = size, .align = align, .epoch = epoch};
    return opool__guard_slots_take(&order);
}

static char *get_of(size_t size, size_t align, uint64_t epoch)
{
    char *object = take_as(&pool, size, align, epoch);
    if (object)
        opool__guard_slots_got(object, &skipped_ns, NULL);
    return object;
}

static char *get(uint64_t epoch)
{
    char *object = get_of(96, 8, epoch);
    EXPECT(object);
    return object;
}

static void put(char *object, uint64_t epoch)
{
    EXPECT(opool__guard_slots_claim(&pool, &label, "put", object, NULL) == &skipped_ns);
    opool__guard_slots_rest(object, epoch);
}

static size_t page(void)
{
    return opool__os.page_size();
}

static bool is_at_start(const char *object)
{
    return (uintptr_t)object % page() == 0;
}

/* One of the kind that begins a page, or ends one. */
static char *get_at(bool start, size_t size, size_t align)
{
    char *object = get_of(size, align, EPOCH);
    if (is_at_start(object) != start || size % page() == 0)
        object = get_of(size, align, EPOCH);
    ck_assert_ptr_nonnull(object);
    return object;
}

/* ---- whose turn ---- */

static unsigned count_turns(unsigned n)
{
    unsigned turns = 0;
    for (unsigned i = 0; i < n; i++)
        turns += opool__guard_slots_turn();
    return turns;
}

static void expect_near(unsigned turns, double expected, double share)
{
    ck_assert_msg(turns > expected * (1 - share) && turns < expected * (1 + share), "%u turns for %g", turns, expected);
}

START_TEST(one_get_in_n_is_guarded)
{
    begin();
    unsigned n = unit_watched() ? 500000 : 5000000;
    expect_near(count_turns(n), n / 50.0, 0.03);
}
END_TEST

/* Four standard deviations are 2 %; a first distance like all others would give half of it. */
START_TEST(of_a_thread_that_ends_after_ten_gets_too)
{
    begin();
    unsigned threads = 200000, turns = 0;
    for (unsigned i = 0; i < threads; i++) {
        opool__guard_slots_reset();
        turns += count_turns(10);
    }
    expect_near(turns, threads * 10 / 50.0, 0.02);
}
END_TEST

/* A program that makes the same gets again and again must not have the same one guarded. */
START_TEST(at_each_place_of_a_pattern)
{
    enum { PLACES = 10 };
    begin();
    unsigned at[PLACES] = {0};
    for (unsigned i = 0; i < 2000000; i++)
        at[i % PLACES] += opool__guard_slots_turn();
    for (unsigned i = 0; i < PLACES; i++)
        expect_near(at[i], 2000000.0 / (int)PLACES / 50, 0.08);
}
END_TEST

static void say_turns(void *unused)
{
    char turns[1000];
    (void)unused;
    opool__guard_slots_reset();
    for (size_t i = 0; i < sizeof turns; i++)
        turns[i] = opool__guard_slots_turn() ? '+' : '-';
    EXPECT(write(STDERR_FILENO, turns, sizeof turns) == sizeof turns);
}

/* Or all children of a server would look at the same of their gets. */
START_TEST(forked_children_count_on_their_own)
{
    begin();
    (void)count_turns(1000);
    struct unit_child first = unit_in_child(say_turns, NULL), second = unit_in_child(say_turns, NULL);
    ck_assert_uint_eq(strlen(first.said), 1000);
    ck_assert_str_ne(first.said, second.said);
}
END_TEST

START_TEST(one_in_one_is_all)
{
    begin_with("1/1", "4");
    ck_assert_uint_eq(count_turns(1000), 1000);
}
END_TEST

START_TEST(one_in_very_many_is_next_to_none)
{
    begin_with("1/4294967295", "4");
    ck_assert_uint_eq(count_turns(1000), 0);
}
END_TEST

/* ---- places ---- */

START_TEST(objects_lie_at_the_start_and_at_the_end_by_turns)
{
    static const size_t sizes[] = {1, 7, 8, 96, 4095, 4096, 4097, 12345, 65535, 65536};
    begin_with("1/50", "64");
    for (size_t i = 0; i < UNIT_LENGTH(sizes); i++) {
        size_t size = sizes[i];
        bool whole = size % page() == 0;
        char *a = get_of(size, 1, EPOCH), *b = get_of(size, 1, EPOCH);
        ck_assert(unit_is_filled(a, 0, size) && unit_is_filled(b, 0, size));
        ck_assert_int_eq(is_at_start(a) + is_at_start(b), whole ? 2 : 1);
        char *first = is_at_start(a) ? a : b, *last = is_at_start(a) ? b : a;
        ck_assert(!unit_readable(first - 1));
        ck_assert(!unit_readable(last + size));
        memset(a, 0xff, size);
        memset(b, 0xff, size);
        put(a, EPOCH);
        put(b, EPOCH);
    }
}
END_TEST

START_TEST(alignment_is_kept)
{
    begin_with("1/50", "64");
    for (size_t align = 1; align <= 4096; align *= 2)
        for (int i = 0; i < 2; i++) {
            char *object = get_of(align + align / 2 + 1, align, EPOCH);
            ck_assert_uint_eq((uintptr_t)object % align, 0);
            put(object, EPOCH);
        }
}
END_TEST

START_TEST(the_arena_knows_its_addresses)
{
    int local;
    begin();
    char *object = get(EPOCH);
    ck_assert(opool__guard_slots_has(object) && opool__guard_slots_has(object + 95));
    ck_assert(!opool__guard_slots_has(&local) && !opool__guard_slots_has(NULL));
    ck_assert(!opool__guard_slots_has((void *)UINTPTR_MAX));
}
END_TEST

/* ---- rest ---- */

START_TEST(what_was_put_is_out_of_reach)
{
    begin();
    char *object = get(EPOCH);
    memset(object, 1, 96);
    ck_assert(unit_readable(object));
    put(object, EPOCH);
    ck_assert(!unit_readable(object) && !unit_readable(object + 95));
}
END_TEST

static void fill_arena(char **objects)
{
    for (int i = 0; i < SLOTS; i++)
        objects[i] = get(EPOCH);
    ck_assert_ptr_null(get_of(96, 8, EPOCH));
}

START_TEST(slots_rest_two_whole_epochs)
{
    char *objects[SLOTS];
    begin();
    fill_arena(objects);
    put(objects[2], EPOCH);
    ck_assert_ptr_null(get_of(96, 8, EPOCH));
    ck_assert_ptr_null(get_of(96, 8, EPOCH + 2));
    char *again = get_of(96, 8, EPOCH + 3);
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq((uintptr_t)again / page(), (uintptr_t)objects[2] / page());
    ck_assert(unit_is_filled(again, 0, 96));
}
END_TEST

START_TEST(or_ten_seconds_where_nothing_ticks)
{
    char *objects[SLOTS];
    begin();
    fill_arena(objects);
    put(objects[0], EPOCH);
    skipped_ns += UINT64_C(9900000000);
    ck_assert_ptr_null(get_of(96, 8, EPOCH));
    skipped_ns += UINT64_C(200000000);
    ck_assert_ptr_nonnull(get_of(96, 8, EPOCH));
}
END_TEST

START_TEST(the_oldest_is_used_again_first)
{
    static const int order[SLOTS] = {2, 0, 3, 1};
    char *objects[SLOTS];
    begin();
    fill_arena(objects);
    for (int i = 0; i < SLOTS; i++)
        put(objects[order[i]], EPOCH + (unsigned)i);
    for (int i = 0; i < SLOTS; i++) {
        char *again = get(EPOCH + 10);
        ck_assert_uint_eq((uintptr_t)again / page(), (uintptr_t)objects[order[i]] / page());
    }
    ck_assert_ptr_null(get_of(96, 8, EPOCH + 10));
}
END_TEST

START_TEST(thousands_of_uses_of_all_sizes)
{
    char *out[SLOTS] = {NULL};
    size_t sizes[SLOTS];
    begin();
    for (unsigned i = 0; i < 4000; i++) {
        unsigned at = i * 7 % SLOTS;
        if (out[at]) {
            ck_assert(unit_is_filled(out[at], (unsigned char)at, sizes[at]));
            put(out[at], i);
        }
        sizes[at] = 1 + i * 131 % OPOOL__GUARD_OBJECT_MOST;
        out[at] = get_of(sizes[at], 16, i + 3);
        ck_assert_ptr_nonnull(out[at]);
        ck_assert(unit_is_filled(out[at], 0, sizes[at]));
        memset(out[at], (int)at, sizes[at]);
    }
}
END_TEST

/* ---- refusals ---- */

static void begin_refused(void *kind)
{
    setenv("OPOOL_GUARD_SLOTS", "1/50", 1);
    fault_install();
    fault_all(*(uint32_t *)kind);
    EXPECT(!opool__guard_slots_start());
    EXPECT(!opool__guard_slots_has(kind));
    EXPECT(!opool__guard_slots_start());
    EXPECT(fault.reservations == 0);
    fault_heal();
    EXPECT(opool__guard_slots_start());
    EXPECT(opool__guard_slots_take(&(struct opool__guard_order){.label = &label, .size = 1, .align = 1}));
}

START_TEST(a_system_that_refuses_them_is_asked_again)
{
    uint32_t kinds[] = {fault_kind(FAULT_RESERVE), fault_kind(FAULT_COMMIT), fault_kind(FAULT_TRAP)};
    for (size_t i = 0; i < UNIT_LENGTH(kinds); i++) {
        struct unit_child child = unit_in_child(begin_refused, &kinds[i]);
        ck_assert_msg(unit_succeeded(&child), "%s", child.said);
        ck_assert_str_eq(child.said,
                         "opool: OPOOL_GUARD_SLOTS: the system refuses guard slots: pools created now have none\n");
    }
}
END_TEST

static void begin_by_environment(void *text)
{
    if (text)
        setenv("OPOOL_GUARD_SLOTS", text, 1);
    else
        unsetenv("OPOOL_GUARD_SLOTS");
    EXPECT(opool__guard_slots_start() == (text && strcmp(text, "1/3") == 0));
}

START_TEST(the_environment_says_how_many)
{
    static char const *const texts[] = {"1/3", "3", "1/0", "1/x", "2/3", "on"};
    struct unit_child child = unit_in_child(begin_by_environment, NULL);
    ck_assert(unit_succeeded(&child));
    ck_assert_str_eq(child.said, "");
    for (size_t i = 0; i < UNIT_LENGTH(texts); i++) {
        child = unit_in_child(begin_by_environment, (void *)(uintptr_t)texts[i]);
        ck_assert_msg(unit_succeeded(&child), "%s: %s", texts[i], child.said);
        ck_assert_int_eq(child.said[0] == '\0', i == 0);
    }
}
END_TEST

START_TEST(pages_that_can_not_be_had_lose_no_slot)
{
    char *objects[SLOTS];
    begin();
    fault_all(fault_kind(FAULT_COMMIT));
    for (int i = 0; i < 3 * SLOTS; i++)
        ck_assert_ptr_null(get_of(96, 8, EPOCH + 10 * (unsigned)i));
    fault_heal();
    for (int i = 0; i < SLOTS; i++)
        objects[i] = get(EPOCH + 1000);
    for (int i = 0; i < SLOTS; i++)
        put(objects[i], EPOCH + 1000);
}
END_TEST

START_TEST(memory_that_is_not_taken_back_is_zeroed)
{
    begin_with("1/50", "1");
    for (unsigned i = 0; i < 20; i++) {
        size_t size = i % 3 == 0 ? 65536 : 100 + i * 2000;
        char *object = get_of(size, 1, 10 * i);
        ck_assert_ptr_nonnull(object);
        ck_assert(unit_is_filled(object, 0, size));
        memset(object, 0xee, size);
        fault_all(i % 2 ? fault_kind(FAULT_PURGE) : 0);
        put(object, 10 * i);
    }
}
END_TEST

START_TEST(pages_that_stay_open_do_no_harm)
{
    begin_with("1/50", "1");
    fault_all(fault_kind(FAULT_PROTECT));
    for (unsigned i = 0; i < 20; i++) {
        char *object = get_of(5000, 8, 10 * i);
        ck_assert(unit_is_filled(object, 0, 5000));
        memset(object, 0xee, 5000);
        put(object, 10 * i);
    }
}
END_TEST

/* ---- faults at put ---- */

static void expect_fault(void (*run)(void *), const char *words)
{
    struct unit_child child = unit_in_child(run, NULL);
    ck_assert_msg(unit_aborted(&child), "status %#x: %s", (unsigned)child.status, child.said);
    ck_assert_msg(strstr(child.said, words) != NULL, "%s", child.said);
}

static void put_twice(void *unused)
{
    (void)unused;
    begin();
    char *object = get(EPOCH);
    put(object, EPOCH);
    put(object, EPOCH);
}

static void *claim_it(void *object)
{
    return opool__guard_slots_claim(&pool, &label, "put", object, NULL);
}

static void put_at_once(void *unused)
{
    (void)unused;
    begin();
    char *object = get(EPOCH);
    unit_join(unit_thread(claim_it, object));
    put(object, EPOCH);
}

static void put_into_the_middle(void *unused)
{
    (void)unused;
    begin();
    put(get(EPOCH) + 24, EPOCH);
}

static void put_beside(void *unused)
{
    (void)unused;
    begin();
    put(get_at(true, 96, 8) + 104, EPOCH);
}

static void put_between(void *unused)
{
    (void)unused;
    begin();
    put(get_at(true, 96, 8) - 16, EPOCH);
}

static void put_what_never_was(void *unused)
{
    (void)unused;
    begin();
    put((char *)opool__guard_shared_from + opool__guard_shared_bytes - 1, EPOCH);
}

static void put_to_another(void *unused)
{
    (void)unused;
    begin();
    (void)opool__guard_slots_claim(&other_pool, &other_label, "put", get(EPOCH), NULL);
}

static void put_of_a_lost_one(void *unused)
{
    (void)unused;
    begin();
    char *object = get(EPOCH);
    opool__guard_slots_forget(&pool);
    object[95] = 1; /* it stays */
    put(object, EPOCH);
}

static void put_while_it_is_built(void *unused)
{
    (void)unused;
    begin();
    put(take_as(&pool, 96, 8, EPOCH), EPOCH);
}

static void overrun_within_the_page(void *unused)
{
    (void)unused;
    begin();
    char *object = get_at(true, 90, 2);
    memcpy(object + 90, "abc", 3);
    put(object, EPOCH);
}

static void overrun_into_padding(void *unused)
{
    (void)unused;
    begin();
    char *object = get_at(false, 90, 16);
    object[91] = 0;
    put(object, EPOCH);
}

static void underrun_within_the_page(void *unused)
{
    (void)unused;
    begin();
    char *object = get_at(false, 90, 2);
    object[-3] = 0x11;
    put(object, EPOCH);
}

START_TEST(puts_that_are_wrong_are_named)
{
    expect_fault(put_twice, ": no object is there: its slot is free (put or discarded before)\n");
    expect_fault(put_at_once, ": it is being put already, by thread ");
    expect_fault(put_into_the_middle, ": a pointer into the middle: 24 bytes past the start of an object\n");
    expect_fault(put_beside, ": no object was ever at this address of the pool\n");
    expect_fault(put_between, ": no object was ever at this address of the pool\n");
    expect_fault(put_what_never_was, ": no object was ever at this address of the pool\n");
    expect_fault(put_to_another, "opool: pool 'job' (struct job): put of ");
    expect_fault(put_to_another, ": not an object of this pool: the address is of pool 'conn' (struct conn)\n");
    expect_fault(put_of_a_lost_one, ": not an object of this pool: the address is of pool 'conn' (struct conn)\n");
    expect_fault(put_while_it_is_built, ": no object is there: its slot is free (put or discarded before)\n");
}
END_TEST

START_TEST(writes_around_an_object_are_found_at_put)
{
    expect_fault(overrun_within_the_page, ": written past its end at 90, at offset 90: 3 bytes, now 61 62 63\n");
    expect_fault(overrun_into_padding, ": written past its end at 90, at offset 91: 1 bytes, now 00\n");
    expect_fault(underrun_within_the_page, ": written before its start, at offset -3: 1 bytes, now 11\n");
}
END_TEST

/* Who put it first, and who got it. */
START_TEST(a_wrong_put_has_a_story)
{
    struct unit_child child = unit_in_child(put_twice, NULL);
    const char *called = strstr(child.said, "\nopool:   called by thread ");
    const char *got = strstr(child.said, "\nopool:   last got by thread ");
    const char *last = strstr(child.said, "\nopool:   last put by thread ");
    ck_assert_msg(called && called < got && got < last, "%s", child.said);
}
END_TEST

/* ---- touches ---- */

static void expect_touch(void (*run)(void *), const char *call, const char *words)
{
    struct unit_child child = unit_in_child(run, NULL);
    char start[128];
    snprintf(start, sizeof start, "opool: pool 'conn' (struct conn): %s of 0x", call);
    /* Sanitizers have handlers of their own, and say much. */
    ck_assert_msg(UNIT_SANITIZED || (WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGSEGV),
                  "status %#x: %.3000s", (unsigned)child.status, child.said);
    ck_assert_msg(strncmp(child.said, start, strlen(start)) == 0 && strstr(child.said, words) != NULL, "%.3000s",
                  child.said);
    ck_assert_ptr_nonnull(strstr(child.said, "\nopool:   touched by thread "));
    ck_assert_ptr_nonnull(strstr(child.said, "\nopool:   last got by thread "));
}

static void read_byte(const char *at)
{
    (void)*(const volatile char *)at;
}

static void write_byte(char *at)
{
    *(volatile char *)at = 1;
}

static char *put_one(void)
{
    char *object = get(EPOCH);
    put(object, EPOCH);
    return object;
}

static void read_after_put(void *unused)
{
    (void)unused;
    begin();
    read_byte(put_one() + 24);
}

static void write_after_put(void *unused)
{
    (void)unused;
    begin();
    write_byte(put_one());
}

static void read_past(void *unused)
{
    (void)unused;
    begin();
    read_byte(get_at(false, 96, 8) + 96);
}

static void write_far_past(void *unused)
{
    (void)unused;
    begin();
    write_byte(get_at(false, 96, 8) + 96 + 999);
}

static void write_past_a_large_one(void *unused)
{
    (void)unused;
    begin();
    write_byte(get_of(65536, 8, EPOCH) + 65536);
}

static void write_before(void *unused)
{
    (void)unused;
    begin();
    get_at(true, 96, 8);
    write_byte(get_at(true, 96, 8) - 1);
}

static void read_past_after_put(void *unused)
{
    (void)unused;
    begin();
    read_byte(put_one() + 100);
}

START_TEST(touches_are_told_and_passed_on)
{
    expect_touch(read_after_put, "read", ": after it was put, at offset 24 of 96\n");
    expect_touch(read_after_put, "read", "\nopool:   last put by thread ");
    expect_touch(write_after_put, "write", ": after it was put, at offset 0 of 96\n");
    expect_touch(read_past, "read", ": past its end at 96, at offset 96\n");
    expect_touch(write_far_past, "write", ": past its end at 96, at offset 1095\n");
    expect_touch(write_past_a_large_one, "write", ": past its end at 65536, at offset 65536\n");
    expect_touch(write_before, "write", ": before its start, at offset -1\n");
    expect_touch(read_past_after_put, "read", ": past its end at 96, at offset 100\n");
}
END_TEST

static sigjmp_buf back;

static void jump(int unused)
{
    siglongjmp(back, unused);
}

static void touch_and_go_on(void *unused)
{
    (void)unused;
    signal(SIGSEGV, jump);
    begin();
    char *first = put_one(), *second = put_one();
    for (int i = 0; i < 5; i++)
        if (sigsetjmp(back, 1) == 0)
            write_byte(i < 4 ? first : second);
}

START_TEST(a_program_that_goes_on_is_told_once_a_use)
{
    struct unit_child child = unit_in_child(touch_and_go_on, NULL);
    ck_assert_msg(unit_succeeded(&child), "status %#x: %s", (unsigned)child.status, child.said);
    const char *first = strstr(child.said, "after it was put"),
               *second = first ? strstr(first + 1, "after it was put") : NULL;
    ck_assert_msg(first && second && !strstr(second + 1, "after it was put"), "%s", child.said);
}
END_TEST

static void touch_each_use(void *unused)
{
    (void)unused;
    signal(SIGSEGV, jump);
    begin_with("1/50", "1");
    for (uint64_t i = 1; i <= 3; i++) {
        char *volatile object = get(10 * i);
        put(object, 10 * i);
        if (sigsetjmp(back, 1) == 0)
            write_byte(object);
    }
}

START_TEST(each_use_of_a_slot_is_told)
{
    struct unit_child child = unit_in_child(touch_each_use, NULL);
    unsigned told = 0;
    ck_assert_msg(unit_succeeded(&child), "status %#x", (unsigned)child.status);
    for (const char *at = child.said; (at = strstr(at, "after it was put")) != NULL; at++)
        told++;
    ck_assert_uint_eq(told, 3);
}
END_TEST

static void touch_elsewhere(void *unused)
{
    (void)unused;
    begin();
    put_one();
    write_byte(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void touch_an_unused_slot(void *unused)
{
    (void)unused;
    begin();
    write_byte((char *)opool__guard_shared_from + page());
}

START_TEST(other_faults_are_not_told)
{
    static void (*const runs[])(void *) = {touch_elsewhere, touch_an_unused_slot};
    for (size_t i = 0; i < UNIT_LENGTH(runs); i++) {
        struct unit_child child = unit_in_child(runs[i], NULL);
        ck_assert(!unit_succeeded(&child));
        ck_assert_ptr_null(strstr(child.said, "opool: "));
        ck_assert(UNIT_SANITIZED || (WTERMSIG(child.status) == SIGSEGV && child.said[0] == '\0'));
    }
}
END_TEST

/* ---- threads and fork ---- */

enum { THREADS = 4 };
static uint64_t shared_epoch;

static void *use_slots(void *seed)
{
    unsigned rounds = unit_watched() ? 300 : 5000;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t epoch = __atomic_add_fetch(&shared_epoch, 1, __ATOMIC_RELAXED);
        size_t size = 1 + (i * 97 + (unsigned)(uintptr_t)seed) % 9000;
        char *object = get_of(size, 4, epoch);
        if (!object)
            continue;
        EXPECT(unit_is_filled(object, 0, size));
        memset(object, (int)(uintptr_t)seed, size);
        EXPECT(unit_is_filled(object, (unsigned char)(uintptr_t)seed, size));
        put(object, epoch);
    }
    return NULL;
}

START_TEST(threads_share_the_slots)
{
    pthread_t threads[THREADS];
    begin_with("1/50", "6");
    for (uintptr_t i = 0; i < THREADS; i++)
        threads[i] = unit_thread(use_slots, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        unit_join(threads[i]);
}
END_TEST

static void go_on_in_a_child(void *unused)
{
    (void)unused;
    opool__guard_slots_reset();
    for (unsigned i = 0; i < 100; i++)
        put(get(100 + 10 * i), 100 + 10 * i);
}

START_TEST(a_child_that_was_forked_under_the_lock_goes_on)
{
    begin();
    char *object = get(EPOCH);
    *object = 5;
    opool__guard_slots_lock();
    struct unit_child child = unit_in_child(go_on_in_a_child, NULL);
    opool__guard_slots_unlock();
    ck_assert_msg(unit_succeeded(&child), "status %#x: %s", (unsigned)child.status, child.said);
    ck_assert_int_eq(*object, 5);
    put(object, EPOCH);
}
END_TEST

static void add_slots(Suite *suite)
{
    TCase *tests = unit_case(suite, "slots");
    tcase_add_test(tests, one_get_in_n_is_guarded);
    tcase_add_test(tests, of_a_thread_that_ends_after_ten_gets_too);
    tcase_add_test(tests, at_each_place_of_a_pattern);
    tcase_add_test(tests, forked_children_count_on_their_own);
    tcase_add_test(tests, one_in_one_is_all);
    tcase_add_test(tests, one_in_very_many_is_next_to_none);
    tcase_add_test(tests, objects_lie_at_the_start_and_at_the_end_by_turns);
    tcase_add_test(tests, alignment_is_kept);
    tcase_add_test(tests, the_arena_knows_its_addresses);
    tcase_add_test(tests, what_was_put_is_out_of_reach);
    tcase_add_test(tests, slots_rest_two_whole_epochs);
    tcase_add_test(tests, or_ten_seconds_where_nothing_ticks);
    tcase_add_test(tests, the_oldest_is_used_again_first);
    tcase_add_test(tests, thousands_of_uses_of_all_sizes);
    tcase_add_test(tests, threads_share_the_slots);
    tcase_add_test(tests, a_child_that_was_forked_under_the_lock_goes_on);
}

static void add_refusals(Suite *suite)
{
    TCase *tests = unit_case(suite, "refusals");
    tcase_add_test(tests, a_system_that_refuses_them_is_asked_again);
    tcase_add_test(tests, the_environment_says_how_many);
    tcase_add_test(tests, pages_that_can_not_be_had_lose_no_slot);
    tcase_add_test(tests, memory_that_is_not_taken_back_is_zeroed);
    tcase_add_test(tests, pages_that_stay_open_do_no_harm);
}

static void add_faults(Suite *suite)
{
    TCase *tests = unit_case(suite, "faults");
    tcase_add_test(tests, puts_that_are_wrong_are_named);
    tcase_add_test(tests, writes_around_an_object_are_found_at_put);
    tcase_add_test(tests, a_wrong_put_has_a_story);
    tcase_add_test(tests, touches_are_told_and_passed_on);
    tcase_add_test(tests, a_program_that_goes_on_is_told_once_a_use);
    tcase_add_test(tests, each_use_of_a_slot_is_told);
    tcase_add_test(tests, other_faults_are_not_told);
}

int main(void)
{
    Suite *suite = suite_create("guard slots");
    add_slots(suite);
    add_refusals(suite);
    add_faults(suite);
    return unit_main(suite);
}
