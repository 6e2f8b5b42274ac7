/* SPDX-License-Identifier: MIT */

/* Reset verification under full checks: what reset leaves to the next user is told, once a member; what is declared,
   differs between new objects, or is padding is not. */

#include "contract.h"

static struct {
    unsigned count;
    char text[64][512];
} lines;

static void note(const char *line, void *arg)
{
    (void)arg;
    unsigned at = __atomic_fetch_add(&lines.count, 1u, __ATOMIC_RELAXED);
    if (at < 64)
        snprintf(lines.text[at], sizeof lines.text[0], "%s", line);
}

static void start_log(void)
{
    opool_log_set(note, NULL);
}

/* The lines so far, in order, and no others. */
#define EXPECT_LINES(...) expect_lines((const char *const[]){__VA_ARGS__, NULL})

static void expect_lines(const char *const *expected)
{
    unsigned n = 0;
    for (; expected[n]; n++) {
        ck_assert_uint_gt(lines.count, n);
        ck_assert_str_eq(lines.text[n], expected[n]);
    }
    ck_assert_msg(lines.count == n, "line %u: %s", n, lines.text[n]);
}

static void expect_silence(void)
{
    ck_assert_msg(lines.count == 0, "%s", lines.text[0]);
}

static const struct opool_options full = {.checks = OPOOL_CHECKS_FULL};

/* ---- plain types ---- */

struct conn {
    int socket;
    unsigned serial;
    char user[16];
    char input[256];
    long count;
};

static int conn_init(struct conn *conn, void *arg)
{
    (void)arg;
    conn->socket = -1;
    return 0;
}

static bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    conn->socket = -1;
    return true;
}

OPOOL_DEFINE(conn_pool, struct conn, .init = conn_init, .reset = conn_reset);
OPOOL_DEFINE(kept_pool, struct conn, .init = conn_init, .reset = conn_reset,
             .kept = OPOOL_MEMBERS(serial, user, input));
OPOOL_DEFINE(no_reset_pool, struct conn, .init = conn_init);

static bool conn_refuse(struct conn *conn, void *arg)
{
    return conn->socket == 0 && arg;
}

OPOOL_DEFINE(refusing_pool, struct conn, .reset = conn_refuse);

#define CONN "opool: pool 'conn_pool' (struct conn): reset leaves "
#define NAMED_BY(offset) \
    ": reset them, or declare the member in .kept = OPOOL_MEMBERS(...); `opool shapes -t 'struct conn' --at " offset \
    " PROGRAM` names it"

static struct conn_pool *new_conns(const struct opool_options *options)
{
    struct conn_pool *pool;
    ck_assert_int_eq(conn_pool_create(&pool, options), 0);
    return pool;
}

START_TEST(what_reset_leaves_is_told_once)
{
    struct conn_pool *pool = new_conns(&full);
    for (int i = 0; i < 3; i++) {
        struct conn *conn = conn_pool_get(pool);
        conn->socket = 5;
        strcpy(conn->user, "joe");
        conn_pool_put(pool, conn);
    }
    EXPECT_LINES(CONN "3 bytes at offset 8 to the next user: 6a 6f 65, 00 00 00 in a new object" NAMED_BY("8"));
    struct conn *conn = conn_pool_get(pool);
    ck_assert_str_eq(conn->user, "joe"); /* nothing is changed by looking */
    conn->serial = 0x11000000;
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 2);
    ck_assert_str_eq(lines.text[1], CONN "1 byte at offset 7 to the next user: 11, 00 in a new object" NAMED_BY("7"));
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(far_apart_is_two_lines_and_long_ones_are_cut)
{
    struct conn_pool *pool = new_conns(&full);
    struct conn *conn = conn_pool_get(pool);
    memset(conn->input + 100, 'x', 30);
    conn->input[200] = 'y';
    conn_pool_put(pool, conn);
    EXPECT_LINES(CONN "30 bytes at offset 124 to the next user: 78 78 78 78 78 78 78 78 ..., 00 00 00 00 00 00 00 00 "
                      "... in a new object" NAMED_BY("124"),
                 CONN "1 byte at offset 224 to the next user: 79, 00 in a new object" NAMED_BY("224"));
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(what_init_set_and_reset_does_not_restore)
{
    struct conn_pool *pool = new_conns(&full);
    struct conn *conn = conn_pool_get(pool);
    conn->socket = -1;
    conn->count = 0x7f;
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 1);
    conn = conn_pool_get(pool);
    conn->count = 0;
    conn->socket = 9;
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 1); /* reset puts -1 back */
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(a_whole_reset_is_silent)
{
    struct kept_pool *pool;
    ck_assert_int_eq(kept_pool_create(&pool, &full), 0);
    for (int i = 0; i < 3; i++) {
        struct conn *conn = kept_pool_get(pool);
        conn->socket = i;
        conn->serial++;
        memset(conn->user, i + 1, sizeof conn->user);
        memset(conn->input, i + 1, sizeof conn->input);
        kept_pool_put(pool, conn);
    }
    expect_silence();
    struct conn *conn = kept_pool_get(pool);
    conn->count = 1;
    kept_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 1); /* its neighbour is not declared */
    kept_pool_destroy(&pool);
}
END_TEST

