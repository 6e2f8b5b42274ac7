/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <sys/mman.h>

#include "epoch/epoch.h"
#include "fault.h"
#include "opool/inline.h"
#include "slab/slab.h"

enum { PAGE = 4096, POISON = 0xa5 };

/* ---- layout: arithmetic ---- */

static void expect_layout(const struct opool__layout *layout, size_t size, size_t align)
{
    EXPECT(layout->size == size && layout->align == align);
    EXPECT(layout->stride >= size && layout->stride % align == 0);
    EXPECT(layout->slots > 0 && (layout->slots & (layout->slots - 1)) == 0);
    EXPECT(layout->slots == UINT32_C(1) << layout->shift);
    EXPECT(layout->slab_bytes == layout->slots * layout->stride);
    EXPECT(layout->slab_bytes % PAGE == 0);
    EXPECT((uintptr_t)(layout->stride >> layout->rotate) * layout->inverse == 1);
    EXPECT((layout->stride >> layout->rotate) % 2 == 1);
    EXPECT(layout->record_bytes >= sizeof(struct opool__record) + layout->slots * OPOOL__RECORD_SLOT_BYTES);
    EXPECT(layout->record_bytes % _Alignof(struct opool__record) == 0);
    EXPECT(layout->record_bytes < sizeof(struct opool__record) + layout->slots * OPOOL__RECORD_SLOT_BYTES + 8);
}

START_TEST(layout_holds_for_all_small_shapes)
{
    for (size_t size = 1; size <= 4096; size++)
        for (size_t align = 1; align <= OPOOL_ALIGN_MAX; align *= 2) {
            struct opool__layout layout = opool__layout_choose(size, align, PAGE);
            expect_layout(&layout, size, align);
        }
}
END_TEST

START_TEST(layout_holds_up_to_the_largest)
{
    for (size_t size = 4097; size <= OPOOL_SIZE_MAX; size += size / 97 + 1)
        for (size_t align = 1; align <= OPOOL_ALIGN_MAX; align *= 2) {
            struct opool__layout layout = opool__layout_choose(size, align, PAGE);
            expect_layout(&layout, size, align);
        }
    for (size_t align = 1; align <= OPOOL_ALIGN_MAX; align *= 2) {
        struct opool__layout layout = opool__layout_choose(OPOOL_SIZE_MAX, align, PAGE);
        expect_layout(&layout, OPOOL_SIZE_MAX, align);
        EXPECT(layout.stride - OPOOL_SIZE_MAX <= OPOOL_SIZE_MAX / 32);
    }
}
END_TEST

/* What an inlined put makes of an address so far from the first slot. */
static bool passes(const struct opool__layout *layout, uintptr_t distance, uintptr_t slots)
{
    struct opool_front front = {.base = 77, .rotate = layout->rotate, .inverse = layout->inverse, .slots = slots};
    return opool__is_slot(&front, (const void *)(77 + distance));
}

static void expect_divisible(const struct opool__layout *layout, uintptr_t slots, uintptr_t from, uintptr_t to)
{
    for (uintptr_t distance = from; distance < to; distance++) {
        bool multiple = distance % layout->stride == 0 && distance / layout->stride < slots;
        EXPECT(passes(layout, distance, slots) == multiple);
        EXPECT(!multiple || opool__layout_index(layout, distance) == distance / layout->stride);
    }
}

static void expect_multiples(const struct opool__layout *layout, uintptr_t slots)
{
    for (uintptr_t i = 0; i < slots; i += i / 64 + 1) {
        EXPECT(opool__layout_index(layout, i * layout->stride) == i);
        EXPECT(passes(layout, i * layout->stride, slots));
        EXPECT(!passes(layout, i * layout->stride + 1, slots) || layout->stride == 1);
    }
    EXPECT(!passes(layout, slots * layout->stride, slots));
    EXPECT(!passes(layout, (uintptr_t)0 - layout->stride, slots)); /* just before the range */
    EXPECT(!passes(layout, (uintptr_t)0 - 1, slots));
}

START_TEST(divisibility_agrees_with_division)
{
    static bool seen[2 * PAGE + 1];
    for (size_t size = 1; size <= 4096; size++)
        for (size_t align = 1; align <= OPOOL_ALIGN_MAX; align *= 2) {
            struct opool__layout layout = opool__layout_choose(size, align, PAGE);
            if (seen[layout.stride])
                continue;
            seen[layout.stride] = true;
            uintptr_t slots = 2 * layout.slots;
            expect_divisible(&layout, slots, 0, 3 * layout.stride);
            expect_divisible(&layout, slots, (slots - 1) * layout.stride, (slots + 1) * layout.stride);
            expect_multiples(&layout, 1 << 20);
        }
}
END_TEST

START_TEST(divisibility_of_large_strides)
{
    for (size_t size = 4097; size <= OPOOL_SIZE_MAX; size += size / 13 + 1) {
        struct opool__layout layout = opool__layout_choose(size, 8, PAGE);
        expect_multiples(&layout, 1 << 10);
        expect_divisible(&layout, 16, 7 * layout.stride - 100, 7 * layout.stride + 100);
        expect_divisible(&layout, 16, 16 * layout.stride - 100, 16 * layout.stride + 100);
    }
}
END_TEST

/* Bytes that 1000 live objects of a real size (a multiple of its alignment) leave unused, as a share of the objects. */
static double slack_of_1000(const struct opool__layout *layout)
{
    size_t slabs = (1000 + layout->slots - 1) / layout->slots;
    size_t bytes = 1000 * layout->size;
    return (double)(slabs * layout->slab_bytes - bytes) / (double)bytes;
}

/* An odd size below this needs slabs of up to 4096 slots to end on a page border: address space, no memory, since slots
   that were never used are not touched. Padding stays below 5 % there too. */
enum { ODD_LEAST = 190 };

START_TEST(slack_stays_below_five_percent)
{
    double worst = 0;
    for (size_t size = 64; size <= 64 << 10; size++)
        for (size_t align = 1; align <= 64 && size % align == 0; align *= 2) {
            struct opool__layout layout = opool__layout_choose(size, align, PAGE);
            bool odd = align < 4 && size < ODD_LEAST;
            double padding = (double)(layout.stride - size) / (double)size;
            double slack = odd ? padding : slack_of_1000(&layout);
            if (slack >= 0.05)
                ck_abort_msg("size %zu, align %zu: slack %.2f %%", size, align, 100 * slack);
            worst = slack > worst ? slack : worst;
        }
    printf("worst slack of 1000 objects of 64 bytes to 64 KiB: %.2f %%\n", 100 * worst);
}
END_TEST

START_TEST(region_layout_fills_the_region)
{
    for (size_t size = 1; size <= 300; size++)
        for (size_t align = 1; align <= 256; align *= 4)
            for (size_t bytes = 0; bytes < 6000; bytes += 97) {
                struct opool__layout layout = opool__layout_region(size, align, bytes);
                size_t records = layout.record_bytes, lost = 3 + (align > 4 ? align - 4 : 0); /* records end at 4s */
                EXPECT(layout.stride >= size && layout.stride % align == 0 && layout.stride - size < align);
                EXPECT(layout.slab_bytes == layout.slots * layout.stride);
                /* Whatever the region's address: */
                EXPECT(!layout.slots || lost + records + layout.slab_bytes <= bytes);
                /* and nearly a slot more would not fit. */
                EXPECT(lost + records + layout.slab_bytes + layout.stride + OPOOL__RECORD_SLOT_BYTES + 8 > bytes);
            }
}
END_TEST

/* ---- the two equations, and what the lists say ---- */

struct tally {
    uint64_t slots, used, metadata;
    uint32_t listed, empties, colds;
};

static void check_free_list(const struct opool__slab *slab, struct opool__record *record)
{
    uint32_t length = 0, zeros = 0, slots = slab->layout.slots;
    const uint8_t *states = (const uint8_t *)(opool__record_links(record) + slots);
    for (uint32_t at = record->free; at != OPOOL__SLOT_NONE; at = opool__record_links(record)[at]) {
        EXPECT(at < record->fresh);
        EXPECT(states[at] == OPOOL__SLOT_DIRTY || (states[at] == OPOOL__SLOT_ZERO && slab->extents[0].map));
        zeros += states[at] == OPOOL__SLOT_ZERO;
        EXPECT(++length <= slots);
    }
    EXPECT(zeros == record->zeros);
    EXPECT(record->used + length + (slots - record->fresh) == slots);
}

static void check_states(const struct opool__slab *slab, struct opool__record *record)
{
    uint32_t taken = 0, slots = slab->layout.slots;
    const uint8_t *states = (const uint8_t *)(opool__record_links(record) + slots);
    for (uint32_t i = 0; i < slots; i++) {
        taken += states[i] == OPOOL__SLOT_OUT || states[i] == OPOOL__SLOT_IDLE;
        EXPECT(i < record->fresh || states[i] == (slab->extents[0].map ? OPOOL__SLOT_ZERO : OPOOL__SLOT_DIRTY));
    }
    EXPECT(taken == record->used);
}

