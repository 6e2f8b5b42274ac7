/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "launch.h"

enum { VARIABLES = 4 };

static const struct opool__launcher launcher = {
    .tool = "try",
    .if_static = "link it to a shared libc",
    .with_rights = "try a copy without them",
};

/* ---- what the command gets ---- */

/* Not in the file system: nobody has to remove it, and no disk is full. */
struct opool__try_file *opool__try_make_file(const struct opool__try_config *config, int *fd)
{
    *fd = memfd_create("opool-try", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, (off_t)opool__try_file_bytes()) != 0)
        return NULL;
    void *at = mmap(NULL, (size_t)opool__try_file_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, *fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    struct opool__try_file *file = at;
    file->config = *config;
    file->magic = OPOOL__TRY_MAGIC;
    return file;
}

struct variables {
    char preload[2 * PATH_MAX], file[64];
    char *all[VARIABLES];
};

static int make_variables(struct variables *variables, const struct opool__try_config *config, int fd)
{
    const char *library = config->contexts ? "libopool-try-zstd.so" : "libopool-try.so";
    snprintf(variables->file, sizeof variables->file, OPOOL__TRY_FILE "=/proc/%ld/fd/%d", (long)getpid(), fd);
    variables->all[0] = variables->file;
    variables->all[1] = variables->preload;
    return opool__launch_preload(&launcher, library, OPOOL_TRY_FOLDER, variables->preload, sizeof variables->preload);
}

int opool__try_find(const struct opool__try_options *options, char *path, size_t size)
{
    int r = opool__launch_find(&launcher, options->command[0], path, size);
    return r == 0 ? opool__launch_check(&launcher, path) : r;
}

/* ---- run ---- */

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

static void read_cost(struct opool__try_cost *cost)
{
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return;
    cost->cpu_us = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
    cost->faults = (uint64_t)usage.ru_minflt;
    cost->peak_kib = (uint64_t)usage.ru_maxrss;
}

static void look(void *nothing)
{
    (void)nothing;
}

void opool__try_run(const struct opool__try_options *options, const char *path, enum opool__try_arm arm, int fd,
                    struct opool__try_cost *cost)
{
    static struct variables variables;
    pid_t started;
    memset(cost, 0, sizeof *cost);
    memset(&variables, 0, sizeof variables);
    if (arm == OPOOL__TRY_POOLS)
        cost->failed = make_variables(&variables, &options->config, fd);
    if (cost->failed == 0)
        cost->failed = opool__launch_start(&launcher, path, options->command, variables.all, &started);
    if (cost->failed != 0)
        return;
    cost->status = opool__launch_wait(&launcher, started, look, NULL);
    read_cost(cost);
}
