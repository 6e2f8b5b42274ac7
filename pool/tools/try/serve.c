/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ticking.h"

/* A pool's first range is at most this large, less with many pools (pool/slab/slab.c); what does not fit falls through
   to the program's allocator. */
#define RANGE_MOST ((size_t)1 << 30)

enum { UNIT = 16, GRANULES = 4096 }; /* UNIT: malloc's own alignment */

struct opool__served_span opool__served_span;
uint8_t opool__served_small[OPOOL__SERVED_SMALL + 1];

static struct opool__served served[OPOOL__TRY_SIZES]; /* in the order of the configuration */
static size_t aligns[OPOOL__TRY_SIZES];
static uint8_t by_address[OPOOL__TRY_SIZES];
static uint32_t pools, placed;
static unsigned granule_shift;
static uint8_t granules[GRANULES]; /* the first range, in order of addresses, that ends in this granule or later */
static struct opool__try_size large[OPOOL__TRY_SIZES]; /* those with a part above the table */
static uint8_t large_which[OPOOL__TRY_SIZES];
static uint32_t larges;
void *opool__serve_shared_waiting;

/* ---- which pool ---- */

uint8_t opool__served_large(size_t size)
{
    for (uint32_t i = 0; i < larges; i++)
        if (size >= large[i].from && size <= large[i].size)
            return large_which[i];
    return 0;
}

/* What lies between two ranges is somebody else's. */
const struct opool__served *opool__served_in_span(const void *at)
{
    uintptr_t address = (uintptr_t)at;
    for (uint32_t i = granules[(address - opool__served_span.base) >> granule_shift]; i < placed; i++) {
        const struct opool__served *one = &served[by_address[i]];
        if (address - one->base < one->bytes)
            return one;
        if (address < one->base)
            break;
    }
    return NULL;
}

/* ---- in and out ---- */

void opool__serve_put_waiting(void)
{
    void *at = opool__exchange_acquire(&opool__serve_shared_waiting, NULL);
    while (at) {
        void *next;
        memcpy(&next, at, sizeof next);
        opool__serve_put(opool__served_of(at), at);
        at = next;
    }
}

static void wait_for_leave(void *at)
{
    void *first = opool__load_relaxed(&opool__serve_shared_waiting);
    do
        memcpy(at, &first, sizeof first);
    while (!opool__cas_release(&opool__serve_shared_waiting, &first, at));
}

void *opool__serve_get(uint32_t which, size_t align)
{
    struct opool__served *one = &served[which - 1];
    if (OPOOL__UNLIKELY(align > aligns[which - 1] || !opool__serve_enter()))
        return NULL;
    struct opool__try_row *row = opool__count_row();
    int *error = opool__me.error, saved = *error;
    void *at = opool__get_inline(one->pool);
    opool__count_one(row, OPOOL__LIKELY(at) ? &row->of[one->kind].gets : &row->of[one->kind].fell);
    if (opool__ticking_due(opool__load_relaxed(&row->of[one->kind].gets)))
        opool__ticking_look();
    opool__serve_leave();
    *error = saved;
    return at;
}

void opool__serve_put(const struct opool__served *one, void *at)
{
    if (OPOOL__UNLIKELY(!opool__serve_enter())) {
        wait_for_leave(at);
        return;
    }
    struct opool__try_row *row = opool__count_row();
    int *error = opool__me.error, saved = *error;
    opool__put_inline(one->pool, at);
    opool__count_one(row, &row->of[one->kind].puts);
    opool__serve_leave();
    *error = saved;
}

/* ---- pools ---- */

static int init(void *object, void *arg)
{
    const struct opool__served *one = arg;
    (void)object;
    opool__count_built(one->kind);
    return 0;
}

static void fini(void *object, void *arg)
{
    const struct opool__served *one = arg;
    (void)object;
    opool__count_torn(one->kind);
}

static int create(struct opool__served *one, const struct opool__try_size *wanted, size_t capacity, size_t prefill,
                  unsigned epoch_ms)
{
    char name[32];
    snprintf(name, sizeof name, "size %zu", (size_t)wanted->size);
    struct opool_type type = {.name = "size",
                              .shape = OPOOL_SHAPE_TRUSTED("blocks of one size"),
                              .size = one->usable,
                              .align = wanted->align,
                              .init = init,
                              .fini = fini};
    struct opool_options options = {.name = name,
                                    .arg = one,
                                    .capacity = capacity,
                                    .prefill = prefill < capacity ? prefill : capacity,
                                    .checks = OPOOL_CHECKS_BASIC,
                                    .epoch_ms = epoch_ms};
    int r = opool_create(&one->pool, &type, &options);
    if (r == 0 && (r = opool_slots_of(one->pool, &one->slots)) != 0)
        opool_destroy(&one->pool);
    return r;
}

