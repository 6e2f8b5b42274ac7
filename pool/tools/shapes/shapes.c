/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clean.h"
#include "../tools.h"
#include "file.h"
#include "guarded.h"
#include "member.h"
#include "write.h"
#include "scan.h"

enum { STATUS_GOOD = 0, STATUS_BAD = 2, NAME_MOST = 4096 };

static const char help[] =
    "Usage: opool shapes [-t TYPE] [-v] [--json] FILE...\n"
    "       opool shapes -t TYPE --at OFFSET FILE\n"
    "\n"
    "Reads debug information (gcc or clang, -g) of programs, shared objects, object files and archives, and says for\n"
    "each pool that is defined there (OPOOL_DEFINE and its kin) whether its objects are of fixed shape: which member "
    "is\n"
    "a pointer, a flexible array, a union of pointers, where, and what it probably is. The debug information may be "
    "in\n"
    "a separate file, found by build-id or .gnu_debuglink, compressed (zlib), or split (.dwo).\n"
    "\n"
    "  -t, --type TYPE   Look at this type instead, pool or not: \"struct conn\", conn_t, ns::Conn. Can it be pooled, "
    "what\n"
    "                    must change, and which definition to write: one that compiles, or none. Each type of that "
    "name\n"
    "                    that differs is shown\n"
    "      --at OFFSET   Only name the member of TYPE at this byte: req.buf[3]\n"
    "  -v, --verbose     Members that are fine, too\n"
    "      --json        One JSON object; \"status\" in it is the exit status\n"
    "  -h, --help        This text\n"
    "\n"
    "Verdicts of members:\n"
    "  REJECT     keeps the object from being of fixed shape\n"
    "  UNCHECKED  the debug information does not say what it is\n"
    "  WARN       look at it: a last member [1] may be a flexible array of old\n"
    "  borrowed, opaque, owned   declared by the definition: OPOOL_BORROWED, OPOOL_OPAQUE, OPOOL_DEFINE_OWNING\n"
    "  fine, value   with -v: pointers to functions and to members; numbers\n"
    "The guesses behind a verdict (growable, list link, handle of a container) are by names and change nothing.\n"
    "\n"
    "Exit status: the worst of 0, all of fixed shape or owning by declaration; 1, one is rejected, or no pool takes "
    "it\n"
    "as it is; 2, one could not be checked (no debug information), a file could not be read, nothing at all was "
    "found,\n"
    "or the output not written.\n"
    "\n"
    "Files are read in a process of their own, with bounds on time and memory: a malformed one is an error, not a\n"
    "crash. Not read: thin archives, LTO objects before the link, debug information compressed by zstd, .dwp files.\n"
    "clang does not tell destructors that are defaulted: where nothing else does either, a class is unchecked.\n"
    "A debuginfod server is asked only if DEBUGINFOD_URLS names one.\n"
    "\n"
    "In a project built by meson, as a test:\n"
    "\n"
    "    opool = find_program('opool')\n"
    "    test('shapes', opool, args: ['shapes', server])    # server: an executable, built with debug information\n";

struct options {
    const char *type, *at;
    bool json, all, help;
};

/* ---- arguments ---- */

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"at", required_argument, NULL, 'a'},   {"help", no_argument, NULL, 'h'},    {"json", no_argument, NULL, 'j'},
        {"type", required_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "ht:v", names, NULL)) != -1;)
        switch (c) {
        case 'a':
            options->at = optarg;
            break;
        case 'h':
            options->help = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 't':
            options->type = optarg;
            break;
        case 'v':
            options->all = true;
            break;
        default:
            return false;
        }
    return true;
}

/* What is wrong with them; NULL: nothing. */
static const char *objection(const struct options *options, int files)
{
    if (files == 0)
        return "no file given";
    if (options->at && !options->type)
        return "--at needs -t TYPE";
    if (options->at && files > 1)
        return "--at takes one file";
    if (options->at && options->json)
        return "--at and --json do not go together";
    return NULL;
}

static bool read_offset(const char *text, uint64_t *offset)
{
    char *end;
    errno = 0;
    *offset = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *offset <= SIZE_MAX;
}

/* ---- one member ---- */

static int fail(const char *file, const char *why)
{
    char name[PATH_MAX];
    fprintf(stderr, "opool shapes: %s: %s\n", opool__clean_copy(name, sizeof name, file), why);
    return STATUS_BAD;
}

static int name_member(const struct options *options, const char *file)
{
    char name[NAME_MOST];
    uint64_t offset;
    if (!read_offset(options->at, &offset))
        return fail(options->at, "not an offset in bytes");
    int error = opool__shapes_member(file, options->type, (size_t)offset, name, sizeof name);
    switch (error) {
    case 0:
        puts(name);
        return STATUS_GOOD;
    case -ENOENT:
        return fail(file, "no such file, no such type in it, or no debug information");
    case -EINVAL:
        return fail(file, "the offset is outside the type");
    case -ENOEXEC:
        return fail(file, "not an ELF file, nor an archive of them, or malformed");
    case -EBADMSG:
        return fail(file, "the file is malformed: reading it crashed, or took too much time or memory");
    default:
        return fail(file, strerror(-error));
    }
}

/* ---- files ---- */

/* A file that gave no answer. Names go to a terminal, or into JSON. */
static void write_failure(const struct options *options, const char *file, const char *why)
{
    struct memory memory = {0};
    const struct reports reports = {.file = file, .error = why};
    if (options->json)
        opool__shapes_write_json(stdout, &memory, &reports);
    else
        opool__shapes_write_text(stdout, &memory, &reports, false);
    opool__shapes_give(&memory);
}

static int scan_file(const struct options *options, const char *path)
{
    struct scan scan = {.path = path, .type = options->type, .json = options->json, .all = options->all};
    struct guarded result;
    unsigned long long size;
    const char *why;
    if (!opool__shapes_file_size(path, &size, &why) ||
        opool__shapes_guarded(opool__shapes_scan, &scan, size, &result, &why) != 0) {
        write_failure(options, path, why);
        return SCAN_UNCHECKED;
    }
    fwrite(result.text, 1, result.length, stdout);
    free(result.text);
    return result.result;
}

/* Nothing to judge in any of them is no success: the test that this may be would pass for ever. */
static int scan_files(const struct options *options, char **files, int count)
{
    int worst = SCAN_FIXED;
    bool found = false;
    if (options->json)
        fputs("{\"files\":[", stdout);
    for (int i = 0; i < count; i++) {
        if (options->json && i > 0)
            fputs(",\n", stdout);
        int result = scan_file(options, files[i]);
        found = found || (result & SCAN_FOUND) != 0;
        worst = (result & SCAN_STATUS) > worst ? result & SCAN_STATUS : worst;
        if (ferror(stdout))
            return STATUS_BAD; /* main says why */
    }
    if (!found)
        worst = SCAN_UNCHECKED;
    if (options->json)
        printf("],\"status\":%d}\n", worst);
    return worst;
}

int opool__tool_shapes(int argc, char **argv)
{
    struct options options = {0};
    if (!read_options(argc, argv, &options))
        return STATUS_BAD; /* getopt said why */
    if (options.help) {
        fputs(help, stdout);
        return STATUS_GOOD;
    }
    const char *wrong = objection(&options, argc - optind);
    if (wrong) {
        fprintf(stderr, "opool shapes: %s; opool shapes --help says more\n", wrong);
        return STATUS_BAD;
    }
    if (options.at)
        return name_member(&options, argv[optind]);
    return scan_files(&options, argv + optind, argc - optind);
}
