/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_SCAN_H
#define OPOOL_SHAPES_SCAN_H

#include <stdbool.h>
#include <stdio.h>

/* From one file to what is written of it. */

struct scan {
    const char *path;
    const char *type; /* NULL: the pools that the file defines */
    bool json, all;
};

/* What comes of it, for the exit status: the worst outcome, and whether there was anything to judge. */
enum { SCAN_FIXED = 0, SCAN_REJECTED = 1, SCAN_UNCHECKED = 2, SCAN_STATUS = 3, SCAN_FOUND = 4 };

/** Reads the file, judges, and writes to `out`; `scan` is a struct scan. Reads in this process: guarded.h is for files
    that may be broken. */
int opool__shapes_scan(void *scan, FILE *out);

#endif
