/* SPDX-License-Identifier: MIT */
/* No include guard: micro.c includes this once for each object size, with BYTES set. NAME(get) and the like come from
   there: the pool's typed calls, or malloc and free behind the same names. */

/* One object, got and put again: the shortest life there is. */
static double NAME(pair)(uint64_t count)
{
    struct NAME(pool) *pool = NAME(source);
    double start = thread_nanoseconds();
    for (uint64_t i = 0; i < count; i++) {
        struct NAME(object) *object = NAME(get)(pool);
        touch(object);
        NAME(put)(pool, object);
    }
    return thread_nanoseconds() - start;
}

static inline __attribute__((always_inline)) double NAME(group)(uint64_t count, size_t size)
{
    struct NAME(pool) *pool = NAME(source);
    struct NAME(object) * objects[256];
    double start = thread_nanoseconds();
    for (uint64_t i = 0; i < count; i += size) {
        for (size_t k = 0; k < size; k++) {
            objects[k] = NAME(get)(pool);
            touch(objects[k]);
        }
        for (size_t k = 0; k < size; k++)
            NAME(put)(pool, objects[k]);
    }
    return thread_nanoseconds() - start;
}

static double NAME(group32)(uint64_t count)
{
    return NAME(group)(count, 32);
}

static double NAME(group256)(uint64_t count)
{
    return NAME(group)(count, 256);
}

/* A table of live objects; each step replaces one of them, chosen at random. */
static double NAME(replace)(uint64_t count)
{
    struct NAME(pool) *pool = NAME(source);
    static struct NAME(object) * live[LIVE_SET];
    for (size_t k = 0; k < LIVE_SET; k++) {
        live[k] = NAME(get)(pool);
        touch(live[k]);
    }
    uint64_t random = 88172645463325252u;
    double start = thread_nanoseconds();
    for (uint64_t i = 0; i < count; i++) {
        random = next_random(random);
        size_t k = random % LIVE_SET;
        NAME(put)(pool, live[k]);
        live[k] = NAME(get)(pool);
        touch(live[k]);
    }
    double elapsed = thread_nanoseconds() - start;
    for (size_t k = 0; k < LIVE_SET; k++)
        NAME(put)(pool, live[k]);
    return elapsed;
}

static void *NAME(consume)(void *argument)
{
    struct handoff *handoff = argument;
    struct NAME(pool) *pool = NAME(source);
    struct waiting waiting = {0};
    __atomic_store_n(&handoff->ready, 1u, __ATOMIC_RELEASE);
    for (uint64_t taken = 0; taken < handoff->count;) {
        uint64_t filled = __atomic_load_n(&queue.filled, __ATOMIC_ACQUIRE);
        if (taken == filled)
            wait_a_little(&waiting);
        while (taken < filled) {
            struct NAME(object) *object = queue.slots[taken % QUEUE_SLOTS];
            touch(object);
            NAME(put)(pool, object);
            if (++taken % QUEUE_STEP == 0)
                __atomic_store_n(&queue.taken, taken, __ATOMIC_RELEASE);
        }
        __atomic_store_n(&queue.taken, taken, __ATOMIC_RELEASE);
    }
    handoff->end = wall_nanoseconds();
    return NULL;
}

/* Each object is got by one thread and put by the other: wall time, for both threads work on it. */
static double NAME(handoff)(uint64_t count)
{
    struct NAME(pool) *pool = NAME(source);
    struct handoff handoff = {.count = count};
    struct waiting waiting = {0};
    handoff_start(&handoff, NAME(consume));
    double start = wall_nanoseconds();
    uint64_t taken = 0;
    for (uint64_t filled = 0; filled < count;) {
        if (filled - taken == QUEUE_SLOTS) {
            taken = __atomic_load_n(&queue.taken, __ATOMIC_ACQUIRE);
            if (filled - taken == QUEUE_SLOTS)
                wait_a_little(&waiting);
            continue;
        }
        struct NAME(object) *object = NAME(get)(pool);
        touch(object);
        queue.slots[filled % QUEUE_SLOTS] = object;
        __atomic_store_n(&queue.filled, ++filled, __ATOMIC_RELEASE);
    }
    return handoff_finish(&handoff) - start;
}

static const struct workload NAME(workloads)[] = {
    {"pair", NAME(pair)},       {"group32", NAME(group32)}, {"group256", NAME(group256)},
    {"replace", NAME(replace)}, {"handoff", NAME(handoff)},
};

static void NAME(run)(double budget, unsigned repetitions)
{
    NAME(open)();
    for (size_t i = 0; i < sizeof NAME(workloads) / sizeof NAME(workloads)[0]; i++)
        measure(&NAME(workloads)[i], BYTES, budget, repetitions);
    NAME(close)();
}

#undef BYTES
