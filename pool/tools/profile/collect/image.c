/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "../environment.h"
#include "os/lock.h"
#include "os/os.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { CHUNK = 16 << 10, ARRAYS = 5 };

struct opool__image opool__image;

static uint32_t none;
const volatile uint32_t *opool__image_own = &none;

static char folder[PATH_MAX];
static uint32_t shared_lock;

static struct {
    uint32_t *own; /* the page that is wiped */
    struct layout {
        size_t modules, threads, bytes; /* where those arrays begin, where the image ends */
    } layout;
    uint64_t populated[ARRAYS]; /* bytes of each array, from its offset on */
    bool all;                   /* populated */
} live;

void opool__image_lock(void)
{
    opool__lock_take(&shared_lock);
}

void opool__image_unlock(void)
{
    opool__lock_drop(&shared_lock);
}

void opool__image_reset_lock(void)
{
    opool__lock_reset(&shared_lock);
}

/* ---- room ---- */

static bool populate(uint64_t from, uint64_t bytes)
{
    return live.all || madvise((char *)opool__image.header + from, bytes, MADV_POPULATE_WRITE) == 0;
}

static size_t array_number(const struct opool__profile_array *array)
{
    return (size_t)(array - &opool__image.header->modules);
}

uint32_t opool__image_take(struct opool__profile_array *array)
{
    uint64_t *populated = &live.populated[array_number(array)];
    uint32_t taken = array->used;
    uint64_t need = ((uint64_t)taken + 1) * array->stride;
    int saved = errno;
    if (taken >= array->room)
        return UINT32_MAX;
    if (need > *populated) {
        if (!populate(array->offset + *populated, CHUNK)) {
            array->room = taken; /* it is not tried again at each event */
            errno = saved;
            return UINT32_MAX;
        }
        *populated += CHUNK;
    }
    opool__store_release(&array->used, taken + 1);
    return taken;
}

/* ---- layout ---- */

static uint64_t whole_chunks(uint64_t bytes)
{
    return (bytes + CHUNK - 1) / CHUNK * CHUNK;
}

static void lay_out(struct opool__profile_header *header, uint32_t divisor)
{
    const struct {
        struct opool__profile_array *array;
        uint32_t stride, room;
    } all[ARRAYS] = {
        {&header->modules, sizeof(struct opool__profile_module), OPOOL__ROOM_MODULES},
        {&header->sites, sizeof(struct opool__profile_site), OPOOL__ROOM_SITES / divisor},
        {&header->records, sizeof(struct opool__profile_record), OPOOL__ROOM_RECORDS / divisor},
        {&header->timeline, sizeof(struct opool__profile_point), OPOOL__ROOM_POINTS},
        {&header->threads, sizeof(struct opool__profile_thread), OPOOL__ROOM_THREADS},
    };
    uint64_t at = whole_chunks(sizeof *header);
    for (size_t i = 0; i < ARRAYS; i++) {
        *all[i].array = (struct opool__profile_array){at, all[i].stride, all[i].room, 0, 0};
        /* A chunk more: the last one of an array may end behind it. */
        at += whole_chunks((uint64_t)all[i].stride * all[i].room) + CHUNK;
    }
    header->image_bytes = at;
}

/* Larger ones than a process may have are not to be asked for: the signal would end it. */
static bool fits(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || bytes <= limit.rlim_cur;
}

/* ---- the file ---- */

