/* SPDX-License-Identifier: MIT */

/* Typed pools: what each definition generates, and when each callback is called. no_inline.c runs the same again. */

#include "contract.h"

/* ---- callbacks that leave a trace ---- */

/* One letter a call; upper case: the borrowed member was still set. */
struct trace {
    char text[1024];
    size_t length;
    int init_result;
    int init_fails_after; /* this many good ones */
    bool refuse;
    bool dirty; /* init once saw a byte that was not zero */
};

static void note(void *arg, char letter)
{
    struct trace *trace = arg;
    ck_assert_ptr_nonnull(trace);
    if (trace->length < sizeof trace->text - 1)
        trace->text[trace->length++] = letter;
}

static void expect_trace(struct trace *trace, const char *expected)
{
    trace->text[trace->length] = '\0';
    ck_assert_str_eq(trace->text, expected);
    trace->length = 0;
}

static int init_bytes(const void *object, size_t size, void *arg)
{
    struct trace *trace = arg;
    const unsigned char *bytes = object;
    note(arg, 'i');
    for (size_t i = 0; i < size; i++)
        trace->dirty |= bytes[i] != 0;
    if (trace->init_result && trace->init_fails_after-- <= 0)
        return trace->init_result;
    return 0;
}

struct conn {
    int id;
    char text[52];
};

static int conn_init(struct conn *conn, void *arg)
{
    int r = init_bytes(conn, sizeof *conn, arg);
    memset(conn, 0xa5, sizeof *conn); /* also when it fails: the next init in this slot must not see it */
    conn->id = 7;
    return r;
}

static bool conn_reset(struct conn *conn, void *arg)
{
    note(arg, 'r');
    conn->id = 8;
    return !((struct trace *)arg)->refuse;
}

static void conn_fini(struct conn *conn, void *arg)
{
    note(arg, 'f');
    memset(conn, 0x5a, sizeof *conn);
}

struct tls;
struct address {
    void *inside;
};
struct job {
    int id;
    struct tls *tls;
    void *many[2];
    struct address address;
    unsigned flags : 3;
};

static char a_thing;

static int job_init(struct job *job, void *arg)
{
    return init_bytes(job, sizeof *job, arg);
}

static bool job_reset(struct job *job, void *arg)
{
    note(arg, job->tls && job->many[1] ? 'R' : 'r');
    return !((struct trace *)arg)->refuse;
}

static void job_fini(struct job *job, void *arg)
{
    note(arg, job->tls || job->many[0] || job->many[1] ? 'F' : 'f');
}

struct decoder {
    char *window;
    size_t used, held;
};

static int decoder_init(struct decoder *decoder, void *arg)
{
    int r = init_bytes(decoder, sizeof *decoder, arg);
    decoder->window = r ? NULL : malloc(16);
    return r;
}

static bool decoder_reset(struct decoder *decoder, void *arg)
{
    (void)decoder;
    note(arg, 'r');
    return !((struct trace *)arg)->refuse;
}

static void decoder_fini(struct decoder *decoder, void *arg)
{
    note(arg, 'f');
    free(decoder->window);
}

static struct opool_footprint decoder_footprint(const struct decoder *decoder, void *arg)
{
    struct opool_footprint footprint = {decoder->used, decoder->held};
    note(arg, 'p');
    return footprint;
}

OPOOL_REF_TYPE(tls_ref, struct tls);
struct linked {
    tls_ref tls;
    int n;
};
struct byte {
    unsigned char b;
};
struct large {
    unsigned char bytes[1 << 16];
};

OPOOL_DEFINE(conn_pool, struct conn, .init = conn_init, .reset = conn_reset, .fini = conn_fini);
OPOOL_DEFINE(conn_pool_other_order, struct conn, .fini = conn_fini, .reset = &conn_reset, .init = conn_init);
OPOOL_DEFINE(conn_pool_init_only, struct conn, .init = conn_init);
OPOOL_DEFINE(conn_pool_plain, struct conn);
OPOOL_DEFINE_MEMBERS(job_pool, struct job,
                     (id, OPOOL_BORROWED(tls), OPOOL_BORROWED(many), OPOOL_OPAQUE(address), OPOOL_BITS(flags)),
                     .reset = job_reset, .init = job_init, .fini = job_fini);
