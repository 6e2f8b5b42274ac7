/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_DEFINE_H
#define OPOOL_DEFINE_H

#include "analyze.h"
#include "guard.h"
#ifdef OPOOL_NO_INLINE
#include "pool.h"
#else
#include "inline.h"
#endif

/*
 * Typed pools. One line at file scope, in a source file or a header (all is static), defines a pool type N for
 * objects of type T and proves at compile time that T is of fixed shape (guard.h says how; each error says what to
 * write instead):
 *
 *     OPOOL_DEFINE(conn_pool, struct conn, .init = conn_init, .reset = conn_reset, .fini = conn_fini);
 *
 *     struct conn_pool *pool;
 *     int error = conn_pool_create(&pool, NULL);
 *     ...
 *     struct conn *conn = conn_pool_get(pool);
 *     ...
 *     conn_pool_put(pool, conn);
 *     conn_pool_destroy(&pool);
 *
 * N is the name of the definition: a new struct tag, not T's, and the prefix of its functions. T is a complete type
 * such that `T *` is a pointer to it, without a comma outside parentheses (C++: use a typedef for those); at most
 * OPOOL_SIZE_MAX bytes, and aligned to at most OPOOL_ALIGN_MAX.
 *
 * Callbacks, all optional, in any order, no trailing arguments at all if there are none. Their types are checked: a
 * wrong one is an error. They run on the thread that calls, outside all locks of the library; they may use other
 * pools, and must not longjmp or throw. `arg` is opool_options.arg.
 *
 *     .init = f      int f(T *object, void *arg): a slot becomes an object; its memory is zero, in a reused slot too.
 *                    0, or an errno value: then f has undone its work, .fini is not called, get fails with that errno.
 *     .reset = f     bool f(T *object, void *arg): at every put, before put returns; it is inlined into put where the
 *                    compiler sees fit. false: the object is not kept; .fini runs before put returns.
 *     .fini = f      void f(T *object, void *arg): before the slot is given up.
 *     .kept = OPOOL_MEMBERS(a, b)
 *                    Members whose value reset leaves on purpose. With full checks, a pool that has a reset says once a
 *                    member, in a line, when reset leaves a value that a new object does not have: the next user would
 *                    see the last one's state. Compared is with the first object after its init; not reported are bytes
 *                    in which new objects differ from each other (an index, their own address), padding as far as it is
 *                    known (gcc 11 and later: all, but of C++ classes that are not trivially copyable; else that
 *                    between the members of a list; valgrind may tell of other padding that is read), borrowed, opaque
 *                    and kept members. An owning type declares what it owns: the pointer and its size.
 *
 * What a definition generates, all static inline. Thread safety: any thread may call any of these at any time, but
 * for create and destroy of one pool. NULL objects are ignored by put, discard and put_batch. None is
 * async-signal-safe.
 *
 *     struct N;
 *         The pool's own type, never completed: pools of different definitions can not be mixed up.
 *     int N_create(struct N **out, const struct opool_options *options)
 *         A pool, the caller's until N_destroy or N_close; options NULL: all defaults. 0 or a negative errno value,
 *         *out is NULL then: see opool_create. May block for memory and, with prefill, in init.
 *     void N_destroy(struct N **pool)
 *         Tears down all idle objects and the pool; *pool becomes NULL. pool or *pool NULL: nothing happens. No other
 *         thread may be inside a call on the pool, or call it later. Objects out, and calls from callbacks: see
 *         opool_destroy.
 *     void N_close(struct N **pool)
 *         No more gets (ESHUTDOWN); the put of the last object that is out frees the pool. *pool becomes NULL. NULLs
 *         as above.
 *     T *N_get(struct N *pool)
 *         An object, the caller's until put or discard: built (zero memory, then init), or reused as reset left it. A
 *         miss builds exactly one. NULL with errno: ENOMEM; EAGAIN, all objects of a pool with a capacity are out;
 *         ESHUTDOWN, the pool is closed; EINVAL, pool is NULL; or what init returned. Never waits for another
 *         thread's put.
 *     T *N_get_wait(struct N *pool, int timeout_ms)
 *         As N_get, but at capacity it waits for a put, first come first served; ETIMEDOUT instead of EAGAIN.
 *         timeout_ms in milliseconds; -1: no limit; 0 and other negative values: does not wait.
 *     void N_put(struct N *pool, T *object)
 *         Gives the object back: footprint (owning types), reset, borrowed members zeroed, then the thread's cache.
 *         Needs no memory and does not block, but for the callbacks. Misuse (a foreign pointer, a second put, ...)
 *         aborts with a line that names it, as far as the pool's checks go.
 *     void N_discard(struct N *pool, T *object)
 *         Gives back an object that must not be used again: no footprint, no reset, fini before it returns.
 *     size_t N_get_batch(struct N *pool, T *objects[], size_t n)
 *         Up to n objects; how many were got. Entries from there on are not touched, and errno says why it is less
 *         than n.
 *     void N_put_batch(struct N *pool, T *objects[], size_t n)
 *         As n puts.
 *     struct opool *N_base(struct N *pool)
 *         The same pool for the untyped calls: statistics, opool_watch.
 *
 * OPOOL_NO_INLINE defined before the include: N_get and N_put call the exported functions, and the program does not
 * refer to the library's thread-local symbol.
 *
 * Compilers and static analyzers know what these do (analyze.h): clang's analyzer always; gcc, with -fanalyzer or
 * without, where nothing is optimized or with OPOOL_NO_INLINE. An object that was put is then as if freed, also when
 * the next get returns the same one: go on with what get returned. A get whose result is ignored is warned of by all.
 */

