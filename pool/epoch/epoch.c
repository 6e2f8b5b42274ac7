/* SPDX-License-Identifier: MIT */
#include "epoch/epoch.h"

#include <stddef.h>

#include "os/state.h"

static OPOOL__STATE uint64_t shared_epoch;
OPOOL__STATE uint32_t opool__shared_dormant;
static OPOOL__STATE void (*shared_wake)(void);

uint64_t opool__epoch_now(void)
{
    return opool__load_relaxed(&shared_epoch);
}

uint64_t opool__epoch_begin(void)
{
    uint64_t next = opool__load_relaxed(&shared_epoch) + 1;
    opool__store_relaxed(&shared_epoch, next);
    return next;
}

void opool__epoch_doze(void (*wake)(void))
{
    opool__store_relaxed(&shared_wake, wake);
    opool__store_relaxed(&opool__shared_dormant, 1u);
}

void opool__epoch_rouse(void)
{
    uint32_t dormant = 1;
    void (*wake)(void) = opool__load_relaxed(&shared_wake);
    /* One of those who come at once is enough. */
    if (opool__cas_relaxed(&opool__shared_dormant, &dormant, 0u) && wake)
        wake();
}
