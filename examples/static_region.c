/* SPDX-License-Identifier: MIT */

/*
 * Memory of your own: events of a control loop, in a static array, with nothing taken from the system after create.
 *
 * Introduces opool_options.region and region_size: capacity is what fits, metadata included. The region is yours
 * again after destroy. It may as well be huge pages, locked or shared memory.
 *
 * It checks that all events lie in the region, aligned as their type asks; that the pool says EAGAIN when the region
 * is full, and goes on after a put; and that a region too small for anything is refused by create.
 */

#include <errno.h>
#include <opool.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

enum { REGION = 16 << 10, EVENTS_MOST = REGION / 64 };

struct event {
    alignas(32) uint64_t time;
    uint32_t source, code;
    float values[8];
};

OPOOL_DEFINE(event_pool, struct event);

static unsigned char region[REGION];

static bool lies_inside(const struct event *event)
{
    uintptr_t at = (uintptr_t)event, start = (uintptr_t)region;
    return at >= start && at + sizeof *event <= start + sizeof region && at % alignof(struct event) == 0;
}

/* Takes events until the pool is full. How many; 0: something was wrong. */
static size_t fill(struct event_pool *pool, struct event *events[])
{
    size_t n = event_pool_get_batch(pool, events, EVENTS_MOST);
    if (n == EVENTS_MOST || errno != EAGAIN)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!lies_inside(events[i]))
            return 0;
        events[i]->code = (uint32_t)i;
    }
    for (size_t i = 0; i < n; i++)
        if (events[i]->code != i)
            return 0;
    return n;
}

static bool refuses_small_region(void)
{
    struct opool_options options = {.region = region, .region_size = sizeof(struct event), .checks = OPOOL_CHECKS_OFF};
    struct event_pool *pool;
    return event_pool_create(&pool, &options) == -EINVAL && pool == NULL;
}

int main(void)
{
    static struct event *events[EVENTS_MOST];
    struct opool_options options = {.region = region, .region_size = sizeof region};
    struct event_pool *pool;
    int error = event_pool_create(&pool, &options);
    if (error) {
        fprintf(stderr, "event_pool_create: %s\n", strerror(-error));
        return 1;
    }
    size_t n = fill(pool, events);
    printf("%zu events of %zu bytes in %d\n", n, sizeof(struct event), REGION);
    bool right = n > 0;
    if (right) {
        event_pool_put(pool, events[n - 1]);
        right = (events[n - 1] = event_pool_get(pool)) != NULL;
        event_pool_put_batch(pool, events, n);
    }
    event_pool_destroy(&pool);
    memset(region, 0, sizeof region);
    return right && refuses_small_region() ? 0 : 1;
}
