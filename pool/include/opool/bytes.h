/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_BYTES_H
#define OPOOL_BYTES_H

/*
 * One buffer, without its type: what the functions of opool/buffer.h call with the capacity of theirs. A buffer is this
 * head and, `header` bytes after its start, `capacity` bytes, of which those from `start` on, `length` of them, are the
 * user's:
 *
 *     start + length <= capacity
 */

#include "define.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct opool_buffer;
OPOOL_REF_TYPE(opool_buffer_ref, struct opool_buffer);

/** What all buffers begin with. Read it by the functions of opool/buffer.h, and leave writing to them. */
struct opool_buffer {
    opool_buffer_ref next; /**< in a chain */
    uint32_t start;
    uint32_t length;
};

/** Bytes in a buffer: valid until the next call that takes the buffer and may change it. */
struct opool_view {
    unsigned char *data;
    size_t length;
};

OPOOL__FUNCTION size_t opool__least(size_t a, size_t b)
{
    return a < b ? a : b;
}

OPOOL__FUNCTION unsigned char *opool__buffer_at(struct opool_buffer *buffer, size_t header, size_t offset)
{
    return (unsigned char *)(void *)buffer + header + offset;
}

OPOOL__FUNCTION size_t opool__buffer_room(const struct opool_buffer *buffer, size_t capacity)
{
    return buffer ? capacity - buffer->length : 0;
}

/* Without moving what is there. */
OPOOL__FUNCTION size_t opool__buffer_tail(const struct opool_buffer *buffer, size_t capacity)
{
    return buffer ? capacity - buffer->start - buffer->length : 0;
}

OPOOL__FUNCTION struct opool_view opool__buffer_view(struct opool_buffer *buffer, size_t header)
{
    struct opool_view view = {NULL, 0};
    if (buffer) {
        view.data = opool__buffer_at(buffer, header, buffer->start);
        view.length = buffer->length;
    }
    return view;
}

OPOOL__FUNCTION void opool__buffer_compact(struct opool_buffer *buffer, size_t header)
{
    if (buffer->start && buffer->length)
        memmove(opool__buffer_at(buffer, header, 0), opool__buffer_at(buffer, header, buffer->start), buffer->length);
    buffer->start = 0;
}

OPOOL__FUNCTION struct opool_view opool__buffer_reserve(struct opool_buffer *buffer, size_t header, size_t capacity,
                                                        size_t n)
{
    struct opool_view view = {NULL, 0};
    if (!buffer || n > opool__buffer_room(buffer, capacity))
        return view;
    if (!buffer->length || n > opool__buffer_tail(buffer, capacity))
        opool__buffer_compact(buffer, header);
    view.data = opool__buffer_at(buffer, header, (size_t)buffer->start + buffer->length);
    view.length = opool__buffer_tail(buffer, capacity);
    return view;
}

OPOOL__FUNCTION size_t opool__buffer_commit(struct opool_buffer *buffer, size_t capacity, size_t n)
{
    const size_t more = opool__least(n, opool__buffer_tail(buffer, capacity));
    if (more)
        buffer->length += (uint32_t)more;
    return more;
}

OPOOL__FUNCTION size_t opool__buffer_append(struct opool_buffer *buffer, size_t header, size_t capacity,
                                            const void *data, size_t n)
{
    const size_t more = data ? opool__least(n, opool__buffer_room(buffer, capacity)) : 0;
    if (!more)
        return 0;
    memcpy(opool__buffer_reserve(buffer, header, capacity, more).data, data, more);
    return opool__buffer_commit(buffer, capacity, more);
}

/* `start` stays where it is when nothing is left: a reservation may be open behind it. */
OPOOL__FUNCTION size_t opool__buffer_consume(struct opool_buffer *buffer, size_t n)
{
    const size_t less = buffer ? opool__least(n, buffer->length) : 0;
    if (less) {
        buffer->start += (uint32_t)less;
        buffer->length -= (uint32_t)less;
    }
    return less;
}

OPOOL__FUNCTION void opool__buffer_clear(struct opool_buffer *buffer)
{
    if (buffer) {
        buffer->start = 0;
        buffer->length = 0;
    }
}

