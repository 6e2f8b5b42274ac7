/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TYPES_H
#define OPOOL_TYPES_H

/* Types of the public interface. Nothing here calls anything. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define OPOOL_API __attribute__((__visibility__("default")))
#define OPOOL_NODISCARD __attribute__((__warn_unused_result__))
#else
#error "opool needs gcc or clang"
#endif

/** A pool of objects of one shape. Opaque. */
struct opool;

/** How much a call checks; see "Checks" in the README. */
enum opool_checks {
    OPOOL_CHECKS_DEFAULT = 0, /**< what OPOOL_CHECKS in the environment says, else basic */
    OPOOL_CHECKS_OFF,         /**< nothing is checked: misuse is undefined behaviour */
    OPOOL_CHECKS_BASIC,       /**< foreign and interior pointers, put after destroy, most double puts */
    OPOOL_CHECKS_FULL         /**< every put is checked against the object's state, and what reset left against a new
                                   object; no thread caches: slower */
};

enum opool_format { OPOOL_TEXT, OPOOL_JSON, OPOOL_OPENMETRICS };

/** Bytes that an object of an owning pool holds outside its slot. */
struct opool_footprint {
    size_t used; /**< bytes that this use needed */
    size_t held; /**< bytes that the object would keep if it were pooled now; held >= used as a rule */
};

/** What opool_member.kind says. */
enum opool_member_kind {
    OPOOL_MEMBER_FIXED,    /**< reset gives it the value that init gave it, as full checks verify */
    OPOOL_MEMBER_KEPT,     /**< its value may stay for the next user */
    OPOOL_MEMBER_BORROWED, /**< zeroed at put */
    OPOOL_MEMBER_OPAQUE,   /**< not looked into */
    OPOOL_MEMBER_BITS,     /**< a bit-field, behind the member before it: offset and size are not known */
    OPOOL_MEMBER_KEPT_BITS /**< the same, and its value may stay for the next user */
};

/** A member of a pool's objects: for messages, and for what full checks verify. */
struct opool_member {
    const char *name; /**< NULL ends a table */
    uint32_t offset, size;
    enum opool_member_kind kind;
};

/**
 * What a pool's objects are: shape and callbacks. The OPOOL_DEFINE macros fill it; a run-time type or another language
 * fills it by hand, with .shape = OPOOL_SHAPE_TRUSTED("why"). Read by create only, which copies it; strings and tables
 * must outlive the pool.
 *
 * All callbacks may be NULL. They run outside all locks of the library, may use other pools, and must not longjmp,
 * throw or end their thread; init and fini are not cancelled. init runs on the thread that gets, reset and footprint on
 * the one that puts; fini on whichever thread tears down: one that puts or discards, ticks (that of opool_epoch_start,
 * too), releases, or destroys. So fini must be safe on any thread, and what `arg` points to must outlive the pool.
 * `arg` is opool_options.arg.
 */
struct opool_type {
    const char *name;  /**< the definition's name */
    const char *type;  /**< the C type as text, for messages; NULL: name */
    const char *shape; /**< how the shape was proven, or OPOOL_SHAPE_TRUSTED("why"); NULL is refused */
    size_t size;       /**< bytes of an object: 1 to 16 MiB */
    size_t align;      /**< a power of two, at most 4096 */
    /** A slot becomes an object; its memory is zero. 0, or an errno value: then init has undone its work and fini is
        not called. */
    int (*init)(void *object, void *arg);
    /** At every put, before put returns. false: the object is not kept, fini follows. */
    bool (*reset)(void *object, void *arg);
    /** Before the slot is given up. */
    void (*fini)(void *object, void *arg);
    /** At put, before reset. Required of owning types, NULL else. */
    struct opool_footprint (*footprint)(const void *object, void *arg);
    /** Zeroes the borrowed members: after reset, whatever it returned, and before any fini. */
    void (*clear)(void *object);
    unsigned abi; /**< OPOOL_ABI, or 0: the abi of the opool_create call */
    /** All members in order of their offsets, ended by a NULL name. NULL: not known; messages give offsets. */
    const struct opool_member *members;
    /** Those whose value may stay for the next user, also where `members` says nothing of them; ended by a NULL name.
        Their kind does not matter. NULL: none. */
    const struct opool_member *kept;
    /** Zeroes the padding, wherever it is, and nothing else. NULL: not known. */
    void (*pad)(void *object);
};

/** The largest object and the largest alignment, in bytes. */
#define OPOOL_SIZE_MAX ((size_t)16 << 20)
#define OPOOL_ALIGN_MAX ((size_t)4096)

/** For opool_type.shape: the author's word, and reason, that objects of this type have a fixed shape. */
#define OPOOL_SHAPE_TRUSTED(why) ("trusted: " why)

/** Options of create; zero is the default of each. Read by create only; `name` is copied. */
struct opool_options {
    const char *name;         /**< in stats and messages; NULL: the definition's name */
    void *arg;                /**< given to the callbacks */
    size_t capacity;          /**< most objects at once; 0: no limit */
    size_t prefill;           /**< objects built by create; if one can not be built, create fails */
    size_t keep;              /**< idle objects that no epoch tears down */
    size_t footprint_max;     /**< owning: bytes an object may keep; 0: 2 x decayed 99th percentile of used, at least
                                   what new objects hold */
    void *region;             /**< the caller's, for objects and metadata: capacity is what fits, and nothing else
                                   is taken from the system after create. The caller's again after destroy */
    size_t region_size;       /**< bytes */
    unsigned magazine;        /**< objects a magazine, 1 to 128; 0: chosen */
    enum opool_checks checks; /**< OPOOL_CHECKS_DEFAULT follows the environment */
    unsigned epoch_ms;        /**< slow paths of this pool tick, for all pools, when the last tick is so many
                                   milliseconds ago; 0: they do not. For programs without a loop, a timer, or
                                   opool_epoch_start. Then a get or put of this pool may run fini of any pool; and
                                   where all gets and puts are hits of thread caches, nothing ticks */
};

/** Figures of one pool: see opool/counters.def, one line each. When no call is in progress:
    slots == live + idle_thread + idle_depot + idle_victim + slots_free,
    built == torn_down + live + idle_thread + idle_depot + idle_victim,
    gets == puts + live. */
struct opool_stats {
#define OPOOL_COUNTER(name, unit, help) uint64_t name;
#define OPOOL_GAUGE(name, unit, help) uint64_t name;
#include "counters.def"
#undef OPOOL_COUNTER
#undef OPOOL_GAUGE
};

#endif
