/* SPDX-License-Identifier: MIT */
/*
 * One case a run: a fault that a memory tool shall report, or its correct twin. test/tools/run has the words that each
 * tool is expected to say. Usage: subject CASE
 */
#include <opool.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct item {
    int kept, cleared;
    char text[52]; /* 60 bytes: no multiple of 8 */
};

static bool item_reset(struct item *item, void *arg)
{
    (void)arg;
    item->cleared = 0;
    return true;
}

OPOOL_DEFINE(item_pool, struct item, .reset = item_reset, .kept = OPOOL_MEMBERS(kept, text));

struct raw {
    uint64_t words[8]; /* 64 bytes: no padding of its own */
};

OPOOL_DEFINE(raw_pool, struct raw);

struct box {
    char *owned;
    int given;
};

static int box_init(struct box *box, void *arg)
{
    (void)arg;
    box->owned = malloc(100);
    return box->owned ? 0 : 12;
}

static struct opool_footprint box_footprint(const struct box *box, void *arg)
{
    (void)arg;
    return (struct opool_footprint){box->owned ? 100 : 0, box->owned ? 100 : 0};
}

static void box_fini(struct box *box, void *arg)
{
    (void)arg;
    free(box->owned);
}

OPOOL_DEFINE_OWNING(box_pool, struct box, box_footprint, "a test", .init = box_init, .fini = box_fini);

static struct item_pool *items;
static struct raw_pool *raws;
static struct box_pool *boxes;
static volatile int sink;

/* Lines of their own in a stack. */
#if defined(__clang__)
#define HERE __attribute__((noinline))
#else
#define HERE __attribute__((noipa))
#endif

static HERE struct item *get_here(void)
{
    struct item *item = item_pool_get(items);
    if (!item)
        abort();
    return item;
}

static HERE void put_here(struct item *item)
{
    item_pool_put(items, item);
}

static HERE void touch_here(struct item *item)
{
    item->kept = 1;
}

static HERE void look_here(const struct item *item)
{
    sink = item->kept;
}

/* ---- after the put, past the end ---- */

static void used(void)
{
    for (int i = 0; i < 3; i++) {
        struct item *item = get_here();
        memset(item->text, i, sizeof item->text);
        touch_here(item);
        put_here(item);
    }
}

static HERE void write_after_put(void)
{
    struct item *item = get_here();
    put_here(item);
    touch_here(item);
}

static void read_after_put(void)
{
    struct item *item = get_here();
    touch_here(item);
    put_here(item);
    look_here(item);
}

static void write_after_put_again(void)
{
    used();
    write_after_put();
}

static void write_after_put_batch(void)
{
    struct item *two[2];
    if (item_pool_get_batch(items, two, 2) != 2)
        abort();
    item_pool_put_batch(items, two, 2);
    touch_here(two[1]);
}

static void batch(void)
{
    struct item *two[2];
    if (item_pool_get_batch(items, two, 2) != 2)
        abort();
    touch_here(two[0]);
    touch_here(two[1]);
    item_pool_put_batch(items, two, 2);
}

static void write_after_discard(void)
{
    struct item *item = get_here();
    item_pool_discard(items, item);
    touch_here(item);
}

static void write_past_end(void)
{
    struct item *item = get_here();
    char *volatile at = (char *)item;
    at[sizeof *item] = 1;
    put_here(item);
}

static void write_past_whole(void)
{
    struct raw *first = raw_pool_get(raws), *second = raw_pool_get(raws);
    char *volatile at = (char *)first;
    at[sizeof *first] = 1;
    raw_pool_put(raws, second);
    raw_pool_put(raws, first);
}

static void write_to_end(void)
{
    struct item *item = get_here();
    memset(item, 7, sizeof *item);
    put_here(item);
    struct raw *raw = raw_pool_get(raws);
    memset(raw, 7, sizeof *raw);
    raw_pool_put(raws, raw);
}

