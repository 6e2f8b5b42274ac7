/* SPDX-License-Identifier: MIT */

/*
 * Which orders matter.
 *
 * The reduction is source-DPOR (Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic partial order reduction", POPL
 * 2014, algorithm 1): run one execution; of two events in it that conflict and have nothing between them that orders
 * them (a race), the later one could have come first. Then, at the choice before the earlier one, some thread has to be
 * tried that begins such an execution: an initial of what has to run for the later event without the earlier one. If
 * one of those was tried there, or sleeps, nothing is missing. What was tried at a choice sleeps in what is tried after
 * it, until something conflicts with it (sleep sets: Godefroid, "Partial-Order Methods for the Verification of
 * Concurrent Systems", 1996).
 *
 * An event is one access at a scheduling point, with all that its thread does up to the next one. Which value a load
 * returns is part of the event, and all of them are run: two accesses to one location of which one writes conflict, so
 * swapping others changes neither what may be read nor how many of the reads are stale. A fence conflicts with every
 * other fence, and with everything that the fenced thread does.
 *
 * A thread that yields goes on when something that it read since its last yield has another value. This is an event
 * that reads all of that. It can not be run before one of those values changes, and stays possible then, so events make
 * others possible but not impossible, which the algorithm rests on. If it waits for one location, then nobody can make
 * a difference any more once it may go on: it does so at once, ordered behind the event that changed the location.
 * Loops that look at the clock end by themselves and may go on VAIN_ROUNDS times without a change (explorer.c). Only
 * when no thread can go on otherwise one that waits does, and that conflicts with everything.
 *
 * Taking a lock makes takings by others impossible. Whoever takes it comes behind a drop, and could not have come
 * before that; what it races with is the taking that belongs to the drop.
 */

#include "engine.h"

#include <string.h>

#define E explorer__engine

enum { EVENTS = 4096, LISTED = 32768, CANDIDATES = 4 * THREADS + LOCATIONS };

struct event {
    uint8_t thread, kind;
    uint16_t place;
    uint16_t number;         /* of its thread's events, from 1 */
    uint16_t listed;         /* AWAITS: so many places ... */
    uint32_t list;           /* ... from here on */
    bool takes;              /* a lock */
    int woken_by;            /* AWAITS for one location: the event without which it could not have been; -1: none */
    int choice;              /* -1: nothing else could have run */
    uint16_t clock[THREADS]; /* number of the last event of each thread that happened before it, or is it */
};

/* Of one place: last writer, and last reader of each thread, as event indices. */
struct accesses {
    uint32_t analysis; /* valid if it is the present one */
    int writer, reader[THREADS];
    int taker; /* of a lock: last event that took it */
};

/* Events that the next event of a thread may be ordered behind. */
struct before {
    int event[CANDIDATES];
    unsigned count;
};

static struct event events[EVENTS];
static unsigned event_count;
static uint16_t listed[LISTED];
static unsigned listed_count;

static struct accesses accesses[PLACES];
static uint32_t analysis;
/* Last event of each thread, last fence of each by others, last fence of any, last event that conflicts with all. */
static int last_of[THREADS], last_fence_of[THREADS], last_fence, last_of_all;

void explorer__reduce_reset(void)
{
    event_count = listed_count = 0;
}

unsigned explorer__event_count(void)
{
    return event_count;
}

/* ---- conflicts --------------------------------------------------------------------------------------------------- */

static bool is_access(const struct thread *thread)
{
    return thread->pending == READS || thread->pending == WRITES || thread->pending == LOCKS;
}

static bool writes(const struct thread *thread)
{
    return thread->pending == WRITES || thread->pending == LOCKS;
}

static bool waits_for(const struct thread *thread, unsigned t, const struct thread *other)
{
    return !explorer__waits_simply(t) && thread->pending == AWAITS && writes(other) &&
           explorer__watches(t, other->place);
}

