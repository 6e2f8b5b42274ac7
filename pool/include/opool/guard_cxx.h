/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_GUARD_CXX_H
#define OPOOL_GUARD_CXX_H

/*
 * What guard.h asks of types in C++: what a member is, and, for g++ in C++17 and later, whether a type holds a pointer
 * at any depth. Nothing here is public.
 *
 * g++ has neither of guard.h's two kernels, but C++ can ask a type for its members without their names:
 *
 *   T{ {}, {}, x }     is a valid expression if x converts to T's third member. An x with `template <class U> operator
 *                      U()` converts to any, and U is then the member's type: anonymous structs, bit-fields and bases
 *                      included. An array takes x for its first element, through all its dimensions: U is the element.
 *   = delete           is what its operator U is, where U holds a pointer. The compiler still chooses it, and then the
 *                      expression is not valid. Were there none to choose, it would hand x to the first member of the
 *                      class that x did not convert to, unasked.
 *
 * So each member of an aggregate is looked at in turn, in an expression that is never evaluated, and so are its own.
 *
 *   refused            pointers, references, pointers to members, at any depth; unions, because only their first arm
 *                      can be asked (OPOOL_OPAQUE is for those, as with clang); aggregates with more than 128 direct
 *                      members; members that can not be asked: arrays of no elements, classes without a default
 *                      constructor, or with a constructor that takes anything.
 *   classes that are   (constructors, private members) can not be taken apart, but a constant __builtin_bit_cast to
 *   no aggregates      them is refused when they hold a pointer, a union or something volatile: std::string_view,
 *                      std::atomic<T *>.
 *   passes             an array of pointers in such a class; such a class that is not trivially copyable, has no
 *                      constexpr constructor, or is larger than 4096 bytes.
 *
 * test/compile/random compares the answers with the truth for random structs.
 */

#ifdef __cplusplus

#include <stddef.h>

/* clang-format off */

/* Our own traits: <type_traits> can not be included inside extern "C", and costs more than these. */
extern "C++" {
namespace opool__guard
{
template <class T> struct pointer { enum { is = 0 }; };
template <class T> struct pointer<T *> { enum { is = 1 }; };
template <class T> struct pointer<T *__restrict> { enum { is = 1 }; };
template <class C, class T> struct pointer<T C::*> { enum { is = 1 }; };
template <class T> struct pointer<const T> : pointer<T> {};
template <class T> struct pointer<volatile T> : pointer<T> {};
template <class T> struct pointer<const volatile T> : pointer<T> {};
template <class T> struct pointer<T &> { enum { is = 1 }; };
template <class T> struct pointer<T &&> { enum { is = 1 }; };

template <class T> struct element { typedef T type; };
template <class T, size_t n> struct element<T[n]> : element<T> {};
template <class T> struct element<T[]> : element<T> {};

/* Can a pointer be null with all bytes zero? Not a member pointer, nor a reference. */
template <class T> struct clearable : pointer<T> {};
template <class C, class T> struct clearable<T C::*> { enum { is = 0 }; };
template <class T> struct clearable<T &> { enum { is = 0 }; };
template <class T> struct clearable<T &&> { enum { is = 0 }; };
template <class T> struct clearable<const T> : clearable<T> {};

template <class T> struct number { enum { is = !__is_class(T) && !__is_union(T) && !pointer<T>::is }; };
template <class T> struct number<T[]> { enum { is = 0 }; };
template <class T, size_t n> struct number<T[n]> { enum { is = 0 }; };

#ifdef OPOOL__KNOWS_PADDING
template <class T, bool copyable> struct padding { static void clear(T *) {} };
template <class T> struct padding<T, true> { static void clear(T *object) { __builtin_clear_padding(object); } };
#endif

template <class T, class U> struct same { enum { is = 0 }; };
template <class T> struct same<T, T> { enum { is = 1 }; };
}
}

/* Front ends that pose as g++ are not g++. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__EDG__)
#define OPOOL__COUNTS_MEMBERS 1
extern "C++" {
namespace opool__guard
{
template <class X> X make();

struct possible
{
    static constexpr bool is = true;
};
struct impossible
{
    static constexpr bool is = false;
};

/* after<i>::ask<T, X>: may T be initialised by {{}, ..., X}, with i times {}? ask<T>: by i times {} alone? Defined for
   i up to 128. */
template <int i> struct after
{
    template <class T, class... X> static impossible ask(...);
};
#define OPOOL__AFTER(i, ...) \
    template <> struct after<i> { \
        template <class T, class... X> static decltype(T{__VA_ARGS__ make<X>()...}, possible()) ask(int); \
        template <class T, class... X> static impossible ask(...); \
    };
