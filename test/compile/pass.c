/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* Definitions that must compile without a warning, in every language version; test/compile/run says how the comments
   are read. Each pool is also used, in functions that stay in the object file. */
#if defined(CASE_no_inline) || defined(CASE_no_inline_owning)
#define OPOOL_NO_INLINE
#endif
#if defined(CASE_members_of_every_kind) && defined(__cplusplus)
#include <array>
#include <atomic>
#endif
#if defined(CASE_inside_extern_c) && defined(__cplusplus)
extern "C" {
#endif
#include <opool.h>
#if defined(CASE_inside_extern_c) && defined(__cplusplus)
}
#endif

/* Every generated function, called. */
#define USE(N, T) \
    int use_##N(struct N **pool, T **objects); \
    int use_##N(struct N **pool, T **objects) \
    { \
        const int error = N##_create(pool, NULL); \
        T *got = N##_get(*pool); \
        N##_put(*pool, got); \
        got = N##_get_wait(*pool, -1); \
        N##_discard(*pool, got); \
        if (N##_get_batch(*pool, objects, 2) == 2) \
            N##_put_batch(*pool, objects, 2); \
        if (N##_base(*pool) == NULL) \
            N##_close(pool); \
        N##_destroy(pool); \
        return error; \
    }

struct tls;

#if defined(CASE_no_callbacks)
struct a { int n; };
OPOOL_DEFINE(a_pool, struct a);
USE(a_pool, struct a)

#elif defined(CASE_unused)
struct a { int n; void *p; };
struct b { int n; };
static inline struct opool_footprint a_footprint(const struct a *a, void *arg)
{
    struct opool_footprint f = {(size_t)a->n, (size_t)(arg != NULL)};
    return f;
}
OPOOL_DEFINE(b_pool, struct b);
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(p)));
OPOOL_DEFINE_OWNING(c_pool, struct a, a_footprint, "p");
OPOOL_REF_TYPE(tls_ref, struct tls);

#elif defined(CASE_all_callbacks)
struct a { int n; };
static int a_init(struct a *a, void *arg) { a->n = arg != NULL; return 0; }
static bool a_reset(struct a *a, void *arg) { a->n = arg != NULL; return true; }
static void a_fini(struct a *a, void *arg) { a->n = arg != NULL; }
OPOOL_DEFINE(a_pool, struct a, .init = a_init, .reset = a_reset, .fini = a_fini);
USE(a_pool, struct a)

#elif defined(CASE_callbacks_in_any_order)
struct a { int n; };
static int a_init(struct a *a, void *arg) { a->n = arg != NULL; return 0; }
static bool a_reset(struct a *a, void *arg) { a->n = arg != NULL; return true; }
static void a_fini(struct a *a, void *arg) { a->n = arg != NULL; }
OPOOL_DEFINE(a_pool, struct a, .fini = a_fini, .reset = &a_reset, .init = a_init);
USE(a_pool, struct a)

#elif defined(CASE_null_callback)
struct a { int n; };
OPOOL_DEFINE(a_pool, struct a, .init = NULL, .reset = 0);
USE(a_pool, struct a)

#elif defined(CASE_extern_callbacks)
struct a { int n; };
int a_init(struct a *a, void *arg);
bool a_reset(struct a *a, void *arg);
OPOOL_DEFINE(a_pool, struct a, .init = a_init, .reset = a_reset);
USE(a_pool, struct a)

#elif defined(CASE_common_names)
/* globals and callbacks by the names that a library might use for its parameters */
struct a { int n; };
struct a_pool;
extern struct a_pool *pool, *self, *base;
extern struct a *object, **objects, **slot;
extern int n, out, options, type, error, timeout_ms, arg, one;
struct a_pool *pool, *self, *base;
static int init(struct a *a, void *p) { a->n = p != NULL; return 0; }
static bool reset(struct a *a, void *p) { a->n = p != NULL; return true; }
static void fini(struct a *a, void *p) { a->n = p != NULL; }
OPOOL_DEFINE(a_pool, struct a, .init = init, .reset = reset, .fini = fini);

