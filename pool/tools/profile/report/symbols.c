/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <dwarf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../shapes/entry.h"
#include "../../shapes/file.h"
#include "symbols.h"

enum { INLINED_MOST = 32, SEGMENTS_MOST = 1024 };

/* ---- files ---- */

/* Bounds were set for the profile alone (guarded.h); large binaries take more. */
static void raise_limit(unsigned what, rlim_t more)
{
    struct rlimit now;
    if (getrlimit(what, &now) != 0 || now.rlim_cur == RLIM_INFINITY)
        return;
    now.rlim_cur = now.rlim_max - now.rlim_cur > more ? now.rlim_cur + more : now.rlim_max;
    setrlimit(what, &now);
}

static void raise_limits(off_t bytes)
{
    raise_limit(RLIMIT_AS, (rlim_t)bytes * 8);
    raise_limit(RLIMIT_CPU, 1 + (rlim_t)bytes / 10000000);
}

/* No device, whatever the profile says: opening one may do things. */
static bool is_usable(struct binary *binary)
{
    struct stat about;
    size_t length = strlen(binary->path);
    if (length > 10 && strcmp(binary->path + length - 10, " (deleted)") == 0)
        binary->trouble = "the file was replaced or deleted while the program ran";
    else if (binary->path[0] != '/')
        binary->trouble = ""; /* not mapped from a file: [vdso] */
    else if (stat(binary->path, &about) != 0)
        binary->trouble = errno == ENOENT ? "the file is gone" : strerror(errno);
    else if (!S_ISREG(about.st_mode))
        binary->trouble = "not a regular file";
    else
        raise_limits(about.st_size);
    return !binary->trouble;
}

static bool has_same_id(const struct binary *binary, Dwfl_Module *module)
{
    const unsigned char *id;
    GElf_Addr at;
    int length = dwfl_module_build_id(module, &id, &at);
    if (binary->id_bytes == 0)
        return true;
    return length == (int)binary->id_bytes && memcmp(id, binary->id, binary->id_bytes) == 0;
}

static const char *open_module(struct memory *memory, const struct binary *binary, struct debug *debug)
{
    GElf_Addr bias;
    dwfl_report_begin(debug->dwfl);
    debug->module = dwfl_report_offline(debug->dwfl, binary->path, binary->path, -1);
    dwfl_report_end(debug->dwfl, NULL, NULL);
    if (!debug->module || !dwfl_module_getelf(debug->module, &bias))
        return opool__shapes_dwfl_error(memory);
    if (!has_same_id(binary, debug->module))
        return "the file on disk is another build than the one that ran: the build-id differs";
    debug->dwarf = dwfl_module_getdwarf(debug->module, &debug->bias);
    return NULL;
}

static void open_binary(struct memory *memory, struct binary *binary)
{
    if (binary->symbols || binary->trouble || !is_usable(binary))
        return;
    struct debug *debug = opool__shapes_take(memory, sizeof *debug);
    debug->dwfl = opool__shapes_dwfl();
    binary->trouble = open_module(memory, binary, debug);
    if (binary->trouble)
        dwfl_end(debug->dwfl);
    else
        binary->symbols = debug;
}

/* ---- addresses ---- */

/* Where the file's program headers put the byte at `offset`, as libdwfl counts. */
static bool address_of(const struct frame *frame, Dwarf_Addr *address)
{
    const struct debug *debug = frame->binary ? frame->binary->symbols : NULL;
    GElf_Addr bias;
    size_t count;
    Elf *elf = debug ? dwfl_module_getelf(debug->module, &bias) : NULL;
    if (!elf || elf_getphdrnum(elf, &count) != 0 || count > SEGMENTS_MOST)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_LOAD || frame->offset < segment.p_offset ||
            frame->offset - segment.p_offset >= segment.p_filesz)
            continue;
        *address = segment.p_vaddr + (frame->offset - segment.p_offset) + bias;
        return true;
    }
    return false;
}

bool opool__profile_unit(const struct frame *frame, Dwarf_Die *unit, Dwarf_Addr *address)
{
    const struct debug *debug = frame->binary ? frame->binary->symbols : NULL;
    Dwarf_Addr bias;
    if (!debug || !debug->dwarf || !address_of(frame, address))
        return false;
    Dwarf_Die *found = dwfl_module_addrdie(debug->module, *address, &bias);
    if (!found)
        return false;
    *unit = *found;
    *address -= bias;
    return true;
}

/* ---- names ---- */

/* The C++ library's own, where it is installed: names are as readable as the compiler's then. */
static const char *demangle(struct memory *memory, const char *name)
{
    static char *(*function)(const char *, char *, size_t *, int *);
    static bool looked;
    int status = -1;
    if (!looked) {
        void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL);
        void *symbol = library ? dlsym(library, "__cxa_demangle") : NULL;
        memcpy(&function, &symbol, sizeof function);
        looked = true;
    }
    char *text = function && strncmp(name, "_Z", 2) == 0 ? function(name, NULL, NULL, &status) : NULL;
    const char *copy = opool__shapes_copy(memory, text ? text : name);
    free(text);
    return copy;
}

