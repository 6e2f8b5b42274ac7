/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guarded.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* else address space is reserved by terabytes */
#endif

enum {
    SECONDS = 20,              /* of processor time, for a file of the first 100 MB */
    BYTES_A_SECOND = 10000000, /* ten times as long as is measured */
    WAIT_SECONDS = 600,        /* in all: debug information may come over a network */
    TEXT_MOST = 256 << 20,
};

static void limit(unsigned what, rlim_t most)
{
    struct rlimit now;
    if (getrlimit(what, &now) != 0)
        return;
    if (now.rlim_max < most)
        most = now.rlim_max;
    now.rlim_cur = most;
    setrlimit(what, &now);
}

static void bound(unsigned long long file_size)
{
    static const int always[] = {SIGALRM, SIGXCPU, SIGABRT}, crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t none;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        signal(always[i], SIG_DFL);
    for (size_t i = 0; !SANITIZED && i < sizeof crashes / sizeof *crashes; i++)
        signal(crashes[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, SECONDS + (rlim_t)(file_size / BYTES_A_SECOND));
    if (!SANITIZED)
        limit(RLIMIT_AS, ((rlim_t)1 << 30) + (rlim_t)file_size * 8);
    alarm(WAIT_SECONDS);
}

/* What libdw writes before it aborts is of no use to who gave the file. */
static void hush(void)
{
    int null = SANITIZED ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
}

/* Only the work's end counts as one: exit() called below it, as libdw does without memory, has another status. */
static _Noreturn void be_child(int (*work)(void *, FILE *), void *arg, unsigned long long file_size, int fd)
{
    bound(file_size);
    hush();
    FILE *out = fdopen(fd, "w");
    if (!out)
        _exit(GUARDED_NO_MEMORY);
    int result = work(arg, out);
    if (fclose(out) != 0)
        _exit(GUARDED_NO_MEMORY);
    _exit(GUARDED_RESULT + (result & GUARDED_MOST));
}

/* 0, or a negative errno value. */
static int read_all(int fd, struct guarded *to)
{
    size_t room = 0;
    for (;;) {
        if (to->length + 1 >= room) {
            room = room ? room * 2 : 4096;
            char *grown = room <= TEXT_MOST ? realloc(to->text, room) : NULL;
            if (!grown)
                return room <= TEXT_MOST ? -ENOMEM : -EFBIG;
            to->text = grown;
        }
        ssize_t n = read(fd, to->text + to->length, room - to->length - 1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        to->length += n > 0 ? (size_t)n : 0;
    }
    to->text[to->length] = '\0';
    return 0;
}

static int wait_for(pid_t child, int *status)
{
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return -errno; /* the program has children reaped by itself: nothing can be known */
    return 0;
}

static const char *told_by(int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return "reading it takes too much processor time: malformed, or too large";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        return "reading it takes longer than ten minutes";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return "reading it was stopped from outside: too little memory?";
    if (WIFEXITED(status) && WEXITSTATUS(status) == GUARDED_NO_MEMORY)
        return "reading it takes too much memory: malformed, or too large";
    return "the file is malformed: reading it crashed";
}

static int judge(int status, struct guarded *to, const char **why)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) >= GUARDED_RESULT) {
        to->result = WEXITSTATUS(status) - GUARDED_RESULT;
        return 0;
    }
    *why = told_by(status);
    return -EBADMSG;
}

static int failed(struct guarded *to, int error, const char **why, const char *text)
{
    free(to->text);
    *to = (struct guarded){0};
    if (text)
        *why = text;
    return error;
}

int opool__shapes_guarded(int (*work)(void *arg, FILE *out), void *arg, unsigned long long file_size,
                          struct guarded *to, const char **why)
{
    int ends[2], status = 0;
    *to = (struct guarded){0};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return failed(to, -errno, why, "no pipe to be had");
    fflush(NULL); /* the child must not write what is pending here */
    pid_t child = fork();
    if (child < 0) {
        int error = -errno;
        close(ends[0]);
        close(ends[1]);
        return failed(to, error, why, "no process to be had");
    }
    if (child == 0) {
        close(ends[0]);
        be_child(work, arg, file_size, ends[1]);
    }
    close(ends[1]);
    int error = read_all(ends[0], to);
    close(ends[0]);
    if (error)
        kill(child, SIGKILL);
    int waited = wait_for(child, &status);
    if (error)
        return failed(to, error, why, error == -EFBIG ? "the answer is too long" : "its answer can not be read");
    if (waited)
        return failed(to, waited, why, "its answer was lost");
    error = judge(status, to, why);
    return error ? failed(to, error, why, NULL) : 0;
}
