/* SPDX-License-Identifier: MIT */
#include "os/lock.h"
#include "os/os.h"
#include "slab/slab.h"

/*
 * One object that stays holds its slab, but only the pages that it stands on need to. A slab's other pages go back by
 * the tick that tears down what stood there, but not while somebody takes slots of that slab, who would have to get
 * them again. Under the slab's lock nobody takes or gives a slot, so free slots stay free.
 *
 * A slot all of whose pages went is ZERO again and counts no more; one of which a part went is still DIRTY, and is
 * zeroed when it is taken.
 */

/* Records to look at without letting others in: no more than a few microseconds. */
enum { SLABS_AT_ONCE = 256 };

/* Slots of a slab, by number in it. */
struct run {
    uint32_t from, to;
};

static uint8_t *states_of(const struct opool__slab *slab, uint32_t number)
{
    return opool__slab_shared_state(slab, number << slab->layout.shift);
}

static bool is_free(const uint8_t *state)
{
    uint8_t is = opool__load_relaxed(state);
    return is == OPOOL__SLOT_ZERO || is == OPOOL__SLOT_DIRTY;
}

/* The next run of free slots at or after `at`; from == to: there is none. */
static struct run next_run(const struct opool__slab *slab, const uint8_t *states, uint32_t at)
{
    uint32_t slots = slab->layout.slots;
    while (at < slots && !is_free(&states[at]))
        at++;
    struct run run = {at, at};
    while (run.to < slots && is_free(&states[run.to]))
        run.to++;
    return run;
}

static bool any_dirty(const uint8_t *states, struct run run)
{
    for (uint32_t i = run.from; i < run.to; i++)
        if (opool__load_relaxed(&states[i]) == OPOOL__SLOT_DIRTY)
            return true;
    return false;
}

/* The run's slots in [from, to) have no memory any more. */
static void count_gone(struct opool__slab *slab, struct opool__record *record, uint8_t *states, struct run gone)
{
    for (uint32_t i = gone.from; i < gone.to; i++) {
        if (opool__load_relaxed(&states[i]) != OPOOL__SLOT_DIRTY)
            continue;
        opool__store_relaxed(&states[i], (uint8_t)OPOOL__SLOT_ZERO);
        record->zeros++;
        slab->slots--;
        slab->given_back += slab->layout.stride;
    }
}

/* The whole pages that a run covers. */
static void trim_run(struct opool__slab *slab, uint32_t number, uint8_t *states, struct run run)
{
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    size_t stride = slab->layout.stride, page = opool__os.page_size();
    size_t from = (run.from * stride + page - 1) / page * page, to = run.to * stride / page * page;
    if (from >= to || !any_dirty(states, run))
        return;
    char *memory = extent->slots + (number - extent->first_slab) * slab->layout.slab_bytes;
    if (opool__os.purge(memory + from, to - from) != 0)
        return;
    struct run gone = {(uint32_t)((from + stride - 1) / stride), (uint32_t)(to / stride)};
    count_gone(slab, opool__slab_record(slab, number), states, gone);
}

static void trim_slab(struct opool__slab *slab, uint32_t number)
{
    uint8_t *states = states_of(slab, number);
    for (struct run run = next_run(slab, states, 0); run.from < run.to; run = next_run(slab, states, run.to))
        trim_run(slab, number, states, run);
}

/* May some pages go? An empty one is kept or given back as a whole. */
static bool is_worth_a_look(const struct opool__slab *slab, uint32_t number)
{
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    const struct opool__record *record = opool__slab_record(slab, number);
    return !opool__slab_is_cold(extent, number - extent->first_slab) && record->given && record->used != 0;
}

static void let_others_in(struct opool__slab *slab)
{
    opool__lock_drop(&slab->lock);
    opool__lock_take(&slab->lock);
}

/* Under the lock, but for moments. Returns whether something is left for the next time. */
static bool trim_slabs(struct opool__slab *slab, bool every, uint32_t most)
{
    bool left = false;
    uint32_t slabs = opool__slab_end(slab) >> slab->layout.shift, done = 0;
    for (uint32_t number = 0; number < slabs; number++) {
        if (number % SLABS_AT_ONCE == SLABS_AT_ONCE - 1)
            let_others_in(slab);
        if (!is_worth_a_look(slab, number))
            continue;
        struct opool__record *record = opool__slab_record(slab, number);
        if (done == most || (!every && opool__slab_was_taken_from(record))) {
            left = true;
            continue;
        }
        record->given = 0;
        trim_slab(slab, number);
        done++;
        let_others_in(slab);
    }
    return left;
}

void opool__slab_trim(struct opool__slab *slab, bool every, uint32_t most)
{
    if (!opool__load_relaxed(&slab->shared_given) || !slab->extents[0].map)
        return;
    opool__store_relaxed(&slab->shared_given, 0u); /* before: what is given from here on is seen, or says it again */
    bool left = opool__slab_trim_empty(slab, every);
    opool__lock_take(&slab->lock);
    left = trim_slabs(slab, every, most) || left;
    opool__lock_drop(&slab->lock);
    if (left)
        opool__store_relaxed(&slab->shared_given, 1u);
}
