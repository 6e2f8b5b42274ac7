/* SPDX-License-Identifier: MIT */

/*
 * A service that answers each line with its length and the line, over a socket that takes a little at a time.
 *
 * Introduces <opool/buffer.h>: OPOOL_BUFFER_DEFINE, whose buffers never grow; reserve and commit around read; chains,
 * for answers that are longer than a buffer, with a limit, iov and consume around writev; and
 * OPOOL_BUFFER_LADDER_DEFINE, which gives the smallest of a few capacities that fits.
 *
 * It checks that all answers arrive, that a client who does not read is held back by the limit, that a line longer than
 * a buffer is refused, and that no buffer is out at the end.
 */

#include <errno.h>
#include <opool.h>
#include <opool/buffer.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINES = 3000, ENTRIES = 8, BACKLOG = 8 << 10 };

OPOOL_BUFFER_DEFINE(io_buf, 4096 - OPOOL_BUFFER_HEADER); /* objects of one page */
OPOOL_BUFFER_LADDER_DEFINE(body_buf, 1024, 4096, 16384, 65536);

/* Of fixed shape, too: references and chains are numbers. */
struct conn {
    int socket;
    bool held_back;
    io_buf_ref in;
    struct io_buf_chain out;
};
OPOOL_DEFINE(conn_pool, struct conn);

/* Whole lines only. 0; -ENOBUFS: later, when the client has read; -EMSGSIZE: that is no line. */
static int answer(struct conn *conn)
{
    struct io_buf *in = io_buf_ref_get(conn->in);
    for (;;) {
        struct opool_view view = io_buf_view(in);
        unsigned char *end = view.length ? memchr(view.data, '\n', view.length) : NULL;
        if (!end)
            return io_buf_room(in) ? 0 : -EMSGSIZE;
        int length = (int)(end - view.data);
        int error = io_buf_chain_printf(&conn->out, "%d %.*s\n", length, length, (char *)view.data);
        if (error < 0)
            return error;
        io_buf_consume(in, (size_t)length + 1);
    }
}

static void on_readable(struct conn *conn)
{
    struct io_buf *in = io_buf_ref_get(conn->in);
    struct opool_view room = io_buf_reserve(in, 1);
    if (!room.data)
        return;
    ssize_t n = recv(conn->socket, room.data, room.length, MSG_DONTWAIT);
    if (n > 0)
        io_buf_commit(in, (size_t)n);
}

static void on_writable(struct conn *conn)
{
    struct iovec iov[ENTRIES];
    struct msghdr message = {.msg_iov = iov};
    message.msg_iovlen = (size_t)io_buf_chain_iov(&conn->out, iov, ENTRIES);
    ssize_t n = sendmsg(conn->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        io_buf_chain_consume(&conn->out, (size_t)n);
}

/* The client's side: what it writes, and how many answers it saw. */
static unsigned ask(int socket, unsigned asked)
{
    char line[64];
    int n = snprintf(line, sizeof line, "this is line %u\n", asked);
    return asked < LINES && send(socket, line, (size_t)n, MSG_DONTWAIT) == n ? asked + 1 : asked;
}

static unsigned read_answers(int socket)
{
    char text[2000];
    unsigned answers = 0;
    ssize_t n = recv(socket, text, sizeof text, MSG_DONTWAIT);
    for (ssize_t i = 0; i < n; i++)
        answers += text[i] == '\n';
    return answers;
}

/* The client reads nothing until it is held back, then all. */
static unsigned serve(struct conn *conn, int client)
{
    unsigned asked = 0, answers = 0;
    for (unsigned round = 0; round < 200000 && answers < LINES; round++) {
        asked = ask(client, asked);
        on_readable(conn);
        conn->held_back |= answer(conn) == -ENOBUFS;
        on_writable(conn);
        if (conn->held_back)
            answers += read_answers(client);
    }
    return answers;
}

static bool refuses_long_lines(struct conn *conn)
{
    struct io_buf *in = io_buf_ref_get(conn->in);
    while (io_buf_append(in, "no end ", 7) == 7)
        continue;
    return answer(conn) == -EMSGSIZE;
}

static bool ladder_fits(void)
{
    struct body_buf_ladder bodies;
    if (body_buf_ladder_create(&bodies, NULL) != 0)
        return false;
    struct body_buf *body = body_buf_get(&bodies, 3000);
    bool good = body && body_buf_capacity(body) == 4096 && body_buf_append(body, "x", 1) == 1;
    good = !body_buf_get(&bodies, 70000) && errno == EMSGSIZE && good;
    body_buf_put(&bodies, body);
    good = body_buf_ladder_write(&bodies, stdout) == 0 && good;
    body_buf_ladder_destroy(&bodies);
    return good;
}

int main(void)
{
    struct io_buf_pool *buffers;
    struct conn_pool *conns;
    int ends[2], small = 4096;
    if (io_buf_pool_create(&buffers, NULL) != 0 || conn_pool_create(&conns, NULL) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    struct conn *conn = conn_pool_get(conns);
    struct io_buf *in = io_buf_pool_get(buffers);
    if (!conn || !in) {
        conn_pool_put(conns, conn);
        io_buf_pool_put(buffers, in);
        return 1;
    }
    memset(conn, 0, sizeof *conn);
    conn->socket = ends[0];
    conn->in = io_buf_ref_of(in);
    io_buf_chain_init(&conn->out, buffers, BACKLOG, OPOOL_UNLIMITED);

    unsigned answers = serve(conn, ends[1]);
    printf("%u lines answered; the client was%s held back\n", answers, conn->held_back ? "" : " not");
    bool good = answers == LINES && conn->held_back && refuses_long_lines(conn) && ladder_fits();

    io_buf_chain_clear(&conn->out);
    io_buf_pool_put(buffers, in);
    conn_pool_put(conns, conn);
    struct opool_stats stats;
    good = opool_stats_read(io_buf_pool_base(buffers), &stats) == 0 && stats.live == 0 && good;
    conn_pool_destroy(&conns);
    io_buf_pool_destroy(&buffers);
    close(ends[0]);
    close(ends[1]);
    return good ? 0 : 1;
}
