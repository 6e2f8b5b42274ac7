/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* OPOOL_DEFINE must refuse each of these; test/compile/run says how the comments are read. */
#include <opool.h>

#if defined(CASE_pointer)
/* gcc: pool a_pool: the object type struct a holds a pointer.*OPOOL_DEFINE_MEMBERS.*OPOOL_DEFINE_OWNING
   clang: invalid type 'char \*' is a member of 'struct a'
   clang++: invalid type 'char \*' is a member of 'a'
   g++: pool a_pool: the object type struct a holds a pointer.*OPOOL_DEFINE_MEMBERS.*OPOOL_DEFINE_OWNING
   system: too */
struct a { int n; char *out; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_advice)
/* clang: or_use_OPOOL_DEFINE_MEMBERS_or_OPOOL_DEFINE_OWNING
   gcc: names the member
   g++: names the member */
struct a { const char *name; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_pointer_array)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'char \*\[4\]' is a member of|invalid type 'char \*' is
   g++: pool a_pool: .*holds a pointer */
struct a { int n; char *v[4]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_pointer_at_depth)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'char \*' is a member of
   g++: told<char\*, .*member<headers, 2, .*member<a, 2, .*is a pointer.*pool a_pool: .*holds a pointer */
struct headers { int n; struct { char *key; int len; } e[32]; };
struct a { int fd; struct { struct headers headers; char body[100]; } req; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_pointer_in_union)
/* gcc: pool a_pool: .*holds a pointer
   clang: bit_cast (to|from) a union type
   g++: pool a_pool: the object type struct a holds what g\+\+ can not look into.*OPOOL_OPAQUE */
struct a { int kind; union { int i; char *p; } u[2]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_pointer_in_anonymous_struct)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'void \*'
   g++: pool a_pool: .*holds a pointer */
struct a { int n; __extension__ struct { int x; void *p; }; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_function_pointer)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'void \(\*\)\(int\)' is a member
   g++: pool a_pool: .*holds a pointer */
struct a { int n; void (*done)(int); };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_typedef_pointer)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'handle'
   g++: pool a_pool: .*holds a pointer */
typedef struct thing *handle;
struct a { int n; handle h; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_packed_pointer)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'char \*'
   g++: pool a_pool: .*holds a pointer */
struct __attribute__((packed)) a { char c; char *p; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_list_link)
/* gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'struct a \*'
   clang++: invalid type 'struct a \*'
   g++: pool a_pool: .*holds a pointer */
struct a { struct a *next; int n; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_volatile_pointer)
/* gcc: pool a_pool: .*holds a pointer
   clang: bit_cast to a (pointer|volatile).* type is not allowed
   clang++: not an integral constant expression
   g++: pool a_pool: .*holds a pointer */
struct a { char *volatile p; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_atomic_pointer)
/* gcc: pool a_pool: .*holds a pointer
   clang: n/a does not look under _Atomic
   c++: n/a _Atomic is C */
struct a { int n; struct { _Atomic(char *) p; } in; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_object_is_a_pointer)
/* gcc: pool a_pool: the object type char \* holds a pointer
   clang: invalid type 'char \*\[0\]' is a member|bit_cast to a pointer type
   g++: pool a_pool: the object type (char \*|row) holds a pointer */
OPOOL_DEFINE(a_pool, char *);

#elif defined(CASE_object_is_a_pointer_array)
/* gcc: pool a_pool: the object type row holds a pointer
   clang: bit_cast to a pointer type
   g++: pool a_pool: the object type (char \*|row) holds a pointer */
typedef char *row[4];
OPOOL_DEFINE(a_pool, row);

#elif defined(CASE_flexible_array)
/* gcc: invalid use of structure with flexible array member
   system: too
   gcc-system: flexible array member 'c' does not have well defined padding bits
   clang: may not be used as an array element due to flexible array member
   g++: flexible array member 'a::c' not at end of 'struct opool__a_pool_has_no_flexible_array_member' */
