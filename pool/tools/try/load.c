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
#include "tools.h"

enum { TEXT = 64 << 10, LOOKS = 500, LOOK_NS = 20000000, LOOK_MS = 100 };

#define PATIENCE_NS UINT64_C(10000000000)

/* ---- the server ---- */

/* Left to be reaped by who waits for it. */
static bool has_ended(pid_t server)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)server, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == server;
}

/* Blocked, it is kept though it is ignored (as under nohup). */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* The signal that is to end us, or 0. Who waits later takes it (launch.h); here it only ends what is waited for. */
static int interruption(void)
{
    sigset_t pending;
    if (sigpending(&pending) != 0)
        return 0;
    for (size_t i = 0; i < OPOOL__LAUNCH_ENDS; i++)
        if (sigismember(&pending, opool__launch_ends[i]) == 1 && !is_ignored(opool__launch_ends[i]))
            return opool__launch_ends[i];
    return 0;
}

static int interrupted(void)
{
    fputs("opool try: interrupted\n", stderr);
    return 128 + interruption();
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
        if (interruption())
            return interrupted();
        nanosleep(&a_while, NULL);
    }
    fputs("opool try: the server accepts no connections after 10 s: the load begins all the same\n", stderr);
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void opool__load_stop(void *arg)
{
    struct opool__load_end *end = arg;
    if (!end->asked) {
        end->asked = true;
        end->patience_ns = now_ns() + PATIENCE_NS;
        opool__tree_signal(SIGTERM, false);
    } else if (now_ns() >= end->patience_ns) {
        opool__tree_signal(SIGKILL, true);
    }
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
    opool__restore_signals();
    dup2(output, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(OPOOL__LAUNCH_NOT_FOUND);
}

/* False: interrupted. Then the load's shell is ended, and what it had started is ours, to be ended with the server. */
static bool await_output(int fd, pid_t load)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    while (!interruption())
        if (poll(&look, 1, LOOK_MS) > 0)
            return true;
    kill(load, SIGKILL);
    return false;
}

/* Its last bytes: where totals stand. */
static void read_output(int fd, pid_t load, char *text)
{
    size_t used = 0;
    while (await_output(fd, load)) {
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
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return opool__try_fail("the load", strerror(errno));
    pid_t started = start(command, ends[1]);
    int error = errno;
    close(ends[1]);
    if (started > 0)
        read_output(ends[0], started, text);
    close(ends[0]);
    if (started < 0)
        return opool__try_fail("the load", strerror(error));
    while (wait4(started, &status, 0, &load->usage) < 0 && errno == EINTR)
        continue;
    load->units = opool__load_units(text, units);
    if (status == 0)
        return 0;
    return interruption() ? interrupted() : fail(text, status);
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
