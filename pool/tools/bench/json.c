/* SPDX-License-Identifier: MIT */
#include <opool.h>

#include "../clean.h"
#include "figures.h"
#include "patterns.h"
#include "report.h"

static void write_string(FILE *out, const char *text)
{
    char clean[TEXT_MOST];
    opool__clean_copy(clean, sizeof clean, text);
    fputc('"', out);
    for (const char *at = clean; *at; at++) {
        if (*at == '"' || *at == '\\')
            fputc('\\', out);
        fputc(*at, out);
    }
    fputc('"', out);
}

static void write_member(FILE *out, const char *name, const char *value)
{
    fprintf(out, "\"%s\": ", name);
    write_string(out, value);
}

static void write_values(FILE *out, const char *name, const double *values, unsigned n)
{
    fprintf(out, ", \"%s\": [", name);
    for (unsigned i = 0; i < n; i++)
        fprintf(out, "%s%.6g", i ? ", " : "", values[i]);
    fputc(']', out);
}

static void write_ratio(FILE *out, const struct row *row, const struct row *ours)
{
    char verdict[32];
    const struct ratio ratio = opool__bench_ratio(row->ns, ours->ns, row->rounds);
    fprintf(out, ", \"ratio\": %.4f, ", ratio.ratio);
    if (ratio.known)
        fprintf(out, "\"ratio_low\": %.4f, \"ratio_high\": %.4f, ", ratio.low, ratio.high);
    write_member(out, "verdict", opool__bench_verdict(&ratio, verdict, sizeof verdict));
}

static void write_row(FILE *out, const struct row *row, const struct row *ours, bool resident)
{
    fputs("    {", out);
    write_member(out, "name", row->name);
    fputs(", ", out);
    if (row->failed) {
        write_member(out, "failed", row->failed);
        fputc('}', out);
        return;
    }
    write_member(out, "source", row->source);
    fprintf(out, ", \"ns\": %.6g", opool__bench_median(row->ns, row->rounds));
    if (row != ours && !ours->failed)
        write_ratio(out, row, ours);
    write_values(out, "rounds_ns", row->ns, row->rounds);
    if (resident) {
        write_values(out, "peak_kib", row->peak, row->rounds);
        write_values(out, "after_kib", row->after, row->rounds);
    }
    fputc('}', out);
}

static void write_result(FILE *out, const struct report *report, const struct result *result)
{
    bool first = true;
    fputs("  {", out);
    write_member(out, "pattern", opool__bench_patterns[result->load.pattern].name);
    fprintf(out, ", \"threads\": %u, \"live\": %zu, \"rows\": [\n", result->load.threads,
            opool__bench_live(&result->load));
    for (unsigned i = 0; i < report->rivals->count; i++) {
        if (!result->rows[i].name)
            continue;
        fputs(first ? "" : ",\n", out);
        write_row(out, &result->rows[i], &result->rows[0], result->load.pattern == PATTERN_BURST);
        first = false;
    }
    fputs("]}", out);
}

static void write_missing(FILE *out, const struct rivals *rivals)
{
    const char *between = "";
    fputs(" \"missing\": [", out);
    for (unsigned i = 0; i < rivals->count; i++) {
        if (!rivals->all[i].missing[0])
            continue;
        fprintf(out, "%s{", between);
        write_member(out, "name", rivals->all[i].name);
        fputs(", ", out);
        write_member(out, "why", rivals->all[i].missing);
        fputc('}', out);
        between = ", ";
    }
    fputs("],\n", out);
}

void opool__bench_write_json(FILE *out, const struct report *report, const struct result *results, unsigned count)
{
    const struct load *load = &report->options->load;
    const struct machine *machine = report->machine;
    fputs("{\"format\": 1, ", out);
    write_member(out, "opool", opool_version());
    fprintf(out, ", \"size\": %zu, \"align\": %zu, \"rounds\": %u, \"milliseconds\": %u,\n \"machine\": {", load->size,
            load->align, report->options->rounds, load->milliseconds);
    write_member(out, "processor", machine->processor);
    fprintf(out, ", \"processors\": %u, ", machine->processors);
    write_member(out, "virtual", machine->virtual);
    fputs(", ", out);
    write_member(out, "kernel", machine->kernel);
    fprintf(out, ", \"load_at_start\": %.2f},\n", machine->load);
    write_missing(out, report->rivals);
    fputs(" \"patterns\": [\n", out);
    for (unsigned i = 0; i < count; i++) {
        write_result(out, report, &results[i]);
        fputs(i + 1 < count ? ",\n" : "\n", out);
    }
    fputs(" ]}\n", out);
}
