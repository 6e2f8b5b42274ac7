/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "guess.h"
#include "report.h"

/* Where the walk is. */
struct place {
    const char *path;
    const char *listed; /* the path as lists have it: no brackets of arrays; "" for what has no name */
    uint64_t base;
    bool in_union;
    bool is_last; /* nothing lies behind what is being looked at */
};

struct judge {
    struct memory *memory;
    struct report *report;
    enum verdict bad; /* what a pointer without a mark is: rejected, or owned */
    bool values;
};

const char *opool__shapes_verdict(enum verdict verdict)
{
    static const char *const names[] = {
        [VERDICT_VALUE] = "value",         [VERDICT_FINE] = "fine",     [VERDICT_BORROWED] = "borrowed",
        [VERDICT_OPAQUE] = "opaque",       [VERDICT_OWNED] = "owned",   [VERDICT_WARN] = "warn",
        [VERDICT_UNCHECKED] = "unchecked", [VERDICT_REJECT] = "reject",
    };
    return names[verdict];
}

const char *opool__shapes_path(struct memory *memory, const char *path, const struct node *member)
{
    const char *dot = path[0] && member->name[0] ? "." : "";
    path = opool__shapes_format(memory, "%s%s%s", path, dot, member->name);
    for (unsigned i = 0; i < member->dimensions; i++)
        path = opool__shapes_format(memory, "%s[]", path);
    return path;
}

static void add(struct judge *judge, const struct node *member, const struct place *at, enum verdict verdict,
                const char *why)
{
    struct report *report = judge->report;
    report->findings =
        opool__shapes_grow(judge->memory, report->findings, report->finding_count, sizeof *report->findings);
    report->findings[report->finding_count++] = (struct finding){
        .path = member->is_base && at->path[0] == '\0' ? opool__shapes_format(judge->memory, "base %s", member->element)
                                                       : at->path,
        .offset = at->base,
        .size = member->size,
        .verdict = verdict,
        .type = member->type,
        .why = why,
        .file = member->file,
        .line = member->line,
    };
}

/* ---- declared members ---- */

/* The list is "a b BORROWED(c) OPAQUE(d) BITS(e) ": is `kind(path)` a word of it? */
static bool is_listed(const struct report *report, const char *kind, const char *path)
{
    size_t kind_length = strlen(kind), length = strlen(path);
    if (length == 0 || strcmp(report->kind, "listed") != 0)
        return false;
    for (const char *word = report->more; *word; word += strcspn(word, " "), word += strspn(word, " "))
        if (strncmp(word, kind, kind_length) == 0 && word[kind_length] == '(' &&
            strncmp(word + kind_length + 1, path, length) == 0 && word[kind_length + 1 + length] == ')')
            return true;
    return false;
}

static unsigned pointers_in(const struct node *node, const struct node **first)
{
    unsigned count = 0;
    if (node->kind == NODE_POINTER || node->kind == NODE_REFERENCE) {
        *first = *first ? *first : node;
        return 1;
    }
    for (const struct node *child = node->children; child; child = child->next)
        count += pointers_in(child, first);
    return count;
}

static void judge_opaque(struct judge *judge, const struct node *member, const struct place *at)
{
    const struct node *first = NULL;
    unsigned pointers = pointers_in(member, &first);
    const char *why = "declared opaque: your word for it";
    if (pointers > 0)
        why = opool__shapes_format(judge->memory, "%s; holds %u pointer%s, first '%s'", why, pointers,
                                   pointers == 1 ? "" : "s", first->name);
    add(judge, member, at, VERDICT_OPAQUE, why);
}

/* ---- what a member is ---- */

static const char *where(struct judge *judge, const struct place *at, const char *why)
{
    return at->in_union ? opool__shapes_format(judge->memory, "%s; in a union", why) : why;
}

static void judge_pointer(struct judge *judge, const struct node *parent, const struct node *member,
                          const struct place *at)
{
    if (member->is_table)
        add(judge, member, at, judge->bad, "table of virtual functions: a class that may own what is not seen here");
    else if (member->kind == NODE_FUNCTION)
        add(judge, member, at, VERDICT_FINE, "function pointer: owns nothing");
    else if (member->kind == NODE_MEMBER_POINTER)
        add(judge, member, at, VERDICT_FINE, "pointer to member: an offset, owns nothing");
    else if (member->kind == NODE_REFERENCE)
        add(judge, member, at, judge->bad, where(judge, at, "reference: can not be cleared at put"));
    else
        add(judge, member, at, judge->bad, where(judge, at, opool__shapes_guess(judge->memory, parent, member).why));
}

