/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <sys/mman.h>

#include "fault.h"
#include "shape/audit.h"
#include "shape/blocks.h"
#include "shape/reach.h"
#include "shape/shadow.h"
#include "shape/table.h"

/* The put audit without an allocator: the tests say what is born and freed, and when. */

enum { READS = 2000 };
enum { KEYS = 3000, STEPS = 200000, WORDS = 16, OFFSET = 8 * (int)sizeof(uintptr_t) };

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * n >> 32);
}

/* ---- table ---- */

static void expect_sound(const struct opool__table *table)
{
    size_t used = 0;
    for (size_t i = 0; table->entries && i <= table->mask; i++) {
        uintptr_t key = table->entries[i].key;
        used += key != 0;
        for (size_t j = key ? opool__table_place(table, key) : i; j != i; j = (j + 1) & table->mask)
            EXPECT(table->entries[j].key != 0);
    }
    ck_assert_uint_eq(used, table->used);
    EXPECT(!table->entries || table->used * 4 <= table->mask * 3 + 4);
}

START_TEST(table_is_what_an_array_is)
{
    static uint64_t model[KEYS];
    struct opool__table table = {NULL, 0, 0};
    EXPECT(!opool__table_find(&table, 16));
    for (int step = 0; step < STEPS; step++) {
        uint32_t n = random_below(KEYS);
        uintptr_t key = 16 * (uintptr_t)(n + 1);
        struct opool__entry *entry = opool__table_find(&table, key);
        EXPECT((entry != NULL) == (model[n] != 0) && (!entry || entry->a == model[n]));
        if (random_below(2)) {
            model[n] = (uint64_t)step + 1;
            entry = opool__table_add(&table, key);
            EXPECT(entry != NULL);
            entry->a = model[n];
        } else if (entry) {
            model[n] = 0;
            opool__table_remove(&table, entry);
        }
        if (step % 1000 == 0)
            expect_sound(&table);
    }
}
END_TEST

/* Keys that all begin at a few places, around the end of the array too. */
START_TEST(gaps_close)
{
    struct opool__table table = {NULL, 0, 0};
    uintptr_t keys[100];
    size_t n = 0;
    for (uintptr_t key = 16; n < 100; key += 16) {
        EXPECT(opool__table_add(&table, key) != NULL);
        size_t place = opool__table_place(&table, key);
        bool last = place >= table.mask - 2;
        if (last)
            keys[n++] = key;
        else
            opool__table_remove(&table, opool__table_find(&table, key));
    }
    expect_sound(&table);
    while (n) {
        uint32_t i = random_below((uint32_t)n);
        opool__table_remove(&table, opool__table_find(&table, keys[i]));
        keys[i] = keys[--n];
        expect_sound(&table);
        for (size_t j = 0; j < n; j++)
            EXPECT(opool__table_find(&table, keys[j]) != NULL);
    }
}
END_TEST

START_TEST(table_without_memory_forgets_and_lives)
{
    struct opool__table table = {NULL, 0, 0};
    fault_install();
    fault_all(fault_kind(FAULT_COMMIT));
    EXPECT(!opool__table_add(&table, 16));
    fault_heal();
    uintptr_t key = 16;
    for (; table.used < 300; key += 16)
        EXPECT(opool__table_add(&table, key) != NULL);
    fault_all(fault_kind(FAULT_RESERVE));
    size_t known = table.used;
    while (opool__table_add(&table, key) != NULL && known < 10000) {
        known++;
        key += 16;
    }
    ck_assert_uint_eq(known, table.mask); /* one place is free */
    for (uintptr_t k = 16; k < key; k += 16)
        EXPECT(opool__table_find(&table, k) != NULL);
    EXPECT(!opool__table_find(&table, key + 16));
}
END_TEST

/* ---- blocks ---- */

/* Blocks and objects lie in no segment, and no variable holds the address of one: searches look at both. */
enum { BEFORE = 4096, BLOCKS = 64, OBJECTS = 4 };
static char *arena;

static void make_arena(void)
{
    arena = opool__pages_take(2 * BEFORE + (BLOCKS + OBJECTS) * WORDS * sizeof(uintptr_t));
}

static uintptr_t *memory(int i)
{
    return (uintptr_t *)(void *)(arena + BEFORE) + (size_t)i * WORDS;
}

