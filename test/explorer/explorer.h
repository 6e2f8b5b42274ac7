/* SPDX-License-Identifier: MIT */
#ifndef EXPLORER_H
#define EXPLORER_H

/*
 * The explorer runs a small test of up to four modelled threads in every interleaving, and lets every load return every
 * value that the C11 memory model (minus the deviations listed in README.md) allows. Code under test reaches it through
 * explorer_atomic.h, the test through this header. One OS thread, so nothing here is thread safe. C only, gnu11.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORER_THREADS 4
#define EXPLORER_UNBOUNDED (~0u)

/* ---- what a test is -------------------------------------------------------------------------------------------- */

/**
 * init and fini run as thread 0, before and after all modelled threads, and see and set memory directly. init must
 * bring all memory of the test to the same state each time, at the same addresses: an execution is repeated by its
 * choices only. The test's own bookkeeping may be plain variables: between two hooked accesses of one thread nothing
 * else runs. Who holds an object is better told by explorer_own, which misses nothing and allows `reduce`.
 */
struct explorer_test {
    const char *name;
    void (*init)(void);
    void (*body[EXPLORER_THREADS])(void); /* the first NULL ends the list; body[0] is thread 1 */
    void (*fini)(void);                   /* NULL: none */
    unsigned preemptions, stale;          /* bounds that count as complete; 0: without bound */
    bool
        reduce; /* threads share nothing but what is hooked or owned: orders that only swap events which do not conflict
                    are run once (reduce.c). Takes effect where preemptions are not bounded */
    const char *expect; /* a control: passes when a bug whose text contains this is found */
    uint64_t must; /* so many executions reach its bounds; a run with --must fails when it does not. 0: no promise */
};

/** What one run may do. Start from EXPLORER_ALL and narrow it. */
struct explorer_bounds {
    unsigned preemptions; /* switches away from a thread that could go on, per execution */
    unsigned stale;       /* loads that do not return the latest value, per execution */
    unsigned steps;       /* hooked accesses per execution, below 65536; more is reported as a livelock. 0: 2000 */
    uint64_t executions;  /* 0: no limit */
    double seconds;       /* 0: no limit */
    bool every_order;     /* of a test with `reduce`: nothing is left out. For the check of the reduction */
    bool random;          /* random choices from `seed`, `executions` times, instead of all of them */
    uint64_t seed;
};
#define EXPLORER_ALL \
    { \
        .preemptions = EXPLORER_UNBOUNDED, .stale = EXPLORER_UNBOUNDED \
    }

struct explorer_result {
    uint64_t executions; /* run to their end */
    double seconds;
    bool complete;        /* everything within the bounds was run */
    bool cut_preemptions; /* a bound withheld something; complete and nothing cut: every execution was run */
    bool cut_stale;
    bool limit;          /* `bug` is about the explorer or the test (a full table, not deterministic), not the code */
    char bug[256];       /* empty: none found */
    char schedule[8192]; /* of the bug: for explorer_replay */
};

/** Runs a test until a bug, the end, or a limit. */
void explorer_run(const struct explorer_test *test, const struct explorer_bounds *bounds,
                  struct explorer_result *result);

/** Runs the one execution that `schedule` describes; prints each step if `trace`. A mutant must be set again. */
void explorer_replay(const struct explorer_test *test, const char *schedule, bool trace,
                     struct explorer_result *result);

/* ---- called by tests ------------------------------------------------------------------------------------------- */

/** The running thread: 1 to 4; 0 in init and fini. */
unsigned explorer_self(void);
/** Ends the execution as a bug unless `ok`. */
void explorer_check(bool ok, const char *text);
/** Ends the execution as a bug. */
void explorer_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/** The running thread now holds the object, or no longer. Two holders, or a change of hands without an order: a bug. */
#define explorer_own(object) explorer__own(EXPLORER_SITE(EXPLORER_OWN, EXPLORER_RELAXED, #object), (object))
#define explorer_disown(object) explorer__disown(EXPLORER_SITE(EXPLORER_DISOWN, EXPLORER_RELAXED, #object), (object))
/** A point where other threads may run, for a test that has to look between two accesses. */
void explorer_point(void);
/** The running thread looks at a clock, so the loop that it may be in ends by itself, if others stand still too. */
void explorer_timed(void);
/** The other threads run no further: what a fork leaves of them in the child. fini, which sees memory as it is, can go
    on as the child. */
