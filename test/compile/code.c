/* SPDX-License-Identifier: MIT */
/* What test/compile/run looks at in the machine code. */
#include <opool.h>

struct plain {
    int n;
};
OPOOL_DEFINE(plain_pool, struct plain);

static bool code_reset(struct plain *p, void *arg)
{
    p->n = arg != NULL;
    return p->n >= 0;
}
OPOOL_DEFINE(reset_pool, struct plain, .reset = code_reset);

struct borrower {
    int n;
    char *name;
    void *v[4];
};
OPOOL_DEFINE_MEMBERS(borrower_pool, struct borrower, (n, OPOOL_BORROWED(name), OPOOL_BORROWED(v)));

static struct opool_footprint footprint(const struct borrower *b, void *arg)
{
    struct opool_footprint f = {(size_t)b->n, (size_t)(arg != NULL)};
    return f;
}
OPOOL_DEFINE_OWNING(owning_pool, struct borrower, footprint, "name");

struct plain *code_get(struct plain_pool *pool);
struct plain *code_get(struct plain_pool *pool)
{
    return plain_pool_get(pool);
}

void code_put(struct plain_pool *pool, struct plain *object);
void code_put(struct plain_pool *pool, struct plain *object)
{
    plain_pool_put(pool, object);
}

void code_put_reset(struct reset_pool *pool, struct plain *object);
void code_put_reset(struct reset_pool *pool, struct plain *object)
{
    reset_pool_put(pool, object);
}

void code_put_borrowed(struct borrower_pool *pool, struct borrower *object);
void code_put_borrowed(struct borrower_pool *pool, struct borrower *object)
{
    borrower_pool_put(pool, object);
}

void code_put_owning(struct owning_pool *pool, struct borrower *object);
void code_put_owning(struct owning_pool *pool, struct borrower *object)
{
    owning_pool_put(pool, object);
}
