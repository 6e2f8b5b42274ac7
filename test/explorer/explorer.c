/* SPDX-License-Identifier: MIT */

/*
 * Executions, choices and threads.
 *
 * An execution is a function of its choices: which thread runs at a scheduling point, which message a load returns.
 * The search is depth first over the stack of choices: run, take the last choice that has an option left, take that
 * option, cut the stack behind it, run again from the start. Option 0 changes nothing (the thread goes on, the load
 * returns the latest), so a schedule is the list of the other ones, each named by the step it was taken at.
 *
 * All modelled threads share one OS thread; they change places by _setjmp and _longjmp, which make no system call. A
 * stack is entered once; after that an execution starts by a jump to its base, whatever the one before left on it.
 */

#undef _FORTIFY_SOURCE /* its longjmp refuses to go to another stack */
#define _GNU_SOURCE

#include "engine.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define E explorer__engine
struct engine explorer__engine;

enum {
    CHOICES = 8192,
    STACK = 256 << 10,
    STEPS = 2000,
    IDLE_LIMIT = 100, /* yields in a row with nothing written: the thread waits for what never comes */
    IDLE_PRUNED = 2,  /* after so many, nobody is preempted in favour of the thread until something is written */
    VAIN_ROUNDS = 1,  /* of a waiting loop that looks at the clock, with nothing changed: more are not explored */
    PASSED_OVER = 3   /* yields that may pass a thread over: schedules that starve a thread are not explored */
};

enum ending { RUNNING, FINISHED, FAILED, REDUNDANT };

struct choice {
    uint16_t step, options, taken;
    bool usual;    /* needs no mention in a schedule */
    char kind;     /* 't': which thread runs, 's': how stale a load is */
    uint8_t value; /* the thread, or how many messages behind the latest */
    uint8_t todo, tried,
        asleep;           /* reduced, of threads: to be tried here, tried, not to be tried; `options` is a mask */
    unsigned first_event; /* reduced: the event that the choice belongs to */
};

struct fiber {
    jmp_buf base, resume;
    ucontext_t context;
    bool entered;
    unsigned char stack[STACK] __attribute__((aligned(64)));
};

static struct fiber fibers[THREADS];
static jmp_buf main_jump;
static volatile bool guarded; /* main_jump is set */
static const struct explorer_test *running_test;
static struct explorer_result *report;

static struct choice choices[CHOICES];
static unsigned choice_count, choice_next;
static unsigned search_from;             /* reduced: events before this one are those of the execution before */
static struct choice decisions[CHOICES]; /* of the schedule that is replayed */
static unsigned decision_count, decision_next;
static uint64_t random_state;
static unsigned random_stay; /* a thread goes on with probability 1 - 1 / 2^this */

/* ---- ends of an execution -------------------------------------------------------------------------------------- */

_Noreturn static void leave(enum ending ending)
{
    if (!guarded)
        abort();
    _longjmp(main_jump, (int)ending);
}

void explorer_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->bug, sizeof report->bug, format, arguments);
    va_end(arguments);
    leave(FAILED);
}

_Noreturn void explorer__limit(const char *text)
{
    report->limit = true;
    explorer_fail("limit: %s", text);
}

void explorer_check(bool ok, const char *text)
{
    if (!ok)
        explorer_fail("%s", text);
}

/* A mutant may well crash the code: that is a bug found, and the next execution starts afresh. */
static void crashed(int number)
{
    if (!guarded) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    explorer_fail("crash: %s in thread %u", strsignal(number), E.running);
}

static void catch_crashes(void)
{
    static unsigned char stack[64 << 10];
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}

void explorer__step(void)
{
    unsigned most = E.bounds.steps ? E.bounds.steps : STEPS;
    if (++E.step > most)
        explorer_fail("livelock: an execution of more than %u steps", most);
}

/* ---- choices --------------------------------------------------------------------------------------------------- */

static unsigned random_below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 16) % n);
}

