/* SPDX-License-Identifier: MIT */
#include "os/image.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/lock.h"
#include "os/os.h"

enum {
    ALIKE = 1024,            /* bytes at the start that have to be the same: headers, and mostly the build id */
    SEGMENTS_MOST = 128,     /* in a program header table */
    SECTIONS_MOST = 65535,   /* the format's limit without an extension */
    DYNAMIC_MOST = 1024,     /* entries */
    SYMBOLS_MOST = 16 << 20, /* looked at in one table */
    CHUNK = 16,              /* symbols read at once, into the stack of a signal handler */
    CHUNK_SHARED = 2048      /* and where only one can at a time */
};

#if UINTPTR_MAX > 0xffffffffu
#define NATIVE_CLASS ELFCLASS64
#else
#define NATIVE_CLASS ELFCLASS32
#endif

/* ---- reading ---- */

static bool read_file(int file, uint64_t offset, void *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(file, (char *)to + done, bytes - done, (off_t)(offset + done));
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool read_memory(uintptr_t at, void *to, size_t bytes)
{
    return opool__os.read_memory(to, (const void *)at, bytes);
}

static bool read_image(const struct opool__image *image, uint64_t offset, void *to, size_t bytes)
{
    if (image->file >= 0)
        return read_file(image->file, offset, to, bytes);
    return image->base && read_memory(image->base + (uintptr_t)offset, to, bytes);
}

/* A kernel may refuse every look at memory; then nothing is known against the file. */
static bool is_mapped_file(int file, uintptr_t base)
{
    char of_file[128], of_memory[sizeof of_file];
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    for (size_t at = 0; base && at < ALIKE; at += sizeof of_file) {
        if (!read_memory(base + at, of_memory, sizeof of_memory))
            return !read_memory((uintptr_t)&status, of_memory, 1);
        if (!read_file(file, at, of_file, sizeof of_file) || memcmp(of_file, of_memory, sizeof of_file) != 0)
            return false;
    }
    return true;
}

struct opool__image opool__image_open(const char *path, uintptr_t base)
{
    /* O_NONBLOCK: a pipe of this name is no reason to wait. */
    struct opool__image image = {path[0] == '/' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1, base};
    if (image.file >= 0 && !is_mapped_file(image.file, base)) {
        (void)close(image.file);
        image.file = -1;
    }
    return image;
}

void opool__image_close(const struct opool__image *image)
{
    if (image->file >= 0)
        (void)close(image->file);
}

static bool read_header(const struct opool__image *image, ElfW(Ehdr) * header)
{
    return read_image(image, 0, header, sizeof *header) && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
           header->e_ident[EI_CLASS] == NATIVE_CLASS && header->e_phentsize == sizeof(ElfW(Phdr)) &&
           header->e_phnum <= SEGMENTS_MOST;
}

static bool read_segment(const struct opool__image *image, const ElfW(Ehdr) * header, unsigned i, ElfW(Phdr) * segment)
{
    return read_image(image, (uint64_t)header->e_phoff + i * sizeof *segment, segment, sizeof *segment);
}

bool opool__image_address(const struct opool__image *image, uint64_t offset, uint64_t *address)
{
    ElfW(Ehdr) header;
    ElfW(Phdr) segment;
    if (!read_header(image, &header))
        return false;
    for (unsigned i = 0; i < header.e_phnum && read_segment(image, &header, i, &segment); i++) {
        if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) || offset < segment.p_offset ||
            offset - segment.p_offset >= segment.p_filesz)
            continue;
        *address = offset - segment.p_offset + segment.p_vaddr;
        return true;
    }
    return false;
}

/* ---- symbols ---- */

/* A table of symbols, and its strings; in the file, or in memory with an image whose offsets are addresses. */
struct symbols {
    struct opool__image image;
    uint64_t at, count, strings, strings_size;
};

struct search {
    uint64_t address;
    uint64_t name; /* offset in the strings; 0: not found */
    bool global;
};

static bool holds(const ElfW(Sym) * symbol, uint64_t address)
{
    unsigned type = symbol->st_info & 15u;
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
           address >= symbol->st_value && address - symbol->st_value < symbol->st_size;
}

