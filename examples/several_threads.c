/* SPDX-License-Identifier: MIT */

/*
 * One pool, several threads: one reads messages, others handle them, and each object is put by another thread than
 * the one that got it.
 *
 * Introduces that get and put need no lock of yours and no thread needs to be registered: what idles in the cache of
 * a thread that ends goes back to the others. Your queue orders the hand-over, as it would for any memory.
 *
 * It checks that all messages arrive unharmed, that all objects are back, and that 100,000 messages built fewer than
 * 2,000.
 */

#include <opool.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { HANDLERS = 2, MESSAGES = 100000, QUEUE = 64 };

struct message {
    uint32_t number;
    uint32_t check;
    char text[120];
};

OPOOL_DEFINE(message_pool, struct message);

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct message *entries[QUEUE];
    unsigned first, count;
};

static struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static struct message_pool *pool;

/* NULL: no more messages for one handler. */
static void push(struct message *message)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == QUEUE)
        pthread_cond_wait(&queue.changed, &queue.lock);
    queue.entries[(queue.first + queue.count++) % QUEUE] = message;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

static struct message *pop(void)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0)
        pthread_cond_wait(&queue.changed, &queue.lock);
    struct message *message = queue.entries[queue.first++ % QUEUE];
    queue.count--;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return message;
}

static void *handle_messages(void *unharmed)
{
    unsigned *count = unharmed;
    for (struct message *message; (message = pop()) != NULL;) {
        *count += message->check == ~message->number;
        message_pool_put(pool, message);
    }
    return NULL;
}

/* How many were sent. */
static unsigned send_messages(void)
{
    unsigned sent = 0;
    for (; sent < MESSAGES; sent++) {
        struct message *message = message_pool_get(pool);
        if (!message) {
            perror("message_pool_get");
            break;
        }
        message->number = sent;
        message->check = ~sent;
        push(message);
    }
    for (int i = 0; i < HANDLERS; i++)
        push(NULL);
    return sent;
}

int main(void)
{
    pthread_t handlers[HANDLERS];
    unsigned unharmed[HANDLERS] = {0};
    struct opool_stats stats;
    if (message_pool_create(&pool, NULL) != 0)
        return 1;
    for (int i = 0; i < HANDLERS; i++)
        if (pthread_create(&handlers[i], NULL, handle_messages, &unharmed[i]) != 0)
            return 1;
    unsigned sent = send_messages();
    for (int i = 0; i < HANDLERS; i++)
        pthread_join(handlers[i], NULL);
    int error = opool_stats_read(message_pool_base(pool), &stats);
    message_pool_destroy(&pool);
    printf("%u messages, %llu built\n", sent, (unsigned long long)stats.built);
    bool right = sent == MESSAGES && unharmed[0] + unharmed[1] == MESSAGES;
    return right && !error && stats.live == 0 && stats.built < 2000 ? 0 : 1;
}