static uint32_t expected_list(const struct opool__slab *slab, const struct opool__record *record)
{
    if (record->used == 0)
        return OPOOL__LIST_EMPTY;
    return (uint32_t)((uint64_t)record->used * OPOOL__BUCKETS / slab->layout.slots);
}

static bool is_cold(const struct opool__extent *extent, uint32_t local)
{
    return extent->cold && extent->cold[local / 64] >> local % 64 & 1;
}

/* Pages of records of slabs that are in use, by looking at each byte's owner. */
static uint64_t pages_in_use(const struct opool__slab *slab, const struct opool__extent *extent)
{
    size_t page = opool__os.page_size(), bytes = slab->layout.record_bytes;
    uint64_t pages = 0;
    size_t counted = SIZE_MAX; /* the last page that was */
    for (uint32_t local = 0; local < extent->shared_opened; local++)
        for (size_t at = local * bytes / page; !is_cold(extent, local) && at <= ((local + 1) * bytes - 1) / page;
             at++) {
            pages += at != counted;
            counted = at;
        }
    return pages * page;
}

static void check_record(const struct opool__slab *slab, uint32_t number, struct tally *tally)
{
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    if (is_cold(extent, number - extent->first_slab)) {
        EXPECT(number >= slab->cold_from);
        tally->colds++;
        return;
    }
    struct opool__record *record = opool__slab_record(slab, number);
    bool full = record->used == slab->layout.slots;
    check_free_list(slab, record);
    check_states(slab, record);
    tally->slots += record->fresh - record->zeros;
    tally->used += record->used;
    tally->listed += !full;
    tally->empties += record->used == 0;
}

/* Every slab with room stands once in the list of its fullness, and no other. */
static void check_lists(const struct opool__slab *slab, const struct tally *tally)
{
    uint32_t seen = 0;
    for (uint32_t list = 0; list < OPOOL__LISTS; list++) {
        uint32_t previous = OPOOL__SLAB_NONE;
        for (uint32_t at = slab->lists[list]; at != OPOOL__SLAB_NONE;) {
            struct opool__record *record = opool__slab_record(slab, at);
            EXPECT(record->bucket == list && expected_list(slab, record) == list);
            EXPECT(record->previous == previous && record->used < slab->layout.slots);
            EXPECT(++seen <= tally->listed);
            previous = at;
            at = record->next;
        }
    }
    EXPECT(seen == tally->listed);
    EXPECT(tally->empties == slab->empties);
}

/* While no other thread is inside a call. */
static void check_valid(const struct opool__slab *slab)
{
    struct tally tally = {0};
    for (uint32_t e = 0; e < slab->shared_extents; e++) {
        const struct opool__extent *extent = &slab->extents[e];
        tally.metadata += extent->map ? pages_in_use(slab, extent) : slab->metadata_bytes;
        EXPECT(extent->shared_opened <= extent->slabs);
        for (uint32_t i = 0; i < extent->shared_opened; i++)
            check_record(slab, extent->first_slab + i, &tally);
    }
    check_lists(slab, &tally);
    EXPECT(tally.slots == slab->slots && tally.used == slab->used);
    EXPECT(tally.metadata == slab->metadata_bytes && tally.colds == slab->colds);
}

/* ---- slabs ---- */

enum { LIVE_MOST = 1 << 14 };

static struct opool__slab slab;
static uintptr_t bound;
static unsigned char *live[LIVE_MOST];
static size_t live_count;
static uint64_t seed; /* of the order of slots that were never used; 0: ascending */

static const struct opool__label label = {.name = "unit", .type = "struct unit", .checks = OPOOL_CHECKS_BASIC};

static void start_for(size_t size, size_t align, size_t goal)
{
    ck_assert_int_eq(opool__slab_init(&slab, size, align, goal, &bound), 0);
    opool__slab_own(&slab, &label, seed);
    live_count = 0;
}

static void start(size_t size, size_t align)
{
    start_for(size, align, 0);
}

/* Filled with a byte of its own, so that two objects in one place are found out. */
static unsigned char mark_of(const void *slot)
{
    return (unsigned char)(1 + opool__slab_index(&slab, slot) % 251);
}

static void *take(void)
{
    unsigned char *slot = opool__slab_take(&slab);
    if (!slot)
        return NULL;
    EXPECT((uintptr_t)slot % slab.layout.align == 0);
    EXPECT(unit_is_filled(slot, 0, slab.layout.size));
    EXPECT(opool__slab_slot(&slab, opool__slab_index(&slab, slot)) == slot);
    EXPECT(*opool__slab_shared_state(&slab, opool__slab_index(&slab, slot)) == OPOOL__SLOT_OUT);
    memset(slot, mark_of(slot), slab.layout.size);
    EXPECT(live_count < LIVE_MOST);
    live[live_count++] = slot;
    return slot;
}

static void give(size_t which)
{
    unsigned char *slot = live[which];
    EXPECT(unit_is_filled(slot, mark_of(slot), slab.layout.size));
    live[which] = live[--live_count];
    opool__slab_give(&slab, slot);
}

static void take_many(size_t n)
{
    while (n-- > 0)
        EXPECT(take() != NULL);
}

static void give_all(void)
{
    while (live_count)
        give(live_count - 1);
}

static void end(void)
{
    give_all();
    check_valid(&slab);
    ck_assert_uint_eq(slab.used, 0);
    opool__slab_fini(&slab);
}

/* ---- pages of slabs in use ---- */

/* Objects count with so many bytes each. */
static bool has_object(const unsigned char *page, size_t bytes)
{
    for (size_t i = 0; i < live_count; i++)
        if (live[i] < page + PAGE && page < live[i] + bytes)
            return true;
    return false;
}

/* Directly after trimming: of slabs that hold an object, each page that holds none is the system's. */
static void check_pages(const struct opool__slab *of)
{
    const struct opool__extent *extent = of->extents;
    for (uint32_t number = 0; number < extent->shared_opened; number++) {
        const unsigned char *memory = (const unsigned char *)extent->slots + number * of->layout.slab_bytes;
        unsigned char there;
        if (is_cold(extent, number) || opool__slab_record(of, number)->used == 0)
            continue;
        for (size_t at = 0; at < of->layout.slab_bytes; at += PAGE) {
            EXPECT(mincore((void *)(uintptr_t)(memory + at), PAGE, &there) == 0);
            EXPECT((there & 1) || !has_object(memory + at, of->layout.size));
            EXPECT(!(there & 1) || has_object(memory + at, of->layout.stride));
        }
    }
}

static const struct {
    size_t size, align;
} shapes[] = {{1, 1},    {3, 1},       {8, 8},    {24, 8},     {64, 64},   {100, 4},    {200, 8},
              {1000, 8}, {4096, 4096}, {5000, 8}, {12288, 16}, {65544, 8}, {100, 4096}, {300000, 64}};

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

/* Grows and shrinks again and again, so that slabs fill, empty, go cold and come back. */
START_TEST(random_use_keeps_the_equations)
{
    size_t shape = (size_t)_i % UNIT_LENGTH(shapes), most = shapes[shape].size > 8192 ? 24 : 3 * 256 + 100;
    seed = (size_t)_i / UNIT_LENGTH(shapes); /* in order, and not */
    start(shapes[shape].size, shapes[shape].align);
    for (int i = 0; i < 12000; i++) {
        bool grows = i / 1500 % 2 == 0;
        if (live_count == 0 || (live_count < most && random_below(8) < (grows ? 5 : 3)))
            EXPECT(take() != NULL);
        else
            give(random_below((uint32_t)live_count));
        if (i % 700 == 0) {
            opool__slab_trim(&slab, true, UINT32_MAX);
            check_pages(&slab);
        }
        if (i % 128 == 0)
            check_valid(&slab);
        EXPECT(slab.used == live_count);
    }
    end();
}
END_TEST

START_TEST(slots_are_distinct_and_dense)
{
    start(shapes[_i].size, shapes[_i].align);
    size_t n = 2 * slab.layout.slots;
    take_many(n);
    for (size_t i = 0; i < n; i++)
        EXPECT(opool__slab_index(&slab, live[i]) == i);
    EXPECT(bound == n && slab.slots == n);
    give_all();
    take_many(n); /* each zero again: take looks */
    EXPECT(bound == n && slab.slots == n);
    end();
}
END_TEST

START_TEST(last_given_is_next_taken)
{
    start(64, 8);
    take_many(10);
    void *seventh = live[6];
    give(6);
    ck_assert_ptr_eq(take(), seventh);
    end();
}
END_TEST

