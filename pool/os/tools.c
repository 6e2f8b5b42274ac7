/* SPDX-License-Identifier: MIT */
#include "os/tools.h"

#include <opool/atomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "os/mirror.h"
#include "os/os.h"
#include "os/report.h"

#ifdef OPOOL__VALGRIND
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#endif

/*
 * What each tool is told, and why.
 *
 * AddressSanitizer: idle objects, free slots and gaps are poisoned, so that a touch is a report. Poison outlives
 * munmap: memory is unpoisoned before it goes.
 *
 * LeakSanitizer looks for pointers in globals, stacks, registers and heap blocks. Slots are none of these, so they are
 * its root regions: what an object owns is no leak. It does not look through poison, and what only idle objects own
 * would be leaks: with AddressSanitizer an idle object's bytes are copied into a mirror, which is a root region too.
 * (At exit all could be unpoisoned instead, but not before a check that the program asks for, as libFuzzer does.)
 *
 * MemorySanitizer's and memcheck's marks of what was never written are the object's: they are as reset left them when
 * it is got again. MemorySanitizer keeps them by itself. In memcheck they would be lost with the right to touch the
 * memory, and its search for leaks does not look there either: both stand in the mirror meanwhile, marks are copied
 * with bytes. Slots are zero when they are taken, and are marked so: memory that went back to the system and came again
 * still has its old marks.
 *
 * ThreadSanitizer: put releases and get acquires the object, as if each had a lock of its own. So the next user comes
 * after the last one's put, and an access after put is a race. (A plain library's locks it does not see. Those of an
 * instrumented one may order the two by chance, and hide such a race.)
 *
 * memcheck: one pool of its own for all objects, because it names the object by where it was got and put, not by the
 * pool.
 */

/* ---- what is here ---- */

static void (*asan_poison)(const volatile void *at, size_t bytes);
static void (*asan_unpoison)(const volatile void *at, size_t bytes);
static void (*asan_on_report)(void (*call)(const char *text));
static int (*asan_is_reporting)(void);
static void *(*asan_report_address)(void);
static void (*on_death)(void (*call)(void));
static void (*lsan_add_root)(const void *at, size_t bytes);
static void (*lsan_remove_root)(const void *at, size_t bytes);
static void (*msan_unpoison)(const volatile void *at, size_t bytes);
static void (*msan_unpoison_arguments)(size_t n);
static void (*tsan_acquire)(void *at);
static void (*tsan_release)(void *at);
static void (*tsan_ignore_reads)(const char *file, int line);
static void (*tsan_ignore_writes)(const char *file, int line);
static void (*tsan_watch_reads)(const char *file, int line);
static void (*tsan_watch_writes)(const char *file, int line);
static bool memcheck;

/* By name, though a weak symbol would do: of that a static copy of this library in a program at a fixed address knows
   when it is linked that there is none, and a preloaded run time comes later. */
static const struct {
    const char *name;
    void *to;
} run_time[] = {{"__asan_poison_memory_region", &asan_poison},
                {"__asan_unpoison_memory_region", &asan_unpoison},
                {"__asan_set_error_report_callback", &asan_on_report},
                {"__asan_report_present", &asan_is_reporting},
                {"__asan_get_report_address", &asan_report_address},
                {"__sanitizer_set_death_callback", &on_death},
                {"__lsan_register_root_region", &lsan_add_root},
                {"__lsan_unregister_root_region", &lsan_remove_root},
                {"__msan_unpoison", &msan_unpoison},
                {"__msan_unpoison_param", &msan_unpoison_arguments},
                {"__tsan_acquire", &tsan_acquire},
                {"__tsan_release", &tsan_release},
                {"AnnotateIgnoreReadsBegin", &tsan_ignore_reads},
                {"AnnotateIgnoreReadsEnd", &tsan_watch_reads},
                {"AnnotateIgnoreWritesBegin", &tsan_ignore_writes},
                {"AnnotateIgnoreWritesEnd", &tsan_watch_writes}};

#ifdef OPOOL__VALGRIND
static void find_memcheck(void)
{
    unsigned char byte = 0, bits;
    memcheck = VALGRIND_GET_VBITS(&byte, &bits, 1) == 1;
    if (memcheck)
        VALGRIND_CREATE_MEMPOOL(&memcheck, 0, 0);
}
#else
static void find_memcheck(void)
{
}
#endif

static bool is_wanted(void)
{
    const char *text = getenv("OPOOL_TOOLS");
    if (!text || !*text || strcmp(text, "on") == 0)
        return true;
    if (strcmp(text, "off") != 0)
        opool__say("OPOOL_TOOLS=%.40s is none of on, off: ignored, on it is", text);
    return strcmp(text, "off") != 0;
}

/* ---- AddressSanitizer's reports ---- */

static void (*shared_tell)(const void *address);

static void tell(void)
{
    void (*now)(const void *) = opool__load_acquire(&shared_tell);
    if (now)
        now(asan_report_address());
}

