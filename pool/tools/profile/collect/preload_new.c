/* SPDX-License-Identifier: MIT */

/*
 * C++'s operators new and delete. The usual ones call malloc and free, where they are recorded. Those of some
 * allocators (jemalloc, tcmalloc) do the work themselves: then they are recorded here. The program's own come before
 * ours and are not seen.
 *
 * An operator may throw: nothing is held while it runs, and what it does besides (time, system calls) is not looked at.
 * It may also call one of malloc's kin after all, which the count of the thread's calls shows.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <opool/inline.h>
#include <stdlib.h>
#include <string.h>

#include "behind.h"
#include "os/report.h"
#include "preload.h"

/* Names have the type of size_t in them. */
#if __SIZEOF_SIZE_T__ == 8 && defined(__LP64__)

/* The operator behind us, once it was asked for. */
struct next {
    void *at;
    void *usual; /* the same, unless it is the allocator's own */
    bool none;   /* it was looked for in vain */
};

static bool is_allocators(void *at)
{
    Dl_info of_operator, of_malloc;
    void *malloc_behind;
    if (!opool__behind_known())
        return false;
    memcpy(&malloc_behind, &opool__behind.malloc, sizeof malloc_behind);
    return dladdr(at, &of_operator) && dladdr(malloc_behind, &of_malloc) &&
           of_operator.dli_fbase == of_malloc.dli_fbase;
}

/* A plugin may bring the C++ library with it, unseen by others: then it is asked by name. */
static void *find_in_library(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
    void *at = NULL;
    for (size_t i = 0; !at && i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        at = library ? dlsym(library, name) : NULL;
    }
    return at;
}

/* False: only a plugin that is linked to the C++ library statically has it, and can not be asked. */
static __attribute__((noinline, cold)) bool find(struct next *next, const char *name)
{
    if (next->none)
        return false;
    void *at = dlsym(RTLD_NEXT, name);
    if (!at)
        at = find_in_library(name);
    next->none = !at;
    if (!at)
        return false;
    opool__store_relaxed(&next->at, at);
    if (!is_allocators(at))
        opool__store_relaxed(&next->usual, at);
    return true;
}

/* What the usual ones do, except that it can not throw. */
static void *by_malloc(const char *name, size_t size, size_t alignment)
{
    void *at = alignment ? memalign(alignment, size ? size : 1) : malloc(size ? size : 1);
    if (!at && !strstr(name, "nothrow")) {
        opool__say("profile: no memory for %zu bytes, and no C++ library has %s to say so", size, name);
        abort();
    }
    return at;
}

static inline uint64_t allocations_so_far(void)
{
    return opool__thread.totals ? opool__thread.totals->allocations : 0;
}

static void record(const void *at, size_t size, size_t alignment, struct opool__caller caller)
{
    const struct opool__call call = {.timed = false};
    const struct opool__wish wish = {size, alignment, 'm', caller};
    struct opool__worker *worker = opool__skips() ? NULL : opool__enter();
    if (!worker)
        return;
    opool__book_allocation(worker, at, &wish, &call);
    opool__sample_skip(worker);
    opool__thread_leave();
}

/* The block is counted as freed, once. */
static uint64_t forget(const void *at)
{
    if (!opool__is_skipped(at))
        opool__forget(at);
    return opool__thread.totals ? opool__thread.totals->frees : 0;
}

static void correct(uint64_t frees)
{
    if (opool__thread.totals && frees)
        opool__thread.totals->frees = frees;
}

/* The operator at `pointer`, as `call`. */
#define CALL(pointer, type) \
    void *at_ = pointer; \
    __typeof__(type) call; \
    memcpy(&call, &at_, sizeof call)

#define OPEN(...) __VA_ARGS__

/* The usual one gets the call as it is, without a register saved and without a frame of ours in its stack; where none
   is known yet, or the allocator has its own, the other function goes on. */
