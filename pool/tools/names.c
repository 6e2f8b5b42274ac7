/* SPDX-License-Identifier: MIT */

/*
 * The helper that libopool loads for a message of full checks, where it is installed: names of members by debug
 * information. It asks the command `opool shapes` in a process of its own, so that a library with threads and little
 * address space to spare neither reads debug information nor forks.
 */

#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Only a test of what the command says, where signals and descriptors are the program's own. */
static int set_up(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int out)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return r;
}

/* The installed command; else, but not for a program with the rights of another user, what PATH says. */
static int spawn(pid_t *child, char *const arguments[], int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    int r = posix_spawnattr_init(&attributes);
    if (r != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return r;
    }
    r = set_up(&actions, &attributes, out);
    if (r == 0)
        r = posix_spawn(child, OPOOL_COMMAND, &actions, &attributes, arguments, environ);
    if (r != 0 && secure_getenv("PATH"))
        r = posix_spawnp(child, "opool", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* The first line, cut to what `out` holds. */
static void read_line(int from, char *out, size_t room)
{
    ssize_t n = pread(from, out, room - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* A program that has all its children reaped leaves us without a status: then what was said counts. */
static bool succeeded(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return true;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int opool__names_member(const char *file, const char *type, size_t offset, char *out, size_t room)
{
    char at[24];
    pid_t child;
    if (!file || !type || !out || room == 0)
        return -EINVAL;
    out[0] = '\0';
    snprintf(at, sizeof at, "%zu", offset);
    /* exec takes them without const, and changes none. */
    const char *arguments[] = {"opool", "shapes", "-t", type, "--at", at, file, NULL};
    char *list[sizeof arguments / sizeof *arguments];
    memcpy(list, arguments, sizeof list);
    /* No pipe: a process that another thread forks meanwhile keeps its end open, and reading would wait for it. */
    int said = memfd_create("opool-name", MFD_CLOEXEC);
    if (said < 0)
        return -errno;
    int r = spawn(&child, list, said);
    bool good = r == 0 && succeeded(child);
    if (good)
        read_line(said, out, room);
    close(said);
    if (r != 0)
        return -r;
    return good && out[0] ? 0 : -ENOENT;
}
