/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "content.h"
#include "cxx.h"
#include "guess.h"
#include "opool/types.h"
#include "report.h"

/*
 * "Can this struct be pooled, and what must change?": the definition to write, such that every supported compiler takes
 * it. guard.h has the rules; where gcc and clang differ (unions, volatile), the stricter one decides.
 */

enum {
    LISTED_MOST = 64, /* members in a list: map.h */
    SMALLEST_TOTAL = 256,
};

struct define {
    struct memory *memory;
    struct report *report;
    struct definition *to;
    const char *list;  /* "a, OPOOL_BORROWED(b)" */
    const char *owned; /* what may own memory: "a, b" */
    unsigned members, marks, anonymous;
    struct doubt doubt;     /* the first */
    unsigned doubts;        /* marks that are for nothing but a doubt */
    struct sentences parts; /* one for each anonymous member */
    unsigned growing;       /* buffers that would become arrays */
    uint64_t growing_size;  /* bytes that they take as pointers */
    bool is_impossible, is_unlistable, is_class;
    bool is_formless; /* in no form at all: a slot has one size, and a definition needs a name */
    bool is_ownable;  /* the shape does not matter then; size and a name do */
};

/* ---- sentences ---- */

static void say(struct define *define, struct sentences *to, const char *text)
{
    to->all = opool__shapes_grow(define->memory, (void *)to->all, to->count, sizeof *to->all);
    to->all[to->count++] = text;
}

static void change(struct define *define, const char *text)
{
    say(define, &define->to->changes, text);
}

static void remark(struct define *define, const char *text)
{
    say(define, &define->to->remarks, text);
}

static const char *and_also(struct define *define, const char *list, const char *item)
{
    return list[0] ? opool__shapes_format(define->memory, "%s, %s", list, item) : item;
}

/* ---- capacities ---- */

static bool is_growing(const struct guess *guess, const struct node *member)
{
    return guess->likely == LIKELY_GROWABLE && member->kind == NODE_POINTER && member->array == ARRAY_NONE;
}

static uint64_t whole_size(uint64_t size)
{
    uint64_t total = SMALLEST_TOTAL;
    while (total < size * 2 && total < OPOOL_SIZE_MAX)
        total *= 2;
    return total;
}

/* An even share of what is left of the object when it is the next power of two that leaves half of itself. */
static uint64_t capacity(const struct define *define, uint64_t element_size)
{
    uint64_t fixed = define->report->size - define->growing_size;
    uint64_t room = whole_size(define->report->size) - fixed;
    return room / (define->growing ? define->growing : 1) / (element_size ? element_size : 1);
}

static const char *element_of(const struct node *pointer)
{
    return pointer->target && pointer->target_size ? pointer->target : "unsigned char";
}

static void advise_array(struct define *define, struct sentences *to, const struct node *member, const char *what,
                         const char *element, uint64_t element_size)
{
    uint64_t whole = whole_size(define->report->size);
    const char *format =
        "%s: %s %s[N] instead of %s; what does not fit is allocated for one use and not kept. N: what 99 in "
        "100 uses need (`opool audit` tells); N = %llu makes the object %llu bytes";
    if (define->report->size * 2 > OPOOL_SIZE_MAX)
        return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    say(define, to,
        opool__shapes_format(define->memory, format, member->name, element, member->name, what,
                             (unsigned long long)capacity(define, element_size), (unsigned long long)whole));
#pragma GCC diagnostic pop
}

/* ---- direct members ---- */

static void count_growing(struct define *define, const struct node *parent)
{
    for (const struct node *member = parent->children; member; member = member->next) {
        struct guess guess = opool__shapes_guess(define->memory, parent, member);
        if (is_growing(&guess, member) || member->array == ARRAY_FLEXIBLE) {
            define->growing++;
            define->growing_size += member->array == ARRAY_FLEXIBLE ? 0 : member->size;
        }
    }
}

static void advise_varying(struct define *define, const struct node *direct, const struct node *varying)
{
    define->is_impossible = true;
    define->is_formless = true;
    if (direct == varying && varying->array == ARRAY_FLEXIBLE && varying->name[0])
        advise_array(define, &define->to->changes, varying, "the flexible array", varying->element,
                     varying->element_size);
    else
        change(define, opool__shapes_format(define->memory,
                                            "%s: give the array its largest size, or keep it outside the object",
                                            varying->name[0] ? varying->name : direct->name));
}

