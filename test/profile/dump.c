/* SPDX-License-Identifier: MIT */

/*
 * A saved profile as JSON, one line an image, for the tests: what is in the file, in the words of format.h. Addresses
 * are "PATH+ADDRESS IN THE FILE'S SYMBOLS".
 *
 *     dump FILE
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/profile/format.h"

static const char *image;

static const struct opool__profile_header *header(void)
{
    return (const void *)image;
}

static const void *element(const struct opool__profile_array *array, uint32_t i)
{
    return image + array->offset + (uint64_t)i * array->stride;
}

static void print_address(uint64_t address, uint32_t site)
{
    for (uint32_t i = 0; i < header()->modules.used; i++) {
        const struct opool__profile_module *module = element(&header()->modules, i);
        if (opool__profile_holds(module, address, site)) {
            printf("\"%s+%llu\"", module->path, (unsigned long long)(address - module->bias));
            return;
        }
    }
    printf("\"?+%llu\"", (unsigned long long)address);
}

static void print_site(uint32_t number)
{
    const struct opool__profile_site *site = element(&header()->sites, number);
    printf("\"function\": \"%c\", \"frames\": [", site->function);
    for (uint32_t i = 0; i < site->depth; i++) {
        fputs(i ? ", " : "", stdout);
        print_address(site->frames[i] - 1, number);
    }
    fputs("]", stdout);
}

#define NUMBER(from, field) printf(", \"" #field "\": %llu", (unsigned long long)(from)->field)

static void print_record(const struct opool__profile_record *record)
{
    const char *comma = "";
    fputs("{", stdout);
    print_site(record->site);
    NUMBER(record, site), NUMBER(record, thread), NUMBER(record, allocations), NUMBER(record, bytes);
    NUMBER(record, frees), NUMBER(record, foreign_frees), NUMBER(record, live), NUMBER(record, live_peak);
    NUMBER(record, live_bytes), NUMBER(record, live_bytes_peak), NUMBER(record, least), NUMBER(record, most);
    NUMBER(record, alignment), NUMBER(record, grown), NUMBER(record, grown_bytes), NUMBER(record, moved_bytes);
    NUMBER(record, breaks), NUMBER(record, maps), NUMBER(record, fresh_bytes), NUMBER(record, timed);
    NUMBER(record, timed_ns), NUMBER(record, faults), NUMBER(record, burst), NUMBER(record, other_sizes);
    fputs(", \"sizes\": {", stdout);
    for (uint32_t i = 0; i < OPOOL__PROFILE_SIZES && record->sizes[i].count; i++)
        printf("%s\"%llu\": %llu", i ? ", " : "", (unsigned long long)record->sizes[i].bytes,
               (unsigned long long)record->sizes[i].count);
    fputs("}, \"size_classes\": {", stdout);
    for (uint32_t i = 0; i < OPOOL__PROFILE_SIZE_CLASSES; i++)
        if (record->size_classes[i]) {
            printf("%s\"%u\": %u", comma, i, record->size_classes[i]);
            comma = ", ";
        }
    fputs("}, \"lifetimes\": {", stdout);
    comma = "";
    for (uint32_t i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        if (record->lifetimes[i]) {
            printf("%s\"%llu\": %u", comma, (unsigned long long)opool__profile_lifetime_from(i), record->lifetimes[i]);
            comma = ", ";
        }
    fputs("}}", stdout);
}

static void print_modules(void)
{
    for (uint32_t i = 0; i < header()->modules.used; i++) {
        const struct opool__profile_module *module = element(&header()->modules, i);
        printf("%s{\"path\": \"%s\", \"range\": [%llu, %llu], \"id\": \"", i ? ", " : "", module->path,
               (unsigned long long)module->start, (unsigned long long)module->end);
        for (uint32_t k = 0; k < module->id_bytes; k++)
            printf("%02x", module->id[k]);
        fputs("\"}", stdout);
    }
}

static void print_points(void)
{
    for (uint32_t i = 0; i < header()->timeline.used; i++) {
        const struct opool__profile_point *point = element(&header()->timeline, i);
        printf("%s[%llu, %llu, %llu, %llu, %llu]", i ? ", " : "", (unsigned long long)point->at_ns,
               (unsigned long long)point->live_bytes, (unsigned long long)point->live_blocks,
               (unsigned long long)point->resident_bytes, (unsigned long long)point->allocations);
    }
}

static unsigned long long sum_threads(size_t offset)
{
    unsigned long long sum = 0;
    for (uint32_t i = 0; i < header()->threads.used; i++)
        sum += *(const uint64_t *)((const char *)element(&header()->threads, i) + offset);
    return sum;
}

static void print_image(void)
{
    const struct opool__profile_header *head = header();
    printf("{\"program\": \"%s\"", head->program);
    NUMBER(head, mode), NUMBER(head, ended), NUMBER(head, every), NUMBER(head, frames), NUMBER(head, pid);
    NUMBER(head, parent), NUMBER(head, own_malloc), NUMBER(head, paused), NUMBER(head, start_ns);
    NUMBER(head, last_ns), NUMBER(head, recorded_ns), NUMBER(head, cpu_ns), NUMBER(head, allocations);
    NUMBER(head, frees), NUMBER(head, lost_sites), NUMBER(head, lost_records), NUMBER(head, lost_blocks);
    NUMBER(head, lost_modules), NUMBER(head, lost_children), NUMBER(head, faults), NUMBER(head, resident_bytes);
    NUMBER(head, threads_begun);
    printf(", \"own\": [%llu, %llu]", sum_threads(offsetof(struct opool__profile_thread, own)),
           sum_threads(offsetof(struct opool__profile_thread, own_ns)));
    printf(", \"threads\": %u, \"modules\": [", head->threads.used);
    print_modules();
    fputs("], \"points\": [", stdout);
    print_points();
    fputs("], \"records\": [", stdout);
    for (uint32_t i = 0; i < head->records.used; i++) {
        fputs(i ? ", " : "", stdout);
        print_record(element(&head->records, i));
    }
    puts("]}");
}

int main(int argc, char **argv)
{
    struct stat status;
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &status) != 0)
        return 2;
    const char *all = status.st_size ? mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0) : "";
    if (all == MAP_FAILED)
        return 2;
    for (image = all; image < all + status.st_size; image += header()->image_bytes)
        if (header()->magic == OPOOL__PROFILE_MAGIC)
            print_image();
        else
            return 3;
    return ferror(stdout) ? 2 : 0;
}