OPOOL_DEFINE_MEMBERS(job_pool_plain, struct job,
                     (id, OPOOL_BORROWED(tls), OPOOL_BORROWED(many), OPOOL_OPAQUE(address), OPOOL_BITS(flags)));
OPOOL_DEFINE_OWNING(decoder_pool, struct decoder, decoder_footprint, "it has a window of its own", .init = decoder_init,
                    .reset = decoder_reset, .fini = decoder_fini);
OPOOL_DEFINE_OWNING(decoder_pool_plain, struct decoder, decoder_footprint, "borrowed here");
OPOOL_DEFINE(linked_pool, struct linked);
OPOOL_DEFINE(byte_pool, struct byte);
OPOOL_DEFINE(large_pool, struct large);

/* ---- what is generated ---- */

/* Every function of a definition, with and without an object or a pool. */
#define EXERCISE(N, T) \
    static void exercise_##N(struct trace *trace) \
    { \
        struct opool_options options = {.arg = trace}; \
        struct N *pool = NULL; \
        T *objects[4] = {NULL, NULL, NULL, NULL}; \
        ck_assert_int_eq(N##_create(&pool, &options), 0); \
        ck_assert_ptr_nonnull(pool); \
        ck_assert_str_eq(opool_name(N##_base(pool)), #N); \
        T *one = N##_get(pool); \
        T *two = N##_get_wait(pool, -1); \
        T *three = N##_get_wait(pool, 0); \
        ck_assert(one &&two &&three &&one != two && two != three && one != three); \
        ck_assert_uint_eq((uintptr_t)one % _Alignof(T), 0); \
        N##_put(pool, one); \
        N##_put(pool, NULL); \
        N##_discard(pool, two); \
        N##_discard(pool, NULL); \
        objects[2] = three; \
        N##_put_batch(pool, objects, 4); \
        ck_assert_uint_eq(N##_get_batch(pool, objects, 3), 3); \
        ck_assert_ptr_null(objects[3]); \
        N##_put_batch(pool, objects, 3); \
        check_equations(N##_base(pool)); \
        ck_assert_uint_eq(figures(N##_base(pool)).gets, 6); \
        ck_assert_uint_eq(figures(N##_base(pool)).puts, 6); \
        ck_assert_uint_eq(figures(N##_base(pool)).discarded, 1); \
        N##_destroy(&pool); \
        ck_assert_ptr_null(pool); \
        N##_destroy(&pool); \
        N##_destroy(NULL); \
        ck_assert_int_eq(N##_create(&pool, &options), 0); \
        struct opool *base = N##_base(pool); \
        N##_close(&pool); \
        ck_assert_ptr_null(pool); \
        ck_assert(!is_listed(base)); \
        N##_close(&pool); \
        N##_close(NULL); \
        ck_assert(!trace->dirty); \
        trace->length = 0; \
    }

EXERCISE(conn_pool, struct conn)
EXERCISE(conn_pool_other_order, struct conn)
EXERCISE(conn_pool_init_only, struct conn)
EXERCISE(conn_pool_plain, struct conn)
EXERCISE(job_pool, struct job)
EXERCISE(job_pool_plain, struct job)
EXERCISE(decoder_pool, struct decoder)
EXERCISE(decoder_pool_plain, struct decoder)
EXERCISE(linked_pool, struct linked)
EXERCISE(byte_pool, struct byte)
EXERCISE(large_pool, struct large)

START_TEST(every_function_of_every_definition)
{
    struct trace trace = {.length = 0};
    exercise_conn_pool(&trace);
    exercise_conn_pool_other_order(&trace);
    exercise_conn_pool_init_only(&trace);
    exercise_conn_pool_plain(&trace);
    exercise_job_pool(&trace);
    exercise_job_pool_plain(&trace);
    exercise_decoder_pool(&trace);
    exercise_decoder_pool_plain(&trace);
    exercise_linked_pool(&trace);
    exercise_byte_pool(&trace);
    exercise_large_pool(&trace);
}
END_TEST

#define WHICH(pool) _Generic((pool), struct conn_pool * : 1, struct conn_pool_plain * : 2, struct conn * : 3)

START_TEST(pools_of_one_type_are_of_two_types)
{
    struct conn_pool *one = NULL;
    struct conn_pool_plain *two = NULL;
    struct conn *object = NULL;
    ck_assert_int_eq(WHICH(one), 1);
    ck_assert_int_eq(WHICH(two), 2);
    ck_assert_int_eq(WHICH(object), 3);
}
END_TEST

START_TEST(options_are_optional)
{
    struct byte_pool *pool;
    ck_assert_int_eq(byte_pool_create(&pool, NULL), 0);
    struct byte *object = byte_pool_get(pool);
    ck_assert_int_eq(object->b, 0);
    byte_pool_put(pool, object);
    byte_pool_destroy(&pool);
}
END_TEST

/* ---- when callbacks are called ---- */

static struct conn_pool *new_conns(struct trace *trace, size_t capacity)
{
    struct opool_options options = {.arg = trace, .capacity = capacity};
    struct conn_pool *pool;
    ck_assert_int_eq(conn_pool_create(&pool, &options), 0);
    return pool;
}

/* Each test of callbacks runs over a pool with thread caches and one with a capacity. */
static const size_t capacities[] = {0, 400};
enum { CAPACITIES = 2 };

START_TEST(callbacks_of_a_life)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    expect_trace(&trace, "");
    struct conn *conn = conn_pool_get(pool);
    expect_trace(&trace, "i");
    ck_assert_int_eq(conn->id, 7);
    conn_pool_put(pool, conn);
    expect_trace(&trace, "r");
    struct conn *again = conn_pool_get(pool);
    ck_assert_ptr_eq(again, conn);
    expect_trace(&trace, "");
    ck_assert_int_eq(again->id, 8);
    ck_assert_int_eq(again->text[9], (char)0xa5);
    trace.refuse = true;
    conn_pool_put(pool, again);
    expect_trace(&trace, "rf");
    ck_assert_uint_eq(figures(conn_pool_base(pool)).discarded, 1);
    trace.refuse = false;
    conn = conn_pool_get(pool);
    expect_trace(&trace, "i");
    conn_pool_discard(pool, conn);
    expect_trace(&trace, "f");
    conn_pool_put(pool, conn_pool_get(pool));
    expect_trace(&trace, "ir");
    conn_pool_destroy(&pool);
    expect_trace(&trace, "f");
    ck_assert(!trace.dirty);
}
END_TEST

START_TEST(callbacks_of_batches)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    struct conn *conns[3];
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 3), 3);
    expect_trace(&trace, "iii");
    conn_pool_put_batch(pool, conns, 3);
    expect_trace(&trace, "rrr");
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 3), 3);
    expect_trace(&trace, "");
    trace.refuse = true;
    conn_pool_put_batch(pool, conns, 3);
    expect_trace(&trace, "rfrfrf");
    ck_assert_uint_eq(figures(conn_pool_base(pool)).discarded, 3);
    check_equations(conn_pool_base(pool));
    conn_pool_destroy(&pool);
    expect_trace(&trace, "");
}
END_TEST

static struct job *get_set_job(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    ck_assert_ptr_null(job->tls);
    ck_assert_ptr_null(job->many[0]);
    ck_assert_ptr_null(job->many[1]);
    job->tls = (struct tls *)(void *)&a_thing;
    job->many[0] = job->many[1] = &a_thing;
    job->address.inside = &a_thing;
    job->flags = 5;
    job->id = 3;
    return job;
}

START_TEST(borrowed_members_are_cleared)
{
    struct trace trace = {.length = 0};
    struct opool_options options = {.arg = &trace, .capacity = capacities[_i]};
    struct job_pool *pool;
    ck_assert_int_eq(job_pool_create(&pool, &options), 0);
    struct job *job = get_set_job(pool);
    job_pool_put(pool, job);
    expect_trace(&trace, "iR"); /* reset still sees what is borrowed */
    struct job *again = get_set_job(pool);
    ck_assert_ptr_eq(again, job);
    opool_put(job_pool_base(pool), again);
    expect_trace(&trace, "R");
    again = get_set_job(pool);
    opool_put_batch(job_pool_base(pool), (void *[]){again}, 1);
    expect_trace(&trace, "R");
    again = get_set_job(pool);
    trace.refuse = true;
    job_pool_put(pool, again);
    expect_trace(&trace, "Rf"); /* fini does not */
    again = get_set_job(pool);
    opool_put(job_pool_base(pool), again);
    expect_trace(&trace, "iRf");
    job_pool_discard(pool, get_set_job(pool));
    expect_trace(&trace, "if");
    opool_discard(job_pool_base(pool), get_set_job(pool));
    expect_trace(&trace, "if");
    trace.refuse = false;
    job_pool_put(pool, get_set_job(pool));
    expect_trace(&trace, "iR");
    job_pool_destroy(&pool);
    expect_trace(&trace, "f");
    ck_assert(!trace.dirty);
}
END_TEST

START_TEST(only_borrowed_members_are_cleared)
{
    struct job_pool_plain *pool;
    ck_assert_int_eq(job_pool_plain_create(&pool, NULL), 0);
    struct job *job = job_pool_plain_get(pool);
    job->tls = (struct tls *)(void *)&a_thing;
    job->address.inside = &a_thing;
    job->id = 3;
    job->flags = 5;
    job_pool_plain_put(pool, job);
    struct job *again = job_pool_plain_get(pool);
    ck_assert_ptr_eq(again, job);
    ck_assert_ptr_null(again->tls);
    ck_assert_ptr_eq(again->address.inside, &a_thing);
    ck_assert_int_eq(again->id, 3);
    ck_assert_uint_eq(again->flags, 5);
    job_pool_plain_put(pool, again);
    job_pool_plain_destroy(&pool);
}
END_TEST

START_TEST(footprint_comes_first)
{
    struct trace trace = {.length = 0};
    struct opool_options options = {.arg = &trace, .capacity = capacities[_i], .footprint_max = 4096};
    struct decoder_pool *pool;
    ck_assert_int_eq(decoder_pool_create(&pool, &options), 0);
    struct decoder *decoder = decoder_pool_get(pool);
    decoder->used = decoder->held = 4096;
    decoder_pool_put(pool, decoder);
    expect_trace(&trace, "ipr");
    struct decoder *again = decoder_pool_get(pool);
    ck_assert_ptr_eq(again, decoder);
    again->held = 1 << 20;
    decoder_pool_put(pool, again);
    expect_trace(&trace, "pf");
    struct opool_stats stats = figures(decoder_pool_base(pool));
    ck_assert_uint_eq(stats.bloated, 1);
    ck_assert_uint_eq(stats.discarded, 0);
    decoder = decoder_pool_get(pool);
    trace.refuse = true;
    opool_put(decoder_pool_base(pool), decoder);
    expect_trace(&trace, "iprf");
    decoder_pool_discard(pool, decoder_pool_get(pool));
    expect_trace(&trace, "if");
    ck_assert_uint_eq(figures(decoder_pool_base(pool)).bloated, 1);
    check_equations(decoder_pool_base(pool));
    decoder_pool_destroy(&pool);
}
END_TEST

/* init leaves bytes behind when it fails, fini and users do: none is there when the slot becomes an object again. */
START_TEST(init_sees_zero_in_a_used_slot)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    struct conn *conns[300];
    for (int round = 0; round < 4; round++) {
        ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 300), 300);
        for (int i = 0; i < 300; i++)
            conn_pool_discard(pool, conns[i]);
    }
    trace.init_result = EIO;
    ck_assert_ptr_null(conn_pool_get(pool));
    trace.init_result = 0;
    ck_assert_ptr_nonnull(conns[0] = conn_pool_get(pool));
    ck_assert(!trace.dirty);
    ck_assert_uint_eq(figures(conn_pool_base(pool)).built, 4 * 300 + 1);
    conn_pool_put(pool, conns[0]);
    conn_pool_destroy(&pool);
}
END_TEST

static void expect_init_failure(struct trace *trace, struct conn_pool *pool, int result)
{
    trace->init_result = result;
    errno = 0;
    ck_assert_ptr_null(conn_pool_get(pool));
    ck_assert_int_eq(errno, EPROTO);
    expect_trace(trace, "i"); /* and no fini */
    errno = 0;
    ck_assert_ptr_null(conn_pool_get_wait(pool, -1));
    ck_assert_int_eq(errno, EPROTO);
    expect_trace(trace, "i");
}

START_TEST(init_failure_is_errno_of_get)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i] ? 1 : 0);
    expect_init_failure(&trace, pool, EPROTO);
    expect_init_failure(&trace, pool, -EPROTO);
    struct opool_stats stats = figures(conn_pool_base(pool));
    ck_assert_uint_eq(stats.init_fails, 4);
    ck_assert_uint_eq(stats.built + stats.live + stats.gets + stats.torn_down, 0);
    trace.init_result = 0;
    struct conn *conn = conn_pool_get(pool);
    ck_assert_ptr_nonnull(conn);
    conn_pool_put(pool, conn);
    check_equations(conn_pool_base(pool));
    conn_pool_destroy(&pool);
    expect_trace(&trace, "irf");
}
END_TEST

