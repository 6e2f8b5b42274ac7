/* SPDX-License-Identifier: MIT */

/*
 * Runs a program for which the kernel refuses membarrier(2) with EPERM, as a container's seccomp profile does.
 * Usage: refuse_membarrier PROGRAM [ARGUMENT...]
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_SKIPPED = 77, EXIT_NOT_RUN = 127 };

static int refuse(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: refuse_membarrier PROGRAM [ARGUMENT...]\n");
        return EXIT_NOT_RUN;
    }
    if (refuse()) {
        printf("skipped: no seccomp filter here: %s\n", strerror(errno));
        return EXIT_SKIPPED;
    }
    if (syscall(SYS_membarrier, 0, 0, 0) != -1 || errno != EPERM) {
        fprintf(stderr, "refuse_membarrier: membarrier still works\n");
        return EXIT_NOT_RUN;
    }
    execv(argv[1], argv + 1);
    fprintf(stderr, "refuse_membarrier: %s: %s\n", argv[1], strerror(errno));
    return EXIT_NOT_RUN;
}
