/* SPDX-License-Identifier: MIT */
#include "os/unwind.h"

#include <errno.h>
#include <string.h>

#include "os/image.h"
#include "os/os.h"

struct search {
    uintptr_t code;
    struct opool__where *out; /* `file`: of the last mapping that began a file */
    uintptr_t base;           /* and where that was */
    uint64_t offset;          /* of the code, in the file */
    bool found;
};

static bool look(void *arg, const struct opool__mapping *mapping)
{
    struct search *search = arg;
    bool same = strcmp(search->out->file, mapping->file) == 0;
    search->found = search->code - mapping->start < mapping->end - mapping->start;
    if (mapping->offset == 0 || (search->found && !same)) {
        memcpy(search->out->file, mapping->file, strlen(mapping->file) + 1);
        search->base = mapping->offset == 0 ? mapping->start : 0;
    }
    search->offset = search->code - mapping->start + mapping->offset;
    return !search->found;
}

void opool__where(uintptr_t code, struct opool__where *out)
{
    struct search search = {.code = code, .out = out};
    int saved = errno;
    out->file[0] = 0;
    out->function[0] = 0;
    out->offset = 0;
    if (opool__os.each_mapping(look, &search) != 0 || !search.found) {
        out->file[0] = 0;
        errno = saved;
        return;
    }
    /* What is no ELF image, in a file or in memory, is no code that anything is known of. */
    struct opool__image image = opool__image_open(out->file, search.base);
    if (opool__image_address(&image, search.offset, &out->offset))
        opool__image_function(&image, out->offset, code, out->function, sizeof out->function);
    else
        out->file[0] = 0;
    opool__image_close(&image);
    errno = saved;
}