START_TEST(init_failure_ends_a_batch)
{
    struct trace trace = {.init_result = EPROTO, .init_fails_after = 2};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    struct conn *conns[4] = {NULL, NULL, (struct conn *)(void *)&a_thing, (struct conn *)(void *)&a_thing};
    errno = 0;
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 4), 2);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert(conns[0] && conns[1]);
    ck_assert_ptr_eq(conns[2], &a_thing);
    ck_assert_ptr_eq(conns[3], &a_thing);
    expect_trace(&trace, "iii");
    conn_pool_put_batch(pool, conns, 2);
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(init_failure_of_prefill_fails_create)
{
    struct trace trace = {.init_result = EPROTO, .init_fails_after = 3};
    struct opool_options options = {.arg = &trace, .prefill = 10, .capacity = capacities[_i]};
    struct conn_pool *pool = (struct conn_pool *)(void *)&a_thing;
    ck_assert_int_eq(conn_pool_create(&pool, &options), -EPROTO);
    ck_assert_ptr_null(pool);
    expect_trace(&trace, "iiiifff");
    ck_assert_ptr_null(opool_next(NULL));
}
END_TEST

/* ---- what get returns ---- */

/* Not so under full checks: contract/hardening.c. */
START_TEST(last_put_is_next_get)
{
    struct trace trace = {.length = 0};
    struct opool_options options = {.arg = &trace, .capacity = capacities[_i], .checks = OPOOL_CHECKS_BASIC};
    struct conn_pool *pool;
    struct conn *conns[300];
    ck_assert_int_eq(conn_pool_create(&pool, &options), 0);
    for (int i = 0; i < 300; i++)
        ck_assert_ptr_nonnull(conns[i] = conn_pool_get(pool));
    for (int i = 0; i < 300; i++)
        conn_pool_put(pool, conns[i]);
    for (int i = 300; i-- > 0;)
        ck_assert_ptr_eq(conn_pool_get(pool), conns[i]);
    for (int i = 0; i < 300; i++) {
        conn_pool_put(pool, conns[i]);
        ck_assert_ptr_eq(conn_pool_get(pool), conns[i]);
    }
    conn_pool_put_batch(pool, conns, 300);
    struct conn *again[300];
    ck_assert_uint_eq(conn_pool_get_batch(pool, again, 300), 300);
    for (int i = 0; i < 300; i++)
        ck_assert_ptr_eq(again[i], conns[299 - i]);
    conn_pool_put_batch(pool, conns, 300);
    ck_assert_uint_eq(figures(conn_pool_base(pool)).built, 300);
    check_equations(conn_pool_base(pool));
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(a_miss_builds_one)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    struct conn *conns[300];
    for (unsigned i = 0; i < 300; i++) {
        conns[i] = conn_pool_get(pool);
        ck_assert_uint_eq(figures(conn_pool_base(pool)).built, i + 1);
        ck_assert_uint_eq(idle_objects(conn_pool_base(pool)), 0);
    }
    conn_pool_put_batch(pool, conns, 100);
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 100), 100);
    ck_assert_uint_eq(figures(conn_pool_base(pool)).built, 300);
    conn_pool_put_batch(pool, conns, 300);
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(success_leaves_errno_alone)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    struct conn *conns[300];
    errno = EXDEV;
    for (int i = 0; i < 299; i++)
        conns[i] = i % 2 ? conn_pool_get(pool) : conn_pool_get_wait(pool, 1000);
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns + 299, 1), 1);
    ck_assert_int_eq(errno, EXDEV);
    conn_pool_put_batch(pool, conns, 300);
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(empty_batches)
{
    struct trace trace = {.length = 0};
    struct conn_pool *pool = new_conns(&trace, capacities[_i]);
    struct conn *conns[2] = {NULL, NULL};
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 0), 0);
    ck_assert_uint_eq(conn_pool_get_batch(pool, NULL, 0), 0);
    conn_pool_put_batch(pool, conns, 0);
    conn_pool_put_batch(pool, NULL, 0);
    conn_pool_put_batch(pool, conns, 2);
    expect_trace(&trace, "");
    ck_assert_uint_eq(figures(conn_pool_base(pool)).puts, 0);
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(a_reference_is_a_number)
{
    struct linked_pool *pool;
    ck_assert_int_eq(linked_pool_create(&pool, NULL), 0);
    struct linked *linked = linked_pool_get(pool);
    ck_assert_ptr_null(tls_ref_get(linked->tls));
    struct tls *tls = (struct tls *)(void *)&a_thing;
    linked->tls = tls_ref_of(tls);
    linked_pool_put(pool, linked);
    struct linked *again = linked_pool_get(pool);
    ck_assert_ptr_eq(again, linked);
    ck_assert_ptr_eq(tls_ref_get(again->tls), tls); /* reset's business, and there is none */
    again->tls = tls_ref_of(NULL);
    ck_assert_ptr_null(tls_ref_get(again->tls));
    linked_pool_put(pool, again);
    linked_pool_destroy(&pool);
}
END_TEST