static int open_file(char *path)
{
    int n =
        snprintf(path, PATH_MAX, "%s/%ld-%llx", folder, (long)getpid(), (unsigned long long)opool__clock_monotonic());
    if (n < 0 || n >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The head of the image is written by a system call, which a full disk makes fail, and not by touching it. */
static struct opool__profile_header *map_file(int fd, const struct opool__profile_header *header)
{
    if (!fits(header->image_bytes)) {
        errno = EFBIG;
        return NULL;
    }
    if (ftruncate(fd, (off_t)header->image_bytes) != 0 ||
        pwrite(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header)
        return NULL;
    void *at = mmap(NULL, (size_t)header->image_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    /* Gaps are not to be read ahead. */
    (void)madvise(at, (size_t)header->image_bytes, MADV_RANDOM);
    return at;
}

/* An older kernel can not say while the program runs: then all room is taken now. */
static bool make_room(int fd, struct opool__profile_header *header)
{
    live.all = false;
    opool__image.header = header;
    if (populate(0, whole_chunks(sizeof *header)))
        return true;
    if (errno != EINVAL)
        return false;
    int r = posix_fallocate(fd, 0, (off_t)header->image_bytes);
    errno = r;
    live.all = r == 0;
    return live.all;
}

static void show(struct opool__profile_header *header)
{
    char *base = (char *)header;
    opool__image = (struct opool__image){
        .header = header,
        .modules = (void *)(base + header->modules.offset),
        .sites = (void *)(base + header->sites.offset),
        .records = (void *)(base + header->records.offset),
        .points = (void *)(base + header->timeline.offset),
        .threads = (void *)(base + header->threads.offset),
    };
    *live.own = 1;
}

/* As large as can be had: less where address space or file size is limited. */
static bool make_image(struct opool__profile_header *header)
{
    struct opool__profile_header *mapped = NULL;
    char path[PATH_MAX];
    int fd = open_file(path);
    if (fd < 0)
        return false;
    memset(live.populated, 0, sizeof live.populated);
    for (uint32_t divisor = 1; !mapped && divisor <= 64; divisor *= 4) {
        lay_out(header, divisor);
        mapped = map_file(fd, header);
        if (!mapped && errno == ENOSPC)
            break;
    }
    bool good = mapped && make_room(fd, mapped);
    int error = errno;
    if (mapped && !good)
        munmap(mapped, (size_t)header->image_bytes);
    if (!good)
        (void)unlink(path);
    close(fd);
    errno = error;
    opool__image.header = NULL;
    if (!good)
        return false;
    live.layout =
        (struct layout){(size_t)header->modules.offset, (size_t)header->threads.offset, (size_t)header->image_bytes};
    show(mapped);
    return true;
}

/* ---- the header ---- */

static void read_arguments(char *out, size_t size)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    for (ssize_t i = 0; i + 1 < n; i++)
        if (!out[i])
            out[i] = ' ';
    out[n > 0 ? n : 0] = '\0';
}

static void fill_header(struct opool__profile_header *header)
{
    ssize_t n = readlink("/proc/self/exe", header->program, sizeof header->program - 1);
    header->magic = OPOOL__PROFILE_MAGIC;
    header->version = OPOOL__PROFILE_VERSION;
    header->ready = 1;
    header->program[n > 0 ? n : 0] = '\0';
    memset(header->arguments, 0, sizeof header->arguments);
    read_arguments(header->arguments, sizeof header->arguments);
    header->pid = (uint32_t)getpid();
    header->parent = (uint32_t)getppid();
    header->start_ns = header->last_ns = header->switched_ns = opool__clock_monotonic();
    header->epoch_s = (uint64_t)time(NULL);
    header->page_bytes = opool__os.page_size();
}

/* What all processes were told last; `otherwise` if that can not be read. */
static uint32_t told(uint32_t otherwise)
{
    char path[PATH_MAX], word;
    int n = snprintf(path, sizeof path, "%s/%s", folder, OPOOL__PROFILE_CONTROL);
    int fd = n > 0 && n < PATH_MAX ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return otherwise;
    uint32_t paused = read(fd, &word, 1) == 1 ? word == '0' : otherwise;
    close(fd);
    return paused;
}

/* Who tells writes it down first, then tells each image that is there: what was written before this one was is read
   here, once more than it changed. */
static void obey(void)
{
    uint32_t paused = opool__image.header->paused, again;
    while ((again = told(paused)) != paused)
        opool__store_relaxed(&opool__image.header->paused, paused = again);
}

static bool make_own_page(void)
{
    size_t page = opool__os.page_size();
    void *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return false;
    /* Refused by Linux before 4.14: then a fork without handlers goes unseen. */
    (void)madvise(at, page, MADV_WIPEONFORK);
    live.own = at;
    opool__image_own = at;
    return true;
}

bool opool__image_start(const struct opool__image_setup *setup)
{
    static struct opool__profile_header header; /* large for a stack */
    if (strlen(setup->folder) >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(folder, setup->folder, strlen(setup->folder) + 1);
    header = (struct opool__profile_header){
        .mode = setup->mode, .frames = setup->frames, .every = setup->every, .paused = told(false)};
    fill_header(&header);
    if (!make_own_page() || !make_image(&header))
        return false;
    obey();
    return true;
}

/* The child has mapped what its parent had. The loader is not asked: another thread of the parent may have held its
   lock, and holds it here for ever. */
static void copy_modules(const struct opool__profile_header *parent)
{
    const void *from = (const char *)parent + parent->modules.offset;
    const struct opool__profile_module *modules = from;
    /* acquire: elements are zero before they count. */
    uint32_t used = opool__load_acquire(&parent->modules.used);
    for (uint32_t i = 0; i < used; i++) {
        if (modules[i].left)
            continue;
        uint32_t number = opool__image_take(&opool__image.header->modules);
        if (number == UINT32_MAX) {
            opool__image.header->lost_modules += used - i;
            return;
        }
        opool__image.modules[number] = modules[i];
    }
}

/* A part of an image that was left. */
struct part {
    char *at;
    size_t bytes;
};

/* Memory in its place; what was left before that has gone. */
static void replace(struct part *part, char *at, size_t bytes)
{
    if (part->at)
        munmap(part->at, part->bytes);
    void *memory =
        mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    *part = (struct part){memory == MAP_FAILED ? NULL : memory, bytes};
}

/* A signal handler may have forked where the program was about to look into the header, or to count in a thread's
   totals: those two parts remain, until the child forks itself. */
static void leave(char *image, const struct layout *layout)
{
    static struct part header, threads;
    munmap(image + layout->modules, layout->threads - layout->modules);
    replace(&header, image, layout->modules);
    replace(&threads, image + layout->threads, layout->bytes - layout->threads);
}

/* The system may refuse the copy: then the rest of one recording is in the parent's image twice. */
void opool__image_detach(void)
{
    struct opool__profile_header *shared = opool__image.header;
    const struct opool__profile_array *array = &shared->modules;
    size_t bytes = live.layout.bytes;
    *live.own = 0; /* an old kernel did not wipe it */
    char *copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED)
        return;
    memcpy(copy, shared, sizeof *shared);
    for (size_t i = 0; i < ARRAYS; i++, array++)
        memcpy(copy + array->offset, (const char *)shared + array->offset,
               (size_t)opool__load_acquire(&array->used) * array->stride);
    if (mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, shared) == MAP_FAILED)
        munmap(copy, bytes);
}

/* The parent's stays what it is; that it has a child which is not seen is noted there. */
bool opool__image_renew(void)
{
    static struct opool__profile_header header;
    struct opool__profile_header *parent = opool__image.header;
    const struct layout layout = live.layout;
    header = (struct opool__profile_header){.mode = parent->mode,
                                            .frames = parent->frames,
                                            .every = parent->every,
                                            .paused = told(parent->paused),
                                            .own_malloc = parent->own_malloc};
    fill_header(&header);
    opool__image_reset_lock();
    bool good = make_image(&header);
    *live.own = good; /* an old kernel did not wipe it */
    if (good) {
        obey();
        copy_modules(parent);
    } else {
        opool__image.header = NULL;
        opool__add_relaxed(&parent->lost_children, (uint64_t)1);
    }
    leave((char *)parent, &layout);
    return good;
}
