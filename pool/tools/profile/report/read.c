/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "read.h"

enum { IMAGES_MOST = 1 << 16, STRIDE_MOST = 1 << 16, ARRAYS = 5 };

/* The part of a file that is one image. */
struct reading {
    struct memory *memory;
    int fd;
    uint64_t start, size; /* size: image_bytes, once it is known to lie in the file */
    const char *why;
};

static bool refuse(struct reading *reading, const char *why)
{
    reading->why = why;
    return false;
}

static bool read_at(struct reading *reading, uint64_t offset, void *to, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pread(reading->fd, (char *)to + done, size - done, (off_t)(reading->start + offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse(reading, strerror(errno));
        if (n == 0)
            return refuse(reading, "it became shorter while it was read");
        done += (uint64_t)n;
    }
    return true;
}

/* ---- the header ---- */

/* Foreign files are told from those that are cut short. */
static bool check_magic(struct reading *reading, uint64_t left)
{
    const uint64_t ours = OPOOL__PROFILE_MAGIC;
    uint64_t magic = 0;
    size_t length = left < sizeof magic ? (size_t)left : sizeof magic;
    if (!read_at(reading, 0, &magic, length))
        return false;
    if (magic == __builtin_bswap64(ours))
        return refuse(reading, "it comes from a machine of another byte order: read it there");
    if (memcmp(&magic, &ours, length) != 0)
        return refuse(reading, reading->start == 0 ? "not a profile of opool"
                                                   : "malformed: behind an image stands what is none");
    return true;
}

static bool check_version(struct reading *reading, const struct opool__profile_header *header)
{
    if (header->version != OPOOL__PROFILE_VERSION)
        return refuse(reading,
                      opool__shapes_format(reading->memory,
                                           "a profile of version %u, and this opool reads version %d: take the "
                                           "opool that recorded it",
                                           header->version, OPOOL__PROFILE_VERSION));
    if (!header->ready)
        return refuse(reading, "the process ended, or was stopped, before it had begun to record");
    return true;
}

static bool read_header(struct reading *reading, uint64_t left, struct opool__profile_header *header)
{
    if (!check_magic(reading, left))
        return false;
    if (left < sizeof *header)
        return refuse(reading, "it is cut short: the header is not whole");
    if (!read_at(reading, 0, header, sizeof *header) || !check_version(reading, header))
        return false;
    if (header->image_bytes < sizeof *header)
        return refuse(reading, "malformed: an image smaller than its header");
    if (header->image_bytes > left)
        return refuse(reading, opool__shapes_format(reading->memory, "it is cut short: %llu bytes of an image of %llu",
                                                    (unsigned long long)left, (unsigned long long)header->image_bytes));
    reading->size = header->image_bytes;
    header->program[sizeof header->program - 1] = '\0';
    header->arguments[sizeof header->arguments - 1] = '\0';
    return true;
}

/* ---- arrays ---- */

static bool check_array(struct reading *reading, const struct opool__profile_array *array, size_t least)
{
    uint64_t bytes = (uint64_t)array->used * array->stride; /* 32 bits each */
    if (array->used == 0)
        return true;
    if (array->stride < least || array->stride > STRIDE_MOST)
        return refuse(reading, "malformed: elements of a size that can not be");
    if (array->used > array->room)
        return refuse(reading, "malformed: more elements in use than there is room for");
    if (array->offset < sizeof(struct opool__profile_header) || array->offset > reading->size ||
        bytes > reading->size - array->offset)
        return refuse(reading, "malformed: an array that does not lie in its image");
    return true;
}

static bool overlap(const struct opool__profile_array *a, const struct opool__profile_array *b)
{
    return a->used > 0 && b->used > 0 && a->offset < b->offset + (uint64_t)b->used * b->stride &&
           b->offset < a->offset + (uint64_t)a->used * a->stride;
}

static bool check_arrays(struct reading *reading, const struct opool__profile_header *header)
{
    const struct opool__profile_array *all[ARRAYS] = {&header->modules, &header->sites, &header->records,
                                                      &header->timeline, &header->threads};
    static const size_t least[ARRAYS] = {sizeof(struct opool__profile_module), sizeof(struct opool__profile_site),
                                         sizeof(struct opool__profile_record), sizeof(struct opool__profile_point),
                                         sizeof(struct opool__profile_thread)};
    for (int i = 0; i < ARRAYS; i++)
        if (!check_array(reading, all[i], least[i]))
            return false;
    for (int i = 0; i < ARRAYS; i++)
        for (int k = 0; k < i; k++)
            if (overlap(all[i], all[k]))
                return refuse(reading, "malformed: arrays that overlap");
    return true;
}

/* The elements, `size` bytes of each. */
static bool read_array(struct reading *reading, const struct opool__profile_array *array, size_t size, void **to,
                       size_t *count)
{
    *count = array->used;
    if (array->used == 0)
        return true;
    char *items = *to = opool__shapes_take(reading->memory, (size_t)array->used * size);
    if (array->stride == size)
        return read_at(reading, array->offset, items, (uint64_t)array->used * size);
    for (size_t i = 0; i < array->used; i++)
        if (!read_at(reading, array->offset + (uint64_t)i * array->stride, items + i * size, size))
            return false;
    return true;
}

static void end_texts(struct image *image)
{
    for (size_t i = 0; i < image->module_count; i++) {
        struct opool__profile_module *module = &image->modules[i];
        module->path[sizeof module->path - 1] = '\0';
        if (module->id_bytes > sizeof module->id)
            module->id_bytes = 0;
    }
    for (size_t i = 0; i < image->site_count; i++)
        if (image->sites[i].depth > OPOOL__PROFILE_FRAMES)
            image->sites[i].depth = OPOOL__PROFILE_FRAMES;
}

static void drop_records(struct image *image)
{
    size_t kept = 0;
    for (size_t i = 0; i < image->record_count; i++) {
        const struct opool__profile_record *record = &image->records[i];
        if (record->thread == 0)
            continue;
        if (record->site < image->site_count)
            image->records[kept++] = *record;
        else
            image->dropped++;
    }
    image->record_count = kept;
}

static bool read_arrays(struct reading *reading, struct image *image)
{
    const struct opool__profile_header *header = &image->header;
    void *modules = NULL, *sites = NULL, *records = NULL, *points = NULL, *threads = NULL;
    if (!check_arrays(reading, header) ||
        !read_array(reading, &header->modules, sizeof *image->modules, &modules, &image->module_count) ||
        !read_array(reading, &header->sites, sizeof *image->sites, &sites, &image->site_count) ||
        !read_array(reading, &header->records, sizeof *image->records, &records, &image->record_count) ||
        !read_array(reading, &header->timeline, sizeof *image->points, &points, &image->point_count) ||
        !read_array(reading, &header->threads, sizeof *image->threads, &threads, &image->thread_count))
        return false;
    image->modules = modules;
    image->sites = sites;
    image->records = records;
    image->points = points;
    image->threads = threads;
    end_texts(image);
    drop_records(image);
    return true;
}

/* ---- the file ---- */

static bool read_images(struct images *images, struct reading *reading, uint64_t size)
{
    for (size_t i = 0; reading->start < size; i++) {
        struct image image = {.dropped = 0};
        if (i == IMAGES_MOST)
            return refuse(reading, "more images than can be read");
        if (!read_header(reading, size - reading->start, &image.header) || !read_arrays(reading, &image))
            return false;
        images->all = opool__shapes_grow(images->memory, images->all, images->count, sizeof image);
        images->all[images->count++] = image;
        reading->start += reading->size;
    }
    return true;
}

bool opool__profile_read(struct images *images, const char *path, const char **why)
{
    struct reading reading = {.memory = images->memory, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat about;
    if (reading.fd < 0 || fstat(reading.fd, &about) != 0) {
        *why = strerror(errno);
        if (reading.fd >= 0)
            close(reading.fd);
        return false;
    }
    bool good = S_ISREG(about.st_mode) && about.st_size > 0 && read_images(images, &reading, (uint64_t)about.st_size);
    if (!S_ISREG(about.st_mode))
        reading.why = "not a regular file";
    else if (about.st_size == 0)
        reading.why = "it is empty";
    close(reading.fd);
    *why = reading.why;
    return good;
}
