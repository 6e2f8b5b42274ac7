/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_MEMORY_H
#define OPOOL_SHAPES_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Memory of one reading: taken piece by piece, given back at once. Files are read in a process of their own
 * (guarded.h), so what can not be had ends that process, and its parent says so: no caller has to ask.
 */
struct memory {
    struct memory_block *blocks; /* newest first */
};

/** Zeroed, and aligned for anything. */
void *opool__shapes_take(struct memory *memory, size_t size);
char *opool__shapes_copy(struct memory *memory, const char *text);
char *opool__shapes_format(struct memory *memory, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Gives all back; the memory can be used again. */
void opool__shapes_give(struct memory *memory);

/** An array of `count` items of `size` bytes that grows by doubling: the array, or a copy with room for one more. */
void *opool__shapes_grow(struct memory *memory, void *items, size_t count, size_t size);

#endif