#elif defined(CASE_types_by_our_names)
/* members of ours have such names, or had: in C++ they would hide a type that stands beside them */
#define POOLS(T) \
    typedef struct T { int T, n; char c; } T; \
    OPOOL_DEFINE(T##_by_typedef, T); \
    OPOOL_DEFINE(T##_by_tag, struct T); \
    OPOOL_DEFINE_MEMBERS(T##_listed, T, (T, n, c)); \
    OPOOL_REF_TYPE(T##_ref, T); \
    struct T##_holder { T##_ref T; int n; int *p; }; \
    OPOOL_DEFINE_MEMBERS(T##_in_list, struct T##_holder, (T, n, OPOOL_BORROWED(p))); \
    int T##_init(T *x, void *arg); \
    bool T##_reset(T *x, void *arg); \
    void T##_fini(T *x, void *arg); \
    struct opool_footprint T##_footprint(const T *x, void *arg); \
    OPOOL_DEFINE(T##_pool, T, .init = T##_init, .reset = T##_reset, .fini = T##_fini, .kept = OPOOL_MEMBERS(T)); \
    OPOOL_DEFINE_OWNING(T##_owning, T, T##_footprint, "why", .init = T##_init); \
    USE(T##_by_typedef, T) \
    USE(T##_listed, T) \
    USE(T##_pool, T) \
    USE(T##_owning, T)
POOLS(t)
POOLS(type)
POOLS(note)
POOLS(size)
POOLS(align)
POOLS(name)
POOLS(init)
POOLS(reset)
POOLS(fini)
POOLS(kept)
POOLS(clear)
POOLS(pad)
POOLS(members)
POOLS(one)
POOLS(is)
POOLS(zero)
POOLS(callbacks)

#elif defined(CASE_atomic_objects)
/* only: c */
typedef _Atomic int row[4];
typedef struct { int n; char c; } pair;
typedef _Atomic pair atomic_pair;
static bool reset(_Atomic int *n, void *arg) { *n = arg != NULL; return true; }
OPOOL_DEFINE(number_pool, _Atomic int, .reset = reset);
OPOOL_DEFINE(flag_pool, _Atomic(_Bool));
OPOOL_DEFINE(row_pool, row);
OPOOL_DEFINE(pair_pool, atomic_pair);
USE(number_pool, _Atomic int)
USE(flag_pool, _Atomic(_Bool))
USE(row_pool, row)
USE(pair_pool, atomic_pair)

#elif defined(CASE_borrowed)
struct a { long id; int prio; struct tls *tls; char args[200]; };
static bool a_reset(struct a *a, void *arg) { a->prio = arg != NULL; return true; }
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (id, prio, OPOOL_BORROWED(tls), args), .reset = a_reset);
USE(a_pool, struct a)

#elif defined(CASE_borrowed_without_callbacks)
struct a { struct tls *tls; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (OPOOL_BORROWED(tls)));
USE(a_pool, struct a)

#elif defined(CASE_borrowed_kinds)
struct a {
    const char *name, *const *names;
    char *v[4];
    const char *w[2][3];
    void (*done)(int);
    int (*table[3])(struct a *);
    void *volatile hot;
    char (*row)[16];
    struct a *next;
    char *__restrict only, *volatile __restrict mine[2];
};
OPOOL_DEFINE_MEMBERS(a_pool, struct a,
                     (OPOOL_BORROWED(name), OPOOL_BORROWED(names), OPOOL_BORROWED(v), OPOOL_BORROWED(w),
                      OPOOL_BORROWED(done), OPOOL_BORROWED(table), OPOOL_BORROWED(hot), OPOOL_BORROWED(row),
                      OPOOL_BORROWED(next), OPOOL_BORROWED(only), OPOOL_BORROWED(mine)));
USE(a_pool, struct a)

#elif defined(CASE_borrowed_atomic)
/* only: c */
struct a { int n; _Atomic(char *) p; _Atomic int refs; char *_Atomic q; _Atomic(void *) v[4]; char c; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(p), refs, OPOOL_BORROWED(q), OPOOL_BORROWED(v), c));
USE(a_pool, struct a)

#elif defined(CASE_bits)
enum color { RED, GREEN };
struct a { unsigned f : 3, g : 1; bool b : 1; signed s : 4; char c; unsigned long long l : 40;
           struct tls *tls; unsigned z : 1; enum color e : 2; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a,
                     (OPOOL_BITS(f), OPOOL_BITS(g), OPOOL_BITS(b), OPOOL_BITS(s), c, OPOOL_BITS(l), OPOOL_BORROWED(tls),
                      OPOOL_BITS(z), OPOOL_BITS(e)));
USE(a_pool, struct a)

#elif defined(CASE_only_bits)
struct a { unsigned f : 3; };
struct b { unsigned f : 3; } __attribute__((aligned(64)));
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (OPOOL_BITS(f)));
OPOOL_DEFINE_MEMBERS(b_pool, struct b, (OPOOL_BITS(f)));
USE(a_pool, struct a)

#elif defined(CASE_kept_in_a_list)
struct in { int n; char c[20]; };
struct a { int n; char *p; struct in in; unsigned f : 3; char buffer[200]; };
static bool a_reset(struct a *a, void *arg) { a->n = arg != NULL; return true; }
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(p), OPOOL_KEPT(in), OPOOL_KEPT_BITS(f), OPOOL_KEPT(buffer)),
                     .reset = a_reset);
OPOOL_DEFINE_MEMBERS(b_pool, struct a, (OPOOL_KEPT(n), OPOOL_BORROWED(p), in, OPOOL_BITS(f), buffer),
                     .kept = OPOOL_MEMBERS(in.c, buffer), .reset = a_reset);
USE(a_pool, struct a)
USE(b_pool, struct a)

#elif defined(CASE_kept)
struct in { int n; char c[20]; };
struct a { int n; struct in in[4]; char buffer[200]; };
struct b { char *p; size_t size; };
typedef struct { struct in in; } c;
static bool a_reset(struct a *x, void *arg) { x->n = arg != NULL; return true; }
static bool c_reset(c *x, void *arg) { x->in.n = arg != NULL; return true; }
static struct opool_footprint b_footprint(const struct b *b, void *arg)
{
    struct opool_footprint f = {b->size, b->size + (arg != NULL)};
    return f;
}
OPOOL_DEFINE(a_pool, struct a, .kept = OPOOL_MEMBERS(buffer), .reset = a_reset);
OPOOL_DEFINE(a2_pool, struct a, .reset = a_reset, .kept = OPOOL_MEMBERS(n, in[2].n, in[3], buffer));
OPOOL_DEFINE(a3_pool, struct a, .reset = a_reset, .kept = NULL);
OPOOL_DEFINE(a4_pool, struct a, .kept = OPOOL_MEMBERS(n));
OPOOL_DEFINE_OWNING(b_pool, struct b, b_footprint, "p", .kept = OPOOL_MEMBERS(p, size));
OPOOL_DEFINE(c_pool, c, .reset = c_reset, .kept = OPOOL_MEMBERS(in.n));
USE(a_pool, struct a)
USE(a2_pool, struct a)
USE(a3_pool, struct a)
USE(a4_pool, struct a)
USE(b_pool, struct b)
USE(c_pool, c)

#elif defined(CASE_padding_of_every_kind)
struct in { char c; long long n; union { char s; int i; } u[3]; };
struct a { char c; struct in in[2][3]; unsigned f : 3; long double d; };
struct __attribute__((packed)) b { char c; int n; };
struct c { char c; volatile int v; struct b b; };
static bool a_reset(struct a *x, void *arg) { x->c = arg != NULL; return true; }
static bool b_reset(struct b *x, void *arg) { x->c = arg != NULL; return true; }
static bool c_reset(struct c *x, void *arg) { x->c = arg != NULL; return true; }
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (c, OPOOL_OPAQUE(in), OPOOL_BITS(f), d), .reset = a_reset);
OPOOL_DEFINE(b_pool, struct b, .reset = b_reset);
OPOOL_DEFINE_MEMBERS(c_pool, struct c, (c, OPOOL_OPAQUE(v), b), .reset = c_reset);
USE(a_pool, struct a)
USE(b_pool, struct b)
USE(c_pool, struct c)

#elif defined(CASE_opaque)
struct a { int n; union { int i; float f; } u; volatile int v; union { int i; char *p; } arms[4];
           struct { struct tls *t; } s; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_OPAQUE(u), OPOOL_OPAQUE(v), OPOOL_OPAQUE(arms), OPOOL_OPAQUE(s)));
USE(a_pool, struct a)

#elif defined(CASE_complex)
/* only: c */
struct a { float _Complex c; volatile float _Complex v, w[2]; int n; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (c, OPOOL_OPAQUE(v), OPOOL_OPAQUE(w), n));
USE(a_pool, struct a)

#elif defined(CASE_every_kind_of_member)
enum color { RED, GREEN };
struct in { int n; struct { short off, len; } e[32]; };
struct a {
    char c;
    bool b;
    enum color color;
    float f;
    double d;
    long double ld;
    unsigned char bytes[100];
    int grid[3][4][5];
    struct in in, ins[2][2];
    long long ll;
    size_t size;
    struct tls *tls;
};
OPOOL_DEFINE(in_pool, struct in);
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (c, b, color, f, d, ld, bytes, grid, in, ins, ll, size, OPOOL_BORROWED(tls)));
USE(a_pool, struct a)

#elif defined(CASE_sixty_four_members)
struct a {
    char a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4,
        d5, d6, d7, d8, e1, e2, e3, e4, e5, e6, e7, e8, f1, f2, f3, f4, f5, f6, f7, f8, g1, g2, g3, g4, g5, g6, g7, g8,
        h1, h2, h3, h4, h5, h6, h7, h8;
};
OPOOL_DEFINE_MEMBERS(a_pool, struct a,
                     (a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6,
                      c7, c8, d1, d2, d3, d4, d5, d6, d7, d8, e1, e2, e3, e4, e5, e6, e7, e8, f1, f2, f3, f4,
                      f5, f6, f7, f8, g1, g2, g3, g4, g5, g6, g7, g8, h1, h2, h3, h4, h5, h6, h7, h8));
USE(a_pool, struct a)

#elif defined(CASE_packed)
struct __attribute__((packed)) a { char c; int n; short s; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (c, n, s, OPOOL_BORROWED(p)));
USE(a_pool, struct a)

#elif defined(CASE_unnamed_padding)
struct a { char c; unsigned : 16; char d; unsigned : 0; int n; unsigned f : 3, : 5; char *p; unsigned : 32; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (c, d, n, OPOOL_BITS(f), OPOOL_BORROWED(p)));
USE(a_pool, struct a)

#elif defined(CASE_anonymous_parts)
struct a { int n; __extension__ struct { int x, y; }; char c[4]; };
OPOOL_DEFINE(a_pool, struct a);
USE(a_pool, struct a)

#elif defined(CASE_alignment)
struct a { char c[3]; } __attribute__((aligned(4096)));
struct b { char c __attribute__((aligned(64))); char d; char *p; };
OPOOL_DEFINE(a_pool, struct a);
OPOOL_DEFINE_MEMBERS(b_pool, struct b, (c, d, OPOOL_BORROWED(p)));
USE(a_pool, struct a)
USE(b_pool, struct b)

#elif defined(CASE_largest)
struct a { char c[16 << 20]; };
OPOOL_DEFINE(a_pool, struct a);
USE(a_pool, struct a)

#elif defined(CASE_scalar)
enum color { RED, GREEN };
OPOOL_DEFINE(int_pool, int);
OPOOL_DEFINE(char_pool, unsigned char);
OPOOL_DEFINE(long_pool, unsigned long long);
OPOOL_DEFINE(color_pool, enum color);
USE(int_pool, int)
USE(long_pool, unsigned long long)

#elif defined(CASE_typedefs)
typedef struct { int n; } a;
typedef char buffer[4096];
typedef a pair[2];
OPOOL_DEFINE(a_pool, a);
OPOOL_DEFINE(buffer_pool, buffer);
OPOOL_DEFINE(pair_pool, pair);
USE(a_pool, a)
USE(buffer_pool, buffer)

#elif defined(CASE_names_from_macros)
#define NAME a_pool
#define TYPE struct a
#define MEMBERS (n, OPOOL_BORROWED(p))
#define RESET a_reset
struct a { int n; char *p; };
static bool a_reset(struct a *a, void *arg) { a->n = arg != NULL; return true; }
OPOOL_DEFINE_MEMBERS(NAME, TYPE, MEMBERS, .reset = RESET);
USE(a_pool, struct a)

#elif defined(CASE_ref)
OPOOL_REF_TYPE(tls_ref, struct tls);
OPOOL_REF_TYPE(text_ref, const char);
OPOOL_REF_TYPE(any_ref, void);
struct a { int n; tls_ref tls; text_ref text; any_ref any[4]; };
OPOOL_DEFINE(a_pool, struct a);
USE(a_pool, struct a)
struct tls *tls_of(struct a *a);
struct tls *tls_of(struct a *a)
{
    a->tls = tls_ref_of(NULL);
    a->text = text_ref_of("text");
    a->any[1] = any_ref_of(a);
    return text_ref_get(a->text) ? tls_ref_get(a->tls) : NULL;
}

#elif defined(CASE_owning)
struct a { char *window; size_t size; union { int i; void *p; } u; volatile int v; };
static struct opool_footprint a_footprint(const struct a *a, void *arg)
{
    struct opool_footprint f = {a->size, a->size + (arg != NULL)};
    return f;
}
static void a_fini(struct a *a, void *arg) { a->window = (char *)arg; }
OPOOL_DEFINE_OWNING(a_pool, struct a, a_footprint, "libfoo allocates its own window");
OPOOL_DEFINE_OWNING(b_pool, struct a, a_footprint, "two " "literals", .fini = a_fini);
USE(a_pool, struct a)
USE(b_pool, struct a)

#elif defined(CASE_two_pools_of_a_type)
struct a { int n; };
OPOOL_DEFINE(a_pool, struct a);
OPOOL_DEFINE(other_pool, struct a);
USE(a_pool, struct a)
USE(other_pool, struct a)

#elif defined(CASE_in_a_header)
/* declared before, defined later, its functions' addresses taken */
struct a_pool;
extern struct a_pool *the_pool;
struct a { int n; };
OPOOL_DEFINE(a_pool, struct a);
extern struct a *(*const getter)(struct a_pool *);
extern void (*const putter)(struct a_pool *, struct a *);
struct a_pool *the_pool;
struct a *(*const getter)(struct a_pool *) = a_pool_get;
void (*const putter)(struct a_pool *, struct a *) = a_pool_put;

#elif defined(CASE_no_inline)
struct a { int n; char *p; };
static bool a_reset(struct a *a, void *arg) { a->n = arg != NULL; return true; }
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(p)), .reset = a_reset);
USE(a_pool, struct a)

#elif defined(CASE_no_inline_owning)
struct a { int n; char *p; };
static struct opool_footprint a_footprint(const struct a *a, void *arg)
{
    struct opool_footprint f = {(size_t)a->n, (size_t)(arg != NULL)};
    return f;
}
OPOOL_DEFINE_OWNING(a_pool, struct a, a_footprint, "p");
USE(a_pool, struct a)

#elif defined(CASE_inside_extern_c)
#ifdef __cplusplus
extern "C" {
#endif
struct a { int n; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(p)));
USE(a_pool, struct a)
#ifdef __cplusplus
}
#endif