static const char *name_of(struct memory *memory, Dwarf_Die *function)
{
    Dwarf_Attribute attribute;
    const char *linkage =
        dwarf_attr_integrate(function, DW_AT_linkage_name, &attribute) ? dwarf_formstring(&attribute) : NULL;
    const char *name = linkage ? linkage : dwarf_diename(function);
    return name ? demangle(memory, name) : NULL;
}

static void add_line(struct symbols *symbols, struct frame *frame, const struct line *line)
{
    frame->lines = opool__shapes_grow(symbols->model->memory, frame->lines, frame->line_count, sizeof *line);
    frame->lines[frame->line_count++] = *line;
}

/* Where an inlined function was called from: the file's number is of the unit. */
static void call_of(struct memory *memory, Dwarf_Die *inlined, struct line *to)
{
    Dwarf_Die unit;
    Dwarf_Files *files;
    size_t count;
    uint64_t line = 0, file = 0;
    to->line = opool__shapes_number(inlined, DW_AT_call_line, &line) ? (int)(line & 0x7fffffff) : 0;
    to->file = NULL;
    if (!opool__shapes_number(inlined, DW_AT_call_file, &file) || !dwarf_diecu(inlined, &unit, NULL, NULL) ||
        dwarf_getsrcfiles(&unit, &files, &count) != 0 || file >= count)
        return;
    const char *name = dwarf_filesrc(files, (size_t)file, NULL, NULL);
    to->file = name ? opool__shapes_copy(memory, name) : NULL;
}

/* The functions around an address, innermost first: `here` is the place in the first. */
static void add_inlined(struct symbols *symbols, struct frame *frame, Dwarf_Die *scopes, int count, struct line here)
{
    struct memory *memory = symbols->model->memory;
    for (int i = 0; i < count && frame->line_count < INLINED_MOST; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        here.function = name_of(memory, &scopes[i]);
        add_line(symbols, frame, &here);
        if (tag == DW_TAG_subprogram)
            return;
        call_of(memory, &scopes[i], &here);
    }
}

static void name_by_debug(struct symbols *symbols, struct frame *frame)
{
    const struct debug *debug = frame->binary->symbols;
    Dwarf_Die unit, *around = NULL, *scopes = NULL;
    Dwarf_Addr address, from;
    struct line here = {.function = NULL};
    if (!opool__profile_unit(frame, &unit, &from) || !address_of(frame, &address))
        return;
    Dwfl_Line *source = dwfl_module_getsrc(debug->module, address);
    const char *file = source ? dwfl_lineinfo(source, NULL, &here.line, NULL, NULL, NULL) : NULL;
    here.file = file ? opool__shapes_copy(symbols->model->memory, file) : NULL;
    int count = dwarf_getscopes(&unit, from, &around);
    /* What that has around an inlined function is where it was defined; this is where its code stands. */
    int physical = count > 0 ? dwarf_getscopes_die(&around[0], &scopes) : 0;
    add_inlined(symbols, frame, scopes, physical, here);
    free(scopes);
    free(around);
}

static void name_by_table(struct symbols *symbols, struct frame *frame)
{
    const struct debug *debug = frame->binary->symbols;
    struct line line = {.function = NULL};
    Dwarf_Addr address;
    GElf_Off into;
    GElf_Sym symbol;
    if (!address_of(frame, &address))
        return;
    const char *name = dwfl_module_addrinfo(debug->module, address, &into, &symbol, NULL, NULL, NULL);
    if (!name)
        return;
    line.function = demangle(symbols->model->memory, name);
    line.into = into;
    add_line(symbols, frame, &line);
}

static void name_frame(struct symbols *symbols, struct frame *frame)
{
    const struct debug *debug = frame->binary ? frame->binary->symbols : NULL;
    if (!debug)
        return;
    if (debug->dwarf)
        name_by_debug(symbols, frame);
    if (frame->line_count == 0)
        name_by_table(symbols, frame);
}

void opool__profile_symbols(struct symbols *symbols, struct model *model)
{
    *symbols = (struct symbols){.model = model};
    for (size_t i = 0; i < model->frame_count; i++)
        if (model->frames[i]->binary)
            open_binary(model->memory, model->frames[i]->binary);
    for (size_t i = 0; i < model->frame_count; i++)
        name_frame(symbols, model->frames[i]);
}

void opool__profile_symbols_close(struct symbols *symbols)
{
    for (size_t i = 0; symbols->model && i < symbols->model->binary_count; i++) {
        struct debug *debug = symbols->model->binaries[i]->symbols;
        if (debug)
            dwfl_end(debug->dwfl);
        symbols->model->binaries[i]->symbols = NULL;
    }
}
