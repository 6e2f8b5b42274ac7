/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_TRAP_H
#define OPOOL_OS_TRAP_H

/*
 * Touches of memory that allows none: SIGSEGV and SIGBUS of the program's own instructions, seen by one function of the
 * library before what the program had for them when the library came. The entry `trap` of the table in os.h.
 */

enum opool__access { OPOOL__ACCESS, OPOOL__READ, OPOOL__WRITE }; /* the first: the machine does not say */

struct opool__trap {
    const void *address; /* touched */
    const void *code;    /* the instruction that did; NULL: not known */
    enum opool__access access;
};

/* In a signal handler, on the thread that touched it; errno is kept. */
typedef void opool__trap_look(const struct opool__trap *trap);

int opool__os_trap(opool__trap_look *look);

#endif