static struct conn *registered;

static int register_conn(struct conn *conn, void *arg)
{
    (void)arg;
    registered = conn;
    return 0;
}

OPOOL_DEFINE(registered_pool, struct conn, .init = register_conn);

/* 1, if the compiler were told that what get returns aliases nothing; a put here would let others know the object. */
static __attribute__((noinline)) int through_both(struct registered_pool *pool)
{
    struct conn *conn = registered_pool_get(pool);
    registered->id = 1;
    conn->id = 2;
    return registered->id;
}

START_TEST(others_may_know_an_object)
{
    struct registered_pool *pool;
    ck_assert_int_eq(registered_pool_create(&pool, NULL), 0);
    ck_assert_int_eq(through_both(pool), 2);
    registered_pool_put(pool, registered);
    ck_assert_int_eq(through_both(pool), 2);
    registered_pool_put(pool, registered);
    registered_pool_destroy(&pool);
}
END_TEST

/* ---- options ---- */

START_TEST(prefill_builds_before_the_first_get)
{
    static const size_t prefills[] = {1, 5, 64, 128, 129, 400};
    for (size_t i = 0; i < sizeof prefills / sizeof *prefills; i++) {
        struct trace trace = {.length = 0};
        struct opool_options options = {
            .arg = &trace, .prefill = prefills[i], .keep = prefills[i], .capacity = capacities[_i]};
        struct conn_pool *pool;
        ck_assert_int_eq(conn_pool_create(&pool, &options), 0);
        ck_assert_uint_eq(trace.length, prefills[i]);
        ck_assert_uint_eq(idle_objects(conn_pool_base(pool)), prefills[i]);
        ck_assert_uint_eq(figures(conn_pool_base(pool)).live_peak, 0);
        ck_assert_uint_eq(figures(conn_pool_base(pool)).gets, 0);
        struct conn *conns[400];
        ck_assert_uint_eq(conn_pool_get_batch(pool, conns, prefills[i]), prefills[i]);
        ck_assert_uint_eq(figures(conn_pool_base(pool)).built, prefills[i]);
        check_equations(conn_pool_base(pool));
        conn_pool_put_batch(pool, conns, prefills[i]);
        conn_pool_destroy(&pool);
    }
}
END_TEST

