/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_FIND_H
#define OPOOL_SHAPES_FIND_H

#include "file.h"

/* Where things lie in debug information. Without an index in the file this means looking at every unit's entries, so
   units whose bytes do not refer to the name that is looked for are left out first. */

/** Finds the variable of each record. */
void opool__shapes_find_records(struct module *module);

typedef bool type_visitor(void *arg, Dwarf_Die *type, const char *scope);

/**
 * Calls visit(arg, type, scope) for each type of that name that is complete: "struct conn", "union u", "class c",
 * "enum e", or a bare name, also a typedef's; C++ names may be qualified, and match whatever is around them else.
 * `scope` is that: "ns::outer", or "". Until it returns false. False: it did.
 */
bool opool__shapes_find_types(struct module *module, const char *name, type_visitor *visit, void *arg);

#endif
