/* SPDX-License-Identifier: MIT */
/*
 * Makes profiles of known figures, for tests of what reads them: `image OUTPUT` reads a description on standard
 * input, a line a thing, `word key=value...` without blanks in values ('+' stands for one):
 *
 *     image program=/bin/x arguments=x+-v recorded_ns=1000000000 cpu_ns=...
 *     module start=0x1000 end=0x2000 file_offset=0 path=/bin/x id=00ff...
 *     site function=m frames=0x1010,0x1020
 *     record site=0 thread=1 allocations=10 frees=10 sizes=64:10 lifetimes=4:10
 *     point at_ns=0 live_bytes=5
 *     thread own=100 own_ns=7000
 *
 * `image gap=3` leaves room for 3 more elements behind each array, as a live image does. Size classes follow from
 * sizes. `image` begins another one, which goes behind the first.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/profile/format.h"

enum { MOST = 4096, WORDS = 64, LINE = 1 << 16 };

struct field {
    const char *name;
    size_t offset, size;
};

#define FIELD(type, name) \
    { \
#name, offsetof(struct type, name), sizeof(((struct type *)0)->name) \
    }
#define HEADER(name) FIELD(opool__profile_header, name)
#define RECORD(name) FIELD(opool__profile_record, name)
#define MODULE(name) FIELD(opool__profile_module, name)
#define POINT(name) FIELD(opool__profile_point, name)

static const struct field header_fields[] = {
    HEADER(magic),        HEADER(version),        HEADER(ready),        HEADER(image_bytes),   HEADER(mode),
    HEADER(ended),        HEADER(every),          HEADER(frames),       HEADER(pid),           HEADER(parent),
    HEADER(own_malloc),   HEADER(paused),         HEADER(start_ns),     HEADER(last_ns),       HEADER(recorded_ns),
    HEADER(cpu_ns),       HEADER(epoch_s),        HEADER(allocations),  HEADER(frees),         HEADER(lost_sites),
    HEADER(lost_records), HEADER(lost_blocks),    HEADER(lost_modules), HEADER(lost_children), HEADER(page_bytes),
    HEADER(faults),       HEADER(resident_bytes), HEADER(seen_ns),      HEADER(seen_cpu_ns),   HEADER(threads_begun),
    HEADER(switched_ns),  HEADER(before_ns),
};
static const struct field module_fields[] = {MODULE(start), MODULE(end), MODULE(file_offset), MODULE(bias),
                                             MODULE(left)};
static const struct field record_fields[] = {
    RECORD(site),          RECORD(thread),      RECORD(allocations), RECORD(bytes),      RECORD(frees),
    RECORD(foreign_frees), RECORD(live),        RECORD(live_peak),   RECORD(live_bytes), RECORD(live_bytes_peak),
    RECORD(taken),         RECORD(taken_bytes), RECORD(least),       RECORD(most),       RECORD(alignment),
    RECORD(grown),         RECORD(grown_bytes), RECORD(moved_bytes), RECORD(breaks),     RECORD(maps),
    RECORD(fresh_bytes),   RECORD(timed),       RECORD(timed_ns),    RECORD(faults),     RECORD(burst),
    RECORD(other_sizes),
};
static const struct field point_fields[] = {POINT(at_ns), POINT(live_bytes), POINT(live_blocks), POINT(resident_bytes),
                                            POINT(allocations)};

#define THREAD(name) FIELD(opool__profile_thread, name)
static const struct field thread_fields[] = {THREAD(allocations), THREAD(frees), THREAD(own), THREAD(own_ns)};

static struct opool__profile_header header;
static struct opool__profile_module modules[MOST];
static struct opool__profile_site sites[MOST];
static struct opool__profile_record records[MOST];
static struct opool__profile_point points[MOST];
static struct opool__profile_thread threads[MOST];
static uint32_t gap;
static FILE *out;

static void die(const char *what)
{
    fprintf(stderr, "image: %s\n", what);
    exit(2);
}

static void set_text(char *to, const char *from)
{
    snprintf(to, OPOOL__PROFILE_PATH, "%s", from);
    for (char *c = to; *c; c++)
        if (*c == '+')
            *c = ' ';
}

static bool set(void *to, const struct field *fields, size_t count, const char *name, const char *value)
{
    unsigned long long number = strtoull(value, NULL, 0);
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0) {
            /* Little-endian or not: the low bytes of a number of that size. */
            if (fields[i].size == sizeof(uint32_t))
                memcpy((char *)to + fields[i].offset, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
            else
                memcpy((char *)to + fields[i].offset, &(uint64_t){number}, sizeof(uint64_t));
            return true;
        }
    return false;
}

