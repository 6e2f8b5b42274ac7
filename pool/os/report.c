/* SPDX-License-Identifier: MIT */
#include "os/report.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* To the user's callback; false: there is none, or this is what it made us say. */
static bool hand_over(const char *text)
{
    opool__lock_take(&user.lock);
    void (*log)(const char *, void *) = user.log;
    void *arg = user.arg;
    opool__lock_drop(&user.lock);
    if (!log || logging)
        return false;
    logging = true;
    log(text, arg);
    logging = false;
    return true;
}

/* There is room behind the text for an end of either kind. write is a cancellation point, the callback may be one, and
   no call of this library is. */
static void deliver(char *text, size_t length)
{
    int saved = errno, state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    text[length] = 0;
    if (!hand_over(text)) {
        text[length] = '\n';
        write_all(text, length + 1);
    }
    pthread_setcancelstate(state, NULL);
    errno = saved;
}

static void deliver_line(struct line *line)
{
    size_t most = sizeof line->text - 2;
    deliver(line->text, line->length < most ? line->length : most);
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
    deliver_line(&line);
}

void opool__say(const char *format, ...)
{
    struct line line;
    va_list arguments;
    start(&line, NULL);
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    deliver_line(&line);
}

void opool__say_text(struct opool__text *text)
{
    if (text->length > 0)
        deliver(text->at, text->length - 1);
}

void opool__print(const char *text)
{
    int saved = errno, state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    write_all(text, strlen(text));
    pthread_setcancelstate(state, NULL);
    errno = saved;
}

/* ---- faults ---- */

enum { BYTES_SHOWN = 16 };

static const char *const fault_words[] = {
#define OPOOL_FAULT(name, words) [OPOOL__FAULT_##name] = words,
#include "os/faults.def"
#undef OPOOL_FAULT
};

/* The fault's text, and who writes it: threads may fail at the same time, and a line in pieces helps nobody. */
static char fault_text[16384];
static uint32_t fault_lock;

static bool is_word(const char *word, size_t length, const char *expected)
{
    return strlen(expected) == length && memcmp(word, expected, length) == 0;
}

static void add_detail(struct opool__text *text, const char *word, size_t length, const struct opool__detail *detail)
{
    if (is_word(word, length, "offset"))
        opool__text_number(text, detail->offset);
    else if (is_word(word, length, "count"))
        opool__text_number(text, detail->count);
    else if (is_word(word, length, "size"))
        opool__text_number(text, detail->size);
    else if (is_word(word, length, "thread"))
        opool__text_number(text, detail->thread);
    else if (is_word(word, length, "name"))
        opool__text_string(text, detail->name);
    else if (is_word(word, length, "type"))
        opool__text_string(text, detail->type);
    else if (is_word(word, length, "bytes"))
        opool__text_bytes(text, detail->bytes, detail->count < BYTES_SHOWN ? detail->count : BYTES_SHOWN);
}

static void add_words(struct opool__text *text, const char *words, const struct opool__detail *detail)
{
    static const struct opool__detail none = {0};
    for (const char *at = words; *at;) {
        const char *close = *at == '{' ? strchr(at, '}') : NULL;
        if (!close) {
            opool__text_add(text, at++, 1);
            continue;
        }
        add_detail(text, at + 1, (size_t)(close - at - 1), detail ? detail : &none);
        at = close + 1;
    }
}

static void write_fault(struct opool__text *text, const struct opool__label *label, enum opool__fault fault,
                        const char *call, const void *object, const struct opool__detail *detail)
{
    opool__text_string(text, "opool: pool '");
    opool__text_string(text, label->name);
    opool__text_string(text, "' (");
    opool__text_string(text, label->type);
    opool__text_string(text, "): ");
    opool__text_string(text, call);
    opool__text_string(text, " of ");
    opool__text_hex(text, (uintptr_t)object);
    opool__text_string(text, " by thread ");
    opool__text_number(text, opool__os.thread_number());
    opool__text_string(text, ": ");
    add_words(text, fault_words[fault], detail);
    opool__text_string(text, "\n");
    if (label->story)
        label->story(label, object, text);
}

void opool__fault_tell(struct opool__text *text, const struct opool__label *label, enum opool__fault fault,
                       const char *call, const void *object, const struct opool__detail *detail)
{
    write_fault(text, label, fault, call, object, detail);
    write_all(text->at, text->length);
}

/* Whoever interrupted the holder of the lock goes without the callback, rather than wait for ever. */
static void tell_callback(struct opool__text *text)
{
    if (logging || !opool__lock_try(&user.lock))
        return;
    void (*log)(const char *, void *) = user.log;
    void *arg = user.arg;
    opool__lock_drop(&user.lock);
    if (!log)
        return;
    text->at[text->length - 1] = 0; /* the last newline */
    logging = true;
    log(text->at, arg);
}

void opool__fault(const struct opool__label *label, enum opool__fault fault, const char *call, const void *object,
                  const struct opool__detail *detail)
{
    char small[1024];
    struct opool__text text = {small, sizeof small, 0};
    /* write is a cancellation point, and a cancelled thread would neither say it nor abort. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (opool__lock_try(&fault_lock)) /* never dropped: the process ends */
        text = (struct opool__text){fault_text, sizeof fault_text, 0};
    write_fault(&text, label, fault, call, object, detail);
    write_all(text.at, text.length);
    tell_callback(&text);
    abort();
}
