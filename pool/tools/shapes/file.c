/* SPDX-License-Identifier: MIT */
#include <ar.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "guarded.h"

enum { RECORDS_MOST = 1 << 16, MODULES_MOST = 1 << 16, NOTE_PARTS = 4 };

static const char magic[] = "opool-shape-1"; /* with its zero byte */

/* ---- records ---- */

/* The next of the strings in a note; NULL: the section ends before the string does. */
static const char *next_string(struct memory *memory, const char **at, const char *end)
{
    const char *start = *at, *zero = memchr(start, '\0', (size_t)(end - start));
    if (!zero)
        return NULL;
    *at = zero + 1;
    return opool__shapes_copy(memory, start);
}

static uint64_t read_u32(const unsigned char *bytes, bool big)
{
    uint64_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint64_t)bytes[i] << 8 * (big ? 3 - i : i);
    return value;
}

/* A record is a pointer, two 32-bit numbers, and the note. */
static bool read_record(struct memory *memory, const unsigned char *start, const unsigned char *note,
                        const unsigned char *end, bool is_64, bool big, struct record *record)
{
    const size_t before = (is_64 ? 8 : 4) + 8;
    const char *at = (const char *)note + sizeof magic;
    if ((size_t)(note - start) < before)
        return false;
    record->size = read_u32(note - 8, big);
    record->align = read_u32(note - 4, big);
    record->address = (uint64_t)(note - start) - before;
    record->name = next_string(memory, &at, (const char *)end);
    record->type = record->name ? next_string(memory, &at, (const char *)end) : NULL;
    record->kind = record->type ? next_string(memory, &at, (const char *)end) : NULL;
    record->more = record->kind ? next_string(memory, &at, (const char *)end) : NULL;
    return record->more != NULL;
}

static void add_record(struct memory *memory, struct module *module, const struct record *record)
{
    module->records = opool__shapes_grow(memory, module->records, module->count, sizeof *record);
    module->records[module->count++] = *record;
}

static void read_section(struct memory *memory, struct module *module, Elf *elf, Elf_Scn *section,
                         const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    const char *ident = elf_getident(elf, NULL);
    if (!data || !data->d_buf || !ident)
        return;
    const unsigned char *start = data->d_buf, *end = start + data->d_size, *at = start;
    while (module->count < RECORDS_MOST && (at = memmem(at, (size_t)(end - at), magic, sizeof magic)) != NULL) {
        struct record record = {0};
        if (read_record(memory, start, at, end, ident[EI_CLASS] == ELFCLASS64, ident[EI_DATA] == ELFDATA2MSB,
                        &record)) {
            record.address += header->sh_addr;
            add_record(memory, module, &record);
        }
        at += sizeof magic;
    }
}

static void read_sections(struct memory *memory, struct module *module, Elf *elf)
{
    size_t names;
    unsigned infos = 0;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return;
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (!name)
            continue;
        if (strncmp(name, ".gnu.lto_", 9) == 0)
            module->is_lto = true;
        infos += strcmp(name, ".debug_info") == 0 || strcmp(name, ".debug_types") == 0;
        if (strcmp(name, "opool_shapes") != 0)
            continue;
        if (header.sh_type == SHT_NOBITS)
            module->is_debug_only = true;
        else
            read_section(memory, module, elf, section, &header);
    }
    module->has_type_units = infos > 1;
}

/* Are its section headers inside the file? Else it looks like one without sections. */
static bool is_whole(Elf *elf, const GElf_Ehdr *header)
{
    size_t size = 0, sections = 0;
    if (header->e_shoff == 0)
        return true;
    return elf_rawfile(elf, &size) && elf_getshdrnum(elf, &sections) == 0 && header->e_shoff < size &&
           header->e_shentsize > 0 && sections <= (size - header->e_shoff) / header->e_shentsize && sections > 0;
}

/* ---- modules ---- */

