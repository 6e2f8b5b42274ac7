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
 */

#include <stdbool.h>
#include <stdint.h>

enum { OPOOL__WOKEN = 1, OPOOL__PRESSURE = 2 };           /* what ended a sleep; 0: the deadline */
enum { OPOOL__SOURCE_PSI = 1, OPOOL__SOURCE_CGROUP = 2 }; /* what there is */

struct opool__sleeper {
    bool open; /* wake_fd is: it stays when the sleeper is closed, as a thread that wakes late may still write to it */
    int wake_fd, psi_fd, events_fd, current_fd, high_fd; /* -1: none */
    unsigned sources;
    uint64_t events;        /* of memory.events, at the last look */
    uint64_t last_pressure; /* os.now; pressure ends no two sleeps within 10 ms */
};

/* Where the files are; tests make trees of their own. */
struct opool__pressure_paths {
    const char *psi, *own_group, *groups;
};
extern struct opool__pressure_paths opool__pressure_paths;

/* 0, or -EMFILE and what else eventfd says. */
int opool__sleeper_open(struct opool__sleeper *sleeper, bool use_pressure);

/* deadline: of os.now; 0: none. */
unsigned opool__sleeper_sleep(struct opool__sleeper *sleeper, uint64_t deadline);

/* The sleep that runs ends, or else the next one at once; several wakes are one. Keeps errno. */
void opool__sleeper_wake(struct opool__sleeper *sleeper);

/* Is memory short now, by the control group's own figures? Without sleeping. */
bool opool__sleeper_under_pressure(struct opool__sleeper *sleeper);

/* Nobody sleeps here until it is opened again; late wakes do no harm. */
void opool__sleeper_close(struct opool__sleeper *sleeper);

/* In the child of a fork: the descriptors are the parent's. */
void opool__sleeper_forget(struct opool__sleeper *sleeper);

#endif
