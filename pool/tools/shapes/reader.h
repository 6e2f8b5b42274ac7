/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_READER_H
#define OPOOL_SHAPES_READER_H

#include <elfutils/libdw.h>

#include "memory.h"
#include "tree.h"

/* From entries of debug information (DIEs) to trees. Whatever the file says, each walk ends: entries must go forwards,
   chains, depths and members are bounded. */

enum {
    DEPTH_MOST = 64, /* structs inside structs */
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

#endif
