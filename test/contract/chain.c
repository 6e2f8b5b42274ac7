/* SPDX-License-Identifier: MIT */

/* Chains of opool/buffer.h next to models that are plain arrays: random calls on two chains of one pool, whose limits
   and whose pool are often met; and both ends of a socket. */

#include <opool/buffer.h>
#include <sys/socket.h>

#include "contract.h"

enum {
    CAPACITY = 29,
    STEPS = THREAD_SANITIZER ? 100000 : 1000000,
    CHAINS = 2,
    BYTES_MOST = 400,
    LINKS_MOST = 20,
    POOL_MOST = 30,
    ENTRIES = 24
};

OPOOL_BUFFER_DEFINE(link, CAPACITY);
OPOOL_BUFFER_DEFINE(io_buf, 4096);

/* A ck_assert that passes costs a system call. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("%s", #condition); \
    } while (0)

static uint64_t state = 88172645463325252u;

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 11) % n;
}

static const unsigned char *noise(void)
{
    static unsigned char bytes[2 * BYTES_MOST];
    for (size_t i = 0; i < 8; i++)
        bytes[below(sizeof bytes)] = (unsigned char)below(256);
    return bytes;
}

/* ---- a chain and its model ---- */

struct pair {
    struct link_chain chain;
    unsigned char bytes[BYTES_MOST];
    size_t length, bytes_most, links_most;
};

struct world {
    struct link_pool *pool;
    struct pair pairs[CHAINS];
    size_t out[3]; /* how often ENOBUFS, EAGAIN, and nothing came of a call */
};

static void model_append(struct pair *pair, const void *data, size_t n)
{
    EXPECT(n <= sizeof pair->bytes - pair->length);
    memcpy(pair->bytes + pair->length, data, n);
    pair->length += n;
}

static void model_consume(struct pair *pair, size_t n)
{
    pair->length -= n;
    memmove(pair->bytes, pair->bytes + n, pair->length);
}

/* Those of open reservations, too. */
static size_t links_in_use(const struct world *world)
{
    size_t links = 0;
    for (int i = 0; i < CHAINS; i++) {
        const struct opool_chain *chain = &world->pairs[i].chain.chain;
        const struct opool_buffer *spare = opool_buffer_ref_get(chain->spare);
        links += chain->links;
        for (; spare; spare = opool_buffer_ref_get(spare->next))
            links++;
    }
    return links;
}

/* A refusal has its reason, and an acceptance is within limits: `more` bytes, in as many links as they take at most. */
static void expect_reason(struct world *world, const struct pair *pair, int error, size_t more, size_t links)
{
    if (error == -ENOBUFS) {
        EXPECT(more > pair->bytes_most - pair->length || link_chain_links(&pair->chain) + links > pair->links_most);
        world->out[0]++;
    } else if (error == -EAGAIN) {
        EXPECT(links_in_use(world) + links > POOL_MOST);
        world->out[1]++;
    } else {
        EXPECT(error >= 0);
        EXPECT(more <= pair->bytes_most - pair->length);
        world->out[2]++;
    }
}

static size_t links_for(size_t n)
{
    return (n + CAPACITY - 1) / CAPACITY;
}

/* Equations of the structure. */
static void expect_whole(const struct pair *pair)
{
    const struct opool_chain *chain = &pair->chain.chain;
    const struct opool_buffer *link = opool_buffer_ref_get(chain->first), *last = NULL;
    size_t links = 0, length = 0;
    for (; link; last = link, link = opool_buffer_ref_get(link->next), links++) {
        EXPECT(link->length > 0 && link->start + link->length <= CAPACITY);
        length += link->length;
    }
    EXPECT(last == opool_buffer_ref_get(chain->last));
    EXPECT(links == chain->links && links <= pair->links_most);
    EXPECT(length == chain->length && length <= pair->bytes_most);
}

static void expect_same(const struct pair *pair)
{
    unsigned char bytes[BYTES_MOST];
    struct iovec iov[ENTRIES];
    size_t at = 0;
    EXPECT(link_chain_length(&pair->chain) == pair->length);
    EXPECT(link_chain_peek(&pair->chain, bytes, sizeof bytes) == pair->length);
    EXPECT(memcmp(bytes, pair->bytes, pair->length) == 0);
    int n = link_chain_iov(&pair->chain, iov, ENTRIES);
    EXPECT((size_t)n == link_chain_links(&pair->chain));
    for (int i = 0; i < n; at += iov[i++].iov_len)
        EXPECT(memcmp(iov[i].iov_base, pair->bytes + at, iov[i].iov_len) == 0);
    EXPECT(at == pair->length);
}

