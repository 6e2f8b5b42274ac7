/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/* What the files of the server share: the settings, a worker, and the steps of a connection. */

#include "objects.h"

#include <stdatomic.h>

/** Set before the workers start, read by all. */
struct settings {
    const char *address, *port;
    int root; /**< descriptor of the folder with static files; -1: none */
    unsigned workers;
    size_t connections;   /**< above it clients get 503 */
    size_t buffers;       /**< most buffers of all connections together */
    uint64_t body_most;   /**< bytes: 413 */
    uint32_t header_most; /**< bytes: 431 */
    uint64_t idle_ms;     /**< without a byte of a request or an answer */
    uint64_t request_ms;  /**< from the first byte of a request to its last: 408 */
    uint64_t drain_ms;    /**< most that a stop takes */
    uint64_t linger_ms;   /**< who is refused may go on sending so long, and still reads why */
    uint64_t grace_ms;    /**< who is idle when a stop begins may still ask so long */
    uint64_t epoch_ms;
    bool pools;
};
extern struct settings settings;

enum counter {
    COUNT_ACCEPTED,
    COUNT_REFUSED,
    COUNT_REQUESTS,
    COUNT_STATUS_2XX,
    COUNT_STATUS_3XX,
    COUNT_STATUS_4XX,
    COUNT_STATUS_5XX,
    COUNT_RECEIVED,
    COUNT_SENT,
    COUNT_TIMEOUTS,
    COUNT_RESETS,
    COUNTERS
};

/** A thread and its clients. */
struct worker {
    unsigned number;
    int epoll, listener;
    int reserve;        /**< a descriptor for when there is no other */
    bool resting;       /**< the listener is not waited at */
    uint64_t now;       /**< ms */
    uint64_t stop_at;   /**< ms: a stop began; 0: none did */
    struct conn *conns; /**< list */
    size_t open;
    time_t date_of;
    char date[32];                                    /**< for the header, of the second date_of */
    _Alignas(64) _Atomic uint64_t counters[COUNTERS]; /**< written by this worker only */
};
extern struct worker workers[];

static inline void count_up(struct worker *worker, enum counter counter, uint64_t n)
{
    _Atomic uint64_t *value = &worker->counters[counter];
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

/** Set by a signal; workers finish what they have. */
extern atomic_bool stopping;

/** Connections of all workers that count against the limit. */
extern atomic_size_t connected;

/* ---- worker.c */
/** What its loop needs. 0, or an errno value. */
int worker_open(struct worker *worker, unsigned number, int listener);
void *worker_run(void *worker);
void worker_close(struct worker *worker);
/** Ends a connection: all that it holds goes back. */
void conn_end(struct conn *conn);

/* ---- conn.c */
void conn_start(struct conn *conn, struct worker *worker, int socket);
/** As far as it goes without waiting; false: it goes on at once when asked again. May leave the connection dead. */
bool conn_run(struct conn *conn);
/** What time has done to it: it may be dead; true: it is to be run. */
bool conn_check(struct conn *conn);
/** No more requests; a last answer follows what is being sent. It needs no buffer. */
void conn_refuse(struct conn *conn, unsigned status);

/* ---- http.c */
/** Parses what has come up to the end of one request, and answers that. */
void http_parse(struct conn *conn);
void http_start(struct conn *conn);
bool request_is_for(const struct request *request, const char *path);

/* ---- answer.c */
void answer(struct conn *conn);
/** The head of an answer; false: no buffer. */
bool answer_head(struct conn *conn, unsigned status, const char *type, uint64_t length);

/* ---- files.c */
/** Opens the file that a path names, below the root: 0 with the file and its size, else the status for the client. */
unsigned file_open(const char *path, size_t length, int *file, uint64_t *size, const char **type);

/* ---- metrics.c */
/** OpenMetrics text, to be freed; NULL: no memory. */
char *metrics_text(size_t *length);

#endif
