/* SPDX-License-Identifier: MIT */
#include "plots.h"

#include <math.h>
#include <string.h>

#include "../../shapes/report.h"
#include "sites.h"

enum {
    WIDTH = 760,
    HEIGHT = 320,
    LEFT = 64,
    RIGHT = 24,
    TOP = 24,
    BOTTOM = 44,
    NAMES = 270, /* in front of the bars of gains */
    NAME_LONGEST = 40,
    VALUES = 130, /* behind them */
    BAR = 20,
    BARS_MOST = 15,
    TICKS = 5,
    MARGIN = 20, /* circles lie inside the axes */
    POINTS_MOST = 600,
    PROCESSES_MOST = 8,
    SPARK = 8, /* width of a bar of a histogram */
    SPARK_HEIGHT = 32,
    SPARK_TEXT = 16,
    SPARK_WIDTH = 320, /* for the text, at least */
};

/* ---- text ---- */

void opool__profile_html_text(const struct view *view, const char *text)
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

void opool__profile_html_element(const struct view *view, const char *name, const char *class, const char *text)
{
    fprintf(view->out, class ? "<%s class=\"%s\">" : "<%s>", name, class);
    opool__profile_html_text(view, text);
    fprintf(view->out, "</%s>\n", name);
}

const char *opool__profile_site_place(const struct view *view, const struct site *site)
{
    return site->at ? opool__profile_place(view->memory, site->at, site->level) : site->name;
}

/* ---- parts of a plot ---- */

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

/* A round distance, for at most TICKS steps from 0 to `to`. */
static double step_of(double to)
{
    double each = to / (double)TICKS, unit = pow(10, floor(log10(each)));
    return each <= unit ? unit : each <= 2 * unit ? 2 * unit : each <= 5 * unit ? 5 * unit : 10 * unit;
}

static void begin_plot(const struct view *view, double height, const char *title)
{
    opool__profile_html_element(view, "h2", NULL, title);
    fprintf(view->out, "<svg viewBox=\"0 0 %d %.0f\" width=\"%d\" role=\"img\">\n", WIDTH, height, WIDTH);
}

