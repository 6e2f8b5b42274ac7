/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_SAVE_H
#define OPOOL_TOOLS_BENCH_SAVE_H

/* A file that is written whole or not at all: an older one of its name stays until then. Devices and pipes are written
   as they are. */

#include <stdbool.h>
#include <stdio.h>

struct save {
    const char *path;
    char *temporary; /* NULL: `path` itself is open */
    FILE *file;
};

/* Opens it, so that what can not be written is known before the work. false: a line on standard error has said why. */
bool opool__save_open(struct save *save, const char *path);

/* The same of all that was written to save->file. */
bool opool__save_close(struct save *save);

/* Instead of close: leaves nothing behind. */
void opool__save_drop(struct save *save);

#endif