#define OPOOL__1 {},
#define OPOOL__2 {}, {},
#define OPOOL__4 OPOOL__2 OPOOL__2
#define OPOOL__8 OPOOL__4 OPOOL__4
#define OPOOL__16 OPOOL__8 OPOOL__8
#define OPOOL__32 OPOOL__16 OPOOL__16
#define OPOOL__64 OPOOL__32 OPOOL__32
#define OPOOL__AFTER_8(i, ...) \
    OPOOL__AFTER(i, __VA_ARGS__) \
    OPOOL__AFTER(i + 1, __VA_ARGS__ OPOOL__1) \
    OPOOL__AFTER(i + 2, __VA_ARGS__ OPOOL__2) \
    OPOOL__AFTER(i + 3, __VA_ARGS__ OPOOL__2 OPOOL__1) \
    OPOOL__AFTER(i + 4, __VA_ARGS__ OPOOL__4) \
    OPOOL__AFTER(i + 5, __VA_ARGS__ OPOOL__4 OPOOL__1) \
    OPOOL__AFTER(i + 6, __VA_ARGS__ OPOOL__4 OPOOL__2) \
    OPOOL__AFTER(i + 7, __VA_ARGS__ OPOOL__4 OPOOL__2 OPOOL__1)
#define OPOOL__AFTER_32(i, ...) \
    OPOOL__AFTER_8(i, __VA_ARGS__) \
    OPOOL__AFTER_8(i + 8, __VA_ARGS__ OPOOL__8) \
    OPOOL__AFTER_8(i + 16, __VA_ARGS__ OPOOL__16) \
    OPOOL__AFTER_8(i + 24, __VA_ARGS__ OPOOL__16 OPOOL__8)
OPOOL__AFTER_32(0, )
OPOOL__AFTER_32(32, OPOOL__32)
OPOOL__AFTER_32(64, OPOOL__64)
OPOOL__AFTER_32(96, OPOOL__64 OPOOL__32)
OPOOL__AFTER(128, OPOOL__64 OPOOL__64)
#undef OPOOL__AFTER_32
#undef OPOOL__AFTER_8
#undef OPOOL__AFTER
#undef OPOOL__64
#undef OPOOL__32
#undef OPOOL__16
#undef OPOOL__8
#undef OPOOL__4
#undef OPOOL__2
#undef OPOOL__1
template <class T, int i, class... X> struct starts : decltype(after<i>::template ask<T, X...>(0)) {};

/* Has this aggregate so many members? */
template <class T, int i, bool aggregate = __is_aggregate(T)> struct has_member : impossible {};
template <class T, int i> struct has_member<T, i, true> : starts<T, i> {};
}
}

/* C++14 and before can not convert to a struct without a name. */
#if __cplusplus >= 201703L
#define OPOOL__LOOKS_INTO_MEMBERS 1

