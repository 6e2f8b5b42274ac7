/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_CONTEXTS_H
#define DECODERS_CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>

/* Counts a claim, and says which one did not hold. */
void claim(bool holds, const char *what);

/* Bytes that look like something, the same each time. */
void fill(unsigned char *bytes, size_t size, unsigned seed);

/* Bit-identical to a fresh decoder, whatever the context heard before. */
void check_opus(void);

#endif
