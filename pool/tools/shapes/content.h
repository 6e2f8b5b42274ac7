/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_CONTENT_H
#define OPOOL_SHAPES_CONTENT_H

#include "tree.h"

enum { BORROWED_DIMENSIONS = 2 }; /* of an array of pointers in a list */

/** How a direct member stands in a list. */
enum mark { MARK_NONE, MARK_BORROWED, MARK_OPAQUE, MARK_BITS, MARK_IMPOSSIBLE };

/* What there is anywhere inside a member. */
struct content {
    const struct node *pointer; /* the first of each kind, else NULL */
    const struct node *function, *member_pointer, *reference, *unknown, *varying;
    bool has_union, has_volatile, has_const, has_destructor, has_table;
};

/** Adds what there is in the node, itself included. */
void opool__shapes_look_into(struct content *content, const struct node *node);

/** Pointer to an object or to a function. */
bool opool__shapes_is_pointer(const struct node *member);

/** Which mark a list needs for a member that holds this. */
enum mark opool__shapes_mark(const struct node *member, const struct content *content, bool is_cxx);

#endif
