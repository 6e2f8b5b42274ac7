/* SPDX-License-Identifier: MIT */
/*
 * The live blocks of the put audit (pool/shape/blocks.c, shadow.c): malloc stores without looking, free and readers
 * exclude each other. Memory of blocks is a word each, which a reader reads while the block is pinned, and who freed
 * the block writes.
 */
#include "harness.h"
#include "os/os.h"
#include "shape/blocks.h"
#include "shape/shadow.h"

/* Addresses, which nobody looks at: granules of three leaves. */
enum { A = 2 * OPOOL__GRANULE, SECOND = A + OPOOL__GRANULE, FAR = 4 * OPOOL__GRANULE, LAST = 7 * OPOOL__GRANULE };
enum { PAGE = 4096 }; /* so much is read by the system */

static uint64_t memory[8]; /* by granule: the birth of the block whose user wrote it; 0: given back */
static uint32_t handed;    /* how the allocator passes a free address from thread to thread */
static bool freed[4];
static unsigned seen;

static bool fake_read(void *to, const void *from, size_t bytes)
{
    (void)bytes;
    *(uint64_t *)to = opool__read_plain(&memory[(uintptr_t)from / OPOOL__GRANULE]);
    return true;
}

/* ---- what an allocator and its users do ---- */

static size_t size_of(uint64_t birth)
{
    return birth == 2 ? 5 : PAGE * birth;
}

static void born(uintptr_t at, uint64_t birth)
{
    struct opool__block block = {.at = at, .size = size_of(birth), .birth = birth};
    opool__write_plain(&memory[at / OPOOL__GRANULE], birth);
    opool__blocks_restore(&block);
}

static bool die(uintptr_t at)
{
    struct opool__block was;
    bool known = opool__blocks_remove((const void *)at, &was);
    explorer_check(!known || was.size == size_of(was.birth), "the size of another block");
    if (known)
        opool__write_plain(&memory[at / OPOOL__GRANULE], 0);
    return known;
}

static void start(void)
{
    harness_reset(1);
    opool__os.read_memory = fake_read;
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        memory[i] = 0;
    handed = 0;
    seen = 0;
    for (size_t i = 0; i < sizeof freed / sizeof *freed; i++)
        freed[i] = false;
}

static void start_with_one(void)
{
    start();
    born(A, 1);
}

/* ---- bodies ---- */

static void come_and_go(void)
{
    explorer_check(die(A), "freed by nobody");
    born(SECOND, 2);
    explorer_check(die(SECOND), "freed by nobody");
    born(A, 3);
}

static void hand(void)
{
    explorer_check(die(A), "freed by nobody");
    opool__store_release(&handed, 1u);
}

static void come_after(void)
{
    if (!opool__load_acquire(&handed))
        return;
    born(SECOND, 2);
}

static void find(void)
{
    struct opool__block block;
    if (opool__blocks_find(A, &block))
        explorer_check(block.size == size_of(block.birth), "the size of another block");
    if (opool__blocks_find(SECOND, &block))
        explorer_check(block.size == size_of(block.birth) && block.birth == 2, "the size of another block");
}

static void read_block(uint64_t birth)
{
    struct opool__block block = {.at = A, .size = size_of(birth), .birth = birth};
    uint64_t word;
    if (opool__blocks_read(&block, 0, &word, PAGE))
        explorer_check(word == birth, "memory of another block");
}

static void read_first(void)
{
    read_block(1);
}

static void read_third(void)
{
    read_block(3);
}

static bool look_into(void *arg, const struct opool__block *block)
{
    (void)arg;
    explorer_check(opool__read_plain(&memory[block->at / OPOOL__GRANULE]) == block->birth, "memory of another block");
    explorer_check(block->size == size_of(block->birth), "the size of another block");
    seen++;
    return true;
}

static void look_at_all(void)
{
    opool__blocks_each(look_into, NULL);
}

