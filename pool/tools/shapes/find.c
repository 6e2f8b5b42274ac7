/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <stdio.h>
#include <string.h>

#include "entry.h"
#include "find.h"

enum { NAMESPACES_MOST = 16, QUALIFIED_MOST = 4096 };

static const char prefix[] = "opool__shape_";

/* ---- units ---- */

/* The entry to start from: of a split unit, the one in its .dwo file. */
static bool root_of(struct module *module, uint8_t unit_type, Dwarf_Die *unit, Dwarf_Die *split, Dwarf_Die *root)
{
    *root = *unit;
    if (unit_type != DW_UT_skeleton)
        return true;
    if (split->addr) {
        *root = *split;
        return true;
    }
    module->lacks_split = true;
    return false;
}

/* Calls look(arg, root) for each unit, until it returns false. False: it did. */
static bool each_unit(struct module *module, bool (*look)(void *arg, Dwarf_Die *root), void *arg)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die entry, split, root;
    while (dwarf_get_units(module->dwarf, unit, &unit, &version, &type, &entry, &split) == 0)
        if (entry.addr && root_of(module, type, &entry, &split, &root) && !look(arg, &root))
            return false;
    return true;
}

/* ---- records ---- */

struct record_search {
    struct module *module;
    int depth;
};

static bool address_of(Dwarf_Die *variable, uint64_t *address)
{
    Dwarf_Attribute location, number;
    Dwarf_Op *operations;
    size_t count;
    Dwarf_Addr value;
    if (!dwarf_attr(variable, DW_AT_location, &location) || dwarf_getlocation(&location, &operations, &count) != 0 ||
        count != 1)
        return false;
    if (operations[0].atom == DW_OP_addr) {
        *address = operations[0].number;
        return true;
    }
    if (dwarf_getlocation_attr(&location, operations, &number) != 0 || dwarf_formaddr(&number, &value) != 0)
        return false;
    *address = value;
    return true;
}

/* The record at that address; else one of that name that has nothing yet: where code was moved after the link,
   addresses do not fit. */
static struct record *record_of(struct module *module, const char *name, const uint64_t *address)
{
    struct record *loose = NULL;
    for (size_t i = 0; i < module->count; i++) {
        struct record *record = &module->records[i];
        if (record->is_exact || strcmp(record->name, name) != 0)
            continue;
        if (address && record->address == *address)
            return record;
        if (!loose && !record->variable.addr)
            loose = record;
    }
    return loose;
}

static void match(struct module *module, Dwarf_Die *variable, const char *name)
{
    uint64_t address = 0;
    bool has_address = address_of(variable, &address);
    struct record *record = record_of(module, name, has_address ? &address : NULL);
    if (!record)
        return;
    record->variable = *variable;
    record->is_exact = has_address && record->address == address;
}

static void look_for_records(struct record_search *search, Dwarf_Die *parent, int depth)
{
    Dwarf_Die child;
    if (!opool__shapes_child(parent, &child))
        return;
    do {
        int tag = dwarf_tag(&child);
        if (tag == DW_TAG_namespace && depth < NAMESPACES_MOST)
            look_for_records(search, &child, depth + 1);
        const char *name = tag == DW_TAG_variable ? dwarf_diename(&child) : NULL;
        if (name && strncmp(name, prefix, sizeof prefix - 1) == 0)
            match(search->module, &child, name + sizeof prefix - 1);
    } while (opool__shapes_next(&child));
}

static bool records_in_unit(void *arg, Dwarf_Die *root)
{
    look_for_records(arg, root, 0);
    return true;
}

void opool__shapes_find_records(struct module *module)
{
    struct record_search search = {.module = module};
    if (module->dwarf && module->count > 0)
        each_unit(module, records_in_unit, &search);
}

/* ---- types by name ---- */

struct type_search {
    const char *name; /* without the keyword */
    int tag;          /* 0: any */
    bool in_functions, found;
    type_visitor *visit;
    void *arg;
};

static bool is_type(int tag)
{
    switch (tag) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_typedef:
    case DW_TAG_base_type:
        return true;
    default:
        return false;
    }
}

/* "class" and "struct" are one to C++. */
static bool is_wanted(const struct type_search *search, int tag)
{
    if (search->tag == 0)
        return is_type(tag);
    return tag == search->tag || (search->tag == DW_TAG_structure_type && tag == DW_TAG_class_type) ||
           (search->tag == DW_TAG_class_type && tag == DW_TAG_structure_type);
}

