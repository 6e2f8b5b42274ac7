/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_COUNT_H
#define OPOOL_TOOLS_TRY_COUNT_H

/* What a process counts, in its area of the shared file. Safe from any thread; may be called in malloc. */

#include <opool/atomic.h>
#include <stdbool.h>

#include "area.h"

/* This thread's way through the library. */
struct opool__try_thread {
    uint32_t inside; /* 1: in a pool, or between fork's handlers. malloc goes to the allocator behind, free waits */
    struct opool__try_row *row; /* NULL: not yet */
    int *error;                 /* errno of this thread; valid with row */
    uint32_t ended;             /* 1: its row is given back; another one nobody would give back */
};

extern __attribute__((visibility("hidden"), tls_model("initial-exec"))) __thread struct opool__try_thread opool__me;

/* The configuration that the file named by the environment holds; NULL: there is none. Takes this process's area. Once,
   at the start. */
__attribute__((visibility("hidden"))) const struct opool__try_config *opool__count_start(void);

/* What this process counts in; memory that nobody reads where there is no area. */
__attribute__((visibility("hidden"))) struct opool__try_area *opool__count_area(void);

/* In a forked child: an area of its own. */
__attribute__((visibility("hidden"))) void opool__count_forked(void);

/* This thread's row. */
__attribute__((visibility("hidden"))) struct opool__try_row *opool__count_take_row(void);

static inline struct opool__try_row *opool__count_row(void)
{
    return __builtin_expect(opool__me.row != NULL, 1) ? opool__me.row : opool__count_take_row();
}

static inline void opool__count_one(const struct opool__try_row *row, uint64_t *figure)
{
    if (__builtin_expect(row->shared, 0))
        opool__add_relaxed(figure, 1u);
    else
        opool__increment_owned(figure);
}

/* An object of this kind was built, or torn down. */
__attribute__((visibility("hidden"))) void opool__count_built(uint32_t kind);
__attribute__((visibility("hidden"))) void opool__count_torn(uint32_t kind);

/* What was built so far is no request of the program. At the start. */
__attribute__((visibility("hidden"))) void opool__count_prefilled(uint32_t kind);

#endif
