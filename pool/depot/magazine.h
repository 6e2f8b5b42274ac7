/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_DEPOT_MAGAZINE_H
#define OPOOL_DEPOT_MAGAZINE_H

/* A fixed array of object pointers, the unit that thread caches and depots exchange. No policy. Magazine memory is
   type-stable: a freed magazine may become another one, never anything else. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPOOL__MAGAZINE_MOST = 128 };
#define OPOOL__LOW_ALL UINT32_MAX

struct opool__magazine {
    struct opool__magazine *next; /* in the depot's lists */
    uint32_t count;               /* objects in it, while it is not loaded (then the head's `top` says) */
    uint32_t capacity;
    /* Ages. The objects below `low` were not used since the tick `seen` looked at them; LOW_ALL: none was. A loaded
       magazine's objects below `vacant` are the victims' already (cache/reclaim.c). `step`: how far its owner lowers
       `low` at once. */
    uint32_t low, vacant, seen, step;
    void *bottom; /* NULL for ever: what `top - 1` reads in an empty magazine is no object */
    void *slots[];
};

/* An empty magazine for `capacity` (1 to OPOOL__MAGAZINE_MOST) objects; NULL: no memory. */
struct opool__magazine *opool__magazine_make(uint32_t capacity);
void opool__magazine_free(struct opool__magazine *magazine);

/* Did `make` give this pointer, for this capacity, and `free` not take it back? Any pointer may be asked for. */
bool opool__magazine_is_one(const struct opool__magazine *magazine, uint32_t capacity);

/* Give the memory of free magazines back, by pages; `every` as in opool__slab_trim. */
void opool__magazine_trim(bool every);

/* What one costs, in bytes. */
size_t opool__magazine_bytes(uint32_t capacity);

/* For fork: hold all locks of this file; drop them; in the child make them free. */
void opool__magazine_lock_all(void);
void opool__magazine_unlock_all(void);
void opool__magazine_reset_locks(void);

#endif
