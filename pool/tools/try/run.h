/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_RUN_H
#define OPOOL_TOOLS_TRY_RUN_H

/* One run of the command, and what it cost. */

#include <stdbool.h>
#include <stdint.h>

#include "area.h"
#include "options.h"

/* How the command is run. */
enum opool__try_arm { OPOOL__TRY_PLAIN, OPOOL__TRY_POOLS, OPOOL__TRY_TUNED, OPOOL__TRY_JEMALLOC, OPOOL__TRY_ARMS };

/* What "tuned" is: the heap keeps what it has, and large blocks are of the heap too. */
#define OPOOL__TRY_TUNING \
    "glibc.malloc.trim_threshold=67108864:glibc.malloc.top_pad=1048576:glibc.malloc.mmap_threshold=33554432"

struct opool__try_cost {
    int status;                         /* exit status of the command, 128 + n: signal n ended it */
    int failed;                         /* exit status of this tool: the run could not be made */
    uint64_t cpu_us;                    /* of the command and all processes that it left */
    uint64_t faults;                    /* that needed no disk */
    uint64_t peak_kib;                  /* resident, of the largest process */
    uint64_t units;                     /* of work, as the load told; 0: it told nothing */
    uint64_t output_bytes, output_hash; /* of the standard output, where it was looked at */
};

/* The file that is shared with the processes, and its descriptor. NULL: no memory; errno says why. */
struct opool__try_file *opool__try_make_file(const struct opool__try_config *config, int *fd);

/* Its areas. */
static inline void *opool__try_areas(struct opool__try_file *file)
{
    return (char *)file + OPOOL__TRY_AREA_FIRST;
}

/* Is there what this arm needs? */
bool opool__try_has(enum opool__try_arm arm);

/* How one run is made. */
struct opool__try_run {
    const char *path;
    enum opool__try_arm arm;
    int fd;       /* of the file, for pools */
    bool capture; /* look at the standard output */
    bool pass;    /* and pass it on */
};

/* Run once, in this process: once a process, which reaps all that is left. */
void opool__try_run(const struct opool__try_options *options, const struct opool__try_run *run,
                    struct opool__try_cost *cost);

/* The command, as a file that can be run with a library preloaded. 0, or an exit status. */
int opool__try_find(const struct opool__try_options *options, char *path, size_t size);

#endif
