/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <string.h>

#include "entry.h"

/* ---- small questions ---- */

bool opool__shapes_type_of(Dwarf_Die *die, Dwarf_Die *type)
{
    Dwarf_Attribute attribute;
    return dwarf_attr_integrate(die, DW_AT_type, &attribute) && dwarf_formref_die(&attribute, type);
}

bool opool__shapes_flag(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute found;
    bool flag = false;
    return dwarf_attr(die, attribute, &found) && dwarf_formflag(&found, &flag) == 0 && flag;
}

bool opool__shapes_next(Dwarf_Die *die)
{
    Dwarf_Die next;
    if (dwarf_siblingof(die, &next) != 0 || (const char *)next.addr <= (const char *)die->addr)
        return false;
    *die = next;
    return true;
}

bool opool__shapes_child(Dwarf_Die *die, Dwarf_Die *child)
{
    return dwarf_child(die, child) == 0;
}

bool opool__shapes_number(Dwarf_Die *die, unsigned name, uint64_t *to)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    if (!dwarf_attr_integrate(die, name, &attribute) || dwarf_formudata(&attribute, &value) != 0)
        return false;
    *to = value;
    return true;
}

/* Not dwarf_decl_file: that takes clang's number 0 of DWARF 5 for "no file", and aborts in split units (elfutils
   0.188). The number is one of the unit in which the attribute stands: with -flto that is another than the entry's. */
const char *opool__shapes_file(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Word index;
    Dwarf_Die unit;
    Dwarf_Files *files;
    size_t count;
    Dwarf_Half version = 0;
    if (!dwarf_attr_integrate(die, DW_AT_decl_file, &attribute) || dwarf_formudata(&attribute, &index) != 0 ||
        dwarf_cu_info(attribute.cu, &version, NULL, &unit, NULL, NULL, NULL, NULL) != 0 ||
        (index == 0 && version < 5) || dwarf_getsrcfiles(&unit, &files, &count) != 0 || index >= count)
        return NULL;
    return dwarf_filesrc(files, (size_t)index, NULL, NULL);
}

int opool__shapes_line(Dwarf_Die *die)
{
    int line = 0;
    return dwarf_decl_line(die, &line) == 0 ? line : 0;
}

uint64_t opool__shapes_address_size(Dwarf_Die *type)
{
    Dwarf_Die unit;
    uint8_t size = 0;
    return dwarf_diecu(type, &unit, &size, NULL) && size != 0 ? size : 8;
}

bool opool__shapes_is_cxx(Dwarf_Die *die)
{
    enum { CXX_17 = 0x2a, CXX_20 = 0x2b, CXX_23 = 0x3a }; /* newer than elfutils 0.188 */
    Dwarf_Die unit;
    int language = dwarf_diecu(die, &unit, NULL, NULL) ? dwarf_srclang(&unit) : -1;
    return language == DW_LANG_C_plus_plus || language == DW_LANG_C_plus_plus_03 ||
           language == DW_LANG_C_plus_plus_11 || language == DW_LANG_C_plus_plus_14 || language == CXX_17 ||
           language == CXX_20 || language == CXX_23;
}

/* ---- names of types ---- */

bool opool__shapes_is_qualifier(int tag)
{
    switch (tag) {
    case DW_TAG_const_type:
    case DW_TAG_volatile_type:
    case DW_TAG_restrict_type:
    case DW_TAG_atomic_type:
    case DW_TAG_immutable_type:
    case DW_TAG_packed_type:
    case DW_TAG_shared_type:
        return true;
    default:
        return false;
    }
}

static const char *of_tag(struct memory *memory, int tag, const char *name)
{
    const char *word = tag == DW_TAG_structure_type     ? "struct "
                       : tag == DW_TAG_union_type       ? "union "
                       : tag == DW_TAG_class_type       ? "class "
                       : tag == DW_TAG_enumeration_type ? "enum "
                                                        : "";
    if (!name)
        name = tag == DW_TAG_unspecified_type ? "nullptr" : "(anonymous)";
    return opool__shapes_format(memory, "%s%s", word, name);
}

static const char *name_of(struct memory *memory, Dwarf_Die *type, int depth);

static const char *wrapped(struct memory *memory, const char *format, Dwarf_Die *type, int depth)
{
    Dwarf_Die inner;
    const char *name = opool__shapes_type_of(type, &inner) ? name_of(memory, &inner, depth + 1) : "void";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return opool__shapes_format(memory, format, name);
#pragma GCC diagnostic pop
}

static const char *pointer_name(struct memory *memory, Dwarf_Die *type, int depth)
{
    Dwarf_Die target;
    if (opool__shapes_type_of(type, &target) && dwarf_tag(&target) == DW_TAG_subroutine_type)
        return "function pointer";
    const char *name = wrapped(memory, "%s *", type, depth);
    size_t length = strlen(name);
    if (length > 3 && strcmp(name + length - 3, "* *") == 0)
        return opool__shapes_format(memory, "%.*s**", (int)(length - 3), name);
    return name;
}

/* What qualifies a pointer stands behind it. */
static bool is_pointer(Dwarf_Die type)
{
    Dwarf_Die inner;
    for (int steps = 0; steps < 16 && opool__shapes_is_qualifier(dwarf_tag(&type)); steps++) {
        if (!opool__shapes_type_of(&type, &inner))
            return false;
        type = inner;
    }
    return dwarf_tag(&type) == DW_TAG_pointer_type;
}

static const char *name_of(struct memory *memory, Dwarf_Die *type, int depth)
{
    if (depth > 16)
        return "...";
    switch (dwarf_tag(type)) {
    case DW_TAG_pointer_type:
        return pointer_name(memory, type, depth);
    case DW_TAG_reference_type:
        return wrapped(memory, "%s &", type, depth);
    case DW_TAG_rvalue_reference_type:
        return wrapped(memory, "%s &&", type, depth);
    case DW_TAG_ptr_to_member_type:
        return "pointer to member";
    case DW_TAG_const_type:
        return wrapped(memory, is_pointer(*type) ? "%s const" : "const %s", type, depth);
    case DW_TAG_volatile_type:
        return wrapped(memory, is_pointer(*type) ? "%s volatile" : "volatile %s", type, depth);
    case DW_TAG_atomic_type:
        return wrapped(memory, "_Atomic(%s)", type, depth);
    case DW_TAG_array_type:
        return wrapped(memory, "%s[]", type, depth);
    case DW_TAG_subroutine_type:
        return "function";
    default:
        if (opool__shapes_is_qualifier(dwarf_tag(type)))
            return wrapped(memory, "%s", type, depth);
        return of_tag(memory, dwarf_tag(type), dwarf_diename(type));
    }
}

const char *opool__shapes_type_name(struct memory *memory, Dwarf_Die *type)
{
    return name_of(memory, type, 0);
}
