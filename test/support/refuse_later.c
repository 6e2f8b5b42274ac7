/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses membarrier from some moment on, as after a sandbox was entered: preloaded into a test program.
 * A thread sleeps for REFUSE_AFTER_MS milliseconds (default 20), then puts a filter over all threads of the process. In
 * children of a fork it starts anew.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void refuse(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        perror("refuse_later: seccomp");
        _exit(126); /* a test that ran without it would prove nothing */
    }
}

static void *later(void *unused)
{
    const char *text = getenv("REFUSE_AFTER_MS");
    long milliseconds = text ? atol(text) : 20;
    struct timespec delay = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    (void)unused;
    nanosleep(&delay, NULL);
    refuse();
    return NULL;
}

static void start(void)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, later, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static __attribute__((constructor)) void load(void)
{
    pthread_atfork(NULL, NULL, start);
    start();
}