static uint32_t slab_of(const void *slot)
{
    return opool__slab_index(&slab, slot) >> slab.layout.shift;
}

/* Leave `n` live objects in slab `number`. */
static void thin_out(uint32_t number, size_t n)
{
    for (size_t i = live_count; i-- > 0;)
        if (slab_of(live[i]) == number && opool__slab_record(&slab, number)->used > n)
            give(i);
    EXPECT(opool__slab_record(&slab, number)->used == n);
}

START_TEST(fullest_slab_first)
{
    start(64, 8); /* 256 slots a slab */
    size_t slots = slab.layout.slots;
    take_many(4 * slots);
    thin_out(0, slots / 4);
    thin_out(1, slots - slots / 16);
    thin_out(2, slots / 2);
    thin_out(3, 0);
    for (size_t i = 0; i < slots / 16; i++)
        EXPECT(slab_of(take()) == 1);
    for (size_t i = 0; i < slots / 2; i++)
        EXPECT(slab_of(take()) == 2);
    for (size_t i = 0; i < slots - slots / 4; i++)
        EXPECT(slab_of(take()) == 0);
    for (size_t i = 0; i < slots; i++)
        EXPECT(slab_of(take()) == 3);
    ck_assert_uint_eq(slab_of(take()), 4);
    check_valid(&slab);
    end();
}
END_TEST

/* ---- empties ---- */

START_TEST(empty_slabs_are_purged_but_one)
{
    fault_install();
    start(64, 8);
    size_t slots = slab.layout.slots;
    take_many(4 * slots);
    fault_heal();
    give_all();
    ck_assert_uint_eq(fault.count[FAULT_PURGE], 3);
    ck_assert_uint_eq(slab.slots, slots);
    check_valid(&slab);
    take_many(4 * slots);
    ck_assert_uint_eq(slab.slots, 4 * slots);
    ck_assert_uint_eq(fault.count[FAULT_COMMIT], 0); /* cold ones are still committed */
    ck_assert_uint_eq(bound, 4 * slots);
    end();
}
END_TEST

START_TEST(breathing_by_a_slab_makes_no_call)
{
    fault_install();
    start(64, 8);
    take_many(2 * slab.layout.slots);
    fault_heal();
    for (int i = 0; i < 100; i++) {
        thin_out(1, 0);
        take_many(slab.layout.slots);
    }
    ck_assert_uint_eq(fault.calls, 0);
    end();
}
END_TEST

START_TEST(refused_purge_still_gives_zero_memory)
{
    fault_install();
    start(1000, 8);
    size_t n = 4 * slab.layout.slots;
    take_many(n);
    fault_all(fault_kind(FAULT_PURGE));
    give_all();
    ck_assert_uint_ge(fault.refused, 3);
    check_valid(&slab);
    ck_assert_uint_eq(slab.slots, n); /* nothing went back */
    take_many(n);
    fault_heal();
    give_all();
    ck_assert_uint_eq(slab.slots, slab.layout.slots);
    end();
}
END_TEST

/* As the kernel does it: part of the range was purged before the refusal. */
static int purge_half(void *at, size_t bytes)
{
    (void)fault.real.purge(at, bytes / 2 / PAGE * PAGE);
    return -EINVAL;
}

START_TEST(half_a_purge_still_gives_zero_memory)
{
    fault_install();
    start(1000, 8);
    size_t n = 4 * slab.layout.slots;
    take_many(n);
    opool__os.purge = purge_half;
    give_all();
    check_valid(&slab);
    take_many(n);
    end();
}
END_TEST

static size_t resident_pages(unsigned char *at, size_t bytes)
{
    static unsigned char there[2048];
    size_t n = 0;
    ck_assert_uint_le(bytes / PAGE + 1, sizeof there);
    ck_assert_int_eq(mincore(at, bytes, there), 0);
    for (size_t i = 0; i < (bytes + PAGE - 1) / PAGE; i++)
        n += there[i] & 1;
    return n;
}

/* Large ones go back to the system when they are taken again: 0 granted, 1 refused, 2 half, 3 refused by the kernel
   behind half of it, because the program has locked a page there. */
START_TEST(large_slots_are_zero_again)
{
    static const size_t sizes[] = {1 << 20, (1 << 20) + 8, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fault_install();
        start(sizes[i], 8);
        unsigned char *slots[2];
        for (int k = 0; k < 2; k++) {
            slots[k] = opool__slab_take(&slab);
            memset(slots[k], POISON, sizes[i]);
        }
        opool__slab_give(&slab, slots[1]);
        if (_i == 1)
            fault_all(fault_kind(FAULT_PURGE));
        if (_i == 2)
            opool__os.purge = purge_half;
        if (_i == 3 && mlock(slots[1] + sizes[i] / 2, 1) != 0)
            puts("skipped: not even a page may be locked here (ulimit -l)");
        unsigned char *again = opool__slab_take(&slab);
        ck_assert_ptr_eq(again, slots[1]);
        if (_i == 0)
            ck_assert_uint_le(resident_pages(again, sizes[i]), 1); /* the last one, in part */
        for (size_t k = 0; k < sizes[i]; k++)
            EXPECT(again[k] == 0);
        for (size_t k = 0; k < sizes[i]; k++)
            EXPECT(slots[0][k] == POISON);
        fault_heal();
        opool__slab_give(&slab, again);
        opool__slab_give(&slab, slots[0]);
        opool__slab_fini(&slab);
        opool__os = fault.real;
    }
}
END_TEST

/* ---- cold slabs ---- */

enum { COLD_SLABS = 200 }; /* more than the bits of three words */

static bool expect_cold[COLD_SLABS];

static uint32_t lowest_expected(void)
{
    uint32_t number = 0;
    while (number < COLD_SLABS && !expect_cold[number])
        number++;
    return number;
}

/* All of its objects back. One empty slab is kept: it is given up when the next one empties. */
static void empty_slab(uint32_t number)
{
    uint32_t kept = slab.lists[OPOOL__LIST_EMPTY];
    thin_out(number, 0);
    if (kept == OPOOL__SLAB_NONE)
        return;
    uint32_t keeps = slab.lists[OPOOL__LIST_EMPTY];
    expect_cold[keeps == kept ? number : kept] = true;
}

/* A whole slab's worth, of the empty one or else of the lowest that is cold. */
static void fill_slab(void)
{
    uint32_t expected =
        slab.lists[OPOOL__LIST_EMPTY] != OPOOL__SLAB_NONE ? slab.lists[OPOOL__LIST_EMPTY] : lowest_expected();
    for (uint32_t i = 0; i < slab.layout.slots; i++)
        EXPECT(slab_of(take()) == expected); /* its memory is zero, says take */
    expect_cold[expected] = false;
}

static void expect_colds(void)
{
    uint32_t colds = 0;
    for (uint32_t number = 0; number < COLD_SLABS; number++) {
        const struct opool__extent *extent = opool__slab_extent_at(&slab, number);
        EXPECT(is_cold(extent, number - extent->first_slab) == expect_cold[number]);
        colds += expect_cold[number];
    }
    EXPECT(slab.colds == colds);
    check_valid(&slab);
}

/* Slabs at random become cold and come back, the lowest first, in one extent and across many. */
START_TEST(cold_slabs_come_back_lowest_first)
{
    uint32_t full = COLD_SLABS;
    size_t goal = _i ? 13 * (size_t)opool__layout_choose(5000, 8, PAGE).slots : 0;
    ck_assert_int_eq(opool__slab_init(&slab, 5000, 8, goal, &bound), 0);
    take_many(COLD_SLABS * (size_t)slab.layout.slots);
    ck_assert_uint_eq(slab.shared_extents, _i ? (COLD_SLABS + 12) / 13 : 1);
    for (int step = 0; step < 600; step++) {
        uint32_t number = random_below(COLD_SLABS);
        bool used = !expect_cold[number] && opool__slab_record(&slab, number)->used;
        if (used && (full == COLD_SLABS || random_below(8) < (step / 150 % 2 ? 2 : 7))) {
            empty_slab(number);
            full--;
        } else if (full < COLD_SLABS) {
            fill_slab();
            full++;
        }
        if (step % 8 == 0)
            expect_colds();
    }
    end();
}
END_TEST

START_TEST(records_of_cold_slabs_go_back_by_pages)
{
    start(64, 8);
    size_t slots = slab.layout.slots, pages = 4;
    size_t slabs = pages * PAGE / slab.layout.record_bytes + 1; /* their records reach into a fifth page */
    take_many(slabs * slots);
    ck_assert_uint_eq(slab.metadata_bytes, (pages + 1) * PAGE);
    uint64_t before = opool__slab_resident(&slab);
    give_all();
    ck_assert_uint_le(slab.metadata_bytes, 2 * PAGE); /* of the one that is kept */
    ck_assert_uint_eq(opool__slab_given_back(&slab), (slabs - 1) * slots * slab.layout.stride);
    ck_assert_uint_eq(before - opool__slab_resident(&slab),
                      opool__slab_given_back(&slab) + (pages + 1) * PAGE - slab.metadata_bytes);
    check_valid(&slab);
    end();
}
END_TEST

