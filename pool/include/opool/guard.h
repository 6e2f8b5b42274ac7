/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_GUARD_H
#define OPOOL_GUARD_H

/*
 * Shape guards: is the object type of a pool of fixed shape? Asked of the compiler, at no run-time cost; the definition
 * macros in define.h use what stands here. Nothing here is public but the five markers of a member list.
 *
 * "Holds T a pointer, at any depth?" is answered by the compilers' own knowledge of T:
 *
 *   clang, C and C++   A constant __builtin_bit_cast walks the type and refuses pointers, unions and volatile, and
 *                      names the chain of members with file and line. The walk happens for a member `T t[0]` too,
 *                      where no byte is evaluated, so that a large T costs nothing. It needs no code generation:
 *                      editors show it.
 *   gcc, C             Alias analysis: a store through T may change a `void *` word if and only if T holds a pointer
 *                      somewhere. If it holds none, the test after the store folds away; if it holds one, a call of a
 *                      function with the attribute `error` stays. Needs code generation (-c), works at every -O level.
 *   g++, C++17         Neither is to be had: in C++ a char array may alias everything, and g++'s bit_cast does not look
 *                      into arrays. But an initialiser that converts to anything learns the type of each member:
 *                      guard_cxx.h. Pointers and unions are refused, volatile passes. Needs no code generation.
 *   g++, C++11, C++14  Only the rules of the list are checked (direct members, coverage, marks), and that T needs no
 *                      destructor.
 *
 * A flexible array member, T's own or at the end of its last member, is refused by all, in other ways.
 *
 * What no compiler sees is left to `opool shapes`, which reads debug information: a listed anonymous union that holds a
 * pointer, a zero-length or one-element array at the end, _Atomic(T *) in a nested struct (clang), C++ by g++. Pointers
 * kept as numbers nobody sees.
 * test/compile holds a case for each rule and message.
 */

#include <stddef.h>
#include <stdint.h>

/* Which bytes of a type are padding: gcc 11 and later tell. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define OPOOL__KNOWS_PADDING
#endif
#endif

#include "guard_cxx.h"
#include "map.h"
#include "types.h"

/** A member that is a pointer, or an array of pointers, to something that the object does not own. Zeroed at every put
    and before fini. */
#define OPOOL_BORROWED(member) opool__is_BORROWED(member)
/** A member that the compiler shall not look into: a union, a volatile or foreign struct. Your word that its size does
    not vary and that it owns nothing. Not for pointers. */
#define OPOOL_OPAQUE(member) opool__is_OPAQUE(member)
/** A member whose value may stay for the next user: full checks do not report that reset leaves it. Otherwise as a bare
    name. */
#define OPOOL_KEPT(member) opool__is_KEPT(member)
/** A bit-field: the list has to say so, because C can not ask for its type. */
#define OPOOL_BITS(member) opool__is_BITS(member)
/** A bit-field whose value may stay for the next user; neighbours that share its bytes are not verified either. */
#define OPOOL_KEPT_BITS(member) opool__is_KEPT_BITS(member)

/* clang-format off */

/* The warnings that a definition turns into errors, or must do without. Compilers drop a warning, errors by pragma
   included, when its place is in a system header; those that a guard depends on have their place in the user's text
   (callbacks), or a second check beside them (lists, flexible arrays). */
#if defined(__clang__)
#define OPOOL__PUSH \
    _Pragma("clang diagnostic push") \
    _Pragma("clang diagnostic ignored \"-Wpedantic\"") \
    _Pragma("clang diagnostic error \"-Wflexible-array-extensions\"")
#define OPOOL__PUSH_LIST \
    _Pragma("clang diagnostic push") \
    _Pragma("clang diagnostic ignored \"-Wpedantic\"") \
    _Pragma("clang diagnostic ignored \"-Wmissing-braces\"") \
    _Pragma("clang diagnostic ignored \"-Wbraced-scalar-init\"") \
    _Pragma("clang diagnostic error \"-Wexcess-initializers\"") \
    _Pragma("clang diagnostic error \"-Wmissing-field-initializers\"")
#define OPOOL__PUSH_CALLBACKS \
    _Pragma("clang diagnostic push") \
    _Pragma("clang diagnostic ignored \"-Winvalid-offsetof\"") \
    _Pragma("clang diagnostic error \"-Wincompatible-pointer-types\"") \
    _Pragma("clang diagnostic error \"-Wint-conversion\"")
#define OPOOL__POP _Pragma("clang diagnostic pop")
#elif defined(__cplusplus)
#define OPOOL__PUSH _Pragma("GCC diagnostic push")
#define OPOOL__PUSH_LIST _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic error \"-Wmissing-field-initializers\"")
#define OPOOL__PUSH_CALLBACKS _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Winvalid-offsetof\"")
#define OPOOL__POP _Pragma("GCC diagnostic pop")
#else
#define OPOOL__PUSH _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic error \"-Wpedantic\"")
#define OPOOL__PUSH_LIST \
    _Pragma("GCC diagnostic push") \
    _Pragma("GCC diagnostic ignored \"-Wpedantic\"") \
    _Pragma("GCC diagnostic error \"-Wmissing-field-initializers\"") \
    _Pragma("GCC diagnostic error \"-Wint-conversion\"")
#define OPOOL__PUSH_CALLBACKS \
    _Pragma("GCC diagnostic push") \
    _Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"") \
    _Pragma("GCC diagnostic error \"-Wint-conversion\"")
