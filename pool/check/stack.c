/* SPDX-License-Identifier: MIT */
#include "check/stack.h"

#include <opool/atomic.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "check/settings.h"
#include "os/asks.h"
#include "os/os.h"
#include "os/text.h"
#include "os/tools.h"
#include "os/unwind.h"

/*
 * The store: records one behind another, and a table of chains by hash. A number is the place of a record, in units.
 *
 *     a record in a chain is whole and never changes
 *     first < used <= STORE_UNITS, and records do not overlap
 *
 * Adding: take units (cas on `shared_used`, whatever order: they are nobody else's), write the record, then make it the
 * first of its chain (cas with release). Whoever loads a chain's head with acquire sees that record whole, and those
 * behind it, because who put it in front had loaded the head before it with acquire. When the head was another by then,
 * the new ones in front are compared first, so that equal stacks get one number.
 *
 * No step waits for another thread, or for the one that a signal handler interrupted.
 */

struct record {
    uint32_t next; /* in the chain; 0: the last */
    uint32_t hash;
    uint32_t count, unused;
    uintptr_t frames[];
};

enum {
    UNIT = 8, /* bytes */
    HEADER_UNITS = sizeof(struct record) / UNIT,
    /* Room for the headers of stacks of eight frames. */
    STORE_UNITS = OPOOL__STACK_FRAMES + OPOOL__STACK_FRAMES / 8 * HEADER_UNITS,
    CHAINS = 1 << 16,
    OWN_MOST = 12, /* frames of this library, and of the unwinder, at the top */
    OWN_USUAL = 7,
    DEEPEST = OPOOL__FRAMES_MOST + OWN_MOST
};

struct store {
    uint32_t shared_used; /* units */
    uint32_t shared_chains[CHAINS];
    uint64_t units[STORE_UNITS];
};

static struct store *shared_store; /* NULL: no stacks */
static unsigned frames_wanted;     /* set before it is */

static struct {
    uintptr_t start, end; /* 0, 0: unknown */
} own_code;

static struct record *record_at(struct store *store, uint32_t at)
{
    return (struct record *)&store->units[at];
}

/* ---- start ---- */

static uint32_t shared_started;

static struct store *make_store(void)
{
    size_t page = opool__os.page_size(), bytes = (sizeof(struct store) + page - 1) / page * page;
    void *at;
    if (opool__os.reserve(&at, bytes) != 0)
        return NULL;
    if (opool__os.commit(at, bytes) != 0) {
        (void)opool__os.release(at, bytes);
        return NULL;
    }
    struct store *store = at;
    store->shared_used = 1; /* 0 is no stack */
    return store;
}

/* False: no stacks here. */
static bool ask_loader(void)
{
    void *frames[2];
    opool__loader_enter();
    opool__os.note_modules();
    bool unwinds = opool__load_relaxed(&shared_started) || opool__os.unwind(frames, 2) != 0;
    opool__loader_leave();
    return unwinds;
}

void opool__stack_start(void)
{
    uint32_t before = 0;
    if (!ask_loader() || opool__load_relaxed(&shared_started))
        return;
    /* The second one to come goes on without: gets are without a stack until the first is through. */
    if (!opool__cas_relaxed(&shared_started, &before, 1u))
        return;
    (void)opool__os.own_code(&own_code.start, &own_code.end);
    uint32_t asked = opool__settings_number("OPOOL_FRAMES", "");
    frames_wanted = asked && asked < OPOOL__FRAMES_MOST ? asked : OPOOL__FRAMES_MOST;
    struct store *store = make_store();
    /* release: who sees the store sees it begun, and the addresses. */
    opool__store_release(&shared_store, store);
    if (!store) /* the next create tries again */
        opool__store_relaxed(&shared_started, 0u);
}

/* ---- capture ---- */

