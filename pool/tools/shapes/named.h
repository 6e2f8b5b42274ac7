/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_NAMED_H
#define OPOOL_SHAPES_NAMED_H

#include <elfutils/libdw.h>

/** Why a definition outside of all functions and classes can not name the type, and what to do; NULL: it can, if it has
    a name. */
const char *opool__shapes_unnameable(Dwarf_Die *type);

#endif
