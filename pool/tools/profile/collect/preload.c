/* SPDX-License-Identifier: MIT */

/*
 * The library that `opool profile` preloads: it wraps malloc and its kin, and keeps the books (book.h) in an
 * image that is a file (image.h).
 *
 * The allocator behind us does the work (behind.h). A block is forgotten before it is freed, and known after it was
 * made, so that no address stands for a block that is not, or not any more. What is allocated while the books are
 * kept, by a signal handler or by what the books need, is not recorded.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <opool/inline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "behind.h"
#include "clock.h"
#include "modules.h"
#include "tick.h"
#include "../environment.h"
#include "preload.h"
#include "os/os.h"
#include "os/report.h"

/* ---- malloc and its kin ---- */

/* The allocator is called between the two. */
#define RECORDED_FOR(caller_, call_, ...) \
    __extension__({ \
        struct opool__worker *worker_ = opool__skips() ? NULL : opool__enter(); \
        void *at_; \
        if (worker_) { \
            struct opool__call seen_; \
            struct opool__wish wish_ = {__VA_ARGS__, caller_}; \
            opool__call_open(worker_, &seen_); \
            opool__call_begin(&seen_); \
            at_ = (call_); \
            opool__call_end(&seen_); \
            opool__book_allocation(worker_, at_, &wish_, &seen_); \
            opool__sample_skip(worker_); \
            opool__call_close(worker_, &seen_); \
            opool__thread_leave(); \
        } else { \
            at_ = (call_); \
        } \
        at_; \
    })
#define RECORDED(...) RECORDED_FOR(OPOOL__CALLER, __VA_ARGS__)

static __attribute__((noinline)) void *malloc_slow(size_t size, const void *address, const uintptr_t *cfa,
                                                   uintptr_t base)
{
    const struct opool__caller caller = {address, cfa, base};
    if (!opool__behind_known())
        return opool__first_aid_take(size);
    return RECORDED_FOR(caller, opool__behind.malloc(size), size, 0, 'm');
}

/* Sampled, nearly all calls end here, without a register saved. */
OPOOL__EXPORTED void *malloc(size_t size)
{
    if (opool__skips())
        return opool__behind.malloc(size);
    return malloc_slow(size, __builtin_return_address(0), __builtin_dwarf_cfa(), OPOOL__CALLER_BASE);
}

static __attribute__((noinline)) void *calloc_slow(size_t count, size_t size, const void *address, const uintptr_t *cfa,
                                                   uintptr_t base)
{
    const struct opool__caller caller = {address, cfa, base};
    if (!opool__behind_known())
        return size && count > SIZE_MAX / size ? NULL : opool__first_aid_take(count * size);
    return RECORDED_FOR(caller, opool__behind.calloc(count, size), count * size, 0, 'c');
}

OPOOL__EXPORTED void *calloc(size_t count, size_t size)
{
    if (opool__skips())
        return opool__behind.calloc(count, size);
    return calloc_slow(count, size, __builtin_return_address(0), __builtin_dwarf_cfa(), OPOOL__CALLER_BASE);
}

static __attribute__((noinline)) void free_slow(void *at)
{
    if (opool__first_aid_has(at) || !opool__behind_known())
        return;
    struct opool__worker *worker = opool__enter_free();
    if (!worker) {
        if (*opool__image_own)
            opool__book_free_alone(at);
        opool__behind.free(at);
        return;
    }
    struct opool__call call;
    opool__call_open(worker, &call);
    struct opool__profile_record *record = opool__book_free(worker, at);
    opool__call_begin(&call);
    opool__behind.free(at);
    opool__call_end(&call);
    opool__call_note(&call, record);
    opool__call_close(worker, &call);
    opool__thread_leave();
}

void opool__forget(const void *at)
{
    struct opool__worker *worker = opool__enter_free();
    if (worker) {
        (void)opool__book_free(worker, at);
        opool__thread_leave();
    } else if (*opool__image_own) {
        opool__book_free_alone(at);
    }
}

OPOOL__EXPORTED void free(void *at)
{
    if (!at)
        return;
    if (opool__is_skipped(at))
        opool__behind.free(at);
    else
        free_slow(at);
}

