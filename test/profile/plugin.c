/* SPDX-License-Identifier: MIT */

/* Loaded by subject.c while it runs; of another name with -DSECOND, at the same addresses; with -DLARGE from lower ones
   on, up to these. */
#include <stdlib.h>

#ifdef SECOND
#define ALLOCATE second_allocate
#else
#define ALLOCATE plugin_allocate
#endif

#ifdef LARGE
__asm__(".text\n.space 20480");
#endif

void *ALLOCATE(void);

void *ALLOCATE(void)
{
    void *at = malloc(90);
    __asm__ volatile("" : "+r"(at)::"memory");
    return at;
}
