/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "at.h"

static const char *in_members(struct memory *memory, const struct node *parent, const char *path, uint64_t offset);

static bool covers(const struct node *member, uint64_t offset)
{
    return offset >= member->offset && offset - member->offset < member->size;
}

static const char *join(struct memory *memory, const char *path, const char *name)
{
    if (path[0] == '\0' || name[0] == '\0')
        return path[0] ? path : name;
    return opool__shapes_format(memory, "%s.%s", path, name);
}

/* [1][2] of the element with that number. */
static const char *with_indices(struct memory *memory, const char *path, const struct node *array, uint64_t index)
{
    uint64_t below = array->count;
    for (unsigned i = 0; i < array->dimensions; i++) {
        below = array->extent[i] ? below / array->extent[i] : 1;
        path = opool__shapes_format(memory, "%s[%llu]", path, (unsigned long long)(below ? index / below : index));
        index = below ? index % below : 0;
    }
    return path;
}

/* An anonymous array of structs keeps its brackets, so that the name still says which. */
static const char *in_member(struct memory *memory, const struct node *member, const char *path, uint64_t offset)
{
    path = join(memory, path, member->name);
    if (member->array != ARRAY_NONE && member->element_size > 0)
        path = with_indices(memory, path, member, offset / member->element_size);
    if (!node_is_aggregate(member) || member->element_size == 0)
        return path;
    const char *inside = in_members(memory, member, path, offset % member->element_size);
    return inside[0] ? inside : path;
}

/* Bit-fields share bytes. */
static const char *bit_fields(struct memory *memory, const struct node *first, const char *path, uint64_t offset)
{
    const char *names = join(memory, path, first->name);
    for (const struct node *member = first->next; member; member = member->next)
        if (member->bits && covers(member, offset))
            names = opool__shapes_format(memory, "%s, %s", names, join(memory, path, member->name));
    return names;
}

/* Of a union: the pointer that starts here, because whoever asks found one; else the first that is as long as this. */
static const struct node *of_union(const struct node *parent, uint64_t offset)
{
    const struct node *found = NULL;
    for (const struct node *member = parent->children; member; member = member->next) {
        if (!covers(member, offset))
            continue;
        if (member->kind == NODE_POINTER)
            return member;
        if (!found)
            found = member;
    }
    return found;
}

static const struct node *of_struct(const struct node *parent, uint64_t offset)
{
    for (const struct node *member = parent->children; member; member = member->next)
        if (covers(member, offset))
            return member;
    return NULL;
}

/* The last member in front of the offset. */
static const struct node *before(const struct node *parent, uint64_t offset)
{
    const struct node *found = NULL;
    for (const struct node *member = parent->children; member; member = member->next)
        if (member->offset + member->size <= offset && (!found || member->offset >= found->offset))
            found = member;
    return found;
}

static const char *padding(struct memory *memory, const struct node *parent, const char *path, uint64_t offset)
{
    const struct node *member = before(parent, offset);
    const char *name = join(memory, path, member ? member->name : "");
    return opool__shapes_format(memory, member ? "padding behind %s" : "padding in front of %s", name[0] ? name : "it");
}

static const char *in_members(struct memory *memory, const struct node *parent, const char *path, uint64_t offset)
{
    const struct node *member = parent->kind == NODE_UNION ? of_union(parent, offset) : of_struct(parent, offset);
    if (!member)
        return parent->children ? padding(memory, parent, path, offset) : path;
    if (member->bits)
        return bit_fields(memory, member, path, offset);
    return in_member(memory, member, path, offset - member->offset);
}

const char *opool__shapes_at(struct memory *memory, const struct node *type, uint64_t offset)
{
    if (offset >= type->size)
        return NULL;
    const char *name = in_member(memory, type, "", offset);
    return name[0] ? name : type->type;
}
