/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_PLOTS_H
#define OPOOL_TOOLS_PROFILE_REPORT_PLOTS_H

#include "view.h"

/* The pictures of the HTML page, as SVG in it; and text as HTML takes it. */

/** Sites by gain, the largest ones. */
void opool__profile_plot_gains(const struct view *view);
/** A circle a site: how large its objects are, how long they live, how many there are. */
void opool__profile_plot_map(const struct view *view);
/** Bytes in use and resident, a curve a process. */
void opool__profile_plot_time(const struct view *view);
/** How many of each power of two; and of each lifetime. Nothing where there are none. */
void opool__profile_plot_sizes(const struct view *view, const struct figures *figures);
void opool__profile_plot_lifetimes(const struct view *view, const struct figures *figures);

void opool__profile_html_text(const struct view *view, const char *text);
void opool__profile_html_element(const struct view *view, const char *name, const char *class, const char *text);

/** "conn_new (conn.c:12)" */
const char *opool__profile_site_place(const struct view *view, const struct site *site);

#endif
