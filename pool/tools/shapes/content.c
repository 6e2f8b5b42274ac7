/* SPDX-License-Identifier: MIT */
#include "content.h"

static void note_first(const struct node **first, const struct node *node)
{
    if (!*first)
        *first = node;
}

void opool__shapes_look_into(struct content *content, const struct node *node)
{
    content->has_union = content->has_union || node->kind == NODE_UNION;
    content->has_volatile = content->has_volatile || node->is_volatile;
    content->has_const = content->has_const || node->is_const;
    content->has_destructor = content->has_destructor || node->has_destructor || node->may_have_destructor;
    content->has_table = content->has_table || node->is_table;
    if (node->array > ARRAY_FIXED)
        note_first(&content->varying, node);
    switch (node->kind) {
    case NODE_POINTER:
        note_first(&content->pointer, node);
        break;
    case NODE_FUNCTION:
        note_first(&content->function, node);
        break;
    case NODE_MEMBER_POINTER:
        note_first(&content->member_pointer, node);
        break;
    case NODE_REFERENCE:
        note_first(&content->reference, node);
        break;
    case NODE_UNKNOWN:
        note_first(&content->unknown, node);
        break;
    default:
        break;
    }
    for (const struct node *child = node->children; child; child = child->next)
        opool__shapes_look_into(content, child);
}

bool opool__shapes_is_pointer(const struct node *member)
{
    return member->kind == NODE_POINTER || member->kind == NODE_FUNCTION;
}

/* An array of pointers has as many dimensions as its name, and constant ones can not be cleared in C++. */
enum mark opool__shapes_mark(const struct node *member, const struct content *content, bool is_cxx)
{
    if (member->bits)
        return MARK_BITS;
    if (opool__shapes_is_pointer(member)) {
        bool clearable = member->dimensions <= BORROWED_DIMENSIONS && !(is_cxx && member->is_const);
        return clearable ? MARK_BORROWED : MARK_IMPOSSIBLE;
    }
    if (member->kind == NODE_MEMBER_POINTER || member->kind == NODE_REFERENCE || member->kind == NODE_UNKNOWN)
        return MARK_IMPOSSIBLE;
    if (content->pointer || content->function || content->member_pointer || content->reference || content->has_union ||
        content->has_volatile || content->has_const)
        return MARK_OPAQUE;
    return MARK_NONE;
}
