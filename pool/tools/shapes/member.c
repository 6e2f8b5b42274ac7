/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../clean.h"
#include "at.h"
#include "file.h"
#include "guarded.h"
#include "member.h"
#include "read.h"

/* What the child says of a question. */
enum answer { FOUND, NO_TYPE, OUTSIDE, UNREADABLE };

struct question {
    const char *path, *type;
    uint64_t offset;
    struct memory *memory;
    struct module *module;
    const char *name; /* the answer */
    int answer;       /* enum answer */
};

/* The first type of that name that can be read and is large enough. */
static bool ask_type(void *arg, Dwarf_Die *type, const char *scope)
{
    (void)scope;
    struct question *question = arg;
    const char *why;
    const struct node *tree = opool__shapes_read(question->module, question->memory, type, &why);
    if (!tree)
        return true;
    question->name = opool__shapes_at(question->memory, tree, question->offset);
    question->answer = question->name ? FOUND : OUTSIDE;
    return !question->name;
}

static void ask_file(struct question *question)
{
    struct file file;
    const char *why;
    if (!opool__shapes_open(&file, question->memory, question->path, &why)) {
        question->answer = UNREADABLE;
        return;
    }
    for (size_t i = 0; i < file.count && !question->name; i++) {
        question->module = &file.modules[i];
        opool__shapes_open_debug(question->module);
        opool__shapes_find_types(question->module, question->type, ask_type, question);
    }
    opool__shapes_close(&file);
}

static int ask(void *arg, FILE *out)
{
    struct question *question = arg;
    struct memory memory = {0};
    question->memory = &memory;
    question->answer = NO_TYPE;
    ask_file(question);
    if (question->answer == FOUND)
        fputs(question->name, out);
    opool__shapes_give(&memory);
    return question->answer;
}

int opool__shapes_member(const char *file, const char *type, size_t offset, char *out, size_t out_size)
{
    struct question question = {.path = file, .type = type, .offset = offset};
    struct guarded result;
    unsigned long long size;
    const char *why;
    if (!file || !type || !out || out_size == 0)
        return -EINVAL;
    out[0] = '\0';
    errno = 0;
    if (!opool__shapes_file_size(file, &size, &why))
        return errno ? -errno : -ENOEXEC;
    int error = opool__shapes_guarded(ask, &question, size, &result, &why);
    if (error)
        return error;
    if (result.result == FOUND) {
        size_t length = result.length < out_size ? result.length : out_size - 1;
        memcpy(out, result.text, length);
        out[length] = '\0';
        opool__clean(out);
    }
    free(result.text);
    static const int errors[] = {[FOUND] = 0, [NO_TYPE] = -ENOENT, [OUTSIDE] = -EINVAL, [UNREADABLE] = -ENOEXEC};
    return errors[result.result];
}
