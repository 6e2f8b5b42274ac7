/* SPDX-License-Identifier: MIT */

/*
 * What the put audit is tested on: subject CASE... runs each case, which uses an object of a pool of its own name so
 * many times. A block that nothing but the object shall lead to is never kept in a variable over a put.
 *
 * Ways to end, instead of a return: the last argument may be _exit, abort or kill.
 */
#include <opool.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USES = 100 };

/* Passes the guard as a plain type: the pointers are numbers to it. */
OPOOL_REF_TYPE(memory_ref, void);

struct conn {
    uint32_t id;
    memory_ref out;
    memory_ref other;
    char text[40];
};

OPOOL_DEFINE(conn_pool, struct conn);

static struct conn_pool *make(const char *name)
{
    struct conn_pool *pool;
    struct opool_options options = {.name = name};
    if (conn_pool_create(&pool, &options) != 0)
        exit(3);
    return pool;
}

static void *get_memory(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        exit(3);
    return memory;
}

static void own(struct conn *conn, void *memory)
{
    conn->out = memory_ref_of(memory);
}

static void *owned(const struct conn *conn)
{
    return memory_ref_get(conn->out);
}

/* ---- owned ---- */

/* The buffer is 4096 bytes, and 65536 from the 50th use on. */
static void use_buffer(struct conn *conn, int use)
{
    if (use == 0)
        own(conn, get_memory(4096));
    if (use == 50)
        own(conn, realloc(owned(conn), 65536));
}

/* A node more in each use. */
struct node {
    struct node *next;
    int value;
};

static void use_list(struct conn *conn, int use)
{
    struct node *node = get_memory(sizeof *node);
    *node = (struct node){owned(conn), use};
    own(conn, node);
}

/* Chained; twice as many places when there are as many entries. */
struct table {
    size_t places, entries;
    struct node **place;
};

static void insert(struct table *table, struct node *node)
{
    struct node **place = &table->place[(size_t)node->value % table->places];
    node->next = *place;
    *place = node;
}

static void resize(struct table *table)
{
    struct table larger = {2 * table->places, table->entries, get_memory(2 * table->places * sizeof *table->place)};
    for (size_t i = 0; i < table->places; i++)
        for (struct node *node = table->place[i], *next; node; node = next) {
            next = node->next;
            insert(&larger, node);
        }
    free(table->place);
    *table = larger;
}

static void use_table(struct conn *conn, int use)
{
    struct table *table = owned(conn);
    if (!table) {
        table = get_memory(sizeof *table);
        *table = (struct table){8, 0, get_memory(8 * sizeof *table->place)};
        own(conn, table);
    }
    struct node *node = get_memory(sizeof *node);
    node->value = use;
    if (table->entries++ == table->places)
        resize(table);
    insert(table, node);
}

static void use_constant(struct conn *conn, int use)
{
    if (use == 0) {
        void **outer = get_memory(1000);
        outer[3] = get_memory(500);
        own(conn, outer);
    }
    memset((char *)owned(conn) + 100, use, 100);
}

/* Made again in each use, at another size. */
static void use_remade(struct conn *conn, int use)
{
    free(owned(conn));
    own(conn, get_memory(use % 2 ? 100 : 200));
}

/* Moved in the use that made it; the old address stays in another word. */
static void use_moved(struct conn *conn, int use)
{
    if (use)
        return;
    void *memory = get_memory(100);
    conn->other = memory_ref_of(memory);
    own(conn, realloc(memory, 1 << 20));
}

/* A realloc that fails leaves the block. */
static void use_refused(struct conn *conn, int use)
{
    volatile size_t most = SIZE_MAX / 4;
    if (use == 0)
        own(conn, get_memory(100));
    else if (realloc(owned(conn), most))
        exit(3);
}

/* ---- not owned ---- */

static void use_clean(struct conn *conn, int use)
{
    snprintf(conn->text, sizeof conn->text, "use %d", use);
}

static void *old_block, *global_block;

static void use_borrowed(struct conn *conn, int use)
{
    conn->out = memory_ref_of(use % 2 ? old_block : NULL);
    conn->other = memory_ref_of((void *)(uintptr_t) "a string");
}