static void label(const struct view *view, double x, double y, const char *anchor, const char *text)
{
    fprintf(view->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    opool__profile_html_text(view, text);
    fputs("</text>\n", view->out);
}

static void title(const struct view *view, const char *text)
{
    fputs("<title>", view->out);
    opool__profile_html_text(view, text);
    fputs("</title>", view->out);
}

static void frame(const struct view *view)
{
    fprintf(view->out, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
}

static void line(const struct view *view, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(view->out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2);
}

static void tick_x(const struct view *view, double x, double top, double bottom, const char *text)
{
    line(view, "grid", x, top, x, bottom);
    label(view, x, bottom + 14, "middle", text);
}

static void tick_y(const struct view *view, double y, const char *text)
{
    line(view, "grid", LEFT, y, WIDTH - RIGHT, y);
    label(view, LEFT - 6, y + 4, "end", text);
}

/* ---- gains ---- */

static double gain_of(const struct gain *gain, bool high)
{
    if (gain->has_share)
        return fmax(0, high ? gain->high_share * 100 : gain->low_share * 100);
    return fmax(0, high ? gain->high_a_second : gain->low_a_second);
}

/* One that could be seen. */
static bool has_bar(const struct site *site, double most)
{
    double high = gain_of(&site->verdict.gain, true);
    return opool__profile_is_poolable(site) && high > 0 && high >= most / 100;
}

static double largest_gain(const struct view *view)
{
    double most = 0;
    for (size_t i = 0; i < view->site_count; i++)
        if (has_bar(view->sites[i], most))
            most = fmax(most, gain_of(&view->sites[i]->verdict.gain, true));
    return most;
}

/* The beginning of a name, in whole characters. */
static const char *cut(const struct view *view, const char *name)
{
    const char *whole = opool__shapes_clean(view->memory, name);
    size_t length = strlen(whole);
    if (length <= NAME_LONGEST)
        return whole;
    length = NAME_LONGEST - 3;
    while (length > 0 && ((unsigned char)whole[length] & 0xc0) == 0x80)
        length--;
    return opool__shapes_format(view->memory, "%.*s...", (int)length, whole);
}

static void write_bar(const struct view *view, const struct site *site, const struct scale *x, double top)
{
    const struct gain *gain = &site->verdict.gain;
    double low = at(x, gain_of(gain, false)), high = at(x, gain_of(gain, true));
    fputs("<g>", view->out);
    title(view, opool__profile_site_place(view, site));
    label(view, NAMES - 6, top + 14, "end", cut(view, site->name));
    fprintf(view->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n",
            opool__profile_kind(site->verdict.kind), low, top + 3, fmax(high - low, 1), BAR - 6);
    label(view, high + 6, top + 14, "start", opool__profile_gain_text(view->memory, gain, false));
    fputs("</g>\n", view->out);
}

void opool__profile_plot_gains(const struct view *view)
{
    double most = largest_gain(view), top = TOP;
    size_t count = 0;
    for (size_t i = 0; i < view->site_count; i++)
        count += has_bar(view->sites[i], most);
    count = count < BARS_MOST ? count : BARS_MOST;
    struct scale x = {0, most > 0 ? most : 1, NAMES, WIDTH - VALUES, false};
    double bottom = (double)TOP + (double)BAR * (double)count, step = step_of(x.to);
    begin_plot(view, bottom + (double)BOTTOM, "Sites by gain: from the lower to the upper end");
    for (int i = 0; i <= TICKS && i * step <= x.to; i++)
        tick_x(view, at(&x, i * step), TOP, bottom, opool__shapes_format(view->memory, "%.4g", i * step));
    for (size_t i = 0; i < view->site_count && count > 0; i++)
        if (has_bar(view->sites[i], most)) {
            write_bar(view, view->sites[i], &x, top);
            top += (double)BAR;
            count--;
        }
    fprintf(view->out, "<path class=\"axis\" d=\"M%d %dV%.1fH%d\"/>\n", NAMES, TOP, bottom, WIDTH - VALUES);
    label(view, WIDTH - VALUES, bottom + 32, "end", view->model->cpu_ns ? "% of the processor time" : "us a second");
    if (most <= 0)
        label(view, NAMES - 6, bottom + 14, "end", "no site that would gain anything");
    fputs("</svg>\n", view->out);
}

/* ---- size and lifetime ---- */

static void write_map_axes(const struct view *view, const struct scale *x, const struct scale *y)
{
    for (double size = 16; size < x->to; size *= 16)
        tick_x(view, at(x, size), TOP, HEIGHT - BOTTOM, opool__profile_grouped(view->memory, (uint64_t)size));
    for (double ns = 100; ns < y->to; ns *= 100)
        tick_y(view, at(y, ns), opool__profile_duration(view->memory, (uint64_t)ns));
    label(view, WIDTH - RIGHT, HEIGHT - 6, "end", "bytes an object");
    label(view, LEFT, TOP - 8, "start", "median lifetime");
    frame(view);
}

static void write_circle(const struct view *view, const struct site *site, const struct scale *x, const struct scale *y,
                         double most)
{
    const struct figures *figures = &site->figures;
    struct size_count size = opool__profile_main_size(figures);
    const char *kind = opool__profile_kind(site->verdict.kind);
    uint64_t lived = opool__profile_lifetime(figures, 0.5);
    double radius = 3 + 17 * sqrt((double)figures->allocations / most);
    if (figures->allocations == 0 || lived == 0)
        return;
    fprintf(view->out, "<circle class=\"%s\" fill-opacity=\".5\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\">", kind,
            at(x, (double)(size.count ? size.bytes : figures->most)), at(y, (double)lived), radius);
    title(view,
          opool__shapes_format(view->memory, "%s: %s bytes, %s allocations, %s", opool__profile_site_place(view, site),
                               opool__profile_sizes_text(view->memory, site),
                               opool__profile_grouped(view->memory, figures->allocations), kind));
    fputs("</circle>\n", view->out);
}

static void write_kinds(const struct view *view)
{
    double x = LEFT;
    for (int kind = KIND_POOL; kind <= KIND_NO; kind++, x += 80) {
        const char *name = opool__profile_kind((enum kind)kind);
        fprintf(view->out, "<circle class=\"%s\" cx=\"%.0f\" cy=\"%d\" r=\"5\"/>\n", name, x + 6, HEIGHT - 10);
        label(view, x + 15, HEIGHT - 6, "start", name);
    }
}

void opool__profile_plot_map(const struct view *view)
{
    struct scale x = {8, 1 << 20, LEFT + MARGIN, WIDTH - RIGHT - MARGIN, true};
    struct scale y = {64, 1e11, HEIGHT - BOTTOM - MARGIN, TOP + MARGIN, true};
    double most = 1;
    for (size_t i = 0; i < view->site_count; i++)
        most = fmax(most, (double)view->sites[i]->figures.allocations);
    begin_plot(view, HEIGHT, "Size and lifetime: a circle a site, its area by allocations, its colour by verdict");
    write_map_axes(view, &x, &y);
    for (size_t i = 0; i < view->site_count; i++)
        write_circle(view, view->sites[i], &x, &y, most);
    write_kinds(view);
    fputs("</svg>\n", view->out);
}

/* ---- bytes over time ---- */

/* The tool notes what is resident now and then: it is not known at first. */
static void write_curve(const struct view *view, const struct image *image, const struct scale *x,
                        const struct scale *y, bool is_resident)
{
    size_t step = image->point_count / POINTS_MOST + 1;
    fprintf(view->out, "<polyline class=\"%s\" points=\"", is_resident ? "resident" : "used");
    for (size_t i = 0; i < image->point_count; i += step) {
        const struct opool__profile_point *point = &image->points[i];
        uint64_t bytes = is_resident ? point->resident_bytes : opool__profile_in_use(&image->header, point->live_bytes);
        if (bytes > 0 || !is_resident)
            fprintf(view->out, "%.1f,%.1f ", at(x, (double)point->at_ns / 1e9), at(y, (double)bytes));
    }
    fputs("\">", view->out);
    title(view,
          opool__shapes_format(view->memory, "pid %u: %s", image->header.pid, is_resident ? "resident" : "in use"));
    fputs("</polyline>\n", view->out);
}

static void write_curves(const struct view *view, const struct scale *x, const struct scale *y)
{
    const struct images *images = view->model->images;
    for (size_t i = 0; i < images->count && i < PROCESSES_MOST; i++) {
        write_curve(view, &images->all[i], x, y, true);
        if (images->all[i].header.mode != OPOOL__PROFILE_COUNTS) /* it sees no frees */
            write_curve(view, &images->all[i], x, y, false);
    }
}

static void fit_time(const struct images *images, struct scale *x, struct scale *y)
{
    for (size_t i = 0; i < images->count && i < PROCESSES_MOST; i++)
        for (size_t k = 0; k < images->all[i].point_count; k++) {
            const struct opool__profile_point *point = &images->all[i].points[k];
            x->to = fmax(x->to, (double)point->at_ns / 1e9);
            y->to = fmax(y->to, (double)opool__profile_in_use(&images->all[i].header, point->live_bytes));
            y->to = fmax(y->to, (double)point->resident_bytes);
        }
}

void opool__profile_plot_time(const struct view *view)
{
    struct scale x = {0, 0, LEFT, WIDTH - RIGHT, false}, y = {0, 0, HEIGHT - BOTTOM, TOP, false};
    struct memory *memory = view->memory;
    fit_time(view->model->images, &x, &y);
    x.to = x.to > 0 ? x.to : 1;
    y.to = y.to > 0 ? y.to : 1;
    double step_x = step_of(x.to), step_y = step_of(y.to);
    begin_plot(view, HEIGHT,
               view->model->images->count > PROCESSES_MOST ? "Bytes over time, of the first eight processes"
                                                           : "Bytes over time");
    for (int i = 0; i <= TICKS && i * step_x <= x.to; i++)
        tick_x(view, at(&x, i * step_x), TOP, HEIGHT - BOTTOM, opool__shapes_format(memory, "%.4g", i * step_x));
    for (int i = 0; i <= TICKS && i * step_y <= y.to; i++)
        tick_y(view, at(&y, i * step_y), opool__profile_short(memory, i * step_y));
    write_curves(view, &x, &y);
    frame(view);
    label(view, LEFT, TOP - 8, "start", "bytes");
    label(view, WIDTH - RIGHT, HEIGHT - 6, "end", "seconds since the process began");
    line(view, "used", LEFT, HEIGHT - 10, LEFT + 20, HEIGHT - 10);
    label(view, LEFT + 26, HEIGHT - 6, "start", "in use");
    line(view, "resident", LEFT + 90, HEIGHT - 10, LEFT + 110, HEIGHT - 10);
    label(view, LEFT + 116, HEIGHT - 6, "start", "resident, recorder included");
    fputs("</svg>\n", view->out);
}

/* ---- histograms ---- */

/* Bars from the first class that has any to the last one; `what` says which these are. */
static void write_histogram(const struct view *view, const uint64_t *counts, int first, int last, const char *what)
{
    double most = 1;
    int width = (last - first + 1) * SPARK;
    for (int i = first; i <= last; i++)
        most = fmax(most, (double)counts[i]);
    fprintf(view->out, "<svg class=\"bars\" viewBox=\"0 0 %d %d\" width=\"%d\">",
            width > SPARK_WIDTH ? width : SPARK_WIDTH, SPARK_HEIGHT + SPARK_TEXT,
            width > SPARK_WIDTH ? width : SPARK_WIDTH);
    for (int i = first; i <= last; i++) {
        double height = fmax((double)SPARK_HEIGHT * (double)counts[i] / most, 1);
        if (counts[i] > 0)
            fprintf(view->out, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"#0969da\"/>",
                    (i - first) * SPARK, (double)SPARK_HEIGHT - height, SPARK - 1, height);
    }
    line(view, "axis", 0, SPARK_HEIGHT, width, SPARK_HEIGHT);
    label(view, 0, SPARK_HEIGHT + 12, "start", what);
    fputs("</svg>\n", view->out);
}

/* Of the classes that have any; false: there are none. */
static bool find_ends(const uint64_t *counts, int classes, int *first, int *last)
{
    *first = 0;
    *last = classes - 1;
    while (*first < classes && counts[*first] == 0)
        ++*first;
    while (*last > *first && counts[*last] == 0)
        --*last;
    return *first < classes;
}

void opool__profile_plot_sizes(const struct view *view, const struct figures *figures)
{
    int first, last;
    struct memory *memory = view->memory;
    if (find_ends(figures->size_classes, OPOOL__PROFILE_SIZE_CLASSES, &first, &last))
        write_histogram(view, figures->size_classes, first, last,
                        opool__shapes_format(memory, "sizes: %s to %s bytes, a bar a power of two",
                                             opool__profile_grouped(memory, first ? (uint64_t)1 << first : 0),
                                             opool__profile_grouped(memory, ((uint64_t)2 << last) - 1)));
}

void opool__profile_plot_lifetimes(const struct view *view, const struct figures *figures)
{
    int first, last;
    struct memory *memory = view->memory;
    if (!find_ends(figures->lifetimes, OPOOL__PROFILE_LIFETIMES, &first, &last))
        return;
    const char *from = opool__profile_duration(memory, opool__profile_lifetime_from((uint32_t)first));
    const char *to = last + 1 < OPOOL__PROFILE_LIFETIMES
                         ? opool__profile_duration(memory, opool__profile_lifetime_from((uint32_t)last + 1))
                         : "ever";
    write_histogram(view, figures->lifetimes, first, last,
                    opool__shapes_format(memory, "lifetimes: %s to %s, two bars an octave", from, to));
}
