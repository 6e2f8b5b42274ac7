/* SPDX-License-Identifier: MIT */

/*
 * One thread, one epoll loop: a timer ticks, and a watch tells the loop by an eventfd.
 *
 * Introduces opool_epoch_advance from a timer, opool_watch.event_fd, opool_release as first aid.
 *
 * A burst of 1000 requests goes above the watch's mark; the loop hears of it, and hears again when, three ticks later,
 * the memory has gone back. It checks that both came, in this order.
 */
#define _GNU_SOURCE
#include <opool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { BURST = 1000, TICK_MS = 20, HIGH = 4 << 20, LOW = 1 << 20 };

struct request {
    char bytes[8000];
};

OPOOL_DEFINE(request_pool, struct request);

static bool serve_burst(struct request_pool *pool)
{
    static struct request *requests[BURST];
    size_t n = request_pool_get_batch(pool, requests, BURST);
    request_pool_put_batch(pool, requests, n);
    return n == BURST;
}

static bool add(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    return fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Both kinds of descriptor are read as a number: expirations of the timer, crossings of the watch. */
static uint64_t read_count(int fd)
{
    uint64_t count;
    return read(fd, &count, sizeof count) == (ssize_t)sizeof count ? count : 0;
}

int main(void)
{
    struct request_pool *pool;
    int epoll = epoll_create1(EPOLL_CLOEXEC), told = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct itimerspec each = {.it_interval = {0, TICK_MS * 1000000L}, .it_value = {0, TICK_MS * 1000000L}};
    if (request_pool_create(&pool, NULL) != 0 || !add(epoll, told) || !add(epoll, timer) ||
        timerfd_settime(timer, 0, &each, NULL) != 0)
        return 1;
    struct opool_watch watch = {.figure = OPOOL_WATCH_RESIDENT_BYTES, .high = HIGH, .low = LOW, .event_fd = told};
    if (opool_watch(request_pool_base(pool), &watch) != 0 || !serve_burst(pool))
        return 1;
    uint64_t crossings = 0;
    struct opool_stats stats = {0};
    while (crossings < 2) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, 5000) != 1)
            break; /* five seconds without a tick */
        if (event.data.fd == timer && read_count(timer))
            opool_epoch_advance(); /* once, however many expirations there were */
        if (event.data.fd == told && opool_stats_read(request_pool_base(pool), &stats) == 0) {
            crossings += read_count(told);
            printf("epoch %u: %.1f MiB resident\n", (unsigned)stats.epoch, (double)stats.resident_bytes / 1048576);
            /* Here a server may refuse work, or, when it can not wait for three ticks, call opool_release. */
        }
    }
    request_pool_destroy(&pool);
    close(timer);
    close(told);
    close(epoll);
    return crossings == 2 && stats.resident_bytes <= LOW && stats.epoch >= 3 ? 0 : 1;
}
