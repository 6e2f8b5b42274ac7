/* SPDX-License-Identifier: MIT */
#include "shape/blocks.h"

#include <opool/inline.h>

#include "os/inspect.h"
#include "os/os.h"
#include "os/state.h"
#include "shape/shadow.h"

/*
 * A block is two words of the shadow (shadow.h), those of its first granule and behind it:
 *
 *     birth | size, or LARGE | PINNED | STARTS        0, or anything without STARTS: no block starts here
 *     size of a LARGE block | 0
 *
 * Why malloc needs no locked instruction, and free one.
 *
 * 1. From the moment the allocator hands a block out until it gets it back both words belong to the thread that holds
 *    it: no other block starts in its first granule, nor in its second one if it is LARGE, and what another thread did
 *    for an earlier block at this address came before the allocator took that one back. So malloc stores without
 *    looking: the size, then, as a release store, the word that says it is there.
 * 2. Who finds a block (`find`) reads first word, size, first word. If a size is another block's, that one's malloc
 *    came after the first block's free had cleared the first word: the second look sees this, or the new block. Equal
 *    words with another size are a block of the same birth at the same address, which is as good.
 * 3. Who reads a block's memory must not see it unmapped. It pins: PINNED comes into the first word by compare and
 *    swap, which fails if the block was freed meanwhile; and free clears the word by compare and swap, which fails
 *    while it is pinned, and only then gives the memory back. It is these two that exclude each other, so free can not
 *    have a plain store; a full barrier in its place would cost as much.
 * 4. Fork copies words as they are. Readers pin under the audit's lock, which the forking thread holds: no child finds
 *    a block pinned for ever. A block that another thread was about to add or to free is one the child does not know,
 *    and that nobody there frees.
 *
 * test/explorer/blocks.c runs all of it in all interleavings, and does without each order in turn; test_audit:
 * readers_see_no_memory_that_is_gone (3), a_fork_stops_nobody (4).
 */
enum { STARTS = 1, PINNED = 2, SIZE_SHIFT = 2, LARGE = 31, BIRTH_SHIFT = 7 };
_Static_assert((int)OPOOL__GRANULE < (int)LARGE, "a size up to a granule has a code of its own");

enum { SPINS = 200, NAP_NS = 50000, NEAR = 1 << 20, PAGE = 4096 };

/* Of their own cache lines: read by each malloc. `now` is written by each get, the others hardly ever. Those are no
   addresses of blocks, but below the lowest and above the highest: a search for who else holds a block comes by
   here. */
static struct {
    uint64_t now __attribute__((aligned(64)));
    uintptr_t below __attribute__((aligned(64)));
    uintptr_t above;
} shared OPOOL__STATE = {.below = UINTPTR_MAX};

#if defined(__clang__)
#define UNCHECKED __attribute__((no_sanitize("address", "thread", "memory", "undefined"), noinline))
#else
#define UNCHECKED __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#endif

UNCHECKED uintptr_t opool__word(const void *at)
{
    return *(const volatile uintptr_t *)at;
}

/* One comparison for both bounds. */
struct bounds {
    uintptr_t lowest, span;
};

static struct bounds near_bounds(void)
{
    uintptr_t below = opool__load_relaxed(&shared.below), above = opool__load_relaxed(&shared.above);
    return above ? (struct bounds){below + 1, above + NEAR - below} : (struct bounds){UINTPTR_MAX, 0};
}

UNCHECKED size_t opool__word_near(const void *words, size_t count)
{
    const volatile uintptr_t *word = words;
    struct bounds bounds = near_bounds();
    size_t i = 0;
    while (i < count && word[i] - bounds.lowest >= bounds.span)
        i++;
    return i;
}

UNCHECKED size_t opool__word_equal(const void *words, size_t count, uintptr_t value)
{
    const volatile uintptr_t *word = words;
    size_t i = 0;
    while (i < count && word[i] != value)
        i++;
    return i;
}

/* A program may take away access to whole pages of a block only. */
static bool may_be_protected(uintptr_t at, size_t bytes)
{
    return bytes >= PAGE || at / PAGE != (at + bytes - 1) / PAGE || at % PAGE == 0;
}

UNCHECKED bool opool__words(void *to, const void *from, size_t bytes)
{
    if (may_be_protected((uintptr_t)from, bytes))
        return opool__os.read_memory(to, from, bytes);
    for (size_t i = 0; i < bytes / sizeof(uintptr_t); i++)
        ((volatile uintptr_t *)to)[i] = ((const volatile uintptr_t *)from)[i];
    return true;
}

/* ---- words of a block ---- */

static inline uint64_t first_word(size_t size, uint64_t birth)
{
    uint64_t code = size <= OPOOL__GRANULE ? size : LARGE;
    return birth << BIRTH_SHIFT | code << SIZE_SHIFT | STARTS;
}

static inline bool is_large(uint64_t word)
{
    return (word >> SIZE_SHIFT & LARGE) == LARGE;
}

/* `word` is its first, which can not change now, or is looked at again later. */
static inline struct opool__block block_at(uintptr_t at, const uint64_t *words, uint64_t word)
{
    /* acquire: who sees the size of a later block sees that this one was freed. */
    uint64_t size = is_large(word) ? opool__load_acquire(words + 1) >> 1 : word >> SIZE_SHIFT & LARGE;
    return (struct opool__block){.at = at, .size = (size_t)size, .birth = word >> BIRTH_SHIFT};
}

