/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_LADDER_H
#define OPOOL_LADDER_H

#include "atomic.h"
#include "bytes.h"
#include "stats.h"

/*
 * A ladder of buffers: a few capacities, each with a pool of its own; a get takes the smallest that fits. Part of
 * opool/buffer.h. 1 to 8 capacities, ascending, each as that of OPOOL_BUFFER_DEFINE:
 *
 *     OPOOL_BUFFER_LADDER_DEFINE(body_buf, 1024, 4096, 16384, 65536);
 *
 *     struct body_buf_ladder ladder;
 *     int error = body_buf_ladder_create(&ladder, NULL);
 *     struct body_buf *body = body_buf_get(&ladder, content_length);
 *     ...
 *     body_buf_put(&ladder, body);
 *     body_buf_ladder_destroy(&ladder);
 *
 * It defines `struct N`, a buffer of any of the capacities that only N_get makes, `struct N_ladder`, whose members are
 * the library's, and:
 *
 *     int N_ladder_create(struct N_ladder *ladder, const struct opool_options *options)
 *         The pools, in the caller's `ladder`, which must not move until destroy. Options are those of each pool, named
 *         "NAME.CAPACITY"; `arg` is not used, and a region is refused. 0, or a negative errno value as of opool_create;
 *         the ladder is as after destroy then.
 *     void N_ladder_destroy(struct N_ladder *ladder)
 *         As opool_destroy of each pool. NULL, or destroyed already: nothing happens. Neither of the two while another
 *         call on the ladder is in progress.
 *     struct N *N_get(struct N_ladder *ladder, size_t n)
 *         An empty buffer of the smallest capacity that is n or more. NULL with errno: EMSGSIZE, n is above the
 *         largest; EINVAL, ladder is NULL or has no pools; else as opool_get. A pool at its capacity is EAGAIN: larger
 *         ones do not step in. Thread safety as opool_get.
 *     void N_put(struct N_ladder *ladder, struct N *buffer)
 *         As opool_put. NULL buffer: nothing happens.
 *     size_t N_capacity(const struct N *buffer)
 *     N_length, N_room, N_view, N_append, N_reserve, N_commit, N_consume, N_clear, N_printf
 *         As of OPOOL_BUFFER_DEFINE.
 *     struct opool *N_ladder_base(struct N_ladder *ladder, size_t rung)
 *         The pool of a rung, 0 is the smallest, for the untyped calls; NULL: there is none.
 *     size_t N_ladder_read(struct N_ladder *ladder, struct opool_rung *rungs, size_t n)
 *         Figures of up to n rungs, exact when no call on the ladder is in progress; how many were filled. Safe from
 *         any thread.
 *     int N_ladder_write(struct N_ladder *ladder, FILE *out)
 *         The same as a table to read. 0; -EINVAL: a NULL; or a negative errno value: the stream failed.
 */