static void advise_pointer(struct define *define, const struct node *parent, const struct node *member)
{
    struct guess guess = opool__shapes_guess(define->memory, parent, member);
    if (member->kind == NODE_FUNCTION || member->is_table)
        return;
    if (guess.likely == LIKELY_CONTAINER || guess.likely == LIKELY_GROWABLE || guess.likely == LIKELY_UNKNOWN)
        define->owned = and_also(define, define->owned, member->name);
    if (is_growing(&guess, member))
        advise_array(define, &define->to->better, member, "the pointer", element_of(member), member->target_size);
}

static void advise_inside(struct define *define, const char *name, const struct content *content)
{
    const struct node *inner = content->pointer ? content->pointer : content->reference;
    if (!inner) {
        if (content->has_union)
            remark(define, opool__shapes_format(define->memory,
                                                "%s is opaque because clang looks into no union; gcc "
                                                "would take it as it is",
                                                name));
        return;
    }
    define->owned = and_also(define, define->owned, name);
    remark(define, opool__shapes_format(define->memory,
                                        "%s is opaque: put does not clear '%s' in it. Reset has to; or make that an "
                                        "OPOOL_REF_TYPE, or a direct member that is OPOOL_BORROWED",
                                        name, inner->name));
}

static void refuse_member(struct define *define, const struct node *member)
{
    define->is_impossible = true;
    if (member->kind == NODE_UNKNOWN)
        return;
    if (member->kind != NODE_MEMBER_POINTER && member->kind != NODE_FUNCTION)
        define->owned = and_also(define, define->owned, member->name);
    const char *cure = member->kind == NODE_MEMBER_POINTER
                           ? "put the pointer to member into a struct of its own, which is OPOOL_OPAQUE then"
                       : member->kind == NODE_REFERENCE ? "make the reference a pointer, or an OPOOL_REF_TYPE"
                       : member->dimensions > BORROWED_DIMENSIONS
                           ? "an array of pointers may have two dimensions, not more"
                           : "a constant pointer can not be cleared: drop the const";
    change(define, opool__shapes_format(define->memory, "%s: %s", member->name, cure));
}

/* Members of anonymous structs and unions can not be listed: what to call them, should a list be needed. */
static const char *name_part(struct define *define, const struct node *member)
{
    const char *name = opool__shapes_format(define->memory, "part%u", ++define->anonymous);
    const char *line = member->line > 0 ? opool__shapes_format(define->memory, " in line %d", member->line) : "";
    say(define, &define->parts,
        opool__shapes_format(define->memory,
                             "name the anonymous %s%s, '%s' for example: the members of those can not be listed",
                             member->kind == NODE_UNION ? "union" : "struct", line, name));
    return name;
}

/* What C++ compilers may not look into is opaque where there is a list, and else a reason against OPOOL_DEFINE. */
static bool is_doubtful(struct define *define, const struct node *member, const char *name)
{
    if (!define->report->is_cxx)
        return false;
    struct doubt doubt = opool__shapes_doubt(define->memory, member);
    if (!doubt.why)
        return false;
    if (define->doubts++ == 0)
        define->doubt = doubt;
    remark(define, opool__shapes_format(define->memory, "%s is opaque: %s", name, doubt.why));
    return true;
}

static void add_member(struct define *define, const struct node *parent, const struct node *member)
{
    static const char *const marks[] = {"%s", "OPOOL_BORROWED(%s)", "OPOOL_OPAQUE(%s)", "OPOOL_BITS(%s)", "%s"};
    struct content content = {0};
    const char *name = member->name;
    opool__shapes_look_into(&content, member);
    enum mark mark = opool__shapes_mark(member, &content, define->report->is_cxx);
    define->members++;
    if (member->name[0] == '\0' && !member->is_base)
        name = name_part(define, member);
    if (mark == MARK_NONE && is_doubtful(define, member, name))
        mark = MARK_OPAQUE;
    define->is_class = define->is_class || member->is_base || member->access != ACCESS_PUBLIC || content.has_table ||
                       content.has_destructor;
    define->marks += mark != MARK_NONE && mark != MARK_BITS;
    if (content.varying)
        advise_varying(define, member, content.varying);
    if (mark == MARK_IMPOSSIBLE)
        refuse_member(define, member);
    else if (opool__shapes_is_pointer(member))
        advise_pointer(define, parent, member);
    else if (mark == MARK_OPAQUE)
        advise_inside(define, name, &content);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    define->list = and_also(define, define->list, opool__shapes_format(define->memory, marks[mark], name));
#pragma GCC diagnostic pop
}