static void dirty(struct conn *conn)
{
    memset(conn, 0xa5, sizeof *conn);
}

START_TEST(only_full_checks_verify)
{
    static const enum opool_checks others[] = {OPOOL_CHECKS_OFF, OPOOL_CHECKS_BASIC};
    for (int i = 0; i < 2; i++) {
        struct conn_pool *pool = new_conns(&(struct opool_options){.checks = others[i]});
        struct conn *conn = conn_pool_get(pool);
        dirty(conn);
        conn_pool_put(pool, conn);
        conn = conn_pool_get(pool);
        dirty(conn);
        opool_put(conn_pool_base(pool), conn);
        conn_pool_destroy(&pool);
    }
    expect_silence();
}
END_TEST

/* Buffers that are overwritten by each user: nothing says that their content should go. */
START_TEST(a_pool_without_reset_is_not_verified)
{
    struct no_reset_pool *pool;
    ck_assert_int_eq(no_reset_pool_create(&pool, &full), 0);
    struct conn *conn = no_reset_pool_get(pool);
    dirty(conn);
    no_reset_pool_put(pool, conn);
    conn = no_reset_pool_get(pool);
    dirty(conn);
    opool_put(no_reset_pool_base(pool), conn);
    expect_silence();
    no_reset_pool_destroy(&pool);
}
END_TEST

START_TEST(what_is_not_kept_is_not_verified)
{
    struct refusing_pool *pool;
    ck_assert_int_eq(refusing_pool_create(&pool, &full), 0);
    struct conn *conn = refusing_pool_get(pool);
    dirty(conn);
    refusing_pool_put(pool, conn);
    conn = refusing_pool_get(pool);
    dirty(conn);
    refusing_pool_discard(pool, conn);
    expect_silence();
    refusing_pool_destroy(&pool);
}
END_TEST

START_TEST(batches_are_verified)
{
    struct conn_pool *pool = new_conns(&full);
    struct conn *conns[3];
    ck_assert_uint_eq(conn_pool_get_batch(pool, conns, 3), 3);
    conns[1]->count = -1;
    conn_pool_put_batch(pool, conns, 3);
    ck_assert_uint_eq(lines.count, 1);
    expect_match(lines.text[0],
                 "^opool: .*: reset leaves 8 bytes at offset 280 to the next user: ff ff ff ff ff ff ff ff,"
                 " 00 00 00 00 00 00 00 00 in a new object");
    conn_pool_destroy(&pool);
}
END_TEST

START_TEST(a_region_is_verified_too)
{
    static _Alignas(64) char region[8192];
    struct opool_options options = {
        .checks = OPOOL_CHECKS_FULL, .region = region, .region_size = sizeof region, .prefill = 2};
    struct conn_pool *pool = new_conns(&options);
    struct conn *conn = conn_pool_get(pool);
    conn->count = 1;
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 1);
    conn_pool_destroy(&pool);
}
END_TEST

