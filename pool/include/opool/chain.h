/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CHAIN_H
#define OPOOL_CHAIN_H

/*
 * Chains of buffers, without their type: what the functions of opool/buffer.h call with the capacity of their links.
 *
 *     length == the sum of the links' lengths, none of which is 0
 *     length <= bytes_most, links <= links_most
 *
 * `spare` are the empty links of an open reservation: they are not in the chain, and go with any change of it.
 */

#include "bytes.h"

#include <sys/uio.h>

/** For a limit of a chain: none. */
#define OPOOL_UNLIMITED SIZE_MAX

OPOOL_REF_TYPE(opool_base_ref, struct opool);

/** What all chains are made of. Read it by the functions of opool/buffer.h, and leave writing to them. */
struct opool_chain {
    opool_buffer_ref first, last, spare;
    opool_base_ref pool;
    size_t length, bytes_most;
    size_t links, links_most;
    size_t reserved; /**< bytes that commit may add */
};

OPOOL__FUNCTION struct opool_buffer *opool__link_next(const struct opool_buffer *link)
{
    return opool_buffer_ref_get(link->next);
}

OPOOL__FUNCTION struct opool_buffer *opool__chain_first(const struct opool_chain *chain)
{
    return opool_buffer_ref_get(chain->first);
}

OPOOL__FUNCTION struct opool_buffer *opool__chain_last(const struct opool_chain *chain)
{
    return opool_buffer_ref_get(chain->last);
}

OPOOL__FUNCTION unsigned char *opool__link_at(struct opool_buffer *link, size_t offset)
{
    return opool__buffer_at(link, sizeof *link, offset);
}

OPOOL__FUNCTION struct opool_view opool__link_room(struct opool_buffer *link, size_t capacity)
{
    struct opool_view room = {NULL, 0};
    if (link) {
        room.data = opool__link_at(link, (size_t)link->start + link->length);
        room.length = opool__buffer_tail(link, capacity);
    }
    return room;
}

OPOOL__FUNCTION void opool__chain_init(struct opool_chain *chain, struct opool *pool, size_t bytes_most,
                                       size_t links_most)
{
    memset(chain, 0, sizeof *chain);
    chain->pool = opool_base_ref_of(pool);
    chain->bytes_most = bytes_most;
    chain->links_most = links_most;
}

OPOOL__FUNCTION void opool__chain_put(struct opool_chain *chain, struct opool_buffer *link)
{
    while (link) {
        struct opool_buffer *next = opool__link_next(link);
        opool_put(opool_base_ref_get(chain->pool), link);
        link = next;
    }
}

OPOOL__FUNCTION void opool__chain_unreserve(struct opool_chain *chain)
{
    struct opool_buffer *spare = opool_buffer_ref_get(chain->spare);
    chain->spare = opool_buffer_ref_of(NULL);
    chain->reserved = 0;
    opool__chain_put(chain, spare);
}

/* `n` empty links, one leading to the next; all or none. */
OPOOL__FUNCTION int opool__chain_take(struct opool_chain *chain, size_t n, struct opool_buffer **out)
{
    struct opool_buffer *links = NULL;
    while (n--) {
        struct opool_buffer *link = (struct opool_buffer *)OPOOL__GET(opool_base_ref_get(chain->pool));
        if (!link) {
            const int r = errno;
            opool__chain_put(chain, links);
            return -r;
        }
        link->next = opool_buffer_ref_of(links);
        links = link;
    }
    *out = links;
    return 0;
}

OPOOL__FUNCTION void opool__chain_join(struct opool_chain *chain, struct opool_buffer *first, struct opool_buffer *last,
                                       size_t links, size_t length)
{
    struct opool_buffer *before = opool__chain_last(chain);
    if (before)
        before->next = opool_buffer_ref_of(first);
    else
        chain->first = opool_buffer_ref_of(first);
    chain->last = opool_buffer_ref_of(last);
    last->next = opool_buffer_ref_of(NULL);
    chain->links += links;
    chain->length += length;
}

/* The first links, leaving the rest; last is the last of those that go. */
OPOOL__FUNCTION void opool__chain_leave(struct opool_chain *chain, struct opool_buffer *last, size_t links,
                                        size_t length)
{
    chain->first = last->next;
    if (!opool__chain_first(chain))
        chain->last = opool_buffer_ref_of(NULL);
    chain->links -= links;
    chain->length -= length;
}

