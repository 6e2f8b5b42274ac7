/* SPDX-License-Identifier: MIT */

/*
 * The library that `opool try` preloads: malloc and its kin, from pools where the configuration says so, else from the
 * allocator behind us (behind.h). Which of both a block is of is told by its address alone (serve.h).
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "behind.h"
#include "count.h"
#include "serve.h"
#include "ticking.h"
#ifdef OPOOL_TRY_CONTEXTS
#include "contexts.h"
#endif

#define EXPORTED __attribute__((visibility("default")))

enum { UNALIGNED = 16 }; /* what malloc promises */

static bool started; /* before, nobody counts */

/* What the library asks for while it serves is its own. */

static void count_other(void)
{
    if (OPOOL__LIKELY(started && !opool__load_relaxed(&opool__me.inside))) {
        struct opool__try_row *row = opool__count_row();
        opool__count_one(row, &row->others);
    }
}

/* A block of a pool; NULL: of the allocator behind, then. */
static void *from_pool(size_t size, size_t align)
{
    uint8_t which = opool__served_which(size);
    return OPOOL__LIKELY(!which) ? NULL : opool__serve_get(which, align);
}

/* ---- new blocks ---- */

EXPORTED void *malloc(size_t size)
{
    void *at = from_pool(size, UNALIGNED);
    if (at)
        return at;
    if (!opool__behind_known())
        return opool__first_aid_take(size);
    count_other();
    return opool__behind.malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    size_t bytes;
    bool fits = !__builtin_mul_overflow(count, size, &bytes);
    void *at = fits ? from_pool(bytes, UNALIGNED) : NULL;
    if (at)
        return memset(at, 0, bytes);
    if (!opool__behind_known())
        return fits ? opool__first_aid_take(bytes) : NULL;
    count_other();
    return opool__behind.calloc(count, size);
}

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    void *at = is_power_of_two(alignment) ? from_pool(size, alignment) : NULL;
    if (at)
        return at;
    if (!opool__behind_known())
        return NULL;
    count_other();
    return opool__behind.memalign(alignment, size);
}

/* Which sizes and alignments are refused depends on the allocator. */
EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    if (is_power_of_two(alignment) || !opool__behind_known() || !opool__behind.aligned_alloc)
        return memalign(alignment, size);
    count_other();
    return opool__behind.aligned_alloc(alignment, size);
}

EXPORTED int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || !is_power_of_two(alignment))
        return EINVAL;
    int saved = errno;
    void *at = memalign(alignment, size);
    errno = saved;
    if (!at)
        return ENOMEM;
    *out = at;
    return 0;
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

EXPORTED void *valloc(size_t size)
{
    return memalign(page_size(), size);
}

EXPORTED void *pvalloc(size_t size)
{
    size_t page = page_size();
    if (size > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, (size + page - 1) / page * page);
}

/* ---- blocks that are there ---- */

EXPORTED void free(void *at)
{
    const struct opool__served *served = opool__served_of(at);
    if (OPOOL__UNLIKELY(served != NULL)) {
        opool__serve_put(served, at);
        return;
    }
    if (at && !opool__first_aid_has(at) && opool__behind_known())
        opool__behind.free(at);
}

/* For programs that are older than the C library, and for those of newer ones, which would call those past us. */
EXPORTED void cfree(void *at);
EXPORTED void cfree(void *at)
{
    free(at);
}

EXPORTED void free_sized(void *at, size_t size);
EXPORTED void free_sized(void *at, size_t size)
{
    (void)size;
    free(at);
}

EXPORTED void free_aligned_sized(void *at, size_t alignment, size_t size);
EXPORTED void free_aligned_sized(void *at, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    free(at);
}

static bool stays(const struct opool__served *served, size_t size)
{
    return size <= served->usable && (size > served->usable / 2 || size >= served->least);
}

/* A block that shrank a lot does not keep its slot: it may live long, as a small one. */
static void *resize(const struct opool__served *served, void *at, size_t size)
{
    if (stays(served, size))
        return at;
    if (size == 0) {
        free(at);
        return NULL;
    }
    int saved = errno;
    void *to = malloc(size);
    if (!to && size <= served->usable) {
        errno = saved;
        return at;
    }
    if (!to)
        return NULL;
    memcpy(to, at, size < served->usable ? size : served->usable);
    opool__serve_put(served, at);
    return to;
}

EXPORTED void *realloc(void *at, size_t size)
{
    if (!at)
        return malloc(size);
    const struct opool__served *served = opool__served_of(at);
    if (served)
        return resize(served, at, size);
    if (opool__first_aid_has(at) || !opool__behind_known())
        return opool__first_aid_move(at, size);
    count_other();
    return opool__behind.realloc(at, size);
}

EXPORTED void *reallocarray(void *at, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(at, bytes);
}

EXPORTED size_t malloc_usable_size(void *at)
{
    const struct opool__served *served = opool__served_of(at);
    if (served)
        return opool_slot_index(&served->slots, at) == SIZE_MAX ? 0 : served->usable;
    if (!at || opool__first_aid_has(at) || !opool__behind_known() || !opool__behind.usable_size)
        return 0;
    return opool__behind.usable_size(at);
}

/* ---- fork: the library's own handlers hold its locks, and ours stand around them ---- */

static void prepare(void)
{
    opool__store_relaxed(&opool__me.inside, 1u);
}

static void parent(void)
{
    opool__serve_leave();
}

static void child(void)
{
    opool__count_forked();
    opool__ticking_forked();
    opool__serve_leave();
}

/* ---- start ---- */

static bool is_sanitized(void)
{
    static const char *const names[] = {"__asan_init", "__tsan_init", "__msan_init", "__lsan_init", "__hwasan_init"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (dlsym(RTLD_DEFAULT, names[i]))
            return true;
    return false;
}

static enum opool__try_state state_now(void)
{
    if (is_sanitized())
        return OPOOL__TRY_SANITIZED;
    return opool__behind_is_not_used() ? OPOOL__TRY_OWN_MALLOC : OPOOL__TRY_SERVES;
}

/* The program's standard error is its own: only a line before an abort goes there. */
static void say_nothing(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static void serve(const struct opool__try_config *config)
{
    opool_log_set(say_nothing, NULL);
    /* While pools are made, what the library allocates is none of theirs. */
    opool__store_relaxed(&opool__me.inside, 1u);
    unsigned epoch_ms = opool__ticking_start(config);
    opool__serve_start(config, epoch_ms);
#ifdef OPOOL_TRY_CONTEXTS
    if (config->contexts)
        opool__contexts_start(epoch_ms);
#endif
    (void)pthread_atfork(prepare, parent, child);
    opool__store_relaxed(&opool__me.inside, 0u);
}

static __attribute__((constructor)) void start(void)
{
    int saved = errno;
    (void)opool__behind_known();
    const struct opool__try_config *config = opool__count_start();
    if (config) {
        enum opool__try_state state = state_now();
        if (state == OPOOL__TRY_SERVES)
            serve(config);
        started = true;
        opool__store_release(&opool__count_area()->ready, (uint32_t)state);
    }
    errno = saved;
}
