/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "../../shapes/report.h"
#include "sites.h"
#include "view.h"

/* "main;serve;conn_new 1234": outermost first, as flamegraph.pl and speedscope read them. The number is what the sites
   are sorted by, where that is a sum; else allocations. */

/* ';' parts frames, and a blank the number. */
static const char *plain(struct memory *memory, const char *text)
{
    char *copy = opool__shapes_copy(memory, opool__shapes_clean(memory, text));
    for (char *c = copy; *c; c++)
        if (*c == ';')
            *c = ',';
        else if (*c == ' ')
            *c = '_';
    return copy;
}

static uint64_t weight_of(const struct view *view, const struct figures *figures)
{
    switch (view->sort) {
    case SORT_BYTES:
        return figures->bytes;
    case SORT_LIVE:
        return figures->live_bytes;
    case SORT_FAULTS:
        return figures->faults;
    default:
        return figures->allocations;
    }
}

static void write_frame(const struct view *view, const struct frame *frame, bool *first)
{
    for (size_t level = frame->line_count ? frame->line_count : 1; level-- > 0; *first = false) {
        const char *name = level < frame->line_count ? frame->lines[level].function : NULL;
        fprintf(view->out, "%s%s", *first ? "" : ";",
                plain(view->memory, name ? name : opool__profile_place(view->memory, frame, level)));
    }
}

bool opool__profile_write_collapsed(const struct view *view)
{
    for (size_t i = 0; i < view->site_count; i++)
        for (size_t k = 0; k < view->sites[i]->stack_count; k++) {
            const struct stack *stack = view->sites[i]->stacks[k];
            uint64_t weight = weight_of(view, &stack->figures);
            bool first = true;
            for (size_t at = stack->depth; at-- > 0;)
                write_frame(view, stack->frames[at], &first);
            if (first)
                fputs("(no_frames)", view->out);
            fprintf(view->out, " %" PRIu64 "\n", weight);
        }
    return true;
}
