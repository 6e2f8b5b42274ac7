/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* OPOOL_DEFINE_MEMBERS must refuse each of these; test/compile/run says how the comments are read. */
#include <opool.h>

#if defined(CASE_left_out)
/* gcc: missing initializer for field 'z' of 'struct a'
   clang: missing field 'z' initializer
   clang++: missing field 'z' initializer
   c++-system: only 2 names provided|decomposes into 3 elements
   g++: missing initializer for member 'a::z'
   system: too */
struct a { int n, m, z; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, m));

#elif defined(CASE_left_out_in_padding)
/* gcc: missing initializer for field 'z'
   clang: missing field 'z' initializer
   c++: only 4 names provided|decomposes into 5 elements
   system: too */
struct a { int n; char c; char forgot; short s; int z; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, c, s, z));

#elif defined(CASE_pointer_left_out)
/* any: pool a_pool: the list does not name every member of struct a
   system: too */
struct a { int n; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n));

#elif defined(CASE_left_out_before_cxx17)
/* c: missing (initializer for )?field 'p'
   g++: missing initializer for member 'a::p'|pool a_pool: the list does not name every member of (struct )?a
   g++-system: pool a_pool: the list does not name every member of struct a
   clang++: missing field 'p' initializer
   c++-flags: -std=c++14
   system: too */
struct a { int n, m; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, m));

#elif defined(CASE_flexible_array_left_out)
/* gcc: flexible array member
   clang: may not be used as an array element due to flexible array member
   g++: flexible array member 'a::c' not at end of 'struct opool__a_pool_has_no_flexible_array_member'
   system: too */
struct a { int n, m; __extension__ char c[]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, m));

#elif defined(CASE_left_out_beside_bits)
/* any: pool a_pool: the list does not name every member of struct a
   system: too */
struct a { unsigned f : 3; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (OPOOL_BITS(f)));

#elif defined(CASE_left_out_beside_atomic)
/* gcc: missing initializer for field 'p'
   clang: pool a_pool: the list does not name every member of struct a
   c++: n/a _Atomic is C */
struct a { _Atomic int n; int m; char *p, *q; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, m));

#elif defined(CASE_twice)
/* c: duplicate member 'b'
   clang++: duplicate member 'b'
   g++: redeclaration of 'char .*b'|conflicts */
struct a { int n, b; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, b, b));

#elif defined(CASE_bits_twice)
/* c: duplicate member 'b'
   clang++: duplicate member 'b'
   g++: redeclaration of 'char .*b'|conflicts */
struct a { unsigned n : 3, b : 4; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (OPOOL_BITS(n), OPOOL_BITS(b), OPOOL_BITS(b)));

#elif defined(CASE_wrong_order)
/* any: pool a_pool: member n is listed twice or out of order
   system: too */
struct a { int n, m, z; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (m, n, z));

#elif defined(CASE_wrong_order_after_bits)
/* any: pool a_pool: member n is listed twice or out of order */
struct a { int n; unsigned f : 3; int m; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (m, OPOOL_BITS(f), n));

#elif defined(CASE_no_such_member)
/* gcc: 'struct a' has no member named 'c'
   g++: has no member named 'c'
   clang: no member named 'c' in '(struct )?a' */
struct a { int n, b; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, b, c));

#elif defined(CASE_bare_pointer)
/* any: pool a_pool: member out is a pointer: write OPOOL_BORROWED\(out\).*OPOOL_DEFINE_OWNING */
struct a { int n; char *out; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, out));

#elif defined(CASE_bare_function_pointer)
/* any: pool a_pool: member done is a pointer: write OPOOL_BORROWED\(done\) */
struct a { int n; void (*done)(int); };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, done));

#elif defined(CASE_bare_atomic_pointer)
/* c: pool a_pool: member p is a pointer: write OPOOL_BORROWED\(p\)
   c++: n/a _Atomic is C */
struct a { int n; _Atomic(char *) p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, p));

#elif defined(CASE_bare_pointer_array)
/* gcc: pool a_pool: member v of struct a holds a pointer.*OPOOL_BORROWED\(v\)
   clang: 'char \*\[4\]'\) is a member of
   c++: pool a_pool: member v is an array of pointers: write OPOOL_BORROWED\(v\) */
struct a { int n; char *v[4]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, v));

