/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clean.h"
#include "launch.h"
#include "options.h"

enum { TEXT = 64 << 10, LOOKS = 500, LOOK_NS = 20000000, PATIENCE = 50 /* tenths of a second */, POLL_MS = 100 };

/* ---- interruptions ---- */

/* One that comes within that time; 0: none. opool__launch_start blocks them, so that it waits for us meanwhile. */
static int interruption(const struct timespec *within)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&set, numbers[i]);
    int number = sigtimedwait(&set, NULL, within);
    return number > 0 ? number : 0;
}

/* What the load has started does not end with its shell. */
static int stop_all(int number)
{
    fputs("opool try: interrupted\n", stderr);
    opool__tree_signal(SIGTERM, true);
    return 128 + number;
}

/* ---- the server ---- */

/* Left to be reaped by who waits for it. */
static bool has_ended(pid_t server)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)server, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == server;
}

/* A server that went into the background left its first process; another one is there then. */
static int wait_for_server(pid_t server)
{
    const struct timespec a_while = {.tv_nsec = LOOK_NS};
    for (int i = 0; i < LOOKS; i++) {
        if (opool__tree_listens())
            return 0;
        if (i > LOOKS / 10 && has_ended(server) && !opool__tree_lives())
            return opool__try_fail("the server ended before its load began", "");
        int number = interruption(&a_while);
        if (number)
            return stop_all(number);
    }
    fputs("opool try: the server accepts no connections after 10 s: the load begins all the same\n", stderr);
    return 0;
}

void opool__load_stop(void *arg)
{
    int *looks = arg;
    if (*looks == 0)
        opool__tree_signal(SIGTERM, false);
    else if (*looks >= PATIENCE)
        opool__tree_signal(SIGKILL, true);
    ++*looks;
}

/* ---- the load ---- */

static pid_t start(const char *command, int output)
{
    fflush(NULL);
    pid_t load = fork();
    if (load != 0)
        return load;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(output, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(OPOOL__LAUNCH_NOT_FOUND);
}

/* Its last bytes: where totals stand. 0, or the signal that came first. */
static int read_output(int fd, char *text)
{
    const struct timespec at_once = {.tv_nsec = 0};
    struct pollfd output = {.fd = fd, .events = POLLIN};
    size_t used = 0;
    int number;
    while ((number = interruption(&at_once)) == 0) {
        if (poll(&output, 1, POLL_MS) <= 0)
            continue;
        if (used == TEXT - 1) {
            memmove(text, text + TEXT / 2, used - TEXT / 2);
            used -= TEXT / 2;
        }
        ssize_t n = read(fd, text + used, TEXT - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    for (size_t i = 0; i < used; i++)
        text[i] = text[i] ? text[i] : ' ';
    text[used] = '\0';
    return number;
}

static bool number_before(const char *text, const char *word, uint64_t *out)
{
    while (word > text && word[-1] == ' ')
        word--;
    const char *from = word;
    while (from > text && isdigit((unsigned char)from[-1]))
        from--;
    *out = strtoull(from, NULL, 10);
    return from < word && (from == text || from[-1] != '.');
}

uint64_t opool__load_units(const char *text, const char *word)
{
    for (const char *at = text; *word && (at = strstr(at, word)) != NULL;) {
        uint64_t number;
        if (number_before(text, at, &number))
            return number;
        at += strlen(word);
        const char *behind = at + strspn(at, ": =");
        if (isdigit((unsigned char)*behind))
            return strtoull(behind, NULL, 10);
    }
    return 0;
}

static int fail(const char *text, int status)
{
    char why[64];
    fputs(text, stderr);
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "signal %d ended it", WTERMSIG(status));
    else
        snprintf(why, sizeof why, "exit status %d", WEXITSTATUS(status));
    return opool__try_fail("the load failed", why);
}

static int run(const char *command, const char *units, struct opool__load *load)
{
    static char text[TEXT];
    int ends[2], status = 0, number = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return opool__try_fail("the load", strerror(errno));
    pid_t started = start(command, ends[1]);
    int error = errno;
    close(ends[1]);
    if (started > 0)
        number = read_output(ends[0], text);
    close(ends[0]);
    if (number)
        return stop_all(number);
    if (started < 0)
        return opool__try_fail("the load", strerror(error));
    while (wait4(started, &status, 0, &load->usage) < 0 && errno == EINTR)
        continue;
    load->units = opool__load_units(text, units);
    return status == 0 ? 0 : fail(text, status);
}

int opool__load_run(pid_t server, const char *command, const char *units, struct opool__load *load)
{
    memset(load, 0, sizeof *load);
    int r = wait_for_server(server);
    if (r != 0)
        return r;
    load->start = opool__tree_usage();
    r = run(command, units, load);
    load->peak_kib = opool__tree_usage().peak_kib;
    return r;
}