#define SET(to, fields, name, value) set(to, fields, sizeof(fields) / sizeof *(fields), name, value)

/* "a:b,c:d": calls take for each. */
static void each_pair(char *list, void (*take)(struct opool__profile_record *, uint64_t, uint64_t),
                      struct opool__profile_record *record)
{
    for (char *at = strtok(list, ","); at; at = strtok(NULL, ",")) {
        char *colon = strchr(at, ':');
        take(record, strtoull(at, NULL, 0), colon ? strtoull(colon + 1, NULL, 0) : 1);
    }
}

static void take_size(struct opool__profile_record *record, uint64_t bytes, uint64_t count)
{
    int i = 0, class = bytes < 2 ? 0 : 63 - __builtin_clzll(bytes);
    while (i < OPOOL__PROFILE_SIZES && record->sizes[i].count > 0)
        i++;
    if (i < OPOOL__PROFILE_SIZES)
        record->sizes[i] = (struct opool__profile_size){bytes, count};
    else
        record->other_sizes += count;
    record->size_classes[class < OPOOL__PROFILE_SIZE_CLASSES ? class : 0] += (uint32_t)count;
    record->least = record->least && record->least < bytes ? record->least : bytes;
    record->most = record->most > bytes ? record->most : bytes;
    record->allocations += count;
    record->bytes += bytes * count;
}

static void take_lifetime(struct opool__profile_record *record, uint64_t class, uint64_t count)
{
    if (class < OPOOL__PROFILE_LIFETIMES)
        record->lifetimes[class] += (uint32_t)count;
}

static void module_word(char *name, char *value)
{
    struct opool__profile_module *module = &modules[header.modules.used - 1];
    if (strcmp(name, "path") == 0)
        set_text(module->path, value);
    else if (strcmp(name, "id") == 0)
        for (; value[0] && value[1] && module->id_bytes < OPOOL__PROFILE_ID; value += 2) {
            char digits[3] = {value[0], value[1], '\0'};
            module->id[module->id_bytes++] = (uint8_t)strtoul(digits, NULL, 16);
        }
    else if (!SET(module, module_fields, name, value))
        die(name);
}

static void site_word(char *name, char *value)
{
    struct opool__profile_site *site = &sites[header.sites.used - 1];
    site->key = header.sites.used;
    if (strcmp(name, "function") == 0)
        site->function = (uint32_t)value[0];
    else if (strcmp(name, "depth") == 0)
        site->depth = (uint32_t)strtoul(value, NULL, 0);
    else
        for (char *at = strtok(value, ","); at && site->depth < OPOOL__PROFILE_FRAMES; at = strtok(NULL, ","))
            site->frames[site->depth++] = strtoull(at, NULL, 0);
}

static void record_word(char *name, char *value)
{
    struct opool__profile_record *record = &records[header.records.used - 1];
    if (strcmp(name, "sizes") == 0)
        each_pair(value, take_size, record);
    else if (strcmp(name, "lifetimes") == 0)
        each_pair(value, take_lifetime, record);
    else if (!SET(record, record_fields, name, value))
        die(name);
}