#elif defined(CASE_nested_pointer)
/* gcc: pool a_pool: member in of struct a holds a pointer
   clang: invalid type 'char \*' is a member of '(struct )?in'
   g++: pool a_pool: member in of struct a holds a pointer */
struct in { int n; char *p; };
struct a { int n; struct in in; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, in));

#elif defined(CASE_nested_pointer_in_array)
/* gcc: pool a_pool: member in of struct a holds a pointer
   clang: invalid type 'char \*' is a member of '(struct )?in'
   g++: pool a_pool: member in of struct a holds a pointer */
struct in { int n; char *p; };
struct a { char *name; struct in in[2][3]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (OPOOL_BORROWED(name), in));

#elif defined(CASE_pointer_in_union)
/* gcc: pool a_pool: member u of struct a holds a pointer
   clang: union type
   g++: pool a_pool: member u of struct a holds what g\+\+ can not look into: OPOOL_OPAQUE\(u\) */
struct a { int n; union { int i; char *p; } u; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, u));

#elif defined(CASE_borrowed_number)
/* any: pool a_pool: member b is declared OPOOL_BORROWED but is neither a pointer nor an array of pointers */
struct a { int n; unsigned long b; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(b)));

#elif defined(CASE_borrowed_char_array)
/* any: pool a_pool: member b is declared OPOOL_BORROWED but */
struct a { int n; char b[8]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(b)));

#elif defined(CASE_borrowed_struct)
/* any: pool a_pool: member b is declared OPOOL_BORROWED but */
struct in { char *p; };
struct a { int n; struct in b; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(b)));

#elif defined(CASE_borrowed_struct_array)
/* any: pool a_pool: member b is declared OPOOL_BORROWED but */
struct in { char *p; };
struct a { int n; struct in b[3]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(b)));

#elif defined(CASE_borrowed_atomic_number)
/* c: pool a_pool: member b is declared OPOOL_BORROWED but
   c++: n/a _Atomic is C */
struct a { int n; _Atomic unsigned long b; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(b)));

#elif defined(CASE_borrowed_member_pointer)
/* c++: pool a_pool: member b is declared OPOOL_BORROWED but
   c: n/a C++ */
struct a { int n; int a::*b; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BORROWED(b)));

#elif defined(CASE_opaque_pointer)
/* any: pool a_pool: member p is declared OPOOL_OPAQUE but is a pointer: write OPOOL_BORROWED\(p\) */
struct a { int n; void *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_OPAQUE(p)));

#elif defined(CASE_opaque_function_pointer)
/* any: pool a_pool: member p is declared OPOOL_OPAQUE but is a pointer */
struct a { int n; void (*p)(void); };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_OPAQUE(p)));

#elif defined(CASE_opaque_pointer_array)
/* any: pool a_pool: member p is declared OPOOL_OPAQUE but is a pointer */
struct a { int n; void *p[2][2]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_OPAQUE(p)));

#elif defined(CASE_opaque_atomic_pointer)
/* c: pool a_pool: member p is declared OPOOL_OPAQUE but is a pointer
   c++: n/a _Atomic is C */
struct a { int n; _Atomic(void *) p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_OPAQUE(p)));

#elif defined(CASE_kept_pointer)
/* any: member p is a pointer: write OPOOL_BORROWED\(p\)
   system: too */
struct a { int n; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_KEPT(p)));

#elif defined(CASE_kept_nested_pointer)
/* gcc: member in of struct a holds a pointer
   clang: invalid type 'char \*' is a member of
   g++: n/a sees no pointers inside members */
struct a { int n; struct { char *p; } in; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_KEPT(in)));

#elif defined(CASE_kept_bit_field)
/* any: bit-field */
struct a { int n; unsigned f : 3; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_KEPT(f)));

#elif defined(CASE_kept_bits_pointer)
/* any: member p is declared OPOOL_BITS but is not a bit-field */
struct a { int n; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_KEPT_BITS(p)));

#elif defined(CASE_kept_behind_a_bit_field)
/* any: bit-field */
struct a { int n; unsigned f : 3; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BITS(f)), .kept = OPOOL_MEMBERS(f));

#elif defined(CASE_kept_no_member)
/* any: no member named .?x */
struct a { int n; };
OPOOL_DEFINE(a_pool, struct a, .kept = OPOOL_MEMBERS(n, x));

