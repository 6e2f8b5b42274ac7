/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "sites.h"
#include "view.h"

/* One object (RFC 8259). "version" counts up when a name changes its meaning or goes. */
enum { JSON_VERSION = 1 };

/* ---- values ---- */

static void key(const struct view *view, const char *name, bool first)
{
    fprintf(view->out, "%s\"%s\":", first ? "" : ",", name);
}

static void string(const struct view *view, const char *name, const char *text, bool first)
{
    key(view, name, first);
    if (text)
        opool__profile_json_string(view->out, view->memory, text);
    else
        fputs("null", view->out);
}

static void number(const struct view *view, const char *name, uint64_t value)
{
    key(view, name, false);
    fprintf(view->out, "%" PRIu64, value);
}

static void real(const struct view *view, const char *name, double value)
{
    key(view, name, false);
    fprintf(view->out, "%.9g", value);
}

static void boolean(const struct view *view, const char *name, bool value)
{
    key(view, name, false);
    fputs(value ? "true" : "false", view->out);
}

/* ---- parts ---- */

static void write_gain(const struct view *view, const struct gain *gain)
{
    key(view, "gain", false);
    fprintf(view->out, "{\"us_per_s\":[%.9g,%.9g],\"cpu\":", gain->low_a_second, gain->high_a_second);
    if (!gain->has_share)
        fputs("null}", view->out);
    else
        fprintf(view->out, "[%.9g,%.9g]}", gain->low_share, gain->high_share);
}

static void write_sizes(const struct view *view, const struct figures *figures)
{
    key(view, "sizes", false);
    fputc('[', view->out);
    for (size_t i = 0; i < figures->size_count; i++)
        fprintf(view->out, "%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", figures->sizes[i].bytes,
                figures->sizes[i].count);
    fputc(']', view->out);
    number(view, "other_sizes", figures->other_sizes);
    key(view, "size_classes", false);
    for (int i = 0; i < OPOOL__PROFILE_SIZE_CLASSES; i++)
        fprintf(view->out, "%s%" PRIu64, i ? "," : "[", figures->size_classes[i]);
    fputc(']', view->out);
}

