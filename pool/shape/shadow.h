/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_SHADOW_H
#define OPOOL_SHAPE_SHADOW_H

/*
 * A word of 64 bits for each granule of the address space, zero at first. Words never move and are never given back:
 * they are reached without a lock, from inside malloc and free. The word of an address is
 *
 *     root[bits 32 to 47] -> node[bits 16 to 31] -> leaf.words[bits 4 to 15]        (64-bit systems)
 *
 * Roots, nodes and leaves are made when they are first needed. What is not touched costs address space only: words cost
 * half of the memory they stand for, and not more than a page for each run of granules in use.
 *
 * Behind each word stands another one that serves the same block: the next granule's, of which no block starts there
 * where the first is larger than a granule; or the spare word of the leaf.
 *
 * Thread-safe, without locks; a fork needs no care.
 */

#include <opool/atomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Pointers to memory that is fresh from the system, or from a chunk of it that nobody wrote to: zero for whoever knows
 * the address, so their order needs no help. ThreadSanitizer takes mmap for a write, and wants it ordered.
 */
#if defined(__SANITIZE_THREAD__)
#define OPOOL__ORDERS_FRESH 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OPOOL__ORDERS_FRESH 1
#endif
#endif
#ifdef OPOOL__ORDERS_FRESH
#define opool__load_fresh(pointer) opool__load_acquire(pointer)
#define opool__cas_fresh(pointer, expected, desired) opool__cas_release(pointer, expected, desired)
#else
#define opool__load_fresh(pointer) opool__load_relaxed(pointer)
#define opool__cas_fresh(pointer, expected, desired) opool__cas_relaxed(pointer, expected, desired)
#endif

/* A granule is what malloc aligns to: blocks that start elsewhere have no word. */
enum { OPOOL__GRANULE_BITS = sizeof(void *) == 8 ? 4 : 3, OPOOL__GRANULE = 1 << OPOOL__GRANULE_BITS };

/* The explorer has little memory, and wants to see leaves fill. */
#ifdef OPOOL_EXPLORE
enum { OPOOL__LEAF_BITS = 1, OPOOL__NODE_BITS = 1, OPOOL__ROOT_BITS = 1, OPOOL__CHUNK_LEAVES = 1 };
#else
enum {
    OPOOL__LEAF_BITS = 12,
    OPOOL__NODE_BITS = 16,
    OPOOL__ROOT_BITS = sizeof(void *) == 8 ? 16 : 1,
    OPOOL__CHUNK_LEAVES = 32
};
#endif
enum { OPOOL__LEAF_WORDS = 1 << OPOOL__LEAF_BITS };

struct opool__leaf {
    uintptr_t from;           /* the address of the first granule */
    struct opool__leaf *next; /* listed before */
    uint64_t words[OPOOL__LEAF_WORDS + 1] __attribute__((aligned(64)));
};

/* Pointers are set once. */
struct opool__shadow_node {
    struct opool__leaf *shared_leaf[1 << OPOOL__NODE_BITS];
};
struct opool__shadow_root {
    struct opool__shadow_node *shared_node[1 << OPOOL__ROOT_BITS];
};
extern struct opool__shadow_root *opool__shadow_root;

static inline uint64_t opool__shadow_leaf_number(uintptr_t at)
{
    return (uint64_t)at >> (OPOOL__GRANULE_BITS + OPOOL__LEAF_BITS);
}

/* NULL: it was not made. */
static inline uint64_t *opool__shadow_find(uintptr_t at)
{
    uint64_t number = opool__shadow_leaf_number(at);
    /* Fresh, three times: behind a pointer are the system's zeroes, and words that have an order of their own. */
    struct opool__shadow_root *root = opool__load_fresh(&opool__shadow_root);
    if (!root || number >> (OPOOL__NODE_BITS + OPOOL__ROOT_BITS))
        return NULL;
    struct opool__shadow_node *node = opool__load_fresh(&root->shared_node[number >> OPOOL__NODE_BITS]);
    if (!node)
        return NULL;
    struct opool__leaf *leaf = opool__load_fresh(&node->shared_leaf[number & ((1u << OPOOL__NODE_BITS) - 1)]);
    return leaf ? &leaf->words[at >> OPOOL__GRANULE_BITS & (OPOOL__LEAF_WORDS - 1)] : NULL;
}

/* NULL: the system refuses memory, or there is no such address. */
uint64_t *opool__shadow_make(uintptr_t at);

/* The leaf that was listed last, of a list of all. */
struct opool__leaf *opool__shadow_leaves(void);

#endif
