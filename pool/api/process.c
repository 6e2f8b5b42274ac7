/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/pool.h"
#include "cache/barrier.h"
#include "os/lock.h"
#include "os/os.h"
#include "shape/sanitizer.h"

/* What is done once a process, at its first create. */

static void at_thread_end(void *thread)
{
    opool__cache_leave(thread);
    opool__settle_all();
}

static int init_locked(void)
{
    static bool key_made, made;
    if (made)
        return 0;
    int r = key_made ? 0 : opool__os.thread_end_init(at_thread_end);
    key_made = r == 0;
    if (r == 0)
        r = opool__fork_init();
    if (r != 0)
        return -ENOMEM;
    opool__barrier_init();
    made = true;
    return 0;
}

int opool__process_init(void)
{
    /* Asks the loader, whose lock a constructor that creates a pool holds, and may call the user's log: not inside our
       lock. */
    opool__audit_find();
    opool__lock_take(&opool__registry_lock);
    int r = init_locked();
    opool__lock_drop(&opool__registry_lock);
    return r;
}
