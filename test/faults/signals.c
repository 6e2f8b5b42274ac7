/* SPDX-License-Identifier: MIT */

/* Calls from a signal handler that interrupts a call. */

#include "case.h"

#include <limits.h>
#include <sys/time.h>
#include <ucontext.h>

static void (*in_the_handler)(void);

#ifdef __x86_64__

enum { TRAP_FLAG = 0x100 };

static long wait_for, steps; /* traps before the handler acts each time */

/* The flag makes the processor trap behind each instruction; it is off in handlers. */
static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    if (!in_the_handler) {
        *flags &= ~(greg_t)TRAP_FLAG;
        return;
    }
    if (*flags & TRAP_FLAG && steps++ >= wait_for)
        in_the_handler();
    *flags |= TRAP_FLAG;
}

/* From here to stop, the handler runs behind every instruction. */
static void start(void (*act)(void))
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    in_the_handler = act;
    REQUIRE(sigaction(SIGTRAP, &action, NULL) == 0 && raise(SIGTRAP) == 0);
}

static void stop(void)
{
    in_the_handler = NULL;
}

static bool again(void)
{
    static int times;
    return times++ < 3;
}

#else

static void on_alarm(int signal)
{
    (void)signal;
    in_the_handler();
}

static void start(void (*act)(void))
{
    struct itimerval often = {{0, 50}, {0, 50}};
    in_the_handler = act;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void stop(void)
{
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
}

/* Ten seconds are enough to be met. */
static bool again(void)
{
    static time_t end;
    end = end ? end : time(NULL) + 10;
    return time(NULL) < end;
}

#endif

static void get_and_put(void)
{
    struct conn *conn = opool_get(pool());
    opool_put(pool(), conn);
}

static void get_in_a_signal_handler_during_get(void)
{
    put(get());
    about("get", NULL);
    start(get_and_put);
    while (again())
        opool_put(pool(), opool_get(pool()));
    stop();
}

static struct conn *held;

static void put_and_get(void)
{
    struct conn *conn = held;
    opool_put(pool(), conn);
    held = opool_get(pool());
}

static void put_in_a_signal_handler_during_put(void)
{
    struct conn *conn = get();
    held = get();
    about("put", conn);
    about("put", held);
    start(put_and_get);
    for (; again(); conn = opool_get(pool()))
        opool_put(pool(), conn);
    stop();
}

const struct fault_case signal_cases[] = {
    CASE(get_in_a_signal_handler_during_get), CASE(put_in_a_signal_handler_during_put), {NULL, NULL}};

/* ---- one interruption, at a step that the environment says ---- */

#ifdef __x86_64__

static void get_and_put_once(void)
{
    in_the_handler = NULL;
    about("get", NULL);
    get_and_put();
}

static void interruption_at_a_step(void)
{
    const char *step = getenv("FAULTS_STEP");
    put(get());
    wait_for = step ? atol(step) : LONG_MAX;
    start(get_and_put_once);
    opool_put(pool(), opool_get(pool()));
    stop();
    opool_put(pool(), opool_get(pool())); /* all is as it was */
    tell("steps", "%ld", steps);
}

const struct fault_case step_cases[] = {CASE(interruption_at_a_step), {NULL, NULL}};

#else

const struct fault_case step_cases[] = {{NULL, NULL}};

#endif
