/* SPDX-License-Identifier: MIT */
#include "slab/slab.h"

#include <errno.h>
#include <string.h>

#include "epoch/epoch.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/random.h"
#include "os/state.h"
#include "os/tools.h"

enum {
    COMMIT_STEP = 1 << 20, /* most bytes committed ahead of need */
    PURGED_FROM = 1 << 20, /* bytes of a slot that is zeroed by giving its pages back */
    /* Slots in random order: those of a page, so that few objects touch few pages; of large ones a few. */
    WINDOW_LEAST = 4,
    WINDOW_MOST = 64
};

/* Address space: the first extents of a process are large, so that the inlined check of put knows all of a pool, and
   get smaller as pools add up: their sum is less than ALL plus LEAST a pool, and what else the program maps has its
   room. A pool that fills its extent gets others, of at least LEAST doubled each time. */
#define RESERVE_ALL (sizeof(void *) < 8 ? (uint64_t)128 << 20 : (uint64_t)64 << 30) /* bytes */
#define RESERVE_LEAST (sizeof(void *) < 8 ? (uint64_t)1 << 20 : (uint64_t)64 << 20)
#define RESERVE_SHARE 64         /* of what is left of RESERVE_ALL, or of a limited address space (ulimit -v) */
#define REFUSED_LEAST (1u << 20) /* when the system refuses more, less than this many bytes are no use to anybody */

static OPOOL__STATE uint64_t shared_reserved; /* bytes, of all slabs */

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

/* ---- damage ---- */

static const struct opool__label of_the_library = {.name = "opool", .type = "its own", .checks = OPOOL_CHECKS_BASIC};

void opool__slab_damaged(const struct opool__label *label, const void *at, const char *what)
{
    opool__fault(label ? label : &of_the_library, OPOOL__FAULT_DAMAGED, "use", at,
                 &(struct opool__detail){.name = what});
}

static _Noreturn void damaged(struct opool__slab *slab, const void *slot, const char *what)
{
    opool__lock_drop(&slab->lock); /* the user's callback may use the pool once more */
    opool__slab_damaged(slab->label, slot, what);
}

static void expect(struct opool__slab *slab, bool holds, const char *what)
{
    if (__builtin_expect(!holds, 0))
        damaged(slab, NULL, what);
}

/* ---- lists of slabs ---- */

/* A number that stands in a list: of a slab that was in use, and says that it is in that list. */
static struct opool__record *listed_record(struct opool__slab *slab, uint32_t number, uint32_t list)
{
    expect(slab, number < opool__slab_end(slab) >> slab->layout.shift, "a list of slabs leads out of the pool");
    struct opool__record *record = opool__slab_record(slab, number);
    expect(slab, record->bucket == list, "a list of slabs leads to one of another list");
    return record;
}

static uint32_t list_for(const struct opool__slab *slab, const struct opool__record *record)
{
    if (record->used == 0)
        return OPOOL__LIST_EMPTY;
    return (uint32_t)((uint64_t)record->used * OPOOL__BUCKETS / slab->layout.slots);
}

static void link_slab(struct opool__slab *slab, uint32_t number, uint32_t list)
{
    struct opool__record *record = opool__slab_record(slab, number);
    record->bucket = list;
    record->previous = OPOOL__SLAB_NONE;
    record->next = slab->lists[list];
    if (record->next != OPOOL__SLAB_NONE)
        listed_record(slab, record->next, list)->previous = number;
    slab->lists[list] = number;
    slab->empties += list == OPOOL__LIST_EMPTY;
}

static void unlink_slab(struct opool__slab *slab, uint32_t number)
{
    const struct opool__record *record = opool__slab_record(slab, number);
    uint32_t list = record->bucket, *from = &slab->lists[list < OPOOL__LISTS ? list : 0];
    if (record->previous != OPOOL__SLAB_NONE)
        from = &listed_record(slab, record->previous, list)->next;
    expect(slab, list < OPOOL__LISTS && *from == number, "a slab is not where its list says");
    if (record->next != OPOOL__SLAB_NONE) {
        struct opool__record *next = listed_record(slab, record->next, list);
        expect(slab, next->previous == number, "a list of slabs is not the same from both sides");
        next->previous = record->previous;
    }
    *from = record->next;
    slab->empties -= list == OPOOL__LIST_EMPTY;
}

