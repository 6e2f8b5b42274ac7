/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_FILE_H
#define OPOOL_SHAPES_FILE_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

/*
 * A file as this tool sees it: modules (the file itself, or the members of an archive), each with the records that pool
 * definitions left in section opool_shapes (guard.h), and with debug information, which may lie in another file.
 */

/* One record. The strings are copies. */
struct record {
    const char *name, *type, *kind, *more;
    uint64_t address; /* where debug information says it is */
    uint64_t size, align;
    Dwarf_Die variable; /* found for it; addr NULL: none */
    bool is_exact;      /* found by the address, not by the name alone */
};

struct module {
    Dwfl_Module *module;
    const char *name; /* of the member of an archive, else NULL */
    struct record *records;
    size_t count;
    Dwarf *dwarf; /* NULL: none; `why` then says why not */
    const char *why;
    bool is_debug_only; /* the section is there, its contents are not */
    bool is_lto;        /* no code yet: the records come at the link */
    bool is_object;     /* before the link */
    bool is_x86_32;
    bool has_type_units; /* in sections of their own: libdw reads one of those of an object file */
    bool lacks_split;    /* a .dwo file was not found */
};

struct file {
    struct memory *memory;
    Dwfl *dwfl;
    struct module *modules;
    size_t count;
    const char *error; /* of the first module that can not be read */
    bool has_bitcode;  /* members of the archive that are no ELF files yet */
};

/** Opens a file and reads its records. False: `why` says what is wrong with it. Modules stay until close. */
bool opool__shapes_open(struct file *file, struct memory *memory, const char *path, const char **why);
void opool__shapes_close(struct file *file);
/** Opens a module's debug information, once. */
void opool__shapes_open_debug(struct module *module);

/** libdwfl for files that are named one by one; memory that lacks ends the process. */
Dwfl *opool__shapes_dwfl(void);
/** What it says is wrong, as a clause. */
const char *opool__shapes_dwfl_error(struct memory *memory);

/** Size of a regular file; false: `why` says why it is none. */
bool opool__shapes_file_size(const char *path, unsigned long long *size, const char **why);

#endif
