/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_REPORT_H
#define OPOOL_OS_REPORT_H

/*
 * What opool says: no allocation; on standard error in one write, or through the user's callback. A report is one line.
 * A fault is a line, and under full checks the object's story behind it; it always goes to standard error, and to the
 * callback too. Outside all locks, but for faults. Faults are async-signal-safe.
 */

#include <opool/types.h>

#include "os/text.h"

/* Who a message is about. `name` and `type` outlive it. */
struct opool__label {
    const char *name, *type;
    enum opool_checks checks;
    /* Lines that tell what is known of the object, for a fault; async-signal-safe. NULL: nothing is. */
    void (*story)(const struct opool__label *label, const void *object, struct opool__text *text);
};

enum opool__fault {
#define OPOOL_FAULT(name, words) OPOOL__FAULT_##name,
#include "os/faults.def"
#undef OPOOL_FAULT
    OPOOL__FAULTS
};

/* What stands in the braces of a fault's words. */
struct opool__detail {
    size_t offset, count, size;
    uint64_t thread;
    const char *name, *type;
    const unsigned char *bytes; /* the first of `count` */
};

/* "opool: pool 'conn' (struct conn): <text>" */
void opool__report(const struct opool__label *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line and the object's story, and abort: "opool: pool 'conn' (struct conn): <call> of 0x7f... by thread 4711:
   <words>". `detail` may be NULL where the words have no braces. */
_Noreturn void opool__fault(const struct opool__label *label, enum opool__fault fault, const char *call,
                            const void *object, const struct opool__detail *detail) __attribute__((cold));

/* The line and the story, in one write, of a fault that ends the process by itself, if at all: for a signal handler.
   Not to the callback, which may need what the interrupted code holds. `text` is empty room to put it together in. */
void opool__fault_tell(struct opool__text *text, const struct opool__label *label, enum opool__fault fault,
                       const char *call, const void *object, const struct opool__detail *detail);

/* "opool: <text>" */
void opool__say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A text as it is, on standard error in one write. */
void opool__print(const char *text);

/* A text of several lines that the caller put together; its last byte is a newline. */
void opool__say_text(struct opool__text *text);

/* Where report and say go from now on; NULL: standard error. */
void opool__log_set(void (*log)(const char *line, void *arg), void *arg);

/* Is the calling thread inside that callback? */
bool opool__logging(void);

/* For fork; the innermost of all locks. */
void opool__log_lock(void);
void opool__log_unlock(void);
void opool__log_reset_lock(void);

#endif
