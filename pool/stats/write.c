/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/pool.h"
#include "opool/stats.h"
#include "stats/collect.h"

/* One pool at the moment of the call. */
struct snapshot {
    char name[OPOOL__NAME_MOST], type[OPOOL__NAME_MOST];
    uint32_t id; /* tells pools of one name apart */
    uint64_t size;
    struct opool_stats stats;
};

struct snapshots {
    struct snapshot *all;
    size_t count;
};

/* One row a figure, from the table. */
enum kind { COUNTER, GAUGE };
static const struct row {
    const char *name, *unit, *help;
    enum kind kind;
    size_t offset;
} rows[] = {
#define OPOOL_COUNTER(name, unit, help) {#name, #unit, help, COUNTER, offsetof(struct opool_stats, name)},
#define OPOOL_GAUGE(name, unit, help) {#name, #unit, help, GAUGE, offsetof(struct opool_stats, name)},
#include "opool/counters.def"
#undef OPOOL_COUNTER
#undef OPOOL_GAUGE
};
enum { ROWS = sizeof rows / sizeof *rows };

static uint64_t value_of(const struct snapshot *snapshot, const struct row *row)
{
    uint64_t value;
    memcpy(&value, (const char *)&snapshot->stats + row->offset, sizeof value);
    return value;
}

/* ---- snapshots ---- */

static int append(struct snapshots *to, struct opool *pool)
{
    struct snapshot *grown = realloc(to->all, (to->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    to->all = grown;
    struct snapshot *one = &grown[to->count];
    if (!opool__pin(pool))
        return 0; /* destroyed meanwhile */
    one->stats = opool__stats_collect(pool);
    memcpy(one->name, pool->name, sizeof one->name);
    memcpy(one->type, pool->type_name, sizeof one->type);
    one->id = pool->index;
    one->size = pool->type.size;
    opool__unpin(pool);
    to->count++;
    return 0;
}

static int take_snapshots(struct snapshots *to)
{
    int r = 0;
    for (struct opool *pool = NULL; r == 0 && (pool = opool_next(pool)) != NULL;)
        r = append(to, pool);
    return r;
}

/* ---- text ---- */

static uint64_t sum_idle(const struct opool_stats *s)
{
    return s->idle_thread + s->idle_depot + s->idle_victim;
}

/* A name can not break the table. */
static void write_name(FILE *out, const char *name)
{
    int width = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++, width++)
        fputc(*c < 0x20 || *c == 0x7f ? '?' : *c, out);
    fprintf(out, "%*s", width < 24 ? 24 - width : 0, "");
}

static void write_text(FILE *out, const struct snapshots *from)
{
    fprintf(out, "%-24s %8s %10s %10s %10s %10s %14s %7s %10s %9s %7s %10s\n", "POOL", "BYTES", "LIVE", "PEAK", "IDLE",
            "SLOTS", "GETS", "HIT%", "BUILT", "DISCARDED", "FAILS", "RESIDENT");
    for (size_t i = 0; i < from->count; i++) {
        const struct snapshot *p = &from->all[i];
        const struct opool_stats *s = &p->stats;
        double hit = s->gets ? 100.0 * (double)s->hits / (double)s->gets : 0;
        write_name(out, p->name);
        fprintf(out,
                " %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %14" PRIu64 " %6.2f%% %10" PRIu64
                " %9" PRIu64 " %7" PRIu64 " %10" PRIu64 "\n",
                p->size, s->live, s->live_peak, sum_idle(s), s->slots, s->gets, hit, s->built,
                s->discarded + s->bloated, s->capacity_fails + s->memory_fails + s->init_fails, s->resident_bytes);
    }
}

/* ---- JSON (RFC 8259) ---- */

/* Names are bytes of the user's; what is no ASCII letter is left to the reader as U+00XX, so that the output is valid
 * UTF-8. */
static void write_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void write_json(FILE *out, const struct snapshots *from)
{
    fprintf(out, "{\"opool\": \"%s\", \"pools\": [", OPOOL_VERSION);
    for (size_t i = 0; i < from->count; i++) {
        const struct snapshot *p = &from->all[i];
        fprintf(out, "%s\n  {\"id\": %" PRIu32 ", \"name\": ", i ? "," : "", p->id);
        write_json_string(out, p->name);
        fprintf(out, ", \"type\": ");
        write_json_string(out, p->type);
        fprintf(out, ", \"size\": %" PRIu64, p->size);
        for (int r = 0; r < ROWS; r++)
            fprintf(out, ", \"%s\": %" PRIu64, rows[r].name, value_of(p, &rows[r]));
        fputc('}', out);
    }
    fprintf(out, "\n]}\n");
}

/* ---- OpenMetrics 1.0 text ---- */

static void write_label(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else
            fputc(*c < 0x7f && *c >= 0x20 ? *c : '?', out);
    }
}

static void write_family(FILE *out, const struct snapshots *from, const struct row *row)
{
    bool bytes = strcmp(row->unit, "bytes") == 0;
    fprintf(out, "# TYPE opool_pool_%s %s\n", row->name, row->kind == COUNTER ? "counter" : "gauge");
    if (bytes)
        fprintf(out, "# UNIT opool_pool_%s bytes\n", row->name);
    fprintf(out, "# HELP opool_pool_%s %s\n", row->name, row->help);
    for (size_t i = 0; i < from->count; i++) {
        const struct snapshot *p = &from->all[i];
        fprintf(out, "opool_pool_%s%s{pool=\"", row->name, row->kind == COUNTER ? "_total" : "");
        write_label(out, p->name);
        fprintf(out, "\",id=\"%" PRIu32 "\"} %" PRIu64 "\n", p->id, value_of(p, row));
    }
}

static void write_openmetrics(FILE *out, const struct snapshots *from)
{
    for (int r = 0; r < ROWS; r++)
        write_family(out, from, &rows[r]);
    fputs("# EOF\n", out);
}

/* ---- */

static int stream_result(FILE *out)
{
    int error = fflush(out) != 0 ? errno : 0;
    return error ? -error : ferror(out) ? -EIO : 0;
}

int opool_stats_write(FILE *out, enum opool_format format)
{
    static void (*const writers[])(FILE *, const struct snapshots *) = {
        [OPOOL_TEXT] = write_text, [OPOOL_JSON] = write_json, [OPOOL_OPENMETRICS] = write_openmetrics};
    if (!out || (unsigned)format >= sizeof writers / sizeof *writers)
        return -EINVAL;
    struct snapshots snapshots = {NULL, 0};
    int r = take_snapshots(&snapshots);
    if (r == 0) {
        writers[format](out, &snapshots);
        r = stream_result(out);
    }
    free(snapshots.all);
    return r;
}