#elif defined(CASE_bits_pointer)
/* any: pool a_pool: member p is declared OPOOL_BITS but is not a bit-field: a pointer is OPOOL_BORROWED\(p\) */
struct a { int n; void *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BITS(p)));

#elif defined(CASE_bare_restrict_pointer)
/* any: pool a_pool: member p is a pointer: write OPOOL_BORROWED\(p\) */
struct a { int n; char *__restrict p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, p));

#elif defined(CASE_bits_restrict_pointer)
/* any: pool a_pool: member p is declared OPOOL_BITS but is not a bit-field */
struct a { int n; char *__restrict p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BITS(p)));

#elif defined(CASE_bits_pointer_array)
/* any: pool a_pool: member p is declared OPOOL_BITS but is not a bit-field */
struct a { int n; void *p[2]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BITS(p)));

#elif defined(CASE_bits_struct)
/* any: pool a_pool: member p is declared OPOOL_BITS but is not a bit-field */
struct a { int n; struct { void *q; } p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BITS(p)));

#elif defined(CASE_bits_union)
/* any: pool a_pool: member p is declared OPOOL_BITS but is not a bit-field */
struct a { int n; union { void *q; int i; } p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, OPOOL_BITS(p)));

#elif defined(CASE_bit_field_by_bare_name)
/* any: bit-field */
struct a { int n; unsigned f : 3; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, f));

#elif defined(CASE_zero_length_array)
/* any: pool a_pool: member c has size 0: an object whose size varies can not be pooled */
struct a { int n; __extension__ char c[0]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, c));

#elif defined(CASE_flexible_array)
/* any: incomplete type '?char *\[\]|flexible array member */
struct a { int n; __extension__ char c[]; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, c));

#elif defined(CASE_empty_list)
/* any: error: */
struct a { int n; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, ());

#elif defined(CASE_list_without_parentheses)
/* any: error: */
struct a { int n, m; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, n, m);

#elif defined(CASE_member_of_a_member)
/* any: error: */
struct a { int n; struct { int x, y; } in; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, in.x, in.y));

#elif defined(CASE_const_member)
/* gcc: assignment of read-only location
   clang: const-qualified data member
   c++: n/a a const member is set where init builds the object */
struct a { const int id; char *p; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (id, OPOOL_BORROWED(p)));

#elif defined(CASE_incomplete_type)
/* any: incomplete( element)? type '?(struct )?a|undefined type '(struct )?a' */
struct a;
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n));

#elif defined(CASE_sixty_five_members)
/* any: error: */
struct a {
    char a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4,
        d5, d6, d7, d8, e1, e2, e3, e4, e5, e6, e7, e8, f1, f2, f3, f4, f5, f6, f7, f8, g1, g2, g3, g4, g5, g6, g7, g8,
        h1, h2, h3, h4, h5, h6, h7, h8, i1;
};
OPOOL_DEFINE_MEMBERS(a_pool, struct a,
                     (a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6,
                      c7, c8, d1, d2, d3, d4, d5, d6, d7, d8, e1, e2, e3, e4, e5, e6, e7, e8, f1, f2, f3, f4,
                      f5, f6, f7, f8, g1, g2, g3, g4, g5, g6, g7, g8, h1, h2, h3, h4, h5, h6, h7, h8, i1));

#elif defined(CASE_anonymous_union)
/* c++: anonymous union
   c: n/a a listed member of an anonymous union stands for all of it: opool shapes sees the rest */
struct a { int n; __extension__ union { int i; char *p; }; int m; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, i, m));

#elif defined(CASE_base_class)
/* c++: pool a_pool: OPOOL_DEFINE_MEMBERS needs a plain struct, and struct a has base classes
   c: n/a C++ */
struct base { char *p; };
struct a : base { int n; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n));

#elif defined(CASE_destructor)
/* c++: pool a_pool: the object type struct a has a destructor
   c: n/a C++ */
struct in { ~in(); int n; };
struct a { char *p; struct in n; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (OPOOL_BORROWED(p), n));

#elif defined(CASE_reference_member)
/* c++: pool a_pool: member r is a pointer
   c: n/a C++ */
struct a { int n; int &r; };
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n, r));
#endif
