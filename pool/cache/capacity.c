/* SPDX-License-Identifier: MIT */
#include "cache/capacity.h"

#include "os/os.h"

/* How long a get waits for what is neither out nor idle: a thread that waits looks again so often while some owner may
   hide objects in its cache, one that does not want to wait waits no longer for a fini. */
enum { PATIENCE_MS = 10 };

#define MILLISECOND UINT64_C(1000000)

struct taking {
    struct opool__bounded *store;
    struct opool__cache *cache;
    bool (*tighten)(struct opool__cache *);
};

/* False: some owner may hide objects, look again later. */
static bool store_knows(const struct taking *taking)
{
    return opool__load_relaxed(&taking->store->shared_tight) == OPOOL__TIGHT || taking->tighten(taking->cache);
}

/* With the waiter in the queue, so the mode is not left any more. */
static enum opool__bounded_result await(const struct taking *taking, struct opool__waiter *waiter, uint64_t deadline,
                                        void **object)
{
    for (;;) {
        /* Before each sleep: an owner that hides objects may have stopped for good. */
        uint64_t until = store_knows(taking) ? 0 : opool__os.now() + PATIENCE_MS * MILLISECOND;
        if (deadline && (!until || deadline < until))
            until = deadline;
        enum opool__bounded_result result = opool__bounded_await(waiter, until, object);
        if (result != OPOOL__BOUNDED_FULL)
            return result;
        if (deadline && opool__os.now() >= deadline)
            return opool__bounded_leave(taking->store, waiter, object);
    }
}

static enum opool__bounded_result take_in_time(const struct taking *taking, int timeout_ms, void **object)
{
    uint64_t deadline = timeout_ms < 0 ? 0 : opool__os.now() + (uint64_t)timeout_ms * MILLISECOND;
    struct opool__waiter waiter;
    enum opool__bounded_result result = opool__bounded_queue(taking->store, &waiter, object);
    bool queued = result == OPOOL__BOUNDED_FULL || result == OPOOL__BOUNDED_UNSURE || result == OPOOL__BOUNDED_DYING;
    return queued ? await(taking, &waiter, deadline, object) : result;
}

/* Each turn but the first the mode was left meanwhile, which takes two ticks or a second. */
static enum opool__bounded_result take_now(const struct taking *taking, void **object)
{
    bool known = true;
    enum opool__bounded_result result;
    while ((result = opool__bounded_take(taking->store, object)) == OPOOL__BOUNDED_UNSURE && known)
        known = taking->tighten(taking->cache);
    return result;
}

enum opool__bounded_result opool__capacity_take(struct opool__bounded *store, struct opool__cache *cache,
                                                bool (*tighten)(struct opool__cache *), int timeout_ms, void **object)
{
    const struct taking taking = {store, cache, tighten};
    if (timeout_ms != 0)
        return take_in_time(&taking, timeout_ms, object);
    enum opool__bounded_result result = take_now(&taking, object);
    if (result == OPOOL__BOUNDED_DYING)
        result = take_in_time(&taking, PATIENCE_MS, object);
    return result == OPOOL__BOUNDED_UNSURE ? OPOOL__BOUNDED_FULL : result;
}
