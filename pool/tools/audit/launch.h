/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_AUDIT_LAUNCH_H
#define OPOOL_TOOLS_AUDIT_LAUNCH_H

/* Starts a program with a library preloaded, and waits for it and whatever it leaves behind. Not thread-safe:
   signals. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Exit statuses as those of env(1). */
enum { OPOOL__LAUNCH_FAILED = 125, OPOOL__LAUNCH_REFUSED = 126, OPOOL__LAUNCH_NOT_FOUND = 127 };

/* The file that the shell would run for `command`. 0, or an exit status after a line on standard error. */
int opool__launch_find(const char *command, char *path, size_t size);

/* Can a library be preloaded into this program? The same results. */
int opool__launch_check(const char *path);

/* Variables for the program beside our environment: NAME=value each, NULL at the end. The same results. */
int opool__launch_start(const char *path, char **argv, char *const *variables, pid_t *started);

/* Until the program and all processes that it left have ended, calling `look` ten times a second. The first one's exit
   status, 128 + n if signal n ended it. Signals that are for it go to it; those that come later end the waiting. */
int opool__launch_wait(pid_t started, void (*look)(void *arg), void *arg);

#endif
