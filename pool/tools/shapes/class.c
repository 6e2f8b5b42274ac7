/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <string.h>

#include "class.h"
#include "entry.h"

/*
 * Which functions a class has, and which of them are trivial. gcc says of each whether it is defaulted. clang does not,
 * but how objects are passed to functions: by value if copies and the destructor are trivial. If they are passed by
 * reference, that is the destructor's doing, unless something else in the class explains it: then nobody knows.
 */

/* ---- access ---- */

enum access opool__shapes_access(Dwarf_Die *member, Dwarf_Die *parent)
{
    uint64_t access = dwarf_tag(parent) == DW_TAG_class_type ? DW_ACCESS_private : DW_ACCESS_public;
    (void)opool__shapes_number(member, DW_AT_accessibility, &access);
    return access == DW_ACCESS_public      ? ACCESS_PUBLIC
           : access == DW_ACCESS_protected ? ACCESS_PROTECTED
                                           : ACCESS_PRIVATE;
}

/* ---- functions ---- */

enum role { ROLE_OTHER, ROLE_CONSTRUCTOR, ROLE_COPY, ROLE_ASSIGNMENT, ROLE_DESTRUCTOR };

struct function {
    enum role role;
    unsigned parameters; /* beside `this` */
    bool is_artificial, is_deleted, is_defaulted, is_virtual, is_explicit;
    enum access access;
};

/* "slots" of "slots<char, 8>". */
static bool same_stem(const char *a, const char *b)
{
    size_t length = strcspn(a, "<");
    return length == strcspn(b, "<") && memcmp(a, b, length) == 0;
}

/* A reference to the class itself? */
static bool is_own(Dwarf_Die *parameter, Dwarf_Die *class)
{
    Dwarf_Die type, inner;
    if (!opool__shapes_type_of(parameter, &type) ||
        (dwarf_tag(&type) != DW_TAG_reference_type && dwarf_tag(&type) != DW_TAG_rvalue_reference_type) ||
        !opool__shapes_type_of(&type, &inner))
        return false;
    for (int steps = 0; steps < 4 && opool__shapes_is_qualifier(dwarf_tag(&inner)); steps++)
        if (!opool__shapes_type_of(&inner, &inner))
            return false;
    const char *name = dwarf_diename(&inner), *own = dwarf_diename(class);
    return inner.addr == class->addr || (name && own && strcmp(name, own) == 0);
}

/* How many there are; is the only one of the class's own type? */
static unsigned parameters_of(Dwarf_Die *function, Dwarf_Die *class, bool *is_own_type)
{
    Dwarf_Die child;
    unsigned count = 0;
    if (!opool__shapes_child(function, &child))
        return 0;
    do {
        int tag = dwarf_tag(&child);
        if ((tag != DW_TAG_formal_parameter && tag != DW_TAG_unspecified_parameters) ||
            opool__shapes_flag(&child, DW_AT_artificial))
            continue;
        *is_own_type = count == 0 && is_own(&child, class);
        count++;
    } while (opool__shapes_next(&child));
    return count;
}

static bool is_set(Dwarf_Die *die, unsigned attribute)
{
    uint64_t value = 0;
    return opool__shapes_number(die, attribute, &value) && value != 0;
}

static struct function read_function(Dwarf_Die *die, Dwarf_Die *class)
{
    struct function function = {.role = ROLE_OTHER};
    uint64_t defaulted = 0;
    bool is_own_type = false;
    const char *name = dwarf_diename(die), *own = dwarf_diename(class);
    if (!name || !own)
        return function;
    if (name[0] == '~')
        function.role = ROLE_DESTRUCTOR;
    else if (same_stem(name, own))
        function.role = ROLE_CONSTRUCTOR;
    else if (strcmp(name, "operator=") == 0)
        function.role = ROLE_ASSIGNMENT;
    else
        return function;
    function.parameters = parameters_of(die, class, &is_own_type);
    if (function.role == ROLE_CONSTRUCTOR && is_own_type)
        function.role = ROLE_COPY;
    if (function.role == ROLE_ASSIGNMENT && !is_own_type)
        function.role = ROLE_OTHER;
    (void)opool__shapes_number(die, DW_AT_defaulted, &defaulted);
    function.is_artificial = opool__shapes_flag(die, DW_AT_artificial);
    function.is_deleted = opool__shapes_flag(die, DW_AT_deleted);
    function.is_explicit = opool__shapes_flag(die, DW_AT_explicit);
    function.is_defaulted = defaulted == DW_DEFAULTED_in_class;
    function.is_virtual = is_set(die, DW_AT_virtuality);
    function.access = opool__shapes_access(die, class);
    return function;
}