void explorer_end_others(void);
/** Memory that goes out of use and may come back as something else: its history is dropped. */
void explorer_forget(const void *p, size_t size);
/** Every thread's opool__heads, as a thread that has not attached sees it. Call it in init. */
struct opool_head;
void explorer_heads_reset(struct opool_head *initial);
/** Pointer `slot` (0 to 7) of the running thread: NULL when an execution starts. For the code's other thread-locals. */
void **explorer_tls(unsigned slot);

/** membarrier(2) of the test's own table of system calls. */
#define explorer_membarrier() explorer__membarrier(EXPLORER_SITE(EXPLORER_MEMBARRIER, EXPLORER_SEQ_CST, ""))
/** A wait until *word is no longer what the running thread last saw there: goes on at the latest then. */
#define explorer_wait(word) explorer__wait(EXPLORER_SITE(EXPLORER_YIELD, EXPLORER_RELAXED, #word), (word))
/**
 * Takes a lock whose word is 0 when free and becomes `taken`, if locks block here: in reduced searches, where the turns
 * of a loop that waits for a lock are not explored again for each lock. False: take it as the code does.
 */
#define explorer_lock(word, taken) explorer__lock(EXPLORER_SITE(EXPLORER_CAS, EXPLORER_ACQUIRE, #word), (word), (taken))
/** In a loop that waits: another thread runs, if there is one. */
#define explorer_yield() explorer__yield(EXPLORER_SITE(EXPLORER_YIELD, EXPLORER_RELAXED, ""))

/* ---- sites and mutants ----------------------------------------------------------------------------------------- */

enum explorer_op {
    EXPLORER_LOAD,
    EXPLORER_STORE,
    EXPLORER_EXCHANGE,
    EXPLORER_ADD,
    EXPLORER_CAS,
    EXPLORER_READ,
    EXPLORER_WRITE,
    EXPLORER_FENCE,
    EXPLORER_LIGHT_BARRIER,
    EXPLORER_MEMBARRIER,
    EXPLORER_YIELD,
    EXPLORER_OWN,
    EXPLORER_DISOWN
};

enum explorer_order { EXPLORER_RELAXED, EXPLORER_ACQUIRE, EXPLORER_RELEASE, EXPLORER_ACQ_REL, EXPLORER_SEQ_CST };

/** One weakening of one site. */
enum explorer_mutation {
    EXPLORER_NO_MUTATION,
    EXPLORER_DROP_ACQUIRE,  /* acquire to relaxed, acq_rel to release */
    EXPLORER_DROP_RELEASE,  /* release to relaxed, acq_rel to acquire */
    EXPLORER_DROP_BARRIER,  /* membarrier does nothing */
    EXPLORER_LOCAL_BARRIER, /* membarrier is a seq_cst fence of its caller only */
    EXPLORER_LATE_STORE,    /* light barrier: the store before it happens after the loads that follow it */
    EXPLORER_MUTATIONS
};

/** A place in the code under test; the macros below make one for each access. */
struct explorer_site {
    const char *function, *file, *expression;
    int line;
    enum explorer_op op;
    enum explorer_order written; /* the order in the source */
    enum explorer_order order;   /* the order in force */
    enum explorer_mutation mutation;
    uint64_t tests;                  /* bit n: reached by test n of the program */
    struct explorer_site *canonical; /* inlined code has a copy a source file: the first one seen speaks for all */
};

/** Sites that ran so far, in the order they were first reached. */
size_t explorer_site_count(void);
struct explorer_site *explorer_site_at(size_t index);
/** "function: op_order(expression)", with "#2" behind the second one of that name; no line numbers. */
const char *explorer_site_name(const struct explorer_site *site, char *text, size_t size);
bool explorer_can_mutate(const struct explorer_site *site, enum explorer_mutation mutation);
/** EXPLORER_NO_MUTATION: as written. */
void explorer_mutate(struct explorer_site *site, enum explorer_mutation mutation);
const char *explorer_mutation_name(enum explorer_mutation mutation);

/* ---- a test program -------------------------------------------------------------------------------------------- */

/** A mutant that may survive. */
struct explorer_unneeded {
    const char *site;                /* fnmatch(3) pattern of the site's name */
    enum explorer_mutation mutation; /* EXPLORER_NO_MUTATION: any */
    const char *reason;
};

struct explorer_program {
    const struct explorer_test *tests; /* at most 64 */
    size_t count;
    const struct explorer_unneeded *unneeded;
    size_t unneeded_count;
    const char *files; /* mutate sites in files whose path contains this, and membarriers everywhere; NULL: all */
};

