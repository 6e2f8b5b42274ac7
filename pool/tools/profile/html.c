/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>

#include "../shapes/report.h"
#include "sites.h"
#include "view.h"

/* One page that needs nothing else: no script, no font, no picture from anywhere. Plots are SVG. */

enum {
    WIDTH = 640,
    HEIGHT = 320,
    LEFT = 64,
    RIGHT = 16,
    TOP = 16,
    BOTTOM = 40,
    BAR = 20,
    BARS_MOST = 15,
    POINTS_MOST = 600,
    STACKS_MOST = 8,
    PROCESSES_MOST = 8,
    SPARK = 4, /* width of a bar of a histogram */
    SPARK_HEIGHT = 32,
};

static const char style[] =
    "<style>body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:84em;padding:0 "
    "1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}"
    "th,td{padding:.25em .5em;text-align:right;border-bottom:1px solid #ddd;vertical-align:top;white-space:nowrap}"
    "th:last-child,td:last-child,th:first-child,td:first-child{text-align:left}td:last-child{white-space:normal}"
    "svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#444}.note{color:#755}.why{color:#555}"
    ".axis{stroke:#999;fill:none}.grid{stroke:#eee}code{font-size:.95em;overflow-wrap:anywhere}.POOL{fill:#1a7f37;"
    "color:#1a7f37}"
    ".UNIFY{fill:#0969da;color:#0969da}.CONTEXT{fill:#8250df;color:#8250df}.BATCH{fill:#9a6700;color:#9a6700}"
    ".KEEP{fill:#8c959f;color:#6e7781}.NO{fill:#cf222e;color:#cf222e}</style>\n";

/* ---- text ---- */

static void escape(const struct view *view, const char *text)
{
    for (const char *c = opool__shapes_clean(view->memory, text ? text : ""); *c; c++)
        switch (*c) {
        case '&':
            fputs("&amp;", view->out);
            break;
        case '<':
            fputs("&lt;", view->out);
            break;
        case '>':
            fputs("&gt;", view->out);
            break;
        case '"':
            fputs("&quot;", view->out);
            break;
        case '\'':
            fputs("&#39;", view->out);
            break;
        default:
            fputc(*c, view->out);
        }
}

static void element(const struct view *view, const char *name, const char *class, const char *text)
{
    fprintf(view->out, class ? "<%s class=\"%s\">" : "<%s>", name, class);
    escape(view, text);
    fprintf(view->out, "</%s>\n", name);
}

static const char *place_of(const struct view *view, const struct site *site)
{
    return site->at ? opool__profile_place(view->memory, site->at, site->level) : site->name;
}

/* ---- plots ---- */

/* Where a value stands on an axis. */
struct scale {
    double from, to; /* values */
    double start, end;
    bool is_log;
};

static double at(const struct scale *scale, double value)
{
    double from = scale->is_log ? log2(scale->from) : scale->from, to = scale->is_log ? log2(scale->to) : scale->to;
    double v = scale->is_log ? log2(value > 0 ? value : scale->from) : value;
    double share = to > from ? (v - from) / (to - from) : 0;
    return scale->start + fmin(fmax(share, 0), 1) * (scale->end - scale->start);
}

static void begin_plot(const struct view *view, double height, const char *title)
{
    element(view, "h2", NULL, title);
    fprintf(view->out, "<svg viewBox=\"0 0 %d %.0f\" width=\"%d\" role=\"img\">\n", WIDTH, height, WIDTH);
}

