/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_WRITE_H
#define OPOOL_SHAPES_WRITE_H

#include <stdio.h>

#include "report.h"

/* What is said of one file. */
struct reports {
    const char *file;
    const char *error; /* it, or a part of it, could not be read; else NULL */
    const char *note;  /* nothing was found, and why that may be; else NULL */
    struct report *all;
    size_t count;
};

/** `out` gets text for people; with `all`, members that are fine too. */
void opool__shapes_write_text(FILE *out, struct memory *memory, const struct reports *reports, bool all);
/** `out` gets one JSON object (RFC 8259), without a newline. */
void opool__shapes_write_json(FILE *out, struct memory *memory, const struct reports *reports);

#endif
