/* SPDX-License-Identifier: MIT */

/* The common main of test programs: runs with rising bounds, the mutant table, replay. */

#define _GNU_SOURCE

#include "engine.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TESTS = 64, NAME = 160, MUTANT_EXECUTIONS = 200000, REDUCED = 2, NO_BOUNDS = 4 };

struct options {
    const char *test, *replay;
    bool list, mutants, must;
    double seconds;
    uint64_t executions, random, seed;
};

/*
 * A test on its way through the levels: level n allows n preemptions and n stale reads, up to the test's own bounds. A
 * test without a bound of its own has none from level 4 on: few bugs need more, and most searches that end at all end
 * then. The reduction works without a bound on preemptions only, and saves more than one does: level 2 has it, and
 * stale reads rise on.
 */
struct climb {
    unsigned level;
    uint64_t executions;
    double seconds;
    bool done, complete, unbounded;
    struct explorer_bounds reached; /* of the last level that was run to its end */
    struct explorer_result result;
};

struct totals {
    uint64_t executions;
    unsigned bugs, complete, passed, failed, skipped, run, must, kept;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- rising bounds --------------------------------------------------------------------------------------------- */

static unsigned lower(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned stale_of(const struct explorer_test *test, unsigned level)
{
    return test->reduce && level >= REDUCED ? level - REDUCED + 1 : level;
}

static struct explorer_bounds level_bounds(const struct explorer_test *test, unsigned level)
{
    struct explorer_bounds bounds = EXPLORER_ALL;
    if (test->preemptions || level < (test->reduce ? REDUCED : NO_BOUNDS))
        bounds.preemptions = lower(level, test->preemptions ? test->preemptions : EXPLORER_UNBOUNDED);
    if (test->stale || level < NO_BOUNDS)
        bounds.stale = lower(stale_of(test, level), test->stale ? test->stale : EXPLORER_UNBOUNDED);
    return bounds;
}

/* Would the next level run the same again? */
static bool last_level(const struct explorer_test *test, const struct explorer_result *result, unsigned level)
{
    return (!result->cut_preemptions || (test->preemptions && level >= test->preemptions)) &&
           (!result->cut_stale || (test->stale && stale_of(test, level) >= test->stale));
}

/* One level. Small bounds first: they find most bugs, with the shortest schedules, for almost nothing. */
static void climb(const struct explorer_test *test, struct climb *c, double seconds, uint64_t executions)
{
    struct explorer_bounds bounds = level_bounds(test, c->level);
    bounds.seconds = seconds;
    bounds.executions = executions;
    explorer_run(test, &bounds, &c->result);
    c->executions += c->result.executions;
    c->seconds += c->result.seconds;
    if (c->result.complete) {
        c->reached = bounds;
        c->unbounded = !c->result.cut_preemptions && !c->result.cut_stale;
        c->complete = last_level(test, &c->result, c->level);
    }
    c->done = c->complete || !c->result.complete;
    c->level++;
}

static void climb_all(const struct explorer_test *test, struct climb *c, const struct options *options, double seconds)
{
    double end = now() + seconds;
    while (!c->done) {
        uint64_t left = options->executions ? options->executions - c->executions : 0;
        climb(test, c, seconds > 0 ? end - now() : 0, left);
        if ((options->executions && c->executions >= options->executions) || (seconds > 0 && now() >= end))
            c->done = true;
    }
}

static void climb_random(const struct explorer_test *test, struct climb *c, const struct options *options)
{
    struct explorer_bounds bounds = EXPLORER_ALL;
    bounds.random = true;
    bounds.seed = options->seed;
    bounds.executions = options->random;
    bounds.seconds = options->seconds;
    explorer_run(test, &bounds, &c->result);
    c->executions = c->result.executions;
    c->seconds = c->result.seconds;
    c->reached = bounds;
}

/* ---- reports --------------------------------------------------------------------------------------------------- */

static bool passed(const struct explorer_test *test, const struct explorer_result *result)
{
    if (!test->expect)
        return !*result->bug;
    return !result->limit && *result->bug && strstr(result->bug, test->expect);
}

static const char *bounds_text(const struct climb *c, char *text, size_t size)
{
    char stale[16] = "any", preemptions[16] = "any";
    if (c->unbounded || c->reached.random) {
        snprintf(text, size, c->reached.random ? "random" : "unbounded");
        return text;
    }
    if (c->reached.preemptions != EXPLORER_UNBOUNDED)
        snprintf(preemptions, sizeof preemptions, "%u", c->reached.preemptions);
    if (c->reached.stale != EXPLORER_UNBOUNDED)
        snprintf(stale, sizeof stale, "%u", c->reached.stale);
    snprintf(text, size, "preempt<=%s stale<=%s", preemptions, stale);
    return text;
}

static void print_climb(const struct explorer_test *test, const struct climb *c)
{
    char text[64];
    const char *found = *c->result.bug ? c->result.bug : test->expect ? "NO BUG, one was expected" : "no bug";
    printf("%-32s %-22s %9ju executions %9.0f/s  %-8s  %s%s\n", test->name, bounds_text(c, text, sizeof text),
           (uintmax_t)c->executions, c->seconds > 0 ? (double)c->executions / c->seconds : 0,
           c->complete ? "complete" : "bounded", *c->result.bug ? test->expect ? "expected bug: " : "BUG: " : "",
           found);
    fflush(stdout);
}

static int replay(const struct explorer_test *test, const char *schedule, struct explorer_result *result)
{
    printf("schedule of %s: %s\n", test->name, schedule);
    explorer_replay(test, schedule, true, result);
    printf("  %s%s\n", *result->bug ? "BUG: " : "no bug", result->bug);
    return passed(test, result) ? 0 : 1;
}

static void run_one(const struct explorer_test *test, const struct options *options, double seconds,
                    struct totals *totals)
{
    static struct climb c;
    c = (struct climb){.level = 0};
    if (options->random)
        climb_random(test, &c, options);
    else
        climb_all(test, &c, options, seconds);
    print_climb(test, &c);
    bool kept = !test->must || c.complete, ok = passed(test, &c.result) && (kept || !options->must);
    totals->executions += c.executions;
    totals->bugs += !passed(test, &c.result);
    totals->must += test->must != 0;
    totals->kept += test->must && c.complete;
    totals->complete += c.complete || (test->expect && ok);
    totals->passed += ok;
    totals->failed += !ok;
    if (!ok && !kept)
        printf("  FAILED: its bounds were not reached; %ju executions did that once\n", (uintmax_t)test->must);
    if (!ok && *c.result.bug) {
        static struct explorer_result again;
        replay(test, c.result.schedule, &again);
    }
}

static bool wanted(const struct explorer_test *test, const struct options *options)
{
    return !options->test || !strcmp(test->name, options->test);
}

/* With --must: first those that have to reach their bounds, each in the time that it needs. */
static bool in_turn(const struct explorer_test *test, const struct options *options, bool must)
{
    return wanted(test, options) && (!options->must || must == (test->must != 0));
}

static void run_some(const struct explorer_program *program, const struct options *options, double end, bool must,
                     struct totals *totals)
{
    unsigned left = 0;
    for (size_t i = 0; i < program->count; i++)
        left += in_turn(&program->tests[i], options, must);
    for (size_t i = 0; i < program->count; i++) {
        if (!in_turn(&program->tests[i], options, must))
            continue;
        /* What a test leaves of its share goes to those after it. */
        double share = options->seconds > 0 ? (end - now()) / (must ? 1 : left--) : 0;
        run_one(&program->tests[i], options, options->seconds > 0 && share < 0.01 ? 0.01 : share, totals);
    }
}

static int run_all(const struct explorer_program *program, const struct options *options)
{
    struct totals totals = {.executions = 0};
    double end = now() + options->seconds;
    for (size_t i = 0; i < program->count; i++)
        totals.run += wanted(&program->tests[i], options);
    totals.skipped = (unsigned)program->count - totals.run;
    if (options->must)
        run_some(program, options, end, true, &totals);
    run_some(program, options, end, false, &totals);
    printf("executions=%ju bugs=%u complete=%u/%u must=%u/%u\n", (uintmax_t)totals.executions, totals.bugs,
           totals.complete, totals.run, totals.kept, totals.must);
    printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    return totals.failed || !totals.run ? 1 : 0;
}

/* ---- mutants --------------------------------------------------------------------------------------------------- */

static struct climb climbs[TESTS];

static bool gather(const struct explorer_program *program, uint64_t executions)
{
    struct options options = {.executions = executions};
    for (size_t i = 0; i < program->count; i++) {
        const struct explorer_test *test = &program->tests[i];
        if (test->expect)
            continue;
        climbs[i] = (struct climb){.level = 0};
        explorer__engine.test_bit = (uint64_t)1 << i;
        climb_all(test, &climbs[i], &options, 0);
        explorer__engine.test_bit = 0;
        if (*climbs[i].result.bug) {
            printf("%s fails without a mutant: %s\n", test->name, climbs[i].result.bug);
            return false;
        }
    }
    return true;
}

/* Index of the test that finds the mutant, or -1. All tests climb together: the cheapest one kills it. */
static int kill(const struct explorer_program *program, uint64_t reaching, const struct explorer_bounds *bounds)
{
    uint64_t most = bounds->executions ? bounds->executions : MUTANT_EXECUTIONS;
    for (size_t i = 0; i < program->count; i++)
        climbs[i] = (struct climb){.done = !(reaching >> i & 1)};
    for (bool going = true; going;) {
        going = false;
        for (size_t i = 0; i < program->count; i++) {
            struct climb *c = &climbs[i];
            if (c->done)
                continue;
            climb(&program->tests[i], c, bounds->seconds, most - c->executions);
            if (*c->result.bug && !c->result.limit)
                return (int)i;
            c->done |= c->executions >= most;
            going |= !c->done;
        }
    }
    return -1;
}

static bool all_complete(const struct explorer_program *program, uint64_t reaching)
{
    for (size_t i = 0; i < program->count; i++)
        if ((reaching >> i & 1) && !climbs[i].complete)
            return false;
    return true;
}

static bool listed(const struct explorer_unneeded *entry, const char *name, enum explorer_mutation mutation)
{
    return (entry->mutation == EXPLORER_NO_MUTATION || entry->mutation == mutation) &&
           !fnmatch(entry->site, name, FNM_NOESCAPE);
}

/* Entry of the list that lets the mutant live, or -1. Counts survivors for each entry. */
static int find_entry(const struct explorer_program *program, const char *name, enum explorer_mutation mutation)
{
    for (size_t i = 0; i < program->unneeded_count; i++)
        if (listed(&program->unneeded[i], name, mutation))
            return (int)i;
    return -1;
}

struct mutant_totals {
    unsigned mutants, killed, unneeded, survived, stale;
    unsigned *survivors; /* of each entry of the list */
};

static void print_mutant(const char *verdict, const char *name, enum explorer_mutation mutation, const char *why)
{
    printf("%-9s  %-72s %-13s  %s\n", verdict, name, explorer_mutation_name(mutation), why);
    fflush(stdout);
}

static void try_mutant(const struct explorer_program *program, const struct explorer_bounds *bounds,
                       struct explorer_site *site, enum explorer_mutation mutation, struct mutant_totals *totals)
{
    char name[NAME], why[480];
    explorer_site_name(site, name, sizeof name);
    explorer_mutate(site, mutation);
    int killer = kill(program, site->tests, bounds);
    explorer_mutate(site, EXPLORER_NO_MUTATION);
    int entry = find_entry(program, name, mutation);
    totals->mutants++;
    if (killer >= 0) {
        snprintf(why, sizeof why, "%s after %ju: %s", program->tests[killer].name, (uintmax_t)climbs[killer].executions,
                 climbs[killer].result.bug);
        totals->killed++;
        print_mutant("killed", name, mutation, why);
    } else if (entry >= 0) {
        totals->unneeded++;
        totals->survivors[entry]++;
        print_mutant("unneeded", name, mutation, program->unneeded[entry].reason);
    } else {
        totals->survived++;
        print_mutant("SURVIVED", name, mutation, all_complete(program, site->tests) ? "all was run" : "bounded");
    }
}

/* A list that says more than is true would hide the next survivor. */
static void find_stale(const struct explorer_program *program, struct mutant_totals *totals)
{
    for (size_t i = 0; i < program->unneeded_count; i++)
        if (!totals->survivors[i]) {
            totals->stale++;
            print_mutant("STALE", program->unneeded[i].site, program->unneeded[i].mutation,
                         "listed as unneeded, but killed after all, or no such site");
        }
}

static bool may_mutate(const struct explorer_program *program, const struct explorer_site *site)
{
    return !program->files || site->op == EXPLORER_MEMBARRIER || strstr(site->file, program->files);
}

bool explorer_mutants(const struct explorer_program *program, const struct explorer_bounds *bounds)
{
    if (program->count > TESTS || !gather(program, bounds->executions ? bounds->executions : MUTANT_EXECUTIONS))
        return false;
    struct mutant_totals totals = {.survivors = calloc(program->unneeded_count + 1, sizeof(unsigned))};
    if (!totals.survivors)
        abort();
    size_t sites = explorer_site_count(); /* those that only a mutant reaches are not there without it */
    for (size_t i = 0; i < sites; i++) {
        struct explorer_site *site = explorer_site_at(i);
        for (unsigned m = EXPLORER_NO_MUTATION + 1; m < EXPLORER_MUTATIONS; m++)
            if (site->tests && may_mutate(program, site) && explorer_can_mutate(site, (enum explorer_mutation)m))
                try_mutant(program, bounds, site, (enum explorer_mutation)m, &totals);
    }
    find_stale(program, &totals);
    free(totals.survivors);
    printf("mutants=%u killed=%u unneeded=%u survived=%u stale=%u\n", totals.mutants, totals.killed, totals.unneeded,
           totals.survived, totals.stale);
    return !totals.survived && !totals.stale;
}

static int run_mutants(const struct explorer_program *program, const struct options *options)
{
    struct explorer_bounds bounds = EXPLORER_ALL;
    bounds.executions = options->executions;
    bounds.seconds = options->seconds;
    bool ok = explorer_mutants(program, &bounds);
    printf("%d passed, %d failed, 0 skipped\n", ok, !ok);
    return ok ? 0 : 1;
}

/* ---- command line ---------------------------------------------------------------------------------------------- */

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--list] [--test NAME] [--seconds N] [--must] [--executions N] [--random N [--seed N]]\n"
            "          [--replay SCHEDULE --test NAME] [--mutants]\n"
            "  --seconds N     of the whole run, shared by the tests (with --mutants: of each search)\n"
            "  --must          tests that promise to reach their bounds come first, and fail if they do not\n"
            "  --executions N  of each test (with --mutants: of each mutant and test, default %d)\n"
            "  --random N      N random executions of each test instead of all of them\n"
            "  --replay S      the one execution S, with a trace\n"
            "  --mutants       weaken each site in turn; some test has to find it\n",
            program, MUTANT_EXECUTIONS);
    return 2;
}