static int add_module(Dwfl_Module *handle, void **userdata, const char *name, Dwarf_Addr start, void *arg)
{
    struct file *file = arg;
    GElf_Addr bias;
    GElf_Ehdr header;
    (void)userdata;
    (void)start;
    if (file->count >= MODULES_MOST)
        return DWARF_CB_ABORT;
    Elf *elf = dwfl_module_getelf(handle, &bias);
    if (!elf || !gelf_getehdr(elf, &header)) {
        file->error = opool__shapes_copy(file->memory, dwfl_errmsg(-1));
        return DWARF_CB_OK;
    }
    if (!is_whole(elf, &header))
        file->error = opool__shapes_format(file->memory, "%s%sthe file is malformed, or cut short",
                                           name && name[0] ? name : "", name && name[0] ? ": " : "");
    struct module module = {
        .module = handle, .is_object = header.e_type == ET_REL, .is_x86_32 = header.e_machine == EM_386};
    if (name && name[0])
        module.name = opool__shapes_copy(file->memory, name);
    read_sections(file->memory, &module, elf);
    file->modules = opool__shapes_grow(file->memory, file->modules, file->count, sizeof module);
    file->modules[file->count++] = module;
    return DWARF_CB_OK;
}

static __attribute__((noreturn)) void no_memory(void)
{
    _exit(GUARDED_NO_MEMORY);
}

void opool__shapes_open_debug(struct module *module)
{
    Dwarf_Addr bias;
    if (module->dwarf || module->why)
        return;
    module->dwarf = dwfl_module_getdwarf(module->module, &bias);
    if (module->dwarf)
        dwarf_new_oom_handler(module->dwarf, no_memory);
    else
        module->why = dwfl_errmsg(-1);
}

/* ---- the file ---- */

bool opool__shapes_file_size(const char *path, unsigned long long *size, const char **why)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        *why = strerror(errno);
        return false;
    }
    if (!S_ISREG(about.st_mode)) {
        *why = "not a regular file";
        return false;
    }
    *size = (unsigned long long)about.st_size;
    return true;
}

/* libdwfl would also look for ELF inside kernel images and compressed files: nothing that pools are in. */
static bool has_good_start(int fd, bool *is_archive, const char **why)
{
    char start[8] = {0};
    ssize_t length = pread(fd, start, sizeof start, 0);
    *is_archive = length == 8 && memcmp(start, "!<arch>\n", 8) == 0;
    if (length == 8 && memcmp(start, "!<thin>\n", 8) == 0)
        *why = "a thin archive: give the files that it names";
    else if (length >= 4 && memcmp(start, "BC\xc0\xde", 4) == 0)
        *why = "LLVM bitcode (-flto): look at the linked program";
    else if (length < 0)
        *why = strerror(errno);
    else if (*is_archive || (length >= 4 && memcmp(start, ELFMAG, SELFMAG) == 0))
        return true;
    else
        *why = "not an ELF file, nor an archive of them";
    return false;
}

const char *opool__shapes_dwfl_error(struct memory *memory)
{
    const char *text = dwfl_errmsg(-1);
    return opool__shapes_format(memory, "it can not be read: %s", text ? text : "no reason given");
}

/* Module names of an archive are its members'; of a file, the path that was given. */
static void forget_own_name(struct file *file, bool is_archive)
{
    for (size_t i = 0; i < file->count && !is_archive; i++)
        file->modules[i].name = NULL;
}

/* ---- archives ---- */

/* The member as a file of its own. */
static bool report_member(struct file *file, const char *name, const char *bytes, size_t size)
{
    int fd = memfd_create("member", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);
        if (n <= 0) {
            close(fd);
            return false;
        }
        done += (size_t)n;
    }
    const char *path = opool__shapes_format(file->memory, "/proc/self/fd/%d", fd);
    bool reported = dwfl_report_offline(file->dwfl, name, path, -1) != NULL;
    close(fd);
    return reported;
}