/* After `used` changed: full slabs are in no list. */
static void relink_slab(struct opool__slab *slab, uint32_t number, bool was_listed)
{
    struct opool__record *record = opool__slab_record(slab, number);
    bool full = record->used == slab->layout.slots;
    uint32_t list = list_for(slab, record);
    if (was_listed && !full && list == record->bucket)
        return;
    if (was_listed)
        unlink_slab(slab, number);
    if (!full)
        link_slab(slab, number, list);
}

/* ---- extents ---- */

/* Bytes of slots to ask for. */
static uint64_t reserve_goal(const struct opool__slab *slab)
{
    uint64_t reserved = opool__load_relaxed(&shared_reserved), least = RESERVE_LEAST << slab->shared_extents;
    uint64_t share = reserved < RESERVE_ALL ? (RESERVE_ALL - reserved) / RESERVE_SHARE : 0;
    uint64_t goal = share > least ? share : least;
    size_t limit = opool__os.address_limit();
    return limit == SIZE_MAX || limit / RESERVE_SHARE > goal ? goal : limit / RESERVE_SHARE;
}

static bool reserve(struct opool__slab *slab, struct opool__extent *extent, uint32_t slabs)
{
    size_t page = opool__os.page_size();
    size_t bits = round_up(round_up(slabs, 64) / 8, page);
    size_t records = round_up(slabs * slab->layout.record_bytes, page) + page;
    size_t bytes = page + bits + records + slabs * slab->layout.slab_bytes + page;
    void *map;
    if (opool__os.reserve(&map, bytes) != 0)
        return false;
    char *cold = (char *)map + page;
    if (opool__os.commit(cold, bits) != 0) {
        (void)opool__os.release(map, bytes);
        return false;
    }
    opool__add_relaxed(&shared_reserved, (uint64_t)bytes);
    *extent = (struct opool__extent){.cold = (uint64_t *)(void *)cold,
                                     .records = cold + bits,
                                     .slots = cold + bits + records,
                                     .slabs = slabs,
                                     .map = map,
                                     .map_bytes = bytes};
    return true;
}

/* Slabs for `goal_slots` or for the usual amount, as far as slot indexes and the address space reach. */
static uint64_t slabs_wanted(const struct opool__slab *slab, uint32_t first_slab)
{
    uint64_t slabs = reserve_goal(slab) / slab->layout.slab_bytes + 1;
    uint64_t wanted = (slab->goal_slots + (uint64_t)slab->layout.slots - 1) / slab->layout.slots;
    if (slab->goal_slots && wanted < slabs)
        slabs = wanted;
    uint64_t most = (OPOOL__SLOT_NONE >> slab->layout.shift) - first_slab;
    uint64_t room = SIZE_MAX / 2 / (slab->layout.slab_bytes + slab->layout.record_bytes);
    most = most < room ? most : room;
    return slabs < most ? slabs : most;
}

/* Another extent; under the lock, or before the slab is used. */
static int add_extent(struct opool__slab *slab)
{
    uint32_t count = slab->shared_extents;
    if (count == OPOOL__EXTENTS)
        return -ENOMEM;
    struct opool__extent *extent = &slab->extents[count];
    const struct opool__extent *last = count ? extent - 1 : NULL;
    uint32_t first_slab = last ? last->first_slab + last->slabs : 0;
    uint64_t wanted = slabs_wanted(slab, first_slab), least = REFUSED_LEAST / slab->layout.slab_bytes;
    for (uint64_t slabs = wanted; slabs > 0 && (slabs >= least || slabs == wanted); slabs /= 2) {
        if (!reserve(slab, extent, (uint32_t)slabs))
            continue;
        extent->first_slab = first_slab;
        /* release: who sees the count sees the extent (opool__slab_find takes no lock). */
        opool__store_release(&slab->shared_extents, count + 1);
        return 0;
    }
    return -ENOMEM;
}