struct page {
    unsigned char bytes[2048];
};

static bool page_reset(struct page *page, void *arg)
{
    (void)arg;
    return page->bytes[0] != 99;
}

OPOOL_DEFINE(page_pool, struct page, .reset = page_reset);

/* Members that nobody named could be told byte by byte for ever. */
START_TEST(lines_about_bytes_are_few)
{
    struct page_pool *pool;
    ck_assert_int_eq(page_pool_create(&pool, &full), 0);
    for (size_t i = 0; i < sizeof(struct page); i += 32) {
        struct page *page = page_pool_get(pool);
        page->bytes[i] = 1;
        page_pool_put(pool, page);
    }
    ck_assert_uint_eq(lines.count, 16);
    page_pool_destroy(&pool);
}
END_TEST

static struct conn_pool *shared_pool;

static void *leave_the_same(void *unused)
{
    for (int i = 0; i < 300; i++) {
        struct conn *conn = conn_pool_get(shared_pool);
        strcpy(conn->user, "joe");
        conn_pool_put(shared_pool, conn);
    }
    return unused;
}

START_TEST(several_threads_tell_once)
{
    pthread_t threads[4];
    shared_pool = new_conns(&full);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(leave_the_same, NULL);
    for (int i = 0; i < 4; i++)
        join_thread(threads[i]);
    ck_assert_uint_eq(lines.count, 1);
    conn_pool_destroy(&shared_pool);
}
END_TEST

/* ---- what new objects differ in ---- */

struct self {
    uint32_t index;
    uintptr_t own_address;
    uint64_t value;
    char tail[3]; /* the size is no multiple of a word */
};

static int self_init(struct self *self, void *arg)
{
    self->index = (*(uint32_t *)arg)++;
    self->own_address = (uintptr_t)self;
    return 0;
}

static bool self_reset(struct self *self, void *arg)
{
    (void)arg;
    self->value = 0;
    return true;
}

OPOOL_DEFINE(self_pool, struct self, .init = self_init, .reset = self_reset);

START_TEST(identities_are_learnt)
{
    enum { N = 700 };
    uint32_t next = 0;
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL, .arg = &next};
    struct self *selves[N];
    struct self_pool *pool;
    ck_assert_int_eq(self_pool_create(&pool, &options), 0);
    for (int i = 0; i < N; i++) {
        ck_assert_ptr_nonnull(selves[i] = self_pool_get(pool));
        selves[i]->value = 7;
        self_pool_put(pool, selves[i]); /* with all that were built before */
        for (int k = 0; k <= i % 8; k++)
            selves[k] = self_pool_get(pool);
        for (int k = 0; k <= i % 8; k++)
            self_pool_put(pool, selves[k]);
    }
    ck_assert_uint_eq(self_pool_get_batch(pool, selves, N), N);
    self_pool_put_batch(pool, selves, N);
    expect_silence();
    selves[0] = self_pool_get(pool);
    selves[0]->tail[2] = 1;
    self_pool_put(pool, selves[0]);
    ck_assert_uint_eq(lines.count, 1);
    self_pool_destroy(&pool);
}
END_TEST

/* ---- lists ---- */

struct tls;
struct item {
    char first;
    char *name;
    unsigned flag : 1, mode : 3;
    short tiny;
    union {
        int i;
        float f;
    } any;
    struct {
        char kind;
        int size;
    } part;
    char cache[32];
    struct tls *many[2];
    unsigned lone : 9;
};

static int item_init(struct item *item, void *arg)
{
    item->name = arg; /* borrowed members count as NULL */
    item->part.size = 3;
    return 0;
}

static bool item_reset(struct item *item, void *arg)
{
    (void)arg;
    item->first = 0;
    return true;
}

