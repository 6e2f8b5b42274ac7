/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_IMAGE_H
#define OPOOL_TOOLS_PROFILE_COLLECT_IMAGE_H

/*
 * The live image of this process (format.h): a sparse file, mapped. What is written there is there for the tool,
 * however the process ends.
 *
 * No page of it is touched before the system said that there is room on the disk: else a full one would end the
 * program by SIGBUS. So elements are taken one by one, under a lock, and what finds no room is counted as lost.
 *
 * A forked child gets an image of its own, at the latest at the first malloc after a fork that told nobody: a page
 * that the kernel wipes in the child says so.
 */

#include <opool/inline.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../format.h"

enum {
    OPOOL__ROOM_MODULES = 1024,
    OPOOL__ROOM_SITES = 1 << 16,
    OPOOL__ROOM_RECORDS = 1 << 17,
    OPOOL__ROOM_POINTS = 1024,
    OPOOL__ROOM_THREADS = 1 << 13
};

#define OPOOL__HIDDEN __attribute__((visibility("hidden")))

struct opool__image {
    struct opool__profile_header *header; /* NULL: there is none */
    struct opool__profile_module *modules;
    struct opool__profile_site *sites;
    struct opool__profile_record *records;
    struct opool__profile_point *points;
    struct opool__profile_thread *threads;
};

extern OPOOL__HIDDEN struct opool__image opool__image;

/* 1: there is an image and this is its process. In the memory that a forked child gets wiped. */
extern OPOOL__HIDDEN const volatile uint32_t *opool__image_own;

/* What of the header the environment says. */
struct opool__image_setup {
    uint32_t mode, frames, every;
    const char *folder; /* copied */
};

/* A false result: there is no image, errno says why. Not thread-safe. */
OPOOL__HIDDEN bool opool__image_start(const struct opool__image_setup *setup);

/* In a forked child, before anything else here: the image is the parent's. True: there is a new one. */
OPOOL__HIDDEN bool opool__image_renew(void);

/* In a child that was forked in the midst of a recording, which is still to be ended: it goes into a copy of the
   parent's image, which nobody reads. */
OPOOL__HIDDEN void opool__image_detach(void);

/* The process is not the one that made the image: a fork that called no handlers. */
static inline bool opool__image_is_foreign(void)
{
    return opool__image.header && !*opool__image_own;
}

/* Or there is no image. A handler of a signal that forks may take it away where it was just there. */
static inline bool opool__image_is_paused(void)
{
    const struct opool__profile_header *header = opool__load_relaxed(&opool__image.header);
    return OPOOL__UNLIKELY(!header) || opool__load_relaxed(&header->paused);
}

/* The lock under which elements are taken. Not to be held while the loader or an allocator is called. */
OPOOL__HIDDEN void opool__image_lock(void);
OPOOL__HIDDEN void opool__image_unlock(void);
OPOOL__HIDDEN void opool__image_reset_lock(void);

/* The index of a new element, all zero, under the lock; UINT32_MAX: no room. */
OPOOL__HIDDEN uint32_t opool__image_take(struct opool__profile_array *array);

#endif
