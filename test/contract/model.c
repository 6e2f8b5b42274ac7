/* SPDX-License-Identifier: MIT */

/* Random calls on pools of several kinds, next to a model of what must be out, built and torn down; fixed seed. */

#include "contract.h"

enum { CALLS = 200000, HELD = 700, BATCH = 40 };

/* What the callbacks count; the arg of a pool. */
struct model {
    struct opool *pool;
    size_t size, capacity;
    unsigned refuse_each, fail_each; /* reset and init say no each so many times; 0: never */
    uint64_t inits, resets, finis, fails, refusals, gets, puts, discards, misses;
    unsigned held;
    void *objects[HELD];
    uint64_t cookies[HELD];
    bool wrong;
};

/* Each object starts with the cookie of its holder, 0 while it is idle, and ends with the same. */
static void mark(void *object, size_t size, uint64_t cookie)
{
    memcpy(object, &cookie, sizeof cookie);
    memcpy((char *)object + size - sizeof cookie, &cookie, sizeof cookie);
}

static bool is_marked(const void *object, size_t size, uint64_t cookie)
{
    return memcmp(object, &cookie, sizeof cookie) == 0 &&
           memcmp((const char *)object + size - sizeof cookie, &cookie, sizeof cookie) == 0;
}

static int model_init(void *object, void *arg)
{
    struct model *model = arg;
    model->wrong |= !is_marked(object, model->size, 0);
    if (model->fail_each && (model->inits + model->fails) % model->fail_each == model->fail_each - 1) {
        mark(object, model->size, UINT64_MAX);
        model->fails++;
        return EBUSY;
    }
    model->inits++;
    return 0;
}

static bool model_reset(void *object, void *arg)
{
    struct model *model = arg;
    mark(object, model->size, 0);
    model->resets++;
    if (model->refuse_each && model->resets % model->refuse_each == 0) {
        model->refusals++;
        return false;
    }
    return true;
}

static void model_fini(void *object, void *arg)
{
    struct model *model = arg;
    mark(object, model->size, UINT64_MAX);
    model->finis++;
}

static _Alignas(64) char region[32 << 10];