/* True: there is nothing more to say of the member. */
static bool judge_array(struct judge *judge, const struct node *member, const struct place *at)
{
    switch (member->array) {
    case ARRAY_FLEXIBLE:
        add(judge, member, at, judge->bad, "flexible array member: its size varies");
        return true;
    case ARRAY_VARIABLE:
        add(judge, member, at, judge->bad, "array of variable length");
        return true;
    case ARRAY_ZERO:
        if (at->is_last)
            add(judge, member, at, judge->bad, "zero-length array at the end: its size varies");
        else
            add(judge, member, at, VERDICT_WARN, "zero-length array: a mark, or a part whose size varies?");
        return true;
    case ARRAY_FIXED:
        if (member->count == 1 && at->is_last)
            add(judge, member, at, VERDICT_WARN, "last member is [1]: the struct hack?");
        return false;
    default:
        return false;
    }
}

static void judge_members(struct judge *judge, const struct node *parent, const struct place *at);

static void judge_aggregate(struct judge *judge, const struct node *member, const struct place *at)
{
    struct place inside = *at;
    if (member->has_destructor) {
        add(judge, member, at, judge->bad, "has a destructor: may own memory");
        if (judge->bad == VERDICT_REJECT)
            return; /* its parts are its own business */
    }
    /* Each definition asserted of its objects that they have none. */
    if (member->may_have_destructor && !judge->report->pool)
        add(judge, member, at, VERDICT_UNCHECKED, "has a destructor, or a defaulted one: clang does not say which");
    inside.in_union = at->in_union || member->kind == NODE_UNION;
    inside.is_last = at->is_last && member->count == 1;
    judge_members(judge, member, &inside);
}

static void judge_member(struct judge *judge, const struct node *parent, const struct node *member,
                         const struct place *at)
{
    if (is_listed(judge->report, "OPAQUE", at->listed)) {
        judge_opaque(judge, member, at);
        return;
    }
    if (judge_array(judge, member, at))
        return;
    switch (member->kind) {
    case NODE_STRUCT:
    case NODE_UNION:
        judge_aggregate(judge, member, at);
        break;
    case NODE_UNKNOWN:
        add(judge, member, at, VERDICT_UNCHECKED, member->note);
        break;
    case NODE_VALUE:
        if (judge->values)
            add(judge, member, at, VERDICT_VALUE, "");
        break;
    default:
        judge_pointer(judge, parent, member, at);
    }
}

static const char *listed_path(struct judge *judge, const struct place *around, const struct node *member)
{
    if (member->name[0] == '\0')
        return "";
    return opool__shapes_format(judge->memory, "%s%s%s", around->path, around->path[0] ? "." : "", member->name);
}

static bool is_borrowed(const struct judge *judge, const struct node *member, const struct place *at)
{
    return (member->kind == NODE_POINTER || member->kind == NODE_FUNCTION) &&
           is_listed(judge->report, "BORROWED", at->listed);
}

/* What ends where its parent ends; in a union each may. */
static bool ends(const struct node *parent, const struct node *member)
{
    return parent->kind == NODE_UNION || !member->next;
}

static void judge_members(struct judge *judge, const struct node *parent, const struct place *around)
{
    for (const struct node *member = parent->children; member; member = member->next) {
        struct place at = {
            .path = opool__shapes_path(judge->memory, around->path, member),
            .listed = listed_path(judge, around, member),
            .base = around->base + member->offset,
            .in_union = around->in_union,
            .is_last = around->is_last && ends(parent, member),
        };
        if (is_borrowed(judge, member, &at))
            add(judge, member, &at, VERDICT_BORROWED, "declared borrowed: cleared at put");
        else
            judge_member(judge, parent, member, &at);
    }
}

/* ---- the whole ---- */

static enum outcome outcome_of(const struct report *report)
{
    enum verdict worst = VERDICT_VALUE;
    for (size_t i = 0; i < report->finding_count; i++)
        if (report->findings[i].verdict > worst)
            worst = report->findings[i].verdict;
    if (worst == VERDICT_REJECT)
        return OUTCOME_REJECTED;
    if (strcmp(report->kind, "owning") == 0)
        return OUTCOME_OWNING;
    return worst == VERDICT_UNCHECKED ? OUTCOME_UNCHECKED : OUTCOME_FIXED;
}

void opool__shapes_judge(struct memory *memory, struct report *report, const struct node *tree, bool values)
{
    bool owning = strcmp(report->kind, "owning") == 0;
    struct judge judge = {memory, report, owning ? VERDICT_OWNED : VERDICT_REJECT, values};
    const struct place start = {.path = "", .listed = "", .is_last = true};
    judge_member(&judge, tree, tree, &start);
    report->outcome = outcome_of(report);
}