/* Make base[0, needed) usable; ahead of need by as much as there is already, so that calls are few. */
static int commit_to(char *base, size_t *committed, size_t needed, size_t most)
{
    if (needed <= *committed)
        return 0;
    size_t page = opool__os.page_size();
    size_t ahead = *committed < COMMIT_STEP ? *committed : COMMIT_STEP;
    size_t least = round_up(needed, page), want = round_up(needed + ahead, page);
    want = want < most ? want : round_up(most, page);
    int r = opool__os.commit(base + *committed, want - *committed);
    if (r != 0 && want > least)
        r = opool__os.commit(base + *committed, (want = least) - *committed);
    if (r == 0)
        *committed = want;
    return r;
}

/* Of what is committed. Whole slabs: no slot is told in two pieces. */
static void tell_tools(struct opool__extent *extent, size_t slab_bytes)
{
    size_t whole = extent->committed_slots / slab_bytes * slab_bytes;
    if (whole > extent->told_slots)
        opool__tools_memory(extent->slots + extent->told_slots, whole - extent->told_slots, true);
    extent->told_slots = whole;
}

static int commit_slab(struct opool__slab *slab, struct opool__extent *extent, uint32_t local)
{
    const struct opool__layout *layout = &slab->layout;
    if (!extent->map)
        return 0;
    int r = commit_to(extent->records, &extent->committed_records, (local + 1) * layout->record_bytes,
                      extent->slabs * layout->record_bytes);
    if (r == 0)
        r = commit_to(extent->slots, &extent->committed_slots, (local + 1) * layout->slab_bytes,
                      extent->slabs * layout->slab_bytes);
    if (r == 0)
        tell_tools(extent, layout->slab_bytes);
    return r;
}

/* ---- records, by pages ---- */

/* Does the page hold (a part of) the record of a slab in use, other than `but`? */
static bool page_in_use(const struct opool__slab *slab, const struct opool__extent *extent, size_t page_at,
                        uint32_t but)
{
    size_t first = page_at / slab->layout.record_bytes;
    size_t last = (page_at + opool__os.page_size() - 1) / slab->layout.record_bytes;
    for (size_t local = first; local <= last && local < extent->shared_opened; local++)
        if (local != but && !opool__slab_is_cold(extent, (uint32_t)local))
            return true;
    return false;
}

/* The slab's record comes into use, or goes out of it: pages that only it uses come and go with it. Goes: under the
   lock, so that no neighbour comes meanwhile; a system call for each page of records, that is of many slabs. */
static void use_record(struct opool__slab *slab, const struct opool__extent *extent, uint32_t local, bool use)
{
    size_t page = opool__os.page_size(), start = local * slab->layout.record_bytes;
    size_t first = start / page * page, end = start + slab->layout.record_bytes;
    for (size_t at = first; extent->map && at < end; at += page) {
        if (page_in_use(slab, extent, at, local))
            continue;
        if (use)
            slab->metadata_bytes += page;
        else {
            (void)opool__os.purge(extent->records + at, page); /* refused: it is used again as it is */
            slab->metadata_bytes -= page;
        }
    }
}

static void start_record(struct opool__slab *slab, const struct opool__extent *extent, uint32_t local)
{
    struct opool__record *record = opool__slab_record(slab, extent->first_slab + local);
    use_record(slab, extent, local, true);
    opool__tools_acquired(record);
    memset(record, 0, slab->layout.record_bytes);
    opool__tools_released(record);
    record->free = OPOOL__SLOT_NONE;
}

static void publish_bound(struct opool__slab *slab)
{
    const struct opool__extent *first = slab->extents;
    if (slab->shared_bound)
        opool__store_relaxed(slab->shared_bound, (uintptr_t)first->shared_opened * slab->layout.slots);
}

