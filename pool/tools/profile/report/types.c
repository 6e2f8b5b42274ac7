/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "../../shapes/class.h"
#include "../../shapes/entry.h"
#include "../../shapes/named.h"
#include "../../shapes/read.h"
#include "../../shapes/report.h"
#include "types.h"

enum {
    TYPES_MOST = 4,        /* of one size, that are named */
    ENTRIES_MOST = 200000, /* of a unit, that are looked at */
    FUNCTIONS_MOST = 4,    /* that a pointer is handed on through */
    POINTERS_MOST = 2,     /* `struct conn **to` is where a function leaves one */
};

struct search {
    struct memory *memory;
    uint64_t size;
    int line;
    Dwarf_Die types[TYPES_MOST];
    const char *names[TYPES_MOST];
    size_t count, more; /* more: that found no room */
    size_t looked;
    bool on_line;              /* the first one is by a variable of the line */
    const struct debug *debug; /* where they were found */
};

/* ---- types ---- */

static bool is_aggregate(Dwarf_Die *type)
{
    int tag = dwarf_tag(type);
    return tag == DW_TAG_structure_type || tag == DW_TAG_class_type || tag == DW_TAG_union_type;
}

/* Through typedefs and qualifiers; the last typedef's name is what an anonymous struct goes by. */
static bool strip(Dwarf_Die *type, Dwarf_Die *alias)
{
    alias->addr = NULL;
    for (int steps = 0; steps < CHAIN_MOST; steps++) {
        int tag = dwarf_tag(type);
        if (tag == DW_TAG_typedef)
            *alias = *type;
        else if (!opool__shapes_is_qualifier(tag))
            return true;
        if (!opool__shapes_type_of(type, type))
            return false;
    }
    return false;
}

/* Does this point to an object of the size, at most POINTERS_MOST times removed? Then `type` is the object's. */
static bool leads_to_size(Dwarf_Die *entry, uint64_t size, Dwarf_Die *type)
{
    Dwarf_Die step, alias;
    uint64_t bytes;
    if (!opool__shapes_type_of(entry, &step))
        return false;
    for (int pointers = 0; pointers <= POINTERS_MOST; pointers++) {
        if (!strip(&step, &alias))
            return false;
        if (pointers > 0 && is_aggregate(&step)) {
            *type = alias.addr && !dwarf_diename(&step) ? alias : step;
            return opool__shapes_number(&step, DW_AT_byte_size, &bytes) && bytes == size;
        }
        if (dwarf_tag(&step) != DW_TAG_pointer_type || !opool__shapes_type_of(&step, &step))
            return false;
    }
    return false;
}

static void add_type(struct search *search, Dwarf_Die *type)
{
    const char *name = opool__shapes_type_name(search->memory, type);
    if (strncmp(name, "struct opool__", 14) == 0)
        return; /* of a definition's guard */
    for (size_t i = 0; i < search->count; i++)
        if (strcmp(search->names[i], name) == 0)
            return;
    if (search->count == TYPES_MOST) {
        search->more++;
        return;
    }
    search->types[search->count] = *type;
    search->names[search->count++] = name;
}

/* ---- the function ---- */

static void take_first(struct search *search, Dwarf_Die *type)
{
    search->count = search->more = 0;
    search->on_line = true;
    add_type(search, type);
}

static void look_at_variables(struct search *search, Dwarf_Die *scope)
{
    Dwarf_Die child, type;
    if (search->on_line || !opool__shapes_child(scope, &child))
        return;
    do {
        int tag = dwarf_tag(&child);
        if ((tag != DW_TAG_variable && tag != DW_TAG_formal_parameter) || !leads_to_size(&child, search->size, &type))
            continue;
        if (tag == DW_TAG_variable && search->line > 0 && opool__shapes_line(&child) == search->line) {
            take_first(search, &type);
            return;
        }
        add_type(search, &type);
    } while (opool__shapes_next(&child) && ++search->looked < ENTRIES_MOST);
}

static bool returns_void_pointer(Dwarf_Die *function)
{
    Dwarf_Die type, alias, target;
    return opool__shapes_type_of(function, &type) && strip(&type, &alias) && dwarf_tag(&type) == DW_TAG_pointer_type &&
           !opool__shapes_type_of(&type, &target);
}

/* Of scopes from the inside outwards, those of the function `level` functions out. True: what it returns says nothing
   of a type, so that its caller has to be asked. */
static bool look_at_level(struct search *search, Dwarf_Die *scopes, int count, size_t level)
{
    Dwarf_Die type;
    size_t functions = 0;
    for (int i = 0; i < count && functions <= level; i++) {
        int tag = dwarf_tag(&scopes[i]);
        bool is_function = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
        if (functions == level)
            look_at_variables(search, &scopes[i]);
        if (is_function && functions == level) {
            if (!search->on_line && leads_to_size(&scopes[i], search->size, &type))
                add_type(search, &type);
            return search->count == 0 && returns_void_pointer(&scopes[i]);
        }
        functions += is_function;
    }
    return false;
}