#define OPOOL_BUFFER_LADDER_DEFINE(N, ...) \
    OPOOL__LADDER_TYPE(N, __VA_ARGS__) \
    OPOOL__LADDER_FUNCTIONS(N) \
    OPOOL__BUFFER_CALLS(N, sizeof(struct opool__step_buffer)) \
    OPOOL_REF_TYPE(N##_ref, struct N)

/** Figures of one capacity of a ladder. Padding waste is given - asked. */
struct opool_rung {
    size_t capacity;
    uint64_t gets;  /**< buffers handed out so far */
    uint64_t live;  /**< of these, not put yet */
    uint64_t asked; /**< bytes that all gets asked for */
    uint64_t given; /**< bytes of the capacities that they got */
};

/* ---- What the macro generates ---------------------------------------------------------------------------------- */

/* Inlined, where the program does that: buffers have no reset, they are emptied by the get. */
#ifdef OPOOL_NO_INLINE
#define OPOOL__PUT(base, object) opool_put(base, object)
#else
#define OPOOL__PUT(base, object) opool__put_inline(base, object)
#endif

enum { OPOOL__RUNGS_MOST = 8, OPOOL__LADDER_SHARDS = 16, OPOOL__RUNG_NAME_MOST = 96 };

/* What a definition says of a rung. */
struct opool__step {
    uint32_t capacity, rung;
};

/* A buffer of a ladder: its bytes follow. */
struct opool__step_buffer {
    struct opool_buffer head;
    uint32_t capacity, rung;
};

/* Threads count what they ask for in different places, as far as there are enough. */
struct opool__ladder {
    struct opool *pools[OPOOL__RUNGS_MOST];
    const struct opool__step *steps;
    size_t rungs;
    uint64_t shared_asked[OPOOL__LADDER_SHARDS][OPOOL__RUNGS_MOST];
};

/* Of a buffer of a ladder, NULL too. */
OPOOL__FUNCTION size_t opool__step_capacity(const void *buffer)
{
    return buffer ? ((const struct opool__step_buffer *)buffer)->capacity : 0;
}

/* `arg` is the step. */
OPOOL__THUNK int opool__step_init(void *object, void *arg)
{
    struct opool__step_buffer *buffer = (struct opool__step_buffer *)object;
    buffer->capacity = ((const struct opool__step *)arg)->capacity;
    buffer->rung = ((const struct opool__step *)arg)->rung;
    return 0;
}

OPOOL__FUNCTION void opool__ladder_destroy(struct opool__ladder *ladder)
{
    size_t rung;
    if (!ladder)
        return;
    for (rung = 0; rung < ladder->rungs; rung++)
        opool_destroy(&ladder->pools[rung]);
    ladder->rungs = 0;
}

OPOOL__FUNCTION int opool__rung_create(struct opool__ladder *ladder, size_t rung, const char *name,
                                       const struct opool_options *options)
{
    const struct opool__step *step = &ladder->steps[rung];
    char full_name[OPOOL__RUNG_NAME_MOST];
    struct opool_options own;
    struct opool_type type;
    memset(&own, 0, sizeof own);
    if (options)
        own = *options;
    snprintf(full_name, sizeof full_name, "%.64s.%lu", own.name ? own.name : name, (unsigned long)step->capacity);
    own.name = full_name;
    own.arg = (void *)(uintptr_t)step;
    memset(&type, 0, sizeof type);
    type.name = name;
    type.shape = OPOOL_SHAPE_TRUSTED("a buffer of a ladder holds its bytes in itself");
    type.size = sizeof(struct opool__step_buffer) + step->capacity;
    type.align = OPOOL__ALIGNOF(struct opool__step_buffer);
    type.init = opool__step_init;
    type.abi = OPOOL_ABI;
    return opool_create(&ladder->pools[rung], &type, &own);
}

OPOOL__FUNCTION int opool__ladder_create(struct opool__ladder *ladder, const struct opool__step *steps, size_t rungs,
                                         const char *name, const struct opool_options *options)
{
    if (!ladder)
        return -EINVAL;
    memset(ladder, 0, sizeof *ladder);
    if (options && (options->region || options->region_size))
        return -EINVAL;
    ladder->steps = steps;
    for (; ladder->rungs < rungs; ladder->rungs++) {
        const int r = opool__rung_create(ladder, ladder->rungs, name, options);
        if (r) {
            opool__ladder_destroy(ladder);
            return r;
        }
    }
    return 0;
}

/* The place of a thread's errno tells threads apart, and needs no variable. */
OPOOL__FUNCTION uint64_t *opool__ladder_asked(struct opool__ladder *ladder, size_t rung)
{
    const uintptr_t thread = (uintptr_t)&errno;
    return &ladder->shared_asked[(thread >> 12 ^ thread >> 16 ^ thread >> 20) % OPOOL__LADDER_SHARDS][rung];
}

OPOOL__FUNCTION struct opool__step_buffer *opool__ladder_get(struct opool__ladder *ladder, size_t n)
{
    struct opool__step_buffer *buffer;
    size_t rung = 0;
    if (!ladder || !ladder->rungs) {
        errno = EINVAL;
        return NULL;
    }
    while (rung < ladder->rungs && ladder->steps[rung].capacity < n)
        rung++;
    if (rung == ladder->rungs) {
        errno = EMSGSIZE;
        return NULL;
    }
    buffer = (struct opool__step_buffer *)OPOOL__GET(ladder->pools[rung]);
    if (buffer) {
        opool__buffer_clear(&buffer->head);
        opool__add_relaxed(opool__ladder_asked(ladder, rung), (uint64_t)n);
    }
    return buffer;
}

/* A rung that the ladder has not: then this is no buffer of it, as any of its pools says. */
OPOOL__FUNCTION void opool__ladder_put(struct opool__ladder *ladder, struct opool__step_buffer *buffer)
{
    if (ladder && buffer)
        OPOOL__PUT(ladder->pools[buffer->rung < ladder->rungs ? buffer->rung : 0], buffer);
}

OPOOL__FUNCTION size_t opool__ladder_read(struct opool__ladder *ladder, struct opool_rung *out, size_t n)
{
    size_t rung, shard;
    if (!ladder || !out)
        return 0;
    for (rung = 0; rung < ladder->rungs && rung < n; rung++) {
        struct opool_stats stats;
        memset(&out[rung], 0, sizeof out[rung]);
        out[rung].capacity = ladder->steps[rung].capacity;
        if (opool_stats_read(ladder->pools[rung], &stats))
            continue;
        out[rung].gets = stats.gets;
        out[rung].live = stats.live;
        out[rung].given = stats.gets * out[rung].capacity;
        for (shard = 0; shard < OPOOL__LADDER_SHARDS; shard++)
            out[rung].asked += opool__load_relaxed(&ladder->shared_asked[shard][rung]);
    }
    return rung;
}

OPOOL__FUNCTION double opool__rung_waste(uint64_t asked, uint64_t given)
{
    return given > asked ? 100.0 * (double)(given - asked) / (double)given : 0.0;
}

OPOOL__FUNCTION int opool__rung_write(FILE *out, const char *name, const struct opool_rung *rung)
{
    return fprintf(out, "%-10s %12llu %12llu %18llu %18llu %8.1f\n", name, (unsigned long long)rung->gets,
                   (unsigned long long)rung->live, (unsigned long long)rung->asked, (unsigned long long)rung->given,
                   opool__rung_waste(rung->asked, rung->given));
}

OPOOL__FUNCTION int opool__ladder_write(struct opool__ladder *ladder, FILE *out)
{
    struct opool_rung rungs[OPOOL__RUNGS_MOST], sum;
    size_t i, n;
    bool good;
    if (!ladder || !out)
        return -EINVAL;
    errno = 0;
    memset(&sum, 0, sizeof sum);
    n = opool__ladder_read(ladder, rungs, OPOOL__RUNGS_MOST);
    good = fprintf(out, "%-10s %12s %12s %18s %18s %8s\n", "capacity", "gets", "live", "asked_bytes", "given_bytes",
                   "waste_%") > 0;
    for (i = 0; i < n; i++) {
        char name[24];
        snprintf(name, sizeof name, "%lu", (unsigned long)rungs[i].capacity);
        good = opool__rung_write(out, name, &rungs[i]) > 0 && good;
        sum.gets += rungs[i].gets;
        sum.live += rungs[i].live;
        sum.asked += rungs[i].asked;
        sum.given += rungs[i].given;
    }
    good = opool__rung_write(out, "all", &sum) > 0 && good;
    good = !fflush(out) && good;
    return good ? 0 : errno > 0 ? -errno : -EIO;
}

/* Each rung against the one before: enumerators of numbers that count down. */
#define OPOOL__LADDER_CHECK(N, i, j, x) \
    OPOOL__ASSERT((x) > 0, "opool: ladder " OPOOL__STR(N) ": a capacity is not above 0"); \
    OPOOL__ASSERT((x) <= OPOOL_SIZE_MAX - sizeof(struct opool__step_buffer), \
                  "opool: ladder " OPOOL__STR(N) ": a capacity is above what an object can hold"); \
    OPOOL__ENUM{OPOOL__ID(N, step, i) = (x)}; \
    OPOOL__ASSERT((size_t)OPOOL__ID(N, step, i) > (size_t)OPOOL__ID(N, step, j), \
                  "opool: ladder " OPOOL__STR(N) ": capacities are not ascending");
#define OPOOL__LADDER_STEP(N, i, j, x) {(uint32_t)(x), OPOOL__COUNT_OF(N) - (i)},

#define OPOOL__LADDER_TYPE(N, ...) \
    struct N; \
    struct N##_ladder { \
        struct opool__ladder ladder; \
    }; \
    OPOOL__ASSERT(OPOOL__COUNT(__VA_ARGS__) <= OPOOL__RUNGS_MOST, \
                  "opool: ladder " OPOOL__STR(N) ": more than 8 capacities"); \
    OPOOL__ENUM{OPOOL__ID(N, steps, count) = OPOOL__COUNT(__VA_ARGS__)}; \
    OPOOL__ENUM{OPOOL__LADDER_ZERO(N, OPOOL__COUNT_1(__VA_ARGS__)) = 0}; \
    OPOOL__MAP(OPOOL__LADDER_CHECK, N, __VA_ARGS__) \
    OPOOL__FUNCTION const struct opool__step *opool__##N##_steps(void) \
    { \
        static const struct opool__step steps_[] = {OPOOL__MAP(OPOOL__LADDER_STEP, N, __VA_ARGS__)}; \
        return steps_; \
    }
