/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_POOL_H
#define OPOOL_POOL_H

/*
 * The untyped calls, exported: for run-time types, other languages, and underneath the typed ones of OPOOL_DEFINE.
 *
 * Thread safety, unless a function says otherwise: safe from any thread at any time, threads attach by themselves.
 * No call is async-signal-safe. Functions that can fail return 0 or a negative errno value; gets return NULL with errno
 * set, and leave errno alone when they succeed.
 */

#include "types.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Create a pool. Takes no memory for objects before the first get, except for prefill.
 *
 * @param out      receives the pool, NULL on error
 * @param type     copied
 * @param options  copied; NULL: all defaults
 * @return 0
 *         -EINVAL: out, type, its shape, size or alignment, or an option that makes no sense (a region too small for
 *         one object, capacity that no address space holds, prefill or keep above capacity, magazine above 128);
 *         unless checks are off, a line on standard error says which
 *         -ENOMEM: no memory; or what init returned, negative, when an object of prefill could not be built
 *         -ENOTSUP: the program was compiled against another ABI of the library
 *
 * Blocks: for memory from the system and for init.
 */
OPOOL_API OPOOL_NODISCARD int opool_create(struct opool **out, const struct opool_type *type,
                                           const struct opool_options *options);

/** What the opool_create macro calls: with the sizes a library that knows more members reads older programs. */
OPOOL_API OPOOL_NODISCARD int opool__create(struct opool **out, const struct opool_type *type, size_t type_size,
                                            const struct opool_options *options, size_t options_size, unsigned abi);
static inline __attribute__((__always_inline__, __unused__)) int
opool__create_here(struct opool **out, const struct opool_type *type, const struct opool_options *options)
{
    return opool__create(out, type, sizeof(struct opool_type), options, sizeof(struct opool_options), OPOOL_ABI);
}
#define opool_create(...) opool__create_here(__VA_ARGS__) /* arguments may be compound literals, with their commas */

/**
 * Tear down all idle objects (fini) and give the memory back; *pool becomes NULL. pool or *pool NULL: nothing happens.
 *
 * Waits for the callbacks of a tick in flight: hold no lock that fini takes. No other thread may be inside a call on
 * the pool, nor call it afterwards (opool_close is for that). With objects out,
 * a line on standard error says how many; their slots stay mapped, and a later put of one is a named error. From inside
 * a callback destroy is refused: a line says so and nothing changes. A pool that was closed frees itself: nothing
 * happens.
 */
OPOOL_API void opool_destroy(struct opool **pool);

/**
 * No more gets through this pool (ESHUTDOWN); the put of the last object that is out frees it. *pool becomes NULL;
 * threads that still hold the handle may put, and must not get after their last put. pool or *pool NULL: nothing
 * happens. Waiters in get_wait are woken with ESHUTDOWN. May be called from a callback.
 */
OPOOL_API void opool_close(struct opool **pool);

/**
 * An object, built (zero memory, then init) or reused as reset left it. A miss builds exactly one; without full checks
 * a thread's last put is its next get. The caller owns the object until put or discard.
 *
 * @return the object, aligned to type->align; NULL with errno:
 *         ENOMEM no memory; EAGAIN all objects of a pool with a capacity are out; ESHUTDOWN the pool is closed; EINVAL
 *         pool is NULL; or what init returned
 *
 * Blocks: never on another thread's put; for memory from the system, and for init, when it builds. In a pool at its
 * capacity up to 10 ms for what is neither out nor idle: objects that a tick tears down just now, or that are hidden by
 * a thread that was stopped in the middle of an operation; EAGAIN then, though not all are out.
 */
OPOOL_API void *opool_get(struct opool *pool);

/**
 * As opool_get; at capacity it waits for a put, first come first served, and no later get overtakes it. A signal does
 * not end the wait, nor does cancellation (it is no cancellation point): opool_close does.
 *
 * @param timeout_ms  milliseconds; -1: no limit; 0, and what else is negative (a deadline that is over): does not wait
 * @return as opool_get, with ETIMEDOUT instead of EAGAIN
 */