static void label(const struct view *view, double x, double y, const char *anchor, const char *text)
{
    fprintf(view->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    escape(view, text);
    fputs("</text>\n", view->out);
}

static void frame(const struct view *view)
{
    fprintf(view->out, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
}

static void line(const struct view *view, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(view->out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2);
}

/* A bubble a site: how large its objects are, how long they live, how many there are. */
static void write_map_axes(const struct view *view, const struct scale *x, const struct scale *y)
{
    for (double size = 1; size < x->to; size *= 16)
        if (size >= x->from) {
            line(view, "grid", at(x, size), TOP, at(x, size), HEIGHT - BOTTOM);
            label(view, at(x, size), HEIGHT - BOTTOM + 14, "middle",
                  opool__profile_grouped(view->memory, (uint64_t)size));
        }
    for (double ns = 100; ns <= 1e13; ns *= 100)
        if (ns >= y->from && ns <= y->to) {
            line(view, "grid", LEFT, at(y, ns), WIDTH - RIGHT, at(y, ns));
            label(view, LEFT - 6, at(y, ns) + 4, "end", opool__profile_duration(view->memory, (uint64_t)ns));
        }
    label(view, WIDTH - RIGHT, HEIGHT - 6, "end", "bytes an object");
    label(view, LEFT, TOP - 4, "start", "median lifetime");
    frame(view);
}

static void write_bubble(const struct view *view, const struct site *site, const struct scale *x, const struct scale *y,
                         double most)
{
    const struct figures *figures = &site->figures;
    struct size_count size = opool__profile_main_size(figures);
    uint64_t lived = opool__profile_lifetime(figures, 0.5);
    double radius = 3 + 17 * sqrt((double)figures->allocations / most);
    if (figures->allocations == 0 || lived == 0)
        return;
    fprintf(view->out, "<circle class=\"%s\" fill-opacity=\".5\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"><title>",
            opool__profile_kind(site->verdict.kind), at(x, (double)(size.count ? size.bytes : figures->most)),
            at(y, (double)lived), radius);
    escape(view, opool__shapes_format(view->memory, "%s: %s bytes, %s allocations, %s", place_of(view, site),
                                      opool__profile_sizes_text(view->memory, site),
                                      opool__profile_grouped(view->memory, figures->allocations),
                                      opool__profile_kind(site->verdict.kind)));
    fputs("</title></circle>\n", view->out);
}

static void write_map(const struct view *view)
{
    struct scale x = {8, 1 << 20, LEFT, WIDTH - RIGHT, true}, y = {64, 1e10, HEIGHT - BOTTOM, TOP, true};
    double most = 1;
    for (size_t i = 0; i < view->site_count; i++)
        most = fmax(most, (double)view->sites[i]->figures.allocations);
    begin_plot(view, HEIGHT, "Size and lifetime: a circle a site, its area by allocations, its colour by verdict");
    write_map_axes(view, &x, &y);
    for (size_t i = 0; i < view->site_count; i++)
        write_bubble(view, view->sites[i], &x, &y, most);
    double at_x = LEFT;
    for (int kind = KIND_POOL; kind <= KIND_NO; kind++, at_x += 76) {
        fprintf(view->out, "<circle class=\"%s\" cx=\"%.0f\" cy=\"%d\" r=\"5\"/>\n",
                opool__profile_kind((enum kind)kind), at_x + 6, HEIGHT - 10);
        label(view, at_x + 15, HEIGHT - 6, "start", opool__profile_kind((enum kind)kind));
    }
    fputs("</svg>\n", view->out);
}

static double gain_of(const struct gain *gain, bool high)
{
    if (gain->has_share)
        return fmax(0, high ? gain->high_share * 100 : gain->low_share * 100);
    return fmax(0, high ? gain->high_a_second : gain->low_a_second);
}

static void write_bar(const struct view *view, const struct site *site, const struct scale *x, double top)
{
    const struct gain *gain = &site->verdict.gain;
    double low = at(x, gain_of(gain, false)), high = at(x, gain_of(gain, true));
    fprintf(view->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n",
            opool__profile_kind(site->verdict.kind), low, top + 3, fmax(high - low, 1), BAR - 6);
    label(
        view, fmin(high + 6, WIDTH - 200), top + 14, "start",
        opool__shapes_format(view->memory, "%s: %s", site->name, opool__profile_gain_text(view->memory, gain, false)));
}

static void write_bars(const struct view *view)
{
    struct site **sites = view->sites;
    size_t count = 0;
    double most = 0;
    for (size_t i = 0; i < view->site_count; i++)
        if (opool__profile_is_poolable(sites[i]) && gain_of(&sites[i]->verdict.gain, true) > 0 && count++ < BARS_MOST)
            most = fmax(most, gain_of(&sites[i]->verdict.gain, true));
    count = count < BARS_MOST ? count : BARS_MOST;
    struct scale x = {0, most > 0 ? most : 1, LEFT, WIDTH - 240, false};
    begin_plot(view, (double)(TOP + BAR * (int)count + BOTTOM), "Sites by gain: from the lower to the upper end");
    double top = TOP;
    for (size_t i = 0; i < view->site_count && count > 0; i++)
        if (opool__profile_is_poolable(sites[i]) && gain_of(&sites[i]->verdict.gain, true) > 0) {
            write_bar(view, sites[i], &x, top);
            top += (double)BAR;
            count--;
        }
    line(view, "axis", LEFT, TOP, LEFT, top);
    line(view, "axis", LEFT, top, x.end, top);
    label(view, LEFT, top + 14, "middle", "0");
    label(view, x.end, top + 14, "end",
          opool__shapes_format(view->memory, view->model->cpu_ns ? "%.3g %% of CPU" : "%.3g us/s", x.to));
    fputs("</svg>\n", view->out);
}

static void write_curve(const struct view *view, const struct image *image, const struct scale *x,
                        const struct scale *y, bool is_resident)
{
    size_t step = image->point_count / POINTS_MOST + 1;
    fprintf(view->out, "<polyline fill=\"none\" stroke=\"%s\" points=\"", is_resident ? "#bbb" : "#0969da");
    for (size_t i = 0; i < image->point_count; i += step)
        fprintf(view->out, "%.1f,%.1f ", at(x, (double)image->points[i].at_ns / 1e9),
                at(y, (double)(is_resident ? image->points[i].resident_bytes : image->points[i].live_bytes)));
    fputs("\"><title>", view->out);
    escape(view,
           opool__shapes_format(view->memory, "pid %u: %s", image->header.pid, is_resident ? "resident" : "in use"));
    fputs("</title></polyline>\n", view->out);
}

static void write_time(const struct view *view)
{
    const struct images *images = view->model->images;
    struct scale x = {0, 0, LEFT, WIDTH - RIGHT, false}, y = {0, 0, HEIGHT - BOTTOM, TOP, false};
    for (size_t i = 0; i < images->count; i++)
        for (size_t k = 0; k < images->all[i].point_count; k++) {
            const struct opool__profile_point *point = &images->all[i].points[k];
            x.to = fmax(x.to, (double)point->at_ns / 1e9);
            y.to = fmax(y.to, fmax((double)point->live_bytes, (double)point->resident_bytes));
        }
    begin_plot(view, HEIGHT, "Bytes over time: in use (blue), resident (grey)");
    for (size_t i = 0; i < images->count && i < PROCESSES_MOST; i++)
        if (images->all[i].point_count > 0) {
            write_curve(view, &images->all[i], &x, &y, true);
            write_curve(view, &images->all[i], &x, &y, false);
        }
    frame(view);
    label(view, LEFT - 6, TOP + 4, "end", opool__profile_short(view->memory, y.to));
    label(view, LEFT - 6, HEIGHT - BOTTOM, "end", "0");
    label(view, WIDTH - RIGHT, HEIGHT - BOTTOM + 14, "end", opool__shapes_format(view->memory, "%.3g s", x.to));
    fputs("</svg>\n", view->out);
}

/* ---- the table ---- */

static void cell(const struct view *view, const char *text)
{
    fputs("<td>", view->out);
    escape(view, text);
    fputs("</td>", view->out);
}

static void write_stack(const struct view *view, const struct stack *stack)
{
    fputs("<p class=\"why\">", view->out);
    escape(view, opool__shapes_format(view->memory, "%s allocations",
                                      opool__profile_grouped(view->memory, stack->figures.allocations)));
    for (size_t i = 0; i < stack->depth; i++)
        for (size_t k = 0; k < (stack->frames[i]->line_count ? stack->frames[i]->line_count : 1); k++) {
            fputs("<br><code>", view->out);
            escape(view, opool__profile_place(view->memory, stack->frames[i], k));
            fputs("</code>", view->out);
        }
    fputs("</p>", view->out);
}

/* Lifetimes as bars, two an octave, from 64 ns on the left to hours on the right. */
static void write_lifetimes(const struct view *view, const struct figures *figures)
{
    uint64_t most = 0;
    for (int i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        most = figures->lifetimes[i] > most ? figures->lifetimes[i] : most;
    if (most == 0)
        return;
    fprintf(view->out,
            "<svg class=\"bars\" viewBox=\"0 0 %d %d\" width=\"%d\"><title>lifetimes: two bars an octave from 64 "
            "ns</title>",
            OPOOL__PROFILE_LIFETIMES * SPARK, SPARK_HEIGHT, OPOOL__PROFILE_LIFETIMES * SPARK);
    for (int i = 0; i < OPOOL__PROFILE_LIFETIMES; i++) {
        double height = (double)SPARK_HEIGHT * (double)figures->lifetimes[i] / (double)most;
        if (figures->lifetimes[i] > 0)
            fprintf(view->out, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"#0969da\"/>", i * SPARK,
                    (double)SPARK_HEIGHT - fmax(height, 1), SPARK - 1, fmax(height, 1));
    }
    fputs("</svg>\n", view->out);
}

static void write_details(const struct view *view, const struct site *site)
{
    const char *type = opool__profile_type_text(view->memory, &site->type);
    fputs("<td><details><summary><code>", view->out);
    escape(view, place_of(view, site));
    fputs("</code></summary>", view->out);
    element(view, "p", "why", opool__profile_size_list(view->memory, &site->figures));
    write_lifetimes(view, &site->figures);
    for (size_t i = 0; i < site->stack_count && i < STACKS_MOST; i++)
        write_stack(view, site->stacks[i]);
    if (site->stack_count > STACKS_MOST)
        element(view, "p", "why",
                opool__shapes_format(view->memory, "and %zu more stacks", site->stack_count - STACKS_MOST));
    fputs("</details><span class=\"why\">", view->out);
    escape(view, site->verdict.why);
    if (type)
        escape(view, opool__shapes_format(view->memory, "; %s", type));
    fputs("</span></td>", view->out);
}

static void write_row(const struct view *view, const struct site *site)
{
    struct memory *memory = view->memory;
    const struct figures *figures = &site->figures;
    const char *kind = opool__profile_kind(site->verdict.kind);
    fprintf(view->out, "<tr><td class=\"%s\">%s</td>", kind, kind);
    cell(view, opool__profile_sizes_text(memory, site));
    cell(view, opool__profile_grouped(memory, figures->allocations));
    cell(view, opool__profile_duration(memory, opool__profile_lifetime(figures, 0.5)));
    cell(view, opool__profile_duration(memory, opool__profile_lifetime(figures, 0.99)));
    cell(view, opool__profile_short(memory, (double)figures->live_peak));
    cell(view,
         opool__shapes_format(memory, "%.0f %%",
                              figures->frees ? 100 * (double)figures->foreign_frees / (double)figures->frees : 0));
    cell(view, opool__profile_short(memory, (double)figures->faults));
    cell(view, opool__profile_short(memory, (double)figures->breaks + (double)figures->maps));
    cell(view,
         !opool__profile_is_poolable(site) ? "-"
         : site->verdict.is_noise
             ? opool__shapes_format(memory, "noise (%s)", opool__profile_gain_text(memory, &site->verdict.gain, false))
             : opool__profile_gain_text(memory, &site->verdict.gain, true));
    write_details(view, site);
    fputs("</tr>\n", view->out);
}

static void write_table(const struct view *view)
{
    fputs("<h2>Sites</h2>\n<table><thead><tr><th>verdict<th>bytes<th>allocations<th>p50<th>p99<th>peak<th>other "
          "threads<th>faults"
          "<th>brk, map<th>gain<th>site</tr></thead><tbody>\n",
          view->out);
    for (size_t i = 0; i < view->site_count; i++)
        write_row(view, view->sites[i]);
    fputs("</tbody></table>\n", view->out);
}

bool opool__profile_write_html(const struct view *view)
{
    const struct opool__profile_header *header = &view->model->images->all[0].header;
    const char *name = header->arguments[0] ? header->arguments : header->program;
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n", view->out);
    element(view, "title", NULL, opool__shapes_format(view->memory, "opool profile: %s", name));
    fprintf(view->out, "%s</head><body>\n", style);
    element(view, "h1", NULL, name);
    element(view, "p", NULL,
            opool__shapes_format(view->memory, "%.1f s recorded, %.2f s of CPU, %s allocations from %zu sites",
                                 view->model->seconds, (double)view->model->cpu_ns / 1e9,
                                 opool__profile_grouped(view->memory, view->model->allocations),
                                 view->model->site_count));
    element(view, "p", NULL, opool__profile_summary(view->memory, view->model));
    if (opool__profile_memory_text(view->memory, view->model))
        element(view, "p", NULL, opool__profile_memory_text(view->memory, view->model));
    for (size_t i = 0; i < view->note_count; i++)
        element(view, "p", "note", opool__shapes_format(view->memory, "Note: %s", view->notes[i]));
    write_bars(view);
    write_map(view);
    write_time(view);
    write_table(view);
    fputs("</body></html>\n", view->out);
    return true;
}
