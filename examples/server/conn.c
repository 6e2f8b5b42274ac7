/* SPDX-License-Identifier: MIT */

/*
 * The life of a connection. Bytes go in -> parser -> request -> out -> socket, and each step goes on only while the
 * next one has room, so a client who sends without reading is held back by TCP. A connection that waits for its next
 * request holds no buffer.
 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 16, OUT_LOW = 4, ROUNDS = 32 };

void conn_start(struct conn *conn, struct worker *worker, int socket)
{
    conn->socket = socket;
    conn->file = -1;
    conn->worker = worker;
    conn->readable = conn->writable = true;
    conn->since = worker->now;
    http_start(conn);
}

void conn_refuse(struct conn *conn, unsigned status)
{
    if (conn->state != CONN_OPEN)
        return;
    conn->refusal = (uint16_t)status;
    conn->state = CONN_CLOSING;
}

static void failed(struct conn *conn)
{
    if (errno == ECONNRESET || errno == EPIPE)
        count_up(conn->worker, COUNT_RESETS, 1);
    conn->state = CONN_DEAD;
}

static void sent(struct conn *conn, size_t n)
{
    conn->since = conn->worker->now;
    count_up(conn->worker, COUNT_SENT, n);
}

static bool send_out(struct conn *conn)
{
    struct iovec iov[ENTRIES];
    if (!conn->out.length || !conn->writable)
        return false;
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)queue_iov(&conn->out, iov, ENTRIES)};
    ssize_t n = sendmsg(conn->socket, &message, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            conn->writable = false;
        else if (errno != EINTR)
            failed(conn);
        return errno == EINTR;
    }
    queue_consume(&conn->out, (size_t)n);
    sent(conn, (size_t)n);
    return true;
}

/* Whoever wants buffers back does not take one to say so. */
static bool send_refusal(struct conn *conn)
{
    char text[256];
    if (!conn->refusal || conn->out.length || conn->file >= 0 || !conn->writable)
        return false;
    int length = snprintf(text, sizeof text, "HTTP/1.1 %u %s\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n",
                          conn->refusal, http_status_str((enum http_status)conn->refusal),
                          conn->refusal == HTTP_STATUS_SERVICE_UNAVAILABLE ? "Retry-After: 1\r\n" : "");
    ssize_t n = send(conn->socket, text + conn->refusal_sent, (size_t)length - conn->refusal_sent, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            conn->writable = false;
        else if (errno != EINTR)
            failed(conn);
        return errno == EINTR;
    }
    sent(conn, (size_t)n);
    conn->refusal_sent = (uint16_t)(conn->refusal_sent + n);
    if (conn->refusal_sent == length) {
        count_up(conn->worker, conn->refusal >= 500 ? COUNT_STATUS_5XX : COUNT_STATUS_4XX, 1);
        conn->refusal = 0;
    }
    return true;
}

static void close_file(struct conn *conn)
{
    close(conn->file);
    conn->file = -1;
}

/* A buffer of the file, if it can be sent now: a client who does not read is not to hold four. When the file has become
   shorter than we said, or can not be read, the client sees that from the end. */
static bool read_file(struct conn *conn)
{
    if (conn->file < 0 || !conn->writable || conn->out.links >= OUT_LOW)
        return false;
    struct io_buf *buffer = buffer_get();
    if (!buffer)
        return false; /* what is in flight comes back; if nothing is, the idle limit ends this */
    struct opool_view room = io_buf_reserve(buffer, 1);
    size_t wanted = conn->file_left < room.length ? (size_t)conn->file_left : room.length;
    ssize_t n = pread(conn->file, room.data, wanted, (off_t)conn->file_offset);
    if (n <= 0) {
        buffer_put(buffer);
        if (n == 0 || errno != EINTR)
            conn->state = CONN_DEAD;
        return true;
    }
    io_buf_commit(buffer, (size_t)n);
    queue_push(&conn->out, buffer);
    conn->file_offset += (uint64_t)n;
    conn->file_left -= (uint64_t)n;
    if (!conn->file_left)
        close_file(conn);
    return true;
}

static bool wants_requests(const struct conn *conn)
{
    return conn->state == CONN_OPEN && conn->file < 0 && conn->out.links < OUT_LOW;
}