OPOOL_DEFINE_MEMBERS(item_pool, struct item,
                     (first, OPOOL_BORROWED(name), OPOOL_BITS(flag), OPOOL_BITS(mode), tiny, OPOOL_OPAQUE(any), part,
                      OPOOL_KEPT(cache), OPOOL_BORROWED(many), OPOOL_BITS(lone)),
                     .init = item_init, .reset = item_reset);
OPOOL_DEFINE_MEMBERS(nested_pool, struct item,
                     (first, OPOOL_BORROWED(name), OPOOL_BITS(flag), OPOOL_BITS(mode), tiny, OPOOL_OPAQUE(any), part,
                      OPOOL_KEPT(cache), OPOOL_BORROWED(many), OPOOL_BITS(lone)),
                     .reset = item_reset, .kept = OPOOL_MEMBERS(part.size, tiny));

#define ITEM "opool: pool 'item_pool' (struct item): reset leaves "

static struct item_pool *new_items(void)
{
    static char own[] = "own";
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL, .arg = own};
    struct item_pool *pool;
    ck_assert_int_eq(item_pool_create(&pool, &options), 0);
    return pool;
}

START_TEST(members_of_a_list_are_named)
{
    struct item_pool *pool = new_items();
    struct item *item = item_pool_get(pool);
    item->first = 1;
    item->tiny = 0x0201;
    item->part.size = 4;
    item_pool_put(pool, item);
    EXPECT_LINES(ITEM
                 "'tiny' to the next user: 01 02 at offset 18, 00 00 in a new object: reset it, or declare it kept: "
                 "OPOOL_KEPT(tiny)",
                 ITEM "'part' to the next user: 04 at offset 28, 03 in a new object: reset it, or declare it kept: "
                      "OPOOL_KEPT(part)");
    item = item_pool_get(pool);
    item->tiny = 0x0300;
    item->part.kind = 1;
    item_pool_put(pool, item);
    ck_assert_uint_eq(lines.count, 2);
    item_pool_destroy(&pool);
}
END_TEST

START_TEST(borrowed_opaque_and_kept_members_are_not_told)
{
    struct item_pool *pool = new_items();
    struct item *items[2] = {item_pool_get(pool), item_pool_get(pool)};
    for (int i = 0; i < 2; i++) {
        static char text[] = "text";
        items[i]->name = text;
        items[i]->any.i = 77;
        memset(items[i]->cache, 1, sizeof items[i]->cache);
        items[i]->many[1] = (struct tls *)(void *)text;
        item_pool_put(pool, items[i]);
    }
    expect_silence();
    item_pool_destroy(&pool);
}
END_TEST

START_TEST(bit_fields_are_named_by_the_list)
{
    struct item_pool *pool = new_items();
    struct item *item = item_pool_get(pool);
    item->flag = 1;
    item->lone = 256;
    item_pool_put(pool, item);
    EXPECT_LINES(
        ITEM "'flag' to 'mode' to the next user: 01 at offset 16, 00 in a new object: reset it, or list it as "
             "OPOOL_KEPT_BITS",
        ITEM "'lone' to the next user: 01 at offset 81, 00 in a new object: reset it, or list it as OPOOL_KEPT_BITS");
    item_pool_destroy(&pool);
}
END_TEST

struct flags {
    int n;
    unsigned seen : 1, used : 1;
    int m;
    unsigned lone : 3;
    unsigned : 0;
    unsigned tail : 5;
};

static bool flags_reset(struct flags *flags, void *arg)
{
    (void)arg;
    return flags->m == 0;
}

OPOOL_DEFINE_MEMBERS(flags_pool, struct flags,
                     (n, OPOOL_BITS(seen), OPOOL_KEPT_BITS(used), m, OPOOL_KEPT_BITS(lone), OPOOL_BITS(tail)),
                     .reset = flags_reset);

START_TEST(kept_bit_fields_are_not_told)
{
    struct flags_pool *pool;
    ck_assert_int_eq(flags_pool_create(&pool, &full), 0);
    struct flags *flags = flags_pool_get(pool);
    flags->used = 1;
    flags->lone = 7;
    flags_pool_put(pool, flags);
    expect_silence();
    flags = flags_pool_get(pool);
    flags->n = 1;
    flags_pool_put(pool, flags);
    ck_assert_uint_eq(lines.count, 1);
    flags_pool_destroy(&pool);
}
END_TEST

