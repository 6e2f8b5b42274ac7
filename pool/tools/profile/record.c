/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clean.h"
#include "environment.h"
#include "launch.h"
#include "live.h"
#include "profile.h"
#include "report/report.h"

#define SHOWN "10" /* sites */

enum { VARIABLES = 7 };

static const struct opool__launcher launcher = {
    .tool = "profile",
    .if_static = "link it to a shared libc",
    .with_rights = "profile a copy without them",
};

struct variables {
    char preload[2 * PATH_MAX], folder[PATH_MAX + 64], mode[64], every[64], depth[64], only[PATH_MAX + 64];
    char *all[VARIABLES];
};

static int make_variables(struct variables *variables, const struct opool__live *live,
                          const struct opool__profile_wish *wish, const char *only)
{
    int r = opool__launch_preload(&launcher, "libopool-profile.so", OPOOL_AUDIT_FOLDER, variables->preload,
                                  sizeof variables->preload);
    snprintf(variables->folder, sizeof variables->folder, OPOOL__PROFILE_FOLDER "=%s", live->folder);
    snprintf(variables->mode, sizeof variables->mode, OPOOL__PROFILE_MODE "=%u", wish->mode);
    snprintf(variables->every, sizeof variables->every, OPOOL__PROFILE_EVERY "=%u", wish->every);
    snprintf(variables->depth, sizeof variables->depth, OPOOL__PROFILE_DEPTH "=%u", wish->frames);
    snprintf(variables->only, sizeof variables->only, OPOOL__PROFILE_ONLY "%s%s", only ? "=" : "", only ? only : "");
    char *all[VARIABLES] = {variables->preload,
                            variables->folder,
                            variables->mode,
                            variables->every,
                            variables->depth,
                            variables->only,
                            NULL};
    memcpy(variables->all, all, sizeof all);
    return r;
}

/* ---- while it runs ---- */

struct watch {
    struct opool__live live;
    struct opool__saved saved;
    uint64_t end; /* of recording, in ns; 0: none */
    int error;    /* of the last gathering; 0: none */
};