#define NEW(name, alignment, parameters, types, ...) \
    static struct next next_##name; \
    static __attribute__((noinline)) void *slow_##name(const void *address, const uintptr_t *cfa, uintptr_t base, \
                                                       OPEN parameters) \
    { \
        const struct opool__caller caller = {address, cfa, base}; \
        if (!opool__load_relaxed(&next_##name.at) && !find(&next_##name, #name)) \
            return by_malloc(#name, size, alignment); \
        CALL(opool__load_relaxed(&next_##name.at), void *(*)types); \
        if (opool__load_relaxed(&next_##name.usual)) \
            return call(__VA_ARGS__); \
        uint64_t before = allocations_so_far(); \
        void *at = call(__VA_ARGS__); \
        if (allocations_so_far() == before) \
            record(at, size, alignment, caller); \
        return at; \
    } \
    OPOOL__EXPORTED void *name parameters; \
    OPOOL__EXPORTED void *name parameters \
    { \
        CALL(opool__load_relaxed(&next_##name.usual), void *(*)types); \
        if (OPOOL__LIKELY(at_ != NULL)) \
            return call(__VA_ARGS__); \
        return slow_##name(__builtin_return_address(0), __builtin_dwarf_cfa(), OPOOL__CALLER_BASE, __VA_ARGS__); \
    }

#define DELETE(name, parameters, types, ...) \
    static struct next next_##name; \
    static __attribute__((noinline)) void slow_##name parameters \
    { \
        if (!opool__load_relaxed(&next_##name.at) && !find(&next_##name, #name)) { \
            free(at); \
            return; \
        } \
        CALL(opool__load_relaxed(&next_##name.at), void(*) types); \
        uint64_t frees = opool__load_relaxed(&next_##name.usual) || !at ? 0 : forget(at); \
        call(__VA_ARGS__); \
        correct(frees); \
    } \
    OPOOL__EXPORTED void name parameters; \
    OPOOL__EXPORTED void name parameters \
    { \
        CALL(opool__load_relaxed(&next_##name.usual), void(*) types); \
        if (OPOOL__LIKELY(at_ != NULL)) \
            call(__VA_ARGS__); \
        else \
            slow_##name(__VA_ARGS__); \
    }

NEW(_Znwm, 0, (size_t size), (size_t), size)
NEW(_Znam, 0, (size_t size), (size_t), size)
NEW(_ZnwmRKSt9nothrow_t, 0, (size_t size, const void *nothrow), (size_t, const void *), size, nothrow)
NEW(_ZnamRKSt9nothrow_t, 0, (size_t size, const void *nothrow), (size_t, const void *), size, nothrow)
NEW(_ZnwmSt11align_val_t, align, (size_t size, size_t align), (size_t, size_t), size, align)
NEW(_ZnamSt11align_val_t, align, (size_t size, size_t align), (size_t, size_t), size, align)
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, align, (size_t size, size_t align, const void *nothrow),
    (size_t, size_t, const void *), size, align, nothrow)
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, align, (size_t size, size_t align, const void *nothrow),
    (size_t, size_t, const void *), size, align, nothrow)

DELETE(_ZdlPv, (void *at), (void *), at)
DELETE(_ZdaPv, (void *at), (void *), at)
DELETE(_ZdlPvm, (void *at, size_t size), (void *, size_t), at, size)
DELETE(_ZdaPvm, (void *at, size_t size), (void *, size_t), at, size)
DELETE(_ZdlPvRKSt9nothrow_t, (void *at, const void *nothrow), (void *, const void *), at, nothrow)
DELETE(_ZdaPvRKSt9nothrow_t, (void *at, const void *nothrow), (void *, const void *), at, nothrow)
DELETE(_ZdlPvSt11align_val_t, (void *at, size_t align), (void *, size_t), at, align)
DELETE(_ZdaPvSt11align_val_t, (void *at, size_t align), (void *, size_t), at, align)
DELETE(_ZdlPvmSt11align_val_t, (void *at, size_t size, size_t align), (void *, size_t, size_t), at, size, align)
DELETE(_ZdaPvmSt11align_val_t, (void *at, size_t size, size_t align), (void *, size_t, size_t), at, size, align)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *at, size_t align, const void *nothrow),
       (void *, size_t, const void *), at, align, nothrow)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *at, size_t align, const void *nothrow),
       (void *, size_t, const void *), at, align, nothrow)

#endif
