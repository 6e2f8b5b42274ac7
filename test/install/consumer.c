/* SPDX-License-Identifier: MIT */

/* What a program outside the tree sees of an installed opool. Compiled as C and as C++. */

#include <opool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct point {
    int x, y;
};

OPOOL_DEFINE(point_pool, struct point);

static int fail(const char *what)
{
    fprintf(stderr, "consumer: %s\n", what);
    return 1;
}

static int use(struct point_pool *pool)
{
    struct opool_stats stats;
    struct point *point = point_pool_get(pool);
    if (!point || point->x || point->y)
        return fail("get");
    uintptr_t first = (uintptr_t)point;
    point_pool_put(pool, point);
    point = point_pool_get(pool);
    if ((uintptr_t)point != first)
        return fail("the last put is not the next get");
    point_pool_put(pool, point);
    if (opool_stats_read(point_pool_base(pool), &stats) || stats.gets != 2 || stats.puts != 2)
        return fail("stats");
    return 0;
}

int main(void)
{
    struct point_pool *pool;
    if (strcmp(opool_version(), OPOOL_VERSION))
        return fail("header and library differ");
    if (point_pool_create(&pool, NULL))
        return fail("create");
    int result = use(pool);
    point_pool_destroy(&pool);
    return pool ? fail("destroy") : result;
}
