/* SPDX-License-Identifier: MIT */
#include "shape/blocks.h"

#include <opool/inline.h>

#include "os/inspect.h"
#include "os/os.h"
#include "shape/table.h"

/* FORKING: its holder is the thread that forks, and goes on to use it. */
enum { FREE, TAKEN, FORKING };

enum { SHARDS = 64, SHARD_SHIFT = 58, SPINS = 200, NAP_NS = 50000, NEAR = 1 << 20, PAGE = 4096 };

/* The lock is not that of os/lock.h: to drop it is a plain store, and malloc pays for two of these. Who finds it
   taken for long naps, and nobody wakes it. */
static struct shard {
    uint32_t lock __attribute__((aligned(64)));
    struct opool__table table; /* a: size, b: birth */
} shards[SHARDS];

/* Of their own cache lines: read by each malloc. `now` is written by each get, the others hardly ever. Those are no
   addresses of blocks, but below the lowest and above the highest: a search for who else holds a block comes by
   here. */
static struct {
    uint64_t now __attribute__((aligned(64)));
    uintptr_t below __attribute__((aligned(64)));
    uintptr_t above;
} shared = {.below = UINTPTR_MAX};

static __thread bool forking __attribute__((tls_model(OPOOL_TLS_MODEL)));

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

/* ---- locks ---- */

static __attribute__((noinline, cold)) bool take_contended(struct shard *shard)
{
    for (int i = 0;; i++) {
        uint32_t seen = opool__load_relaxed(&shard->lock);
        if (seen == FORKING && forking)
            return false;
        /* acquire: what the last holder did to the table is seen here. */
        if (seen == FREE && opool__cas_acquire(&shard->lock, &seen, (uint32_t)TAKEN))
            return true;
        if (i < SPINS)
            opool__spin_hint();
        else
            opool__os.wait(&shard->lock, seen, opool__os.now() + NAP_NS);
    }
}

/* False: the caller holds it already, or there is nobody else, and does not drop it. */
static inline bool take(struct shard *shard)
{
    uint32_t seen = FREE;
    if (opool__os_alone())
        return false;
    return opool__cas_acquire(&shard->lock, &seen, (uint32_t)TAKEN) || take_contended(shard);
}

static inline void drop(struct shard *shard, bool taken)
{
    /* release: the next holder sees what was done under the lock. */
    if (taken)
        opool__store_release(&shard->lock, (uint32_t)FREE);
}

static inline struct shard *shard_of(uintptr_t at)
{
    return &shards[opool__hash(at) >> SHARD_SHIFT];
}

/* ---- blocks ---- */

static struct opool__block block_of(const struct opool__entry *entry)
{
    return (struct opool__block){.at = entry->key, .size = (size_t)entry->a, .birth = entry->b};
}

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
    struct shard *shard = shard_of(at);
    bool taken = take(shard);
    struct opool__entry *entry = opool__table_add(&shard->table, at);
    if (OPOOL__LIKELY(entry != NULL)) {
        entry->a = size;
        entry->b = birth;
    }
    drop(shard, taken);
}

void opool__blocks_restore(const struct opool__block *block)
{
    enter(block->at, block->size, block->birth);
}

void opool__blocks_add(const void *at, size_t size)
{
    uintptr_t address = (uintptr_t)at;
    if (!at)
        return;
    if (address <= opool__load_relaxed(&shared.below) || address >= opool__load_relaxed(&shared.above))
        widen(address);
    enter(address, size, opool__blocks_now());
}

bool opool__blocks_remove(const void *at, struct opool__block *was)
{
    struct shard *shard = shard_of((uintptr_t)at);
    bool taken = take(shard);
    struct opool__entry *entry = opool__table_find(&shard->table, (uintptr_t)at);
    bool known = entry != NULL;
    if (known) {
        *was = block_of(entry);
        opool__table_remove(&shard->table, entry);
    }
    drop(shard, taken);
    return known;
}

bool opool__blocks_find(uintptr_t address, struct opool__block *out)
{
    struct shard *shard = shard_of(address);
    bool taken = take(shard);
    const struct opool__entry *entry = opool__table_find(&shard->table, address);
    bool known = entry != NULL;
    if (known)
        *out = block_of(entry);
    drop(shard, taken);
    return known;
}

bool opool__blocks_near(uintptr_t address)
{
    struct bounds bounds = near_bounds();
    return address - bounds.lowest < bounds.span;
}

bool opool__blocks_read(const struct opool__block *block, size_t offset, void *to, size_t bytes)
{
    struct shard *shard = shard_of(block->at);
    bool taken = take(shard);
    const struct opool__entry *entry = opool__table_find(&shard->table, block->at);
    bool good = entry && entry->b == block->birth && opool__words(to, (const char *)block->at + offset, bytes);
    drop(shard, taken);
    return good;
}

static bool each_of(struct shard *shard, bool (*look)(void *arg, const struct opool__block *block), void *arg)
{
    const struct opool__table *table = &shard->table;
    for (size_t i = 0; table->entries && i <= table->mask; i++) {
        struct opool__block block = block_of(&table->entries[i]);
        if (block.at && !look(arg, &block))
            return false;
    }
    return true;
}

void opool__blocks_each(bool (*look)(void *arg, const struct opool__block *block), void *arg)
{
    for (int i = 0; i < SHARDS; i++) {
        bool taken = take(&shards[i]);
        bool more = each_of(&shards[i], look, arg);
        drop(&shards[i], taken);
        if (!more)
            return;
    }
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

/* ---- fork ---- */

void opool__blocks_fork_prepare(void)
{
    for (int i = 0; i < SHARDS; i++) {
        (void)take(&shards[i]);
        opool__store_relaxed(&shards[i].lock, (uint32_t)FORKING);
    }
    forking = true;
}

void opool__blocks_fork_parent(void)
{
    forking = false;
    for (int i = 0; i < SHARDS; i++)
        drop(&shards[i], true);
}

void opool__blocks_fork_child(void)
{
    opool__blocks_fork_parent();
}