#elif defined(CASE_namespace)
/* only: c++ */
namespace net
{
struct conn { int fd; char buffer[100]; };
OPOOL_DEFINE(conn_pool, conn, .init = [](conn *c, void *arg) { c->fd = arg ? 1 : 2; return 0; });
}
int use(net::conn_pool *pool);
int use(net::conn_pool *pool)
{
    net::conn *c = net::conn_pool_get(pool);
    const int fd = c->fd;
    conn_pool_put(pool, c);
    return fd;
}

#elif defined(CASE_namespace_without_a_name)
/* only: c++ */
namespace
{
struct conn { int fd; };
OPOOL_DEFINE(conn_pool, conn);
}
int use(void);
int use(void)
{
    conn_pool *pool;
    if (conn_pool_create(&pool, nullptr) != 0)
        return -1;
    conn_pool_put(pool, conn_pool_get(pool));
    conn_pool_discard(pool, conn_pool_get_wait(pool, 1));
    conn_pool_destroy(&pool);
    return 0;
}

#elif defined(CASE_class_that_owns)
/* only: c++ */
struct text { char *p; size_t n; text(); virtual ~text(); virtual size_t size() const; };
static int text_init(text *t, void *) { return t == nullptr; }
static void text_fini(text *t, void *) { t->~text(); }
static opool_footprint text_footprint(const text *t, void *) { return {t->size(), t->size()}; }
OPOOL_DEFINE_OWNING(text_pool, text, text_footprint, "text keeps its buffer", .init = text_init, .fini = text_fini);
USE(text_pool, text)

