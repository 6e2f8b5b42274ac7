/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_MEMBER_H
#define OPOOL_SHAPES_MEMBER_H

#include <stddef.h>

/**
 * Name of what lies at byte `offset` of `type` ("struct conn", "conn_t") by the debug information of `file` (and of its
 * separate debug file): "req.buf[3]", "padding behind n". 0; -ENOENT: no such type, or no debug information; -EINVAL:
 * the offset is outside; other negative errno: the file cannot be read. The name is cut to what `out` holds. Reads in a
 * child process, for which it waits; safe from any thread.
 */
int opool__shapes_member(const char *file, const char *type, size_t offset, char *out, size_t out_size);

#endif