/**
 * A pool of objects that hold no pointer at any depth.
 *
 *     OPOOL_DEFINE(N, T);
 *     OPOOL_DEFINE(N, T, .init = f, .reset = f, .fini = f);
 *
 * Refused: pointers, flexible arrays, incomplete types, and (C) const members; in C++ types with a destructor or
 * virtual functions; by clang and g++ also unions, by clang volatile members, which they can not look through:
 * OPOOL_DEFINE_MEMBERS has OPOOL_OPAQUE. g++ looks in C++17 and later, at up to 128 members a struct. A pointer that
 * the object does not own can be kept as a number: OPOOL_REF_TYPE.
 */
#define OPOOL_DEFINE(N, ...) OPOOL__DEFINE_FIXED(N, __VA_ARGS__, .end_ = 0)

/**
 * A pool of objects that hold pointers which they do not own. All members are listed in parentheses, in order, 1 to 64
 * of them:
 *
 *     OPOOL_DEFINE_MEMBERS(N, T, (a, b, OPOOL_BORROWED(c), OPOOL_OPAQUE(d), OPOOL_BITS(e), OPOOL_KEPT(g)), .reset = f);
 *
 * A bare name holds no pointer at any depth; OPOOL_BORROWED(m) is a pointer, or an array of up to two dimensions of
 * them, to something that the object does not own, zeroed after reset (whatever it returned) and before any fini, so
 * init leaves it NULL; OPOOL_OPAQUE(m) is not looked into; OPOOL_BITS(m) is a bit-field; OPOOL_KEPT(m) is a bare name,
 * and OPOOL_KEPT_BITS(m) a bit-field, whose value may stay for the next user (see .kept). A member left out, listed
 * twice or out of order is an error, so a pointer that is added to T later can not slip in. T is a plain struct (C++:
 * standard layout). Members of anonymous structs and unions can not be listed fully: name them.
 */
#define OPOOL_DEFINE_MEMBERS(N, T, ...) OPOOL__DEFINE_LIST(N, T, __VA_ARGS__, .end_ = 0)

/**
 * A pool of objects that own memory, a decoder with its window for example: shape is not checked, the run-time guard
 * is on.
 *
 *     OPOOL_DEFINE_OWNING(N, T, footprint, "why they own memory", .init = f, .reset = f, .fini = f);
 *
 * `footprint` is struct opool_footprint f(const T *object, void *arg): bytes that this use needed and that the object
 * would keep, asked at every put, before reset. An object above opool_options.footprint_max is torn down instead of
 * kept; without that option the cap follows the load: twice what 99 in 100 uses need, and at least what new objects
 * hold. In windows of 8192 puts the guard looks for churn (0.5 % or more of puts refused, half of those bytes made
 * again by objects that grow) and bloat (more than 8 times as much held as used): two windows running set
 * opool_stats.churn or .bloat, and the pool says once, in a line, how many bytes to have in the object instead, or that
 * footprint_max is too low. A steady load is not flagged, nor is one of two sizes that are both in daily use. The
 * reason is a string literal. In C++ T may be any class, built and destroyed by init and fini.
 */
#define OPOOL_DEFINE_OWNING(N, T, FOOTPRINT, ...) OPOOL__DEFINE_OWNING(N, T, FOOTPRINT, __VA_ARGS__, .end_ = 0)