static bool look_at_function(struct search *search, const struct frame *frame, size_t level)
{
    Dwarf_Die unit, *around = NULL, *scopes = NULL;
    Dwarf_Addr address;
    if (!opool__profile_unit(frame, &unit, &address))
        return false;
    int count = dwarf_getscopes(&unit, address, &around);
    int physical = count > 0 ? dwarf_getscopes_die(&around[0], &scopes) : 0;
    search->line = level < frame->line_count ? frame->lines[level].line : 0;
    search->debug = frame->binary->symbols;
    bool passes_on = look_at_level(search, scopes, physical, level);
    free(scopes);
    free(around);
    return passes_on;
}

/* The function of the site, and those that it only returns a `void *` to. */
static void look_at_functions(struct search *search, const struct site *site)
{
    const struct stack *stack = site->stacks[0];
    size_t at = 0, level = site->level;
    while (at < stack->depth && stack->frames[at] != site->at)
        at++;
    for (int i = 0; i < FUNCTIONS_MOST && at < stack->depth; i++) {
        if (!look_at_function(search, stack->frames[at], level))
            return;
        level++;
        if (level >= stack->frames[at]->line_count) {
            level = 0;
            at++;
        }
    }
}

/* ---- the unit ---- */

static void look_at_types(struct search *search, Dwarf_Die *unit)
{
    Dwarf_Die child, target, alias;
    uint64_t bytes;
    if (!opool__shapes_child(unit, &child))
        return;
    do {
        int tag = dwarf_tag(&child);
        bool is_typedef = tag == DW_TAG_typedef && opool__shapes_type_of(&child, &target) && strip(&target, &alias) &&
                          is_aggregate(&target) && !dwarf_diename(&target);
        if (!is_typedef && !(is_aggregate(&child) && dwarf_diename(&child)))
            continue;
        if (!is_typedef)
            target = child;
        if (opool__shapes_number(&target, DW_AT_byte_size, &bytes) && bytes == search->size)
            add_type(search, &child);
    } while (opool__shapes_next(&child) && ++search->looked < ENTRIES_MOST);
}

/* ---- what is said of it ---- */

static const char *obstacle_of(struct memory *memory, const struct report *report)
{
    if (report->outcome == OUTCOME_UNCHECKED && report->why)
        return report->why;
    for (size_t i = 0; i < report->finding_count; i++)
        if (report->findings[i].verdict >= VERDICT_UNCHECKED)
            return opool__shapes_format(memory, "%s: %s", report->findings[i].path,
                                        report->findings[i].why[0] ? report->findings[i].why
                                                                   : report->findings[i].type);
    return report->unnameable;
}

/* As `opool shapes -t` judges. */
static void judge(struct memory *memory, const struct debug *debug, Dwarf_Die *type, struct type_guess *guess)
{
    struct module module = {.module = debug->module, .dwarf = debug->dwarf};
    struct report report = {.kind = "", .more = "", .type = guess->name, .copies = 1};
    const char *why = NULL;
    struct node *tree = opool__shapes_read(&module, memory, type, &why);
    if (!tree || tree->kind == NODE_UNKNOWN)
        return;
    report.element = tree->element;
    report.size = tree->size;
    report.align = tree->align;
    report.is_cxx = opool__shapes_is_cxx(type);
    report.unnameable = opool__shapes_unnameable(type);
    opool__shapes_judge(memory, &report, tree, false);
    opool__shapes_define(memory, &report, tree);
    guess->is_judged = report.outcome != OUTCOME_UNCHECKED;
    guess->is_fixed = report.outcome == OUTCOME_FIXED;
    guess->obstacle = guess->is_fixed ? NULL : obstacle_of(memory, &report);
    guess->definition = report.definition ? report.definition->fixed : NULL;
}

static void say(struct search *search, struct type_guess *guess)
{
    const char *file = opool__shapes_file(&search->types[0]);
    guess->name = search->names[0];
    guess->file = file ? opool__shapes_copy(search->memory, file) : NULL;
    guess->line = opool__shapes_line(&search->types[0]);
    for (size_t i = 1; i < search->count; i++)
        guess->others = guess->others ? opool__shapes_format(search->memory, "%s, %s", guess->others, search->names[i])
                                      : search->names[i];
    if (search->more > 0)
        guess->others = opool__shapes_format(search->memory, "%s and %zu more", guess->others, search->more);
    judge(search->memory, search->debug, &search->types[0], guess);
}

void opool__profile_guess(struct memory *memory, const struct site *site, uint64_t size, struct type_guess *guess)
{
    struct search search = {.memory = memory, .size = size};
    Dwarf_Die unit;
    Dwarf_Addr address;
    *guess = (struct type_guess){.sure = SURE_NOT};
    if (!site->at)
        return;
    look_at_functions(&search, site);
    if (search.count > 0) {
        guess->sure = search.on_line ? SURE_LINE : SURE_FUNCTION;
    } else if (opool__profile_unit(site->at, &unit, &address)) {
        search.debug = site->at->binary->symbols;
        look_at_types(&search, &unit);
    }
    if (search.count == 0)
        return;
    if (guess->sure == SURE_NOT)
        guess->sure = SURE_SIZE;
    say(&search, guess);
}
