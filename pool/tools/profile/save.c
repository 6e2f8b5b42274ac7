/* SPDX-License-Identifier: MIT */
#include "save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

bool opool__save_bytes(int fd, const void *from, size_t bytes)
{
    const char *at = from;
    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *to, size_t bytes, uint64_t from)
{
    char *at = to;
    while (bytes > 0) {
        ssize_t n = pread(fd, at, bytes, (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EBADMSG : errno;
            return false;
        }
        at += n;
        bytes -= (size_t)n;
        from += (uint64_t)n;
    }
    return true;
}

/* ---- the header ---- */

static bool array_fits(struct opool__profile_array *array, size_t stride, uint64_t file_bytes)
{
    if (array->used > array->room)
        array->used = array->room;
    return array->stride == stride && array->offset <= file_bytes &&
           array->used <= (file_bytes - array->offset) / stride;
}

bool opool__save_header(int fd, struct opool__profile_header *header)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || !read_all(fd, header, sizeof *header, 0))
        return false;
    uint64_t bytes = (uint64_t)status.st_size;
    errno = EBADMSG;
    if (header->magic == OPOOL__PROFILE_MAGIC && header->version != OPOOL__PROFILE_VERSION && header->version != 0)
        errno = EPROTONOSUPPORT;
    bool good = header->magic == OPOOL__PROFILE_MAGIC && header->version == OPOOL__PROFILE_VERSION && header->ready &&
                array_fits(&header->modules, sizeof(struct opool__profile_module), bytes) &&
                array_fits(&header->sites, sizeof(struct opool__profile_site), bytes) &&
                array_fits(&header->records, sizeof(struct opool__profile_record), bytes) &&
                array_fits(&header->timeline, sizeof(struct opool__profile_point), bytes) &&
                array_fits(&header->threads, sizeof(struct opool__profile_thread), bytes);
    header->program[sizeof header->program - 1] = '\0';
    header->arguments[sizeof header->arguments - 1] = '\0';
    return good;
}

/* What the process did at a time that it did not come to write down. */
static void run_until(struct opool__profile_header *header, uint64_t ns)
{
    if (ns > header->last_ns)
        header->last_ns = ns;
}

static void complete(struct opool__profile_header *header, uint32_t ended)
{
    run_until(header, header->seen_ns);
    if (header->seen_cpu_ns > header->cpu_ns)
        header->cpu_ns = header->seen_cpu_ns;
    /* One that ended by a signal did not say so, and one that goes on did not end. */
    if (ended == OPOOL__PROFILE_EXECED || header->ended > OPOOL__PROFILE_EXECED)
        header->ended = ended;
}

/* ---- elements ---- */

/* False: not to be kept. */
static bool keep_record(void *element, struct opool__profile_header *header)
{
    struct opool__profile_record *record = element;
    if (record->thread == 0 || record->site >= header->sites.used)
        return false;
    record->live -= record->taken;
    record->live_bytes -= record->taken_bytes;
    record->taken = record->taken_bytes = 0;
    if (record->least > record->most)
        record->least = record->most;
    return true;
}

static bool keep_thread(void *element, struct opool__profile_header *header)
{
    const struct opool__profile_thread *thread = element;
    header->allocations += thread->allocations;
    header->frees += thread->frees;
    run_until(header, thread->last_ns);
    return true;
}

static bool keep_module(void *element, struct opool__profile_header *header)
{
    struct opool__profile_module *module = element;
    (void)header;
    module->path[sizeof module->path - 1] = '\0';
    return module->start < module->end && module->id_bytes <= OPOOL__PROFILE_ID;
}

/* A place among the others is what a site is known by. */
static bool keep(void *element, struct opool__profile_header *header)
{
    (void)element;
    (void)header;
    return true;
}

struct copy {
    int from, to;
    struct opool__profile_header *header;
    uint64_t at; /* in the image that is written */
    char *buffer;
};

/* Moves the kept ones of `count` elements together; how many. */
static uint32_t sift(const struct copy *copy, uint32_t count, size_t stride,
                     bool (*keeps)(void *, struct opool__profile_header *))
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        char *element = copy->buffer + i * stride;
        if (!keeps(element, copy->header))
            continue;
        if (kept != i)
            memcpy(copy->buffer + kept * stride, element, stride);
        kept++;
    }
    return kept;
}

static bool copy_array(struct copy *copy, struct opool__profile_array *array,
                       bool (*keeps)(void *, struct opool__profile_header *))
{
    uint32_t kept = 0, most = BUFFER / array->stride;
    uint64_t offset = copy->at;
    for (uint32_t i = 0; i < array->used; i += most) {
        uint32_t count = array->used - i < most ? array->used - i : most;
        if (!read_all(copy->from, copy->buffer, (size_t)count * array->stride,
                      array->offset + (uint64_t)i * array->stride))
            return false;
        uint32_t left = sift(copy, count, array->stride, keeps);
        if (!opool__save_bytes(copy->to, copy->buffer, (size_t)left * array->stride))
            return false;
        copy->at += (uint64_t)left * array->stride;
        kept += left;
    }
    *array = (struct opool__profile_array){offset, array->stride, kept, kept, 0};
    return true;
}

/* ---- an image ---- */

static bool says_nothing(const struct opool__profile_header *header)
{
    return header->records.used == 0 && header->threads.used == 0 && !header->own_malloc && !header->lost_children;
}

/* The header comes first, and is known last. */
static bool copy_image(struct copy *copy, off_t start)
{
    struct opool__profile_header *header = copy->header;
    if (lseek(copy->to, start + (off_t)sizeof *header, SEEK_SET) < 0)
        return false;
    copy->at = sizeof *header;
    header->allocations = header->frees = 0;
    if (!copy_array(copy, &header->threads, keep_thread) || !copy_array(copy, &header->modules, keep_module) ||
        !copy_array(copy, &header->sites, keep) || !copy_array(copy, &header->records, keep_record) ||
        !copy_array(copy, &header->timeline, keep))
        return false;
    header->image_bytes = copy->at;
    header->recorded_ns = opool__profile_recorded(header);
    return lseek(copy->to, start, SEEK_SET) >= 0 && opool__save_bytes(copy->to, header, sizeof *header) &&
           lseek(copy->to, 0, SEEK_END) >= 0;
}

static void count(const struct opool__profile_header *header, struct opool__saved *saved)
{
    saved->images++;
    saved->allocations += header->allocations;
    saved->sites += header->sites.used;
    saved->lost += header->lost_sites + header->lost_records + header->lost_blocks;
    saved->lost_children += header->lost_children;
    if (header->own_malloc) {
        saved->own_malloc++;
        memcpy(saved->own_malloc_program, header->program, sizeof header->program);
    }
}

bool opool__save_image(int fd, int to, uint32_t ended, struct opool__saved *saved)
{
    struct opool__profile_header header;
    if (!opool__save_header(fd, &header))
        return false;
    if (says_nothing(&header))
        return true;
    complete(&header, ended);
    off_t start = lseek(to, 0, SEEK_END);
    struct copy copy = {fd, to, &header, 0, malloc(BUFFER)};
    bool good = start >= 0 && copy.buffer && copy_image(&copy, start);
    int error = errno;
    free(copy.buffer);
    if (good)
        count(&header, saved);
    else if (start >= 0 && ftruncate(to, start) != 0)
        error = errno;
    errno = error;
    return good;
}