/**
 * For `.kept`, in any of the three: members whose value may stay for the next user, because reset leaves it on purpose.
 * 1 to 64 of them, of nested structs too, but no bit-fields:
 *
 *     OPOOL_DEFINE(conn_pool, struct conn, .reset = conn_reset, .kept = OPOOL_MEMBERS(serial, request.buffer));
 */
#define OPOOL_MEMBERS(...) \
    __extension__({ \
        static const struct opool_member kept_[] = {OPOOL__MAP(OPOOL__KEPT_ROW, ~, __VA_ARGS__) OPOOL__ROWS_END}; \
        kept_; \
    })
#define OPOOL__KEPT_ROW(c, i, j, f) OPOOL__ROW(opool_object_, f, OPOOL_MEMBER_KEPT)

/**
 * A pointer that an object does not own, kept as a number with a type of its own: a member of type R passes
 * OPOOL_DEFINE.
 *
 *     OPOOL_REF_TYPE(tls_ref, struct tls_ctx);
 *
 *     typedef ... R;
 *     R R_of(T *pointer)        the number of a pointer; NULL gives all zero
 *     T *R_get(R ref)           the pointer again
 *
 * T may be incomplete. Safe from any thread. It is not zeroed at put: reset does that, if it has to be.
 */
#define OPOOL_REF_TYPE(R, T) \
    typedef struct { \
        uintptr_t opool_ref; \
    } R; \
    static inline __attribute__((__unused__)) R R##_of(T *pointer_) \
    { \
        R ref_; \
        ref_.opool_ref = (uintptr_t)pointer_; \
        return ref_; \
    } \
    static inline __attribute__((__unused__)) T *R##_get(R ref_) \
    { \
        return (T *)ref_.opool_ref; \
    } \
    OPOOL__ASSERT(sizeof(R) == sizeof(void *), "opool: pointers do not fit in uintptr_t")

/* ---- What the macros generate ---------------------------------------------------------------------------------- */

/* Parameters end in an underscore so that -Wshadow finds no global of the user's; callbacks are assigned, because C++17
   has no designated initialisers, in a function that is always inlined, so that the compiler sees constants and calls,
   or inlines, the callbacks themselves. */

#define OPOOL__FUNCTION static inline __attribute__((__unused__))
#define OPOOL__FOLDED static inline __attribute__((__always_inline__, __unused__))
#define OPOOL__THUNK static __attribute__((__unused__))

/* No memset in a macro: clang-tidy would warn of it, in the user's code. */
OPOOL__FOLDED void opool__zero(void *bytes, size_t size)
{
    __builtin_memset(bytes, 0, size);
}

#define OPOOL__DEFINE_FIXED(N, T, ...) \
    struct N; \
    OPOOL__GUARD_FIXED(N, T) \
    OPOOL__CALLBACKS(N, T, __VA_ARGS__) \
    OPOOL__FUNCTIONS(N, T, "fixed", 0, 0, OPOOL__NOTHING, NULL, NULL)

