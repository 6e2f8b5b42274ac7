/* SPDX-License-Identifier: MIT */

/* A plug-in that test/stacks/subject.c loads; it gets by the program's library. */

struct opool;

void plugin_get(struct opool *pool, void *(*get)(struct opool *));

static void *volatile last;

void plugin_get(struct opool *pool, void *(*get)(struct opool *))
{
    last = get(pool);
}
