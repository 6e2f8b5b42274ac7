/* SPDX-License-Identifier: MIT */

/* C++17: lambdas as callbacks, classes in pools, thread_local objects that put at the end, exceptions next to pools. */

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <opool/buffer.h>

#include "contract.h"

namespace
{

OPOOL_BUFFER_DEFINE(io_buf, 64);
OPOOL_BUFFER_LADDER_DEFINE(body_buf, 256, 1024);

struct thing {
    int n;
    char more[60];
};
struct session {
    int id;
    thing *borrowed;
    unsigned flags : 4;
};
/* A class that owns memory: built by init, destroyed by fini. */
struct document {
    std::string text;
    std::vector<int> marks;
};

struct counts {
    std::atomic<int> inits{0}, resets{0}, finis{0};
    bool refuse = false;
};

opool_footprint document_footprint(const document *d, void *)
{
    return {d->text.size(), d->text.capacity() + d->marks.capacity() * sizeof(int)};
}

OPOOL_DEFINE(plain_pool, thing);
OPOOL_DEFINE(
    thing_pool, thing,
    .init =
        [](thing *t, void *arg) {
            static_cast<counts *>(arg)->inits++;
            t->n = 1;
            return 0;
        },
    .reset =
        [](thing *t, void *arg) {
            static_cast<counts *>(arg)->resets++;
            t->n = 2;
            return !static_cast<counts *>(arg)->refuse;
        },
    .fini = [](thing *, void *arg) { static_cast<counts *>(arg)->finis++; });
OPOOL_DEFINE_MEMBERS(session_pool, session, (id, OPOOL_BORROWED(borrowed), OPOOL_BITS(flags)));
OPOOL_DEFINE_OWNING(
    document_pool, document, document_footprint, "strings and vectors keep their memory",
    .init =
        [](document *d, void *) {
            new (d) document;
            return 0;
        },
    .reset =
        [](document *d, void *) {
            d->text.clear();
            d->marks.clear();
            return true;
        },
    .fini = [](document *d, void *) { d->~document(); });
OPOOL_REF_TYPE(thing_ref, thing);
struct linked {
    thing_ref ref;
};
OPOOL_DEFINE(linked_pool, linked);

static_assert(!std::is_same<struct plain_pool *, struct thing_pool *>::value, "pools are types of their own");
static_assert(std::is_same<decltype(session_pool_get(nullptr)), session *>::value, "get is typed");

/* What a user would write around the calls. */
struct put_thing {
    struct thing_pool *pool;
    void operator()(thing *t) const
    {
        thing_pool_put(pool, t);
    }
};
using thing_handle = std::unique_ptr<thing, put_thing>;

struct thing_pool *new_things(counts &counted, size_t capacity = 0)
{
    opool_options options = {};
    options.arg = &counted;
    options.capacity = capacity;
    struct thing_pool *pool = nullptr;
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
    return pool;
}

void use_some(struct thing_pool *pool)
{
    std::vector<thing *> things(50);
    for (thing *&t : things)
        t = thing_pool_get(pool);
    for (thing *t : things)
        thing_pool_put(pool, t);
}

/* ---- threads and their destructors ---- */

struct keeper {
    struct thing_pool *pool = nullptr;
    thing *kept = nullptr;
    ~keeper()
    {
        if (!pool)
            return;
        thing_pool_put(pool, kept);
        use_some(pool);
    }
};
thread_local keeper keeps;

void keep_one(struct thing_pool *pool)
{
    use_some(pool);
    keeps.pool = pool;
    keeps.kept = thing_pool_get(pool);
}

/* ---- a pool from before main to after it ---- */

struct global_pool {
    struct plain_pool *pool = nullptr;
    global_pool()
    {
        if (plain_pool_create(&pool, nullptr) != 0)
            abort();
        plain_pool_put(pool, plain_pool_get(pool));
    }
    ~global_pool()
    {
        plain_pool_put(pool, plain_pool_get(pool));
        plain_pool_destroy(&pool);
    }
};
global_pool global;

} // namespace

START_TEST(lambdas_are_callbacks)
{
    counts counted;
    struct thing_pool *pool = new_things(counted);
    thing *t = thing_pool_get(pool);
    ck_assert_int_eq(t->n, 1);
    thing_pool_put(pool, t);
    thing *again = thing_pool_get_wait(pool, -1);
    ck_assert(again == t);
    ck_assert_int_eq(again->n, 2);
    counted.refuse = true;
    thing_pool_put(pool, again);
    ck_assert_int_eq(counted.finis, 1);
    counted.refuse = false;
    thing_pool_discard(pool, thing_pool_get(pool));
    thing *batch[8];
    ck_assert_uint_eq(thing_pool_get_batch(pool, batch, 8), 8);
    thing_pool_put_batch(pool, batch, 8);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
    ck_assert(pool == nullptr);
    ck_assert_int_eq(counted.inits, 10);
    ck_assert_int_eq(counted.finis, 10);
    ck_assert_int_eq(counted.resets, 10);
}
END_TEST