#define OPOOL__POP _Pragma("GCC diagnostic pop")
#endif

#define OPOOL__STR_(x) #x
#define OPOOL__STR(x) OPOOL__STR_(x)

/* ---- What a type is -------------------------------------------------------------------------------------------- */

#ifdef __cplusplus
#define OPOOL__ASSERT static_assert
#define OPOOL__ALIGNOF alignof
#define OPOOL__ENUM enum : size_t
#define OPOOL__END(e) (e)
#define OPOOL__TYPEOF(e) decltype(e)

/* T's name may be that of a member, also of a struct that is made of members here: C++ then means the member. */
#define OPOOL__OBJECT(N, T) opool__##N##_object
#define OPOOL__NAME_OBJECT(N, T) typedef T OPOOL__OBJECT(N, T);
#define OPOOL__CLEAR_PADDING(T, object) opool__guard::padding<T, __is_trivially_copyable(T)>::clear(object)
#define OPOOL__IS_POINTER(N, i, e) (opool__guard::pointer<OPOOL__TYPEOF(e)>::is)
#define OPOOL__HAS_POINTER(N, i, e) (opool__guard::pointer<opool__guard::element<OPOOL__TYPEOF(e)>::type>::is)
#define OPOOL__CLEARABLE(N, i, e) (opool__guard::clearable<opool__guard::element<OPOOL__TYPEOF(e)>::type>::is)
#define OPOOL__IS_NUMBER(e) (opool__guard::number<OPOOL__TYPEOF(e)>::is)
#define OPOOL__SAME(T, U) (opool__guard::same<T, U>::is)
#define OPOOL__ELEMENT(N, i, e)
#define OPOOL__NO_ROW(c, i, f) \
    OPOOL__ASSERT(!OPOOL__HAS_POINTER(OPOOL__N c, i, OPOOL__F(c, f)), \
        OPOOL__SAYS(c, f, "is an array of pointers: write OPOOL_BORROWED(" #f \
        ") if the object does not own what they point to; an object that owns memory needs OPOOL_DEFINE_OWNING"));
#if defined(__clang__)
#define OPOOL__NO_DESTRUCTOR(T) __is_trivially_destructible(T)
#else
#define OPOOL__NO_DESTRUCTOR(T) __has_trivial_destructor(T)
#endif
#define OPOOL__ASSERT_PLAIN(N, T) \
    OPOOL__ASSERT(OPOOL__NO_DESTRUCTOR(T) && !__is_polymorphic(T), "opool: pool " OPOOL__STR(N) ": the object type " \
        OPOOL__STR(T) " has a destructor or virtual functions, so it may own memory: " \
        "OPOOL_DEFINE_OWNING, with a destructor call in fini, is the form for it");
#define OPOOL__ASSERT_LISTABLE(N, T) \
    OPOOL__ASSERT(__is_standard_layout(T), "opool: pool " OPOOL__STR(N) ": OPOOL_DEFINE_MEMBERS needs " \
        "a plain struct, and " OPOOL__STR(T) " has base classes, private members or virtual functions");
#else
#define OPOOL__ASSERT _Static_assert
#define OPOOL__ALIGNOF _Alignof
#define OPOOL__ENUM enum
#define OPOOL__END(e) (int)(e)
#define OPOOL__TYPEOF(e) __typeof__(e)
#define OPOOL__OBJECT(N, T) T
#define OPOOL__NAME_OBJECT(N, T)
/* It takes no pointer to an atomic. */
#define OPOOL__CLEAR_PADDING(T, object) \
    __builtin_clear_padding(__builtin_choose_expr(OPOOL__IS_ARRAY(*(object)), (object), \
                                                  (OPOOL__VALUE(*(object)) *)(object)))
/* What e is as a value: an array decays, an atomic loses _Atomic. In gcc a volatile complex stays volatile, and _Atomic
   as a qualifier, unlike _Atomic(), may stand beside that. */
#define OPOOL__VALUE(e) __typeof__(((void)0, (e)))
#define OPOOL__IS_ARRAY(e) \
    (!__builtin_types_compatible_p(__typeof__(e), OPOOL__VALUE(e)) && \
     !__builtin_types_compatible_p(__typeof__(e), _Atomic OPOOL__VALUE(e)))
#define OPOOL__IS_ATOMIC(e) __builtin_types_compatible_p(__typeof__(e), _Atomic OPOOL__VALUE(e))
#define OPOOL__IS_POINTER_(e) (__builtin_classify_type(e) == 5 && !OPOOL__IS_ARRAY(e))
#define OPOOL__IS_POINTER(N, i, e) OPOOL__IS_POINTER_(e)
/* An element of an array, else the thing itself; declared for two dimensions, more are the kernel's business. */
#define OPOOL__FIRST(e) (__builtin_choose_expr(OPOOL__IS_ARRAY(e), (e), &(e))[0])
#define OPOOL__ELEMENT(N, i, e) \
    typedef __typeof__(OPOOL__FIRST(e)) OPOOL__ID(N, row, i); \
    typedef __typeof__(OPOOL__FIRST(*(OPOOL__ID(N, row, i) *)0)) OPOOL__ID(N, element, i);
