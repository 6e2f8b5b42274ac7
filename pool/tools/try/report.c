/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <opool/atomic.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"

/* ---- adding up: what stands in an area may be anything ---- */

static struct opool__try_program *program_of(struct opool__try_totals *all, const struct opool__try_area *area)
{
    char path[OPOOL__TRY_PATH + 1];
    memcpy(path, area->program, OPOOL__TRY_PATH);
    path[OPOOL__TRY_PATH] = '\0';
    opool__clean(path);
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->programs[i].path, path) == 0)
            return &all->programs[i];
    struct opool__try_program *larger = realloc(all->programs, (all->count + 1) * sizeof *larger);
    if (!larger)
        return NULL;
    all->programs = larger;
    memset(&larger[all->count], 0, sizeof *larger);
    memcpy(larger[all->count].path, path, sizeof path);
    return &larger[all->count++];
}

static void add_row(struct opool__try_program *program, const struct opool__try_row *row)
{
    program->others += opool__load_relaxed(&row->others);
    for (uint32_t i = 0; i < OPOOL__TRY_KINDS; i++) {
        struct opool__try_count *sum = &program->of[i].count;
        sum->gets += opool__load_relaxed(&row->of[i].gets);
        sum->puts += opool__load_relaxed(&row->of[i].puts);
        sum->built += opool__load_relaxed(&row->of[i].built);
        sum->torn += opool__load_relaxed(&row->of[i].torn);
        sum->fell += opool__load_relaxed(&row->of[i].fell);
    }
}

static void add_area(struct opool__try_program *program, const struct opool__try_area *area)
{
    uint32_t state = opool__load_relaxed(&area->ready), rows = opool__load_relaxed(&area->rows);
    program->processes++;
    program->own_malloc += state == OPOOL__TRY_OWN_MALLOC;
    program->sanitized += state == OPOOL__TRY_SANITIZED;
    program->no_zstd |= area->no_zstd != 0;
    program->no_thread |= area->no_thread != 0;
    for (uint32_t i = 0; i < rows && i < OPOOL__TRY_ROWS; i++)
        add_row(program, &area->row[i]);
    for (uint32_t i = 0; i < OPOOL__TRY_KINDS; i++) {
        uint64_t most = opool__load_relaxed(&area->held[i].most);
        program->of[i].most = most > program->of[i].most ? most : program->of[i].most;
        if (area->held[i].refused)
            program->of[i].refused = area->held[i].refused;
        program->of[i].prefilled += opool__load_relaxed(&area->held[i].prefilled);
    }
}

struct opool__try_totals *opool__try_read(struct opool__try_file *file, const struct opool__try_config *config)
{
    struct opool__try_totals *all = calloc(1, sizeof *all);
    uint32_t taken = opool__load_relaxed(&file->taken);
    if (!all)
        return NULL;
    all->config = *config;
    all->without_area = taken > OPOOL__TRY_AREAS ? taken - OPOOL__TRY_AREAS : 0;
    for (uint32_t i = 0; i < taken && i < OPOOL__TRY_AREAS; i++) {
        const struct opool__try_area *area = opool__try_area_at(opool__try_areas(file), i);
        if (!opool__load_acquire(&area->ready))
            continue;
        struct opool__try_program *program = program_of(all, area);
        if (!program) {
            opool__try_forget(all);
            return NULL;
        }
        add_area(program, area);
    }
    return all;
}

void opool__try_forget(struct opool__try_totals *totals)
{
    if (totals)
        free(totals->programs);
    free(totals);
}

/* ---- text ---- */

uint64_t opool__try_hits(const struct opool__try_sum *sum)
{
    uint64_t built = sum->count.built > sum->prefilled ? sum->count.built - sum->prefilled : 0;
    return sum->count.gets > built ? sum->count.gets - built : 0;
}

static uint64_t bytes_of(const struct opool__try_config *config, uint32_t kind)
{
    return kind < config->sizes ? config->size[kind].size : 0;
}