START_TEST(a_list_takes_kept_members_behind_it_too)
{
    struct nested_pool *pool;
    ck_assert_int_eq(nested_pool_create(&pool, &full), 0);
    struct item *item = nested_pool_get(pool);
    item->tiny = 1;
    item->part.size = 1;
    nested_pool_put(pool, item);
    expect_silence();
    item = nested_pool_get(pool);
    item->part.kind = 1;
    nested_pool_put(pool, item);
    ck_assert_uint_eq(lines.count, 1);
    nested_pool_destroy(&pool);
}
END_TEST

/* ---- padding ---- */

struct gaps {
    char a;
    long b;
    struct {
        char c;
        int d;
    } in[2];
    char e;
};

static bool gaps_reset(struct gaps *gaps, void *arg)
{
    (void)arg;
    gaps->a = gaps->e = 0;
    gaps->b = 0;
    for (int i = 0; i < 2; i++) {
        gaps->in[i].c = 0;
        gaps->in[i].d = 0;
    }
    return true;
}

OPOOL_DEFINE_MEMBERS(gaps_pool, struct gaps, (a, b, in, e), .reset = gaps_reset);
OPOOL_DEFINE(plain_gaps_pool, struct gaps, .reset = gaps_reset);

/* As an assignment of a whole struct may: what stands in padding is anybody's. */
static void fill(struct gaps *gaps, size_t from, size_t end)
{
    memset((char *)gaps + from, 0xee, end - from);
}

START_TEST(padding_between_members_of_a_list_is_not_told)
{
    struct gaps_pool *pool;
    ck_assert_int_eq(gaps_pool_create(&pool, &full), 0);
    struct gaps *gaps = gaps_pool_get(pool);
    fill(gaps, 1, offsetof(struct gaps, b));
    fill(gaps, offsetof(struct gaps, e) + 1, sizeof *gaps);
    gaps_pool_put(pool, gaps);
    expect_silence();
    gaps_pool_destroy(&pool);
}
END_TEST

#ifdef OPOOL__KNOWS_PADDING
START_TEST(padding_inside_is_not_told)
{
    struct gaps_pool *pool;
    struct plain_gaps_pool *plain;
    ck_assert_int_eq(gaps_pool_create(&pool, &full), 0);
    ck_assert_int_eq(plain_gaps_pool_create(&plain, &full), 0);
    struct gaps *gaps[2] = {gaps_pool_get(pool), plain_gaps_pool_get(plain)};
    for (int i = 0; i < 2; i++)
        fill(gaps[i], 0, sizeof *gaps[i]); /* reset sets all members */
    gaps_pool_put(pool, gaps[0]);
    plain_gaps_pool_put(plain, gaps[1]);
    expect_silence();
    gaps_pool_destroy(&pool);
    plain_gaps_pool_destroy(&plain);
}
END_TEST
#endif

/* ---- owning types ---- */

struct buffer {
    char *bytes;
    size_t length, capacity;
};

static struct opool_footprint buffer_footprint(const struct buffer *buffer, void *arg)
{
    (void)arg;
    return (struct opool_footprint){buffer->length, buffer->capacity};
}

static bool buffer_reset(struct buffer *buffer, void *arg)
{
    if (!arg)
        buffer->length = 0;
    return true;
}

static void buffer_fini(struct buffer *buffer, void *arg)
{
    (void)arg;
    free(buffer->bytes);
}

OPOOL_DEFINE_OWNING(buffer_pool, struct buffer, buffer_footprint, "bytes grow", .reset = buffer_reset,
                    .fini = buffer_fini, .kept = OPOOL_MEMBERS(bytes, capacity));
OPOOL_DEFINE_OWNING(undeclared_pool, struct buffer, buffer_footprint, "bytes grow", .reset = buffer_reset,
                    .fini = buffer_fini);

