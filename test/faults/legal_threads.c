/* SPDX-License-Identifier: MIT */

/* Right use by threads, processes and signal handlers that looks like a fault. */

#include "case.h"

#include <limits.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = 40 };

static void *put_here(void *conn)
{
    put(conn);
    return NULL;
}

static void put_by_another_thread(void)
{
    for (int i = 0; i < ROUNDS; i++)
        run_thread(put_here, get());
}

static void *get_here(void *unused)
{
    (void)unused;
    return get();
}

static void get_by_a_thread_that_ends(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t thread;
        void *conn;
        REQUIRE(pthread_create(&thread, NULL, get_here, NULL) == 0 && pthread_join(thread, &conn) == 0);
        put(conn);
    }
}

/* Objects that go round among threads, each of which ends with some in its cache. */
static void *pass(void *array)
{
    struct conn **conns = array;
    for (int i = 0; i < 30; i++) {
        put(conns[i]);
        conns[i] = get();
        conns[i]->number = i;
    }
    return NULL;
}

static void objects_handed_from_thread_to_thread(void)
{
    struct conn *conns[30];
    for (int i = 0; i < 30; i++)
        conns[i] = get();
    for (int i = 0; i < ROUNDS; i++)
        run_thread(pass, conns);
    for (int i = 0; i < 30; i++)
        put(conns[i]);
}

static void *get_and_put_much(void *unused)
{
    struct conn *conns[20];
    (void)unused;
    for (int i = 0; i < 300; i++) {
        for (int k = 0; k < 20; k++)
            memset(conns[k] = get(), i, sizeof *conns[k]);
        for (int k = 0; k < 20; k++)
            put(conns[(k + i) % 20]);
    }
    return NULL;
}

static void threads_at_the_same_time(void)
{
    pthread_t threads[4];
    (void)pool();
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, get_and_put_much, NULL) == 0);
    for (int i = 0; i < 20; i++)
        opool_epoch_advance();
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

/* ---- the end of a thread ---- */

static pthread_key_t key;

static void put_in_destructor(void *conn)
{
    put(conn);
    put(get());
}

static void *hold_by_key(void *unused)
{
    (void)unused;
    put(get());
    REQUIRE(pthread_setspecific(key, get()) == 0);
    return NULL;
}

static void put_from_a_destructor_of_a_thread(void)
{
    REQUIRE(pthread_key_create(&key, put_in_destructor) == 0); /* before the library's own */
    for (int i = 0; i < ROUNDS; i++)
        run_thread(hold_by_key, NULL);
}

/* Rounds of destructors: in the last ones the library's has run and knows of the thread's end. */
static struct {
    struct conn *conn;
    int rounds;
} late[ROUNDS];

static void put_in_a_late_destructor(void *at)
{
    int i = *(int *)at;
    if (++late[i].rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        put(get());
        (void)pthread_setspecific(key, at);
        return;
    }
    put(late[i].conn);
}

static void *hold_until_late(void *at)
{
    late[*(int *)at].conn = get();
    REQUIRE(pthread_setspecific(key, at) == 0);
    return NULL;
}

static void put_after_the_end_of_the_thread_was_noticed(void)
{
    static int numbers[ROUNDS];
    (void)pool();
    REQUIRE(pthread_key_create(&key, put_in_a_late_destructor) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        numbers[i] = i;
        run_thread(hold_until_late, &numbers[i]);
        REQUIRE(late[i].rounds == PTHREAD_DESTRUCTOR_ITERATIONS);
    }
}

static void put_at_cleanup(void *conn)
{
    put(conn);
}

static sem_t there;

static void *be_cancelled(void *unused)
{
    (void)unused;
    pthread_cleanup_push(put_at_cleanup, get());
    sem_post(&there);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

static void put_in_a_cleanup_handler_of_a_cancelled_thread(void)
{
    REQUIRE(sem_init(&there, 0, 0) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, be_cancelled, NULL) == 0);
        while (sem_wait(&there) != 0)
            continue;
        REQUIRE(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
    }
}

/* get_wait is no cancellation point: the put ends it, and the cancellation comes afterwards. */
static void *wait_to_be_cancelled(void *small)
{
    sem_post(&there);
    put_to(small, opool_get_wait(small, -1));
    pthread_testcancel();
    return NULL;
}

