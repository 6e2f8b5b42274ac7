/* SPDX-License-Identifier: MIT */
/* Small, and a bit of everything that the reader looks at: compiled in several ways, this is where fuzzing starts. */
#include <stddef.h>
#include <stdint.h>

#include "opool/guard.h"

struct inner {
    int n;
    struct {
        char *k;
        int len;
    } e[3];
};
struct conn {
    char first;
    unsigned low : 3, high : 20;
    struct inner inner;
    union {
        void *pointer;
        long number;
    } u;
    const char *host;
    struct conn *next;
    void (*call)(const struct conn *);
    char text[2][4];
    short tail[1];
};
typedef struct conn conn_t;
OPOOL__RECORD(conn_pool, struct conn, "fixed", "")
OPOOL__RECORD(list_pool, conn_t, "listed",
              "first BITS(low) BITS(high) OPAQUE(inner) OPAQUE(u) BORROWED(host) BORROWED(next) ")
OPOOL__RECORD(owning_pool, struct inner, "owning", "its keys")
conn_t used;