START_TEST(trim_gives_the_empty_slab_back)
{
    fault_install();
    start(1000, 8);
    size_t slots = slab.layout.slots;
    (void)opool__slab_trim_empty(&slab, true); /* nothing there */
    take_many(slots + 3);
    (void)opool__slab_trim_empty(&slab, true); /* nothing empty */
    fault_heal();
    thin_out(1, 0); /* three of its slots were used */
    ck_assert_uint_eq(fault.count[FAULT_PURGE], 0);
    uint64_t resident = opool__slab_resident(&slab), metadata = slab.metadata_bytes;
    (void)opool__slab_trim_empty(&slab, true);
    ck_assert_uint_ge(fault.count[FAULT_PURGE], 1);
    ck_assert_uint_eq(opool__slab_given_back(&slab), 3 * slab.layout.stride);
    ck_assert_uint_eq(resident - opool__slab_resident(&slab), 3 * slab.layout.stride + metadata - slab.metadata_bytes);
    ck_assert_uint_eq(slab.empties, 0);
    check_valid(&slab);
    fault_heal();
    (void)opool__slab_trim_empty(&slab, true);
    ck_assert_uint_eq(fault.calls, 0);
    thin_out(0, 0);
    (void)opool__slab_trim_empty(&slab, true); /* the last one, too */
    ck_assert_uint_eq(slab.slots, 0);
    ck_assert_uint_eq(opool__slab_resident(&slab), 0);
    check_valid(&slab);
    take_many(2 * slots);
    check_valid(&slab);
    end();
}
END_TEST

START_TEST(refused_trim_keeps_the_slab)
{
    fault_install();
    start(1000, 8);
    take_many(5);
    give_all();
    fault_all(fault_kind(FAULT_PURGE));
    (void)opool__slab_trim_empty(&slab, true);
    ck_assert_uint_eq(fault.refused, 1);
    ck_assert_uint_eq(opool__slab_given_back(&slab), 0);
    ck_assert_uint_eq(slab.empties, 1);
    check_valid(&slab);
    fault_heal();
    take_many(5);
    end();
}
END_TEST

/* One object of a slab stays: its page does, the others go. */
START_TEST(pages_without_objects_go_back)
{
    start(256, 8);
    size_t slots = slab.layout.slots;
    take_many(2 * slots);
    thin_out(0, 1);
    ck_assert_uint_eq(slab.slots, 2 * slots);
    opool__slab_trim(&slab, true, UINT32_MAX);
    check_pages(&slab);
    check_valid(&slab);
    ck_assert_uint_eq(slab.slots, slots + PAGE / 256);
    ck_assert_uint_eq(opool__slab_given_back(&slab), (slots - PAGE / 256) * 256);
    take_many(slots - 1);
    ck_assert_uint_eq(slab.slots, 2 * slots);
    check_valid(&slab);
    end();
}
END_TEST

START_TEST(pages_are_left_while_slots_are_taken)
{
    fault_install();
    start(256, 8);
    take_many(slab.layout.slots);
    thin_out(0, 3);
    for (int tick = 0; tick < 5; tick++) {
        take_many(1);
        give(live_count - 1);
        (void)opool__epoch_begin();
        opool__slab_trim(&slab, false, UINT32_MAX);
    }
    ck_assert_uint_eq(fault.count[FAULT_PURGE], 0);
    (void)opool__epoch_begin();
    opool__slab_trim(&slab, false, UINT32_MAX); /* nothing was taken since the last one */
    ck_assert_uint_ge(fault.count[FAULT_PURGE], 1);
    check_pages(&slab);
    fault_heal();
    opool__slab_trim(&slab, false, UINT32_MAX);
    ck_assert_uint_eq(fault.calls, 0);
    end();
}
END_TEST

START_TEST(so_many_slabs_at_once)
{
    enum { SLABS = 10, AT_ONCE = 4 };
    start(256, 8);
    take_many(SLABS * (size_t)slab.layout.slots);
    for (uint32_t number = 0; number < SLABS; number++)
        thin_out(number, 1);
    for (size_t left = SLABS; left > 0;) {
        opool__slab_trim(&slab, true, AT_ONCE);
        left -= left < AT_ONCE ? left : AT_ONCE;
        ck_assert_uint_eq(slab.slots, left * slab.layout.slots + (SLABS - left) * PAGE / 256);
        check_valid(&slab);
    }
    ck_assert_uint_eq(slab.shared_given, 0);
    end();
}
END_TEST

START_TEST(refused_pages_stay_and_are_zeroed)
{
    fault_install();
    start(256, 8);
    take_many(slab.layout.slots);
    thin_out(0, 1);
    opool__os.purge = purge_half;
    opool__slab_trim(&slab, true, UINT32_MAX);
    ck_assert_uint_eq(slab.slots, slab.layout.slots);
    check_valid(&slab);
    take_many(slab.layout.slots - 1); /* looks for zeros */
    fault_heal();
    end();
}
END_TEST

START_TEST(trim_leaves_regions_alone)
{
    static char region[8192];
    fault_install();
    ck_assert_int_eq(opool__slab_init_region(&slab, 64, 8, region, sizeof region, &bound), 0);
    void *slot = opool__slab_take(&slab);
    opool__slab_give(&slab, slot);
    fault_heal();
    (void)opool__slab_trim_empty(&slab, true);
    ck_assert_uint_eq(fault.calls, 0);
    ck_assert_ptr_eq(opool__slab_take(&slab), slot);
    ck_assert_uint_eq(opool__slab_given_back(&slab), 0);
}
END_TEST

/* ---- memory that is refused ---- */

START_TEST(refused_commit_is_a_miss_and_no_more)
{
    fault_install();
    start(5000, 8);
    for (int i = 0; i < 20; i++) {
        take_many(slab.layout.slots * (size_t)i); /* as long as one slab is full, the next take wants memory */
        struct opool__slab before = slab;
        fault_plan(1, i % 2, fault_kind(FAULT_COMMIT));
        void *slot = take();
        fault_heal();
        EXPECT(slot || before.used == slab.used);
        check_valid(&slab);
        EXPECT(take() != NULL);
        give_all();
    }
    end();
}
END_TEST

START_TEST(refused_commit_for_ever_gives_null_for_ever)
{
    fault_install();
    start(64, 8);
    fault_all(fault_kind(FAULT_COMMIT));
    for (int i = 0; i < 100; i++)
        EXPECT(take() == NULL);
    check_valid(&slab);
    ck_assert_uint_eq(slab.slots, 0);
    fault_heal();
    take_many(1000);
    end();
    ck_assert_uint_eq(fault.reservations, 0);
}
END_TEST

/* Records are committed, their slots are not: the second try goes on from there. */
START_TEST(refused_second_commit_is_tried_again)
{
    fault_install();
    start(64, 8);
    for (uint32_t i = 0; i < 3; i++) {
        fault_plan(2, true, fault_kind(FAULT_COMMIT));
        while (take())
            continue;
        check_valid(&slab);
        fault_heal();
        EXPECT(take() != NULL);
        check_valid(&slab);
    }
    end();
}
END_TEST

START_TEST(refused_reservation_is_halved)
{
    for (uint32_t refusals = 0; refusals < 12; refusals++) {
        if (refusals == 0)
            fault_install();
        fault_heal();
        fault.kinds = 0;
        struct opool__slab whole;
        ck_assert_int_eq(opool__slab_init(&whole, 64, 8, 0, NULL), 0);
        fault_plan(1, false, fault_kind(FAULT_RESERVE));
        start(64, 8);
        ck_assert_uint_le(slab.extents[0].slabs, whole.extents[0].slabs / 2);
        ck_assert_uint_gt(slab.extents[0].slabs, whole.extents[0].slabs / 3);
        take_many(300);
        end();
        opool__slab_fini(&whole);
    }
}
END_TEST

START_TEST(refused_reservation_for_ever_is_enomem)
{
    fault_install();
    fault_all(fault_kind(FAULT_RESERVE));
    ck_assert_int_eq(opool__slab_init(&slab, 64, 8, 0, &bound), -ENOMEM);
    ck_assert_uint_ge(fault.refused, 10);
    ck_assert_uint_eq(fault.reservations, 0);
    fault_heal();
    start(64, 8);
    end();
    ck_assert_uint_eq(fault.reservations, 0);
    ck_assert_uint_eq(fault.reserved_bytes, 0);
}
END_TEST

