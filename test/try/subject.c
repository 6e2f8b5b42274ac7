/* SPDX-License-Identifier: MIT */

/* What a program may do with malloc and its kin, for `opool try`: test/try/run runs it with pools of the sizes below,
   and without. Usage: subject CASE. Exit status 0, or a line about what is wrong and abort. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* The sizes that are served; 70,000 is above the table of small ones. */
static const size_t sizes[] = {8, 24, 64, 500, 4096, 16392, 70000};
enum { SIZES = sizeof sizes / sizeof *sizes, THREADS = 4, ROUNDS = 20000, HELD = 64 };

static void expect(bool holds, const char *what, size_t size)
{
    if (holds)
        return;
    fprintf(stderr, "subject: %s, of %zu bytes\n", what, size);
    abort();
}

/* Compilers know what malloc does, and would leave it out. */
static _Thread_local void *volatile shown;

static void *show(void *at)
{
    shown = at;
    return shown;
}

static void fill(void *at, size_t size, unsigned mark)
{
    memset(at, (int)(mark & 0xff), size);
}

static bool is_filled(const void *at, size_t size, unsigned mark)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)at)[i] != (mark & 0xff))
            return false;
    return true;
}

/* ---- one thread ---- */

static void check_block(void *at, size_t size, size_t align)
{
    expect(show(at) != NULL, "no block", size);
    expect((uintptr_t)at % align == 0, "not aligned", size);
    size_t usable = malloc_usable_size(at);
    expect(usable >= size, "usable less than asked for", size);
    fill(at, usable, 0xa5);
}

static void take_and_give(size_t size)
{
    void *first = malloc(size);
    check_block(first, size, size >= 16 ? 16 : 8);
    void *second = malloc(size);
    check_block(second, size, size >= 16 ? 16 : 8);
    expect(first != second, "one block twice", size);
    fill(second, malloc_usable_size(second), 0x5a);
    expect(is_filled(first, malloc_usable_size(first), 0xa5), "blocks overlap", size);
    free(first);
    expect(is_filled(second, malloc_usable_size(second), 0x5a), "a free wrote into another block", size);
    free(second);
    unsigned char *zeroed = calloc(1, size);
    expect(zeroed && is_filled(show(zeroed), size, 0), "calloc is not zero", size);
    free(zeroed);
}

static void grow(size_t size)
{
    unsigned char *at = malloc(size);
    check_block(at, size, 8);
    size_t usable = malloc_usable_size(at);
    unsigned char *same = realloc(at, usable);
    expect(show(same) == at, "realloc to the usable size moves", size);
    unsigned char *more = realloc(same, usable + 1);
    check_block(more, usable + 1, 8);
    more = realloc(more, 10 * size + 100);
    expect(is_filled(show(more), usable, 0xa5), "realloc loses what was there", size);
    free(more);
}

static void shrink(size_t size)
{
    unsigned char *at = malloc(size);
    check_block(at, size, 8);
    at = realloc(at, size / 2 + 1);
    expect(is_filled(show(at), size / 2 + 1, 0xa5), "a shrunk block lost something", size);
    at = realloc(at, 1);
    expect(*(unsigned char *)show(at) == 0xa5, "a shrunk block lost its byte", size);
    at = reallocarray(at, size, 3);
    expect(*(unsigned char *)show(at) == 0xa5, "a grown block lost its byte", size);
    at = realloc(at, size);
    expect(at && *(unsigned char *)show(at) == 0xa5, "back to its size it lost its byte", size);
    free(at);
    at = malloc(size);
    expect(show(realloc(show(at), 0)) == NULL, "realloc to nothing gives something", size);
    at = realloc(NULL, size);
    check_block(at, size, 8);
    free(at);
}

static void align(size_t size)
{
    for (size_t alignment = 8; alignment <= 8192; alignment *= 2) {
        void *at = NULL;
        expect(posix_memalign(&at, alignment, size) == 0, "posix_memalign fails", size);
        check_block(at, size, alignment);
        free(at);
        at = aligned_alloc(alignment, size);
        check_block(at, size, alignment);
        free(at);
        at = memalign(alignment, size);
        check_block(at, size, alignment);
        at = realloc(at, size + 1);
        expect(is_filled(show(at), size, 0xa5), "realloc of an aligned block", size);
        free(at);
    }
    void *at = valloc(size);
    check_block(at, size, (size_t)sysconf(_SC_PAGESIZE));
    free(at);
    at = pvalloc(size);
    check_block(at, size, (size_t)sysconf(_SC_PAGESIZE));
    free(at);
}