/* Text and its final NUL, of which the NUL is not counted. */
OPOOL__FUNCTION __attribute__((__format__(__printf__, 2, 0))) int opool__format(struct opool_view to,
                                                                                const char *format, va_list args)
{
    int length;
    va_list again;
    va_copy(again, args);
    length = vsnprintf((char *)to.data, to.length, format, again);
    va_end(again);
    if (length < 0)
        return errno > 0 ? -errno : -EINVAL;
    return length;
}

/* Twice at most: into what is free behind the bytes, and, if that was too little, into all that is free. */
OPOOL__FUNCTION __attribute__((__format__(__printf__, 4, 0))) int
opool__buffer_vprintf(struct opool_buffer *buffer, size_t header, size_t capacity, const char *format, va_list args)
{
    int length;
    if (!buffer || !format)
        return -EINVAL;
    length = opool__format(opool__buffer_reserve(buffer, header, capacity, 0), format, args);
    if (length < 0)
        return length;
    if ((size_t)length >= capacity)
        return -EMSGSIZE;
    if ((size_t)length >= opool__buffer_room(buffer, capacity))
        return -ENOBUFS;
    if ((size_t)length >= opool__buffer_tail(buffer, capacity))
        length = opool__format(opool__buffer_reserve(buffer, header, capacity, (size_t)length + 1), format, args);
    if (length > 0 && (size_t)length >= opool__buffer_tail(buffer, capacity))
        return -ENOBUFS; /* longer than a moment ago: an argument has changed */
    if (length > 0)
        opool__buffer_commit(buffer, capacity, (size_t)length);
    return length;
}

/* ---- What the macros of opool/buffer.h and opool/ladder.h generate for both ------------------------------------- */

/** Bytes of a buffer's object that are not the user's. */
#define OPOOL_BUFFER_HEADER sizeof(struct opool_buffer)

#define OPOOL__BUFFER_HEAD(buffer) ((struct opool_buffer *)(void *)(buffer))

#define OPOOL__BUFFER_CALLS(N, HEADER) \
    OPOOL__FUNCTION size_t N##_length(const struct N *buffer_) \
    { \
        return buffer_ ? ((const struct opool_buffer *)(const void *)buffer_)->length : 0; \
    } \
    OPOOL__FUNCTION size_t N##_room(const struct N *buffer_) \
    { \
        return opool__buffer_room((const struct opool_buffer *)(const void *)buffer_, opool__##N##_capacity(buffer_)); \
    } \
    OPOOL__FUNCTION struct opool_view N##_view(struct N *buffer_) \
    { \
        return opool__buffer_view(OPOOL__BUFFER_HEAD(buffer_), HEADER); \
    } \
    OPOOL__FUNCTION size_t N##_append(struct N *buffer_, const void *data_, size_t n_) \
    { \
        return opool__buffer_append(OPOOL__BUFFER_HEAD(buffer_), HEADER, opool__##N##_capacity(buffer_), data_, n_); \
    } \
    OPOOL__FUNCTION struct opool_view N##_reserve(struct N *buffer_, size_t n_) \
    { \
        return opool__buffer_reserve(OPOOL__BUFFER_HEAD(buffer_), HEADER, opool__##N##_capacity(buffer_), n_); \
    } \
    OPOOL__FUNCTION size_t N##_commit(struct N *buffer_, size_t n_) \
    { \
        return opool__buffer_commit(OPOOL__BUFFER_HEAD(buffer_), opool__##N##_capacity(buffer_), n_); \
    } \
    OPOOL__FUNCTION size_t N##_consume(struct N *buffer_, size_t n_) \
    { \
        return opool__buffer_consume(OPOOL__BUFFER_HEAD(buffer_), n_); \
    } \
    OPOOL__FUNCTION void N##_clear(struct N *buffer_) \
    { \
        opool__buffer_clear(OPOOL__BUFFER_HEAD(buffer_)); \
    } \
    OPOOL__FUNCTION \
    __attribute__((__format__(__printf__, 2, 3))) int N##_printf(struct N *buffer_, const char *format_, ...) \
    { \
        int length_; \
        va_list args_; \
        va_start(args_, format_); \
        length_ = opool__buffer_vprintf(OPOOL__BUFFER_HEAD(buffer_), HEADER, opool__##N##_capacity(buffer_), format_, \
                                        args_); \
        va_end(args_); \
        return length_; \
    }

#endif