OPOOL__FUNCTION size_t opool__links_for(size_t bytes, size_t capacity)
{
    return bytes ? (bytes - 1) / capacity + 1 : 0;
}

/* Whether more fits in; the pool was given by init, else this is no chain. */
OPOOL__FUNCTION int opool__chain_allows(const struct opool_chain *chain, size_t bytes, size_t links)
{
    if (!opool_base_ref_get(chain->pool))
        return -EINVAL;
    return bytes <= chain->bytes_most - chain->length && links <= chain->links_most - chain->links ? 0 : -ENOBUFS;
}

/* Into the last link, then into `links`, which hold the rest. */
OPOOL__FUNCTION void opool__chain_fill(struct opool_chain *chain, size_t capacity, struct opool_buffer *link,
                                       const unsigned char *data, size_t n)
{
    const struct opool_view room = opool__link_room(opool__chain_last(chain), capacity);
    const size_t before = opool__least(n, room.length);
    if (before) {
        memcpy(room.data, data, before);
        opool__chain_last(chain)->length += (uint32_t)before;
        chain->length += before;
    }
    data += before;
    n -= before;
    while (n) {
        struct opool_buffer *next = opool__link_next(link);
        const size_t more = opool__least(n, capacity);
        memcpy(opool__link_at(link, 0), data, more);
        link->length = (uint32_t)more;
        opool__chain_join(chain, link, link, 1, more);
        data += more;
        n -= more;
        link = next;
    }
}

OPOOL__FUNCTION int opool__chain_append(struct opool_chain *chain, size_t capacity, const void *data, size_t n)
{
    struct opool_buffer *links = NULL;
    size_t room, more;
    int r;
    if (!chain || (!data && n))
        return -EINVAL;
    opool__chain_unreserve(chain);
    room = opool__buffer_tail(opool__chain_last(chain), capacity);
    more = n > room ? opool__links_for(n - room, capacity) : 0;
    r = opool__chain_allows(chain, n, more);
    if (!r)
        r = opool__chain_take(chain, more, &links);
    if (!r && n)
        opool__chain_fill(chain, capacity, links, (const unsigned char *)data, n);
    return r;
}

OPOOL__FUNCTION __attribute__((__format__(__printf__, 3, 0))) int
opool__chain_vprintf(struct opool_chain *chain, size_t capacity, const char *format, va_list args)
{
    struct opool_buffer *link = NULL;
    struct opool_view room;
    int length, r;
    if (!chain || !format)
        return -EINVAL;
    opool__chain_unreserve(chain);
    room = opool__link_room(opool__chain_last(chain), capacity);
    length = opool__format(room, format, args);
    if (length <= 0)
        return length;
    if ((size_t)length >= capacity)
        return -EMSGSIZE;
    r = opool__chain_allows(chain, (size_t)length, (size_t)length >= room.length);
    if (!r && (size_t)length >= room.length)
        r = opool__chain_take(chain, 1, &link);
    if (r)
        return r;
    if (!link) {
        opool__chain_last(chain)->length += (uint32_t)length;
        chain->length += (size_t)length;
        return length;
    }
    length = opool__format(opool__link_room(link, capacity), format, args);
    if (length <= 0 || (size_t)length >= capacity) { /* longer than a moment ago: an argument has changed */
        opool__chain_put(chain, link);
        return length > 0 ? -EMSGSIZE : length;
    }
    link->length = (uint32_t)length;
    opool__chain_join(chain, link, link, 1, (size_t)length);
    return length;
}

OPOOL__FUNCTION size_t opool__chain_consume(struct opool_chain *chain, size_t n)
{
    const size_t less = chain ? opool__least(n, chain->length) : 0;
    size_t left = less;
    if (left)
        opool__chain_unreserve(chain);
    while (left) {
        struct opool_buffer *link = opool__chain_first(chain);
        const size_t here = opool__buffer_consume(link, left);
        chain->length -= here;
        left -= here;
        if (!link->length) {
            opool__chain_leave(chain, link, 1, 0);
            link->next = opool_buffer_ref_of(NULL);
            opool__chain_put(chain, link);
        }
    }
    return less;
}

