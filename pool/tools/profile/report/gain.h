/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_GAIN_H
#define OPOOL_TOOLS_PROFILE_REPORT_GAIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a pool would save, as an interval: costs of this machine, low and high, times how often they were paid
 * (PROFILE.md, "The model").
 */

struct cost {
    double low, high; /* ns */
};

enum { COST_SIZES = 6 };

struct costs {
    struct cost allocation[COST_SIZES]; /* a pair of malloc and free, by opool__profile_cost_sizes */
    struct cost pool;                   /* a pair of get and put */
    struct cost fault;                  /* first touch of a page */
    struct cost brk;                    /* a call that moves the break, without the faults that follow */
    struct cost map;                    /* a call that maps or unmaps */
    struct cost cpuid;                  /* one instruction: traps on virtual machines */
    struct cost fill;                   /* writing a KiB */
    struct cost clock;                  /* reading the time, which is in every call that was timed */
};

extern const uint64_t opool__profile_cost_sizes[COST_SIZES];

/** How often things that cost happened. */
struct spent {
    double pairs, bytes_each;                 /* allocations that were freed */
    double faults, faults_most, breaks, maps; /* faults: seen in the calls; and with those that come after them */
    double timed_pair;                        /* ns of a malloc and its free, as timed in the process; 0: unknown */
    double cpuids, filled_kib;
};

struct gain {
    double low, high;                   /* ns in all; negative where the allocator is the cheaper one */
    double low_a_second, high_a_second; /* us a second of recorded time */
    bool has_share;                     /* the processor time is known */
    double low_share, high_share;       /* of that; at most 1 */
    double system;                      /* the part of `high` that breaks, maps and faults are */
};

/** `cpu`: processor time of the processes, ns, without and with what recording took; 0: unknown. */
struct gain opool__profile_gain(const struct costs *costs, const struct spent *spent, double seconds, struct cost cpu);

/** Sets rates and shares from `low` and `high`, and bounds these by the processor time. */
void opool__profile_rates(struct gain *gain, double seconds, struct cost cpu);

/** Measures this machine: some tens of milliseconds. False: a pool, or memory, is not to be had. */
bool opool__profile_measure(struct costs *costs);

/** Reads "malloc=20:40,pool=3:4,..." in ns over `costs`; one number is both ends. `are_all`: none was left out. False:
    `why` says what is wrong. */
bool opool__profile_read_costs(struct costs *costs, const char *text, bool *are_all, const char **why);

#endif
