/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <string.h>

#include "class.h"
#include "entry.h"
#include "reader.h"

/* ---- a member's type ---- */

static struct node *refuse(struct reader *reader, const char *why)
{
    if (!reader->broken)
        reader->broken = why;
    return NULL;
}

/* Elements of one dimension; what the file does not say is a flexible array. */
static enum array_kind extent_of(Dwarf_Die *range, uint64_t *extent)
{
    Dwarf_Attribute attribute;
    Dwarf_Sword bound;
    Dwarf_Word count;
    *extent = 0;
    if (dwarf_attr(range, DW_AT_count, &attribute)) {
        if (dwarf_formudata(&attribute, &count) != 0)
            return ARRAY_VARIABLE;
        *extent = count;
        return count == 0 ? ARRAY_ZERO : count == UINT64_MAX ? ARRAY_FLEXIBLE : ARRAY_FIXED;
    }
    if (!dwarf_attr(range, DW_AT_upper_bound, &attribute))
        return ARRAY_FLEXIBLE;
    /* A constant's sign depends on its form: [200] may be written as one byte. */
    if (dwarf_formudata(&attribute, &count) == 0 && count < UINT64_MAX / 2) {
        *extent = count + 1;
        return ARRAY_FIXED;
    }
    return dwarf_formsdata(&attribute, &bound) != 0 ? ARRAY_VARIABLE : ARRAY_ZERO;
}

/* clang writes T x[] as a range without a bound; older compilers wrote no range at all. */
static bool add_dimensions(struct reader *reader, struct node *node, Dwarf_Die *array)
{
    Dwarf_Die range;
    bool any = false;
    if (opool__shapes_child(array, &range)) {
        do {
            uint64_t extent = 0;
            if (dwarf_tag(&range) != DW_TAG_subrange_type && dwarf_tag(&range) != DW_TAG_enumeration_type)
                continue;
            enum array_kind kind = extent_of(&range, &extent);
            if (kind > node->array)
                node->array = kind;
            any = true;
            if (node->dimensions == DIMENSIONS_MOST) {
                refuse(reader, "an array of more than 8 dimensions");
                return false;
            }
            node->extent[node->dimensions++] = extent;
            if (__builtin_mul_overflow(node->count, extent, &node->count)) {
                refuse(reader, "an array larger than memory");
                return false;
            }
        } while (opool__shapes_next(&range));
    }
    if (!any)
        node->array = ARRAY_FLEXIBLE;
    return true;
}

static void note_qualifier(struct node *node, int tag)
{
    node->is_const = node->is_const || tag == DW_TAG_const_type;
    node->is_volatile = node->is_volatile || tag == DW_TAG_volatile_type;
    node->is_atomic = node->is_atomic || tag == DW_TAG_atomic_type;
}

/* Through typedefs, qualifiers and arrays to what the memory holds. */
static bool strip(struct reader *reader, struct node *node, Dwarf_Die *type)
{
    for (int steps = 0; steps < CHAIN_MOST; steps++) {
        int tag = dwarf_tag(type);
        Dwarf_Attribute vector;
        bool is_array = tag == DW_TAG_array_type && !dwarf_attr(type, DW_AT_GNU_vector, &vector);
        if (tag != DW_TAG_typedef && !opool__shapes_is_qualifier(tag) && !is_array)
            return true;
        note_qualifier(node, tag);
        if (is_array && !add_dimensions(reader, node, type))
            return false;
        Dwarf_Die inner;
        if (!opool__shapes_type_of(type, &inner)) {
            refuse(reader, "a member of type void");
            return false;
        }
        *type = inner;
    }
    refuse(reader, "a type that is defined by itself");
    return false;
}

static uint64_t power_of_two_up_to(uint64_t size, uint64_t most)
{
    uint64_t power = 1;
    while (power < most && power * 2 <= size)
        power *= 2;
    return power;
}