static void cancellation_of_a_thread_that_waits(void)
{
    struct opool *small = new_pool("conns", 1);
    struct conn *conn = get_from(small);
    pthread_t thread;
    void *result;
    REQUIRE(sem_init(&there, 0, 0) == 0);
    REQUIRE(pthread_create(&thread, NULL, wait_to_be_cancelled, small) == 0);
    while (sem_wait(&there) != 0)
        continue;
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    REQUIRE(pthread_cancel(thread) == 0);
    put_to(small, conn);
    REQUIRE(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    opool_destroy(&small);
}

static void *use_little_stack(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50; i++)
        put(get());
    return NULL;
}

static void thread_with_the_smallest_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    (void)pool();
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
    REQUIRE(pthread_create(&thread, &attributes, use_little_stack, NULL) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

/* ---- fork ---- */

static void await_child(pid_t child)
{
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void put_in_a_forked_child_and_in_the_parent(void)
{
    struct conn *conn = get(), *other = get();
    put(other);
    pid_t child = fork();
    if (child == 0) {
        put(conn);
        run_thread(get_and_put_much, NULL);
        opool_epoch_advance();
        exit(EXIT_SUCCESS);
    }
    await_child(child);
    put(conn);
    run_thread(get_and_put_much, NULL);
}

static void *fork_here(void *unused)
{
    (void)unused;
    struct conn *conn = get();
    pid_t child = fork();
    if (child == 0) {
        get_and_put_much(NULL);
        put(conn);
        _exit(EXIT_SUCCESS);
    }
    await_child(child);
    put(conn);
    return NULL;
}

static void fork_while_other_threads_work(void)
{
    pthread_t threads[2];
    (void)pool();
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, get_and_put_much, NULL) == 0);
    for (int i = 0; i < 5; i++)
        run_thread(fork_here, NULL);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

/* ---- signal handlers, and the log ---- */

static volatile sig_atomic_t handled;

static void use_in_handler(int signal)
{
    (void)signal;
    struct conn *conn = get();
    conn->number = 1;
    put(conn);
    handled++;
}

/* It interrupts the program's own code, and no call of the library. */
static void use_in_a_signal_handler(void)
{
    put(get());
    REQUIRE(signal(SIGUSR1, use_in_handler) != SIG_ERR);
    for (int i = 0; i < ROUNDS; i++) {
        struct conn *conn = get();
        REQUIRE(raise(SIGUSR1) == 0);
        put(conn);
    }
    REQUIRE(handled == ROUNDS);
}

static int interrupted_init(struct conn *conn, void *arg)
{
    (void)conn, (void)arg;
    return raise(SIGUSR1);
}

OPOOL_DEFINE(interrupted_pool, struct conn, .init = interrupted_init);

/* A callback is the program's code too. */
static void use_in_a_signal_handler_inside_a_callback(void)
{
    struct interrupted_pool *interrupted;
    put(get());
    REQUIRE(signal(SIGUSR1, use_in_handler) != SIG_ERR);
    REQUIRE(interrupted_pool_create(&interrupted, &(struct opool_options){.checks = level}) == 0);
    interrupted_pool_put(interrupted, interrupted_pool_get(interrupted));
    REQUIRE(handled == 1);
    interrupted_pool_destroy(&interrupted);
}

static int told;

static void use_in_log(const char *line, void *arg)
{
    (void)line, (void)arg;
    put(get());
    told++;
}

static void use_in_the_log_callback(void)
{
    struct job_pool *jobs;
    opool_log_set(use_in_log, NULL);
    for (int i = 0; i < 3; i++)
        REQUIRE(job_pool_create(&jobs, &(struct opool_options){.capacity = 1, .keep = 2, .checks = level}) == -EINVAL);
    REQUIRE(told == (real_level == OPOOL_CHECKS_OFF ? 0 : 3));
    opool_log_set(NULL, NULL);
}

const struct fault_case legal_thread_cases[] = {CASE(put_by_another_thread),
                                                CASE(get_by_a_thread_that_ends),
                                                CASE(objects_handed_from_thread_to_thread),
                                                CASE(threads_at_the_same_time),
                                                CASE(put_from_a_destructor_of_a_thread),
                                                CASE(put_after_the_end_of_the_thread_was_noticed),
                                                CASE(put_in_a_cleanup_handler_of_a_cancelled_thread),
                                                CASE(cancellation_of_a_thread_that_waits),
                                                CASE(thread_with_the_smallest_stack),
                                                CASE(put_in_a_forked_child_and_in_the_parent),
                                                CASE(fork_while_other_threads_work),
                                                CASE(use_in_a_signal_handler),
                                                CASE(use_in_a_signal_handler_inside_a_callback),
                                                CASE(use_in_the_log_callback),
                                                {NULL, NULL}};
