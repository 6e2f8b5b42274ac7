/* SPDX-License-Identifier: MIT */
/*
 * Pools and types for test/shapes/run. A line that starts with ! says what the tool finds, exactly:
 *
 *     | ! NAME OUTCOME                  a pool (or `type NAME`, asked for with -t)
 *     | !   VERDICT PATH +OFFSET WHY    each of its findings, but for values; WHY is a part of the reason
 *     | !   hole PATH +OFFSET SIZE      each of its holes
 *     | !   order MEMBERS SIZE          each better order
 *     | !   write FORM                  the definitions to write: "fixed", "owning" or both, "changed" for one after
     |                                 changes, or "none"
 *
 * RECORD leaves the record of a definition that the compiler would refuse.
 */
#include <opool.h>
#include <stdatomic.h>
#include <pthread.h>

#define RECORD(N, T, KIND, MORE) OPOOL__RECORD(N, T, KIND, MORE)

struct hdrs {
    int n;
    struct {
        char *k;
        int len;
    } e[32];
};
struct request {
    int socket;
    struct hdrs headers;
};
struct table;
struct conn {
    char first;
    struct request req;
    char *buf;
    size_t used, cap;
    struct conn *next;
    const char *host;
    void (*done)(struct conn *, int);
    union {
        long number;
        void *pointer;
    } u;
    struct table *cache_table;
    void *who;
    char tail[1];
};
RECORD(conn_pool, struct conn, "fixed", "")
/*
 * ! conn_pool rejected
 * !   reject req.headers.e[].k +24 growable? (beside 'len')
 * !   reject buf +536 growable? (beside 'cap')
 * !   reject next +560 list link to its own type
 * !   reject host +568 to const: borrowed? then say so
 * !   fine done +576 function pointer
 * !   reject u.pointer +584 in a union
 * !   reject cache_table +592 handle of a container
 * !   reject who +600 borrowed or owned? say which
 * !   warn tail[] +608 struct hack
 * !   hole first +1 7
 * !   hole tail[] +609 7
 * !   hole req.socket +12 4
 * !   hole req.headers.n +20 4
 * !   hole req.headers.e[].len +36 4
 */

struct plain {
    double x, y;
    int id;
    char tag[12];
    struct {
        short a, b;
    } pairs[3][2];
};
OPOOL_DEFINE(plain_pool, struct plain);
/*
 * ! plain_pool fixed
 * ! type struct plain fixed
 * !   write fixed
 */

struct job {
    unsigned long id;
    int prio;
    struct table *tls;
    void *rows[2][3];
    char args[200];
    unsigned ready : 1, kind : 5;
    union {
        int number;
        unsigned char bytes[4];
    } address;
};
OPOOL_DEFINE_MEMBERS(job_pool, struct job,
                     (id, prio, OPOOL_BORROWED(tls), OPOOL_BORROWED(rows), args, OPOOL_BITS(ready), OPOOL_BITS(kind),
                      OPOOL_OPAQUE(address)));
/*
 * ! job_pool fixed
 * !   borrowed tls +16 declared borrowed
 * !   borrowed rows[][] +24 declared borrowed
 * !   opaque address +276 your word for it
 * !   hole prio +12 4
 * !   hole kind +273 3
 * ! type struct job rejected
 * !   reject tls +16 handle of a container
 * !   reject rows[][] +24 borrowed or owned? say which
 * !   hole prio +12 4
 * !   hole kind +273 3
 * !   write fixed owning
 */

struct locked {
    pthread_mutex_t lock;
    int n;
};
OPOOL_DEFINE_MEMBERS(locked_pool, struct locked, (OPOOL_OPAQUE(lock), n));
/*
 * ! locked_pool fixed
 * !   opaque lock +0 holds 2 pointers
 * !   hole n +44 4
 */

struct sneaky {
    union {
        void *hidden;
        long number;
    };
    int n;
};
RECORD(sneaky_pool, struct sneaky, "listed", "number n ")
/*
 * ! sneaky_pool rejected
 * !   reject hidden +0 in a union
 * !   hole n +12 4
 */

struct holes {
    char a;
    long b;
    char c;
    int d;
    char e;
};
OPOOL_DEFINE(holes_pool, struct holes);
/*
 * ! holes_pool fixed
 * !   hole a +1 7
 * !   hole c +17 3
 * !   hole e +25 7
 * !   order b, d, a, c, e 16
 * ! type struct holes fixed
 * !   hole a +1 7
 * !   hole c +17 3
 * !   hole e +25 7
 * !   order b, d, a, c, e 16
 * !   write fixed
 */

