/* SPDX-License-Identifier: MIT */
#ifndef SERVER_OBJECTS_H
#define SERVER_OBJECTS_H

/*
 * What the server allocates: connections, requests and buffers, from pools or from malloc by the same calls. A worker
 * thread gives back what it got; nothing changes hands between threads.
 */

#include "queue.h"

#include <http_parser.h>
#include <stdio.h>

enum { TARGET_MOST = 4096, NAME_MOST = 24, WORKERS_MOST = 64 };

struct worker;

/** From the first byte of a request to its answer. */
struct request {
    struct queue body;
    uint64_t body_length; /**< bytes so far, kept or not */
    uint16_t target_length;
    uint16_t path_at, path_length; /**< in the target */
    uint8_t name_length, value_length;
    uint8_t hosts;         /**< how many headers name a host; counts to 2 */
    uint8_t codings;       /**< how many headers say "Transfer-Encoding: chunked", and nothing else; counts to 2 */
    bool other_coding;     /**< one says something else */
    bool wants_body;       /**< the answer is made of it */
    bool in_value;         /**< the parser's last piece of a header was of its value */
    bool expects_continue; /**< Expect: 100-continue */
    char name[NAME_MOST];  /**< of the header that is being read, as much as is compared */
    char value[NAME_MOST];
    char target[TARGET_MOST];
};

enum conn_state {
    CONN_OPEN,
    CONN_CLOSING, /**< no more requests: what is to be sent goes out */
    CONN_LINGER,  /**< all is sent, our side is shut; waits for the client, whose data is dropped */
    CONN_DEAD
};

/** One client. */
struct conn {
    int socket;
    int file; /**< being sent; -1: none */
    enum conn_state state;
    uint16_t refusal;      /**< status of the last answer, which needs no buffer; 0: none */
    uint16_t refusal_sent; /**< bytes of it */
    bool readable, writable, ended, counted, keep_alive, head_only;
    uint64_t since;         /**< ms: the last byte of a request or an answer */
    uint64_t request_since; /**< ms: the first byte of the request that is being read; 0: none */
    uint64_t file_offset, file_left;
    io_buf_ref in;
    struct queue out;
    struct request *request;
    struct worker *worker;
    struct conn *previous, *next; /**< in the worker's list */
    http_parser parser;
};

/** Most objects at once. */
struct memory_limits {
    size_t connections, requests, buffers;
    unsigned workers;
};

enum memory_kind { MEMORY_CONNECTIONS, MEMORY_REQUESTS, MEMORY_BUFFERS, MEMORY_KINDS };

/** Before any thread; limits.workers is WORKERS_MOST at most. 0, or a negative errno value. */
int memory_start(bool pools, const struct memory_limits *limits);

/** After all threads; how many objects were not given back. */
uint64_t memory_stop(void);

/** Each worker thread, once, before its first object: its number, below limits.workers. */
void memory_enter(unsigned worker);

/** Objects that are out, of all workers. Safe from any thread. */
uint64_t memory_live(enum memory_kind kind);

/** NULL: at the limit, or no memory. What is not given a value by whoever gets it is zero. */
struct conn *conn_get(void);
void conn_put(struct conn *conn);
struct request *request_get(void);
void request_put(struct request *request);

#endif
