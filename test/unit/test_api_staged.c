/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <semaphore.h>
#include <sys/syscall.h>

#include "api/pool.h"
#include "cache/thread.h"
#include "opool/epoch.h"
#include "os/lock.h"
#include "os/os.h"

/*
 * Meetings of threads that hardly ever happen by themselves, staged: a thread is held at one point of the library, by a
 * lock or a callback, while another one does what it must be ready for.
 */

struct thing {
    unsigned char bytes[64];
};

/* ---- stage hands ---- */

static sem_t in, leave, ready, slow_is_over;
static bool blocks; /* atomic: the next fini waits */

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        continue;
}

static void block_once(void *object UNIT_UNUSED, void *arg UNIT_UNUSED)
{
    if (!__atomic_exchange_n(&blocks, false, __ATOMIC_RELAXED))
        return;
    sem_post(&in);
    await(&leave);
}

static struct opool *open_pool(struct opool_options options)
{
    struct opool_type type = {.name = "staged",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = sizeof(struct thing),
                              .align = 8,
                              .fini = block_once};
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    return pool;
}

static void start_stage(void)
{
    sem_init(&in, 0, 0);
    sem_init(&leave, 0, 0);
    sem_init(&ready, 0, 0);
    sem_init(&slow_is_over, 0, 0);
}

static void use(struct opool *pool, unsigned n)
{
    void *objects[256];
    EXPECT(opool_get_batch(pool, objects, n) == n);
    opool_put_batch(pool, objects, n);
}

static void lock_shards(struct opool *pool, void (*act)(uint32_t *))
{
    for (uint32_t i = 0; i <= pool->depot.shard_mask; i++)
        act(&pool->depot.shards[i].lock);
}

static pid_t id_of(pid_t *shared)
{
    pid_t id;
    while ((id = __atomic_load_n(shared, __ATOMIC_ACQUIRE)) == 0)
        unit_nap(1);
    return id;
}

static void tell_id(pid_t *shared)
{
    __atomic_store_n(shared, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
}

/* Until a thread that is about to wait does so: asleep each time that it is looked at. */
static void until_asleep(pid_t id)
{
    for (int asleep = 0, looks = 0; asleep < 5 && looks < 2000; looks++) {
        char path[64], state = '?';
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)id);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
            state = '?';
        if (file)
            fclose(file);
        asleep = state == 'S' ? asleep + 1 : 0;
        unit_nap(1);
    }
}

/* ---- fork beside a destroy that waits for somebody who reads figures ---- */

static struct opool *victim;
static void *cache_and_stay(void *unused UNIT_UNUSED)
{
    use(victim, 20);
    sem_post(&ready);
    await(&leave);
    return NULL;
}

/* In a walk: the pool is pinned, and a lock of it taken. */
static void *read_for_long(void *unused UNIT_UNUSED)
{
    struct opool *pool = opool__registry_walk(NULL);
    EXPECT(pool == victim);
    lock_shards(pool, opool__lock_take);
    sem_post(&ready);
    unit_nap(200);
    lock_shards(pool, opool__lock_drop);
    while ((pool = opool__registry_walk(pool)) != NULL)
        continue;
    return NULL;
}

static void *destroy_victim(void *unused UNIT_UNUSED)
{
    struct opool *pool = victim;
    opool_destroy(&pool);
    return NULL;
}

/* A child that hangs inside fork has no alarm yet. */
static int await_child(pid_t child)
{
    int status = 0;
    uint64_t until = unit_ms() + 20000;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (unit_ms() > until)
            (void)kill(child, SIGKILL);
        unit_nap(1);
    }
    return status;
}

START_TEST(fork_beside_a_destroy)
{
    victim = open_pool((struct opool_options){0});
    pthread_t owner = unit_thread(cache_and_stay, NULL);
    await(&ready);
    pthread_t reader = unit_thread(read_for_long, NULL);
    await(&ready);
    pthread_t destroyer = unit_thread(destroy_victim, NULL);
    while (opool__state_of(victim) != OPOOL__ENDING)
        unit_nap(1);
    pid_t child = fork();
    if (child == 0) {
        use(open_pool((struct opool_options){0}), 20);
        _exit(0);
    }
    ck_assert_int_eq(await_child(child), 0);
    sem_post(&leave);
    unit_join(reader);
    unit_join(destroyer);
    unit_join(owner);
    ck_assert_int_ne(opool__state_of(victim), OPOOL__ENDING);
}
END_TEST

/* ---- a tick in a slow path, beside the last put into a closing pool ---- */

enum { FAKE_MS = 1000000 };

static uint64_t fake_now = 5000000000; /* atomic */
static pid_t slow_id;
static struct opool *slow;

static uint64_t tell_fake_now(void)
{
    return __atomic_load_n(&fake_now, __ATOMIC_RELAXED);
}

static void *put_last(void *object)
{
    opool_put(victim, object);
    sem_post(&ready);
    await(&leave); /* the end of a thread settles, too */
    return NULL;
}

static void *tick_slowly(void *unused UNIT_UNUSED)
{
    tell_id(&slow_id);
    void *object = opool_get(slow);
    sem_post(&slow_is_over);
    await(&leave);
    opool_put(slow, object);
    return NULL;
}