static void grow(struct buffer *buffer)
{
    buffer->capacity = buffer->length = 100;
    buffer->bytes = realloc(buffer->bytes, buffer->capacity);
    ck_assert_ptr_nonnull(buffer->bytes);
}

START_TEST(what_an_owning_type_declares_may_stay)
{
    struct buffer_pool *pool;
    struct undeclared_pool *undeclared;
    ck_assert_int_eq(buffer_pool_create(&pool, &full), 0);
    struct buffer *buffer = buffer_pool_get(pool);
    grow(buffer);
    buffer_pool_put(pool, buffer);
    expect_silence();
    buffer_pool_destroy(&pool);
    ck_assert_int_eq(undeclared_pool_create(&undeclared, &full), 0);
    buffer = undeclared_pool_get(undeclared);
    grow(buffer);
    undeclared_pool_put(undeclared, buffer);
    ck_assert_uint_ge(lines.count, 1);
    undeclared_pool_destroy(&undeclared);
}
END_TEST

START_TEST(what_it_does_not_declare_is_told)
{
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL, .arg = &lines};
    struct buffer_pool *pool;
    ck_assert_int_eq(buffer_pool_create(&pool, &options), 0);
    struct buffer *buffer = buffer_pool_get(pool);
    grow(buffer);
    buffer_pool_put(pool, buffer);
    EXPECT_LINES(
        "opool: pool 'buffer_pool' (struct buffer): reset leaves 1 byte at offset 8 to the next user: 64, 00 in a "
        "new object: reset them, or declare the member in .kept = OPOOL_MEMBERS(...); `opool shapes -t 'struct "
        "buffer' --at 8 PROGRAM` names it");
    buffer_pool_destroy(&pool);
}
END_TEST

/* ---- untyped ---- */

static bool keep(void *object, void *arg)
{
    (void)arg;
    return object != NULL;
}

START_TEST(tables_of_untyped_types_are_not_trusted)
{
    static const struct opool_member members[] = {{"low", 0, 4, OPOOL_MEMBER_FIXED},
                                                  {"far", UINT32_MAX, UINT32_MAX, OPOOL_MEMBER_KEPT},
                                                  {"back", 1, 0, OPOOL_MEMBER_OPAQUE},
                                                  {NULL, 0, 0, OPOOL_MEMBER_FIXED}};
    static const struct opool_member kept[] = {{"all", 2, UINT32_MAX, OPOOL_MEMBER_FIXED},
                                               {NULL, 0, 0, OPOOL_MEMBER_FIXED}};
    struct opool_type type = {.name = "raw_pool",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = 13,
                              .align = 1,
                              .reset = keep,
                              .members = members,
                              .kept = kept};
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, &full), 0);
    unsigned char *object = opool_get(pool);
    memset(object, 1, 13);
    opool_put(pool, object);
    EXPECT_LINES("opool: pool 'raw_pool' (raw_pool): reset leaves 'low' to the next user: 01 at offset 0, 00 in a "
                 "new object: reset it, or declare it kept: OPOOL_KEPT(low)");
    opool_destroy(&pool);
}
END_TEST

/* With bit-fields in one of its gaps, and padding in the other and behind it. */
START_TEST(gaps_of_an_untyped_list)
{
    static const struct opool_member members[] = {
        {"a", 0, 1, OPOOL_MEMBER_FIXED}, {"b", 4, 1, OPOOL_MEMBER_FIXED},  {"bits", 0, 0, OPOOL_MEMBER_BITS},
        {"c", 8, 1, OPOOL_MEMBER_FIXED}, {NULL, 0, 0, OPOOL_MEMBER_FIXED},
    };
    struct opool_type type = {.name = "raw_pool",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = 12,
                              .align = 4,
                              .reset = keep,
                              .members = members};
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, &full), 0);
    unsigned char *object = opool_get(pool);
    memset(object + 1, 1, 3);
    memset(object + 5, 2, 3);
    memset(object + 9, 3, 3);
    opool_put(pool, object);
    EXPECT_LINES(
        "opool: pool 'raw_pool' (raw_pool): reset leaves 'bits' to the next user: 02 02 02 at offset 5, 00 00 00 "
        "in a new object: reset it, or list it as OPOOL_KEPT_BITS");
    opool_destroy(&pool);
}
END_TEST

