/* SPDX-License-Identifier: MIT */

/*
 * Objects that own memory: a buffer that grows with the longest message it ever held.
 *
 * Introduces OPOOL_DEFINE_OWNING: a footprint function and a reason are required, and the footprint guard is on;
 * opool_options.footprint_max, the most bytes that an idle object may hold; fini; .kept, what reset leaves on purpose;
 * opool_stats_read.
 *
 * It checks that ordinary messages use one buffer again and again, and that one huge message does not pin its memory:
 * that buffer is torn down at its put, and the next one is small.
 */

#include <errno.h>
#include <opool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 1 << 10, MOST_KEPT = 64 << 10, HUGE_MESSAGE = 10 << 20 };

struct buffer {
    char *bytes;
    size_t length, capacity;
};

static int buffer_init(struct buffer *buffer, void *arg)
{
    (void)arg;
    buffer->bytes = malloc(FIRST);
    if (!buffer->bytes)
        return ENOMEM; /* get fails with this errno */
    buffer->capacity = FIRST;
    return 0;
}

static bool buffer_reset(struct buffer *buffer, void *arg)
{
    (void)arg;
    buffer->length = 0;
    return true;
}

static void buffer_fini(struct buffer *buffer, void *arg)
{
    (void)arg;
    free(buffer->bytes);
}

/* Asked at put, before reset: what this use needed, and what the buffer would keep. */
static struct opool_footprint buffer_footprint(const struct buffer *buffer, void *arg)
{
    (void)arg;
    return (struct opool_footprint){.used = buffer->length, .held = buffer->capacity};
}

/* What the buffer owns stays on purpose: full checks look for what reset forgot. */
OPOOL_DEFINE_OWNING(buffer_pool, struct buffer, buffer_footprint, "bytes grow with the message", .init = buffer_init,
                    .reset = buffer_reset, .fini = buffer_fini, .kept = OPOOL_MEMBERS(bytes, capacity));

static int buffer_fill(struct buffer *buffer, char byte, size_t length)
{
    if (length > buffer->capacity) {
        char *bytes = realloc(buffer->bytes, length);
        if (!bytes)
            return -ENOMEM;
        buffer->bytes = bytes;
        buffer->capacity = length;
    }
    memset(buffer->bytes, byte, length);
    buffer->length = length;
    return 0;
}

/* The capacity that the buffer came with; 0: failed. */
static size_t handle_message(struct buffer_pool *pool, size_t length)
{
    struct buffer *buffer = buffer_pool_get(pool);
    if (!buffer)
        return 0;
    size_t capacity = buffer->length == 0 ? buffer->capacity : 0;
    if (buffer_fill(buffer, 'x', length) != 0)
        capacity = 0;
    buffer_pool_put(pool, buffer); /* also after an error: the buffer is whole */
    return capacity;
}

int main(void)
{
    struct opool_options options = {.footprint_max = MOST_KEPT};
    struct buffer_pool *pool;
    struct opool_stats stats;
    int error = buffer_pool_create(&pool, &options);
    if (error) {
        fprintf(stderr, "buffer_pool_create: %s\n", strerror(-error));
        return 1;
    }
    bool grown = handle_message(pool, 20 << 10) == FIRST && handle_message(pool, 300) == 20 << 10;
    bool trimmed = handle_message(pool, HUGE_MESSAGE) == 20 << 10 && handle_message(pool, 300) == FIRST;
    error = opool_stats_read(buffer_pool_base(pool), &stats);
    buffer_pool_destroy(&pool);
    printf("built %llu, bloated %llu\n", (unsigned long long)stats.built, (unsigned long long)stats.bloated);
    return !error && grown && trimmed && stats.built == 2 && stats.bloated == 1 ? 0 : 1;
}
