/* SPDX-License-Identifier: MIT */
#include "os/inspect.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

/* A static program has no loader to ask, and needs none for our sake. */
#pragma weak dlsym

bool opool__os_read_memory(void *to, const void *from, size_t bytes)
{
    int saved = errno;
    struct iovec target = {.iov_base = to, .iov_len = bytes};
    struct iovec source = {.iov_base = (void *)(uintptr_t)from, .iov_len = bytes};
    ssize_t n = process_vm_readv(getpid(), &target, 1, &source, 1, 0);
    errno = saved;
    return n >= 0 && (size_t)n == bytes;
}

struct walk {
    bool (*look)(void *arg, const void *at, size_t bytes);
    void *arg;
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *void_walk)
{
    const struct walk *walk = void_walk;
    bool has_tls = size >= offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof info->dlpi_tls_data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        /* Thread-local variables, as far as the loader tells: of this thread. */
        if (segment->p_type == PT_TLS && has_tls && info->dlpi_tls_data &&
            !walk->look(walk->arg, info->dlpi_tls_data, segment->p_memsz))
            return 1;
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W))
            continue;
        if (!walk->look(walk->arg, (const void *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr), segment->p_memsz))
            return 1;
    }
    return 0;
}

void opool__os_each_segment(bool (*look)(void *arg, const void *at, size_t bytes), void *arg)
{
    struct walk walk = {look, arg};
    (void)dl_iterate_phdr(look_at_object, &walk);
}

void *opool__os_symbol(const char *name)
{
    /* NULL is RTLD_DEFAULT, which only _GNU_SOURCE names. */
    return dlsym ? dlsym(NULL, name) : NULL;
}
