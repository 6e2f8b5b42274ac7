/* SPDX-License-Identifier: MIT */
#ifndef DECODERS_FORMATS_H
#define DECODERS_FORMATS_H

#include <stdbool.h>
#include <stddef.h>

#include <opool.h>

/* One piece that is decoded with a decoder of its own: a frame, a member, a talk of a few packets. */
struct item {
    unsigned char *packed;
    size_t packed_size;
    size_t offset, size; /* in the output */
};

/* All items of a content, and what they must decode to. */
struct set {
    struct item *items;
    size_t count, size;
    unsigned char *packed, *expected, *output; /* packed: of all items; size bytes each of the other two */
};

/* A way to decode, with contexts from a pool and with one made and freed for each item. All false results: no memory,
   or what the library says is no valid input. */
struct format {
    const char *name, *item;
    bool (*make)(struct set *set, const unsigned char *content, size_t size); /* set_free after either result */
    int (*open)(void);                                                        /* 0, or a negative errno value */
    bool (*pooled)(const struct item *item, unsigned char *output);
    bool (*created)(const struct item *item, unsigned char *output);
    struct opool *(*base)(void);
    void (*close)(void);
};

extern const struct format *const formats[]; /* NULL ends it */
extern const struct format opus_format;

/* Room for count items with packed_most bytes each, and size bytes of output. */
bool set_allocate(struct set *set, size_t count, size_t packed_most, size_t size);
void set_free(struct set *set);

#endif