START_TEST(a_name_is_copied)
{
    char name[200] = "first";
    struct opool_options options = {.name = name};
    struct byte_pool *pool;
    ck_assert_int_eq(byte_pool_create(&pool, &options), 0);
    memset(name, 'x', sizeof name - 1);
    ck_assert_str_eq(opool_name(byte_pool_base(pool)), "first");
    struct byte_pool *other;
    ck_assert_int_eq(byte_pool_create(&other, &options), 0);
    ck_assert_int_eq(strncmp(opool_name(byte_pool_base(other)), "xxxxxxxxxxxxxxxx", 16), 0);
    byte_pool_destroy(&pool);
    byte_pool_destroy(&other);
}
END_TEST

START_TEST(any_magazine_size)
{
    static const unsigned sizes[] = {1, 2, 3, 127, 128};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct opool_options options = {.magazine = sizes[i]};
        struct conn_pool_plain *pool;
        struct conn *conns[300];
        ck_assert_int_eq(conn_pool_plain_create(&pool, &options), 0);
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < 300; k++)
                conns[k] = conn_pool_plain_get(pool);
            for (int k = 0; k < 300; k++)
                conn_pool_plain_put(pool, conns[k]);
            check_equations(conn_pool_plain_base(pool));
        }
        ck_assert_uint_eq(figures(conn_pool_plain_base(pool)).built, 300);
        conn_pool_plain_destroy(&pool);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("typed");
    TCase *generated = new_case(suite, "generated");
    tcase_add_test(generated, every_function_of_every_definition);
    tcase_add_test(generated, pools_of_one_type_are_of_two_types);
    tcase_add_test(generated, options_are_optional);
    tcase_add_test(generated, only_borrowed_members_are_cleared);
    tcase_add_test(generated, a_reference_is_a_number);
    tcase_add_test(generated, others_may_know_an_object);
    tcase_add_test(generated, a_name_is_copied);
    tcase_add_test(generated, any_magazine_size);
    TCase *callbacks = new_case(suite, "callbacks");
    tcase_add_loop_test(callbacks, callbacks_of_a_life, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, callbacks_of_batches, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, borrowed_members_are_cleared, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, footprint_comes_first, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, init_sees_zero_in_a_used_slot, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, init_failure_is_errno_of_get, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, init_failure_ends_a_batch, 0, CAPACITIES);
    tcase_add_loop_test(callbacks, init_failure_of_prefill_fails_create, 0, CAPACITIES);
    TCase *objects = new_case(suite, "objects");
    tcase_add_loop_test(objects, last_put_is_next_get, 0, CAPACITIES);
    tcase_add_loop_test(objects, a_miss_builds_one, 0, CAPACITIES);
    tcase_add_loop_test(objects, success_leaves_errno_alone, 0, CAPACITIES);
    tcase_add_loop_test(objects, empty_batches, 0, CAPACITIES);
    tcase_add_loop_test(objects, prefill_builds_before_the_first_get, 0, CAPACITIES);
    return run_suite(suite);
}
