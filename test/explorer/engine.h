/* SPDX-License-Identifier: MIT */
#ifndef EXPLORER_ENGINE_H
#define EXPLORER_ENGINE_H

/* Shared by the explorer's own files: explorer.c (executions, choices, threads), memory.c (the memory model), reduce.c
   (which orders matter). */

#include "explorer.h"

enum {
    THREADS = EXPLORER_THREADS + 1, /* with thread 0 */
    LOCATIONS = 192,
    HISTORY = 48,     /* messages of a location that a load can still choose from */
    TIMESTAMPS = 255, /* stores to one location, and releases of one thread, an execution */
    VIEW_BLOCKS = 13,
    VIEW_LOCATIONS = 8, /* in a view: byte t < 8 is the clock of thread t, byte 8 + x the timestamp of location x */
    RECENT_STALE = 8,
    TLS_SLOTS = 8,
    FOOTPRINTS = 1024,
    PLACES = FOOTPRINTS + 1 /* the last stands for all that found no room */
};

typedef uint8_t view_block __attribute__((vector_size(16)));

/*
 * What a thread knows, or what a message passes on: for each thread the clock up to which its accesses happened before,
 * for each location the oldest message that may still be read. Only `blocks` of it are there, the rest stands for zero:
 * most tests use less than three.
 */
struct view {
    union {
        view_block block[VIEW_BLOCKS];
        uint8_t at[VIEW_BLOCKS * sizeof(view_block)];
    };
    unsigned blocks;
};
_Static_assert(VIEW_LOCATIONS + LOCATIONS <= VIEW_BLOCKS * sizeof(view_block), "a view has room for every location");

/* A store that a mutated light barrier took back, to be done before the next one. */
struct late_store {
    struct explorer_site *site; /* NULL: none */
    volatile void *p;
    unsigned size;
    uint64_t value;
};

/* What a thread does next when it is chosen: decides whether an order matters. AWAITS: goes on from a yield, because of
   what it read before. LOCKS: takes a lock, which it can as long as nobody has it. */
enum pending { STARTS, READS, WRITES, LOCKS, FENCES, AWAITS, ANYTHING };

struct thread {
    enum pending pending;
    uint16_t place;       /* of READS, WRITES and LOCKS: which location; of FENCES: the thread that is fenced */
    const uint32_t *lock; /* LOCKS: 0 if free */
    bool ready;           /* AWAITS: something that it read since its last yield is now different */
    bool timed;           /* looked at the clock since its last yield: the loop ends by itself */
    unsigned vain_rounds; /* yields in a row that it passed without being ready */
    struct view current;  /* what its loads and stores are bound by */
    struct view acquired; /* what an acquire fence would add to it */
    struct view released; /* what a relaxed store passes on: the state at the last release fence */
    bool done;
    unsigned idle;          /* yields in a row between which nothing was written and nothing stale was read */
    unsigned passed_over;   /* yields of others in a row that chose somebody else */
    uint64_t changes_seen;  /* engine.changes at its last yield */
    struct late_store last; /* its last action, if that was a store */
    uint8_t last_view;      /* timestamp that it knew of that location before */
    uint64_t last_old;      /* value before */
    struct late_store late;
    uint8_t stale_location[RECENT_STALE], stale_time[RECENT_STALE];
    unsigned stale_count; /* since its last yield */
    struct opool_head *heads;
    void *tls[TLS_SLOTS];
};

struct engine {
    struct thread thread[THREADS];
    unsigned threads, running; /* modelled threads; the one that runs */
    unsigned step;             /* counts hooked accesses: decisions in a schedule are named by it */
    uint64_t changes;          /* stores that changed a value */
    unsigned preempted, stale; /* used of the bounds */
    struct explorer_bounds bounds;
    bool replaying, tracing;
    bool reducing;
    bool modelling;  /* reducing, or replaying what that found: locks block, yields wait for a change */
    unsigned asleep; /* bit t: running thread t next would repeat an execution (explorer.c) */
    bool learning;   /* a location turned out to be shared: what ran so far had too few scheduling points */
    bool cut_preemptions, cut_stale; /* a bound withheld something */
    uint64_t test_bit;               /* of the test that runs, for explorer_site.tests */
};
extern struct engine explorer__engine;

/* explorer.c */
_Noreturn void explorer__limit(const char *text);
/* The running thread can not take a lock: nobody will drop it, or this execution is to be thrown away. */
_Noreturn void explorer__blocked(void);
/* Counts a step. */
void explorer__step(void);
/* Other threads may run here; `next` is what the running one is about to do. */
void explorer__point(enum pending next, unsigned place);
/* Which of `count` messages a load returns: 0 is the latest. */
unsigned explorer__choose_message(unsigned count);

/* memory.c */
void explorer__memory_reset(void);
/* Forgets which locations are shared: a new test. */
void explorer__footprints_reset(void);
/* Thread t starts: it knows what init did. */
void explorer__thread_reset(struct thread *thread, unsigned t);
/* What the running thread has read since its last yield, as places: *count of them. */
const uint16_t *explorer__watched(unsigned t, unsigned *count);
bool explorer__watches(unsigned t, unsigned place);
/* It begins a new round. */
void explorer__watch_nothing(unsigned t);
/* It waits for a single location, without a clock: ready once that was changed, and nothing undoes that. */
bool explorer__waits_simply(unsigned t);
/* The event that did; -1: it had been changed when the thread looked. */
int explorer__changed_by(unsigned t);
/* Of what it read only this location matters. */
void explorer__watch_only(unsigned t, const volatile void *p);
/* Is there a newer value of something that it read? */
bool explorer__read_stale(unsigned t);
/* A store that a mutant held back is done at the latest now. */
void explorer__flush(void);
/* A line of a trace. */
void explorer__print_step(const struct explorer_site *site, const char *format, ...)
    __attribute__((noinline, cold, format(printf, 2, 3)));
#define EXPLORER_TRACE(...) \
    do { \
        if (__builtin_expect(explorer__engine.tracing, 0)) \
            explorer__print_step(__VA_ARGS__); \
    } while (0)

/* reduce.c */
void explorer__reduce_reset(void);
/* Does the order of what two threads do next matter? */
bool explorer__conflict(unsigned a, unsigned b);
/* Thread t does what it has pending; `choice` (-1: none) is where another thread could have been chosen. */
void explorer__event(unsigned t, int choice);
/* The last event only read after all. */
void explorer__event_only_reads(void);
/* It took a lock, if its location is one. */
void explorer__event_takes(void);
unsigned explorer__event_count(void);
/* Finds pairs of conflicting events, the later one not before `first`, that could have come in the other order. */
void explorer__find_races(unsigned first);

/* explorer.c, for reduce.c: one of the threads (a mask) has to be tried at that choice; `preferred` if it is one. */
void explorer__try_also(int choice, unsigned threads, unsigned preferred);

/* sites.c */
struct explorer_site *explorer__register(struct explorer_site *site);
/* "load_acquire" */
const char *explorer__op_name(const struct explorer_site *site, char *text, size_t size);

#endif
