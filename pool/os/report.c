/* SPDX-License-Identifier: MIT */
#include "os/report.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/lock.h"
#include "os/os.h"

#ifdef OPOOL_TLS_GLOBAL_DYNAMIC
#define TLS_MODEL "global-dynamic"
#else
#define TLS_MODEL "initial-exec"
#endif

/* Where lines go, under the lock; NULL: standard error. */
static struct {
    uint32_t lock;
    void (*log)(const char *line, void *arg);
    void *arg;
} user;

/* This thread is inside the user's callback: what it makes the library say goes to standard error. */
static __thread bool logging __attribute__((tls_model(TLS_MODEL)));

struct line {
    char text[512];
    size_t length;
};

static void append(struct line *line, const char *format, va_list arguments)
{
    size_t room = sizeof line->text - line->length;
    int n = vsnprintf(line->text + line->length, room, format, arguments);
    if (n > 0)
        line->length += (size_t)n < room ? (size_t)n : room - 1;
}

static __attribute__((format(printf, 2, 3))) void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append(line, format, arguments);
    va_end(arguments);
}

static void start(struct line *line, const struct opool__label *label)
{
    line->length = 0;
    add(line, "opool: ");
    if (label)
        add(line, "pool '%s' (%s): ", label->name, label->type);
}

/* A closed standard error is not our error. */
static void write_all(const char *text, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = write(STDERR_FILENO, text + done, length - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
}

static void emit(struct line *line)
{
    if (line->length > sizeof line->text - 2)
        line->length = sizeof line->text - 2;
    line->text[line->length++] = '\n';
    write_all(line->text, line->length);
}

/* To the user's callback; false: there is none, or this is what it made us say. */
static bool hand_over(const struct line *line)
{
    opool__lock_take(&user.lock);
    void (*log)(const char *, void *) = user.log;
    void *arg = user.arg;
    opool__lock_drop(&user.lock);
    if (!log || logging)
        return false;
    logging = true;
    log(line->text, arg);
    logging = false;
    return true;
}

/* write is a cancellation point, the callback may be one, and no call of this library is. */
static void deliver(struct line *line)
{
    int saved = errno, state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (!hand_over(line))
        emit(line);
    pthread_setcancelstate(state, NULL);
    errno = saved;
}

void opool__log_set(void (*log)(const char *line, void *arg), void *arg)
{
    opool__lock_take(&user.lock);
    user.log = log;
    user.arg = arg;
    opool__lock_drop(&user.lock);
}

bool opool__logging(void)
{
    return logging;
}

void opool__log_lock(void)
{
    opool__lock_take(&user.lock);
}

void opool__log_unlock(void)
{
    opool__lock_drop(&user.lock);
}

void opool__log_reset_lock(void)
{
    opool__lock_reset(&user.lock);
}

void opool__report(const struct opool__label *label, const char *format, ...)
{
    struct line line;
    va_list arguments;
    start(&line, label);
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    deliver(&line);
}

void opool__say(const char *format, ...)
{
    struct line line;
    va_list arguments;
    start(&line, NULL);
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    deliver(&line);
}

void opool__fault(const struct opool__label *label, const char *call, const void *object, const char *format, ...)
{
    struct line line;
    va_list arguments;
    start(&line, label);
    add(&line, "%s of %p by thread %llu: ", call, object, (unsigned long long)opool__os.thread_number());
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    /* write is a cancellation point, and a cancelled thread would neither say it nor abort. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    emit(&line);
    abort();
}
