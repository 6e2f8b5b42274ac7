/* SPDX-License-Identifier: MIT */
#include "cache/thread.h"

#include <string.h>

#include "os/lock.h"
#include "os/os.h"
#include "os/state.h"
#include "os/tools.h"

/* A refused thread asks again after this many misses: memory may be back. */
enum { RETRY_AFTER = 64 };

/* Heads of threads without a record: all zero, so every operation misses. Fast paths do write `busy` here, all of them
   the same two values, and nobody reads it. 1 MiB of .bss, of which only touched pages exist. */
static OPOOL__STATE struct opool_head missing[OPOOL__HEADS];

struct self {
    struct opool__thread *record;
    uint32_t refused; /* misses until it asks again */
    bool ended;
};

#ifdef OPOOL_EXPLORE
/* The explorer's threads share one thread of the system; its harness says which of them runs. */
unsigned opool__explorer_self(void);
static OPOOL__STATE struct self explored_selves[EXPLORER_THREADS + 1];
#define self explored_selves[opool__explorer_self()]
struct opool_head *const opool__explorer_missing = missing;
#else
__thread struct opool_head *opool__heads __attribute__((tls_model(OPOOL_TLS_MODEL))) = missing;
static __thread struct self self __attribute__((tls_model(OPOOL_TLS_MODEL)));
#endif

OPOOL__STATE uint32_t opool__threads_lock;
OPOOL__STATE struct opool__thread *opool__threads, *opool__threads_listed;
static OPOOL__STATE struct opool__thread *free_records;

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static struct opool__thread *make_record(void)
{
    size_t head_bytes = OPOOL__HEADS * sizeof(struct opool_head);
    size_t bytes = round_up(head_bytes + sizeof(struct opool__thread), opool__os.page_size());
    void *map;
    if (opool__os.reserve(&map, bytes) != 0)
        return NULL;
    if (opool__os.commit(map, bytes) != 0) {
        (void)opool__os.release(map, bytes);
        return NULL;
    }
    struct opool__thread *record = (struct opool__thread *)(void *)((char *)map + head_bytes);
    record->heads = map;
    opool__tools_released(record); /* to ThreadSanitizer what the system gave was written by this thread */
    return record;
}

static struct opool__thread *pop_free_locked(void)
{
    struct opool__thread *record = free_records;
    if (record)
        free_records = record->next_free;
    return record;
}

void opool__thread_free(struct opool__thread *thread)
{
    if (!thread->in_use)
        return;
    opool__tools_released(thread); /* whose heads the program's own code touched */
    thread->in_use = false;
    thread->next_free = free_records;
    free_records = thread;
}

static struct opool__thread *acquire_record(void)
{
    static OPOOL__STATE uint32_t threads_so_far;
    opool__lock_take(&opool__threads_lock);
    struct opool__thread *record = pop_free_locked();
    if (!record && (record = make_record()) != NULL) {
        record->shard = threads_so_far++;
        record->next = opool__threads;
        opool__threads = record;
    }
    if (record)
        record->in_use = true;
    opool__lock_drop(&opool__threads_lock);
    opool__tools_acquired(record);
    return record;
}

static void free_record(struct opool__thread *record)
{
    opool__lock_take(&opool__threads_lock);
    opool__thread_free(record);
    opool__lock_drop(&opool__threads_lock);
}

static struct opool__thread *attach(void)
{
    struct opool__thread *record = acquire_record();
    if (record && opool__os.at_thread_end(record) != 0) {
        /* Without a call at its end the thread would strand what it caches. */
        free_record(record);
        record = NULL;
    }
    if (!record) {
        self.refused = RETRY_AFTER;
        return NULL;
    }
    self.record = record;
    opool__heads = record->heads;
    return record;
}

struct opool__thread *opool__thread_self(void)
{
    if (self.record)
        return self.record;
    if (self.ended)
        return NULL;
    if (self.refused) {
        self.refused--;
        return NULL;
    }
    return attach();
}

struct opool__thread *opool__thread_known(void)
{
    return self.record;
}

void opool__thread_leave(void)
{
    opool__heads = missing;
    self.record = NULL;
    self.ended = true;
}

/* ---- heads in use ---- */

void opool__thread_mark(struct opool__thread *thread, uint32_t number, bool used)
{
    uint32_t at = number / 64;
    uint64_t *word = &thread->shared_used[at], bit = UINT64_C(1) << number % 64, group = UINT64_C(1) << at % 64;
    uint64_t now = used ? opool__load_relaxed(word) | bit : opool__load_relaxed(word) & ~bit;
    opool__store_relaxed(word, now);
    thread->groups[at / 64] = now ? thread->groups[at / 64] | group : thread->groups[at / 64] & ~group;
    if (used && !thread->listed) {
        thread->listed = true;
        thread->next_listed = opool__threads_listed;
        opool__threads_listed = thread;
    }
}

/* The lowest bit of `word` from `from` on; 64: none. */
static uint32_t lowest_bit(uint64_t word, uint32_t from)
{
    uint64_t rest = from < 64 ? word & ~UINT64_C(0) << from : 0;
    return rest ? (uint32_t)__builtin_ctzll(rest) : 64;
}

uint32_t opool__thread_next_used(const struct opool__thread *thread, uint32_t after)
{
    uint32_t first = after + 1, at = first / 64;
    uint32_t bit = at < OPOOL__HEAD_WORDS ? lowest_bit(opool__load_relaxed(&thread->shared_used[at]), first % 64) : 64;
    if (bit < 64)
        return at * 64 + bit;
    for (uint32_t group = ++at / 64; group < OPOOL__HEAD_GROUPS; at = ++group * 64) {
        uint32_t word = lowest_bit(thread->groups[group], at % 64);
        if (word < 64)
            return (group * 64 + word) * 64 +
                   lowest_bit(opool__load_relaxed(&thread->shared_used[group * 64 + word]), 0);
    }
    return 0;
}
