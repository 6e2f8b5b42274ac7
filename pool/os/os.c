/* SPDX-License-Identifier: MIT */
#include "os/os.h"

#include "os/inspect.h"
#include "os/random.h"
#include "os/unwind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <opool/atomic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000u

/* Calls that fail here may be no failure to the caller, whose errno stays as it was. */
static int result(int r, int saved)
{
    int error = r == 0 ? 0 : -errno;
    errno = saved;
    return error;
}

static int os_reserve(void **out, size_t bytes)
{
    int saved = errno;
    void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return result(-1, saved);
    /* One touched slot must not make 2 MiB resident; refused by kernels without huge pages, which is as good. */
    (void)result(madvise(at, bytes, MADV_NOHUGEPAGE), saved);
    *out = at;
    return 0;
}

static int os_release(void *at, size_t bytes)
{
    int saved = errno;
    return result(munmap(at, bytes), saved);
}

static int os_commit(void *at, size_t bytes)
{
    int saved = errno;
    return result(mprotect(at, bytes, PROT_READ | PROT_WRITE), saved);
}

static size_t os_page_size(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (size_t)size : 4096;
}

/* Purged memory is taken for zero. But what runs the program may say that it gave pages back, and keep them: QEMU in
   place of a processor did until version 7.1. */
static bool purge_is_true(void)
{
    size_t page = os_page_size();
    volatile unsigned char *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return true;
    at[0] = 1;
    bool is = madvise((void *)(uintptr_t)at, page, MADV_DONTNEED) != 0 || at[0] == 0;
    (void)munmap((void *)(uintptr_t)at, page);
    return is;
}

static int os_purge(void *at, size_t bytes)
{
    enum { UNTRIED, TRUE, FALSE };
    static uint32_t shared_tried;
    int saved = errno;
    /* Who tries at the same time finds the same. */
    if (opool__load_relaxed(&shared_tried) == UNTRIED)
        opool__store_relaxed(&shared_tried, purge_is_true() ? (uint32_t)TRUE : (uint32_t)FALSE);
    errno = ENOSYS;
    return result(opool__load_relaxed(&shared_tried) == TRUE ? madvise(at, bytes, MADV_DONTNEED) : -1, saved);
}

static int os_protect(void *at, size_t bytes)
{
    int saved = errno;
    return result(mprotect(at, bytes, PROT_NONE), saved);
}

static int membarrier(int command)
{
    int saved = errno;
    return result((int)syscall(SYS_membarrier, command, 0, 0), saved);
}

static int os_barrier_register(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

static int os_barrier(void)
{
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

static uint64_t os_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NANOSECONDS + (uint64_t)t.tv_nsec;
}

static void os_wait(uint32_t *word, uint32_t expected, uint64_t deadline)
{
    /* WAIT_BITSET takes an absolute time of the monotonic clock. */
    struct timespec until = {.tv_sec = (time_t)(deadline / NANOSECONDS), .tv_nsec = (long)(deadline % NANOSECONDS)};
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline ? &until : NULL, NULL,
            FUTEX_BITSET_MATCH_ANY);
    errno = saved;
}

static void os_wake(uint32_t *word, int count)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved;
}

static pthread_key_t end_key;

static int os_thread_end_init(void (*at_end)(void *))
{
    return -pthread_key_create(&end_key, at_end);
}

static int os_at_thread_end(void *value)
{
    return -pthread_setspecific(end_key, value);
}

_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread fits a word");

static int os_thread_start(uintptr_t *thread, void *(*run)(void *), const char *name)
{
    const struct sched_param usual = {.sched_priority = 0};
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t made;
    int r = pthread_attr_init(&attributes);
    if (r != 0)
        return -r;
    /* Else a thread that works for a realtime one would be one. */
    (void)pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    (void)pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
    (void)pthread_attr_setschedparam(&attributes, &usual);
    sigfillset(&all);
    /* A fault while its signal is blocked ends the process without a word of whoever handles it. */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited, so that no signal comes before it is blocked */
    r = pthread_create(&made, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (r == 0) {
        (void)pthread_setname_np(made, name);
        *thread = (uintptr_t)made;
    }
    return -r;
}

/* No call of this library is a cancellation point. */
static void os_thread_join(uintptr_t thread)
{
    int state, unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)pthread_join((pthread_t)thread, NULL);
    pthread_setcancelstate(state, &unused);
}