static void measure_number(struct reader *reader, struct node *node, Dwarf_Die *type)
{
    if (!opool__shapes_number(type, DW_AT_byte_size, &node->element_size)) {
        Dwarf_Word size = 0; /* vectors: their elements */
        node->element_size = dwarf_aggregate_size(type, &size) == 0 ? size : 0;
    }
    uint64_t most = node->element_size == 8 ? reader->align_of_8 : 16;
    node->align = power_of_two_up_to(node->element_size, most);
}

struct frame { /* the structs that are being read */
    const struct frame *outer;
    void *die;
    const char *name;
};

/* Is `target` one of the structs around the member? */
static bool is_around(const struct frame *frame, Dwarf_Die *target)
{
    const char *name = dwarf_diename(target);
    for (; frame; frame = frame->outer)
        if (frame->die == target->addr || (name && frame->name && strcmp(name, frame->name) == 0))
            return true;
    return false;
}

/* Typedefs are kept for the text, and looked through for the question. */
static bool skip_names(Dwarf_Die *type, bool *is_const)
{
    for (int steps = 0; steps < CHAIN_MOST; steps++) {
        Dwarf_Die inner;
        int tag = dwarf_tag(type);
        *is_const = *is_const || tag == DW_TAG_const_type;
        if (tag != DW_TAG_typedef && !opool__shapes_is_qualifier(tag))
            return true;
        if (!opool__shapes_type_of(type, &inner))
            return false;
        *type = inner;
    }
    return false;
}

static const char *unqualified_name(struct reader *reader, Dwarf_Die type)
{
    Dwarf_Die inner;
    for (int steps = 0; steps < CHAIN_MOST && opool__shapes_is_qualifier(dwarf_tag(&type)); steps++) {
        if (!opool__shapes_type_of(&type, &inner))
            return NULL;
        type = inner;
    }
    return opool__shapes_type_name(reader->memory, &type);
}

static void read_pointer(struct reader *reader, struct node *node, Dwarf_Die *type, const struct frame *frame)
{
    Dwarf_Die target, bare;
    uint64_t size;
    node->kind = dwarf_tag(type) == DW_TAG_pointer_type ? NODE_POINTER : NODE_REFERENCE;
    node->element_size = opool__shapes_number(type, DW_AT_byte_size, &size) ? size : opool__shapes_address_size(type);
    node->align = power_of_two_up_to(node->element_size, 16);
    if (!opool__shapes_type_of(type, &target))
        return;
    node->target = unqualified_name(reader, target);
    bare = target;
    if (!skip_names(&bare, &node->to_const))
        return;
    (void)opool__shapes_number(&bare, DW_AT_byte_size, &node->target_size);
    if (dwarf_tag(&bare) == DW_TAG_subroutine_type && node->kind == NODE_POINTER)
        node->kind = NODE_FUNCTION;
    node->to_own_type = is_around(frame, &bare);
}

/* To data: an offset. To a function: its address, and what to add to `this`. */
static void read_member_pointer(struct node *node, Dwarf_Die *type)
{
    Dwarf_Die target;
    bool to_function = opool__shapes_type_of(type, &target) && dwarf_tag(&target) == DW_TAG_subroutine_type;
    node->kind = NODE_MEMBER_POINTER;
    node->align = opool__shapes_address_size(type);
    node->element_size = node->align * (to_function ? 2 : 1);
}

static bool read_members(struct reader *reader, struct node *parent, Dwarf_Die *type, const struct frame *outer,
                         int depth);

/* The definition of what is only declared here: by signature, or by name elsewhere. */
static bool complete(struct reader *reader, Dwarf_Die *type)
{
    Dwarf_Attribute signature;
    Dwarf_Die found;
    if (!opool__shapes_flag(type, DW_AT_declaration))
        return true;
    if (dwarf_attr(type, DW_AT_signature, &signature) && dwarf_formref_die(&signature, &found) &&
        !opool__shapes_flag(&found, DW_AT_declaration)) {
        *type = found;
        return true;
    }
    const char *name = dwarf_diename(type);
    if (!name || !reader->find || !reader->find(reader->arg, name, type, &found))
        return false;
    *type = found;
    return true;
}

