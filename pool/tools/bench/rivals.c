/* SPDX-License-Identifier: MIT */
#include "rivals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

/* Kept from giving memory back at the top of the heap, and from asking the system for each large block. Any one of
   these turns off that glibc finds the thresholds by itself, so all three are set. */
#define TUNED "glibc.malloc.trim_threshold=67108864:glibc.malloc.top_pad=1048576:glibc.malloc.mmap_threshold=33554432"

/* Names that the loader may know it by: releases of Debian carry different ones. */
struct library {
    const char *name, *start;
    const char *files[3];
};

static const struct library libraries[] = {
    {"jemalloc", "libjemalloc", {"libjemalloc.so.2", "libjemalloc.so"}},
    {"mimalloc", "libmimalloc", {"libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so"}},
    {"tcmalloc", "libtcmalloc", {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libtcmalloc_minimal.so"}},
};

static struct configuration *add(struct rivals *rivals, const char *name, const char *measure)
{
    struct configuration *added = &rivals->all[rivals->count++];
    *added = (struct configuration){.measure = measure};
    snprintf(added->name, sizeof added->name, "%s", name);
    return added;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Which file serves malloc in a child with these surroundings. The loader only warns about what it can not preload. */
static void find_source(const struct surroundings *surroundings, struct figure *figure)
{
    const struct load nothing = {.size = 1, .align = 1, .threads = 1, .milliseconds = 1};
    opool__bench_run(&nothing, BENCH_MEASURE_SOURCE, surroundings, figure);
}

static void add_library(struct rivals *rivals, const struct library *library)
{
    struct configuration *added = add(rivals, library->name, BENCH_MEASURE_MALLOC);
    struct figure figure;
    snprintf(added->missing, sizeof added->missing, "not found: %s", library->files[0]);
    for (size_t i = 0; i < 3 && library->files[i]; i++) {
        added->surroundings.preload = library->files[i];
        find_source(&added->surroundings, &figure);
        if (!figure.good) {
            snprintf(added->missing, sizeof added->missing, "%.500s does not start: %.500s", library->files[i],
                     figure.text);
            return;
        }
        if (strncmp(file_name(figure.text), library->start, strlen(library->start)) == 0) {
            snprintf(added->source, sizeof added->source, "%s", figure.text);
            added->missing[0] = '\0';
            return;
        }
    }
}

/* "glibc 2.36", "libc" of a C library that does not say, or the file of what came before both (a sanitizer). */
static void name_libc(char *name, size_t size, const char *source)
{
    const char *file = file_name(source);
    snprintf(name, size, "libc");
    if (strncmp(file, "libc.", 5) != 0 && strncmp(file, "libc-", 5) != 0 && strncmp(file, "ld-", 3) != 0) {
        snprintf(name, size, "malloc of %.24s", file);
        return;
    }
#ifdef _CS_GNU_LIBC_VERSION
    if (confstr(_CS_GNU_LIBC_VERSION, name, size) == 0)
        snprintf(name, size, "libc");
#endif
}

static void add_libc(struct rivals *rivals, const char *name, const char *tunables, const struct figure *figure)
{
    struct configuration *added = add(rivals, name, BENCH_MEASURE_MALLOC);
    added->surroundings.tunables = tunables;
    snprintf(added->source, sizeof added->source, "%s", figure->text);
    if (!figure->good)
        snprintf(added->missing, sizeof added->missing, "does not start: %.900s", figure->text);
}

/* Does this environment have another malloc, or set this one up in another way? */
static bool is_changed(const struct figure *here, const struct figure *plain)
{
    static const char *const settings[] = {"GLIBC_TUNABLES",  "MALLOC_ARENA_MAX",       "MALLOC_TRIM_THRESHOLD_",
                                           "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (getenv(settings[i]))
            return true;
    return here->good && plain->good && strcmp(here->text, plain->text) != 0;
}

static void add_environment(struct rivals *rivals, const struct figure *here)
{
    char name[64];
    snprintf(name, sizeof name, "this environment's %.40s", file_name(here->text));
    struct configuration *added = add(rivals, name, BENCH_MEASURE_MALLOC);
    added->surroundings.kept = true;
    snprintf(added->source, sizeof added->source, "%s", here->text);
}

void opool__bench_rivals(struct rivals *rivals)
{
    const struct surroundings kept = {.kept = true}, plain = {.kept = false};
    struct figure here, bare;
    char libc[40], tuned[64];
    rivals->count = 0;
    add(rivals, "opool", BENCH_MEASURE_INLINED);
    add(rivals, "opool, exported calls", BENCH_MEASURE_CALLS);
    find_source(&kept, &here);
    find_source(&plain, &bare);
    if (is_changed(&here, &bare))
        add_environment(rivals, &here);
    name_libc(libc, sizeof libc, bare.good ? bare.text : "libc.");
    add_libc(rivals, libc, NULL, &bare);
    if (strncmp(libc, "glibc", 5) == 0) {
        snprintf(tuned, sizeof tuned, "%s tuned", libc);
        add_libc(rivals, tuned, TUNED, &bare);
    }
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        add_library(rivals, &libraries[i]);
}
