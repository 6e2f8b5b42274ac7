/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "sites.h"
#include "view.h"

/*
 * For valgrind's viewer (dh_view.html), file version 2: a program point a stack. Times are microseconds. What is not
 * known here, accesses, is left out as the format allows ("bkacc": false); of the moment of the greatest use it is
 * not known what each stack had, so "gb" is what it had at its own peak, in all threads.
 */

static void write_point(const struct view *view, const struct stack *stack, bool first)
{
    const struct figures *figures = &stack->figures;
    fprintf(view->out,
            "%s{\"tb\":%" PRIu64 ",\"tbk\":%" PRIu64 ",\"tl\":%.0f,\"mb\":%" PRIu64 ",\"mbk\":%" PRIu64
            ",\"gb\":%" PRIu64 ",\"gbk\":%" PRIu64 ",\"eb\":%" PRIu64 ",\"ebk\":%" PRIu64 ",\"fs\":[",
            first ? " " : ",", figures->bytes, figures->allocations, opool__profile_lived(figures) / 1000,
            figures->live_peak_bytes, figures->live_peak, figures->live_peak_bytes, figures->live_peak,
            figures->live_bytes, figures->live);
    /* 0 is "[root]". */
    for (size_t i = 0; i < stack->depth; i++)
        fprintf(view->out, "%s%zu", i ? "," : "", stack->frames[i]->number);
    fputs("]}\n", view->out);
}

/* "0x1234: conn_new (conn.c:12)": inlined ones of one address in one entry. */
static void write_entry(const struct view *view, const struct frame *frame)
{
    struct memory *memory = view->memory;
    const char *text = opool__shapes_format(memory, "0x%" PRIX64 ": ", frame->address);
    for (size_t i = 0; i < (frame->line_count ? frame->line_count : 1); i++)
        text = opool__shapes_format(memory, "%s%s%s", text, i ? " in " : "", opool__profile_place(memory, frame, i));
    fputs(",", view->out);
    opool__profile_json_string(view->out, memory, text);
    fputc('\n', view->out);
}

bool opool__profile_write_dhat(const struct view *view)
{
    const struct opool__profile_header *header = &view->model->images->all[0].header;
    bool first = true;
    fputs("{\"dhatFileVersion\":2,\"mode\":\"heap\",\"verb\":\"Allocated\",\"bklt\":true,\"bkacc\":false,\"tu\":\"us\","
          "\"Mtu\":\"s\",\"tuth\":10,\"cmd\":",
          view->out);
    opool__profile_json_string(view->out, view->memory, header->arguments[0] ? header->arguments : header->program);
    fprintf(view->out, ",\"pid\":%u,\"te\":%.0f,\"tg\":%.0f,\n\"pps\":[\n", header->pid, view->model->seconds * 1e6,
            view->model->seconds * 1e6);
    for (size_t i = 0; i < view->site_count; i++)
        for (size_t k = 0; k < view->sites[i]->stack_count; k++, first = false)
            write_point(view, view->sites[i]->stacks[k], first);
    fputs("],\n\"ftbl\":[\"[root]\"\n", view->out);
    for (size_t i = 0; i < view->model->frame_count; i++)
        write_entry(view, view->model->frames[i]);
    fputs("]}\n", view->out);
    return true;
}