static void refuse(size_t size)
{
    void *at = &at, *before = at;
    volatile size_t huge = SIZE_MAX / 2;
    errno = 0;
    expect(show(malloc(huge)) == NULL && errno == ENOMEM, "malloc of half the address space", size);
    errno = 0;
    expect(show(calloc(huge, size)) == NULL && errno == ENOMEM, "calloc overflows", size);
    expect(posix_memalign(&at, 3, size) == EINVAL && at == before, "posix_memalign at 3", size);
    expect(posix_memalign(&at, 24, size) == EINVAL, "posix_memalign at 24", size);
    at = malloc(size);
    check_block(at, size, 8);
    errno = 0;
    expect(show(realloc(at, huge)) == NULL && errno == ENOMEM, "realloc to half the address space", size);
    expect(is_filled(at, size, 0xa5), "a refused realloc took the block", size);
    errno = 0;
    expect(show(reallocarray(at, huge, size + 4)) == NULL && errno == ENOMEM, "reallocarray overflows", size);
    errno = 4711;
    free(at);
    free(NULL);
    at = malloc(size);
    show(at);
    free(at);
    expect(errno == 4711, "errno changes", size);
    expect(malloc_usable_size(NULL) == 0, "NULL has a usable size", size);
}

/* Of newer C libraries; the preloaded library has them anyway. */
static void free_otherwise(size_t size)
{
    void (*sized)(void *, size_t);
    void (*aligned)(void *, size_t, size_t);
    void *found = dlsym(RTLD_DEFAULT, "free_sized"), *other = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    memcpy(&sized, &found, sizeof sized);
    memcpy(&aligned, &other, sizeof aligned);
    if (sized)
        sized(malloc(size), size);
    if (aligned)
        aligned(aligned_alloc(16, size), 16, size);
}

static void run_basic(void)
{
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < SIZES; i++) {
            take_and_give(sizes[i]);
            grow(sizes[i]);
            shrink(sizes[i]);
            align(sizes[i]);
            refuse(sizes[i]);
            free_otherwise(sizes[i]);
        }
}

/* ---- threads: blocks go from hand to hand ---- */

struct held {
    unsigned char *at;
    size_t size;
    unsigned mark;
};

static struct held shared_held[HELD];
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t last_words;

/* As libraries do that free in a destructor: long after malloc's own thread data may be gone. */
static void at_thread_end(void *block)
{
    free(block);
    block = malloc(64);
    fill(show(block), 64, 1);
    free(block);
}

static struct held exchange(size_t place, struct held with)
{
    pthread_mutex_lock(&held_lock);
    struct held was = shared_held[place];
    shared_held[place] = with;
    pthread_mutex_unlock(&held_lock);
    return was;
}

static struct held make(unsigned random)
{
    struct held held = {.size = random % 3 ? sizes[random / 8 % SIZES] : random / 8 % 5000 + 1, .mark = random >> 20};
    held.at = random % 5 ? malloc(held.size) : calloc(1, held.size);
    fill(show(held.at), held.size, held.mark);
    if (random % 7 == 0) {
        size_t size = sizes[random / 64 % SIZES];
        held.at = realloc(held.at, size);
        held.size = size < held.size ? size : held.size;
    }
    return held;
}

static void drop(struct held held)
{
    expect(!held.at || is_filled(held.at, held.size, held.mark), "a block was written to by somebody else", held.size);
    free(held.at);
}

static void *work(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    pthread_setspecific(last_words, malloc(24));
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        drop(exchange(random >> 8 & (HELD - 1), make(random >> 3)));
    }
    return NULL;
}

static void start_threads(pthread_t *threads)
{
    for (uintptr_t i = 0; i < THREADS; i++)
        expect(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0, "no thread", i);
}

static void end_threads(const pthread_t *threads)
{
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < HELD; i++)
        drop(exchange(i, (struct held){NULL, 0, 0}));
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    pthread_key_create(&last_words, at_thread_end);
    for (int round = 0; round < 3; round++) {
        start_threads(threads);
        end_threads(threads);
    }
}

