/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_FILL_H
#define OPOOL_CHECK_FILL_H

/*
 * Bytes that nobody may write, and whether somebody did. An idle object's bytes are kept in a copy and its place is
 * filled: each write after put shows, and who reads a pointer there gets an address that no system maps. Between
 * objects are zones, of another value.
 */

#include <stdbool.h>
#include <stddef.h>

enum { OPOOL__FILL_IDLE = 0xdb, OPOOL__FILL_ZONE = 0xfb };

/* The bytes that are not as filled, from the first to the last; count 0: all are. */
struct opool__damage {
    size_t offset, count;
};
struct opool__damage opool__fill_check(const void *at, size_t bytes, unsigned char value);

void opool__fill(void *at, size_t bytes, unsigned char value);

/* Between an object and its copy. */
void opool__fill_hide(void *object, void *copy, size_t bytes);
void opool__fill_show(void *object, const void *copy, size_t bytes);

#endif