/* Without a worker the block is forgotten: what becomes of it can not be noted. */
static void *move_unrecorded(void *at, size_t size)
{
    if (*opool__image_own)
        opool__book_free_alone(at);
    return opool__behind.realloc(at, size);
}

static void *move(void *at, size_t size)
{
    struct opool__known known;
    struct opool__call call;
    if (opool__counting || (opool__sampling && opool__sample_excludes(at)))
        return opool__behind.realloc(at, size);
    struct opool__worker *worker = opool__enter_free();
    if (!worker)
        return move_unrecorded(at, size);
    opool__call_open(worker, &call);
    bool is_known = opool__book_lift(at, &known);
    opool__call_begin(&call);
    void *to = opool__behind.realloc(at, size);
    opool__call_end(&call);
    if (is_known)
        opool__book_move(worker, &known, at, to, size, &call);
    opool__call_close(worker, &call);
    opool__thread_leave();
    return to;
}

OPOOL__EXPORTED void *realloc(void *at, size_t size)
{
    if (!opool__behind_known() || opool__first_aid_has(at))
        return at ? opool__first_aid_move(at, size) : opool__first_aid_take(size);
    return at ? move(at, size) : RECORDED(opool__behind.realloc(NULL, size), size, 0, 'r');
}

OPOOL__EXPORTED void *reallocarray(void *at, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    if (!at && opool__behind_known())
        return RECORDED(opool__behind.realloc(NULL, count * size), count * size, 0, 'r');
    return realloc(at, count * size);
}

OPOOL__EXPORTED void *memalign(size_t alignment, size_t size)
{
    if (!opool__behind_known())
        return NULL;
    return RECORDED(opool__behind.memalign(alignment, size), size, alignment, 'a');
}

OPOOL__EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    if (!opool__behind_known())
        return NULL;
    return RECORDED(opool__behind.memalign(alignment, size), size, alignment, 'a');
}

OPOOL__EXPORTED int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    if (!opool__behind_known())
        return ENOMEM;
    int saved = errno;
    void *at = RECORDED(opool__behind.memalign(alignment, size), size, alignment, 'a');
    errno = saved;
    if (!at)
        return ENOMEM;
    *out = at;
    return 0;
}

OPOOL__EXPORTED void *valloc(size_t size)
{
    size_t page = opool__os.page_size();
    if (!opool__behind_known())
        return NULL;
    return RECORDED(opool__behind.memalign(page, size), size, page, 'a');
}

