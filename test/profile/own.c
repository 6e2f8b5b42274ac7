/* SPDX-License-Identifier: MIT */

/* A program with a malloc inside, which the loader finds before any other. */
#include <stddef.h>

static _Alignas(16) char memory[1 << 20];
static size_t used;

void *malloc(size_t size)
{
    void *at = memory + used;
    used += (size + 15) / 16 * 16;
    return used <= sizeof memory ? at : NULL;
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void *realloc(void *at, size_t size)
{
    char *to = malloc(size), *from = at;
    for (size_t i = 0; from && i < size && from + i < memory + used; i++)
        to[i] = from[i];
    return to;
}

void free(void *at)
{
    (void)at;
}

int main(void)
{
    for (int i = 0; i < 100; i++)
        free(malloc(32));
    return 0;
}
