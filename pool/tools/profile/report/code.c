/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <inttypes.h>
#include <opool.h>
#include <string.h>

#include "../../shapes/report.h"
#include "../../try/area.h"
#include "sites.h"
#include "view.h"

/*
 * Definitions to paste, and a configuration for `opool try`. A site whose type is known by the line, or by its
 * function, and that a pool takes as it is, gets a pool of that type; else it is bytes of the size. The code is
 * complete but for the header that declares such a type.
 */

enum { NAME_LONGEST = 48 };

/* Names of files and functions stand in comments. */
static const char *in_comment(const struct view *view, const char *text)
{
    char *copy = opool__shapes_copy(view->memory, opool__shapes_clean(view->memory, text));
    for (char *c = copy; *c; c++)
        if (*c == '*' || *c == '\\' || *c == '/')
            *c = *c == '/' && c[1] != '*' && (c == copy || c[-1] != '*') ? '/' : '.';
    return copy;
}

/* Letters, digits and '_' of a name; in front a word that makes it one. */
static const char *identifier(const struct view *view, const char *text, const char *front)
{
    char *name = opool__shapes_take(view->memory, NAME_LONGEST + 1);
    size_t length = 0;
    for (const char *c = text; *c && length < NAME_LONGEST && *c != '('; c++)
        if (isalnum((unsigned char)*c) || *c == '_')
            name[length++] = *c;
        else if (length > 0 && name[length - 1] != '_')
            name[length++] = '_';
    while (length > 0 && name[length - 1] == '_')
        length--;
    name[length] = '\0';
    return opool__shapes_format(view->memory, "%s%s", front, length ? name : "unnamed");
}

/* ---- pools ---- */

static bool has_type(const struct site *site)
{
    return site->type.name && site->type.definition && site->type.sure >= SURE_FUNCTION &&
           site->verdict.kind != KIND_UNIFY;
}

/* A creation is one object, however many sites it has; a type has one pool. */
static bool share_a_pool(const struct site *site, const struct site *other)
{
    if (site->verdict.of || other->verdict.of)
        return site->verdict.of == other->verdict.of;
    return has_type(site) && has_type(other) && strcmp(site->type.name, other->type.name) == 0;
}

/* Of all that share the pool: sites of a type have objects of their own, those of a creation are parts of one. */
static uint64_t most_at_once(const struct view *view, const struct site *site)
{
    uint64_t most = 0;
    for (size_t i = 0; i < view->site_count; i++) {
        const struct site *other = view->sites[i];
        bool shares = other == site || (opool__profile_is_chosen(view, other) && share_a_pool(site, other));
        if (shares && site->verdict.of)
            most = other->figures.live_peak > most ? other->figures.live_peak : most;
        else if (shares)
            most = opool__profile_sum(most, other->figures.live_peak);
    }
    return most;
}

static void write_options(const struct view *view, const struct site *site, const char *name)
{
    uint64_t most = most_at_once(view, site);
    fprintf(view->out, "static const struct opool_options %s_options = {\n    .capacity = %" PRIu64, name,
            opool__profile_capacity(most));
    if (most > 0)
        fprintf(view->out,
                ", /* the most at once was %" PRIu64 "; beyond it get gives NULL, errno EAGAIN; 0: no limit */\n"
                "    .prefill = %" PRIu64 ", /* as one thread had, up to 256 KiB */\n",
                most, opool__profile_prefill(site));
    else
        fputs(", /* no limit: how many there were at once was not recorded */\n", view->out);
    fputs("};\n", view->out);
}

/* C headers are to be included; what a .c file declares is there already. */
static void write_include(const struct view *view, const struct type_guess *type)
{
    const char *slash = type->file ? strrchr(type->file, '/') : NULL, *file = slash ? slash + 1 : type->file;
    size_t length = file ? strlen(file) : 0;
    if (length > 2 && strcmp(file + length - 2, ".h") == 0)
        fprintf(view->out, "#include \"%s\"\n", in_comment(view, file));
    else if (file)
        fprintf(view->out, "/* Below line %d of %s, which declares %s. */\n", type->line, in_comment(view, file),
                in_comment(view, type->name));
}

static void write_lines(const struct view *view, const char *text)
{
    for (size_t length; *text; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        const char *line = opool__shapes_format(view->memory, "%.*s", (int)length, text);
        fprintf(view->out, "%s\n", opool__shapes_clean(view->memory, line));
    }
}

