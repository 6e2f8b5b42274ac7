/* SPDX-License-Identifier: MIT */

/*
 * Stands before libzstd's functions that create and free contexts: what is freed is reset, session and parameters, and
 * kept in an owning pool. An object of it has a context of libzstd's own making, since one in memory of ours could not
 * grow; which object that is, a table tells by the context's address. A context that is not in it (made by another
 * function of libzstd, or before) goes to libzstd.
 *
 * Not kept: what holds more than HELD_MOST, and what a user left a mark in that libzstd's reset does not take out: the
 * calls that do so are stood before too.
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
#include "ticking.h"

#define EXPORTED __attribute__((visibility("default")))
#define NO_NAME ((size_t)-1) /* libzstd's error for what it has no other for */

enum {
    SESSION_AND_PARAMETERS = 3, /* ZSTD_reset_session_and_parameters */
    ERRORS = 120,               /* results above -ERRORS are errors: ZSTD_error_maxCode */
    HELD_MOST = 16 << 20,       /* bytes */
    CONTEXTS_MOST = 512,        /* of one kind, in use and idle */
    ENTRIES = 2048,
    PROBES = 64,
    FORBIDDEN_MOST = 2,
    ROOMS = 8
};

/* What a libzstd has for one kind of contexts. */
struct functions {
    void *handle;
    void *(*create)(void);
    size_t (*free)(void *);
    size_t (*reset)(void *, int);
    size_t (*size_of)(const void *);
    size_t (*get)(void *, int, int *); /* may be NULL, as the next */
    size_t (*set)(void *, int, int);
};

struct kind {
    const char *name, *create_name, *free_name, *reset_name, *sizeof_name, *get_name, *set_name;
    int forbidden[FORBIDDEN_MOST]; /* parameters that must not have been set; 0: no more */
    uint32_t number;
    struct opool *pool;
    const struct functions *shared_known; /* NULL: no libzstd was met yet */
    uint32_t shared_rooms;
    struct functions rooms[ROOMS]; /* of those who met one; the first makes it known */
};

/* Parameters that libzstd's reset does not undo all of: several dictionaries stay known, threads of workers stay, and
   input that was to stay where it is counts for what the next user compresses. */
enum {
    REF_MULTIPLE_DDICTS = 1003, /* ZSTD_d_refMultipleDDicts */
    NB_WORKERS = 400,           /* ZSTD_c_nbWorkers */
    STABLE_IN_BUFFER = 1006     /* ZSTD_c_stableInBuffer */
};

static struct kind decoders = {.name = "zstd decoders",
                               .create_name = "ZSTD_createDCtx",
                               .free_name = "ZSTD_freeDCtx",
                               .reset_name = "ZSTD_DCtx_reset",
                               .sizeof_name = "ZSTD_sizeof_DCtx",
                               .get_name = "ZSTD_DCtx_getParameter",
                               .set_name = "ZSTD_DCtx_setParameter",
                               .forbidden = {REF_MULTIPLE_DDICTS},
                               .number = OPOOL__TRY_DECODERS};
