/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_OS_OS_H
#define OPOOL_OS_OS_H

/*
 * All that opool asks of the system, as one table: nothing else in the library calls mmap, madvise, membarrier, futex,
 * clocks or pthread keys, and a test can make any call fail. Refusals are normal (locked memory, the mapping limit,
 * seccomp); every caller has an answer to them.
 *
 * Results: 0 or a negative errno value, unless said otherwise; errno itself stays as it was. Addresses and sizes are
 * multiples of the page size.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/trap.h"

struct opool__mapping; /* unwind.h */

struct opool__os {
    /* Address space of `bytes`, without access and without commitment. */
    int (*reserve)(void **out, size_t bytes);
    /* Give address space back. May be refused at the mapping limit: then the range is still there, as it was. */
    int (*release)(void *at, size_t bytes);
    /* Make a part of a reservation readable and writable; it is zero when it was not committed before. */
    int (*commit)(void *at, size_t bytes);
    /* Give the memory of a committed range back; 0: it is zero from now on. Refused on locked memory: contents unknown.
     */
    int (*purge)(void *at, size_t bytes);
    /* No access to a committed range any more, whose contents stay. commit gives it back. */
    int (*protect)(void *at, size_t bytes);
    /* Say that this process will use `barrier`. Once, before the first. */
    int (*barrier_register)(void);
    /* A full memory barrier on every running thread of the process. May be refused at any call, not only at the first.
     */
    int (*barrier)(void);
    /* Monotonic, nanoseconds. */
    uint64_t (*now)(void);
    /* Sleep while *word == expected, until woken or `deadline` (of `now`; 0: none). May wake for no reason. */
    void (*wait)(uint32_t *word, uint32_t expected, uint64_t deadline);
    /* Wake up to `count` threads that sleep on `word`. */
    void (*wake)(uint32_t *word, int count);
    /* Once a process, before the next one: what threads shall call when they end. */
    int (*thread_end_init)(void (*at_end)(void *));
    /* Have it called with `value` when the calling thread ends. */
    int (*at_thread_end)(void *value);
    int (*at_fork)(void (*prepare)(void), void (*parent)(void), void (*child)(void));
    /* Is it a nonblocking eventfd? Else -EBADF (not open) or -EINVAL. */
    int (*event_check)(int fd);
    /* Add 1 to one. */
    void (*event_add)(int fd);
    /* A thread with all signals blocked but those of its own faults, and the usual scheduling; its name has at most 15
       characters. */
    int (*thread_start)(uintptr_t *thread, void *(*run)(void *), const char *name);
    void (*thread_join)(uintptr_t thread);
    bool (*is_thread)(uintptr_t thread); /* the calling one */
    /* Most bytes of address space this process may have; SIZE_MAX: no limit. */
    size_t (*address_limit)(void);
    size_t (*page_size)(void);
    unsigned (*processors)(void);
    uint64_t (*thread_number)(void);
    /* Another number at each call, never 0, that nobody outside the process can foresee. The system is asked once a
       process: a forked child goes on where its parent was. */
    uint64_t (*seed)(void);
    /* Copy memory of this process that may be unreadable; false: some of it is, or the kernel refuses to say. */
    bool (*read_memory)(void *to, const void *from, size_t bytes);
    /* Show each writable segment of the program and its libraries, until `look` returns false. */
    void (*each_segment)(bool (*look)(void *arg, const void *at, size_t bytes), void *arg);
    /* The calling thread's return addresses, innermost first, not more than `most`; 0: there is no way to know. The
       first call of the process may load a library, which allocates. Async-signal-safe from the second on. */
    int (*unwind)(void **frames, int most);
    /* Where the code of this library is; false: it is a static copy, in the midst of other code. */
    bool (*own_code)(uintptr_t *start, uintptr_t *end);
    /* Show what is mapped where, until `look` returns false, a file's parts by ascending addresses: as the kernel says,
       and where there is no /proc, as it was noted. Async-signal-safe, but a cancellation point. */
    int (*each_mapping)(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg);
    /* Note what the loader loaded so far. Outside all locks. */
    void (*note_modules)(void);
    /* What the program or a library loaded with it exports under this name; NULL: nothing, or no dynamic loader. */
    void *(*symbol)(const char *name);
    /* A regular file of up to `room` bytes: how many, or a negative errno value, -EFBIG for a larger one. */
    ssize_t (*read_file)(const char *path, char *to, size_t room);
    /* Write what libc still buffers, and end the process without exit handlers. */
    void (*end_process)(int status);
    /* A variable of the environment; NULL: not set, or the program runs with more rights than its user has. */
    const char *(*environment)(const char *name);
    /* Once: `look` sees touches of memory that allows none, see trap.h. */
    int (*trap)(opool__trap_look *look);
};

/* The table in use: the real one, until a test puts another in its place. */
extern struct opool__os opool__os;

#endif
