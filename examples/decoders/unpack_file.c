/* SPDX-License-Identifier: MIT */
/* One file: what it is, where it goes, and that nothing half done gets its name. */
#define _GNU_SOURCE /* renameat2 */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <opool.h>

OPOOL_DEFINE(buffers_pool, struct buffers);

int memory_open(struct memory *memory, unsigned threads)
{
    if (!memory->pooled)
        return 0;
    int error = buffers_pool_create(&memory->buffers, &(struct opool_options){.capacity = threads});
    if (!error)
        error = memory_open_zstd(memory, threads);
    return error ? error : memory_open_gzip(memory, threads);
}

void memory_close(struct memory *memory)
{
    memory_close_gzip(memory);
    memory_close_zstd(memory);
    buffers_pool_destroy(&memory->buffers);
}

void pool_print(struct opool *pool, FILE *out)
{
    struct opool_stats stats = {0};
    if (opool_stats_read(pool, &stats) == 0)
        fprintf(out, "%s gets %llu built %llu discarded %llu bloated %llu\n", opool_name(pool),
                (unsigned long long)stats.gets, (unsigned long long)stats.built, (unsigned long long)stats.discarded,
                (unsigned long long)stats.bloated);
}

/* ---- bytes in, bytes out */

bool flow_fail(struct flow *flow, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(flow->error, sizeof flow->error, format, arguments);
    va_end(arguments);
    return false;
}

static bool stopped(struct flow *flow)
{
    return atomic_load(&totals.stop) && !flow_fail(flow, "interrupted");
}

bool flow_fill(struct flow *flow)
{
    unsigned char *in = flow->buffers->in;
    memmove(in, in + flow->at, flow_left(flow));
    flow->end -= flow->at;
    flow->at = 0;
    while (!flow->at_end && flow->end < sizeof flow->buffers->in) {
        if (stopped(flow))
            return false;
        ssize_t got = read(flow->from, in + flow->end, sizeof flow->buffers->in - flow->end);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return flow_fail(flow, "reading: %s", strerror(errno));
        flow->at_end = got == 0;
        flow->end += (size_t)got;
        flow->read += (uint64_t)got;
        atomic_fetch_add(&totals.read, (unsigned long long)got);
    }
    return true;
}

bool flow_write(struct flow *flow, const unsigned char *bytes, size_t size)
{
    if (stopped(flow))
        return false;
    for (size_t done = 0; done < size;) {
        ssize_t put = write(flow->to, bytes + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return flow_fail(flow, "writing: %s", strerror(errno));
        done += (size_t)put;
    }
    flow->written += size;
    atomic_fetch_add(&totals.written, size);
    return true;
}

/* ---- names */

static const struct format {
    const char *suffix, *instead;
    bool (*unpack)(const struct memory *memory, struct flow *flow);
} formats[] = {
    {".zst", "", unpack_zstd},
    {".tzst", ".tar", unpack_zstd},
    {".gz", "", unpack_gzip},
    {".tgz", ".tar", unpack_gzip},
};

static const struct format *format_of(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        size_t suffix = strlen(formats[i].suffix);
        if (length > suffix && strcmp(name + length - suffix, formats[i].suffix) == 0)
            return &formats[i];
    }
    return NULL;
}

/* The path of the output, and a template for a temporary name in the same folder. */
struct names {
    char output[PATH_MAX], temporary[PATH_MAX];
};

static bool name_output(struct names *names, const struct work *work, const struct format *format)
{
    const char *slash = strrchr(work->path, '/'), *name = slash ? slash + 1 : work->path;
    int folder = slash ? (int)(slash - work->path) + 1 : 0; /* with its slash */
    int kept = (int)(strlen(name) - strlen(format->suffix));
    char where[PATH_MAX];
    int length = work->folder ? snprintf(where, sizeof where, "%s/", work->folder)
                              : snprintf(where, sizeof where, "%.*s", folder, work->path);
    if (length < 0 || length >= (int)sizeof where)
        return false;
    length = snprintf(names->output, sizeof names->output, "%s%.*s%s", where, kept, name, format->instead);
    if (length < 0 || length >= (int)sizeof names->output)
        return false;
    length = snprintf(names->temporary, sizeof names->temporary, "%s.unpack-XXXXXX", where);
    return length > 0 && length < (int)sizeof names->temporary;
}