/* Made in a use, and held by a variable of the program too; larger from time to time. */
static void use_lazy(struct conn *conn, int use)
{
    if (use % 10 == 5) {
        free(global_block);
        global_block = get_memory(100 * (size_t)use);
    }
    own(conn, global_block);
}

/* The same, held by an older block of the heap. */
static void use_lazy_heap(struct conn *conn, int use)
{
    void **holder = old_block;
    if (use % 10 == 5) {
        free(holder[7]);
        holder[7] = get_memory(100 * (size_t)use);
    }
    own(conn, holder[7]);
}

/* The same, held by a thread-local variable. */
static __thread void *thread_block;

static void use_lazy_thread(struct conn *conn, int use)
{
    if (use % 10 == 5) {
        free(thread_block);
        thread_block = get_memory(100 * (size_t)use);
    }
    own(conn, thread_block);
}

static void use_freed(struct conn *conn, int use)
{
    own(conn, get_memory(100 * (size_t)(use + 1)));
    free(owned(conn));
    own(conn, NULL);
}

/* The pointer stays. */
static void use_dangling(struct conn *conn, int use)
{
    own(conn, get_memory(100 * (size_t)(use + 1)));
    free(owned(conn));
}

/* The block is freed and the pointer left; another holder gets blocks of all sizes, maybe at the same address. */
static void use_stale(struct conn *conn, int use)
{
    void **holder = old_block;
    if (use == 0) {
        own(conn, get_memory(64));
        free(owned(conn));
    }
    for (size_t i = 0; use && i < 8; i++) {
        free(holder[i]);
        holder[i] = get_memory(64);
    }
}

/* ---- limits ---- */

/* An address left as bytes in a buffer, while a local variable alone holds the block. */
static void *volatile local;
static void use_bytes(struct conn *conn, int use)
{
    void *memory = get_memory(100 + (size_t)use);
    memcpy(conn->text, &memory, sizeof memory); /* aligned, as it happens */
    local = (void *)~(uintptr_t)memory;
}

static void use_tagged(struct conn *conn, int use)
{
    if (use)
        free((char *)owned(conn) - 1);
    own(conn, (char *)get_memory(1000 * (size_t)(use + 1)) + 1);
}

static void use_behind_header(struct conn *conn, int use)
{
    if (use)
        free((char *)owned(conn) - 16);
    own(conn, (char *)get_memory(1000 * (size_t)(use + 1)) + 16);
}

static void use_mapped(struct conn *conn, int use)
{
    size_t size = 4096 * (size_t)(use + 1);
    if (use)
        munmap(owned(conn), size - 4096);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    own(conn, memory == MAP_FAILED ? NULL : memory);
}

/* Made before the first get. */
static void use_handed(struct conn *conn, int use)
{
    if (use == 0) {
        own(conn, old_block);
        old_block = NULL;
    }
}

static void use_handed_grown(struct conn *conn, int use)
{
    use_handed(conn, use);
    if (use == 50)
        own(conn, realloc(owned(conn), 10000));
}

/* The owned block leads to a younger one which belongs to somebody else, and grows. */
static void use_back_pointer(struct conn *conn, int use)
{
    if (use == 0)
        own(conn, get_memory(64));
    free(global_block);
    global_block = get_memory(100 * (size_t)(use + 1));
    *(void **)owned(conn) = global_block;
}

/* A page that the program protects must not stop the audit. */
static void use_protected(struct conn *conn, int use)
{
    if (use)
        return;
    void *pages;
    if (posix_memalign(&pages, 4096, 8192) != 0 || mprotect(pages, 8192, PROT_NONE) != 0)
        exit(3);
    own(conn, pages);
}

/* ---- runs ---- */

static void run(const char *name, void (*use)(struct conn *conn, int use))
{
    struct conn_pool *pool = make(name);
    old_block = get_memory(5000);
    for (int i = 0; i < USES; i++) {
        struct conn *conn = conn_pool_get(pool);
        if (!conn)
            exit(3);
        use(conn, i);
        conn_pool_put(pool, conn);
    }
    free(global_block);
    global_block = NULL;
}

