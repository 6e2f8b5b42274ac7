/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "sample.h"
#include "os/lock.h"
#include "os/os.h"

enum { ROUNDS = 3 }; /* of destructors; the C library calls at least 4 */

__thread struct opool__thread opool__thread __attribute__((tls_model("initial-exec")));

static pthread_key_t key;
static bool has_key;
static uint32_t shared_lock;
static struct opool__worker *all, *free_ones;

void opool__threads_lock(void)
{
    opool__lock_take(&shared_lock);
}

void opool__threads_unlock(void)
{
    opool__lock_drop(&shared_lock);
}

void opool__threads_reset_lock(void)
{
    opool__lock_reset(&shared_lock);
}

/* ---- ends ---- */

static void leave_to_next(struct opool__worker *worker)
{
    opool__threads_lock();
    worker->next_free = free_ones;
    free_ones = worker;
    opool__threads_unlock();
}

/* This thread records no more. First of all it skips none: what is skipped is counted in the worker's totals. */
static void leave(void)
{
    opool__thread.skip = 0;
    opool__light_barrier(); /* a signal handler of this thread sees it */
    opool__thread.worker = NULL;
    opool__thread.totals = NULL;
    opool__thread.gone = true;
}

/* Others' destructors free and allocate too, and may run later: it is asked to be called again. */
static void at_end(void *worker)
{
    opool__thread.inside = 1;
    if (opool__thread.rounds++ < ROUNDS && pthread_setspecific(key, worker) == 0) {
        opool__thread.inside = 0;
        return;
    }
    leave();
    leave_to_next(worker);
    opool__thread.inside = 0;
}

void opool__threads_start(void)
{
    has_key = pthread_key_create(&key, at_end) == 0;
}

/* ---- begins ---- */

static void *take_memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static struct opool__worker *make_worker(void)
{
    size_t records = OPOOL__ROOM_SITES * sizeof(uint32_t);
    char *memory = take_memory(records + sizeof(struct opool__worker));
    if (!memory)
        return NULL;
    struct opool__worker *worker = (struct opool__worker *)(void *)(memory + records);
    worker->record_of = (uint32_t *)(void *)memory;
    worker->next = all;
    all = worker;
    return worker;
}

/* A number in the image, for a worker that has none. */
static bool number(struct opool__worker *worker)
{
    if (worker->totals)
        return true;
    opool__image_lock();
    uint32_t index = opool__image_take(&opool__image.header->threads);
    opool__image_unlock();
    if (index == UINT32_MAX)
        return false;
    worker->number = index + 1;
    worker->totals = &opool__image.threads[index];
    return true;
}

static struct opool__worker *take_worker(void)
{
    struct opool__worker *worker = free_ones;
    if (worker)
        free_ones = worker->next_free;
    else
        worker = make_worker();
    if (!worker || number(worker))
        return worker;
    worker->next_free = free_ones;
    free_ones = worker;
    return NULL;
}

static __attribute__((noinline)) struct opool__worker *begin(void)
{
    opool__threads_lock();
    struct opool__worker *worker = take_worker();
    opool__threads_unlock();
    if (!worker) { /* nothing that this thread does is seen; it counts as one event */
        opool__add_relaxed(&opool__image.header->lost_records, (uint64_t)1);
        return NULL;
    }
    if (has_key)
        (void)pthread_setspecific(key, worker); /* refused: nobody gets it after us */
    worker->top = 0;
    worker->random = opool__os.seed();
    worker->until_timed = opool__sample_until_timed(worker);
    worker->totals->begun++;
    opool__add_relaxed(&opool__image.header->threads_begun, (uint64_t)1);
    return worker;
}

struct opool__worker *opool__thread_begin(void)
{
    int saved = errno;
    struct opool__worker *worker = begin();
    opool__thread.worker = worker;
    opool__thread.gone = !worker;
    opool__thread.totals = worker ? worker->totals : NULL;
    if (worker)
        opool__sample_skip(worker);
    errno = saved;
    return worker;
}

/* ---- records ---- */

struct opool__profile_record *opool__thread_new_record(struct opool__worker *worker, uint32_t site)
{
    opool__image_lock();
    uint32_t index = opool__image_take(&opool__image.header->records);
    opool__image_unlock();
    if (index == UINT32_MAX) {
        opool__add_relaxed(&opool__image.header->lost_records, (uint64_t)1);
        return NULL;
    }
    struct opool__profile_record *record = &opool__image.records[index];
    record->site = site;
    record->thread = worker->number;
    record->least = UINT64_MAX;
    worker->record_of[site] = index + 1;
    return record;
}

void opool__threads_renew(void)
{
    struct opool__worker *own = opool__thread.worker;
    opool__threads_reset_lock();
    free_ones = NULL;
    for (struct opool__worker *worker = all; worker; worker = worker->next) {
        madvise(worker->record_of, OPOOL__ROOM_SITES * sizeof(uint32_t), MADV_DONTNEED);
        worker->totals = NULL;
        if (worker != own) {
            worker->next_free = free_ones;
            free_ones = worker;
        }
    }
    if (own && !number(own)) {
        own = NULL;
        leave();
    } else if (own) {
        own->totals->begun++;
        opool__image.header->threads_begun = 1;
    }
    opool__thread.totals = own ? own->totals : NULL;
}
