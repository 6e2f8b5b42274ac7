/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include <opool/atomic.h>

#include "os/os.h"

enum { FREE, TAKEN, AWAITED };

/* Looks before sleeping: sections are shorter than a sleep. The explorer gains nothing from more than one. */
#ifdef OPOOL_EXPLORE
enum { SPINS = 0 };
#else
enum { SPINS = 100 };
#endif

static bool take_free(uint32_t *lock)
{
    uint32_t seen = FREE;
    /* acquire: what the last holder did under the lock is seen here. */
    return opool__cas_acquire(lock, &seen, (uint32_t)TAKEN);
}

static __attribute__((noinline, cold)) void take_contended(uint32_t *lock)
{
    for (int i = 0; i < SPINS; i++) {
        opool__spin_hint();
        if (opool__load_relaxed(lock) == FREE && take_free(lock))
            return;
    }
    while (opool__exchange_acquire(lock, (uint32_t)AWAITED) != FREE)
        opool__os.wait(lock, AWAITED, 0);
}

void opool__lock_take(uint32_t *lock)
{
    if (!take_free(lock))
        take_contended(lock);
}

bool opool__lock_try(uint32_t *lock)
{
    return take_free(lock);
}

void opool__lock_drop(uint32_t *lock)
{
    /* release: the next holder sees what was done under the lock. */
    if (opool__exchange_release(lock, (uint32_t)FREE) == AWAITED)
        opool__os.wake(lock, 1);
}

void opool__lock_reset(uint32_t *lock)
{
    opool__store_relaxed(lock, (uint32_t)FREE);
}
