/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* What looks like a fault and is none: test/analyze/run. */
#include <opool.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct job { int id; struct { int n; } part; unsigned char text[40]; };
static bool job_reset(struct job *job, void *arg) { job->id = arg != NULL; return job->id == 0; }
OPOOL_DEFINE(job_pool, struct job, .reset = job_reset);
OPOOL_DEFINE(other_pool, struct job);

struct node { struct node *next; const char *name; struct job *job; int n; };
static int node_init(struct node *node, void *arg) { node->n = arg ? 3 : 4; return 0; }
OPOOL_DEFINE_MEMBERS(node_pool, struct node, (OPOOL_BORROWED(next), OPOOL_BORROWED(name), OPOOL_BORROWED(job), n),
                     .init = node_init);

struct piece;
OPOOL_REF_TYPE(piece_ref, struct piece);
struct piece { piece_ref next; int n; };
OPOOL_DEFINE(piece_pool, struct piece);
struct body { piece_ref first; int length; };
static bool body_reset(struct body *body, void *arg)
{
    struct piece *piece = piece_ref_get(body->first);
    while (piece) {
        struct piece *next = piece_ref_get(piece->next);
        piece_pool_put((struct piece_pool *)arg, piece);
        piece = next;
    }
    body->first = piece_ref_of(NULL);
    body->length = 0;
    return true;
}
OPOOL_DEFINE(body_pool, struct body, .reset = body_reset);

struct decoder { unsigned char *window; size_t used, held; };
static struct opool_footprint decoder_footprint(const struct decoder *decoder, void *arg)
{
    struct opool_footprint footprint = {decoder->used, decoder->held};
    (void)arg;
    return footprint;
}
static void decoder_fini(struct decoder *decoder, void *arg) { (void)arg; free(decoder->window); }
OPOOL_DEFINE_OWNING(decoder_pool, struct decoder, decoder_footprint, "its window", .fini = decoder_fini);

int create_and_destroy(void);
int every_get(struct job_pool *pool, int which);
int null_objects(struct job_pool *pool);
int null_pool(void);
int one_of_two_puts(struct job_pool *pool, int good);
int put_and_get_again(struct job_pool *pool);
int in_a_loop(struct job_pool *pool);
int in_an_array(struct job_pool *pool);
int in_batches(struct job_pool *pool);
int batch_and_single(struct job_pool *pool);
int two_pools(struct job_pool *pool, struct other_pool *other);
int by_untyped_calls(struct job_pool *pool);
int from_a_member(struct job_pool *pool);
int in_a_list(struct node_pool *pool, int n);
int in_an_object(struct node_pool *nodes, struct job_pool *jobs);
int behind_a_number(struct body_pool *bodies, struct piece_pool *pieces);
int memory_of_its_own(struct decoder_pool *pool, size_t n);
int memory_twice(struct decoder_pool *pool);
int to_others(struct job_pool *pool);
int values_of_init(struct node_pool *pool);
struct job *to_the_caller(struct job_pool *pool);
int from_the_caller(struct job_pool *pool, struct job *job);
void take_job(struct job *job);
extern struct job *shared_job;
struct queue { struct job *jobs[8]; unsigned n; };
int into_a_queue(struct job_pool *pool, struct queue *queue);
int out_of_a_queue(struct job_pool *pool, struct queue *queue);

int create_and_destroy(void)
{
    struct job_pool *pool;
    if (job_pool_create(&pool, NULL) != 0)
        return -1;
    struct job *job = job_pool_get(pool);
    job_pool_put(pool, job);
    job_pool_destroy(&pool);
    job_pool_destroy(&pool);
    job_pool_close(&pool);
    job_pool_destroy(NULL);
    return pool == NULL;
}

int every_get(struct job_pool *pool, int which)
{
    struct job *job = which == 0 ? job_pool_get(pool) : which == 1 ? job_pool_get_wait(pool, 5) : NULL;
    if (!job)
        return -errno;
    job->id = 4;
    job_pool_put(pool, job);
    return 0;
}

int null_objects(struct job_pool *pool)
{
    struct job *none[2] = {NULL, NULL};
    job_pool_put(pool, NULL);
    job_pool_discard(pool, NULL);
    job_pool_put_batch(pool, none, 2);
    return job_pool_get_batch(pool, none, 0) == 0;
}

int null_pool(void)
{
    struct job *job = job_pool_get(NULL);
    if (!job)
        return errno;
    job_pool_put(NULL, job);
    return 0;
}

int one_of_two_puts(struct job_pool *pool, int good)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return -1;
    if (good)
        job_pool_put(pool, job);
    else
        job_pool_discard(pool, job);
    return 0;
}

int put_and_get_again(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return -1;
    job->id = 1;
    job_pool_put(pool, job);
    struct job *again = job_pool_get(pool);
    if (!again)
        return -1;
    int same = again == job && again->id == 0;
    job_pool_put(pool, again);
    return same;
}

int in_a_loop(struct job_pool *pool)
{
    int sum = 0;
    for (int i = 0; i < 10; i++) {
        struct job *job = job_pool_get(pool);
        if (!job)
            continue;
        sum += job->id;
        job_pool_put(pool, job);
    }
    return sum;
}