#define OPOOL__HAS_POINTER(N, i, e) OPOOL__IS_POINTER_(*(OPOOL__ID(N, element, i) *)0)
#define OPOOL__CLEARABLE(N, i, e) OPOOL__HAS_POINTER(N, i, e)
/* integer, char, enumeration, bool */
#define OPOOL__IS_NUMBER(e) (__builtin_classify_type(e) >= 1 && __builtin_classify_type(e) <= 4)
/* Arrays of pointers are the kernel's business. */
#define OPOOL__NO_ROW(c, i, f)
#define OPOOL__SAME(T, U) __builtin_types_compatible_p(T, U)
#define OPOOL__ASSERT_PLAIN(N, T)
#define OPOOL__ASSERT_LISTABLE(N, T)
#endif

#define OPOOL__ID_(N, what, i) opool__##N##_##what##_##i
#define OPOOL__ID(N, what, i) OPOOL__ID_(N, what, i)

/* ---- The kernel: no pointer, all the way down ------------------------------------------------------------------ */

#define OPOOL__ADVICE \
    "mark pointers that it does not own with OPOOL_DEFINE_MEMBERS and OPOOL_BORROWED(member), keep data in " \
    "arrays of fixed size, or use OPOOL_DEFINE_OWNING; clang -fsyntax-only names the member"
#define OPOOL__ADVICE_MEMBER(f) \
    "OPOOL_BORROWED(" #f ") is for pointers that the object does not own, and arrays of them; " OPOOL__ADVICE
#define OPOOL__ADVICE_OPAQUE \
    "list its members with OPOOL_DEFINE_MEMBERS, that one as OPOOL_OPAQUE(member), if its size does not vary and it " \
    "owns nothing"

#if defined(__clang__)
/* An enumerator and not a static assertion: clang 14 does not fold the cast there. The name ends clang's message. */
#define OPOOL__HOLDER(N) \
    opool__##N##_must_hold_no_pointer_and_no_union__or_use_OPOOL_DEFINE_MEMBERS_or_OPOOL_DEFINE_OWNING
#ifdef __cplusplus
#define OPOOL__KERNEL(N, T) \
    struct OPOOL__HOLDER(N) { \
        T opool_t[0]; \
        int opool_one[2]; \
    }; \
    enum { opool__##N##_is_of_fixed_shape = \
               __builtin_bit_cast(OPOOL__HOLDER(N), OPOOL__HOLDER(N){{}, {1, 1}}).opool_one[0] };
