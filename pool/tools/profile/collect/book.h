/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_BOOK_H
#define OPOOL_TOOLS_PROFILE_COLLECT_BOOK_H

/* What each call of malloc's kin adds to the records. All by the worker of the calling thread, inside. */

#include "block.h"
#include "sample.h"
#include "stack.h"
#include "thread.h"

/* A call of the allocator behind: what it did besides. Between begin and end there is the call alone; between open and
   begin, and between end and close, there is our own work. */
struct opool__call {
    uintptr_t broke, breaks; /* where the break was before, and after */
    uint64_t ns, faults;     /* at the begin, then: how many in between */
    uint64_t own, own_ns;    /* since when we work, and how long we did before */
    bool timed;
};

/* What is asked of an allocation. */
struct opool__wish {
    size_t size, alignment; /* 0: none */
    uint32_t function;
    struct opool__caller caller;
};

OPOOL__HIDDEN void opool__book_start(bool glibc);

/* Where the C library's break is; a word that never changes where that is not known. */
extern OPOOL__HIDDEN const uintptr_t *opool__break;

OPOOL__HIDDEN void opool__call_open_timed(struct opool__worker *worker, struct opool__call *call);
OPOOL__HIDDEN void opool__call_begin_timed(struct opool__call *call);
OPOOL__HIDDEN void opool__call_end_timed(struct opool__call *call);
OPOOL__HIDDEN void opool__call_close_timed(struct opool__worker *worker, const struct opool__call *call);

static inline void opool__call_open(struct opool__worker *worker, struct opool__call *call)
{
    call->timed = --worker->until_timed == 0;
    if (OPOOL__UNLIKELY(call->timed))
        opool__call_open_timed(worker, call);
}

static inline void opool__call_begin(struct opool__call *call)
{
    call->broke = opool__load_relaxed(opool__break);
    if (OPOOL__UNLIKELY(call->timed))
        opool__call_begin_timed(call);
}

static inline void opool__call_end(struct opool__call *call)
{
    if (OPOOL__UNLIKELY(call->timed))
        opool__call_end_timed(call);
    call->breaks = opool__load_relaxed(opool__break);
}

static inline void opool__call_close(struct opool__worker *worker, const struct opool__call *call)
{
    if (OPOOL__UNLIKELY(call->timed))
        opool__call_close_timed(worker, call);
}

/* Adds it to a record, which may be NULL. */
OPOOL__HIDDEN void opool__call_note_rare(const struct opool__call *call, struct opool__profile_record *record);

static inline void opool__call_note(const struct opool__call *call, struct opool__profile_record *record)
{
    if (OPOOL__UNLIKELY(call->timed || call->broke != call->breaks) && record)
        opool__call_note_rare(call, record);
}

/* A block was made at `at`, which may be NULL. */
OPOOL__HIDDEN void opool__book_allocation(struct opool__worker *worker, const void *at, const struct opool__wish *wish,
                                          const struct opool__call *call);

/* The block at `at` is to be freed. The record for opool__call_note; NULL: none. */
OPOOL__HIDDEN struct opool__profile_record *opool__book_free(struct opool__worker *worker, const void *at);

/* The same where there is no worker: the block is forgotten, no more. */
OPOOL__HIDDEN void opool__book_free_alone(const void *at);

/* The block at `at` is to be moved; false: nothing is known of it. */
OPOOL__HIDDEN bool opool__book_lift(const void *at, struct opool__known *known);

/* A block that `known` says was there is now at `to` and has `size` bytes; NULL: nothing changed, or it was freed. */
OPOOL__HIDDEN void opool__book_move(struct opool__worker *worker, const struct opool__known *known, const void *from,
                                    const void *to, size_t size, const struct opool__call *call);

#endif