#define OPOOL__DEFINE_LIST(N, T, MEMBERS, ...) \
    struct N; \
    OPOOL__GUARD_LIST(N, T, OPOOL__UNPACK MEMBERS) \
    OPOOL__CALLBACKS(N, T, __VA_ARGS__) \
    OPOOL__FUNCTION const struct opool_member *opool__##N##_members(void) \
    { \
        static const struct opool_member members_[] = {OPOOL__MAP(OPOOL__MEMBER, (N, T), OPOOL__UNPACK MEMBERS) \
                                                           OPOOL__ROWS_END}; \
        return members_; \
    } \
    OPOOL__FUNCTIONS(N, T, "listed", 0, (0 OPOOL__MAP(OPOOL__BORROWS, (N, T), OPOOL__UNPACK MEMBERS)), \
                     OPOOL__MAP(OPOOL__CLEAR, (N, T), OPOOL__UNPACK MEMBERS), NULL, opool__##N##_members())
#define OPOOL__UNPACK(...) __VA_ARGS__
#define OPOOL__NOTHING

#define OPOOL__DEFINE_OWNING(N, T, FOOTPRINT, REASON, ...) \
    struct N; \
    OPOOL__GUARD_OWNING(N, T, REASON) \
    OPOOL__CALLBACKS(N, T, __VA_ARGS__) \
    OPOOL__FOOTPRINT(N, T, FOOTPRINT) \
    OPOOL__FUNCTIONS(N, T, "owning: " REASON, 1, 0, OPOOL__NOTHING, opool__##N##_footprint, NULL)

#define OPOOL__ASSIGN(c, i, j, x) callbacks_ x;

/* A template in C++, where T may be named like one of these members. */
#ifdef __cplusplus
extern "C++" {
namespace opool__guard
{
template <class T> struct callbacks {
    int (*init)(T *, void *);
    bool (*reset)(T *, void *);
    void (*fini)(T *, void *);
    const struct opool_member *kept;
    int end_;
};
} // namespace opool__guard
}
#define OPOOL__CALLBACKS_TYPE(N, T) typedef opool__guard::callbacks<T> opool__##N##_callbacks;
#else
#define OPOOL__CALLBACKS_TYPE(N, T) \
    typedef struct { \
        int (*init)(T *, void *); \
        bool (*reset)(T *, void *); \
        void (*fini)(T *, void *); \
        const struct opool_member *kept; \
        int end_; \
    } opool__##N##_callbacks;
#endif

#define OPOOL__CALLBACKS(N, T, ...) \
    OPOOL__CALLBACKS_TYPE(N, T) \
    OPOOL__PUSH_CALLBACKS \
    OPOOL__FOLDED opool__##N##_callbacks opool__##N##_calls(void) \
    { \
        typedef T opool_object_ __attribute__((__unused__)); \
        opool__##N##_callbacks callbacks_ = {NULL, NULL, NULL, NULL, 0}; \
        OPOOL__MAP(OPOOL__ASSIGN, ~, __VA_ARGS__) \
        return callbacks_; \
    } \
    OPOOL__POP \
    OPOOL__THUNK int opool__##N##_init(void *object_, void *arg_) \
    { \
        const opool__##N##_callbacks callbacks_ = opool__##N##_calls(); \
        return callbacks_.init ? callbacks_.init((T *)object_, arg_) : 0; \
    } \
    OPOOL__THUNK bool opool__##N##_reset(void *object_, void *arg_) \
    { \
        const opool__##N##_callbacks callbacks_ = opool__##N##_calls(); \
        return callbacks_.reset ? callbacks_.reset((T *)object_, arg_) : true; \
    } \
    OPOOL__THUNK void opool__##N##_fini(void *object_, void *arg_) \
    { \
        const opool__##N##_callbacks callbacks_ = opool__##N##_calls(); \
        if (callbacks_.fini) \
            callbacks_.fini((T *)object_, arg_); \
    }

#define OPOOL__FOOTPRINT(N, T, FOOTPRINT) \
    OPOOL__PUSH_CALLBACKS \
    OPOOL__THUNK struct opool_footprint opool__##N##_footprint(const void *object_, void *arg_) \
    { \
        struct opool_footprint (*footprint_)(const T *, void *) = FOOTPRINT; \
        return footprint_((const T *)object_, arg_); \
    } \
    OPOOL__POP

#ifdef OPOOL_NO_INLINE
#define OPOOL__GET(base) opool_get(base)
#define OPOOL__PUT_FUNCTION(N, T, OWNING, BORROWS) \
    OPOOL__FUNCTION void N##_put(struct N *pool_, T *object_) \
    { \
        opool_put(N##_base(pool_), (void *)object_); \
    }
#else
#define OPOOL__GET(base) opool__get_inline(base)
#define OPOOL__PUT_FUNCTION(N, T, OWNING, BORROWS) \
    OPOOL__FOLDED void N##_put(struct N *pool_, T *object_) \
    { \
        const opool__##N##_callbacks callbacks_ = opool__##N##_calls(); \
        struct opool *base_ = N##_base(pool_); \
        struct opool_head *head_; \
        bool kept_ = true; \
        if (OWNING) { \
            opool_put(base_, (void *)object_); \
            return; \
        } \
        if (!callbacks_.reset && !(BORROWS)) { \
            opool__put_inline(base_, (void *)object_); \
            return; \
        } \
        if (!object_) \
            return; \
        head_ = opool__put_begin(base_, (void *)object_); \
        if (!head_) { \
            opool_put(base_, (void *)object_); \
            return; \
        } \
        if (callbacks_.reset) \
            kept_ = callbacks_.reset(object_, ((const struct opool_front *)(const void *)pool_)->arg); \
        opool__##N##_clear(object_); \
        if (OPOOL__LIKELY(kept_)) \
            opool__put_end(base_, head_, (void *)object_); \
        else \
            opool__put_refused(base_, head_, (void *)object_); \
    }
#endif

#ifdef OPOOL__TOLD_CALLS
#define OPOOL__CALLS(N, T, OWNING, BORROWS) OPOOL__TOLD_CALLS(N, T, OWNING)
#else
#define OPOOL__CALLS(N, T, OWNING, BORROWS) \
    OPOOL__FOLDED OPOOL__GETS T *N##_get(struct N *pool_) \
    { \
        return (T *)OPOOL__GET(N##_base(pool_)); \
    } \
    OPOOL__FUNCTION OPOOL__GETS T *N##_get_wait(struct N *pool_, int timeout_ms_) \
    { \
        return (T *)opool_get_wait(N##_base(pool_), timeout_ms_); \
    } \
    OPOOL__PUT_FUNCTION(N, T, OWNING, BORROWS) \
    OPOOL__FUNCTION void N##_discard(struct N *pool_, T *object_) \
    { \
        opool_discard(N##_base(pool_), (void *)object_); \
    }
#endif

#ifdef OPOOL__TOLD_BATCHES
#define OPOOL__BATCHES(N, T)
#else
#define OPOOL__BATCHES(N, T) \
    OPOOL__FUNCTION OPOOL__GETS size_t N##_get_batch(struct N *pool_, T *objects_[], size_t n_) \
    { \
        return opool_get_batch(N##_base(pool_), (void **)(void *)objects_, n_); \
    } \
    OPOOL__FUNCTION void N##_put_batch(struct N *pool_, T *objects_[], size_t n_) \
    { \
        opool_put_batch(N##_base(pool_), (void *const *)(void *)objects_, n_); \
    }
#endif

#ifdef OPOOL__KNOWS_PADDING
#define OPOOL__PAD_FUNCTION(N, T) \
    OPOOL__THUNK void opool__##N##_pad(void *object_) \
    { \
        OPOOL__CLEAR_PADDING(T, (T *)object_); \
    }
#define OPOOL__SET_PAD(N) type_.pad = callbacks_.reset ? opool__##N##_pad : NULL;
#else
#define OPOOL__PAD_FUNCTION(N, T)
#define OPOOL__SET_PAD(N)
#endif

#define OPOOL__FUNCTIONS(N, T, SHAPE, OWNING, BORROWS, CLEAR, FOOTPRINT, MEMBERS) \
    OPOOL__PAD_FUNCTION(N, T) \
    OPOOL__THUNK void opool__##N##_clear(void *void_) \
    { \
        T *object_ = (T *)void_; \
        (void)object_; \
        CLEAR \
    } \
    OPOOL__FOLDED struct opool *N##_base(struct N *pool_) \
    { \
        return (struct opool *)(void *)pool_; \
    } \
    OPOOL__FUNCTION OPOOL_NODISCARD int N##_create(struct N **out_, const struct opool_options *options_) \
    { \
        const opool__##N##_callbacks callbacks_ = opool__##N##_calls(); \
        struct opool *base_ = NULL; \
        struct opool_type type_; \
        int error_; \
        opool__zero(&type_, sizeof type_); \
        type_.name = OPOOL__STR(N); \
        type_.type = OPOOL__STR(T); \
        type_.shape = SHAPE; \
        type_.size = sizeof(T); \
        type_.align = OPOOL__ALIGNOF(T); \
        type_.init = callbacks_.init ? opool__##N##_init : NULL; \
        type_.reset = callbacks_.reset ? opool__##N##_reset : NULL; \
        type_.fini = callbacks_.fini ? opool__##N##_fini : NULL; \
        type_.footprint = FOOTPRINT; \
        type_.clear = (BORROWS) ? opool__##N##_clear : NULL; \
        type_.abi = OPOOL_ABI; \
        type_.members = MEMBERS; \
        type_.kept = callbacks_.kept; \
        OPOOL__SET_PAD(N) \
        error_ = opool_create(out_ ? &base_ : NULL, &type_, options_); \
        if (out_) \
            *out_ = (struct N *)(void *)base_; \
        return error_; \
    } \
    OPOOL__FUNCTION void N##_destroy(struct N **pool_) \
    { \
        if (pool_) { \
            struct opool *base_ = N##_base(*pool_); \
            opool_destroy(&base_); \
            *pool_ = (struct N *)(void *)base_; \
        } \
    } \
    OPOOL__FUNCTION void N##_close(struct N **pool_) \
    { \
        if (pool_) { \
            struct opool *base_ = N##_base(*pool_); \
            opool_close(&base_); \
            *pool_ = (struct N *)(void *)base_; \
        } \
    } \
    OPOOL__CALLS(N, T, OWNING, BORROWS) \
    OPOOL__BATCHES(N, T) \
    OPOOL__ASSERT(sizeof(struct N *) == sizeof(struct opool *), "")

#endif
