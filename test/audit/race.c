/* SPDX-License-Identifier: MIT */

/* A race of two threads that share a pool and never an object: ThreadSanitizer must see it with the audit on, although
   the audit has a lock. */
#include <opool.h>
#include <pthread.h>

struct object {
    int number;
};

OPOOL_DEFINE(object_pool, struct object);

static struct object_pool *pool;
static volatile int raced;
static int turn; /* relaxed, so that it orders nothing */

static void use(void)
{
    object_pool_put(pool, object_pool_get(pool));
}

static void await(int value)
{
    while (__atomic_load_n(&turn, __ATOMIC_RELAXED) < value)
        continue;
}

static void *second(void *arg)
{
    use();
    __atomic_store_n(&turn, 1, __ATOMIC_RELAXED);
    await(2);
    use();
    raced = 2;
    return arg;
}

int main(void)
{
    pthread_t thread;
    if (object_pool_create(&pool, NULL) != 0 || pthread_create(&thread, NULL, second, NULL) != 0)
        return 3;
    use();
    await(1);
    raced = 1;
    use();
    __atomic_store_n(&turn, 2, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    object_pool_destroy(&pool);
    return 0;
}