static struct kind encoders = {.name = "zstd encoders",
                               .create_name = "ZSTD_createCCtx",
                               .free_name = "ZSTD_freeCCtx",
                               .reset_name = "ZSTD_CCtx_reset",
                               .sizeof_name = "ZSTD_sizeof_CCtx",
                               .get_name = "ZSTD_CCtx_getParameter",
                               .set_name = "ZSTD_CCtx_setParameter",
                               .forbidden = {NB_WORKERS, STABLE_IN_BUFFER},
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
    uint32_t shared_marked; /* 1: not to be kept */
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
            opool__store_relaxed(&entries[at].shared_marked, 0u);
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

static void mark(const void *context)
{
    uint32_t at = place_of(context);
    if (at < ENTRIES)
        opool__store_relaxed(&entries[at].shared_marked, 1u);
}

static bool is_marked(const void *context)
{
    uint32_t at = place_of(context);
    return at < ENTRIES && opool__load_relaxed(&entries[at].shared_marked);
}

static void leave_table(const void *context)
{
    uint32_t at = place_of(context);
    if (at < ENTRIES)
        opool__store_release(&entries[at].shared_context, (uintptr_t)0);
}

/* ---- libzstd ---- */

/* What is not there is no error of the program's, which may ask dlerror next. */
static bool look_up(void *handle, const char *name, void *pointer)
{
    void *at = opool__dlsym(handle, name);
    if (!at)
        (void)dlerror();
    memcpy(pointer, &at, sizeof at);
    return at != NULL;
}

/* A file that is loaded, until dlclose; NULL: it is not. */
static void *hold(const char *file)
{
    void *handle = file ? dlopen(file, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    if (!handle)
        (void)dlerror();
    return handle;
}

static const struct functions *known(const struct kind *kind)
{
    return opool__load_acquire(&kind->shared_known);
}

static bool look_up_all(const struct kind *kind, void *handle, struct functions *out)
{
    *out = (struct functions){.handle = handle};
    if (!look_up(handle, kind->free_name, &out->free) || !look_up(handle, kind->reset_name, &out->reset) ||
        !look_up(handle, kind->sizeof_name, &out->size_of))
        return false;
    (void)look_up(handle, kind->get_name, &out->get);
    (void)look_up(handle, kind->set_name, &out->set);
    return look_up(handle, kind->create_name, &out->create);
}

/* Without a lock, since whoever is here may hold the loader's, or wait for it. Of several threads that meet several
   copies of libzstd one makes its own known. */
static bool know(struct kind *kind, void *handle)
{
    struct functions found;
    const struct functions *none = NULL;
    if (!look_up_all(kind, handle, &found))
        return false;
    uint32_t room = opool__add_relaxed(&kind->shared_rooms, 1u);
    if (room < ROOMS) {
        kind->rooms[room] = found;
        (void)opool__cas_release(&kind->shared_known, &none, &kind->rooms[room]);
    }
    opool__count_area()->no_zstd = 0;
    return known(kind) != NULL;
}

/* Behind us in the order of libraries; or loaded by, or for, what the program loaded later: then it stays, because idle
   contexts would be freed by code that is not there any more. */
static bool find(struct kind *kind)
{
    if (OPOOL__LIKELY(known(kind) != NULL))
        return true;
    void *handle = know(kind, RTLD_NEXT) ? RTLD_NEXT : hold("libzstd.so.1");
    return handle && (handle == RTLD_NEXT || know(kind, handle));
}

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
    memcpy(&free_function, &known(kind)->free, sizeof free_function);
    return file_of(found) == file_of(free_function);
}

/* The first one that a program looks up is the one that is known from then on. It stays loaded. */
static bool adopt(struct kind *kind, void *found)
{
    Dl_info info;
    if (known(kind))
        return is_of(kind, found);
    void *handle = dladdr(found, &info) ? hold(info.dli_fname) : NULL;
    return handle && know(kind, handle) && is_of(kind, found);
}

/* The one that a plugin brought for itself, whose calls come to us all the same: what its own scope has. */
static bool find_of_caller(struct kind *kind, void *caller)
{
    Dl_info info;
    void *found = NULL, *handle = dladdr(caller, &info) ? hold(info.dli_fname) : NULL;
    bool known = handle && look_up(handle, kind->create_name, &found) && adopt(kind, found);
    if (handle)
        dlclose(handle);
    return known;
}

/* ---- objects ---- */

static int init(void *void_object, void *void_kind)
{
    struct object *object = void_object;
    const struct kind *kind = void_kind;
    object->context = known(kind)->create();
    if (!object->context)
        return ENOMEM;
    if (!enter_table(object->context, object)) {
        (void)known(kind)->free(object->context);
        return EAGAIN;
    }
    opool__count_built(kind->number);
    return 0;
}

static bool is_forbidden(const struct kind *kind, int parameter)
{
    for (size_t i = 0; i < FORBIDDEN_MOST; i++)
        if (parameter == kind->forbidden[i])
            return true;
    return false;
}

static bool has_forbidden(const struct kind *kind, void *context)
{
    for (size_t i = 0; known(kind)->get && i < FORBIDDEN_MOST && kind->forbidden[i]; i++) {
        int value = 0;
        if (known(kind)->get(context, kind->forbidden[i], &value) == 0 && value != 0)
            return true;
    }
    return false;
}

static bool reset(void *void_object, void *void_kind)
{
    const struct object *object = void_object;
    const struct kind *kind = void_kind;
    return !is_marked(object->context) && !has_forbidden(kind, object->context) &&
           known(kind)->reset(object->context, SESSION_AND_PARAMETERS) <= (size_t)-ERRORS;
}

static void fini(void *void_object, void *void_kind)
{
    const struct object *object = void_object;
    const struct kind *kind = void_kind;
    leave_table(object->context);
    (void)known(kind)->free(object->context);
    opool__count_torn(kind->number);
}

static struct opool_footprint footprint(const void *void_object, void *void_kind)
{
    const struct object *object = void_object;
    const struct kind *kind = void_kind;
    size_t held = known(kind)->size_of(object->context);
    return (struct opool_footprint){.used = held, .held = held};
}

/* ---- in and out ---- */

static void *take(const struct kind *kind)
{
    int saved = errno;
    const struct object *object = opool_get(kind->pool);
    struct opool__try_row *row = opool__count_row();
    opool__count_one(row, object ? &row->of[kind->number].gets : &row->of[kind->number].fell);
    if (opool__ticking_due(opool__load_relaxed(&row->of[kind->number].gets)))
        opool__ticking_look();
    errno = saved;
    return object ? object->context : NULL;
}

static void *create(struct kind *kind, void *caller)
{
    void *context = NULL;
    if (!find(kind) && !find_of_caller(kind, caller))
        return NULL;
    if (kind->pool && opool__serve_enter()) {
        context = take(kind);
        opool__serve_leave();
    }
    return context ? context : known(kind)->create();
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

static size_t release(struct kind *kind, void *context, void *caller)
{
    uint32_t at = context ? place_of(context) : ENTRIES;
    if (at < ENTRIES)
        give(kind, opool__load_acquire(&entries[at].object));
    else if (find(kind) || find_of_caller(kind, caller))
        return known(kind)->free(context);
    return 0;
}

static size_t set(struct kind *kind, void *context, int parameter, int value, void *caller)
{
    if ((!find(kind) && !find_of_caller(kind, caller)) || !known(kind)->set)
        return NO_NAME;
    if (value != 0 && is_forbidden(kind, parameter))
        mark(context);
    return known(kind)->set(context, parameter, value);
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
EXPORTED size_t ZSTD_DCtx_setParameter(void *context, int parameter, int value);
EXPORTED size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value);
EXPORTED size_t ZSTD_CCtx_refThreadPool(void *context, void *threads);
EXPORTED size_t ZSTD_CCtx_setParametersUsingCCtxParams(void *context, const void *params);

#define CALLER __builtin_return_address(0)

void *ZSTD_createDCtx(void)
{
    return create(&decoders, CALLER);
}

void *ZSTD_createDStream(void)
{
    return create(&decoders, CALLER);
}

void *ZSTD_createCCtx(void)
{
    return create(&encoders, CALLER);
}

void *ZSTD_createCStream(void)
{
    return create(&encoders, CALLER);
}

size_t ZSTD_freeDCtx(void *context)
{
    return release(&decoders, context, CALLER);
}

size_t ZSTD_freeDStream(void *context)
{
    return release(&decoders, context, CALLER);
}

size_t ZSTD_freeCCtx(void *context)
{
    return release(&encoders, context, CALLER);
}

size_t ZSTD_freeCStream(void *context)
{
    return release(&encoders, context, CALLER);
}

size_t ZSTD_DCtx_setParameter(void *context, int parameter, int value)
{
    return set(&decoders, context, parameter, value, CALLER);
}

size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value)
{
    return set(&encoders, context, parameter, value, CALLER);
}

/* libzstd's function of two pointers, by its name. */
static size_t pass_on(struct kind *kind, const char *name, void *context, void *other, void *caller)
{
    size_t (*next)(void *, void *);
    if ((!find(kind) && !find_of_caller(kind, caller)) || !look_up(known(kind)->handle, name, &next))
        return NO_NAME;
    return next(context, other);
}

size_t ZSTD_CCtx_refThreadPool(void *context, void *threads)
{
    mark(context);
    return pass_on(&encoders, "ZSTD_CCtx_refThreadPool", context, threads, CALLER);
}

size_t ZSTD_CCtx_setParametersUsingCCtxParams(void *context, const void *params)
{
    size_t r = pass_on(&encoders, "ZSTD_CCtx_setParametersUsingCCtxParams", context, (void *)(uintptr_t)params, CALLER);
    if (known(&encoders) && has_forbidden(&encoders, context))
        mark(context);
    return r;
}

/* ---- what programs look up ---- */

typedef void any_function(void);

static const struct {
    const char *name;
    struct kind *kind;
    any_function *ours;
} looked_up[] = {
    {"ZSTD_createDCtx", &decoders, (any_function *)ZSTD_createDCtx},
    {"ZSTD_createDStream", &decoders, (any_function *)ZSTD_createDStream},
    {"ZSTD_createCCtx", &encoders, (any_function *)ZSTD_createCCtx},
    {"ZSTD_createCStream", &encoders, (any_function *)ZSTD_createCStream},
    {"ZSTD_freeDCtx", &decoders, (any_function *)ZSTD_freeDCtx},
    {"ZSTD_freeDStream", &decoders, (any_function *)ZSTD_freeDStream},
    {"ZSTD_freeCCtx", &encoders, (any_function *)ZSTD_freeCCtx},
    {"ZSTD_freeCStream", &encoders, (any_function *)ZSTD_freeCStream},
    {"ZSTD_DCtx_setParameter", &decoders, (any_function *)ZSTD_DCtx_setParameter},
    {"ZSTD_CCtx_setParameter", &encoders, (any_function *)ZSTD_CCtx_setParameter},
    {"ZSTD_CCtx_refThreadPool", &encoders, (any_function *)ZSTD_CCtx_refThreadPool},
    {"ZSTD_CCtx_setParametersUsingCCtxParams", &encoders, (any_function *)ZSTD_CCtx_setParametersUsingCCtxParams}};

void *opool__contexts_instead(const char *name, void *found)
{
    for (size_t i = 0; found && i < sizeof looked_up / sizeof *looked_up; i++) {
        void *ours;
        if (strcmp(name, looked_up[i].name) != 0)
            continue;
        if (!looked_up[i].kind->pool || !adopt(looked_up[i].kind, found))
            return found;
        memcpy(&ours, &looked_up[i].ours, sizeof ours);
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