OPOOL_API void *opool_get_wait(struct opool *pool, int timeout_ms);

/**
 * Give an object back: footprint, reset, then the thread's cache; the library does not write into an idle object.
 * NULL object: nothing happens. The object must have come from a get of this pool and not have been put since; basic
 * checks (README) abort with a line that says what is wrong. Needs no memory. Blocks: never, but for the callbacks.
 */
OPOOL_API void opool_put(struct opool *pool, void *object);

/** Give back an object that must not be used again: no footprint, no reset, fini before it returns. NULL: nothing. */
OPOOL_API void opool_discard(struct opool *pool, void *object);

/**
 * Up to n objects.
 *
 * @param objects  room for n pointers; entries from the result on are not touched
 * @return how many were got; errno says why it is less than n
 */
OPOOL_API size_t opool_get_batch(struct opool *pool, void *objects[], size_t n);

/** As n puts; NULL entries are skipped. */
OPOOL_API void opool_put_batch(struct opool *pool, void *const objects[], size_t n);

/**
 * Where a pool's objects lie: `slots` places, `stride` bytes from one to the next. For interfaces that name memory by
 * its number, as buffers that io_uring is provided with, and for tables beside a pool.
 */
struct opool_slots {
    void *base;    /**< the first slot */
    size_t stride; /**< bytes */
    size_t slots;  /**< the capacity or a little more, by whole slabs */
};

/**
 * The slots of a pool with a capacity or a region: one range, the same as long as the pool lives.
 *
 * What lies there belongs to the pool, but for the objects that the caller has out; memory of slots that no object was
 * built in may not be accessible. Pages of what ticks tear down, or opool_release, go back to the system, so that
 * memory that is told to the kernel once and for all (registered buffers) takes opool_options.prefill and .keep of all
 * objects, or a region; buffers that are provided one by one, while they are out, take neither. Guard slots
 * (OPOOL_GUARD_SLOTS) lie elsewhere: from this call on none serves the pool, so call it before the first get.
 *
 * @param out  filled; all zero on error
 * @return 0
 *         -EINVAL: pool or out is NULL, or the pool was destroyed
 *         -ENOTSUP: the pool has neither capacity nor region, or the system gave address space only in pieces
 *
 * Does not block.
 */
OPOOL_API OPOOL_NODISCARD int opool_slots_of(struct opool *pool, struct opool_slots *out);

/** The number of the slot that starts at `object`, below slots->slots; SIZE_MAX: none does. */
static inline __attribute__((__unused__)) size_t opool_slot_index(const struct opool_slots *slots, const void *object)
{
    const uintptr_t distance = (uintptr_t)object - (uintptr_t)slots->base;
    if (!slots->stride || distance % slots->stride || distance / slots->stride >= slots->slots)
        return SIZE_MAX;
    return distance / slots->stride;
}

/** The start of slot `index`; NULL: there is none. */
static inline __attribute__((__unused__)) void *opool_slot_at(const struct opool_slots *slots, size_t index)
{
    return index < slots->slots ? (char *)slots->base + index * slots->stride : NULL;
}

/** "0.1.0": of the library, where OPOOL_VERSION is of the header. Static storage. */
OPOOL_API const char *opool_version(void);

/**
 * Where the library's lines go from now on, for the whole process: what it refuses, what a pool's guard or a check
 * found. Lines that come before an abort go to standard error all the same, where all go at first.
 *
 * @param log  called with a line that begins with "opool: ", without its end of line, valid during the call; NULL:
 *             standard error again. It runs on the thread whose call had something to say, several threads at once,
 *             outside all locks of the library, with cancellation off. It may use pools, and must not longjmp or throw.
 *             What that makes the library say goes to standard error; destroy, ticks and epoch_stop are refused in it.
 * @param arg  given to log; the caller's, until a later call replaced it and no call that began before is in progress
 *
 * Safe from any thread; does not block.
 */
OPOOL_API void opool_log_set(void (*log)(const char *line, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