static bool os_is_thread(uintptr_t thread)
{
    return pthread_equal(pthread_self(), (pthread_t)thread);
}

static int os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return -pthread_atfork(prepare, parent, child);
}

static int os_event_check(int fd)
{
    static const char eventfd[] = "anon_inode:[eventfd]";
    int saved = errno, flags = fcntl(fd, F_GETFL), r = 0;
    char path[64], what[sizeof eventfd];
    struct stat status;
    if (flags < 0)
        r = -EBADF;
    else if (!(flags & O_NONBLOCK) || fstat(fd, &status) != 0 || (status.st_mode & S_IFMT) != 0)
        r = -EINVAL; /* eventfds have no file type */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = r == 0 ? readlink(path, what, sizeof what) : -1;
    if (length > 0 && (length != (ssize_t)sizeof eventfd - 1 || memcmp(what, eventfd, sizeof eventfd - 1) != 0))
        r = -EINVAL;
    errno = saved;
    return r;
}

static void os_event_add(int fd)
{
    int saved = errno, state, unused;
    uint64_t one = 1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    /* Refused when the counter is full, and then it is readable anyway. */
    if (write(fd, &one, sizeof one) != (ssize_t)sizeof one)
        errno = saved;
    pthread_setcancelstate(state, &unused);
}

static size_t os_address_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

static unsigned os_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < INT_MAX ? (unsigned)n : 1;
}

static uint64_t os_thread_number(void)
{
    return (uint64_t)syscall(SYS_gettid);
}

static ssize_t read_all(int fd, char *to, size_t room)
{
    size_t length = 0;
    ssize_t n = 1;
    while (n != 0 && length < room) {
        n = read(fd, to + length, room - length);
        if (n < 0 && errno != EINTR)
            return -errno;
        length += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)length;
}

static ssize_t os_read_file(const char *path, char *to, size_t room)
{
    /* O_NONBLOCK: a pipe of this name is no reason to wait. */
    int saved = errno, state, fd;
    struct stat status;
    ssize_t r;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0)
        r = -errno;
    else if (!S_ISREG(status.st_mode))
        r = -EINVAL;
    else
        r = status.st_size > (off_t)room ? -EFBIG : read_all(fd, to, room);
    if (fd >= 0)
        (void)close(fd);
    pthread_setcancelstate(state, NULL);
    errno = saved;
    return r;
}

static void os_end_process(int status)
{
    (void)fflush(NULL);
    _exit(status);
}

static const char *os_environment(const char *name)
{
    return secure_getenv(name);
}

struct opool__os opool__os = {
    .reserve = os_reserve,
    .release = os_release,
    .commit = os_commit,
    .purge = os_purge,
    .protect = os_protect,
    .barrier_register = os_barrier_register,
    .barrier = os_barrier,
    .now = os_now,
    .wait = os_wait,
    .wake = os_wake,
    .thread_end_init = os_thread_end_init,
    .at_thread_end = os_at_thread_end,
    .at_fork = os_at_fork,
    .event_check = os_event_check,
    .event_add = os_event_add,
    .thread_start = os_thread_start,
    .thread_join = os_thread_join,
    .is_thread = os_is_thread,
    .address_limit = os_address_limit,
    .page_size = os_page_size,
    .processors = os_processors,
    .thread_number = os_thread_number,
    .seed = opool__os_seed,
    .read_memory = opool__os_read_memory,
    .each_segment = opool__os_each_segment,
    .symbol = opool__os_symbol,
    .unwind = opool__os_unwind,
    .own_code = opool__os_own_code,
    .each_mapping = opool__os_each_mapping,
    .note_modules = opool__os_note_modules,
    .read_file = os_read_file,
    .end_process = os_end_process,
    .environment = os_environment,
    .trap = opool__os_trap,
};
