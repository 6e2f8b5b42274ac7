/* SPDX-License-Identifier: MIT */
#include "book.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/resource.h>

#include "behind.h"
#include "clock.h"
#include "tick.h"

enum { MAPPED_LEAST = 32 << 10, CHUNK_HEADER = 2 * sizeof(size_t), COUNTS_A_TICK = 256 };
enum {
    INTERRUPTED_NS = 100000
}; /* what lasts longer is none of our work: a deep stack that is unwound takes some 10 us */

static const uintptr_t never_moves;
const uintptr_t *opool__break = &never_moves;
static bool knows_mapped;

/* The break is a variable of the C library, by which it answers sbrk(0). */
void opool__book_start(bool glibc)
{
    const uintptr_t *found = dlsym(RTLD_DEFAULT, "__curbrk");
    if (found)
        opool__break = found;
    knows_mapped = glibc;
}

/* ---- calls ---- */

static uint64_t faults_so_far(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_minflt : 0;
}

/* Since then, less what reading the clock took. */
static uint64_t own_since(uint64_t from)
{
    uint64_t ns = opool__clock_now() - from;
    return ns > opool__clock.reading && ns >> 63 == 0 ? ns - opool__clock.reading : 0;
}

void opool__call_open_timed(struct opool__worker *worker, struct opool__call *call)
{
    worker->until_timed = opool__sample_until_timed(worker);
    call->own = opool__clock_now();
}

void opool__call_close_timed(struct opool__worker *worker, const struct opool__call *call)
{
    uint64_t ns = call->own_ns + own_since(call->own);
    worker->totals->own++;
    worker->totals->own_ns += ns < INTERRUPTED_NS ? ns : INTERRUPTED_NS;
}

void opool__call_begin_timed(struct opool__call *call)
{
    call->own_ns = own_since(call->own);
    call->faults = faults_so_far();
    call->ns = opool__clock_now();
}

void opool__call_end_timed(struct opool__call *call)
{
    uint64_t now = opool__clock_now();
    call->ns = now > call->ns ? now - call->ns : 0;
    call->faults = faults_so_far() - call->faults;
    call->own = opool__clock_now();
}

/* Another thread may have moved the break; that is as likely to hit one site as another. */
__attribute__((noinline)) void opool__call_note_rare(const struct opool__call *call,
                                                     struct opool__profile_record *record)
{
    if (call->timed) {
        record->timed++;
        record->timed_ns += call->ns;
        record->faults += call->faults;
    }
    record->breaks += call->broke != call->breaks;
    if (call->breaks > call->broke)
        record->fresh_bytes += call->breaks - call->broke;
}

/* The C library's malloc maps large blocks alone: the block is the mapping but for a header at its start. Told by
   where it lies and ends; 0: it is not mapped alone. */
static size_t mapped_bytes(const void *at, size_t size)
{
    size_t page = (size_t)opool__image.header->page_bytes;
    if (size < MAPPED_LEAST || !knows_mapped || ((uintptr_t)at & (page - 1)) != CHUNK_HEADER)
        return 0;
    size_t bytes = opool__behind.usable_size((void *)(uintptr_t)at) + CHUNK_HEADER;
    return bytes % page == 0 ? bytes : 0;
}

static void note_mapping(struct opool__profile_record *record, const void *at, size_t size, bool made)
{
    size_t bytes = mapped_bytes(at, size);
    if (bytes == 0)
        return;
    record->maps++;
    if (made)
        record->fresh_bytes += bytes;
}

/* ---- a record ---- */

static void saturating_add(uint32_t *count)
{
    *count += *count != UINT32_MAX;
}