static bool *flag_of(struct options *options, const char *name)
{
    return !strcmp(name, "--list")      ? &options->list
           : !strcmp(name, "--mutants") ? &options->mutants
           : !strcmp(name, "--must")    ? &options->must
                                        : NULL;
}

static bool parse(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool *flag = flag_of(options, argv[i]);
        if (flag) {
            *flag = true;
            continue;
        }
        if (!value)
            return false;
        if (!strcmp(argv[i], "--test"))
            options->test = value;
        else if (!strcmp(argv[i], "--replay"))
            options->replay = value;
        else if (!strcmp(argv[i], "--seconds"))
            options->seconds = strtod(value, NULL);
        else if (!strcmp(argv[i], "--executions"))
            options->executions = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--random"))
            options->random = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--seed"))
            options->seed = strtoull(value, NULL, 10);
        else
            return false;
        i++;
    }
    return !options->replay || options->test;
}

static int list(const struct explorer_program *program)
{
    for (size_t i = 0; i < program->count; i++)
        printf("%s\n", program->tests[i].name);
    return 0;
}

static int replay_named(const struct explorer_program *program, const struct options *options)
{
    static struct explorer_result result;
    for (size_t i = 0; i < program->count; i++)
        if (wanted(&program->tests[i], options))
            return replay(&program->tests[i], options->replay, &result);
    fprintf(stderr, "no test is called %s\n", options->test);
    return 2;
}

int explorer_main(const struct explorer_program *program, int argc, char **argv)
{
    struct options options = {.test = NULL};
    if (!parse(&options, argc, argv))
        return usage(argv[0]);
    if (options.list)
        return list(program);
    if (options.replay)
        return replay_named(program, &options);
    if (options.mutants)
        return run_mutants(program, &options);
    return run_all(program, &options);
}
