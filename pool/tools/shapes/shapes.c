/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tools.h"
#include "member.h"

enum { STATUS_GOOD = 0, STATUS_BAD = 2, NAME_MOST = 4096 };

struct options {
    const char *type, *at;
};

static int fail(const char *format, const char *what)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    fprintf(stderr, format, what);
#pragma GCC diagnostic pop
    return STATUS_BAD;
}

static bool read_offset(const char *text, uint64_t *offset)
{
    char *end;
    errno = 0;
    *offset = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static int name_member(const struct options *options, const char *file)
{
    char name[NAME_MOST];
    uint64_t offset;
    if (!read_offset(options->at, &offset))
        return fail("opool shapes: --at %s: not an offset in bytes\n", options->at);
    int error = opool__shapes_member(file, options->type, offset, name, sizeof name);
    if (error == -ENOENT)
        return fail("opool shapes: %s: no such file, no such type in it, or no debug information\n", file);
    if (error == -EINVAL)
        return fail("opool shapes: %s: the offset is outside the type\n", file);
    if (error)
        return fail("opool shapes: %s: it can not be read\n", file);
    puts(name);
    return STATUS_GOOD;
}

int opool__tool_shapes(int argc, char **argv)
{
    static const struct option names[] = {
        {"at", required_argument, NULL, 'a'}, {"type", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
    struct options options = {0};
    for (int c; (c = getopt_long(argc, argv, "t:", names, NULL)) != -1;) {
        if (c == 't')
            options.type = optarg;
        else if (c == 'a')
            options.at = optarg;
        else
            return STATUS_BAD;
    }
    if (!options.type || !options.at || optind + 1 != argc)
        return fail("Usage: opool %s -t TYPE --at OFFSET FILE\n", argv[0]);
    return name_member(&options, argv[optind]);
}
