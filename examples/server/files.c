/* SPDX-License-Identifier: MIT */

/*
 * Paths become files one folder at a time, by openat with O_NOFOLLOW: no component is a symbolic link, "..", or what an
 * escape such as %2e%2e or %00 makes of it, so that nothing outside the root is reached, whatever the client writes and
 * whoever moves folders meanwhile.
 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of one component, up to a slash or the end; false: no name. An escaped slash is none either. */
static bool decode(const char **path, const char *end, char name[static NAME_MAX + 1])
{
    size_t n = 0;
    const char *at = *path;
    for (; at < end && *at != '/'; at++) {
        char c = *at;
        if (c == '%') {
            if (end - at < 3 || digit(at[1]) < 0 || digit(at[2]) < 0)
                return false;
            c = (char)(digit(at[1]) * 16 + digit(at[2]));
            at += 2;
        }
        if (!c || c == '/' || n == NAME_MAX)
            return false;
        name[n++] = c;
    }
    name[n] = '\0';
    *path = at;
    return strcmp(name, "..") != 0;
}

static unsigned status_of(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return HTTP_STATUS_SERVICE_UNAVAILABLE;
    case EACCES:
    case EPERM:
        return HTTP_STATUS_FORBIDDEN;
    default:
        return HTTP_STATUS_NOT_FOUND;
    }
}

static bool is_file(int folder, const char *name)
{
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    errno = ENOENT;
    return S_ISREG(status.st_mode);
}

/* `folder` is closed unless it is the root. What is no file is not even opened: that alone wakes who waits to write to
   a pipe, rewinds a tape, arms a watchdog. */
static int step(int folder, const char *name, int flags)
{
    const bool wanted = flags & O_DIRECTORY || is_file(folder, name);
    int next = wanted ? openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | flags) : -1;
    const int error = errno;
    if (folder != settings.root)
        close(folder);
    errno = error;
    return next;
}

/* A descriptor; -1 with errno. */
static int walk(const char *path, const char *end, char name[static NAME_MAX + 1])
{
    int at = settings.root;
    while (path < end && *path == '/') {
        path++;
        if (!decode(&path, end, name)) {
            if (at != settings.root)
                close(at);
            errno = ENOENT;
            return -1;
        }
        const bool last = path == end;
        if (last && !*name)
            strcpy(name, "index.html");
        if (!*name || strcmp(name, ".") == 0)
            continue;
        at = step(at, name, last ? O_NONBLOCK : O_DIRECTORY); /* a pipe that came meanwhile does not hold us up */
        if (at < 0 || last)
            return at;
    }
    if (at != settings.root)
        close(at);
    errno = ENOENT;
    return -1;
}

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                           {".css", "text/css; charset=utf-8"},
                                           {".js", "text/javascript; charset=utf-8"},
                                           {".json", "application/json"},
                                           {".txt", "text/plain; charset=utf-8"},
                                           {".svg", "image/svg+xml"},
                                           {".png", "image/png"},
                                           {".jpg", "image/jpeg"}};
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix && i < sizeof types / sizeof *types; i++)
        if (strcmp(suffix, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

unsigned file_open(const char *path, size_t length, int *file, uint64_t *size, const char **type)
{
    char name[NAME_MAX + 1] = "";
    struct stat status;
    if (settings.root < 0)
        return HTTP_STATUS_NOT_FOUND;
    int opened = walk(path, path + length, name);
    if (opened < 0)
        return status_of(errno);
    if (fstat(opened, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(opened);
        return HTTP_STATUS_NOT_FOUND;
    }
    *file = opened;
    *size = (uint64_t)status.st_size;
    *type = type_of(name);
    return HTTP_STATUS_OK;
}