static bool read_aggregate(struct reader *reader, struct node *node, Dwarf_Die *type, const struct frame *frame,
                           int depth)
{
    node->kind = dwarf_tag(type) == DW_TAG_union_type ? NODE_UNION : NODE_STRUCT;
    if (!complete(reader, type)) {
        node->kind = NODE_UNKNOWN;
        node->note = "incomplete in this debug information (clang: -fstandalone-debug writes it)";
        return true;
    }
    if (!opool__shapes_number(type, DW_AT_byte_size, &node->element_size))
        node->element_size = 0;
    if (depth >= DEPTH_MOST) {
        refuse(reader, "structs inside structs, more than 64 deep");
        return false;
    }
    return read_members(reader, node, type, frame, depth + 1);
}

/* Fills in what the type says; the node has its name and place. */
static bool read_type(struct reader *reader, struct node *node, Dwarf_Die type, const struct frame *frame, int depth)
{
    uint64_t align;
    node->count = 1;
    node->type = opool__shapes_type_name(reader->memory, &type);
    if (!strip(reader, node, &type))
        return false;
    node->element = opool__shapes_type_name(reader->memory, &type);
    bool good = true;
    switch (dwarf_tag(&type)) {
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
        read_pointer(reader, node, &type, frame);
        break;
    case DW_TAG_ptr_to_member_type:
        read_member_pointer(node, &type);
        break;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_interface_type:
    case DW_TAG_union_type:
        good = read_aggregate(reader, node, &type, frame, depth);
        break;
    case DW_TAG_base_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_array_type: /* a vector */
        measure_number(reader, node, &type);
        break;
    case DW_TAG_unspecified_type: /* nullptr_t */
        node->element_size = node->align = opool__shapes_address_size(&type);
        break;
    default:
        node->kind = NODE_UNKNOWN;
        node->note = "of a kind that is not understood";
    }
    if (opool__shapes_number(&type, DW_AT_alignment, &align) && align > node->align)
        node->align = align;
    if (__builtin_mul_overflow(node->count, node->element_size, &node->size))
        good = refuse(reader, "an array larger than memory");
    if (node->align == 0)
        node->align = 1;
    return good;
}

/* ---- a member's place ---- */

/* DWARF 2 and 3 write the offset as an expression. */
static bool byte_offset(Dwarf_Die *member, uint64_t *offset)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *operations;
    size_t count;
    *offset = 0;
    if (!dwarf_attr(member, DW_AT_data_member_location, &attribute))
        return true;
    if (opool__shapes_number(member, DW_AT_data_member_location, offset))
        return true;
    if (dwarf_getlocation(&attribute, &operations, &count) != 0 || count != 1 ||
        operations[0].atom != DW_OP_plus_uconst)
        return false;
    *offset = operations[0].number;
    return true;
}