/* Batches, and gets that wait; what was made before each is borrowed. */
static void run_batch(void)
{
    struct conn_pool *pool = make("batch");
    struct conn *conns[4], *waited;
    for (int use = 0; use < USES; use++) {
        void *old = get_memory(50);
        size_t n = conn_pool_get_batch(pool, conns, 4);
        for (size_t i = 0; i < n; i++) {
            own(conns[i], realloc(owned(conns[i]), 100 * (size_t)(use + 1)));
            conns[i]->other = memory_ref_of(old);
        }
        conn_pool_put_batch(pool, conns, n);
        void *later = get_memory(50);
        waited = conn_pool_get_wait(pool, 0);
        waited->other = memory_ref_of(later);
        conn_pool_put(pool, waited);
        free(old);
        free(later);
    }
}

/* Objects that are built with what they own, each with more, and given up: none has grown, though their address comes
   again. */
static int init_made(void *object, void *arg)
{
    static size_t size = 300;
    (void)arg;
    own(object, get_memory(size));
    size += 10;
    return 0;
}

static void fini_made(void *object, void *arg)
{
    (void)arg;
    free(owned(object));
}

static void run_init(void)
{
    struct opool *pool;
    struct opool_type type = {.name = "init",
                              .type = "struct conn",
                              .shape = OPOOL_SHAPE_TRUSTED("for the test"),
                              .size = sizeof(struct conn),
                              .align = _Alignof(struct conn),
                              .init = init_made,
                              .fini = fini_made};
    if (opool_create(&pool, &type, NULL) != 0)
        exit(3);
    for (int i = 0; i < USES; i++) {
        void *object = opool_get(pool);
        if (i % 10 == 9)
            opool_discard(pool, object);
        else
            opool_put(pool, object);
    }
}

/* An object that a reset refuses is no finding; one that reset shrinks is what reset left. */
static bool reset_frees(struct conn *conn, void *arg)
{
    (void)arg;
    free(owned(conn));
    own(conn, NULL);
    return true;
}

OPOOL_DEFINE(resetting_pool, struct conn, .reset = reset_frees);

static void run_reset(void)
{
    struct resetting_pool *pool;
    struct opool_options options = {.name = "reset"};
    if (resetting_pool_create(&pool, &options) != 0)
        exit(3);
    for (int i = 0; i < USES; i++) {
        struct conn *conn = resetting_pool_get(pool);
        own(conn, get_memory(100 * (size_t)(i + 1)));
        resetting_pool_put(pool, conn);
    }
}

/* A borrowed member is zeroed at put. */
struct job {
    int id;
    void *lent;
};

OPOOL_DEFINE_MEMBERS(job_pool, struct job, (id, OPOOL_BORROWED(lent)));

static void run_listed(void)
{
    struct job_pool *pool;
    struct opool_options options = {.name = "listed"};
    if (job_pool_create(&pool, &options) != 0)
        exit(3);
    for (int i = 0; i < USES; i++) {
        struct job *job = job_pool_get(pool);
        void *memory = get_memory(100 * (size_t)(i + 1));
        job->lent = memory;
        job_pool_put(pool, job);
        free(memory);
    }
}

/* A name that would colour a terminal and ring its bell, and one that clears it by a control character of 8 bits. */
static void run_rude(void)
{
    run("\033[31mrude\a", use_buffer);
    run("\302\2332Jr\303\274de", use_clean);
}

/* More words that own something than there is room for. */
struct wide {
    memory_ref words[300];
};

OPOOL_DEFINE(wide_pool, struct wide);

static void run_wide(void)
{
    struct wide_pool *pool;
    struct opool_options options = {.name = "wide"};
    if (wide_pool_create(&pool, &options) != 0)
        exit(3);
    for (int use = 0; use < USES; use++) {
        struct wide *wide = wide_pool_get(pool);
        for (int i = 0; use == 0 && i < 300; i++)
            wide->words[i] = memory_ref_of(get_memory(100));
        wide_pool_put(pool, wide);
    }
}

static struct conn_pool *shared_pool;