OPOOL__FUNCTION void opool__chain_clear(struct opool_chain *chain)
{
    if (chain) {
        struct opool_buffer *links = opool__chain_first(chain);
        opool__chain_unreserve(chain);
        chain->first = opool_buffer_ref_of(NULL);
        chain->last = opool_buffer_ref_of(NULL);
        chain->links = 0;
        chain->length = 0;
        opool__chain_put(chain, links);
    }
}

OPOOL__FUNCTION size_t opool__chain_peek(const struct opool_chain *chain, void *data, size_t n)
{
    const size_t all = chain && data ? opool__least(n, chain->length) : 0;
    struct opool_buffer *link = all ? opool__chain_first(chain) : NULL;
    size_t done = 0;
    while (done < all) {
        const size_t here = opool__least(all - done, link->length);
        memcpy((unsigned char *)data + done, opool__link_at(link, link->start), here);
        done += here;
        link = opool__link_next(link);
    }
    return all;
}

OPOOL__FUNCTION int opool__chain_iov(const struct opool_chain *chain, struct iovec *iov, int n)
{
    struct opool_buffer *link = chain && iov ? opool__chain_first(chain) : NULL;
    int filled = 0;
    for (; link && filled < n; link = opool__link_next(link), filled++) {
        iov[filled].iov_base = opool__link_at(link, link->start);
        iov[filled].iov_len = link->length;
    }
    return filled;
}

/* How many links a reservation adds: what the bytes need, as far as limits and entries go. */
OPOOL__FUNCTION size_t opool__chain_adds(const struct opool_chain *chain, size_t capacity, size_t n, size_t room,
                                         size_t entries)
{
    const size_t wanted = n > room ? opool__links_for(n - room, capacity) : 0;
    return opool__least(opool__least(wanted, chain->links_most - chain->links), entries - (room > 0));
}

OPOOL__FUNCTION int opool__chain_offer(struct opool_chain *chain, size_t capacity, size_t n, struct iovec *iov)
{
    const struct opool_view room = opool__link_room(opool__chain_last(chain), capacity);
    struct opool_buffer *link = opool_buffer_ref_get(chain->spare);
    int filled = 0;
    if (room.length) {
        iov[filled].iov_base = room.data;
        iov[filled].iov_len = opool__least(n, room.length);
        chain->reserved += iov[filled++].iov_len;
    }
    for (; link; link = opool__link_next(link)) {
        iov[filled].iov_base = opool__link_at(link, 0);
        iov[filled].iov_len = opool__least(n - chain->reserved, capacity);
        chain->reserved += iov[filled++].iov_len;
    }
    return filled;
}

OPOOL__FUNCTION int opool__chain_reserve(struct opool_chain *chain, size_t capacity, size_t n, struct iovec *iov,
                                         int entries)
{
    struct opool_buffer *links = NULL;
    size_t room, more;
    int r;
    if (!chain || !iov || entries <= 0 || !n || !opool_base_ref_get(chain->pool))
        return -EINVAL;
    opool__chain_unreserve(chain);
    n = opool__least(n, chain->bytes_most - chain->length);
    room = opool__buffer_tail(opool__chain_last(chain), capacity);
    more = opool__chain_adds(chain, capacity, n, room, (size_t)entries);
    if (!n || (!room && !more))
        return -ENOBUFS;
    r = opool__chain_take(chain, more, &links);
    if (r)
        return r;
    chain->spare = opool_buffer_ref_of(links);
    return opool__chain_offer(chain, capacity, n, iov);
}

OPOOL__FUNCTION size_t opool__chain_commit(struct opool_chain *chain, size_t capacity, size_t n)
{
    const size_t all = chain ? opool__least(n, chain->reserved) : 0;
    size_t left = all;
    if (!chain)
        return 0;
    if (left) {
        const size_t here = opool__buffer_commit(opool__chain_last(chain), capacity, left);
        chain->length += here;
        left -= here;
    }
    while (left) {
        struct opool_buffer *link = opool_buffer_ref_get(chain->spare);
        const size_t here = opool__buffer_commit(link, capacity, left);
        chain->spare = link->next;
        opool__chain_join(chain, link, link, 1, here);
        left -= here;
    }
    opool__chain_unreserve(chain);
    return all;
}