/* Of several names the one that others see. */
static void look_at_symbol(struct search *search, const ElfW(Sym) * symbol)
{
    bool global = symbol->st_info >> 4 == STB_GLOBAL;
    if (!holds(symbol, search->address) || (search->name && (search->global || !global)))
        return;
    search->name = symbol->st_name;
    search->global = global;
}

static void search_symbols_by(const struct symbols *symbols, struct search *search, ElfW(Sym) * chunk, size_t room)
{
    uint64_t count = symbols->count < SYMBOLS_MOST ? symbols->count : SYMBOLS_MOST;
    for (uint64_t i = 0; i < count && !search->global; i += room) {
        size_t n = count - i < room ? (size_t)(count - i) : room;
        if (!read_image(&symbols->image, symbols->at + i * sizeof *chunk, chunk, n * sizeof *chunk))
            return;
        for (size_t k = 0; k < n; k++)
            look_at_symbol(search, &chunk[k]);
    }
}

/* Fifteen times faster in large programs. Who finds it taken, by another thread or by what a signal interrupted, does
   without. */
static void search_symbols(const struct symbols *symbols, struct search *search)
{
    static ElfW(Sym) shared_chunk[CHUNK_SHARED];
    static uint32_t chunk_lock;
    ElfW(Sym) chunk[CHUNK];
    if (opool__lock_try(&chunk_lock)) {
        search_symbols_by(symbols, search, shared_chunk, CHUNK_SHARED);
        opool__lock_drop(&chunk_lock);
    } else {
        search_symbols_by(symbols, search, chunk, CHUNK);
    }
}

static void read_name(const struct symbols *symbols, uint64_t offset, char *name, size_t room)
{
    uint64_t left = offset < symbols->strings_size ? symbols->strings_size - offset : 0;
    size_t length = left < room - 1 ? (size_t)left : room - 1;
    if (!read_image(&symbols->image, symbols->strings + offset, name, length))
        length = 0;
    name[length] = 0;
}

static bool find_name(const struct symbols *symbols, uint64_t address, char *name, size_t room)
{
    struct search search = {.address = address};
    search_symbols(symbols, &search);
    if (search.name)
        read_name(symbols, search.name, name, room);
    return name[0];
}

/* ---- tables of the file ---- */

static bool read_section(const struct opool__image *image, const ElfW(Ehdr) * header, unsigned i, ElfW(Shdr) * section)
{
    return read_image(image, (uint64_t)header->e_shoff + i * sizeof *section, section, sizeof *section);
}

/* The first section of this type; false: none. */
static bool symbols_of_file(const struct opool__image *image, uint32_t type, struct symbols *symbols)
{
    ElfW(Ehdr) header;
    ElfW(Shdr) section, strings;
    if (!read_header(image, &header) || header.e_shentsize != sizeof section)
        return false;
    for (unsigned i = 0; i < header.e_shnum && i < SECTIONS_MOST && read_section(image, &header, i, &section); i++) {
        if (section.sh_type != type || section.sh_entsize != sizeof(ElfW(Sym)))
            continue;
        if (section.sh_link >= header.e_shnum || !read_section(image, &header, section.sh_link, &strings))
            return false;
        *symbols = (struct symbols){*image, section.sh_offset, section.sh_size / section.sh_entsize, strings.sh_offset,
                                    strings.sh_size};
        return true;
    }
    return false;
}

/* ---- tables in memory ---- */

/* What PT_DYNAMIC says; glibc made its values addresses, others leave them as the linker wrote them. */
struct dynamic {
    uintptr_t symbols, strings, hash, gnu_hash;
    uint64_t strings_size;
};

static uintptr_t relocated(uintptr_t value, uintptr_t bias)
{
    return value < bias ? value + bias : value;
}

