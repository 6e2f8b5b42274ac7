/* SPDX-License-Identifier: MIT */

/*
 * Many pools, created, used and destroyed by several threads at once. The lowest free number is used again first, so
 * a new pool has the heads of one that went a moment ago: each object carries the identity of its pool, which init
 * writes and every get compares, so that an object of an older pool is noticed. Half of the pools are not destroyed
 * but closed while other threads put their objects, or wait in them.
 *
 * At the end all that was built is torn down, and no pool is left.
 */

#include "stress.h"

#include <opool.h>

struct pool_state {
    uint64_t identity, built, torn_down;
};

struct item {
    uint64_t stamp;
    uint64_t identity;
    uint64_t words[6];
};

static uint64_t shared_identity, shared_built, shared_torn_down;

static int item_init(struct item *item, void *arg)
{
    struct pool_state *state = arg;
    if (item->stamp || item->identity || item->words[5])
        report(&shared_corrupt, "init: memory is not zero");
    item->identity = state->identity;
    count(&state->built, 1);
    count(&shared_built, 1);
    return 0;
}

static void item_fini(struct item *item, void *arg)
{
    struct pool_state *state = arg;
    if (item->identity != state->identity)
        report(&shared_corrupt, "fini: an object of another pool");
    item->identity = 0;
    count(&state->torn_down, 1);
    count(&shared_torn_down, 1);
}

static bool item_reset(struct item *item, void *arg)
{
    struct pool_state *state = arg;
    if (item->identity != state->identity)
        report(&shared_corrupt, "reset: an object of another pool");
    return item->words[0] % 16 != 0;
}

/* A slab each, so that memory goes back to the system in the middle of everything. */
struct big {
    struct item item;
    uint64_t rest[2000];
};

static int big_init(struct big *big, void *arg)
{
    return item_init(&big->item, arg);
}

static bool big_reset(struct big *big, void *arg)
{
    return item_reset(&big->item, arg);
}

static void big_fini(struct big *big, void *arg)
{
    item_fini(&big->item, arg);
}

OPOOL_DEFINE(big_pool, struct big, .init = big_init, .reset = big_reset, .fini = big_fini);
OPOOL_DEFINE(item_pool, struct item, .init = item_init, .fini = item_fini);
OPOOL_DEFINE(reset_pool, struct item, .init = item_init, .reset = item_reset, .fini = item_fini);

static struct item *receive(const struct pool_state *state, struct item *item)
{
    if (!item)
        return NULL;
    if (item->identity != state->identity)
        report(&shared_corrupt, "pool %" PRIu64 " hands out an object of pool %" PRIu64, state->identity,
               item->identity);
    uint64_t stamp = stamp_object(item, "get");
    fill_words(item->words, 6, 1, stamp);
    return item;
}

static void verify(struct item *item)
{
    uint64_t stamp = read_stamp(item);
    if (!is_sealed(stamp, item) || !are_filled(item->words, 6, 1, stamp))
        report(&shared_corrupt, "put: the object was written to by somebody else");
    unstamp_object(item, stamp, "put");
}

/* Kept to the end of the round: a closed pool calls fini when its last object comes back, in whatever thread. */
enum { BLOCK = 1024 };
struct block {
    struct block *next;
    unsigned used;
    struct pool_state states[BLOCK];
};
static struct block *blocks;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;

static struct pool_state *new_state(void)
{
    pthread_mutex_lock(&blocks_lock);
    if (!blocks || blocks->used == BLOCK) {
        struct block *block = calloc(1, sizeof *block);
        if (!block)
            abort();
        block->next = blocks;
        blocks = block;
    }
    struct pool_state *state = &blocks->states[blocks->used++];
    pthread_mutex_unlock(&blocks_lock);
    state->identity = count(&shared_identity, 1);
    return state;
}

static void free_states(void)
{
    for (struct block *next; blocks; blocks = next) {
        next = blocks->next;
        free(blocks);
    }
}

/* ---- destroyed pools ---- */

enum { OWN_OBJECTS = 40 };

static void live_and_destroy(uint64_t *random)
{
    struct pool_state *state = new_state();
    struct opool_options options = {.arg = state, .prefill = one_in(random, 4) ? below(random, 200) : 0};
    struct item *items[OWN_OBJECTS];
    struct reset_pool *pool;
    if (reset_pool_create(&pool, &options) != 0) {
        report(&shared_failed, "create fails");
        return;
    }
    for (unsigned rounds = below(random, 20); rounds > 0; rounds--) {
        unsigned n = 1 + below(random, OWN_OBJECTS);
        for (unsigned i = 0; i < n; i++)
            if ((items[i] = receive(state, reset_pool_get(pool))) == NULL)
                report(&shared_lost, "get fails: %s", strerror(errno));
        for (unsigned i = 0; i < n; i++) {
            if (items[i])
                verify(items[i]);
            reset_pool_put(pool, items[i]);
        }
        count(&shared_ops, 2 * n);
    }
    reset_pool_destroy(&pool);
    if (read_count(&state->built) != read_count(&state->torn_down))
        report(&shared_lost, "a destroyed pool built %" PRIu64 " and tore down %" PRIu64, state->built,
               state->torn_down);
}

/* ---- closed pools: objects go to the other threads, who put them while the pool is closed ---- */

struct parcel {
    struct opool *pool;
    struct item *item;
    bool discard;
};

