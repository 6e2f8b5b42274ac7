/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "write.h"

enum {
    HOLES_SHOWN = 6,
    WORTHWHILE = 50, /* part of the size that an order must save to be shown */
};

struct writer {
    FILE *out;
    struct memory *memory;
    const struct reports *reports;
    bool all;
};

static const char *clean(struct writer *writer, const char *text)
{
    return opool__shapes_clean(writer->memory, text);
}

/* "app.c:12"; the folder is seldom of interest to who wrote it. */
static const char *place(struct writer *writer, const char *file, int line)
{
    if (!file)
        return "";
    const char *slash = strrchr(file, '/');
    return opool__shapes_format(writer->memory, "%s:%d", clean(writer, slash ? slash + 1 : file), line);
}

/* ---- members ---- */

/* What asks for something to be done is in capitals. */
static const char *word_of(struct writer *writer, enum verdict verdict)
{
    char *word = opool__shapes_copy(writer->memory, opool__shapes_verdict(verdict));
    for (char *c = word; *c && verdict >= VERDICT_WARN; c++)
        *c = (char)toupper((unsigned char)*c);
    return word;
}

static void write_finding(struct writer *writer, const struct finding *finding)
{
    const char *path = finding->path[0] ? finding->path : "(the object)";
    const char *text = finding->why[0] && strcmp(finding->type, "function pointer") != 0
                           ? opool__shapes_format(writer->memory, "%s: %s", finding->type, finding->why)
                       : finding->why[0] ? finding->why
                                         : finding->type;
    fprintf(writer->out, "  %-9s +%-6" PRIu64 " %6" PRIu64 "  %-28s %-50s  %s\n", word_of(writer, finding->verdict),
            finding->offset, finding->size, clean(writer, path), clean(writer, text),
            place(writer, finding->file, finding->line));
}

static void write_findings(struct writer *writer, const struct report *report)
{
    for (size_t i = 0; i < report->finding_count; i++)
        if (writer->all || report->findings[i].verdict > VERDICT_FINE)
            write_finding(writer, &report->findings[i]);
}

/* ---- padding ---- */

static void write_hole(struct writer *writer, const struct hole *hole, bool first)
{
    fprintf(writer->out, "%s%" PRIu64 " behind %s (+%" PRIu64 ")", first ? ": " : ", ", hole->size,
            clean(writer, hole->behind), hole->offset);
    if (hole->times > 1)
        fprintf(writer->out, " %" PRIu64 " times", hole->times);
}

static void write_padding(struct writer *writer, const struct report *report)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < report->hole_count; i++)
        bytes += report->holes[i].size * report->holes[i].times;
    if (report->hole_count == 0)
        return;
    size_t shown = writer->all || report->hole_count <= HOLES_SHOWN ? report->hole_count : HOLES_SHOWN;
    fprintf(writer->out, "  padding   %" PRIu64 " of %" PRIu64 " bytes", bytes, report->size);
    for (size_t i = 0; i < shown; i++)
        write_hole(writer, &report->holes[i], i == 0);
    fprintf(writer->out, shown < report->hole_count ? ", and %zu more (-v)\n" : "\n", report->hole_count - shown);
}

static void write_order(struct writer *writer, const struct order *order)
{
    fprintf(writer->out, "  order     ");
    if (order->path[0])
        fprintf(writer->out, "of %s: ", clean(writer, order->path));
    fprintf(writer->out, "%s: %" PRIu64 " bytes, saves %" PRIu64, clean(writer, order->members), order->size,
            order->saves);
    if (order->times > 1)
        fprintf(writer->out, " each of %" PRIu64, order->times);
    fputc('\n', writer->out);
}

/* ---- the end ---- */

static size_t count(const struct report *report, enum verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < report->finding_count; i++)
        n += report->findings[i].verdict == verdict;
    return n;
}

static void write_count(struct writer *writer, size_t n, const char *what)
{
    if (n > 0)
        fprintf(writer->out, ", %zu %s", n, what);
}

