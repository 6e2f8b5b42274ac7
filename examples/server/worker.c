/* SPDX-License-Identifier: MIT */

/*
 * A worker: one epoll loop with its own connections. All workers wait at one listening socket, so that a stop can empty
 * its queue: with a socket each (SO_REUSEPORT) the system would reset what one's queue holds when that one closes.
 *
 * Events are edge-triggered: a connection remembers that it is readable or writable until the system says EAGAIN. One
 * that could go on, but has had its turn, is armed again, which makes the system report it again.
 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, TURN = 16, LAST_TURNS = 512, CHECK_MS = 100, ACCEPT_MS = 200 };

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void list(struct worker *worker, struct conn *conn)
{
    conn->next = worker->conns;
    if (conn->next)
        conn->next->previous = conn;
    worker->conns = conn;
    worker->open++;
}

static void unlist(struct worker *worker, struct conn *conn)
{
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        worker->conns = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    worker->open--;
}

void conn_end(struct conn *conn)
{
    unlist(conn->worker, conn);
    close(conn->socket);
    if (conn->file >= 0)
        close(conn->file);
    buffer_put(io_buf_ref_get(conn->in));
    queue_clear(&conn->out);
    if (conn->request) {
        queue_clear(&conn->request->body);
        request_put(conn->request);
    }
    if (conn->counted)
        atomic_fetch_sub_explicit(&connected, 1, memory_order_relaxed);
    conn_put(conn);
}

static int arm(struct conn *conn, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = conn}};
    return epoll_ctl(conn->worker->epoll, operation, conn->socket, &event);
}

static void turn(struct conn *conn)
{
    bool done = conn_run(conn);
    if (conn->state == CONN_DEAD || (!done && arm(conn, EPOLL_CTL_MOD) != 0))
        conn_end(conn);
}

/* Some connections more than the limit are taken to be told so; those beyond are closed. */
static void welcome(struct worker *worker, int socket)
{
    struct conn *conn = conn_get();
    count_up(worker, COUNT_ACCEPTED, 1);
    if (!conn) {
        count_up(worker, COUNT_REFUSED, 1);
        close(socket);
        return;
    }
    conn_start(conn, worker, socket);
    list(worker, conn);
    conn->counted = true;
    if (atomic_fetch_add_explicit(&connected, 1, memory_order_relaxed) >= settings.connections) {
        count_up(worker, COUNT_REFUSED, 1);
        conn_refuse(conn, HTTP_STATUS_SERVICE_UNAVAILABLE);
        atomic_fetch_sub_explicit(&connected, 1, memory_order_relaxed);
        conn->counted = false;
    }
    if (arm(conn, EPOLL_CTL_ADD) != 0)
        conn_end(conn);
}

static int wait_at_listener(struct worker *worker)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.ptr = &worker->listener}};
    return epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->listener, &event);
}

static void take_reserve(struct worker *worker)
{
    if (worker->reserve < 0)
        worker->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Clients who can not be accepted now stay in the queue, where they would wake us again and again. */
static void rest(struct worker *worker)
{
    worker->resting = epoll_ctl(worker->epoll, EPOLL_CTL_DEL, worker->listener, NULL) == 0;
}

static void end_rest(struct worker *worker)
{
    if (!worker->resting)
        return;
    take_reserve(worker);
    worker->resting = wait_at_listener(worker) != 0;
}

/* Without descriptors: the one that is kept for this takes the client, who is turned away. False: another thread was
   faster, and has the descriptor. */
static bool turn_away(struct worker *worker)
{
    if (worker->reserve >= 0)
        close(worker->reserve);
    worker->reserve = -1;
    int socket = accept4(worker->listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket >= 0) {
        count_up(worker, COUNT_ACCEPTED, 1);
        count_up(worker, COUNT_REFUSED, 1);
        close(socket);
    }
    take_reserve(worker);
    return socket >= 0;
}

/* False: no other client is to be had now. */
static bool accept_failed(struct worker *worker)
{
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        if (turn_away(worker))
            return true;
        break;
    case ENOBUFS:
    case ENOMEM:
        break;
    default: /* EINTR, or what became of that one connection: accept(2) has a list of it */
        return true;
    }
    if (!worker->resting)
        rest(worker);
    return false;
}

/* A few at a time, so that other workers get some. False: the queue is empty. */
static bool accept_some(struct worker *worker)
{
    static const int on = 1;
    for (int i = 0; i < TURN; i++) {
        int socket = accept4(worker->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= 0) {
            setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            welcome(worker, socket);
        } else if (!accept_failed(worker)) {
            return false;
        }
    }
    return true;
}

static void check_all(struct worker *worker)
{
    struct conn *next;
    for (struct conn *conn = worker->conns; conn; conn = next) {
        next = conn->next;
        if (conn_check(conn))
            turn(conn);
        else if (conn->state == CONN_DEAD)
            conn_end(conn);
    }
}

/* Those who were on their way when the stop began get in. */
static bool accepts(const struct worker *worker)
{
    return !worker->stop_at || worker->now - worker->stop_at < ACCEPT_MS;
}

static void look_at_stop(struct worker *worker)
{
    if (!worker->stop_at && atomic_load_explicit(&stopping, memory_order_relaxed))
        worker->stop_at = worker->now;
    for (int i = 0; i < LAST_TURNS && worker->stop_at && accepts(worker) && accept_some(worker); i++)
        continue;
}

static void handle(struct worker *worker, const struct epoll_event *event)
{
    if (event->data.ptr == &worker->listener) {
        accept_some(worker);
        return;
    }
    struct conn *conn = event->data.ptr;
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn->readable = true;
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        conn->writable = true;
    turn(conn);
}

int worker_open(struct worker *worker, unsigned number, int listener)
{
    worker->number = number;
    worker->listener = listener;
    worker->reserve = -1;
    take_reserve(worker);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    return worker->reserve >= 0 && worker->epoll >= 0 && wait_at_listener(worker) == 0 ? 0 : errno;
}

void worker_close(struct worker *worker)
{
    if (worker->epoll >= 0)
        close(worker->epoll);
    if (worker->reserve >= 0)
        close(worker->reserve);
}

static void loop(struct worker *worker)
{
    struct epoll_event events[EVENTS];
    uint64_t checked = worker->now = clock_ms();
    while (worker->open || accepts(worker)) {
        int n = epoll_wait(worker->epoll, events, EVENTS, CHECK_MS);
        worker->now = clock_ms();
        for (int i = 0; i < n; i++)
            handle(worker, &events[i]);
        look_at_stop(worker);
        if (worker->now - checked >= CHECK_MS) {
            check_all(worker);
            end_rest(worker);
            checked = worker->now;
        }
    }
}

void *worker_run(void *arg)
{
    struct worker *worker = arg;
    memory_enter(worker->number);
    loop(worker);
    return NULL;
}
