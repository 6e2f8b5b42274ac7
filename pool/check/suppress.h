/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_SUPPRESS_H
#define OPOOL_CHECK_SUPPRESS_H

/*
 * What OPOOL_LEAKS says of the leak report: words with commas between them.
 *
 *     off          nothing is told
 *     exitcode=N   where objects were told when the process ends, its exit status is N, 1 to 255
 *     /FILE ./FILE a file of patterns, one a line; lines that begin with # are none
 *     PATTERN      of the shell: left out is what was got from a pool of this name, or with such a function or file
 *                  (with or without its folders) in its call stack; pool:PATTERN, function:PATTERN, file:PATTERN ask
 *                  for one of these only
 *
 * Read once a process; what can not be understood is a line, and ignored. Thread-safe.
 */

#include <stdbool.h>

#include "os/unwind.h"

/* While the current folder is still what the user meant. Outside all locks. */
void opool__suppress_start(void);

bool opool__suppress_all(void);
bool opool__suppress_pool(const char *name);
bool opool__suppress_frame(const struct opool__where *where);

/* 0: as the program says. */
int opool__suppress_exit_code(void);

#endif