struct a { int n; char c[]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_flexible_array_in_old_standards)
/* gcc: flexible array member
   clang: may not be used as an array element due to flexible array member
   g++: flexible array member 'a::c' not at end of 'struct opool__a_pool_has_no_flexible_array_member'
   c-flags: -std=gnu11
   c++-flags: -std=c++11
   system: too */
struct a { int n; char c[]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_flexible_array_within)
/* gcc: flexible array member 'c' does not have well defined padding bits
   clang: may not be used as an array element due to flexible array member
   g++: flexible array member 'in::c' not at end of 'struct opool__a_pool_has_no_flexible_array_member'
   system: too */
struct in { int n; char c[]; };
struct a { int n; __extension__ struct in in; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_incomplete_type)
/* gcc: incomplete type 'struct a'
   clang: incomplete (element )?type 'struct a'
   clang++: incomplete type 'struct a'|incomplete type 'a'
   g++: incomplete type 'a'|incomplete type 'struct a' */
struct a;
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_variable_length_array)
/* gcc: variably modified
   clang: fields must have a constant size|variable length array
   clang++: fields must have a constant size|variable length array|not an integral constant expression
   g++: size of array|not an integral constant|array bound is not */
int n = 3;
struct a { char c[n]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_void)
/* any: void */
OPOOL_DEFINE(a_pool, void);

#elif defined(CASE_function_type)
/* any: function */
typedef int function(void);
OPOOL_DEFINE(a_pool, function);

#elif defined(CASE_empty_struct)
/* c: pool a_pool: the object type struct a is empty
   c++: n/a an empty class has size 1 */
struct a {};
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_too_large)
/* any: pool a_pool: objects of struct a are larger than OPOOL_SIZE_MAX */
struct a { char c[(16 << 20) + 1]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_alignment_too_large)
/* any: pool a_pool: the alignment of struct a is larger than OPOOL_ALIGN_MAX */
struct a { char c; } __attribute__((aligned(8192)));
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_pool_has_the_tag_of_its_objects)
/* any: pool a: the pool and its object type struct a have the same tag */
struct a { int n; };
OPOOL_DEFINE(a, struct a);

#elif defined(CASE_const_member)
/* gcc: assignment of read-only location
   clang: const-qualified data member
   c++: n/a a const member is set where init builds the object */
struct a { const int id; int n; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_destructor)
/* c++: pool a_pool: the object type struct a has a destructor or virtual functions
   c: n/a C++ */
struct a { int n; ~a(); };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_virtual)
/* c++: pool a_pool: the object type struct a has a destructor or virtual functions
   c: n/a C++ */
struct a { int n; virtual int f(); };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_reference_member)
/* clang++: reference member
   g++: can not look into all members of this struct.*pool a_pool: .* holds what g\+\+ can not look into
   c: n/a C++ */
struct a { int &n; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_volatile_member)
/* clang: bit_cast to a volatile type is not allowed.*invalid type 'volatile int' is a member of
   clang++: not an integral constant expression
   gcc: n/a looks through volatile
   g++: n/a looks through volatile */
struct a { volatile int n; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_union_without_pointer)
/* clang: union type
   g++: this member is a union.*pool a_pool: .*OPOOL_OPAQUE\(member\)
   gcc: n/a looks into unions */
struct a { int n; union { int i; float f; } u; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_anonymous_union)
/* clang: union type
   g++: this member is a union.*pool a_pool: .*holds what
   gcc: n/a looks into unions */
struct a { int n; __extension__ union { int i; float f; }; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_zero_length_array_within)
/* g++: an array of no elements.*pool a_pool: .*holds what
   gcc: n/a passes; harmless, each slot is sizeof(T)
   clang: n/a passes; harmless, each slot is sizeof(T) */
