/* SPDX-License-Identifier: MIT */
#include <opool.h>

#include "figures.h"
#include "patterns.h"
#include "report.h"

#ifdef OPOOL_NO_CHECKS
#define CHECKS "no checks"
#else
#define CHECKS "basic checks"
#endif

static void write_missing(FILE *out, const struct rivals *rivals)
{
    for (unsigned i = 0; i < rivals->count; i++)
        if (rivals->all[i].missing[0])
            fprintf(out, "%s: %s\n", rivals->all[i].name, rivals->all[i].missing);
}

void opool__bench_write_head(FILE *out, const struct report *report)
{
    const struct load *load = &report->options->load;
    const struct machine *machine = report->machine;
    fprintf(out, "objects of %zu bytes, aligned to %zu; %u round%s; opool %s, %s, linked statically\n", load->size,
            load->align, report->options->rounds, report->options->rounds == 1 ? "" : "s", opool_version(), CHECKS);
    fprintf(out, "%s, %u processor%s, %s; %s\n", machine->processor, machine->processors,
            machine->processors == 1 ? "" : "s", machine->virtual, machine->kernel);
    if (machine->load > 0.5 * machine->processors)
        fprintf(out, "The machine is busy (load %.1f): the figures are noisy.\n", machine->load);
#ifndef __OPTIMIZE__
    fputs("This opool was built without optimisation: the figures say nothing of one that was.\n", out);
#endif
    write_missing(out, report->rivals);
}

static void write_heading(FILE *out, const struct report *report, const struct load *load)
{
    char what[128];
    const struct pattern_text *text = &opool__bench_patterns[load->pattern];
/* The table of patterns, not a user, wrote this format. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(what, sizeof what, text->what, opool__bench_live(load));
#pragma GCC diagnostic pop
    fprintf(out, "\n%s: %s; %u thread%s%s\n", text->name, what, load->threads, load->threads == 1 ? "" : "s",
            load->threads > report->machine->processors ? ", more than processors" : "");
    fprintf(out, "%-28s %9s%s  %-24s  opool needs\n", "", "ns of CPU",
            load->pattern == PATTERN_BURST ? "  MiB at peak  and after" : "", "ratio, 95 % interval");
}

static void write_ratio(FILE *out, const struct row *row, const struct row *ours)
{
    char verdict[32], interval[64];
    const struct ratio ratio = opool__bench_ratio(row->ns, ours->ns, row->rounds);
    snprintf(interval, sizeof interval, ratio.known ? "%.2f (%.2f to %.2f)" : "%.2f", ratio.ratio, ratio.low,
             ratio.high);
    fprintf(out, "  %-24s  %s", interval, opool__bench_verdict(&ratio, verdict, sizeof verdict));
}

static void write_row(FILE *out, const struct row *row, const struct row *ours, bool resident)
{
    fprintf(out, "  %-26s ", row->name);
    if (row->failed) {
        fprintf(out, "failed: %s\n", row->failed);
        return;
    }
    double ns = opool__bench_median(row->ns, row->rounds);
    fprintf(out, "%9.*f", ns >= 100 ? 0 : ns >= 10 ? 1 : 2, ns);
    if (resident)
        fprintf(out, "  %11.1f %10.1f", opool__bench_median(row->peak, row->rounds) / 1024,
                opool__bench_median(row->after, row->rounds) / 1024);
    if (row != ours && !ours->failed)
        write_ratio(out, row, ours);
    fputc('\n', out);
}

void opool__bench_write_result(FILE *out, const struct report *report, const struct result *result)
{
    write_heading(out, report, &result->load);
    for (unsigned i = 0; i < report->rivals->count; i++)
        if (result->rows[i].name)
            write_row(out, &result->rows[i], &result->rows[0], result->load.pattern == PATTERN_BURST);
}
