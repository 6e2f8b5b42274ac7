/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_GUESS_H
#define OPOOL_SHAPES_GUESS_H

#include "memory.h"
#include "tree.h"

/* What a pointer is probably there for, by names and neighbours. It never changes a verdict. */

enum likely { LIKELY_UNKNOWN, LIKELY_BORROWED, LIKELY_LINK, LIKELY_CONTAINER, LIKELY_GROWABLE };

struct guess {
    enum likely likely;
    const char *why; /* what to print */
};

struct guess opool__shapes_guess(struct memory *memory, const struct node *parent, const struct node *member);

#endif
