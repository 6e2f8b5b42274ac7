/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_CONTEXTS_H
#define OPOOL_TOOLS_TRY_CONTEXTS_H

/* Contexts of libzstd from owning pools. At the start, once. */
__attribute__((visibility("hidden"))) void opool__contexts_start(unsigned epoch_ms);

/* What a program shall get that looked up `name` and would have got `found`: a function of ours, if it is one of the
   libzstd that these know. */
__attribute__((visibility("hidden"))) void *opool__contexts_instead(const char *name, void *found);

/* dlsym without that. */
__attribute__((visibility("hidden"))) void *opool__dlsym(void *handle, const char *name);

#endif
