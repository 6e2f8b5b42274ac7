/* SPDX-License-Identifier: MIT */
#include "epoch/epoch.h"

#include <opool/atomic.h>

static uint64_t shared_epoch;

uint64_t opool__epoch_now(void)
{
    return opool__load_relaxed(&shared_epoch);
}
