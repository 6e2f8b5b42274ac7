/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_CLASS_H
#define OPOOL_SHAPES_CLASS_H

#include <elfutils/libdw.h>

#include "tree.h"

/* What debug information says of a C++ class beside its members. */

/** Of a member, a base class or a type that stands in `parent`. */
enum access opool__shapes_access(Dwarf_Die *member, Dwarf_Die *parent);
/** Fills in what the functions of a class say, once its members are in `node`. */
void opool__shapes_class(struct node *node, Dwarf_Die *type, bool has_functions);

#endif
