/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_AUDIT_AREA_H
#define OPOOL_TOOLS_AUDIT_AREA_H

/*
 * The memory that `opool audit` shares with the processes of its command: each one that makes a pool takes the next
 * area, writes its findings there, and needs not end in any particular way. A child of a fork takes one of its own.
 *
 * The file is sparse: what is not used costs nothing. Whoever reads it must take it for anything: each process of
 * the command may have written to it.
 */

#include "shape/findings.h"

#define OPOOL__AUDIT_MAGIC UINT64_C(0x316c6f6f706f6f31)

/* Environment: the file; how far before a word the start of its block may lie. */
#define OPOOL__AUDIT_FILE "OPOOL_AUDIT_FILE"
#define OPOOL__AUDIT_INTERIOR "OPOOL_AUDIT_INTERIOR"

enum { OPOOL__AREAS = 512, OPOOL__AREA_BYTES = 96 << 10, OPOOL__AREA_FIRST = 4096, OPOOL__INTERIOR_MOST = 1 << 20 };

struct opool__area {
    uint32_t ready;      /* the rest is valid */
    uint32_t own_malloc; /* the program brings a malloc of its own: its blocks are not known */
    char program[OPOOL__FINDING_PATH];
    struct opool__findings findings;
};

_Static_assert(sizeof(struct opool__area) <= OPOOL__AREA_BYTES, "an area holds what a process finds");

struct opool__area_file {
    uint64_t magic;
    uint32_t taken; /* areas; more than there are: so many processes found none */
};

static inline uint64_t opool__area_file_bytes(void)
{
    return OPOOL__AREA_FIRST + (uint64_t)OPOOL__AREAS * OPOOL__AREA_BYTES;
}

static inline struct opool__area *opool__area_at(struct opool__area_file *file, uint32_t number)
{
    return (struct opool__area *)(void *)((char *)file + OPOOL__AREA_FIRST + (uint64_t)number * OPOOL__AREA_BYTES);
}

#endif