static unsigned random_option(unsigned count)
{
    return random_below(1u << random_stay) ? 0 : random_below(count);
}

static void push(char kind, unsigned count, unsigned taken)
{
    if (choice_count == CHOICES)
        explorer__limit("more choices in an execution than the explorer has room for");
    choices[choice_count++] =
        (struct choice){.step = (uint16_t)E.step, .options = (uint16_t)count, .taken = (uint16_t)taken, .kind = kind};
    choices[choice_count - 1].first_event = explorer__event_count() - (kind == 's' && E.reducing);
}

static unsigned replayed(char kind, const uint8_t *values, unsigned count)
{
    if (decision_next == decision_count)
        return 0;
    const struct choice *d = &decisions[decision_next];
    if (d->step > E.step || (d->step == E.step && d->kind != kind))
        return 0;
    decision_next++;
    for (unsigned i = 0; i < count && d->step == E.step; i++)
        if (values[i] == d->value)
            return i;
    explorer__limit("the schedule does not fit this test");
}

/* Which of the values; `usual` is what happens if a schedule does not say otherwise. */
static unsigned choose(char kind, uint8_t usual, const uint8_t *values, unsigned count)
{
    if (E.replaying)
        return replayed(kind, values, count);
    if (count == 1 && values[0] == usual)
        return 0;
    if (choice_next == choice_count)
        push(kind, count, E.bounds.random ? random_option(count) : 0);
    struct choice *c = &choices[choice_next++];
    if (c->options != count || c->kind != kind || c->step != (uint16_t)E.step)
        explorer__limit("the test is not deterministic: the same choices led somewhere else");
    c->value = values[c->taken];
    c->usual = c->value == usual;
    return c->taken;
}

static bool try_next(struct choice *c);

/* The next execution in depth-first order. False: there is none. */
static bool backtrack(void)
{
    for (; choice_count; choice_count--) {
        struct choice *c = &choices[choice_count - 1];
        if (E.reducing && c->kind == 't') {
            if (try_next(c))
                return true;
        } else if (++c->taken != c->options)
            return true;
    }
    return false;
}

