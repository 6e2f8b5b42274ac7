/* SPDX-License-Identifier: MIT */
#include "depot/magazine.h"

#include "os/lock.h"
#include "os/state.h"
#include "slab/slab.h"

/* Capacities are rounded up to powers of two, each with slabs of its own, made at first use and kept. */
enum { CLASSES = 8, ALIGN = 64, RESERVE_SLOTS = 1 << 20 };

static OPOOL__STATE uint32_t lock;
static OPOOL__STATE struct opool__slab slabs[CLASSES];
static OPOOL__STATE bool made[CLASSES];

static unsigned class_of(uint32_t capacity)
{
    return capacity < 2 ? 0 : 32 - (unsigned)__builtin_clz(capacity - 1);
}

static size_t bytes_of(unsigned size_class)
{
    return sizeof(struct opool__magazine) + ((size_t)1 << size_class) * sizeof(void *);
}

static struct opool__slab *slab_for(unsigned size_class)
{
    opool__lock_take(&lock);
    made[size_class] =
        made[size_class] || opool__slab_init(&slabs[size_class], bytes_of(size_class), ALIGN, RESERVE_SLOTS, NULL) == 0;
    struct opool__slab *slab = made[size_class] ? &slabs[size_class] : NULL;
    opool__lock_drop(&lock);
    return slab;
}

struct opool__magazine *opool__magazine_make(uint32_t capacity)
{
    struct opool__slab *slab = slab_for(class_of(capacity));
    struct opool__magazine *magazine = slab ? opool__slab_take(slab) : NULL;
    if (magazine) {
        magazine->capacity = capacity;
        magazine->step = 1;
    }
    return magazine;
}

void opool__magazine_free(struct opool__magazine *magazine)
{
    opool__slab_give(&slabs[class_of(magazine->capacity)], magazine);
}

/* Without the lock: who knows a magazine of the class knows that its slab was made. */
bool opool__magazine_is_one(const struct opool__magazine *magazine, uint32_t capacity)
{
    const uint8_t *state = opool__slab_state_of(&slabs[class_of(capacity)], magazine);
    return state && opool__load_relaxed(state) == OPOOL__SLOT_OUT && magazine->capacity == capacity;
}

void opool__magazine_trim(bool every)
{
    for (int i = 0; i < CLASSES; i++) {
        opool__lock_take(&lock);
        bool trim = made[i];
        opool__lock_drop(&lock);
        if (trim)
            opool__slab_trim(&slabs[i], every, UINT32_MAX);
    }
}

size_t opool__magazine_bytes(uint32_t capacity)
{
    return bytes_of(class_of(capacity));
}

void opool__magazine_lock_all(void)
{
    opool__lock_take(&lock);
    for (int i = 0; i < CLASSES; i++)
        opool__lock_take(&slabs[i].lock);
}

void opool__magazine_unlock_all(void)
{
    for (int i = 0; i < CLASSES; i++)
        opool__lock_drop(&slabs[i].lock);
    opool__lock_drop(&lock);
}

void opool__magazine_reset_locks(void)
{
    for (int i = 0; i < CLASSES; i++)
        opool__lock_reset(&slabs[i].lock);
    opool__lock_reset(&lock);
}
