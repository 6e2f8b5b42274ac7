/* SPDX-License-Identifier: MIT */

/* Not faults of their own: what messages tell, and what the environment sets. The harness says what has to come out. */

#include "case.h"

/* Each in a frame of its own, and behind no tail call. */
#define FRAME __attribute__((noinline))
#define HERE __asm__ volatile("")

static FRAME struct conn *first_user_gets(void)
{
    struct conn *conn = get();
    HERE;
    return conn;
}

static FRAME void first_user_puts(struct conn *conn)
{
    put(conn);
    HERE;
}

static FRAME void second_user_puts(struct conn *conn)
{
    put(about("put", conn));
    HERE;
}

static void *put_in_a_thread(void *conn)
{
    first_user_puts(conn);
    return NULL;
}

static void stacks_of_a_double_put(void)
{
    struct conn *conn = first_user_gets();
    run_thread(put_in_a_thread, conn);
    second_user_puts(conn);
}

static FRAME void second_user_gets(void)
{
    (void)get();
    HERE;
}

static void stacks_of_a_write_after_put(void)
{
    struct conn *conn = first_user_gets();
    first_user_puts(conn);
    memset(conn->text, 'x', 20);
    about("get", conn);
    second_user_gets();
}

static void note(const char *line, void *arg)
{
    dprintf(STDOUT_FILENO, "%s", (const char *)arg);
    dprintf(STDOUT_FILENO, "%s\n", line);
}

static void faults_told_to_the_log_callback(void)
{
    static char begin[] = "the callback got: ";
    struct conn *conn = get();
    opool_log_set(note, begin);
    put(conn);
    put(about("put", conn));
}

/* Of 300 gets. */
static void gets_that_fail(void)
{
    int failed = 0;
    for (int i = 0; i < 300; i++) {
        struct conn *conn = opool_get(pool());
        if (conn)
            put(conn);
        else
            failed += errno == ENOMEM;
    }
    tell("failed", "%d", failed);
}

/* Then a put leaves neither what the user wrote nor what a reset does. */
static bool checks_fully(struct opool *one)
{
    struct conn *conn = get_from(one);
    conn->text[0] = 'x';
    put_to(one, conn);
    return conn->text[0] != 'x' && conn->text[0] != 0;
}

static void levels_of_pools(void)
{
    static const char *const names[] = {"conns", "conns_idle", "jobs"};
    for (int i = 0; i < 3; i++)
        tell("full", "%s %s", names[i], checks_fully(new_pool(names[i], 0)) ? "yes" : "no");
}

const struct fault_case told_cases[] = {CASE(stacks_of_a_double_put),
                                        CASE(stacks_of_a_write_after_put),
                                        CASE(faults_told_to_the_log_callback),
                                        CASE(gets_that_fail),
                                        CASE(levels_of_pools),
                                        {NULL, NULL}};