/* Compilers set the blanks of "slots<char *, 4>" each in its own manner: without them. */
static void squeeze(char *to, size_t room, const char *text)
{
    for (; *text && room > 1; text++)
        if (*text != ' ') {
            *to++ = *text;
            room--;
        }
    *to = '\0';
}

/* Does the wanted name end in `name`, and what is before it in `scope`? */
static bool ends_in(const char *wanted, const char *scope, const char *name)
{
    size_t length = strlen(wanted), tail = strlen(name), around;
    if (length < tail || strcmp(wanted + length - tail, name) != 0)
        return false;
    if (length == tail)
        return true;
    if (length < tail + 3 || strncmp(wanted + length - tail - 2, "::", 2) != 0)
        return false;
    length -= tail + 2;
    around = strlen(scope);
    return around >= length && strncmp(scope + around - length, wanted, length) == 0 &&
           (around == length || scope[around - length - 1] == ':');
}

static bool matches(const struct type_search *search, const char *scope, const char *name)
{
    char squeezed[3][QUALIFIED_MOST];
    if (!strchr(search->name, '<'))
        return ends_in(search->name, scope, name);
    if (!strchr(name, '<') && !strchr(scope, '<'))
        return false;
    squeeze(squeezed[0], QUALIFIED_MOST, search->name);
    squeeze(squeezed[1], QUALIFIED_MOST, scope);
    squeeze(squeezed[2], QUALIFIED_MOST, name);
    return ends_in(squeezed[0], squeezed[1], squeezed[2]);
}

static bool is_scope(const struct type_search *search, int tag)
{
    return tag == DW_TAG_namespace || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
           tag == DW_TAG_union_type ||
           (search->in_functions && (tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block));
}

static bool report_type(struct type_search *search, Dwarf_Die *type, const char *scope)
{
    search->found = true;
    return search->visit(search->arg, type, scope);
}

/* What is inside a function has no name outside; unnamed namespaces have none either. */
static bool join_scope(char *to, const char *scope, int tag, const char *name)
{
    bool adds = name && tag != DW_TAG_subprogram && tag != DW_TAG_lexical_block;
    int length = snprintf(to, QUALIFIED_MOST, "%s%s%s", scope, adds && scope[0] ? "::" : "", adds ? name : "");
    return length >= 0 && length < QUALIFIED_MOST;
}

static bool types_inside(struct type_search *search, Dwarf_Die *parent, const char *scope, int depth)
{
    Dwarf_Die child;
    char inner[QUALIFIED_MOST];
    if (!opool__shapes_child(parent, &child))
        return true;
    do {
        int tag = dwarf_tag(&child);
        if (!is_scope(search, tag) && !is_type(tag))
            continue;
        const char *name = dwarf_diename(&child);
        if (name && is_wanted(search, tag) && matches(search, scope, name) &&
            !opool__shapes_flag(&child, DW_AT_declaration) && !report_type(search, &child, scope))
            return false;
        if (!is_scope(search, tag) || depth >= NAMESPACES_MOST || !dwarf_haschildren(&child))
            continue;
        if (!join_scope(inner, scope, tag, name) || types_inside(search, &child, inner, depth + 1))
            continue;
        return false;
    } while (opool__shapes_next(&child));
    return true;
}

static bool types_in_unit(void *arg, Dwarf_Die *root)
{
    return types_inside(arg, root, "", 0);
}

static bool cut(const char **name, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*name, word, length) != 0)
        return false;
    *name += length;
    while (**name == ' ')
        ++*name;
    return true;
}

static int take_keyword(const char **name)
{
    static const struct {
        const char *word;
        int tag;
    } keywords[] = {
        {"struct ", DW_TAG_structure_type},
        {"class ", DW_TAG_class_type},
        {"union ", DW_TAG_union_type},
        {"enum ", DW_TAG_enumeration_type},
    };
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (cut(name, keywords[i].word))
            return keywords[i].tag;
    return 0;
}

bool opool__shapes_find_types(struct module *module, const char *name, type_visitor *visit, void *arg)
{
    struct type_search search = {.visit = visit, .arg = arg};
    search.tag = take_keyword(&name);
    (void)cut(&name, "::");
    search.name = name;
    if (!module->dwarf || name[0] == '\0')
        return true;
    bool whole = each_unit(module, types_in_unit, &search);
    if (search.found)
        return whole;
    search.in_functions = true; /* seldom, and the greatest part of the file */
    return each_unit(module, types_in_unit, &search);
}