/* A slab that was never used. SLAB_NONE: no memory. */
static uint32_t open_slab(struct opool__slab *slab)
{
    struct opool__extent *extent = &slab->extents[slab->shared_extents - 1];
    if (extent->shared_opened == extent->slabs) {
        if (!extent->map || add_extent(slab) != 0)
            return OPOOL__SLAB_NONE;
        extent++;
    }
    uint32_t local = extent->shared_opened;
    if (commit_slab(slab, extent, local) != 0)
        return OPOOL__SLAB_NONE;
    start_record(slab, extent, local);
    /* A region holds whatever the caller left in it. */
    if (!extent->map)
        memset(opool__slab_shared_state(slab, 0), OPOOL__SLOT_DIRTY, slab->layout.slots);
    opool__store_relaxed(&extent->shared_opened, local + 1);
    publish_bound(slab);
    return extent->first_slab + local;
}

/* ---- cold slabs ---- */

static void cool(struct opool__slab *slab, uint32_t number)
{
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    uint32_t local = number - extent->first_slab;
    extent->cold[local / 64] |= UINT64_C(1) << local % 64;
    if (slab->colds++ == 0 || number < slab->cold_from)
        slab->cold_from = number;
    use_record(slab, extent, local, false);
}

static void warm(struct opool__slab *slab, const struct opool__extent *extent, uint32_t local)
{
    start_record(slab, extent, local); /* while it still counts as cold */
    extent->cold[local / 64] &= ~(UINT64_C(1) << local % 64);
    slab->colds--;
    slab->cold_from = extent->first_slab + local;
}

/* The lowest cold slab, which is in use from now on. There is one. */
static uint32_t warm_lowest(struct opool__slab *slab)
{
    const struct opool__extent *extent = opool__slab_extent_at(slab, slab->cold_from);
    uint32_t local = slab->cold_from - extent->first_slab;
    for (;; extent++, local = 0) {
        expect(slab, extent < slab->extents + slab->shared_extents, "more slabs are counted as cold than are");
        while (local < extent->shared_opened && extent->cold[local / 64] >> local % 64 == 0)
            local = (local / 64 + 1) * 64;
        if (local >= extent->shared_opened)
            continue;
        local += (uint32_t)__builtin_ctzll(extent->cold[local / 64] >> local % 64);
        warm(slab, extent, local);
        return extent->first_slab + local;
    }
}

/* ---- take and give ---- */

/* The fullest slab with room; else an empty one, a cold one, a new one. */
static uint32_t pick_slab(struct opool__slab *slab, bool *listed)
{
    *listed = true;
    for (uint32_t b = OPOOL__BUCKETS; b-- > 0;)
        if (slab->lists[b] != OPOOL__SLAB_NONE)
            return slab->lists[b];
    if (slab->lists[OPOOL__LIST_EMPTY] != OPOOL__SLAB_NONE)
        return slab->lists[OPOOL__LIST_EMPTY];
    *listed = false;
    return slab->colds ? warm_lowest(slab) : open_slab(slab);
}

/* A permutation of 0 to n - 1, each as likely (Durstenfeld's inside-out shuffle). */
static void shuffle(struct opool__slab *slab, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t other = slab->random ? opool__random_below(&slab->random, i + 1) : i;
        order[i] = order[other];
        order[other] = i;
    }
}

/* The next slots that were never used, into the empty free list. In a region they are dirty, and count from now on;
   others when they are taken. */
static void list_fresh(struct opool__slab *slab, struct opool__record *record)
{
    uint32_t left = slab->layout.slots - record->fresh, order[WINDOW_MOST];
    uint32_t n = left < slab->window ? left : slab->window, *links = opool__record_links(record);
    shuffle(slab, order, n);
    for (uint32_t i = 0; i < n; i++) {
        links[record->fresh + order[i]] = record->free;
        record->free = record->fresh + order[i];
    }
    record->fresh += n;
    if (slab->extents[0].map)
        record->zeros += n;
    else
        slab->slots += n;
}

/* The first of the free list, which has fresh - used members. */
static uint32_t first_free(struct opool__slab *slab, struct opool__record *record)
{
    uint32_t slots = slab->layout.slots;
    expect(slab, record->fresh <= slots && record->used < slots && record->used <= record->fresh,
           "a slab counts more slots than it has");
    expect(slab, (record->free == OPOOL__SLOT_NONE) == (record->used == record->fresh),
           "a free list is not as long as its count");
    if (record->free == OPOOL__SLOT_NONE)
        list_fresh(slab, record);
    expect(slab, record->free < record->fresh, "a free list leads out of its slab");
    return record->free;
}

