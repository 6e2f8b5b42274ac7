/* SPDX-License-Identifier: MIT */
/*
 * Reads one file as `opool shapes` does, in this process, for a fuzzer: a crash or a hang of our code is one of this
 * program. What crashes inside libdw or libelf is not our bug, and the product keeps it in a child process: it is
 * counted in the file that $FUZZ_FOREIGN names, and ends the program as if all were well.
 *
 *     shapes FILE
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/shapes/guarded.h"
#include "tools/shapes/scan.h"

enum { FRAMES = 64 };

/* The first frame that is neither the C library's nor the handler's own decides. */
static bool is_foreign(void)
{
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    for (int i = 2; i < count; i++) {
        Dl_info where;
        const char *name = dladdr(frames[i], &where) && where.dli_fname ? where.dli_fname : "";
        if (strstr(name, "/libdw") || strstr(name, "/libelf") || strstr(name, "/libz") || strstr(name, "/liblzma"))
            return true;
        if (!strstr(name, "/libc.so") && !strstr(name, "vdso") && name[0])
            return false;
    }
    return false;
}

static void on_crash(int number)
{
    const char *path = getenv("FUZZ_FOREIGN");
    if (!is_foreign()) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    if (fd >= 0 && write(fd, ".\n", 2) != 2)
        _exit(2);
    _exit(0);
}

static int scan(const char *path, const char *type, bool json)
{
    FILE *nowhere = fopen("/dev/null", "w");
    struct scan what = {.path = path, .type = type, .json = json, .all = true};
    int result = nowhere ? opool__shapes_scan(&what, nowhere) : 0;
    if (nowhere)
        fclose(nowhere);
    return result;
}

int main(int argc, char **argv)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    void *first[1];
    if (argc != 2)
        return 2;
    backtrace(first, 1); /* loads what it needs before a crash */
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], on_crash);
#ifdef __AFL_HAVE_MANUAL_CONTROL
    while (__AFL_LOOP(500)) /* the fuzzer writes the file anew each time */
#endif
    {
        scan(argv[1], NULL, false);
        scan(argv[1], "struct conn", true);
        scan(argv[1], "conn_t", false);
    }
    return 0;
}
