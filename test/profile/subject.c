/* SPDX-License-Identifier: MIT */

/*
 * A program for test/profile/run: each case allocates what the script knows, at sites that are functions of their own.
 *
 *     subject CASE...
 */
#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Functions that the compiler does not take one for the other. */
#if defined(__clang__)
#define SITE static __attribute__((noinline))
#else
#define SITE static __attribute__((noinline, noclone, no_icf))
#endif

/* Keeps a call from being one that returns for its caller, and the compiler from knowing what malloc is for. */
static void *keep(void *at)
{
    __asm__ volatile("" : "+r"(at)::"memory");
    return at;
}

static void need(int good)
{
    if (!good)
        _exit(99);
}

static void repeat(void *(*allocate)(void), int count)
{
    for (int i = 0; i < count; i++)
        free(allocate());
}

static unsigned long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void wait_ms(long ms)
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&span, &span) != 0)
        continue;
}

/* ---- functions of malloc's kin ---- */

SITE void *by_malloc(size_t size)
{
    return keep(malloc(size));
}

SITE void *by_calloc(size_t size)
{
    char *at = keep(calloc(4, size / 4));
    for (size_t i = 0; i < size / 4 * 4; i++)
        need(at[i] == 0);
    return at;
}

SITE void *by_realloc(size_t size)
{
    return keep(realloc(keep(NULL), size));
}

SITE void *by_reallocarray(size_t size)
{
    return keep(reallocarray(keep(NULL), 2, size / 2));
}

SITE void *by_memalign(size_t size)
{
    void *at = keep(memalign(256, size));
    need((uintptr_t)at % 256 == 0);
    return at;
}

SITE void *by_aligned_alloc(size_t size)
{
    return keep(aligned_alloc(64, size));
}

SITE void *by_posix_memalign(size_t size)
{
    void *at = NULL;
    need(posix_memalign(&at, 128, size) == 0 && posix_memalign(&at, 3, size) == EINVAL);
    return keep(at);
}

SITE void *by_valloc(size_t size)
{
    return keep(valloc(size));
}

SITE void *by_pvalloc(size_t size)
{
    return keep(pvalloc(size));
}

static void run_kin(void)
{
    void *(*const all[])(size_t) = {by_malloc,        by_calloc,         by_realloc, by_reallocarray, by_memalign,
                                    by_aligned_alloc, by_posix_memalign, by_valloc,  by_pvalloc};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t k = 0; k < 100 * (i + 1); k++) {
            errno = 77;
            char *at = all[i](64);
            need(at != NULL && malloc_usable_size(at) >= 64);
            memset(at, 1, 64);
            free(at);
            need(errno == 77 || i == 6);
        }
}

/* ---- which process ---- */

SITE void *by_parent(void)
{
    return keep(malloc(60));
}

SITE void *by_child(void)
{
    return keep(malloc(61));
}

/* ---- sizes ---- */

SITE void *one_size(size_t size)
{
    return keep(malloc(size));
}

SITE void *ten_sizes(size_t size)
{
    return keep(malloc(size));
}

static void run_sizes(void)
{
    for (size_t i = 0; i < 1000; i++) {
        free(one_size(48));
        free(ten_sizes(10 * (i % 10)));
        free(keep(NULL));
    }
}

/* Blocks of all sizes come where others were. */
SITE void *any_size(size_t size)
{
    return keep(malloc(size));
}

static unsigned draw(unsigned below);

static void run_mixed(void)
{
    void *blocks[64] = {NULL};
    for (int i = 0; i < 300000; i++) {
        unsigned k = draw(64);
        free(blocks[k]);
        blocks[k] = any_size(draw(200));
    }
    for (int k = 0; k < 64; k++)
        free(blocks[k]);
}

/* ---- lifetimes, bursts, what is left ---- */

SITE void *short_lived(void)
{
    return keep(malloc(100));
}

SITE void *long_lived(void)
{
    return keep(malloc(8));
}

SITE void *left(void)
{
    return keep(malloc(3000));
}