static void write_typed(const struct view *view, const struct site *site)
{
    const struct type_guess *type = &site->type;
    const char *end = strchr(type->definition, '('), *comma = end ? strchr(end, ',') : NULL;
    const char *name =
        end && comma ? opool__shapes_format(view->memory, "%.*s", (int)(comma - end - 1), end + 1) : "pool";
    write_include(view, type);
    write_lines(view, type->definition);
    fprintf(view->out, "_Static_assert(sizeof(%s) == %" PRIu64 ", \"not the type that was profiled\");\n",
            opool__shapes_clean(view->memory, type->name), site->verdict.size);
    write_options(view, site, name);
}

static uint64_t alignment_of(const struct site *site, uint64_t bytes)
{
    uint64_t alignment = 16;
    while (alignment < site->figures.alignment && alignment < 4096)
        alignment *= 2;
    /* An object is a multiple of its alignment: small ones are not to grow for one that they did not ask for. */
    while (site->figures.alignment == 0 && alignment > 8 && bytes % alignment != 0)
        alignment /= 2;
    return alignment;
}

static void write_bytes(const struct view *view, const struct site *site, uint64_t bytes, size_t number)
{
    const char *name =
        opool__shapes_format(view->memory, "%s_%zu_%" PRIu64, identifier(view, site->name, "pool_"), number, bytes);
    fprintf(view->out,
            "struct %s_object {\n"
            "    _Alignas(%" PRIu64 ") unsigned char bytes[%" PRIu64 "];\n"
            "};\n"
            "OPOOL_DEFINE(%s, struct %s_object);\n",
            name, alignment_of(site, bytes), bytes, name, name);
    write_options(view, site, name);
}

/* Owned memory is the library's affair: what is to be written by hand is declared. */
static void write_context(const struct view *view, const struct site *site, size_t number)
{
    const struct context *context = site->verdict.of;
    const char *name = opool__shapes_format(view->memory, "%s_%zu", identifier(view, context->create, "kept_"), number);
    fprintf(view->out,
            "struct %s {\n"
            "    void *context;\n"
            "};\n"
            "/* To be written: context = %s(...), -ENOMEM if that fails; %s, true if that\n"
            "   succeeds; %s. */\n"
            "int %s_init(struct %s *object, void *arg);\n"
            "bool %s_reset(struct %s *object, void *arg);\n"
            "void %s_fini(struct %s *object, void *arg);\n",
            name, in_comment(view, context->create),
            in_comment(view, context->reset ? context->reset : "reset it to be as new"),
            in_comment(view, context->free ? context->free : "free it"), name, name, name, name, name, name);
    fprintf(view->out,
            "static inline struct opool_footprint %s_footprint(const struct %s *object, void *arg)\n"
            "{\n"
            "    (void)object, (void)arg; /* %u allocation%s when it was created */\n"
            "    return (struct opool_footprint){.used = %" PRIu64 ", .held = %" PRIu64 "};\n"
            "}\n"
            "OPOOL_DEFINE_OWNING(%s_pool, struct %s, %s_footprint,\n"
            "                    \"the library allocates it\", .init = %s_init,\n"
            "                    .reset = %s_reset, .fini = %s_fini);\n",
            name, name, context->allocations, context->allocations == 1 ? "" : "s", context->bytes, context->bytes,
            name, name, name, name, name, name);
    write_options(view, site, opool__shapes_format(view->memory, "%s_pool", name));
}

static const char *place_of(const struct view *view, const struct site *site)
{
    return in_comment(view, site->at ? opool__profile_place(view->memory, site->at, site->level) : site->name);
}

static void write_definition(const struct view *view, const struct site *site, size_t number)
{
    const struct judgement *verdict = &site->verdict;
    fprintf(view->out, "\n/* %s: %s\n", opool__profile_kind(verdict->kind), place_of(view, site));
    for (size_t i = 0; i < view->site_count; i++)
        if (view->sites[i] != site && opool__profile_is_chosen(view, view->sites[i]) &&
            share_a_pool(site, view->sites[i]))
            fprintf(view->out, "   and %s\n", place_of(view, view->sites[i]));
    fprintf(view->out, "   %s.\n", in_comment(view, verdict->why));
    fprintf(view->out, "   %s%s.%s */\n", verdict->is_noise ? "No gain in speed: " : "Gain: ",
            opool__profile_gain_text(view->memory, &verdict->gain, true),
            verdict->for_memory ? " For steady memory." : "");
    if (verdict->kind == KIND_CONTEXT)
        write_context(view, site, number);
    else if (has_type(site))
        write_typed(view, site);
    else if (verdict->kind == KIND_UNIFY)
        for (unsigned i = 0; i < verdict->classes.classes; i++) {
            if (verdict->classes.bytes[i] > 0) /* nobody needs an object for malloc(0) */
                write_bytes(view, site, verdict->classes.bytes[i], number);
        }
    else
        write_bytes(view, site, verdict->size, number);
}

