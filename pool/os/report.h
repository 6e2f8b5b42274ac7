/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_REPORT_H
#define OPOOL_OS_REPORT_H

/*
 * What opool says: one line, no allocation; on standard error in one write, or through the user's callback. Faults
 * always go to standard error. Outside all locks, but for faults.
 */

#include <opool/types.h>

/* Who a message is about. `name` and `type` outlive it. */
struct opool__label {
    const char *name, *type;
    enum opool_checks checks;
};

/* "opool: pool 'conn' (struct conn): <text>" */
void opool__report(const struct opool__label *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same and abort: "opool: pool 'conn' (struct conn): <call> of 0x7f... by thread 4711: <text>". */
_Noreturn void opool__fault(const struct opool__label *label, const char *call, const void *object, const char *format,
                            ...) __attribute__((format(printf, 4, 5), cold));

/* "opool: <text>" */
void opool__say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where report and say go from now on; NULL: standard error. */
void opool__log_set(void (*log)(const char *line, void *arg), void *arg);

/* Is the calling thread inside that callback? */
bool opool__logging(void);

/* For fork; the innermost of all locks. */
void opool__log_lock(void);
void opool__log_unlock(void);
void opool__log_reset_lock(void);

#endif
