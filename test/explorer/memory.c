/* SPDX-License-Identifier: MIT */

/*
 * The memory model: a view machine.
 *
 * Each location has the list of messages that were stored to it, in the order of execution; that order is its
 * modification order. Each thread has a view, the oldest message of each location that it may still read. A load takes
 * any message at or above that and moves the view up to it (coherence). A release store passes the storing thread's
 * view on with its message; an acquire load joins it into its own: everything the releasing thread could not miss, the
 * acquiring one can not miss either. A read-modify-write takes the latest message and passes its view on (release
 * sequence). A seq_cst fence exchanges all it knows with one global view, so of two fences the later one knows what
 * stood before the earlier one.
 *
 * membarrier is such a fence on the calling thread, then on each other thread at some moment that the search chooses,
 * then on the caller again. Nothing more is needed for the pair with a light barrier: either the fence hit the other
 * thread before its store, then its later load sees what the caller stored before membarrier, or after, then
 * the caller sees the store.
 *
 * Plain accesses read and write memory, and are checked for races with the clocks in the same views. A clock moves on
 * when its thread passes a view on; an access is ordered before another when the other's thread knows of its clock.
 *
 * Atomic stores also write memory, so that it holds the latest values whenever test code looks at it directly.
 */

#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define E explorer__engine

struct message {
    uint64_t value;
    struct view view; /* what an acquire load of this message learns */
};

/* Who touched an address in any execution of this test. */
struct footprint {
    const volatile void *address;
    uint8_t readers, writers; /* bit t: thread t */
    bool shared;              /* a write by one thread and any access by another: order matters */
};

/* Clock of each thread's last access of a kind. */
struct epochs {
    uint8_t of[8];
};

struct location {
    const volatile void *address; /* NULL: forgotten */
    struct footprint *footprint;
    unsigned size;
    unsigned count;     /* messages so far; that of timestamp i is history[i % HISTORY] */
    bool atomic, plain; /* which kinds of access it saw */
    bool owned;         /* of the location that stands for an object's holder */
    unsigned owner;
    struct epochs atomic_reads, atomic_writes, plain_reads, plain_writes;
    struct message history[HISTORY];
};

enum { LOCATION_HASH = 512, FOOTPRINT_HASH = 4096 };

static struct location locations[LOCATIONS];
static unsigned location_count;
static uint8_t location_hash[LOCATION_HASH]; /* index + 1 */
static unsigned view_blocks;                 /* that the locations in use need */
static struct view fences;                   /* the global view of seq_cst fences */

static struct footprint footprints[PLACES];
static unsigned footprint_count;
static uint16_t footprint_hash[FOOTPRINT_HASH];

/* ---- views ----------------------------------------------------------------------------------------------------- */

static void view_copy(struct view *to, const struct view *from)
{
    for (unsigned i = 0; i < from->blocks; i++)
        to->block[i] = from->block[i];
    to->blocks = from->blocks;
}

static void view_join(struct view *into, const struct view *from)
{
    unsigned both = into->blocks < from->blocks ? into->blocks : from->blocks;
    for (unsigned i = 0; i < both; i++) {
        view_block a = into->block[i], b = from->block[i], more = (view_block)(a > b);
        into->block[i] = (a & more) | (b & ~more);
    }
    for (unsigned i = both; i < from->blocks; i++)
        into->block[i] = from->block[i];
    if (into->blocks < from->blocks)
        into->blocks = from->blocks;
}

/* A thread's current view always covers all locations, so that it can be indexed. */
static void view_extend(struct view *view)
{
    for (; view->blocks < view_blocks; view->blocks++)
        view->block[view->blocks] = (view_block){0};
}

static struct thread *self(void)
{
    return &E.thread[E.running];
}

static uint8_t *seen(struct thread *thread, const struct location *l)
{
    return &thread->current.at[VIEW_LOCATIONS + (unsigned)(l - locations)];
}

/* What the running thread does from here on is not covered by the view that it just passed on. */
static void advance_clock(unsigned t)
{
    if (E.thread[t].current.at[t] == TIMESTAMPS)
        explorer__limit("too many releases by one thread in an execution");
    E.thread[t].current.at[t]++;
}

