/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_PARTITION_H
#define OPOOL_TOOLS_PROFILE_REPORT_PARTITION_H

#include <stddef.h>
#include <stdint.h>

/* Which few sizes serve many: each allocation gets the smallest of them that it fits in. */

enum { CLASSES_MOST = 4 };

struct size_count {
    uint64_t bytes, count;
};

struct partition {
    unsigned classes;
    uint64_t bytes[CLASSES_MOST]; /* rising */
    double waste;                 /* padding, as a part of what is handed out */
};

/** Fills of[k - 1] with the partition in k classes that wastes least, for k up to the number of sizes and to
    CLASSES_MOST; returns how many. `sizes` rise and have counts; 512 of them at most, the first ones, are looked at. */
unsigned opool__profile_partition(const struct size_count *sizes, size_t count, struct partition of[CLASSES_MOST]);

#endif
