/* SPDX-License-Identifier: MIT */
#include "os/names.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "os/os.h"

/* Not there in a static program. */
#pragma weak opool__load

typedef int member_function(const char *file, const char *type, size_t offset, char *out, size_t room);

/* ---- the helper ---- */

static member_function *helper;

static void load(void)
{
    if (opool__load)
        helper = (member_function *)(uintptr_t)opool__load(OPOOL__NAMES_LIBRARY, "opool__names_member");
}

/* ---- which file ---- */

struct search {
    uintptr_t code;
    char path[4096]; /* empty: not found yet */
};

static int holds(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || search->code - info->dlpi_addr - segment->p_vaddr >= segment->p_memsz)
            continue;
        if (info->dlpi_name && info->dlpi_name[0])
            snprintf(search->path, sizeof search->path, "%s", info->dlpi_name);
        else
            snprintf(search->path, sizeof search->path, "/proc/%ld/exe", (long)getpid());
        return 1;
    }
    return 0;
}

int opool__names_member(void (*code)(void), const char *type, size_t offset, char *out, size_t room)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct search search = {.code = (uintptr_t)code, .path = ""};
    int saved = errno;
    pthread_once(&once, load);
    if (helper)
        dl_iterate_phdr(holds, &search);
    int r = helper && search.path[0] ? helper(search.path, type, offset, out, room) : -ENOSYS;
    errno = saved;
    return r;
}