bool explorer__conflict(unsigned a, unsigned b)
{
    const struct thread *one = &E.thread[a], *other = &E.thread[b];
    if (one->pending == STARTS || other->pending == STARTS)
        return false;
    if (one->pending == ANYTHING || other->pending == ANYTHING)
        return true;
    if (one->pending == FENCES || other->pending == FENCES)
        return one->pending == other->pending || (one->pending == FENCES ? one->place == b : other->place == a);
    if (one->pending == AWAITS)
        return waits_for(one, a, other);
    if (other->pending == AWAITS)
        return waits_for(other, b, one);
    return is_access(one) && one->place == other->place && (writes(one) || writes(other));
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void list_places(struct event *e, unsigned t)
{
    unsigned count;
    const uint16_t *places = explorer__watched(t, &count);
    if (count > LISTED - listed_count)
        explorer__limit("more waiting in an execution than the explorer has room for");
    memcpy(listed + listed_count, places, count * sizeof *places);
    e->list = listed_count;
    e->listed = (uint16_t)count;
    listed_count += count;
}

void explorer__event(unsigned t, int choice)
{
    if (event_count == EVENTS)
        explorer__limit("more events in an execution than the explorer has room for");
    struct event *e = &events[event_count++];
    const struct thread *thread = &E.thread[t];
    e->thread = (uint8_t)t;
    e->kind = (uint8_t)thread->pending;
    e->place = thread->place;
    e->choice = choice;
    e->listed = 0;
    e->woken_by = -1;
    e->takes = thread->pending == LOCKS;
    if (thread->pending == AWAITS && explorer__waits_simply(t))
        e->woken_by = explorer__changed_by(t);
    else if (thread->pending == AWAITS)
        list_places(e, t);
}

void explorer__event_only_reads(void)
{
    if (E.reducing && event_count && events[event_count - 1].kind == WRITES)
        events[event_count - 1].kind = READS;
}

void explorer__event_takes(void)
{
    if (E.reducing && event_count)
        events[event_count - 1].takes = true;
}

/* ---- what happened before what ----------------------------------------------------------------------------------- */

static struct accesses *accesses_of(unsigned place)
{
    struct accesses *a = &accesses[place];
    if (a->analysis != analysis) {
        a->analysis = analysis;
        a->writer = a->taker = -1;
        for (unsigned t = 0; t < THREADS; t++)
            a->reader[t] = -1;
    }
    return a;
}

static void may_follow(struct before *before, const struct event *e, int earlier)
{
    if (earlier >= 0 && events[earlier].thread != e->thread)
        before->event[before->count++] = earlier;
}

static void follows_all(struct before *before, const struct event *e)
{
    for (unsigned t = 1; t <= E.threads; t++)
        may_follow(before, e, last_of[t]);
}

/* The last events of other threads that conflict with e: with those before them e is ordered through them. */
static void find_conflicting(const struct event *e, struct before *before)
{
    const struct accesses *a;
    before->count = 0;
    may_follow(before, e, last_of_all);
    may_follow(before, e, last_fence_of[e->thread]);
    switch (e->kind) {
    case READS:
        may_follow(before, e, accesses_of(e->place)->writer);
        break;
    case WRITES:
    case LOCKS:
        a = accesses_of(e->place);
        may_follow(before, e, a->writer);
        for (unsigned t = 1; t <= E.threads; t++)
            may_follow(before, e, a->reader[t]);
        break;
    case FENCES:
        may_follow(before, e, last_fence);
        may_follow(before, e, last_of[e->place]);
        may_follow(before, e, last_fence_of[e->place]);
        break;
    case AWAITS:
        may_follow(before, e, e->woken_by);
        for (unsigned i = 0; i < e->listed; i++)
            may_follow(before, e, accesses_of(listed[e->list + i])->writer);
        break;
    case ANYTHING:
        follows_all(before, e);
        break;
    default:
        break;
    }
}

static void note(int index)
{
    const struct event *e = &events[index];
    last_of[e->thread] = index;
    if (e->kind == READS)
        accesses_of(e->place)->reader[e->thread] = index;
    else if (e->kind == WRITES || e->kind == LOCKS)
        accesses_of(e->place)->writer = index;
    if (e->takes)
        accesses_of(e->place)->taker = index;
    if (e->kind == ANYTHING)
        last_of_all = index;
    for (unsigned i = 0; e->kind == AWAITS && i < e->listed; i++)
        accesses_of(listed[e->list + i])->reader[e->thread] = index;
    if (e->kind != FENCES)
        return;
    last_fence = index;
    last_fence_of[e->place] = index;
}

static void begin_clock(struct event *e)
{
    if (last_of[e->thread] >= 0)
        memcpy(e->clock, events[last_of[e->thread]].clock, sizeof e->clock);
    else
        memset(e->clock, 0, sizeof e->clock);
    e->number = (uint16_t)(e->clock[e->thread] + 1);
    e->clock[e->thread] = e->number;
}

static bool happened_before(const struct event *a, const struct event *b)
{
    return b->clock[a->thread] >= a->number;
}

static void join(struct event *e, const struct event *earlier)
{
    for (unsigned t = 1; t <= E.threads; t++)
        if (e->clock[t] < earlier->clock[t])
            e->clock[t] = earlier->clock[t];
}

static void latest_first(struct before *before)
{
    for (unsigned i = 1; i < before->count; i++) {
        int event = before->event[i];
        unsigned j = i;
        for (; j > 0 && before->event[j - 1] < event; j--)
            before->event[j] = before->event[j - 1];
        before->event[j] = event;
    }
}

/* ---- races ------------------------------------------------------------------------------------------------------- */

/* Threads that may begin what has to run for `later` without `earlier`: their first events in it follow no other one
   of it. */
static unsigned initials(int earlier, int later)
{
    int first[THREADS] = {0};
    unsigned result = 0, seen = 0;
    for (int i = earlier + 1; i <= later; i++) {
        const struct event *e = &events[i];
        if (seen >> e->thread & 1 || (i != later && happened_before(&events[earlier], e)))
            continue;
        bool initial = true;
        for (unsigned t = 1; t <= E.threads; t++)
            initial = initial && !((seen >> t & 1) && happened_before(&events[first[t]], e));
        seen |= 1u << e->thread;
        first[e->thread] = i;
        if (initial)
            result |= 1u << e->thread;
    }
    return result;
}

/*
 * Which event e races with if it is ordered behind `earlier`; -1: none, it was not possible before that. A lock is
 * taken after it was dropped, but could have been taken before who dropped it took it.
 */
static int could_be_later(const struct event *e, int earlier)
{
    if (e->kind == AWAITS && earlier == e->woken_by)
        return -1;
    if (e->kind != LOCKS || earlier != accesses_of(e->place)->writer)
        return earlier;
    int taker = accesses_of(e->place)->taker;
    return taker >= 0 && events[taker].thread != e->thread && !happened_before(&events[taker], e) ? taker : -1;
}

static void order(int index, bool races)
{
    static struct before before;
    struct event *e = &events[index];
    find_conflicting(e, &before);
    latest_first(&before);
    begin_clock(e);
    int reversed[CANDIDATES];
    unsigned count = 0;
    for (unsigned i = 0; i < before.count; i++) {
        const struct event *earlier = &events[before.event[i]];
        if (happened_before(earlier, e))
            continue;
        int other = could_be_later(e, before.event[i]);
        if (other >= 0)
            reversed[count++] = other;
        join(e, earlier);
    }
    for (unsigned i = 0; races && i < count; i++)
        if (events[reversed[i]].choice >= 0)
            explorer__try_also(events[reversed[i]].choice, initials(reversed[i], index), e->thread);
}

void explorer__find_races(unsigned first)
{
    analysis++;
    last_fence = last_of_all = -1;
    for (unsigned t = 0; t < THREADS; t++)
        last_of[t] = last_fence_of[t] = -1;
    for (unsigned i = 0; i < event_count; i++) {
        if (i >= first)
            order((int)i, true);
        note((int)i);
    }
}