/* fanalyzer: -Wanalyzer-malloc-leak
   gcc 11 does not see that the array holds them after the loop. */
int in_an_array(struct job_pool *pool)
{
    struct job *jobs[4];
    size_t n = 0;
    while (n < 4 && (jobs[n] = job_pool_get(pool)) != NULL)
        n++;
    job_pool_put_batch(pool, jobs, n);
    return (int)n;
}

int in_batches(struct job_pool *pool)
{
    struct job *jobs[4];
    size_t n = job_pool_get_batch(pool, jobs, 4);
    for (size_t i = 0; i < n; i++)
        jobs[i]->id = (int)i;
    job_pool_put_batch(pool, jobs, n);
    return (int)n;
}

int batch_and_single(struct job_pool *pool)
{
    struct job *jobs[4];
    size_t n = job_pool_get_batch(pool, jobs, 4);
    for (size_t i = 0; i < n; i++)
        if (i % 2)
            job_pool_put(pool, jobs[i]);
        else
            job_pool_discard(pool, jobs[i]);
    return (int)n;
}

int two_pools(struct job_pool *pool, struct other_pool *other)
{
    struct job *one = job_pool_get(pool), *two = other_pool_get(other);
    if (one && two)
        memcpy(one->text, two->text, sizeof one->text);
    other_pool_put(other, two);
    job_pool_put(pool, one);
    return 0;
}

int by_untyped_calls(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    opool_put(job_pool_base(pool), job);
    job = (struct job *)opool_get(job_pool_base(pool));
    job_pool_put(pool, job);
    return 0;
}

static struct job *job_of(void *part)
{
    return (struct job *)(void *)((char *)part - offsetof(struct job, part));
}

/* fanalyzer: -Wanalyzer-malloc-leak
   Unoptimized, no job is seen in the difference of two pointers; nor after malloc. */
int from_a_member(struct job_pool *pool)
{
    struct job *job = job_pool_get(pool);
    if (!job)
        return -1;
    job_pool_put(pool, job_of(&job->part));
    return 0;
}

/* fanalyzer: -Wanalyzer-malloc-leak|-Wanalyzer-use-after-free
   What the loop made is not followed through the links. */
int in_a_list(struct node_pool *pool, int n)
{
    struct node *first = NULL;
    for (int i = 0; i < n; i++) {
        struct node *node = node_pool_get(pool);
        if (!node)
            break;
        node->next = first;
        node->name = "a name";
        first = node;
    }
    while (first) {
        struct node *node = first;
        first = node->next;
        node_pool_put(pool, node);
    }
    return 0;
}

int in_an_object(struct node_pool *nodes, struct job_pool *jobs)
{
    struct node *node = node_pool_get(nodes);
    if (!node)
        return -1;
    node->job = job_pool_get(jobs);
    int id = node->job ? node->job->id : -1;
    job_pool_put(jobs, node->job);
    node_pool_put(nodes, node);
    return id;
}

int behind_a_number(struct body_pool *bodies, struct piece_pool *pieces)
{
    struct body *body = body_pool_get(bodies);
    if (!body)
        return -1;
    struct piece *piece = piece_pool_get(pieces);
    if (piece) {
        piece->next = body->first;
        body->first = piece_ref_of(piece);
    }
    body_pool_put(bodies, body);
    return 0;
}

int memory_of_its_own(struct decoder_pool *pool, size_t n)
{
    struct decoder *decoder = decoder_pool_get(pool);
    if (!decoder)
        return -1;
    if (n > decoder->held) {
        unsigned char *window = (unsigned char *)realloc(decoder->window, n);
        if (!window) {
            decoder_pool_discard(pool, decoder);
            return -1;
        }
        decoder->window = window;
        decoder->held = n;
    }
    decoder->used = n;
    decoder_pool_put(pool, decoder);
    return 0;
}

int memory_twice(struct decoder_pool *pool)
{
    return memory_of_its_own(pool, 1000) == 0 && memory_of_its_own(pool, 10000) == 0;
}

int to_others(struct job_pool *pool)
{
    shared_job = job_pool_get(pool);
    struct job *job = job_pool_get(pool);
    if (job)
        take_job(job);
    return 0;
}

int values_of_init(struct node_pool *pool)
{
    struct node *node = node_pool_get(pool);
    if (!node)
        return -1;
    int n = node->n ? node->n : -2;
    node_pool_put(pool, node);
    return n;
}

struct job *to_the_caller(struct job_pool *pool)
{
    struct job *job = job_pool_get_wait(pool, -1);
    if (job)
        job->id = 7;
    return job;
}

int from_the_caller(struct job_pool *pool, struct job *job)
{
    int id = job->id;
    job_pool_put(pool, job);
    return id;
}

int into_a_queue(struct job_pool *pool, struct queue *queue)
{
    struct job *job = job_pool_get(pool);
    if (!job || queue->n == 8) {
        job_pool_put(pool, job);
        return -1;
    }
    queue->jobs[queue->n++] = job;
    return 0;
}

int out_of_a_queue(struct job_pool *pool, struct queue *queue)
{
    while (queue->n > 0)
        job_pool_put(pool, queue->jobs[--queue->n]);
    return 0;
}