/* ---- random calls ---- */

static void try_append(struct world *world, struct pair *pair)
{
    const unsigned char *data = noise();
    size_t n = below(4) ? below(2 * CAPACITY) : below(BYTES_MOST);
    int error = link_chain_append(&pair->chain, data, n);
    expect_reason(world, pair, error, n, links_for(n));
    if (!error)
        model_append(pair, data, n);
}

static void try_printf(struct world *world, struct pair *pair)
{
    static const char text[] = "a line that is longer than a link";
    int n = (int)below(CAPACITY + 4), added = link_chain_printf(&pair->chain, "%.*s", n, text);
    if (n >= CAPACITY) {
        EXPECT(added == -EMSGSIZE);
        return;
    }
    expect_reason(world, pair, added, (size_t)n, 1);
    EXPECT(added < 0 || added == n);
    if (added > 0)
        model_append(pair, text, (size_t)n);
}

static void try_consume(struct world *world, struct pair *pair)
{
    (void)world;
    size_t n = below(3 * CAPACITY), gone = n < pair->length ? n : pair->length;
    EXPECT(link_chain_consume(&pair->chain, n) == gone);
    model_consume(pair, gone);
}

static size_t fill(const struct iovec *iov, int entries, const unsigned char *data)
{
    size_t at = 0;
    for (int i = 0; i < entries; at += iov[i++].iov_len) {
        EXPECT(iov[i].iov_len > 0);
        memcpy(iov[i].iov_base, data + at, iov[i].iov_len);
    }
    return at;
}

/* Commits less, all, or more than there is; or the reservation ends by another call. */
static void try_reserve(struct world *world, struct pair *pair)
{
    const unsigned char *data = noise();
    struct iovec iov[ENTRIES];
    size_t n = 1 + below(5 * CAPACITY), links = link_chain_links(&pair->chain);
    int most = 1 + (int)below(ENTRIES), entries = link_chain_reserve(&pair->chain, n, iov, most);
    expect_reason(world, pair, entries, entries > 0 ? 0 : n, links_for(n));
    EXPECT(link_chain_length(&pair->chain) == pair->length && link_chain_links(&pair->chain) == links);
    if (entries <= 0)
        return;
    EXPECT(entries <= most);
    size_t room = fill(iov, entries, data), written = below(room + 10), added = written < room ? written : room;
    EXPECT(room <= n && room <= pair->bytes_most - pair->length);
    if (below(8) == 0) {
        try_append(world, pair);
        EXPECT(link_chain_commit(&pair->chain, written) == 0);
    } else if (below(8)) {
        EXPECT(link_chain_commit(&pair->chain, written) == added);
        EXPECT(link_chain_commit(&pair->chain, written) == 0);
        model_append(pair, data, added);
    }
}

static struct pair *other(struct world *world, const struct pair *pair)
{
    return pair == &world->pairs[0] ? &world->pairs[1] : &world->pairs[0];
}

static void try_move(struct world *world, struct pair *pair)
{
    struct pair *to = other(world, pair);
    int error = link_chain_move(&to->chain, &pair->chain);
    EXPECT(error == 0 || error == -ENOBUFS);
    expect_reason(world, to, error, pair->length, link_chain_links(&pair->chain));
    if (!error) {
        model_append(to, pair->bytes, pair->length);
        pair->length = 0;
    }
}

static void try_split(struct world *world, struct pair *pair)
{
    struct pair *to = other(world, pair);
    size_t n = below(pair->length + 5), links = link_chain_links(&pair->chain);
    int error = link_chain_split(&pair->chain, n, &to->chain);
    if (n > pair->length) {
        EXPECT(error == -EINVAL);
        return;
    }
    expect_reason(world, to, error, n, error == -EAGAIN ? 1 : links);
    EXPECT(link_chain_links(&pair->chain) <= links);
    if (!error) {
        model_append(to, pair->bytes, n);
        model_consume(pair, n);
    }
}

/* A buffer of the user's, empty ones too. */
static void try_push(struct world *world, struct pair *pair)
{
    const unsigned char *data = noise();
    struct link *buffer = link_pool_get(world->pool);
    if (!buffer) {
        EXPECT(errno == EAGAIN && links_in_use(world) == POOL_MOST);
        return;
    }
    size_t n = link_append(buffer, data, below(CAPACITY + 5)), gone = link_consume(buffer, below(5));
    int error = link_chain_push(&pair->chain, buffer);
    expect_reason(world, pair, error, n - gone, 1);
    if (error)
        link_pool_put(world->pool, buffer);
    else
        model_append(pair, data + gone, n - gone);
}