struct __attribute__((packed)) packed {
    char a;
    void *p;
    short s;
};
typedef struct packed packed; /* one type, two names */
packed *packed_used;
RECORD(packed_pool, struct packed, "fixed", "")
/*
 * ! packed_pool rejected
 * !   reject p +1 borrowed or owned
 * ! type packed rejected
 * !   reject p +1 borrowed or owned
 * !   write fixed owning
 */

struct owner {
    char *text;
    unsigned length;
    _Atomic(struct owner *) link;
};
static struct opool_footprint owner_footprint(const struct owner *owner, void *arg)
{
    (void)arg;
    return (struct opool_footprint){owner->length, owner->length};
}
OPOOL_DEFINE_OWNING(owner_pool, struct owner, owner_footprint, "its text");
/*
 * ! owner_pool owning
 * !   owned text +0 growable? (beside 'length')
 * !   owned link +16 list link
 * !   hole length +12 4
 * ! type struct owner rejected
 * !   reject text +0 growable? (beside 'length')
 * !   reject link +16 list link
 * !   hole length +12 4
 * !   write fixed owning
 */

struct flexible {
    int n;
    short data[];
};
RECORD(flexible_pool, struct flexible, "fixed", "")
/*
 * ! flexible_pool rejected
 * !   reject data[] +4 flexible array
 * ! type struct flexible rejected
 * !   reject data[] +4 flexible array
 * !   write none
 */

struct zero {
    int mark[0];
    long n;
    struct {
        int k;
        char end[0];
    } last;
};
RECORD(zero_pool, struct zero, "fixed", "")
/*
 * ! zero_pool rejected
 * !   warn mark[] +0 zero-length
 * !   reject last.end[] +12 zero-length array at the end
 * !   hole last +12 4
 */

typedef struct {
    volatile int flag;
    const int limit;
    _Atomic int counter;
    long double wide;
    _Complex double z;
    _Bool b[3];
    enum { RED, GREEN } colour;
    int vector __attribute__((vector_size(16)));
} oddities_t;
OPOOL_DEFINE_MEMBERS(oddities_pool, oddities_t,
                     (OPOOL_OPAQUE(flag), OPOOL_OPAQUE(limit), counter, wide, z, b, colour, vector));
/*
 * ! oddities_pool fixed
 * !   opaque flag +0 your word
 * !   opaque limit +4 your word
 * !   hole counter +12 4
 * !   hole b[] +51 1
 * !   hole colour +56 8
 * ! type oddities_t fixed
 * !   hole counter +12 4
 * !   hole b[] +51 1
 * !   hole colour +56 8
 * !   write fixed
 */

struct parts {
    union {
        int number;
        float real;
    };
    struct {
        char *text;
    };
    int n;
};
struct parts parts_used;
/*
 * ! type struct parts rejected
 * !   reject text +8 borrowed or owned
 * !   hole union (anonymous) +4 4
 * !   hole n +20 4
 * !   order struct (anonymous), union (anonymous), n 16
 * !   write changed owning
 */

typedef const volatile struct plain *plain_ref;
struct nested {
    struct {
        struct {
            plain_ref deep[4];
        } b[2];
    } a;
    int (*(*table)[3])(void);
};
/*
 * ! type struct nested rejected
 * !   reject a.b[].deep[] +0 to const
 * !   reject table +64 borrowed or owned
 * !   write fixed owning
 */

union either {
    int i;
    float f;
};
OPOOL_REF_TYPE(table_ref, struct table);
struct with_ref {
    table_ref ref;
    int n;
};
OPOOL_DEFINE(with_ref_pool, struct with_ref);
/*
 * ! with_ref_pool fixed
 * !   hole n +12 4
 * ! type union either fixed
 * !   write none
 */

int cases_use(const struct nested *nested, union either either);
int cases_use(const struct nested *nested, union either either)
{
    struct plain_pool *plain;
    struct job_pool *job;
    struct locked_pool *locked;
    struct holes_pool *holes;
    struct owner_pool *owner;
    struct oddities_pool *oddities;
    struct with_ref_pool *ref;
    struct local {
        char *text;
    } local = {NULL};
    return plain_pool_create(&plain, NULL) | job_pool_create(&job, NULL) | locked_pool_create(&locked, NULL) |
           holes_pool_create(&holes, NULL) | owner_pool_create(&owner, NULL) | oddities_pool_create(&oddities, NULL) |
           with_ref_pool_create(&ref, NULL) | (nested->table != NULL) | (local.text != NULL) | either.i;
}

#ifdef CASES_MAIN
int main(void)
{
    static struct nested nested;
    return cases_use(&nested, (union either){0});
}
#endif