/* ---- the class ---- */

struct class
{
    struct node *node;
    uint64_t convention; /* how its objects are passed: DW_CC_normal where that is not said */
    bool has_default, has_destructor, is_copied;
};

static void note_constructor(struct class *class, const struct function *function)
{
    struct node *node = class->node;
    node->has_constructor = true;
    if (!function->is_defaulted && !function->is_deleted && function->role == ROLE_CONSTRUCTOR)
        node->is_constructed = true;
    if (function->role == ROLE_CONSTRUCTOR && function->parameters == 0 && !function->is_deleted &&
        !function->is_explicit && function->access == ACCESS_PUBLIC)
        class->has_default = true;
}

static void note_copy(struct class *class, const struct function *function)
{
    bool is_trivial = function->is_deleted || function->is_defaulted ||
                      (function->role == ROLE_COPY && class->convention == DW_CC_pass_by_value);
    class->is_copied = true;
    class->node->has_copy = class->node->has_copy || !is_trivial;
}

/* To a pool, one that can not be called from there is none; of a base, the derived class may be a friend. */
static void note_destructor(struct class *class, const struct function *function)
{
    bool is_trivial = function->is_defaulted || class->convention == DW_CC_pass_by_value;
    bool is_callable = function->access == ACCESS_PUBLIC || class->node->is_base;
    if (function->is_virtual || function->is_deleted || !is_callable)
        class->node->has_destructor = true;
    else if (!is_trivial)
        class->has_destructor = true;
}

static void note_function(struct class *class, const struct function *function)
{
    if (function->is_artificial)
        return;
    if (function->role == ROLE_CONSTRUCTOR || function->role == ROLE_COPY)
        note_constructor(class, function);
    if (function->role == ROLE_COPY || function->role == ROLE_ASSIGNMENT)
        note_copy(class, function);
    if (function->role == ROLE_DESTRUCTOR)
        note_destructor(class, function);
}

static void note_functions(struct class *class, Dwarf_Die *type)
{
    Dwarf_Die child;
    if (!opool__shapes_child(type, &child))
        return;
    do {
        if (dwarf_tag(&child) != DW_TAG_subprogram)
            continue;
        struct function function = read_function(&child, type);
        note_function(class, &function);
    } while (opool__shapes_next(&child));
}

/* By name and by the folder of its header: the standard says of these that their constructors are constexpr; they are
   trivial to destroy, with each library that there is. */
static bool is_standard(Dwarf_Die *type)
{
    static const char *const starts[] = {"atomic", "__atomic", "duration<", "time_point<"};
    const char *name = dwarf_diename(type), *file = opool__shapes_file(type);
    if (!name || !file || !strstr(file, "/c++/"))
        return false;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static bool holds_pointer(const struct node *node)
{
    for (const struct node *child = node->children; child; child = child->next)
        if (child->kind == NODE_POINTER || child->kind == NODE_REFERENCE || holds_pointer(child))
            return true;
    return false;
}

/* Are there other reasons than a destructor to pass it by reference? */
static bool is_reference_explained(const struct class *class)
{
    for (const struct node *child = class->node->children; child; child = child->next)
        if (child->by_reference || child->is_table)
            return true;
    return class->is_copied;
}

/* What may be defaulted, and has nothing to free: in doubt. */
static void decide_destructor(struct class *class)
{
    struct node *node = class->node;
    if (!class->has_destructor || node->is_standard)
        return;
    if (class->convention == DW_CC_pass_by_reference && is_reference_explained(class) && !holds_pointer(node))
        node->may_have_destructor = true;
    else
        node->has_destructor = true;
}

void opool__shapes_class(struct node *node, Dwarf_Die *type, bool has_functions)
{
    struct class class = {.node = node, .convention = DW_CC_normal};
    (void)opool__shapes_number(type, DW_AT_calling_convention, &class.convention);
    node->by_reference = class.convention == DW_CC_pass_by_reference;
    if (!has_functions)
        return;
    node->is_standard = is_standard(type);
    note_functions(&class, type);
    node->lacks_default = node->has_constructor && !class.has_default;
    decide_destructor(&class);
}
