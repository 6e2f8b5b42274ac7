/* SPDX-License-Identifier: MIT */
#include "behind.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "os/report.h"

struct opool__behind opool__behind;

static struct {
    char memory[16 << 10] __attribute__((aligned(16)));
    size_t used;
} first_aid;

bool opool__first_aid_has(const void *at)
{
    return (const char *)at >= first_aid.memory && (const char *)at < first_aid.memory + sizeof first_aid.memory;
}

void *opool__first_aid_move(const void *at, size_t size)
{
    size_t most = (size_t)(first_aid.memory + sizeof first_aid.memory - (const char *)at);
    void *to = malloc(size);
    if (to)
        memcpy(to, at, size < most ? size : most);
    return to;
}

void *opool__first_aid_take(size_t size)
{
    size_t rounded = (size + 15) / 16 * 16;
    if (rounded < size || rounded > sizeof first_aid.memory - first_aid.used)
        return NULL;
    void *at = first_aid.memory + first_aid.used;
    first_aid.used += rounded;
    return at;
}

/* The function of this name, into a pointer to such a function. */
static bool find(const char *name, void *pointer)
{
    void *at = dlsym(RTLD_NEXT, name);
    memcpy(pointer, &at, sizeof at);
    return at != NULL;
}

static void need(const char *name, void *pointer)
{
    if (find(name, pointer))
        return;
    opool__say("no %s behind the preloaded library", name);
    abort();
}

/* `malloc` comes last: it says that all are known. */
__attribute__((noinline, cold)) bool opool__behind_find(void)
{
    static bool finding;
    if (finding)
        return false;
    finding = true;
    need("calloc", &opool__behind.calloc);
    need("realloc", &opool__behind.realloc);
    need("free", &opool__behind.free);
    need("memalign", &opool__behind.memalign);
    (void)find("aligned_alloc", &opool__behind.aligned_alloc);
    (void)find("malloc_usable_size", &opool__behind.usable_size);
    need("malloc", &opool__behind.malloc);
    finding = false;
    return true;
}

bool opool__behind_is_not_used(void)
{
    Dl_info used, ours;
    void *in_use = dlsym(RTLD_DEFAULT, "malloc");
    return dladdr(in_use, &used) && dladdr(&opool__behind, &ours) && used.dli_fbase != ours.dli_fbase;
}
