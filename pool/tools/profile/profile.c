/* SPDX-License-Identifier: MIT */

/* `opool profile`: what the arguments ask for. */
#include "profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "launch.h"
#include "report/report.h"
#include "tools.h"

enum { EVERY_SAMPLED = 256, EVERY_MOST = 1000000, SECONDS_MOST = 100000000, FRAMES_USUAL = 8 };

static const char help[] =
    "Usage: opool profile [--output FILE] [--mode MODE] [--every N] [--frames N] [--only PROGRAM] [--duration S]\n"
    "                     [--paused] [--quiet] [--] COMMAND [ARGUMENT]...\n"
    "       opool profile --attach PID|FILE on|off|snapshot [--output FILE]\n"
    "       opool profile report [OPTION]... FILE...\n"
    "\n"
    "Runs COMMAND and records each call site of malloc and its kin, in all its processes, however they end. Nothing "
    "has\n"
    "to be compiled for it. Memory and files do not grow with the time it runs.\n"
    "\n"
    "  --output FILE    the profile; else opool-profile.PID.prof. While the command runs there is a folder FILE.live\n"
    "  --mode full      each event: sizes, lifetimes, peaks, frees by other threads (default)\n"
    "  --mode sampled   the same of one allocation in N\n"
    "  --mode counts    allocations and sizes only, of each\n"
    "  --every N        sampled: one in N on average; 256\n"
    "  --frames N       return addresses that tell sites apart, 1 to 16; 8\n"
    "  --only PROGRAM   processes of this program (a name, or a path with /); others run as they are\n"
    "  --duration S     recording ends after S seconds, the command goes on\n"
    "  --paused         recording begins with opool profile --attach\n"
    "  --quiet          no report at the end, only where the profile is\n"
    "  --attach X       recording on, off, or what there is so far into FILE (else X's profile with .snapshot "
    "behind),\n"
    "                   of a run whose profile is X, or that has the process X; also of a run that was killed\n"
    "  -h, --help       this text\n"
    "\n"
    "A process that clears its environment is recorded, but not the programs that it executes afterwards. Nor are\n"
    "programs that are linked statically or have rights of their own, and blocks of an allocator that a program has\n"
    "inside (said).\n"
    "\n"
    "Exit status: the command's, 128 + N if signal N ended it; 127: not found; 126: can not be run; 125: opool "
    "profile\n"
    "itself failed: wrong arguments, a program that can not be recorded, a profile that could not be written.\n";

int opool__profile_fail(const char *what, const char *why)
{
    return opool__launch_fail("profile", what, why);
}

static int refuse(const char *what, const char *argument)
{
    return opool__launch_refuse("profile", what, argument);
}

struct arguments {
    struct opool__profile_wish wish;
    const char *mode, *every, *frames, *seconds, *attach;
};

/* 0, or an exit status. */
static int take_option(char **argv, int *at, struct arguments *arguments)
{
    const struct {
        const char *name, **value;
    } options[] = {{"--output", &arguments->wish.output}, {"--mode", &arguments->mode},
                   {"--every", &arguments->every},        {"--frames", &arguments->frames},
                   {"--only", &arguments->wish.only},     {"--duration", &arguments->seconds},
                   {"--attach", &arguments->attach}};
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"--paused", &arguments->wish.paused}, {"--quiet", &arguments->wish.quiet}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(argv[*at], flags[i].name) == 0) {
            *flags[i].flag = true;
            return 0;
        }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const char *value = opool__launch_value(options[i].name, argv, at);
        if (!value)
            continue;
        *options[i].value = value;
        return *value ? 0 : refuse("a value is missing: ", options[i].name);
    }
    return refuse("no such option: ", argv[*at]);
}

/* 0: it is no number from 1 to `most`. */
static unsigned long number_in(const char *text, unsigned long most)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long value = digits > 0 && digits < 10 && !text[digits] ? strtoul(text, NULL, 10) : 0;
    return value <= most ? value : 0;
}

static int take_mode(struct arguments *arguments)
{
    static const struct {
        const char *name;
        unsigned mode, every;
    } modes[] = {{"full", OPOOL__PROFILE_FULL, 1},
                 {"sampled", OPOOL__PROFILE_SAMPLED, EVERY_SAMPLED},
                 {"counts", OPOOL__PROFILE_COUNTS, 1}};
    const char *name = arguments->mode ? arguments->mode : arguments->every ? "sampled" : "full";
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(name, modes[i].name) != 0)
            continue;
        arguments->wish.mode = modes[i].mode;
        arguments->wish.every = modes[i].every;
        if (arguments->every && modes[i].mode != OPOOL__PROFILE_SAMPLED)
            return refuse("--every is for --mode sampled", "");
        return 0;
    }
    return refuse("--mode is full, sampled or counts, not ", name);
}

static int take_numbers(struct arguments *arguments)
{
    struct opool__profile_wish *wish = &arguments->wish;
    wish->frames = FRAMES_USUAL;
    if (arguments->every && (wish->every = (unsigned)number_in(arguments->every, EVERY_MOST)) == 0)
        return refuse("--every is a number from 1 to 1000000, not ", arguments->every);
    if (arguments->frames && (wish->frames = (unsigned)number_in(arguments->frames, OPOOL__PROFILE_FRAMES)) == 0)
        return refuse("--frames is a number from 1 to 16, not ", arguments->frames);
    if (arguments->seconds && (wish->seconds = number_in(arguments->seconds, SECONDS_MOST)) == 0)
        return refuse("--duration is a number of seconds from 1 on, not ", arguments->seconds);
    return 0;
}

/* 0, or an exit status. */
static int parse(char **argv, struct arguments *arguments)
{
    int i = 1, r = 0;
    for (; r == 0 && argv[i] && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        r = take_option(argv, &i, arguments);
    }
    arguments->wish.command = argv + i;
    if (r == 0)
        r = take_mode(arguments);
    return r ? r : take_numbers(arguments);
}

/* Options may follow what is asked for, too. */
static int attach(struct arguments *arguments)
{
    char **words = arguments->wish.command;
    const char *what = words[0];
    for (int i = 1; what && words[i]; i++) {
        const char *value = opool__launch_value("--output", words, &i);
        if (!value || !*value)
            return refuse("not understood: ", words[i]);
        arguments->wish.output = value;
    }
    if (!what || (strcmp(what, "on") != 0 && strcmp(what, "off") != 0 && strcmp(what, "snapshot") != 0))
        return refuse("--attach is followed by on, off or snapshot, not ", what ? what : "nothing");
    return opool__profile_attach(arguments->attach, what, arguments->wish.output);
}

static int report(int argc, char **argv)
{
#ifdef OPOOL_HAVE_REPORT
    return opool__profile_report(argc, argv);
#else
    (void)argc;
    return refuse("this opool was built without libdw, which a report needs: ", argv[0]);
#endif
}

int opool__tool_profile(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return report(argc - 1, argv + 1);
    struct arguments arguments = {.attach = NULL};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    int r = parse(argv, &arguments);
    if (r != 0)
        return r;
    if (arguments.attach)
        return attach(&arguments);
    if (!arguments.wish.command[0])
        return refuse("a command is missing", "");
    return opool__profile_record(&arguments.wish);
}
