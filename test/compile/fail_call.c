/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* Callbacks, owning pools and calls that must be refused; test/compile/run says how the comments are read. */
#include <opool.h>

struct a { int n; };
struct b { int n; };
static inline int init_a(struct a *a, void *arg) { a->n = arg != NULL; return 0; }
static inline int init_b(struct b *b, void *arg) { b->n = arg != NULL; return 0; }
static inline bool reset_a(struct a *a, void *arg) { a->n = arg != NULL; return true; }
static inline int reset_int(struct a *a, void *arg) { a->n = arg != NULL; return 1; }
static inline void fini_a(struct a *a, void *arg) { a->n = arg != NULL; }
static inline void fini_no_arg(struct a *a) { a->n = 0; }
static inline void fini_const(const struct a *a, void *arg) { (void)a; (void)arg; }
static inline int init_bad_arg(struct a *a, const char *arg) { a->n = arg[0]; return 0; }
static inline struct opool_footprint footprint_a(const struct a *a, void *arg)
{
    struct opool_footprint f = {(size_t)a->n, (size_t)(arg != NULL)};
    return f;
}
static inline size_t footprint_size(const struct a *a, void *arg) { return (size_t)a->n + (arg != NULL); }
static inline struct opool_footprint footprint_b(const struct b *b, void *arg)
{
    struct opool_footprint f = {(size_t)b->n, (size_t)(arg != NULL)};
    return f;
}

#if defined(CASE_init_of_another_type)
/* gcc: assignment to 'int \(\*\)\(struct a \*, void \*\)' from incompatible pointer type
   clang: incompatible function pointer types assigning|assigning to 'int \(\*\)\(struct a \*, void \*\)'
   c++: invalid conversion|assigning to|cannot convert|incompatible
   system: too */
OPOOL_DEFINE(a_pool, struct a, .init = init_b);

#elif defined(CASE_init_returns_void)
/* any: incompatible|cannot convert|invalid conversion|assigning to */
OPOOL_DEFINE(a_pool, struct a, .init = fini_a);

#elif defined(CASE_init_takes_another_arg)
/* any: incompatible|cannot convert|invalid conversion|assigning to */
OPOOL_DEFINE(a_pool, struct a, .init = init_bad_arg);

#elif defined(CASE_reset_returns_int)
/* any: incompatible|cannot convert|invalid conversion|assigning to
   system: too */
OPOOL_DEFINE(a_pool, struct a, .reset = reset_int);

#elif defined(CASE_reset_returns_void)
/* any: incompatible|cannot convert|invalid conversion|assigning to */
OPOOL_DEFINE(a_pool, struct a, .init = init_a, .reset = fini_a);

#elif defined(CASE_fini_returns_int)
/* any: incompatible|cannot convert|invalid conversion|assigning to */
OPOOL_DEFINE(a_pool, struct a, .fini = init_a);

#elif defined(CASE_fini_without_arg)
/* any: incompatible|cannot convert|invalid conversion|assigning to */
OPOOL_DEFINE(a_pool, struct a, .fini = fini_no_arg);

#elif defined(CASE_fini_of_const)
/* any: incompatible|cannot convert|invalid conversion|assigning to
   system: too */
OPOOL_DEFINE(a_pool, struct a, .fini = fini_const);

#elif defined(CASE_callback_is_a_number)
/* any: pointer from integer|integer to pointer|invalid conversion|assigning to
   system: too */
OPOOL_DEFINE(a_pool, struct a, .init = 3);

#elif defined(CASE_callback_is_called)
/* any: pointer from integer|integer to pointer|invalid conversion|assigning to */
OPOOL_DEFINE(a_pool, struct a, .init = init_a(NULL, NULL));

#elif defined(CASE_unknown_callback)
/* any: no member named 'free' */
OPOOL_DEFINE(a_pool, struct a, .free = fini_a);

#elif defined(CASE_footprint_without_owning)
/* any: no member named 'footprint' */
OPOOL_DEFINE(a_pool, struct a, .footprint = footprint_a);

#elif defined(CASE_callback_in_a_list_definition)
/* any: incompatible|cannot convert|invalid conversion|assigning to
   system: too */
OPOOL_DEFINE_MEMBERS(a_pool, struct a, (n), .reset = reset_int);

#elif defined(CASE_owning_without_reason)
/* any: error: */
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_a);

#elif defined(CASE_owning_with_a_callback_for_reason)
/* any: error: */
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_a, .init = init_a);

