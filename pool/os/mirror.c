/* SPDX-License-Identifier: MIT */
#include "os/mirror.h"

#include <opool/atomic.h>
#include <stdint.h>

#include "os/os.h"

/*
 * Pieces of memory and their mirrors, in blocks that live for ever. Any thread looks at any time; a piece is written by
 * the one who made its version odd:
 *
 *     version even: the piece is whole (bytes == 0: it serves nothing)
 *
 * A reader that sees any new value of a piece (acquire) sees the odd version too, which was written before (release),
 * and looks elsewhere: it searches for memory that is there all the time, so for another piece. A thread that a fork
 * stopped in the middle leaves one piece odd, and unused, in the child.
 */
struct piece {
    uint32_t shared_version;
    uintptr_t shared_at, shared_bytes, shared_mirror;
};

enum { PIECES = 100 };

struct block {
    struct block *next;
    struct piece pieces[PIECES];
};

static struct block *shared_blocks;

/* ---- memory ---- */

static size_t whole_pages(size_t bytes)
{
    size_t page = opool__os.page_size();
    return (bytes + page - 1) / page * page;
}

static void *pages_take(size_t bytes)
{
    void *at;
    if (opool__os.reserve(&at, whole_pages(bytes)) != 0)
        return NULL;
    if (opool__os.commit(at, whole_pages(bytes)) == 0)
        return at;
    (void)opool__os.release(at, whole_pages(bytes));
    return NULL;
}

/* ---- pieces ---- */

static bool begin_write(struct piece *piece)
{
    uint32_t version = opool__load_relaxed(&piece->shared_version);
    return version % 2 == 0 && opool__cas_acquire(&piece->shared_version, &version, version + 1);
}

static void end_write(struct piece *piece)
{
    opool__store_release(&piece->shared_version, opool__load_relaxed(&piece->shared_version) + 1);
}

static void set(struct piece *piece, uintptr_t at, uintptr_t bytes, uintptr_t mirror)
{
    opool__store_release(&piece->shared_at, at);
    opool__store_release(&piece->shared_bytes, bytes);
    opool__store_release(&piece->shared_mirror, mirror);
}

static struct block *new_block(void)
{
    struct block *block = pages_take(sizeof *block);
    if (!block)
        return NULL;
    struct block *first = opool__load_acquire(&shared_blocks);
    do
        block->next = first;
    while (!opool__cas_acquire(&shared_blocks, &first, block));
    return block;
}

/* One that serves nothing, begun to write; NULL: there is none. */
static struct piece *claim_in(struct block *block)
{
    for (struct piece *piece = block->pieces; piece < block->pieces + PIECES; piece++) {
        if (opool__load_relaxed(&piece->shared_bytes) != 0 || !begin_write(piece))
            continue;
        if (opool__load_relaxed(&piece->shared_bytes) == 0)
            return piece;
        end_write(piece);
    }
    return NULL;
}

static struct piece *claim(void)
{
    for (struct block *block = opool__load_acquire(&shared_blocks); block; block = block->next) {
        struct piece *piece = claim_in(block);
        if (piece)
            return piece;
    }
    struct block *block = new_block();
    return block ? claim_in(block) : NULL;
}

bool opool__mirror_add(void *at, size_t bytes, void **mirror)
{
    struct piece *piece = claim();
    if (!piece)
        return false;
    bool made = !mirror || (*mirror = pages_take(bytes)) != NULL;
    set(piece, (uintptr_t)at, made ? bytes : 0, mirror ? (uintptr_t)*mirror : 0);
    end_write(piece);
    return made;
}

/* Where the piece is inside [at, at + bytes), begun to write; false: it is elsewhere. */
static bool claim_inside(struct piece *piece, uintptr_t at, size_t bytes)
{
    uintptr_t from = opool__load_relaxed(&piece->shared_at), length = opool__load_relaxed(&piece->shared_bytes);
    return length && from - at < bytes && begin_write(piece);
}

void opool__mirror_remove(void *at, size_t bytes, void (*each)(void *at, size_t bytes, void *mirror))
{
    for (struct block *block = opool__load_acquire(&shared_blocks); block; block = block->next)
        for (struct piece *piece = block->pieces; piece < block->pieces + PIECES; piece++) {
            if (!claim_inside(piece, (uintptr_t)at, bytes))
                continue;
            size_t length = opool__load_relaxed(&piece->shared_bytes);
            void *mirror = (void *)opool__load_relaxed(&piece->shared_mirror);
            if (each)
                each((void *)opool__load_relaxed(&piece->shared_at), length, mirror);
            set(piece, 0, 0, 0);
            end_write(piece);
            if (mirror)
                (void)opool__os.release(mirror, whole_pages(length));
        }
}

/* The mirror of [at, at + bytes) as the piece has it; 0: none. */
static uintptr_t mirror_in(struct piece *piece, uintptr_t at, size_t bytes)
{
    uint32_t version = opool__load_acquire(&piece->shared_version);
    uintptr_t from = opool__load_acquire(&piece->shared_at), length = opool__load_acquire(&piece->shared_bytes);
    uintptr_t mirror = opool__load_acquire(&piece->shared_mirror);
    if (version % 2 || version != opool__load_relaxed(&piece->shared_version))
        return 0;
    return at - from < length && bytes <= length - (at - from) && mirror ? mirror + (at - from) : 0;
}

void *opool__mirror_of(const void *at, size_t bytes)
{
    for (struct block *block = opool__load_acquire(&shared_blocks); block; block = block->next)
        for (struct piece *piece = block->pieces; piece < block->pieces + PIECES; piece++) {
            uintptr_t mirror = mirror_in(piece, (uintptr_t)at, bytes);
            if (mirror)
                return (void *)mirror;
        }
    return NULL;
}