/* ---- files */

/* Not to be held up by a named pipe: looked at before anything is read. */
static bool open_input(struct flow *flow, const char *path, struct stat *about)
{
    flow->from = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (flow->from < 0 || fstat(flow->from, about) != 0)
        return flow_fail(flow, "%s", strerror(errno));
    if (S_ISDIR(about->st_mode))
        return flow_fail(flow, "is a directory");
    return S_ISREG(about->st_mode) || flow_fail(flow, "not a regular file");
}

static bool open_output(struct flow *flow, struct names *names, bool force)
{
    if (!force && access(names->output, F_OK) == 0)
        return flow_fail(flow, "output exists: %s", names->output);
    flow->to = mkostemp(names->temporary, O_CLOEXEC);
    return flow->to >= 0 || flow_fail(flow, "creating %s: %s", names->temporary, strerror(errno));
}

/* Not all file systems know modes, times, or how to rename without replacing: the first two are then left, the last is
   done by looking before. */
static bool finish_output(struct flow *flow, const struct names *names, const struct stat *about, bool force)
{
    struct timespec times[2] = {about->st_atim, about->st_mtim};
    if (fchmod(flow->to, about->st_mode & 0777) != 0 || futimens(flow->to, times) != 0)
        errno = 0;
    int to = flow->to;
    flow->to = -1;
    if (close(to) != 0)
        return flow_fail(flow, "writing: %s", strerror(errno));
    int result = renameat2(AT_FDCWD, names->temporary, AT_FDCWD, names->output, force ? 0 : RENAME_NOREPLACE);
    if (result != 0 && (errno == EINVAL || errno == ENOSYS) && access(names->output, F_OK) != 0)
        result = rename(names->temporary, names->output);
    if (result != 0 && errno == EEXIST)
        return flow_fail(flow, "output exists: %s", names->output);
    return result == 0 || flow_fail(flow, "renaming to %s: %s", names->output, strerror(errno));
}

static bool decode_into(const struct memory *memory, const struct format *format, struct flow *flow)
{
    flow->buffers = memory->pooled ? buffers_pool_get(memory->buffers) : malloc(sizeof *flow->buffers);
    if (!flow->buffers)
        return flow_fail(flow, "no buffers: %s", strerror(errno));
    bool ok = format->unpack(memory, flow);
    if (memory->pooled)
        buffers_pool_put(memory->buffers, flow->buffers);
    else
        free(flow->buffers);
    return ok;
}

static bool unpack_as(const struct memory *memory, const struct work *work, const struct format *format,
                      struct flow *flow)
{
    struct names names;
    struct stat about;
    if (!open_input(flow, work->path, &about))
        return false;
    if (!name_output(&names, work, format))
        return flow_fail(flow, "the name is too long");
    if (!open_output(flow, &names, work->force))
        return false;
    bool ok = decode_into(memory, format, flow) && finish_output(flow, &names, &about, work->force);
    if (!ok)
        unlink(names.temporary);
    return ok;
}

/* What a file name may do to a terminal. */
static void clean(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = '?';
    }
}

enum outcome unpack_file(const struct memory *memory, const struct work *work, char *say, size_t size)
{
    struct flow flow = {.from = -1, .to = -1};
    const struct format *format = format_of(work->path);
    bool ok = format ? unpack_as(memory, work, format, &flow)
                     : flow_fail(&flow, "unknown suffix: .zst, .tzst, .gz and .tgz are unpacked");
    if (flow.from >= 0)
        close(flow.from);
    if (flow.to >= 0)
        close(flow.to);
    snprintf(say, size, "%s: %s", work->path, ok ? flow.warning : flow.error);
    clean(say);
    if (ok && !flow.warning[0])
        snprintf(say, size, "%s", "");
    return !ok ? FAILED : flow.warning[0] ? WARNED : UNPACKED;
}
