/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_AUDIT_NAMES_H
#define OPOOL_TOOLS_AUDIT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The member at `offset` of a type, by the debug information of `file`. False: none, or built without the reader of
   debug information. A file that crashes the reader, or keeps it for seconds, has no names. */
bool opool__names_find(const char *file, const char *type, uint32_t offset, char *out, size_t size);

#endif
