/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_MACHINE_H
#define OPOOL_TOOLS_BENCH_MACHINE_H

/* What it runs on. */

struct machine {
    char processor[128], kernel[128];
    char virtual[64];    /* "no virtual machine", "virtual machine (KVM)", or that it is not known */
    unsigned processors; /* that this process may use */
    double load;         /* of the last minute */
};

void opool__bench_machine(struct machine *machine);

#endif
