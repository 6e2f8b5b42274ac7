/* SPDX-License-Identifier: MIT */
#ifndef MAIN_METHODS_H
#define MAIN_METHODS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"

/* One way to come by a zstd decoder context for each frame. */
struct method {
    const char *name;
    bool (*open)(void);                                             /* false: a line on standard error has said why */
    size_t (*decode)(const struct frame *frame, unsigned char *to); /* what ZSTD_decompressDCtx returned */
    void (*close)(void);
    void (*use)(uint64_t *gets, uint64_t *built); /* pooled methods: objects handed out, and built anew; else NULL */
};

/* NULL: no such name. */
const struct method *method_find(const char *name);

/* Bytes of a slot, as built, and what the libzstd that runs needs of them. */
size_t method_slot_bytes(void);
size_t method_needed_bytes(void);

#endif
