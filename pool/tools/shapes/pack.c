/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* Padding: where it lies, and which order of members would have less of it. */

enum { BITS_ALIGN_MOST = 16 }; /* of the type of a bit-field; files may say anything */

/* A member, or bit-fields that share their bytes. */
struct unit {
    const struct node *first, *last;
    uint64_t offset, end, align;
    uint64_t room;   /* bytes that it takes wherever it stands */
    size_t position; /* in the declaration */
    unsigned members;
};

struct units {
    struct unit *all;
    size_t count;
    bool can_move; /* a plain struct, each member where its type and the one before it would put it */
};

struct pack {
    struct memory *memory;
    struct report *report;
};

/* ---- units ---- */

static uint64_t end_of(const struct node *member)
{
    return member->offset + member->size;
}

static bool joins(const struct unit *unit, const struct node *member)
{
    return unit->first->bits && member->bits && member->offset < unit->end + member->align;
}

static bool may_move(const struct node *member)
{
    return !member->is_base && !member->is_table && member->kind != NODE_UNKNOWN && member->array <= ARRAY_FIXED &&
           (member->bits || member->offset % member->align == 0);
}

static uint64_t round_up(uint64_t size, uint64_t align)
{
    return (size + align - 1) / align * align;
}

/* Debug information does not mention bit-fields without a name, nor some attributes. Where members do not follow each
   other as they should there is one, and no order does away with it. Bit-fields may start anywhere. */
static bool is_explained(const struct units *units, const struct node *parent)
{
    uint64_t end = 0;
    for (size_t i = 0; i < units->count; i++) {
        const struct unit *unit = &units->all[i];
        if (unit->offset < end || unit->offset > round_up(end, unit->align))
            return false;
        end = unit->end;
    }
    return parent->element_size >= end && parent->element_size <= round_up(end, parent->align);
}

/* What is behind bit-fields may be one without a name, and then moves with them. */
static void measure_room(struct units *units, const struct node *parent)
{
    for (size_t i = 0; i < units->count; i++) {
        struct unit *unit = &units->all[i];
        uint64_t next = i + 1 < units->count ? unit[1].offset : parent->element_size;
        unit->room = (unit->first->bits ? next : unit->end) - unit->offset;
    }
}

static struct units list_units(struct memory *memory, const struct node *parent)
{
    struct units units = {.can_move = parent->kind == NODE_STRUCT};
    for (const struct node *member = parent->children; member; member = member->next) {
        struct unit *last = units.count ? &units.all[units.count - 1] : NULL;
        units.can_move = units.can_move && may_move(member);
        if (last && joins(last, member)) {
            last->end = end_of(member) > last->end ? end_of(member) : last->end;
            last->align = member->align > last->align ? member->align : last->align;
            last->last = member;
            last->members++;
            continue;
        }
        units.all = opool__shapes_grow(memory, units.all, units.count, sizeof *units.all);
        units.all[units.count] =
            (struct unit){member, member, member->offset, end_of(member), member->align, 0, units.count, 1};
        units.count++;
    }
    units.can_move = units.can_move && is_explained(&units, parent);
    if (units.can_move)
        measure_room(&units, parent);
    return units;
}

/* ---- holes ---- */

static void add_hole(struct pack *pack, const char *path, const struct node *member, uint64_t offset, uint64_t size,
                     uint64_t times)
{
    struct report *report = pack->report;
    const char *behind = opool__shapes_path(pack->memory, path, member);
    if (member->name[0] == '\0') /* anonymous, or a base */
        behind = opool__shapes_format(pack->memory, "%s%s%s", path, path[0] ? "." : "", member->element);
    report->holes = opool__shapes_grow(pack->memory, report->holes, report->hole_count, sizeof *report->holes);
    report->holes[report->hole_count++] = (struct hole){behind, offset, size, times};
}

static int by_offset(const void *left, const void *right)
{
    const struct unit *a = left, *b = right;
    return a->offset != b->offset ? (a->offset < b->offset ? -1 : 1) : (a->position < b->position ? -1 : 1);
}

