/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_GUARDED_H
#define OPOOL_SHAPES_GUARDED_H

#include <stdio.h>

/*
 * Reading a file that may be broken on purpose: in a child process, with bounds on processor time, time and memory. A
 * reader that crashes there, ours or libdw's, is a message here.
 */

/* Exit statuses of the child; those of a sanitizer that ends it are below GUARDED_RESULT. */
enum { GUARDED_NO_MEMORY = 63, GUARDED_RESULT = 192, GUARDED_MOST = 63 };

struct guarded {
    int result;    /* of the work: 0 to GUARDED_MOST */
    char *text;    /* what it wrote, ended by a zero byte; freed by the caller */
    size_t length; /* of the text, without that byte */
};

/** Runs work(arg, out) in a child. `file_size` sizes the bounds. 0: it came to its end; else a negative errno value,
    and `why`, a static text, says what happened. Any thread; waits for the child. */
int opool__shapes_guarded(int (*work)(void *arg, FILE *out), void *arg, unsigned long long file_size,
                          struct guarded *to, const char **why);

#endif
