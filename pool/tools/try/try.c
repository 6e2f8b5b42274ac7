/* SPDX-License-Identifier: MIT */

/* `opool try`: runs a command with sizes of its malloc, or contexts, served from pools, and says what came of it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "launch.h"
#include "options.h"
#include "report.h"
#include "run.h"
#include "tools.h"

static const char help[] =
    "Usage: opool try OPTION... [--] COMMAND [ARGUMENT]...\n"
    "\n"
    "Runs COMMAND with pools behind its malloc: requests of the sizes that are named come from opool's pools, all\n"
    "others from the allocator that the program has. Nothing has to be compiled for it.\n"
    "\n"
    "  --size N[,N...]  serve requests of exactly N bytes, 1 to 16777216; may be repeated\n"
    "  --config FILE    lines \"size N [from N] [align N] [capacity N] [prefill N]\" and \"context zstd\"; # begins a\n"
    "                   comment. from: serve smaller requests too, from this one on. align: serve aligned requests up\n"
    "                   to this; 16 else\n"
    "  --context zstd   keep and reset contexts that ZSTD_create*Ctx and *Stream make, instead of making new ones\n"
    "  --epoch MS       what was unused during two such periods is given back; 1000\n"
    "  --tick WHO       ends such a period: requests, those that find it over, so that a program without requests "
    "gives\n"
    "                   nothing back; or thread, one of its own in each process, which not all programs bear; "
    "requests\n"
    "  --load COMMAND   COMMAND... is a server: when it accepts connections the shell runs this, then the server is "
    "ended\n"
    "                   by SIGTERM. Counted is what the server did meanwhile\n"
    "  --units WORD     of the load's output: the number before or behind it is how much the server did; requests\n"
    "  --compare        runs without and with pools in turn, and, for what could be had without pools, with glibc's\n"
    "                   malloc tuned (never trimmed) and with jemalloc where it is found. The output of the first run\n"
    "                   without is passed on, the others' must be the same. Standard input is read again if it is a\n"
    "                   file, else it is empty\n"
    "  --rounds N       of --compare; 7\n"
    "  --json FILE      write all figures there, of each run, for programs\n"
    "  --output FILE    write the report there, instead of on standard error\n"
    "  -h, --help       this text\n"
    "\n"
    "Exit status: the command's, 128 + N if signal N ended it; 127: not found; 126: can not be run; 125: opool try\n"
    "itself failed: wrong arguments, a program that is linked statically or has rights of its own (setuid).\n";

struct outputs {
    FILE *report, *json; /* json: NULL, if nobody wants it */
};

static int close_output(FILE *out, const char *name, int status)
{
    bool good = !ferror(out) && fflush(out) == 0;
    if (!name)
        return good ? status : OPOOL__LAUNCH_FAILED;
    if (fclose(out) != 0 || !good)
        return opool__try_fail(name, "could not be written");
    return status;
}

/* 0, or an exit status. */
static int open_outputs(const struct opool__try_options *options, struct outputs *outputs)
{
    *outputs = (struct outputs){stderr, NULL};
    if (options->output && (outputs->report = fopen(options->output, "we")) == NULL)
        return opool__try_fail(options->output, strerror(errno));
    if (options->json && (outputs->json = fopen(options->json, "we")) == NULL)
        return opool__try_fail(options->json, strerror(errno));
    return 0;
}

static int close_outputs(const struct opool__try_options *options, const struct outputs *outputs, int status)
{
    status = close_output(outputs->report, options->output, status);
    return outputs->json ? close_output(outputs->json, options->json, status) : status;
}

/* 0, or an exit status. */
static int write_counts(const struct outputs *outputs, struct opool__try_file *file,
                        const struct opool__try_options *options, const struct opool__try_rounds *rounds)
{
    struct opool__try_totals *totals = opool__try_read(file, &options->config);
    if (!totals)
        return opool__try_fail("no memory for a report", "");
    opool__try_write_counts(outputs->report, totals);
    if (outputs->json)
        opool__try_write_json(outputs->json, options, totals, rounds);
    opool__try_forget(totals);
    return 0;
}

/* Exit status of the tool or of the command. */
static int run_once(const struct opool__try_options *options, const char *path, const struct outputs *outputs)
{
    struct opool__try_run run = {.path = path, .arm = OPOOL__TRY_POOLS};
    struct opool__try_cost cost;
    struct opool__try_file *file = opool__try_make_file(&options->config, &run.fd);
    if (!file)
        return opool__try_fail("no shared memory", strerror(errno));
    opool__try_run(options, &run, &cost);
    struct opool__try_rounds rounds = {
        .count = 1, .has[OPOOL__TRY_POOLS] = true, .of[OPOOL__TRY_POOLS] = &cost, .file = file};
    int r = cost.failed ? cost.failed : write_counts(outputs, file, options, &rounds);
    if (r != 0)
        return r;
    opool__try_write_cost(outputs->report, &cost, options->units);
    return options->load ? 0 : cost.status;
}

static int run_rounds(const struct opool__try_options *options, const char *path, const struct outputs *outputs)
{
    struct opool__try_rounds rounds;
    int r = opool__try_compare(options, path, &rounds);
    if (r == 0)
        r = write_counts(outputs, rounds.file, options, &rounds);
    if (r == 0)
        r = opool__try_write_comparison(outputs->report, options, &rounds);
    opool__try_drop(&rounds);
    return r;
}

int opool__tool_try(int argc, char **argv)
{
    struct opool__try_options options;
    struct outputs outputs;
    char path[PATH_MAX];
    (void)argc;
    int r = opool__try_parse(argv, &options);
    if (options.help) {
        fputs(help, stdout);
        return 0;
    }
    if (r == 0)
        r = opool__try_find(&options, path, sizeof path);
    if (r == 0)
        r = open_outputs(&options, &outputs);
    if (r != 0)
        return r;
    r = options.compare ? run_rounds(&options, path, &outputs) : run_once(&options, path, &outputs);
    return close_outputs(&options, &outputs, r);
}
