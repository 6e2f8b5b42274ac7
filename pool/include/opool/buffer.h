/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_BUFFER_H
#define OPOOL_BUFFER_H

#include "chain.h"
#include "ladder.h"

/*
 * Buffers of a fixed capacity, from a pool. They never grow and never reallocate: what does not fit is told. One line
 * at file scope, as OPOOL_DEFINE:
 *
 *     OPOOL_BUFFER_DEFINE(io_buf, 4096);
 *
 *     struct io_buf_pool *pool;
 *     int error = io_buf_pool_create(&pool, NULL);
 *     struct io_buf *in = io_buf_pool_get(pool);
 *     struct opool_view room = io_buf_reserve(in, 1);
 *     ssize_t got = read(fd, room.data, room.length);
 *     if (got > 0)
 *         io_buf_commit(in, (size_t)got);
 *     ...
 *     io_buf_pool_put(pool, in);
 *
 * It defines the type `struct N`, which is of fixed shape, the pool type N_pool with all that OPOOL_DEFINE generates
 * (N_pool_create, N_pool_get, N_pool_put, ...), and the functions below. A put makes the buffer empty and leaves its
 * bytes as they are, which costs nothing; with `.wipe = true` it zeroes them:
 *
 *     OPOOL_BUFFER_DEFINE(key_buf, 512, .wipe = true);
 *
 * CAPACITY is a constant, 1 to 16 MiB less OPOOL_BUFFER_HEADER, the bytes of an object that are not the user's:
 * `4096 - OPOOL_BUFFER_HEADER` makes objects of one page.
 *
 * Thread safety: one thread at a time for each buffer and each chain; different ones are independent. Nothing blocks,
 * but for what opool_get and opool_put may do. Buffers and chains that are NULL are empty and have no room: functions
 * that return a number of bytes return 0, those that return errors -EINVAL. None of this is async-signal-safe.
 *
 * A buffer. An all-zero `struct N` that comes from no pool is an empty buffer, too.
 *
 *     size_t N_capacity(void)
 *     size_t N_length(const struct N *buffer)
 *     size_t N_room(const struct N *buffer)
 *         Bytes that it can hold, holds, and can still take.
 *     struct opool_view N_view(struct N *buffer)
 *         What it holds, in one piece: valid until the next call that changes the buffer.
 *     size_t N_append(struct N *buffer, const void *data, size_t n)
 *         As much as fits of n bytes, which are not in the buffer itself; how much that was.
 *     struct opool_view N_reserve(struct N *buffer, size_t n)
 *         Where to write: n bytes in one piece, or more, all that is free behind what it holds. What it holds moves
 *         to the start of the buffer when that makes the difference. NULL and 0: n bytes are not free.
 *     size_t N_commit(struct N *buffer, size_t n)
 *         n bytes of those reserved have been written, at their start; how much is added, no more than was reserved.
 *         A consume may come between the two, no other change.
 *     size_t N_consume(struct N *buffer, size_t n)
 *         Drops up to n bytes at the front; how much that was. Copies nothing.
 *     void N_clear(struct N *buffer)
 *     int N_printf(struct N *buffer, const char *format, ...)
 *         All of the text or none of it, since half a line is of no use to a protocol. The bytes added, without the
 *         final NUL, which needs a byte of room and is not kept; -ENOBUFS: it does not fit now, and does in an empty
 *         buffer; -EMSGSIZE: it never does; or what vsnprintf failed with. The arguments, which may be read twice, are
 *         not in the buffer itself.
 *     N_ref, N_ref N_ref_of(struct N *buffer), struct N *N_ref_get(N_ref ref)
 *         As of OPOOL_REF_TYPE: a buffer as a member of objects of fixed shape.
 *
 * Chains hold what is longer than a buffer, in links from a pool; no link is empty. A chain holds no pointer, so it can
 * be a member of objects that OPOOL_DEFINE takes; their reset, or fini, clears it. The functions that can fail leave
 * the chain as it was: -ENOBUFS, it would be above a limit of the chain, and what is there has to be consumed first;
 * -EAGAIN, the pool is at its capacity; -ENOMEM; -ESHUTDOWN, the pool is closed; -EINVAL, an argument, or a chain
 * without a pool.
 *
 *     void N_chain_init(struct N_chain *chain, struct N_pool *pool, size_t bytes_most, size_t links_most)
 *         An empty chain: nothing is taken, and nothing is put that it held before. Its limits, in bytes and in links;
 *         OPOOL_UNLIMITED: none. The pool must outlive what the chain holds.
 *     void N_chain_clear(struct N_chain *chain)
 *         Puts all links; the chain is empty and may be used again. An all-zero chain is empty, too.
 *     size_t N_chain_length(const struct N_chain *chain)
 *     size_t N_chain_links(const struct N_chain *chain)
 *     int N_chain_append(struct N_chain *chain, const void *data, size_t n)
 *         All n bytes or none; 0.
 *     int N_chain_printf(struct N_chain *chain, const char *format, ...)
 *         All of the text, in one link, or none; the bytes added. -EMSGSIZE: no link can hold it. The arguments, which
 *         may be read twice, are not in the chain itself.
 *     size_t N_chain_consume(struct N_chain *chain, size_t n)
 *         Drops up to n bytes at the front, as after a short write; how much that was. Empty links are put.
 *     size_t N_chain_peek(const struct N_chain *chain, void *data, size_t n)
 *         Copies up to n bytes of the front, which stay; how much that was.
 *     int N_chain_iov(const struct N_chain *chain, struct iovec *iov, int entries)
 *         For writev and sendmsg: fills up to `entries` from the front; how many are filled. Valid until the chain is
 *         changed.
 *     int N_chain_reserve(struct N_chain *chain, size_t n, struct iovec *iov, int entries)
 *         For readv and recvmsg: room for n bytes, less where a limit or the entries allow no more; how many entries
 *         are filled, 1 or more. Valid until the chain is changed, which ends the reservation.
 *     size_t N_chain_commit(struct N_chain *chain, size_t n)
 *         n bytes of those reserved have been written, at their start; how much is added, no more than was reserved.
 *         Links that nothing was written to are put.
 *     int N_chain_move(struct N_chain *to, struct N_chain *from)
 *         All links of `from` go to the end of `to`, of the same pool; nothing is copied. 0.
 *     int N_chain_split(struct N_chain *from, size_t n, struct N_chain *to)
 *         The same for the first n bytes; -EINVAL: there are less. When the n-th byte is inside a link, it takes one
 *         more, and the smaller part of this link is copied. 0.
 *     int N_chain_push(struct N_chain *chain, struct N *buffer)
 *         Appends a buffer of the chain's pool, without a copy: the chain's now; 0. On error it is still the caller's.
 *     struct N *N_chain_pop(struct N_chain *chain)
 *         The first link, the caller's now; NULL: the chain is empty.
 */
