/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#include "launch.h"
#include "live.h"
#include "profile.h"

static const char *why(int error)
{
    return error == EPROTONOSUPPORT ? "another version of opool records there: take that one" : strerror(error);
}

/* A process, if it is a number and no profile has that name. */
static bool find(struct opool__live *live, const char *whom)
{
    size_t digits = strspn(whom, "0123456789");
    if (!whom[digits] && digits < 10) {
        if (opool__live_of(live, strtol(whom, NULL, 10)))
            return true;
        int error = errno;
        if (opool__live_name(live, whom) && access(live->folder, F_OK) == 0)
            return true;
        errno = error;
        return false;
    }
    return opool__live_name(live, whom) && access(live->folder, F_OK) == 0;
}

static int snapshot(const struct opool__live *live, const char *output)
{
    struct opool__live to;
    struct opool__saved saved = {0};
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s.snapshot", live->file);
    if (!output)
        output = name;
    if (!opool__live_name(&to, output))
        return opool__profile_fail(output, strerror(errno));
    const char *keeps = opool__live_keeps(&to);
    if (keeps)
        return opool__profile_fail(output, keeps);
    if (strcmp(to.file, live->file) == 0)
        return opool__profile_fail(output, "that will be the profile itself");
    if (access(to.folder, F_OK) == 0)
        return opool__profile_fail(output, "another run records there");
    if (!opool__live_snapshot(live, to.file, &saved))
        return opool__profile_fail(output, why(errno));
    fprintf(stderr, "opool profile: as it is now: %s\n", opool__clean(to.file));
    return 0;
}

int opool__profile_attach(const char *whom, const char *what, const char *output)
{
    struct opool__live live;
    if (!find(&live, whom))
        return opool__profile_fail(whom, errno == ENODATA  ? "is not being profiled"
                                         : errno == ENOENT ? "no such process, and no run records there"
                                                           : strerror(errno));
    if (strcmp(what, "snapshot") == 0)
        return snapshot(&live, output);
    if (!opool__live_pause(&live, strcmp(what, "off") == 0))
        return opool__profile_fail(live.folder, why(errno));
    return 0;
}