/* There is one place for each of these two calls, and no way to ask who is in it. The program's own callback comes
   later and takes it; when it took the first, the second, at the end of a process, still tells the story. */
static uint32_t shared_told;

static void at_report(const char *text)
{
    (void)text;
    opool__store_relaxed(&shared_told, 1u);
    tell();
}

static void at_death(void)
{
    if (!opool__load_relaxed(&shared_told) && asan_is_reporting())
        tell();
}

void opool__tools_on_report(void (*call)(const void *address))
{
    opool__store_release(&shared_tell, call);
}

/* Before all constructors of the program, so before its first pool, and before it sets callbacks of its own. */
static __attribute__((constructor(101))) void find(void)
{
    if (!is_wanted())
        return;
    for (size_t i = 0; i < sizeof run_time / sizeof *run_time; i++) {
        void *symbol = opool__os.symbol(run_time[i].name);
        memcpy(run_time[i].to, &symbol, sizeof symbol);
    }
    find_memcheck();
    if (asan_poison && asan_on_report && asan_report_address)
        asan_on_report(at_report);
    if (asan_poison && on_death && asan_is_reporting && asan_report_address)
        on_death(at_death);
}

bool opool__tools_here(void)
{
    return asan_poison || tsan_acquire || memcheck;
}

bool opool__tools_guard(void)
{
    return asan_poison || memcheck;
}

/* ---- the mirror ---- */

static bool is_mirrored(void)
{
    return memcheck || (asan_poison && lsan_add_root);
}

/* False: there is no mirror. */
static bool keep(const void *at, size_t size)
{
    void *mirror = is_mirrored() ? opool__mirror_of(at, size) : NULL;
    if (mirror)
        memcpy(mirror, at, size);
    return mirror != NULL;
}

/* What the bytes point to is the user's to keep from now on. */
static void forget(const void *at, size_t size)
{
    void *mirror = is_mirrored() ? opool__mirror_of(at, size) : NULL;
    if (mirror)
        memset(mirror, 0, size);
}

/* ---- memcheck ---- */

#ifdef OPOOL__VALGRIND

/* May the program touch it? If so its marks are where they belong. */
static bool is_touchable(void *at)
{
    unsigned char bits;
    return VALGRIND_GET_VBITS(at, &bits, 1) == 1;
}

/* The marks alone: a byte that was written behind our back stays to be seen. */
static void copy_marks(void *to, const void *from, size_t size)
{
    unsigned char marks[256];
    for (size_t at = 0, run; at < size; at += run) {
        run = size - at < sizeof marks ? size - at : sizeof marks;
        (void)VALGRIND_GET_VBITS((const char *)from + at, marks, run);
        (void)VALGRIND_SET_VBITS((char *)to + at, marks, run);
    }
}

/* As in the mirror; without one nothing is reported falsely. */
static void mark(void *at, size_t size)
{
    const void *mirror = opool__mirror_of(at, size);
    if (mirror)
        copy_marks(at, mirror, size);
    else
        (void)VALGRIND_MAKE_MEM_DEFINED(at, size);
}

/*
 * Of a block that was freed more than once memcheck tells the oldest use that it remembers. A block with a name comes
 * first, so the latest put of an object is one, for as many objects as this table has places: memcheck looks for a name
 * from the first one on. Threads that meet here lose a name.
 */
static struct {
    void *at;
    unsigned handle;
} named[1024];

static size_t place_of(const void *at)
{
    return (size_t)(((uintptr_t)at >> 3) * UINT32_C(2654435769) >> 10) % (sizeof named / sizeof *named);
}

static void take_name(void *at)
{
    size_t place = place_of(at);
    if (named[place].at == at)
        (void)VALGRIND_DISCARD(named[place].handle);
    if (named[place].at == at)
        named[place].at = NULL;
}

static void give_name(void *at, size_t size, const char *name)
{
    size_t place = place_of(at);
    if (named[place].at)
        take_name(named[place].at);
    named[place].handle = (unsigned)VALGRIND_CREATE_BLOCK(at, size, name);
    named[place].at = at;
}

static void memcheck_taken(void *at, size_t size)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(at, size);
}

static void memcheck_got(void *at, size_t size)
{
    if (is_touchable(at)) /* it was just built */
        keep(at, size);
    VALGRIND_MEMPOOL_ALLOC(&memcheck, at, size);
    mark(at, size);
    forget(at, size);
}

static void memcheck_put(void *at, size_t size)
{
    keep(at, size);
    VALGRIND_MEMPOOL_FREE(&memcheck, at);
    give_name(at, size, "put object");
}

static void memcheck_gap(void *at, size_t size)
{
    (void)VALGRIND_MAKE_MEM_NOACCESS(at, size);
    give_name(at, size, "gap behind an object");
}

static void memcheck_open(void *at, size_t size)
{
    if (is_touchable(at))
        return;
    (void)VALGRIND_MAKE_MEM_UNDEFINED(at, size);
    mark(at, size);
}

