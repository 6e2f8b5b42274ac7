/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_API_FRESH_H
#define OPOOL_API_FRESH_H

/*
 * Reset verification, under full checks: after reset an object shall be as init left it, else its next user sees the
 * last one's state. What init leaves is an image of the first object that was built, and bytes that are not the same in
 * every object that is built are not watched: an index, a lock that knows its address. Each object is looked at when it
 * is built, so what tells it from others is known before its first put. Padding is not watched, nor is what the type
 * declares kept, borrowed or opaque. Each finding is a line, and is not watched any more.
 *
 *     bit i of watched[w] is set: bit i of word w of an object is compared with that of image[w]; bits are only cleared
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opool__fresh {
    void *map; /* both arrays; NULL: nothing is verified */
    size_t map_bytes;
    uint64_t *image;
    uint64_t *shared_watched; /* written under the lock */
    size_t words;
    uint32_t lock;
    uint32_t shared_known; /* the image is there */
    uint32_t shared_found; /* findings so far, padding too; written under the lock */
};

struct opool;

/* 0, or -ENOMEM. Before the first build. */
int opool__fresh_start(struct opool *pool);
void opool__fresh_end(struct opool *pool);

/* `object` was just built. */
void opool__fresh_learn(struct opool *pool, const void *object);

/* `object` was just reset, and is not idle yet: says what differs. */
void opool__fresh_verify(struct opool *pool, const void *object);

#endif