START_TEST(refused_release_gives_the_memory_back)
{
    fault_install();
    start(64, 8);
    take_many(1000);
    const unsigned char *first = live[0];
    live_count = 0;
    fault_all(fault_kind(FAULT_RELEASE));
    opool__slab_fini(&slab);
    ck_assert_uint_eq(fault.kept, 1);
    ck_assert_uint_eq(fault.count[FAULT_PURGE], 2);
    ck_assert(unit_is_filled(first, 0, 64)); /* still mapped, and empty */
}
END_TEST

START_TEST(impossible_capacity_is_refused)
{
    ck_assert_int_eq(opool__slab_init(&slab, 64, 8, SIZE_MAX / 4, &bound), -EINVAL);
    ck_assert_int_eq(opool__slab_init(&slab, 64, 8, (size_t)OPOOL__SLOT_NONE + 1, &bound), -EINVAL);
}
END_TEST

/* ---- look-up ---- */

static void expect_place(const void *address, enum opool__place place, uint32_t index, size_t offset)
{
    uint32_t found_index = 77;
    size_t found_offset = 77;
    enum opool__place found = opool__slab_find(&slab, address, &found_index, &found_offset);
    if (found != place)
        ck_abort_msg("%p is %d, not %d", address, found, place);
    EXPECT(place == OPOOL__FOREIGN || (found_index == index && found_offset == offset));
}

START_TEST(find_judges_every_address)
{
    start(shapes[_i].size, shapes[_i].align);
    take_many(1);
    size_t stride = slab.layout.stride, slots = slab.layout.slots;
    const struct opool__extent *extent = slab.extents;
    char *base = opool__slab_base(&slab), *past = base + extent->slabs * slab.layout.slab_bytes;
    for (uint32_t i = 0; i < slots; i++) {
        expect_place(base + i * stride, OPOOL__SLOT, i, 0);
        if (stride > 1) {
            expect_place(base + i * stride + 1, OPOOL__INTERIOR, i, 1);
            expect_place(base + i * stride + stride - 1, OPOOL__INTERIOR, i, stride - 1);
        }
    }
    expect_place(base + slots * stride, OPOOL__UNUSED, (uint32_t)slots, 0);
    expect_place(past - stride, OPOOL__UNUSED, (uint32_t)(extent->slabs * slots - 1), 0);
    expect_place(past - 1, OPOOL__UNUSED, (uint32_t)(extent->slabs * slots - 1), stride - 1);
    expect_place(base - 1, OPOOL__FOREIGN, 0, 0);
    expect_place(base - stride, OPOOL__FOREIGN, 0, 0);
    expect_place(past, OPOOL__FOREIGN, 0, 0);
    expect_place(extent->records, OPOOL__FOREIGN, 0, 0);
    expect_place(NULL, OPOOL__FOREIGN, 0, 0);
    expect_place((void *)UINTPTR_MAX, OPOOL__FOREIGN, 0, 0);
    expect_place(&slab, OPOOL__FOREIGN, 0, 0);
    end();
}
END_TEST

/* Of an extent all of which is in use: the bytes at the ends of slots, records and bits are there, those next to them
   are not, and belong to the extent: nothing else will ever be mapped there. */
static void expect_gaps(const struct opool__extent *extent)
{
    const char *map = extent->map, *bits = (const char *)extent->cold, *slots = extent->slots;
    const char *slots_end = slots + extent->slabs * slab.layout.slab_bytes;
    EXPECT(unit_readable(slots) && unit_readable(slots_end - 1));
    EXPECT(!unit_readable(slots - 1) && !unit_readable(slots - PAGE));
    EXPECT(!unit_readable(slots_end) && !unit_readable(slots_end + PAGE - 1));
    EXPECT(unit_readable(bits) && unit_readable(extent->records));
    EXPECT(unit_readable(extent->records + extent->slabs * slab.layout.record_bytes - 1));
    EXPECT(!unit_readable(bits - 1) && !unit_readable(bits - PAGE));
    EXPECT(map == bits - PAGE && map + extent->map_bytes == slots_end + PAGE);
    EXPECT(bits < extent->records && extent->records < slots);
}

START_TEST(metadata_is_between_gaps)
{
    enum { FULL = 1024 };
    start_for(64, 8, FULL);
    take_many(2 * FULL);
    ck_assert_uint_eq(slab.shared_extents, 2);
    for (uint32_t i = 0; i < slab.shared_extents; i++)
        expect_gaps(&slab.extents[i]);
    end();
}
END_TEST

/* What an overrun of the last slot or an underrun of the first one meets. */
static void touch(void *at)
{
    *(volatile char *)at = 1;
}

START_TEST(writes_beside_slots_meet_no_memory)
{
    start_for(64, 8, 1024);
    take_many(1024);
    char *slots = slab.extents[0].slots, *slots_end = slots + 1024 * slab.layout.stride;
    char *const beside[] = {slots - 1, slots_end, (char *)slab.extents[0].cold - 1};
    for (size_t i = 0; i < UNIT_LENGTH(beside); i++) {
        struct unit_child child = unit_in_child(touch, beside[i]);
        ck_assert(WIFSIGNALED(child.status) || UNIT_SANITIZED); /* a sanitizer makes an exit of it */
        ck_assert(!unit_succeeded(&child));
    }
    touch(slots);
    touch(slots_end - 1);
    memset(slots, mark_of(slots), 1);
    memset(slots_end - 1, mark_of(slots_end - slab.layout.stride), 1);
    end();
}
END_TEST

static size_t tiny_limit(void)
{
    return 64 * 65536; /* a pool takes a 64th at once */
}

START_TEST(pool_grows_by_extents_to_the_last)
{
    fault_install();
    opool__os.address_limit = tiny_limit;
    start(1024, 8);
    size_t n = 0;
    while (take())
        n++;
    ck_assert_uint_eq(slab.shared_extents, OPOOL__EXTENTS);
    ck_assert_uint_eq(n, (size_t)slab.layout.slots * OPOOL__EXTENTS * slab.extents[0].slabs);
    ck_assert_uint_eq(bound, slab.layout.slots * slab.extents[0].slabs); /* of the first extent only */
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(opool__slab_index(&slab, live[i]) == i);
        expect_place(live[i], OPOOL__SLOT, i, 0);
        expect_place(live[i] + 1, OPOOL__INTERIOR, i, 1);
    }
    check_valid(&slab);
    for (size_t i = 0; i < n / 2; i++)
        give(random_below((uint32_t)live_count));
    check_valid(&slab);
    take_many(n - n / 2 > LIVE_MOST ? 0 : n / 2);
    end();
    ck_assert_uint_eq(fault.reservations, 0);
}
END_TEST

START_TEST(refused_extent_is_a_miss)
{
    fault_install();
    opool__os.address_limit = tiny_limit;
    start(1024, 8);
    take_many(slab.layout.slots * (size_t)slab.extents[0].slabs);
    fault_all(fault_kind(FAULT_RESERVE));
    for (int i = 0; i < 5; i++)
        EXPECT(take() == NULL);
    check_valid(&slab);
    fault_all(fault_kind(FAULT_COMMIT)); /* an extent that can be had, its memory not: it goes back */
    for (int i = 0; i < 5; i++)
        EXPECT(take() == NULL);
    ck_assert_uint_eq(slab.shared_extents, 1);
    fault_heal();
    take_many(100);
    check_valid(&slab);
    end();
}
END_TEST

/* ---- 16 MiB objects ---- */

START_TEST(largest_objects)
{
    start(OPOOL_SIZE_MAX, 4096);
    ck_assert_uint_eq(slab.layout.slots, 1);
    unsigned char *slots[3];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            slots[i] = opool__slab_take(&slab);
            ck_assert_ptr_nonnull(slots[i]);
            for (size_t at = 0; at < OPOOL_SIZE_MAX; at += PAGE / 2)
                EXPECT(slots[i][at] == 0);
            ck_assert_uint_eq(slots[i][OPOOL_SIZE_MAX - 1], 0);
            slots[i][0] = slots[i][OPOOL_SIZE_MAX / 2] = slots[i][OPOOL_SIZE_MAX - 1] = POISON;
        }
        check_valid(&slab);
        for (int i = 0; i < 3; i++)
            opool__slab_give(&slab, slots[i]);
        check_valid(&slab);
        ck_assert_uint_eq(slab.slots, 1);
    }
    end();
}
END_TEST

/* ---- regions ---- */

enum { CANARY = 0x5c, DIRT = 0xee, MARGIN = 256, REGION_MOST = 40000 };

static _Alignas(4096) unsigned char arena[MARGIN + 4096 + REGION_MOST + MARGIN];