unsigned explorer__choose_message(unsigned count)
{
    uint8_t behind[HISTORY];
    if (count <= 1)
        return 0;
    if (!E.replaying && E.stale >= E.bounds.stale) {
        E.cut_stale = true;
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        behind[i] = (uint8_t)i;
    unsigned chosen = choose('s', 0, behind, count);
    E.stale += chosen > 0;
    return chosen;
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

unsigned explorer_self(void)
{
    return E.running;
}

void **explorer_tls(unsigned slot)
{
    if (slot >= TLS_SLOTS)
        explorer__limit("explorer_tls has 8 slots");
    return &E.thread[E.running].tls[slot];
}

struct opool_head **opool__explorer_heads(void);
struct opool_head **opool__explorer_heads(void)
{
    return &E.thread[E.running].heads;
}

void explorer_heads_reset(struct opool_head *initial)
{
    for (unsigned t = 0; t < THREADS; t++)
        E.thread[t].heads = initial;
}

static void end_thread(void);

static void fiber_main(void)
{
    _setjmp(fibers[E.running].base); /* comes back here for each execution */
    running_test->body[E.running - 1]();
    end_thread();
}

/* The contexts' only use: a first step onto each stack. */
static void enter_fiber(struct fiber *f)
{
    f->entered = true;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = sizeof f->stack;
    f->context.uc_link = NULL;
    makecontext(&f->context, fiber_main, 0);
    setcontext(&f->context);
}

static bool started[THREADS]; /* in this execution */

static void go(unsigned t)
{
    struct fiber *f = &fibers[t];
    E.running = t;
    E.thread[t].passed_over = 0;
    if (started[t])
        _longjmp(f->resume, 1);
    started[t] = true;
    if (f->entered)
        _longjmp(f->base, 1);
    enter_fiber(f);
}

static void switch_to(unsigned t)
{
    if (_setjmp(fibers[E.running].resume) == 0)
        go(t);
}

/* Running it would only repeat its last round through a waiting loop. */
static bool waits_in_vain(const struct thread *thread)
{
    return thread->idle >= IDLE_PRUNED && thread->changes_seen == E.changes;
}

static unsigned others(uint8_t *options, unsigned count, bool vain_too)
{
    for (unsigned t = 1; t <= E.threads; t++)
        if (t != E.running && !E.thread[t].done && (vain_too || !waits_in_vain(&E.thread[t])))
            options[count++] = (uint8_t)t;
    return count;
}

/* ---- the reduced search (reduce.c) ------------------------------------------------------------------------------- */

static bool may_go_on(const struct thread *thread)
{
    if (thread->pending == LOCKS)
        return *thread->lock == 0;
    return thread->pending != AWAITS || thread->ready || (thread->timed && thread->vain_rounds < VAIN_ROUNDS);
}

static unsigned enabled_threads(void)
{
    unsigned result = 0;
    for (unsigned t = 1; t <= E.threads; t++)
        if (!E.thread[t].done && may_go_on(&E.thread[t]))
            result |= 1u << t;
    return result;
}

static unsigned lowest(unsigned threads)
{
    return (unsigned)__builtin_ctz(threads);
}

/* All wait. Those whose time is over some day go on, else the first one, for its livelock to be told. */
static unsigned go_on_in_vain(void)
{
    unsigned alive = 0, timed = 0;
    for (unsigned t = 1; t <= E.threads; t++) {
        alive |= (unsigned)!E.thread[t].done << t;
        timed |= (unsigned)(!E.thread[t].done && E.thread[t].timed && E.thread[t].pending == AWAITS) << t;
    }
    E.asleep = 0;
    return timed ? timed : alive & -alive;
}

/* A choice among threads: begins with one, others are added as races are found. */
static unsigned choose_thread(unsigned usual, unsigned threads, bool all, int *index)
{
    unsigned first = threads >> E.running & 1 ? E.running : lowest(threads);
    *index = -1;
    if (threads == 1u << usual)
        return usual;
    if (choice_next == choice_count) {
        push('t', threads, 0);
        struct choice *c = &choices[choice_count - 1];
        c->value = (uint8_t)first;
        c->todo = (uint8_t)(all || E.bounds.every_order ? threads : 1u << first);
        c->asleep = (uint8_t)E.asleep;
        c->tried = 0;
    }
    *index = (int)choice_next;
    struct choice *c = &choices[choice_next++];
    if (c->options != threads || c->kind != 't' || c->step != (uint16_t)E.step)
        explorer__limit("the test is not deterministic: the same choices led somewhere else");
    c->usual = c->value == usual;
    if (!E.bounds.every_order)
        E.asleep |= c->tried;
    return c->value;
}

static void wake(unsigned chosen)
{
    for (unsigned t = 1; t <= E.threads; t++)
        if (E.asleep >> t & 1 && explorer__conflict(t, chosen))
            E.asleep &= ~(1u << t);
    E.asleep &= ~(1u << chosen);
}

/* Going on from a simple wait conflicts with nothing: no other order has to be tried. */
static unsigned woken_thread(void)
{
    for (unsigned t = 1; t <= E.threads && !E.bounds.every_order; t++)
        if (!E.thread[t].done && E.thread[t].pending == AWAITS && E.thread[t].ready && explorer__waits_simply(t))
            return 1u << t;
    return 0;
}

void explorer__blocked(void)
{
    if (E.learning)
        leave(REDUNDANT);
    explorer_fail("livelock: thread %u waits for a lock that nobody drops", E.running);
}

/* Who runs now; `usual`: whom a schedule need not mention. */
static unsigned schedule(unsigned usual)
{
    int choice;
    unsigned woken = woken_thread(), enabled = woken ? woken : enabled_threads();
    bool vain = !enabled;
    if (vain && !(enabled = go_on_in_vain()))
        leave(FINISHED);
    if (!(enabled & ~E.asleep))
        leave(REDUNDANT); /* one that was run, in another order */
    unsigned chosen = choose_thread(usual, enabled & ~E.asleep, vain, &choice);
    if (vain)
        E.thread[chosen].pending = ANYTHING;
    wake(chosen);
    explorer__event(chosen, choice);
    return chosen;
}

void explorer__try_also(int choice, unsigned threads, unsigned preferred)
{
    struct choice *c = &choices[choice];
    if (threads & (c->todo | c->asleep))
        return;
    threads &= c->options; /* others could not run there: they wait for what conflicts */
    if (threads)
        c->todo |= (uint8_t)(1u << (threads >> preferred & 1 ? preferred : lowest(threads)));
}

/* The thread that is tried next at a choice. False: all that matter were. */
static bool try_next(struct choice *c)
{
    c->tried |= (uint8_t)(1u << c->value);
    unsigned left = c->todo & ~c->tried;
    if (left)
        c->value = (uint8_t)lowest(left);
    return left != 0;
}

/* Waits in a loop, in the reduced search. */
static void await(void)
{
    struct thread *me = &E.thread[E.running];
    unsigned self = E.running;
    me->ready = me->ready || explorer__read_stale(self);
    me->pending = AWAITS;
    unsigned chosen = schedule(0);
    if (chosen != self)
        switch_to(chosen);
    me->vain_rounds = me->ready ? 0 : me->vain_rounds + 1;
    me->ready = me->timed = false;
    explorer__watch_nothing(self);
}

void explorer_timed(void)
{
    E.thread[E.running].timed = true;
}

/* ---- scheduling points ------------------------------------------------------------------------------------------- */

static bool may_preempt(void)
{
    if (E.replaying || E.preempted < E.bounds.preemptions)
        return true;
    E.cut_preemptions = true;
    return false;
}

void explorer__point(enum pending next, unsigned place)
{
    struct thread *me = &E.thread[E.running];
    uint8_t options[THREADS] = {(uint8_t)E.running};
    me->pending = next;
    me->place = (uint16_t)place;
    if (E.reducing) {
        unsigned next_thread = schedule(E.running);
        if (next_thread != E.running)
            switch_to(next_thread);
        return;
    }
    unsigned count = others(options, 1, E.modelling);
    if (count > 1 && !may_preempt())
        return;
    unsigned chosen = choose('t', (uint8_t)E.running, options, count);
    if (options[chosen] == E.running)
        return;
    E.preempted++;
    switch_to(options[chosen]);
}

void explorer_point(void)
{
    if (E.running == 0)
        return;
    explorer__flush();
    explorer__step();
    explorer__point(ANYTHING, 0);
}

static void end_thread(void)
{
    uint8_t options[THREADS];
    explorer__flush();
    E.thread[E.running].done = true;
    unsigned count = others(options, 0, true);
    if (!count)
        leave(FINISHED);
    explorer__step();
    if (E.reducing)
        go(schedule(options[0]));
    go(options[choose('t', options[0], options, count)]);
}

void explorer_end_others(void)
{
    if (E.reducing || E.replaying)
        explorer_point();
    for (unsigned t = 1; t <= E.threads; t++)
        E.thread[t].done = E.thread[t].done || t != E.running;
}

/* What a waiting loop read stale it does not read again: loads see stores in the end. True if there was any. */
static bool see_later(struct thread *me)
{
    unsigned count = me->stale_count < RECENT_STALE ? me->stale_count : RECENT_STALE;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *seen = &me->current.at[VIEW_LOCATIONS + me->stale_location[i]];
        if (*seen <= me->stale_time[i])
            *seen = (uint8_t)(me->stale_time[i] + 1);
    }
    me->stale_count = 0;
    return count > 0;
}

static void count_idle(struct thread *me)
{
    bool stale = see_later(me);
    me->idle = stale || me->changes_seen != E.changes ? 0 : me->idle + 1;
    me->changes_seen = E.changes;
    if (me->idle > IDLE_LIMIT)
        explorer_fail("livelock: thread %u yielded %d times and nothing was written", E.running, IDLE_LIMIT);
}

/* Whoever was passed over too often runs now: a loop that waits is only as good as the scheduler is fair. */
static unsigned after_yield(uint8_t *options)
{
    unsigned count = others(options, 0, false);
    if (!count)
        count = others(options, 0, true);
    for (unsigned t = 1; t <= E.threads; t++)
        if (t != E.running && !E.thread[t].done && ++E.thread[t].passed_over > PASSED_OVER) {
            options[0] = (uint8_t)t;
            return 1;
        }
    return count;
}

void explorer__wait(struct explorer_site *site, const uint32_t *word)
{
    if (E.modelling && E.running != 0)
        explorer__watch_only(E.running, word);
    explorer__yield(site);
}

void explorer__yield(struct explorer_site *site)
{
    static unsigned in_main;
    if (E.running == 0) {
        if (++in_main % 100000 == 0)
            explorer_fail("livelock: %s waits in init or fini", site->function);
        return;
    }
    uint8_t options[2 * THREADS];
    explorer__flush();
    explorer__step();
    E.thread[E.running].last.site = NULL;
    EXPLORER_TRACE(site, "%s", "");
    count_idle(&E.thread[E.running]);
    if (E.reducing) {
        await();
        return;
    }
    unsigned count = after_yield(options);
    if (!count && !E.modelling)
        return;
    if (E.modelling) { /* the reduced search may go on after a yield, and passes over whom it likes */
        count = others(options, count, true);
        options[count++] = (uint8_t)E.running;
    }
    unsigned chosen = options[choose('t', options[0], options, count)];
    if (chosen != E.running)
        switch_to(chosen);
}

/* ---- one execution --------------------------------------------------------------------------------------------- */

static enum ending guard(void (*part)(void))
{
    int how = _setjmp(main_jump);
    if (how)
        return (enum ending)how;
    guarded = true;
    part();
    return FINISHED;
}

static void run_init(void)
{
    if (running_test->init)
        running_test->init();
}

static void run_threads(void)
{
    uint8_t options[THREADS];
    unsigned count = others(options, 0, true);
    if (!E.reducing)
        go(options[choose('t', options[0], options, count)]);
    explorer__event(options[0], -1); /* to begin conflicts with nothing */
    go(options[0]);
}

static void run_fini(void)
{
    E.running = 0;
    if (running_test->fini)
        running_test->fini();
}

static void reset(void)
{
    E.running = E.step = E.preempted = E.stale = 0;
    E.changes = E.asleep = 0;
    E.learning = false;
    choice_next = decision_next = 0;
    explorer__memory_reset();
    explorer__reduce_reset();
    for (unsigned t = 0; t <= E.threads; t++) {
        explorer__thread_reset(&E.thread[t], t);
        started[t] = false;
    }
}

static enum ending play(void)
{
    reset();
    enum ending ending = guard(run_init);
    if (ending == FINISHED)
        ending = guard(run_threads);
    if (ending == FINISHED)
        ending = guard(run_fini);
    guarded = false;
    E.running = 0;
    return ending;
}

#define REDUCED "reduced" /* begins schedules of the reduced search */

/* ---- schedules ------------------------------------------------------------------------------------------------- */

static void write_schedule(char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, E.reducing ? REDUCED : "-");
    for (unsigned i = 0; i < choice_next; i++) {
        const struct choice *c = &choices[i];
        if (c->usual)
            continue;
        used -= used == 1 && *text == '-';
        used += (size_t)snprintf(text + used, size - used, "%s%u%c%u", used ? "." : "", c->step, c->kind, c->value);
        if (used >= size) {
            snprintf(text, size, "too long");
            return;
        }
    }
}

