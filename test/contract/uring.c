/* SPDX-License-Identifier: MIT */

/* A pool's buffers filled by io_uring: provided ones, which the kernel chooses from and names by the slot's number, and
   registered ones. Skipped, with the reason, where the kernel or a filter refuses. */

#include <liburing.h>
#include <opool/buffer.h>
#include <sys/socket.h>

#include "contract.h"

enum { BUFFERS = 16, ROUNDS = 40, GROUP = 7 };

OPOOL_BUFFER_DEFINE(io_buf, 1024);

static struct io_uring ring;
static int ends[2];
static struct io_buf_pool *pool;
static struct opool_slots slots;

/* Each object with its pages, which stay: registered ones are the kernel's until the end. */
static void set_up(void)
{
    const struct opool_options options = {.capacity = BUFFERS, .prefill = BUFFERS, .keep = BUFFERS};
    ck_assert_int_eq(io_uring_queue_init(64, &ring, 0), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(io_buf_pool_create(&pool, &options), 0);
    ck_assert_int_eq(opool_slots_of(io_buf_pool_base(pool), &slots), 0);
}

static void tear_down(void)
{
    ck_assert_uint_eq(figures(io_buf_pool_base(pool)).live, 0);
    io_uring_queue_exit(&ring);
    io_buf_pool_destroy(&pool);
    close(ends[0]);
    close(ends[1]);
}

struct completion {
    int res;
    unsigned flags;
};

static struct completion complete(void)
{
    struct io_uring_cqe *cqe;
    ck_assert_int_ge(io_uring_submit_and_wait(&ring, 1), 0);
    ck_assert_int_eq(io_uring_wait_cqe(&ring, &cqe), 0);
    const struct completion completion = {cqe->res, cqe->flags};
    io_uring_cqe_seen(&ring, cqe);
    return completion;
}

static size_t number_of(const struct io_buf *buffer)
{
    size_t index = opool_slot_index(&slots, buffer);
    ck_assert_uint_lt(index, slots.slots);
    return index;
}

/* The buffer is out, and the kernel's until a completion names it. */
static void provide(struct io_buf *buffer)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    struct opool_view room = io_buf_reserve(buffer, 1);
    io_uring_prep_provide_buffers(sqe, room.data, (int)room.length, 1, GROUP, (int)number_of(buffer));
    ck_assert_int_ge(complete().res, 0);
}

static struct io_buf *receive(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_recv(sqe, ends[1], NULL, io_buf_capacity(), 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    struct completion cqe = complete();
    ck_assert_int_gt(cqe.res, 0);
    ck_assert_uint_ne(cqe.flags & IORING_CQE_F_BUFFER, 0);
    struct io_buf *buffer = opool_slot_at(&slots, cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    ck_assert_ptr_nonnull(buffer);
    ck_assert_uint_eq(io_buf_commit(buffer, (size_t)cqe.res), (size_t)cqe.res);
    return buffer;
}

static void send_round(int round)
{
    char text[64];
    int n = snprintf(text, sizeof text, "round %d of the test", round);
    ck_assert_int_eq(write(ends[0], text, (size_t)n), n);
}

static void expect_round(struct io_buf *buffer, int round)
{
    char text[64];
    int n = snprintf(text, sizeof text, "round %d of the test", round);
    struct opool_view view = io_buf_view(buffer);
    ck_assert_uint_eq(view.length, (size_t)n);
    ck_assert_mem_eq(view.data, text, (size_t)n);
}

START_TEST(provided)
{
    struct io_uring_sqe *sqe;
    set_up();
    for (int i = 0; i < BUFFERS; i++)
        provide(io_buf_pool_get(pool));
    ck_assert_ptr_null(io_buf_pool_get(pool));
    for (int round = 0; round < ROUNDS; round++) {
        send_round(round);
        struct io_buf *buffer = receive();
        expect_round(buffer, round);
        io_buf_pool_put(pool, buffer);
        provide(io_buf_pool_get(pool));
    }
    ck_assert_ptr_nonnull(sqe = io_uring_get_sqe(&ring));
    io_uring_prep_remove_buffers(sqe, BUFFERS, GROUP);
    ck_assert_int_eq(complete().res, BUFFERS);
    for (size_t i = 0; i < slots.slots; i++)
        if (i < BUFFERS)
            io_buf_pool_put(pool, opool_slot_at(&slots, i));
    tear_down();
}
END_TEST

/* All of the pool's memory once: a buffer is then named by its number. */
START_TEST(registered)
{
    struct io_buf *all[BUFFERS];
    struct iovec iov[BUFFERS];
    set_up();
    for (int i = 0; i < BUFFERS; i++)
        ck_assert_ptr_nonnull(all[i] = io_buf_pool_get(pool));
    for (int i = 0; i < BUFFERS; i++) {
        size_t index = number_of(all[i]);
        ck_assert_uint_lt(index, BUFFERS);
        iov[index].iov_base = all[i]->bytes;
        iov[index].iov_len = io_buf_capacity();
    }
    int r = io_uring_register_buffers(&ring, iov, BUFFERS);
    ck_assert_msg(r == 0 || r == -ENOMEM, "register: %d", r); /* ENOMEM: RLIMIT_MEMLOCK */
    for (int i = 0; i < BUFFERS; i++)
        io_buf_pool_put(pool, all[i]);
    opool_epoch_advance();
    opool_epoch_advance();
    for (int round = 0; r == 0 && round < ROUNDS; round++) {
        struct io_buf *buffer = io_buf_pool_get(pool);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        send_round(round);
        io_uring_prep_read_fixed(sqe, ends[1], buffer->bytes, (unsigned)io_buf_capacity(), 0, (int)number_of(buffer));
        struct completion cqe = complete();
        ck_assert_int_gt(cqe.res, 0);
        io_buf_commit(buffer, (size_t)cqe.res);
        expect_round(buffer, round);
        io_buf_pool_put(pool, buffer);
    }
    tear_down();
}
END_TEST

/* The reason, or NULL. */
static const char *refused(void)
{
    struct io_uring try;
    int r = io_uring_queue_init(4, &try, 0);
    if (r != 0)
        return strerror(-r);
    struct io_uring_probe *probe = io_uring_get_probe_ring(&try);
    const bool provides = probe && io_uring_opcode_supported(probe, IORING_OP_PROVIDE_BUFFERS);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&try);
    return provides ? NULL : "this kernel takes no buffers";
}

enum { SKIPPED = 77 };

int main(void)
{
    const char *reason = refused();
    if (reason) {
        printf("skipped: io_uring is refused: %s\n", reason);
        return SKIPPED;
    }
    Suite *suite = suite_create("uring");
    TCase *buffers = new_case(suite, "buffers");
    tcase_add_test(buffers, provided);
    tcase_add_test(buffers, registered);
    return run_suite(suite);
}
