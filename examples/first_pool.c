/* SPDX-License-Identifier: MIT */

/*
 * The first pool: connections of a server, built once and used again.
 *
 * Introduces OPOOL_DEFINE and what it generates: conn_pool_create, conn_pool_get, conn_pool_put, conn_pool_destroy; the
 * callbacks init and reset, and their argument.
 *
 * It checks that 1,000 requests, one after the other, are served by one connection that was built once, and that each
 * starts from a clean state.
 */

#include <opool.h>
#include <stdio.h>
#include <string.h>

struct conn {
    int socket;
    unsigned requests;
    size_t length;
    char input[4000];
};

/* The slot is zero when init sees it. Called once for each object, not once for each get. */
static int conn_init(struct conn *conn, void *arg)
{
    unsigned *built = arg;
    conn->socket = -1;
    ++*built;
    return 0;
}

/* At every put. Only what the next user would look at: `length` says that the input is empty, so its bytes may stay,
   which .kept says to full checks. */
static bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    conn->socket = -1;
    conn->requests = 0;
    conn->length = 0;
    return true;
}

OPOOL_DEFINE(conn_pool, struct conn, .init = conn_init, .reset = conn_reset, .kept = OPOOL_MEMBERS(input));

/* 0, or -1: no connection to be had, or one that was not clean. */
static int serve(struct conn_pool *pool, int socket)
{
    static const char request[] = "GET / HTTP/1.1";
    struct conn *conn = conn_pool_get(pool);
    if (!conn) {
        perror("conn_pool_get");
        return -1;
    }
    int result = conn->socket == -1 && conn->requests == 0 && conn->length == 0 ? 0 : -1;
    conn->socket = socket;
    conn->requests++;
    conn->length = sizeof request - 1;
    memcpy(conn->input, request, conn->length);
    conn_pool_put(pool, conn);
    return result;
}

int main(void)
{
    unsigned built = 0, clean = 0;
    struct opool_options options = {.arg = &built};
    struct conn_pool *pool;
    int error = conn_pool_create(&pool, &options);
    if (error) {
        fprintf(stderr, "conn_pool_create: %s\n", strerror(-error));
        return 1;
    }
    for (int socket = 0; socket < 1000; socket++)
        clean += serve(pool, socket) == 0;
    conn_pool_destroy(&pool);
    printf("1000 requests: %u clean, %u built\n", clean, built);
    return clean == 1000 && built == 1 && pool == NULL ? 0 : 1;
}