/* More at once than an area has rows. */
static void *wait_and_work(void *barrier)
{
    void *at = malloc(500);
    pthread_barrier_wait(barrier);
    for (int i = 0; i < 99; i++) {
        free(show(at));
        at = malloc(500);
    }
    free(show(at));
    return NULL;
}

static void run_many(void)
{
    enum { MANY = 100 };
    pthread_t threads[MANY];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, MANY);
    for (size_t i = 0; i < MANY; i++)
        expect(pthread_create(&threads[i], NULL, wait_and_work, &barrier) == 0, "no thread", i);
    for (size_t i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
}

/* ---- fork ---- */

static void fork_one(void)
{
    unsigned char *mine = malloc(4096);
    fill(show(mine), 4096, 3);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        expect(is_filled(mine, 4096, 3), "the child sees another block", 4096);
        free(mine);
        run_basic();
        _exit(0);
    }
    int status = 1;
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the child failed", 0);
    expect(is_filled(mine, 4096, 3), "the child took the parent's block", 4096);
    free(mine);
}

static void run_fork(void)
{
    pthread_t threads[THREADS];
    pthread_key_create(&last_words, at_thread_end);
    start_threads(threads);
    for (int i = 0; i < 20; i++)
        fork_one();
    end_threads(threads);
    fork_one();
}

/* Exactly so many, for the report: 1000 and 1000 of 4096 bytes, one at a time. */
static void take_thousand(void)
{
    for (int i = 0; i < 1000; i++)
        free(show(malloc(4096)));
}

static void run_counts(void)
{
    take_thousand();
    pid_t child = fork();
    if (child == 0) {
        take_thousand();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* Ten of 4096 bytes at once, in this process and in three children. */
static void take_ten(void)
{
    void *blocks[10];
    for (size_t i = 0; i < 10; i++)
        check_block(blocks[i] = malloc(4096), 4096, 16);
    for (size_t i = 0; i < 10; i++)
        free(blocks[i]);
}

static void run_children(void)
{
    fflush(NULL);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            take_ten();
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    take_ten();
}

static void run_kill(void)
{
    take_thousand();
    kill(getpid(), SIGKILL);
}

static void run_clear(void)
{
    clearenv();
    take_thousand();
    _exit(7);
}

/* Twenty of 64 bytes at once. */
static void run_twenty(void)
{
    void *blocks[20];
    for (size_t i = 0; i < 20; i++)
        check_block(blocks[i] = malloc(64), 64, 16);
    for (size_t i = 0; i < 20; i++)
        free(blocks[i]);
}

/* ---- at the edges ---- */

static void *left;

static void at_exit_free(void)
{
    free(left);
    left = malloc(500);
    expect(show(left) != NULL, "malloc at exit", 500);
}

static void run_exit(void)
{
    left = malloc(64);
    atexit(at_exit_free);
}

/* Not allowed, and done all the same: a handler that frees and allocates, while the program does nothing but served
   sizes. */
static void *volatile of_handler;

static void on_alarm(int number)
{
    (void)number;
    free(of_handler);
    of_handler = malloc(64);
    fill(of_handler, 64, 9);
}

static void run_signal(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 300000; i++) {
        unsigned char *at = malloc(64);
        fill(show(at), 64, (unsigned)i);
        expect(is_filled(at, 64, (unsigned)i), "a handler got a block in use", 64);
        free(at);
    }
    setitimer(ITIMER_REAL, &never, NULL);
}

static void run_twice(void)
{
    void *at = malloc(500);
    free(show(at));
    free(shown);
}

static void run_middle(void)
{
    char *at = malloc(500);
    show(at);
    free((char *)shown + 16);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"basic", run_basic},      {"threads", run_threads}, {"many", run_many},   {"fork", run_fork},
             {"counts", run_counts},    {"kill", run_kill},       {"clear", run_clear}, {"twenty", run_twenty},
             {"exit", run_exit},        {"signal", run_signal},   {"twice", run_twice}, {"middle", run_middle},
             {"children", run_children}};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            puts("done");
            return 0;
        }
    fputs("subject: no such case\n", stderr);
    return 2;
}