struct in { int n; __extension__ char c[0]; };
struct a { int n; struct in in; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_pointer_in_a_volatile_struct)
/* gcc: pool a_pool: .*holds a pointer
   clang: volatile type
   clang++: must be trivially copyable
   g++: told<char\*, .*member<in, 2, .*member<a, 1, .*this member is a pointer.*pool a_pool: .*holds a pointer */
struct in { int n; char *p; };
struct a { volatile struct in v[2]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_base_class)
/* c++: invalid type 'char \*' is a member of|pool a_pool: .*holds a pointer
   c: n/a C++ */
struct base { char *p; };
struct a : base { int n; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_member_pointer)
/* clang++: bit_cast to a member pointer type
   g++: pool a_pool: .*holds a pointer
   c: n/a C++ */
struct b { int n; };
struct a { int n; void (b::*f)(); };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_private_pointer)
/* clang++: invalid type 'char \*' is a member of
   g++: this member is a class that holds a pointer.*pool a_pool: .*holds what
   c: n/a C++ */
class in { char *p = nullptr; public: char *get() { return p; } };
struct a { int n; in x[2]; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_string_view)
/* clang++: invalid type 'const char \*'
   g++: this member is a class that holds a pointer.*pool a_pool: .*holds what
   c: n/a C++ */
#ifdef __cplusplus
#include <string_view>
struct a { int n; std::string_view text; };
OPOOL_DEFINE(a_pool, struct a);
#endif

#elif defined(CASE_std_atomic_pointer)
/* clang++: must be trivially copyable|'char \*'|not an integral constant expression
   g++: this member is a class that holds a pointer.*pool a_pool: .*holds what
   c: n/a C++ */
#ifdef __cplusplus
#include <atomic>
struct a { int n; std::atomic<char *> p; };
OPOOL_DEFINE(a_pool, struct a);
#endif

#elif defined(CASE_pointer_behind_a_constructor)
/* clang++: not an integral constant expression
   g++: told<char\*, opool__guard::member<a, 3, .*this member is a pointer
   c: n/a C++ */
struct number { int n; number() : n(1) {} };
struct a { number x[2]; int n; char *p; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_class_that_takes_anything)
/* clang++: not an integral constant expression
   g++: takes anything.*pool a_pool: .*holds what
   c: n/a C++ */
#ifdef __cplusplus
struct box { const void *p; box() : p(nullptr) {} template <class T> box(const T &t) noexcept : p(&t) {} };
struct a { int n; box x; };
OPOOL_DEFINE(a_pool, struct a);
#endif

#elif defined(CASE_no_default_constructor)
/* clang++: not an integral constant expression
   g++: no default constructor.*pool a_pool: .*holds what
   c: n/a C++ */
struct number { int n; number(int m) : n(m) {} };
struct a { number x; char *p; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_std_pair)
/* clang++: must be trivially copyable
   g++: n/a can not look into classes that are no aggregates and not trivially copyable
   c: n/a C++ */
#ifdef __cplusplus
#include <utility>
struct a { int n; std::pair<int, char *> p; };
OPOOL_DEFINE(a_pool, struct a);
#endif

#elif defined(CASE_private_pointer_array)
/* clang++: invalid type 'char \*\[2\]'
   g++: n/a can not look into arrays of a class with private members
   c: n/a C++ */
class in { char *p[2] = {}; public: char *get() { return p[1]; } };
struct a { int n; in x; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_more_than_128_members)
/* g++: more than 128 members.*pool a_pool: .*holds what
   gcc: pool a_pool: .*holds a pointer
   clang: invalid type 'char \*' */
#define M(n) int n##1, n##2, n##3, n##4, n##5, n##6, n##7, n##8
struct a { M(a); M(b); M(c); M(d); M(e); M(f); M(g); M(h); M(i); M(j); M(k); M(l); M(m); M(n); M(o); M(p); char *q; };
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_no_semicolon)
/* any: expected|error */
struct a { int n; };
OPOOL_DEFINE(a_pool, struct a)
int after;
#endif
