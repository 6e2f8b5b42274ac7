/* SPDX-License-Identifier: MIT */
#include "check/suppress.h"

#include <errno.h>
#include <fnmatch.h>
#include <opool/atomic.h>
#include <string.h>

#include "os/os.h"
#include "os/report.h"
#include "os/text.h"

enum { TEXT_MOST = 64 << 10, PATTERNS_MOST = 1024 };

enum what { ANYTHING, POOL, FUNCTION, FILE_NAME };

static const struct {
    const char *prefix;
    enum what what;
} prefixes[] = {{"pool:", POOL}, {"function:", FUNCTION}, {"file:", FILE_NAME}};

struct pattern {
    const char *text;
    enum what what;
};

/* Written once, by whoever begins, before shared_read says so. */
static struct {
    uint32_t shared_begun, shared_read;
    bool all, too_many;
    int exit_code;
    char text[TEXT_MOST + 1]; /* what the patterns point into */
    size_t length;
    struct pattern patterns[PATTERNS_MOST];
    size_t count;
} settings;

/* ---- reading ---- */

static void ignore(const char *what, const char *why)
{
    char room[512];
    struct opool__text text = {room, sizeof room, 0};
    opool__text_string(&text, "opool: OPOOL_LEAKS: '");
    opool__text_add(&text, what, strnlen(what, 200));
    opool__text_string(&text, "' ");
    opool__text_string(&text, why);
    opool__text_string(&text, ": ignored\n");
    opool__say_text(&text);
}

static void add_pattern(const char *text)
{
    struct pattern pattern = {text, ANYTHING};
    if (settings.count == PATTERNS_MOST) {
        if (!settings.too_many)
            ignore(text, "is one pattern too many, like all behind it");
        settings.too_many = true;
        return;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t length = strlen(prefixes[i].prefix);
        if (strncmp(text, prefixes[i].prefix, length) == 0)
            pattern = (struct pattern){text + length, prefixes[i].what};
    }
    settings.patterns[settings.count++] = pattern;
}

/* A line of a file, without its newline. Blanks around it are not meant. */
static void read_line(char *line)
{
    line = opool__text_trim(line);
    if (*line && *line != '#')
        add_pattern(line);
}

/* The text behind what is there already; patterns point into it. */
static void read_file(const char *path)
{
    char *text = settings.text + settings.length;
    size_t room = TEXT_MOST - settings.length;
    ssize_t length = opool__os.read_file(path, text, room);
    if (length < 0) {
        ignore(path, length == -EFBIG ? "is too large" : "can not be read");
        return;
    }
    text[length] = 0;
    settings.length += (size_t)length + 1 < room ? (size_t)length + 1 : room;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        read_line(line);
    }
}

static void read_exit_code(const char *word)
{
    int code = 0;
    const char *digit = strchr(word, '=') + 1;
    for (; *digit >= '0' && *digit <= '9' && code <= 255; digit++)
        code = code * 10 + *digit - '0';
    if (*digit || code < 1 || code > 255)
        ignore(word, "is no exit status from 1 to 255");
    else
        settings.exit_code = code;
}

static void read_word(const char *word)
{
    if (strcmp(word, "off") == 0)
        settings.all = true;
    else if (strncmp(word, "exitcode=", 9) == 0)
        read_exit_code(word);
    else if (*word == '/' || *word == '.')
        read_file(word);
    else if (*word)
        add_pattern(word);
}

static void read_words(const char *value)
{
    size_t length = strlen(value);
    if (length >= TEXT_MOST) {
        ignore(value, "is too long");
        return;
    }
    memcpy(settings.text, value, length + 1);
    settings.length = length + 1;
    for (char *word = settings.text, *next; word; word = next) {
        next = strchr(word, ',');
        if (next)
            *next++ = 0;
        read_word(opool__text_trim(word));
    }
}

void opool__suppress_start(void)
{
    uint32_t before = 0;
    /* Who comes at the same time does not wait: it only creates a pool. */
    if (opool__load_relaxed(&settings.shared_begun) || !opool__cas_relaxed(&settings.shared_begun, &before, 1u))
        return;
    const char *value = opool__os.environment("OPOOL_LEAKS");
    if (value)
        read_words(value);
    /* release: who sees it sees the patterns. */
    opool__store_release(&settings.shared_read, 1u);
}

/* ---- questions ---- */

static bool fits(const struct pattern *pattern, enum what what, const char *text)
{
    return (pattern->what == ANYTHING || pattern->what == what) && fnmatch(pattern->text, text, 0) == 0;
}

static bool is_read(void)
{
    return opool__load_acquire(&settings.shared_read) != 0;
}

static bool any_fits(enum what what, const char *text)
{
    if (!is_read())
        return false;
    for (size_t i = 0; i < settings.count; i++)
        if (fits(&settings.patterns[i], what, text))
            return true;
    return false;
}

bool opool__suppress_all(void)
{
    return is_read() && settings.all;
}

bool opool__suppress_pool(const char *name)
{
    return any_fits(POOL, name);
}

bool opool__suppress_frame(const struct opool__where *where)
{
    const char *slash = strrchr(where->file, '/');
    return (where->function[0] && any_fits(FUNCTION, where->function)) ||
           (where->file[0] && (any_fits(FILE_NAME, where->file) || (slash && any_fits(FILE_NAME, slash + 1))));
}

int opool__suppress_exit_code(void)
{
    return is_read() ? settings.exit_code : 0;
}