#elif defined(CASE_class_that_owns_and_resets)
/* only: c++ */
struct text { char *p; size_t n; text(); virtual ~text(); virtual size_t size() const; };
static bool text_reset(text *t, void *) { t->n = 0; return true; }
static opool_footprint text_footprint(const text *t, void *) { return {t->size(), t->size()}; }
OPOOL_DEFINE_OWNING(text_pool, text, text_footprint, "text keeps its buffer", .reset = text_reset);
USE(text_pool, text)

#elif defined(CASE_constructor)
/* only: c++ */
struct point { double x = 0, y = 0; point() = default; point(double a, double b) : x(a), y(b) {} };
static int point_init(point *p, void *) { p->x = 1; return 0; }
OPOOL_DEFINE(point_pool, point, .init = point_init);
USE(point_pool, point)

#elif defined(CASE_const_member)
/* only: c++ */
struct a { const int id; int n; };
OPOOL_DEFINE(a_pool, a);
USE(a_pool, a)

#elif defined(CASE_members_of_every_kind)
/* only: g++ */
struct base { double x[3]; };
struct empty {};
class counter { long n = 0; public: counter() = default; explicit counter(int m) : n(m) {} long get() { return n; } };
enum class color : unsigned char { red, green };
struct in : base { const int id = 1; volatile int v; counter c[2]; empty e; color hue : 2; char : 4; bool b : 1; };
struct a { in one, row[2][3]; volatile base vb; __extension__ struct { int x; __extension__ struct { int y; }; };
           std::array<in, 4> list; std::atomic<int> hits; char text[1 << 20]; decltype(nullptr) nothing;
           __extension__ __int128 wide; };
