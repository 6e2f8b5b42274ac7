/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_READ_H
#define OPOOL_SHAPES_READ_H

#include "reader.h"
#include "find.h"

/** The tree of a type of a module; types that are only declared are looked for by name. NULL: `why` says why. */
struct node *opool__shapes_read(struct module *module, struct memory *memory, Dwarf_Die *type, const char **why);

#endif
