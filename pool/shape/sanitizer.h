/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_SANITIZER_H
#define OPOOL_SHAPE_SANITIZER_H

/*
 * The put audit of programs that are built with AddressSanitizer, LeakSanitizer, MemorySanitizer or ThreadSanitizer:
 * the sanitizer's run time tells of blocks, and the first growth of each pool and offset is one line on standard
 * error; at exit there is a summary if there was such a line, or sizes vary otherwise.
 *
 * Blocks are known from the start of the program on. But LeakSanitizer alone does not tell of realloc in all versions
 * (gcc 12 and LLVM 14 do not), nor ThreadSanitizer of aligned allocations: what an object owns by them is not seen.
 */

#include "shape/audit.h"

/* NULL: no sanitizer here, OPOOL_AUDIT=off, or its run time refuses a hook. */
const struct opool__auditor *opool__sanitizer_auditor(void);

/* Does OPOOL_AUDIT in the environment allow an audit? */
bool opool__audit_wanted(void);

#endif
