/* SPDX-License-Identifier: MIT */
/*
 * Reads one profile as `opool profile report` does, in this process, for a fuzzer: everything but names, which come
 * from files of the machine, and costs, which are given.
 *
 *     profile FILE
 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/profile/report/sites.h"
#include "tools/profile/report/view.h"

static void write_all(struct view *view)
{
    static writer *const formats[] = {
        opool__profile_write_table,     opool__profile_write_html, opool__profile_write_json, opool__profile_write_dhat,
        opool__profile_write_collapsed, opool__profile_write_code, opool__profile_write_try,
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        formats[i](view);
}

static void report(const char *path, enum grouping by)
{
    struct memory memory = {0};
    struct images images = {.memory = &memory};
    struct costs costs = {.pool = {3, 4}, .fault = {200, 300}, .brk = {1000, 2000}, .map = {1000, 2000}};
    struct view view = {.out = fopen("/dev/null", "w"), .memory = &memory, .costs = &costs, .wide = true, .all = true};
    struct model model;
    const char *why;
    for (int i = 0; i < COST_SIZES; i++)
        costs.allocation[i] = (struct cost){20, 30};
    bool whole = opool__profile_read(&images, path, &why);
    if (view.out && (whole || images.count > 0)) {
        opool__profile_model(&model, &images);
        opool__profile_sites(&model, by, NULL, 0);
        opool__profile_judge(&model, &costs);
        view.model = &model;
        view.sites = model.sites;
        view.site_count = model.site_count;
        write_all(&view);
    }
    if (view.out)
        fclose(view.out);
    opool__shapes_give(&memory);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
#ifdef __AFL_HAVE_MANUAL_CONTROL
    while (__AFL_LOOP(500)) /* the fuzzer writes the file anew each time */
#endif
    {
        report(argv[1], BY_STACK);
        report(argv[1], BY_FUNCTION);
    }
    return 0;
}
