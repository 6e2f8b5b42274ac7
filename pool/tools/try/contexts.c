/* SPDX-License-Identifier: MIT */

/*
 * Stands before libzstd's functions that create and free contexts: what is freed is reset, session and parameters, and
 * kept in an owning pool. An object of it has a context of libzstd's own making, since one in memory of ours could not
 * grow; which object that is, a table tells by the context's address. A context that is not in it (made by another
 * function of libzstd, or before) goes to libzstd.
 *
 * Not kept: what holds more than HELD_MOST, and what reset leaves marks in (see `reset`).
 *
 * A stream is a context by another name (zstd.h, since 1.3.0). The header is not included: its constants are the
 * library's interface, and the functions are looked up.
 */
#include "contexts.h"

#include <dlfcn.h>
#include <errno.h>
#include <opool/pool.h>
#include <string.h>

#include "count.h"
#include "os/report.h"
#include "serve.h"

#define EXPORTED __attribute__((visibility("default")))

enum {
    SESSION_AND_PARAMETERS = 3, /* ZSTD_reset_session_and_parameters */
    ERRORS = 120,               /* results above -ERRORS are errors: ZSTD_error_maxCode */
    HELD_MOST = 16 << 20,       /* bytes */
    CONTEXTS_MOST = 512,        /* of one kind, in use and idle */
    ENTRIES = 2048,
    PROBES = 64
};

/* Functions and pool of one kind of contexts. */
struct kind {
    const char *name, *create_name, *free_name, *reset_name, *sizeof_name, *parameter_name;
    int forbidden; /* a parameter that must not have been set */
    uint32_t number;
    struct opool *pool;
    uint32_t shared_known; /* the functions are looked up */
    void *(*create)(void);
    size_t (*free)(void *);
    size_t (*reset)(void *, int);
    size_t (*size_of)(const void *);
    size_t (*parameter)(void *, int, int *); /* may be NULL */
};

/* Several dictionaries: libzstd remembers them over a reset. Workers: their threads stay. */
static struct kind decoders = {.name = "zstd decoders",
                               .create_name = "ZSTD_createDCtx",
                               .free_name = "ZSTD_freeDCtx",
                               .reset_name = "ZSTD_DCtx_reset",
                               .sizeof_name = "ZSTD_sizeof_DCtx",
                               .parameter_name = "ZSTD_DCtx_getParameter",
                               .forbidden = 1003, /* ZSTD_d_refMultipleDDicts */
                               .number = OPOOL__TRY_DECODERS};
static struct kind encoders = {.name = "zstd encoders",
                               .create_name = "ZSTD_createCCtx",
                               .free_name = "ZSTD_freeCCtx",
                               .reset_name = "ZSTD_CCtx_reset",
                               .sizeof_name = "ZSTD_sizeof_CCtx",
                               .parameter_name = "ZSTD_CCtx_getParameter",
                               .forbidden = 400, /* ZSTD_c_nbWorkers */
                               .number = OPOOL__TRY_ENCODERS};

struct object {
    void *context;
};

/* ---- which object a context is of ---- */

/* A context enters when it is built, and leaves before it is freed: each stands here once at most. A lookup follows, in
   the program's own order, the create that handed it out. */
static struct {
    uintptr_t shared_context; /* 0: free */
    struct object *object;
} entries[ENTRIES];