#else
/* gcc's kernel refuses const members, because it assigns: the same here. */
#define OPOOL__KERNEL(N, T) \
    struct OPOOL__HOLDER(N) { \
        T opool_t[0]; \
        int opool_one[2]; \
    }; \
    enum { opool__##N##_is_of_fixed_shape = \
               __builtin_bit_cast(struct OPOOL__HOLDER(N), \
                                  ((struct OPOOL__HOLDER(N)){.opool_one = {1, 1}})).opool_one[0] }; \
    struct opool__##N##_shape { T opool_t; }; \
    OPOOL__ASSERT(sizeof(*(struct opool__##N##_shape *)0 = *(struct opool__##N##_shape *)0) >= sizeof(T), "");
#endif
#define OPOOL__KERNEL_FIXED(N, T) OPOOL__KERNEL(N, T)
#define OPOOL__KERNEL_LIST(N, T, ...) \
    struct opool__##N##_members { OPOOL__MAP(OPOOL__KEEP, (N, T), __VA_ARGS__) }; \
    OPOOL__KERNEL(N, struct opool__##N##_members)
#define OPOOL__KEEP(c, i, j, x) OPOOL__DO(OPOOL__KEEP_, c, i, j, x)
#define OPOOL__KEEP_FIXED(c, i, j, f) OPOOL__TYPEOF(OPOOL__F(c, f)) f;
#define OPOOL__KEEP_KEPT(c, i, j, f) OPOOL__KEEP_FIXED(c, i, j, f)
#define OPOOL__KEEP_BORROWED(c, i, j, f)
#define OPOOL__KEEP_OPAQUE(c, i, j, f)
#define OPOOL__KEEP_BITS(c, i, j, f)
#define OPOOL__KEEP_KEPT_BITS(c, i, j, f) OPOOL__KEEP_BITS(c, i, j, f)

#elif defined(OPOOL__LOOKS_INTO_MEMBERS)
#define OPOOL__KERNEL_FIXED(N, T) \
    OPOOL__ASSERT(opool__guard::shape<T>::holds_no_pointer, \
        "opool: pool " OPOOL__STR(N) ": the object type " OPOOL__STR(T) " holds a pointer, so its size is not fixed: " \
        OPOOL__ADVICE); \
    OPOOL__ASSERT(opool__guard::shape<T>::is_fixed || !opool__guard::shape<T>::holds_no_pointer, \
        "opool: pool " OPOOL__STR(N) ": the object type " OPOOL__STR(T) " holds what g++ can not look into: " \
        OPOOL__ADVICE_OPAQUE);
#define OPOOL__KERNEL_LIST(N, T, ...) OPOOL__MAP(OPOOL__LOOK, (N, T), __VA_ARGS__)
#define OPOOL__LOOK(c, i, j, x) OPOOL__DO(OPOOL__LOOK_, c, i, j, x)
#define OPOOL__LOOK_FIXED(c, i, j, f) \
    OPOOL__ASSERT(opool__guard::listed<OPOOL__TYPEOF(OPOOL__F(c, f))>::holds_no_pointer, \
        OPOOL__SAYS(c, f, "of " OPOOL__STR(OPOOL__T c) " holds a pointer, so its size is not fixed: " \
        OPOOL__ADVICE_MEMBER(f))); \
    OPOOL__ASSERT(opool__guard::listed<OPOOL__TYPEOF(OPOOL__F(c, f))>::is_fixed || \
                  !opool__guard::listed<OPOOL__TYPEOF(OPOOL__F(c, f))>::holds_no_pointer, \
        OPOOL__SAYS(c, f, "of " OPOOL__STR(OPOOL__T c) " holds what g++ can not look into: OPOOL_OPAQUE(" #f \
        ") if its size does not vary and it owns nothing"));
#define OPOOL__LOOK_KEPT(c, i, j, f) OPOOL__LOOK_FIXED(c, i, j, f)
#define OPOOL__LOOK_BORROWED(c, i, j, f)
#define OPOOL__LOOK_OPAQUE(c, i, j, f)
#define OPOOL__LOOK_BITS(c, i, j, f)
#define OPOOL__LOOK_KEPT_BITS(c, i, j, f)

#elif defined(__cplusplus)
#define OPOOL__KERNEL_FIXED(N, T) \
    OPOOL__ASSERT(!opool__guard::pointer<opool__guard::element<T>::type>::is, \
        "opool: pool " OPOOL__STR(N) ": objects can not be pointers");
#define OPOOL__KERNEL_LIST(N, T, ...)

#else
#define OPOOL__CHECK_FUNCTION \
    __attribute__((__used__, __noinline__, __noclone__, __cold__, __no_instrument_function__, \
                   __no_profile_instrument_function__, __no_sanitize__("address", "thread", "undefined"), \
                   __optimize__("O2", "strict-aliasing"))) static void
#define OPOOL__PROBE(S, ERROR) \
    *word_ = (void *)8; \
    *(S *)to_ = *(const S *)from_; \
    if (*word_ != (void *)8) \
        ERROR();
/* gcc drops -Wpedantic, which OPOOL__REFUSE_FLEXIBLE goes by, in a system header, and takes a struct whose last member
   ends in an array without a size. But such an array has no known padding, which is an error everywhere. Compiled,
   never run. */
#ifdef OPOOL__KNOWS_PADDING
#define OPOOL__REFUSE_UNKNOWN_PADDING(T) \
        return; \
        OPOOL__CLEAR_PADDING(T, (T *)to_);
#define OPOOL__KERNEL_OWNING(N, T) \
    OPOOL__CHECK_FUNCTION opool__##N##_check_shape(void *to_) \
    { \
        (void)to_; \
        OPOOL__REFUSE_UNKNOWN_PADDING(T) \
    }
#else
#define OPOOL__REFUSE_UNKNOWN_PADDING(T)
#endif
#define OPOOL__KERNEL_FIXED(N, T) \
    struct opool__##N##_shape { T opool_t; }; \
    extern void opool__##N##_is_not_of_fixed_shape(void) \
        __attribute__((__error__("opool: pool " OPOOL__STR(N) ": the object type " OPOOL__STR(T) \
                             " holds a pointer, so its size is not fixed: " OPOOL__ADVICE))); \
    OPOOL__CHECK_FUNCTION opool__##N##_check_shape(void **word_, void *to_, const void *from_) \
    { \
        OPOOL__PROBE(struct opool__##N##_shape, opool__##N##_is_not_of_fixed_shape) \
        OPOOL__REFUSE_UNKNOWN_PADDING(T) \
    }
#define OPOOL__KERNEL_LIST(N, T, ...) \
    OPOOL__MAP(OPOOL__WRAP, (N, T), __VA_ARGS__) \
    OPOOL__CHECK_FUNCTION opool__##N##_check_shape(void **word_, void *to_, const void *from_) \
    { \
        (void)word_; \
        (void)to_; \
        (void)from_; \
        OPOOL__MAP(OPOOL__LOOK, (N, T), __VA_ARGS__) \
        OPOOL__REFUSE_UNKNOWN_PADDING(T) \
    }
#define OPOOL__WRAP(c, i, j, x) OPOOL__DO(OPOOL__WRAP_, c, i, j, x)
#define OPOOL__WRAP_FIXED(c, i, j, f) \
    struct OPOOL__ID(OPOOL__N c, shape, i) { OPOOL__TYPEOF(OPOOL__F(c, f)) opool_t; }; \
    extern void OPOOL__ID(OPOOL__N c, is_not_of_fixed_shape, f)(void) \
        __attribute__((__error__("opool: pool " OPOOL__STR(OPOOL__N c) ": member " #f " of " OPOOL__STR(OPOOL__T c) \
                             " holds a pointer, so its size is not fixed: " OPOOL__ADVICE_MEMBER(f))));
#define OPOOL__WRAP_KEPT(c, i, j, f) OPOOL__WRAP_FIXED(c, i, j, f)
#define OPOOL__WRAP_BORROWED(c, i, j, f)
#define OPOOL__WRAP_OPAQUE(c, i, j, f)
#define OPOOL__WRAP_BITS(c, i, j, f)
#define OPOOL__WRAP_KEPT_BITS(c, i, j, f) OPOOL__WRAP_BITS(c, i, j, f)
#define OPOOL__LOOK(c, i, j, x) OPOOL__DO(OPOOL__LOOK_, c, i, j, x)
#define OPOOL__LOOK_FIXED(c, i, j, f) \
    OPOOL__PROBE(struct OPOOL__ID(OPOOL__N c, shape, i), OPOOL__ID(OPOOL__N c, is_not_of_fixed_shape, f))
#define OPOOL__LOOK_KEPT(c, i, j, f) OPOOL__LOOK_FIXED(c, i, j, f)
#define OPOOL__LOOK_BORROWED(c, i, j, f)
#define OPOOL__LOOK_OPAQUE(c, i, j, f)
#define OPOOL__LOOK_BITS(c, i, j, f)
#define OPOOL__LOOK_KEPT_BITS(c, i, j, f) OPOOL__LOOK_BITS(c, i, j, f)
#endif

#ifndef OPOOL__KERNEL_OWNING
#define OPOOL__KERNEL_OWNING(N, T)
#endif

/* ---- Lists: one operation a kind of member --------------------------------------------------------------------- */

/* OPOOL__DO(P, c, i, j, x): P##FIXED(c, i, j, m) for a bare member m, P##BORROWED(c, i, j, m) for OPOOL_BORROWED(m) and
   so on; c is (N, T). */
#define OPOOL__IS_opool__is_BORROWED(f) ~, BORROWED, f
#define OPOOL__IS_opool__is_OPAQUE(f) ~, OPAQUE, f
#define OPOOL__IS_opool__is_KEPT(f) ~, KEPT, f
#define OPOOL__IS_opool__is_BITS(f) ~, BITS, f
#define OPOOL__IS_opool__is_KEPT_BITS(f) ~, KEPT_BITS, f
#define OPOOL__KIND_(a, kind, f, ...) kind
#define OPOOL__NAME_(a, kind, f, ...) f
#define OPOOL__KIND(...) OPOOL__KIND_(__VA_ARGS__)
#define OPOOL__NAME(...) OPOOL__NAME_(__VA_ARGS__)
#define OPOOL__DO(P, c, i, j, x) \
    OPOOL__DO_(P, OPOOL__KIND(OPOOL__IS_##x, FIXED, x, ~), c, i, j, OPOOL__NAME(OPOOL__IS_##x, FIXED, x, ~))
#define OPOOL__DO_(P, kind, c, i, j, f) OPOOL__CAT(P, kind)(c, i, j, f)
#define OPOOL__N(N, T) N
#define OPOOL__T(N, T) T
/* No parentheses around it: decltype tells a member from an expression. */
#define OPOOL__F(c, f) ((OPOOL__OBJECT c *)0)->f

#define OPOOL__SAYS(c, f, what) "opool: pool " OPOOL__STR(OPOOL__N c) ": member " #f " " what

/* The member's kind, and its place: after the end of the one before. */
#define OPOOL__RULE(c, i, j, x) OPOOL__DO(OPOOL__RULE_, c, i, j, x)
#define OPOOL__RULE_FIXED(c, i, j, f) \
    OPOOL__ASSERT(!OPOOL__IS_POINTER(OPOOL__N c, i, OPOOL__F(c, f)), \
        OPOOL__SAYS(c, f, "is a pointer: write OPOOL_BORROWED(" #f \
        ") if the object does not own what it points to; an object that owns memory needs OPOOL_DEFINE_OWNING")); \
    OPOOL__NO_ROW(c, i, f) \
    OPOOL__PLACE(c, i, j, f)
#define OPOOL__RULE_KEPT(c, i, j, f) OPOOL__RULE_FIXED(c, i, j, f)
#define OPOOL__RULE_BORROWED(c, i, j, f) \
    OPOOL__ELEMENT(OPOOL__N c, i, OPOOL__F(c, f)) \
    OPOOL__ASSERT(OPOOL__CLEARABLE(OPOOL__N c, i, OPOOL__F(c, f)), \
        OPOOL__SAYS(c, f, "is declared OPOOL_BORROWED but is neither a pointer nor an array of pointers")); \
    OPOOL__PLACE(c, i, j, f)
#define OPOOL__RULE_OPAQUE(c, i, j, f) \
    OPOOL__ELEMENT(OPOOL__N c, i, OPOOL__F(c, f)) \
    OPOOL__ASSERT(!OPOOL__HAS_POINTER(OPOOL__N c, i, OPOOL__F(c, f)), \
        OPOOL__SAYS(c, f, "is declared OPOOL_OPAQUE but is a pointer: write OPOOL_BORROWED(" #f \
        ") if the object does not own what it points to")); \
    OPOOL__PLACE(c, i, j, f)
#define OPOOL__RULE_KEPT_BITS(c, i, j, f) OPOOL__RULE_BITS(c, i, j, f)
#define OPOOL__RULE_BITS(c, i, j, f) \
    OPOOL__ASSERT(OPOOL__IS_NUMBER(OPOOL__F(c, f)), \
        OPOOL__SAYS(c, f, "is declared OPOOL_BITS but is not a bit-field: a pointer is OPOOL_BORROWED(" #f \
        "), anything else is listed by its bare name")); \
    OPOOL__ENUM { OPOOL__ID(OPOOL__N c, end, i) = OPOOL__ID(OPOOL__N c, end, j) };
#define OPOOL__PLACE(c, i, j, f) \
    OPOOL__ASSERT(sizeof(OPOOL__F(c, f)) > 0, \
        OPOOL__SAYS(c, f, "has size 0: an object whose size varies can not be pooled, give the array its " \
        "largest size")); \
    OPOOL__ASSERT(__builtin_offsetof(OPOOL__T c, f) >= (size_t)OPOOL__ID(OPOOL__N c, end, j), \
        OPOOL__SAYS(c, f, "is listed twice or out of order")); \
    OPOOL__ENUM { OPOOL__ID(OPOOL__N c, end, i) = \
                      OPOOL__END(__builtin_offsetof(OPOOL__T c, f) + sizeof(OPOOL__F(c, f))) };

/* Each name once. */
#define OPOOL__ONCE(c, i, j, x) char OPOOL__NAME(OPOOL__IS_##x, FIXED, x, ~);

/* One initializer a member: the compiler counts them, also those that hide in padding. gcc warns of {0} for a scalar,
   with no option to silence it, but takes a compound literal for anything of static storage. clang takes {0} for all
   but _Atomic members, and for those nothing that would do for arrays too: a type with an _Atomic member is counted by
   size there, which can overlook a member where the list leaves room for padding. */
#define OPOOL__INIT(c, i, j, x) OPOOL__DO(OPOOL__INIT_, c, i, j, x)
#ifdef __cplusplus
#define OPOOL__INIT_FIXED(c, i, j, f) {},
#define OPOOL__INIT_BITS(c, i, j, f) {},
#elif defined(__clang__)
#define OPOOL__INIT_FIXED(c, i, j, f) {0},
#define OPOOL__INIT_BITS(c, i, j, f) 0,
#else
#define OPOOL__INIT_FIXED(c, i, j, f) (__typeof__(OPOOL__F(c, f))){0},
#define OPOOL__INIT_BITS(c, i, j, f) 0,
#endif
#define OPOOL__INIT_KEPT(c, i, j, f) OPOOL__INIT_FIXED(c, i, j, f)
#define OPOOL__INIT_BORROWED(c, i, j, f) OPOOL__INIT_FIXED(c, i, j, f)
#define OPOOL__INIT_OPAQUE(c, i, j, f) OPOOL__INIT_FIXED(c, i, j, f)
#define OPOOL__INIT_KEPT_BITS(c, i, j, f) OPOOL__INIT_BITS(c, i, j, f)
/* C++17 counts better: a structured binding must name them all, a system header does not mute it, and it refuses
   anonymous unions. */
#if defined(__cpp_structured_bindings)
#define OPOOL__COUNT_NAMES(N, T, ...) \
    static inline __attribute__((__unused__)) void opool__##N##_list_must_name_every_member(T *object_) \
    { \
        auto &[OPOOL__MAP(OPOOL__BIND, (N, T), __VA_ARGS__)] = *object_; \
        OPOOL__MAP(OPOOL__TOUCH, (N, T), __VA_ARGS__) \
    }
#define OPOOL__BIND(c, i, j, x) opool__bound_##i OPOOL__CAT(OPOOL__AFTER_, OPOOL__KIND(OPOOL__ENDS_##i, OTHER, i, ~))
#define OPOOL__ENDS_1 ~, LAST, 1
#define OPOOL__AFTER_LAST
#define OPOOL__AFTER_OTHER ,
#define OPOOL__TOUCH(c, i, j, x) (void)opool__bound_##i;
#elif defined(OPOOL__COUNTS_MEMBERS)
/* Could one more be initialized than the list has? Nor is this muted. */
#define OPOOL__COUNT_NAMES(N, T, ...) \
    OPOOL__ASSERT(!opool__guard::has_member<T, OPOOL__COUNT_1(__VA_ARGS__)>::is, \
        "opool: pool " OPOOL__STR(N) ": the list does not name every member of " OPOOL__STR(T));
#else
#define OPOOL__COUNT_NAMES(N, T, ...)
#endif

/* And where that does not count: one zero alone is exempt from the warning. */
#define OPOOL__COUNT_SIZES(N, T, ...) \
    OPOOL__ASSERT( \
        OPOOL__IS_COUNTED(N, T, __VA_ARGS__) || sizeof(T) <= (0 OPOOL__MAP(OPOOL__SIZE, (N, T), __VA_ARGS__)), \
        "opool: pool " OPOOL__STR(N) ": the list does not name every member of " OPOOL__STR(T));
#define OPOOL__SIZE(c, i, j, x) OPOOL__DO(OPOOL__SIZE_, c, i, j, x)
#define OPOOL__SIZE_FIXED(c, i, j, f) + sizeof(OPOOL__F(c, f)) + OPOOL__ALIGNOF(OPOOL__T c) - 1
#define OPOOL__SIZE_KEPT(c, i, j, f) OPOOL__SIZE_FIXED(c, i, j, f)
#define OPOOL__SIZE_BORROWED(c, i, j, f) OPOOL__SIZE_FIXED(c, i, j, f)
#define OPOOL__SIZE_OPAQUE(c, i, j, f) OPOOL__SIZE_FIXED(c, i, j, f)
#define OPOOL__SIZE_BITS(c, i, j, f) + sizeof(long long) + OPOOL__ALIGNOF(OPOOL__T c) - 1
#define OPOOL__SIZE_KEPT_BITS(c, i, j, f) OPOOL__SIZE_BITS(c, i, j, f)
#if defined(__clang__) && !defined(__cplusplus)
#define OPOOL__IS_COUNTED(N, T, ...) (OPOOL__COUNT(__VA_ARGS__) > 1 && !OPOOL__HAS_ATOMIC(N, T, __VA_ARGS__))
#define OPOOL__HAS_ATOMIC(N, T, ...) (0 OPOOL__MAP(OPOOL__ATOMIC, (N, T), __VA_ARGS__))
#define OPOOL__COUNTED(N, T, ...) \
    __typeof__(*__builtin_choose_expr(OPOOL__HAS_ATOMIC(N, T, __VA_ARGS__), \
                                      (struct opool__##N##_each_member_once *)0, (T *)0))
#define OPOOL__ATOMIC(c, i, j, x) OPOOL__DO(OPOOL__ATOMIC_, c, i, j, x)
#define OPOOL__ATOMIC_FIXED(c, i, j, f) || OPOOL__IS_ATOMIC(OPOOL__F(c, f))
#define OPOOL__ATOMIC_KEPT(c, i, j, f) OPOOL__ATOMIC_FIXED(c, i, j, f)
#define OPOOL__ATOMIC_BORROWED(c, i, j, f) OPOOL__ATOMIC_FIXED(c, i, j, f)
#define OPOOL__ATOMIC_OPAQUE(c, i, j, f) OPOOL__ATOMIC_FIXED(c, i, j, f)
#define OPOOL__ATOMIC_BITS(c, i, j, f)
#define OPOOL__ATOMIC_KEPT_BITS(c, i, j, f) OPOOL__ATOMIC_BITS(c, i, j, f)
#else
#define OPOOL__IS_COUNTED(N, T, ...) (OPOOL__COUNT(__VA_ARGS__) > 1)
#define OPOOL__COUNTED(N, T, ...) T
#endif

/* The list as text, for `opool shapes`. */
#define OPOOL__TEXT(c, i, j, x) OPOOL__DO(OPOOL__TEXT_, c, i, j, x)
#define OPOOL__TEXT_FIXED(c, i, j, f) #f " "
#define OPOOL__TEXT_KEPT(c, i, j, f) OPOOL__TEXT_FIXED(c, i, j, f)
#define OPOOL__TEXT_BORROWED(c, i, j, f) "BORROWED(" #f ") "
#define OPOOL__TEXT_OPAQUE(c, i, j, f) "OPAQUE(" #f ") "
#define OPOOL__TEXT_BITS(c, i, j, f) "BITS(" #f ") "
#define OPOOL__TEXT_KEPT_BITS(c, i, j, f) OPOOL__TEXT_BITS(c, i, j, f)

/* The list as a table, for messages and reset verification. */
#define OPOOL__MEMBER(c, i, j, x) OPOOL__DO(OPOOL__MEMBER_, c, i, j, x)
#define OPOOL__MEMBER_FIXED(c, i, j, f) OPOOL__ROW(OPOOL__T c, f, OPOOL_MEMBER_FIXED)
#define OPOOL__MEMBER_KEPT(c, i, j, f) OPOOL__ROW(OPOOL__T c, f, OPOOL_MEMBER_KEPT)
#define OPOOL__MEMBER_BORROWED(c, i, j, f) OPOOL__ROW(OPOOL__T c, f, OPOOL_MEMBER_BORROWED)
#define OPOOL__MEMBER_OPAQUE(c, i, j, f) OPOOL__ROW(OPOOL__T c, f, OPOOL_MEMBER_OPAQUE)
#define OPOOL__MEMBER_BITS(c, i, j, f) {#f, 0, 0, OPOOL_MEMBER_BITS},
#define OPOOL__MEMBER_KEPT_BITS(c, i, j, f) {#f, 0, 0, OPOOL_MEMBER_KEPT_BITS},
#define OPOOL__ROW(T, f, KIND) {#f, (uint32_t)__builtin_offsetof(T, f), (uint32_t)sizeof(((T *)0)->f), KIND},
#define OPOOL__ROWS_END {NULL, 0, 0, OPOOL_MEMBER_FIXED}

/* For the put: how many are borrowed, and their end. */
#define OPOOL__BORROWS(c, i, j, x) OPOOL__DO(OPOOL__BORROWS_, c, i, j, x)
#define OPOOL__BORROWS_FIXED(c, i, j, f)
#define OPOOL__BORROWS_KEPT(c, i, j, f) OPOOL__BORROWS_FIXED(c, i, j, f)
#define OPOOL__BORROWS_BORROWED(c, i, j, f) +1
#define OPOOL__BORROWS_OPAQUE(c, i, j, f)
#define OPOOL__BORROWS_BITS(c, i, j, f)
#define OPOOL__BORROWS_KEPT_BITS(c, i, j, f) OPOOL__BORROWS_BITS(c, i, j, f)
#define OPOOL__CLEAR(c, i, j, x) OPOOL__DO(OPOOL__CLEAR_, c, i, j, x)
#define OPOOL__CLEAR_FIXED(c, i, j, f)
#define OPOOL__CLEAR_KEPT(c, i, j, f) OPOOL__CLEAR_FIXED(c, i, j, f)
#define OPOOL__CLEAR_BORROWED(c, i, j, f) opool__zero((void *)&object_->f, sizeof object_->f);
#define OPOOL__CLEAR_OPAQUE(c, i, j, f)
#define OPOOL__CLEAR_BITS(c, i, j, f)
#define OPOOL__CLEAR_KEPT_BITS(c, i, j, f) OPOOL__CLEAR_BITS(c, i, j, f)

/* ---- The record for `opool shapes` ----------------------------------------------------------------------------- */

/* In section opool_shapes of every object file that defines the pool: a null pointer that ties debug information to T,
   and strings that survive stripping: format, definition, type, kind, and the list or the reason. */
#define OPOOL__NOTE(N, T, KIND, MORE) "opool-shape-1\0" OPOOL__STR(N) "\0" OPOOL__STR(T) "\0" KIND "\0" MORE
#if defined(__has_attribute)
#if __has_attribute(__retain__)
#define OPOOL__RETAIN , __retain__
#endif
#endif
#ifndef OPOOL__RETAIN
#define OPOOL__RETAIN
#endif
#define OPOOL__RECORD(N, T, KIND, MORE) \
    static const struct { \
        const T *opool_type; \
        uint32_t opool_size, opool_align; \
        char opool_note[sizeof(OPOOL__NOTE(N, T, KIND, MORE))]; \
    } opool__shape_##N __attribute__((__used__, __section__("opool_shapes") OPOOL__RETAIN)) = \
        {NULL, (uint32_t)sizeof(T), (uint32_t)OPOOL__ALIGNOF(T), OPOOL__NOTE(N, T, KIND, MORE)};

/* ---- The three guards ------------------------------------------------------------------------------------------ */

#ifdef __cplusplus
/* g++ takes an array of such structs, but no member after one. */
#define OPOOL__REFUSE_FLEXIBLE(N, T) \
    struct opool__##N##_has_a_flexible_array_member { T opool_t[1]; }; \
    struct opool__##N##_has_no_flexible_array_member { T opool_t; char opool_end; };
#else
#define OPOOL__REFUSE_FLEXIBLE(N, T) struct opool__##N##_has_a_flexible_array_member { T opool_t[1]; };
#endif

#define OPOOL__GUARD_ALL(N, T) \
    OPOOL__NAME_OBJECT(N, T) \
    OPOOL__REFUSE_FLEXIBLE(N, T) \
    OPOOL__ASSERT(!OPOOL__SAME(struct N, T), "opool: pool " OPOOL__STR(N) ": the pool and its object type " \
        OPOOL__STR(T) " have the same tag"); \
    OPOOL__ASSERT(sizeof(T) > 0, "opool: pool " OPOOL__STR(N) ": the object type " OPOOL__STR(T) " is empty"); \
    OPOOL__ASSERT(sizeof(T) <= OPOOL_SIZE_MAX, "opool: pool " OPOOL__STR(N) ": objects of " OPOOL__STR(T) \
        " are larger than OPOOL_SIZE_MAX (16 MiB)"); \
    OPOOL__ASSERT(OPOOL__ALIGNOF(T) <= OPOOL_ALIGN_MAX, "opool: pool " OPOOL__STR(N) ": the alignment of " \
        OPOOL__STR(T) " is larger than OPOOL_ALIGN_MAX (4096)");

#define OPOOL__GUARD_FIXED(N, T) \
    OPOOL__PUSH \
    OPOOL__GUARD_ALL(N, T) \
    OPOOL__ASSERT_PLAIN(N, T) \
    OPOOL__KERNEL_FIXED(N, T) \
    OPOOL__RECORD(N, T, "fixed", "") \
    OPOOL__POP

#define OPOOL__GUARD_LIST(N, T, ...) \
    OPOOL__PUSH \
    OPOOL__GUARD_ALL(N, T) \
    OPOOL__ASSERT_PLAIN(N, T) \
    OPOOL__ASSERT_LISTABLE(N, T) \
    OPOOL__POP \
    OPOOL__PUSH_LIST \
    struct opool__##N##_each_member_once { OPOOL__MAP(OPOOL__ONCE, (N, T), __VA_ARGS__) }; \
    OPOOL__ENUM { OPOOL__ID(N, end, OPOOL__COUNT_1(__VA_ARGS__)) = 0 }; \
    OPOOL__MAP(OPOOL__RULE, (N, T), __VA_ARGS__) \
    __attribute__((__unused__)) static OPOOL__COUNTED(N, T, __VA_ARGS__) \
        opool__##N##_list_must_name_every_member_in_order = { \
        OPOOL__MAP(OPOOL__INIT, (N, T), __VA_ARGS__)}; \
    OPOOL__COUNT_NAMES(N, T, __VA_ARGS__) \
    OPOOL__COUNT_SIZES(N, T, __VA_ARGS__) \
    OPOOL__POP \
    OPOOL__PUSH \
    OPOOL__KERNEL_LIST(N, T, __VA_ARGS__) \
    OPOOL__RECORD(N, T, "listed", OPOOL__MAP(OPOOL__TEXT, (N, T), __VA_ARGS__)) \
    OPOOL__POP

#define OPOOL__GUARD_OWNING(N, T, REASON) \
    OPOOL__PUSH \
    OPOOL__GUARD_ALL(N, T) \
    OPOOL__ASSERT(sizeof("" REASON) > 1, "opool: pool " OPOOL__STR(N) ": say why its objects own memory"); \
    OPOOL__KERNEL_OWNING(N, T) \
    OPOOL__RECORD(N, T, "owning", "" REASON) \
    OPOOL__POP

/* clang-format on */

#endif