static int lend(void *object, void *arg)
{
    *(void **)object = arg;
    return 0;
}

static void clear(void *object)
{
    *(void **)object = NULL;
}

START_TEST(what_clear_zeroes_counts_as_null_from_the_start)
{
    struct opool_type type = {.name = "raw_pool",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = sizeof(void *),
                              .align = sizeof(void *),
                              .init = lend,
                              .reset = keep,
                              .clear = clear};
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL, .arg = &lines};
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    opool_put(pool, opool_get(pool));
    expect_silence();
    opool_destroy(&pool);
}
END_TEST

static struct opool *cleared_pool;

static void *get_and_put(void *arg)
{
    opool_put(cleared_pool, opool_get(cleared_pool));
    return arg;
}

/* The first time it waits for a thread that needs an object of the same pool. */
static void clear_and_wait(void *object)
{
    static bool waited;
    clear(object);
    if (waited)
        return;
    waited = true;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, get_and_put, NULL), 0);
    pthread_join(thread, NULL);
}

START_TEST(clear_runs_outside_our_locks)
{
    struct opool_type type = {.name = "raw_pool",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = sizeof(void *),
                              .align = sizeof(void *),
                              .init = lend,
                              .reset = keep,
                              .clear = clear_and_wait};
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL, .arg = &lines};
    ck_assert_int_eq(opool_create(&cleared_pool, &type, &options), 0);
    get_and_put(NULL);
    expect_silence();
    opool_destroy(&cleared_pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reset");
    TCase *plain = new_case(suite, "plain"), *lists = new_case(suite, "lists"), *other = new_case(suite, "other");
    tcase_add_checked_fixture(plain, start_log, NULL);
    tcase_add_checked_fixture(lists, start_log, NULL);
    tcase_add_checked_fixture(other, start_log, NULL);
    tcase_add_test(plain, what_reset_leaves_is_told_once);
    tcase_add_test(plain, far_apart_is_two_lines_and_long_ones_are_cut);
    tcase_add_test(plain, what_init_set_and_reset_does_not_restore);
    tcase_add_test(plain, a_whole_reset_is_silent);
    tcase_add_test(plain, only_full_checks_verify);
    tcase_add_test(plain, a_pool_without_reset_is_not_verified);
    tcase_add_test(plain, what_is_not_kept_is_not_verified);
    tcase_add_test(plain, batches_are_verified);
    tcase_add_test(plain, a_region_is_verified_too);
    tcase_add_test(plain, lines_about_bytes_are_few);
    tcase_add_test(plain, several_threads_tell_once);
    tcase_add_test(plain, identities_are_learnt);
    tcase_add_test(lists, members_of_a_list_are_named);
    tcase_add_test(lists, borrowed_opaque_and_kept_members_are_not_told);
    tcase_add_test(lists, bit_fields_are_named_by_the_list);
    tcase_add_test(lists, kept_bit_fields_are_not_told);
    tcase_add_test(lists, a_list_takes_kept_members_behind_it_too);
    tcase_add_test(lists, padding_between_members_of_a_list_is_not_told);
#ifdef OPOOL__KNOWS_PADDING
    tcase_add_test(lists, padding_inside_is_not_told);
#endif
    tcase_add_test(other, what_an_owning_type_declares_may_stay);
    tcase_add_test(other, what_it_does_not_declare_is_told);
    tcase_add_test(other, gaps_of_an_untyped_list);
    tcase_add_test(other, what_clear_zeroes_counts_as_null_from_the_start);
    tcase_add_test(other, clear_runs_outside_our_locks);
    tcase_add_test(other, tables_of_untyped_types_are_not_trusted);
    return run_suite(suite);
}