#define OPOOL_BUFFER_DEFINE(N, ...) OPOOL__BUFFER_DEFINE(N, __VA_ARGS__, .end_ = 0)

/* Buffers of several capacities, the smallest that fits: OPOOL_BUFFER_LADDER_DEFINE in opool/ladder.h. */

/* ---- What the macro generates ---------------------------------------------------------------------------------- */

struct opool__buffer_options {
    bool wipe;
    int end_;
};
#define OPOOL__BUFFER_ASSIGN(c, i, j, x) options_ x;

#define OPOOL__BUFFER_DEFINE(N, CAPACITY, ...) \
    OPOOL__BUFFER_TYPE(N, CAPACITY) \
    OPOOL__FOLDED bool N##_reset(struct N *buffer_, void *arg_) \
    { \
        struct opool__buffer_options options_ = {false, 0}; \
        OPOOL__MAP(OPOOL__BUFFER_ASSIGN, ~, __VA_ARGS__) \
        (void)arg_; \
        if (options_.wipe) \
            memset(buffer_->bytes, 0, sizeof buffer_->bytes); \
        memset(&buffer_->head, 0, sizeof buffer_->head); \
        return true; \
    } \
    OPOOL_DEFINE(N##_pool, struct N, .reset = N##_reset, .kept = OPOOL_MEMBERS(bytes)); \
    OPOOL__BUFFER_FUNCTIONS(N) \
    OPOOL__CHAIN_FUNCTIONS(N) \
    OPOOL_REF_TYPE(N##_ref, struct N)

#define OPOOL__BUFFER_TYPE(N, CAPACITY) \
    OPOOL__ASSERT((CAPACITY) > 0, "opool: buffer " OPOOL__STR(N) ": its capacity is not above 0"); \
    OPOOL__ASSERT((CAPACITY) <= OPOOL_SIZE_MAX - OPOOL_BUFFER_HEADER, \
                  "opool: buffer " OPOOL__STR(N) ": its capacity is above OPOOL_SIZE_MAX - OPOOL_BUFFER_HEADER"); \
    struct N { \
        struct opool_buffer head; \
        unsigned char bytes[CAPACITY]; \
    };

#define OPOOL__BUFFER_FUNCTIONS(N) \
    OPOOL__FUNCTION size_t N##_capacity(void) \
    { \
        return sizeof(((struct N *)0)->bytes); \
    } \
    OPOOL__FUNCTION size_t opool__##N##_capacity(const struct N *buffer_) \
    { \
        (void)buffer_; \
        return N##_capacity(); \
    } \
    OPOOL__BUFFER_CALLS(N, OPOOL_BUFFER_HEADER)

#define OPOOL__CHAIN_FUNCTIONS(N) \
    struct N##_chain { \
        struct opool_chain chain; \
    }; \
    OPOOL__FUNCTION void N##_chain_init(struct N##_chain *chain_, struct N##_pool *pool_, size_t bytes_most_, \
                                        size_t links_most_) \
    { \
        if (chain_) \
            opool__chain_init(&chain_->chain, N##_pool_base(pool_), bytes_most_, links_most_); \
    } \
    OPOOL__FUNCTION void N##_chain_clear(struct N##_chain *chain_) \
    { \
        opool__chain_clear(OPOOL__CHAIN(chain_)); \
    } \
    OPOOL__FUNCTION size_t N##_chain_length(const struct N##_chain *chain_) \
    { \
        return chain_ ? chain_->chain.length : 0; \
    } \
    OPOOL__FUNCTION size_t N##_chain_links(const struct N##_chain *chain_) \
    { \
        return chain_ ? chain_->chain.links : 0; \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_chain_append(struct N##_chain *chain_, const void *data_, size_t n_) \
    { \
        return opool__chain_append(OPOOL__CHAIN(chain_), N##_capacity(), data_, n_); \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD __attribute__((__format__(__printf__, 2, 3))) int N##_chain_printf( \
        struct N##_chain *chain_, const char *format_, ...) \
    { \
        int length_; \
        va_list args_; \
        va_start(args_, format_); \
        length_ = opool__chain_vprintf(OPOOL__CHAIN(chain_), N##_capacity(), format_, args_); \
        va_end(args_); \
        return length_; \
    } \
    OPOOL__FUNCTION size_t N##_chain_consume(struct N##_chain *chain_, size_t n_) \
    { \
        return opool__chain_consume(OPOOL__CHAIN(chain_), n_); \
    } \
    OPOOL__FUNCTION size_t N##_chain_peek(const struct N##_chain *chain_, void *data_, size_t n_) \
    { \
        return opool__chain_peek(OPOOL__CHAIN(chain_), data_, n_); \
    } \
    OPOOL__FUNCTION int N##_chain_iov(const struct N##_chain *chain_, struct iovec *iov_, int entries_) \
    { \
        return opool__chain_iov(OPOOL__CHAIN(chain_), iov_, entries_); \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_chain_reserve(struct N##_chain *chain_, size_t n_, struct iovec *iov_, \
                                                          int entries_) \
    { \
        return opool__chain_reserve(OPOOL__CHAIN(chain_), N##_capacity(), n_, iov_, entries_); \
    } \
    OPOOL__FUNCTION size_t N##_chain_commit(struct N##_chain *chain_, size_t n_) \
    { \
        return opool__chain_commit(OPOOL__CHAIN(chain_), N##_capacity(), n_); \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_chain_move(struct N##_chain *to_, struct N##_chain *from_) \
    { \
        return opool__chain_move(OPOOL__CHAIN(to_), OPOOL__CHAIN(from_)); \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_chain_split(struct N##_chain *from_, size_t n_, struct N##_chain *to_) \
    { \
        return opool__chain_split(OPOOL__CHAIN(from_), n_, OPOOL__CHAIN(to_)); \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_chain_push(struct N##_chain *chain_, struct N *buffer_) \
    { \
        return opool__chain_push(OPOOL__CHAIN(chain_), OPOOL__BUFFER_HEAD(buffer_)); \
    } \
    OPOOL__FUNCTION struct N *N##_chain_pop(struct N##_chain *chain_) \
    { \
        return (struct N *)(void *)opool__chain_pop(OPOOL__CHAIN(chain_)); \
    }

/* The same object by its first member, NULL too. */
#define OPOOL__CHAIN(typed) ((typed) ? &(typed)->chain : NULL)

#endif