/* ---- names ---- */

/* "struct conn", "conn_t", "net::Conn<int>": conn, conn, Conn. */
static const char *base_name(struct memory *memory, const char *type)
{
    const char *end = type + strcspn(type, "<"), *start = end;
    while (start > type && start[-1] != ' ' && start[-1] != ':')
        start--;
    size_t length = (size_t)(end - start);
    if (length > 2 && strncmp(end - 2, "_t", 2) == 0)
        length -= 2;
    return opool__shapes_format(memory, "%.*s", (int)length, start);
}

/* A comma would end the macro's argument, and C++ needs no keyword for what has one. */
static bool needs_typedef(const char *type)
{
    return strchr(type, ',') != NULL;
}

static bool is_nameable(const char *type)
{
    size_t length = strlen(type);
    return length > 0 && strstr(type, "(anonymous") == NULL && !strchr(type, '{') && type[length - 1] != '*';
}

/* ---- the definitions ---- */

static const char *plural(const char *list)
{
    return strchr(list, ',') ? "are" : "is";
}

/* What has to be changed first can not be pasted as it is. */
static void keep_for_later(struct definition *to)
{
    if (to->changes.count == 0)
        return;
    to->changed = to->fixed;
    to->fixed = NULL;
}

static void write_forms(struct define *define)
{
    struct definition *to = define->to;
    struct memory *memory = define->memory;
    const char *type = define->report->type, *base = base_name(memory, type), *first = "";
    if (needs_typedef(type)) {
        first = opool__shapes_format(memory, "typedef %s %s_object;\n", type, base);
        type = opool__shapes_format(memory, "%s_object", base);
    }
    if (!define->is_impossible && define->marks == 0 && !define->is_class)
        to->fixed = opool__shapes_format(memory, "%sOPOOL_DEFINE(%s_pool, %s);", first, base, type);
    else if (!define->is_impossible && !define->is_unlistable)
        to->fixed =
            opool__shapes_format(memory, "%sOPOOL_DEFINE_MEMBERS(%s_pool, %s, (%s));", first, base, type, define->list);
    to->owned = define->owned;
    if (!define->is_formless && (define->owned[0] || define->is_class || (!to->fixed && define->is_ownable)))
        to->owning = opool__shapes_format(
            memory, "%sOPOOL_DEFINE_OWNING(%s_pool, %s, %s_footprint, \"%s\", .fini = %s_fini);", first, base, type,
            base,
            define->owned[0]   ? opool__shapes_format(memory, "%s %s its own", define->owned, plural(define->owned))
            : define->is_class ? "it is a class with a life of its own"
                               : "its members can not be listed",
            base);
    keep_for_later(to);
}

/* Is there nothing in it that wants a mark, but for doubts? */
static bool is_plain(const struct define *define, const struct node *tree)
{
    if (define->marks > define->doubts || define->is_impossible || tree->has_destructor || tree->may_have_destructor)
        return false;
    for (const struct node *member = tree->children; member; member = member->next) {
        struct content content = {0};
        opool__shapes_look_into(&content, member);
        if (content.has_destructor || content.has_table)
            return false;
    }
    return true;
}

/* Why the class or its members can be in no list, each reason with a cure. */
static struct sentences objections_to_list(struct define *define, const struct node *tree)
{
    struct sentences why = {NULL, 0};
    if (define->is_class)
        say(define, &why,
            "a class with bases, constructors, private members, virtual functions or a destructor can not "
            "be listed: make it a plain struct, or let the pool own it");
    if (define->marks == 0)
        return why;
    if (define->members > LISTED_MOST)
        say(define, &why, "a list holds at most 64 members: gather some in structs of their own");
    for (const struct node *member = tree->children; member && define->report->is_cxx; member = member->next) {
        const char *objection = define->is_class ? NULL : opool__shapes_unlistable(define->memory, member);
        if (objection)
            say(define, &why, objection);
    }
    return why;
}