static void header_word(char *name, char *value)
{
    if (strcmp(name, "program") == 0)
        set_text(header.program, value);
    else if (strcmp(name, "arguments") == 0)
        set_text(header.arguments, value);
    else if (strcmp(name, "gap") == 0)
        gap = (uint32_t)strtoul(value, NULL, 0);
    else if (!SET(&header, header_fields, name, value))
        die(name);
}

static void point_word(char *name, char *value)
{
    if (!SET(&points[header.timeline.used - 1], point_fields, name, value))
        die(name);
}

static void thread_word(char *name, char *value)
{
    if (!SET(&threads[header.threads.used - 1], thread_fields, name, value))
        die(name);
}

static void place(struct opool__profile_array *array, size_t stride, uint64_t *at)
{
    array->offset = *at;
    array->stride = (uint32_t)stride;
    array->room = array->used + gap;
    *at += stride * array->room;
}

/* What there is room for has been written to once. */
static void write_array(const void *items, const struct opool__profile_array *array)
{
    fwrite(items, array->stride, array->used, out);
    for (uint64_t i = 0; i < (uint64_t)gap * array->stride; i++)
        fputc(0x5a, out);
}

static void write_image(void)
{
    uint64_t at = sizeof header;
    place(&header.modules, sizeof *modules, &at);
    place(&header.sites, sizeof *sites, &at);
    place(&header.records, sizeof *records, &at);
    place(&header.timeline, sizeof *points, &at);
    place(&header.threads, sizeof *threads, &at);
    if (header.image_bytes == 0)
        header.image_bytes = at;
    fwrite(&header, sizeof header, 1, out);
    write_array(modules, &header.modules);
    write_array(sites, &header.sites);
    write_array(records, &header.records);
    write_array(points, &header.timeline);
    write_array(threads, &header.threads);
}

static void begin_image(void)
{
    if (header.ready)
        write_image();
    memset(modules, 0, sizeof modules);
    memset(sites, 0, sizeof sites);
    memset(records, 0, sizeof records);
    memset(points, 0, sizeof points);
    memset(threads, 0, sizeof threads);
    header = (struct opool__profile_header){
        .magic = OPOOL__PROFILE_MAGIC,
        .version = OPOOL__PROFILE_VERSION,
        .ready = 1,
        .mode = OPOOL__PROFILE_FULL,
        .every = 1,
        .frames = OPOOL__PROFILE_FRAMES,
        .pid = 1,
        .recorded_ns = 1000000000,
        .cpu_ns = 1000000000,
        .page_bytes = 4096,
    };
}

static void read_line(char *line)
{
    char *words[WORDS], *save = NULL;
    int count = 0;
    for (char *word = strtok_r(line, " \n", &save); word && count < WORDS; word = strtok_r(NULL, " \n", &save))
        words[count++] = word;
    if (count == 0)
        return;
    void (*take)(char *, char *) = NULL;
    struct opool__profile_array *arrays[] = {&header.modules, &header.sites, &header.records, &header.timeline,
                                             &header.threads};
    static const char *const names[] = {"module", "site", "record", "point", "thread"};
    static void (*const takes[])(char *, char *) = {module_word, site_word, record_word, point_word, thread_word};
    if (strcmp(words[0], "image") == 0) {
        begin_image();
        take = header_word;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(words[0], names[i]) == 0 && arrays[i]->used < MOST) {
            arrays[i]->used++;
            take = takes[i];
        }
    if (!take)
        die(words[0]);
    for (int i = 1; i < count; i++) {
        char *equals = strchr(words[i], '=');
        if (!equals)
            die(words[i]);
        *equals = '\0';
        take(words[i], equals + 1);
    }
}

int main(int argc, char **argv)
{
    static char line[LINE];
    out = argc == 2 ? fopen(argv[1], "wb") : NULL;
    if (!out)
        die("no output");
    while (fgets(line, sizeof line, stdin))
        read_line(line);
    if (header.ready || header.magic)
        write_image();
    return fclose(out) == 0 ? 0 : 2;
}
