/* SPDX-License-Identifier: MIT */

/*
 * The one file that knows where objects come from. Each worker counts what it has out in a line of its own, without
 * locked instructions, so that malloc is not made slower than it is. Limits are the capacities of the pools; with
 * malloc each worker has its share of them.
 */
#include "objects.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static inline bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    memset(conn, 0, sizeof *conn);
    return true;
}

static inline bool request_reset(struct request *request, void *arg)
{
    (void)arg;
    memset(request, 0, offsetof(struct request, target));
    return true;
}

OPOOL_DEFINE_MEMBERS(conn_pool, struct conn,
                     (socket, file, state, refusal, refusal_sent, readable, writable, ended, counted, keep_alive,
                      head_only, since, request_since, file_offset, file_left, in, out, OPOOL_BORROWED(request),
                      OPOOL_BORROWED(worker), OPOOL_BORROWED(previous), OPOOL_BORROWED(next), OPOOL_OPAQUE(parser)),
                     .reset = conn_reset);
OPOOL_DEFINE(request_pool, struct request, .reset = request_reset, .kept = OPOOL_MEMBERS(target));

struct counts {
    _Alignas(64) _Atomic uint64_t live[MEMORY_KINDS];
};

static struct {
    bool pools;
    size_t share[MEMORY_KINDS]; /* of one worker, with malloc */
    struct conn_pool *conns;
    struct request_pool *requests;
    struct io_buf_pool *buffers;
    struct counts counts[WORKERS_MOST];
} memory;

static _Thread_local struct counts *mine;

void memory_enter(unsigned worker)
{
    mine = &memory.counts[worker];
}

static uint64_t live_here(enum memory_kind kind)
{
    return atomic_load_explicit(&mine->live[kind], memory_order_relaxed);
}

/* One writer: no locked instruction. */
static void count(enum memory_kind kind, uint64_t change)
{
    atomic_store_explicit(&mine->live[kind], live_here(kind) + change, memory_order_relaxed);
}

uint64_t memory_live(enum memory_kind kind)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WORKERS_MOST; i++)
        sum += atomic_load_explicit(&memory.counts[i].live[kind], memory_order_relaxed);
    return sum;
}

static int start_pools(const struct memory_limits *limits)
{
    struct opool_options options = {.capacity = limits->connections};
    int error = conn_pool_create(&memory.conns, &options);
    options.capacity = limits->requests;
    if (!error)
        error = request_pool_create(&memory.requests, &options);
    options.capacity = limits->buffers;
    if (!error)
        error = io_buf_pool_create(&memory.buffers, &options);
    return error;
}

static size_t share_of(size_t limit, unsigned workers)
{
    return (limit + workers - 1) / workers;
}

int memory_start(bool pools, const struct memory_limits *limits)
{
    if (!limits->workers || limits->workers > WORKERS_MOST)
        return -EINVAL;
    memory.pools = pools;
    memory.share[MEMORY_CONNECTIONS] = limits->connections; /* the kernel deals them out unevenly */
    memory.share[MEMORY_REQUESTS] = limits->requests;
    memory.share[MEMORY_BUFFERS] = share_of(limits->buffers, limits->workers);
    int error = pools ? start_pools(limits) : 0;
    if (error)
        memory_stop();
    return error;
}

uint64_t memory_stop(void)
{
    uint64_t left = 0;
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        left += memory_live((enum memory_kind)kind);
    conn_pool_destroy(&memory.conns);
    request_pool_destroy(&memory.requests);
    io_buf_pool_destroy(&memory.buffers);
    return left;
}

static void *counted(enum memory_kind kind, void *object)
{
    if (object)
        count(kind, 1);
    return object;
}

/* `cleared` bytes at the start are zero, as those of a pool's object are. */
static void *take(enum memory_kind kind, size_t size, size_t cleared)
{
    void *object = live_here(kind) < memory.share[kind] ? malloc(size) : NULL;
    return object ? memset(object, 0, cleared) : NULL;
}

static void give(enum memory_kind kind, void *object)
{
    if (object)
        count(kind, (uint64_t)-1);
}

struct conn *conn_get(void)
{
    return counted(MEMORY_CONNECTIONS, memory.pools
                                           ? conn_pool_get(memory.conns)
                                           : take(MEMORY_CONNECTIONS, sizeof(struct conn), sizeof(struct conn)));
}

void conn_put(struct conn *conn)
{
    give(MEMORY_CONNECTIONS, conn);
    if (memory.pools)
        conn_pool_put(memory.conns, conn);
    else
        free(conn);
}

struct request *request_get(void)
{
    return counted(MEMORY_REQUESTS,
                   memory.pools ? request_pool_get(memory.requests)
                                : take(MEMORY_REQUESTS, sizeof(struct request), offsetof(struct request, target)));
}

void request_put(struct request *request)
{
    give(MEMORY_REQUESTS, request);
    if (memory.pools)
        request_pool_put(memory.requests, request);
    else
        free(request);
}

struct io_buf *buffer_get(void)
{
    return counted(MEMORY_BUFFERS, memory.pools ? io_buf_pool_get(memory.buffers)
                                                : take(MEMORY_BUFFERS, sizeof(struct io_buf), OPOOL_BUFFER_HEADER));
}

void buffer_put(struct io_buf *buffer)
{
    give(MEMORY_BUFFERS, buffer);
    if (memory.pools)
        io_buf_pool_put(memory.buffers, buffer);
    else
        free(buffer);
}
