/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "launch.h"
#include "load.h"

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
    char preload[2 * PATH_MAX], more[PATH_MAX];
    char *all[VARIABLES];
};

/* jemalloc where the C library is. */
static bool find_jemalloc(char *path, size_t size)
{
    Dl_info info;
    void *in_libc;
    int (*any)(const char *) = puts;
    memcpy(&in_libc, &any, sizeof in_libc);
    const char *end = dladdr(in_libc, &info) && info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
    int n = end ? snprintf(path, size, "%.*s/libjemalloc.so.2", (int)(end - info.dli_fname), info.dli_fname) : 0;
    return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}

bool opool__try_has(enum opool__try_arm arm)
{
    char path[PATH_MAX];
    return arm != OPOOL__TRY_JEMALLOC || find_jemalloc(path, sizeof path);
}

static int add_pools(struct variables *variables, const struct opool__try_config *config, int fd)
{
    const char *library = config->contexts ? "libopool-try-zstd.so" : "libopool-try.so";
    snprintf(variables->more, sizeof variables->more, OPOOL__TRY_FILE "=/proc/%ld/fd/%d", (long)getpid(), fd);
    variables->all[0] = variables->more;
    variables->all[1] = variables->preload;
    return opool__launch_preload(&launcher, library, OPOOL_TRY_FOLDER, variables->preload, sizeof variables->preload);
}

static int add_jemalloc(struct variables *variables)
{
    char path[PATH_MAX];
    const char *others = getenv("LD_PRELOAD");
    if (!find_jemalloc(path, sizeof path))
        return opool__try_fail("libjemalloc.so.2", strerror(ENOENT));
    int n = snprintf(variables->preload, sizeof variables->preload, "LD_PRELOAD=%s%s%s", path, others ? ":" : "",
                     others ? others : "");
    variables->all[0] = variables->preload;
    return n > 0 && (size_t)n < sizeof variables->preload ? 0 : opool__try_fail("LD_PRELOAD", "too long");
}

static int add_tuning(struct variables *variables)
{
    const char *others = getenv("GLIBC_TUNABLES");
    int n = snprintf(variables->more, sizeof variables->more, "GLIBC_TUNABLES=%s%s%s", others ? others : "",
                     others && *others ? ":" : "", OPOOL__TRY_TUNING);
    variables->all[0] = variables->more;
    return n > 0 && (size_t)n < sizeof variables->more ? 0 : opool__try_fail("GLIBC_TUNABLES", "too long");
}

static int make_variables(struct variables *variables, const struct opool__try_options *options,
                          const struct opool__try_run *run)
{
    switch (run->arm) {
    case OPOOL__TRY_POOLS:
        return add_pools(variables, &options->config, run->fd);
    case OPOOL__TRY_TUNED:
        return add_tuning(variables);
    case OPOOL__TRY_JEMALLOC:
        return add_jemalloc(variables);
    case OPOOL__TRY_PLAIN:
    case OPOOL__TRY_ARMS:
        break;
    }
    return 0;
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

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

/* Of all that was reaped, but for the load, and for what the server did before it. */
static void read_cost(const struct opool__load *load, struct opool__try_cost *cost)
{
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return;
    uint64_t of_load = microseconds(&load->usage.ru_utime) + microseconds(&load->usage.ru_stime);
    uint64_t all = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
    cost->cpu_us = less(all, of_load + load->start.cpu_us);
    cost->faults = less((uint64_t)usage.ru_minflt, (uint64_t)load->usage.ru_minflt + load->start.faults);
    cost->peak_kib = load->peak_kib ? load->peak_kib : (uint64_t)usage.ru_maxrss;
    cost->units = load->units;
}

static void look(void *nothing)
{
    (void)nothing;
}

static void wait_for_end(const struct opool__try_options *options, pid_t started, struct opool__try_cost *cost)
{
    struct opool__load load;
    struct opool__load_end end = {false, 0};
    memset(&load, 0, sizeof load);
    if (options->load)
        cost->failed = opool__load_run(started, options->load, options->units, &load);
    if (options->load)
        opool__load_stop(&end);
    cost->status = opool__launch_wait(&launcher, started, options->load ? opool__load_stop : look, &end);
    read_cost(&load, cost);
}

static int start(const struct opool__try_options *options, const struct opool__try_run *run,
                 struct opool__capture *capture, pid_t *started)
{
    static struct variables variables;
    memset(&variables, 0, sizeof variables);
    int r = make_variables(&variables, options, run), error = 0;
    if (r != 0)
        return r;
    if (run->capture && (error = opool__capture_open(capture)) != 0)
        return opool__try_fail("a pipe", strerror(error));
    r = opool__launch_start(&launcher, run->path, options->command, variables.all, started);
    if (!run->capture || (error = opool__capture_begin(capture, run->pass)) == 0)
        return r;
    if (r == 0) { /* nobody would read what it writes, or wait for it */
        kill(*started, SIGKILL);
        (void)waitpid(*started, NULL, 0);
    }
    return opool__try_fail("a thread", strerror(error));
}

void opool__try_run(const struct opool__try_options *options, const struct opool__try_run *run,
                    struct opool__try_cost *cost)
{
    struct opool__capture capture;
    pid_t started;
    memset(cost, 0, sizeof *cost);
    cost->failed = start(options, run, &capture, &started);
    if (cost->failed != 0)
        return;
    wait_for_end(options, started, cost);
    if (!run->capture)
        return;
    opool__capture_end(&capture, opool__tree_lives()); /* some do: the waiting for them was interrupted */
    cost->output_bytes = capture.bytes;
    cost->output_hash = capture.hash;
    if (capture.error != 0)
        cost->failed = opool__try_fail("standard output", strerror(capture.error));
}