/* A region of `bytes` at an address that is `misaligned` past a multiple of 4096, dirty, in canaries. */
static unsigned char *lay_out(size_t misaligned, size_t bytes)
{
    memset(arena, CANARY, sizeof arena);
    unsigned char *region = arena + 4096 + misaligned;
    memset(region, DIRT, bytes);
    return region;
}

static void expect_canaries(const unsigned char *region, size_t bytes)
{
    EXPECT(unit_is_filled(arena, CANARY, (size_t)(region - arena)));
    EXPECT(unit_is_filled(region + bytes, CANARY, (size_t)(arena + sizeof arena - region) - bytes));
}

/* Takes all; how many there were. */
static size_t exhaust(const unsigned char *region, size_t bytes)
{
    size_t n = 0;
    for (unsigned char *slot; (slot = take()) != NULL; n++) {
        EXPECT(slot >= region && slot + slab.layout.size <= region + bytes);
        EXPECT(seed || slab.layout.stride == slab.layout.size || n == 0 || slot == live[n - 1] + slab.layout.stride);
    }
    return n;
}

static void try_region(size_t size, size_t align, size_t misaligned, size_t bytes)
{
    unsigned char *region = lay_out(misaligned, bytes);
    ck_assert_int_eq(opool__slab_init_region(&slab, size, align, region, bytes, &bound), 0);
    opool__slab_own(&slab, &label, seed);
    live_count = 0;
    size_t n = exhaust(region, bytes);
    EXPECT(n == slab.layout.slots && n > 0 && slab.used == n && bound == n);
    check_valid(&slab);
    EXPECT(take() == NULL);
    give_all();
    check_valid(&slab);
    EXPECT(exhaust(region, bytes) == n);
    give_all();
    opool__slab_fini(&slab);
    expect_canaries(region, bytes);
}

START_TEST(region_uses_all_of_itself_and_nothing_else)
{
    static const size_t sizes[] = {1, 3, 7, 8, 24, 100, 1000}, aligns[] = {1, 8, 64, 1024},
                        misaligned[] = {0, 1, 3, 4, 7, 63, 1000};
    fault_install();
    seed = (uint64_t)_i;
    for (size_t s = 0; s < UNIT_LENGTH(sizes); s++)
        for (size_t a = 0; a < UNIT_LENGTH(aligns); a++)
            for (size_t m = 0; m < UNIT_LENGTH(misaligned); m++)
                try_region(sizes[s], aligns[a], misaligned[m], 5000 + 11 * m);
    ck_assert(fault.calls == 0 || UNIT_SANITIZED); /* nothing is asked of the system, but to tell a sanitizer */
}
END_TEST

/* The fewest bytes that hold one slot by the layout's word. */
static size_t least_bytes(size_t size, size_t align)
{
    size_t bytes = size;
    while (opool__layout_region(size, align, bytes).slots == 0)
        bytes++;
    return bytes;
}

START_TEST(region_of_the_least_size_and_a_byte_less)
{
    static const size_t sizes[] = {1, 8, 100, 4096};
    for (size_t s = 0; s < UNIT_LENGTH(sizes); s++)
        for (size_t align = 1; align <= 4096; align *= 8) {
            size_t bytes = least_bytes(sizes[s], align);
            for (size_t misaligned = 0; misaligned < 70; misaligned++) {
                try_region(sizes[s], align, misaligned, bytes);
                EXPECT(slab.layout.slots == 1);
            }
            unsigned char *region = lay_out(0, bytes - 1);
            ck_assert_int_eq(opool__slab_init_region(&slab, sizes[s], align, region, bytes - 1, &bound), -EINVAL);
            EXPECT(unit_is_filled(region, DIRT, bytes - 1));
        }
}
END_TEST

START_TEST(region_slots_change_exactly_where_one_more_fits)
{
    size_t bytes = least_bytes(40, 8), slots = 1;
    for (size_t b = bytes; b < bytes + 20 * 45; b++) {
        size_t now = opool__layout_region(40, 8, b).slots;
        EXPECT(now == slots || now == slots + 1);
        slots = now;
    }
    ck_assert_uint_eq(slots, 20);
    try_region(40, 8, 5, bytes + 20 * 45);
}
END_TEST

START_TEST(senseless_regions_are_refused)
{
    ck_assert_int_eq(opool__slab_init_region(&slab, 8, 8, NULL, 4096, &bound), -EINVAL);
    ck_assert_int_eq(opool__slab_init_region(&slab, 8, 8, arena, 0, &bound), -EINVAL);
    ck_assert_int_eq(opool__slab_init_region(&slab, 8, 8, arena, SIZE_MAX - 1, &bound), -EINVAL);
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, HELD = 200, ROUNDS = 60 };

static void *use_slab(void *first)
{
    unsigned char *held[HELD], mark = *(unsigned char *)first;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < HELD; i++) {
            held[i] = opool__slab_take(&slab);
            EXPECT(held[i] && unit_is_filled(held[i], 0, slab.layout.size));
            memset(held[i], mark, slab.layout.size);
        }
        for (int i = HELD; i-- > 0;) {
            EXPECT(unit_is_filled(held[i], mark, slab.layout.size));
            opool__slab_give(&slab, held[i]);
        }
    }
    return NULL;
}

static uint32_t stop_trimming;

static void *trim_slab(void *unused)
{
    while (!__atomic_load_n(&stop_trimming, __ATOMIC_ACQUIRE)) {
        (void)opool__epoch_begin();
        opool__slab_trim(&slab, true, UINT32_MAX);
    }
    return unused;
}