START_TEST(members_and_references)
{
    struct session_pool *sessions = nullptr;
    struct linked_pool *links = nullptr;
    thing t = {};
    ck_assert_int_eq(session_pool_create(&sessions, nullptr), 0);
    session *s = session_pool_get(sessions);
    s->borrowed = &t;
    s->id = 4;
    session_pool_put(sessions, s);
    session *again = session_pool_get(sessions);
    ck_assert(again == s);
    ck_assert(again->borrowed == nullptr && again->id == 4);
    session_pool_put(sessions, again);
    session_pool_close(&sessions);
    ck_assert_int_eq(linked_pool_create(&links, nullptr), 0);
    linked *l = linked_pool_get(links);
    l->ref = thing_ref_of(&t);
    ck_assert(thing_ref_get(l->ref) == &t);
    linked_pool_put(links, l);
    linked_pool_destroy(&links);
}
END_TEST

START_TEST(classes_keep_their_memory)
{
    struct document_pool *pool = nullptr;
    ck_assert_int_eq(document_pool_create(&pool, nullptr), 0);
    document *d = document_pool_get(pool);
    d->text.assign(1000, 'x');
    d->marks.assign(100, 1);
    document_pool_put(pool, d);
    document *again = document_pool_get(pool);
    ck_assert(again == d);
    ck_assert(again->text.empty() && again->text.capacity() >= 1000);
    document_pool_put(pool, again);
    document_pool_destroy(&pool);
}
END_TEST

START_TEST(handles_put_when_something_throws)
{
    counts counted;
    struct thing_pool *pool = new_things(counted, 1);
    for (int i = 0; i < 100; i++) {
        try {
            thing_handle handle(thing_pool_get(pool), put_thing{pool});
            ck_assert(handle != nullptr);
            ck_assert(thing_pool_get(pool) == nullptr && errno == EAGAIN);
            throw std::runtime_error("on the way");
        } catch (const std::runtime_error &) {
        }
    }
    ck_assert_uint_eq(figures(thing_pool_base(pool)).live, 0);
    ck_assert_int_eq(counted.inits, 1);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(thread_local_destructors_put)
{
    counts counted;
    struct thing_pool *pool = new_things(counted);
    for (int i = 0; i < 50; i++)
        std::thread(keep_one, pool).join();
    opool_stats stats = figures(thing_pool_base(pool));
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.idle_thread, 0);
    ck_assert_uint_le(stats.built, 51);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
    ck_assert_int_eq(counted.inits, counted.finis);
}
END_TEST

START_TEST(threads_share_a_pool)
{
    counts counted;
    struct thing_pool *pool = new_things(counted);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([pool] {
            for (int k = 0; k < 200; k++)
                use_some(pool);
        });
    for (std::thread &t : threads)
        t.join();
    check_equations(thing_pool_base(pool));
    ck_assert_uint_eq(figures(thing_pool_base(pool)).gets, 4 * 200 * 50);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(untyped_calls)
{
    opool_type type = {};
    type.shape = OPOOL_SHAPE_TRUSTED("a test");
    type.size = sizeof(thing);
    type.align = alignof(thing);
    opool *pool = nullptr;
    ck_assert_int_eq(opool_create(&pool, &type, nullptr), 0);
    opool_put(pool, opool_get(pool));
    opool_destroy(&pool);
    ck_assert_str_eq(opool_version(), OPOOL_VERSION);
    ck_assert(is_listed(plain_pool_base(global.pool)));
}
END_TEST

START_TEST(buffers)
{
    struct io_buf_pool *pool = nullptr;
    struct body_buf_ladder ladder;
    std::string text;
    ck_assert_int_eq(io_buf_pool_create(&pool, nullptr), 0);
    ck_assert_int_eq(body_buf_ladder_create(&ladder, nullptr), 0);
    io_buf_chain chain;
    io_buf_chain_init(&chain, pool, 1000, OPOOL_UNLIMITED);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(io_buf_chain_printf(&chain, "%d ", i), i < 10 ? 2 : 3);
        text += std::to_string(i) + " ";
    }
    body_buf *body = body_buf_get(&ladder, text.size());
    opool_view room = body_buf_reserve(body, text.size());
    ck_assert_uint_eq(body_buf_commit(body, io_buf_chain_peek(&chain, room.data, room.length)), text.size());
    ck_assert_mem_eq(body_buf_view(body).data, text.data(), text.size());
    body_buf_put(&ladder, body);
    body_buf_ladder_destroy(&ladder);
    io_buf_chain_clear(&chain);
    ck_assert_uint_eq(figures(io_buf_pool_base(pool)).live, 0);
    io_buf_pool_destroy(&pool);
}
END_TEST

int main()
{
    Suite *suite = suite_create("cxx");
    TCase *tcase = new_case(suite, "cxx");
    tcase_add_test(tcase, lambdas_are_callbacks);
    tcase_add_test(tcase, members_and_references);
    tcase_add_test(tcase, classes_keep_their_memory);
    tcase_add_test(tcase, handles_put_when_something_throws);
    tcase_add_test(tcase, thread_local_destructors_put);
    tcase_add_test(tcase, threads_share_a_pool);
    tcase_add_test(tcase, untyped_calls);
    tcase_add_test(tcase, buffers);
    return run_suite(suite);
}