static uintptr_t *object(int i)
{
    return memory(BLOCKS + i);
}

enum { BYTES = WORDS * (int)sizeof(uintptr_t) };

static void born(int i)
{
    opool__blocks_add(memory(i), BYTES);
}

static void freed(int i)
{
    struct opool__block was;
    EXPECT(opool__blocks_remove(memory(i), &was));
}

static void freed_at(uintptr_t at)
{
    EXPECT(opool__blocks_remove((void *)at, NULL));
}

START_TEST(blocks_are_known_from_birth_to_death)
{
    struct opool__block block;
    EXPECT(!opool__blocks_near((uintptr_t)memory(3)));
    opool__blocks_add(NULL, 10);
    born(3);
    EXPECT(opool__blocks_near((uintptr_t)memory(3)) && !opool__blocks_near((uintptr_t)memory(3) - 1));
    EXPECT(opool__blocks_find((uintptr_t)memory(3), &block));
    EXPECT(block.at == (uintptr_t)memory(3) && block.size == BYTES && block.birth == opool__blocks_now());
    EXPECT(!opool__blocks_find((uintptr_t)memory(3) + 16, &block));
    uint64_t later = opool__blocks_tick();
    ck_assert_uint_eq(later, block.birth + 1);
    opool__blocks_add(memory(3), 5); /* at the same address: another one */
    struct opool__block other;
    EXPECT(opool__blocks_find((uintptr_t)memory(3), &other) && other.size == 5 && other.birth == later);
    EXPECT(opool__blocks_remove(memory(3), &other) && !opool__blocks_remove(memory(3), &other));
    opool__blocks_restore(&other);
    EXPECT(opool__blocks_find((uintptr_t)memory(3), &block) && block.birth == later);
}
END_TEST

START_TEST(a_block_that_is_gone_is_not_read)
{
    struct opool__block block;
    uintptr_t words[WORDS];
    memory(2)[1] = 77;
    born(2);
    EXPECT(opool__blocks_find((uintptr_t)memory(2), &block));
    EXPECT(opool__blocks_read(&block, 0, words, sizeof words) && words[1] == 77);
    EXPECT(opool__blocks_read(&block, sizeof *words, words, sizeof *words) && words[0] == 77);
    freed(2);
    EXPECT(!opool__blocks_read(&block, 0, words, sizeof words));
    (void)opool__blocks_tick();
    born(2);
    EXPECT(!opool__blocks_read(&block, 0, words, sizeof words)); /* another one */
}
END_TEST

START_TEST(pages_that_can_not_be_read_are_no_crash)
{
    size_t page = opool__os.page_size();
    void *pages;
    ck_assert_int_eq(opool__os.reserve(&pages, 4 * page), 0); /* without access */
    opool__blocks_add(pages, 4 * page);
    struct opool__block block;
    uintptr_t words[WORDS];
    EXPECT(opool__blocks_find((uintptr_t)pages, &block));
    EXPECT(!opool__blocks_read(&block, 0, words, sizeof words));
    opool__reach_begin();
    struct opool__reach reach = opool__reach_sum(&block, 0);
    EXPECT(reach.bytes == 4 * page && reach.blocks == 1);
    EXPECT(!opool__reach_held((uintptr_t)memory(0), NULL, 0));
}
END_TEST

static bool add_address(void *sum, const struct opool__block *block)
{
    *(uintptr_t *)sum += block->at;
    return true;
}

/* Where the second word of a block is that of another leaf, if it is any. */
START_TEST(the_last_granule_of_a_leaf_is_one_like_others)
{
    uintptr_t leaf = (uintptr_t)OPOOL__LEAF_WORDS * OPOOL__GRANULE;
    uintptr_t end = ((uintptr_t)memory(0) + leaf) / leaf * leaf, last = end - OPOOL__GRANULE;
    struct opool__block block;
    opool__blocks_add((void *)last, 1); /* makes this leaf before the other one */
    opool__blocks_add((void *)end, 1);
    freed_at(end);
    opool__blocks_add((void *)last, 1000);
    EXPECT(opool__blocks_find(last, &block) && block.size == 1000);
    EXPECT(!opool__blocks_find(end, &block));
    opool__blocks_add((void *)last, OPOOL__GRANULE);
    opool__blocks_add((void *)end, 500);
    EXPECT(opool__blocks_find(last, &block) && block.size == OPOOL__GRANULE);
    EXPECT(opool__blocks_remove((void *)last, NULL) && !opool__blocks_find(last, &block));
    EXPECT(opool__blocks_find(end, &block) && block.size == 500);
    opool__blocks_add((void *)last, 1000);
    uintptr_t sum = 0;
    opool__blocks_each(add_address, &sum);
    ck_assert_uint_eq(sum, last + end);
}
END_TEST

