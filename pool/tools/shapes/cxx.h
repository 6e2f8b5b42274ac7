/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_CXX_H
#define OPOOL_SHAPES_CXX_H

#include "memory.h"
#include "tree.h"

/* What the guards of C++ can look into. Where debug information does not tell, the answer is that they can not. */

/** Why OPOOL_DEFINE may not compile with each compiler, although no pointer or union is in the way. */
struct doubt {
    const char *why; /* NULL: it does */
    const char *cure;
};

struct doubt opool__shapes_doubt(struct memory *memory, const struct node *node);

/** Why OPOOL_DEFINE_MEMBERS takes this member of a plain struct under no mark, and what to do; NULL: it does. */
const char *opool__shapes_unlistable(struct memory *memory, const struct node *member);

/** Is there a table of virtual functions in an object of the class itself? */
bool opool__shapes_is_polymorphic(const struct node *node);

#endif
