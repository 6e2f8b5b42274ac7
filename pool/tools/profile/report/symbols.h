/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_SYMBOLS_H
#define OPOOL_TOOLS_PROFILE_REPORT_SYMBOLS_H

#include <elfutils/libdwfl.h>

#include "model.h"

/* Names for frames, from the files on disk. A file whose build-id is another than the one that ran is not used: its
   names would be wrong ones. */

struct symbols {
    struct model *model;
};

/* What a file on disk has. */
struct debug {
    Dwfl *dwfl; /* its own: programs at fixed addresses overlap */
    Dwfl_Module *module;
    Dwarf *dwarf;    /* NULL: none; then `bias` is nothing */
    Dwarf_Addr bias; /* added to addresses of the file */
};

/** Opens the binaries that frames are in, and names the frames. */
void opool__profile_symbols(struct symbols *symbols, struct model *model);
void opool__profile_symbols_close(struct symbols *symbols);

/** The debug information that a frame's code has: the unit, and the call's address in it. False: none. */
bool opool__profile_unit(const struct frame *frame, Dwarf_Die *unit, Dwarf_Addr *address);

#endif