/** Weakens every site, one at a time. True when every mutant was killed or is listed, and every listed one survived. */
bool explorer_mutants(const struct explorer_program *program, const struct explorer_bounds *bounds);
/** Command line: see --help. Returns the exit status. */
int explorer_main(const struct explorer_program *program, int argc, char **argv);

/* ---- hooks: the macros of explorer_atomic.h and of litmus tests expand to these --------------------------------- */

uint64_t explorer__load(struct explorer_site *site, const volatile void *p, unsigned size);
void explorer__store(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value);
uint64_t explorer__exchange(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value);
uint64_t explorer__add(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value);
bool explorer__cas(struct explorer_site *site, volatile void *p, unsigned size, void *expected, uint64_t desired);
uint64_t explorer__read(struct explorer_site *site, const volatile void *p, unsigned size);
void explorer__write(struct explorer_site *site, volatile void *p, unsigned size, uint64_t value);
void explorer__fence(struct explorer_site *site);
void explorer__light_barrier(struct explorer_site *site);
void explorer__membarrier(struct explorer_site *site);
void explorer__yield(struct explorer_site *site);
void explorer__wait(struct explorer_site *site, const uint32_t *word);
bool explorer__lock(struct explorer_site *site, uint32_t *word, uint32_t taken);
void explorer__own(struct explorer_site *site, const void *object);
void explorer__disown(struct explorer_site *site, const void *object);

/* The site is static so that a hook finds its mutation without a search; the counter keeps nested macros apart. */
#define EXPLORER_PASTE_(a, b) a##b
#define EXPLORER_PASTE(a, b) EXPLORER_PASTE_(a, b)
#define EXPLORER_NAMED_SITE(id, op_, order_, text_) \
    __extension__({ \
        static struct explorer_site id = {.function = __func__, \
                                          .file = __FILE__, \
                                          .expression = (text_), \
                                          .line = __LINE__, \
                                          .op = (op_), \
                                          .written = (order_), \
                                          .order = (order_)}; \
        &id; \
    })
#define EXPLORER_SITE(op, order, text) EXPLORER_NAMED_SITE(EXPLORER_PASTE(explorer_site_, __COUNTER__), op, order, text)

/* The comma makes it the type of a value, without the qualifiers of the object. */
#define EXPLORER_TYPE(p) __typeof__((void)0, *(p))
#define EXPLORER_TO_WORD(p, v) ((uint64_t)(uintptr_t)(EXPLORER_TYPE(p))(v))
/* A statement expression: callers may drop the old value. */
#define EXPLORER_FROM_WORD(p, word) __extension__({ (EXPLORER_TYPE(p))(uintptr_t)(word); })

#define EXPLORER_DO_LOAD(p, order, text) \
    EXPLORER_FROM_WORD(p, explorer__load(EXPLORER_SITE(EXPLORER_LOAD, order, text), (p), sizeof *(p)))
#define EXPLORER_DO_STORE(p, v, order, text) \
    explorer__store(EXPLORER_SITE(EXPLORER_STORE, order, text), (p), sizeof *(p), EXPLORER_TO_WORD(p, v))
#define EXPLORER_DO_EXCHANGE(p, v, order, text) \
    EXPLORER_FROM_WORD(p, explorer__exchange(EXPLORER_SITE(EXPLORER_EXCHANGE, order, text), (p), sizeof *(p), \
                                             EXPLORER_TO_WORD(p, v)))
#define EXPLORER_DO_ADD(p, v, order, text) \
    EXPLORER_FROM_WORD(p, explorer__add(EXPLORER_SITE(EXPLORER_ADD, order, text), (p), sizeof *(p), (uint64_t)(v)))
/* The comparison rejects an `expected` of another type. */
#define EXPLORER_DO_CAS(p, expected, desired, order, text) \
    explorer__cas(EXPLORER_SITE(EXPLORER_CAS, order, text), (p), sizeof *(p) + 0 * sizeof((p) == (expected)), \
                  (expected), EXPLORER_TO_WORD(p, desired))
#define EXPLORER_DO_READ(p, text) \
    EXPLORER_FROM_WORD(p, explorer__read(EXPLORER_SITE(EXPLORER_READ, EXPLORER_RELAXED, text), (p), sizeof *(p)))
#define EXPLORER_DO_WRITE(p, v, text) \
    explorer__write(EXPLORER_SITE(EXPLORER_WRITE, EXPLORER_RELAXED, text), (p), sizeof *(p), EXPLORER_TO_WORD(p, v))

#endif
