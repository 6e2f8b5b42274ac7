/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_BLOCKS_H
#define OPOOL_SHAPE_BLOCKS_H

/*
 * The live heap blocks of the process, for the put audit: from an allocator's wrappers, or a sanitizer's hooks. A
 * block that the system gave no memory to note is not known; that is all.
 *
 * Time is counted in gets and puts of audited objects: what was born while an object is out has a birth of at least its
 * get, what was born after its put a higher one than what was born before.
 *
 * Thread-safe, and across a fork without any care. `remove` comes before the memory is given back, and waits while
 * somebody reads the block: so what is read is mapped. Blocks that are not aligned as malloc aligns (16 bytes; 8 on
 * 32-bit systems), as some allocators place those of 8 bytes, are not known.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opool__block {
    uintptr_t at;
    size_t size;    /* as asked for */
    uint64_t birth; /* a block of which the size changed was born again */
};

void opool__blocks_add(const void *at, size_t size);

/* False: it was not known. `was` may be NULL. Waits for who reads the block. */
bool opool__blocks_remove(const void *at, struct opool__block *was);

/* Put back what was removed. */
void opool__blocks_restore(const struct opool__block *block);

/* The block that starts at `address`. */
bool opool__blocks_find(uintptr_t address, struct opool__block *out);

/* Is a block known at or below this address, and one at or above it or not far below? Reads two words, no lock. */
bool opool__blocks_near(uintptr_t address);

/* Copy from the block, unless it is gone; whole words. Does not touch memory that the program may have protected
   otherwise than through the kernel. */
bool opool__blocks_read(const struct opool__block *block, size_t offset, void *to, size_t bytes);

/* Each block, until `look` returns false; meanwhile that block can not be removed, and is not read by blocks_read. */
void opool__blocks_each(bool (*look)(void *arg, const struct opool__block *block), void *arg);

/* The time: now, and after one more get or put. */
uint64_t opool__blocks_now(void);
uint64_t opool__blocks_tick(void);

/* ---- words of the program's memory, whatever a sanitizer thinks of it ---- */

uintptr_t opool__word(const void *at);

/* The first of `count` words that blocks_near says yes to, or that has this value; `count`: none. */
size_t opool__word_near(const void *words, size_t count);
size_t opool__word_equal(const void *words, size_t count, uintptr_t value);

/* Copy; false: the kernel says that some of it can not be read. Small parts must be mapped. */
bool opool__words(void *to, const void *from, size_t bytes);

#endif
