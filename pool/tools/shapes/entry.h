/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_ENTRY_H
#define OPOOL_SHAPES_ENTRY_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

/* Questions to one entry of debug information (DIE). Whatever the file says, each ends. */

enum { CHAIN_MOST = 256 }; /* typedefs and qualifiers on the way to a type */

bool opool__shapes_type_of(Dwarf_Die *die, Dwarf_Die *type);
bool opool__shapes_flag(Dwarf_Die *die, unsigned attribute);
/** A constant; false: it has no such attribute, or it is no constant. */
bool opool__shapes_number(Dwarf_Die *die, unsigned name, uint64_t *to);
/** The next entry beside `die`, in place; false: there is none, or it does not lie behind. */
bool opool__shapes_next(Dwarf_Die *die);
bool opool__shapes_child(Dwarf_Die *die, Dwarf_Die *child);
/** Where it is declared; NULL and 0: unknown. The name lives as long as the debug information. */
const char *opool__shapes_file(Dwarf_Die *die);
int opool__shapes_line(Dwarf_Die *die);
/** Bytes of a pointer in the unit. */
uint64_t opool__shapes_address_size(Dwarf_Die *type);

/** Is its unit C++? */
bool opool__shapes_is_cxx(Dwarf_Die *die);

/** const, volatile, restrict and their like. */
bool opool__shapes_is_qualifier(int tag);
/** The type as a programmer would write it. */
const char *opool__shapes_type_name(struct memory *memory, Dwarf_Die *type);

#endif
