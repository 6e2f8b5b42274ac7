/* SPDX-License-Identifier: MIT */
#include "modules.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "os/lock.h"
#include "stack.h"

static bool any_left;

/* Modules that the loader names now: by whoever asks it. */
static uint64_t present[(OPOOL__ROOM_MODULES + 63) / 64];

/* The number of the last one that has this address, whether it is still there or not; UINT32_MAX: none. */
static uint32_t last_at(uintptr_t address)
{
    /* acquire: elements are counted after they were zeroed, filled after that: an empty one matches nothing. */
    uint32_t used = opool__load_acquire(&opool__image.header->modules.used);
    for (uint32_t i = used; i-- > 0;) {
        const struct opool__profile_module *module = &opool__image.modules[i];
        if (address >= module->start && address < module->end)
            return i;
    }
    return UINT32_MAX;
}

static bool is_known(uintptr_t address)
{
    uint32_t number = last_at(address);
    return number != UINT32_MAX && !opool__load_relaxed(&opool__image.modules[number].left);
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

/* The element counts before it is filled: who needs it meanwhile notes it twice at the most. */
static uint32_t add(const struct opool__profile_module *module)
{
    opool__image_lock();
    uint32_t number = opool__image_take(&opool__image.header->modules);
    if (number != UINT32_MAX)
        opool__image.modules[number] = *module;
    else
        opool__add_relaxed(&opool__image.header->lost_modules, (uint64_t)1);
    opool__image_unlock();
    return number;
}

/* By build-id where there is one: a path changes with the folder we are in, and when the file is replaced. */
static bool is_same(const struct opool__profile_module *a, const struct opool__profile_module *b)
{
    return a->start == b->start && a->end == b->end && a->file_offset == b->file_offset && a->bias == b->bias &&
           a->id_bytes == b->id_bytes && memcmp(a->id, b->id, a->id_bytes) == 0 &&
           (a->id_bytes || strcmp(a->path, b->path) == 0);
}

/* Was other code at any of its addresses since? */
static bool was_covered(uint32_t number)
{
    const struct opool__profile_module *all = opool__image.modules, *module = &all[number];
    uint32_t used = opool__load_acquire(&opool__image.header->modules.used);
    for (uint32_t i = number + 1; i < used; i++)
        if (all[i].start < module->end && module->start < all[i].end)
            return true;
    return false;
}

/* It is to be known no more. Sites that there are stay its own. */
static void leave(struct opool__profile_module *module)
{
    opool__stack_hide(module->start, module->end);
    opool__store_relaxed(&any_left, true);
    opool__store_relaxed(&module->left, (uint64_t)opool__load_relaxed(&opool__image.header->sites.used) + 1);
}

/* One that went and came again, and nothing was there in between, never went. */
static uint32_t find_or_add(const struct opool__profile_module *module)
{
    uint32_t number = last_at(module->start);
    struct opool__profile_module *there = number != UINT32_MAX ? &opool__image.modules[number] : NULL;
    if (there && is_same(there, module) && !was_covered(number)) {
        if (there->left) {
            opool__stack_show(there->start, there->end);
            opool__store_relaxed(&there->left, (uint64_t)0);
        }
        return number;
    }
    if (there && !there->left) /* another thread has just unloaded it */
        leave(there);
    opool__stack_drop(module->start, module->end);
    return add(module);
}

static unsigned long long loaded, unloaded;

/* The loader counts what it loads and unloads. */
static bool is_unchanged(const struct dl_phdr_info *info, size_t size)
{
    if (size < offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs)
        return false;
    bool unchanged = info->dlpi_adds == loaded && info->dlpi_subs == unloaded;
    loaded = info->dlpi_adds;
    unloaded = info->dlpi_subs;
    return unchanged;
}

struct seeing {
    struct opool__profile_module module;
    bool begun;
};

/* Not 0: nothing is new. */
static int see(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct seeing *seeing = arg;
    if (!seeing->begun && is_unchanged(info, size))
        return 1;
    seeing->begun = true;
    for (ElfW(Half) i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
            continue;
        describe(info, segment, &seeing->module);
        uint32_t number = find_or_add(&seeing->module);
        if (number != UINT32_MAX)
            present[number / 64] |= UINT64_C(1) << number % 64;
    }
    return 0;
}

static void note_left(void)
{
    uint32_t used = opool__load_acquire(&opool__image.header->modules.used);
    for (uint32_t i = 0; i < used; i++)
        if (!opool__image.modules[i].left && !(present[i / 64] >> i % 64 & 1))
            leave(&opool__image.modules[i]);
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

/* Nobody here will ever drop the loader's lock, perhaps. */
static bool is_loader_lost;

void opool__modules_renew(bool locked)
{
    is_loader_lost = is_loader_lost || (!locked && !opool__lock_try(&shared_lock));
    opool__lock_reset(&shared_lock);
    loaded = unloaded = 0; /* some may be missing among those that were copied */
}

/* Who finds another one asking leaves it to that one to ask again. */
void opool__modules_note(void)
{
    static uint32_t wanted;
    struct seeing seeing;
    if (is_loader_lost)
        return;
    (void)opool__exchange_acquire(&wanted, 1u);
    while (opool__load_relaxed(&wanted) && opool__lock_try(&shared_lock)) {
        (void)opool__exchange_acquire(&wanted, 0u);
        memset(present, 0, sizeof present);
        seeing.begun = false;
        if (dl_iterate_phdr(see, &seeing) == 0)
            note_left();
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
    /* In a child that was forked in the midst of this, the loader's lock may be one that nobody drops. */
    if (!*opool__image_own || all_known(addresses, count) || opool__load_relaxed(&asked_in_vain) > 1000)
        return;
    opool__modules_note();
    if (!all_known(addresses, count))
        opool__add_relaxed(&asked_in_vain, (uint64_t)1);
}

bool opool__modules_are_same(const uintptr_t *addresses, uint32_t count, uint32_t site)
{
    uint32_t used = opool__load_acquire(&opool__image.header->modules.used);
    for (uint32_t i = 0; i < used && opool__load_relaxed(&any_left); i++)
        for (uint32_t k = 0; k < count && opool__load_relaxed(&opool__image.modules[i].left); k++)
            if (opool__profile_holds(&opool__image.modules[i], addresses[k] - 1, site))
                return false;
    return true;
}