START_TEST(threads_never_share_a_slot)
{
    static unsigned char seeds[THREADS] = {1, 2, 3, 4};
    start(200, 8);
    pthread_t trimmer = unit_thread(trim_slab, NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = unit_thread(use_slab, &seeds[i]);
    for (int i = 0; i < THREADS; i++)
        unit_join(threads[i]);
    __atomic_store_n(&stop_trimming, 1u, __ATOMIC_RELEASE);
    unit_join(trimmer);
    check_valid(&slab);
    end();
}
END_TEST

START_TEST(move_changes_state_only_from_the_named_one)
{
    start(64, 8);
    uint8_t *state = opool__slab_state_of(&slab, take());
    ck_assert(!opool__slab_move(state, OPOOL__SLOT_IDLE, OPOOL__SLOT_OUT));
    ck_assert(opool__slab_move(state, OPOOL__SLOT_OUT, OPOOL__SLOT_IDLE));
    ck_assert(!opool__slab_move(state, OPOOL__SLOT_OUT, OPOOL__SLOT_IDLE));
    check_valid(&slab); /* idle is used too */
    ck_assert(opool__slab_move(state, OPOOL__SLOT_IDLE, OPOOL__SLOT_OUT));
    end();
}
END_TEST

/* ---- the order of slots that were never used ---- */

/* Of the slab: the last window of it may be smaller. */
static uint32_t window_of(uint32_t number)
{
    return number % slab.layout.slots / slab.window;
}

/* Does the window that starts with live[i] come in the order of the one before it? */
static bool as_before(size_t i)
{
    for (size_t k = 0; k < slab.window; k++)
        if (live[i + k] - live[i] != live[i + k - slab.window] - live[i - slab.window])
            return false;
    return true;
}

/* Window for window, all slots of each, in an order that is not the one before's. */
START_TEST(windows_come_in_random_order)
{
    seed = 12345;
    start(shapes[_i].size, shapes[_i].align);
    size_t n = 2 * slab.layout.slots, same = 0, windows = 0;
    take_many(n);
    for (uint32_t i = 0; i < n; i++)
        EXPECT(window_of(opool__slab_index(&slab, live[i])) == window_of(i) &&
               slab_of(live[i]) == i >> slab.layout.shift);
    for (size_t i = slab.window; i + slab.window <= slab.layout.slots; i += slab.window, windows++)
        same += as_before(i);
    EXPECT(windows || slab.layout.slots < 2 * slab.window);
    EXPECT(same <= (slab.window > 8 ? 0 : windows / 2));
    EXPECT(slab.used == n && bound == n);
    check_valid(&slab);
    end();
}
END_TEST

enum { SEEN = 4096, OF_A_PAGE = PAGE / 256 };

/* Each slot of a window is the first one as often as any other, and each the last one. */
START_TEST(every_order_is_as_likely)
{
    uint32_t firsts[OF_A_PAGE] = {0}, lasts[OF_A_PAGE] = {0};
    seed = 99;
    for (int i = 0; i < SEEN; i++) {
        start_for(256, 8, 64);
        slab.random = seed += 1000003;
        ck_assert_uint_eq(slab.window, OF_A_PAGE);
        take_many(OF_A_PAGE);
        firsts[opool__slab_index(&slab, live[0])]++;
        lasts[opool__slab_index(&slab, live[OF_A_PAGE - 1])]++;
        opool__slab_fini(&slab);
    }
    for (int i = 0; i < OF_A_PAGE; i++) { /* 256 each; five standard deviations are 78 */
        ck_assert_uint_lt(firsts[i] - (SEEN / OF_A_PAGE - 78), 2 * 78);
        ck_assert_uint_lt(lasts[i] - (SEEN / OF_A_PAGE - 78), 2 * 78);
    }
}
END_TEST

static uint64_t order_of(uint64_t of_seed)
{
    uint64_t order = 0;
    seed = of_seed;
    start(256, 8);
    for (int i = 0; i < OF_A_PAGE; i++)
        order = order * OF_A_PAGE + opool__slab_index(&slab, take());
    end();
    return order;
}

START_TEST(seeds_decide_the_order)
{
    ck_assert_uint_eq(order_of(7), order_of(7));
    ck_assert_uint_ne(order_of(7), order_of(8));
    ck_assert_uint_eq(order_of(0), UINT64_C(0x0123456789abcdef));
    ck_assert_uint_ne(order_of(opool__os.seed()), order_of(opool__os.seed()));
}
END_TEST

/* Pages that the n objects lie on. */
static size_t pages_touched(size_t n)
{
    size_t pages = 0;
    uintptr_t base = (uintptr_t)opool__slab_base(&slab), last = 0;
    static bool touched[1 << 12];
    memset(touched, 0, sizeof touched);
    for (size_t i = 0; i < n; i++)
        for (uintptr_t at = (uintptr_t)live[i] - base; at < (uintptr_t)live[i] - base + slab.layout.size; at += 64) {
            last = (at + 63 < (uintptr_t)live[i] - base + slab.layout.size ? at + 63 : at) / PAGE;
            pages += !touched[at / PAGE];
            touched[at / PAGE] = true;
            pages += !touched[last];
            touched[last] = true;
        }
    return pages;
}

/* Of objects that share pages: one page more than in ascending order, three where a page holds less than four. */
START_TEST(few_objects_touch_few_pages)
{
    static const size_t sizes[] = {8, 16, 64, 100, 256, 500, 1000, 1500, 2048};
    for (size_t s = 0; s < UNIT_LENGTH(sizes); s++) {
        size_t more = sizes[s] * 4 <= PAGE ? 1 : 3;
        seed = s + 1;
        start(sizes[s], 8);
        for (size_t n = 1; n <= 600; n++) {
            take_many(1);
            EXPECT(pages_touched(n) <= (n * slab.layout.stride + PAGE - 1) / PAGE + more);
        }
        end();
    }
}
END_TEST

/* ---- damage: found when it is used, and nothing is written to where it leads ---- */

enum { DAMAGED_SIZE = 256 };

static struct opool__record *record_of(uint32_t number)
{
    return opool__slab_record(&slab, number);
}

static uint32_t *links_of(uint32_t number)
{
    return opool__record_links(record_of(number));
}

static void free_leads_out(void)
{
    record_of(0)->free = slab.layout.slots;
}

static void free_leads_far_out(void)
{
    record_of(0)->free = UINT32_MAX;
}

static void free_leads_to_what_was_never_listed(void)
{
    record_of(1)->free = record_of(1)->fresh;
    record_of(0)->used = slab.layout.slots; /* the next one is taken from the second */
    slab.lists[record_of(0)->bucket] = OPOOL__SLAB_NONE;
    slab.lists[record_of(1)->bucket] = 1;
    record_of(1)->next = record_of(1)->previous = OPOOL__SLAB_NONE;
}

static void free_leads_to_one_in_use(void)
{
    record_of(0)->free = opool__slab_within(&slab, opool__slab_index(&slab, live[0]));
}

static void a_link_leads_out(void)
{
    links_of(0)[record_of(0)->free] = slab.layout.slots + 7;
}

static void a_link_leads_to_itself(void)
{
    links_of(0)[record_of(0)->free] = record_of(0)->free;
}

static void a_list_is_too_short(void)
{
    links_of(0)[record_of(0)->free] = OPOOL__SLOT_NONE;
}

static void used_is_too_low(void)
{
    record_of(0)->used = 0;
}

static void used_is_too_high(void)
{
    record_of(0)->used = slab.layout.slots + 1;
}

static void fresh_is_too_high(void)
{
    record_of(0)->fresh = UINT32_MAX;
}

static void a_list_of_slabs_leads_out(void)
{
    slab.lists[record_of(0)->bucket] = 1000;
}

static void a_list_of_slabs_leads_nowhere(void)
{
    slab.lists[record_of(0)->bucket] = UINT32_MAX - 1;
}

static void a_slab_is_in_another_list(void)
{
    record_of(0)->bucket = OPOOL__LISTS;
}

static void a_slab_follows_none(void)
{
    record_of(0)->previous = 77777;
}

static void a_slab_is_followed_by_none(void)
{
    record_of(0)->next = 77777;
}

static void a_slab_is_followed_by_itself(void)
{
    record_of(0)->next = 0;
}

static void a_slab_is_followed_by_one_of_another_list(void)
{
    record_of(0)->next = 1;
}

static void none_is_used_and_one_comes_back(void)
{
    record_of(0)->used = 0;
    give(0);
}

static void more_are_cold_than_are(void)
{
    for (uint32_t list = 0; list < OPOOL__LISTS; list++)
        slab.lists[list] = OPOOL__SLAB_NONE;
    slab.colds = 1;
}

static void a_state_says_used(void)
{
    *opool__slab_shared_state(&slab, record_of(0)->free) = OPOOL__SLOT_IDLE;
}

static void a_state_is_none(void)
{
    *opool__slab_shared_state(&slab, record_of(0)->free) = 0xff;
}

static const struct damage {
    const char *said;
    void (*harm)(void);
} damages[] = {{"a free list leads out of its slab", free_leads_out},
               {"a free list leads out of its slab", free_leads_far_out},
               {"a free list is not as long as its count", free_leads_to_what_was_never_listed},
               {"a free list leads to a slot in use", free_leads_to_one_in_use},
               {"a free list leads out of its slab", a_link_leads_out},
               {"a free list leads to a slot in use", a_link_leads_to_itself},
               {"a free list is not as long as its count", a_list_is_too_short},
               {"a free list is not as long as its count", used_is_too_low},
               {"a slab counts more slots than it has", used_is_too_high},
               {"a slab counts more slots than it has", fresh_is_too_high},
               {"a list of slabs leads out of the pool", a_list_of_slabs_leads_out},
               {"a list of slabs leads out of the pool", a_list_of_slabs_leads_nowhere},
               {"a slab is not where its list says", a_slab_is_in_another_list},
               {"a list of slabs leads out of the pool", a_slab_follows_none},
               {"a list of slabs leads out of the pool", a_slab_is_followed_by_none},
               {"a list of slabs is not the same from both sides", a_slab_is_followed_by_itself},
               {"a list of slabs leads to one of another list", a_slab_is_followed_by_one_of_another_list},
               {"a slab counts fewer objects than it holds", none_is_used_and_one_comes_back},
               {"more slabs are counted as cold than are", more_are_cold_than_are},
               {"a free list leads to a slot in use", a_state_says_used},
               {"a free list leads to a slot in use", a_state_is_none}};

/* Two slabs, the first with room. Then all is taken that can be, and given back. */
static void use_damaged(void *damage)
{
    start(DAMAGED_SIZE, 8);
    take_many(slab.layout.slots + slab.layout.slots / 2);
    for (int i = 0; i < 10; i++)
        opool__slab_give(&slab, live[2 * i + 1]);
    ((const struct damage *)damage)->harm();
    for (uint32_t i = 0; i < 3 * slab.layout.slots; i++)
        (void)opool__slab_take(&slab);
}

START_TEST(damage_is_found)
{
    const struct damage *damage = &damages[_i];
    struct unit_child child = unit_in_child(use_damaged, (void *)(uintptr_t)damage);
    ck_assert_msg(unit_aborted(&child), "status %x: %s", (unsigned)child.status, child.said);
    ck_assert_msg(strstr(child.said, "opool: pool 'unit' (struct unit): use of 0x") == child.said, "%s", child.said);
    const char *words = strstr(child.said, "the pool's metadata is damaged: ");
    ck_assert_ptr_nonnull(words);
    ck_assert_msg(strstr(words, damage->said) != NULL, "%s", child.said);
}
END_TEST

/* Any word of the metadata, with anything in it: whatever is done with the slab afterwards ends well or in the words
   above, and what comes out are slots. */
static void use_scribbled(void *round)
{
    random_state = *(const uint32_t *)round;
    start(DAMAGED_SIZE, 8);
    take_many(3 * (size_t)slab.layout.slots);
    for (size_t i = random_below(100); i > 0; i--)
        give(random_below((uint32_t)live_count));
    for (uint32_t i = 1 + random_below(3); i > 0; i--) {
        uint32_t *word = (uint32_t *)record_of(random_below(4));
        uint32_t words = (uint32_t)(slab.layout.record_bytes / sizeof *word);
        word[random_below(2) ? random_below(9) : random_below(words)] =
            random_below(2) ? random_below(slab.layout.slots + 8) : random_below(UINT32_MAX) * 2;
    }
    for (int i = 0; i < 300; i++) {
        void *slot = random_below(3) ? opool__slab_take(&slab) : NULL;
        EXPECT(!slot || opool__slab_state_of(&slab, slot));
        if (!slot && live_count) {
            size_t which = random_below((uint32_t)live_count);
            slot = live[which];
            live[which] = live[--live_count];
            opool__slab_give(&slab, slot);
        } else if (slot && live_count < LIVE_MOST) {
            live[live_count++] = slot;
        }
    }
}

START_TEST(scribbles_end_in_words_or_well)
{
    int aborted = 0, rounds = unit_watched() ? 30 : 400;
    for (uint32_t round = 1; round <= (uint32_t)rounds; round++) {
        struct unit_child child = unit_in_child(use_scribbled, &round);
        bool said = strstr(child.said, "metadata is damaged") || strstr(child.said, "no object is there");
        ck_assert_msg(unit_succeeded(&child) || (unit_aborted(&child) && said), "round %u: status %x: %s", round,
                      (unsigned)child.status, child.said);
        aborted += unit_aborted(&child);
    }
    printf("%d of %d scribbles were found\n", aborted, rounds);
    ck_assert_int_gt(aborted, rounds / 4);
}
END_TEST

static enum opool_checks level;

static void give_up_twice(void *unused UNIT_UNUSED)
{
    struct opool__label other = label;
    start(64, 8);
    other.checks = level;
    slab.label = &other;
    take_many(3);
    opool__slab_give(&slab, live[1]);
    opool__slab_give(&slab, live[1]);
    live[1] = live[--live_count];
    check_valid(&slab);
}

/* As two threads may that discard one object at the same moment. */
START_TEST(a_slot_is_given_up_once)
{
    level = OPOOL_CHECKS_BASIC;
    struct unit_child child = unit_in_child(give_up_twice, NULL);
    ck_assert(unit_aborted(&child) && strstr(child.said, "no object is there: its slot is free"));
    level = OPOOL_CHECKS_OFF;
    child = unit_in_child(give_up_twice, NULL);
    ck_assert(unit_succeeded(&child));
}
END_TEST

/* Any address: the start of a slot that was in use, or nothing. */
START_TEST(states_are_found_of_slots_alone)
{
    start_for(shapes[_i].size, shapes[_i].align, 40);
    take_many(100); /* in several extents */
    uint32_t slots = slab.layout.slots, opened = opool__slab_end(&slab);
    for (uint32_t index = 0; index < opened; index++) {
        char *slot = opool__slab_slot(&slab, index);
        EXPECT(opool__slab_index_of(&slab, slot) == index && opool__slab_has_index(&slab, index));
        EXPECT(opool__slab_state_of(&slab, slot) == opool__slab_shared_state(&slab, index));
        EXPECT(slab.layout.stride == 1 || !opool__slab_state_of(&slab, slot + 1));
    }
    EXPECT(!opool__slab_has_index(&slab, opened) && !opool__slab_has_index(&slab, OPOOL__SLOT_NONE));
    for (uint32_t i = 0; i < slab.shared_extents; i++) {
        char *base = slab.extents[i].slots, *behind = base + slab.extents[i].slabs * slots * slab.layout.stride;
        EXPECT(!opool__slab_state_of(&slab, base - slab.layout.stride) && !opool__slab_state_of(&slab, behind));
        EXPECT(opool__slab_index_of(&slab, behind) == OPOOL__SLOT_NONE);
    }
    EXPECT(!opool__slab_state_of(&slab, NULL) && !opool__slab_state_of(&slab, &slab));
    EXPECT(!opool__slab_state_of(&slab, (void *)UINTPTR_MAX));
    end();
}
END_TEST

static void add_hardening(Suite *suite)
{
    TCase *tests = unit_case(suite, "hardening");
    tcase_add_test(tests, metadata_is_between_gaps);
    tcase_add_test(tests, writes_beside_slots_meet_no_memory);
    tcase_add_loop_test(tests, windows_come_in_random_order, 0, (int)UNIT_LENGTH(shapes));
    tcase_add_test(tests, every_order_is_as_likely);
    tcase_add_test(tests, seeds_decide_the_order);
    tcase_add_test(tests, few_objects_touch_few_pages);
    tcase_add_loop_test(tests, damage_is_found, 0, (int)UNIT_LENGTH(damages));
    tcase_add_test(tests, scribbles_end_in_words_or_well);
    tcase_add_test(tests, a_slot_is_given_up_once);
    tcase_add_loop_test(tests, states_are_found_of_slots_alone, 0, (int)UNIT_LENGTH(shapes));
}

static void add_layout(Suite *suite)
{
    TCase *tests = unit_case(suite, "layout");
    tcase_add_test(tests, layout_holds_for_all_small_shapes);
    tcase_add_test(tests, layout_holds_up_to_the_largest);
    tcase_add_test(tests, divisibility_agrees_with_division);
    tcase_add_test(tests, divisibility_of_large_strides);
    tcase_add_test(tests, slack_stays_below_five_percent);
    tcase_add_test(tests, region_layout_fills_the_region);
}

static void add_slots(Suite *suite)
{
    TCase *tests = unit_case(suite, "slots");
    tcase_add_loop_test(tests, random_use_keeps_the_equations, 0, 2 * (int)UNIT_LENGTH(shapes));
    tcase_add_loop_test(tests, slots_are_distinct_and_dense, 0, (int)UNIT_LENGTH(shapes));
    tcase_add_loop_test(tests, find_judges_every_address, 0, (int)UNIT_LENGTH(shapes));
    tcase_add_test(tests, last_given_is_next_taken);
    tcase_add_test(tests, fullest_slab_first);
    tcase_add_test(tests, pool_grows_by_extents_to_the_last);
    tcase_add_test(tests, largest_objects);
    tcase_add_test(tests, threads_never_share_a_slot);
    tcase_add_test(tests, move_changes_state_only_from_the_named_one);
}

static void add_memory(Suite *suite)
{
    TCase *tests = unit_case(suite, "memory");
    tcase_add_test(tests, empty_slabs_are_purged_but_one);
    tcase_add_test(tests, breathing_by_a_slab_makes_no_call);
    tcase_add_test(tests, refused_purge_still_gives_zero_memory);
    tcase_add_test(tests, half_a_purge_still_gives_zero_memory);
    tcase_add_loop_test(tests, large_slots_are_zero_again, 0, 4);
    tcase_add_test(tests, refused_commit_is_a_miss_and_no_more);
    tcase_add_test(tests, refused_commit_for_ever_gives_null_for_ever);
    tcase_add_test(tests, refused_second_commit_is_tried_again);
    tcase_add_test(tests, refused_reservation_is_halved);
    tcase_add_test(tests, refused_reservation_for_ever_is_enomem);
    tcase_add_test(tests, refused_release_gives_the_memory_back);
    tcase_add_test(tests, impossible_capacity_is_refused);
    tcase_add_test(tests, refused_extent_is_a_miss);
}

static void add_cold(Suite *suite)
{
    TCase *tests = unit_case(suite, "cold");
    tcase_add_loop_test(tests, cold_slabs_come_back_lowest_first, 0, 2);
    tcase_add_test(tests, records_of_cold_slabs_go_back_by_pages);
    tcase_add_test(tests, trim_gives_the_empty_slab_back);
    tcase_add_test(tests, refused_trim_keeps_the_slab);
    tcase_add_test(tests, trim_leaves_regions_alone);
    tcase_add_test(tests, pages_without_objects_go_back);
    tcase_add_test(tests, pages_are_left_while_slots_are_taken);
    tcase_add_test(tests, so_many_slabs_at_once);
    tcase_add_test(tests, refused_pages_stay_and_are_zeroed);
}

static void add_region(Suite *suite)
{
    TCase *tests = unit_case(suite, "region");
    tcase_add_loop_test(tests, region_uses_all_of_itself_and_nothing_else, 0, 2);
    tcase_add_test(tests, region_of_the_least_size_and_a_byte_less);
    tcase_add_test(tests, region_slots_change_exactly_where_one_more_fits);
    tcase_add_test(tests, senseless_regions_are_refused);
}

int main(void)
{
    Suite *suite = suite_create("slab");
    add_layout(suite);
    add_slots(suite);
    add_memory(suite);
    add_cold(suite);
    add_region(suite);
    add_hardening(suite);
    return unit_main(suite);
}