static void try_pop(struct world *world, struct pair *pair)
{
    struct link *buffer = link_chain_pop(&pair->chain);
    EXPECT(!buffer == !pair->length);
    if (!buffer)
        return;
    struct opool_view view = link_view(buffer);
    EXPECT(view.length > 0 && view.length <= pair->length && memcmp(view.data, pair->bytes, view.length) == 0);
    model_consume(pair, view.length);
    link_pool_put(world->pool, buffer);
}

static void try_clear(struct world *world, struct pair *pair)
{
    (void)world;
    if (below(20))
        return;
    link_chain_clear(&pair->chain);
    pair->length = 0;
}

static void init_pair(struct world *world, struct pair *pair, size_t bytes_most, size_t links_most)
{
    link_chain_init(&pair->chain, world->pool, bytes_most, links_most);
    pair->bytes_most = bytes_most;
    pair->links_most = links_most;
    pair->length = 0;
}

static void step(struct world *world)
{
    static void (*const calls[])(struct world *, struct pair *) = {try_append,  try_append,  try_printf, try_consume,
                                                                   try_reserve, try_reserve, try_move,   try_split,
                                                                   try_split,   try_push,    try_pop,    try_clear};
    calls[below(sizeof calls / sizeof *calls)](world, &world->pairs[below(CHAINS)]);
    for (int i = 0; i < CHAINS; i++)
        expect_whole(&world->pairs[i]);
    for (int i = 0; i < CHAINS; i++)
        expect_same(&world->pairs[i]);
}

START_TEST(random_calls)
{
    struct world world = {.pool = NULL};
    const struct opool_options options = {.capacity = POOL_MOST};
    ck_assert_int_eq(link_pool_create(&world.pool, &options), 0);
    init_pair(&world, &world.pairs[0], BYTES_MOST, LINKS_MOST);
    init_pair(&world, &world.pairs[1], BYTES_MOST / 2, LINKS_MOST);
    for (int i = 0; i < STEPS; i++) {
        step(&world);
        if (i % 4096 == 0)
            ck_assert_uint_eq(figures(link_pool_base(world.pool)).live, links_in_use(&world));
    }
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(world.out[i], STEPS / 4000);
    for (int i = 0; i < CHAINS; i++)
        link_chain_clear(&world.pairs[i].chain);
    ck_assert_uint_eq(figures(link_pool_base(world.pool)).live, 0);
    link_pool_destroy(&world.pool);
}
END_TEST

/* ---- one by one ---- */

START_TEST(nothing_is_refused)
{
    struct link_chain chain, other_chain;
    struct iovec iov[2];
    struct link_pool *pool, *second;
    struct link buffer;
    memset(&buffer, 0, sizeof buffer);
    memset(&chain, 0, sizeof chain);
    ck_assert_int_eq(link_pool_create(&pool, NULL), 0);
    ck_assert_int_eq(link_pool_create(&second, NULL), 0);
    link_chain_init(NULL, pool, 1, 1);
    link_chain_init(&other_chain, second, OPOOL_UNLIMITED, OPOOL_UNLIMITED);
    ck_assert_int_eq(link_chain_append(NULL, "x", 1), -EINVAL);
    ck_assert_int_eq(link_chain_append(&chain, "x", 1), -EINVAL);
    ck_assert_int_eq(link_chain_printf(&chain, "x"), -EINVAL);
    ck_assert_int_eq(link_chain_reserve(&chain, 1, iov, 2), -EINVAL);
    ck_assert_int_eq(link_chain_push(&chain, &buffer), -EINVAL);
    ck_assert_int_eq(link_chain_push(&chain, NULL), -EINVAL);
    ck_assert_ptr_null(link_chain_pop(&chain));
    ck_assert_uint_eq(link_chain_consume(&chain, 1) + link_chain_commit(&chain, 1) + link_chain_consume(NULL, 1), 0);
    link_chain_clear(&chain);
    link_chain_clear(NULL);
    link_chain_init(&chain, pool, OPOOL_UNLIMITED, OPOOL_UNLIMITED);
    ck_assert_int_eq(link_chain_append(&chain, NULL, 1), -EINVAL);
    ck_assert_int_eq(link_chain_append(&chain, NULL, 0), 0);
    ck_assert_int_eq(link_chain_reserve(&chain, 1, iov, 0), -EINVAL);
    ck_assert_int_eq(link_chain_reserve(&chain, 1, iov, -1), -EINVAL);
    ck_assert_int_eq(link_chain_reserve(&chain, 0, iov, 2), -EINVAL);
    ck_assert_int_eq(link_chain_move(&chain, &chain), -EINVAL);
    ck_assert_int_eq(link_chain_move(&chain, &other_chain), -EINVAL);
    ck_assert_int_eq(link_chain_append(&chain, "abc", 3), 0);
    ck_assert_int_eq(link_chain_split(&chain, 1, &other_chain), -EINVAL);
    ck_assert_int_eq(link_chain_split(&chain, 4, &chain), -EINVAL);
    link_chain_clear(&chain);
    ck_assert_int_eq(link_chain_iov(&chain, iov, -1), 0);
    ck_assert_int_eq(link_chain_iov(NULL, iov, 2), 0);
    ck_assert_uint_eq(link_chain_peek(&chain, NULL, 9), 0);
    link_pool_destroy(&pool);
    link_pool_destroy(&second);
}
END_TEST