/* As many as one range holds: less where slots leave a rest of it, and where address space is limited. Objects are
   built when it is known how many there may be. */
static int create_fitting(struct opool__served *one, const struct opool__try_size *wanted, unsigned epoch_ms)
{
    size_t capacity = wanted->capacity ? wanted->capacity : RANGE_MOST / one->usable;
    int r = create(one, wanted, capacity, 0, epoch_ms);
    while (r != 0 && capacity > 1) {
        capacity -= (capacity + 7) / 8;
        r = create(one, wanted, capacity, 0, epoch_ms);
    }
    if (r != 0 || !wanted->prefill)
        return r;
    opool_destroy(&one->pool);
    return create(one, wanted, capacity, wanted->prefill, epoch_ms);
}

static bool is_sensible(const struct opool__try_size *size)
{
    return size->size > 0 && size->size <= OPOOL_SIZE_MAX && size->from > 0 && size->from <= size->size &&
           size->align >= UNIT && size->align <= OPOOL_ALIGN_MAX && (size->align & (size->align - 1)) == 0;
}

static void add(const struct opool__try_size *wanted, uint32_t kind, unsigned epoch_ms)
{
    struct opool__served *one = &served[pools];
    if (!is_sensible(wanted))
        return;
    one->kind = kind;
    one->usable = (wanted->size + UNIT - 1) / UNIT * UNIT;
    one->least = wanted->from;
    int r = create_fitting(one, wanted, epoch_ms);
    if (r != 0) {
        opool__count_area()->held[kind].refused = (uint64_t)-r;
        return;
    }
    opool__count_prefilled(kind);
    one->base = (uintptr_t)one->slots.base;
    one->bytes = one->slots.slots * one->slots.stride;
    aligns[pools++] = wanted->align;
}

/* ---- ranges ---- */

static int compare_addresses(const void *left, const void *right)
{
    uintptr_t a = served[*(const uint8_t *)left].base, b = served[*(const uint8_t *)right].base;
    return (a > b) - (a < b);
}

static void place(void)
{
    for (uint32_t i = 0; i < pools; i++)
        by_address[i] = (uint8_t)i;
    qsort(by_address, pools, sizeof *by_address, compare_addresses);
    const struct opool__served *first = &served[by_address[0]], *last = &served[by_address[pools - 1]];
    uintptr_t bytes = last->base + last->bytes - first->base;
    while (bytes >> granule_shift >= GRANULES)
        granule_shift++;
    uint32_t i = 0;
    for (uint32_t granule = 0; granule < GRANULES; granule++) {
        uintptr_t start = first->base + ((uintptr_t)granule << granule_shift);
        while (i < pools && served[by_address[i]].base + served[by_address[i]].bytes <= start)
            i++;
        granules[granule] = (uint8_t)i;
    }
    placed = pools;
    opool__served_span = (struct opool__served_span){first->base, bytes};
}

/* After everything else is in place: from here on malloc serves. */
static void open_for(const struct opool__try_size *wanted, uint8_t which)
{
    for (uint64_t size = wanted->from; size <= wanted->size && size <= OPOOL__SERVED_SMALL; size++)
        opool__served_small[size] = which;
    if (wanted->size > OPOOL__SERVED_SMALL) {
        large[larges] = *wanted;
        large_which[larges++] = which;
    }
}

void opool__serve_start(const struct opool__try_config *config, unsigned epoch_ms)
{
    uint32_t sizes = config->sizes < OPOOL__TRY_SIZES ? config->sizes : OPOOL__TRY_SIZES;
    for (uint32_t i = 0; i < sizes; i++) {
        struct opool__try_size wanted = config->size[i];
        add(&wanted, i, epoch_ms);
    }
    if (pools == 0)
        return;
    place();
    for (uint32_t i = 0; i < pools; i++) {
        struct opool__try_size wanted = config->size[served[i].kind];
        open_for(&wanted, (uint8_t)(i + 1));
    }
}