/* Returns the slot's index; it is zero unless *dirty. */
static uint32_t pop_slot(struct opool__slab *slab, uint32_t number, bool *dirty)
{
    struct opool__record *record = opool__slab_record(slab, number);
    uint32_t within = first_free(slab, record), index = (number << slab->layout.shift) + within;
    uint8_t *state = opool__slab_shared_state(slab, index), was = opool__load_relaxed(state);
    if (was != OPOOL__SLOT_ZERO && was != OPOOL__SLOT_DIRTY)
        damaged(slab, opool__slab_slot(slab, index), "a free list leads to a slot in use");
    bool zero = was == OPOOL__SLOT_ZERO;
    record->free = opool__record_links(record)[within];
    record->zeros -= zero;
    slab->slots += zero;
    record->used++;
    slab->used++;
    record->taken_in = (uint32_t)opool__epoch_now();
    opool__store_relaxed(state, (uint8_t)OPOOL__SLOT_OUT);
    *dirty = !zero;
    return index;
}

/* A large slot, alone in its slab, goes back to the system rather than being written over: zero again, and resident
   only where the next object writes. */
static void clear(const struct opool__slab *slab, char *slot)
{
    size_t bytes = slab->zeroed, page = opool__os.page_size(), whole = bytes / page * page;
    bool purged =
        bytes >= PURGED_FROM && slab->layout.slots == 1 && slab->extents[0].map && opool__os.purge(slot, whole) == 0;
    if (purged)
        memset(slot + whole, 0, bytes - whole);
    else
        memset(slot, 0, bytes);
}

void *opool__slab_take(struct opool__slab *slab)
{
    bool listed, dirty;
    opool__lock_take(&slab->lock);
    uint32_t number = pick_slab(slab, &listed);
    if (number == OPOOL__SLAB_NONE) {
        opool__lock_drop(&slab->lock);
        return NULL;
    }
    expect(slab, number < opool__slab_end(slab) >> slab->layout.shift, "a list of slabs leads out of the pool");
    uint32_t index = pop_slot(slab, number, &dirty);
    relink_slab(slab, number, listed);
    opool__lock_drop(&slab->lock);
    void *slot = opool__slab_slot(slab, index);
    opool__tools_taken(slot, slab->zeroed);
    if (dirty) {
        opool__reused(slot, slab->zeroed);
        clear(slab, slot);
        opool__tools_released(slot); /* who gives it up may be another thread, after a lock that tools do not see */
    }
    return slot;
}

/* Give the memory of an empty slab, which is in no list, back. Without the lock: it is a system call. */
static void purge_slab(struct opool__slab *slab, uint32_t number)
{
    const struct opool__record *record = opool__slab_record(slab, number);
    const struct opool__extent *extent = opool__slab_extent_at(slab, number);
    char *memory = extent->slots + (number - extent->first_slab) * slab->layout.slab_bytes;
    bool gone = opool__os.purge(memory, slab->layout.slab_bytes) == 0;
    opool__lock_take(&slab->lock);
    if (gone) {
        slab->slots -= record->fresh - record->zeros;
        slab->given_back += (uint64_t)(record->fresh - record->zeros) * slab->layout.stride;
        cool(slab, number);
    } else {
        link_slab(slab, number, OPOOL__LIST_EMPTY);
    }
    opool__lock_drop(&slab->lock);
}

/* Given up before, by two threads at once or behind the back of checks that are off: it is in the free list. */
static void give_again(struct opool__slab *slab, const void *slot)
{
    opool__lock_drop(&slab->lock);
    if (slab->label && slab->label->checks == OPOOL_CHECKS_OFF)
        return;
    opool__fault(slab->label ? slab->label : &of_the_library, OPOOL__FAULT_PUT_FREE, "put", slot, NULL);
}