/* Sizes that no sum of holds. */
START_TEST(sizes_do_not_wrap)
{
    struct link_chain chain;
    struct link_pool *pool;
    struct iovec iov[2];
    const struct opool_options options = {.capacity = 4};
    ck_assert_int_eq(link_pool_create(&pool, &options), 0);
    link_chain_init(&chain, pool, OPOOL_UNLIMITED, OPOOL_UNLIMITED);
    ck_assert_int_eq(link_chain_append(&chain, "abc", 3), 0);
    ck_assert_int_eq(link_chain_append(&chain, "abc", SIZE_MAX), -ENOBUFS);
    ck_assert_int_eq(link_chain_append(&chain, "abc", SIZE_MAX - 3), -EAGAIN);
    ck_assert_int_eq(link_chain_reserve(&chain, SIZE_MAX, iov, 2), 2);
    ck_assert_uint_eq(link_chain_commit(&chain, SIZE_MAX), 2 * CAPACITY - 3);
    ck_assert_uint_eq(link_chain_consume(&chain, SIZE_MAX), 2 * CAPACITY);
    ck_assert_uint_eq(figures(link_pool_base(pool)).live, 0);
    link_pool_destroy(&pool);
}
END_TEST

START_TEST(a_closed_pool_says_so)
{
    struct link_chain chain;
    struct link_pool *pool;
    ck_assert_int_eq(link_pool_create(&pool, NULL), 0);
    link_chain_init(&chain, pool, OPOOL_UNLIMITED, OPOOL_UNLIMITED);
    ck_assert_int_eq(link_chain_append(&chain, "abc", 3), 0);
    link_pool_close(&pool);
    ck_assert_int_eq(link_chain_append(&chain, "abc", 3), 0);
    ck_assert_int_eq(link_chain_append(&chain, noise(), CAPACITY), -ESHUTDOWN);
    ck_assert_uint_eq(link_chain_length(&chain), 6);
    link_chain_clear(&chain);
}
END_TEST

/* Links keep their addresses; of the one that is cut, the smaller part moves. */
START_TEST(splitting_copies_little)
{
    struct link_chain from, to;
    struct link_pool *pool;
    struct iovec before[4], after[4];
    ck_assert_int_eq(link_pool_create(&pool, NULL), 0);
    link_chain_init(&from, pool, OPOOL_UNLIMITED, OPOOL_UNLIMITED);
    link_chain_init(&to, pool, OPOOL_UNLIMITED, OPOOL_UNLIMITED);
    ck_assert_int_eq(link_chain_append(&from, noise(), 4 * CAPACITY), 0);
    ck_assert_int_eq(link_chain_iov(&from, before, 4), 4);
    ck_assert_int_eq(link_chain_split(&from, CAPACITY, &to), 0);
    ck_assert_int_eq(link_chain_split(&from, CAPACITY + 3, &to), 0);
    ck_assert_int_eq(link_chain_iov(&to, after, 4), 3);
    ck_assert_ptr_eq(after[0].iov_base, before[0].iov_base);
    ck_assert_ptr_eq(after[1].iov_base, before[1].iov_base);
    ck_assert_ptr_ne(after[2].iov_base, before[2].iov_base);
    ck_assert_int_eq(link_chain_iov(&from, after, 4), 2);
    ck_assert_ptr_eq(after[0].iov_base, (char *)before[2].iov_base + 3);
    ck_assert_int_eq(link_chain_split(&from, CAPACITY - 4, &to), 0);
    ck_assert_int_eq(link_chain_split(&from, CAPACITY - 1, &to), 0);
    ck_assert_int_eq(link_chain_iov(&from, after, 4), 1);
    ck_assert_uint_eq(after[0].iov_len, 2);
    ck_assert_int_eq(link_chain_move(&to, &from), 0);
    ck_assert_uint_eq(link_chain_length(&to), 4 * CAPACITY);
    link_chain_clear(&to);
    ck_assert_uint_eq(figures(link_pool_base(pool)).live, 0);
    link_pool_destroy(&pool);
}
END_TEST

