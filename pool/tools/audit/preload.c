/* SPDX-License-Identifier: MIT */

/*
 * The library that `opool audit` preloads: it wraps malloc and its kin to know all live blocks, and is the auditor
 * that the program's opool finds by name. Findings go to the memory that is shared with `opool audit`, as they are
 * made.
 *
 * The allocator behind us does the work (behind.h). A block leaves the table before it is freed, and enters it after it
 * was made, so that no address stands there for a block that is not, or not any more.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <opool/inline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "area.h"
#include "behind.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"
#include "shape/audit.h"
#include "shape/reach.h"
#include "shape/table.h"

#define EXPORTED __attribute__((visibility("default")))

/* ---- malloc and its kin ---- */

EXPORTED void *malloc(size_t size)
{
    if (!opool__behind_known())
        return opool__first_aid_take(size);
    void *at = opool__behind.malloc(size);
    opool__blocks_add(at, size);
    return at;
}

EXPORTED void *calloc(size_t count, size_t size)
{
    if (!opool__behind_known())
        return size && count > SIZE_MAX / size ? NULL : opool__first_aid_take(count * size);
    void *at = opool__behind.calloc(count, size);
    opool__blocks_add(at, count * size);
    return at;
}

EXPORTED void free(void *at)
{
    if (!at || opool__first_aid_has(at) || !opool__behind_known())
        return;
    (void)opool__blocks_remove(at, NULL);
    opool__behind.free(at);
}

EXPORTED void *realloc(void *at, size_t size)
{
    struct opool__block was;
    if (!at)
        return malloc(size);
    if (opool__first_aid_has(at) || !opool__behind_known())
        return opool__first_aid_move(at, size);
    bool known = opool__blocks_remove(at, &was);
    void *to = opool__behind.realloc(at, size);
    if (to)
        opool__blocks_add(to, size);
    else if (known && size) /* refused: the old block stays. Of size 0 it is free */
        opool__blocks_restore(&was);
    return to;
}

EXPORTED void *reallocarray(void *at, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(at, count * size);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    if (!opool__behind_known())
        return NULL;
    void *at = opool__behind.memalign(alignment, size);
    opool__blocks_add(at, size);
    return at;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

EXPORTED int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    int saved = errno;
    void *at = memalign(alignment, size);
    errno = saved;
    if (!at)
        return ENOMEM;
    *out = at;
    return 0;
}

EXPORTED void *valloc(size_t size)
{
    return memalign(opool__os.page_size(), size);
}

EXPORTED void *pvalloc(size_t size)
{
    size_t page = opool__os.page_size();
    if (size > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, (size + page - 1) / page * page);
}

/* ---- the area of this process ---- */

static struct opool__area_file *file; /* NULL: `opool audit` is not there */
static uint32_t shared_area_lock, shared_has_area;
static bool own_malloc; /* asked at the start: the loader's lock is not to be taken inside ours */

/* Without an area findings go where nobody reads them. */
static struct opool__findings *take_area(void)
{
    uint32_t number = opool__add_relaxed(&file->taken, 1u);
    if (number >= OPOOL__AREAS)
        return opool__pages_take(sizeof(struct opool__findings));
    struct opool__area *area = opool__area_at(file, number);
    ssize_t n = readlink("/proc/self/exe", area->program, sizeof area->program - 1);
    if (n < 0)
        memcpy(area->program, "?", 2);
    area->own_malloc = own_malloc;
    opool__store_release(&area->ready, 1u);
    return &area->findings;
}

/* False: there is nowhere to write to. */
static bool have_area(void)
{
    if (OPOOL__LIKELY(opool__load_acquire(&shared_has_area)))
        return true;
    if (!file)
        return false;
    opool__lock_take(&shared_area_lock);
    struct opool__findings *findings = opool__load_relaxed(&shared_has_area) ? NULL : take_area();
    if (findings) {
        opool__audit_write_to(findings);
        opool__store_release(&shared_has_area, 1u);
    }
    bool have = opool__load_relaxed(&shared_has_area);
    opool__lock_drop(&shared_area_lock);
    return have;
}

/* ---- the auditor ---- */

/* The file that this address is of, for debug information. */
static void file_of(const void *near, char *out, size_t size)
{
    Dl_info info;
    struct link_map *map = NULL;
    char path[PATH_MAX];
    out[0] = '\0';
    if (!dladdr1(near, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return;
    if (!realpath(map->l_name[0] ? map->l_name : "/proc/self/exe", path))
        return;
    if (strlen(path) < size)
        memcpy(out, path, strlen(path) + 1);
}

static uint32_t audit_pool(const char *name, const char *type, size_t size, const void *near)
{
    char of[OPOOL__FINDING_PATH];
    if (!have_area())
        return OPOOL__FINDING_POOLS;
    file_of(near, of, sizeof of);
    return opool__audit_pool(name, type, size, of);
}

static void audit_put(uint32_t pool, const void *object)
{
    if (have_area())
        opool__audit_put(pool, object);
}

extern const struct opool__auditor opool__auditor_1;
EXPORTED const struct opool__auditor opool__auditor_1 = {.pool = audit_pool,
                                                         .built = opool__audit_built,
                                                         .got = opool__audit_got,
                                                         .put = audit_put,
                                                         .gone = opool__audit_gone};

/* ---- fork ---- */

static void prepare(void)
{
    opool__lock_take(&shared_area_lock);
    opool__audit_fork_prepare();
}

static void parent(void)
{
    opool__audit_fork_parent();
    opool__lock_drop(&shared_area_lock);
}

static void child(void)
{
    opool__audit_fork_child();
    opool__lock_reset(&shared_area_lock);
    opool__store_relaxed(&shared_has_area, 0u);
}

/* ---- start ---- */

static struct opool__area_file *map_file(const char *path)
{
    struct stat status;
    struct opool__area_file *mapped = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size == opool__area_file_bytes()) {
        void *at = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        mapped = at == MAP_FAILED ? NULL : at;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return mapped;
}

static __attribute__((constructor)) void start(void)
{
    int saved = errno;
    const char *path = getenv(OPOOL__AUDIT_FILE), *interior = getenv(OPOOL__AUDIT_INTERIOR);
    (void)opool__behind_known();
    if (interior)
        opool__reach_interior = strtoul(interior, NULL, 10) % (OPOOL__INTERIOR_MOST + 1);
    file = path ? map_file(path) : NULL;
    if (path && (!file || file->magic != OPOOL__AUDIT_MAGIC)) {
        opool__say("audit: process %ld can not write its findings to %s: %s", (long)getpid(), path, strerror(errno));
        file = NULL;
    }
    own_malloc = opool__behind_is_not_used();
    (void)opool__os.at_fork(prepare, parent, child);
    errno = saved;
}
