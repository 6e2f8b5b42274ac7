/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "write.h"

struct writer {
    FILE *out;
    struct memory *memory;
};

/* ---- values ---- */

static void string(struct writer *writer, const char *text)
{
    if (!text) {
        fputs("null", writer->out);
        return;
    }
    fputc('"', writer->out);
    for (const char *c = text; *c; c++)
        if (*c == '\n')
            fputs("\\n", writer->out);
        else
            fprintf(writer->out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputc('"', writer->out);
}

static void key(struct writer *writer, const char *name, bool first)
{
    fprintf(writer->out, "%s\"%s\":", first ? "" : ",", name);
}

static void text(struct writer *writer, const char *name, const char *value, bool first)
{
    key(writer, name, first);
    string(writer, value ? opool__shapes_clean(writer->memory, value) : NULL);
}

static void number(struct writer *writer, const char *name, uint64_t value)
{
    key(writer, name, false);
    fprintf(writer->out, "%" PRIu64, value);
}

/* ---- parts ---- */

static void write_findings(struct writer *writer, const struct report *report)
{
    key(writer, "findings", false);
    for (size_t i = 0; i < report->finding_count; i++) {
        const struct finding *finding = &report->findings[i];
        fputs(i ? ",{" : "[{", writer->out);
        text(writer, "path", finding->path, true);
        number(writer, "offset", finding->offset);
        number(writer, "size", finding->size);
        text(writer, "verdict", opool__shapes_verdict(finding->verdict), false);
        text(writer, "type", finding->type, false);
        text(writer, "why", finding->why[0] ? finding->why : NULL, false);
        text(writer, "file", finding->file, false);
        number(writer, "line", (uint64_t)finding->line);
        fputc('}', writer->out);
    }
    fputs(report->finding_count ? "]" : "[]", writer->out);
}

static void write_holes(struct writer *writer, const struct report *report)
{
    key(writer, "padding", false);
    for (size_t i = 0; i < report->hole_count; i++) {
        fputs(i ? ",{" : "[{", writer->out);
        text(writer, "behind", report->holes[i].behind, true);
        number(writer, "offset", report->holes[i].offset);
        number(writer, "size", report->holes[i].size);
        number(writer, "times", report->holes[i].times);
        fputc('}', writer->out);
    }
    fputs(report->hole_count ? "]" : "[]", writer->out);
}

static void write_orders(struct writer *writer, const struct report *report)
{
    key(writer, "orders", false);
    for (size_t i = 0; i < report->order_count; i++) {
        fputs(i ? ",{" : "[{", writer->out);
        text(writer, "path", report->orders[i].path, true);
        text(writer, "type", report->orders[i].type, false);
        text(writer, "members", report->orders[i].members, false);
        number(writer, "size", report->orders[i].size);
        number(writer, "saves", report->orders[i].saves);
        number(writer, "times", report->orders[i].times);
        fputc('}', writer->out);
    }
    fputs(report->order_count ? "]" : "[]", writer->out);
}

static void write_sentences(struct writer *writer, const char *name, const struct sentences *sentences)
{
    key(writer, name, false);
    for (size_t i = 0; i < sentences->count; i++) {
        fputc(i ? ',' : '[', writer->out);
        string(writer, opool__shapes_clean(writer->memory, sentences->all[i]));
    }
    fputs(sentences->count ? "]" : "[]", writer->out);
}

/* A definition of two lines keeps its newline. */
static void write_lines(struct writer *writer, const char *name, const char *lines, bool first)
{
    const char *end = lines ? strchr(lines, '\n') : NULL;
    if (!end) {
        text(writer, name, lines, first);
        return;
    }
    const char *head = opool__shapes_format(writer->memory, "%.*s", (int)(end - lines), lines);
    key(writer, name, first);
    string(writer, opool__shapes_format(writer->memory, "%s\n%s", opool__shapes_clean(writer->memory, head),
                                        opool__shapes_clean(writer->memory, end + 1)));
}

static void write_definition(struct writer *writer, const struct definition *definition)
{
    key(writer, "definition", false);
    if (!definition) {
        fputs("null", writer->out);
        return;
    }
    fputc('{', writer->out);
    write_lines(writer, "fixed", definition->fixed, true);
    write_lines(writer, "changed", definition->changed, false);
    write_lines(writer, "owning", definition->owning, false);
    write_sentences(writer, "changes", &definition->changes);
    write_sentences(writer, "better", &definition->better);
    write_sentences(writer, "remarks", &definition->remarks);
    fputc('}', writer->out);
}

/* ---- the whole ---- */

static void write_report(struct writer *writer, const struct report *report)
{
    static const char *const outcomes[] = {
        [OUTCOME_FIXED] = "fixed",
        [OUTCOME_OWNING] = "owning",
        [OUTCOME_REJECTED] = "rejected",
        [OUTCOME_UNCHECKED] = "unchecked",
    };
    fputc('{', writer->out);
    text(writer, "pool", report->pool, true);
    text(writer, "type", report->type, false);
    text(writer, "kind", report->pool ? report->kind : NULL, false);
    text(writer, "declared", report->pool && report->more[0] ? report->more : NULL, false);
    text(writer, "member", report->module, false);
    text(writer, "file", report->file, false);
    number(writer, "line", (uint64_t)report->line);
    number(writer, "size", report->size);
    number(writer, "align", report->align);
    number(writer, "records", report->copies);
    text(writer, "outcome", outcomes[report->outcome], false);
    text(writer, "why", report->why, false);
    write_findings(writer, report);
    write_holes(writer, report);
    write_orders(writer, report);
    write_definition(writer, report->definition);
    fputc('}', writer->out);
}

void opool__shapes_write_json(FILE *out, struct memory *memory, const struct reports *reports)
{
    struct writer writer = {out, memory};
    fputc('{', out);
    text(&writer, "file", reports->file, true);
    text(&writer, "error", reports->error, false);
    text(&writer, "note", reports->note, false);
    fputs(",\"pools\":[", out);
    for (size_t i = 0; i < reports->count; i++) {
        if (i > 0)
            fputc(',', out);
        write_report(&writer, &reports->all[i]);
    }
    fputs("]}", out);
}
