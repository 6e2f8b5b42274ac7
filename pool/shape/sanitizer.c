/* SPDX-License-Identifier: MIT */
#include "shape/sanitizer.h"

#include <opool/atomic.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "os/report.h"
#include "shape/reach.h"
#include "shape/table.h"

/* There in a program built with a sanitizer, absent in any other. */
typedef void malloc_hook(const volatile void *at, size_t size);
typedef void free_hook(const volatile void *at);
extern int __sanitizer_get_ownership(const volatile void *at) __attribute__((weak));
extern size_t __sanitizer_get_allocated_size(const volatile void *at) __attribute__((weak));
extern int __sanitizer_install_malloc_and_free_hooks(malloc_hook *malloc_hook, free_hook *free_hook)
    __attribute__((weak));

/* There under LeakSanitizer alone, which crashes when it is asked for an address that it did not give. */
extern void __lsan_init(void) __attribute__((weak));

/* There under ThreadSanitizer. What the audit does in each call would look to it like synchronisation between all
   users of all pools, and hide their races. */
extern void AnnotateIgnoreReadsBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreReadsEnd(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreWritesBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreWritesEnd(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreSyncBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreSyncEnd(const char *file, int line) __attribute__((weak));

/* Called by run times that are not instrumented: MemorySanitizer knows nothing of the arguments then. */
#if defined(__clang__)
#define CALLED_BACK __attribute__((no_sanitize("memory")))
#else
#define CALLED_BACK
#endif

static struct opool__findings *findings; /* NULL: no audit */

static void be_invisible(void)
{
    if (!AnnotateIgnoreSyncBegin)
        return;
    AnnotateIgnoreSyncBegin("opool", 0);
    AnnotateIgnoreReadsBegin("opool", 0);
    AnnotateIgnoreWritesBegin("opool", 0);
}

static void be_visible(void)
{
    if (!AnnotateIgnoreSyncBegin)
        return;
    AnnotateIgnoreWritesEnd("opool", 0);
    AnnotateIgnoreReadsEnd("opool", 0);
    AnnotateIgnoreSyncEnd("opool", 0);
}

/* ---- what the run time tells ---- */

static CALLED_BACK void after_malloc(const volatile void *at, size_t size)
{
    be_invisible();
    opool__blocks_add((const void *)(uintptr_t)at, size);
    be_visible();
}

static CALLED_BACK void before_free(const volatile void *at)
{
    be_invisible();
    (void)opool__blocks_remove((const void *)(uintptr_t)at, NULL);
    be_visible();
}

/* Grown where it stands: MemorySanitizer tells no hook of that. */
static size_t size_of(uintptr_t at)
{
    const volatile void *block = (const volatile void *)at;
    return __sanitizer_get_ownership(block) ? __sanitizer_get_allocated_size(block) : 0;
}

/* ---- what is told ---- */

static struct opool__label label_of(const struct opool__finding_row *row)
{
    const struct opool__finding_pool *pool = &findings->pool[row->pool];
    return (struct opool__label){.name = pool->name, .type = pool->type};
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void tell_growth(const struct opool__finding_row *row)
{
    struct opool__label label = label_of(row);
    opool__report(
        &label,
        "audit: offset %u: the object holds %llu bytes of heap in %llu block%s at this put, %llu at its last: "
        "VARIABLE SIZE (opool shapes -t '%s' --at %u PROGRAM names the member)",
        (unsigned)row->offset, (unsigned long long)row->to, (unsigned long long)row->to_blocks, plural(row->to_blocks),
        (unsigned long long)row->from, label.type, (unsigned)row->offset);
}

static void tell_sum(const struct opool__finding_row *row)
{
    struct opool__label label = label_of(row);
    opool__report(&label,
                  "audit: offset %u: VARIABLE SIZE, min %llu mean %llu max %llu bytes in up to %llu block%s, "
                  "grew %llu, shrank %llu, at %llu of %llu puts",
                  (unsigned)row->offset, (unsigned long long)row->least, (unsigned long long)(row->sum / row->held),
                  (unsigned long long)row->most, (unsigned long long)row->blocks, plural(row->blocks),
                  (unsigned long long)row->grew, (unsigned long long)row->shrank, (unsigned long long)row->held,
                  (unsigned long long)findings->pool[row->pool].puts);
}

static void tell_lost(const struct opool__finding_pool *pool)
{
    struct opool__label label = {.name = pool->name, .type = pool->type};
    opool__report(
        &label,
        "audit: NOT NOTED: words from offset %u to %u may own memory too, at %llu of %llu puts: there is room "
        "for %d words of each pool and %d more",
        (unsigned)pool->lost_from, (unsigned)pool->lost_to, (unsigned long long)pool->lost,
        (unsigned long long)pool->puts, (int)OPOOL__FINDING_SHARE, (int)OPOOL__FINDING_COMMON);
}

static void at_exit(void)
{
    be_invisible();
    uint32_t rows = opool__load_acquire(&findings->rows);
    for (uint32_t i = 0; i < rows; i++)
        if (findings->row[i].held && (findings->row[i].grew || findings->row[i].least != findings->row[i].most))
            tell_sum(&findings->row[i]);
    uint32_t pools = opool__load_acquire(&findings->pools);
    for (uint32_t i = 0; i < pools; i++)
        if (findings->pool[i].lost)
            tell_lost(&findings->pool[i]);
    be_visible();
}

/* Outside the audit's lock: standard error may block. */
static void tell_new_growth(void)
{
    static uint64_t told[(OPOOL__FINDING_ROWS + 63) / 64], told_rows;
    if (opool__load_acquire(&findings->growing) == opool__load_relaxed(&told_rows))
        return;
    uint32_t rows = opool__load_acquire(&findings->rows);
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t bit = UINT64_C(1) << i % 64, seen = opool__load_relaxed(&told[i / 64]);
        if (!opool__load_acquire(&findings->row[i].growing) || seen & bit ||
            !opool__cas_relaxed(&told[i / 64], &seen, seen | bit))
            continue;
        opool__add_relaxed(&told_rows, 1u);
        tell_growth(&findings->row[i]);
    }
}

/* ---- the auditor ---- */

static uint32_t audit_pool(const char *name, const char *type, size_t size, const void *near)
{
    (void)near;
    be_invisible();
    uint32_t number = opool__audit_pool(name, type, size, "");
    be_visible();
    return number;
}

static void audit_built(const void *object)
{
    be_invisible();
    opool__audit_built(object);
    be_visible();
}

static void audit_got(uint32_t pool, const void *object)
{
    be_invisible();
    opool__audit_got(pool, object);
    be_visible();
}

static void audit_put(uint32_t pool, const void *object)
{
    be_invisible();
    opool__audit_put(pool, object);
    tell_new_growth();
    be_visible();
}

static void audit_gone(const void *object)
{
    be_invisible();
    opool__audit_gone(object);
    be_visible();
}

static const struct opool__auditor auditor = {
    .pool = audit_pool, .built = audit_built, .got = audit_got, .put = audit_put, .gone = audit_gone};

/* ---- start ---- */

/* Asked at the start, and at the first create. Outside all locks. */
bool opool__audit_wanted(void)
{
    static uint32_t shared_told;
    const char *text = getenv("OPOOL_AUDIT");
    if (!text || !*text || strcmp(text, "on") == 0)
        return true;
    if (strcmp(text, "off") == 0)
        return false;
    if (!opool__exchange_release(&shared_told, 1u))
        opool__say("OPOOL_AUDIT=%.40s is none of on, off: ignored, on it is", text);
    return true;
}

/* As soon as the library is there, so that blocks which are made before the first pool are known. */
static __attribute__((constructor)) void start(void)
{
    if (!__sanitizer_install_malloc_and_free_hooks || !__sanitizer_get_ownership || !__sanitizer_get_allocated_size ||
        !opool__audit_wanted())
        return;
    struct opool__findings *memory = opool__pages_take(sizeof *memory);
    if (!memory ||
        opool__os.at_fork(opool__audit_fork_prepare, opool__audit_fork_parent, opool__audit_fork_child) != 0 ||
        atexit(at_exit) != 0 || !__sanitizer_install_malloc_and_free_hooks(after_malloc, before_free))
        return;
    findings = memory;
    opool__reach_size = __lsan_init ? NULL : size_of;
    opool__audit_write_to(memory);
}

const struct opool__auditor *opool__sanitizer_auditor(void)
{
    return findings ? &auditor : NULL;
}
