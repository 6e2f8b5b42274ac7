/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guarded.h"
#include "memory.h"

enum { BLOCK_SIZE = 64 << 10 };

struct memory_block {
    struct memory_block *next;
    size_t used, size;
    _Alignas(max_align_t) unsigned char bytes[];
};

static struct memory_block *new_block(struct memory *memory, size_t least)
{
    size_t size = least > BLOCK_SIZE ? least : BLOCK_SIZE;
    struct memory_block *block = size < SIZE_MAX / 2 ? malloc(sizeof *block + size) : NULL;
    if (!block)
        _exit(GUARDED_NO_MEMORY);
    block->next = memory->blocks;
    block->used = 0;
    block->size = size;
    memory->blocks = block;
    return block;
}

void *opool__shapes_take(struct memory *memory, size_t size)
{
    const size_t unit = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        _exit(GUARDED_NO_MEMORY);
    size = (size + unit - 1) / unit * unit;
    struct memory_block *block = memory->blocks;
    if (!block || block->size - block->used < size)
        block = new_block(memory, size);
    void *taken = block->bytes + block->used;
    block->used += size;
    return memset(taken, 0, size);
}

char *opool__shapes_copy(struct memory *memory, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(opool__shapes_take(memory, size), text, size);
}

char *opool__shapes_format(struct memory *memory, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        _exit(GUARDED_NO_MEMORY);
    char *text = opool__shapes_take(memory, (size_t)length + 1);
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void opool__shapes_give(struct memory *memory)
{
    while (memory->blocks) {
        struct memory_block *next = memory->blocks->next;
        free(memory->blocks);
        memory->blocks = next;
    }
}

/* Full when the count is 0 or a power of two of at least 8. */
void *opool__shapes_grow(struct memory *memory, void *items, size_t count, size_t size)
{
    if (count != 0 && (count < 8 || (count & (count - 1)) != 0))
        return items;
    size_t room = count < 8 ? 8 : count * 2;
    if (room > SIZE_MAX / 2 / size)
        _exit(GUARDED_NO_MEMORY);
    void *grown = opool__shapes_take(memory, room * size);
    if (count > 0)
        memcpy(grown, items, count * size);
    return grown;
}