OPOOL_DEFINE(a_pool, a);
OPOOL_DEFINE(in_pool, in);
OPOOL_DEFINE(empty_pool, empty);
USE(a_pool, a)
struct may_throw { int n; may_throw() : n(1) {} };
struct b { may_throw x[3]; in y; int z; };
OPOOL_DEFINE(b_pool, b);

#elif defined(CASE_128_members)
#define M(n) int n##1, n##2, n##3, n##4, n##5, n##6, n##7, n##8
struct a { M(a); M(b); M(c); M(d); M(e); M(f); M(g); M(h); M(i); M(j); M(k); M(l); M(m); M(n); M(o); M(p); };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_old_overload)
/* only: c++ */
struct a { int n; };
struct b { int n; };
static bool reset(a *x, void *) { x->n = 0; return true; }
static bool reset(b *x, void *) { x->n = 0; return true; }
OPOOL_DEFINE(a_pool, a, .reset = reset);
OPOOL_DEFINE(b_pool, b, .reset = reset);
USE(a_pool, a)
USE(b_pool, b)

#elif defined(CASE_libc_types)
#include <netinet/in.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
struct conn { struct sockaddr_storage peer; struct timespec since; struct termios tty; struct sockaddr_in in; };
OPOOL_DEFINE(conn_pool, struct conn);
OPOOL_DEFINE(stat_pool, struct stat);
USE(conn_pool, struct conn)
USE(stat_pool, struct stat)

