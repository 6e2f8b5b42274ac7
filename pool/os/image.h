/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_IMAGE_H
#define OPOOL_OS_IMAGE_H

/*
 * An ELF file that this process runs code of, read piece by piece with nothing kept: the file itself, else what of it
 * is mapped. A file may be cut, hostile or another one by now: every read is bounded, and a file whose first bytes are
 * not those in memory is not looked at. Async-signal-safe, but a cancellation point.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opool__image {
    int file;       /* -1: only memory */
    uintptr_t base; /* where its first bytes are in memory; 0: unknown */
};

/* `path` may be of no file at all. */
struct opool__image opool__image_open(const char *path, uintptr_t base);
void opool__image_close(const struct opool__image *image);

/* The address that the linker gave to the code at this offset in the file; false: there is none. */
bool opool__image_address(const struct opool__image *image, uint64_t offset, uint64_t *address);

/* The function that holds this address of the linker's, which is at `code` in memory; "": unknown. */
void opool__image_function(const struct opool__image *image, uint64_t address, uintptr_t code, char *name, size_t room);

#endif