static const struct kind {
    size_t size;
    unsigned refuse_each, fail_each;
    struct opool_options options;
} kinds[] = {
    {.size = 16, .options = {.name = "small"}},
    {.size = 256, .refuse_each = 17, .fail_each = 13, .options = {.name = "refusing", .magazine = 5}},
    {.size = 96, .refuse_each = 9, .fail_each = 7, .options = {.name = "bounded", .capacity = 64, .prefill = 1}},
    {.size = 48, .options = {.name = "region", .region = region, .region_size = sizeof region}},
    {.size = 40000, .refuse_each = 100, .options = {.name = "large"}},
    {.size = 24, .options = {.name = "one", .magazine = 1}},
    {.size = 200, .refuse_each = 3, .options = {.name = "unchecked", .checks = OPOOL_CHECKS_OFF}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct model models[KINDS];

static void set_up(struct model *model, const struct kind *kind)
{
    struct opool_type type = {.shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = kind->size,
                              .align = 8,
                              .init = model_init,
                              .reset = model_reset,
                              .fini = model_fini};
    struct opool_options options = kind->options;
    options.arg = model;
    *model = (struct model){.size = kind->size,
                            .refuse_each = kind->refuse_each,
                            .fail_each = kind->fail_each,
                            .capacity = options.capacity ? options.capacity : HELD + 1};
    ck_assert_int_eq(opool_create(&model->pool, &type, &options), 0);
}

/* ---- the calls ---- */

static uint64_t next_random(void)
{
    static uint64_t state = 20240229;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

static void hold(struct model *model, void *object)
{
    static uint64_t cookie;
    /* Idle until now, or new: somebody else's object would carry a cookie. */
    model->wrong |= !is_marked(object, model->size, 0);
    mark(object, model->size, ++cookie);
    model->objects[model->held] = object;
    model->cookies[model->held++] = cookie;
    model->gets++;
}

static void *release(struct model *model)
{
    unsigned i = (unsigned)(next_random() % model->held);
    void *object = model->objects[i];
    model->wrong |= !is_marked(object, model->size, model->cookies[i]);
    model->held--;
    model->objects[i] = model->objects[model->held];
    model->cookies[i] = model->cookies[model->held];
    model->puts++;
    return object;
}

static void get_one(struct model *model)
{
    if (model->held == HELD)
        return;
    uint64_t fails = model->fails;
    errno = 0;
    void *object = next_random() % 4 ? opool_get(model->pool) : opool_get_wait(model->pool, 0);
    if (object) {
        hold(model, object);
        return;
    }
    if (model->fails > fails) {
        model->wrong |= errno != EBUSY;
        return;
    }
    model->misses++;
    model->wrong |= errno != EAGAIN && errno != ETIMEDOUT;
    model->wrong |= model->held < model->capacity && model->capacity <= HELD;
}

static void get_many(struct model *model)
{
    void *objects[BATCH];
    uint64_t fails = model->fails;
    size_t n = (size_t)next_random() % BATCH;
    n = n < HELD - model->held ? n : HELD - model->held;
    size_t got = opool_get_batch(model->pool, objects, n);
    for (size_t i = 0; i < got; i++)
        hold(model, objects[i]);
    model->misses += got < n && model->fails == fails;
}

static void put_many(struct model *model)
{
    void *objects[BATCH];
    size_t n = (size_t)next_random() % BATCH;
    for (size_t i = 0; i < n; i++)
        objects[i] = model->held && next_random() % 8 ? release(model) : NULL;
    opool_put_batch(model->pool, objects, n);
}

static void discard_one(struct model *model)
{
    model->discards++;
    opool_discard(model->pool, release(model));
}

/* Tides: for a while more gets, then more puts. */
static void call(struct model *model, int i)
{
    uint64_t dice = next_random() % 64 + (i / 4000 % 2 ? 20 : 0);
    if (dice < 36)
        get_one(model);
    else if (dice < 38)
        get_many(model);
    else if (dice < 40)
        put_many(model);
    else if (model->held && dice == 41)
        discard_one(model);
    else if (model->held)
        opool_put(model->pool, release(model));
}

/* ---- the comparison ---- */

static void compare(const struct model *model)
{
    struct opool_stats stats = figures(model->pool);
    uint64_t idle = stats.idle_thread + stats.idle_depot + stats.idle_victim;
    check_equations(model->pool);
    ck_assert_msg(!model->wrong, "%s", opool_name(model->pool));
    ck_assert_uint_eq(stats.live, model->held);
    ck_assert_uint_eq(stats.gets, model->gets);
    ck_assert_uint_eq(stats.puts, model->puts);
    ck_assert_uint_eq(stats.built, model->inits);
    ck_assert_uint_eq(stats.torn_down, model->finis);
    ck_assert_uint_eq(stats.init_fails, model->fails);
    ck_assert_uint_eq(stats.discarded, model->refusals + model->discards);
    ck_assert_uint_eq(stats.capacity_fails, model->misses);
    ck_assert_uint_eq(idle, model->inits - model->finis - model->held);
    ck_assert_uint_eq(stats.live_bytes, model->held * model->size);
    ck_assert_uint_eq(stats.idle_bytes, idle * model->size);
}

/* No two of what is out are one: the cookies would differ. */
static void compare_contents(const struct model *model)
{
    for (unsigned i = 0; i < model->held; i++)
        if (!is_marked(model->objects[i], model->size, model->cookies[i]))
            ck_abort_msg("%s: object %u is not its holder's alone", opool_name(model->pool), i);
}

static void finish(struct model *model)
{
    while (model->held)
        opool_put(model->pool, release(model));
    compare(model);
    opool_destroy(&model->pool);
    ck_assert_uint_eq(model->finis, model->inits);
    ck_assert(!model->wrong);
}

START_TEST(random_calls)
{
    for (int k = 0; k < KINDS; k++)
        set_up(&models[k], &kinds[k]);
    for (int i = 0; i < CALLS; i++) {
        call(&models[next_random() % KINDS], i);
        if (i % 500 == 0)
            for (int k = 0; k < KINDS; k++) {
                compare(&models[k]);
                compare_contents(&models[k]);
            }
    }
    ck_assert_uint_gt(models[2].misses, 100); /* the tides reach the limits */
    ck_assert_uint_gt(models[1].refusals, 100);
    ck_assert_uint_gt(figures(models[0].pool).flushes, 10);
    for (int k = 0; k < KINDS; k++)
        finish(&models[k]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    tcase_add_test(new_case(suite, "model"), random_calls);
    return run_suite(suite);
}