#elif defined(CASE_buffers)
#include <opool/buffer.h>
#define KIB 1024
OPOOL_BUFFER_DEFINE(io_buf, 4 * KIB - OPOOL_BUFFER_HEADER);
OPOOL_BUFFER_DEFINE(key_buf, 1, .wipe = true);
OPOOL_BUFFER_LADDER_DEFINE(body_buf, KIB, 4 * KIB - 1, 16u * KIB, sizeof(struct io_buf) * 16);
OPOOL_BUFFER_LADDER_DEFINE(one_buf, 1);
OPOOL_BUFFER_LADDER_DEFINE(eight_buf, 1, 2, 3, 4, 5, 6, 7, OPOOL_SIZE_MAX / 2);
struct conn { int fd; io_buf_ref in; body_buf_ref body; struct io_buf_chain out; };
static inline bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    io_buf_chain_clear(&conn->out);
    return true;
}
OPOOL_DEFINE(conn_pool, struct conn, .reset = conn_reset);
USE(conn_pool, struct conn)
USE(io_buf_pool, struct io_buf)
USE(key_buf_pool, struct key_buf)
int use_buffers(struct conn *conn, struct io_buf_pool *pool, struct body_buf_ladder *ladder);
int use_buffers(struct conn *conn, struct io_buf_pool *pool, struct body_buf_ladder *ladder)
{
    struct io_buf *in = io_buf_ref_get(conn->in);
    struct iovec iov[4];
    const struct opool_view view = io_buf_view(in), room = io_buf_reserve(in, 1);
    size_t sum = io_buf_append(in, view.data, room.length) + io_buf_commit(in, 1) + io_buf_consume(in, 2);
    int result = io_buf_printf(in, "%zu", sum + io_buf_length(in) + io_buf_room(in) + io_buf_capacity());
    struct io_buf_chain other;
    struct body_buf *body = body_buf_get(ladder, 3000);
    conn->body = body_buf_ref_of(body);
    io_buf_chain_init(&other, pool, OPOOL_UNLIMITED, 4);
    result |= io_buf_chain_append(&other, "x", 1) | io_buf_chain_printf(&other, "%d", result);
    result |= io_buf_chain_reserve(&other, 100, iov, 4) | io_buf_chain_iov(&other, iov, 4);
    result |= io_buf_chain_split(&conn->out, io_buf_chain_commit(&other, 1), &other);
    result |= io_buf_chain_move(&conn->out, &other) | io_buf_chain_push(&other, in);
    sum += io_buf_chain_peek(&other, &sum, sizeof sum) + io_buf_chain_length(&other) + io_buf_chain_links(&other);
    sum += io_buf_chain_consume(&other, sum);
    io_buf_pool_put(pool, io_buf_chain_pop(&other));
    io_buf_clear(in);
    body_buf_clear(body);
    body_buf_put(ladder, body);
    return sum ? result | body_buf_ladder_write(ladder, stdout) : 0;
}

#elif defined(CASE_buffers_in_a_namespace)
/* only: c++ */
#include <opool/buffer.h>
namespace app
{
OPOOL_BUFFER_DEFINE(io_buf, 4096);
OPOOL_BUFFER_LADDER_DEFINE(body_buf, 1024, 4096);
}
size_t use_buffers(app::io_buf *in, app::body_buf *body);
size_t use_buffers(app::io_buf *in, app::body_buf *body)
{
    return app::io_buf_append(in, "x", 1) + app::body_buf_append(body, "x", 1);
}
#endif