static void write_lifetimes(const struct view *view, const struct figures *figures)
{
    number(view, "lifetime_p50_ns", opool__profile_lifetime(figures, 0.5));
    number(view, "lifetime_p99_ns", opool__profile_lifetime(figures, 0.99));
    key(view, "lifetimes", false);
    for (int i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        fprintf(view->out, "%s%" PRIu64, i ? "," : "[", figures->lifetimes[i]);
    fputc(']', view->out);
}

static void write_figures(const struct view *view, const struct figures *figures)
{
    number(view, "allocations", figures->allocations);
    number(view, "bytes", figures->bytes);
    number(view, "frees", figures->frees);
    number(view, "foreign_frees", figures->foreign_frees);
    number(view, "live", figures->live);
    number(view, "live_bytes", figures->live_bytes);
    number(view, "live_peak", figures->live_peak);
    number(view, "live_peak_bytes", figures->live_peak_bytes);
    number(view, "thread_peak", figures->thread_peak);
    number(view, "threads", figures->threads);
    number(view, "least", figures->least);
    number(view, "most", figures->most);
    number(view, "alignment", figures->alignment);
    number(view, "grown", figures->grown);
    number(view, "grown_bytes", figures->grown_bytes);
    number(view, "moved_bytes", figures->moved_bytes);
    number(view, "faults", figures->faults);
    number(view, "breaks", figures->breaks);
    number(view, "maps", figures->maps);
    number(view, "fresh_bytes", figures->fresh_bytes);
    number(view, "burst", figures->burst);
    write_sizes(view, figures);
    write_lifetimes(view, figures);
}

static void write_type(const struct view *view, const struct type_guess *type)
{
    static const char *const sure[] = {"", "size", "function", "line"};
    key(view, "type", false);
    if (!type->name) {
        fputs("null", view->out);
        return;
    }
    fputc('{', view->out);
    string(view, "name", type->name, true);
    string(view, "by", sure[type->sure], false);
    string(view, "others", type->others, false);
    string(view, "file", type->file, false);
    number(view, "line", (uint64_t)type->line);
    key(view, "fixed_shape", false);
    fputs(!type->is_judged ? "null" : type->is_fixed ? "true" : "false", view->out);
    string(view, "obstacle", type->obstacle, false);
    fputc('}', view->out);
}

static void write_verdict(const struct view *view, const struct site *site)
{
    const struct judgement *verdict = &site->verdict;
    string(view, "verdict", opool__profile_kind(verdict->kind), false);
    string(view, "why", verdict->why, false);
    number(view, "use_size", verdict->size);
    key(view, "classes", false);
    for (unsigned i = 0; i < verdict->classes.classes && verdict->kind == KIND_UNIFY; i++)
        fprintf(view->out, "%s%" PRIu64, i ? "," : "[", verdict->classes.bytes[i]);
    fputs(verdict->kind == KIND_UNIFY && verdict->classes.classes ? "]" : "[]", view->out);
    real(view, "waste", verdict->kind == KIND_UNIFY ? verdict->classes.waste : 0);
    boolean(view, "below_noise", verdict->is_noise);
    boolean(view, "for_memory", verdict->for_memory);
    string(view, "context", verdict->of ? verdict->of->create : NULL, false);
    write_gain(view, &verdict->gain);
}

static void write_frames(const struct view *view, const struct stack *stack)
{
    fputc('[', view->out);
    for (size_t i = 0; i < stack->depth; i++)
        fprintf(view->out, "%s%zu", i ? "," : "", stack->frames[i]->number - 1);
    fputc(']', view->out);
}

static void write_stacks(const struct view *view, const struct site *site)
{
    key(view, "stacks", false);
    for (size_t i = 0; i < site->stack_count; i++) {
        const struct stack *stack = site->stacks[i];
        fprintf(view->out,
                "%s{\"function\":\"%c\",\"allocations\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"frames\":", i ? "," : "[",
                stack->function, stack->figures.allocations, stack->figures.bytes);
        write_frames(view, stack);
        fputc('}', view->out);
    }
    fputc(']', view->out);
}

static void write_site(const struct view *view, const struct site *site, bool first)
{
    fputs(first ? "{" : ",\n{", view->out);
    string(view, "site", site->name, true);
    string(view, "place", site->at ? opool__profile_place(view->memory, site->at, site->level) : site->name, false);
    write_verdict(view, site);
    write_type(view, &site->type);
    write_figures(view, &site->figures);
    write_stacks(view, site);
    fputc('}', view->out);
}

static void write_frame(const struct view *view, const struct frame *frame, bool first)
{
    fputs(first ? "{" : ",\n{", view->out);
    string(view, "binary", frame->binary ? frame->binary->path : NULL, true);
    number(view, "offset", frame->offset);
    key(view, "lines", false);
    fputc('[', view->out);
    for (size_t i = 0; i < frame->line_count; i++) {
        fputs(i ? ",{" : "{", view->out);
        string(view, "function", frame->lines[i].function, true);
        string(view, "file", frame->lines[i].file, false);
        number(view, "line", (uint64_t)frame->lines[i].line);
        fputc('}', view->out);
    }
    fputs("]}", view->out);
}

static void write_process(const struct view *view, const struct image *image, bool first)
{
    static const char *const endings[] = {"running", "exited", "execed"};
    const struct opool__profile_header *header = &image->header;
    fputs(first ? "{" : ",\n{", view->out);
    string(view, "program", header->program, true);
    string(view, "arguments", header->arguments, false);
    string(view, "state", header->ended < 3 ? endings[header->ended] : NULL, false);
    number(view, "pid", header->pid);
    number(view, "parent", header->parent);
    number(view, "mode", header->mode);
    number(view, "every", header->every);
    real(view, "seconds", (double)header->recorded_ns / 1e9);
    real(view, "cpu_seconds", (double)header->cpu_ns / 1e9);
    number(view, "started", header->epoch_s);
    number(view, "allocations", header->allocations);
    number(view, "frees", header->frees);
    number(view, "lost_sites", header->lost_sites);
    number(view, "lost_records", header->lost_records);
    number(view, "lost_blocks", header->lost_blocks);
    number(view, "lost_modules", header->lost_modules);
    key(view, "timeline", false);
    fputc('[', view->out);
    for (size_t i = 0; i < image->point_count; i++) {
        const struct opool__profile_point *point = &image->points[i];
        fprintf(view->out, "%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", i ? "," : "", point->at_ns,
                opool__profile_in_use(header, point->live_bytes), opool__profile_in_use(header, point->live_blocks),
                point->resident_bytes);
    }
    fputs("]}", view->out);
}

static void write_costs(const struct view *view)
{
    const struct costs *costs = view->costs;
    key(view, "costs_ns", false);
    fputs("{\"malloc\":", view->out);
    for (int i = 0; i < COST_SIZES; i++)
        fprintf(view->out, "%s[%" PRIu64 ",%.4g,%.4g]", i ? "," : "[", opool__profile_cost_sizes[i],
                costs->allocation[i].low, costs->allocation[i].high);
    fprintf(
        view->out,
        "],\"pool\":[%.4g,%.4g],\"fault\":[%.4g,%.4g],\"brk\":[%.4g,%.4g],\"map\":[%.4g,%.4g],\"cpuid\":[%.4g,%.4g],"
        "\"fill\":[%.4g,%.4g],\"clock\":[%.4g,%.4g]}",
        costs->pool.low, costs->pool.high, costs->fault.low, costs->fault.high, costs->brk.low, costs->brk.high,
        costs->map.low, costs->map.high, costs->cpuid.low, costs->cpuid.high, costs->fill.low, costs->fill.high,
        costs->clock.low, costs->clock.high);
}

/* ---- the whole ---- */

bool opool__profile_write_json(const struct view *view)
{
    const struct model *model = view->model;
    fprintf(view->out, "{\"opool_profile\":%d", JSON_VERSION);
    string(view, "summary", opool__profile_summary(view->memory, model), false);
    key(view, "notes", false);
    fputc('[', view->out);
    for (size_t i = 0; i < view->note_count; i++) {
        fputs(i ? "," : "", view->out);
        opool__profile_json_string(view->out, view->memory, view->notes[i]);
    }
    fputc(']', view->out);
    real(view, "seconds", model->seconds);
    real(view, "cpu_seconds", (double)model->cpu_ns / 1e9);
    number(view, "allocations", model->allocations);
    number(view, "frees", model->frees);
    number(view, "threads", model->threads);
    number(view, "left_out", view->left_out);
    write_costs(view);
    key(view, "processes", false);
    fputc('[', view->out);
    for (size_t i = 0; i < model->images->count; i++)
        write_process(view, &model->images->all[i], i == 0);
    fputs("]", view->out);
    key(view, "sites", false);
    fputc('[', view->out);
    for (size_t i = 0; i < view->site_count; i++)
        write_site(view, view->sites[i], i == 0);
    fputs("]", view->out);
    key(view, "frames", false);
    fputc('[', view->out);
    for (size_t i = 0; i < model->frame_count; i++)
        write_frame(view, model->frames[i], i == 0);
    fputs("]}\n", view->out);
    return true;
}