#elif defined(CASE_owning_with_an_empty_reason)
/* any: pool a_pool: say why its objects own memory */
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_a, "", .init = init_a);

#elif defined(CASE_owning_reason_is_no_literal)
/* any: error: */
static const char *const why = "because";
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_a, why);

#elif defined(CASE_footprint_returns_size)
/* any: incompatible|cannot convert|invalid conversion|cannot initialize
   system: too */
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_size, "because");

#elif defined(CASE_footprint_of_another_type)
/* any: incompatible|cannot convert|invalid conversion|cannot initialize */
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_b, "because");

#elif defined(CASE_owning_callback_of_another_type)
/* any: incompatible|cannot convert|invalid conversion|assigning to
   system: too */
OPOOL_DEFINE_OWNING(a_pool, struct a, footprint_a, "because", .init = init_b);

#elif defined(CASE_owning_incomplete_type)
/* any: incomplete( element)? type '?(struct )?c|undefined type '(struct )?c' */
struct c;
static inline struct opool_footprint footprint_c(const struct c *c, void *arg);
OPOOL_DEFINE_OWNING(c_pool, struct c, footprint_c, "because");

#elif defined(CASE_owning_flexible_array)
/* gcc: flexible array member
   g++: flexible array member 'd::c' not at end of 'struct opool__d_pool_has_no_flexible_array_member'
   clang: may not be used as an array element due to flexible array member
   flags: -O2
   system: too */
struct d { char *p; __extension__ char c[]; };
struct opool_footprint footprint_d(const struct d *d, void *arg);
OPOOL_DEFINE_OWNING(d_pool, struct d, footprint_d, "because");

#elif defined(CASE_pools_mixed_up)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible pointer type|cannot convert 'a_pool\*' to 'b_pool\*'|no matching function */
OPOOL_DEFINE(a_pool, struct a);
OPOOL_DEFINE(b_pool, struct b);
void f(struct a_pool *pool, struct b *b);
void f(struct a_pool *pool, struct b *b) { b_pool_put(pool, b); }

#elif defined(CASE_object_of_another_pool)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible pointer type|cannot convert 'b\*' to 'a\*'|no matching function */
OPOOL_DEFINE(a_pool, struct a);
void f(struct a_pool *pool, struct b *b);
void f(struct a_pool *pool, struct b *b) { a_pool_put(pool, b); }

#elif defined(CASE_get_into_another_type)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible pointer type|cannot convert 'a\*' to 'b\*'|cannot initialize */
OPOOL_DEFINE(a_pool, struct a);
int f(struct a_pool *pool);
int f(struct a_pool *pool) { struct b *b = a_pool_get(pool); return b != NULL; }

#elif defined(CASE_typed_pool_in_an_untyped_call)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible pointer type|cannot convert 'a_pool\*' to 'opool\*'|no matching function */
OPOOL_DEFINE(a_pool, struct a);
void *f(struct a_pool *pool);
void *f(struct a_pool *pool) { return opool_get(pool); }

#elif defined(CASE_create_ignored)
/* flags: -Werror=unused-result
   any: ignoring return value */
OPOOL_DEFINE(a_pool, struct a);
void f(struct a_pool **pool);
void f(struct a_pool **pool) { a_pool_create(pool, NULL); }

#elif defined(CASE_pool_dereferenced)
/* any: incomplete type|invalid use of|undefined type */
OPOOL_DEFINE(a_pool, struct a);
int f(struct a_pool *pool);
int f(struct a_pool *pool) { return sizeof *pool > 0; }

#elif defined(CASE_defined_twice)
/* any: redefinition */
OPOOL_DEFINE(a_pool, struct a);
OPOOL_DEFINE(a_pool, struct a);

#elif defined(CASE_ref_of_another_type)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible pointer type|cannot convert 'b\*' to 'a\*'|no matching function */
OPOOL_REF_TYPE(a_ref, struct a);
a_ref f(struct b *b);
a_ref f(struct b *b) { return a_ref_of(b); }

#elif defined(CASE_refs_mixed_up)
/* any: incompatible type|could not convert|no matching function|passing 'b_ref' */
OPOOL_REF_TYPE(a_ref, struct a);
OPOOL_REF_TYPE(b_ref, struct b);
struct a *f(b_ref r);
struct a *f(b_ref r) { return a_ref_get(r); }
#endif
