/* SPDX-License-Identifier: MIT */
#include "os/unwind.h"

#include <errno.h>
#include <link.h>
#include <opool/atomic.h>
#include <string.h>
#include <unistd.h>

#include "os/lock.h"
#include "os/os.h"

/*
 * What the loader said when somebody asked, outside of signal handlers: for a process that sees no /proc any more,
 * because it changed its root. Entries are only added, and never change once they count.
 */

enum { MODULES_MOST = 256, SEGMENTS_MOST = 8 };

struct module {
    uintptr_t bias;
    unsigned segments;
    struct {
        uintptr_t start, end; /* without bias, of the linker's */
        uint64_t offset;
    } segment[SEGMENTS_MOST];
    char file[OPOOL__FILE_MOST];
};

static struct {
    uint32_t lock; /* around adding; who finds it taken leaves it to the other */
    uint32_t shared_count;
    unsigned long long adds; /* of the loader, when all were known */
    struct module *modules;  /* MODULES_MOST of them; NULL: not one is known */
} known;

static size_t memory_bytes(void)
{
    size_t page = opool__os.page_size();
    return (MODULES_MOST * sizeof *known.modules + page - 1) / page * page;
}

static bool make_room(void)
{
    void *at;
    if (known.modules)
        return true;
    if (opool__os.reserve(&at, memory_bytes()) != 0)
        return false;
    if (opool__os.commit(at, memory_bytes()) != 0) {
        (void)opool__os.release(at, memory_bytes());
        return false;
    }
    known.modules = at;
    return true;
}

/* The program itself has no name there. */
static void copy_name(char *file, const char *name)
{
    static const char self[] = "/proc/self/exe";
    if (name && name[0]) {
        size_t length = strnlen(name, OPOOL__FILE_MOST - 1);
        memcpy(file, name, length);
        file[length] = 0;
        return;
    }
    ssize_t length = readlink(self, file, OPOOL__FILE_MOST - 1);
    if (length > 0)
        file[length] = 0;
    else
        memcpy(file, self, sizeof self);
}

static bool is_known(const struct module *module)
{
    for (uint32_t i = 0; i < known.shared_count; i++)
        if (known.modules[i].bias == module->bias && strcmp(known.modules[i].file, module->file) == 0)
            return true;
    return false;
}

static void add_segment(struct module *module, const ElfW(Phdr) * segment)
{
    if (segment->p_type != PT_LOAD || module->segments == SEGMENTS_MOST)
        return;
    /* As the kernel maps it: the page that the segment begins in, from the file's page. */
    uintptr_t into = segment->p_vaddr % opool__os.page_size();
    module->segment[module->segments].start = segment->p_vaddr - into;
    module->segment[module->segments].end = segment->p_vaddr + segment->p_filesz;
    module->segment[module->segments].offset = segment->p_offset - into;
    module->segments++;
}

static int note(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)unused;
    bool has_adds = size >= offsetof(struct dl_phdr_info, dlpi_adds) + sizeof info->dlpi_adds;
    if ((has_adds && info->dlpi_adds == known.adds) || known.shared_count == MODULES_MOST)
        return 1;
    struct module *module = &known.modules[known.shared_count];
    module->bias = info->dlpi_addr;
    module->segments = 0;
    copy_name(module->file, info->dlpi_name);
    for (int i = 0; i < info->dlpi_phnum; i++)
        add_segment(module, &info->dlpi_phdr[i]);
    if (!is_known(module))
        /* release: who counts it sees it whole. */
        opool__store_release(&known.shared_count, known.shared_count + 1);
    return 0;
}

static int read_adds(struct dl_phdr_info *info, size_t size, void *adds)
{
    if (size >= offsetof(struct dl_phdr_info, dlpi_adds) + sizeof info->dlpi_adds)
        *(unsigned long long *)adds = info->dlpi_adds;
    return 1;
}

void opool__os_note_modules(void)
{
    unsigned long long adds = 0;
    /* Before the loader is asked for all: what it loads meanwhile is looked for the next time. */
    (void)dl_iterate_phdr(read_adds, &adds);
    if (!opool__lock_try(&known.lock))
        return;
    if (make_room() && dl_iterate_phdr(note, NULL) == 0)
        known.adds = adds;
    opool__lock_drop(&known.lock);
}

int opool__modules_each(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg)
{
    struct opool__mapping mapping;
    /* acquire: what counts is whole. */
    uint32_t count = opool__load_acquire(&known.shared_count);
    for (uint32_t i = count; i-- > 0;) {
        const struct module *module = &known.modules[i];
        memcpy(mapping.file, module->file, sizeof mapping.file);
        for (unsigned k = 0; k < module->segments; k++) {
            mapping.start = module->bias + module->segment[k].start;
            mapping.end = module->bias + module->segment[k].end;
            mapping.offset = module->segment[k].offset;
            if (!look(arg, &mapping))
                return 0;
        }
    }
    return count ? 0 : -ENOENT;
}
