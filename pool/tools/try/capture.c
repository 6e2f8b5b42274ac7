/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

_Static_assert(sizeof(pthread_t) <= sizeof(uintptr_t), "a thread fits a word");

/* FNV-1a: what differs by accident, differs here. */
static uint64_t hash(uint64_t hash, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static int pass_on(const unsigned char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        bytes += written;
        n -= (size_t)written;
    }
    return 0;
}

static void *read_all(void *void_capture)
{
    struct opool__capture *capture = void_capture;
    unsigned char piece[PIECE];
    for (;;) {
        ssize_t n = read(capture->from, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        capture->bytes += (uint64_t)n;
        capture->hash = hash(capture->hash, piece, (size_t)n);
        if (capture->pass && capture->error == 0)
            capture->error = pass_on(piece, (size_t)n);
    }
}

int opool__capture_open(struct opool__capture *capture)
{
    int ends[2];
    *capture = (struct opool__capture){.hash = UINT64_C(0xcbf29ce484222325)};
    capture->saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (capture->saved < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    capture->from = ends[0];
    (void)dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    return 0;
}

int opool__capture_begin(struct opool__capture *capture, bool pass)
{
    pthread_t thread;
    capture->pass = pass;
    (void)dup2(capture->saved, STDOUT_FILENO);
    close(capture->saved);
    int r = pthread_create(&thread, NULL, read_all, capture);
    if (r != 0) {
        close(capture->from);
        return r;
    }
    memcpy(&capture->thread, &thread, sizeof thread);
    return 0;
}

void opool__capture_end(struct opool__capture *capture, bool now)
{
    pthread_t thread;
    memcpy(&thread, &capture->thread, sizeof thread);
    if (now)
        pthread_cancel(thread);
    pthread_join(thread, NULL);
    close(capture->from);
}