/* `seen` becomes the first word as it is when nobody pins it. */
static __attribute__((noinline, cold)) void await_reader(uint64_t *words, uint64_t *seen)
{
    uint32_t nobody = 0;
    for (int i = 0; ((*seen = opool__load_relaxed(words)) & (STARTS | PINNED)) == (STARTS | PINNED); i++)
        if (i < SPINS)
            opool__spin_hint();
        else
            opool__os.wait(&nobody, 0, opool__os.now() + NAP_NS);
}

/* The first word becomes `to`, or PINNED where `to` is that, once nobody pins it. False: no block is there. */
static inline bool change(uint64_t *words, uint64_t to, uint64_t *was)
{
    uint64_t seen = opool__load_relaxed(words);
    while (seen & STARTS) {
        if (OPOOL__LIKELY(!(seen & PINNED))) {
            *was = seen;
            /* acquire: who pinned it before has done reading. */
            if (OPOOL__LIKELY(opool__cas_acquire(words, &seen, to == PINNED ? seen | PINNED : to)))
                return true;
        } else {
            await_reader(words, &seen);
        }
    }
    return false;
}

/* False: it is gone. Else `unpin` comes. */
static bool pin(uint64_t *words, uint64_t *word)
{
    return change(words, PINNED, word);
}

/* The word is another one only if an allocator gave the same address again that nobody had freed. */
static void unpin(uint64_t *words, uint64_t word)
{
    uint64_t pinned = word | PINNED;
    /* release: what was read was read before. */
    (void)opool__cas_release(words, &pinned, word);
}

/* ---- blocks ---- */

static __attribute__((noinline, cold)) void widen(uintptr_t at)
{
    uintptr_t seen = opool__load_relaxed(&shared.below);
    while (at - 1 < seen && !opool__cas_relaxed(&shared.below, &seen, at - 1))
        continue;
    seen = opool__load_relaxed(&shared.above);
    while (at + 1 > seen && !opool__cas_relaxed(&shared.above, &seen, at + 1))
        continue;
}

static inline void enter(uintptr_t at, size_t size, uint64_t birth)
{
    uint64_t *words = opool__shadow_find(at);
    if (OPOOL__UNLIKELY(!words) && (words = opool__shadow_make(at)) == NULL)
        return;
    /* release, twice: who sees this size sees that the block before was freed; who sees the block sees its size. */
    if (size > OPOOL__GRANULE)
        opool__store_release(words + 1, (uint64_t)size << 1);
    opool__store_release(words, first_word(size, birth));
}

void opool__blocks_restore(const struct opool__block *block)
{
    enter(block->at, block->size, block->birth);
}

void opool__blocks_add(const void *at, size_t size)
{
    uintptr_t address = (uintptr_t)at;
    if (!at || address % OPOOL__GRANULE != 0)
        return;
    if (address <= opool__load_relaxed(&shared.below) || address >= opool__load_relaxed(&shared.above))
        widen(address);
    enter(address, size, opool__blocks_now());
}

/* The words of the block that may start at this address; NULL: none does. */
static inline uint64_t *words_of(uintptr_t at)
{
    return at % OPOOL__GRANULE == 0 ? opool__shadow_find(at) : NULL;
}

/* Clears the first word. */
static inline bool clear(uint64_t *words, uint64_t *word)
{
    if (!opool__os_alone())
        return change(words, 0, word);
    *word = opool__load_relaxed(words);
    opool__store_relaxed(words, *word & STARTS ? 0 : *word);
    return *word & STARTS;
}

bool opool__blocks_remove(const void *at, struct opool__block *was)
{
    uint64_t *words = words_of((uintptr_t)at), word;
    if (!words || !clear(words, &word))
        return false;
    if (was)
        *was = block_at((uintptr_t)at, words, word);
    return true;
}

bool opool__blocks_find(uintptr_t address, struct opool__block *out)
{
    uint64_t *words = words_of(address);
    while (words) {
        /* acquire: its size is there. */
        uint64_t word = opool__load_acquire(words);
        if (!(word & STARTS))
            return false;
        *out = block_at(address, words, word);
        if ((opool__load_relaxed(words) | PINNED) == (word | PINNED))
            return true;
    }
    return false;
}

bool opool__blocks_near(uintptr_t address)
{
    struct bounds bounds = near_bounds();
    return address - bounds.lowest < bounds.span;
}

bool opool__blocks_read(const struct opool__block *block, size_t offset, void *to, size_t bytes)
{
    uint64_t *words = words_of(block->at), word;
    if (!words || !pin(words, &word))
        return false;
    bool good = word >> BIRTH_SHIFT == block->birth && opool__words(to, (const char *)block->at + offset, bytes);
    unpin(words, word);
    return good;
}

static bool each_of(struct opool__leaf *leaf, bool (*look)(void *arg, const struct opool__block *block), void *arg)
{
    for (size_t i = 0; i < OPOOL__LEAF_WORDS; i++) {
        uint64_t word;
        if (!(opool__load_relaxed(&leaf->words[i]) & STARTS) || !pin(&leaf->words[i], &word))
            continue;
        struct opool__block block =
            block_at(opool__read_plain(&leaf->from) + i * OPOOL__GRANULE, &leaf->words[i], word);
        bool more = look(arg, &block);
        unpin(&leaf->words[i], word);
        if (!more)
            return false;
    }
    return true;
}

void opool__blocks_each(bool (*look)(void *arg, const struct opool__block *block), void *arg)
{
    struct opool__leaf *leaf = opool__shadow_leaves();
    while (leaf && each_of(leaf, look, arg))
        leaf = opool__read_plain(&leaf->next);
}

/* ---- time ---- */

uint64_t opool__blocks_now(void)
{
    return opool__load_relaxed(&shared.now);
}

uint64_t opool__blocks_tick(void)
{
    return opool__add_relaxed(&shared.now, 1u) + 1;
}
