/* SPDX-License-Identifier: MIT */

/* faults --list: names of all cases, a line each, behind "fault" or "legal".
   faults KIND CASE [LEVEL]: runs one; LEVEL goes into the options of its pools, else the environment says it. */

#include <stdarg.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "case.h"

static bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    conn->number = 0;
    memset(conn->text, 0, sizeof conn->text);
    return true;
}

OPOOL_DEFINE(plain_pool, struct conn);
OPOOL_DEFINE(reset_pool, struct conn, .reset = conn_reset);

enum kind kind;
enum opool_checks level, real_level;

struct opool *new_pool(const char *name, size_t capacity)
{
    struct opool_options options = {.name = name, .capacity = capacity, .checks = level};
    struct plain_pool *plain = NULL;
    struct reset_pool *reset = NULL;
    if (kind == RESET)
        REQUIRE(reset_pool_create(&reset, &options) == 0);
    else
        REQUIRE(plain_pool_create(&plain, &options) == 0);
    return kind == RESET ? reset_pool_base(reset) : plain_pool_base(plain);
}

struct opool *pool(void)
{
    static struct opool *made;
    if (!made)
        made = new_pool("conns", 0);
    return made;
}

struct conn *get_from(struct opool *from)
{
    struct conn *conn = kind == EXPORTED ? opool_get(from) : plain_pool_get((struct plain_pool *)(void *)from);
    REQUIRE(conn);
    return conn;
}

void put_to(struct opool *to, void *object)
{
    if (kind == EXPORTED)
        opool_put(to, object);
    else if (kind == RESET)
        reset_pool_put((struct reset_pool *)(void *)to, object);
    else
        plain_pool_put((struct plain_pool *)(void *)to, object);
}

struct conn *get(void)
{
    return get_from(pool());
}

void put(void *object)
{
    put_to(pool(), object);
}

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
    tell("pool", "%s", name ? name : "");
    tell("type", "%s", type ? type : "");
}

void give_up(const char *file, int line, const char *condition)
{
    dprintf(STDERR_FILENO, "%s:%d: %s: errno %d\n", file, line, condition, errno);
    _exit(3);
}

/* ---- choosing ---- */

static const struct fault_case *const faults[] = {pointer_cases, twice_cases, end_cases, content_cases, inside_cases};
static const struct fault_case *const legals[] = {legal_use_cases, legal_life_cases, legal_thread_cases};
enum { FAULTS = sizeof faults / sizeof *faults, LEGALS = sizeof legals / sizeof *legals };

static int position(const char *word, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (word && strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static const struct fault_case *find_in(const struct fault_case *const *groups, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        for (const struct fault_case *one = groups[i]; one->name; one++)
            if (strcmp(one->name, name) == 0)
                return one;
    return NULL;
}

static void list(const char *word, const struct fault_case *const *groups, int n)
{
    for (int i = 0; i < n; i++)
        for (const struct fault_case *one = groups[i]; one->name; one++)
            printf("%s %s\n", word, one->name);
}

static void set_level(const char *word)
{
    static const char *const levels[] = {"default", "off", "basic", "full"};
    const char *environment = getenv("OPOOL_CHECKS");
    int own = position(word, levels, 4), theirs = position(environment, levels, 4);
    level = word && own > 0 ? (enum opool_checks)own : OPOOL_CHECKS_DEFAULT;
    real_level = level ? level : theirs > 0 ? (enum opool_checks)theirs : OPOOL_CHECKS_BASIC;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"plain", "reset", "exported"};
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list("fault", faults, FAULTS);
        list("legal", legals, LEGALS);
        return EXIT_SUCCESS;
    }
    int chosen = argc >= 3 ? position(argv[1], kinds, 3) : -1;
    const struct fault_case *one = argc >= 3 ? find_in(faults, FAULTS, argv[2]) : NULL;
    if (argc >= 3 && !one)
        one = find_in(legals, LEGALS, argv[2]);
    if (chosen < 0 || !one)
        return 2;
    kind = (enum kind)chosen;
    set_level(argc > 3 ? argv[3] : NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(30);
    one->run();
    return EXIT_SUCCESS;
}
