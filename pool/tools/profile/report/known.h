/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_KNOWN_H
#define OPOOL_TOOLS_PROFILE_REPORT_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

/* Functions that are known by name: those that only pass a request for memory on, and those of libraries that create
   what could be kept and reset. */

/** Is it one that asks for memory for its caller? `more` are patterns of the user. */
bool opool__profile_is_wrapper(const char *function, char *const *more, size_t count);

/** Is it one of a pool that the program already has? */
bool opool__profile_is_pool(const char *function);

struct known_context {
    const char *library, *create, *free, *reset;
    unsigned cpuids; /* instructions CPUID that a creation has more than a reset, as measured: each traps on a VM */
    const char *configuration; /* for `opool try`; NULL: none */
};

/** NULL: not known. */
const struct known_context *opool__profile_known(const char *function);

/** Does the name say that something is created? */
bool opool__profile_is_creation(const char *function);

#endif