static uint64_t now(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0 ? (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec : 0;
}

static void look(void *void_watch)
{
    struct watch *watch = void_watch;
    if (watch->end && now() >= watch->end) {
        watch->end = 0;
        if (!opool__live_pause(&watch->live, true))
            opool__profile_fail(watch->live.folder, "recording could not be ended");
    }
    /* Once something could not be written it is tried again at the end only. */
    if (watch->error == 0 && !opool__live_gather(&watch->live, false, &watch->saved))
        watch->error = errno;
}

/* ---- at the end ---- */

static void tell(const struct watch *watch)
{
    const struct opool__saved *saved = &watch->saved;
    char name[PATH_MAX];
    if (saved->own_malloc)
        fprintf(stderr,
                "opool profile: %s brings a malloc of its own, which the loader finds first: its blocks were not "
                "seen\n",
                opool__clean_copy(name, sizeof name, saved->own_malloc_program));
    if (saved->images == 0)
        fputs("opool profile: no process was recorded: was the environment cleared, or does --only name another one?\n",
              stderr);
    if (saved->lost_children)
        fprintf(stderr, "opool profile: %llu forked processes could make no file in %s, and are not recorded\n",
                (unsigned long long)saved->lost_children, opool__clean_copy(name, sizeof name, watch->live.folder));
    if (saved->other_versions)
        fprintf(stderr,
                "opool profile: the library that was preloaded is of another version of opool, and left %llu "
                "profiles in %s\n",
                (unsigned long long)saved->other_versions, opool__clean_copy(name, sizeof name, watch->live.folder));
    if (saved->lost)
        fprintf(stderr, "opool profile: %llu events found no room\n", (unsigned long long)saved->lost);
    fprintf(stderr, "opool profile: %llu allocations at %llu sites in %llu process%s: %s\n",
            (unsigned long long)saved->allocations, (unsigned long long)saved->sites, (unsigned long long)saved->images,
            saved->images == 1 ? "" : "es", opool__clean_copy(name, sizeof name, watch->live.file));
}

/* The command's exit status, unless the profile is lost. */
static int finish(struct watch *watch, int status)
{
    char name[PATH_MAX];
    if (!opool__live_gather(&watch->live, true, &watch->saved) || !opool__live_finish(&watch->live)) {
        int error = errno;
        fprintf(stderr, "opool profile: the profile could not be written: %s; what was recorded is in %s and %s\n",
                strerror(error), opool__clean_copy(name, sizeof name, watch->live.folder),
                opool__clean(watch->live.part));
        return OPOOL__LAUNCH_FAILED;
    }
    if (watch->saved.other_versions == 0 && access(watch->live.folder, F_OK) == 0)
        opool__profile_fail(watch->live.folder, "something is left there that is no image");
    tell(watch);
    return status;
}

/* The report goes where what this tool says goes: standard output is the command's. */
static void show(const char *file)
{
#ifdef OPOOL_HAVE_REPORT
    char *arguments[] = {(char *)(uintptr_t) "report", (char *)(uintptr_t) "--top", (char *)(uintptr_t)SHOWN,
                         (char *)(uintptr_t)file, NULL};
    int output;
    fflush(stdout);
    output = dup(STDOUT_FILENO);
    if (output < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return;
    (void)opool__profile_report(4, arguments);
    fflush(stdout);
    clearerr(stdout); /* the profile is there, whoever can not be told */
    (void)dup2(output, STDOUT_FILENO);
    close(output);
#else
    (void)file;
#endif
}

/* A path is what /proc/PID/exe will say. */
static const char *name_only(const char *only, char *path)
{
    return only && strchr(only, '/') ? realpath(only, path) : only;
}

static int start(const struct opool__profile_wish *wish, struct watch *watch, pid_t *started)
{
    static struct variables variables;
    char path[PATH_MAX], only_path[PATH_MAX];
    const char *only = name_only(wish->only, only_path);
    if (wish->only && !only)
        return opool__profile_fail(wish->only, strerror(errno));
    int r = opool__launch_find(&launcher, wish->command[0], path, sizeof path);
    if (r == 0)
        r = opool__launch_check(&launcher, path);
    if (r == 0)
        r = make_variables(&variables, &watch->live, wish, only);
    return r ? r : opool__launch_start(&launcher, path, wish->command, variables.all, started);
}

static int make_live(struct watch *watch, const char *output, bool paused)
{
    if (!opool__live_name(&watch->live, output))
        return opool__profile_fail(output, strerror(errno));
    const char *keeps = opool__live_keeps(&watch->live);
    if (keeps)
        return opool__profile_fail(output, keeps);
    if (opool__live_make(&watch->live, paused))
        return 0;
    if (errno == EEXIST)
        return opool__profile_fail(watch->live.folder,
                                   "another run records there, or was killed: opool profile --attach "
                                   "FILE snapshot saves what it left, then remove the folder");
    return opool__profile_fail(watch->live.folder, strerror(errno));
}

int opool__profile_record(const struct opool__profile_wish *wish)
{
    static struct watch watch;
    char output[64];
    pid_t started;
    snprintf(output, sizeof output, "opool-profile.%ld.prof", (long)getpid());
    int r = make_live(&watch, wish->output ? wish->output : output, wish->paused);
    if (r != 0)
        return r;
    r = start(wish, &watch, &started);
    if (r != 0) {
        opool__live_drop(&watch.live);
        return r;
    }
    if (wish->seconds)
        watch.end = now() + wish->seconds * UINT64_C(1000000000);
    int status = finish(&watch, opool__launch_wait(&launcher, started, look, &watch));
    if (!wish->quiet && watch.saved.images > 0)
        show(watch.live.file);
    return status;
}
