/* SPDX-License-Identifier: MIT */

/* Preloaded, the kernel seems older than 5.14 (no MADV_POPULATE_WRITE), and with REFUSE_WIPE than 4.14 (no
   MADV_WIPEONFORK). */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int madvise(void *at, size_t bytes, int advice)
{
    if (advice == 23 || (advice == MADV_WIPEONFORK && getenv("REFUSE_WIPE"))) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, at, bytes, advice);
}
