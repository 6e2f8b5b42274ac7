/* SPDX-License-Identifier: MIT */
#include "count.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/report.h"

__thread struct opool__try_thread opool__me;

static struct opool__try_area nobody_reads;
static struct opool__try_area *area = &nobody_reads;
static struct opool__try_file *file;
static void *areas; /* NULL: no address space for them */
static pthread_key_t row_key;
static bool has_key;

/* ---- areas ---- */

static void take_area(void)
{
    uint32_t number = areas ? opool__add_relaxed(&file->taken, 1u) : OPOOL__TRY_AREAS;
    if (number >= OPOOL__TRY_AREAS) {
        area = &nobody_reads;
        area->row[0].shared = 1;
        return;
    }
    area = opool__try_area_at(areas, number);
    ssize_t n = readlink("/proc/self/exe", area->program, sizeof area->program - 1);
    if (n < 0)
        memcpy(area->program, "?", 2);
    area->pid = (uint32_t)getpid();
    area->row[0].shared = 1;
}

static void *map(int fd, uint64_t bytes, uint64_t from)
{
    void *at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)from);
    return at == MAP_FAILED ? NULL : at;
}

static struct opool__try_file *map_file(const char *path)
{
    struct stat status;
    struct opool__try_file *mapped = NULL;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    errno = EINVAL;
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size == opool__try_file_bytes())
        mapped = map(fd, OPOOL__TRY_AREA_FIRST, 0);
    if (mapped && mapped->magic == OPOOL__TRY_MAGIC)
        areas = map(fd, opool__try_file_bytes() - OPOOL__TRY_AREA_FIRST, OPOOL__TRY_AREA_FIRST);
    else
        mapped = NULL;
    int saved = errno;
    close(fd);
    errno = saved;
    return mapped;
}

/* ---- rows ---- */

static void leave_row(void *void_row)
{
    struct opool__try_row *row = void_row;
    if (opool__me.row == row)
        opool__me.row = NULL;
    opool__me.ended = 1;
    opool__store_release(&row->owner, 0u);
}

static void note_rows(uint32_t rows)
{
    uint32_t noted = opool__load_relaxed(&area->rows);
    while (noted < rows && !opool__cas_relaxed(&area->rows, &noted, rows))
        continue;
}

static struct opool__try_row *find_row(void)
{
    for (uint32_t i = 1; i < OPOOL__TRY_ROWS; i++) {
        struct opool__try_row *row = &area->row[i];
        uint32_t free_row = 0;
        if (!opool__load_relaxed(&row->owner) && opool__cas_acquire(&row->owner, &free_row, 1u)) {
            note_rows(i + 1);
            return row;
        }
    }
    note_rows(1);
    return &area->row[0];
}

/* The C library may allocate for its note of the row: then this thread has one already. */
struct opool__try_row *opool__count_take_row(void)
{
    struct opool__try_row *row = has_key && !opool__me.ended ? find_row() : &area->row[0];
    uint32_t was_inside = opool__me.inside;
    int saved = errno;
    opool__me.error = &errno;
    opool__me.row = row;
    opool__store_relaxed(&opool__me.inside, 1u);
    if (!row->shared && pthread_setspecific(row_key, row) != 0) {
        opool__store_release(&row->owner, 0u);
        opool__me.row = row = &area->row[0];
    }
    opool__store_relaxed(&opool__me.inside, was_inside);
    errno = saved;
    return row;
}

/* ---- what others see ---- */

struct opool__try_area *opool__count_area(void)
{
    return area;
}

void opool__count_built(uint32_t kind)
{
    struct opool__try_row *row = opool__count_row();
    struct opool__try_held *held = &area->held[kind];
    opool__count_one(row, &row->of[kind].built);
    uint64_t now = opool__add_relaxed(&held->objects, 1u) + 1, most = opool__load_relaxed(&held->most);
    while (most < now && !opool__cas_relaxed(&held->most, &most, now))
        continue;
}

void opool__count_torn(uint32_t kind)
{
    struct opool__try_row *row = opool__count_row();
    opool__count_one(row, &row->of[kind].torn);
    opool__sub_relaxed(&area->held[kind].objects, 1u);
}

void opool__count_prefilled(uint32_t kind)
{
    area->held[kind].prefilled = opool__count_row()->of[kind].built;
}

void opool__count_forked(void)
{
    const struct opool__try_area *parent = area;
    take_area();
    opool__me.row = NULL;
    for (uint32_t i = 0; i < OPOOL__TRY_KINDS && area != parent; i++)
        area->held[i].objects = area->held[i].most = parent->held[i].objects;
    if (area == parent)
        return;
    area->no_zstd = parent->no_zstd;
    opool__store_release(&area->ready, parent->ready);
}

const struct opool__try_config *opool__count_start(void)
{
    const char *path = getenv(OPOOL__TRY_FILE);
    file = path ? map_file(path) : NULL;
    if (path && !file)
        opool__say("try: process %ld serves nothing: %s: %s", (long)getpid(), path, strerror(errno));
    if (!file)
        return NULL;
    take_area();
    has_key = pthread_key_create(&row_key, leave_row) == 0;
    return &file->config;
}
