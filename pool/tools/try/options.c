/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <opool/types.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clean.h"
#include "launch.h"

enum { EPOCH_MS = 1000, EPOCH_MOST = 3600000, ROUNDS = 7, ROUNDS_MOST = 1000, ALIGN = 16, FILE_MOST = 1 << 20 };

/* Where a text comes from, for messages. */
struct origin {
    const char *file; /* NULL: the command line */
    unsigned line;
};

int opool__try_fail(const char *what, const char *why)
{
    return opool__launch_fail("try", what, why);
}

static __attribute__((format(printf, 2, 3))) int refuse(const struct origin *origin, const char *format, ...)
{
    char text[512], where[PATH_MAX + 32];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    opool__clean(text);
    if (!origin->file) {
        fprintf(stderr, "opool try: %s (opool try --help says more)\n", text);
        return OPOOL__LAUNCH_FAILED;
    }
    fprintf(stderr, "opool try: %s:%u: %s\n", opool__clean_copy(where, sizeof where, origin->file), origin->line, text);
    return OPOOL__LAUNCH_FAILED;
}

/* ---- numbers ---- */

/* Decimal digits and nothing else, at most `most`. */
static bool read_number(const char *text, uint64_t most, uint64_t *out)
{
    uint64_t number = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *out = number;
    return number <= most;
}

static int read_count(const struct origin *origin, const char *name, const char *text, uint64_t least, uint64_t most,
                      uint64_t *out)
{
    if (read_number(text, most, out) && *out >= least)
        return 0;
    return refuse(origin, "%s is a number from %llu to %llu, not '%s'", name, (unsigned long long)least,
                  (unsigned long long)most, text);
}

/* ---- sizes ---- */

static int check_size(const struct origin *origin, const struct opool__try_config *config,
                      const struct opool__try_size *size)
{
    if (size->from > size->size)
        return refuse(origin, "from %llu is above the size %llu", (unsigned long long)size->from,
                      (unsigned long long)size->size);
    if (size->align & (size->align - 1))
        return refuse(origin, "align %llu is no power of two", (unsigned long long)size->align);
    if (size->capacity && size->prefill > size->capacity)
        return refuse(origin, "prefill %llu is above the capacity %llu", (unsigned long long)size->prefill,
                      (unsigned long long)size->capacity);
    for (uint32_t i = 0; i < config->sizes; i++)
        if (size->size >= config->size[i].from && size->from <= config->size[i].size)
            return refuse(origin, "size %llu: one pool serves it already", (unsigned long long)size->size);
    if (config->sizes == OPOOL__TRY_SIZES)
        return refuse(origin, "more than %d sizes", (int)OPOOL__TRY_SIZES);
    return 0;
}

static int add_size(const struct origin *origin, struct opool__try_config *config, struct opool__try_size size)
{
    size.from = size.from ? size.from : size.size;
    int r = check_size(origin, config, &size);
    if (r == 0)
        config->size[config->sizes++] = size;
    return r;
}

static int read_sizes(const char *list, struct opool__try_config *config)
{
    static const struct origin arguments;
    char copy[4096], *rest = copy;
    if (strlen(list) >= sizeof copy)
        return refuse(&arguments, "--size: too long");
    memcpy(copy, list, strlen(list) + 1);
    for (const char *word; (word = strsep(&rest, ",")) != NULL;) {
        struct opool__try_size size = {.align = ALIGN};
        int r = read_count(&arguments, "a size", word, 1, OPOOL_SIZE_MAX, &size.size);
        if (r == 0)
            r = add_size(&arguments, config, size);
        if (r != 0)
            return r;
    }
    return 0;
}

static int read_context(const struct origin *origin, const char *name, struct opool__try_config *config)
{
    if (strcmp(name, "zstd") != 0)
        return refuse(origin, "no contexts of '%s' are known: zstd", name);
    config->contexts = 1;
    return 0;
}

/* ---- a file ---- */

static int read_size_option(const struct origin *origin, const char *name, const char *value,
                            struct opool__try_size *size)
{
    static const struct {
        const char *name;
        uint64_t least, most;
        size_t at;
    } known[] = {{"from", 1, OPOOL_SIZE_MAX, offsetof(struct opool__try_size, from)},
                 {"align", ALIGN, OPOOL_ALIGN_MAX, offsetof(struct opool__try_size, align)},
                 {"capacity", 1, INT32_MAX, offsetof(struct opool__try_size, capacity)},
                 {"prefill", 0, INT32_MAX, offsetof(struct opool__try_size, prefill)}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint64_t number = 0;
        if (strcmp(name, known[i].name) != 0)
            continue;
        if (!value)
            return refuse(origin, "%s needs a number", name);
        int r = read_count(origin, name, value, known[i].least, known[i].most, &number);
        if (r == 0)
            memcpy((char *)size + known[i].at, &number, sizeof number);
        return r;
    }
    return refuse(origin, "'%s' is none of from, align, capacity, prefill", name);
}

static char *next_word(char **rest)
{
    char *word;
    while ((word = strsep(rest, " \t\r")) != NULL && !*word)
        continue;
    return word;
}

static int read_size_line(const struct origin *origin, char **rest, struct opool__try_config *config)
{
    struct opool__try_size size = {.align = ALIGN};
    const char *word = next_word(rest);
    int r = read_count(origin, "size", word ? word : "", 1, OPOOL_SIZE_MAX, &size.size);
    while (r == 0 && (word = next_word(rest)) != NULL)
        r = read_size_option(origin, word, next_word(rest), &size);
    return r == 0 ? add_size(origin, config, size) : r;
}