static void *work(void *arg)
{
    (void)arg;
    for (int use = 0; use < USES; use++) {
        struct conn *conn = conn_pool_get(shared_pool);
        free(get_memory(32));
        if (!owned(conn))
            own(conn, get_memory(100));
        else if (conn->id++ == 20)
            own(conn, realloc(owned(conn), 200));
        conn_pool_put(shared_pool, conn);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[4];
    shared_pool = make("threads");
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            exit(3);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* The child's objects grow, the parent's do not. */
static void run_fork(void)
{
    struct conn_pool *pool = make("forked");
    struct conn *conn = conn_pool_get(pool);
    own(conn, get_memory(100));
    conn_pool_put(pool, conn);
    fflush(NULL);
    pid_t child = fork();
    for (int i = 0; i < 10; i++) {
        conn = conn_pool_get(pool);
        if (child == 0)
            own(conn, realloc(owned(conn), 1000 * (size_t)(i + 1)));
        conn_pool_put(pool, conn);
    }
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

/* Two processes of many forks while threads allocate: a child must not wait for a lock that nobody holds. */
static void *churn(void *stop)
{
    while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
        free(get_memory(100));
    return NULL;
}

static void run_forks(void)
{
    int stop = 0;
    pthread_t thread;
    struct conn_pool *pool = make("forks");
    if (pthread_create(&thread, NULL, churn, &stop) != 0)
        exit(3);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct conn *conn = conn_pool_get(pool);
            own(conn, get_memory(100));
            conn_pool_put(pool, conn);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

/* A daemon: the parent is gone, the descriptors are closed, and it ends by _exit. */
static void run_daemon(void)
{
    if (fork() != 0)
        _exit(7);
    setsid();
    for (int fd = 0; fd < 256; fd++)
        close(fd);
    usleep(300000); /* until the command has ended */
    run("daemon", use_buffer);
    _exit(0);
}

static const struct {
    const char *name;
    void (*use)(struct conn *conn, int use);
    void (*run)(void);
} cases[] = {
    {"buffer", use_buffer, NULL},
    {"list", use_list, NULL},
    {"table", use_table, NULL},
    {"constant", use_constant, NULL},
    {"remade", use_remade, NULL},
    {"moved", use_moved, NULL},
    {"refused", use_refused, NULL},
    {"clean", use_clean, NULL},
    {"borrowed", use_borrowed, NULL},
    {"lazy", use_lazy, NULL},
    {"lazy_heap", use_lazy_heap, NULL},
    {"lazy_thread", use_lazy_thread, NULL},
    {"freed", use_freed, NULL},
    {"dangling", use_dangling, NULL},
    {"stale", use_stale, NULL},
    {"bytes", use_bytes, NULL},
    {"tagged", use_tagged, NULL},
    {"behind_header", use_behind_header, NULL},
    {"mapped", use_mapped, NULL},
    {"handed", use_handed, NULL},
    {"handed_grown", use_handed_grown, NULL},
    {"back_pointer", use_back_pointer, NULL},
    {"protected", use_protected, NULL},
    {"wide", NULL, run_wide},
    {"rude", NULL, run_rude},
    {"batch", NULL, run_batch},
    {"init", NULL, run_init},
    {"reset", NULL, run_reset},
    {"listed", NULL, run_listed},
    {"threads", NULL, run_threads},
    {"fork", NULL, run_fork},
    {"forks", NULL, run_forks},
    {"daemon", NULL, run_daemon},
};

static int run_case(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].name, name) != 0)
            continue;
        if (cases[i].use)
            run(name, cases[i].use);
        else
            cases[i].run();
        return 0;
    }
    fprintf(stderr, "subject: no case '%s'\n", name);
    return 3;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "_exit") == 0)
            _exit(5);
        if (strcmp(argv[i], "abort") == 0)
            abort();
        if (strcmp(argv[i], "kill") == 0)
            raise(SIGKILL);
        if (strcmp(argv[i], "exec") == 0)
            execv("/proc/self/exe", argv + i), exit(3);
        int r = run_case(argv[i]);
        if (r != 0)
            return r;
    }
    return 0;
}