enum { PARCELS = 256 };

static struct parcel *shared_mail[PARCELS];

static void put_parcel(struct parcel *parcel)
{
    if (!parcel)
        return;
    verify(parcel->item);
    if (parcel->discard)
        opool_discard(parcel->pool, parcel->item);
    else
        opool_put(parcel->pool, parcel->item);
    count(&shared_ops, 1);
    free(parcel);
}

static void send_parcel(struct opool *pool, struct item *item, uint64_t *random)
{
    struct parcel *parcel = malloc(sizeof *parcel);
    if (!parcel)
        abort();
    *parcel = (struct parcel){pool, item, one_in(random, 2)};
    put_parcel(__atomic_exchange_n(&shared_mail[below(random, PARCELS)], parcel, __ATOMIC_ACQ_REL));
}

static void open_mail(uint64_t *random, unsigned n)
{
    for (; n > 0; n--)
        put_parcel(__atomic_exchange_n(&shared_mail[below(random, PARCELS)], NULL, __ATOMIC_ACQ_REL));
}

static int create_either(struct opool **out, const struct opool_options *options, bool big)
{
    struct item_pool *items = NULL;
    struct big_pool *bigs = NULL;
    int r = big ? big_pool_create(&bigs, options) : item_pool_create(&items, options);
    *out = big ? big_pool_base(bigs) : item_pool_base(items);
    return r;
}

static void live_and_close(uint64_t *random)
{
    struct pool_state *state = new_state();
    struct opool_options options = {.arg = state, .capacity = one_in(random, 3) ? OWN_OBJECTS : 0};
    struct opool *pool;
    if (create_either(&pool, &options, one_in(random, 2)) != 0) {
        report(&shared_failed, "create fails");
        return;
    }
    for (unsigned n = below(random, OWN_OBJECTS); n > 0; n--) {
        struct item *item = receive(state, opool_get(pool));
        if (!item)
            report(&shared_lost, "get fails: %s", strerror(errno));
        else if (one_in(random, 3)) {
            verify(item);
            opool_put(pool, item);
        } else
            send_parcel(pool, item, random);
        count(&shared_ops, 1);
    }
    opool_close(&pool);
}

/* ---- closed pools with waiters ---- */

struct waiting {
    struct item_pool *pool;
    const struct pool_state *state;
    struct item *kept; /* holds the pool while its thread is in get_wait */
};

/* Waits until the pool is closed; puts what it gets before that, and then what it kept. */
static void *wait_for_close(void *argument)
{
    struct waiting *waiting = argument;
    struct item *item;
    while ((item = receive(waiting->state, item_pool_get_wait(waiting->pool, -1))) != NULL) {
        verify(item);
        item_pool_put(waiting->pool, item);
    }
    int error = errno;
    if (error != ESHUTDOWN)
        report(&shared_failed, "get_wait on a closed pool: %s", strerror(error));
    verify(waiting->kept);
    item_pool_put(waiting->pool, waiting->kept);
    return NULL;
}

static void close_with_waiters(uint64_t *random)
{
    enum { WAITERS = 3 };
    struct pool_state *state = new_state();
    struct opool_options options = {.arg = state, .capacity = WAITERS + 1};
    struct waiting waiting[WAITERS];
    pthread_t threads[WAITERS];
    struct item_pool *pool;
    if (item_pool_create(&pool, &options) != 0)
        return;
    struct item *own = receive(state, item_pool_get(pool));
    for (int i = 0; i < WAITERS; i++)
        waiting[i] = (struct waiting){pool, state, receive(state, item_pool_get(pool))};
    for (int i = 0; i < WAITERS; i++)
        if (pthread_create(&threads[i], NULL, wait_for_close, &waiting[i]) != 0)
            abort();
    sleep_us(below(random, 300));
    verify(own);
    if (one_in(random, 2)) {
        struct item_pool *handle = pool;
        item_pool_close(&pool);
        item_pool_put(handle, own);
    } else {
        item_pool_put(pool, own);
        item_pool_close(&pool);
    }
    for (int i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    count(&shared_ops, WAITERS + 1);
}

/* ---- */

static void *work(void *argument)
{
    uint64_t random = mix((uintptr_t)argument);
    for (unsigned n = scaled(400); n > 0; n--) {
        live_and_destroy(&random);
        live_and_close(&random);
        open_mail(&random, below(&random, 60));
        if (one_in(&random, 50))
            close_with_waiters(&random);
    }
    return NULL;
}

static void run_round(unsigned round)
{
    pthread_t threads[256];
    for (unsigned i = 0; i < stress.threads; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(stress.seed * 7919 + round * 256 + i)) != 0)
            exit(1);
    for (unsigned i = 0; i < stress.threads; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PARCELS; i++) {
        put_parcel(shared_mail[i]);
        shared_mail[i] = NULL;
    }
    check_that(read_count(&shared_built) == read_count(&shared_torn_down), "all that was built is torn down", "round");
    if (check_that(opool_next(NULL) == NULL, "no pool is left", "round"))
        free_states();
}

int main(int argc, char **argv)
{
    unsigned round = 0;
    start_stress(argc, argv, 5, 6);
    while (goes_on(round))
        run_round(round++);
    printf("%u rounds, %" PRIu64 " pools\n", round, read_count(&shared_identity));
    return end_stress();
}
