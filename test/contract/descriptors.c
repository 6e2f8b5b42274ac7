/* SPDX-License-Identifier: MIT */

/*
 * Programs that close all descriptors but the first three while the library's thread runs, as daemons do, and open
 * their own under these numbers: nothing is read from, written to or closed that is theirs, the thread does not spin,
 * goes on to tick, and ends in time.
 */

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "contract.h"

struct thing {
    unsigned char bytes[1000];
};

OPOOL_DEFINE(thing_pool, struct thing);

static struct thing_pool *pool;

static bool use_pressure;

static void use_pool(void)
{
    thing_pool_put(pool, thing_pool_get(pool));
}

/* Not by close: ThreadSanitizer would call it a race with the thread that uses them, which it is. */
static void close_all(void)
{
    for (long fd = 3; fd < 64; fd++)
        (void)syscall(SYS_close, fd);
}

static void start_ticking(unsigned period_ms)
{
    CHILD_ASSERT(thing_pool_create(&pool, NULL) == 0);
    CHILD_ASSERT(
        opool_epoch_start(&(struct opool_epoch_options){.period_ms = period_ms, .use_pressure = use_pressure}) == 0);
}

static uint64_t torn_down(void)
{
    struct opool_stats stats;
    CHILD_ASSERT(opool_stats_read(thing_pool_base(pool), &stats) == 0);
    return stats.torn_down;
}

/* It ticks: what is idle goes, and again after a doze. */
static void expect_ticks(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t before = torn_down();
        use_pool();
        while (torn_down() == before) /* or the alarm ends us */
            sleep_ms(1);
        sleep_ms(20);
    }
}

/* ---- the end ---- */

enum { NEVER_MS = 1000000 };

/* Asleep before its first tick, for long; or between ticks, or dozing. */
static void start_and_close(bool early)
{
    start_ticking(early ? NEVER_MS : 10);
    use_pool();
    while (!early && torn_down() == 0)
        sleep_ms(1);
    sleep_ms(early ? 20 : 40);
    close_all();
}

static void exit_early(void)
{
    start_and_close(true);
    exit(EXIT_SUCCESS);
}

static void exit_from_a_doze(void)
{
    start_and_close(false);
    exit(EXIT_SUCCESS);
}

static void stop_early(void)
{
    start_and_close(true);
    opool_epoch_stop();
    CHILD_ASSERT(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 10, .use_pressure = use_pressure}) == 0);
    expect_ticks();
    opool_epoch_stop();
}

static void stop_from_a_doze(void)
{
    start_and_close(false);
    expect_ticks();
    opool_epoch_stop();
}

START_TEST(it_ends_without_descriptors)
{
    static void (*const ends[])(void) = {exit_early, exit_from_a_doze, stop_early, stop_from_a_doze};
    use_pressure = _i & 1;
    struct outcome outcome = in_child(ends[_i / 2]); /* which has 30 s */
    expect_success(&outcome);
}
END_TEST

/* ---- other things under its numbers ---- */

enum { TAKEN = 8, MARK = 5 };

static int taken[TAKEN], ready;

static void open_sockets(void)
{
    for (int i = 0; i < TAKEN; i += 2)
        CHILD_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, &taken[i]) == 0);
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT(write(taken[i], "GET", 3) == 3);
}

/* What each was sent, no less and no more. */
static void check_sockets(void)
{
    char text[100];
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT(read(taken[i], text, sizeof text) == 3 && memcmp(text, "GET", 3) == 0);
}

static void open_pipes(void)
{
    for (int i = 0; i < TAKEN; i += 2) {
        CHILD_ASSERT(pipe2(&taken[i], O_NONBLOCK) == 0);
        CHILD_ASSERT(write(taken[i + 1], "GET", 3) == 3);
    }
}

static void check_pipes(void)
{
    char text[100];
    for (int i = 0; i < TAKEN; i += 2)
        CHILD_ASSERT(read(taken[i], text, sizeof text) == 3 && memcmp(text, "GET", 3) == 0);
}

