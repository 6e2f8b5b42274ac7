/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cxx.h"

/*
 * clang    a constant bit_cast wants a type that constants can have (a plain struct, or a class with a constexpr
 *          constructor) and that is trivial to copy. No debug information says what is constexpr.
 * g++      asks a plain struct for its members one by one, up to 128 with the bases; what is no plain struct passes.
 *          A member that {} does not initialise ends the asking, but that one has constructors, and is in doubt anyway.
 * a list   is an initialiser of {} for each member of a plain struct of standard layout.
 *
 * A plain struct: no constructors, no private members or bases, no virtual functions. In C++17 a constructor that is
 * defaulted or deleted is no hindrance, later it is, but then the defaulted one is constexpr.
 */

enum { MEMBERS_LOOKED_INTO = 128 };

static unsigned count(const struct node *node)
{
    unsigned members = 0;
    for (const struct node *child = node->children; child; child = child->next)
        members++;
    return members;
}

static bool has_hidden(const struct node *node)
{
    for (const struct node *child = node->children; child; child = child->next)
        if (child->access != ACCESS_PUBLIC)
            return true;
    return false;
}

/* ---- OPOOL_DEFINE ---- */

#define UNTOLD ": clang takes a class only if it has a constexpr constructor, which debug information does not tell"

static const char cure_class[] = "try OPOOL_DEFINE, or make it a plain struct";

static struct doubt own_doubt(struct memory *memory, const struct node *node)
{
    unsigned members = count(node);
    const char *name = node->element;
    if (node->is_constructed || node->lacks_default)
        return (struct doubt){opool__shapes_format(memory, "%s has constructors" UNTOLD, name), cure_class};
    if (has_hidden(node))
        return (struct doubt){opool__shapes_format(memory, "%s has private members" UNTOLD, name), cure_class};
    if (node->has_copy)
        return (struct doubt){opool__shapes_format(memory,
                                                   "%s declares how it is copied or assigned: clang takes a class "
                                                   "only if that is trivial, which may not be",
                                                   name),
                              cure_class};
    if (members > MEMBERS_LOOKED_INTO)
        return (struct doubt){opool__shapes_format(memory, "%s has %u members: g++ looks into structs of up to %d",
                                                   name, members, MEMBERS_LOOKED_INTO),
                              "gather some in structs of their own"};
    return (struct doubt){NULL, NULL};
}

struct doubt opool__shapes_doubt(struct memory *memory, const struct node *node)
{
    struct doubt doubt = {NULL, NULL};
    if (node->kind != NODE_STRUCT || node->is_standard)
        return doubt;
    doubt = own_doubt(memory, node);
    for (const struct node *child = node->children; child && !doubt.why; child = child->next)
        doubt = opool__shapes_doubt(memory, child);
    return doubt;
}

/* ---- OPOOL_DEFINE_MEMBERS ---- */

/* Does {} initialise it? The first of the members that it does not, else NULL. */
static const struct node *without_default(const struct node *node)
{
    if (node->kind == NODE_REFERENCE || node->kind == NODE_UNKNOWN)
        return node;
    if (!node_is_aggregate(node))
        return NULL;
    if (node->has_constructor)
        return node->lacks_default ? node : NULL;
    bool is_plain = !has_hidden(node);
    for (const struct node *child = node->children; child; child = child->next) {
        const struct node *found = !is_plain && child->is_const ? node : without_default(child);
        if (found)
            return found;
        if (node->kind == NODE_UNION)
            return NULL; /* of a union, the first alone */
    }
    return NULL;
}

static bool has_members(const struct node *node)
{
    for (const struct node *child = node->children; child; child = child->next)
        if (!child->is_base || has_members(child))
            return true;
    return false;
}

/* Does an object of that class lie where `node` starts? Two of one class may not lie at one place. */
static bool starts_with(const struct node *node, const char *class)
{
    if (strcmp(node->element, class) == 0)
        return true;
    bool is_first = true;
    for (const struct node *child = node->children; child; child = child->next) {
        if ((child->is_base || is_first) && starts_with(child, class))
            return true;
        is_first = is_first && child->is_base;
    }
    return false;
}

/* Is one of the bases of the class where its first member starts? */
static bool repeats_base(const struct node *node, const struct node *first)
{
    for (const struct node *base = node->children; base && base->is_base; base = base->next)
        if (starts_with(first, base->element) || repeats_base(base, first))
            return true;
    return false;
}

static bool is_standard_layout(const struct node *node)
{
    unsigned holders = 0; /* classes, of this one and its bases, that have members */
    const struct node *first = NULL;
    if (node->kind == NODE_REFERENCE || node->kind == NODE_UNKNOWN || node->is_table)
        return false;
    for (const struct node *child = node->children; child; child = child->next) {
        if (!is_standard_layout(child))
            return false;
        if (child->is_base) {
            holders += has_members(child);
            continue;
        }
        if (first && first->access != child->access)
            return false;
        if (!first && repeats_base(node, child))
            return false;
        first = child;
    }
    return holders + (first != NULL) <= 1;
}

const char *opool__shapes_unlistable(struct memory *memory, const struct node *member)
{
    if (member->kind == NODE_REFERENCE || member->kind == NODE_UNKNOWN)
        return NULL; /* in no list for another reason */
    const struct node *found = without_default(member);
    if (found && found != member)
        return opool__shapes_format(memory,
                                    "%s: a list needs what can be initialised by {}, and %s in it has no default "
                                    "constructor for that",
                                    member->name, found->name[0] ? found->name : found->element);
    if (found)
        return opool__shapes_format(memory,
                                    "%s: a list needs what can be initialised by {}, and %s has no default constructor "
                                    "for that",
                                    member->name, member->element);
    if (!is_standard_layout(member))
        return opool__shapes_format(memory,
                                    "%s: a list needs standard layout, which %s has not (members of different access, "
                                    "or in a class and its base): make it a plain struct",
                                    member->name, member->element);
    return NULL;
}

bool opool__shapes_is_polymorphic(const struct node *node)
{
    for (const struct node *child = node->children; child; child = child->next)
        if (child->is_table || (child->is_base && opool__shapes_is_polymorphic(child)))
            return true;
    return false;
}