static uint32_t hash_of(const uintptr_t *frames, unsigned count)
{
    uint64_t hash = count;
    for (unsigned i = 0; i < count; i++) {
        hash = (hash ^ frames[i]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 32);
}

static bool is_equal(const struct record *record, uint32_t hash, const uintptr_t *frames, unsigned count)
{
    return record->hash == hash && record->count == count &&
           memcmp(record->frames, frames, count * sizeof *frames) == 0;
}

/* In the chain from `at` to before `end`; 0: not there. */
static uint32_t find(struct store *store, uint32_t at, uint32_t end, uint32_t hash, const uintptr_t *frames,
                     unsigned count)
{
    while (at != end && !is_equal(record_at(store, at), hash, frames, count))
        at = record_at(store, at)->next;
    return at == end ? 0 : at;
}

/* 0: full. */
static uint32_t take_units(struct store *store, uint32_t units)
{
    uint32_t used = opool__load_relaxed(&store->shared_used);
    do
        if (STORE_UNITS - used < units)
            return 0;
    /* acquire: what their last owner wrote there, and gave back, comes before what is written now. */
    while (!opool__cas_acquire(&store->shared_used, &used, used + units));
    return used;
}

/* Unless others took more since: then they are lost. release: see take_units. */
static void give_units(struct store *store, uint32_t at, uint32_t units)
{
    uint32_t used = at + units;
    (void)opool__cas_release(&store->shared_used, &used, at);
}

static uint32_t add(struct store *store, uint32_t head, uint32_t hash, const uintptr_t *frames, unsigned count)
{
    uint32_t *chain = &store->shared_chains[hash % CHAINS];
    uint32_t units = HEADER_UNITS + (uint32_t)((count * sizeof *frames + UNIT - 1) / UNIT);
    uint32_t at = take_units(store, units), seen = head;
    if (at == 0)
        return 0;
    struct record *record = record_at(store, at);
    record->hash = hash;
    record->count = count;
    memcpy(record->frames, frames, count * sizeof *frames);
    for (;;) {
        record->next = seen;
        /* release: whoever finds the record finds it whole. */
        if (opool__cas_release(chain, &seen, at))
            return at;
        seen = opool__load_acquire(chain);
        uint32_t same = find(store, seen, record->next, hash, frames, count);
        if (same) {
            give_units(store, at, units);
            return same;
        }
    }
}

static uint32_t number_of(struct store *store, const uintptr_t *frames, unsigned count)
{
    uint32_t hash = hash_of(frames, count);
    /* acquire: what was published there is whole. */
    uint32_t head = opool__load_acquire(&store->shared_chains[hash % CHAINS]);
    uint32_t known = find(store, head, 0, hash, frames, count);
    return known ? known : add(store, head, hash, frames, count);
}

static bool is_own(uintptr_t frame)
{
    return frame - own_code.start < own_code.end - own_code.start;
}

/* How many frames at the top are not the user's: up to the caller, or what comes before this library (the unwinder's
   own); and those of this library, which may call its own functions as a user does. */
static unsigned count_own(const uintptr_t *frames, unsigned count, uintptr_t caller)
{
    unsigned most = count < OWN_MOST ? count : OWN_MOST, own = 0;
    while (own < most && !(caller ? frames[own] == caller : is_own(frames[own])))
        own++;
    if (own == most)
        return caller ? count_own(frames, count, 0) : 0;
    while (own < most && is_own(frames[own]))
        own++;
    return own;
}

/* Each frame costs, so there are as many asked for as were found to be enough: `own_most` of this library's. */
static unsigned unwind(uintptr_t *frames, unsigned own_most, uintptr_t caller, unsigned *own)
{
    void *addresses[DEEPEST];
    unsigned asked = frames_wanted + own_most;
    int n = opool__os.unwind(addresses, (int)asked);
    unsigned count = n > 0 ? (unsigned)n : 0;
    for (unsigned i = 0; i < count; i++)
        frames[i] = (uintptr_t)addresses[i];
    *own = count_own(frames, count, caller);
    bool is_cut = count == asked && (*own > own_most || *own == 0);
    return is_cut && own_most < OWN_MOST ? 0 : count;
}

static uint32_t capture(uintptr_t caller)
{
    uintptr_t frames[DEEPEST];
    unsigned own, count;
    /* acquire: the store is begun. */
    struct store *store = opool__load_acquire(&shared_store);
    if (!store)
        return 0;
    count = unwind(frames, OWN_USUAL, caller, &own);
    if (count == 0)
        count = unwind(frames, OWN_MOST, caller, &own);
    count = count - own < frames_wanted ? count - own : frames_wanted;
    if (count == 0)
        return 0;
    /* ThreadSanitizer sees memcpy and memcmp of a plain library, but not by what a record was published. */
    opool__tools_quiet(true);
    uint32_t number = number_of(store, frames + own, count);
    opool__tools_quiet(false);
    return number;
}

uint32_t opool__stack_here(void)
{
    return capture(0);
}

uint32_t opool__stack_from(const void *caller)
{
    return capture((uintptr_t)caller);
}

/* ---- tell ---- */

unsigned opool__stack_frames(uint32_t stack, uintptr_t *frames)
{
    struct store *store = opool__load_acquire(&shared_store);
    if (!store || stack == 0 || stack >= STORE_UNITS)
        return 0;
    const struct record *record = record_at(store, stack);
    unsigned count = record->count < OPOOL__FRAMES_MOST ? record->count : OPOOL__FRAMES_MOST;
    /* A return address may be that of the next function already. */
    for (unsigned i = 0; i < count; i++)
        frames[i] = record->frames[i] - 1;
    return count;
}

void opool__stack_add_line(struct opool__text *text, uintptr_t frame, const struct opool__where *where)
{
    opool__text_hex(text, frame);
    opool__text_string(text, " ");
    opool__text_string(text, where->file[0] ? where->file : NULL);
    if (where->file[0]) {
        opool__text_string(text, "+");
        opool__text_hex(text, where->offset);
    }
    if (where->function[0]) {
        opool__text_string(text, " (");
        opool__text_string(text, where->function);
        opool__text_string(text, ")");
    }
    opool__text_string(text, "\n");
}

static void tell_frame(unsigned number, uintptr_t frame, void (*line)(void *to, const char *text, size_t length),
                       void *to)
{
    char bytes[OPOOL__FILE_MOST + OPOOL__FUNCTION_MOST + 80];
    struct opool__text text = {bytes, sizeof bytes, 0};
    struct opool__where where;
    opool__where(frame, &where);
    opool__text_string(&text, "    #");
    opool__text_number(&text, number);
    opool__text_string(&text, " ");
    opool__stack_add_line(&text, frame, &where);
    line(to, text.at, text.length);
}

void opool__stack_tell(uint32_t stack, void (*line)(void *to, const char *text, size_t length), void *to)
{
    uintptr_t frames[OPOOL__FRAMES_MOST];
    unsigned count = opool__stack_frames(stack, frames);
    int state;
    /* Reading is a cancellation point, and no call of this library is. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    for (unsigned i = 0; i < count; i++)
        tell_frame(i, frames[i], line, to);
    pthread_setcancelstate(state, &(int){0});
}
