/* SPDX-License-Identifier: MIT */

/* A part of the shared library only: linkers warn of dlopen in static programs, where it is of no use anyway. */

#include <dlfcn.h>

#include "os/names.h"

void *opool__load(const char *library, const char *symbol)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    return handle ? dlsym(handle, symbol) : NULL;
}
