/* SPDX-License-Identifier: MIT */

/* Figures for programs: {"command", "programs": [...], "runs": {arm: [...]}, "ratios": {arm: {...}}}. */
#include <inttypes.h>
#include <string.h>

#include "clean.h"
#include "report.h"

static const char *const arm_names[OPOOL__TRY_ARMS] = {"without", "pools", "glibc_tuned", "jemalloc"};

/* Control characters and what is no UTF-8 become question marks. */
static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        size_t length = opool__clean_length((const unsigned char *)text);
        if (length == 0)
            fputc('?', out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            fwrite(text, 1, length, out);
        text += length ? length : 1;
    }
    fputc('"', out);
}

static void write_kind(FILE *out, const struct opool__try_config *config, const struct opool__try_sum *sum,
                       uint32_t kind)
{
    if (kind < OPOOL__TRY_SIZES)
        fprintf(out, "{\"size\": %" PRIu64 ", \"from\": %" PRIu64, config->size[kind].size, config->size[kind].from);
    else
        fprintf(out, "{\"context\": \"%s\"", kind == OPOOL__TRY_DECODERS ? "zstd decoders" : "zstd encoders");
    fprintf(out,
            ", \"served\": %" PRIu64 ", \"hits\": %" PRIu64 ", \"built\": %" PRIu64 ", \"freed\": %" PRIu64
            ", \"torn_down\": %" PRIu64 ", \"most\": %" PRIu64 ", \"fell_through\": %" PRIu64 ", \"refused\": %" PRIu64
            "}",
            sum->count.gets, opool__try_hits(sum), sum->count.built, sum->count.puts, sum->count.torn, sum->most,
            sum->count.fell, sum->refused);
}

static bool is_asked(const struct opool__try_config *config, uint32_t kind)
{
    return kind < OPOOL__TRY_SIZES ? kind < config->sizes : config->contexts != 0;
}

static void write_program(FILE *out, const struct opool__try_config *config, const struct opool__try_program *program)
{
    const char *separator = "";
    fputs("{\"program\": ", out);
    write_string(out, program->path);
    fprintf(out,
            ", \"processes\": %" PRIu32 ", \"own_malloc\": %" PRIu32 ", \"sanitized\": %" PRIu32
            ", \"allocations\": %" PRIu64 ", \"from_pools\": %" PRIu64 ", \"kinds\": [",
            program->processes, program->own_malloc, program->sanitized, opool__try_gets(program) + program->others,
            opool__try_gets(program));
    for (uint32_t i = 0; i < OPOOL__TRY_KINDS; i++) {
        if (!is_asked(config, i))
            continue;
        fputs(separator, out);
        write_kind(out, config, &program->of[i], i);
        separator = ", ";
    }
    fputs("]}", out);
}

static void write_run(FILE *out, const struct opool__try_cost *cost)
{
    fprintf(out,
            "{\"status\": %d, \"cpu_us\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"peak_kib\": %" PRIu64
            ", \"units\": %" PRIu64 ", \"output_bytes\": %" PRIu64 ", \"output_hash\": \"%016" PRIx64 "\"}",
            cost->status, cost->cpu_us, cost->faults, cost->peak_kib, cost->units, cost->output_bytes,
            cost->output_hash);
}

static void write_runs(FILE *out, const struct opool__try_rounds *rounds)
{
    const char *separator = "";
    for (int arm = 0; arm < OPOOL__TRY_ARMS; arm++) {
        if (!rounds->has[arm])
            continue;
        fprintf(out, "%s\n  \"%s\": [", separator, arm_names[arm]);
        for (uint32_t i = 0; i < rounds->count; i++) {
            fputs(i ? ", " : "", out);
            write_run(out, &rounds->of[arm][i]);
        }
        fputc(']', out);
        separator = ",";
    }
}

static void write_ratios(FILE *out, const struct opool__try_rounds *rounds)
{
    const char *separator = "";
    for (int arm = OPOOL__TRY_PLAIN + 1; arm < OPOOL__TRY_ARMS && rounds->has[OPOOL__TRY_PLAIN]; arm++) {
        if (!rounds->has[arm])
            continue;
        struct opool__try_verdict v = opool__try_judge(rounds, (enum opool__try_arm)arm, OPOOL__TRY_PLAIN);
        fprintf(
            out,
            "%s\n  \"%s\": {\"cpu\": %.6f, \"least\": %.6f, \"most\": %.6f, \"confidence\": %.6f, \"faults\": %.6f}",
            separator, arm_names[arm], v.ratio, v.least, v.most, v.confidence, v.faults_ratio);
        separator = ",";
    }
}

void opool__try_write_json(FILE *out, const struct opool__try_options *options, const struct opool__try_totals *totals,
                           const struct opool__try_rounds *rounds)
{
    fputs("{\"command\": [", out);
    for (char **word = options->command; *word; word++) {
        fputs(word == options->command ? "" : ", ", out);
        write_string(out, *word);
    }
    fprintf(out, "],\n\"processes_not_counted\": %" PRIu32 ",\n\"programs\": [", totals->without_area);
    for (size_t i = 0; i < totals->count; i++) {
        fputs(i ? ",\n  " : "\n  ", out);
        write_program(out, &totals->config, &totals->programs[i]);
    }
    fputs("],\n\"runs\": {", out);
    write_runs(out, rounds);
    fputs("},\n\"ratios\": {", out);
    write_ratios(out, rounds);
    fputs("}}\n", out);
}
