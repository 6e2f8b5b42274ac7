/* SPDX-License-Identifier: MIT */
#include "names.h"

#ifdef OPOOL_HAVE_SHAPES

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shapes/member.h"

enum { SECONDS_MOST = 10 };

/* In a process of its own: the file may be broken, and the library that reads it fall over it. */
static _Noreturn void read_name(const char *file, const char *type, uint32_t offset, size_t size, int to)
{
    char name[256];
    signal(SIGALRM, SIG_DFL);
    alarm(SECONDS_MOST);
    size = size < sizeof name ? size : sizeof name;
    if (opool__shapes_member(file, type, offset, name, size) != 0)
        _exit(1);
    size_t length = 0;
    while (length < size && name[length])
        length++;
    _exit(write(to, name, length) == (ssize_t)length ? 0 : 1);
}

bool opool__names_find(const char *file, const char *type, uint32_t offset, char *out, size_t size)
{
    int ends[2], status;
    if (!*file || pipe(ends) != 0)
        return false;
    pid_t reader = fork();
    if (reader == 0)
        read_name(file, type, offset, size - 1, ends[1]);
    close(ends[1]);
    ssize_t n = reader > 0 ? read(ends[0], out, size - 1) : -1;
    close(ends[0]);
    if (reader > 0 && waitpid(reader, &status, 0) != reader)
        status = 1;
    if (n <= 0 || status != 0)
        return false;
    out[n] = '\0';
    return true;
}

#else

bool opool__names_find(const char *file, const char *type, uint32_t offset, char *out, size_t size)
{
    (void)file;
    (void)type;
    (void)offset;
    (void)out;
    (void)size;
    return false;
}

#endif
