/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_DWARF_H
#define OPOOL_SHAPES_DWARF_H

#include <elfutils/libdw.h>

#include "memory.h"
#include "tree.h"

/* From entries of debug information (DIEs) to trees. Whatever the file says, each walk ends: entries must go forwards,
   chains, depths and members are bounded. */

enum {
    CHAIN_MOST = 256, /* typedefs and qualifiers on the way to a type */
    DEPTH_MOST = 64,  /* structs inside structs */
    MEMBERS_MOST = 200000,
};

struct reader {
    struct memory *memory;
    /* A complete type of that name and kind, anywhere in the file; may be NULL. */
    bool (*find)(void *arg, const char *name, Dwarf_Die *incomplete, Dwarf_Die *found);
    void *arg;
    unsigned align_of_8; /* of 8-byte numbers: 4 on 32-bit x86 */
    const char *broken;  /* what is malformed, else NULL */
    unsigned members;
};

/** The tree of a type, as a node without a name. NULL: `reader->broken` says why. */
struct node *opool__shapes_tree(struct reader *reader, Dwarf_Die *type);

/* The small questions that others ask too. */
bool opool__shapes_type_of(Dwarf_Die *die, Dwarf_Die *type);
bool opool__shapes_flag(Dwarf_Die *die, unsigned attribute);
/** The next entry beside `die`, in place; false: there is none, or it does not lie behind. */
bool opool__shapes_next(Dwarf_Die *die);
bool opool__shapes_child(Dwarf_Die *die, Dwarf_Die *child);
const char *opool__shapes_file(Dwarf_Die *die);
int opool__shapes_line(Dwarf_Die *die);
const char *opool__shapes_type_name(struct memory *memory, Dwarf_Die *type);

#endif
