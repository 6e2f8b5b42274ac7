/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "guess.h"

/* Does one of `words` start in `name` where a word of it starts: 'cap', 'buf_size', 'inBuffSize', but not 'fileno'? */
static bool has_word(const char *name, const char *const words[])
{
    for (; *words; words++)
        for (const char *at = name; (at = strcasestr(at, *words)) != NULL; at++)
            if (at == name || !isalpha((unsigned char)at[-1]) || isupper((unsigned char)*at))
                return true;
    return false;
}

static bool is_size(const struct node *node)
{
    static const char *const words[] = {"cap", "size", "len", "alloc", "max", "count", "num", "avail", NULL};
    return node->kind == NODE_VALUE && node->array == ARRAY_NONE && node->element_size > 1 &&
           has_word(node->name, words);
}

static bool is_container(const struct node *pointer)
{
    static const char *const words[] = {"list",  "queue", "deque", "table", "hash", "map",    "tree",
                                        "array", "vec",   "dict",  "heap",  "ring", "string", "buf",
                                        "cache", "trie",  "bag",   "slist", NULL};
    return pointer->target && has_word(pointer->target, words);
}

static const struct node *previous(const struct node *parent, const struct node *member)
{
    const struct node *before = NULL;
    for (const struct node *node = parent->children; node && node != member; node = node->next)
        before = node;
    return before;
}

/* The length of a buffer stands behind it, with at most one number between; or before it, unless a pointer is in front
   of that, to which it belongs. */
static const struct node *size_beside(const struct node *parent, const struct node *member)
{
    if (parent->kind == NODE_UNION)
        return NULL;
    const struct node *behind = member->next;
    for (int i = 0; i < 2 && behind && behind->kind == NODE_VALUE; i++, behind = behind->next)
        if (is_size(behind))
            return behind;
    const struct node *before = previous(parent, member);
    if (!before || !is_size(before))
        return NULL;
    const struct node *other = previous(parent, before);
    return other && other->kind == NODE_POINTER ? NULL : before;
}

struct guess opool__shapes_guess(struct memory *memory, const struct node *parent, const struct node *member)
{
    const struct node *size = size_beside(parent, member);
    if (member->to_own_type)
        return (struct guess){LIKELY_LINK, "list link to its own type"};
    if (member->to_const)
        return (struct guess){LIKELY_BORROWED, "to const: borrowed? then say so"};
    if (is_container(member))
        return (struct guess){LIKELY_CONTAINER, "handle of a container"};
    if (size)
        return (struct guess){LIKELY_GROWABLE, opool__shapes_format(memory, "growable? (beside '%s')", size->name)};
    return (struct guess){LIKELY_UNKNOWN, "borrowed or owned? say which"};
}