static bool is_repeated(const struct view *view, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (opool__profile_is_chosen(view, view->sites[i]) && share_a_pool(view->sites[at], view->sites[i]))
            return true;
    return false;
}

bool opool__profile_write_code(const struct view *view)
{
    size_t count = 0;
    fputs("/* By opool profile, from what one run did: look at it before it is yours. */\n#include <opool.h>\n",
          view->out);
    for (size_t i = 0; i < view->site_count; i++)
        if (opool__profile_is_chosen(view, view->sites[i]) && !is_repeated(view, i))
            write_definition(view, view->sites[i], ++count);
    if (count == 0)
        fprintf(view->out, "\n/* %s */\n", in_comment(view, opool__profile_summary(view->memory, view->model)));
    return true;
}

/* ---- try ---- */

static bool has_size(const struct site *site, uint64_t bytes)
{
    for (size_t k = 0; k < site->figures.size_count; k++)
        if (site->figures.sizes[k].bytes == bytes)
            return true;
    return false;
}

/* Room is for all sites of the size, those too that nobody chose. */
static void write_room(const struct view *view, uint64_t bytes, uint64_t prefill)
{
    uint64_t capacity = 0, align = 0;
    for (size_t i = 0; i < view->model->site_count; i++) {
        const struct site *site = view->model->sites[i];
        if (!has_size(site, bytes))
            continue;
        capacity = opool__profile_sum(capacity, opool__profile_capacity(site->figures.live_peak));
        align = site->figures.alignment > align ? site->figures.alignment : align;
    }
    if (align > 16 && align <= OPOOL_ALIGN_MAX && (align & (align - 1)) == 0) /* more than malloc's own */
        fprintf(view->out, " align %" PRIu64, align);
    if (capacity > 0) /* else it was not recorded: no limit */
        fprintf(view->out, " capacity %" PRIu64 " prefill %" PRIu64, capacity, prefill < 4096 ? prefill : 4096);
}

/* One line a size: sites of one size share a pool there. What `opool try` has no room for is a comment. */
static void write_size(const struct view *view, size_t at, uint64_t bytes, unsigned *count)
{
    uint64_t prefill = 0;
    const char *names = "";
    if (bytes == 0)
        return;
    for (size_t i = 0; i < view->site_count; i++) {
        const struct site *site = view->sites[i];
        if (!has_size(site, bytes) || !opool__profile_is_chosen(view, site) || site->verdict.of)
            continue;
        if (i < at)
            return;
        prefill = opool__profile_sum(prefill, opool__profile_prefill(site));
        names = opool__shapes_format(view->memory, "%s%s%s", names, names[0] ? ", " : "", site->name);
    }
    fprintf(view->out, "%ssize %" PRIu64, ++*count > OPOOL__TRY_SIZES ? "# no room: " : "", bytes);
    write_room(view, bytes, prefill);
    fprintf(view->out, " # %s\n", opool__shapes_clean(view->memory, names));
}

static void write_context_line(const struct view *view, size_t at)
{
    const char *line = view->sites[at]->verdict.of->configuration;
    if (!line)
        return;
    for (size_t i = 0; i < at; i++) {
        const struct context *other =
            opool__profile_is_chosen(view, view->sites[i]) ? view->sites[i]->verdict.of : NULL;
        if (other && other->configuration && strcmp(other->configuration, line) == 0)
            return;
    }
    fprintf(view->out, "%s\n", line);
}

bool opool__profile_write_try(const struct view *view)
{
    unsigned count = 0;
    for (size_t i = 0; i < view->site_count; i++) {
        const struct site *site = view->sites[i];
        if (!opool__profile_is_chosen(view, site))
            continue;
        if (site->verdict.of)
            write_context_line(view, i);
        else if (site->verdict.kind == KIND_UNIFY)
            for (size_t k = 0; k < site->figures.size_count; k++)
                write_size(view, i, site->figures.sizes[k].bytes, &count);
        else
            write_size(view, i, site->verdict.size, &count);
    }
    return true;
}
