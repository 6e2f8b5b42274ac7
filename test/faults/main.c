/* SPDX-License-Identifier: MIT */

/* PROGRAM --list: the kinds of pools, and names of all cases, a line each, behind "kind", "fault", "legal" or "other".
   PROGRAM KIND CASE [LEVEL]: runs one; LEVEL goes into the options of its pools, else the environment says it. */

#include <stdarg.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "case.h"

enum kind kind;
enum opool_checks level, real_level;

void run_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, run, arg) == 0 && pthread_join(thread, NULL) == 0);
}

/* ---- what the harness is told ---- */

void tell(const char *what, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(STDOUT_FILENO, "%s %s\n", what, text);
}

void about_this_thread(void)
{
    tell("thread", "%ld", (long)syscall(SYS_gettid));
}

void *about(const char *call, void *object)
{
    tell("call", "%s", call);
    tell("object", "0x%lx", (unsigned long)(uintptr_t)object);
    about_this_thread();
    return object;
}

void about_pool(const char *name, const char *type)
{
    tell("pool", "%s", name);
    tell("type", "%s", type);
}

void about_no_pool(void)
{
    tell("environment", "only");
}

void give_up(const char *file, int line, const char *condition)
{
    dprintf(STDERR_FILENO, "%s:%d: %s: errno %d\n", file, line, condition, errno);
    _exit(3);
}

/* ---- choosing ---- */

/* In an array that NULL ends; -1: not there. */
static int position(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (word && strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static const struct fault_case *find(const char *name)
{
    for (const struct case_group *group = case_groups; group->word; group++)
        for (const struct fault_case *one = group->cases; one->name; one++)
            if (strcmp(one->name, name) == 0)
                return one;
    return NULL;
}

static void list(void)
{
    for (int i = 0; case_kinds[i]; i++)
        printf("kind %s\n", case_kinds[i]);
    for (const struct case_group *group = case_groups; group->word; group++)
        for (const struct fault_case *one = group->cases; one->name; one++)
            printf("%s %s\n", group->word, one->name);
}

static void set_level(const char *word)
{
    static const char *const levels[] = {"default", "off", "basic", "full", NULL};
    int own = position(word, levels), theirs = position(getenv("OPOOL_CHECKS"), levels);
    level = own > 0 ? (enum opool_checks)own : OPOOL_CHECKS_DEFAULT;
    real_level = level ? level : theirs > 0 ? (enum opool_checks)theirs : OPOOL_CHECKS_BASIC;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return EXIT_SUCCESS;
    }
    int chosen = argc >= 3 ? position(argv[1], case_kinds) : -1;
    const struct fault_case *one = argc >= 3 ? find(argv[2]) : NULL;
    if (chosen < 0 || !one)
        return 2;
    kind = (enum kind)chosen;
    set_level(argc > 3 ? argv[3] : NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(30);
    one->run();
    return EXIT_SUCCESS;
}
