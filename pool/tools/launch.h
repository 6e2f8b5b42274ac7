/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_LAUNCH_H
#define OPOOL_TOOLS_LAUNCH_H

/* Starts a program with a library preloaded, and waits for it and whatever it leaves behind. Not thread-safe:
   signals. */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Exit statuses as those of env(1). */
enum { OPOOL__LAUNCH_FAILED = 125, OPOOL__LAUNCH_REFUSED = 126, OPOOL__LAUNCH_NOT_FOUND = 127 };

/* Who launches: for messages. */
struct opool__launcher {
    const char *tool;        /* as in "opool TOOL: " */
    const char *if_static;   /* advice for a program without a loader */
    const char *with_rights; /* advice for one that has rights of its own */
};

/* "opool TOOL: WHAT: WHY" on standard error, without the end where `why` is "". OPOOL__LAUNCH_FAILED. */
int opool__launch_fail(const char *tool, const char *what, const char *why);

/* Of wrong arguments: "opool TOOL: WHATARGUMENT (opool TOOL --help says more)". The same result. */
int opool__launch_refuse(const char *tool, const char *what, const char *argument);

/* Signals by which users end a command. */
enum { OPOOL__LAUNCH_ENDS = 4 };
extern const int opool__launch_ends[OPOOL__LAUNCH_ENDS];

/* Adds them. */
void opool__launch_add_ends(sigset_t *set);

/* The value of "--name VALUE" or "--name=VALUE"; NULL: another argument. `*at` moves to its last word. */
const char *opool__launch_value(const char *name, char **argv, int *at);

/* The file that the shell would run for `command`. 0, or an exit status after a line on standard error. */
int opool__launch_find(const struct opool__launcher *by, const char *command, char *path, size_t size);

/* Can a library be preloaded into this program? The same results. */
int opool__launch_check(const struct opool__launcher *by, const char *path);

/* A library of ours, by the name of its file: beside this program, as built; else in `installed`. What LD_PRELOAD is to
   say for it and what stands there already, as NAME=value. The same results. */
int opool__launch_preload(const struct opool__launcher *by, const char *library, const char *installed, char *variable,
                          size_t size);

/* Variables for the program beside our environment: NAME=value each, NAME alone for one that it shall not have, NULL
   at the end. The same results. */
int opool__launch_start(const struct opool__launcher *by, const char *path, char **argv, char *const *variables,
                        pid_t *started);

/* Until the program and all processes that it left have ended, calling `look` ten times a second. The first one's exit
   status, 128 + n if signal n ended it. Signals that are for it go to it; those that come later end the waiting. */
int opool__launch_wait(const struct opool__launcher *by, pid_t started, void (*look)(void *arg), void *arg);

#endif
