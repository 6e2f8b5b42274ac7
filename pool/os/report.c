/* SPDX-License-Identifier: MIT */
#include "os/report.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"

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

/* write is a cancellation point, and no call of this library is one. A closed standard error is not our error. */
static void emit(struct line *line)
{
    int saved = errno, state;
    if (line->length > sizeof line->text - 2)
        line->length = sizeof line->text - 2;
    line->text[line->length++] = '\n';
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    for (size_t done = 0; done < line->length;) {
        ssize_t n = write(STDERR_FILENO, line->text + done, line->length - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    pthread_setcancelstate(state, NULL);
    errno = saved;
}

void opool__report(const struct opool__label *label, const char *format, ...)
{
    struct line line;
    va_list arguments;
    start(&line, label);
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    emit(&line);
}

void opool__say(const char *format, ...)
{
    struct line line;
    va_list arguments;
    start(&line, NULL);
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    emit(&line);
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
    emit(&line);
    abort();
}