void opool__slab_give(struct opool__slab *slab, void *slot)
{
    uint32_t index = opool__slab_index(slab, slot), number = index >> slab->layout.shift;
    uint32_t within = opool__slab_within(slab, index);
    struct opool__record *record = opool__slab_record(slab, number);
    uint8_t *state = opool__slab_shared_state(slab, index);
    opool__tools_released(slot);
    opool__lock_take(&slab->lock);
    if (opool__load_relaxed(state) != OPOOL__SLOT_OUT) {
        give_again(slab, slot);
        return;
    }
    expect(slab, record->used > 0 && record->used <= record->fresh, "a slab counts fewer objects than it holds");
    opool__store_relaxed(state, (uint8_t)OPOOL__SLOT_DIRTY);
    bool was_listed = record->used < slab->layout.slots;
    opool__record_links(record)[within] = record->free;
    record->free = within;
    record->used--;
    record->given = 1;
    opool__store_relaxed(&slab->shared_given, 1u);
    slab->used--;
    relink_slab(slab, number, was_listed);
    /* One empty slab stays, so that a pool that breathes by a slab does not call the system each time. */
    bool purge = record->used == 0 && slab->empties > 1 && slab->extents[0].map;
    if (purge)
        unlink_slab(slab, number);
    opool__lock_drop(&slab->lock);
    if (purge)
        purge_slab(slab, number);
}

bool opool__slab_trim_empty(struct opool__slab *slab, bool every)
{
    opool__lock_take(&slab->lock);
    uint32_t number = slab->lists[OPOOL__LIST_EMPTY];
    bool there = number != OPOOL__SLAB_NONE && slab->extents[0].map;
    bool purge = there && (every || !opool__slab_was_taken_from(opool__slab_record(slab, number)));
    if (purge)
        unlink_slab(slab, number);
    opool__lock_drop(&slab->lock);
    if (purge)
        purge_slab(slab, number);
    return there && !purge;
}

uint64_t opool__slab_given_back(struct opool__slab *slab)
{
    opool__lock_take(&slab->lock);
    uint64_t bytes = slab->given_back;
    opool__lock_drop(&slab->lock);
    return bytes;
}

uint64_t opool__slab_resident(struct opool__slab *slab)
{
    opool__lock_take(&slab->lock);
    uint64_t bytes = slab->slots * slab->layout.stride + slab->metadata_bytes;
    opool__lock_drop(&slab->lock);
    return bytes;
}

/* ---- life and look-up ---- */

static void start(struct opool__slab *slab, struct opool__layout layout, size_t goal_slots, uintptr_t *bound)
{
    memset(slab, 0, sizeof *slab);
    slab->layout = layout;
    slab->zeroed = layout.size;
    slab->window = 1;
    slab->goal_slots = goal_slots;
    slab->shared_bound = bound;
    for (int i = 0; i < OPOOL__LISTS; i++)
        slab->lists[i] = OPOOL__SLAB_NONE;
}

int opool__slab_init(struct opool__slab *slab, size_t size, size_t align, size_t slots, uintptr_t *bound)
{
    start(slab, opool__layout_choose(size, align, opool__os.page_size()), slots, bound);
    if (slots >= OPOOL__SLOT_NONE || slots > SIZE_MAX / 2 / slab->layout.stride)
        return -EINVAL;
    return add_extent(slab);
}

int opool__slab_init_region(struct opool__slab *slab, size_t size, size_t align, void *region, size_t bytes,
                            uintptr_t *bound)
{
    start(slab, opool__layout_region(size, align, bytes), 0, bound);
    if (!region || slab->layout.slots == 0 || (uintptr_t)region + bytes < bytes)
        return -EINVAL;
    uintptr_t records = round_up((uintptr_t)region, _Alignof(struct opool__record));
    uintptr_t slots = round_up(records + slab->layout.record_bytes, align);
    slab->extents[0] = (struct opool__extent){
        .slots = (char *)slots, .records = (char *)records, .slabs = 1, .told_slots = slab->layout.slab_bytes};
    opool__tools_memory(slab->extents[0].slots, slab->layout.slab_bytes, true);
    slab->shared_extents = 1;
    slab->metadata_bytes = slots - (uintptr_t)region;
    return 0;
}

