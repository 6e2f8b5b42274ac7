/* SPDX-License-Identifier: MIT */

/* A shared object that uses opool, for load.c. */

#include <opool.h>

struct item {
    int number;
};

OPOOL_DEFINE(item_pool, struct item);

static struct item_pool *pool;

/* Gets and puts on the calling thread, whose cache then outlives this object. 0, or 1. */
int plugin_use(void);
void plugin_end(void);

int plugin_use(void)
{
    if (!pool && item_pool_create(&pool, NULL))
        return 1;
    struct item *item = item_pool_get(pool);
    item_pool_put(pool, item);
    return !item;
}

void plugin_end(void)
{
    item_pool_destroy(&pool);
}
