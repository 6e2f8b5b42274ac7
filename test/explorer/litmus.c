/* SPDX-License-Identifier: MIT */

/*
 * The explorer's check of itself: small programs whose outcomes are known. A table lists each outcome as allowed,
 * forbidden, or allowed by C11 and left out by this model (README.md). An allowed one that does not turn up is
 * as much a failure as a forbidden one that does. Behind them: what a test of real code relies on.
 */

#include "opool/inline.h"

#include "explorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD(p, order) EXPLORER_DO_LOAD(p, EXPLORER_##order, #p)
#define STORE(p, v, order) EXPLORER_DO_STORE(p, v, EXPLORER_##order, #p)
#define ADD(p, v, order) EXPLORER_DO_ADD(p, v, EXPLORER_##order, #p)
#define FENCE(order) explorer__fence(EXPLORER_SITE(EXPLORER_FENCE, EXPLORER_##order, ""))

enum { OUTCOMES = 32, OUTCOME = 24 };

static uint32_t x, y, z;
static unsigned r[4]; /* what the threads saw */
static uint64_t plain;

static void start(void)
{
    x = y = z = 0;
    plain = 0;
    memset(r, 0, sizeof r);
}

/* ---- outcomes -------------------------------------------------------------------------------------------------- */

struct outcomes {
    const char *allowed, *forbidden, *deviations; /* separated by '|' */
};

static char outcomes_seen[OUTCOMES][OUTCOME];
static unsigned outcome_count;

static void record_text(const char *text)
{
    for (unsigned i = 0; i < outcome_count; i++)
        if (!strcmp(outcomes_seen[i], text))
            return;
    if (outcome_count < OUTCOMES)
        snprintf(outcomes_seen[outcome_count++], OUTCOME, "%s", text);
}

