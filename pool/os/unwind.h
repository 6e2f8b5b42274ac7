/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_UNWIND_H
#define OPOOL_OS_UNWIND_H

/*
 * How the process looks at its own code: entries of the table in os.h, which says what they mean, and where a code
 * address comes from.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPOOL__FILE_MOST = 512, OPOOL__FUNCTION_MOST = 200 };

/* A range of /proc/self/maps, in the order of addresses. */
struct opool__mapping {
    uintptr_t start, end;
    uint64_t offset;             /* of `start`, in the file */
    char file[OPOOL__FILE_MOST]; /* "": no file; cut when longer */
};

int opool__os_unwind(void **frames, int most);
bool opool__os_own_code(uintptr_t *start, uintptr_t *end);
int opool__os_each_mapping(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg);

void opool__os_note_modules(void);

/* As each_mapping, by what was noted. */
int opool__modules_each(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg);

/*
 * Where a code address comes from. Asks the kernel and the file only: no loader, whose lock another thread may hold for
 * long, and no malloc: async-signal-safe, but a cancellation point. Takes 2 KiB of stack.
 */
struct opool__where {
    char file[OPOOL__FILE_MOST]; /* what was mapped there; "": nothing that is known, e.g. a plug-in that is gone */
    uint64_t offset;             /* as addr2line -e FILE wants it */
    char function[OPOOL__FUNCTION_MOST]; /* as in the file's symbols, C++ names mangled; "": not known */
};

void opool__where(uintptr_t code, struct opool__where *out);

#endif
