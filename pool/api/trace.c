/* SPDX-License-Identifier: MIT */
#include "api/trace.h"

#include "api/pool.h"
#include "check/fill.h"
#include "check/life.h"
#include "check/stack.h"
#include "check/suppress.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"
#include "os/tools.h"

enum { ZONE_LEAST = 32, TAIL = 16 };

static bool is_full(const struct opool *pool)
{
    return pool->label.checks == OPOOL_CHECKS_FULL;
}

/* A memory tool that reports touches finds more, and earlier: then zones are its gaps, and idle objects stay as they
   are. */
static bool is_filled(const struct opool *pool)
{
    return is_full(pool) && !opool__tools_guard();
}

static uint32_t index_of(const struct opool *pool, const void *object)
{
    return opool__slab_index(&pool->slab, object);
}

/* NULL: nothing is kept of this pool's objects. */
static struct opool__entry *entry_of(const struct opool *pool, const void *object)
{
    return opool__life_known(&pool->life) ? opool__life_at(&pool->life, index_of(pool, object)) : NULL;
}

static enum opool__phase phase_of(const struct opool__entry *entry)
{
    return opool__phase_of(opool__load_relaxed(&entry->shared_phase));
}

static void set_phase(struct opool__entry *entry, enum opool__phase phase)
{
    /* release: a thread that gets the object through memory of the user's, and puts it, sees the entry's events. */
    opool__store_release(&entry->shared_phase, (uint32_t)phase);
}

/* ---- zones ---- */

size_t opool__trace_zone(const struct opool *pool, bool region)
{
    size_t least = opool__tools_guard() ? OPOOL__TOOLS_GAP : is_full(pool) ? ZONE_LEAST : 0;
    return region ? 0 : least;
}

static size_t zone_bytes(const struct opool *pool)
{
    return pool->slab.layout.stride - pool->type.size;
}

static size_t tail_bytes(const struct opool *pool)
{
    return zone_bytes(pool) < TAIL ? zone_bytes(pool) : TAIL;
}

static bool has_slot_before(const struct opool *pool, uint32_t index)
{
    return opool__slab_within(&pool->slab, index) > 0;
}

/* Two objects share a border. ThreadSanitizer sees what memset and memcmp do in a plain library, and not its lock; nor
   shall this lock order anything for it. */
static void lock_zones(struct opool *pool)
{
    opool__lock_take(&pool->life.lock);
    opool__tools_quiet(true);
}

static void drop_zones(struct opool *pool)
{
    opool__tools_quiet(false);
    opool__lock_drop(&pool->life.lock);
}

/* Under the lock. */
static void paint(struct opool *pool, char *object, uint32_t index)
{
    opool__fill(object + pool->type.size, zone_bytes(pool), OPOOL__FILL_ZONE);
    if (has_slot_before(pool, index))
        opool__fill(object - tail_bytes(pool), tail_bytes(pool), OPOOL__FILL_ZONE);
}

/* `may_be_gone`: it may have gone back to the system, maybe while we look: zero. */
static struct opool__damage check_part(const char *at, size_t bytes, bool may_be_gone)
{
    struct opool__damage none = {0, 0}, damage = none;
    for (int tries = may_be_gone ? 2 : 1; tries > 0; tries--) {
        damage = opool__fill_check(at, bytes, OPOOL__FILL_ZONE);
        if (damage.count == 0 || (may_be_gone && opool__fill_check(at, bytes, 0).count == 0))
            return none;
    }
    return damage;
}

/* Of the zone in front. Of a free slot those bytes may be gone that are on another page than the object. */
static struct opool__damage check_before(const struct opool *pool, const char *object, uint32_t index)
{
    size_t bytes = tail_bytes(pool), on_page = (uintptr_t)object % opool__os.page_size(), apart = 0;
    if (!has_slot_before(pool, index))
        return (struct opool__damage){0, 0};
    const struct opool__entry *before = opool__life_at(&pool->life, index - 1);
    if ((!before || phase_of(before) == OPOOL__PHASE_GONE) && on_page < bytes)
        apart = bytes - on_page;
    struct opool__damage damage = check_part(object - bytes, apart, true);
    if (damage.count == 0) {
        damage = check_part(object - bytes + apart, bytes - apart, false);
        damage.offset += apart;
    }
    return damage;
}

static void check_zones(struct opool *pool, const char *call, char *object, uint32_t index)
{
    char *end = object + pool->type.size, *tail = object - tail_bytes(pool);
    if (!is_filled(pool))
        return;
    lock_zones(pool);
    struct opool__damage past = opool__fill_check(end, zone_bytes(pool), OPOOL__FILL_ZONE);
    struct opool__damage before = check_before(pool, object, index);
    drop_zones(pool);
    if (past.count)
        opool__fault(&pool->label, OPOOL__FAULT_WRITTEN_PAST, call, object,
                     &(struct opool__detail){.offset = pool->type.size + past.offset,
                                             .count = past.count,
                                             .size = pool->type.size,
                                             .bytes = (unsigned char *)end + past.offset});
    if (before.count)
        opool__fault(&pool->label, OPOOL__FAULT_WRITTEN_BEFORE, call, object,
                     &(struct opool__detail){.offset = tail_bytes(pool) - before.offset,
                                             .count = before.count,
                                             .bytes = (unsigned char *)tail + before.offset});
}

