/* SPDX-License-Identifier: MIT */

/*
 * No more than so many at once: eight workers share three links to a database.
 *
 * Introduces opool_options.capacity, which is exact; link_pool_get, which fails with EAGAIN when all are out; and
 * link_pool_get_wait, which waits for a put, first come first served, with a time limit or without.
 *
 * It checks that there were never more than three links, that all workers had their turns, and how get and get_wait
 * fail.
 */

#include <errno.h>
#include <opool.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { LINKS = 3, WORKERS = 8, QUERIES = 2000 };

struct link {
    int socket;
    unsigned long queries;
};

static int link_init(struct link *link, void *arg)
{
    int *opened = arg; /* one thread opens at a time here; an init called by many needs a lock or an atomic */
    link->socket = ++*opened;
    return 0;
}

OPOOL_DEFINE(link_pool, struct link, .init = link_init);

static struct link_pool *pool;

static void *work(void *null)
{
    for (unsigned i = 0; i < QUERIES; i++) {
        struct link *link = link_pool_get_wait(pool, 10000);
        if (!link) {
            perror("link_pool_get_wait"); /* ETIMEDOUT: the database hangs */
            break;
        }
        link->queries++; /* nobody else has this link */
        link_pool_put(pool, link);
    }
    return null;
}

static bool run_workers(void)
{
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            return false;
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    return true;
}

/* Takes all links, which must have made all queries; then there is nothing to get. */
static bool check_limit(void)
{
    struct link *links[LINKS];
    unsigned long queries = 0;
    if (link_pool_get_batch(pool, links, LINKS) != LINKS)
        return false;
    struct link *one_more = link_pool_get(pool);
    bool refused = one_more == NULL && errno == EAGAIN;
    struct link *late_one = link_pool_get_wait(pool, 20);
    bool late = late_one == NULL && errno == ETIMEDOUT;

    for (int i = 0; i < LINKS; i++)
        queries += links[i]->queries;
    link_pool_put_batch(pool, links, LINKS);
    link_pool_put(pool, one_more); /* NULL: nothing happens */
    link_pool_put(pool, late_one);
    return refused && late && queries == WORKERS * QUERIES;
}

int main(void)
{
    int opened = 0;
    struct opool_options options = {.arg = &opened, .capacity = LINKS, .prefill = LINKS};
    int error = link_pool_create(&pool, &options);
    if (error) {
        fprintf(stderr, "link_pool_create: %s\n", strerror(-error));
        return 1;
    }
    bool right = run_workers() && check_limit();
    link_pool_destroy(&pool);
    printf("%d workers, %d links opened\n", WORKERS, opened);
    return right && opened == LINKS ? 0 : 1;
}
