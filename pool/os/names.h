/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_NAMES_H
#define OPOOL_OS_NAMES_H

#include <stddef.h>

/*
 * Names of members by debug information, for messages. The library itself reads none: a helper asks the command
 * (pool/tools/names.c), and is loaded by its installed name at the first question, if it is there at all.
 */

#define OPOOL__NAMES_LIBRARY "libopool_names.so.0"

/* What lies at byte `offset` of `type` in the file that holds `code`: "req.buf[3]", "padding behind n". 0; -ENOSYS: no
   helper, or the program is static; another negative errno value: not known. Runs a process: outside all locks. */
int opool__names_member(void (*code)(void), const char *type, size_t offset, char *out, size_t room);

/* In loader.c: a symbol of a library that is loaded for it and stays; NULL: there is none. */
void *opool__load(const char *library, const char *symbol);

#endif