static void look_at_entry(struct dynamic *dynamic, const ElfW(Dyn) * entry, uintptr_t bias)
{
    uintptr_t value = (uintptr_t)entry->d_un.d_val;
    switch (entry->d_tag) {
    case DT_SYMTAB:
        dynamic->symbols = relocated(value, bias);
        break;
    case DT_STRTAB:
        dynamic->strings = relocated(value, bias);
        break;
    case DT_STRSZ:
        dynamic->strings_size = value;
        break;
    case DT_HASH:
        dynamic->hash = relocated(value, bias);
        break;
    case DT_GNU_HASH:
        dynamic->gnu_hash = relocated(value, bias);
        break;
    default:
        break;
    }
}

static bool read_dynamic(const struct opool__image *image, uintptr_t bias, struct dynamic *dynamic)
{
    ElfW(Ehdr) header;
    ElfW(Phdr) segment = {.p_type = PT_NULL};
    ElfW(Dyn) entry;
    if (!read_header(image, &header))
        return false;
    for (unsigned i = 0; i < header.e_phnum && segment.p_type != PT_DYNAMIC; i++)
        if (!read_segment(image, &header, i, &segment))
            return false;
    if (segment.p_type != PT_DYNAMIC)
        return false;
    for (unsigned i = 0; i < DYNAMIC_MOST; i++) {
        if (!read_memory(bias + (uintptr_t)segment.p_vaddr + i * sizeof entry, &entry, sizeof entry))
            return false;
        if (entry.d_tag == DT_NULL)
            break;
        look_at_entry(dynamic, &entry, bias);
    }
    return dynamic->symbols && dynamic->strings;
}

/* The highest symbol of any bucket, and on to the end of its chain. */
static uint64_t count_by_gnu_hash(uintptr_t table)
{
    struct {
        uint32_t buckets, first, bloom, shift;
    } header;
    uint32_t last = 0, word;
    if (!read_memory(table, &header, sizeof header) || header.buckets > SYMBOLS_MOST || header.bloom > SYMBOLS_MOST)
        return 0;
    uintptr_t buckets = table + sizeof header + (uintptr_t)header.bloom * sizeof(ElfW(Addr));
    uintptr_t chains = buckets + (uintptr_t)header.buckets * sizeof word;
    for (uint32_t i = 0; i < header.buckets; i++) {
        if (!read_memory(buckets + (uintptr_t)i * sizeof word, &word, sizeof word))
            return 0;
        last = word > last ? word : last;
    }
    if (last < header.first)
        return header.first;
    do {
        if (last >= SYMBOLS_MOST ||
            !read_memory(chains + (uintptr_t)(last - header.first) * sizeof word, &word, sizeof word))
            return 0;
        last++;
    } while (!(word & 1));
    return last;
}

static uint64_t count_symbols(const struct dynamic *dynamic)
{
    uint32_t counts[2];
    if (dynamic->hash && read_memory(dynamic->hash, counts, sizeof counts))
        return counts[1]; /* chains: one a symbol */
    return dynamic->gnu_hash ? count_by_gnu_hash(dynamic->gnu_hash) : 0;
}

static bool symbols_of_memory(const struct opool__image *image, uintptr_t bias, struct symbols *symbols)
{
    struct opool__image memory = {-1, image->base};
    struct dynamic dynamic = {0};
    if (!image->base || !read_dynamic(&memory, bias, &dynamic))
        return false;
    /* A base of 1 and addresses less 1: 0 is no base. */
    *symbols = (struct symbols){
        {-1, 1}, dynamic.symbols - 1, count_symbols(&dynamic), dynamic.strings - 1, dynamic.strings_size};
    return true;
}

void opool__image_function(const struct opool__image *image, uint64_t address, uintptr_t code, char *name, size_t room)
{
    struct symbols symbols;
    uintptr_t bias = code - (uintptr_t)address;
    name[0] = 0;
    if (image->file >= 0 && symbols_of_file(image, SHT_SYMTAB, &symbols) && find_name(&symbols, address, name, room))
        return;
    if (image->file >= 0 && symbols_of_file(image, SHT_DYNSYM, &symbols))
        (void)find_name(&symbols, address, name, room);
    else if (symbols_of_memory(image, bias, &symbols))
        (void)find_name(&symbols, address, name, room);
}
