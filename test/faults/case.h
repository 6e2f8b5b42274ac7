/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_CASE_H
#define TEST_FAULTS_CASE_H

/*
 * What the cases share. A case is a function: each runs in a process of its own, at the level that OPOOL_CHECKS or the
 * second argument says, and returns if nothing ends it. What the library's line has to say about it is told to the
 * harness, test/faults/run, on standard output before it happens.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <opool.h>

struct fault_case {
    const char *name;
    void (*run)(void);
};
#define CASE(f) \
    { \
#f, f \
    }

/* Ended by a NULL name. */
extern const struct fault_case pointer_cases[], twice_cases[], end_cases[], content_cases[], signal_cases[],
    legal_use_cases[], legal_life_cases[], legal_thread_cases[], told_cases[], step_cases[], guarded_cases[];

/* Of a program, ended by NULL: its cases by what they are, and the kinds of pools that it tests. */
struct case_group {
    const char *word;
    const struct fault_case *cases;
};
extern const struct case_group case_groups[];
extern const char *const case_kinds[];

struct conn {
    long number;
    char text[88];
};
struct job {
    int priority;
    char name[60];
};

OPOOL_DEFINE(job_pool, struct job);

/* The pool under test: without a reset, with one, or used by the exported calls. Named "conns" in each case. */
enum kind { PLAIN, RESET, EXPORTED };

extern enum kind kind;
extern enum opool_checks level;      /* of the pools' options */
extern enum opool_checks real_level; /* that the case runs at */

/* Another pool of the same kind. */
struct opool *new_pool(const char *name, size_t capacity);

/* The pool under test, made at the first call. */
struct opool *pool(void);

struct conn *get_from(struct opool *from);
void put_to(struct opool *to, void *object);
struct conn *get(void);
void put(void *object);

/* A thread of its own, start to end. */
void run_thread(void *(*run)(void *), void *arg);

/* ---- what the harness is told ---- */

void tell(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line will name this call, of this object, by this thread. Returns the object. */
void *about(const char *call, void *object);
/* The same of two threads, of which either may say it. */
void about_this_thread(void);
/* The line names another pool than the one under test. */
void about_pool(const char *name, const char *type);
/* No pool's options have a say in what happens. */
void about_no_pool(void);

/* Ends the case with a line that nobody expects. */
#define REQUIRE(condition) ((condition) ? (void)0 : give_up(__FILE__, __LINE__, #condition))
_Noreturn void give_up(const char *file, int line, const char *condition);

#endif