static void free_it(void)
{
    freed[explorer_self()] = die(A);
}

static void check_one_freed(void)
{
    explorer_check(freed[1] + freed[2] == 1, "freed twice, or by nobody");
}

/* Nobody saw it freed, and the allocator gives it again: only of a program that frees behind our back. */
static void come_again(void)
{
    struct opool__block block = {.at = A, .size = size_of(3), .birth = 3};
    opool__blocks_restore(&block);
}

static void check_third(void)
{
    struct opool__block block;
    explorer_check(opool__blocks_find(A, &block) && block.birth == 3, "another block's");
    explorer_check(opool__blocks_remove((const void *)(uintptr_t)A, NULL), "pinned for ever");
}

static void make_first(void)
{
    born(A, 1);
}

static void make_second(void)
{
    born(SECOND, 2);
}

static void make_far(void)
{
    born(FAR, 3);
    born(LAST, 1);
}

/* The first and the second share a leaf, and a node with nobody. */
static void check_made(void)
{
    struct opool__block block;
    explorer_check(opool__blocks_find(A, &block) && block.size == size_of(1), "lost");
    explorer_check(opool__blocks_find(FAR, &block) && block.size == size_of(3), "lost");
    explorer_check(opool__blocks_find(LAST, &block) && block.size == size_of(1), "lost");
    seen = 0;
    look_at_all();
    explorer_check(seen == 3, "not in the list of leaves");
}

static void make_small(void)
{
    born(A, 2);
}

static void check_shared_leaf(void)
{
    struct opool__block block;
    explorer_check(opool__blocks_find(A, &block) && opool__blocks_find(SECOND, &block), "lost");
    seen = 0;
    look_at_all();
    explorer_check(seen == 2, "lost");
}

/* ---- what must not be ---- */

static void free_without_looking(void)
{
    opool__store_relaxed(opool__shadow_find(A), (uint64_t)0);
    opool__write_plain(&memory[A / OPOOL__GRANULE], 0);
}

static void read_without_pin(void)
{
    struct opool__block block;
    if (opool__blocks_find(A, &block))
        explorer_check(opool__read_plain(&memory[A / OPOOL__GRANULE]) == block.birth, "memory of another block");
}

static const struct explorer_test tests[] = {
    {.name = "find, free, malloc", .init = start_with_one, .body = {come_and_go, find}},
    {.name = "find, free, malloc by another thread", .init = start_with_one, .body = {hand, come_after, find}},
    {.name = "read, free, malloc", .init = start_with_one, .body = {come_and_go, read_first}},
    {.name = "read what comes, free, malloc", .init = start_with_one, .body = {come_and_go, read_third}},
    {.name = "two read, free",
     .init = start_with_one,
     .body = {free_it, read_first, read_first},
     .preemptions = 3,
     .stale = 2},
    {.name = "look at all, free, malloc", .init = start_with_one, .body = {come_and_go, look_at_all}},
    {.name = "freed twice", .init = start_with_one, .body = {free_it, free_it}, .fini = check_one_freed},
    {.name = "given again, read", .init = start_with_one, .body = {come_again, read_first}, .fini = check_third},
    {.name = "two make a leaf", .init = start, .body = {make_small, make_second}, .fini = check_shared_leaf},
    {.name = "two make nodes", .init = start, .body = {make_first, make_far}, .fini = check_made},
    {.name = "make a leaf, look at all", .init = start, .body = {make_far, look_at_all}},
    {.name = "control: a free that does not look",
     .init = start_with_one,
     .body = {free_without_looking, read_first},
     .expect = "race"},
    {.name = "control: a look without a pin",
     .init = start_with_one,
     .body = {come_and_go, read_without_pin},
     .expect = "race"},
};

int main(int argc, char **argv)
{
    static const struct explorer_program program = {
        .tests = tests, .count = sizeof tests / sizeof *tests, .files = "pool/shape"};
    return explorer_main(&program, argc, argv);
}