OPOOL__EXPORTED void *pvalloc(size_t size)
{
    size_t page = opool__os.page_size();
    if (size > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    size = (size + page - 1) / page * page;
    if (!opool__behind_known())
        return NULL;
    return RECORDED(opool__behind.memalign(page, size), size, page, 'a');
}

/* ---- what is unloaded ---- */

/* Another library may come to its addresses. */
OPOOL__EXPORTED int dlclose(void *library)
{
    static int (*behind)(void *);
    int (*next)(void *) = opool__load_relaxed(&behind);
    if (!next) {
        void *at = dlsym(RTLD_NEXT, "dlclose");
        memcpy(&next, &at, sizeof next);
        opool__store_relaxed(&behind, next);
    }
    int r = next ? next(library) : -1;
    if (opool__thread.inside++ == 0 && *opool__image_own)
        opool__modules_note();
    opool__thread.inside--;
    return r;
}

/* ---- fork ---- */

/* The thread that is to come to the end of a recording first, which a signal handler interrupted to fork. */
static struct opool__thread *interrupted;

/* The image is the parent's, and so are the sites, the records and what is known of blocks. */
static void renew(void)
{
    int saved = errno;
    uint32_t inside = opool__thread.inside;
    opool__thread.inside = 1;
    bool good = opool__image_renew();
    opool__stack_forget();
    opool__sample_forget();
    opool__shadow_root = NULL;
    if (good) {
        opool__threads_renew();
        opool__tick_start();
        opool__thread.inside = inside;
    } else {
        opool__thread = (struct opool__thread){.inside = inside, .gone = true}; /* what it had is no more */
    }
    errno = saved;
}

/* What was interrupted has addresses in the image in its hands. */
bool opool__renew(void)
{
    if (opool__thread.inside > 0 || (interrupted && interrupted != &opool__thread))
        return false;
    interrupted = NULL;
    opool__modules_renew(false);
    renew();
    if (opool__thread.worker)
        opool__sample_skip(opool__thread.worker);
    return *opool__image_own;
}

/* Locks may be this thread's, which lets go of them later all the same, or were of threads that are not here. */
static void put_off(void)
{
    int saved = errno;
    interrupted = &opool__thread;
    opool__thread.skip = 0;
    opool__image_detach();
    opool__sample_forget_others();
    errno = saved;
}

/* Handlers of other libraries run between these, and allocate: meanwhile this thread records nothing. A handler of a
   signal may fork, too: if that came inside, the locks may be this thread's already. */
static void prepare(void)
{
    (void)opool__has_image(); /* a child of a fork that told nobody: locks may be those of threads that are not here */
    if (opool__thread.inside++ > 0)
        return;
    opool__modules_lock();
    opool__threads_lock();
    opool__image_lock();
}

static void parent(void)
{
    if (opool__thread.inside == 1) {
        opool__image_unlock();
        opool__threads_unlock();
        opool__modules_unlock();
    }
    opool__thread.inside--;
}

/* Without an image nobody else would let go of the locks, and the next fork would wait for them. */
static void child(void)
{
    opool__image_reset_lock();
    opool__threads_reset_lock();
    opool__modules_renew(opool__thread.inside == 1);
    /* The page that is wiped tells less than we know: an old kernel does not wipe it. */
    if (opool__image.header && opool__image.header->pid != (uint32_t)getpid()) {
        if (opool__thread.inside > 1)
            put_off();
        else
            renew();
    }
    opool__thread.inside--;
}

/* ---- start and end ---- */

static uint32_t number_of(const char *name, uint32_t otherwise)
{
    const char *text = getenv(name);
    return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

/* Is this a process that is asked for? By the name of its program. */
static bool is_wanted(void)
{
    char path[PATH_MAX];
    const char *only = getenv(OPOOL__PROFILE_ONLY);
    if (!only)
        return true;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    return strcmp(slash && !strchr(only, '/') ? slash + 1 : path, only) == 0;
}

static bool is_glibc_behind(void)
{
    Dl_info of_malloc, of_libc;
    void *libc = dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), *malloc_behind;
    memcpy(&malloc_behind, &opool__behind.malloc, sizeof malloc_behind);
    return libc && dladdr(libc, &of_libc) && dladdr(malloc_behind, &of_malloc) &&
           of_libc.dli_fbase == of_malloc.dli_fbase && opool__behind.usable_size;
}

static void start_books(const char *folder)
{
    struct opool__image_setup setup = {.mode = number_of(OPOOL__PROFILE_MODE, OPOOL__PROFILE_FULL),
                                       .frames = number_of(OPOOL__PROFILE_DEPTH, OPOOL__PROFILE_FRAMES),
                                       .every = number_of(OPOOL__PROFILE_EVERY, 1),
                                       .folder = folder};
    if (setup.frames == 0 || setup.frames > OPOOL__PROFILE_FRAMES)
        setup.frames = OPOOL__PROFILE_FRAMES;
    opool__clock_start();
    opool__sample_start(setup.mode, setup.every);
    opool__book_start(is_glibc_behind());
    opool__threads_start();
    opool__tick_start();
    if (!opool__stack_start(setup.frames) || !opool__image_start(&setup)) {
        opool__say("profile: process %ld is not recorded: no image in %s: %s", (long)getpid(), folder, strerror(errno));
        return;
    }
    opool__image.header->own_malloc = opool__behind_is_not_used();
    opool__modules_note();
    (void)opool__os.at_fork(prepare, parent, child);
}

static __attribute__((constructor)) void start(void)
{
    int saved = errno;
    const char *folder = getenv(OPOOL__PROFILE_FOLDER);
    opool__thread.inside = 1;
    if (opool__behind_known() && folder && is_wanted())
        start_books(folder);
    opool__thread.inside = 0;
    errno = saved;
}

/* A handler of a signal may call exit: if that came inside, the lock may be this thread's already. */
static __attribute__((destructor)) void end(void)
{
    if (!*opool__image_own)
        return;
    if (opool__thread.inside++ == 0)
        opool__tick_end();
    opool__thread.inside--;
    opool__store_release(&opool__image.header->ended, (uint32_t)OPOOL__PROFILE_EXITED);
}
