/* SPDX-License-Identifier: MIT */
#include "check/settings.h"

#include <fnmatch.h>
#include <opool/atomic.h>
#include <stdio.h>
#include <string.h>

#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"
#include "os/text.h"

enum { RULES_MOST = 64, TEXT_MOST = 4096 };

struct level {
    const char *word;
    enum opool_checks checks;
    const char *help;
};

static const struct level levels[] = {
#define OPOOL_LEVEL(word, level, help) {word, level, help},
#define OPOOL_VARIABLE(name, values, help)
#include "check/words.def"
#undef OPOOL_LEVEL
#undef OPOOL_VARIABLE
};

static const char *const variables[][3] = {
#define OPOOL_LEVEL(word, level, help)
#define OPOOL_VARIABLE(name, values, help) {name, values, help},
#include "check/words.def"
#undef OPOOL_LEVEL
#undef OPOOL_VARIABLE
};

struct rule {
    const char *pattern; /* of a pool's name; "": all */
    enum opool_checks checks;
};

/* Written once, under the lock, before shared_read says so. */
static struct {
    uint32_t lock, shared_read;
    char text[TEXT_MOST]; /* what the rules point into */
    struct rule rules[RULES_MOST];
    size_t count;
    uint32_t fail;
} settings;

/* ---- reading ---- */

static void help(void)
{
    char room[4096], line[256];
    struct opool__text text = {room, sizeof room - 1, 0};
    opool__text_string(&text, "opool: checks:\n");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        snprintf(line, sizeof line, "  %-6s %s\n", levels[i].word, levels[i].help);
        opool__text_string(&text, line);
    }
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        snprintf(line, sizeof line, "  %s=%s\n         %s\n", variables[i][0], variables[i][1], variables[i][2]);
        opool__text_string(&text, line);
    }
    room[text.length] = 0;
    opool__print(room);
}

static void ignore(const char *variable, const char *value, const char *why)
{
    char line[256];
    snprintf(line, sizeof line, "opool: %s: '%.80s' %s: ignored\n", variable, value, why);
    opool__print(line);
}

/* One of the comma-separated items. Blanks around its words are not meant. */
static void read_item(char *item)
{
    char *equals = strrchr(item, '=');
    const char *word = equals ? opool__text_trim(equals + 1) : item;
    if (strcmp(item, "help") == 0) {
        help();
        return;
    }
    const struct level *level = levels, *end = levels + sizeof levels / sizeof *levels;
    while (level < end && strcmp(level->word, word) != 0)
        level++;
    if (level == end) {
        ignore("OPOOL_CHECKS", word, "is none of off, basic, full, help");
        return;
    }
    if (equals == item) {
        ignore("OPOOL_CHECKS", item, "has no pattern");
        return;
    }
    if (settings.count == RULES_MOST) {
        ignore("OPOOL_CHECKS", item, "is one item too many");
        return;
    }
    if (equals)
        *equals = 0;
    settings.rules[settings.count++] = (struct rule){equals ? opool__text_trim(item) : "", level->checks};
}

static void read_checks(const char *value)
{
    if (strlen(value) >= sizeof settings.text) {
        ignore("OPOOL_CHECKS", value, "is too long");
        return;
    }
    strcpy(settings.text, value);
    for (char *item = settings.text, *next; item; item = next) {
        next = strchr(item, ',');
        if (next)
            *next++ = 0;
        item = opool__text_trim(item);
        if (*item)
            read_item(item);
    }
}

uint32_t opool__settings_number(const char *variable, const char *prefix)
{
    const char *value = opool__os.environment(variable);
    size_t length = strlen(prefix);
    if (!value || !*value)
        return 0;
    uint64_t number = 0;
    const char *digit = value;
    if (strncmp(value, prefix, length) == 0)
        for (digit += length; *digit >= '0' && *digit <= '9' && number <= UINT32_MAX; digit++)
            number = number * 10 + (uint64_t)(*digit - '0');
    if (*digit || number == 0 || number > UINT32_MAX) {
        ignore(variable, value, prefix[0] ? "is not 1/N, N from 1 to 4294967295" : "is no number from 1 to 4294967295");
        return 0;
    }
    return (uint32_t)number;
}

/* Who comes while another thread reads waits for it: what is said is said once, and not to the user's callback, which
   might create a pool. */
static void read_once(void)
{
    if (opool__load_acquire(&settings.shared_read))
        return;
    opool__lock_take(&settings.lock);
    if (!opool__load_relaxed(&settings.shared_read)) {
        const char *checks = opool__os.environment("OPOOL_CHECKS");
        if (checks)
            read_checks(checks);
        settings.fail = opool__settings_number("OPOOL_FAIL", "");
        /* release: who sees it sees the rules. */
        opool__store_release(&settings.shared_read, 1u);
    }
    opool__lock_drop(&settings.lock);
}

/* ---- fork ---- */

void opool__settings_lock(void)
{
    opool__lock_take(&settings.lock);
}

void opool__settings_unlock(void)
{
    opool__lock_drop(&settings.lock);
}

void opool__settings_reset_lock(void)
{
    opool__lock_reset(&settings.lock);
}

/* ---- questions ---- */

#ifdef OPOOL_NO_CHECKS

enum opool_checks opool__settings_level(const char *pool_name)
{
    (void)pool_name;
    return OPOOL_CHECKS_OFF;
}

#else

enum opool_checks opool__settings_level(const char *pool_name)
{
    enum opool_checks by_default = OPOOL_CHECKS_BASIC, by_name = OPOOL_CHECKS_DEFAULT;
    read_once();
    for (size_t i = 0; i < settings.count; i++) {
        const struct rule *rule = &settings.rules[i];
        if (!*rule->pattern)
            by_default = rule->checks;
        else if (pool_name && fnmatch(rule->pattern, pool_name, 0) == 0)
            by_name = rule->checks;
    }
    return by_name != OPOOL_CHECKS_DEFAULT ? by_name : by_default;
}

#endif

uint32_t opool__settings_fail(void)
{
    read_once();
    return settings.fail;
}