/* ---- hiding ---- */

static void hide(struct opool *pool, struct opool__entry *entry, void *object)
{
    if (!is_filled(pool))
        return;
    opool__tools_quiet(true); /* the copy's memory was mapped by any thread */
    opool__fill_hide(object, opool__life_copy(entry), pool->type.size);
    opool__tools_quiet(false);
}

static void show(struct opool *pool, const char *call, struct opool__entry *entry, void *object)
{
    if (!is_filled(pool))
        return;
    struct opool__damage damage = opool__fill_check(object, pool->type.size, OPOOL__FILL_IDLE);
    if (damage.count)
        opool__fault(&pool->label, OPOOL__FAULT_WRITTEN_IDLE, call, object,
                     &(struct opool__detail){.offset = damage.offset,
                                             .count = damage.count,
                                             .bytes = (unsigned char *)object + damage.offset});
    opool__tools_quiet(true);
    opool__fill_show(object, opool__life_copy(entry), pool->type.size);
    opool__tools_quiet(false);
}

/* ---- the story of an object, for faults ---- */

static void tell_story(const struct opool__label *label, const void *object, struct opool__text *text)
{
    const struct opool *pool =
        (const struct opool *)(const void *)((const char *)label - offsetof(struct opool, label));
    struct opool__event now;
    uint32_t index;
    size_t offset;
    opool__life_note(&now, opool__caller());
    opool__life_tell(text, "called", &now);
    enum opool__place place =
        opool__life_known(&pool->life) ? opool__slab_find(&pool->slab, object, &index, &offset) : OPOOL__FOREIGN;
    if (place == OPOOL__INTERIOR)
        index = index_of(pool, (const char *)object - offset);
    const struct opool__entry *entry =
        place == OPOOL__INTERIOR || place == OPOOL__SLOT ? opool__life_at(&pool->life, index) : NULL;
    if (!entry)
        return;
    opool__life_tell(text, "last got", &entry->got);
    opool__life_tell(text, "last put", &entry->put);
}

/* Of the pool that has this address; NULL: none. */
static const struct opool *pool_of(const void *address, uint32_t *index, size_t *offset)
{
    const struct opool *pool = NULL;
    while ((pool = opool__registry_next(pool)) != NULL) {
        enum opool__place place = opool__slab_find(&pool->slab, address, index, offset);
        if (place == OPOOL__INTERIOR || place == OPOOL__SLOT)
            break;
    }
    return pool;
}

static const char *word_of(const struct opool__entry *entry)
{
    switch (phase_of(entry)) {
    case OPOOL__PHASE_GONE:
        return "torn down";
    case OPOOL__PHASE_OUT:
        return "out";
    case OPOOL__PHASE_CLAIMED:
        return "being put";
    case OPOOL__PHASE_IDLE:
        break;
    }
    return "idle";
}

/* For AddressSanitizer, inside its report: whose address that is. */
static void tell_of_address(const void *address)
{
    char room[8192];
    struct opool__text text = {room, sizeof room, 0};
    uint32_t index = 0;
    size_t offset = 0;
    const struct opool *pool = pool_of(address, &index, &offset);
    const char *object = (const char *)address - offset;
    const struct opool__entry *entry = pool ? entry_of(pool, object) : NULL;
    if (!entry)
        return;
    opool__text_string(&text, "opool: pool '");
    opool__text_string(&text, pool->label.name);
    opool__text_string(&text, "' (");
    opool__text_string(&text, pool->label.type);
    opool__text_string(&text, "): ");
    opool__text_hex(&text, (uintptr_t)address);
    opool__text_string(&text, " is at offset ");
    opool__text_number(&text, offset);
    opool__text_string(&text, " of ");
    opool__text_hex(&text, (uintptr_t)object);
    opool__text_string(&text, ", which has ");
    opool__text_number(&text, pool->type.size);
    opool__text_string(&text, " bytes and is ");
    opool__text_string(&text, word_of(entry));
    opool__text_string(&text, "\n");
    opool__life_tell(&text, "last got", &entry->got);
    opool__life_tell(&text, "last put", &entry->put);
    opool__write(&text);
}

/* ---- start and end ---- */

int opool__trace_start(struct opool *pool)
{
    pool->traced = opool__tools_here();
    if (!is_full(pool) && !opool__tools_guard())
        return 0;
    opool__stack_start();
    opool__suppress_start();
    opool__tools_on_report(tell_of_address);
    size_t most = (size_t)INT32_MAX, fit = SIZE_MAX / 2 / pool->slab.layout.stride;
    /* A pool in a region takes nothing more after create. */
    size_t at_once = pool->slab.extents[0].map ? 0 : pool->slab.layout.slots;
    int r = opool__life_start(&pool->life, is_filled(pool) ? pool->type.size : 0, fit < most ? fit : most, at_once);
    if (r != 0)
        return r;
    pool->label.story = tell_story;
    pool->traced = true;
    return 0;
}

