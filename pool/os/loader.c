/* SPDX-License-Identifier: MIT */

/* A part of the shared library only: linkers warn of dlopen in static programs, where it is of no use anyway. */

#include <dlfcn.h>

#include "os/names.h"

/* Tells the shared library from a static copy (unwind.c). */
extern const char opool__is_shared;
const char opool__is_shared = 1;

void *opool__load(const char *library, const char *symbol)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    return handle ? dlsym(handle, symbol) : NULL;
}
