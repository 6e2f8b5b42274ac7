/* SPDX-License-Identifier: MIT */

/*
 * Forks under load. Threads get and put in several pools, some of them waiting at a capacity, while two others fork.
 * Each child uses every pool: what it gets must be idle in it (no object that is out in the parent comes out of a
 * pool again), what it got can be put, figures can be read, pools created and destroyed. A child that hangs is ended
 * by its alarm, and counted. Some children fork again.
 *
 * Under ThreadSanitizer and others a child starts no threads: they could not follow.
 */

#include "stress.h"

#include <opool.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct item {
    uint64_t stamp;
    uint64_t words[15];
};

static bool item_reset(struct item *item, void *arg)
{
    (void)arg;
    return item->words[0] != 0;
}

OPOOL_DEFINE(item_pool, struct item);
OPOOL_DEFINE(picky_pool, struct item, .reset = item_reset);

enum { CAPACITY = 6, HELD = 24, CHILD_GETS = 200, CHILD_SECONDS = 30, PAUSE_US = 2000, FORKERS = 2 };

static struct item_pool *plain, *bounded;
static struct picky_pool *picky;
static bool shared_stop;
static uint64_t shared_forks, shared_failed_forks;

/* ---- load ---- */

static void swap_plain(struct item **held, uint64_t *random)
{
    struct item **item = &held[below(random, HELD)];
    if (*item) {
        unstamp_object(*item, read_stamp(*item), "plain");
        item_pool_put(plain, *item);
        *item = NULL;
    } else if ((*item = item_pool_get(plain)) != NULL) {
        stamp_object(*item, "plain");
    }
}

static void use_picky(uint64_t *random)
{
    struct item *item = picky_pool_get(picky);
    if (!item)
        return;
    uint64_t stamp = stamp_object(item, "picky");
    item->words[0] = one_in(random, 10) ? 0 : stamp;
    unstamp_object(item, stamp, "picky");
    picky_pool_put(picky, item);
}

static void use_bounded(void)
{
    struct item *item = item_pool_get_wait(bounded, 1);
    if (!item)
        return;
    uint64_t stamp = stamp_object(item, "bounded");
    unstamp_object(item, stamp, "bounded");
    item_pool_put(bounded, item);
}

static void *work(void *seed)
{
    struct item *held[HELD] = {NULL};
    uint64_t random = mix((uintptr_t)seed), ops = 0;
    for (; !__atomic_load_n(&shared_stop, __ATOMIC_RELAXED); ops++) {
        swap_plain(held, &random);
        if (ops % 4 == 0)
            use_picky(&random);
        if (ops % 16 == 0)
            use_bounded();
        if (ops % 64 == 0)
            sleep_us(20); /* more threads than processors: let forks come at any place */
    }
    for (int i = 0; i < HELD; i++)
        if (held[i])
            unstamp_object(held[i], read_stamp(held[i]), "plain");
    item_pool_put_batch(plain, held, HELD);
    count(&shared_ops, ops);
    return NULL;
}

/* ---- the child ---- */

/* Without malloc and stdio: another thread may have held their locks. */
static bool get_and_put(struct item_pool *pool, size_t n)
{
    static struct item *items[CHILD_GETS];
    bool right = true;
    size_t got = item_pool_get_batch(pool, items, n);
    for (size_t i = 0; i < got; i++) {
        right = right && items[i]->stamp == 0;
        items[i]->stamp = i + 1;
    }
    for (size_t i = 0; i < got; i++) {
        right = right && items[i]->stamp == i + 1;
        items[i]->stamp = 0;
    }
    item_pool_put_batch(pool, items, got);
    return right;
}

static bool use_picky_in_child(void)
{
    for (uint64_t i = 0; i < CHILD_GETS; i++) {
        struct item *item = picky_pool_get(picky);
        if (!item || item->stamp != 0)
            return false;
        item->words[0] = i % 10;
        picky_pool_put(picky, item);
    }
    return true;
}

static bool use_own_pool(void)
{
    struct item_pool *own;
    if (item_pool_create(&own, NULL) != 0)
        return false;
    bool right = get_and_put(own, 10);
    item_pool_destroy(&own);
    return right;
}

