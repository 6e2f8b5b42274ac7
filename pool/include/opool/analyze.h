/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_ANALYZE_H
#define OPOOL_ANALYZE_H

/*
 * What compilers and static analyzers learn of the calls of a definition: that N_get and N_get_wait hand out what N_put
 * or N_discard take back. Then they find a second put, a use after put, an object that is lost, free() of an object, a
 * put of what is none; test/analyze has a table of who finds what. Nothing here is public.
 *
 * Who tells tools must not inline: they look for calls. So there are three forms of these four functions, and all of
 * them do the same:
 *
 *   inline             the fast path; nothing is found but a get whose result is ignored. Of all optimized code.
 *   gcc, C             declarations that have the exported functions' names for the assembler, with the attribute
 *                      malloc(deallocator): gcc takes it on no inline function, and looks into no function without a
 *                      body. When nothing is optimized, or with OPOOL_NO_INLINE.
 *   g++                functions with a body, which would not be for -fanalyzer, but that is not for C++; a declaration
 *                      could not stand in a namespace without a name. When nothing is optimized.
 *   clang's analyzer   declarations with clang's ownership_* attributes; nothing is ever linked. Always: it says
 *                      __clang_analyzer__.
 *
 * What is not told, because it is not true:
 *
 *   malloc without a deallocator, which says that the object aliases nothing and points to nothing: compilers
 *                      optimize by that, and gcc's other form does not imply it. A reused object is as reset left it:
 *                      with kept members, typed references and memory of its own, which others may know too; its
 *                      address may be in a list that init put it into; and it may be the object whose put was inlined
 *                      just before. test/contract/typed.c has an object that would be miscompiled.
 *   nonnull            NULL pools and NULL objects are defined in all calls, and a check of ours for them would be
 *                      optimized away.
 *   returns_nonnull    gets fail.
 */

#include "types.h"

/* A get with no one to put the object. */
#define OPOOL__GETS OPOOL_NODISCARD

#if defined(__clang_analyzer__)

#ifdef __cplusplus
extern "C" {
#endif
/* Never defined. "malloc" is the one family of allocators that clang up to 19 knows here, so it takes free for a put,
   and malloc for a get. With underscores, because a program may have a macro malloc. */
void *opool__analyzer_gets(void) __attribute__((__ownership_returns__(__malloc__)));
extern const unsigned char opool__analyzer_bytes[];
#ifdef __cplusplus
}
#endif

/* An object is not without a value, as the attribute would have it: it has any. Here and not in the macro, because
   clang-tidy warns of memcpy in user code, and the user's code is where the macro stands. */
static inline __attribute__((__unused__)) void *opool__analyzer_object(size_t size)
{
    void *object = opool__analyzer_gets();
    if (object)
        __builtin_memcpy(object, opool__analyzer_bytes, size);
    return object;
}

/* In a namespace without a name these have no linkage, and are not missed. */
#define OPOOL__TOLD_CALLS(N, T, OWNING) \
    OPOOL__PUSH_UNDEFINED \
    void N##_put(struct N *pool_, T *object_) __attribute__((__ownership_takes__(__malloc__, 2))); \
    void N##_discard(struct N *pool_, T *object_) __attribute__((__ownership_takes__(__malloc__, 2))); \
    OPOOL__POP \
    static inline __attribute__((__unused__)) OPOOL__GETS T *N##_get(struct N *pool_) \
    { \
        (void)pool_; \
        return (T *)opool__analyzer_object(sizeof(T)); \
    } \
    static inline __attribute__((__unused__)) OPOOL__GETS T *N##_get_wait(struct N *pool_, int timeout_ms_) \
    { \
        (void)pool_; \
        (void)timeout_ms_; \
        return (T *)opool__analyzer_object(sizeof(T)); \
    }
#define OPOOL__PUSH_UNDEFINED \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wundefined-internal\"")

#elif defined(__clang__) || defined(__EDG__) || __GNUC__ < 11 || (defined(__OPTIMIZE__) && !defined(OPOOL_NO_INLINE))
/* Inlined, or a compiler without the attribute. */

#elif !defined(__cplusplus)
#define OPOOL__TOLD_CALLS(N, T, OWNING) \
    OPOOL_API void N##_put(struct N *pool_, T *object_) __asm__("opool_put"); \
    OPOOL_API void N##_discard(struct N *pool_, T *object_) __asm__("opool_discard"); \
    OPOOL_API OPOOL__GETS OPOOL__PUT_BY(N, OWNING) \
    T *N##_get(struct N *pool_) __asm__("opool_get"); \
    OPOOL_API OPOOL__GETS OPOOL__PUT_BY(N, OWNING) \
    T *N##_get_wait(struct N *pool_, int timeout_ms_) __asm__("opool_get_wait"); \
    OPOOL_API OPOOL__GETS size_t N##_get_batch(struct N *pool_, T *objects_[], size_t n_) __asm__("opool_get_batch"); \
    OPOOL_API void N##_put_batch(struct N *pool_, T *objects_[], size_t n_) __asm__("opool_put_batch");
#define OPOOL__TOLD_BATCHES

#elif !defined(__OPTIMIZE__)
#define OPOOL__TOLD_CALLS(N, T, OWNING) \
    static __attribute__((__unused__, __noinline__)) void N##_put(struct N *pool_, T *object_) \
    { \
        opool_put((struct opool *)(void *)pool_, (void *)object_); \
    } \
    static __attribute__((__unused__, __noinline__)) void N##_discard(struct N *pool_, T *object_) \
    { \
        opool_discard((struct opool *)(void *)pool_, (void *)object_); \
    } \
    static __attribute__((__unused__, __noinline__)) OPOOL__GETS OPOOL__PUT_BY(N, OWNING) \
    T *N##_get(struct N *pool_) \
    { \
        return (T *)opool_get((struct opool *)(void *)pool_); \
    } \
    static __attribute__((__unused__, __noinline__)) OPOOL__GETS OPOOL__PUT_BY(N, OWNING) \
    T *N##_get_wait(struct N *pool_, int timeout_ms_) \
    { \
        return (T *)opool_get_wait((struct opool *)(void *)pool_, timeout_ms_); \
    }
#endif

/* Not of owning types: for -fanalyzer what has a deallocator loses all that it points to when it is put. */
#define OPOOL__PUT_BY(N, OWNING) OPOOL__PUT_BY_(N, OWNING)
#define OPOOL__PUT_BY_(N, OWNING) OPOOL__PUT_BY_##OWNING(N)
#define OPOOL__PUT_BY_0(N) __attribute__((__malloc__(N##_put, 2), __malloc__(N##_discard, 2)))
#define OPOOL__PUT_BY_1(N)

#endif