static void write_name(FILE *out, const struct opool__try_config *config, uint32_t kind)
{
    if (kind == OPOOL__TRY_DECODERS || kind == OPOOL__TRY_ENCODERS) {
        fprintf(out, "opool try:   zstd %s: ", kind == OPOOL__TRY_DECODERS ? "decoders" : "encoders");
        return;
    }
    const struct opool__try_size *size = &config->size[kind];
    fprintf(out, "opool try:   size %" PRIu64, size->size);
    if (size->from < size->size)
        fprintf(out, " from %" PRIu64, size->from);
    fputs(": ", out);
}

static void write_kind(FILE *out, const struct opool__try_config *config, const struct opool__try_sum *sum,
                       uint32_t kind)
{
    write_name(out, config, kind);
    if (sum->refused) {
        fprintf(out, "no pool: %s\n", strerror((int)(sum->refused & 0xfff)));
        return;
    }
    if (!sum->count.gets && !sum->count.fell) {
        fputs("never asked for\n", out);
        return;
    }
    double share = sum->count.gets ? 100.0 * (double)opool__try_hits(sum) / (double)sum->count.gets : 0;
    fprintf(out,
            "%" PRIu64 " served, %" PRIu64 " hits (%.1f %%), %" PRIu64 " built, %" PRIu64
            " torn down, at most %" PRIu64,
            sum->count.gets, opool__try_hits(sum), share, sum->count.built, sum->count.torn, sum->most);
    if (bytes_of(config, kind))
        fprintf(out, " (%.1f KiB)", (double)sum->most * (double)bytes_of(config, kind) / 1024);
    fputs(" at once", out);
    if (sum->count.fell)
        fprintf(out, ", %" PRIu64 " fell through", sum->count.fell);
    fputc('\n', out);
}

uint64_t opool__try_gets(const struct opool__try_program *program)
{
    uint64_t gets = 0;
    for (uint32_t i = 0; i < OPOOL__TRY_SIZES; i++)
        gets += program->of[i].count.gets;
    return gets;
}

static void write_program(FILE *out, const struct opool__try_totals *all, const struct opool__try_program *program)
{
    uint64_t gets = opool__try_gets(program), sum = gets + program->others;
    fprintf(out, "opool try: %s: %" PRIu32 " process%s, %" PRIu64 " allocations, %.1f %% of them from pools\n",
            program->path, program->processes, program->processes == 1 ? "" : "es", sum,
            sum ? 100.0 * (double)gets / (double)sum : 0);
    if (program->own_malloc)
        fputs("opool try:   brings a malloc of its own, which the loader finds first: nothing was served\n", out);
    if (program->sanitized)
        fputs("opool try:   is built with a sanitizer, which shall see all blocks: nothing was served\n", out);
    if (program->own_malloc || program->sanitized)
        return;
    for (uint32_t i = 0; i < all->config.sizes; i++)
        write_kind(out, &all->config, &program->of[i], i);
    for (uint32_t i = OPOOL__TRY_DECODERS; i <= OPOOL__TRY_ENCODERS && all->config.contexts; i++)
        write_kind(out, &all->config, &program->of[i], i);
    if (program->no_zstd)
        fputs("opool try:   has no shared libzstd: no contexts to keep\n", out);
    if (program->no_thread)
        fputs("opool try:   got no thread that ticks: its requests ticked\n", out);
}

void opool__try_write_counts(FILE *out, const struct opool__try_totals *totals)
{
    for (size_t i = 0; i < totals->count; i++)
        write_program(out, totals, &totals->programs[i]);
    if (!totals->count)
        fputs("opool try: nothing was served: no process of the command loaded the library\n", out);
    if (totals->without_area)
        fprintf(out, "opool try: %" PRIu32 " more processes than this report has room for\n", totals->without_area);
}

void opool__try_write_cost(FILE *out, const struct opool__try_cost *cost, const char *unit)
{
    fprintf(out, "opool try: CPU %.3f s, %" PRIu64 " page faults, %.1f MiB resident at most\n",
            (double)cost->cpu_us / 1e6, cost->faults, (double)cost->peak_kib / 1024);
    if (cost->units)
        fprintf(out, "opool try: %" PRIu64 " %s, each: CPU %.2f us, %.4f page faults\n", cost->units, unit,
                (double)cost->cpu_us / (double)cost->units, (double)cost->faults / (double)cost->units);
}