static void write_outcome(struct writer *writer, const struct report *report)
{
    size_t rejected = count(report, VERDICT_REJECT);
    switch (report->outcome) {
    case OUTCOME_FIXED:
        fputs(report->definition && !report->definition->fixed ? "  => of fixed shape, but no pool takes it as it is"
                                                               : "  => of fixed shape",
              writer->out);
        break;
    case OUTCOME_OWNING:
        fprintf(writer->out, "  => owning, as its definition says: %s", clean(writer, report->more));
        break;
    case OUTCOME_REJECTED:
        fprintf(writer->out, "  => %s: %zu member%s in the way", report->pool ? "REJECTED" : "not of fixed shape",
                rejected, rejected == 1 ? " is" : "s are");
        break;
    case OUTCOME_UNCHECKED:
        fprintf(writer->out, "  => UNCHECKED%s%s", report->why ? ": " : "",
                report->why ? clean(writer, report->why) : "");
        break;
    }
    write_count(writer, count(report, VERDICT_BORROWED), "borrowed");
    write_count(writer, count(report, VERDICT_OPAQUE), "opaque");
    write_count(writer, count(report, VERDICT_WARN), "to look at");
    if (report->outcome != OUTCOME_UNCHECKED || !report->why)
        write_count(writer, count(report, VERDICT_UNCHECKED), "unchecked");
    fputc('\n', writer->out);
}

/* ---- the definition ---- */

/* Each line of a definition is a line to copy. */
static void write_lines(struct writer *writer, const char *lines)
{
    fputs("    ", writer->out);
    for (; *lines; lines++)
        fputs(*lines == '\n' ? "\n    " : (const char[]){*lines, '\0'}, writer->out);
    fputc('\n', writer->out);
}

static void write_sentences(struct writer *writer, const char *heading, const struct sentences *sentences)
{
    if (sentences->count > 0)
        fprintf(writer->out, "  %s\n", heading);
    for (size_t i = 0; i < sentences->count; i++)
        fprintf(writer->out, "    - %s\n", clean(writer, sentences->all[i]));
}

static const char *clean_lines(struct writer *writer, const char *text)
{
    const char *end = strchr(text, '\n');
    if (!end)
        return clean(writer, text);
    return opool__shapes_format(writer->memory, "%s\n%s",
                                clean(writer, opool__shapes_format(writer->memory, "%.*s", (int)(end - text), text)),
                                clean(writer, end + 1));
}

static void write_definition(struct writer *writer, const struct report *report)
{
    const struct definition *definition = report->definition;
    write_sentences(writer, "to change first:", &definition->changes);
    if (definition->changed) {
        fputs("  then:\n", writer->out);
        write_lines(writer, clean_lines(writer, definition->changed));
    }
    if (definition->fixed) {
        fprintf(writer->out, "  %s\n", definition->owning ? "if it owns none of what it points to:" : "to write:");
        write_lines(writer, clean_lines(writer, definition->fixed));
    }
    if (definition->fixed || definition->changed)
        write_sentences(writer, "with it:", &definition->remarks);
    if (definition->owning) {
        fprintf(writer->out, "  %s\n", definition->owned[0] ? "if it owns memory:" : "as it stands:");
        write_lines(writer, clean_lines(writer, definition->owning));
    }
    write_sentences(writer, "better, if it owns memory:", &definition->better);
}

/* ---- the whole ---- */

static void write_heading(struct writer *writer, const struct report *report)
{
    const char *at = place(writer, report->file, report->line);
    if (report->pool)
        fprintf(writer->out, "%s: ", clean(writer, report->pool));
    fprintf(writer->out, "%s, %" PRIu64 " bytes%s%s", clean(writer, report->type), report->size, at[0] ? ", " : "", at);
    if (report->copies > 1)
        fprintf(writer->out, ", %u times", report->copies);
    fprintf(writer->out, "  (%s", clean(writer, writer->reports->file));
    if (report->module)
        fprintf(writer->out, ": %s", clean(writer, report->module));
    fputs(")\n", writer->out);
}

static void write_report(struct writer *writer, const struct report *report)
{
    write_heading(writer, report);
    write_findings(writer, report);
    write_padding(writer, report);
    for (size_t i = 0; i < report->order_count; i++)
        if (writer->all || report->orders[i].saves >= report->orders[i].size / WORTHWHILE)
            write_order(writer, &report->orders[i]);
    write_outcome(writer, report);
    if (report->definition)
        write_definition(writer, report);
}

void opool__shapes_write_text(FILE *out, struct memory *memory, const struct reports *reports, bool all)
{
    struct writer writer = {out, memory, reports, all};
    for (size_t i = 0; i < reports->count; i++)
        write_report(&writer, &reports->all[i]);
    if (reports->note)
        fprintf(out, "%s: %s\n", clean(&writer, reports->file), clean(&writer, reports->note));
    if (reports->error)
        fprintf(out, "%s: ERROR: %s\n", clean(&writer, reports->file), clean(&writer, reports->error));
}
