/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clean.h"
#include "opool/version.h"
#include "tools.h"

enum { EXIT_USAGE = 2, EXIT_OUTPUT = 2 };

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct command commands[] = {
#ifdef OPOOL_HAVE_AUDIT
    {"audit", opool__tool_audit, "run a command, and say what the objects own that it puts back into its pools"},
#endif
    {"bench", opool__tool_bench, "what a pool of objects of your size needs, against each malloc that is installed"},
#ifdef OPOOL_HAVE_PROFILE
    {"profile", opool__tool_profile, "where a command allocates what for how long, and what a pool would gain there"},
#endif
#ifdef OPOOL_HAVE_SHAPES
    {"shapes", opool__tool_shapes, "which members keep the objects of a pool, or a struct, from being of fixed shape"},
#endif
#ifdef OPOOL_HAVE_TRY
    {"try", opool__tool_try, "run a command with sizes of its malloc served from pools, and say what came of it"},
#endif
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void write_usage(FILE *out)
{
    fputs("Usage: opool COMMAND [ARGUMENT]...\n       opool --help | --version\n\nCommands (opool COMMAND --help says "
          "more):\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        write_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0) {
        write_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("opool " OPOOL_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "opool: no command '%s'; opool --help names them\n", opool__clean(argv[1]));
    return EXIT_USAGE;
}

static void (*pipe_before)(int), (*child_before)(int);

void opool__restore_signals(void)
{
    signal(SIGPIPE, pipe_before);
    signal(SIGCHLD, child_before);
}

int main(int argc, char **argv)
{
    /* A closed pipe is an error of writing like a full disk. */
    pipe_before = signal(SIGPIPE, SIG_IGN);
    /* Ignored, as some parents leave it, children have no exit status. */
    child_before = signal(SIGCHLD, SIG_DFL);
    /* A file of ours is none of the standard streams. Writing to this fails as to a closed one. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY | O_CLOEXEC) != fd)
            return EXIT_OUTPUT;
    int status = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "opool: the output can not be written: %s\n", strerror(errno));
        return EXIT_OUTPUT;
    }
    return status;
}
