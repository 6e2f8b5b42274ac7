/* SPDX-License-Identifier: MIT */

/*
 * Many objects in one call: packets, received and sent 32 at a time.
 *
 * Introduces packet_pool_get_batch and packet_pool_put_batch, opool_options.prefill, and what a short batch means.
 *
 * It checks that a batch gives as many distinct packets as were asked for; that at the capacity it gives what there
 * is, with errno saying why, and leaves the other entries alone; and that put_batch skips NULL entries.
 */

#include <errno.h>
#include <opool.h>
#include <stdio.h>
#include <string.h>

enum { BURST = 32, CAPACITY = 48 };

struct packet {
    uint16_t length;
    uint16_t port;
    unsigned char data[1500];
};

OPOOL_DEFINE(packet_pool, struct packet);

/* As recvmmsg would: fills n packets. */
static void receive(struct packet *packets[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        packets[i]->length = 60;
        packets[i]->port = (uint16_t)i;
        memset(packets[i]->data, (int)i, packets[i]->length);
    }
}

/* Drops what nobody listens for; the entries of dropped packets become NULL. */
static size_t filter(struct packet_pool *pool, struct packet *packets[], size_t n)
{
    size_t dropped = 0;
    for (size_t i = 0; i < n; i++) {
        if (packets[i]->port % 4 != 0)
            continue;
        packet_pool_put(pool, packets[i]);
        packets[i] = NULL;
        dropped++;
    }
    return dropped;
}

static bool all_intact(struct packet *packets[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (packets[i]->port != i || packets[i]->data[0] != i || packets[i]->data[59] != i)
            return false; /* another packet has the same memory */
    return true;
}

static bool forward(struct packet_pool *pool)
{
    struct packet *first[BURST] = {NULL}, *second[BURST] = {NULL};
    size_t n = packet_pool_get_batch(pool, first, BURST);
    receive(first, n);
    size_t m = packet_pool_get_batch(pool, second, BURST); /* 16 are left: no error, only less */
    int why = errno;
    receive(second, m);
    bool right = n == BURST && m == CAPACITY - BURST && why == EAGAIN && second[m] == NULL;
    right = right && all_intact(first, n) && all_intact(second, m) && filter(pool, first, n) == BURST / 4;
    packet_pool_put_batch(pool, first, n);
    packet_pool_put_batch(pool, second, m);
    return right;
}

int main(void)
{
    struct opool_options options = {.capacity = CAPACITY, .prefill = CAPACITY};
    struct packet_pool *pool;
    struct opool_stats stats;
    int error = packet_pool_create(&pool, &options);
    if (error) {
        fprintf(stderr, "packet_pool_create: %s\n", strerror(-error));
        return 1;
    }
    bool right = forward(pool) && forward(pool);
    error = opool_stats_read(packet_pool_base(pool), &stats);
    packet_pool_destroy(&pool);
    printf("%llu packets, %llu built\n", (unsigned long long)stats.gets, (unsigned long long)stats.built);
    return right && !error && stats.live == 0 && stats.built == CAPACITY ? 0 : 1;
}