/* How long the lives can have been is for the script. */
static void run_lives(void)
{
    void *blocks[50];
    unsigned long long from = now_ns(), between, end;
    for (int i = 0; i < 1000; i++)
        free(short_lived());
    between = now_ns();
    for (int i = 0; i < 50; i++)
        blocks[i] = long_lived();
    wait_ms(30);
    for (int i = 0; i < 50; i++)
        free(blocks[i]);
    end = now_ns();
    for (int i = 0; i < 7; i++)
        left();
    printf("lives %llu %llu\n", between - from, end - between);
}

/* ---- threads ---- */

enum { THREADS = 100, EACH = 200 };

SITE void *of_thread(void)
{
    return keep(malloc(72));
}

static void *hold(void *arg)
{
    void *blocks[EACH];
    size_t most = (size_t)(uintptr_t)arg;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < most; i++)
            blocks[i] = of_thread();
        for (size_t i = 0; i < most; i++)
            free(blocks[i]);
    }
    return NULL;
}

/* At a time: each has its own number; the stacks are small. */
static void run_threads(void)
{
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    need(pthread_attr_setstacksize(&attributes, 64 << 10) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        need(pthread_create(&threads[i], &attributes, hold, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* One after the other: one number. */
static void run_row(void)
{
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        need(pthread_create(&thread, NULL, hold, (void *)(uintptr_t)10) == 0);
        pthread_join(thread, NULL);
    }
}

SITE void *given_away(void)
{
    return keep(malloc(500));
}

static void *take(void *arg)
{
    void **blocks = arg;
    for (int i = 0; i < EACH; i++)
        free(blocks[i]);
    return NULL;
}

/* 200 are freed by another thread, 100 by this one. */
static void run_foreign(void)
{
    void *blocks[EACH];
    pthread_t thread;
    for (int i = 0; i < EACH; i++)
        blocks[i] = given_away();
    need(pthread_create(&thread, NULL, take, blocks) == 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < 100; i++)
        free(given_away());
}

/* Destructors of thread-specific data that allocate, before and behind the collector's. */
static pthread_key_t keys[40];

SITE void *at_thread_end(void)
{
    return keep(malloc(40));
}

static void end_key(void *value)
{
    free(value);
    free(at_thread_end());
}

static void *with_keys(void *arg)
{
    for (size_t i = 0; i < 40; i++)
        pthread_setspecific(keys[i], by_malloc(16));
    return arg;
}

static void run_keys(void)
{
    for (size_t i = 0; i < 40; i++)
        need(pthread_key_create(&keys[i], end_key) == 0);
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        need(pthread_create(&thread, NULL, with_keys, NULL) == 0);
        pthread_join(thread, NULL);
    }
}

/* One that has itself called until the C library calls no more allocates when the collector has ended. */
static pthread_key_t last_key;
static __thread int rounds;

static void end_last(void *value)
{
    for (int i = 0; i < 300; i++)
        free(at_thread_end());
    if (++rounds < 4)
        pthread_setspecific(last_key, value);
}

static void *with_last_key(void *arg)
{
    pthread_setspecific(last_key, by_malloc(16));
    return arg;
}

static void run_late(void)
{
    need(pthread_key_create(&last_key, end_last) == 0);
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        need(pthread_create(&thread, NULL, with_last_key, NULL) == 0);
        pthread_join(thread, NULL);
    }
}

/* ---- realloc ---- */

SITE void *grows(void)
{
    return keep(malloc(16));
}

SITE void *shrinks(void)
{
    return keep(malloc(1000));
}

SITE void *is_refused(void)
{
    return keep(malloc(33));
}

SITE void *ends_by_realloc(void)
{
    return keep(malloc(44));
}

static void *grow_elsewhere(void *block)
{
    return keep(realloc(block, 600));
}

static void run_growth(void)
{
    volatile size_t most = SIZE_MAX / 4, none = 0;
    for (int round = 0; round < 10; round++) {
        char *at = grows();
        memset(at, 'x', 16);
        for (size_t size = 32; size <= 1 << 20; size *= 2) {
            at = keep(realloc(at, size));
            need(at && at[0] == 'x' && at[15] == 'x');
        }
        free(at);
        free(keep(realloc(shrinks(), 100)));
        at = is_refused();
        need(realloc(at, most) == NULL);
        free(at);
        (void)keep(realloc(ends_by_realloc(), none));
    }
    pthread_t thread;
    void *block = given_away();
    need(pthread_create(&thread, NULL, grow_elsewhere, block) == 0);
    pthread_join(thread, &block);
    free(block);
}

/* ---- the heap's growth ---- */

SITE void *top_of_heap(void)
{
    return keep(malloc(100000));
}

SITE void *mapped_alone(void)
{
    return keep(malloc(8 << 20));
}

/* Each free trims the heap, each malloc grows it again; a larger one is mapped. */
static void run_breaks(void)
{
    mallopt(M_TRIM_THRESHOLD, 4096);
    mallopt(M_TOP_PAD, 0);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    for (int i = 0; i < 100; i++)
        free(top_of_heap());
    for (int i = 0; i < 20; i++)
        free(mapped_alone());
}

/* ---- what is timed ---- */

SITE void *most_of_the_time(void)
{
    return keep(malloc(64));
}

SITE void *once_a_round(void)
{
    return keep(malloc(64));
}

/* Its rhythm is that of the timed calls, on the average: 128. */
static void run_rhythm(void)
{
    for (int round = 0; round < 20000; round++) {
        repeat(most_of_the_time, 63);
        repeat(once_a_round, 1);
    }
}

/* ---- stacks ---- */

/* A walk through functions that call one another, with frames of many sizes; the way is kept in `way`, and counted
   here as well. */
static char way[16];
static unsigned long walk_random = 1;

static unsigned draw(unsigned below)
{
    walk_random = walk_random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(walk_random >> 33) % below;
}

static struct {
    char way[16];
    unsigned count;
} ways[20000];

static void count_way(void)
{
    size_t i = 0;
    while (ways[i].count && strcmp(ways[i].way, way) != 0)
        i++;
    need(i + 1 < sizeof ways / sizeof *ways);
    memcpy(ways[i].way, way, sizeof way);
    ways[i].count++;
}

SITE void walk(unsigned depth);

SITE void walk_end(void)
{
    count_way();
    free(keep(malloc(24)));
}

#define WALKER(letter, enough) \
    SITE void walk_##letter(unsigned depth) \
    { \
        volatile char *frame = enough; \
        frame[0] = 1; \
        way[depth] = #letter[0]; \
        walk(depth + 1); \
        way[depth] = '\0'; \
        frame[0] = 0; \
    }
WALKER(a, (char[8]){0})
WALKER(b, (char[300]){0})
WALKER(c, alloca(8 + draw(3) * 64))   /* a few sizes */
WALKER(d, alloca(8 + draw(200) * 16)) /* many */
struct wide {
    _Alignas(128) char bytes[128];
};
SITE void walk_e(unsigned depth) /* realigns its stack */
{
    struct wide wide;
    keep(&wide);
    way[depth] = 'e';
    walk(depth + 1);
    way[depth] = '\0';
    keep(&wide);
}

void walk(unsigned depth)
{
    static void (*const all[])(unsigned) = {walk_a, walk_b, walk_c, walk_d, walk_e};
    if (depth == 5 || draw(4) == 0)
        walk_end();
    else
        all[draw(5)](depth);
    keep(NULL);
}

static void *walk_often(void *arg)
{
    for (int i = 0; i < 40000; i++)
        walk(0);
    return arg;
}

/* What was counted is for the script; on the main thread's stack and on another one. */
static void run_stacks(void)
{
    pthread_t thread;
    walk_often(NULL);
    need(pthread_create(&thread, NULL, walk_often, NULL) == 0);
    pthread_join(thread, NULL);
    for (size_t i = 0; ways[i].count; i++)
        printf("way %s %u\n", ways[i].way, ways[i].count);
}

/* More stacks than there is room for: each way of nine turns through four functions, twice. */
static void turn(unsigned way, unsigned left);

SITE void *at_turns_end(void)
{
    return keep(malloc(32));
}

#define TURN(name, bytes) \
    SITE void name(unsigned way, unsigned left) \
    { \
        char frame[bytes]; \
        keep(frame); \
        turn(way, left); \
        keep(frame); \
    }
TURN(turn_left, 8)
TURN(turn_right, 40)
TURN(turn_up, 100)
TURN(turn_down, 200)

void turn(unsigned way, unsigned left)
{
    static void (*const all[])(unsigned, unsigned) = {turn_left, turn_right, turn_up, turn_down};
    if (left == 0)
        free(at_turns_end());
    else
        all[way & 3](way >> 2, left - 1);
    keep(NULL);
}

static void run_turns(void)
{
    for (unsigned round = 0; round < 2; round++)
        for (unsigned way = 0; way < 1 << 17; way++)
            turn(way, 9);
}

/* ---- signals ---- */

static volatile sig_atomic_t signals;

SITE void *in_handler(void)
{
    return keep(malloc(56));
}

/* Where the program interrupts itself nothing can be held by it. */
static void handle(int number)
{
    (void)number;
    signals++;
    free(in_handler());
}

static void run_handler(void)
{
    signal(SIGUSR2, handle);
    for (int i = 0; i < 500; i++)
        raise(SIGUSR2);
    need(signals == 500);
}

/* A handler at any time is in the midst of the collector sometimes: a free of a block of its own is what may be done
   there without harm to the C library's malloc, and not even that is sure. So it only reads. */
static void handle_alarm(int number)
{
    (void)number;
    signals++;
}

static void run_alarms(void)
{
    struct itimerval often = {{0, 200}, {0, 200}};
    signal(SIGALRM, handle_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 300000; i++)
        free(one_size(48));
    memset(&often, 0, sizeof often);
    setitimer(ITIMER_REAL, &often, NULL);
}

/* One that ends the process, at any time: the collector may be in the midst of a stack that is new to it. */
static void handle_by_exit(int number)
{
    (void)number;
    exit(0);
}

static void run_exits(void)
{
    alarm(200);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct itimerval once = {{0, 0}, {0, 500 + i * 37}};
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            signal(SIGALRM, handle_by_exit);
            repeat(by_child, 1); /* a process that did nothing is not in the profile */
            setitimer(ITIMER_REAL, &once, NULL);
            for (;;)
                run_turns();
        }
        int status;
        need(waitpid(child, &status, 0) == child && status == 0);
    }
}