#define OPOOL__COUNT_OF(N) OPOOL__ID(N, steps, count)
#define OPOOL__LADDER_ZERO(N, i) OPOOL__ID(N, step, i)

#define OPOOL__LADDER(typed) ((typed) ? &(typed)->ladder : NULL)

#define OPOOL__LADDER_FUNCTIONS(N) \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_ladder_create(struct N##_ladder *ladder_, \
                                                          const struct opool_options *options_) \
    { \
        return opool__ladder_create(OPOOL__LADDER(ladder_), opool__##N##_steps(), OPOOL__COUNT_OF(N), OPOOL__STR(N), \
                                    options_); \
    } \
    OPOOL__FUNCTION void N##_ladder_destroy(struct N##_ladder *ladder_) \
    { \
        opool__ladder_destroy(OPOOL__LADDER(ladder_)); \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD struct N *N##_get(struct N##_ladder *ladder_, size_t n_) \
    { \
        return (struct N *)(void *)opool__ladder_get(OPOOL__LADDER(ladder_), n_); \
    } \
    OPOOL__FUNCTION void N##_put(struct N##_ladder *ladder_, struct N *buffer_) \
    { \
        opool__ladder_put(OPOOL__LADDER(ladder_), (struct opool__step_buffer *)(void *)buffer_); \
    } \
    OPOOL__FUNCTION struct opool *N##_ladder_base(struct N##_ladder *ladder_, size_t rung_) \
    { \
        return ladder_ && rung_ < ladder_->ladder.rungs ? ladder_->ladder.pools[rung_] : NULL; \
    } \
    OPOOL__FUNCTION size_t N##_ladder_read(struct N##_ladder *ladder_, struct opool_rung *rungs_, size_t n_) \
    { \
        return opool__ladder_read(OPOOL__LADDER(ladder_), rungs_, n_); \
    } \
    OPOOL__FUNCTION int N##_ladder_write(struct N##_ladder *ladder_, FILE *out_) \
    { \
        return opool__ladder_write(OPOOL__LADDER(ladder_), out_); \
    } \
    OPOOL__FUNCTION size_t N##_capacity(const struct N *buffer_) \
    { \
        return opool__step_capacity(buffer_); \
    } \
    OPOOL__FUNCTION size_t opool__##N##_capacity(const struct N *buffer_) \
    { \
        return opool__step_capacity(buffer_); \
    }

#endif
