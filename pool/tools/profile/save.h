/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_SAVE_H
#define OPOOL_TOOLS_PROFILE_SAVE_H

/* From a live image, with gaps, to one without. */

#include <stddef.h>

#include "live.h"

/* The header of the image in the file `fd`, held to what the file has. False: errno is EPROTONOSUPPORT for one of
   another version, else it is none. */
bool opool__save_header(int fd, struct opool__profile_header *header);

/* All of it; false: errno says why. */
bool opool__save_bytes(int fd, const void *from, size_t bytes);

/* Appends it to `to`, unless it says nothing. `ended`: what is known of its process. False: errno says why, and what
   was written of it is taken back. */
bool opool__save_image(int fd, int to, uint32_t ended, struct opool__saved *saved);

#endif