static bool parse_in(struct conn *conn)
{
    struct io_buf *in = io_buf_ref_get(conn->in);
    if (!in || !wants_requests(conn))
        return false;
    http_parse(conn);
    if (!io_buf_length(in) || conn->state != CONN_OPEN) {
        buffer_put(in);
        conn->in = io_buf_ref_of(NULL);
    }
    return true;
}

/* The number of bytes; 0: none now, if the connection is still readable a signal came first. */
static size_t received(struct conn *conn, ssize_t n)
{
    if (n > 0) {
        count_up(conn->worker, COUNT_RECEIVED, (uint64_t)n);
        return (size_t)n;
    }
    if (n == 0)
        conn->ended = true;
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
        conn->readable = false;
    else if (errno != EINTR)
        failed(conn);
    return 0;
}

static bool receive(struct conn *conn)
{
    if (!conn->readable || conn->ended || !wants_requests(conn) || io_buf_ref_get(conn->in))
        return false;
    struct io_buf *in = buffer_get();
    if (!in) {
        conn_refuse(conn, HTTP_STATUS_SERVICE_UNAVAILABLE);
        return true;
    }
    struct opool_view room = io_buf_reserve(in, 1);
    size_t n = received(conn, recv(conn->socket, room.data, room.length, 0));
    if (n) {
        io_buf_commit(in, n);
        conn->in = io_buf_ref_of(in);
    } else {
        buffer_put(in);
    }
    return conn->readable;
}

/* A socket that is closed while there is data to read resets the connection, and the client may lose our answer. */
static bool linger(struct conn *conn)
{
    char dropped[4096];
    const bool done = !conn->out.length && !conn->refusal && conn->file < 0;
    if (conn->state == CONN_OPEN && conn->ended && done && !io_buf_ref_get(conn->in))
        conn->state = CONN_DEAD;
    if (conn->state == CONN_CLOSING && done) {
        conn->state = shutdown(conn->socket, SHUT_WR) == 0 ? CONN_LINGER : CONN_DEAD;
        conn->request_since = conn->worker->now;
    }
    if (conn->state != CONN_LINGER)
        return false;
    if (conn->ended)
        conn->state = CONN_DEAD;
    else if (conn->readable) {
        received(conn, recv(conn->socket, dropped, sizeof dropped, 0));
        return conn->readable;
    }
    return false;
}

bool conn_run(struct conn *conn)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool moved = read_file(conn);
        moved |= send_out(conn);
        moved |= send_refusal(conn);
        moved |= parse_in(conn);
        moved |= receive(conn);
        moved |= linger(conn);
        if (conn->state == CONN_DEAD || !moved)
            return true;
    }
    return false;
}

static void time_out(struct conn *conn)
{
    count_up(conn->worker, COUNT_TIMEOUTS, 1);
    conn->state = CONN_DEAD;
}

static bool idle(const struct conn *conn)
{
    return conn->state == CONN_OPEN && !conn->request && !conn->out.length && conn->file < 0 &&
           !io_buf_ref_get(conn->in);
}

bool conn_check(struct conn *conn)
{
    const struct worker *worker = conn->worker;
    const uint64_t quiet = worker->now - conn->since;
    if (worker->stop_at && worker->now - worker->stop_at >= settings.drain_ms)
        conn->state = CONN_DEAD;
    else if (conn->state == CONN_LINGER && worker->now - conn->request_since >= settings.linger_ms)
        conn->state = CONN_DEAD;
    else if (idle(conn) && worker->stop_at && quiet >= settings.grace_ms &&
             worker->now - worker->stop_at >= settings.grace_ms)
        conn->state = CONN_DEAD;
    else if (conn->state != CONN_LINGER && quiet >= settings.idle_ms)
        time_out(conn);
    else if (conn->state == CONN_OPEN && conn->request && worker->now - conn->request_since >= settings.request_ms) {
        count_up(conn->worker, COUNT_TIMEOUTS, 1);
        conn_refuse(conn, HTTP_STATUS_REQUEST_TIMEOUT);
        return true;
    } else
        return conn->file >= 0 && !conn->out.length; /* it found no buffer */
    return false;
}