START_TEST(what_a_size_leaves_is_no_block)
{
    struct opool__block block;
    uintptr_t second = (uintptr_t)memory(0) + OPOOL__GRANULE;
    for (size_t size = 0; size < 300; size++) {
        opool__blocks_add(memory(0), size);
        EXPECT(opool__blocks_find((uintptr_t)memory(0), &block) && block.size == size);
        EXPECT(!opool__blocks_find(second, &block) && !opool__blocks_remove((void *)second, NULL));
        freed(0);
        EXPECT(!opool__blocks_find(second, &block));
    }
    opool__blocks_add((char *)memory(0) + 1, 8); /* not where malloc places them */
    EXPECT(!opool__blocks_find((uintptr_t)memory(0) + 1, &block) && !opool__blocks_find((uintptr_t)memory(0), &block));
    EXPECT(!opool__blocks_remove((char *)memory(0) + 1, NULL));
}
END_TEST

START_TEST(no_such_address_is_no_crash)
{
    struct opool__block block;
    uintptr_t far = UINTPTR_MAX / OPOOL__GRANULE * OPOOL__GRANULE;
    opool__blocks_add((void *)far, 100);
    EXPECT(sizeof far < 8 || (!opool__blocks_find(far, &block) && !opool__blocks_remove((void *)far, NULL)));
    EXPECT(!opool__blocks_find(0, &block));
}
END_TEST

static bool count_one(void *count, const struct opool__block *block);

START_TEST(blocks_without_memory_are_not_known)
{
    struct opool__block block;
    fault_install();
    fault_plan((uint32_t)_i / 2 + 1, _i % 2, fault_kind(FAULT_COMMIT) | fault_kind(FAULT_RESERVE));
    uintptr_t far = (uintptr_t)memory(0) ^ (uintptr_t)1 << (sizeof far == 8 ? 40 : 30);
    born(0);
    opool__blocks_add((void *)far, 100);
    bool known[] = {opool__blocks_find((uintptr_t)memory(0), &block), opool__blocks_find(far, &block)};
    fault_heal();
    int count = 0;
    opool__blocks_each(count_one, &count);
    ck_assert_int_eq(count, known[0] + known[1]);
    born(0);
    opool__blocks_add((void *)far, 100);
    count = 0;
    opool__blocks_each(count_one, &count);
    ck_assert_int_eq(count, 2);
}
END_TEST

/* More than a chunk of leaves. */
START_TEST(blocks_may_lie_anywhere)
{
    enum { FAR = 200 };
    uintptr_t leaf = (uintptr_t)OPOOL__LEAF_WORDS * OPOOL__GRANULE, base = (uintptr_t)memory(0);
    struct opool__block block;
    int count = 0;
    for (uintptr_t i = 0; i < FAR; i++)
        opool__blocks_add((void *)(base + i * leaf), 100 + i);
    for (uintptr_t i = 0; i < FAR; i++)
        EXPECT(opool__blocks_find(base + i * leaf, &block) && block.size == 100 + i);
    opool__blocks_each(count_one, &count);
    ck_assert_int_eq(count, FAR);
}
END_TEST

/* Four threads, whose blocks take turns: blocks of a granule and larger ones, in the same leaves. */
static void *add_and_remove(void *number)
{
    enum { STEP = 2 * OPOOL__GRANULE };
    static char common[1 << 19] __attribute__((aligned(64)));
    char *own = common + STEP * (uintptr_t)number;
    for (int round = 0; round < 50; round++) {
        struct opool__block was;
        for (size_t i = 0; i + 4 * STEP <= sizeof common; i += 4 * STEP)
            opool__blocks_add(own + i, i / STEP % STEP);
        for (size_t i = 0; i + 4 * STEP <= sizeof common; i += 4 * STEP)
            EXPECT(opool__blocks_remove(own + i, &was) && was.size == i / STEP % STEP);
    }
    return NULL;
}

