/* SPDX-License-Identifier: MIT */
#include <dwarf.h>

#include "read.h"

static bool take_first(void *arg, Dwarf_Die *type, const char *scope)
{
    (void)scope;
    *(Dwarf_Die *)arg = *type;
    return false;
}

static bool find_complete(void *arg, const char *name, Dwarf_Die *incomplete, Dwarf_Die *found)
{
    struct module *module = arg;
    const char *keyword = dwarf_tag(incomplete) == DW_TAG_union_type ? "union" : "struct";
    struct memory scratch = {0};
    bool none =
        opool__shapes_find_types(module, opool__shapes_format(&scratch, "%s %s", keyword, name), take_first, found);
    opool__shapes_give(&scratch);
    return !none;
}

struct node *opool__shapes_read(struct module *module, struct memory *memory, Dwarf_Die *type, const char **why)
{
    struct reader reader = {
        .memory = memory,
        .find = find_complete,
        .arg = module,
        .align_of_8 = module->is_x86_32 ? 4 : 8,
    };
    struct node *tree = opool__shapes_tree(&reader, type);
    if (!tree)
        *why = reader.broken;
    return tree;
}