/* DWARF 5 counts bits from the start of the struct; 3 from the highest bit of a unit of the declared type. */
static void place_bits(struct node *node, Dwarf_Die *member)
{
    uint64_t bits, bit, unit = node->element_size;
    if (!opool__shapes_number(member, DW_AT_bit_size, &bits) || bits == 0 || bits > 128)
        return;
    node->bits = (unsigned)bits;
    if (!opool__shapes_number(member, DW_AT_data_bit_offset, &bit)) {
        if (!opool__shapes_number(member, DW_AT_bit_offset, &bit))
            bit = 0;
        (void)opool__shapes_number(member, DW_AT_byte_size, &unit);
        bit = node->offset * 8 + (unit * 8 - bit - bits);
    }
    node->offset = bit / 8;
    node->bit = (unsigned)(bit % 8);
    node->size = node->element_size = (node->bit + bits + 7) / 8;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static struct node *read_member(struct reader *reader, Dwarf_Die *member, Dwarf_Die *type, const struct frame *frame,
                                int depth)
{
    Dwarf_Die of;
    uint64_t align;
    if (++reader->members > MEMBERS_MOST)
        return refuse(reader, "more than 200000 members");
    struct node *node = opool__shapes_take(reader->memory, sizeof *node);
    const char *name = dwarf_diename(member), *file = opool__shapes_file(member);
    node->is_base = dwarf_tag(member) == DW_TAG_inheritance;
    node->name = name && !node->is_base ? opool__shapes_copy(reader->memory, name) : "";
    node->access = opool__shapes_access(member, type);
    node->is_table = starts_with(node->name, "_vptr");
    if (!opool__shapes_type_of(member, &of))
        return refuse(reader, "a member without a type");
    if (!read_type(reader, node, of, frame, depth))
        return NULL;
    /* The place of an unnamed member is its type's. */
    node->file = file ? opool__shapes_copy(reader->memory, file) : NULL;
    node->line = opool__shapes_line(member);
    if (opool__shapes_number(member, DW_AT_alignment, &align) && align > node->align)
        node->align = align;
    if (!byte_offset(member, &node->offset)) {
        node->kind = NODE_UNKNOWN;
        node->note = node->is_base ? "a virtual base class: its place varies" : "its offset is not a constant";
    }
    place_bits(node, member);
    return node;
}

/* ---- a struct's members ---- */

/* C++ static members are declarations in DWARF 4, variables in 5. */
static bool is_data(Dwarf_Die *child)
{
    int tag = dwarf_tag(child);
    return tag == DW_TAG_inheritance || tag == DW_TAG_variant_part ||
           (tag == DW_TAG_member && !opool__shapes_flag(child, DW_AT_external) &&
            !opool__shapes_flag(child, DW_AT_declaration));
}

static struct node *read_variants(struct reader *reader)
{
    struct node *node = opool__shapes_take(reader->memory, sizeof *node);
    node->name = node->type = node->element = "";
    node->kind = NODE_UNKNOWN;
    node->note = "a variant part of another language: not understood";
    node->count = node->align = 1;
    return node;
}

static void raise_align(struct node *parent, const struct node *member)
{
    if (member->align > parent->align)
        parent->align = member->align;
}

/* gcc writes vectors without their length: they reach to what comes next. */
static void measure_rest(struct node *parent)
{
    if (parent->kind != NODE_STRUCT)
        return;
    for (struct node *member = parent->children; member; member = member->next) {
        uint64_t end = member->next ? member->next->offset : parent->element_size;
        if (member->kind == NODE_VALUE && member->element_size == 0 && member->array == ARRAY_NONE &&
            end > member->offset)
            member->element_size = member->size = end - member->offset;
    }
}

static bool read_members(struct reader *reader, struct node *parent, Dwarf_Die *type, const struct frame *outer,
                         int depth)
{
    const struct frame frame = {outer, type->addr, dwarf_diename(type)};
    struct node **last = &parent->children;
    Dwarf_Die child;
    for (const struct frame *f = outer; f; f = f->outer)
        if (f->die == type->addr)
            return refuse(reader, "a struct that contains itself");
    if (!opool__shapes_child(type, &child))
        return true;
    bool has_functions = false;
    do {
        has_functions = has_functions || dwarf_tag(&child) == DW_TAG_subprogram;
        if (!is_data(&child))
            continue;
        struct node *member = dwarf_tag(&child) == DW_TAG_variant_part
                                  ? read_variants(reader)
                                  : read_member(reader, &child, type, &frame, depth);
        if (!member)
            return false;
        raise_align(parent, member);
        *last = member;
        last = &member->next;
    } while (opool__shapes_next(&child));
    measure_rest(parent);
    opool__shapes_class(parent, type, has_functions);
    return true;
}

struct node *opool__shapes_tree(struct reader *reader, Dwarf_Die *type)
{
    struct node *node = opool__shapes_take(reader->memory, sizeof *node);
    reader->broken = NULL;
    reader->members = 0;
    node->name = "";
    if (!read_type(reader, node, *type, NULL, 0))
        return NULL;
    const char *file = opool__shapes_file(type);
    node->file = file ? opool__shapes_copy(reader->memory, file) : NULL;
    node->line = opool__shapes_line(type);
    return node;
}
