/* SPDX-License-Identifier: MIT */

/* A library whose handlers of forks come between the collector's, and allocate. */
#include <pthread.h>
#include <stdlib.h>

static void *volatile block;

static void allocate_before(void)
{
    block = malloc(70);
    free(block);
}

static void allocate_in_parent(void)
{
    block = malloc(71);
    free(block);
}

static void allocate_in_child(void)
{
    block = malloc(72);
    free(block);
}

static __attribute__((constructor)) void start(void)
{
    (void)pthread_atfork(allocate_before, allocate_in_parent, allocate_in_child);
}
