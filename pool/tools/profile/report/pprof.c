/* SPDX-License-Identifier: MIT */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../../shapes/report.h"
#include "pprof.pb-c.h"
#include "sites.h"
#include "view.h"

/* For `go tool pprof` and its like: a sample a stack; a location a frame, with a line for each inlined function. */

typedef Perftools__Profiles__Profile profile;
typedef Perftools__Profiles__ValueType value_type;
typedef Perftools__Profiles__Sample sample;
typedef Perftools__Profiles__Label label;
typedef Perftools__Profiles__Mapping mapping;
typedef Perftools__Profiles__Location location;
typedef Perftools__Profiles__Line line_of;
typedef Perftools__Profiles__Function function;

enum { VALUES = 6, LABELS = 4, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8 };

struct writing {
    const struct view *view;
    struct memory *memory;
    profile profile;
    void *texts, *functions; /* trees of tsearch */
};

/* ---- tables ---- */

struct numbered {
    const char *name, *file;
    int64_t number;
};

static int compare(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->file, b->file);
}

static void no_free(void *node)
{
    (void)node;
}

/* The one that is the same, or a new one with number 0. */
static struct numbered *find(struct writing *writing, void **tree, const char *name, const char *file)
{
    struct numbered key = {.name = name, .file = file};
    void *const *found = tfind(&key, tree, compare);
    if (found)
        return *found;
    struct numbered *item = opool__shapes_take(writing->memory, sizeof *item);
    *item = key;
    if (!tsearch(item, tree, compare))
        opool__shapes_take(writing->memory, SIZE_MAX); /* ends here, as all that lacks memory does */
    return item;
}

static int64_t text_of(struct writing *writing, const char *text)
{
    profile *to = &writing->profile;
    if (!text || text[0] == '\0')
        return 0;
    struct numbered *item = find(writing, &writing->texts, opool__shapes_clean(writing->memory, text), "");
    if (item->number == 0) {
        to->string_table = opool__shapes_grow(writing->memory, to->string_table, to->n_string_table, sizeof(char *));
        item->number = (int64_t)to->n_string_table;
        to->string_table[to->n_string_table++] = opool__shapes_copy(writing->memory, item->name);
    }
    return item->number;
}

static uint64_t function_of(struct writing *writing, const char *name, const char *file)
{
    profile *to = &writing->profile;
    struct numbered *item = find(writing, &writing->functions, name, file ? file : "");
    if (item->number == 0) {
        function *new = opool__shapes_take(writing->memory, sizeof *new);
        perftools__profiles__function__init(new);
        to->function = opool__shapes_grow(writing->memory, to->function, to->n_function, sizeof(void *));
        to->function[to->n_function++] = new;
        item->number = (int64_t)to->n_function;
        new->id = to->n_function;
        new->name = new->system_name = text_of(writing, name);
        new->filename = text_of(writing, file);
    }
    return (uint64_t)item->number;
}

/* ---- mappings and locations ---- */

