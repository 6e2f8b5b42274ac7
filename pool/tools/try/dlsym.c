/* SPDX-License-Identifier: MIT */

/*
 * Stands before dlsym, for programs that load libzstd when they need it (systemd since 256): whoever looks up a
 * function that contexts.c stands before gets that one.
 *
 * RTLD_NEXT means "behind who calls", which the loader tells by the address that it returns to. So that call has to be
 * a jump.
 */
#include <dlfcn.h>
#include <opool/inline.h>
#include <stdlib.h>
#include <string.h>

#include "contexts.h"
#include "os/report.h"

#ifdef __clang__
#define JUMPS
#define JUMP __attribute__((musttail)) return
#else
#define JUMPS __attribute__((optimize("O2")))
#define JUMP return
#endif

typedef void *lookup(void *handle, const char *name);

static lookup *shared_real;

/* The C library's, by all versions that it may have: that of all since 2.34, and the first of each architecture. */
static lookup *find_real(void)
{
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.0", "GLIBC_2.4",
                                           "GLIBC_2.27", "GLIBC_2.3",   "GLIBC_2.2",  "GLIBC_2.36"};
    lookup *real;
    void *at = NULL;
    for (size_t i = 0; !at && i < sizeof versions / sizeof *versions; i++)
        at = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    if (!at) {
        opool__say("no dlsym behind the preloaded library");
        abort();
    }
    memcpy(&real, &at, sizeof real);
    opool__store_release(&shared_real, real);
    return real;
}

static lookup *real_lookup(void)
{
    lookup *real = opool__load_acquire(&shared_real);
    return real ? real : find_real();
}

static bool may_be_ours(const void *handle, const char *name)
{
    return handle != RTLD_NEXT && handle != RTLD_DEFAULT && strncmp(name, "ZSTD_", 5) == 0;
}

void *opool__dlsym(void *handle, const char *name)
{
    return real_lookup()(handle, name);
}

__attribute__((visibility("default"))) JUMPS void *dlsym(void *restrict handle, const char *restrict name)
{
    if (OPOOL__UNLIKELY(may_be_ours(handle, name)))
        return opool__contexts_instead(name, opool__dlsym(handle, name));
    lookup *real = real_lookup();
    JUMP real(handle, name);
}
