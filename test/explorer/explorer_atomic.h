/* SPDX-License-Identifier: MIT */
#ifndef EXPLORER_ATOMIC_H
#define EXPLORER_ATOMIC_H

/*
 * opool/atomic.h with OPOOL_EXPLORE: the same names, each a hook of the explorer. It has to offer what that header
 * offers and nothing more; a name that only one of the two knows does not compile in the other build.
 */

#include "explorer.h"

#define opool__load_relaxed(p) EXPLORER_DO_LOAD(p, EXPLORER_RELAXED, #p)
#define opool__load_acquire(p) EXPLORER_DO_LOAD(p, EXPLORER_ACQUIRE, #p)
#define opool__store_relaxed(p, v) EXPLORER_DO_STORE(p, v, EXPLORER_RELAXED, #p)
#define opool__store_release(p, v) EXPLORER_DO_STORE(p, v, EXPLORER_RELEASE, #p)
#define opool__exchange_acquire(p, v) EXPLORER_DO_EXCHANGE(p, v, EXPLORER_ACQUIRE, #p)
#define opool__exchange_release(p, v) EXPLORER_DO_EXCHANGE(p, v, EXPLORER_RELEASE, #p)
#define opool__add_relaxed(p, v) EXPLORER_DO_ADD(p, v, EXPLORER_RELAXED, #p)
#define opool__sub_relaxed(p, v) EXPLORER_DO_ADD(p, -(uint64_t)(v), EXPLORER_RELAXED, #p)
#define opool__sub_release(p, v) EXPLORER_DO_ADD(p, -(uint64_t)(v), EXPLORER_RELEASE, #p)
#define opool__cas_acquire(p, expected, desired) EXPLORER_DO_CAS(p, expected, desired, EXPLORER_ACQUIRE, #p)
#define opool__cas_release(p, expected, desired) EXPLORER_DO_CAS(p, expected, desired, EXPLORER_RELEASE, #p)
#define opool__cas_relaxed(p, expected, desired) EXPLORER_DO_CAS(p, expected, desired, EXPLORER_RELAXED, #p)

#define opool__decrement_owned(p) opool__store_relaxed((p), opool__load_relaxed(p) - 1)
#define opool__increment_owned(p) opool__store_relaxed((p), opool__load_relaxed(p) + 1)

#define opool__read_plain(p) EXPLORER_DO_READ(p, #p)
#define opool__write_plain(p, v) EXPLORER_DO_WRITE(p, v, #p)

#define opool__reused(p, size) explorer_forget((p), (size))
#define opool__light_barrier() explorer__light_barrier(EXPLORER_SITE(EXPLORER_LIGHT_BARRIER, EXPLORER_RELAXED, ""))
#define opool__spin_hint() explorer_yield()

/* opool__heads of inline.h: one for each modelled thread. */
struct opool_head **opool__explorer_heads(void);

#endif