static void open_eventfds(void)
{
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT((taken[i] = eventfd(MARK, EFD_NONBLOCK)) > 0);
}

static void check_eventfds(void)
{
    for (int i = 0; i < TAKEN; i++) {
        uint64_t value = 0;
        CHILD_ASSERT(read(taken[i], &value, sizeof value) == sizeof value && value == MARK);
    }
}

/* Ready for ever. */
static void open_epolls(void)
{
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT((taken[i] = epoll_create1(0)) > 0);
    CHILD_ASSERT((ready = eventfd(MARK, EFD_NONBLOCK)) > 0);
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT(epoll_ctl(taken[i], EPOLL_CTL_ADD, ready, &(struct epoll_event){.events = EPOLLIN}) == 0);
}

static void check_epolls(void)
{
    struct epoll_event event;
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT(epoll_wait(taken[i], &event, 1, 0) == 1);
}

static void open_timers(void)
{
    struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
    for (int i = 0; i < TAKEN; i++) {
        CHILD_ASSERT((taken[i] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) > 0);
        CHILD_ASSERT(timerfd_settime(taken[i], 0, &soon, NULL) == 0);
    }
}

static void check_timers(void)
{
    for (int i = 0; i < TAKEN; i++) {
        uint64_t expired = 0;
        CHILD_ASSERT(read(taken[i], &expired, sizeof expired) == sizeof expired && expired == 1);
    }
}

static const struct guest {
    void (*open)(void), (*check)(void);
} guests[] = {{open_sockets, check_sockets},
              {open_pipes, check_pipes},
              {open_eventfds, check_eventfds},
              {open_epolls, check_epolls},
              {open_timers, check_timers}};

enum { GUESTS = sizeof guests / sizeof *guests };

static const struct guest *guest;
static bool dozes; /* when its descriptors are closed; else it sleeps until the next tick */

static int64_t processor_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static bool rests(void)
{
    enum { WATCHED_MS = 100 };
    int64_t before = processor_ms();
    sleep_ms(WATCHED_MS);
    return processor_ms() - before < WATCHED_MS / 5;
}

/* This thread sleeps, so what is used is the other's: a thread that spins would take what it can get, each time. */
static void expect_rest(void)
{
    int tries = 0;
    while (!rests())
        CHILD_ASSERT(++tries < 20);
}

static void expect_open(void)
{
    for (int i = 0; i < TAKEN; i++)
        CHILD_ASSERT(fcntl(taken[i], F_GETFD) >= 0);
}

static void child_has_them_too(void)
{
    pid_t child = fork();
    int status;
    if (child == 0) {
        expect_open();
        _exit(EXIT_SUCCESS);
    }
    CHILD_ASSERT(waitpid(child, &status, 0) == child && status == 0);
}

static void live_under_its_numbers(void)
{
    start_ticking(10);
    use_pool();
    while (dozes && torn_down() == 0)
        sleep_ms(1);
    sleep_ms(dozes ? 30 : 5);
    close_all();
    guest->open();
    CHILD_ASSERT(taken[0] < 6); /* or the numbers were not the library's */
    expect_ticks();
    expect_rest();
    thing_pool_put(pool, thing_pool_get(pool)); /* with something idle it sleeps otherwise */
    expect_rest();
    child_has_them_too();
    expect_open();
    opool_epoch_stop();
    expect_open();
    guest->check();
}

START_TEST(its_numbers_are_taken_by_others)
{
    use_pressure = _i % 3 > 0;
    dozes = _i % 3 > 1;
    guest = &guests[_i / 3];
    struct outcome outcome = in_child(live_under_its_numbers);
    expect_success(&outcome);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptors");
    TCase *closed = new_case(suite, "closed");
    tcase_add_loop_test(closed, it_ends_without_descriptors, 0, 8);
    /* ThreadSanitizer calls opening a file a race with a look at what its number is now. */
    tcase_add_loop_test(closed, its_numbers_are_taken_by_others, 0, THREAD_SANITIZER ? 0 : 3 * GUESTS);
    return run_suite_as(suite, CK_FORK);
}