static bool read_schedule(const char *text)
{
    decision_count = 0;
    E.modelling = !strncmp(text, REDUCED, strlen(REDUCED));
    if (E.modelling)
        text += strlen(REDUCED) + (text[strlen(REDUCED)] == '.');
    if (!strcmp(text, "-"))
        return true;
    for (int length; *text; text += length + (text[length] == '.')) {
        unsigned step, value;
        char kind;
        if (decision_count == CHOICES || sscanf(text, "%u%c%u%n", &step, &kind, &value, &length) != 3)
            return false;
        if ((kind != 't' && kind != 's') || step > UINT16_MAX || value > UINT8_MAX || (text[length] | '.') != '.')
            return false;
        decisions[decision_count++] = (struct choice){.step = (uint16_t)step, .kind = kind, .value = (uint8_t)value};
    }
    return true;
}

/* ---- runs ------------------------------------------------------------------------------------------------------ */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void begin(const struct explorer_test *test, const struct explorer_bounds *bounds,
                  struct explorer_result *result)
{
    running_test = test;
    report = result;
    *result = (struct explorer_result){.executions = 0};
    E.bounds = *bounds;
    E.threads = 0;
    while (E.threads < EXPLORER_THREADS && test->body[E.threads])
        E.threads++;
    E.reducing = test->reduce && bounds->preemptions == EXPLORER_UNBOUNDED && !bounds->random;
    E.modelling = E.reducing;
    E.cut_preemptions = E.cut_stale = E.replaying = E.tracing = false;
    choice_count = search_from = 0;
    random_state = bounds->seed * 0x9e3779b97f4a7c15u + 1;
    catch_crashes();
    explorer__footprints_reset();
}

