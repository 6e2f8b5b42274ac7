/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../../shapes/report.h"
#include "sites.h"
#include "view.h"

enum { CALLERS_SHOWN = 3, WIDTH_LEAST = 60, INDENT = 10 };

static const char *clean(const struct view *view, const char *text)
{
    return opool__shapes_clean(view->memory, text);
}

/* ---- lines ---- */

/* Characters of a UTF-8 text that `bytes` bytes are. */
static size_t characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* In a terminal, broken between words to its width; else one line. */
static void write_wrapped(const struct view *view, const char *text, unsigned indent)
{
    size_t column = indent, width = view->width >= WIDTH_LEAST ? view->width : view->width ? WIDTH_LEAST : SIZE_MAX;
    bool begun = false;
    fprintf(view->out, "%*s", (int)indent, "");
    while (*text) {
        size_t length = strcspn(text, " "), wide = characters(text, length);
        if (begun && column + 1 + wide > width) {
            fprintf(view->out, "\n%*s", (int)indent, "");
            column = indent;
            begun = false;
        }
        fprintf(view->out, "%s%.*s", begun ? " " : "", (int)length, text);
        column += wide + begun;
        begun = true;
        text += length + (text[length] == ' ');
    }
    fputc('\n', view->out);
}

/* ---- the head ---- */

static void write_head(const struct view *view)
{
    const struct model *model = view->model;
    const struct opool__profile_header *header = &model->images->all[0].header;
    const char *slash = strrchr(header->program, '/');
    const char *name = header->arguments[0] ? header->arguments : slash ? slash + 1 : header->program;
    const char *more = model->images->count > 1
                           ? opool__shapes_format(view->memory, " and %zu more processes", model->images->count - 1)
                           : "";
    write_wrapped(view, opool__shapes_format(view->memory, "%s (pid %u)%s", clean(view, name), header->pid, more), 0);
    write_wrapped(view, opool__profile_recorded_text(view->memory, model), 0);
    for (size_t i = 0; i < view->note_count; i++)
        write_wrapped(view, opool__shapes_format(view->memory, "note: %s", clean(view, view->notes[i])), 0);
    write_wrapped(view, opool__profile_summary(view->memory, model), 0);
    if (opool__profile_memory_text(view->memory, model))
        write_wrapped(view, opool__profile_memory_text(view->memory, model), 0);
}

/* ---- sites ---- */

static const char *callers_of(const struct view *view, const struct site *site)
{
    const struct stack *stack = site->stacks[0];
    const char *text = clean(view, site->at ? opool__profile_place(view->memory, site->at, site->level) : site->name);
    size_t at = 0, shown = 0;
    while (at < stack->depth && stack->frames[at] != site->at)
        at++;
    for (size_t level = site->level + 1; at < stack->depth && shown < CALLERS_SHOWN; level = 0, at++)
        for (size_t i = level;
             shown < CALLERS_SHOWN && i < (stack->frames[at]->line_count ? stack->frames[at]->line_count
                                           : level == 0                  ? 1
                                                                         : 0);
             i++, shown++) {
            const struct frame *frame = stack->frames[at];
            const char *name = i < frame->line_count ? frame->lines[i].function : NULL;
            text = opool__shapes_format(view->memory, "%s < %s", text,
                                        clean(view, name ? name : opool__profile_place(view->memory, frame, i)));
        }
    if (site->stack_count > 1)
        text = opool__shapes_format(view->memory, "%s; from %zu stacks", text, site->stack_count);
    return text;
}

static const char *gain_column(const struct view *view, const struct site *site)
{
    if (!opool__profile_is_poolable(site))
        return "-";
    if (site->verdict.is_noise)
        return "noise";
    return opool__profile_gain_text(view->memory, &site->verdict.gain, false);
}

static void write_columns(const struct view *view, const struct site *site)
{
    struct memory *memory = view->memory;
    const struct figures *figures = &site->figures;
    const char *bold = view->is_terminal && opool__profile_is_chosen(view, site) ? "\033[1m" : "";
    double rate = view->model->seconds > 0 ? (double)figures->allocations / view->model->seconds : 0;
    fprintf(view->out, "%s%-7s%s %12s %6s %6s %6s %6s %6s %6s %5s %6s %6s  %s\n", bold,
            opool__profile_kind(site->verdict.kind), bold[0] ? "\033[0m" : "", opool__profile_sizes_text(memory, site),
            opool__profile_short(memory, rate), opool__profile_lifetime_text(memory, figures, 0.5),
            opool__profile_lifetime_text(memory, figures, 0.99),
            opool__profile_blocks_text(memory, figures, figures->live),
            opool__profile_blocks_text(memory, figures, figures->live_peak),
            opool__profile_blocks_text(memory, figures, figures->thread_peak),
            opool__profile_share_text(memory, figures->foreign_frees, figures->frees),
            opool__profile_short(memory, (double)figures->faults),
            opool__profile_short(memory, (double)figures->breaks + (double)figures->maps), gain_column(view, site));
}

static const char *gain_text(const struct view *view, const struct site *site)
{
    const char *gain = opool__profile_gain_text(view->memory, &site->verdict.gain, true);
    const char *text = site->verdict.is_noise
                           ? opool__shapes_format(view->memory, "below noise (%s): do not pool for speed", gain)
                           : opool__shapes_format(view->memory, "gain: %s", gain);
    if (!site->verdict.for_memory)
        return text;
    return opool__shapes_format(view->memory,
                                "%s; for steady memory: up to %s MB at once, of which much stayed resident", text,
                                opool__profile_short(view->memory, (double)site->figures.live_peak_bytes / 1e6));
}

/* What has no column. */
static void write_more(const struct view *view, const struct site *site)
{
    const struct figures *figures = &site->figures;
    write_wrapped(view, opool__profile_count_text(view->memory, figures), INDENT);
    write_wrapped(view, opool__profile_size_classes(view->memory, figures), INDENT);
    if (opool__profile_lifetime(figures, 0.5) > 0)
        write_wrapped(view, opool__profile_lifetime_classes(view->memory, figures), INDENT);
}

static void write_site(const struct view *view, const struct site *site)
{
    const char *type = opool__profile_type_text(view->memory, &site->type);
    write_columns(view, site);
    write_wrapped(view, callers_of(view, site), INDENT);
    write_wrapped(view, clean(view, site->verdict.why), INDENT);
    if (site->figures.least != site->figures.most)
        write_wrapped(view, opool__profile_size_list(view->memory, &site->figures), INDENT);
    if (site->figures.grown > 0)
        write_wrapped(view, opool__profile_grown_text(view->memory, &site->figures), INDENT);
    if (view->wide)
        write_more(view, site);
    if (type)
        write_wrapped(view, clean(view, type), INDENT);
    if (opool__profile_is_poolable(site))
        write_wrapped(view, gain_text(view, site), INDENT);
}

bool opool__profile_write_table(const struct view *view)
{
    write_head(view);
    if (view->site_count > 0)
        fprintf(view->out, "\n%-7s %12s %6s %6s %6s %6s %6s %6s %5s %6s %6s  %s\n", "VERDICT", "BYTES", "/S", "P50",
                "P99", "LIVE", "PEAK", "THREAD", "OTHER", "FAULTS", "CALLS", "GAIN OF CPU");
    for (size_t i = 0; i < view->site_count; i++)
        write_site(view, view->sites[i]);
    if (view->left_out > 0)
        fprintf(view->out, "\n%zu more sites: --top 0, or another --match\n", view->left_out);
    return true;
}
