/* SPDX-License-Identifier: MIT */

/* A burst, then nothing: who gives its memory back? For test/try/run. Usage: idle WAY.
   back: waits until resident memory is back, and does it again in a forked child, and in one of a process of several
   threads. stays: makes no call for half a second. hits: after the burst only requests that are hits. threads: how
   many threads there are, what becomes of a signal that is for the process, and what is refused to several. exit: its
   first request that is served is one of the C library's, which has the lock of its exit handlers then. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 2000, SIZE = 16392, LOOK_NS = 20000000, PATIENCE = 3000 /* looks */ };

static void *volatile all[BLOCKS];

static void burst(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        memset(all[i] = malloc(SIZE), 1, SIZE);
    for (size_t i = 0; i < BLOCKS; i++)
        free(all[i]);
}

/* Pages; without any call of malloc. */
static long resident(void)
{
    char text[128], *rest;
    int fd = open("/proc/self/statm", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    (void)strtol(text, &rest, 10);
    return strtol(rest, NULL, 10);
}

static void sleep_a_while(void)
{
    const struct timespec a_while = {.tv_nsec = LOOK_NS};
    nanosleep(&a_while, NULL);
}

static bool goes_back(void)
{
    burst();
    long most = resident();
    for (int i = 0; i < PATIENCE; i++) {
        if (resident() < most / 2)
            return true;
        sleep_a_while();
    }
    return false;
}

static bool goes_back_in_child(void)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(!goes_back());
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void *fork_one(void *unused)
{
    return goes_back_in_child() ? unused : NULL;
}

static int run_back(void)
{
    pthread_t thread;
    void *good = NULL;
    if (!goes_back())
        return 1;
    if (!goes_back_in_child())
        return 2;
    if (pthread_create(&thread, NULL, fork_one, &thread) != 0 || !goes_back() || pthread_join(thread, &good) != 0 ||
        !good)
        return 3;
    return goes_back() ? 0 : 4;
}

static int run_stays(void)
{
    burst();
    for (int i = 0; i < 25; i++)
        sleep_a_while();
    return 0;
}

/* One block at a time is always a hit. */
static int run_hits(void)
{
    burst();
    for (int i = 0; i < 25; i++) {
        sleep_a_while();
        for (int j = 0; j < 2000; j++) {
            all[0] = malloc(64);
            free(all[0]);
        }
    }
    return 0;
}

static int count_threads(void)
{
    int threads = 0;
    DIR *folder = opendir("/proc/self/task");
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        threads += entry->d_name[0] != '.';
    closedir(folder);
    return threads;
}

/* A child that has our memory, and does with it what it should not: no thread may come of that. */
static void allocate_in_vfork(void)
{
    pid_t child = vfork();
    if (child == 0) {
        all[0] = malloc(SIZE);
        free(all[0]);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static int run_threads(void)
{
    sigset_t set, pending;
    allocate_in_vfork();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    burst();
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    sleep_a_while();
    sigpending(&pending);
    printf("%d threads, the signal waits: %d\n", count_threads(), sigismember(&pending, SIGUSR1));
    /* Where there are user namespaces at all. */
    bool refused = unshare(CLONE_NEWUSER) != 0 && errno == EINVAL;
    printf("a user namespace is refused for threads: %d\n", refused);
    return 0;
}

static void at_exit(void)
{
}

static int run_exit(void)
{
    alarm(100);
    for (int i = 0; i < 200; i++) /* more than it has room for: it asks for blocks of 1040 bytes */
        if (atexit(at_exit) != 0)
            return 1;
    puts("registered");
    return 0;
}

int main(int argc, char **argv)
{
    const char *way = argc == 2 ? argv[1] : "";
    return strcmp(way, "back") == 0      ? run_back()
           : strcmp(way, "stays") == 0   ? run_stays()
           : strcmp(way, "hits") == 0    ? run_hits()
           : strcmp(way, "threads") == 0 ? run_threads()
           : strcmp(way, "exit") == 0    ? run_exit()
                                         : 9;
}