extern "C++" {
namespace opool__guard
{
/* Converts to all types: is there such a member? */
struct anything
{
    template <class U> operator U() const;
};
struct nothing
{
    template <class U> operator U() const = delete;
};
/* And this may do so for those that pass Test. */
template <bool is> struct when {};
template <> struct when<true> { typedef int type; };
template <template <class> class Test> struct probe
{
    template <class U, typename when<Test<U>::passes>::type = 0> operator U() const;
    template <class U, typename when<!Test<U>::passes>::type = 0> operator U() const = delete;
};

/* The way to a member, for the compiler's notes: member number i of T, counted from 1, itself in member `Within`. */
struct the_object;
template <class T, int i, class Within = the_object> struct member;
template <class Where> struct tell
{
    template <class T> struct of;
};

/* Does a conversion initialise member i, and nothing else that takes our probe, such as a constructor for any type? */
template <class T, int i, bool there = starts<T, i>::is && starts<T, i - 1, anything>::is> struct asks
{
    static constexpr bool is = false;
};
template <class T, int i> struct asks<T, i, true>
{
    static constexpr bool is = !starts<T, i - 1, nothing>::is;
};

/* Members i and following. `seen`: each could be asked, and there are no more. */
template <template <class> class Test, class T, int i, bool there = starts<T, i>::is, bool asked = asks<T, i>::is>
struct members
{
    static constexpr bool passes = true, seen = !starts<T, i - 1, anything>::is;
};
template <template <class> class Test, class T, int i> struct members<Test, T, i, true, false>
{
    typedef members<Test, T, i + 1> rest;
    static constexpr bool passes = rest::passes, seen = false;
};
template <template <class> class Test, class T, int i> struct members<Test, T, i, true, true>
{
    typedef members<Test, T, i + 1> rest;
    static constexpr bool passes = starts<T, i - 1, probe<Test>>::is && rest::passes, seen = rest::seen;
};

/* A reference among the members forbids {} alone, and so does a class without a default constructor. */
template <template <class> class Test, class T, bool empty = starts<T, 0>::is> struct aggregate
{
    static constexpr bool passes = members<Test, T, 1>::passes, seen = members<Test, T, 1>::seen;
};
template <template <class> class Test, class T> struct aggregate<Test, T, false>
{
    static constexpr bool passes = true, seen = false;
};

/* A class that is no aggregate. */
template <class T> struct beside { T t; unsigned char zero; };
template <size_t n> struct bytes { unsigned char byte[n]; };
template <class T> constexpr bool cast()
{
    return __builtin_bit_cast(beside<T>, bytes<sizeof(beside<T>)>{}).zero == 0;
}
template <class T, bool = cast<T>()> char *can_cast(int);
template <class T> char can_cast(...);
#if __has_builtin(__is_literal_type)
template <class T> constexpr bool can_be_cast() { return __is_trivially_copyable(T) && __is_literal_type(T); }
#else
template <class T> constexpr bool can_be_cast() { return false; }
#endif
template <class T, bool asked = can_be_cast<T>() && sizeof(T) <= 4096> struct foreign
{
    static constexpr bool passes = true;
};
template <class T> struct foreign<T, true>
{
    static constexpr bool passes = sizeof(can_cast<T>(0)) == sizeof(char *);
};

enum kind { is_number, is_pointer, is_union, is_aggregate, is_class };
template <class T> constexpr kind kind_of()
{
    return pointer<T>::is ? is_pointer : __is_union(T) ? is_union : !__is_class(T) ? is_number :
        __is_aggregate(T) ? is_aggregate : is_class;
}

/* Nothing to object to. */
template <class T, kind k = kind_of<T>()> struct fixed_ { static constexpr bool passes = k == is_number; };
template <class T> struct fixed;
template <class T> struct fixed_<T, is_class> : foreign<T> {};
template <class T> struct fixed_<T, is_aggregate>
{
    static constexpr bool passes = aggregate<fixed, T>::seen && aggregate<fixed, T>::passes;
};
template <class T> struct fixed : fixed_<T> {};

/* No pointer that can be seen: which of the two messages is it? */
template <class T, kind k = kind_of<T>()> struct unpointed_ { static constexpr bool passes = k != is_pointer; };
template <class T> struct unpointed;
template <class T> struct unpointed_<T, is_aggregate> : aggregate<unpointed, T> {};
template <class T> struct unpointed : unpointed_<T> {};

/* An error where the trouble is, with the way to it in the notes: told<what, member<...>>. */
template <class T, class Where, kind k = kind_of<T>()> struct told
{
    static constexpr bool passes = true;
    static_assert(k != is_pointer, "opool: this member is a pointer");
    static_assert(k != is_union, "opool: this member is a union: g++ does not look into it");
};
template <class Where> template <class T> struct tell<Where>::of : told<T, Where> {};
template <class T, class Where> struct told<T, Where, is_class>
{
    static constexpr bool passes = true;
    static_assert(foreign<T>::passes, "opool: this member is a class that holds a pointer, a union or something "
        "volatile");
};
template <class T, class Where, int i, bool there = starts<T, i>::is> struct told_members
{
    static constexpr bool passes = starts<T, i - 1, probe<tell<member<T, i, Where>>::template of>>::is &&
        told_members<T, Where, i + 1>::passes;
};
template <class T, class Where, int i> struct told_members<T, Where, i, false>
{
    static constexpr bool passes = true;
};
template <class T, class Where> struct told<T, Where, is_aggregate>
{
    static constexpr bool passes = told_members<T, Where, 1>::passes;
    static_assert(aggregate<fixed, T>::seen, "opool: g++ can not look into all members of this struct: a reference, an "
        "array of no elements, more than 128 members, or a class that has no default constructor or takes anything");
};

/* The answer for the element type of a pool or of a listed member. */
template <class T, bool fixed = fixed<T>::passes> struct shape_
{
    static constexpr bool is_fixed = true, holds_no_pointer = true;
};
template <class T> struct shape_<T, false>
{
    enum { is_told = told<T, the_object>::passes };
    static constexpr bool is_fixed = false, holds_no_pointer = unpointed<T>::passes;
};
template <class T> struct shape : shape_<typename element<T>::type> {};
/* A pointer right in a list has its own message. */
template <class T, bool own = pointer<typename element<T>::type>::is> struct listed : shape<T> {};
template <class T> struct listed<T, true>
{
    static constexpr bool is_fixed = true, holds_no_pointer = true;
};
}
}
#endif
#endif

/* clang-format on */

#endif
#endif