static void add_size(struct opool__profile_record *record, size_t size)
{
    uint32_t class = size ? 63 - (uint32_t)__builtin_clzll(size) : 0;
    saturating_add(
        &record->size_classes[class < OPOOL__PROFILE_SIZE_CLASSES ? class : OPOOL__PROFILE_SIZE_CLASSES - 1]);
    for (uint32_t i = 0; i < OPOOL__PROFILE_SIZES; i++) {
        struct opool__profile_size *seen = &record->sizes[i];
        if (seen->bytes == size || seen->count == 0) {
            seen->bytes = size;
            seen->count++;
            return;
        }
    }
    record->other_sizes++;
}

static void note_extremes(struct opool__profile_record *record, size_t size)
{
    if (size < record->least)
        record->least = size;
    if (size > record->most)
        record->most = size;
}

static void note_peak(struct opool__profile_record *record)
{
    uint64_t blocks = record->live - opool__load_relaxed(&record->taken);
    uint64_t bytes = record->live_bytes - opool__load_relaxed(&record->taken_bytes);
    if ((int64_t)blocks > (int64_t)record->live_peak)
        record->live_peak = blocks;
    if ((int64_t)bytes > (int64_t)record->live_bytes_peak)
        record->live_bytes_peak = bytes;
}

static void add_allocation(struct opool__profile_record *record, const struct opool__wish *wish)
{
    size_t size = wish->size;
    record->bytes += size;
    record->live++;
    record->live_bytes += size;
    if (++record->row > record->burst)
        record->burst = record->row;
    if (wish->alignment > record->alignment)
        record->alignment = wish->alignment;
    note_extremes(record, size);
    note_peak(record);
    add_size(record, size);
    record->allocations++;
}

/* The block's own record is another thread's: it is told what is gone, no more. */
static void take_from(struct opool__profile_record *record, uint64_t bytes)
{
    opool__add_relaxed(&record->taken, (uint64_t)1);
    opool__add_relaxed(&record->taken_bytes, bytes);
}

/* Puts the block into the books, where it stays until it is freed. One for which there is no place counts as gone: its
   end will not be seen. */
static void know(struct opool__worker *worker, struct opool__profile_record *record, const void *at, size_t size,
                 uint64_t birth)
{
    uint32_t index = (uint32_t)(record - opool__image.records);
    if (opool__sampling ? opool__sample_know(at, index, size, birth) : opool__block_know(at, index, size, birth))
        return;
    opool__add_relaxed(&opool__image.header->lost_blocks, (uint64_t)1);
    take_from(record, size);
    worker->totals->blocks--;
    worker->totals->bytes -= size;
}

static bool forget(const void *at, struct opool__known *known, uint64_t now)
{
    if (opool__counting)
        return false;
    return opool__sampling ? opool__sample_take(at, known, true) : opool__block_forget(at, known, now);
}

/* Blocks are not followed; the time is asked for from time to time only. */
static void count_allocation(struct opool__worker *worker, struct opool__profile_record *record,
                             const struct opool__wish *wish)
{
    record->bytes += wish->size;
    note_extremes(record, wish->size);
    add_size(record, wish->size);
    record->allocations++;
    if (worker->totals->allocations % COUNTS_A_TICK == 0)
        opool__tick(opool__clock_now());
}

static void follow_allocation(struct opool__worker *worker, struct opool__profile_record *record, const void *at,
                              const struct opool__wish *wish)
{
    uint64_t now = opool__clock_now();
    add_allocation(record, wish);
    if (OPOOL__UNLIKELY(wish->size >= MAPPED_LEAST))
        note_mapping(record, at, wish->size, true);
    worker->totals->blocks++;
    worker->totals->bytes += wish->size;
    know(worker, record, at, wish->size, now);
    worker->totals->last_ns = now;
    opool__tick(now);
}

void opool__book_allocation(struct opool__worker *worker, const void *at, const struct opool__wish *wish,
                            const struct opool__call *call)
{
    if (!at)
        return;
    worker->totals->allocations++;
    uint32_t site = opool__stack_site(wish->caller, &worker->top, wish->function);
    if (site == UINT32_MAX) {
        opool__add_relaxed(&opool__image.header->lost_sites, (uint64_t)1);
        return;
    }
    struct opool__profile_record *record = opool__thread_record(worker, site);
    if (!record)
        return;
    opool__call_note(call, record);
    if (opool__counting)
        count_allocation(worker, record, wish);
    else
        follow_allocation(worker, record, at, wish);
}

