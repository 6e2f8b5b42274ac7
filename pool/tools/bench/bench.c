/* SPDX-License-Identifier: MIT */

/* `opool bench`: a pool of the user's own size of objects against each malloc there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tools.h"
#include "machine.h"
#include "measure.h"
#include "options.h"
#include "patterns.h"
#include "report.h"
#include "rivals.h"
#include "run.h"
#include "save.h"

enum { STATUS_GOOD = 0, STATUS_FAILED = 1, STATUS_BAD = 2 };

struct work {
    struct options options;
    struct machine machine;
    struct rivals rivals;
    struct report report;
    struct result results[PATTERNS];
    unsigned count; /* of results */
    struct save save;
    bool failed;
};

/* ---- measuring ---- */

static void say_progress(const struct work *work, const struct result *result, unsigned round, const char *name)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s: round %u of %u, %s", opool__bench_patterns[result->load.pattern].name, round + 1,
                work->options.rounds, name);
}

static void end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void take_figure(struct work *work, struct row *row, const struct figure *figure, struct configuration *from)
{
    if (!figure->good) {
        row->failed = strdup(figure->text);
        if (!row->failed)
            row->failed = "out of memory";
        work->failed = true;
        return;
    }
    if (!from->source[0])
        snprintf(from->source, sizeof from->source, "%s", figure->text);
    row->ns[row->rounds] = figure->ns;
    row->peak[row->rounds] = (double)figure->peak;
    row->after[row->rounds] = (double)figure->after;
    row->rounds++;
}

/* Each configuration once, beginning with another one in each round: what comes after what differs. */
static void run_round(struct work *work, struct result *result, unsigned round)
{
    unsigned n = work->rivals.count;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = (i + round) % n;
        struct configuration *from = &work->rivals.all[at];
        struct row *row = &result->rows[at];
        struct figure figure;
        if (from->missing[0] || row->failed)
            continue;
        row->name = from->name;
        row->source = from->source;
        say_progress(work, result, round, row->name);
        opool__bench_run(&result->load, from->measure, &from->surroundings, &figure);
        take_figure(work, row, &figure, from);
    }
}

static bool run_pattern(struct work *work, struct result *result)
{
    for (unsigned round = 0; round < work->options.rounds; round++)
        run_round(work, result, round);
    end_progress();
    opool__bench_write_result(stdout, &work->report, result);
    return fflush(stdout) == 0; /* nobody reads it: no need to go on */
}

/* ---- which ---- */

/* Handing over takes two threads, and whole pairs of them. */
static unsigned threads_of(const struct load *load, enum pattern pattern)
{
    if (pattern != PATTERN_HANDOFF)
        return load->threads ? load->threads : 1;
    return load->threads > 1 ? load->threads / 2 * 2 : 2;
}

static bool plan(struct work *work)
{
    for (unsigned i = 0; i < PATTERNS; i++) {
        if (!work->options.all && i != work->options.load.pattern)
            continue;
        struct load *load = &work->results[work->count++].load;
        *load = work->options.load;
        load->pattern = (enum pattern)i;
        load->threads = threads_of(&work->options.load, load->pattern);
        if (!opool__bench_check(load))
            return false;
    }
    return true;
}

static int run(struct work *work)
{
    if (work->options.json && !opool__save_open(&work->save, work->options.json))
        return STATUS_BAD;
    opool__bench_machine(&work->machine);
    opool__bench_rivals(&work->rivals);
    work->report = (struct report){&work->options, &work->machine, &work->rivals};
    opool__bench_write_head(stdout, &work->report);
    bool good = fflush(stdout) == 0;
    for (unsigned i = 0; i < work->count && good; i++)
        good = run_pattern(work, &work->results[i]);
    if (!work->options.json)
        return work->failed ? STATUS_FAILED : STATUS_GOOD; /* main says why the output is not good */
    if (!good) {
        opool__save_drop(&work->save);
        return STATUS_BAD;
    }
    opool__bench_write_json(work->save.file, &work->report, work->results, work->count);
    if (!opool__save_close(&work->save))
        return STATUS_BAD;
    return work->failed ? STATUS_FAILED : STATUS_GOOD;
}

int opool__tool_bench(int argc, char **argv)
{
    static struct work work;
    if (!opool__bench_options(argc, argv, &work.options))
        return STATUS_BAD;
    if (work.options.help) {
        fputs(opool__bench_help, stdout);
        return STATUS_GOOD;
    }
    if (!plan(&work))
        return STATUS_BAD;
    if (work.options.measure)
        return opool__bench_measure(&work.results[0].load, work.options.measure);
    return run(&work);
}