/* The tick, held at a shard of the pool, pins it when the put leaves: then the tick has to settle it. */
START_TEST(a_slow_path_settles_what_its_tick_pinned)
{
    opool__os.now = tell_fake_now;
    slow = open_pool((struct opool_options){.epoch_ms = 10, .checks = OPOOL_CHECKS_FULL});
    victim = open_pool((struct opool_options){0});
    use(slow, 1);
    void *object = opool_get(victim);
    struct opool *closing = victim;
    opool_close(&closing);
    ck_assert_int_eq(opool__state_of(victim), OPOOL__CLOSING);
    __atomic_store_n(&blocks, true, __ATOMIC_RELAXED);
    pthread_t putter = unit_thread(put_last, object);
    await(&in); /* it settles, and tears down */
    lock_shards(victim, opool__lock_take);
    __atomic_store_n(&fake_now, fake_now + 10 * (uint64_t)FAKE_MS, __ATOMIC_RELAXED);
    uint64_t epoch = opool_epoch_now();
    pthread_t ticking = unit_thread(tick_slowly, NULL);
    until_asleep(id_of(&slow_id));
    ck_assert_uint_eq(opool_epoch_now(), epoch + 1);
    sem_post(&leave);
    await(&ready);
    ck_assert_int_eq(opool__state_of(victim), OPOOL__CLOSING);
    lock_shards(victim, opool__lock_drop);
    await(&slow_is_over);
    ck_assert_int_ne(opool__state_of(victim), OPOOL__CLOSING);
    sem_post(&leave);
    sem_post(&leave);
    unit_join(putter);
    unit_join(ticking);
    opool_destroy(&slow);
}
END_TEST

/* ---- a full pool, and an owner that is stopped inside its section ---- */

static struct opool *full;
static pid_t waiter_id;
static struct opool_head *stopped; /* its owner's, who makes no more calls */

static void *cache_and_stop(void *unused UNIT_UNUSED)
{
    use(full, 1);
    stopped = &opool__thread_known()->heads[full->cache.shared_number];
    opool__store_relaxed(&stopped->busy, 1u);
    sem_post(&in);
    await(&leave);
    return NULL;
}

static void *wait_for_one(void *unused UNIT_UNUSED)
{
    tell_id(&waiter_id);
    return opool_get_wait(full, -1);
}

START_TEST(a_waiter_looks_again_for_what_an_owner_hid)
{
    void *object;
    full = open_pool((struct opool_options){.capacity = 1});
    pthread_t owner = unit_thread(cache_and_stop, NULL), waiter;
    await(&in);
    waiter = unit_thread(wait_for_one, NULL);
    (void)id_of(&waiter_id);
    while (opool__cache_read(&full->cache).steal_timeouts == 0) /* until it looked in vain, and waits */
        unit_nap(1);
    unit_nap(30);
    opool__store_release(&stopped->busy, 0u);
    ck_assert_int_eq(pthread_join(waiter, &object), 0);
    ck_assert_ptr_nonnull(object);
    opool_put(full, object);
    sem_post(&leave);
    unit_join(owner);
    opool_destroy(&full);
}
END_TEST

/* ---- a full pool without ticks ---- */

START_TEST(slow_paths_leave_the_tight_mode)
{
    opool__os.now = tell_fake_now;
    full = open_pool((struct opool_options){.capacity = 2});
    void *first = opool_get(full), *second = opool_get(full);
    ck_assert_ptr_null(opool_get(full));
    opool_put(full, first);
    opool_put(full, second);
    ck_assert_uint_eq(full->depot.store.shared_tight, OPOOL__TIGHT);
    for (int i = 0; i < 200; i++)
        use(full, 1);
    ck_assert_uint_eq(full->depot.store.shared_tight, OPOOL__TIGHT); /* not at once */
    __atomic_store_n(&fake_now, fake_now + 1000 * (uint64_t)FAKE_MS, __ATOMIC_RELAXED);
    for (int i = 0; i < 200; i++)
        use(full, 1);
    ck_assert_uint_eq(full->depot.store.shared_tight, OPOOL__LOOSE);
    opool_destroy(&full);
}
END_TEST

/* ---- what the pace is told ---- */

static uint64_t rebuilt_by_next_tick(void)
{
    return opool__tick().rebuilt_bytes / sizeof(struct thing);
}

static struct opool *torn_down_pool(void)
{
    struct opool *pool = open_pool((struct opool_options){0});
    use(pool, 100);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(rebuilt_by_next_tick(), 0);
    ck_assert_uint_eq(opool__tick().torn_down, 100);
    return pool;
}

START_TEST(what_is_built_again_is_told)
{
    struct opool *pool = torn_down_pool();
    use(pool, 60);
    ck_assert_uint_eq(rebuilt_by_next_tick(), 60);
    use(pool, 100); /* 40 of them late: not at once */
    ck_assert_uint_eq(rebuilt_by_next_tick(), 0);
    pool = torn_down_pool();
    use(pool, 200); /* what is more than before is new */
    ck_assert_uint_eq(rebuilt_by_next_tick(), 100);
}
END_TEST

START_TEST(pools_that_come_and_go_build_nothing_again)
{
    for (int i = 0; i < 5; i++) {
        struct opool *pool = torn_down_pool();
        opool_destroy(&pool);
        if (i % 2)
            ck_assert_uint_eq(rebuilt_by_next_tick(), 0);
    }
    /* Nor does another pool than the one whose objects went. */
    (void)torn_down_pool();
    use(open_pool((struct opool_options){0}), 100);
    ck_assert_uint_eq(rebuilt_by_next_tick(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api, staged");
    TCase *tests = unit_case(suite, "meetings"), *pace = unit_case(suite, "pace");
    tcase_add_checked_fixture(tests, start_stage, NULL);
    tcase_add_test(tests, fork_beside_a_destroy);
    tcase_add_test(tests, a_slow_path_settles_what_its_tick_pinned);
    tcase_add_test(tests, a_waiter_looks_again_for_what_an_owner_hid);
    tcase_add_test(tests, slow_paths_leave_the_tight_mode);
    tcase_add_test(pace, what_is_built_again_is_told);
    tcase_add_test(pace, pools_that_come_and_go_build_nothing_again);
    return unit_main(suite);
}
