/* SPDX-License-Identifier: MIT */
#include "shape/shadow.h"

#include "os/state.h"
#include "shape/table.h"

/* Leaves come many at a time: a call of the system for each would be dear, and so would its mapping. */
struct chunk {
    uint32_t shared_used; /* leaves */
    struct opool__leaf leaves[OPOOL__CHUNK_LEAVES];
};

struct opool__shadow_root *opool__shadow_root OPOOL__STATE;
static struct chunk *shared_chunk OPOOL__STATE;
static struct opool__leaf *shared_leaves OPOOL__STATE;

/* What a pointer points to that is set once, made now if need be; of two who make it at a time one gives up his. NULL:
   refused. */
#define MADE(pointer) \
    __extension__({ \
        __typeof__(*(pointer)) known_ = opool__load_fresh(pointer); \
        if (!known_ && (known_ = opool__pages_take(sizeof *known_)) != NULL) { \
            __typeof__(*(pointer)) none_ = NULL; \
            if (!opool__cas_fresh(pointer, &none_, known_)) { \
                opool__pages_give(known_, sizeof *known_); \
                known_ = opool__load_fresh(pointer); \
            } \
        } \
        known_; \
    })

/* A new chunk in the place of `full`, unless another thread was faster. False: refused. */
static bool renew_chunk(struct chunk *full)
{
    struct chunk *chunk = opool__pages_take(sizeof *chunk);
    if (!chunk)
        return false;
    if (!opool__cas_fresh(&shared_chunk, &full, chunk))
        opool__pages_give(chunk, sizeof *chunk);
    return true;
}

static struct opool__leaf *take_leaf(void)
{
    for (;;) {
        struct chunk *chunk = opool__load_fresh(&shared_chunk);
        /* Looked at first: the number would run around where memory is refused again and again. */
        if (chunk && opool__load_relaxed(&chunk->shared_used) < OPOOL__CHUNK_LEAVES) {
            uint32_t number = opool__add_relaxed(&chunk->shared_used, 1u);
            if (number < OPOOL__CHUNK_LEAVES)
                return &chunk->leaves[number];
        }
        if (!renew_chunk(chunk))
            return NULL;
    }
}

static void list_leaf(struct opool__leaf *leaf)
{
    struct opool__leaf *first = opool__load_relaxed(&shared_leaves);
    do
        opool__write_plain(&leaf->next, first);
    /* release: who sees it listed sees what it is, and those that were listed before. */
    while (!opool__cas_release(&shared_leaves, &first, leaf));
}

/* Who finds the place taken leaves a leaf behind which nobody uses and nobody touched. */
static void make_leaf(struct opool__leaf **shared_leaf, uint64_t number)
{
    struct opool__leaf *leaf = take_leaf(), *none = NULL;
    if (!leaf)
        return;
    opool__write_plain(&leaf->from, (uintptr_t)(number << (OPOOL__GRANULE_BITS + OPOOL__LEAF_BITS)));
    if (opool__cas_fresh(shared_leaf, &none, leaf))
        list_leaf(leaf);
}

uint64_t *opool__shadow_make(uintptr_t at)
{
    uint64_t number = opool__shadow_leaf_number(at);
    if (number >> (OPOOL__NODE_BITS + OPOOL__ROOT_BITS))
        return NULL;
    struct opool__shadow_root *root = MADE(&opool__shadow_root);
    struct opool__shadow_node *node = root ? MADE(&root->shared_node[number >> OPOOL__NODE_BITS]) : NULL;
    struct opool__leaf **leaf = node ? &node->shared_leaf[number & ((1u << OPOOL__NODE_BITS) - 1)] : NULL;
    if (leaf && !opool__load_fresh(leaf))
        make_leaf(leaf, number);
    return opool__shadow_find(at);
}

struct opool__leaf *opool__shadow_leaves(void)
{
    /* acquire: what the leaves are, each of which names the one listed before. */
    return opool__load_acquire(&shared_leaves);
}
