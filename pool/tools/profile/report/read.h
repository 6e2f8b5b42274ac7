/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_READ_H
#define OPOOL_TOOLS_PROFILE_REPORT_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "../../shapes/memory.h"
#include "../format.h"

/*
 * Profiles as they lie in files (format.h), live or saved. No number of a file is taken for granted: afterwards every
 * text ends, every count is one of elements that were read, and every record's site is one of its image.
 */

struct image {
    struct opool__profile_header header;
    struct opool__profile_module *modules;
    struct opool__profile_site *sites;
    struct opool__profile_record *records;
    struct opool__profile_point *points;
    struct opool__profile_thread *threads;
    size_t module_count, site_count, record_count, point_count, thread_count;
    size_t dropped; /* records of no site */
};

struct images {
    struct memory *memory;
    struct image *all;
    size_t count;
};

/** Adds the images of a file. False: `why` says what is wrong with it; the images in front of that are kept. */
bool opool__profile_read(struct images *images, const char *path, const char **why);

#endif
