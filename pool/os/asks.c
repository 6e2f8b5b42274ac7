/* SPDX-License-Identifier: MIT */
#include "os/asks.h"

#include <opool/atomic.h>
#include <stdint.h>

#include "os/os.h"
#include "os/state.h"

/*
 * How many threads ask the loader now, or FORKING. Threads that come do not wait for each other, nor for a fork that
 * itself still waits: one of them may hold the loader's lock already (it creates a pool while its library is loaded),
 * and another one, inside, wait for that.
 */
enum { FORKING = 1 << 30 };
static OPOOL__STATE uint32_t shared_at_loader;

void opool__loader_enter(void)
{
    uint32_t seen = opool__load_relaxed(&shared_at_loader);
    for (;;) {
        if (seen == FORKING) {
            opool__os.wait(&shared_at_loader, FORKING, 0);
            seen = opool__load_relaxed(&shared_at_loader);
        } else if (opool__cas_acquire(&shared_at_loader, &seen, seen + 1)) {
            return;
        }
    }
}

void opool__loader_leave(void)
{
    /* release: a fork that sees 0 sees the loader at rest. */
    if (opool__sub_release(&shared_at_loader, 1u) == 1)
        opool__os.wake(&shared_at_loader, INT32_MAX);
}

void opool__loader_fork_prepare(void)
{
    for (;;) {
        uint32_t seen = 0;
        if (opool__cas_acquire(&shared_at_loader, &seen, (uint32_t)FORKING))
            return;
        opool__os.wait(&shared_at_loader, seen, 0);
    }
}

void opool__loader_fork_parent(void)
{
    opool__store_release(&shared_at_loader, 0u);
    opool__os.wake(&shared_at_loader, INT32_MAX);
}

void opool__loader_fork_child(void)
{
    opool__store_relaxed(&shared_at_loader, 0u);
}