static void report_if_elf(struct file *file, Elf *member)
{
    size_t size;
    const Elf_Arhdr *header = elf_getarhdr(member);
    const char *bytes = header ? elf_rawfile(member, &size) : NULL;
    if (!bytes || size < SELFMAG)
        return;
    if (memcmp(bytes, "BC\xc0\xde", 4) == 0)
        file->has_bitcode = true;
    else if (memcmp(bytes, ELFMAG, SELFMAG) == 0 && !report_member(file, header->ar_name, bytes, size))
        file->error = opool__shapes_format(file->memory, "%s can not be read", header->ar_name);
}

/* libdwfl reports nothing of an archive that has anything but ELF files in it: this does member by member. */
static bool report_members(struct file *file, int fd)
{
    Elf_Cmd command = ELF_C_READ_MMAP;
    Elf *archive = elf_begin(fd, command, NULL), *member;
    if (!archive)
        return false;
    for (int i = 0; i < MODULES_MOST && (member = elf_begin(fd, command, archive)) != NULL; i++) {
        report_if_elf(file, member);
        command = elf_next(member);
        elf_end(member);
    }
    elf_end(archive);
    return true;
}

/* libdwfl opens the file again: of a descriptor that it was given it is not clear who closes it after a failure. */
static bool report(struct file *file, const char *path, int fd, bool is_archive)
{
    dwfl_report_begin(file->dwfl);
    if (dwfl_report_offline(file->dwfl, path, path, -1))
        return true;
    if (!is_archive)
        return false;
    dwfl_report_begin(file->dwfl); /* forgets what the first attempt reported */
    return report_members(file, fd);
}

/* Readers stop in silence where an archive is broken: what lies behind would not be missed. */
static bool is_whole_archive(int fd)
{
    struct ar_hdr header;
    struct stat about;
    off_t at = SARMAG;
    if (fstat(fd, &about) != 0)
        return false;
    while (at < about.st_size) {
        char digits[sizeof header.ar_size + 1] = "", *end;
        if (pread(fd, &header, sizeof header, at) != (ssize_t)sizeof header ||
            memcmp(header.ar_fmag, ARFMAG, sizeof header.ar_fmag) != 0)
            return false;
        memcpy(digits, header.ar_size, sizeof header.ar_size);
        long long size = strtoll(digits, &end, 10);
        if (end == digits || size < 0 || size > about.st_size - at - (off_t)sizeof header)
            return false;
        at += (off_t)sizeof header + size + size % 2;
    }
    return true;
}

/* ---- the file, opened ---- */

Dwfl *opool__shapes_dwfl(void)
{
    static char *debug_path;
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
        .debuginfo_path = &debug_path,
    };
    Dwfl *dwfl = dwfl_begin(&callbacks);
    if (!dwfl)
        _exit(GUARDED_NO_MEMORY);
    return dwfl;
}

bool opool__shapes_open(struct file *file, struct memory *memory, const char *path, const char **why)
{
    bool is_archive = false;
    *file = (struct file){.memory = memory};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        *why = strerror(errno);
        return false;
    }
    if (!has_good_start(fd, &is_archive, why)) {
        close(fd);
        return false;
    }
    file->dwfl = opool__shapes_dwfl();
    bool reported = report(file, path, fd, is_archive);
    if (is_archive && !is_whole_archive(fd))
        file->error = "the archive is malformed, or cut short";
    close(fd);
    if (!reported) {
        *why = opool__shapes_dwfl_error(memory);
        opool__shapes_close(file);
        return false;
    }
    dwfl_report_end(file->dwfl, NULL, NULL);
    dwfl_getmodules(file->dwfl, add_module, file, 0);
    forget_own_name(file, is_archive);
    return true;
}

void opool__shapes_close(struct file *file)
{
    if (file->dwfl)
        dwfl_end(file->dwfl);
    file->dwfl = NULL;
}
