/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_NAMES_H
#define OPOOL_TOOLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Name of what lies at byte `offset` of `type`, by the debug information of `file`: what `opool shapes -t TYPE --at
 * OFFSET FILE` prints, cut to `room`. 0; -EINVAL: an argument is NULL; -ENOENT: not known; other negative errno: the
 * command can not be run. Waits for it; safe from any thread. pool/os/names.c finds it by its name.
 */
__attribute__((visibility("default"))) int opool__names_member(const char *file, const char *type, size_t offset,
                                                               char *out, size_t room);

#endif
