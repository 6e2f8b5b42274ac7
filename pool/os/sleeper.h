/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_SLEEPER_H
#define OPOOL_OS_SLEEPER_H

/*
 * Where the thread that ticks sleeps, until a deadline, a wake, or memory pressure. Sources of pressure, each optional:
 *
 *     pressure stall information   a trigger (15 % of 2 s stalled; unprivileged processes get no other windows) on the
 *                                  control group's memory.pressure, else on /proc/pressure/memory
 *     control group, version 2     memory.events: high, max, oom count up; memory.current at 90 % of memory.high
 *
 * (Linux: Documentation/accounting/psi.rst, admin-guide/cgroup-v2.rst.) A source that is absent, refused, or ends (the
 * group was removed) is none. One thread sleeps and looks; any thread may wake it. No allocation.
 *
 * Sleeping and waking is a futex. Descriptors are there for the sources only, and programs close what they do not know
 * (daemons do, with closefrom(3)) and open something else under the same number: so each one is asked whether it is
 * still what was opened before it is read, written or closed, and a sleep with sources looks after the futex once a
 * second, in case that the wake could not reach its poll. No call here is a cancellation point.
 */

#include <stdbool.h>
#include <stdint.h>

enum { OPOOL__WOKEN = 1, OPOOL__PRESSURE = 2 };           /* what ended a sleep; 0: the deadline */
enum { OPOOL__SOURCE_PSI = 1, OPOOL__SOURCE_CGROUP = 2 }; /* what there is */

/* A descriptor and what it stood for when it was opened. */
struct opool__file {
    int fd; /* -1: none */
    uint64_t device, inode;
};

struct opool__sleeper {
    bool open;
    uint32_t shared_woken;             /* 1: the next sleep ends at once */
    struct opool__file wake, woken_by; /* ends of a pipe, where there may be sources */
    struct opool__file psi, events_file, current, high;
    unsigned sources;
    int error;              /* why there is no PSI; an errno value */
    uint64_t events;        /* of memory.events, at the last look */
    uint64_t last_pressure; /* os.now; pressure ends no two sleeps within 10 ms */
};

/* Where the files are; tests make trees of their own. */
struct opool__pressure_paths {
    const char *psi, *own_group, *groups;
};
extern struct opool__pressure_paths opool__pressure_paths;

/* Where no descriptor can be had there are no sources. */
void opool__sleeper_open(struct opool__sleeper *sleeper, bool use_pressure);

/* deadline: of os.now; 0: none. */
unsigned opool__sleeper_sleep(struct opool__sleeper *sleeper, uint64_t deadline);

/* Until a wake, whatever the sources say. */
void opool__sleeper_doze(struct opool__sleeper *sleeper);

/* The sleep or doze that runs ends, or else the next one at once; several wakes are one. Not beside open or close. */
void opool__sleeper_wake(struct opool__sleeper *sleeper);

/* The same for a doze. At any time: one that comes late does no harm. */
void opool__sleeper_rouse(struct opool__sleeper *sleeper);

/* Is memory short now, by the control group's own figures? Without sleeping. */
bool opool__sleeper_under_pressure(struct opool__sleeper *sleeper);

/* Nobody sleeps here until it is opened again. In the child of a fork too: its descriptors are copies. */
void opool__sleeper_close(struct opool__sleeper *sleeper);

#endif
