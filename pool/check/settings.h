/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHECK_SETTINGS_H
#define OPOOL_CHECK_SETTINGS_H

/*
 * What the environment says of checks (words.def). Read at the first question, once a process; what can not be
 * understood is a line on standard error, and ignored. Thread-safe.
 */

#include <opool/types.h>

/* The level of a pool of this name; NULL: of calls that concern no pool. Never DEFAULT. */
enum opool_checks opool__settings_level(const char *pool_name);

/* OPOOL_FAIL; 0: none. */
uint32_t opool__settings_fail(void);

/* The first whole number of a variable's value behind `prefix`: "1/5000" with "1/" is 5000. 0: not set, or not to be
   understood, which is said. */
uint32_t opool__settings_number(const char *variable, const char *prefix);

/* Around a fork, that no child finds them half read; in the child the lock is free. */
void opool__settings_lock(void);
void opool__settings_unlock(void);
void opool__settings_reset_lock(void);

#endif