void opool__slab_own(struct opool__slab *slab, const struct opool__label *label, uint64_t seed)
{
    size_t fit = opool__os.page_size() / slab->layout.stride;
    slab->label = label;
    slab->random = seed;
    if (seed)
        slab->window = fit < WINDOW_LEAST ? WINDOW_LEAST : fit < WINDOW_MOST ? (uint32_t)fit : WINDOW_MOST;
}

void opool__slab_abandon(struct opool__slab *slab)
{
    if (!slab->extents[0].map)
        opool__tools_memory(slab->extents[0].slots, slab->extents[0].told_slots, false);
}

void opool__slab_fini(struct opool__slab *slab)
{
    for (uint32_t i = 0; i < slab->shared_extents; i++) {
        struct opool__extent *extent = &slab->extents[i];
        if (extent->told_slots)
            opool__tools_memory(extent->slots, extent->told_slots, false);
        /* At the mapping limit the range stays; then at least its memory goes. */
        if (extent->map)
            opool__sub_relaxed(&shared_reserved, (uint64_t)extent->map_bytes);
        if (extent->map && opool__os.release(extent->map, extent->map_bytes) != 0) {
            (void)opool__os.purge(extent->records, extent->committed_records);
            (void)opool__os.purge(extent->slots, extent->committed_slots);
        }
    }
    slab->shared_extents = 0;
    slab->slots = slab->used = slab->metadata_bytes = 0;
}

uint32_t opool__slab_index_elsewhere(const struct opool__slab *slab, const void *address)
{
    /* acquire: pairs with add_extent. */
    uint32_t count = opool__load_acquire(&slab->shared_extents);
    for (uint32_t i = 1; i < count; i++) {
        const struct opool__extent *extent = &slab->extents[i];
        uintptr_t q = opool__layout_quotient(&slab->layout, (uintptr_t)address - (uintptr_t)extent->slots);
        if (q < (uintptr_t)opool__load_relaxed(&extent->shared_opened) * slab->layout.slots)
            return (uint32_t)q + (extent->first_slab << slab->layout.shift);
    }
    return OPOOL__SLOT_NONE;
}

uint8_t *opool__slab_state_elsewhere(const struct opool__slab *slab, const void *address)
{
    uint32_t index = opool__slab_index_elsewhere(slab, address);
    return index == OPOOL__SLOT_NONE ? NULL : opool__slab_shared_state(slab, index);
}

bool opool__slab_has_index_elsewhere(const struct opool__slab *slab, uint32_t index)
{
    uint32_t count = opool__load_acquire(&slab->shared_extents), number = index >> slab->layout.shift;
    for (uint32_t i = 1; i < count; i++) {
        const struct opool__extent *extent = &slab->extents[i];
        if (number - extent->first_slab < opool__load_relaxed(&extent->shared_opened))
            return true;
    }
    return false;
}

enum opool__place opool__slab_find(const struct opool__slab *slab, const void *address, uint32_t *index, size_t *offset)
{
    /* acquire: pairs with add_extent. */
    uint32_t count = opool__load_acquire(&slab->shared_extents);
    for (uint32_t i = 0; i < count; i++) {
        const struct opool__extent *extent = &slab->extents[i];
        uintptr_t distance = (uintptr_t)address - (uintptr_t)extent->slots;
        if (distance >= extent->slabs * slab->layout.slab_bytes)
            continue;
        size_t local = distance / slab->layout.stride;
        *index = (uint32_t)local + (extent->first_slab << slab->layout.shift);
        *offset = distance % slab->layout.stride;
        if (local >> slab->layout.shift >= opool__load_relaxed(&extent->shared_opened))
            return OPOOL__UNUSED;
        return *offset ? OPOOL__INTERIOR : OPOOL__SLOT;
    }
    return OPOOL__FOREIGN;
}

void *opool__slab_base(const struct opool__slab *slab)
{
    return slab->extents[0].slots;
}

uint32_t opool__slab_end(const struct opool__slab *slab)
{
    uint32_t opened = 0;
    for (uint32_t i = 0; i < slab->shared_extents; i++)
        opened += slab->extents[i].shared_opened; /* an extent is full before the next one is used */
    return opened << slab->layout.shift;
}
