/* SPDX-License-Identifier: MIT */

/* `opool audit`: runs a command with the preloaded library, and reports what its pools' objects own. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "area.h"
#include "launch.h"
#include "report.h"
#include "tools.h"

enum { VARIABLES = 5 };

static const struct opool__launcher launcher = {
    .tool = "audit",
    .if_static = "link it to a shared libc, or build it with a sanitizer (-fsanitize=address), which has the audit on "
                 "by itself",
    .with_rights = "audit a copy without them",
};

static const char help[] =
    "Usage: opool audit [--interior N] [--output FILE] [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Runs COMMAND and tells for each pool what the objects own that are put back: the heap memory that each word of\n"
    "an object leads to. Nothing has to be compiled for it, the program needs no debug information and no sanitizer.\n"
    "\n"
    "  --interior N   a word up to N bytes past the start of a block owns the block too (behind a header, tagged);\n"
    "                 at most 1048576; 0, the default: pointers to starts only\n"
    "  --output FILE  write the report there, instead of on standard error\n"
    "  -h, --help     this text\n"
    "\n"
    "A line comes at the first growth of each member, the report when the command and all processes that it left have\n"
    "ended, however they ended: interrupt it to stop waiting for a daemon. Lines are\n"
    "\n"
    "  POOL (TYPE): owns nothing                      at any put\n"
    "  POOL (TYPE): MEMBER: owned, always one size    fit for a pool: built once, kept\n"
    "  POOL (TYPE): MEMBER: VARIABLE SIZE             the object grows, or is built at several sizes\n"
    "\n"
    "A member is its name (with debug information) and offset. Owned is a block that was made while the object was "
    "out,\n"
    "or was owned by it before, and that no variable of the program, no other block and no object put before leads to "
    "as "
    "well;\n"
    "with all that it leads to. An older block is borrowed. Not seen: memory that is not malloc's, hidden pointers. "
    "Taken\n"
    "for owned by mistake: a block that only a local variable holds besides, an address that lies in a buffer as "
    "bytes.\n"
    "\n"
    "Exit status: the command's, 128 + N if signal N ended it; 127: not found; 126: can not be run; 125: opool audit\n"
    "itself failed: wrong arguments, a program that is linked statically or has rights of its own (setuid).\n";

struct arguments {
    const char *interior, *output;
    char **command;
};

/* ---- arguments ---- */

static bool is_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 8 && !text[digits] && strtoul(text, NULL, 10) <= OPOOL__INTERIOR_MOST;
}

/* 0, or an exit status. */
static int parse(char **argv, struct arguments *arguments)
{
    int i = 1;
    for (; argv[i] && argv[i][0] == '-'; i++) {
        const char *value;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if ((value = opool__launch_value("--interior", argv, &i)) != NULL)
            arguments->interior = value;
        else if ((value = opool__launch_value("--output", argv, &i)) != NULL)
            arguments->output = value;
        else
            return opool__launch_refuse(launcher.tool, "no such option: ", argv[i]);
    }
    if (arguments->interior && !is_size(arguments->interior))
        return opool__launch_refuse(launcher.tool, "--interior is a number of bytes up to 1048576, not ",
                                    arguments->interior);
    if (arguments->output && !*arguments->output)
        return opool__launch_refuse(launcher.tool, "--output needs the name of a file", "");
    if (!argv[i])
        return opool__launch_refuse(launcher.tool, "a command is missing", "");
    arguments->command = argv + i;
    return 0;
}

/* ---- what the command gets ---- */

/* Not in the file system: nobody has to remove it, and no disk is full. */
static struct opool__area_file *make_file(int *fd)
{
    *fd = memfd_create("opool-audit", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, (off_t)opool__area_file_bytes()) != 0)
        return NULL;
    void *at = mmap(NULL, (size_t)opool__area_file_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, *fd, 0);
    if (at == MAP_FAILED)
        return NULL;
    struct opool__area_file *file = at;
    file->magic = OPOOL__AUDIT_MAGIC;
    return file;
}

struct variables {
    char preload[2 * PATH_MAX], file[64], interior[64], none[16];
    char *all[VARIABLES];
};

static int make_variables(struct variables *variables, int fd, const char *interior)
{
    int r = opool__launch_preload(&launcher, "libopool-audit.so", OPOOL_AUDIT_FOLDER, variables->preload,
                                  sizeof variables->preload);
    snprintf(variables->file, sizeof variables->file, OPOOL__AUDIT_FILE "=/proc/%ld/fd/%d", (long)getpid(), fd);
    snprintf(variables->interior, sizeof variables->interior, OPOOL__AUDIT_INTERIOR "=%s", interior ? interior : "0");
    snprintf(variables->none, sizeof variables->none, "OPOOL_AUDIT"); /* who asks for an audit wants one */
    variables->all[0] = variables->preload;
    variables->all[1] = variables->file;
    variables->all[2] = variables->interior;
    variables->all[3] = variables->none;
    variables->all[4] = NULL;
    return r;
}

/* ---- run ---- */

struct watch {
    FILE *out;
    struct opool__area_file *file;
};

static void look(void *void_watch)
{
    struct watch *watch = void_watch;
    opool__report_growth(watch->out, watch->file);
}

/* The command's exit status, unless the report is lost. */
static int finish(struct watch *watch, const char *output, int status)
{
    look(watch);
    bool good = opool__report_all(watch->out, watch->file);
    if (!output)
        return good && !ferror(watch->out) ? status : OPOOL__LAUNCH_FAILED;
    good &= !ferror(watch->out);
    if (fclose(watch->out) != 0 || !good)
        return opool__launch_fail(launcher.tool, output, "the report could not be written");
    return status;
}

static int run(const struct arguments *arguments, struct watch *watch)
{
    static struct variables variables;
    char path[PATH_MAX];
    int fd;
    pid_t started;
    watch->file = make_file(&fd);
    if (!watch->file)
        return opool__launch_fail(launcher.tool, "no shared memory", strerror(errno));
    int r = opool__launch_find(&launcher, arguments->command[0], path, sizeof path);
    if (r == 0)
        r = opool__launch_check(&launcher, path);
    if (r == 0)
        r = make_variables(&variables, fd, arguments->interior);
    if (r == 0)
        r = opool__launch_start(&launcher, path, arguments->command, variables.all, &started);
    if (r != 0)
        return r;
    return finish(watch, arguments->output, opool__launch_wait(&launcher, started, look, watch));
}

int opool__tool_audit(int argc, char **argv)
{
    struct arguments arguments = {NULL, NULL, NULL};
    struct watch watch = {.out = stderr};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    int r = parse(argv, &arguments);
    if (r != 0)
        return r;
    if (arguments.output && (watch.out = fopen(arguments.output, "we")) == NULL)
        return opool__launch_fail(launcher.tool, arguments.output, strerror(errno));
    return run(&arguments, &watch);
}
