/* SPDX-License-Identifier: MIT */
#include "os/names.h"

#include <errno.h>
#include <link.h>
#include <opool/atomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "os/asks.h"
#include "os/os.h"

/* Not there in a static program. */
#pragma weak opool__load

typedef int member_function(const char *file, const char *type, size_t offset, char *out, size_t room);

/* ---- the helper ---- */

/* Who asks at the same time as another loads it again, which changes nothing. Not once for all under a lock: the loader
   has one of its own, which a constructor of a plug-in holds. */
static member_function *find_helper(void)
{
    static member_function *shared_helper;
    static uint32_t shared_asked;
    if (!opool__load_acquire(&shared_asked)) {
        opool__loader_enter();
        void *found = opool__load ? opool__load(OPOOL__NAMES_LIBRARY, "opool__names_member") : NULL;
        opool__loader_leave();
        opool__store_relaxed(&shared_helper, (member_function *)(uintptr_t)found);
        /* release: who sees it sees the helper. */
        opool__store_release(&shared_asked, 1u);
    }
    return opool__load_relaxed(&shared_helper);
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
    struct search search = {.code = (uintptr_t)code, .path = ""};
    int saved = errno;
    member_function *helper = find_helper();
    if (helper)
        dl_iterate_phdr(holds, &search);
    int r = helper && search.path[0] ? helper(search.path, type, offset, out, room) : -ENOSYS;
    errno = saved;
    return r;
}
