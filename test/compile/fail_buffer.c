/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* OPOOL_BUFFER_DEFINE and OPOOL_BUFFER_LADDER_DEFINE must refuse each of these; test/compile/run says how the comments
   are read. */
#include <opool/buffer.h>

#if defined(CASE_no_capacity)
/* any: buffer io_buf: its capacity is not above 0
   system: too */
OPOOL_BUFFER_DEFINE(io_buf, 0);

#elif defined(CASE_negative_capacity)
/* any: buffer io_buf: its capacity is not above 0 */
OPOOL_BUFFER_DEFINE(io_buf, -1);

#elif defined(CASE_too_large)
/* any: buffer io_buf: its capacity is above OPOOL_SIZE_MAX - OPOOL_BUFFER_HEADER
   system: too */
OPOOL_BUFFER_DEFINE(io_buf, OPOOL_SIZE_MAX);

#elif defined(CASE_overflow)
/* any: buffer io_buf: its capacity is above OPOOL_SIZE_MAX - OPOOL_BUFFER_HEADER */
OPOOL_BUFFER_DEFINE(io_buf, SIZE_MAX);

#elif defined(CASE_unknown_option)
/* any: grow */
OPOOL_BUFFER_DEFINE(io_buf, 4096, .grow = true);

#elif defined(CASE_other_pool)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible|cannot convert|no matching function */
OPOOL_BUFFER_DEFINE(io_buf, 4096);
OPOOL_BUFFER_DEFINE(page, 4096);
void use(struct io_buf_pool *pool, struct page *page);
void use(struct io_buf_pool *pool, struct page *page) { io_buf_pool_put(pool, page); }

#elif defined(CASE_other_chain)
/* flags: -Werror=incompatible-pointer-types
   any: incompatible|cannot convert|no matching function */
OPOOL_BUFFER_DEFINE(io_buf, 4096);
OPOOL_BUFFER_DEFINE(page, 4096);
int use(struct io_buf_chain *chain, struct page_chain *other);
int use(struct io_buf_chain *chain, struct page_chain *other) { return io_buf_chain_move(chain, other); }

#elif defined(CASE_ignored_error)
/* flags: -Werror=unused-result
   any: unused|ignoring return value */
OPOOL_BUFFER_DEFINE(io_buf, 4096);
void use(struct io_buf_chain *chain);
void use(struct io_buf_chain *chain) { io_buf_chain_append(chain, "x", 1); }

#elif defined(CASE_format)
/* flags: -Werror=format
   any: format */
OPOOL_BUFFER_DEFINE(io_buf, 4096);
int use(struct io_buf *buffer);
int use(struct io_buf *buffer) { return io_buf_printf(buffer, "%s", 1); }

#elif defined(CASE_rungs_descend)
/* any: ladder body: capacities are not ascending */
OPOOL_BUFFER_LADDER_DEFINE(body, 4096, 1024);

#elif defined(CASE_rungs_equal)
/* any: ladder body: capacities are not ascending */
OPOOL_BUFFER_LADDER_DEFINE(body, 1024, 4096, 4096);

#elif defined(CASE_rung_of_zero)
/* any: ladder body: a capacity is not above 0 */
OPOOL_BUFFER_LADDER_DEFINE(body, 0, 1024);

#elif defined(CASE_rung_too_large)
/* any: ladder body: a capacity is above what an object can hold */
OPOOL_BUFFER_LADDER_DEFINE(body, 1024, OPOOL_SIZE_MAX);

#elif defined(CASE_nine_rungs)
/* any: ladder body: more than 8 capacities */
OPOOL_BUFFER_LADDER_DEFINE(body, 1, 2, 3, 4, 5, 6, 7, 8, 9);
#endif
