/* SPDX-License-Identifier: MIT */
#include "os/unwind.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#ifdef OPOOL_HAS_BACKTRACE
#include <execinfo.h>
#endif

/* In loader.c: not there in a static copy. */
extern const char opool__is_shared;
#pragma weak opool__is_shared

int opool__os_unwind(void **frames, int most)
{
#ifdef OPOOL_HAS_BACKTRACE
    int saved = errno, n = backtrace(frames, most);
    errno = saved;
    return n;
#else
    (void)frames;
    (void)most;
    return 0;
#endif
}

/* ---- this library ---- */

struct own {
    uintptr_t inside, start, end;
};

static int look_for_own(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct own *own = arg;
    (void)size;
    bool here = false;
    uintptr_t start = 0, end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD)
            continue;
        here = here || own->inside - at < segment->p_memsz;
        if (segment->p_flags & PF_X) {
            start = start ? start : at;
            end = at + segment->p_memsz;
        }
    }
    if (!here)
        return 0;
    own->start = start;
    own->end = end;
    return 1;
}

bool opool__os_own_code(uintptr_t *start, uintptr_t *end)
{
    struct own own = {.inside = (uintptr_t)&opool__is_shared};
    if (!own.inside || !dl_iterate_phdr(look_for_own, &own))
        return false;
    *start = own.start;
    *end = own.end;
    return own.start != 0;
}

/* ---- /proc/self/maps ---- */

struct reader {
    int file;
    ssize_t at, end;
    char bytes[256];
};

/* -1 at the end. */
static int next(struct reader *reader)
{
    if (reader->at == reader->end) {
        do
            reader->end = read(reader->file, reader->bytes, sizeof reader->bytes);
        while (reader->end < 0 && errno == EINTR);
        reader->at = 0;
        if (reader->end <= 0) {
            reader->end = 0;
            return -1;
        }
    }
    return (unsigned char)reader->bytes[reader->at++];
}

static int digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A hexadecimal number and the character behind it. */
static uint64_t number(struct reader *reader)
{
    uint64_t n = 0;
    for (int d; (d = digit(next(reader))) >= 0;)
        n = n * 16 + (uint64_t)d;
    return n;
}

/* Up to a blank, and it. */
static void skip_word(struct reader *reader)
{
    int c;
    do
        c = next(reader);
    while (c != ' ' && c != '\n' && c >= 0);
}

static int read_file_name(struct reader *reader, char *file)
{
    size_t length = 0;
    int c;
    do
        c = next(reader);
    while (c == ' ');
    for (; c != '\n' && c >= 0; c = next(reader))
        if (length < OPOOL__FILE_MOST - 1)
            file[length++] = (char)c;
    file[length] = 0;
    return c;
}

/* start-end rwxp offset device inode   file. False: no line is left. */
static bool read_mapping(struct reader *reader, struct opool__mapping *mapping)
{
    mapping->start = (uintptr_t)number(reader);
    mapping->end = (uintptr_t)number(reader);
    skip_word(reader);
    mapping->offset = number(reader);
    skip_word(reader);
    /* An inode of a mapping without a file ends in a blank, too. */
    skip_word(reader);
    return read_file_name(reader, mapping->file) == '\n';
}

int opool__os_each_mapping(bool (*look)(void *arg, const struct opool__mapping *mapping), void *arg)
{
    int saved = errno;
    struct reader reader = {.file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    struct opool__mapping mapping;
    if (reader.file < 0) {
        errno = saved;
        return opool__modules_each(look, arg);
    }
    while (read_mapping(&reader, &mapping))
        if (!look(arg, &mapping))
            break;
    (void)close(reader.file);
    errno = saved;
    return 0;
}