static void put_twice(void)
{
    struct item *item = get_here(), *other = get_here();
    put_here(item);
    put_here(other);
    put_here(item);
}

static void before_start(void)
{
    struct raw *first = raw_pool_get(raws), *second = raw_pool_get(raws);
    struct raw *later = first > second ? first : second;
    char *volatile at = (char *)later;
    at[-1] = 1;
    raw_pool_put(raws, second);
    raw_pool_put(raws, first);
}

extern void __asan_set_error_report_callback(void (*call)(const char *text)) __attribute__((weak));

static void own_callback(const char *text)
{
    static const char said[] = "own callback\n";
    (void)text;
    if (write(2, said, sizeof said - 1) < 0)
        abort();
}

static void with_own_callback(void)
{
    if (__asan_set_error_report_callback)
        __asan_set_error_report_callback(own_callback);
    write_after_put();
}

/* ---- what was never written ---- */

static HERE void spoil(struct item *item)
{
    int *volatile never = malloc(2 * sizeof(int));
    item->kept = never[0];
    item->cleared = never[1];
    free(never);
}

static HERE void branch_here(const int *value)
{
    if (*value == 12345)
        sink = 1;
}

static void spoiled(struct item **out)
{
    struct item *item = get_here();
    spoil(item);
    put_here(item);
    *out = get_here();
}

/* What the last user left and reset did not touch is as the last user left it. */
static void unwritten_kept(void)
{
    struct item *item;
    spoiled(&item);
    branch_here(&item->kept);
    put_here(item);
}

static void unwritten_cleared(void)
{
    struct item *item;
    spoiled(&item);
    branch_here(&item->cleared);
    put_here(item);
}

struct left {
    int cleared, left;
};

static bool left_reset(struct left *left, void *arg)
{
    (void)arg;
    left->cleared = 0;
    return true;
}

OPOOL_DEFINE(left_pool, struct left, .reset = left_reset);

/* Reset verification looks at what nobody wrote, and is not what uses it. */
static void left_unwritten(void)
{
    struct left_pool *pool;
    if (left_pool_create(&pool, NULL) != 0)
        abort();
    struct left *left = left_pool_get(pool);
    int *volatile never = malloc(2 * sizeof(int));
    left->left = never[1] | 1 << 16;
    free(never);
    left_pool_put(pool, left);
    left_pool_destroy(&pool);
}

/* A slot that had an object before, and went back to the system, is zero. */
static void built_again(void)
{
    struct item *many[2000];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2000; i++) {
            many[i] = get_here();
            branch_here(&many[i]->kept);
            spoil(many[i]);
            memset(many[i]->text, 0, 10);
        }
        for (int i = 0; i < 2000; i++) {
            if (i % 2)
                item_pool_discard(items, many[i]);
            else
                put_here(many[i]);
        }
        opool_release();
    }
}

/* ---- threads ---- */

static struct item *volatile shared_item;
static pthread_barrier_t barrier;

static void *other_user(void *arg)
{
    (void)arg;
    struct item *item = get_here();
    touch_here(item);
    put_here(item);
    opool_thread_flush();
    return NULL;
}

/* Two users after each other, of one object that the depot hands over; nothing else orders them. */
static void *gives(void *arg)
{
    (void)arg;
    struct item *item = get_here();
    shared_item = item;
    touch_here(item);
    put_here(item);
    opool_thread_flush();
    return NULL;
}

