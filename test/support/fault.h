/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_FAULT_H
#define TEST_SUPPORT_FAULT_H

/*
 * The os table with a counter and a fault: puts itself between the library and the real calls, numbers every call that
 * can be refused, refuses the chosen ones, and keeps the balance of address space.
 *
 * One table a process: fault_install() once, then fault_plan() and fault_heal() as often as needed.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

enum fault_call {
    FAULT_RESERVE,
    FAULT_RELEASE,
    FAULT_COMMIT,
    FAULT_PURGE,
    FAULT_PROTECT,
    FAULT_BARRIER_REGISTER,
    FAULT_BARRIER,
    FAULT_THREAD_END_INIT,
    FAULT_AT_THREAD_END,
    FAULT_AT_FORK,
    FAULT_THREAD_START,
    FAULT_TRAP,
    FAULT_CALLS
};

enum { FAULT_TRACE = 4096, FAULT_ERRORS = 2 };

/* What the system may answer; 0 ends. */
static const int fault_errors[FAULT_CALLS][FAULT_ERRORS] = {
    [FAULT_RESERVE] = {ENOMEM}, [FAULT_RELEASE] = {ENOMEM},         [FAULT_COMMIT] = {ENOMEM},
    [FAULT_PURGE] = {EINVAL},   [FAULT_PROTECT] = {ENOMEM},         [FAULT_BARRIER_REGISTER] = {EPERM, ENOSYS},
    [FAULT_BARRIER] = {EPERM},  [FAULT_THREAD_END_INIT] = {EAGAIN}, [FAULT_AT_THREAD_END] = {ENOMEM},
    [FAULT_AT_FORK] = {ENOMEM}, [FAULT_THREAD_START] = {EAGAIN},    [FAULT_TRAP] = {EINVAL},
};

static struct fault {
    struct opool__os real;
    /* The plan: */
    uint32_t first; /* the call to refuse, counted from the plan on; 0: none */
    bool for_ever;  /* and all later ones */
    uint32_t kinds; /* a bit for each enum fault_call that may be refused */
    uint32_t error; /* which of fault_errors */
    /* Since the plan: */
    uint32_t calls;
    uint32_t refused;
    uint32_t count[FAULT_CALLS];
    uint8_t trace[FAULT_TRACE]; /* enum fault_call of call number i + 1 */
    /* Since fault_install: */
    uint64_t reservations, reserved_bytes; /* that stand now */
    uint64_t kept, kept_bytes;             /* refused to be released */
} fault;

static inline uint32_t fault_load(const uint32_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Counts a call. 0, or the error to answer with. */
static inline int fault_enter(enum fault_call kind)
{
    uint32_t number = __atomic_add_fetch(&fault.calls, 1u, __ATOMIC_RELAXED);
    __atomic_fetch_add(&fault.count[kind], 1u, __ATOMIC_RELAXED);
    if (number <= FAULT_TRACE)
        __atomic_store_n(&fault.trace[number - 1], (uint8_t)kind, __ATOMIC_RELAXED);
    bool planned = fault.first && (fault.for_ever ? number >= fault.first : number == fault.first);
    if (!planned || !(fault.kinds >> kind & 1))
        return 0;
    __atomic_fetch_add(&fault.refused, 1u, __ATOMIC_RELAXED);
    int error = fault_errors[kind][fault.error];
    return error ? -error : -fault_errors[kind][0];
}

static inline int fault_reserve(void **out, size_t bytes)
{
    int r = fault_enter(FAULT_RESERVE);
    if (r == 0)
        r = fault.real.reserve(out, bytes);
    if (r == 0) {
        __atomic_fetch_add(&fault.reservations, 1u, __ATOMIC_RELAXED);
        __atomic_fetch_add(&fault.reserved_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
    }
    return r;
}

static inline int fault_release(void *at, size_t bytes)
{
    int r = fault_enter(FAULT_RELEASE);
    if (r != 0) {
        __atomic_fetch_add(&fault.kept, 1u, __ATOMIC_RELAXED);
        __atomic_fetch_add(&fault.kept_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
        return r;
    }
    r = fault.real.release(at, bytes);
    if (r == 0) {
        __atomic_fetch_sub(&fault.reservations, 1u, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&fault.reserved_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
    }
    return r;
}

static inline int fault_commit(void *at, size_t bytes)
{
    int r = fault_enter(FAULT_COMMIT);
    return r ? r : fault.real.commit(at, bytes);
}

static inline int fault_purge(void *at, size_t bytes)
{
    int r = fault_enter(FAULT_PURGE);
    return r ? r : fault.real.purge(at, bytes);
}

static inline int fault_protect(void *at, size_t bytes)
{
    int r = fault_enter(FAULT_PROTECT);
    return r ? r : fault.real.protect(at, bytes);
}

static inline int fault_barrier_register(void)
{
    int r = fault_enter(FAULT_BARRIER_REGISTER);
    return r ? r : fault.real.barrier_register();
}

static inline int fault_barrier(void)
{
    int r = fault_enter(FAULT_BARRIER);
    return r ? r : fault.real.barrier();
}

static inline int fault_thread_end_init(void (*at_end)(void *))
{
    int r = fault_enter(FAULT_THREAD_END_INIT);
    return r ? r : fault.real.thread_end_init(at_end);
}

static inline int fault_at_thread_end(void *value)
{
    int r = fault_enter(FAULT_AT_THREAD_END);
    return r ? r : fault.real.at_thread_end(value);
}

static inline int fault_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    int r = fault_enter(FAULT_AT_FORK);
    return r ? r : fault.real.at_fork(prepare, parent, child);
}

static inline int fault_thread_start(uintptr_t *thread, void *(*run)(void *), const char *name)
{
    int r = fault_enter(FAULT_THREAD_START);
    return r ? r : fault.real.thread_start(thread, run, name);
}

static inline int fault_trap(opool__trap_look *look)
{
    int r = fault_enter(FAULT_TRAP);
    return r ? r : fault.real.trap(look);
}

/* From now on: refuse call number `first` (0: none), and all later ones if for_ever, among the kinds of the mask. */
static inline void fault_plan(uint32_t first, bool for_ever, uint32_t kinds)
{
    fault.first = first;
    fault.for_ever = for_ever;
    fault.kinds = kinds;
    fault.error = 0;
    fault.calls = fault.refused = 0;
    for (int i = 0; i < FAULT_CALLS; i++)
        fault.count[i] = 0;
}

/* All calls of these kinds fail from now on. */
static inline void fault_all(uint32_t kinds)
{
    fault_plan(1, true, kinds);
}

static inline void fault_heal(void)
{
    fault_plan(0, false, 0);
}

static inline uint32_t fault_kind(enum fault_call call)
{
    return UINT32_C(1) << call;
}

static inline void fault_install(void)
{
    fault.real = opool__os;
    fault_heal();
    opool__os.reserve = fault_reserve;
    opool__os.release = fault_release;
    opool__os.commit = fault_commit;
    opool__os.purge = fault_purge;
    opool__os.protect = fault_protect;
    opool__os.barrier_register = fault_barrier_register;
    opool__os.barrier = fault_barrier;
    opool__os.thread_end_init = fault_thread_end_init;
    opool__os.at_thread_end = fault_at_thread_end;
    opool__os.at_fork = fault_at_fork;
    opool__os.thread_start = fault_thread_start;
    opool__os.trap = fault_trap;
}

#endif