static bool count_one(void *count, const struct opool__block *block)
{
    (void)block;
    ++*(int *)count;
    return true;
}

START_TEST(threads_share_the_table)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        threads[i] = unit_thread(add_and_remove, (void *)i);
    for (int i = 0; i < 4; i++)
        unit_join(threads[i]);
    int count = 0;
    opool__blocks_each(count_one, &count);
    ck_assert_int_eq(count, 0);
    born(1);
    opool__blocks_each(count_one, &count);
    ck_assert_int_eq(count, 1);
}
END_TEST

/* Pages that are unmapped as soon as the block in them is freed. */
enum { MAPPED = 1 << 16 };

static void *map_and_unmap(void *void_stop)
{
    uint32_t *stop = void_stop;
    char *pages = opool__pages_take(MAPPED);
    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        EXPECT(mmap(pages, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == pages);
        memset(pages, 0x5a, MAPPED);
        opool__blocks_add(pages, MAPPED);
        for (uint32_t spins = random_below(500); spins; spins--)
            opool__spin_hint();
        EXPECT(opool__blocks_remove(pages, NULL));
        munmap(pages, MAPPED);
    }
    return NULL;
}

static bool read_all(void *seen, const struct opool__block *block)
{
    for (size_t i = 0; i + sizeof(uintptr_t) <= block->size; i += sizeof(uintptr_t))
        EXPECT(opool__word((const char *)block->at + i) == UINTPTR_MAX / 0xff * 0x5a);
    ++*(int *)seen;
    return true;
}

START_TEST(readers_see_no_memory_that_is_gone)
{
    uint32_t stop = 0;
    int seen = 0;
    pthread_t thread = unit_thread(map_and_unmap, &stop);
    while (seen < READS)
        opool__blocks_each(read_all, &seen);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    unit_join(thread);
}
END_TEST

/* Between our fork handlers others allocate, and so do other threads. */
START_TEST(a_fork_stops_nobody)
{
    opool__audit_fork_prepare();
    born(4);
    unit_join(unit_thread(add_and_remove, NULL));
    freed(4);
    born(5);
    pid_t child = fork();
    if (child == 0) {
        opool__audit_fork_child();
        freed(5);
        opool__audit_gone(memory(5));
        _exit(0);
    }
    opool__audit_fork_parent();
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    freed(5);
}
END_TEST

/* ---- audit ---- */

static struct opool__findings *findings;
static uint32_t pool;

static void start_audit(void)
{
    make_arena();
    findings = opool__pages_take(sizeof *findings);
    opool__audit_write_to(findings);
    pool = opool__audit_pool("pool", "struct object", BYTES, "file");
    ck_assert_uint_eq(pool, 0);
}

static void get(int i)
{
    opool__audit_got(pool, object(i));
}

static void put(int i)
{
    opool__audit_put(pool, object(i));
}

/* Word 8 of an object; stored so that no register or stack of a test matters. */
static void point(int i, const void *block)
{
    object(i)[8] = (uintptr_t)block;
}

static const struct opool__finding_row *row(void)
{
    for (uint32_t i = 0; i < findings->rows; i++)
        if (findings->row[i].offset == OFFSET)
            return &findings->row[i];
    return NULL;
}

static uint64_t held(void)
{
    return row() ? row()->held : 0;
}

START_TEST(young_is_owned_and_stays_so)
{
    get(0);
    born(0);
    point(0, memory(0));
    put(0);
    ck_assert_uint_eq(held(), 1);
    for (int i = 0; i < 3; i++) {
        get(0);
        put(0);
    }
    ck_assert_uint_eq(held(), 4);
    EXPECT(row()->least == BYTES && row()->most == BYTES && !row()->grew && !row()->shrank);
    ck_assert_uint_eq(findings->pool[0].puts, 4);
}
END_TEST