OPOOL__FUNCTION int opool__chain_move(struct opool_chain *to, struct opool_chain *from)
{
    struct opool_buffer *first, *last;
    size_t links, length;
    int r;
    if (!to || !from || to == from || opool_base_ref_get(to->pool) != opool_base_ref_get(from->pool))
        return -EINVAL;
    r = opool__chain_allows(to, from->length, from->links);
    if (r || !from->length)
        return r;
    opool__chain_unreserve(to);
    opool__chain_unreserve(from);
    first = opool__chain_first(from);
    last = opool__chain_last(from);
    links = from->links;
    length = from->length;
    opool__chain_leave(from, last, links, length);
    opool__chain_join(to, first, last, links, length);
    return 0;
}

/* The first `head` bytes of the first link stay there, and the others go to `link`, behind it; copied is the smaller
   part. */
OPOOL__FUNCTION void opool__chain_cut(struct opool_chain *chain, struct opool_buffer *link, size_t head)
{
    struct opool_buffer *first = opool__chain_first(chain);
    const size_t rest = first->length - head;
    if (rest <= head) {
        memcpy(opool__link_at(link, 0), opool__link_at(first, (size_t)first->start + head), rest);
        link->length = (uint32_t)rest;
        first->length = (uint32_t)head;
        link->next = first->next;
        first->next = opool_buffer_ref_of(link);
        if (opool__chain_last(chain) == first)
            chain->last = opool_buffer_ref_of(link);
    } else {
        memcpy(opool__link_at(link, 0), opool__link_at(first, first->start), head);
        link->length = (uint32_t)head;
        opool__buffer_consume(first, head);
        link->next = opool_buffer_ref_of(first);
        chain->first = opool_buffer_ref_of(link);
    }
    chain->links++;
}

/* Whole links of the first `n` bytes, and the bytes of the last one that is cut. */
OPOOL__FUNCTION size_t opool__chain_whole(const struct opool_chain *chain, size_t *n, struct opool_buffer **last)
{
    struct opool_buffer *link = opool__chain_first(chain);
    size_t links = 0;
    *last = NULL;
    for (; link && link->length <= *n; link = opool__link_next(link), links++) {
        *n -= link->length;
        *last = link;
    }
    return links;
}

OPOOL__FUNCTION int opool__chain_split(struct opool_chain *from, size_t n, struct opool_chain *to)
{
    struct opool_buffer *last, *first, *link = NULL;
    size_t links, head = n;
    int r;
    if (!to || !from || to == from || opool_base_ref_get(to->pool) != opool_base_ref_get(from->pool) ||
        n > from->length)
        return -EINVAL;
    links = opool__chain_whole(from, &head, &last);
    r = opool__chain_allows(to, n, links + (head > 0));
    if (!r && head)
        r = opool__chain_take(from, 1, &link);
    if (r || !n)
        return r;
    opool__chain_unreserve(to);
    opool__chain_unreserve(from);
    if (links) {
        first = opool__chain_first(from);
        opool__chain_leave(from, last, links, n - head);
        opool__chain_join(to, first, last, links, n - head);
    }
    if (head) {
        opool__chain_cut(from, link, head);
        first = opool__chain_first(from);
        opool__chain_leave(from, first, 1, head);
        opool__chain_join(to, first, first, 1, head);
    }
    return 0;
}

/* On success the link is the chain's. */
OPOOL__FUNCTION int opool__chain_push(struct opool_chain *chain, struct opool_buffer *link)
{
    int r;
    if (!chain || !link)
        return -EINVAL;
    r = opool__chain_allows(chain, link->length, link->length > 0);
    if (r)
        return r;
    opool__chain_unreserve(chain);
    if (link->length)
        opool__chain_join(chain, link, link, 1, link->length);
    else
        opool__chain_put(chain, link);
    return 0;
}

OPOOL__FUNCTION struct opool_buffer *opool__chain_pop(struct opool_chain *chain)
{
    struct opool_buffer *link = chain ? opool__chain_first(chain) : NULL;
    if (!link)
        return NULL;
    opool__chain_unreserve(chain);
    opool__chain_leave(chain, link, 1, link->length);
    link->next = opool_buffer_ref_of(NULL);
    return link;
}

#endif
