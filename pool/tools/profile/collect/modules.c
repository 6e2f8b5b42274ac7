/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "os/lock.h"

static bool is_known(uintptr_t address)
{
    /* acquire: elements are counted after they were zeroed, filled after that: an empty one matches nothing. */
    uint32_t used = opool__load_acquire(&opool__image.header->modules.used);
    for (uint32_t i = used; i-- > 0;) {
        const struct opool__profile_module *module = &opool__image.modules[i];
        if (address >= module->start && address < module->end)
            return true;
    }
    return false;
}

/* Notes are 4-byte aligned, their name "GNU". */
static void find_build_id(const struct dl_phdr_info *info, const ElfW(Phdr) * segment,
                          struct opool__profile_module *module)
{
    const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr), *end = at + segment->p_memsz;
    while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof note);
        uint64_t name = ((uint64_t)note.n_namesz + 3) & ~UINT64_C(3),
                 bytes = ((uint64_t)note.n_descsz + 3) & ~UINT64_C(3);
        at += sizeof note;
        if (name > (size_t)(end - at) || bytes > (size_t)(end - at) - name)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(at, "GNU", 4) == 0) {
            module->id_bytes = note.n_descsz < OPOOL__PROFILE_ID ? note.n_descsz : OPOOL__PROFILE_ID;
            memcpy(module->id, at + name, module->id_bytes);
            return;
        }
        at += name + bytes;
    }
}

/* The program itself has no name, the kernel's own library no file; a relative name is as seen from where we are. */
static void name(const struct dl_phdr_info *info, struct opool__profile_module *module)
{
    size_t room = sizeof module->path - 1;
    const char *path = info->dlpi_name;
    ssize_t n = 0;
    if (info->dlpi_addr == getauxval(AT_SYSINFO_EHDR) && info->dlpi_addr != 0) {
        memcpy(module->path, "[vdso]", 7);
        return;
    }
    if (!path || !*path) {
        (void)readlink("/proc/self/exe", module->path, room);
        return;
    }
    if (*path != '/' && getcwd(module->path, room))
        n = (ssize_t)strlen(module->path);
    snprintf(module->path + n, room - (size_t)n, "%s%s", n ? "/" : "", path);
}

static void describe(const struct dl_phdr_info *info, const ElfW(Phdr) * code, struct opool__profile_module *module)
{
    *module = (struct opool__profile_module){.start = info->dlpi_addr + code->p_vaddr,
                                             .end = info->dlpi_addr + code->p_vaddr + code->p_memsz,
                                             .file_offset = code->p_offset,
                                             .bias = info->dlpi_addr};
    name(info, module);
    for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE && !module->id_bytes)
            find_build_id(info, &info->dlpi_phdr[i], module);
}

static void add(const struct opool__profile_module *module)
{
    opool__image_lock();
    if (!is_known(module->start)) {
        /* The element counts before it is filled: who needs it meanwhile notes it twice at the most. */
        uint32_t number = opool__image_take(&opool__image.header->modules);
        if (number != UINT32_MAX)
            opool__image.modules[number] = *module;
        else
            opool__add_relaxed(&opool__image.header->lost_modules, (uint64_t)1);
    }
    opool__image_unlock();
}

static int see(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct opool__profile_module *module = arg;
    (void)size;
    for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || is_known(info->dlpi_addr + segment->p_vaddr))
            continue;
        describe(info, segment, module);
        add(module);
    }
    return 0;
}

/* Held while the loader is asked. Who would wait for it may hold the loader's own lock: so nobody does but a fork. */
static uint32_t shared_lock;

void opool__modules_lock(void)
{
    opool__lock_take(&shared_lock);
}

void opool__modules_unlock(void)
{
    opool__lock_drop(&shared_lock);
}

void opool__modules_reset_lock(void)
{
    opool__lock_reset(&shared_lock);
}

/* Who finds another one asking leaves it to that one to ask again. */
void opool__modules_note(void)
{
    static uint32_t wanted;
    struct opool__profile_module module;
    (void)opool__exchange_acquire(&wanted, 1u);
    while (opool__load_relaxed(&wanted) && opool__lock_try(&shared_lock)) {
        (void)opool__exchange_acquire(&wanted, 0u);
        (void)dl_iterate_phdr(see, &module);
        opool__lock_drop(&shared_lock);
    }
}

static bool all_known(const uintptr_t *addresses, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!is_known(addresses[i] - 1)) /* a call may be the last instruction */
            return false;
    return true;
}

/* Code that the loader does not know, as made at run time, would have it asked again and again. */
void opool__modules_need(const uintptr_t *addresses, uint32_t count)
{
    static uint64_t asked_in_vain;
    uint32_t before = opool__load_relaxed(&opool__image.header->modules.used);
    /* In a child that was forked in the midst of this, the loader's lock may be one that nobody drops. */
    if (!*opool__image_own || all_known(addresses, count) || opool__load_relaxed(&asked_in_vain) > 1000)
        return;
    opool__modules_note();
    if (opool__load_relaxed(&opool__image.header->modules.used) == before)
        opool__add_relaxed(&asked_in_vain, (uint64_t)1);
}