static void run_two(void *(*first)(void *), void *(*second)(void *))
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, first, NULL);
    usleep(100000);
    pthread_create(&threads[1], NULL, second, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static void *waits_and_uses(void *arg)
{
    usleep(200000);
    return other_user(arg);
}

static void hand_over(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, gives, NULL);
    pthread_create(&threads[1], NULL, waits_and_uses, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static void *gives_and_touches(void *arg)
{
    gives(arg);
    usleep(400000);
    touch_here(shared_item);
    return NULL;
}

/* The first thread touches its object after the second has it. */
static void stale_touch(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, gives_and_touches, NULL);
    pthread_create(&threads[1], NULL, waits_and_uses, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static void *busy(void *arg)
{
    (void)arg;
    struct item *held[40];
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 40; i++) {
            held[i] = get_here();
            memset(held[i], i, sizeof *held[i]);
        }
        for (int i = 0; i < 40; i++)
            put_here(held[i]);
        if (round % 16 == 0)
            opool_epoch_advance();
        struct box_pool *own;
        if (box_pool_create(&own, NULL) != 0)
            abort();
        struct box *box = box_pool_get(own);
        box->given = 1;
        box_pool_put(own, box);
        box_pool_destroy(&own);
    }
    return NULL;
}

static void threads(void)
{
    run_two(busy, busy);
}

/* Objects come and go beside those of other threads, which look at the border. */
static void *builds(void *arg)
{
    struct item *own[8] = {0};
    for (unsigned i = 0; i < 4000; i++) {
        struct item **item = &own[i * 7 % 8];
        if (*item)
            item_pool_discard(items, *item);
        *item = *item ? NULL : item_pool_get(items);
    }
    for (unsigned i = 0; i < 8; i++)
        item_pool_put(items, own[i]);
    return arg;
}

static void neighbours(void)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, builds, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* A thread gets what the library kept for one that ended, of which the program's own code knows nothing. */
static long leader;
static struct raw *lent;

static void *leads(void *arg)
{
    raw_pool_put(raws, raw_pool_get(raws));
    __atomic_store_n(&leader, syscall(SYS_gettid), __ATOMIC_RELAXED);
    return arg;
}

static void *follows(void *arg)
{
    char path[64];
    long before;
    while ((before = __atomic_load_n(&leader, __ATOMIC_RELAXED)) == 0)
        usleep(1000);
    snprintf(path, sizeof path, "/proc/self/task/%ld", before);
    while (access(path, F_OK) == 0)
        usleep(1000);
    raw_pool_put(raws, lent);
    raw_pool_put(raws, raw_pool_get(raws));
    return arg;
}

static void one_after_the_other(void)
{
    lent = raw_pool_get(raws);
    run_two(leads, follows);
}

/* ---- leaks ---- */

static void owned_idle(void)
{
    struct box *box = box_pool_get(boxes);
    if (!box)
        abort();
    box->given = 1;
    box_pool_put(boxes, box);
}

static struct box *volatile out;

static void owned_out(void)
{
    out = box_pool_get(boxes);
}

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void owned_checked(void)
{
    owned_idle();
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        puts("leaks");
}

/* A block that a user takes out of an object and loses. */
static HERE void lose(void)
{
    struct box *box = box_pool_get(boxes);
    char *volatile *owned = (char *volatile *)&box->owned;
    *owned = NULL;
    box_pool_put(boxes, box);
}

static HERE void clean_stack(void)
{
    char space[4096];
    memset(space, 0, sizeof space);
    __asm__ volatile("" : : "r"(space) : "memory");
}

static void owned_lost(void)
{
    struct box *two[2] = {box_pool_get(boxes), box_pool_get(boxes)};
    lose();
    box_pool_put(boxes, two[0]);
    box_pool_put(boxes, two[1]);
    lose();
    lose();
    clean_stack();
}

/* What an idle object owned is its next user's to keep. */
static HERE void take_and_lose(void)
{
    struct box *box = box_pool_get(boxes);
    box_pool_put(boxes, box);
    out = box_pool_get(boxes);
    char *volatile *owned = (char *volatile *)&out->owned;
    *owned = NULL;
}

static void lost_while_out(void)
{
    take_and_lose();
    clean_stack();
}

static void torn_down(void)
{
    struct box_pool *pool;
    if (box_pool_create(&pool, NULL) != 0)
        abort();
    box_pool_put(pool, box_pool_get(pool));
    opool_release();
    box_pool_put(pool, box_pool_get(pool));
    box_pool_destroy(&pool);
}

static void arg_of_pool(void)
{
    struct opool_options options = {.arg = malloc(77)};
    struct item_pool *pool;
    if (item_pool_create(&pool, &options) != 0)
        abort();
    options.arg = NULL;
    item_pool_put(pool, item_pool_get(pool));
    pool = NULL;
    clean_stack();
}

static HERE void never_put_in(void)
{
    struct item *volatile lost = get_here();
    lost = get_here();
    lost = NULL;
}

static void never_put(void)
{
    never_put_in();
    clean_stack();
}

/* ---- all sorts ---- */

static void log_line(const char *line, void *arg)
{
    (void)arg;
    for (; *line; line++)
        if (*line == 'Q')
            sink++;
}

static char region[64 << 10];

static void in_region(void)
{
    struct opool_options options = {.region = region, .region_size = sizeof region};
    for (int round = 0; round < 2; round++) {
        struct item_pool *pool;
        if (item_pool_create(&pool, &options) != 0)
            abort();
        struct item *item = item_pool_get(pool);
        memset(item, 1, sizeof *item);
        item_pool_put(pool, item);
        if (round > 0)
            item_pool_put(pool, item_pool_get(pool));
        else
            shared_item = item_pool_get(pool); /* destroy says so, and the region is ours again */
        opool_log_set(log_line, NULL);
        item_pool_destroy(&pool);
        opool_log_set(NULL, NULL);
        memset(region, 1, sizeof region);
    }
}

static void stats(void)
{
    struct opool_stats read;
    used();
    if (opool_stats_read(item_pool_base(items), &read) != 0 || read.gets != 3 || read.live != 0)
        abort();
    opool_stats_write(stdout, OPOOL_JSON);
}

static void logged(void)
{
    opool_log_set(log_line, NULL);
    struct item_pool *pool;
    if (item_pool_create(&pool, NULL) != 0)
        abort();
    struct item *item = item_pool_get(pool);
    shared_item = item; /* not lost */
    item_pool_destroy(&pool);
    sink = item->kept;
}

static void reused_address(void)
{
    for (int i = 0; i < 50; i++) {
        struct opool_options options = {.prefill = 300};
        struct raw_pool *pool;
        if (raw_pool_create(&pool, &options) != 0)
            abort();
        struct raw *raw = raw_pool_get(pool);
        memset(raw, 1, sizeof *raw);
        raw_pool_put(pool, raw);
        raw_pool_destroy(&pool);
        char *space = malloc(1 << 20);
        memset(space, 1, 1 << 20);
        free(space);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(name) \
    { \
#name, name \
    }
    CASE(used),
    CASE(write_after_put),
    CASE(read_after_put),
    CASE(write_after_put_again),
    CASE(batch),
    CASE(write_after_put_batch),
    CASE(write_after_discard),
    CASE(write_past_end),
    CASE(before_start),
    CASE(with_own_callback),
    CASE(write_past_whole),
    CASE(write_to_end),
    CASE(put_twice),
    CASE(unwritten_kept),
    CASE(left_unwritten),
    CASE(unwritten_cleared),
    CASE(built_again),
    CASE(hand_over),
    CASE(stale_touch),
    CASE(threads),
    CASE(neighbours),
    CASE(one_after_the_other),
    CASE(owned_idle),
    CASE(owned_out),
    CASE(owned_checked),
    CASE(owned_lost),
    CASE(lost_while_out),
    CASE(torn_down),
    CASE(arg_of_pool),
    CASE(never_put),
    CASE(in_region),
    CASE(stats),
    CASE(logged),
    CASE(reused_address),
};

/* The audit knows where the highest block of all is, which so is no leak; and memcheck looks for leaks only where some
   block is in use. */
static void *volatile highest;

int main(int argc, char **argv)
{
    highest = malloc(200000);
    if (argc != 2 || item_pool_create(&items, NULL) != 0 || raw_pool_create(&raws, NULL) != 0 ||
        box_pool_create(&boxes, NULL) != 0)
        return 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    return 2;
}