START_TEST(old_is_borrowed)
{
    born(0);
    get(0);
    point(0, memory(0));
    put(0);
    get(0);
    put(0);
    ck_assert_uint_eq(held(), 0);
    /* Until it is born again, by realloc for example. */
    get(0);
    freed(0);
    born(0);
    put(0);
    ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(built_is_owned_by_the_first_get)
{
    opool__audit_built(object(0));
    born(0);
    point(0, memory(0));
    get(0);
    put(0);
    ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(growth_is_of_the_same_object)
{
    for (int i = 0; i < 2; i++) {
        get(i);
        opool__blocks_add(memory(i), i ? 32 : 16);
        point(i, memory(i));
        put(i);
    }
    EXPECT(held() == 2 && !row()->grew && row()->least == 16 && row()->most == 32);
    get(0);
    opool__blocks_add(memory(0), 64);
    put(0);
    EXPECT(row()->grew == 1 && row()->from == 16 && row()->to == 64 && row()->growing && findings->growing == 1);
    get(0);
    opool__blocks_add(memory(0), 48);
    put(0);
    EXPECT(row()->shrank == 1 && row()->grew == 1);
    opool__audit_gone(object(0));
    opool__audit_built(object(0));
    get(0);
    opool__blocks_add(memory(0), 128);
    put(0);
    EXPECT(row()->grew == 1 && row()->most == 128); /* the next one at the address is another one */
}
END_TEST

START_TEST(sums_follow_young_blocks_once)
{
    born(9); /* older than the first get */
    get(0);
    for (int i = 0; i < 4; i++)
        born(i);
    point(0, memory(0));
    memory(0)[0] = (uintptr_t)memory(1);
    memory(0)[1] = (uintptr_t)memory(9);
    memory(1)[5] = (uintptr_t)memory(2);
    memory(2)[0] = (uintptr_t)memory(0); /* and back */
    memory(2)[1] = (uintptr_t)memory(1);
    memory(2)[2] = (uintptr_t)memory(3) + 16; /* into the middle */
    object(0)[9] = (uintptr_t)memory(1);      /* led to already */
    put(0);
    EXPECT(row()->most == 3 * BYTES && row()->blocks == 3);
    for (uint32_t i = 0; i < findings->rows; i++)
        EXPECT(findings->row[i].offset == OFFSET || findings->row[i].held == 0);
    opool__reach_interior = 16;
    get(0);
    put(0);
    EXPECT(row()->most == 4 * BYTES && row()->grew == 1);
    opool__reach_interior = 15;
    get(0);
    put(0);
    EXPECT(row()->shrank == 1);
}
END_TEST

/* A region of the program's own: the object's word is no other holder. */
START_TEST(an_object_may_lie_in_a_segment)
{
    static volatile uintptr_t fixed[WORDS];
    opool__audit_got(pool, (const void *)(uintptr_t)fixed);
    born(0);
    fixed[8] = (uintptr_t)memory(0);
    opool__audit_put(pool, (const void *)(uintptr_t)fixed);
    ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(behind_its_end_a_block_owns_nothing)
{
    opool__reach_interior = 4096;
    get(0);
    opool__blocks_add(memory(0), 20);
    point(0, (char *)memory(0) + 20);
    put(0);
    ck_assert_uint_eq(held(), 0);
    get(0);
    opool__blocks_add(memory(0), 20);
    point(0, (char *)memory(0) + 19);
    put(0);
    ck_assert_uint_eq(held(), 1);
}
END_TEST

static void *volatile global;

START_TEST(held_by_a_variable_is_shared)
{
    get(0);
    born(0);
    global = memory(0);
    point(0, memory(0));
    put(0);
    EXPECT(held() == 0 && row()->shared);
    get(0);
    put(0); /* not young any more */
    ck_assert_uint_eq(held(), 0);
    global = NULL;
    get(0);
    born(1);
    point(0, memory(1));
    put(0);
    EXPECT(held() == 1 && !row()->shared);
}
END_TEST

START_TEST(held_by_a_block_is_shared)
{
    uintptr_t *outer = opool__pages_take(4096); /* in no segment */
    opool__blocks_add(outer, 4096);
    get(0);
    born(0);
    outer[100] = (uintptr_t)memory(0);
    point(0, memory(0));
    put(0);
    ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(owned_by_another_object_is_shared)
{
    uintptr_t *own[2] = {object(0), object(1)};
    opool__audit_got(pool, own[0]);
    opool__audit_got(pool, own[1]);
    born(0);
    own[0][8] = own[1][8] = (uintptr_t)memory(0);
    opool__audit_put(pool, own[0]);
    ck_assert_uint_eq(held(), 1);
    own[1][9] = own[1][8];
    own[1][8] = 0;
    opool__audit_put(pool, own[1]);
    ck_assert_uint_eq(held(), 1);
    for (uint32_t i = 0; i < findings->rows; i++)
        EXPECT(findings->row[i].offset == OFFSET || findings->row[i].held == 0);
}
END_TEST

START_TEST(a_stale_word_owns_what_nobody_else_holds)
{
    get(0);
    born(0);
    point(0, memory(0));
    freed(0);
    put(0);
    ck_assert_uint_eq(held(), 0);
    get(0);
    born(0); /* by somebody else, at the same address */
    global = memory(0);
    put(0);
    ck_assert_uint_eq(held(), 0);
    freed(0);
    get(0);
    born(0); /* by the object itself */
    global = NULL;
    put(0);
    ck_assert_uint_eq(held(), 1);
}
END_TEST

START_TEST(a_stale_word_is_searched_for_where_others_own)
{
    get(1);
    born(1);
    point(1, memory(1));
    put(1);
    ck_assert_uint_eq(held(), 1);
    get(0);
    born(0);
    point(0, memory(0));
    freed(0);
    put(0);
    get(0);
    born(0);
    global = memory(0);
    put(0);
    ck_assert_uint_eq(held(), 1);
    global = NULL;
}
END_TEST

START_TEST(an_address_that_comes_again_is_another_block)
{
    get(0);
    born(0);
    point(0, memory(0));
    put(0);
    ck_assert_uint_eq(held(), 1);
    freed(0);
    born(0); /* while the object is idle: not by its user */
    get(0);
    put(0);
    ck_assert_uint_eq(held(), 1);
    get(1);
    freed(0);
    born(0);
    point(0, NULL); /* not looked at again: the audit remembers that object 0 owned this address */
    point(1, memory(0));
    put(1);
    ck_assert_uint_eq(held(), 2);
}
END_TEST

START_TEST(what_another_object_owned_is_free_again)
{
    get(0);
    born(0);
    point(0, memory(0));
    put(0);
    get(1);
    freed(0);
    born(0);
    point(0, NULL);
    point(1, memory(0));
    put(1);
    ck_assert_uint_eq(held(), 2);
    object(1)[9] = (uintptr_t)memory(2); /* a word that owned nothing yet, so that is searched for */
    get(1);
    freed(0);
    born(0);
    object(1)[9] = object(1)[8];
    point(1, NULL);
    put(1);
    for (uint32_t i = 0; i < findings->rows; i++)
        EXPECT(findings->row[i].offset == OFFSET || findings->row[i].held == 1);
}
END_TEST

START_TEST(searches_end)
{
    global = memory(0);
    for (int i = 0; i < 100; i++) {
        get(0);
        born(0);
        point(0, memory(0));
        put(0);
        freed(0);
    }
    EXPECT(held() == 0 && row()->searches < 50);
    global = NULL;
}
END_TEST

START_TEST(words_are_aligned_and_inside)
{
    char *odd = (char *)object(0) + 4;
    uint32_t small = opool__audit_pool("small", "struct small", 3 * sizeof(uintptr_t) + 3, "");
    opool__audit_got(small, odd);
    born(0);
    object(0)[1] = object(0)[3] = (uintptr_t)memory(0); /* bytes 4 to 12, and 20 to 28 of 27 */
    opool__audit_put(small, odd);
    ck_assert_uint_eq(findings->rows, 1);
    EXPECT(findings->row[0].offset == 4 && findings->row[0].pool == small);
}
END_TEST

START_TEST(more_than_there_is_room_for)
{
    char name[16];
    for (int i = 1; i < OPOOL__FINDING_POOLS + 3; i++) {
        snprintf(name, sizeof name, "pool %d", i);
        uint32_t number = opool__audit_pool(name, "struct object", 64, "");
        ck_assert_uint_eq(number, i < OPOOL__FINDING_POOLS ? (uint32_t)i : (uint32_t)OPOOL__FINDING_POOLS);
    }
    EXPECT(findings->pools == OPOOL__FINDING_POOLS && findings->pools_lost == 3);
    ck_assert_uint_eq(opool__audit_pool("pool 5", "struct object", 64, ""), 5); /* the same again */
    opool__audit_got(OPOOL__FINDING_POOLS, object(0));
    opool__audit_put(OPOOL__FINDING_POOLS, object(0));
}
END_TEST

/* Each word owns a block: how many have a row. */
static uint64_t put_wide(const char *name, size_t words)
{
    static uintptr_t objects[2][400];
    /* Not from the first on: AddressSanitizer has that address in a table of its own, which shares the block. */
    static uintptr_t blocks[2][401][2] __attribute__((aligned(16)));
    static int n;
    uint32_t number = opool__audit_pool(name, "struct wide", words * sizeof(uintptr_t), "");
    opool__audit_got(number, objects[n]);
    for (size_t i = 0; i < words; i++) {
        opool__blocks_add(blocks[n][i + 1], sizeof blocks[n][i + 1]);
        objects[n][i] = (uintptr_t)blocks[n][i + 1];
    }
    opool__audit_put(number, objects[n]);
    opool__audit_put(number, objects[n++]);
    return findings->pool[number].rows;
}

START_TEST(each_pool_has_a_share_of_the_rows)
{
    enum { MOST = OPOOL__FINDING_SHARE + OPOOL__FINDING_COMMON, WIDTH = sizeof(uintptr_t) };
    ck_assert_uint_eq(put_wide("wide", 400), MOST);
    const struct opool__finding_pool *wide = &findings->pool[findings->pools - 1];
    EXPECT(wide->lost == 2 && wide->lost_from == MOST * WIDTH && wide->lost_to == 399 * WIDTH);
    EXPECT(findings->rows == MOST && findings->common == OPOOL__FINDING_COMMON);
    ck_assert_uint_eq(put_wide("late", OPOOL__FINDING_SHARE + 2), OPOOL__FINDING_SHARE);
    const struct opool__finding_pool *late = &findings->pool[findings->pools - 1];
    EXPECT(late->lost == 2 && late->lost_from == OPOOL__FINDING_SHARE * WIDTH &&
           late->lost_to == late->lost_from + WIDTH);
    for (uint32_t i = 0; i < findings->rows; i++)
        ck_assert_msg(findings->row[i].held == 2, "row %u: held %u times", i, (unsigned)findings->row[i].held);
    struct opool__findings *others = opool__pages_take(sizeof *others);
    opool__audit_write_to(others);
    EXPECT(others->pools == 3 && !others->pool[1].lost && !others->pool[1].rows && !others->common);
}
END_TEST

START_TEST(all_pools_fill_all_rows)
{
    char name[16];
    for (uint32_t i = 1; i < OPOOL__FINDING_POOLS; i++) {
        snprintf(name, sizeof name, "pool %u", i);
        ck_assert_uint_eq(opool__audit_pool(name, "struct object", BYTES, ""), i);
    }
    static uintptr_t wide[OPOOL__FINDING_SHARE + OPOOL__FINDING_COMMON];
    static uintptr_t blocks[sizeof wide / sizeof *wide][2] __attribute__((aligned(16)));
    for (uint32_t i = OPOOL__FINDING_POOLS; i-- > 0;) {
        findings->pool[i].size = i == OPOOL__FINDING_POOLS - 1 ? sizeof wide : OPOOL__FINDING_SHARE * sizeof *wide;
        opool__audit_built(wide);
        opool__audit_got(i, wide);
        for (size_t j = 0; j < findings->pool[i].size / sizeof *wide; j++) {
            opool__blocks_add(blocks[j], sizeof blocks[j]);
            wide[j] = (uintptr_t)blocks[j];
        }
        opool__audit_put(i, wide);
        opool__audit_gone(wide);
        EXPECT(!findings->pool[i].lost);
    }
    EXPECT(findings->rows == OPOOL__FINDING_ROWS && findings->common == OPOOL__FINDING_COMMON);
}
END_TEST

START_TEST(a_long_name_is_cut_and_a_long_path_dropped)
{
    char text[500];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    uint32_t number = opool__audit_pool(text, text, 8, text);
    EXPECT(strlen(findings->pool[number].name) == OPOOL__FINDING_NAME - 1 && !findings->pool[number].file[0]);
}
END_TEST

/* Each call for memory refused in turn: findings may lack, nothing else. */
START_TEST(refused_memory_costs_findings_only)
{
    fault_install();
    fault_plan((uint32_t)_i / 2 + 1, _i % 2, fault_kind(FAULT_COMMIT) | fault_kind(FAULT_RESERVE));
    for (int use = 0; use < 200; use++) {
        get(use % 4);
        born(use % 64);
        point(use % 4, memory(use % 64));
        put(use % 4);
        if (use % 7 == 0)
            opool__audit_gone(object(use % 4));
        struct opool__block was;
        if (use % 3 == 0)
            (void)opool__blocks_remove(memory(use % 64), &was);
    }
    fault_heal();
    ck_assert_uint_eq(findings->pool[0].puts, 200);
}
END_TEST

START_TEST(a_child_writes_elsewhere)
{
    get(0);
    born(0);
    point(0, memory(0));
    put(0);
    struct opool__findings *others = opool__pages_take(sizeof *others);
    opool__audit_write_to(others);
    EXPECT(others->pools == 1 && others->rows == 0 && others->pool[0].puts == 0);
    ck_assert_str_eq(others->pool[0].name, "pool");
    get(0);
    put(0);
    EXPECT(findings->pool[0].puts == 1 && others->pool[0].puts == 1 && others->rows == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit");
    TCase *tables = unit_case(suite, "table");
    tcase_add_test(tables, table_is_what_an_array_is);
    tcase_add_test(tables, gaps_close);
    tcase_add_test(tables, table_without_memory_forgets_and_lives);
    TCase *blocks = unit_case(suite, "blocks");
    tcase_add_checked_fixture(blocks, make_arena, NULL);
    tcase_add_test(blocks, blocks_are_known_from_birth_to_death);
    tcase_add_test(blocks, a_block_that_is_gone_is_not_read);
    tcase_add_test(blocks, pages_that_can_not_be_read_are_no_crash);
    tcase_add_test(blocks, threads_share_the_table);
    tcase_add_test(blocks, the_last_granule_of_a_leaf_is_one_like_others);
    tcase_add_test(blocks, what_a_size_leaves_is_no_block);
    tcase_add_test(blocks, no_such_address_is_no_crash);
    tcase_add_loop_test(blocks, blocks_without_memory_are_not_known, 0, 24);
    tcase_add_test(blocks, blocks_may_lie_anywhere);
    tcase_add_test(blocks, readers_see_no_memory_that_is_gone);
    tcase_add_test(blocks, a_fork_stops_nobody);
    TCase *puts = unit_case(suite, "puts");
    tcase_add_checked_fixture(puts, start_audit, NULL);
    tcase_add_test(puts, young_is_owned_and_stays_so);
    tcase_add_test(puts, old_is_borrowed);
    tcase_add_test(puts, built_is_owned_by_the_first_get);
    tcase_add_test(puts, growth_is_of_the_same_object);
    tcase_add_test(puts, sums_follow_young_blocks_once);
    tcase_add_test(puts, an_object_may_lie_in_a_segment);
    tcase_add_test(puts, behind_its_end_a_block_owns_nothing);
    tcase_add_test(puts, held_by_a_variable_is_shared);
    tcase_add_test(puts, held_by_a_block_is_shared);
    tcase_add_test(puts, owned_by_another_object_is_shared);
    tcase_add_test(puts, a_stale_word_owns_what_nobody_else_holds);
    tcase_add_test(puts, a_stale_word_is_searched_for_where_others_own);
    tcase_add_test(puts, an_address_that_comes_again_is_another_block);
    tcase_add_test(puts, what_another_object_owned_is_free_again);
    tcase_add_test(puts, searches_end);
    tcase_add_test(puts, words_are_aligned_and_inside);
    tcase_add_test(puts, more_than_there_is_room_for);
    tcase_add_test(puts, each_pool_has_a_share_of_the_rows);
    tcase_add_test(puts, all_pools_fill_all_rows);
    tcase_add_test(puts, a_long_name_is_cut_and_a_long_path_dropped);
    tcase_add_loop_test(puts, refused_memory_costs_findings_only, 0, 40);
    tcase_add_test(puts, a_child_writes_elsewhere);
    return unit_main(suite);
}