/* Lets an object of `bounded` come back to a pool whose waiters stayed in the parent. */
static bool use_bounded_in_child(void)
{
    struct item *item = item_pool_get_wait(bounded, 1);
    item_pool_put(bounded, item);
    struct opool_stats stats;
    return opool_stats_read(item_pool_base(bounded), &stats) == 0 && get_and_put(bounded, CAPACITY);
}

/* 0, or the number of what went wrong. */
static int use_everything(void)
{
    if (!get_and_put(plain, CHILD_GETS))
        return 1;
    if (!use_picky_in_child())
        return 2;
    if (!use_bounded_in_child())
        return 3;
    if (!use_own_pool())
        return 4;
    return 0;
}

static int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

static _Noreturn void run_child(bool again)
{
    alarm(CHILD_SECONDS);
    int result = use_everything();
    if (result == 0 && again) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            alarm(CHILD_SECONDS);
            _exit(use_everything());
        }
        result = grandchild < 0 ? 0 : wait_for(grandchild) == 0 ? 0 : 9;
    }
    _exit(result);
}

static void *fork_often(void *seed)
{
    uint64_t random = mix((uintptr_t)seed);
    while (goes_on((unsigned)read_count(&shared_forks))) {
        bool again = one_in(&random, 10);
        sleep_us(below(&random, PAUSE_US));
        pid_t child = fork();
        if (child == 0)
            run_child(again);
        if (child < 0) {
            count(&shared_failed_forks, 1);
            continue;
        }
        int status = wait_for(child);
        count(&shared_forks, 1);
        if (status == 0)
            count(&shared_passed, 1);
        else if (WIFSIGNALED(status))
            report(&shared_failed, "FAILED: a child got signal %d%s", WTERMSIG(status),
                   WTERMSIG(status) == SIGALRM ? ": it hung" : "");
        else
            report(&shared_failed, "FAILED: a child exited with %d", WEXITSTATUS(status));
    }
    return NULL;
}

/* ---- */

static void check_end(struct opool *pool, const char *name)
{
    struct opool_stats s;
    check_that(opool_stats_read(pool, &s) == 0, "stats_read", name);
    uint64_t idle = s.idle_thread + s.idle_depot + s.idle_victim;
    check_that(s.live == 0, "nothing is out in the parent", name);
    check_that(s.gets == s.puts, "gets == puts", name);
    check_that(s.slots == idle + s.slots_free, "slots == idle + slots_free", name);
    check_that(s.built == s.torn_down + idle, "built == torn_down + idle", name);
    count(&shared_lost, s.live);
}

static void run(void)
{
    pthread_t threads[256], forkers[FORKERS];
    for (unsigned i = 0; i < stress.threads; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(stress.seed + i)) != 0)
            exit(1);
    for (unsigned i = 0; i < FORKERS; i++)
        if (pthread_create(&forkers[i], NULL, fork_often, (void *)(uintptr_t)(stress.seed + 1000 + i)) != 0)
            exit(1);
    for (unsigned i = 0; i < FORKERS; i++)
        pthread_join(forkers[i], NULL);
    __atomic_store_n(&shared_stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < stress.threads; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    struct opool_options limited = {.name = "bounded", .capacity = CAPACITY};
    start_stress(argc, argv, 5, 4);
    if (item_pool_create(&plain, NULL) != 0 || item_pool_create(&bounded, &limited) != 0 ||
        picky_pool_create(&picky, NULL) != 0)
        return 1;
    run();
    printf("%" PRIu64 " forks, %" PRIu64 " refused by the system\n", read_count(&shared_forks),
           read_count(&shared_failed_forks));
    check_that(read_count(&shared_forks) > 0, "there were forks", "end");
    check_end(item_pool_base(plain), "plain");
    check_end(item_pool_base(bounded), "bounded");
    check_end(picky_pool_base(picky), "picky");
    item_pool_destroy(&plain);
    item_pool_destroy(&bounded);
    picky_pool_destroy(&picky);
    return end_stress();
}
