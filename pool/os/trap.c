/* SPDX-License-Identifier: MIT */
#include "os/trap.h"

#include <errno.h>
#include <opool/atomic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * The library's handler looks and passes on: it ends nothing and mends nothing. What the program had before gets what
 * the kernel would have given it, as if nobody had been in between:
 *
 *     a handler, with SA_SIGINFO or without   is called, with the signals blocked that it asked for
 *     SIG_DFL                                 is restored, and the instruction runs again: it ends the process where
 *                                             the fault is, in a core dump too
 *     SIG_IGN                                 the same: the kernel lets nobody ignore a fault
 *
 * A signal that somebody sent (kill, raise) is no touch: nobody looks, a default is restored and it is sent again to
 * this thread, which blocks it until the handler is left; ignored ones are.
 *
 * It runs on the thread's alternate stack if there is one. A handler that the program installs later replaces this one;
 * if it calls what it replaced, as it should, both are served.
 */

enum { SIGNALS = 2 };

static const int signals[SIGNALS] = {SIGSEGV, SIGBUS};
static struct sigaction shared_before[SIGNALS];
static opool__trap_look *shared_look;

/* ---- what the instruction did ---- */

#if defined(__x86_64__) || defined(__i386__)

static enum opool__access access_of(const ucontext_t *context)
{
    /* Intel's manual, volume 3, 4.7: bit 1 of a page fault's error code. Exception 14 is the page fault. */
    enum { PAGE_FAULT = 14, WRITES = 2 };
    if (context->uc_mcontext.gregs[REG_TRAPNO] != PAGE_FAULT)
        return OPOOL__ACCESS;
    return context->uc_mcontext.gregs[REG_ERR] & WRITES ? OPOOL__WRITE : OPOOL__READ;
}

static uintptr_t code_of(const ucontext_t *context)
{
#ifdef __x86_64__
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#else
    return (uintptr_t)context->uc_mcontext.gregs[REG_EIP];
#endif
}

#elif defined(__aarch64__)

static enum opool__access access_of(const ucontext_t *context)
{
    /* Arm's manual, ESR_EL1: class 0x24 and 0x25 are data aborts, and bit 6 of these says whether it was a write. The
       kernel puts the register into one of the records behind the context. */
    enum { CLASS = 26, ABORT_BELOW = 0x24, ABORT_HERE = 0x25, WRITES = 1 << 6 };
    const char *at = (const char *)context->uc_mcontext.__reserved, *end = at + sizeof context->uc_mcontext.__reserved;
    struct esr_context record;
    while ((size_t)(end - at) >= sizeof record) {
        memcpy(&record, at, sizeof record);
        if (record.head.magic == 0 || record.head.size == 0 || record.head.size > (size_t)(end - at))
            break;
        unsigned class = (unsigned)(record.esr >> CLASS);
        if (record.head.magic == ESR_MAGIC && (class == ABORT_BELOW || class == ABORT_HERE))
            return record.esr & WRITES ? OPOOL__WRITE : OPOOL__READ;
        at += record.head.size;
    }
    return OPOOL__ACCESS;
}

static uintptr_t code_of(const ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.pc;
}

#else

static enum opool__access access_of(const ucontext_t *context)
{
    (void)context;
    return OPOOL__ACCESS;
}

static uintptr_t code_of(const ucontext_t *context)
{
    (void)context;
    return 0;
}

#endif

/* ---- passing on ---- */

static struct sigaction *before(int number)
{
    return &shared_before[number == signals[0] ? 0 : 1];
}

/* By the kernel, for something that this thread's instruction did. */
static bool is_fault(const siginfo_t *info)
{
    return info->si_code > 0;
}

static void restore_default(int number)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigemptyset(&plain.sa_mask);
    (void)sigaction(number, &plain, NULL);
}

static void end_by(int number, siginfo_t *info)
{
    restore_default(number);
    if (!is_fault(info))
        (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), number, info);
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction *had = before(number), then = *had;
    if (then.sa_handler == SIG_IGN && !is_fault(info))
        return;
    if (then.sa_handler == SIG_IGN || then.sa_handler == SIG_DFL) {
        end_by(number, info);
        return;
    }
    if (then.sa_flags & (int)SA_RESETHAND)
        had->sa_handler = SIG_DFL;
    if (then.sa_flags & SA_SIGINFO)
        then.sa_sigaction(number, info, context);
    else
        then.sa_handler(number);
}

static void handle(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    if (is_fault(info)) {
        const struct opool__trap trap = {info->si_addr, (const void *)code_of(context), access_of(context)};
        shared_look(&trap);
    }
    errno = saved;
    pass_on(number, info, context);
}

/* ---- start ---- */

static int take(int number)
{
    struct sigaction ours = {.sa_sigaction = handle}, *had = before(number);
    if (sigaction(number, NULL, had) != 0)
        return -errno;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (had->sa_flags & (SA_NODEFER | SA_RESTART));
    ours.sa_mask = had->sa_mask;
    return sigaction(number, &ours, NULL) == 0 ? 0 : -errno;
}

int opool__os_trap(opool__trap_look *look)
{
    int saved = errno, r = 0;
    shared_look = look;
    for (int i = 0; i < SIGNALS && r == 0; i++)
        r = take(signals[i]);
    errno = saved;
    return r;
}
