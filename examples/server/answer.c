/* SPDX-License-Identifier: MIT */

/* What each path answers. All or nothing of an answer's head and body is queued: without a buffer it is 503. */
#define _GNU_SOURCE
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *date_of(struct worker *worker)
{
    time_t now = time(NULL);
    struct tm parts;
    if (now != worker->date_of && gmtime_r(&now, &parts)) {
        strftime(worker->date, sizeof worker->date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        worker->date_of = now;
    }
    return worker->date;
}

static void count_status(struct worker *worker, unsigned status)
{
    const enum counter counters[] = {COUNT_STATUS_2XX, COUNT_STATUS_3XX, COUNT_STATUS_4XX, COUNT_STATUS_5XX};
    count_up(worker, counters[status / 100 - 2], 1);
}

static const char *allowed(const struct conn *conn, unsigned status)
{
    if (status != HTTP_STATUS_METHOD_NOT_ALLOWED)
        return "";
    return request_is_for(conn->request, "/echo") ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
}

bool answer_head(struct conn *conn, unsigned status, const char *type, uint64_t length)
{
    char text[512];
    const bool old = conn->parser.http_major == 1 && conn->parser.http_minor == 0;
    const char *connection = !conn->keep_alive ? "Connection: close\r\n" : old ? "Connection: keep-alive\r\n" : "";
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\n%s%s\r\n", status,
                     http_status_str((enum http_status)status), date_of(conn->worker), type, (unsigned long long)length,
                     connection, allowed(conn, status));
    if (!queue_append(&conn->out, text, (size_t)n))
        return false;
    count_status(conn->worker, status);
    return true;
}

static bool answer_text(struct conn *conn, unsigned status, const char *type, const char *text, size_t length)
{
    /* The head of an answer whose body finds no buffer must not stand there: both at once, or none. */
    if (conn->head_only || !length)
        return answer_head(conn, status, type, length);
    struct queue body = {0};
    if (!queue_append(&body, text, length))
        return false;
    if (conn->out.links + 1 + body.links <= QUEUE_LINKS && answer_head(conn, status, type, length))
        return queue_move(&conn->out, &body);
    queue_clear(&body);
    return false;
}

static bool answer_status(struct conn *conn, unsigned status)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%s\n", http_status_str((enum http_status)status));
    return answer_text(conn, status, "text/plain", text, (size_t)n);
}

static bool answer_echo(struct conn *conn)
{
    struct queue *body = &conn->request->body;
    return conn->out.links + 1 + body->links <= QUEUE_LINKS &&
           answer_head(conn, HTTP_STATUS_OK, "application/octet-stream", body->length) && queue_move(&conn->out, body);
}

static bool answer_metrics(struct conn *conn)
{
    size_t length;
    char *text = metrics_text(&length);
    bool done = text && answer_text(conn, HTTP_STATUS_OK, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                                    text, length);
    free(text);
    return done;
}

static bool answer_file(struct conn *conn, const char *path, size_t n)
{
    int file;
    uint64_t size;
    const char *type;
    unsigned status = file_open(path, n, &file, &size, &type);
    if (status != HTTP_STATUS_OK)
        return answer_status(conn, status);
    bool done = answer_head(conn, HTTP_STATUS_OK, type, size);
    if (!done || conn->head_only || !size) {
        close(file);
        return done;
    }
    conn->file = file;
    conn->file_offset = 0;
    conn->file_left = size;
    return true;
}

static bool route(struct conn *conn)
{
    const unsigned method = conn->parser.method;
    const bool reads = method == HTTP_GET || method == HTTP_HEAD;
    const struct request *request = conn->request;
    if (request_is_for(request, "/echo"))
        return method == HTTP_POST ? answer_echo(conn) : answer_status(conn, HTTP_STATUS_METHOD_NOT_ALLOWED);
    if (!reads)
        return answer_status(conn, HTTP_STATUS_METHOD_NOT_ALLOWED);
    if (request_is_for(request, "/metrics"))
        return answer_metrics(conn);
    return answer_file(conn, request->target + request->path_at, request->path_length);
}

void answer(struct conn *conn)
{
    count_up(conn->worker, COUNT_REQUESTS, 1);
    conn->head_only = conn->parser.method == HTTP_HEAD;
    if (atomic_load_explicit(&stopping, memory_order_relaxed))
        conn->keep_alive = false;
    if (!route(conn))
        conn_refuse(conn, HTTP_STATUS_SERVICE_UNAVAILABLE);
    else if (!conn->keep_alive)
        conn->state = CONN_CLOSING;
}
