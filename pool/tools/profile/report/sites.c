/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "known.h"
#include "sites.h"

struct sorting {
    struct stack *stack;
    struct frame *at;
    size_t level;
    const char *function;
};

static const char *function_of(const struct frame *frame, size_t level)
{
    const char *name = level < frame->line_count ? frame->lines[level].function : NULL;
    return name ? name : "";
}

const char *opool__profile_place(struct memory *memory, const struct frame *frame, size_t level)
{
    const struct line *line = level < frame->line_count ? &frame->lines[level] : NULL;
    const char *binary = frame->binary ? frame->binary->name : NULL;
    if (line && line->file) {
        const char *slash = strrchr(line->file, '/');
        return opool__shapes_format(memory, "%s (%s:%d)", line->function ? line->function : "?",
                                    slash ? slash + 1 : line->file, line->line);
    }
    if (line && line->function)
        return opool__shapes_format(memory, "%s+0x%llx in %s", line->function, (unsigned long long)line->into,
                                    binary ? binary : "?");
    return opool__shapes_format(memory, "0x%llx in %s", (unsigned long long)frame->offset,
                                binary && binary[0] ? binary : "no file");
}

/* The first frame that is no wrapper; all are: the innermost. */
static struct sorting find_place(struct stack *stack, char *const *wrappers, size_t count)
{
    for (size_t i = 0; i < stack->depth; i++) {
        struct frame *frame = stack->frames[i];
        size_t level = 0;
        while (level < frame->line_count && frame->lines[level].function &&
               opool__profile_is_wrapper(frame->lines[level].function, wrappers, count))
            level++;
        if (level < frame->line_count || frame->line_count == 0)
            return (struct sorting){stack, frame, level, function_of(frame, level)};
    }
    if (stack->depth == 0)
        return (struct sorting){stack, NULL, 0, ""};
    return (struct sorting){stack, stack->frames[0], 0, function_of(stack->frames[0], 0)};
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_place(const void *left, const void *right)
{
    const struct sorting *a = left, *b = right;
    int order = compare(a->at ? a->at->number : 0, b->at ? b->at->number : 0);
    return order ? order : compare(a->level, b->level);
}

static int by_function(const void *left, const void *right)
{
    const struct sorting *a = left, *b = right;
    int order = strcmp(a->function, b->function);
    /* Without a name there is only the place. */
    return order || a->function[0] ? order : by_place(left, right);
}

static int by_allocations(const void *left, const void *right)
{
    const struct stack *const *a = left, *const *b = right;
    return compare((*b)->figures.allocations, (*a)->figures.allocations);
}

static bool same_site(const struct sorting *a, const struct sorting *b, enum grouping by)
{
    if (by == BY_STACK)
        return false;
    return by == BY_FUNCTION ? by_function(a, b) == 0 : by_place(a, b) == 0;
}

static int by_thread(const void *left, const void *right)
{
    return compare(((const struct thread_peak *)left)->thread, ((const struct thread_peak *)right)->thread);
}

/* What a thread had at most by each of the stacks it may not have had at once: their sum is a bound. */
static void count_threads(struct memory *memory, struct site *site)
{
    size_t count = 0, at = 0;
    uint64_t blocks = 0;
    for (size_t i = 0; i < site->stack_count; i++)
        count += site->stacks[i]->peak_count;
    struct thread_peak *all = opool__shapes_take(memory, count * sizeof *all);
    for (size_t i = 0; i < site->stack_count; at += site->stacks[i++]->peak_count)
        memcpy(all + at, site->stacks[i]->peaks, site->stacks[i]->peak_count * sizeof *all);
    qsort(all, count, sizeof *all, by_thread);
    for (size_t i = 0; i < count; i++) {
        bool is_first = i == 0 || all[i].thread != all[i - 1].thread;
        blocks = opool__profile_sum(is_first ? 0 : blocks, all[i].blocks);
        site->figures.threads += is_first;
        if (blocks > site->figures.thread_peak)
            site->figures.thread_peak = blocks;
    }
}

/* Where a function is the site, its place is the busiest one. */
static void name_site(struct memory *memory, struct site *site, const struct sorting *sorted)
{
    while (sorted->stack != site->stacks[0])
        sorted++;
    site->at = sorted->at;
    site->level = sorted->level;
    site->name = !sorted->at           ? "(no frames)"
                 : sorted->function[0] ? sorted->function
                                       : opool__profile_place(memory, sorted->at, sorted->level);
}

static void add_site(struct model *model, const struct sorting *sorted, size_t count)
{
    struct memory *memory = model->memory;
    struct site *site = opool__shapes_take(memory, sizeof *site);
    site->stacks = opool__shapes_take(memory, count * sizeof(void *));
    site->stack_count = count;
    for (size_t i = 0; i < count; i++) {
        site->stacks[i] = sorted[i].stack;
        sorted[i].stack->site = site;
        opool__profile_add(memory, &site->figures, &sorted[i].stack->figures);
    }
    qsort(site->stacks, count, sizeof(void *), by_allocations);
    name_site(memory, site, sorted);
    count_threads(memory, site);
    model->sites = opool__shapes_grow(memory, model->sites, model->site_count, sizeof(void *));
    model->sites[model->site_count++] = site;
}

void opool__profile_sites(struct model *model, enum grouping by, char *const *wrappers, size_t wrapper_count)
{
    struct sorting *all = opool__shapes_take(model->memory, model->stack_count * sizeof *all);
    for (size_t i = 0; i < model->stack_count; i++)
        all[i] = find_place(model->stacks[i], wrappers, wrapper_count);
    qsort(all, model->stack_count, sizeof *all, by == BY_FUNCTION ? by_function : by_place);
    for (size_t from = 0, to; from < model->stack_count; from = to) {
        for (to = from + 1; to < model->stack_count && same_site(&all[from], &all[to], by);)
            to++;
        add_site(model, &all[from], to - from);
    }
}
