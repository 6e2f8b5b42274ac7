/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_LIVE_H
#define OPOOL_TOOLS_PROFILE_LIVE_H

/*
 * The tool's side of live images: a folder FILE.live beside the profile FILE, with an image for each process
 * (collect/image.h) and the control file; and FILE.part, to which images are moved when their process has ended, until
 * it becomes FILE. Images are what programs wrote: nothing in them is taken for granted.
 *
 * Functions that fail return false and set errno.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "format.h"

struct opool__live {
    char file[PATH_MAX], folder[PATH_MAX], part[PATH_MAX]; /* absolute */
};

/* What was saved. */
struct opool__saved {
    uint64_t images, allocations, sites;
    uint64_t lost;           /* events that found no room */
    uint64_t lost_children;  /* forked processes that made no image */
    uint64_t other_versions; /* images of another opool's format, which stay where they are */
    uint64_t own_malloc;     /* images of programs whose malloc was not seen */
    char own_malloc_program[OPOOL__PROFILE_PATH];
};

/* Names; nothing is made yet. */
bool opool__live_name(struct opool__live *live, const char *file);

/* Why what has the profile's name is not to be replaced; NULL: it is nothing, or a file that may be written. */
const char *opool__live_keeps(const struct opool__live *live);

/* The names of the profile that this process is recorded in. */
bool opool__live_of(struct opool__live *live, long pid);

/* Makes the folder and the empty part. EEXIST: another run's is there. */
bool opool__live_make(const struct opool__live *live, bool paused);

/* Recording from now on, or not, by all processes. */
bool opool__live_pause(const struct opool__live *live, bool paused);

/* Notes what the running processes use, and moves the images of those that ended into the part; all of them with `all`.
   False: something could not be written; what could not be moved is still in the folder. */
bool opool__live_gather(const struct opool__live *live, bool all, struct opool__saved *saved);

/* The part is the profile now, and the folder gone. */
bool opool__live_finish(const struct opool__live *live);

/* What there is up to now, in a file of its own. */
bool opool__live_snapshot(const struct opool__live *live, const char *file, struct opool__saved *saved);

/* Removes what opool__live_make made: nothing is in it. */
void opool__live_drop(const struct opool__live *live);

#endif