static int read_line(const struct origin *origin, char *line, struct opool__try_config *config)
{
    line[strcspn(line, "#")] = '\0';
    char *rest = line;
    const char *word = next_word(&rest), *value;
    if (!word)
        return 0;
    if (strcmp(word, "size") == 0)
        return read_size_line(origin, &rest, config);
    if (strcmp(word, "context") != 0)
        return refuse(origin, "'%s' is none of size, context", word);
    value = next_word(&rest);
    int r = read_context(origin, value ? value : "", config);
    if (r == 0 && (value = next_word(&rest)) != NULL)
        return refuse(origin, "'%s' is too much", value);
    return r;
}

static int read_lines(struct origin *origin, FILE *in, struct opool__try_config *config)
{
    char *line = NULL;
    size_t room = 0, all = 0;
    int r = 0;
    for (ssize_t n; r == 0 && (n = getline(&line, &room, in)) >= 0; all += (size_t)n) {
        origin->line++;
        if (memchr(line, '\0', (size_t)n))
            r = refuse(origin, "no text");
        else if (all + (size_t)n > FILE_MOST)
            r = refuse(origin, "more than a MiB of configuration");
        line[strcspn(line, "\n")] = '\0';
        if (r == 0)
            r = read_line(origin, line, config);
    }
    free(line);
    return r;
}

static int read_file(const char *path, struct opool__try_config *config)
{
    struct origin origin = {.file = path};
    struct stat status;
    FILE *in = fopen(path, "re");
    if (!in)
        return opool__try_fail(path, strerror(errno));
    int r = fstat(fileno(in), &status) == 0 && S_ISDIR(status.st_mode) ? opool__try_fail(path, strerror(EISDIR))
                                                                       : read_lines(&origin, in, config);
    if (r == 0 && ferror(in))
        r = opool__try_fail(path, "can not be read");
    fclose(in);
    return r;
}

/* ---- arguments ---- */

static int read_small(const char *name, const char *value, uint64_t most, uint32_t *out)
{
    static const struct origin arguments;
    uint64_t number = 0;
    int r = read_count(&arguments, name, value, 1, most, &number);
    *out = (uint32_t)number;
    return r;
}

static int read_name(const char *name, const char *value, const char **out)
{
    static const struct origin arguments;
    if (!*value)
        return refuse(&arguments, "%s needs a value", name);
    *out = value;
    return 0;
}

static int read_ticks(const char *value, uint32_t *by_thread)
{
    static const struct origin arguments;
    *by_thread = strcmp(value, "thread") == 0;
    if (*by_thread || strcmp(value, "requests") == 0)
        return 0;
    return refuse(&arguments, "--tick is requests or thread, not '%s'", value);
}

static int read_argument(char **argv, int *at, struct opool__try_options *options)
{
    static const struct origin arguments;
    const char *value;
    if (strcmp(argv[*at], "--compare") == 0) {
        options->compare = true;
        return 0;
    }
    if ((value = opool__launch_value("--size", argv, at)) != NULL)
        return read_sizes(value, &options->config);
    if ((value = opool__launch_value("--config", argv, at)) != NULL)
        return read_file(value, &options->config);
    if ((value = opool__launch_value("--context", argv, at)) != NULL)
        return read_context(&arguments, value, &options->config);
    if ((value = opool__launch_value("--epoch", argv, at)) != NULL)
        return read_small("--epoch", value, EPOCH_MOST, &options->config.epoch_ms);
    if ((value = opool__launch_value("--tick", argv, at)) != NULL)
        return read_ticks(value, &options->config.by_thread);
    if ((value = opool__launch_value("--rounds", argv, at)) != NULL)
        return read_small("--rounds", value, ROUNDS_MOST, &options->rounds);
    if ((value = opool__launch_value("--load", argv, at)) != NULL)
        return read_name("--load", value, &options->load);
    if ((value = opool__launch_value("--units", argv, at)) != NULL)
        return read_name("--units", value, &options->units);
    if ((value = opool__launch_value("--output", argv, at)) != NULL)
        return read_name("--output", value, &options->output);
    if ((value = opool__launch_value("--json", argv, at)) != NULL)
        return read_name("--json", value, &options->json);
    return refuse(&arguments, "no such option: %s", argv[*at]);
}

/* What was given, taken together. */
static int check(const struct opool__try_options *options, const char *command)
{
    static const struct origin arguments;
    if (!options->config.sizes && !options->config.contexts)
        return refuse(&arguments, "nothing to try: --size, --config or --context is missing");
    if (options->rounds && !options->compare)
        return refuse(&arguments, "--rounds is for --compare");
    if (options->units && !options->load)
        return refuse(&arguments, "--units is for --load");
    return command ? 0 : refuse(&arguments, "a command is missing");
}

int opool__try_parse(char **argv, struct opool__try_options *options)
{
    int i = 1, r = 0;
    *options = (struct opool__try_options){.config.epoch_ms = EPOCH_MS};
    for (; r == 0 && argv[i] && argv[i][0] == '-' && !options->help; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        options->help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (!options->help)
            r = read_argument(argv, &i, options);
    }
    if (r == 0 && !options->help)
        r = check(options, argv[i]);
    options->command = argv + i;
    options->rounds = options->rounds ? options->rounds : ROUNDS;
    options->units = options->units ? options->units : "requests";
    return r;
}
