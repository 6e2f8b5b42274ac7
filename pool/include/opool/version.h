/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_VERSION_H
#define OPOOL_VERSION_H

#define OPOOL_VERSION_MAJOR 0
#define OPOOL_VERSION_MINOR 1
#define OPOOL_VERSION_PATCH 0
#define OPOOL_VERSION "0.1.0"

/* What inlined code and the library must agree on: the thread-local symbol, struct opool_head, struct opool_front and
   the exported functions that inlined code calls. Raised, with the soname, when one of them changes; a program that
   was compiled with another number is refused by create (-ENOTSUP), not corrupted. */
#define OPOOL_ABI 1

#endif
