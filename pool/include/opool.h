/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_H
#define OPOOL_H

/* opool: typed pools of fixed-shape objects. Start with the README's first program; opool/define.h has the typed
   calls, opool/pool.h the untyped ones, opool/epoch.h how memory
   follows the load, opool/stats.h the figures. Not included: opool/buffer.h, buffers of a fixed capacity. */

#include "opool/define.h"
#include "opool/epoch.h"
#include "opool/pool.h"
#include "opool/stats.h"
#include "opool/types.h"
#include "opool/version.h"

#endif
