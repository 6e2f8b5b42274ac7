/* SPDX-License-Identifier: MIT */

/* Loaded by subject.c while it runs. */
#include <stdlib.h>

void *plugin_allocate(void);

void *plugin_allocate(void)
{
    void *at = malloc(90);
    __asm__ volatile("" : "+r"(at)::"memory");
    return at;
}
