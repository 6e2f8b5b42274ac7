/* SPDX-License-Identifier: MIT */
/* Compiled by the driver to see how much code one inlined get and put are: the size of these two functions. */
#include <opool.h>

struct inlined_object {
    unsigned char bytes[256];
};
OPOOL_DEFINE(inlined_pool, struct inlined_object);

struct inlined_object *inlined_get(struct inlined_pool *pool);
void inlined_put(struct inlined_pool *pool, struct inlined_object *object);

struct inlined_object *inlined_get(struct inlined_pool *pool)
{
    return inlined_pool_get(pool);
}

void inlined_put(struct inlined_pool *pool, struct inlined_object *object)
{
    inlined_pool_put(pool, object);
}