static void find_holes(struct pack *pack, const struct node *parent, struct units *units, const char *path,
                       uint64_t base, uint64_t times)
{
    uint64_t end = 0;
    const struct node *last = NULL;
    qsort(units->all, units->count, sizeof *units->all, by_offset);
    for (size_t i = 0; i < units->count; i++) {
        const struct unit *unit = &units->all[i];
        if (last && unit->offset > end)
            add_hole(pack, path, last, base + end, unit->offset - end, times);
        if (unit->end >= end) {
            end = unit->end;
            last = unit->last;
        }
    }
    if (last && parent->element_size > end && last->array <= ARRAY_FIXED &&
        !parent->is_base) /* what derives may use it */
        add_hole(pack, path, last, base + end, parent->element_size - end, times);
}

/* ---- order ---- */

/* Alignments are powers of two and sizes multiples of them, so falling alignments leave no holes but at the end. */
static int by_alignment(const void *left, const void *right)
{
    const struct unit *a = left, *b = right;
    return a->align != b->align ? (a->align > b->align ? -1 : 1) : (a->position < b->position ? -1 : 1);
}

/* From byte `at` on, no bit-field lies across a boundary of its type. */
static uint64_t end_of_bits(const struct unit *unit, uint64_t at)
{
    uint64_t bit = at * 8;
    const struct node *member = unit->first;
    for (unsigned i = 0; i < unit->members; i++, member = member->next) {
        uint64_t boundary = (member->align < BITS_ALIGN_MOST ? member->align : BITS_ALIGN_MOST) * 8;
        if (bit / boundary != (bit + member->bits - 1) / boundary)
            bit = round_up(bit, boundary);
        bit += member->bits;
    }
    return (bit + 7) / 8;
}

static uint64_t packed_size(const struct units *units, uint64_t align)
{
    uint64_t size = 0;
    for (size_t i = 0; i < units->count; i++) {
        const struct unit *unit = &units->all[i];
        uint64_t at = round_up(size, unit->align);
        size = at + unit->room;
        if (unit->first->bits && end_of_bits(unit, at) > size)
            size = end_of_bits(unit, at);
    }
    return round_up(size, align);
}

static const char *names(struct memory *memory, const struct units *units)
{
    const char *text = "";
    for (size_t i = 0; i < units->count; i++) {
        const struct node *member = units->all[i].first;
        for (unsigned k = 0; k < units->all[i].members; k++, member = member->next)
            text = opool__shapes_format(memory, "%s%s%s", text, text[0] ? ", " : "",
                                        member->name[0] ? member->name : member->type);
    }
    return text;
}

static void find_order(struct pack *pack, const struct node *parent, struct units *units, const char *path,
                       uint64_t times)
{
    struct report *report = pack->report;
    qsort(units->all, units->count, sizeof *units->all, by_alignment);
    uint64_t size = packed_size(units, parent->align);
    if (size >= parent->element_size)
        return;
    report->orders = opool__shapes_grow(pack->memory, report->orders, report->order_count, sizeof *report->orders);
    report->orders[report->order_count++] = (struct order){
        .path = path,
        .type = parent->element,
        .members = names(pack->memory, units),
        .size = size,
        .saves = parent->element_size - size,
        .times = times,
    };
}

/* ---- the whole ---- */

static void pack_members(struct pack *pack, const struct node *parent, const char *path, uint64_t base, uint64_t times)
{
    struct units units = list_units(pack->memory, parent);
    if (units.count == 0)
        return;
    if (parent->kind == NODE_STRUCT)
        find_holes(pack, parent, &units, path, base, times);
    if (units.can_move)
        find_order(pack, parent, &units, path, times);
    for (const struct node *member = parent->children; member; member = member->next)
        if (node_is_aggregate(member) && member->array <= ARRAY_FIXED)
            pack_members(pack, member, opool__shapes_path(pack->memory, path, member), base + member->offset,
                         times * member->count);
}

void opool__shapes_pack(struct memory *memory, struct report *report, const struct node *tree)
{
    struct pack pack = {memory, report};
    if (node_is_aggregate(tree))
        pack_members(&pack, tree, "", 0, 1);
}