/* ---- both ends of a socket ---- */

enum { STREAM = 4 << 20, STREAM_LIMIT = 100000, STREAM_ENTRIES = 9 };

static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 2654435761u >> 13);
}

struct end {
    int fd;
    struct io_buf_chain chain;
    size_t done, calls, partial;
};

/* As much as the chain takes, then as much as the socket does. */
static void send_some(struct end *end)
{
    unsigned char bytes[5000];
    struct iovec iov[STREAM_ENTRIES];
    size_t n = below(sizeof bytes) + 1, left = STREAM - end->done;
    n = n < left ? n : left;
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(end->done + i);
    if (n && io_buf_chain_append(&end->chain, bytes, n) == 0)
        end->done += n;
    int entries = io_buf_chain_iov(&end->chain, iov, 1 + (int)below(STREAM_ENTRIES));
    size_t offered = 0;
    for (int i = 0; i < entries; i++)
        offered += iov[i].iov_len;
    ssize_t sent = entries ? writev(end->fd, iov, entries) : 0;
    if (sent > 0) {
        end->calls++;
        end->partial += (size_t)sent < offered;
        EXPECT(io_buf_chain_consume(&end->chain, (size_t)sent) == (size_t)sent);
    }
}

static void expect_stream(struct end *end)
{
    unsigned char bytes[3000];
    size_t n = io_buf_chain_peek(&end->chain, bytes, 1 + below(sizeof bytes));
    for (size_t i = 0; i < n; i++)
        EXPECT(bytes[i] == byte_at(end->done + i));
    EXPECT(io_buf_chain_consume(&end->chain, n) == n);
    end->done += n;
}

static void receive_some(struct end *end)
{
    struct iovec iov[STREAM_ENTRIES];
    int entries = io_buf_chain_reserve(&end->chain, 1 + below(20000), iov, 1 + (int)below(STREAM_ENTRIES));
    if (entries > 0) {
        ssize_t got = readv(end->fd, iov, entries);
        size_t n = got > 0 ? (size_t)got : 0;
        EXPECT(io_buf_chain_commit(&end->chain, n) == n);
        end->calls++;
    } else {
        EXPECT(entries == -ENOBUFS);
    }
    expect_stream(end);
}

START_TEST(short_writes)
{
    struct io_buf_pool *pool;
    struct end from = {.done = 0}, to = {.done = 0};
    int ends[2], small = 8192;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    ck_assert_int_eq(io_buf_pool_create(&pool, NULL), 0);
    io_buf_chain_init(&from.chain, pool, STREAM_LIMIT, OPOOL_UNLIMITED);
    io_buf_chain_init(&to.chain, pool, STREAM_LIMIT, 30);
    from.fd = ends[0];
    to.fd = ends[1];
    while (to.done < STREAM) {
        for (size_t i = below(4); i > 0; i--)
            send_some(&from);
        for (size_t i = below(4); i > 0; i--)
            receive_some(&to);
    }
    ck_assert_uint_gt(from.partial, 20);
    ck_assert_uint_eq(io_buf_chain_length(&from.chain) + io_buf_chain_length(&to.chain), 0);
    ck_assert_uint_eq(figures(io_buf_pool_base(pool)).live, 0);
    io_buf_pool_destroy(&pool);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *chains = new_case(suite, "chains");
    tcase_add_test(chains, random_calls);
    tcase_add_test(chains, nothing_is_refused);
    tcase_add_test(chains, sizes_do_not_wrap);
    tcase_add_test(chains, a_closed_pool_says_so);
    tcase_add_test(chains, splitting_copies_little);
    tcase_add_test(chains, short_writes);
    return run_suite(suite);
}
