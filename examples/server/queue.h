/* SPDX-License-Identifier: MIT */
#ifndef SERVER_QUEUE_H
#define SERVER_QUEUE_H

/*
 * What is longer than a buffer: a request's body, held until its end, and the answers that the socket does not take
 * yet. A server with pools alone uses io_buf_chain of <opool/buffer.h>, which has each of these functions and takes 72
 * bytes of its owner instead of 656. Its links come from a pool and go back to it, so that `--memory=malloc` could not
 * use it, and a comparison of two kinds of queues would say nothing of pools and malloc. Hence a ring of references to
 * buffers that come from wherever buffer_get takes them:
 *
 *     length == the sum of the links' lengths, none of which is 0
 */

#include <opool.h>
#include <opool/buffer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { QUEUE_LINKS = 80 };

OPOOL_BUFFER_DEFINE(io_buf, 16384 - OPOOL_BUFFER_HEADER);

struct queue {
    uint32_t first, links;
    uint64_t length;
    io_buf_ref ring[QUEUE_LINKS];
};

/** An empty buffer; NULL: at the limit, or no memory. */
struct io_buf *buffer_get(void);
void buffer_put(struct io_buf *buffer);

/** All of it or nothing; false: no buffer, or the ring is full. */
bool queue_append(struct queue *queue, const void *data, size_t n);

/** Appends a buffer that is not empty; it is the queue's then. false: the ring is full. */
bool queue_push(struct queue *queue, struct io_buf *buffer);

/** All of `from`, without a copy; false: the ring has no room. */
bool queue_move(struct queue *to, struct queue *from);

/** For writev: how many entries are filled. */
int queue_iov(const struct queue *queue, struct iovec *iov, int entries);

/** Drops n bytes at the front; n is at most the length. */
void queue_consume(struct queue *queue, size_t n);

void queue_clear(struct queue *queue);

#endif
