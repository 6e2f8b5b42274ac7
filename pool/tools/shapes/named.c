/* SPDX-License-Identifier: MIT */
#include <dwarf.h>

#include "class.h"
#include "entry.h"
#include "named.h"

enum {
    LEVELS_MOST = 64,   /* scopes around a type */
    ARGUMENTS_DEEP = 4, /* templates as arguments of templates */
};

/* The entry beside `*at`, or it, that `place` lies in, or is: entries stand in the order of their offsets. */
static void last_up_to(Dwarf_Die *at, Dwarf_Off place)
{
    Dwarf_Die next = *at;
    while (opool__shapes_next(&next) && dwarf_dieoffset(&next) <= place)
        *at = next;
}

static const char *why_not(Dwarf_Die *around, Dwarf_Die *inner)
{
    switch (dwarf_tag(around)) {
    case DW_TAG_subprogram:
        return "it is local to a function, and no pool can be defined there: move it out";
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
        if (opool__shapes_access(inner, around) != ACCESS_PUBLIC)
            return "it is private to a class, and no pool can be defined there: make it public";
        return NULL;
    default:
        return NULL;
    }
}

/* From the unit down to the type. */
static const char *look_around(Dwarf_Die *type)
{
    Dwarf_Die around, inner;
    Dwarf_Off place = dwarf_dieoffset(type);
    if (!dwarf_diecu(type, &around, NULL, NULL))
        return NULL;
    for (int level = 0; level < LEVELS_MOST && opool__shapes_child(&around, &inner); level++) {
        last_up_to(&inner, place);
        const char *why = why_not(&around, &inner);
        if (why || dwarf_dieoffset(&inner) == place)
            return why;
        around = inner;
    }
    return NULL;
}

static const char *unnameable(Dwarf_Die *type, int depth);

/* What an argument is made of: pointers, arrays and the like can be named if that can. */
static const char *look_at_argument(Dwarf_Die *argument, int depth)
{
    Dwarf_Die type = *argument;
    for (int steps = 0; steps < CHAIN_MOST; steps++) {
        if (!opool__shapes_type_of(&type, &type))
            return NULL;
        switch (dwarf_tag(&type)) {
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
        case DW_TAG_enumeration_type:
            return unnameable(&type, depth + 1) ? "an argument of its template is local to a function, or private"
                                                : NULL;
        default:
            break;
        }
    }
    return NULL;
}

static const char *look_at_arguments(Dwarf_Die *type, int depth)
{
    Dwarf_Die child;
    if (!opool__shapes_child(type, &child))
        return NULL;
    do {
        const char *why = dwarf_tag(&child) == DW_TAG_template_type_parameter ? look_at_argument(&child, depth) : NULL;
        if (why)
            return why;
    } while (opool__shapes_next(&child));
    return NULL;
}

static const char *unnameable(Dwarf_Die *type, int depth)
{
    const char *why = look_around(type);
    return why || depth > ARGUMENTS_DEEP ? why : look_at_arguments(type, depth);
}

const char *opool__shapes_unnameable(Dwarf_Die *type)
{
    return unnameable(type, 0);
}