static void fence_seq_cst(unsigned t)
{
    struct thread *thread = &E.thread[t];
    view_join(&thread->current, &thread->acquired);
    view_join(&thread->current, &fences);
    view_copy(&fences, &thread->current);
    view_copy(&thread->released, &thread->current);
    advance_clock(t);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static uint64_t peek(const volatile void *p, unsigned size)
{
    switch (size) {
    case 0: /* stands for an object's holder */
        return 0;
    case 1:
        return *(const volatile uint8_t *)p;
    case 2:
        return *(const volatile uint16_t *)p;
    case 4:
        return *(const volatile uint32_t *)p;
    case 8:
        return *(const volatile uint64_t *)p;
    default:
        explorer__limit("an access of a size other than 1, 2, 4 or 8");
    }
}

static void poke(volatile void *p, unsigned size, uint64_t value)
{
    if (size == 1)
        *(volatile uint8_t *)p = (uint8_t)value;
    else if (size == 2)
        *(volatile uint16_t *)p = (uint16_t)value;
    else if (size == 4)
        *(volatile uint32_t *)p = (uint32_t)value;
    else
        *(volatile uint64_t *)p = value;
}

static uint64_t truncated(uint64_t value, unsigned size)
{
    return size < 8 ? value & (((uint64_t)1 << 8 * size) - 1) : value;
}

/* ---- footprints: accesses that can not conflict need no scheduling point ----------------------------------------- */

/*
 * An access to a location that only one thread touches, or that nobody writes, commutes with everything other threads
 * do: running them before or after it makes no difference, so there is no choice to explore. Which locations these are
 * is learnt; when one turns out to be shared after all, what ran so far is thrown away and the search starts again. At
 * the end no explored execution contradicts the set, and then none at all does: the first contradicting access of any
 * execution would come after a prefix that, up to commuting, was explored.
 */
static struct footprint *footprint_of(const volatile void *p)
{
    unsigned h = (unsigned)(((uintptr_t)p * 0x9e3779b97f4a7c15u) >> 52);
    for (; footprint_hash[h]; h = (h + 1) % FOOTPRINT_HASH)
        if (footprints[footprint_hash[h] - 1].address == p)
            return &footprints[footprint_hash[h] - 1];
    if (footprint_count == FOOTPRINTS)
        return &footprints[FOOTPRINTS];
    struct footprint *f = &footprints[footprint_count++];
    *f = (struct footprint){.address = p};
    footprint_hash[h] = (uint16_t)footprint_count;
    return f;
}

static void note(struct footprint *f, bool write)
{
    uint8_t me = (uint8_t)(1u << E.running);
    if (f->shared)
        return;
    if (write)
        f->writers |= me;
    else
        f->readers |= me;
    uint8_t all = f->readers | f->writers;
    if (f->writers && (all & (all - 1)))
        f->shared = E.learning = true;
}

void explorer__footprints_reset(void)
{
    footprint_count = 0;
    memset(footprint_hash, 0, sizeof footprint_hash);
    footprints[FOOTPRINTS] = (struct footprint){.shared = true};
}

static unsigned place_of(const struct location *l)
{
    return (unsigned)(l->footprint - footprints);
}

/* ---- what a waiting loop has read -------------------------------------------------------------------------------- */

/* What the thread knows of each location since its last yield. The entry of location x is [slot[x]], if that is below
   `count` and says so: nothing has to be cleared. */
static struct watch {
    unsigned count;
    uint8_t slot[LOCATIONS], location[LOCATIONS], time[LOCATIONS];
    uint16_t place[LOCATIONS];
    int16_t changed_by[LOCATIONS]; /* first event of another thread that left another value; -1: none */
    uint64_t value[LOCATIONS];
} watches[THREADS];

static bool is_watched(const struct watch *w, unsigned location)
{
    return w->slot[location] < w->count && w->location[w->slot[location]] == location;
}

static void watch_value(struct watch *w, const struct location *l, unsigned time, uint64_t value)
{
    unsigned i = w->slot[l - locations];
    w->time[i] = (uint8_t)time;
    w->value[i] = value;
    w->changed_by[i] = -1;
}

static void watch(const struct location *l, unsigned time, uint64_t value)
{
    struct watch *w = &watches[E.running];
    unsigned x = (unsigned)(l - locations);
    if (!l->footprint->shared)
        return;
    if (!is_watched(w, x)) {
        w->slot[x] = (uint8_t)w->count;
        w->location[w->count] = (uint8_t)x;
        w->place[w->count++] = (uint16_t)place_of(l);
    }
    watch_value(w, l, time, value);
}

/* A new value: who waits for it goes on some time; the writer itself would find what it left. */
static void tell_watchers(const struct location *l, unsigned time, uint64_t value)
{
    unsigned x = (unsigned)(l - locations);
    for (unsigned t = 1; t <= E.threads; t++) {
        struct watch *w = &watches[t];
        if (!is_watched(w, x))
            continue;
        if (t == E.running)
            watch_value(w, l, time, value);
        else if (w->changed_by[w->slot[x]] < 0 && w->value[w->slot[x]] != value) {
            w->changed_by[w->slot[x]] = (int16_t)(explorer__event_count() - 1);
            E.thread[t].ready = true;
        }
    }
}

const uint16_t *explorer__watched(unsigned t, unsigned *count)
{
    *count = watches[t].count;
    return watches[t].place;
}

bool explorer__watches(unsigned t, unsigned place)
{
    for (unsigned i = 0; i < watches[t].count; i++)
        if (watches[t].place[i] == place)
            return true;
    return false;
}

void explorer__watch_nothing(unsigned t)
{
    watches[t].count = 0;
}

/* ---- locations ------------------------------------------------------------------------------------------------- */

void explorer__memory_reset(void)
{
    location_count = 0;
    memset(location_hash, 0, sizeof location_hash);
    view_blocks = 1;
    fences.blocks = 0;
}

void explorer__thread_reset(struct thread *thread, unsigned t)
{
    *thread = (struct thread){.done = false};
    view_extend(&thread->current);
    watches[t].count = 0;
    thread->current.at[t] = 1; /* above what others know of it, which is 0 */
}

static void init_location(struct location *l, const volatile void *p, unsigned size)
{
    l->address = p;
    l->footprint = footprint_of(p);
    l->size = size;
    l->count = 1;
    l->atomic = l->plain = l->owned = false;
    l->atomic_reads = l->atomic_writes = l->plain_reads = l->plain_writes = (struct epochs){{0}};
    l->history[0].value = peek(p, size);
    l->history[0].view.blocks = 0;
}

static struct location *add_location(const volatile void *p, unsigned size)
{
    if (location_count == LOCATIONS)
        explorer__limit("more locations in an execution than the explorer has room for");
    struct location *l = &locations[location_count++];
    init_location(l, p, size);
    if (VIEW_LOCATIONS + location_count > view_blocks * sizeof(view_block)) {
        view_blocks++;
        for (unsigned t = 1; t <= E.threads; t++)
            view_extend(&E.thread[t].current);
    }
    return l;
}

static struct location *locate(const volatile void *p, unsigned size)
{
    unsigned h = (unsigned)(((uintptr_t)p * 0x9e3779b97f4a7c15u) >> 55);
    for (; location_hash[h]; h = (h + 1) % LOCATION_HASH) {
        struct location *l = &locations[location_hash[h] - 1];
        if (l->address != p)
            continue;
        if (l->size != size)
            explorer__limit("one address is accessed with two sizes");
        return l;
    }
    location_hash[h] = (uint8_t)(location_count + 1);
    return add_location(p, size);
}

void explorer_forget(const void *p, size_t size)
{
    if (E.running != 0) {
        explorer__flush();
        explorer__step();
        explorer__point(ANYTHING, 0);
        self()->last.site = NULL;
    }
    for (unsigned i = 0; i < location_count; i++)
        if ((uintptr_t)locations[i].address - (uintptr_t)p < size) {
            for (unsigned t = 1; t <= E.threads; t++)
                E.thread[t].ready |= is_watched(&watches[t], i);
            locations[i].address = NULL; /* its slot in the hash stays, and matches nothing */
        }
}

static struct message *message(struct location *l, unsigned time)
{
    return &l->history[time % HISTORY];
}

static struct message *latest(struct location *l)
{
    return message(l, l->count - 1);
}

/* A stale read is as good as a change: the loop will read a later value. */
bool explorer__read_stale(unsigned t)
{
    const struct watch *w = &watches[t];
    for (unsigned i = 0; i < w->count; i++) {
        struct location *l = &locations[w->location[i]];
        for (unsigned time = w->time[i] + 1u; time < l->count; time++)
            if (message(l, time)->value != w->value[i])
                return true;
    }
    return false;
}

bool explorer__waits_simply(unsigned t)
{
    return !E.thread[t].timed && watches[t].count == 1;
}

int explorer__changed_by(unsigned t)
{
    return watches[t].changed_by[0];
}

void explorer__watch_only(unsigned t, const volatile void *p)
{
    struct watch *w = &watches[t];
    for (unsigned i = 0; i < w->count; i++)
        if (locations[w->location[i]].address == p) {
            unsigned x = w->location[0] = w->location[i];
            w->time[0] = w->time[i];
            w->place[0] = w->place[i];
            w->value[0] = w->value[i];
            w->changed_by[0] = w->changed_by[i];
            w->slot[x] = 0;
            w->count = 1;
            E.thread[t].ready = w->changed_by[0] >= 0;
            return;
        }
}

/* Starts every access: other threads run first, if that can make a difference. */
static struct location *visit_to(const volatile void *p, unsigned size, enum pending what)
{
    explorer__step();
    struct location *l = locate(p, size);
    if (l->footprint->shared || E.replaying) {
        explorer__point(what, place_of(l));
        if (l->address != p) /* another thread had it forgotten */
            l = locate(p, size);
    }
    note(l->footprint, what != READS);
    self()->last.site = NULL;
    if (peek(p, size) != latest(l)->value)
        explorer__limit("memory that was accessed through hooks changed without one (explorer_forget?)");
    return l;
}

static struct location *visit(const volatile void *p, unsigned size, bool write)
{
    return visit_to(p, size, write ? WRITES : READS);
}

/* ---- races ----------------------------------------------------------------------------------------------------- */

static const char *describe(const struct explorer_site *site, char *text, size_t size)
{
    char op[40];
    snprintf(text, size, "%s:%d %s(%s)", site->function, site->line, explorer__op_name(site, op, sizeof op),
             site->expression);
    return text;
}

static void check_ordered(const struct explorer_site *site, const struct epochs *epochs, const char *what)
{
    const struct view *mine = &self()->current;
    char text[160];
    for (unsigned t = 1; t <= E.threads; t++)
        if (epochs->of[t] > mine->at[t])
            explorer_fail("data race: %s of thread %u against %s of thread %u", describe(site, text, sizeof text),
                          E.running, what, t);
}

static void stamp(struct epochs *epochs)
{
    epochs->of[E.running] = self()->current.at[E.running];
}

/* Atomic accesses race with plain ones only, plain ones with all: the table of C11 5.1.2.4, with reads exempt. */
static void check_atomic(const struct explorer_site *site, struct location *l, bool write)
{
    l->atomic = true;
    if (l->plain) {
        check_ordered(site, &l->plain_writes, "a plain write");
        if (write)
            check_ordered(site, &l->plain_reads, "a plain read");
    }
    stamp(write ? &l->atomic_writes : &l->atomic_reads);
}

static void check_plain(const struct explorer_site *site, struct location *l, bool write)
{
    l->plain = true;
    check_ordered(site, &l->plain_writes, "a plain write");
    if (write)
        check_ordered(site, &l->plain_reads, "a plain read");
    if (l->atomic) {
        check_ordered(site, &l->atomic_writes, "an atomic write");
        if (write)
            check_ordered(site, &l->atomic_reads, "an atomic read");
    }
    stamp(write ? &l->plain_writes : &l->plain_reads);
}

/* ---- trace ----------------------------------------------------------------------------------------------------- */

void explorer__print_step(const struct explorer_site *site, const char *format, ...)
{
    char text[160];
    va_list arguments;
    printf("  %4u  T%u  %s", E.step, E.running, describe(site, text, sizeof text));
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("%s\n", site->mutation ? "   [mutant]" : "");
}

static const char *show(uint64_t value, char text[24])
{
    snprintf(text, 24, value < 1000000 ? "%ju" : "0x%jx", (uintmax_t)value);
    return text;
}
#define SHOW(value) show(value, (char[24]){0})

/* ---- messages -------------------------------------------------------------------------------------------------- */

static bool acquires(enum explorer_order order)
{
    return order == EXPLORER_ACQUIRE || order >= EXPLORER_ACQ_REL;
}

static bool releases(enum explorer_order order)
{
    return order >= EXPLORER_RELEASE;
}

/* The running thread reads message `time`. */
static uint64_t observe(struct location *l, unsigned time, enum explorer_order order)
{
    struct thread *me = self();
    struct message *m = message(l, time);
    *seen(me, l) = (uint8_t)time;
    watch(l, time, m->value);
    if (m->view.blocks)
        view_join(acquires(order) ? &me->current : &me->acquired, &m->view);
    return m->value;
}

/* The running thread stores; `continued`: the message whose release sequence goes on. */
static void append(struct location *l, uint64_t value, enum explorer_order order, const struct message *continued)
{
    struct thread *me = self();
    if (l->count > TIMESTAMPS)
        explorer__limit("too many stores to one location in an execution");
    E.changes += latest(l)->value != value;
    struct message *m = message(l, l->count);
    tell_watchers(l, l->count, value);
    *seen(me, l) = (uint8_t)l->count++;
    m->value = value;
    view_copy(&m->view, releases(order) ? &me->current : &me->released);
    if (continued)
        view_join(&m->view, &continued->view);
    if (releases(order))
        advance_clock(E.running);
}

/* Oldest message that the running thread may read, and that is still kept. */
static unsigned oldest(struct location *l)
{
    unsigned known = *seen(self(), l);
    unsigned kept = l->count < HISTORY ? 0 : l->count - HISTORY + 1; /* one less: a store may be taken back */
    return known > kept ? known : kept;
}

/* For explorer__yield: a loop that read a stale value and yields reads a later one when it comes back. */
static void note_stale(struct location *l, unsigned time)
{
    struct thread *me = self();
    unsigned i = me->stale_count++ % RECENT_STALE;
    me->stale_location[i] = (uint8_t)(l - locations);
    me->stale_time[i] = (uint8_t)time;
}

static struct explorer_site *enter(struct explorer_site *site)
{
    struct explorer_site *canonical = site->canonical ? site->canonical : explorer__register(site);
    canonical->tests |= E.test_bit;
    return canonical;
}

void explorer__flush(void)
{
    struct thread *me = self();
    if (__builtin_expect(!me->late.site, 1))
        return;
    struct late_store store = me->late;
    me->late = (struct late_store){.site = NULL};
    explorer__store(store.site, store.p, store.size, store.value);
}

/* A mutated light barrier lets the store before it pass loads, but none of the same location. */
static void flush_before_load(const volatile void *p)
{
    if (__builtin_expect(self()->late.p == p, 0))
        explorer__flush();
}

/* ---- the hooks ------------------------------------------------------------------------------------------------- */

uint64_t explorer__load(struct explorer_site *site, const volatile void *p, unsigned size)
{
    if (E.running == 0)
        return peek(p, size);
    site = enter(site);
    flush_before_load(p);
    struct location *l = visit(p, size, false);
    check_atomic(site, l, false);
    unsigned behind = explorer__choose_message(l->count - oldest(l)), time = l->count - 1 - behind;
    uint64_t value = observe(l, time, site->order);
    if (behind)
        note_stale(l, time);
    if (behind)
        EXPLORER_TRACE(site, " = %s   (stale by %u)", SHOW(value), behind);
    else
        EXPLORER_TRACE(site, " = %s", SHOW(value));
    return value;
}

void explorer__store(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value)
{
    if (E.running == 0) {
        poke(p, size, value);
        return;
    }
    site = enter(site);
    explorer__flush();
    struct location *l = visit(p, size, true);
    struct thread *me = self();
    check_atomic(site, l, true);
    me->last_view = *seen(me, l);
    me->last_old = latest(l)->value;
    value = truncated(value, size);
    append(l, value, site->order, NULL);
    poke(p, size, value);
    me->last = (struct late_store){site, p, size, value};
    EXPLORER_TRACE(site, " <- %s", SHOW(value));
}

/* Every read-modify-write that succeeds. */
static uint64_t modify(const struct explorer_site *site, struct location *l, uint64_t value)
{
    check_atomic(site, l, true);
    struct message *m = latest(l);
    uint64_t old = observe(l, l->count - 1, site->order);
    append(l, value, site->order, m);
    poke((volatile void *)(uintptr_t)l->address, l->size, value);
    EXPLORER_TRACE(site, " %s -> %s", SHOW(old), SHOW(value));
    return old;
}

uint64_t explorer__exchange(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value)
{
    if (E.running == 0) {
        uint64_t old = peek(p, size);
        poke(p, size, value);
        return old;
    }
    site = enter(site);
    explorer__flush();
    return modify(site, visit(p, size, true), truncated(value, size));
}

uint64_t explorer__add(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value)
{
    if (E.running == 0) {
        uint64_t old = peek(p, size);
        poke(p, size, old + value);
        return old;
    }
    site = enter(site);
    explorer__flush();
    struct location *l = visit(p, size, true);
    return modify(site, l, truncated(latest(l)->value + value, size));
}

/* A CAS that fails is a load, and may return any value that it may read, save the expected one. */
static unsigned choose_outcome(struct location *l, uint64_t expected, unsigned *time)
{
    unsigned options[HISTORY], count = 0, last = l->count - 1;
    options[count++] = last;
    for (unsigned i = last; i > oldest(l); i--)
        if (message(l, i - 1)->value != expected)
            options[count++] = i - 1;
    unsigned chosen = explorer__choose_message(count);
    *time = options[chosen];
    return chosen;
}

bool explorer__cas(struct explorer_site *site, volatile void *p, unsigned size, void *expected, uint64_t desired)
{
    uint64_t wanted = peek(expected, size);
    if (E.running == 0) {
        uint64_t old = peek(p, size);
        poke(old == wanted ? p : expected, size, old == wanted ? desired : old);
        return old == wanted;
    }
    site = enter(site);
    explorer__flush();
    struct location *l = visit(p, size, true);
    unsigned time, stale = choose_outcome(l, wanted, &time);
    if (!stale && latest(l)->value == wanted) {
        if (wanted == 0 && l->footprint->shared)
            explorer__event_takes();
        modify(site, l, truncated(desired, size));
        return true;
    }
    if (l->footprint->shared)
        explorer__event_only_reads();
    check_atomic(site, l, false);
    uint64_t value = observe(l, time, EXPLORER_RELAXED);
    if (stale)
        note_stale(l, time);
    poke(expected, size, value);
    EXPLORER_TRACE(site, " = %s, fails, wanted %s%s", SHOW(value), SHOW(wanted), stale ? "   (stale)" : "");
    return false;
}

bool explorer__lock(struct explorer_site *site, uint32_t *word, uint32_t taken)
{
    if (E.running == 0 || !E.modelling)
        return false;
    site = enter(site);
    explorer__flush();
    self()->lock = word;
    struct location *l = visit_to(word, sizeof *word, LOCKS);
    if (latest(l)->value != 0)
        explorer__blocked();
    (void)modify(site, l, taken);
    return true;
}

uint64_t explorer__read(struct explorer_site *site, const volatile void *p, unsigned size)
{
    if (E.running == 0)
        return peek(p, size);
    site = enter(site);
    flush_before_load(p);
    struct location *l = visit(p, size, false);
    check_plain(site, l, false);
    uint64_t value = latest(l)->value; /* no race: every write happened before */
    watch(l, l->count - 1, value);
    EXPLORER_TRACE(site, " = %s", SHOW(value));
    return value;
}

void explorer__write(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value)
{
    if (E.running == 0) {
        poke(p, size, value);
        return;
    }
    site = enter(site);
    explorer__flush();
    struct location *l = visit(p, size, true);
    check_plain(site, l, true);
    value = truncated(value, size);
    E.changes += latest(l)->value != value;
    if (l->atomic)
        append(l, value, EXPLORER_RELAXED, NULL);
    else {
        tell_watchers(l, 0, value);
        l->history[0].value = value; /* an atomic access to come is ordered after this, or reported as a race */
    }
    poke(p, size, value);
    EXPLORER_TRACE(site, " <- %s", SHOW(value));
}

void explorer__fence(struct explorer_site *site)
{
    if (E.running == 0)
        return;
    site = enter(site);
    explorer__flush();
    explorer__step();
    struct thread *me = self();
    explorer__point(FENCES, E.running);
    me->last.site = NULL;
    if (site->order == EXPLORER_SEQ_CST)
        fence_seq_cst(E.running);
    else if (acquires(site->order))
        view_join(&me->current, &me->acquired);
    if (site->order == EXPLORER_RELEASE || site->order == EXPLORER_ACQ_REL) {
        view_copy(&me->released, &me->current);
        advance_clock(E.running);
    }
    EXPLORER_TRACE(site, "%s", "");
}

/*
 * Emits no instruction, so it does nothing. Its mutant is a compiler that moves the store before it behind all loads
 * that follow, up to the next store. No other thread ran since that store, so it can be taken back.
 */
void explorer__light_barrier(struct explorer_site *site)
{
    if (E.running == 0)
        return;
    site = enter(site);
    EXPLORER_TRACE(site, "%s", "");
    struct thread *me = self();
    if (site->mutation != EXPLORER_LATE_STORE || !me->last.site)
        return;
    struct location *l = locate(me->last.p, me->last.size);
    l->count--;
    *seen(me, l) = me->last_view;
    poke(me->last.p, me->last.size, me->last_old);
    me->late = me->last;
    me->last.site = NULL;
}

/* A thread that ended has to be fenced too: its last stores may not be known yet. */
static void barrier_of(const struct explorer_site *site, unsigned t)
{
    explorer__step();
    if (!E.thread[t].done || E.reducing || E.replaying) /* else the moment makes no difference */
        explorer__point(FENCES, t);
    fence_seq_cst(t);
    EXPLORER_TRACE(site, " of thread %u", t);
}

void explorer__membarrier(struct explorer_site *site)
{
    if (E.running == 0)
        return;
    site = enter(site);
    explorer__flush();
    self()->last.site = NULL;
    if (site->mutation == EXPLORER_DROP_BARRIER)
        return;
    unsigned me = E.running;
    barrier_of(site, me);
    for (unsigned t = 1; t <= E.threads && site->mutation != EXPLORER_LOCAL_BARRIER; t++)
        if (t != me)
            barrier_of(site, t);
    barrier_of(site, me);
}

/* ---- who holds an object --------------------------------------------------------------------------------------- */

/*
 * A location beside memory stands for it, and changes of hands are plain writes to it. So the order of two changes is
 * explored even if the code orders them by nothing, and is then a race in every execution that has both.
 */
static struct location *hand_over(struct explorer_site *site, const void *object)
{
    const void *key = (const void *)((uintptr_t)object ^ (uintptr_t)1 << (8 * sizeof object - 1));
    if (E.running == 0)
        return locate(key, 0);
    explorer__flush();
    struct location *l = visit(key, 0, true);
    EXPLORER_TRACE(site, " %p", object);
    check_plain(site, l, true);
    return l;
}

void explorer__own(struct explorer_site *site, const void *object)
{
    struct location *l = hand_over(site, object);
    if (l->owned)
        explorer_fail("an object that thread %u holds was handed to thread %u", l->owner, E.running);
    l->owned = true;
    l->owner = E.running;
}

void explorer__disown(struct explorer_site *site, const void *object)
{
    struct location *l = hand_over(site, object);
    if (!l->owned)
        explorer_fail("thread %u gave up an object that nobody holds", E.running);
    l->owned = false;
}
