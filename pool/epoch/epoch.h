/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_EPOCH_EPOCH_H
#define OPOOL_EPOCH_EPOCH_H

/* The process-wide epoch clock: a number that only grows. A leaf: it knows nothing of pools; who stamps with it or acts
   on it stands above. */

#include <stdint.h>

uint64_t opool__epoch_now(void);

#endif
