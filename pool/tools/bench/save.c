/* SPDX-License-Identifier: MIT */
#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../clean.h"

/* For a signal that ends the program. */
static const char *volatile left_behind;

static void remove_and_end(int number)
{
    const char *path = left_behind;
    if (path)
        unlink(path);
    signal(number, SIG_DFL);
    raise(number);
}

/* A signal that our parent ignores stays ignored. */
static void watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (signal(numbers[i], SIG_IGN) != SIG_IGN)
            signal(numbers[i], remove_and_end);
}

static bool fail(const struct save *save)
{
    int error = errno;
    char name[PATH_MAX];
    fprintf(stderr, "opool bench: %s can not be written: %s\n", opool__clean_copy(name, sizeof name, save->path),
            strerror(error));
    return false;
}

/* Beside the file, which a link may lead to. */
static bool open_beside(struct save *save)
{
    char *target = realpath(save->path, NULL);
    size_t size = strlen(target ? target : save->path) + sizeof ".XXXXXX";
    save->temporary = malloc(size);
    if (save->temporary)
        snprintf(save->temporary, size, "%s.XXXXXX", target ? target : save->path);
    free(target);
    int fd = save->temporary ? mkostemp(save->temporary, O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    left_behind = save->temporary;
    watch_signals();
    save->file = fdopen(fd, "w");
    return save->file != NULL;
}

bool opool__save_open(struct save *save, const char *path)
{
    struct stat status;
    *save = (struct save){.path = path};
    bool there = stat(path, &status) == 0;
    if (there && access(path, W_OK) != 0)
        return fail(save);
    if (there && !S_ISREG(status.st_mode)) {
        save->file = fopen(path, "we");
        return save->file != NULL || fail(save);
    }
    if (open_beside(save))
        return true;
    fail(save);
    opool__save_drop(save);
    return false;
}

/* The rights that the file has, or that a new one gets. */
static mode_t rights(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0)
        return status.st_mode & 07777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static bool put_in_place(struct save *save)
{
    char *target = realpath(save->path, NULL);
    bool good =
        chmod(save->temporary, rights(save->path)) == 0 && rename(save->temporary, target ? target : save->path) == 0;
    int error = errno;
    free(target);
    errno = error;
    return good;
}

bool opool__save_close(struct save *save)
{
    bool good = fflush(save->file) == 0 && !ferror(save->file) && (!save->temporary || fsync(fileno(save->file)) == 0);
    int error = errno;
    if (fclose(save->file) != 0 && good) {
        good = false;
        error = errno;
    }
    save->file = NULL;
    errno = error;
    if (good && (!save->temporary || put_in_place(save))) {
        left_behind = NULL;
        free(save->temporary);
        return true;
    }
    fail(save);
    opool__save_drop(save);
    return false;
}

void opool__save_drop(struct save *save)
{
    if (save->file)
        fclose(save->file);
    if (left_behind)
        unlink(left_behind);
    left_behind = NULL;
    free(save->temporary);
    *save = (struct save){.path = save->path};
}