static bool spent(const struct explorer_bounds *bounds, uint64_t executions, uint64_t tried, double start)
{
    if (bounds->executions && executions >= bounds->executions)
        return true;
    return bounds->seconds > 0 && tried % 1024 == 0 && now() - start > bounds->seconds;
}

/* Prepares the next execution. False: all were run. */
static bool next_execution(void)
{
    if (E.bounds.random) {
        choice_count = 0;
        random_stay = 1 + random_below(4);
        return true;
    }
    if (E.learning) {
        choice_count = search_from = 0;
        E.cut_preemptions = E.cut_stale = false;
        return true;
    }
    if (E.reducing && !E.bounds.every_order)
        explorer__find_races(search_from);
    if (!backtrack())
        return false;
    search_from = choices[choice_count - 1].first_event;
    return true;
}

void explorer_run(const struct explorer_test *test, const struct explorer_bounds *bounds,
                  struct explorer_result *result)
{
    double start = now();
    begin(test, bounds, result);
    bool passed, more = true;
    uint64_t tried = 0;
    random_stay = 1;
    do {
        enum ending ending = play();
        passed = ending != FAILED;
        tried++;
        result->executions += ending != REDUNDANT;
        more = passed && next_execution();
    } while (more && !spent(bounds, result->executions, tried, start));
    result->complete = passed && !more;
    result->cut_preemptions = E.cut_preemptions;
    result->cut_stale = E.cut_stale;
    result->seconds = now() - start;
    if (!passed)
        write_schedule(result->schedule, sizeof result->schedule);
}

void explorer_replay(const struct explorer_test *test, const char *schedule, bool trace, struct explorer_result *result)
{
    struct explorer_bounds all = EXPLORER_ALL;
    begin(test, &all, result);
    if (!read_schedule(schedule)) {
        result->limit = true;
        snprintf(result->bug, sizeof result->bug, "limit: not a schedule: %.200s", schedule);
        return;
    }
    E.replaying = true;
    E.reducing = false;
    E.tracing = trace;
    play();
    E.replaying = E.tracing = false;
    result->executions = 1;
    snprintf(result->schedule, sizeof result->schedule, "%s", schedule);
}
