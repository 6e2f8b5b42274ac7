/* SPDX-License-Identifier: MIT */

/* Cases of test/stacks/run: each leaves objects out, or faults, on a call stack of known functions. Compiled without
   tail calls. */

#define _GNU_SOURCE

#include <opool.h>

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

struct conn {
    char bytes[256];
};

OPOOL_DEFINE(conn_pool, struct conn);

static struct conn_pool *pool;
static struct conn *volatile last;

static NOINLINE struct conn *innermost(void)
{
    last = conn_pool_get(pool); /* innermost gets */
    return last;
}

static NOINLINE void middle(void)
{
    last = innermost(); /* middle calls */
}

static NOINLINE void deep(int depth)
{
    if (depth == 0)
        middle();
    else
        deep(depth - 1);
    last = NULL;
}

static NOINLINE void case_main(void)
{
    middle();
    middle();
}

static NOINLINE void case_deep(void)
{
    deep(100);
}

static void *thread_main(void *unused)
{
    (void)unused;
    middle();
    return NULL;
}

static NOINLINE void case_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, thread_main, NULL);
    pthread_join(thread, NULL);
}

static int ready[2];

static void *thread_running(void *unused)
{
    middle();
    (void)!write(ready[1], "", 1);
    for (;;)
        pause();
    return unused;
}

/* A thread that runs on at exit. */
static NOINLINE void case_running(void)
{
    pthread_t thread;
    char byte;
    (void)!pipe(ready);
    pthread_create(&thread, NULL, thread_running, NULL);
    (void)!read(ready[0], &byte, 1);
}

static NOINLINE void parent_gets(void)
{
    last = conn_pool_get(pool);
}

/* The child tells of its own objects only; the parent tells nothing. */
static NOINLINE void case_fork(void)
{
    int status;
    parent_gets();
    if (fork() == 0) {
        middle();
        last = NULL;
        exit(0);
    }
    wait(&status);
    _exit(0);
}

static void in_handler(int number)
{
    (void)number;
    middle();
}

/* While the program is not inside opool. */
static NOINLINE void case_handler(void)
{
    signal(SIGUSR1, in_handler);
    raise(SIGUSR1);
}

static struct conn *kept;

static void put_kept(void)
{
    conn_pool_put(pool, kept);
}

static __attribute__((destructor)) void put_late(void)
{
    if (last)
        conn_pool_put(pool, last);
}

/* What exit handlers and destructors put is no leak. */
static NOINLINE void case_late(void)
{
    kept = innermost();
    atexit(put_kept);
    last = conn_pool_get(pool);
}

static NOINLINE void case_destroy(void)
{
    middle();
    conn_pool_destroy(&pool);
}

static NOINLINE void case_close(void)
{
    middle();
    conn_pool_close(&pool);
}

static NOINLINE void case_quick(void)
{
    middle();
    _exit(0);
}

static NOINLINE void untyped(void)
{
    struct opool *base = conn_pool_base(pool);
    void *batch[2];
    last = opool_get(base);
    last = opool_get_wait(base, 0);
    opool_get_batch(base, batch, 2);
    last = NULL;
}

static NOINLINE void case_untyped(void)
{
    untyped();
}

static NOINLINE void putter(struct conn *conn)
{
    conn_pool_put(pool, conn);
    last = NULL;
}

static NOINLINE void case_double(void)
{
    struct conn *conn = innermost();
    putter(conn);
    putter(conn);
}

/* As a daemon does; the folder is the working one, and has nothing in it. */
static NOINLINE void case_chroot(void)
{
    if (chroot(".") != 0)
        _exit(77);
    middle();
}

#ifdef SUBJECT_DYNAMIC
static void *plugin;

static NOINLINE void use_plugin(void)
{
    plugin = dlopen(getenv("SUBJECT_PLUGIN"), RTLD_NOW);
    void (*get)(struct opool *, void *(*)(struct opool *)) =
        (void (*)(struct opool *, void *(*)(struct opool *)))dlsym(plugin, "plugin_get");
    get(conn_pool_base(pool), opool_get);
}

static NOINLINE void case_plugin(void)
{
    use_plugin();
}

static NOINLINE void case_unloaded(void)
{
    use_plugin();
    dlclose(plugin);
}
#endif

#define CASE(name) \
    { \
#name, case_##name \
    }
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(main),    CASE(deep),     CASE(thread), CASE(running), CASE(fork),   CASE(handler), CASE(late),
    CASE(destroy), CASE(close),    CASE(quick),  CASE(untyped), CASE(double), CASE(chroot),
#ifdef SUBJECT_DYNAMIC
    CASE(plugin),  CASE(unloaded),
#endif
};

int main(int count, char **arguments)
{
    if (count != 2 || conn_pool_create(&pool, NULL) != 0)
        return 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, arguments[1]) == 0)
            cases[i].run();
    if (strcmp(arguments[1], "late") != 0)
        last = NULL;
    return 0;
}