/* One that forks, at any time; the child goes on where it was interrupted. */
enum { HANDLER_FORKS = 100 };

static volatile sig_atomic_t forks_so_far, is_child;

SITE void *by_forked(void)
{
    return keep(malloc(62));
}

static void handle_by_fork(int number)
{
    int saved = errno;
    (void)number;
    if (is_child || forks_so_far == HANDLER_FORKS)
        return;
    pid_t child = fork();
    if (child == 0) {
        is_child = 1;
        alarm(200);
    } else {
        int status;
        need(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        forks_so_far++;
    }
    errno = saved;
}

/* Stacks that are new and others, and threads: their ends come inside the collector, too. */
static void run_handler_forks(void)
{
    struct itimerval often = {{0, 300}, {0, 300}};
    pthread_t thread;
    signal(SIGPROF, handle_by_fork);
    setitimer(ITIMER_PROF, &often, NULL);
    unsigned way = 0;
    while (forks_so_far < HANDLER_FORKS && !is_child)
        turn(way++, 9);
    if (is_child) {
        repeat(by_forked, 20);
        need(pthread_create(&thread, NULL, hold, (void *)(uintptr_t)10) == 0);
        pthread_join(thread, NULL);
        exit(0);
    }
    printf("turns %u\n", way);
}

/* ---- processes ---- */

static void await(pid_t child)
{
    int status;
    need(waitpid(child, &status, 0) == child && status == 0);
}

static void run_fork(void)
{
    void *inherited = by_parent();
    repeat(by_parent, 9);
    pid_t child = fork();
    if (child == 0) {
        free(inherited);
        repeat(by_child, 20);
        _exit(0);
    }
    await(child);
    free(inherited);
    repeat(by_parent, 5);
}

/* No handlers of pthread_atfork run. */
static void run_clone(void)
{
    repeat(by_parent, 10);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        repeat(by_child, 30);
        _exit(0);
    }
    await(child);
    repeat(by_parent, 5);
}

