/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_AT_H
#define OPOOL_SHAPES_AT_H

#include "memory.h"
#include "tree.h"

/** What lies at byte `offset` of a type: "req.buf[3]", "padding behind req.n", "a, b" for bit-fields that share a byte.
    NULL: the offset is outside. */
const char *opool__shapes_at(struct memory *memory, const struct node *type, uint64_t offset);

#endif
