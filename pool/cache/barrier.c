/* SPDX-License-Identifier: MIT */
#include "cache/barrier.h"

#include <opool/atomic.h>

#include "os/os.h"
#include "os/state.h"

enum { UNKNOWN, USABLE, REFUSED };
static OPOOL__STATE uint32_t shared_barrier_state;

void opool__barrier_init(void)
{
    if (opool__load_relaxed(&shared_barrier_state) != UNKNOWN)
        return;
    uint32_t unknown = UNKNOWN, answer = opool__os.barrier_register() == 0 ? USABLE : REFUSED;
    opool__cas_relaxed(&shared_barrier_state, &unknown, answer);
}

bool opool__barrier_usable(void)
{
    return opool__load_relaxed(&shared_barrier_state) == USABLE;
}

bool opool__barrier(void)
{
    if (opool__barrier_usable() && opool__os.barrier() != 0)
        opool__store_relaxed(&shared_barrier_state, (uint32_t)REFUSED);
    return opool__barrier_usable();
}