static void run_vfork(void)
{
    repeat(by_parent, 10);
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    await(child);
    repeat(by_parent, 5);
}

static void *churn(void *stop)
{
    while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
        repeat(of_thread, 10);
    return NULL;
}

/* A child must not wait for a lock that nobody holds. */
static void run_forks(void)
{
    int stop = 0;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        need(pthread_create(&threads[i], NULL, churn, &stop) == 0);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            repeat(by_child, 10);
            _exit(0);
        }
        await(child);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* As nginx: no parent, no environment, no descriptors, no destructors. */
static void run_daemon(void)
{
    if (fork() != 0)
        _exit(7);
    setsid();
    clearenv();
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    wait_ms(300); /* until the command has ended */
    repeat(by_child, 1000);
    _exit(0);
}

/* Rights are given up, and there is another root; then it forks. */
static void run_drop(void)
{
    need(chroot("/") == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    run_fork();
}

/* No image can be made from here on. */
static void run_cage(void)
{
    need(mkdir("cage", 0700) == 0 && chroot("cage") == 0);
    pid_t child = fork();
    if (child == 0) {
        run_fork();
        _exit(0);
    }
    await(child);
    run_clone();
}

SITE void *of_plugin(const char *file)
{
    void *plugin = dlopen(file, RTLD_NOW);
    need(plugin != NULL);
    return dlsym(plugin, "plugin_allocate");
}

/* One after the other, and again: each at the other's addresses, if the loader has it so. */
static void run_reload(void)
{
    static const char *const files[] = {"SUBJECT_PLUGIN", "SUBJECT_SECOND"}, *const names[] = {"plugin_allocate",
                                                                                               "second_allocate"};
    uintptr_t seen[6];
    for (int i = 0; i < 6; i++) {
        void *plugin = dlopen(getenv(files[i % 4 / 2]), RTLD_NOW), *(*allocate)(void);
        need(plugin != NULL);
        void *function = dlsym(plugin, names[i % 4 / 2]);
        memcpy(&allocate, &function, sizeof allocate);
        seen[i] = (uintptr_t)function;
        repeat(allocate, 10 + i);
        need(dlclose(plugin) == 0);
    }
    printf("same %d\n", seen[0] == seen[1] && seen[1] == seen[2] && seen[2] == seen[4]);
}

static void run_plugin(void)
{
    void *function = of_plugin(getenv("SUBJECT_PLUGIN")), *(*allocate)(void);
    memcpy(&allocate, &function, sizeof allocate);
    repeat(allocate, 25);
}

/* Until it is ended. */
static void run_serve(void)
{
    alarm(500);
    puts("serves");
    fflush(stdout);
    for (;;) {
        repeat(short_lived, 10);
        wait_ms(1);
    }
}

/* ---- ends ---- */

static void end_by(const char *how)
{
    volatile int *nowhere = NULL;
    if (strcmp(how, "_exit") == 0)
        _exit(5);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(how, "terminate") == 0)
        raise(SIGTERM);
    if (strcmp(how, "crash") == 0)
        *nowhere = 1;
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"kin", run_kin},         {"sizes", run_sizes},     {"lives", run_lives},
    {"threads", run_threads}, {"row", run_row},         {"foreign", run_foreign},
    {"keys", run_keys},       {"growth", run_growth},   {"breaks", run_breaks},
    {"stacks", run_stacks},   {"handler", run_handler}, {"alarms", run_alarms},
    {"fork", run_fork},       {"clone", run_clone},     {"vfork", run_vfork},
    {"forks", run_forks},     {"daemon", run_daemon},   {"drop", run_drop},
    {"cage", run_cage},       {"turns", run_turns},     {"mixed", run_mixed},
    {"plugin", run_plugin},   {"serve", run_serve},     {"late", run_late},
    {"exits", run_exits},     {"rhythm", run_rhythm},   {"handler_forks", run_handler_forks},
    {"reload", run_reload},
};

static int run_case(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, name) == 0) {
            cases[i].run();
            return 0;
        }
    fprintf(stderr, "subject: no case '%s'\n", name);
    return 3;
}

/* A number is how many allocations more. */
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        end_by(argv[i]);
        if (strcmp(argv[i], "exec") == 0)
            execv("/proc/self/exe", argv + i), _exit(3);
        long count = strtol(argv[i], NULL, 10);
        for (long k = 0; k < count; k++)
            free(one_size(48));
        int r = count ? 0 : run_case(argv[i]);
        if (r != 0)
            return r;
    }
    return 0;
}