static const char *hexadecimal(struct memory *memory, const unsigned char *bytes, size_t count)
{
    char *text = opool__shapes_take(memory, 2 * count + 1);
    for (size_t i = 0; i < count; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

static void add_mappings(struct writing *writing)
{
    const struct model *model = writing->view->model;
    profile *to = &writing->profile;
    to->mapping = opool__shapes_take(writing->memory, (model->binary_count + 1) * sizeof(void *));
    for (size_t i = 0; i < model->binary_count; i++) {
        const struct binary *binary = model->binaries[i];
        mapping *new = opool__shapes_take(writing->memory, sizeof *new);
        perftools__profiles__mapping__init(new);
        new->id = i + 1;
        new->memory_start = binary->start;
        new->memory_limit = binary->end;
        new->file_offset = binary->file_offset;
        new->filename = text_of(writing, binary->path);
        new->build_id = text_of(writing, hexadecimal(writing->memory, binary->id, binary->id_bytes));
        /* Else pprof would look for them, in files that may be other ones by now. */
        new->has_functions = new->has_filenames = new->has_line_numbers = new->has_inline_frames = 1;
        to->mapping[to->n_mapping++] = new;
    }
}

static uint64_t mapping_of(const struct model *model, const struct binary *binary)
{
    for (size_t i = 0; i < model->binary_count && binary; i++)
        if (model->binaries[i] == binary)
            return i + 1;
    return 0;
}

static void add_line(struct writing *writing, location *to, const struct frame *frame, size_t level)
{
    const struct line *line = level < frame->line_count ? &frame->lines[level] : NULL;
    const char *name = line && line->function ? line->function : opool__profile_place(writing->memory, frame, level);
    line_of *new = opool__shapes_take(writing->memory, sizeof *new);
    perftools__profiles__line__init(new);
    new->function_id = function_of(writing, name, line ? line->file : NULL);
    new->line = line ? line->line : 0;
    to->line[to->n_line++] = new;
}

static void add_locations(struct writing *writing)
{
    const struct model *model = writing->view->model;
    profile *to = &writing->profile;
    to->location = opool__shapes_take(writing->memory, (model->frame_count + 1) * sizeof(void *));
    for (size_t i = 0; i < model->frame_count; i++) {
        const struct frame *frame = model->frames[i];
        size_t lines = frame->line_count ? frame->line_count : 1;
        location *new = opool__shapes_take(writing->memory, sizeof *new);
        perftools__profiles__location__init(new);
        new->id = frame->number;
        new->mapping_id = mapping_of(model, frame->binary);
        new->address = frame->address;
        new->line = opool__shapes_take(writing->memory, lines * sizeof(void *));
        for (size_t level = 0; level < lines; level++)
            add_line(writing, new, frame, level);
        to->location[to->n_location++] = new;
    }
}

/* ---- samples ---- */

static void add_type(struct writing *writing, const char *type, const char *unit)
{
    value_type *new = opool__shapes_take(writing->memory, sizeof *new);
    perftools__profiles__value_type__init(new);
    new->type = text_of(writing, type);
    new->unit = text_of(writing, unit);
    writing->profile.sample_type[writing->profile.n_sample_type++] = new;
}

static int64_t value(uint64_t number)
{
    return number < INT64_MAX ? (int64_t)number : INT64_MAX;
}

static void add_label(struct writing *writing, sample *to, const char *key, const char *text, uint64_t number,
                      const char *unit)
{
    label *new = opool__shapes_take(writing->memory, sizeof *new);
    perftools__profiles__label__init(new);
    new->key = text_of(writing, key);
    new->str = text_of(writing, text);
    new->num = value(number);
    new->num_unit = text_of(writing, unit);
    to->label[to->n_label++] = new;
}

static void add_sample(struct writing *writing, const struct site *site, const struct stack *stack)
{
    struct memory *memory = writing->memory;
    const struct figures *figures = &stack->figures;
    const uint64_t values[VALUES] = {figures->allocations, figures->bytes,         figures->live,
                                     figures->live_bytes,  figures->foreign_frees, figures->faults};
    sample *new = opool__shapes_take(memory, sizeof *new);
    perftools__profiles__sample__init(new);
    new->location_id = opool__shapes_take(memory, stack->depth * sizeof(uint64_t));
    for (size_t i = 0; i < stack->depth; i++)
        new->location_id[new->n_location_id++] = stack->frames[i]->number;
    new->value = opool__shapes_take(memory, sizeof(int64_t) * VALUES);
    for (size_t i = 0; i < VALUES; i++)
        new->value[new->n_value++] = value(values[i]);
    new->label = opool__shapes_take(memory, LABELS * sizeof(void *));
    add_label(writing, new, "verdict", opool__profile_kind(site->verdict.kind), 0, NULL);
    if (figures->least == figures->most && figures->most > 0)
        add_label(writing, new, "bytes", NULL, figures->most, "bytes");
    if (opool__profile_lifetime(figures, 0.5) > 0)
        add_label(writing, new, "lifetime_p50", NULL, opool__profile_lifetime(figures, 0.5), "nanoseconds");
    writing->profile.sample[writing->profile.n_sample++] = new;
}

static void add_samples(struct writing *writing)
{
    const struct view *view = writing->view;
    profile *to = &writing->profile;
    to->sample_type = opool__shapes_take(writing->memory, VALUES * sizeof(void *));
    add_type(writing, "alloc_objects", "count");
    add_type(writing, "alloc_space", "bytes");
    add_type(writing, "inuse_objects", "count");
    add_type(writing, "inuse_space", "bytes");
    add_type(writing, "foreign_frees", "count");
    add_type(writing, "faults", "count");
    to->default_sample_type = to->sample_type[0]->type;
    to->sample = opool__shapes_take(writing->memory, (view->model->stack_count + 1) * sizeof(void *));
    for (size_t i = 0; i < view->site_count; i++)
        for (size_t k = 0; k < view->sites[i]->stack_count; k++)
            add_sample(writing, view->sites[i], view->sites[i]->stacks[k]);
}

/* ---- the file ---- */

static bool write_compressed(FILE *out, unsigned char *bytes, size_t size)
{
    z_stream stream = {.next_in = bytes};
    unsigned char piece[16384];
    if (size > UINT32_MAX ||
        deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    stream.avail_in = (uInt)size;
    int result;
    do {
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        result = deflate(&stream, Z_FINISH);
        fwrite(piece, 1, sizeof piece - stream.avail_out, out);
    } while (result == Z_OK);
    deflateEnd(&stream);
    return result == Z_STREAM_END;
}

bool opool__profile_write_pprof(const struct view *view)
{
    struct writing writing = {.view = view, .memory = view->memory};
    const struct opool__profile_header *header = &view->model->images->all[0].header;
    profile *to = &writing.profile;
    perftools__profiles__profile__init(to);
    to->string_table = opool__shapes_grow(view->memory, NULL, 0, sizeof(char *));
    to->string_table[to->n_string_table++] = opool__shapes_copy(view->memory, ""); /* 0 is "" by the format */
    add_mappings(&writing);
    add_locations(&writing);
    add_samples(&writing);
    int64_t comment = text_of(&writing, header->arguments);
    to->comment = &comment;
    to->n_comment = 1;
    to->time_nanos = value(opool__profile_product(header->epoch_s, 1000000000));
    to->duration_nanos = (int64_t)(view->model->seconds < 9e9 ? view->model->seconds * 1e9 : 9e18);
    size_t size = perftools__profiles__profile__get_packed_size(to);
    unsigned char *bytes = opool__shapes_take(view->memory, size);
    perftools__profiles__profile__pack(to, bytes);
    tdestroy(writing.texts, no_free);
    tdestroy(writing.functions, no_free);
    return write_compressed(view->out, bytes, size);
}
