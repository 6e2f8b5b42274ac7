/* SPDX-License-Identifier: MIT */
#include "queue.h"

static struct io_buf *link_at(const struct queue *queue, uint32_t i)
{
    return io_buf_ref_get(queue->ring[(queue->first + i) % QUEUE_LINKS]);
}

bool queue_push(struct queue *queue, struct io_buf *buffer)
{
    if (queue->links == QUEUE_LINKS)
        return false;
    queue->ring[(queue->first + queue->links++) % QUEUE_LINKS] = io_buf_ref_of(buffer);
    queue->length += io_buf_length(buffer);
    return true;
}

/* n buffers, or none. */
static bool get_all(struct io_buf **buffers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buffers[i] = buffer_get();
        if (!buffers[i]) {
            while (i--)
                buffer_put(buffers[i]);
            return false;
        }
    }
    return true;
}

bool queue_append(struct queue *queue, const void *data, size_t n)
{
    struct io_buf *fresh[QUEUE_LINKS], *last = queue->links ? link_at(queue, queue->links - 1) : NULL;
    const size_t room = last ? io_buf_room(last) : 0;
    const size_t links = n > room ? (n - room - 1) / io_buf_capacity() + 1 : 0;
    if (links > QUEUE_LINKS - queue->links || !get_all(fresh, links))
        return false;
    size_t done = last ? io_buf_append(last, data, n) : 0;
    queue->length += done;
    for (size_t i = 0; i < links; i++) {
        done += io_buf_append(fresh[i], (const char *)data + done, n - done);
        queue_push(queue, fresh[i]);
    }
    return true;
}

bool queue_move(struct queue *to, struct queue *from)
{
    if (to->links + from->links > QUEUE_LINKS)
        return false;
    for (uint32_t i = 0; i < from->links; i++)
        queue_push(to, link_at(from, i));
    from->links = 0;
    from->length = 0;
    return true;
}

int queue_iov(const struct queue *queue, struct iovec *iov, int entries)
{
    int filled = 0;
    for (; filled < entries && (uint32_t)filled < queue->links; filled++) {
        struct opool_view view = io_buf_view(link_at(queue, (uint32_t)filled));
        iov[filled] = (struct iovec){view.data, view.length};
    }
    return filled;
}

void queue_consume(struct queue *queue, size_t n)
{
    queue->length -= n;
    while (n) {
        struct io_buf *link = link_at(queue, 0);
        n -= io_buf_consume(link, n);
        if (io_buf_length(link))
            break;
        buffer_put(link);
        queue->first = (queue->first + 1) % QUEUE_LINKS;
        queue->links--;
    }
}

void queue_clear(struct queue *queue)
{
    queue_consume(queue, queue->length);
}
