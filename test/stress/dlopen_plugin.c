/* SPDX-License-Identifier: MIT */

/* A plug-in that uses pools, for dlopen_stress: its code and data, callbacks included, are gone after dlclose, so its
   pools must be, too. */

#include <opool.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int plugin_start(void);
EXPORT int plugin_work(unsigned rounds);
EXPORT int plugin_stop(void);

struct frame {
    uint32_t built, number;
    unsigned char data[1000];
};

static uint32_t shared_balance; /* built - torn down */

static int frame_init(struct frame *frame, void *arg)
{
    (void)arg;
    frame->built = 1;
    __atomic_add_fetch(&shared_balance, 1, __ATOMIC_RELAXED);
    return 0;
}

static bool frame_reset(struct frame *frame, void *arg)
{
    (void)arg;
    return frame->number % 64 != 63;
}

static void frame_fini(struct frame *frame, void *arg)
{
    (void)arg;
    frame->built = 0;
    __atomic_sub_fetch(&shared_balance, 1, __ATOMIC_RELAXED);
}

OPOOL_DEFINE(frame_pool, struct frame, .init = frame_init, .reset = frame_reset, .fini = frame_fini);

static struct frame_pool *pool, *limited;

int plugin_start(void)
{
    struct opool_options options = {.name = "plugin, limited", .capacity = 64};
    if (frame_pool_create(&pool, NULL) != 0)
        return -1;
    return frame_pool_create(&limited, &options);
}

static int use(struct frame_pool *from, unsigned round)
{
    struct frame *frames[8] = {NULL};
    size_t n = frame_pool_get_batch(from, frames, 7);
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        wrong |= frames[i]->built != 1;
        frames[i]->number = round + (uint32_t)i;
        memset(frames[i]->data, (int)i, sizeof frames[i]->data);
    }
    for (size_t i = 0; i < n; i++)
        wrong |= frames[i]->data[0] != i || frames[i]->data[999] != i;
    if (n)
        frame_pool_put(from, frames[--n]);
    frame_pool_put_batch(from, frames, n);
    return wrong;
}

/* Any thread. 0, or 1: an object was not what it should be. */
int plugin_work(unsigned rounds)
{
    int wrong = 0;
    for (unsigned i = 0; i < rounds; i++)
        wrong |= use(pool, i) | use(limited, i);
    return wrong;
}

/* When no thread is in plugin_work. 0: all that was built is torn down. */
int plugin_stop(void)
{
    frame_pool_destroy(&pool);
    frame_pool_destroy(&limited);
    return __atomic_load_n(&shared_balance, __ATOMIC_RELAXED) == 0 ? 0 : 1;
}