static uint32_t first_probe(const void *context)
{
    return (uint32_t)(((uint64_t)(uintptr_t)context >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % ENTRIES;
}

static bool enter_table(void *context, struct object *object)
{
    for (uint32_t i = 0, at = first_probe(context); i < PROBES; i++, at = (at + 1) % ENTRIES) {
        uintptr_t none = 0;
        if (!opool__load_relaxed(&entries[at].shared_context) &&
            opool__cas_acquire(&entries[at].shared_context, &none, (uintptr_t)context)) {
            opool__store_release(&entries[at].object, object);
            return true;
        }
    }
    return false;
}

/* Its place; ENTRIES: it has none. Holes that others left say nothing. */
static uint32_t place_of(const void *context)
{
    for (uint32_t i = 0, at = first_probe(context); i < PROBES; i++, at = (at + 1) % ENTRIES)
        if (opool__load_relaxed(&entries[at].shared_context) == (uintptr_t)context)
            return at;
    return ENTRIES;
}

static void leave_table(const void *context)
{
    uint32_t at = place_of(context);
    if (at < ENTRIES)
        opool__store_release(&entries[at].shared_context, (uintptr_t)0);
}

/* ---- libzstd ---- */

static bool look_up(void *handle, const char *name, void *pointer)
{
    void *at = opool__dlsym(handle, name);
    memcpy(pointer, &at, sizeof at);
    return at != NULL;
}

static bool look_up_all(struct kind *kind, void *handle)
{
    if (!look_up(handle, kind->free_name, &kind->free) || !look_up(handle, kind->reset_name, &kind->reset) ||
        !look_up(handle, kind->sizeof_name, &kind->size_of))
        return false;
    (void)look_up(handle, kind->parameter_name, &kind->parameter);
    return look_up(handle, kind->create_name, &kind->create);
}

static bool know(struct kind *kind, void *handle)
{
    if (!look_up_all(kind, handle))
        return false;
    opool__count_area()->no_zstd = 0;
    opool__store_release(&kind->shared_known, 1u);
    return true;
}

/* Behind us in the order of libraries; or loaded by, or for, what the program loaded later: then it stays, because idle
   contexts would be freed by code that is not there any more. Two threads find the same. */
static bool find(struct kind *kind)
{
    if (OPOOL__LIKELY(opool__load_acquire(&kind->shared_known)))
        return true;
    void *handle = know(kind, RTLD_NEXT) ? RTLD_NEXT : dlopen("libzstd.so.1", RTLD_LAZY | RTLD_NOLOAD);
    return handle && (handle == RTLD_NEXT || know(kind, handle));
}

/* ---- objects ---- */

static int init(void *void_object, void *void_kind)
{
    struct object *object = void_object;
    const struct kind *kind = void_kind;
    object->context = kind->create();
    if (!object->context)
        return ENOMEM;
    if (!enter_table(object->context, object)) {
        (void)kind->free(object->context);
        return EAGAIN;
    }
    opool__count_built(kind->number);
    return 0;
}

static bool was_set(const struct kind *kind, void *context)
{
    int value = 0;
    return kind->parameter && kind->parameter(context, kind->forbidden, &value) == 0 && value != 0;
}

static bool reset(void *void_object, void *void_kind)
{
    const struct object *object = void_object;
    const struct kind *kind = void_kind;
    return !was_set(kind, object->context) && kind->reset(object->context, SESSION_AND_PARAMETERS) <= (size_t)-ERRORS;
}

static void fini(void *void_object, void *void_kind)
{
    const struct object *object = void_object;
    const struct kind *kind = void_kind;
    leave_table(object->context);
    (void)kind->free(object->context);
    opool__count_torn(kind->number);
}

static struct opool_footprint footprint(const void *void_object, void *void_kind)
{
    const struct object *object = void_object;
    const struct kind *kind = void_kind;
    size_t held = kind->size_of(object->context);
    return (struct opool_footprint){.used = held, .held = held};
}

/* ---- in and out ---- */

static void *take(const struct kind *kind)
{
    int saved = errno;
    const struct object *object = opool_get(kind->pool);
    struct opool__try_row *row = opool__count_row();
    opool__count_one(row, object ? &row->of[kind->number].gets : &row->of[kind->number].fell);
    errno = saved;
    return object ? object->context : NULL;
}

static void *create(struct kind *kind)
{
    void *context = NULL;
    if (!find(kind))
        return NULL;
    if (kind->pool && opool__serve_enter()) {
        context = take(kind);
        opool__serve_leave();
    }
    return context ? context : kind->create();
}

/* Inside, only a signal handler gets here: then the context is lost, which is better than a pool that is. */
static void give(const struct kind *kind, struct object *object)
{
    int saved = errno;
    if (!opool__serve_enter())
        return;
    opool_put(kind->pool, object);
    struct opool__try_row *row = opool__count_row();
    opool__count_one(row, &row->of[kind->number].puts);
    opool__serve_leave();
    errno = saved;
}

static size_t release(struct kind *kind, void *context)
{
    uint32_t at = context ? place_of(context) : ENTRIES;
    if (at < ENTRIES)
        give(kind, opool__load_acquire(&entries[at].object));
    else if (find(kind))
        return kind->free(context);
    return 0;
}

/* ---- what programs call ---- */

EXPORTED void *ZSTD_createDCtx(void);
EXPORTED void *ZSTD_createDStream(void);
EXPORTED void *ZSTD_createCCtx(void);
EXPORTED void *ZSTD_createCStream(void);
EXPORTED size_t ZSTD_freeDCtx(void *context);
EXPORTED size_t ZSTD_freeDStream(void *context);
EXPORTED size_t ZSTD_freeCCtx(void *context);
EXPORTED size_t ZSTD_freeCStream(void *context);

void *ZSTD_createDCtx(void)
{
    return create(&decoders);
}

void *ZSTD_createDStream(void)
{
    return create(&decoders);
}

void *ZSTD_createCCtx(void)
{
    return create(&encoders);
}

void *ZSTD_createCStream(void)
{
    return create(&encoders);
}

size_t ZSTD_freeDCtx(void *context)
{
    return release(&decoders, context);
}

size_t ZSTD_freeDStream(void *context)
{
    return release(&decoders, context);
}

size_t ZSTD_freeCCtx(void *context)
{
    return release(&encoders, context);
}

size_t ZSTD_freeCStream(void *context)
{
    return release(&encoders, context);
}

/* ---- what programs look up ---- */

typedef size_t release_function(void *);
typedef void *create_function(void);

static const struct {
    const char *name;
    struct kind *kind;
    create_function *create; /* NULL: it is one that frees */
    release_function *release;
} looked_up[] = {
    {"ZSTD_createDCtx", &decoders, ZSTD_createDCtx, NULL}, {"ZSTD_createDStream", &decoders, ZSTD_createDStream, NULL},
    {"ZSTD_createCCtx", &encoders, ZSTD_createCCtx, NULL}, {"ZSTD_createCStream", &encoders, ZSTD_createCStream, NULL},
    {"ZSTD_freeDCtx", &decoders, NULL, ZSTD_freeDCtx},     {"ZSTD_freeDStream", &decoders, NULL, ZSTD_freeDStream},
    {"ZSTD_freeCCtx", &encoders, NULL, ZSTD_freeCCtx},     {"ZSTD_freeCStream", &encoders, NULL, ZSTD_freeCStream}};

/* The file that this address is of; NULL: none. */
static const void *file_of(void *address)
{
    Dl_info info;
    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

/* Another copy of libzstd keeps what is its own. */
static bool is_of(const struct kind *kind, void *found)
{
    void *free_function;
    memcpy(&free_function, &kind->free, sizeof free_function);
    return file_of(found) == file_of(free_function);
}

/* The first one that a program looks up is the one that is known from then on. It stays loaded. */
static bool adopt(struct kind *kind, void *found)
{
    Dl_info info;
    if (opool__load_acquire(&kind->shared_known))
        return is_of(kind, found);
    void *handle = dladdr(found, &info) && info.dli_fname ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    return handle && know(kind, handle) && is_of(kind, found);
}

void *opool__contexts_instead(const char *name, void *found)
{
    for (size_t i = 0; found && i < sizeof looked_up / sizeof *looked_up; i++) {
        void *ours;
        if (strcmp(name, looked_up[i].name) != 0)
            continue;
        if (!looked_up[i].kind->pool || !adopt(looked_up[i].kind, found))
            return found;
        if (looked_up[i].create)
            memcpy(&ours, &looked_up[i].create, sizeof ours);
        else
            memcpy(&ours, &looked_up[i].release, sizeof ours);
        return ours;
    }
    return found;
}

/* ---- start ---- */

static void open_pool(struct kind *kind, unsigned epoch_ms)
{
    struct opool_type type = {.name = kind->name,
                              .shape = OPOOL_SHAPE_TRUSTED("libzstd allocates, footprint says how much"),
                              .size = sizeof(struct object),
                              .align = _Alignof(struct object),
                              .init = init,
                              .reset = reset,
                              .fini = fini,
                              .footprint = footprint};
    struct opool_options options = {.arg = kind,
                                    .capacity = CONTEXTS_MOST,
                                    .footprint_max = HELD_MOST,
                                    .checks = OPOOL_CHECKS_BASIC,
                                    .epoch_ms = epoch_ms};
    int r = opool_create(&kind->pool, &type, &options);
    if (r != 0)
        opool__count_area()->held[kind->number].refused = (uint64_t)-r;
}

void opool__contexts_start(unsigned epoch_ms)
{
    opool__count_area()->no_zstd = 1;
    open_pool(&decoders, epoch_ms);
    open_pool(&encoders, epoch_ms);
    (void)find(&decoders);
    (void)find(&encoders);
}
