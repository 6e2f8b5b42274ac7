/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../clean.h"
#include "patterns.h"

enum {
    ARGUMENTS = 16,
    NUMBERS = 7,
    OUTPUT_MOST = 8192,
    PATIENCE_MS = 60000,
    SLOWEST = 16 << 10 /* bytes of objects a millisecond, where the system gets the memory from */
};

extern char **environ;

/* They change what is measured. */
static const char *const unwanted[] = {"OPOOL_",    "LD_PRELOAD=",     "LD_BIND",   "LD_AUDIT=", "MALLOC_",
                                       "JE_MALLOC", "GLIBC_TUNABLES=", "MIMALLOC_", "TCMALLOC_"};

/* Environment and arguments of a child: made before the fork. */
struct start {
    char **environment;
    char *arguments[ARGUMENTS];
    char numbers[NUMBERS][32];
    char preload[TEXT_MOST], tunables[TEXT_MOST];
};

static bool is_unwanted(const char *variable)
{
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        if (strncmp(variable, unwanted[i], strlen(unwanted[i])) == 0)
            return true;
    return false;
}

static bool make_environment(struct start *start, const struct surroundings *surroundings)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    start->environment = calloc(n + 3, sizeof *start->environment);
    if (!start->environment)
        return false;
    for (size_t i = 0; i < n; i++)
        if (surroundings->kept || !is_unwanted(environ[i]))
            start->environment[kept++] = environ[i];
    snprintf(start->preload, sizeof start->preload, "LD_PRELOAD=%s",
             surroundings->preload ? surroundings->preload : "");
    snprintf(start->tunables, sizeof start->tunables, "GLIBC_TUNABLES=%s",
             surroundings->tunables ? surroundings->tunables : "");
    if (surroundings->preload)
        start->environment[kept++] = start->preload;
    if (surroundings->tunables)
        start->environment[kept++] = start->tunables;
    return true;
}

/* exec does not write to them. */
static char *argument(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void make_arguments(struct start *start, const struct load *load, const char *measure)
{
    static const char *const names[] = {"--size", "--align", "--threads", "--live", "--milliseconds"};
    const size_t values[] = {load->size, load->align, load->threads, opool__bench_live(load), load->milliseconds};
    size_t n = 0;
    start->arguments[n++] = argument("opool");
    start->arguments[n++] = argument("bench");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(start->numbers[i], sizeof start->numbers[i], "%s=%zu", names[i], values[i]);
        start->arguments[n++] = start->numbers[i];
    }
    start->arguments[n++] = argument("--pattern");
    start->arguments[n++] = argument(opool__bench_patterns[load->pattern].name);
    start->arguments[n++] = argument("--measure");
    start->arguments[n++] = argument(measure);
    start->arguments[n] = NULL;
}

static _Noreturn void become(const struct start *start, int output, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        _exit(1);
    execve("/proc/self/exe", start->arguments, start->environment);
    fprintf(stderr, "opool bench: can not run itself: %s\n", strerror(errno));
    _exit(1);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* All that a child says until it ends: its warnings and its figure. false: it took too long. What does not fit is
   read and dropped, so that nobody waits for room. */
static bool read_all(int fd, char *output, int64_t deadline)
{
    size_t n = 0;
    for (;;) {
        int64_t left = deadline - now_ms();
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (left <= 0)
            return false;
        if (poll(&ready, 1, left < INT_MAX ? (int)left : INT_MAX) <= 0)
            continue;
        char text[512];
        ssize_t got = read(fd, text, sizeof text);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        size_t fitting = (size_t)got < OUTPUT_MOST - 1 - n ? (size_t)got : OUTPUT_MOST - 1 - n;
        memcpy(output + n, text, fitting);
        n += fitting;
        output[n] = '\0';
    }
}

static void say(struct figure *figure, const char *what)
{
    opool__clean_copy(figure->text, sizeof figure->text, what);
}

static bool read_figure(char *output, struct figure *figure)
{
    char *line = strncmp(output, "bench ", 6) == 0 ? output : strstr(output, "\nbench ");
    int end = 0;
    if (!line || sscanf(line, " bench %lf %zu %zu %n", &figure->ns, &figure->peak, &figure->after, &end) != 3 ||
        end == 0)
        return false;
    line[strcspn(line + 1, "\n") + 1] = '\0';
    say(figure, line + end);
    return true;
}

/* Its last words. */
static void explain(char *output, int status, struct figure *figure)
{
    size_t length = strlen(output);
    while (length > 0 && output[length - 1] == '\n')
        output[--length] = '\0';
    const char *line = strrchr(output, '\n');
    line = line ? line + 1 : output;
    if (strncmp(line, "opool bench: ", 13) == 0)
        line += 13;
    if (WIFSIGNALED(status))
        snprintf(figure->text, sizeof figure->text, "ended by signal %d%s", WTERMSIG(status),
                 WTERMSIG(status) == SIGKILL ? ", out of memory perhaps" : "");
    else
        say(figure, *line ? line : "it said nothing");
}

static void wait_for(pid_t child, int fd, int64_t deadline, struct figure *figure)
{
    char output[OUTPUT_MOST] = "";
    int status = 0;
    bool in_time = read_all(fd, output, deadline);
    if (!in_time)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!in_time)
        say(figure, "still running after its time");
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && read_figure(output, figure))
        figure->good = true;
    else
        explain(output, status, figure);
}

/* Milliseconds after which a child is taken for one that hangs: on a machine that is slow, and busy. */
static int64_t patience(const struct load *load)
{
    uint64_t work = (uint64_t)load->milliseconds * load->threads * 20;
    return (int64_t)(PATIENCE_MS + work + (uint64_t)load->size * opool__bench_live(load) * load->threads / SLOWEST);
}

void opool__bench_run(const struct load *load, const char *measure, const struct surroundings *surroundings,
                      struct figure *figure)
{
    static struct start start;
    int pipes[2];
    pid_t parent = getpid();
    *figure = (struct figure){.good = false};
    if (!make_environment(&start, surroundings) || pipe2(pipes, O_CLOEXEC) != 0) {
        say(figure, strerror(errno));
        free(start.environment);
        return;
    }
    make_arguments(&start, load, measure);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        become(&start, pipes[1], parent);
    close(pipes[1]);
    if (child < 0)
        say(figure, strerror(errno));
    else
        wait_for(child, pipes[0], now_ms() + patience(load), figure);
    close(pipes[0]);
    free(start.environment);
}