void opool__trace_end(struct opool *pool)
{
    opool__life_end(&pool->life);
}

/* ---- the life of an object ---- */

/* The gap in front is that of a slot which may never have been built. */
static void tell_gaps(const struct opool *pool, char *object)
{
    opool__tools_gap(object + pool->type.size, zone_bytes(pool));
    if (has_slot_before(pool, index_of(pool, object)))
        opool__tools_gap(object - tail_bytes(pool), tail_bytes(pool));
}

bool opool__trace_built(struct opool *pool, void *object)
{
    tell_gaps(pool, object);
    if (pool->auditor)
        pool->auditor->built(object);
    if (!opool__life_known(&pool->life))
        return true;
    uint32_t index = index_of(pool, object);
    struct opool__entry *entry = opool__life_make(&pool->life, index);
    if (!entry)
        return false;
    entry->got = entry->put = (struct opool__event){0};
    entry->held = 0;
    lock_zones(pool);
    if (is_filled(pool))
        paint(pool, object, index);
    set_phase(entry, OPOOL__PHASE_OUT);
    drop_zones(pool);
    return true;
}

void opool__trace_got(struct opool *pool, void *object)
{
    struct opool__entry *entry = entry_of(pool, object);
    opool__tools_got(object, pool->type.size);
    if (entry) {
        if (phase_of(entry) == OPOOL__PHASE_IDLE)
            show(pool, "get", entry, object);
        check_zones(pool, "get", object, index_of(pool, object));
        opool__life_note(&entry->got, opool__caller());
        set_phase(entry, OPOOL__PHASE_OUT);
    }
    if (pool->auditor)
        pool->auditor->got(pool->audited_as, object);
}

static _Noreturn void refuse_claim(struct opool *pool, const char *call, const void *object, uint32_t phase)
{
    if (opool__phase_of(phase) == OPOOL__PHASE_CLAIMED)
        opool__fault(&pool->label, OPOOL__FAULT_PUT_AT_ONCE, call, object,
                     &(struct opool__detail){.thread = opool__phase_claimer(phase)});
    opool__fault(&pool->label, phase == OPOOL__PHASE_IDLE ? OPOOL__FAULT_PUT_TWICE : OPOOL__FAULT_PUT_FREE, call,
                 object, NULL);
}

void opool__trace_claim(struct opool *pool, const char *call, void *object)
{
    struct opool__entry *entry = entry_of(pool, object);
    if (!entry)
        return;
    uint32_t phase = OPOOL__PHASE_OUT, claimed = opool__phase_claimed(opool__os.thread_number());
    /* acquire: with set_phase, the entry's events are those of whoever got the object. */
    if (!opool__cas_acquire(&entry->shared_phase, &phase, claimed) && pool->label.checks != OPOOL_CHECKS_OFF)
        refuse_claim(pool, call, object, phase);
    opool__life_note(&entry->put, opool__caller());
    check_zones(pool, call, object, index_of(pool, object));
}

/* Of one that was just built it heard nothing yet. */
static void tell_put(struct opool *pool, const struct opool__entry *entry, void *object)
{
    if (entry && !entry->got.thread)
        opool__tools_got(object, pool->type.size);
    opool__tools_put(object, pool->type.size);
}

void opool__trace_idle(struct opool *pool, void *object)
{
    struct opool__entry *entry = entry_of(pool, object);
    if (pool->auditor)
        pool->auditor->put(pool->audited_as, object);
    if (entry)
        hide(pool, entry, object);
    tell_put(pool, entry, object);
    if (entry)
        set_phase(entry, OPOOL__PHASE_IDLE);
}

void *opool__trace_held(const struct opool *pool, void *object)
{
    struct opool__entry *entry = entry_of(pool, object);
    return entry ? (void *)&entry->held : (char *)object + pool->type.size;
}

void opool__trace_ending(struct opool *pool, void *object)
{
    struct opool__entry *entry = entry_of(pool, object);
    if (entry && phase_of(entry) != OPOOL__PHASE_IDLE) /* it was out */
        tell_put(pool, entry, object);
    opool__tools_open(object, pool->type.size);
    if (!entry)
        return;
    check_zones(pool, "tear-down", object, index_of(pool, object));
    if (phase_of(entry) == OPOOL__PHASE_IDLE)
        show(pool, "tear-down", entry, object);
}

void opool__trace_gone(struct opool *pool, void *object)
{
    struct opool__entry *entry = entry_of(pool, object);
    if (pool->auditor)
        pool->auditor->gone(object);
    opool__tools_freed(object, pool->type.size);
    if (!entry)
        return;
    opool__lock_take(&pool->life.lock);
    set_phase(entry, OPOOL__PHASE_GONE);
    opool__lock_drop(&pool->life.lock);
}
