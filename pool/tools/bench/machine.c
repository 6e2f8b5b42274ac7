/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "../clean.h"

/* The value of the first line of /proc/cpuinfo that begins with `field`; empty: there is none. */
static void read_cpuinfo(const char *field, char *value, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");
    *value = '\0';
    while (file && !*value && getline(&line, &room, file) > 0) {
        const char *colon = strchr(line, ':');
        line[strcspn(line, "\n")] = '\0';
        if (colon && strncmp(line, field, strlen(field)) == 0)
            opool__clean_copy(value, size, colon + 1 + strspn(colon + 1, " "));
    }
    free(line);
    if (file)
        fclose(file);
}

#if defined(__x86_64__) || defined(__i386__)

struct hypervisor {
    const char *signature, *name;
};

static const struct hypervisor hypervisors[] = {{"KVMKVMKVM", "KVM"},       {"Microsoft Hv", "Hyper-V"},
                                                {"VMwareVMware", "VMware"}, {"XenVMMXenVMM", "Xen"},
                                                {"TCGTCGTCGTCG", "QEMU"},   {"bhyve bhyve ", "bhyve"}};

/* The processor itself says so, unless a hypervisor hides. */
static void find_hypervisor(char *text, size_t size)
{
    unsigned a, b, c, d;
    char signature[13] = "";
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 31)) {
        snprintf(text, size, "no virtual machine");
        return;
    }
    __cpuid(0x40000000u, a, b, c, d);
    memcpy(signature, &b, 4);
    memcpy(signature + 4, &c, 4);
    memcpy(signature + 8, &d, 4);
    for (size_t i = 0; i < sizeof hypervisors / sizeof *hypervisors; i++)
        if (strcmp(signature, hypervisors[i].signature) == 0) {
            snprintf(text, size, "virtual machine (%s)", hypervisors[i].name);
            return;
        }
    snprintf(text, size, "virtual machine");
}

#else

static void find_hypervisor(char *text, size_t size)
{
    snprintf(text, size, "%s",
             access("/proc/device-tree/hypervisor", F_OK) == 0 ? "virtual machine" : "perhaps a virtual machine");
}

#endif

void opool__bench_machine(struct machine *machine)
{
    struct utsname names;
    cpu_set_t *set = CPU_ALLOC(8192);
    size_t bytes = CPU_ALLOC_SIZE(8192);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *machine = (struct machine){.processors = online > 0 ? (unsigned)online : 1};
    if (set && sched_getaffinity(0, bytes, set) == 0)
        machine->processors = (unsigned)CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    read_cpuinfo("model name", machine->processor, sizeof machine->processor);
    if (uname(&names) == 0) {
        snprintf(machine->kernel, sizeof machine->kernel, "%.60s %.60s", names.sysname, names.release);
        if (!machine->processor[0])
            snprintf(machine->processor, sizeof machine->processor, "%s", names.machine);
    }
    find_hypervisor(machine->virtual, sizeof machine->virtual);
    if (getloadavg(&machine->load, 1) != 1)
        machine->load = 0;
}
