/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_CONTEXTS_H
#define OPOOL_TOOLS_TRY_CONTEXTS_H

/* Contexts of libzstd from owning pools. At the start, once. */
__attribute__((visibility("hidden"))) void opool__contexts_start(unsigned epoch_ms);

#endif