static void record(unsigned registers)
{
    char text[OUTCOME];
    size_t used = 0;
    for (unsigned i = 0; i < registers; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", i ? " " : "", r[i]);
    record_text(text);
}

static void record1(void)
{
    record(1);
}
static void record2(void)
{
    record(2);
}
static void record3(void)
{
    record(3);
}
static void record4(void)
{
    record(4);
}

/* Final values of memory behind what was read. */
static void record_r0_x(void)
{
    r[1] = x;
    record(2);
}
static void record_r0_y(void)
{
    r[1] = y;
    record(2);
}
static void record_x_y(void)
{
    r[0] = x;
    r[1] = y;
    record(2);
}
static void record_r0_r1_x(void)
{
    r[2] = x;
    record(3);
}

static bool in_list(const char *list, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = list; at && *at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (!strncmp(at, text, length) && (at[length] == '|' || !at[length]))
            return true;
    return false;
}

static bool was_seen(const char *text)
{
    for (unsigned i = 0; i < outcome_count; i++)
        if (!strcmp(outcomes_seen[i], text))
            return true;
    return false;
}

/* Every outcome that ran has to be in the table as allowed. */
static bool only_allowed(const char *name, const struct outcomes *table)
{
    bool ok = true;
    for (unsigned i = 0; i < outcome_count; i++) {
        if (in_list(table->allowed, outcomes_seen[i]))
            continue;
        printf("  %s: outcome %s was reached, and is %s\n", name, outcomes_seen[i],
               in_list(table->forbidden, outcomes_seen[i])    ? "forbidden"
               : in_list(table->deviations, outcomes_seen[i]) ? "listed as one this model leaves out"
                                                              : "not in the table");
        ok = false;
    }
    return ok;
}

/* Every allowed outcome has to have run. */
static bool all_allowed(const char *name, const char *allowed)
{
    bool ok = true;
    char list[256];
    snprintf(list, sizeof list, "%s", allowed);
    for (char *text = strtok(list, "|"); text; text = strtok(NULL, "|"))
        if (!was_seen(text)) {
            printf("  %s: allowed outcome %s was not reached\n", name, text);
            ok = false;
        }
    return ok;
}

/* ---- store buffering ------------------------------------------------------------------------------------------- */

static void sb_relaxed_1(void)
{
    STORE(&x, 1, RELAXED);
    r[0] = LOAD(&y, RELAXED);
}
static void sb_relaxed_2(void)
{
    STORE(&y, 1, RELAXED);
    r[1] = LOAD(&x, RELAXED);
}
static void sb_acquire_1(void)
{
    STORE(&x, 1, RELEASE);
    r[0] = LOAD(&y, ACQUIRE);
}
static void sb_acquire_2(void)
{
    STORE(&y, 1, RELEASE);
    r[1] = LOAD(&x, ACQUIRE);
}
static void sb_fence_1(void)
{
    STORE(&x, 1, RELAXED);
    FENCE(SEQ_CST);
    r[0] = LOAD(&y, RELAXED);
}
static void sb_fence_2(void)
{
    STORE(&y, 1, RELAXED);
    FENCE(SEQ_CST);
    r[1] = LOAD(&x, RELAXED);
}
static void sb_light_1(void)
{
    STORE(&x, 1, RELAXED);
    opool__light_barrier();
    r[0] = LOAD(&y, RELAXED);
}
static void sb_light_2(void)
{
    STORE(&y, 1, RELAXED);
    opool__light_barrier();
    r[1] = LOAD(&x, RELAXED);
}
static void sb_membarrier_1(void)
{
    STORE(&x, 1, RELAXED);
    explorer_membarrier();
    r[0] = LOAD(&y, RELAXED);
}
static void sb_membarrier_2(void)
{
    STORE(&y, 1, RELAXED);
    explorer_membarrier();
    r[1] = LOAD(&x, RELAXED);
}

/* ---- message passing ------------------------------------------------------------------------------------------- */

static void mp_relaxed_1(void)
{
    STORE(&x, 1, RELAXED);
    STORE(&y, 1, RELAXED);
}
static void mp_relaxed_2(void)
{
    r[0] = LOAD(&y, RELAXED);
    r[1] = LOAD(&x, RELAXED);
}
static void mp_release_1(void)
{
    STORE(&x, 1, RELAXED);
    STORE(&y, 1, RELEASE);
}
static void mp_acquire_2(void)
{
    r[0] = LOAD(&y, ACQUIRE);
    r[1] = LOAD(&x, RELAXED);
}
static void mp_fence_1(void)
{
    STORE(&x, 1, RELAXED);
    FENCE(RELEASE);
    STORE(&y, 1, RELAXED);
}
static void mp_fence_2(void)
{
    r[0] = LOAD(&y, RELAXED);
    FENCE(ACQUIRE);
    r[1] = LOAD(&x, RELAXED);
}
/* A read-modify-write of a third thread carries the release on ... */
static void mp_add_3(void)
{
    ADD(&y, 10, RELAXED);
}
/* ... a store does not. */
static void mp_overwrite_3(void)
{
    if (LOAD(&y, RELAXED) == 1)
        STORE(&y, 2, RELAXED);
}
static void mp_cas_2(void)
{
    uint32_t expected = 1;
    r[0] = opool__cas_acquire(&y, &expected, 2u);
    r[1] = LOAD(&x, RELAXED);
}
/* A CAS that fails is a relaxed load, whatever its order on success. */
static void mp_failed_cas_2(void)
{
    uint32_t expected = 7;
    opool__cas_acquire(&y, &expected, 8u);
    r[0] = expected;
    r[1] = LOAD(&x, RELAXED);
}
static void mp_exchange_1(void)
{
    STORE(&x, 1, RELAXED);
    opool__exchange_release(&y, 1u);
}
static void mp_exchange_2(void)
{
    r[0] = opool__exchange_acquire(&y, 5u);
    r[1] = LOAD(&x, RELAXED);
}

/* ---- coherence, and the classic shapes ------------------------------------------------------------------------- */

static void lb_1(void)
{
    r[0] = LOAD(&x, RELAXED);
    STORE(&y, 1, RELAXED);
}
static void lb_2(void)
{
    r[1] = LOAD(&y, RELAXED);
    STORE(&x, 1, RELAXED);
}
static void two_stores_x(void)
{
    STORE(&x, 1, RELAXED);
    STORE(&x, 2, RELAXED);
}
static void two_loads_x(void)
{
    r[0] = LOAD(&x, RELAXED);
    r[1] = LOAD(&x, RELAXED);
}
static void cowr_1(void)
{
    STORE(&x, 1, RELAXED);
    r[0] = LOAD(&x, RELAXED);
}
static void store_x_1(void)
{
    STORE(&x, 1, RELEASE);
}
static void store_x_2(void)
{
    STORE(&x, 2, RELAXED);
}
static void store_y_1(void)
{
    STORE(&y, 1, RELEASE);
}
static void corw_1(void)
{
    r[0] = LOAD(&x, RELAXED);
    STORE(&x, 1, RELAXED);
}
static void iriw_acquire_3(void)
{
    r[0] = LOAD(&x, ACQUIRE);
    r[1] = LOAD(&y, ACQUIRE);
}
static void iriw_acquire_4(void)
{
    r[2] = LOAD(&y, ACQUIRE);
    r[3] = LOAD(&x, ACQUIRE);
}
static void iriw_fence_3(void)
{
    r[0] = LOAD(&x, RELAXED);
    FENCE(SEQ_CST);
    r[1] = LOAD(&y, RELAXED);
}
static void iriw_fence_4(void)
{
    r[2] = LOAD(&y, RELAXED);
    FENCE(SEQ_CST);
    r[3] = LOAD(&x, RELAXED);
}
static void two_writes_1(void)
{
    STORE(&x, 1, RELAXED);
    STORE(&y, 2, RELAXED);
}
static void two_writes_2(void)
{
    STORE(&y, 1, RELAXED);
    STORE(&x, 2, RELAXED);
}
static void r_relaxed_2(void)
{
    STORE(&y, 2, RELAXED);
    r[0] = LOAD(&x, RELAXED);
}
static void r_fence_1(void)
{
    STORE(&x, 1, RELAXED);
    FENCE(SEQ_CST);
    STORE(&y, 1, RELAXED);
}
static void r_fence_2(void)
{
    STORE(&y, 2, RELAXED);
    FENCE(SEQ_CST);
    r[0] = LOAD(&x, RELAXED);
}
static void s_release_1(void)
{
    STORE(&x, 2, RELAXED);
    STORE(&y, 1, RELEASE);
}
static void s_acquire_2(void)
{
    r[0] = LOAD(&y, ACQUIRE);
    STORE(&x, 1, RELAXED);
}
static void s_relaxed_1(void)
{
    STORE(&x, 2, RELAXED);
    STORE(&y, 1, RELAXED);
}
static void s_relaxed_2(void)
{
    r[0] = LOAD(&y, RELAXED);
    STORE(&x, 1, RELAXED);
}
static void wrc_relaxed_2(void)
{
    r[0] = LOAD(&x, RELAXED);
    STORE(&y, 1, RELAXED);
}
static void wrc_relaxed_3(void)
{
    r[1] = LOAD(&y, RELAXED);
    r[2] = LOAD(&x, RELAXED);
}
static void wrc_release_2(void)
{
    r[0] = LOAD(&x, ACQUIRE);
    STORE(&y, 1, RELEASE);
}
static void wrc_acquire_3(void)
{
    r[1] = LOAD(&y, ACQUIRE);
    r[2] = LOAD(&x, RELAXED);
}
static void isa2_2(void)
{
    r[0] = LOAD(&y, ACQUIRE);
    STORE(&z, 1, RELEASE);
}
static void isa2_3(void)
{
    r[1] = LOAD(&z, ACQUIRE);
    r[2] = LOAD(&x, RELAXED);
}
static void add_1(void)
{
    r[0] = opool__add_relaxed(&x, 1u);
}
static void add_2(void)
{
    r[1] = opool__add_relaxed(&x, 1u);
}
static void cas_1(void)
{
    uint32_t expected = 0;
    r[0] = opool__cas_relaxed(&x, &expected, 1u);
}
static void cas_2(void)
{
    uint32_t expected = 0;
    r[1] = opool__cas_relaxed(&x, &expected, 2u);
}

#define ALL_OF_2 "0 0|0 1|1 0|1 1"
#define IRIW_BUT_SPLIT \
    "0 0 0 0|0 0 0 1|0 0 1 0|0 0 1 1|0 1 0 0|0 1 0 1|0 1 1 0|0 1 1 1|1 0 0 0|1 0 0 1|1 0 1 1|1 1 0 0|1 1 0 1|1 1 1 0|" \
    "1 1 1 1"

static const struct litmus {
    struct explorer_test test;
    struct outcomes outcomes;
} litmuses[] = {
    {{"SB relaxed", start, {sb_relaxed_1, sb_relaxed_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"SB release acquire", start, {sb_acquire_1, sb_acquire_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"SB seq_cst fences", start, {sb_fence_1, sb_fence_2}, record2, 0, 0, true, NULL}, {"0 1|1 0|1 1", "0 0", ""}},
    {{"SB light, membarrier", start, {sb_light_1, sb_membarrier_2}, record2, 0, 0, true, NULL},
     {"0 1|1 0|1 1", "0 0", ""}},
    {{"SB light, fence", start, {sb_light_1, sb_fence_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"SB light, light", start, {sb_light_1, sb_light_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"SB membarrier, membarrier", start, {sb_membarrier_1, sb_membarrier_2}, record2, 0, 0, true, NULL},
     {"0 1|1 0|1 1", "0 0", ""}},
    {{"MP relaxed", start, {mp_relaxed_1, mp_relaxed_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"MP release acquire", start, {mp_release_1, mp_acquire_2}, record2, 0, 0, true, NULL},
     {"0 0|0 1|1 1", "1 0", ""}},
    {{"MP release, relaxed load", start, {mp_release_1, mp_relaxed_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"MP relaxed store, acquire", start, {mp_relaxed_1, mp_acquire_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"MP fences", start, {mp_fence_1, mp_fence_2}, record2, 0, 0, true, NULL}, {"0 0|0 1|1 1", "1 0", ""}},
    {{"MP release sequence", start, {mp_release_1, mp_acquire_2, mp_add_3}, record2, 0, 0, true, NULL},
     {"0 0|0 1|1 1|10 0|10 1|11 1", "1 0|11 0", ""}},
    {{"MP broken release sequence", start, {mp_release_1, mp_acquire_2, mp_overwrite_3}, record2, 0, 0, true, NULL},
     {"0 0|0 1|1 1|2 0|2 1", "1 0", ""}},
    {{"MP acquire by CAS", start, {mp_release_1, mp_cas_2}, record2, 0, 0, true, NULL}, {"0 0|0 1|1 1", "1 0", ""}},
    {{"MP failed CAS", start, {mp_release_1, mp_failed_cas_2}, record2, 0, 0, true, NULL}, {ALL_OF_2, "", ""}},
    {{"MP exchanges", start, {mp_exchange_1, mp_exchange_2}, record2, 0, 0, true, NULL}, {"0 0|0 1|1 1", "1 0", ""}},
    {{"LB", start, {lb_1, lb_2}, record2, 0, 0, true, NULL}, {"0 0|0 1|1 0", "", "1 1"}},
    {{"CoRR", start, {two_stores_x, two_loads_x}, record2, 0, 0, true, NULL},
     {"0 0|0 1|0 2|1 1|1 2|2 2", "1 0|2 0|2 1", ""}},
    {{"CoWR", start, {cowr_1, store_x_2}, record1, 0, 0, true, NULL}, {"1|2", "0", ""}},
    {{"CoRW", start, {corw_1, store_x_2}, record_r0_x, 0, 0, true, NULL}, {"0 1|0 2|2 1", "2 2|1 1|1 2", ""}},
    {{"CoWW", start, {two_stores_x}, record_r0_x, 0, 0, true, NULL}, {"0 2", "0 1", ""}},
    {{"IRIW acquire", start, {store_x_1, store_y_1, iriw_acquire_3, iriw_acquire_4}, record4, 0, 0, true, NULL},
     {IRIW_BUT_SPLIT "|1 0 1 0", "", ""}},
    {{"IRIW seq_cst fences", start, {store_x_1, store_y_1, iriw_fence_3, iriw_fence_4}, record4, 0, 0, true, NULL},
     {IRIW_BUT_SPLIT, "1 0 1 0", ""}},
    {{"2+2W", start, {two_writes_1, two_writes_2}, record_x_y, 0, 0, true, NULL}, {"1 2|2 1|2 2", "", "1 1"}},
    {{"R relaxed", start, {mp_relaxed_1, r_relaxed_2}, record_r0_y, 0, 0, true, NULL}, {"0 1|0 2|1 1|1 2", "", ""}},
    {{"R seq_cst fences", start, {r_fence_1, r_fence_2}, record_r0_y, 0, 0, true, NULL}, {"0 1|1 1|1 2", "0 2", ""}},
    {{"S release acquire", start, {s_release_1, s_acquire_2}, record_r0_x, 0, 0, true, NULL},
     {"0 1|0 2|1 1", "1 2", ""}},
    {{"S relaxed", start, {s_relaxed_1, s_relaxed_2}, record_r0_x, 0, 0, true, NULL}, {"0 1|0 2|1 1", "", "1 2"}},
    {{"WRC relaxed", start, {store_x_1, wrc_relaxed_2, wrc_relaxed_3}, record3, 0, 0, true, NULL},
     {"0 0 0|0 0 1|0 1 0|0 1 1|1 0 0|1 0 1|1 1 0|1 1 1", "", ""}},
    {{"WRC release acquire", start, {store_x_1, wrc_release_2, wrc_acquire_3}, record3, 0, 0, true, NULL},
     {"0 0 0|0 0 1|0 1 0|0 1 1|1 0 0|1 0 1|1 1 1", "1 1 0", ""}},
    {{"ISA2", start, {mp_release_1, isa2_2, isa2_3}, record3, 0, 0, true, NULL},
     {"0 0 0|0 0 1|0 1 0|0 1 1|1 0 0|1 0 1|1 1 1", "1 1 0", ""}},
    {{"RMW two additions", start, {add_1, add_2}, record_r0_r1_x, 0, 0, true, NULL}, {"0 1 2|1 0 2", "0 0 1", ""}},
    {{"RMW one CAS wins", start, {cas_1, cas_2}, record_r0_r1_x, 0, 0, true, NULL},
     {"1 0 1|0 1 2", "1 1 1|1 1 2|0 0 0", ""}},
};

/* Once with the reduction, once in every order: it must not lose an outcome. */
static bool run_litmus(const struct litmus *litmus)
{
    static struct explorer_result result;
    struct explorer_test test = litmus->test;
    struct explorer_bounds bounds = EXPLORER_ALL;
    bool ok = true;
    for (int reduce = 0; reduce < 2; reduce++) {
        test.reduce = reduce;
        outcome_count = 0;
        explorer_run(&test, &bounds, &result);
        ok = only_allowed(test.name, &litmus->outcomes) && ok;
        ok = all_allowed(test.name, litmus->outcomes.allowed) && ok && result.complete && !*result.bug;
        if (*result.bug)
            printf("  %s: %s\n", test.name, result.bug);
    }
    return ok;
}

/* ---- what tests of real code rely on --------------------------------------------------------------------------- */

static uint32_t lock;

static void start_lock(void)
{
    start();
    lock = 0;
}

static void take_lock(void)
{
    for (uint32_t expected = 0; !opool__cas_acquire(&lock, &expected, 1u); expected = 0)
        opool__spin_hint();
}

static void plain_increment(void)
{
    opool__write_plain(&plain, opool__read_plain(&plain) + 1);
}

static void locked_increment(void)
{
    take_lock();
    plain_increment();
    opool__store_release(&lock, 0u);
}

static void two_locked_increments(void)
{
    locked_increment();
    locked_increment();
}

static void check_plain_is_3(void)
{
    explorer_check(plain == 3, "an increment was lost");
}

static void publish(void)
{
    opool__write_plain(&plain, 42u);
    STORE(&x, 1, RELEASE);
}

static void consume(void)
{
    if (LOAD(&x, ACQUIRE))
        explorer_check(opool__read_plain(&plain) == 42, "not what was published");
}

static void consume_relaxed(void)
{
    if (LOAD(&x, RELAXED))
        explorer_check(opool__read_plain(&plain) == 42, "not what was published");
}

/* A location that is written plainly, then atomically. */
static void atomic_read(void)
{
    r[0] = (unsigned)LOAD(&plain, RELAXED);
}

static void wait_for_x(void)
{
    while (!LOAD(&x, ACQUIRE))
        opool__spin_hint();
    explorer_check(opool__read_plain(&plain) == 42, "not what was published");
}

static void wait_for_y(void)
{
    while (!LOAD(&y, ACQUIRE))
        opool__spin_hint();
}

/* y is shared only in executions where this load sees the store; before that nobody would look for a race on it. */
static void write_y_if_x(void)
{
    if (LOAD(&x, RELAXED))
        y = 0, STORE(&z, 1, RELAXED), opool__write_plain(&plain, 1u);
}

static void set_x_after_plain(void)
{
    opool__write_plain(&plain, 2u);
    STORE(&x, 1, RELAXED);
}

static void crash(void)
{
    if (LOAD(&x, RELAXED))
        *(volatile int *)(uintptr_t)LOAD(&y, RELAXED) = 1;
}

static void change_behind(void)
{
    STORE(&x, 1, RELAXED);
    x = 7;
    STORE(&x, 2, RELAXED);
}

/* Dekker: each says that it comes, then looks for the other. */
static void dekker(uint32_t *mine, uint32_t *other, bool light)
{
    opool__store_relaxed(mine, 1u);
    if (light)
        opool__light_barrier();
    else
        explorer_membarrier();
    if (!opool__load_acquire(other))
        plain_increment();
    opool__store_release(mine, 0u);
}

static void dekker_1(void)
{
    dekker(&x, &y, true);
}

static void dekker_2(void)
{
    dekker(&y, &x, false);
}

/* A node comes back as another object: without explorer_forget the new value looks like a write without a hook. */
static void reuse(void)
{
    opool__store_relaxed(&y, 1u);
    explorer_forget(&y, sizeof y);
    memset(&y, 0, sizeof y);
    explorer_check(opool__load_relaxed(&y) == 0, "the old history is still there");
}

static void narrow_types(void)
{
    static bool flag;
    static uint8_t small;
    static void *pointer;
    static const uint64_t wide = UINT64_MAX;
    opool__store_release(&flag, true);
    opool__store_relaxed(&small, (uint8_t)255);
    explorer_check(opool__add_relaxed(&small, 2) == 255 && opool__load_relaxed(&small) == 1, "does not wrap");
    opool__sub_relaxed(&small, 2);
    opool__store_relaxed(&pointer, &flag);
    void *expected = &flag;
    explorer_check(opool__cas_acquire(&pointer, &expected, NULL), "pointers do not compare");
    explorer_check(!opool__cas_acquire(&pointer, &expected, NULL) && !expected, "expected is not what was seen");
    explorer_check(opool__load_acquire(&flag) && opool__load_relaxed(&small) == 255, "narrow values");
    explorer_check(opool__load_relaxed(&wide) == UINT64_MAX && !opool__read_plain(&pointer), "wide values");
}

/* ---- the library's inlined fast path against a reclaimer by hand ----------------------------------------------- */

struct opool {
    struct opool_front front;
};

enum { OBJECTS = 2 };
static struct opool pool;
static struct opool_head head;
static void *slots[OBJECTS + 2];
static uint64_t objects[OBJECTS];

void *opool__get_slow(struct opool *p)
{
    (void)p;
    return NULL;
}

void opool__put_slow(struct opool *p, void *object)
{
    (void)p;
    (void)object; /* dropped */
}

void opool_put(struct opool *p, void *object)
{
    opool__put_slow(p, object);
    explorer_check(false, "the fast path did not recognise a slot");
}

static void start_head(void)
{
    memset(&head, 0, sizeof head);
    slots[0] = NULL;
    for (unsigned i = 0; i < OBJECTS; i++)
        slots[i + 1] = &objects[i];
    head.floor = &slots[1];
    head.top = &slots[1 + OBJECTS];
    head.limit = &slots[2 + OBJECTS];
    pool.front = (struct opool_front){.rotate = 3, .base = (uintptr_t)objects, .inverse = 1, .slots = OBJECTS};
    explorer_heads_reset(&head);
}

static void *get(void)
{
    void *object = opool__get_inline(&pool);
    if (object)
        explorer_own(object);
    return object;
}

static void owner_gets(void)
{
    get();
    get();
}

static void owner_gets_and_puts(void)
{
    void *object = get();
    if (!object)
        return;
    explorer_disown(object);
    opool__put_inline(&pool, object);
}

static void reclaim(void)
{
    void **floor = opool__load_relaxed(&head.floor);
    opool__store_relaxed(&head.floor, OPOOL_ARMED);
    opool__store_relaxed(&head.limit, NULL);
    explorer_membarrier();
    if (opool__load_acquire(&head.busy))
        return;
    while (opool__load_relaxed(&head.top) != floor) {
        void **top = opool__load_relaxed(&head.top);
        explorer_own(opool__read_plain(top - 1));
        opool__write_plain(top - 1, NULL);
        opool__store_relaxed(&head.top, top - 1);
    }
}

/* ---- cases ----------------------------------------------------------------------------------------------------- */

static const struct case_ {
    struct explorer_test test; /* .expect: the bug that has to be found */
} cases[] = {
    {{"plain data without order", start, {plain_increment, plain_increment}, NULL, 0, 0, true, "data race: "}},
    {{"plain data, release acquire", start, {publish, consume}, NULL, 0, 0, true, NULL}},
    {{"plain data, relaxed load", start, {publish, consume_relaxed}, NULL, 0, 0, true, "data race: "}},
    {{"plain write, atomic read", start, {plain_increment, atomic_read}, NULL, 0, 0, true, "data race: "}},
    {{"a lock protects plain data",
      start_lock,
      {locked_increment, two_locked_increments},
      check_plain_is_3,
      0,
      0,
      true,
      NULL}},
    {{"a lock, three threads",
      start_lock,
      {locked_increment, locked_increment, locked_increment},
      check_plain_is_3,
      3,
      1,
      false,
      NULL}},
    {{"waiting ends", start, {wait_for_x, publish}, NULL, 0, 0, true, NULL}},
    {{"waiting for what never comes", start, {wait_for_y, publish}, NULL, 0, 0, true, "livelock: "}},
    {{"two who wait for each other", start, {wait_for_x, wait_for_y}, NULL, 0, 0, true, "livelock: "}},
    {{"a location shared in one path only", start, {write_y_if_x, set_x_after_plain}, NULL, 0, 0, true, "data race: "}},
    {{"a crash is a bug", start, {crash, store_x_1}, NULL, 0, 0, true, "crash: "}},
    {{"memory that was forgotten", start, {reuse, store_x_1}, NULL, 0, 0, true, NULL}},
    {{"types", start, {narrow_types}, NULL, 0, 0, true, NULL}},
    {{"Dekker, light and membarrier", start, {dekker_1, dekker_2}, NULL, 0, 0, true, NULL}},
    {{"inlined get and a reclaimer", start_head, {owner_gets, reclaim}, NULL, 0, 0, true, NULL}},
    {{"inlined get and put and a reclaimer", start_head, {owner_gets_and_puts, reclaim}, NULL, 0, 0, true, NULL}},
};

static bool as_expected(const struct explorer_test *test, const struct explorer_result *result)
{
    if (!test->expect)
        return !*result->bug && result->complete;
    return !result->limit && strstr(result->bug, test->expect);
}

static bool run_case(const struct explorer_test *test)
{
    static struct explorer_result result;
    struct explorer_bounds bounds = EXPLORER_ALL;
    if (test->preemptions)
        bounds.preemptions = test->preemptions;
    if (test->stale)
        bounds.stale = test->stale;
    explorer_run(test, &bounds, &result);
    bool ok = as_expected(test, &result);
    if (!ok)
        printf("  %s: %s\n", test->name, *result.bug ? result.bug : "no bug");
    return ok;
}

static const struct explorer_test *find_case(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(cases[i].test.name, name))
            return &cases[i].test;
    abort();
}

/* Every bug that some search finds, replays from its schedule: the same text, and nothing else without it. */
static bool replays(void)
{
    static struct explorer_result found, again;
    struct explorer_bounds all = EXPLORER_ALL, random = EXPLORER_ALL;
    random.random = true;
    random.seed = 7;
    random.executions = 10000;
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        const struct explorer_test *test = &cases[i / 2].test;
        if (!test->expect)
            continue;
        explorer_run(test, i % 2 ? &random : &all, &found);
        explorer_replay(test, found.schedule, false, &again);
        if (!*found.bug || strcmp(found.bug, again.bug)) {
            printf("  %s: \"%s\" replays as \"%s\"\n", test->name, found.bug, again.bug);
            return false;
        }
    }
    return true;
}

/* A schedule of one test is refused by another; nonsense is no schedule. */
static bool refuses_schedules(void)
{
    static struct explorer_result result;
    const struct explorer_test *test = find_case("plain data, release acquire");
    static const char *const wrong[] = {"1t9", "1s200.2t1", "x", "1t", "3t2-5s1", ""};
    for (size_t i = 0; i < 5; i++) {
        explorer_replay(test, wrong[i], false, &result);
        if (!result.limit) {
            printf("  schedule \"%s\" was not refused\n", wrong[i]);
            return false;
        }
    }
    return true;
}

static bool unhooked_write_is_told(void)
{
    static struct explorer_result result;
    static const struct explorer_test test = {"unhooked", start, {change_behind, store_x_1}, NULL, 0, 0, true, NULL};
    struct explorer_bounds bounds = EXPLORER_ALL;
    explorer_run(&test, &bounds, &result);
    return result.limit && strstr(result.bug, "without one");
}

static bool random_finds_all(void)
{
    static struct explorer_result result;
    struct explorer_bounds bounds = EXPLORER_ALL;
    bounds.random = true;
    bounds.seed = 1;
    bounds.executions = 20000;
    outcome_count = 0;
    explorer_run(&litmuses[0].test, &bounds, &result);
    return result.executions == 20000 && all_allowed("random SB", ALL_OF_2);
}

/* The same choices in the same order, each time. */
static bool repeats_itself(void)
{
    static struct explorer_result a, b;
    struct explorer_bounds bounds = EXPLORER_ALL;
    explorer_run(find_case("a lock protects plain data"), &bounds, &a);
    explorer_run(find_case("a lock protects plain data"), &bounds, &b);
    return a.executions == b.executions && a.complete && b.complete;
}

static bool kills_mutants_of(const char *first, const char *second, const struct explorer_unneeded *unneeded,
                             size_t count)
{
    struct explorer_test tests[2] = {*find_case(first), *find_case(second)};
    struct explorer_program program = {tests, 2, unneeded, count, NULL};
    struct explorer_bounds bounds = EXPLORER_ALL;
    for (size_t i = 0; i < explorer_site_count(); i++)
        explorer_site_at(i)->tests = 0; /* of the programs before this one */
    return explorer_mutants(&program, &bounds);
}

/* ---- random programs: the reduction loses nothing ---------------------------------------------------------------- */

enum { GENERATED_THREADS = 3, GENERATED_STEPS = 4, GENERATED_MOST = 30000, SEEN = 1 << 14 };

enum generated_op {
    OP_LOAD,
    OP_LOAD_ACQUIRE,
    OP_STORE,
    OP_STORE_RELEASE,
    OP_ADD,
    OP_CAS,
    OP_EXCHANGE,
    OP_FENCE,
    OP_FENCE_ACQUIRE,
    OP_FENCE_RELEASE,
    OP_MEMBARRIER,
    OP_LOCKED,     /* counts under a lock; shows the count */
    OP_IF_FREE,    /* the same if nobody has it */
    OP_WAIT_TIMED, /* for a variable to become other than 0, or not */
    OP_FORGET,     /* of one that only this thread uses */
    OP_WAIT,       /* until it is, if it ever is */
    OP_YIELD,      /* until something that was read is different */
    GENERATED_OPS
};

static uint8_t generated[GENERATED_THREADS][GENERATED_STEPS]; /* operation, and which variable in the top bit */
static unsigned generated_steps;
static uint64_t generated_seen[GENERATED_THREADS];

/* The outcomes of one search, hashed. */
struct outcome_set {
    uint64_t seen[SEEN]; /* 0: free */
    unsigned count;
};

static struct outcome_set generated_sets[3], *generated_set;

static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

static unsigned count_and_drop(void)
{
    unsigned before = (unsigned)opool__read_plain(&plain);
    opool__write_plain(&plain, before + 1u);
    opool__store_release(&lock, 0u);
    return before;
}

static unsigned count_locked(void)
{
    if (!explorer_lock(&lock, 1u))
        take_lock();
    return count_and_drop();
}

static unsigned count_if_free(void)
{
    uint32_t expected = 0;
    return opool__cas_acquire(&lock, &expected, 1u) ? count_and_drop() : 8;
}

static unsigned wait_for_change(uint32_t *p, bool timed)
{
    unsigned value = LOAD(p, RELAXED);
    if (value)
        return value;
    if (timed)
        explorer_timed();
    explorer_wait(p);
    return LOAD(p, RELAXED);
}

static unsigned forget_own(void)
{
    static uint32_t own[EXPLORER_THREADS + 1];
    uint32_t *mine = &own[explorer_self()];
    explorer_forget(mine, sizeof *mine);
    *mine = 0;
    STORE(mine, 1, RELAXED);
    return 0;
}

static unsigned do_generated(enum generated_op op, uint32_t *p, unsigned mark)
{
    uint32_t expected = 0;
    switch (op) {
    case OP_LOAD:
        return LOAD(p, RELAXED);
    case OP_LOAD_ACQUIRE:
        return LOAD(p, ACQUIRE);
    case OP_STORE:
        return STORE(p, mark, RELAXED), 0;
    case OP_STORE_RELEASE:
        return STORE(p, mark, RELEASE), 0;
    case OP_ADD:
        return opool__add_relaxed(p, 4u);
    case OP_CAS:
        return opool__cas_acquire(p, &expected, mark) ? 9 : expected;
    case OP_EXCHANGE:
        return opool__exchange_release(p, mark);
    case OP_FENCE:
        return FENCE(SEQ_CST), 0;
    case OP_FENCE_ACQUIRE:
        return FENCE(ACQUIRE), 0;
    case OP_FENCE_RELEASE:
        return FENCE(RELEASE), 0;
    case OP_MEMBARRIER:
        return explorer_membarrier(), 0;
    case OP_LOCKED:
        return count_locked();
    case OP_IF_FREE:
        return count_if_free();
    case OP_WAIT:
    case OP_WAIT_TIMED:
        return wait_for_change(p, op == OP_WAIT_TIMED);
    case OP_YIELD:
        return explorer_yield(), 0;
    case OP_FORGET:
        return forget_own();
    case GENERATED_OPS:
        break;
    }
    abort();
}

static void run_generated(void)
{
    unsigned t = explorer_self() - 1;
    for (unsigned i = 0; i < generated_steps; i++) {
        unsigned op = generated[t][i];
        unsigned value = do_generated(op & 0x7f, op & 0x80 ? &y : &x, 1 + t);
        generated_seen[t] = generated_seen[t] * 64 + value;
    }
}

static void start_generated(void)
{
    start();
    lock = 0;
    memset(generated_seen, 0, sizeof generated_seen);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static bool add_outcome(struct outcome_set *set, uint64_t outcome)
{
    unsigned i = (unsigned)(outcome % SEEN);
    for (; set->seen[i]; i = (i + 1) % SEEN)
        if (set->seen[i] == outcome)
            return false;
    if (++set->count > SEEN / 2)
        abort();
    set->seen[i] = outcome;
    return true;
}

static bool has_outcome(const struct outcome_set *set, uint64_t outcome)
{
    for (unsigned i = (unsigned)(outcome % SEEN); set->seen[i]; i = (i + 1) % SEEN)
        if (set->seen[i] == outcome)
            return true;
    return false;
}

static void record_generated(void)
{
    uint64_t hash = 1;
    for (unsigned t = 0; t < GENERATED_THREADS; t++)
        hash = mix(hash, generated_seen[t]);
    add_outcome(generated_set, mix(mix(mix(hash, x), y), plain) | 1);
}

static bool contains_all(const struct outcome_set *a, const struct outcome_set *b)
{
    for (unsigned i = 0; i < SEEN; i++)
        if (a->seen[i] && !has_outcome(b, a->seen[i]))
            return false;
    return true;
}

static void generate(uint64_t *state, unsigned ops)
{
    for (unsigned t = 0; t < GENERATED_THREADS; t++)
        for (unsigned i = 0; i < GENERATED_STEPS; i++)
            generated[t][i] = (uint8_t)(next_random(state) % ops | (next_random(state) & 1 ? 0x80 : 0));
}

/* As written a wait may give up at once: in the reduced search only one that looks at a clock, and once in a row. */
static bool waits_for_good(void)
{
    for (unsigned t = 0; t < GENERATED_THREADS; t++) {
        unsigned timed = 0;
        for (unsigned i = 0; i < generated_steps; i++) {
            unsigned op = generated[t][i] & 0x7f;
            timed += op == OP_WAIT_TIMED;
            if (op >= OP_WAIT || timed > 1)
                return true;
        }
    }
    return false;
}

enum { REDUCED, EVERY_ORDER, AS_WRITTEN }; /* the last one: locks and waits turn as the code does */

static struct explorer_result generated_result;
static unsigned programs = 1000; /* to be generated */

/* Collects the outcomes of the generated program; false if they are too many to run all. */
static bool outcomes_of_generated(struct explorer_test *test, unsigned how)
{
    struct explorer_bounds bounds = EXPLORER_ALL;
    bounds.executions = GENERATED_MOST;
    bounds.every_order = how == EVERY_ORDER;
    test->reduce = how != AS_WRITTEN;
    generated_set = &generated_sets[how];
    memset(generated_set, 0, sizeof *generated_set);
    explorer_run(test, &bounds, &generated_result);
    return generated_result.complete;
}

static void print_generated(unsigned n, const char *what)
{
    printf("  program %u: %s; %u, %u, %u outcomes\n", n, what, generated_sets[REDUCED].count,
           generated_sets[EVERY_ORDER].count, generated_sets[AS_WRITTEN].count);
    for (unsigned t = 0; t < GENERATED_THREADS; t++)
        for (unsigned i = 0; i < generated_steps; i++)
            printf("%s%u%c", i ? " " : "    ", generated[t][i] & 0x7fu, i + 1 == generated_steps ? '\n' : ',');
}

/* Two threads of four operations or three, three threads of two, or of three accesses without fences. */
static bool reduction_keeps_outcomes(void)
{
    struct explorer_test test = {
        "generated", start_generated, {run_generated, run_generated}, record_generated, 0, 0, false, NULL};
    uint64_t state = 20240229, reduced = 0, every = 0;
    unsigned compared = 0, of_three = 0;
    for (unsigned n = 0; n < programs; n++) {
        unsigned kind = n % 4;
        generate(&state, kind == 2 ? OP_FENCE : GENERATED_OPS);
        test.body[2] = kind & 1 ? NULL : run_generated;
        generated_steps = kind == 0 ? 2 : kind == 1 ? 4 : 3;
        if (!outcomes_of_generated(&test, REDUCED))
            continue;
        uint64_t executions = generated_result.executions;
        if (outcomes_of_generated(&test, EVERY_ORDER)) {
            reduced += executions;
            every += generated_result.executions;
            compared++;
            of_three += test.body[2] != NULL;
            if (!contains_all(&generated_sets[EVERY_ORDER], &generated_sets[REDUCED]) ||
                !contains_all(&generated_sets[REDUCED], &generated_sets[EVERY_ORDER]))
                return print_generated(n, "the reduction changes the outcomes"), false;
        }
        if (!waits_for_good() && outcomes_of_generated(&test, AS_WRITTEN) &&
            !contains_all(&generated_sets[AS_WRITTEN], &generated_sets[REDUCED]))
            return print_generated(n, "outcomes of plain turns are lost"), false;
    }
    printf("  (%u programs, %u of three threads: %ju executions instead of %ju)\n", compared, of_three,
           (uintmax_t)reduced, (uintmax_t)every);
    return compared >= programs / 2;
}

/* The late store of a light barrier, both weakenings of membarrier, acquire, release, and the lock's orders. */
static bool kills_mutants(void)
{
    return kills_mutants_of("Dekker, light and membarrier", "a lock protects plain data", NULL, 0);
}

static bool kills_mutants_of_real_code(void)
{
    return kills_mutants_of("inlined get and a reclaimer", "inlined get and put and a reclaimer", NULL, 0);
}

/* A list that names a mutant which is killed after all, and a survivor that nobody lists. */
static bool list_is_checked(void)
{
    static const struct explorer_unneeded stale[] = {
        {"dekker: load_acquire(other)", EXPLORER_DROP_ACQUIRE, "wrong on purpose"}};
    printf("  (one STALE line is expected here)\n");
    return !kills_mutants_of("Dekker, light and membarrier", "a lock protects plain data", stale, 1);
}

static const struct check {
    const char *name;
    bool (*run)(void);
} checks[] = {
    {"found bugs replay", replays},
    {"wrong schedules are refused", refuses_schedules},
    {"a write without a hook is told", unhooked_write_is_told},
    {"random choices reach all outcomes", random_finds_all},
    {"a search repeats itself", repeats_itself},
    {"the reduction keeps all outcomes", reduction_keeps_outcomes},
    {"mutants of Dekker and a lock", kills_mutants},
    {"mutants of the inlined fast path", kills_mutants_of_real_code},
    {"the list of unneeded is checked", list_is_checked},
};

static unsigned passed, failed;

static void count(const char *name, bool ok)
{
    printf("%-6s %s\n", ok ? "ok" : "FAILED", name);
    fflush(stdout);
    *(ok ? &passed : &failed) += 1;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "--programs"))
        programs = (unsigned)strtoul(argv[2], NULL, 10);
    for (size_t i = 0; i < sizeof litmuses / sizeof *litmuses; i++)
        count(litmuses[i].test.name, run_litmus(&litmuses[i]));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        count(cases[i].test.name, run_case(&cases[i].test));
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        count(checks[i].name, checks[i].run());
    printf("litmus %u/%u\n", passed, passed + failed);
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}