static void change_all(struct define *define, const struct sentences *sentences)
{
    for (size_t i = 0; i < sentences->count; i++)
        change(define, sentences->all[i]);
}

/* OPOOL_DEFINE for what wants no marks, if all compilers are sure to look into it; else a list; else neither. */
static void advise_form(struct define *define, const struct node *tree)
{
    bool plain = is_plain(define, tree);
    struct doubt doubt = define->doubt;
    if (plain && define->doubts == 0 && define->report->is_cxx)
        doubt = opool__shapes_doubt(define->memory, tree);
    if (plain && !doubt.why) {
        define->is_class = false;
        return;
    }
    define->is_class = define->is_class || tree->has_destructor || tree->may_have_destructor || tree->has_constructor;
    struct sentences against = objections_to_list(define, tree);
    define->is_unlistable = against.count > 0;
    if (plain && (define->is_unlistable || define->parts.count > 0 || define->doubts == 0)) {
        define->is_impossible = true;
        change(define, opool__shapes_format(define->memory, "%s; %s", doubt.why, doubt.cure));
        return;
    }
    change_all(define, &against);
    if (define->marks > 0)
        change_all(define, &define->parts);
}

/* gcc writes no word on what is pure. */
static void advise_table(struct define *define)
{
    define->is_formless = true;
    change(define,
           "virtual functions: OPOOL_DEFINE_OWNING takes it unless it is abstract, which debug information does "
           "not tell");
}

static void advise_size(struct define *define)
{
    const struct report *report = define->report;
    const char *why = NULL;
    if (report->size == 0)
        why = "it is empty: objects have 1 byte or more";
    else if (report->size > OPOOL_SIZE_MAX)
        why = opool__shapes_format(define->memory, "it has %llu bytes: objects have at most 16 MiB",
                                   (unsigned long long)report->size);
    else if (report->align > OPOOL_ALIGN_MAX)
        why = opool__shapes_format(define->memory, "it is aligned to %llu bytes: objects are to at most 4096",
                                   (unsigned long long)report->align);
    if (!why)
        return;
    define->is_impossible = define->is_formless = true;
    change(define, why);
}

static void advise_whole(struct define *define, const struct node *tree)
{
    if (tree->kind == NODE_STRUCT)
        advise_form(define, tree);
    if (opool__shapes_is_polymorphic(tree))
        advise_table(define);
    advise_size(define);
}

/* A number, or what else is no struct. */
static void define_scalar(struct define *define, const struct node *tree)
{
    struct content content = {0};
    opool__shapes_look_into(&content, tree);
    if (tree->array != ARRAY_NONE || content.pointer || content.function || content.reference || content.unknown ||
        content.member_pointer || content.has_volatile || content.has_const) {
        define->is_impossible = true;
        change(define, "objects are structs, unions or numbers: wrap it in a struct");
    }
}

/* clang looks into no union, and a union has no members to list. */
static void define_union(struct define *define)
{
    define->is_impossible = true;
    change(define, "wrap the union in a struct, where it is an OPOOL_OPAQUE member");
}

void opool__shapes_define(struct memory *memory, struct report *report, const struct node *tree)
{
    struct definition *to = opool__shapes_take(memory, sizeof *to);
    struct define define = {
        .memory = memory, .report = report, .to = to, .list = "", .owned = "", .is_ownable = tree->kind == NODE_STRUCT};
    report->definition = to;
    if (!is_nameable(report->type)) {
        change(&define, "give the type a name");
        return;
    }
    if (report->unnameable) {
        define.is_impossible = define.is_formless = true;
        change(&define, report->unnameable);
    }
    if (tree->kind == NODE_UNION)
        define_union(&define);
    else if (tree->kind != NODE_STRUCT || tree->array != ARRAY_NONE)
        define_scalar(&define, tree);
    count_growing(&define, tree);
    if (tree->kind == NODE_STRUCT)
        for (const struct node *member = tree->children; member; member = member->next)
            add_member(&define, tree, member);
    advise_whole(&define, tree);
    write_forms(&define);
}