/* ---- free ---- */

static void add_lifetime(struct opool__profile_record *record, uint64_t birth, uint64_t now)
{
    saturating_add(&record->lifetimes[opool__profile_lifetime_class(now > birth ? now - birth : 0)]);
}

/* The record in which the worker notes what it does to the block. */
static struct opool__profile_record *own_record(struct opool__worker *worker, struct opool__profile_record *record)
{
    return record->thread == worker->number ? record : opool__thread_record(worker, record->site);
}

static struct opool__profile_record *add_free(struct opool__worker *worker, const void *at,
                                              const struct opool__known *known, uint64_t now)
{
    struct opool__profile_record *record = &opool__image.records[known->record], *own = own_record(worker, record);
    worker->totals->blocks--;
    worker->totals->bytes -= known->size;
    if (own == record) {
        record->live--;
        record->live_bytes -= known->size;
    } else {
        take_from(record, known->size);
    }
    if (!own)
        return NULL;
    own->frees++;
    own->foreign_frees += own != record;
    own->row = 0;
    add_lifetime(own, known->birth, now);
    if (OPOOL__UNLIKELY(known->size >= MAPPED_LEAST) && at)
        note_mapping(own, at, known->size, false);
    return own;
}

struct opool__profile_record *opool__book_free(struct opool__worker *worker, const void *at)
{
    struct opool__known known;
    worker->totals->frees += !opool__image_is_paused();
    if (opool__counting)
        return NULL;
    uint64_t now = opool__clock_now();
    if (!forget(at, &known, now))
        return NULL;
    worker->totals->last_ns = now;
    opool__tick(now);
    return add_free(worker, at, &known, now);
}

void opool__book_free_alone(const void *at)
{
    struct opool__known known;
    if (opool__counting)
        return;
    opool__thread.inside++; /* a thread that records nothing may be here, and be interrupted by a fork */
    opool__light_barrier();
    if (opool__sampling ? opool__sample_take(at, &known, false) : opool__block_forget(at, &known, 0))
        take_from(&opool__image.records[known.record], known.size);
    opool__light_barrier();
    opool__thread.inside--;
}

/* ---- realloc ---- */

static void add_growth(struct opool__profile_record *own, uint64_t from, uint64_t to)
{
    own->grown++;
    own->grown_bytes += to - from;
}

static void resize(struct opool__worker *worker, const struct opool__known *known, bool moved, size_t size)
{
    struct opool__profile_record *record = &opool__image.records[known->record], *own = own_record(worker, record);
    worker->totals->bytes += size - known->size;
    if (own == record) {
        record->live_bytes += size - known->size;
        note_peak(record);
    } else {
        opool__add_relaxed(&record->taken_bytes, known->size - size);
    }
    if (!own)
        return;
    note_extremes(own, size);
    if (moved)
        own->moved_bytes += size < known->size ? size : known->size;
    if (size > known->size)
        add_growth(own, known->size, size);
}

bool opool__book_lift(const void *at, struct opool__known *known)
{
    return forget(at, known, opool__clock_now());
}

void opool__book_move(struct opool__worker *worker, const struct opool__known *known, const void *from, const void *to,
                      size_t size, const struct opool__call *call)
{
    struct opool__profile_record *record = &opool__image.records[known->record];
    opool__call_note(call, own_record(worker, record));
    if (!to && size) { /* refused: the block is what it was */
        know(worker, record, from, known->size, known->birth);
        return;
    }
    uint64_t now = opool__clock_now();
    if (!to) {
        worker->totals->frees++;
        (void)add_free(worker, NULL, known, now);
        return;
    }
    resize(worker, known, from != to, size);
    know(worker, record, to, size, known->birth);
    opool__tick(now);
}
