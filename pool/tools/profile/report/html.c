/* SPDX-License-Identifier: MIT */
#include "../../shapes/report.h"
#include "plots.h"
#include "sites.h"

/* One page that needs nothing else: no script, no font, no picture from anywhere. Plots are SVG. */

enum { STACKS_MOST = 8 };

static const char style[] =
    "<style>\n"
    "body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:104em;padding:0 "
    "1em;color:#222;background:#fff}\n"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}\n"
    "th,td{padding:.25em .5em;text-align:right;border-bottom:1px solid #ddd;vertical-align:top;white-space:nowrap}\n"
    "th:last-child,td:last-child,th:first-child,td:first-child{text-align:left}\n"
    "td:last-child,td:nth-last-child(2){white-space:normal}td:last-child{min-width:24em}\n"
    "svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#444}\n"
    "svg.bars{display:block;margin:.5em 0;max-width:none}.note{color:#755}.why{color:#555}\n"
    "code{font-size:.95em;overflow-wrap:anywhere}.axis{stroke:#999;fill:none}.grid{stroke:#eee}\n"
    ".used,.resident{fill:none;stroke:#0969da;stroke-width:1.5}.resident{stroke:#8c959f}\n"
    ".POOL{fill:#1a7f37;color:#1a7f37}.UNIFY{fill:#0969da;color:#0969da}.CONTEXT{fill:#8250df;color:#8250df}\n"
    ".BATCH{fill:#9a6700;color:#9a6700}.KEEP{fill:#8c959f;color:#6e7781}.NO{fill:#cf222e;color:#cf222e}\n"
    "</style>\n";

/* ---- the table ---- */

static void cell(const struct view *view, const char *text)
{
    fputs("<td>", view->out);
    opool__profile_html_text(view, text);
    fputs("</td>", view->out);
}

static void write_stack(const struct view *view, const struct stack *stack)
{
    fputs("<p class=\"why\">", view->out);
    opool__profile_html_text(view,
                             opool__shapes_format(view->memory, "%s allocations",
                                                  opool__profile_grouped(view->memory, stack->figures.allocations)));
    for (size_t i = 0; i < stack->depth; i++)
        for (size_t k = 0; k < (stack->frames[i]->line_count ? stack->frames[i]->line_count : 1); k++) {
            fputs("<br><code>", view->out);
            opool__profile_html_text(view, opool__profile_place(view->memory, stack->frames[i], k));
            fputs("</code>", view->out);
        }
    fputs("</p>", view->out);
}

static void write_details(const struct view *view, const struct site *site)
{
    const char *type = opool__profile_type_text(view->memory, &site->type);
    fputs("<td><details><summary><code>", view->out);
    opool__profile_html_text(view, opool__profile_site_place(view, site));
    fputs("</code></summary>", view->out);
    opool__profile_html_element(view, "p", "why", opool__profile_size_list(view->memory, &site->figures));
    opool__profile_plot_sizes(view, &site->figures);
    opool__profile_plot_lifetimes(view, &site->figures);
    for (size_t i = 0; i < site->stack_count && i < STACKS_MOST; i++)
        write_stack(view, site->stacks[i]);
    if (site->stack_count > STACKS_MOST)
        opool__profile_html_element(
            view, "p", "why",
            opool__shapes_format(view->memory, "and %zu more stacks", site->stack_count - STACKS_MOST));
    fputs("</details><span class=\"why\">", view->out);
    opool__profile_html_text(view, site->verdict.why);
    if (type)
        opool__profile_html_text(view, opool__shapes_format(view->memory, "; %s", type));
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
    cell(view, opool__profile_lifetime_text(memory, figures, 0.5));
    cell(view, opool__profile_lifetime_text(memory, figures, 0.99));
    cell(view, opool__profile_blocks_text(memory, figures, figures->live));
    cell(view, opool__profile_blocks_text(memory, figures, figures->live_peak));
    cell(view, opool__profile_blocks_text(memory, figures, figures->thread_peak));
    cell(view, opool__profile_share_text(memory, figures->foreign_frees, figures->frees));
    cell(view, figures->grown > 0 ? opool__profile_short(memory, (double)figures->grown_bytes) : "-");
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
    fputs(
        "<h2>Sites</h2>\n<table><thead><tr><th>verdict<th>bytes<th>allocations<th>p50<th>p99<th>in use<th>peak<th>in "
        "one "
        "thread<th>freed by<br>others<th>bytes<br>grown<th>faults<th>brk,<br>map<th>gain<th>site</tr></thead><tbody>\n",
        view->out);
    for (size_t i = 0; i < view->site_count; i++)
        write_row(view, view->sites[i]);
    fputs("</tbody></table>\n", view->out);
}

bool opool__profile_write_html(const struct view *view)
{
    const struct opool__profile_header *header = &view->model->images->all[0].header;
    const char *name = header->arguments[0] ? header->arguments : header->program;
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
          view->out);
    opool__profile_html_element(view, "title", NULL, opool__shapes_format(view->memory, "opool profile: %s", name));
    fprintf(view->out, "%s</head><body>\n", style);
    opool__profile_html_element(view, "h1", NULL, name);
    opool__profile_html_element(view, "p", NULL, opool__profile_recorded_text(view->memory, view->model));
    opool__profile_html_element(view, "p", NULL, opool__profile_summary(view->memory, view->model));
    if (opool__profile_memory_text(view->memory, view->model))
        opool__profile_html_element(view, "p", NULL, opool__profile_memory_text(view->memory, view->model));
    for (size_t i = 0; i < view->note_count; i++)
        opool__profile_html_element(view, "p", "note", opool__shapes_format(view->memory, "Note: %s", view->notes[i]));
    opool__profile_plot_gains(view);
    opool__profile_plot_map(view);
    opool__profile_plot_time(view);
    write_table(view);
    fputs("</body></html>\n", view->out);
    return true;
}