static void memcheck_freed(void *at, size_t size)
{
    take_name(at);
    forget(at, size);
    (void)VALGRIND_MAKE_MEM_NOACCESS(at, size);
}

static void memcheck_quiet(bool quiet)
{
    if (quiet)
        VALGRIND_DISABLE_ERROR_REPORTING;
    else
        VALGRIND_ENABLE_ERROR_REPORTING;
}

#else

static void memcheck_taken(void *at, size_t size)
{
    (void)at;
    (void)size;
}

static void memcheck_quiet(bool quiet)
{
    (void)quiet;
}

#define memcheck_got memcheck_taken
#define memcheck_put memcheck_taken
#define memcheck_gap memcheck_taken
#define memcheck_open memcheck_taken
#define memcheck_freed memcheck_taken

#endif

/* ---- AddressSanitizer ---- */

/* Where LeakSanitizer has nothing else to look at, idle objects stay as they are. */
static void asan_put(void *at, size_t size)
{
    asan_unpoison(at, size); /* the program may have poisoned a part, which is the next user's too */
    if (keep(at, size) || !lsan_add_root)
        asan_poison(at, size);
}

/* ---- memory ---- */

static void add_memory(void *at, size_t bytes)
{
    void *mirror = NULL;
    if ((!is_mirrored() && !lsan_add_root) || !opool__mirror_add(at, bytes, is_mirrored() ? &mirror : NULL))
        return;
    if (lsan_add_root)
        lsan_add_root(at, bytes);
    if (lsan_add_root && mirror)
        lsan_add_root(mirror, bytes);
}

static void remove_roots(void *at, size_t bytes, void *mirror)
{
    lsan_remove_root(at, bytes);
    if (mirror)
        lsan_remove_root(mirror, bytes);
}

static void remove_memory(void *at, size_t bytes)
{
    if (asan_poison)
        asan_unpoison(at, bytes);
    if (memcheck)
        memcheck_taken(at, bytes);
    if (memcheck || lsan_add_root)
        opool__mirror_remove(at, bytes, lsan_add_root ? remove_roots : NULL);
}

void opool__tools_memory(void *at, size_t bytes, bool here)
{
    if (here)
        add_memory(at, bytes);
    else
        remove_memory(at, bytes);
}

void opool__tools_keeps(void *at, size_t bytes, bool here)
{
    if (lsan_add_root && here)
        lsan_add_root(at, bytes);
    else if (lsan_add_root)
        lsan_remove_root(at, bytes);
}

/* ---- slots ---- */

void opool__tools_taken(void *slot, size_t size)
{
    if (asan_poison)
        asan_unpoison(slot, size);
    if (msan_unpoison)
        msan_unpoison(slot, size);
    if (tsan_acquire)
        tsan_acquire(slot);
    if (memcheck)
        memcheck_taken(slot, size);
}

void opool__tools_got(void *object, size_t size)
{
    if (asan_poison) {
        forget(object, size);
        asan_unpoison(object, size);
    }
    if (tsan_acquire)
        tsan_acquire(object);
    if (memcheck)
        memcheck_got(object, size);
}

void opool__tools_gap(void *at, size_t size)
{
    if (asan_poison)
        asan_poison(at, size);
    if (memcheck && size)
        memcheck_gap(at, size);
}

void opool__tools_put(void *object, size_t size)
{
    if (asan_poison)
        asan_put(object, size);
    if (tsan_release)
        tsan_release(object);
    if (memcheck)
        memcheck_put(object, size);
}

void opool__tools_open(void *at, size_t size)
{
    if (asan_poison)
        asan_unpoison(at, size);
    if (tsan_acquire)
        tsan_acquire(at);
    if (memcheck)
        memcheck_open(at, size);
}

void opool__tools_freed(void *at, size_t size)
{
    if (asan_poison) {
        forget(at, size);
        asan_poison(at, size);
    }
    if (tsan_release)
        tsan_release(at);
    if (memcheck)
        memcheck_freed(at, size);
}

/* ---- the library itself ---- */

void opool__tools_released(const void *at)
{
    if (tsan_release)
        tsan_release((void *)(uintptr_t)at);
}

void opool__tools_acquired(const void *at)
{
    if (tsan_acquire)
        tsan_acquire((void *)(uintptr_t)at);
}

void opool__tools_wrote(const void *at, size_t bytes)
{
    if (msan_unpoison)
        msan_unpoison(at, bytes);
    if (memcheck)
        memcheck_taken((void *)(uintptr_t)at, bytes);
}

void opool__tools_calling(void)
{
    if (msan_unpoison_arguments)
        msan_unpoison_arguments(4);
}

void opool__tools_quiet(bool quiet)
{
    if (memcheck)
        memcheck_quiet(quiet);
    if (tsan_ignore_reads && tsan_ignore_writes && tsan_watch_reads && tsan_watch_writes) {
        (quiet ? tsan_ignore_reads : tsan_watch_reads)(__FILE__, __LINE__);
        (quiet ? tsan_ignore_writes : tsan_watch_writes)(__FILE__, __LINE__);
    }
}
