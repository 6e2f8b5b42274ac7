/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_LOAD_H
#define OPOOL_TOOLS_TRY_LOAD_H

/* A load for a server that this process started. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "tree.h"

struct opool__load {
    uint64_t units;                 /* of work, by its output; 0: it does not say */
    struct rusage usage;            /* its own, to be taken off that of all children */
    struct opool__tree_usage start; /* of the server when the load began */
    uint64_t peak_kib;              /* of the server when it ended */
};

/* Waits until the server accepts connections, and runs `command` by the shell. 0; an exit status after a line on
   standard error: the server ended, the load failed, or a signal came. The server runs on, either way. */
int opool__load_run(pid_t server, const char *command, const char *units, struct opool__load *load);

/* How far the server's end is; begins as zero. */
struct opool__load_end {
    bool asked;
    uint64_t patience_ns; /* a time of the monotonic clock */
};

/* For opool__launch_wait: ends all processes that are left, politely at first. `arg`: a struct opool__load_end. */
void opool__load_stop(void *arg);

/* The first number that stands before or behind `word`; 0: none does. */
uint64_t opool__load_units(const char *text, const char *word);

#endif
