/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <string.h>

#include "entry.h"
#include "file.h"
#include "named.h"
#include "read.h"
#include "scan.h"
#include "write.h"

enum { VARIANTS_MOST = 16 }; /* types of one name that differ */

struct scanning {
    const struct scan *scan;
    struct memory *memory;
    struct module *module;
    struct reports reports;
};

/* ---- reports ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Units spell the way to a header each in its own manner. */
static bool same_file(const char *a, const char *b)
{
    const char *left = a ? strrchr(a, '/') : NULL, *right = b ? strrchr(b, '/') : NULL;
    return same_text(left ? left : a, right ? right : b);
}

/* `typedef struct conn conn` names the same twice. */
static bool is_alias(const struct report *a, const struct report *b)
{
    bool is_typedef = !same_text(a->type, a->element) || !same_text(b->type, b->element);
    return !a->pool && !b->pool && is_typedef && a->element && same_text(a->element, b->element) &&
           !strstr(a->element, "(anonymous") && a->size == b->size;
}

/* Units may see one header with other macros: then members of one size differ. */
static bool same_findings(const struct report *a, const struct report *b)
{
    bool same = a->finding_count == b->finding_count;
    for (size_t i = 0; same && i < a->finding_count; i++) {
        const struct finding *x = &a->findings[i], *y = &b->findings[i];
        same = x->verdict == y->verdict && x->offset == y->offset && x->size == y->size &&
               same_text(x->path, y->path) && same_text(x->type, y->type);
    }
    const char *left = a->definition ? a->definition->fixed : NULL,
               *right = b->definition ? b->definition->fixed : NULL;
    return same && same_text(left, right);
}

static bool is_same(const struct report *a, const struct report *b)
{
    if (is_alias(a, b))
        return true;
    return same_text(a->pool, b->pool) && same_text(a->type, b->type) && same_text(a->kind, b->kind) &&
           same_text(a->more, b->more) && same_file(a->file, b->file) && a->line == b->line && a->size == b->size &&
           a->align == b->align && a->outcome == b->outcome && same_text(a->why, b->why) && same_findings(a, b);
}

/* A pool that a header defines has a record in each object file. */
static void add_report(struct scanning *scanning, const struct report *report)
{
    struct reports *reports = &scanning->reports;
    for (size_t i = 0; i < reports->count; i++)
        if (is_same(&reports->all[i], report)) {
            reports->all[i].copies++;
            return;
        }
    reports->all = opool__shapes_grow(scanning->memory, reports->all, reports->count, sizeof *report);
    reports->all[reports->count++] = *report;
}

static void unchecked(struct report *report, const char *why)
{
    report->outcome = OUTCOME_UNCHECKED;
    report->why = why;
}

static void judge(struct scanning *scanning, struct report *report, const struct node *tree)
{
    opool__shapes_judge(scanning->memory, report, tree, scanning->scan->all);
    opool__shapes_pack(scanning->memory, report, tree);
}

static const char *malformed(struct scanning *scanning, const char *why)
{
    return opool__shapes_format(scanning->memory, "malformed debug information: %s", why);
}

/* ---- pools ---- */

/* A compiler writes one; a broken file may have a const type that is const of itself. */
enum { CONSTS_MOST = 8 };

/* The record is `struct { const T *type; ... }`: its first member leads to T. */
static bool object_type(Dwarf_Die *variable, Dwarf_Die *type)
{
    Dwarf_Die step, member;
    if (!opool__shapes_type_of(variable, &step))
        return false;
    for (int steps = 0; dwarf_tag(&step) == DW_TAG_const_type; steps++)
        if (steps == CONSTS_MOST || !opool__shapes_type_of(&step, &step))
            return false;
    if (!opool__shapes_child(&step, &member) || !opool__shapes_type_of(&member, &step) ||
        dwarf_tag(&step) != DW_TAG_pointer_type || !opool__shapes_type_of(&step, type))
        return false;
    return dwarf_tag(type) != DW_TAG_const_type || opool__shapes_type_of(type, type);
}

static const char scattered[] = "an object file with type units (-fdebug-types-section): give the linked program";

static bool is_scattered(const struct module *module)
{
    return module->has_type_units && module->is_object;
}

static const char *why_no_debug(const struct module *module)
{
    if (!module->dwarf)
        return "no debug information: compile with -g, and keep it or its separate file";
    if (is_scattered(module))
        return scattered;
    if (module->lacks_split)
        return "its debug information is in a .dwo file that is not there";
    return "its source has no debug information: compile all of it with -g";
}

static void check_record(struct scanning *scanning, struct report *report, struct record *record)
{
    Dwarf_Die type;
    const char *why;
    if (!record->variable.addr) {
        unchecked(report, why_no_debug(scanning->module));
        return;
    }
    if (!object_type(&record->variable, &type)) {
        unchecked(report,
                  is_scattered(scanning->module) ? scattered : malformed(scanning, "the record has another type"));
        return;
    }
    report->is_cxx = opool__shapes_is_cxx(&type);
    struct node *tree = opool__shapes_read(scanning->module, scanning->memory, &type, &why);
    if (is_scattered(scanning->module) && (!tree || tree->kind == NODE_UNKNOWN))
        unchecked(report, scattered);
    else if (!tree)
        unchecked(report, malformed(scanning, why));
    else if (tree->kind != NODE_UNKNOWN && tree->size != record->size)
        unchecked(report,
                  opool__shapes_format(scanning->memory, "the debug information is of another build: %llu bytes there",
                                       (unsigned long long)tree->size));
    else
        judge(scanning, report, tree);
}

static void scan_record(struct scanning *scanning, struct record *record)
{
    struct report report = {
        .pool = record->name,
        .type = record->type,
        .kind = record->kind,
        .more = record->more,
        .module = scanning->module->name,
        .size = record->size,
        .align = record->align,
        .copies = 1,
    };
    const char *file = record->variable.addr ? opool__shapes_file(&record->variable) : NULL;
    report.file = file ? opool__shapes_copy(scanning->memory, file) : NULL;
    report.line = record->variable.addr ? opool__shapes_line(&record->variable) : 0;
    check_record(scanning, &report, record);
    add_report(scanning, &report);
}

static void note(struct scanning *scanning, const char *text)
{
    scanning->reports.note =
        scanning->module->name ? opool__shapes_format(scanning->memory, "%s: %s", scanning->module->name, text) : text;
}

static void scan_pools(struct scanning *scanning)
{
    struct module *module = scanning->module;
    if (module->count > 0) {
        opool__shapes_open_debug(module);
        opool__shapes_find_records(module);
    } else if (module->is_debug_only) {
        note(scanning, "UNCHECKED: only debug information is in it; give the file that it was taken from");
    } else if (module->is_lto) {
        note(scanning, "UNCHECKED: not linked yet (-flto); give the linked program");
    }
    for (size_t i = 0; i < module->count; i++)
        scan_record(scanning, &module->records[i]);
}

/* ---- a type ---- */

/* As a source would name it: C++ needs no keyword, and the scope. */
static const char *full_name(struct memory *memory, Dwarf_Die *type, const char *scope)
{
    const char *name = dwarf_diename(type);
    if (scope[0] == '\0' || !name)
        return opool__shapes_type_name(memory, type);
    return opool__shapes_format(memory, "%s::%s", scope, name);
}

static bool scan_type(void *arg, Dwarf_Die *type, const char *scope)
{
    struct scanning *scanning = arg;
    struct memory *memory = scanning->memory;
    const char *why = NULL, *file = opool__shapes_file(type);
    struct report report = {.kind = "", .more = "", .module = scanning->module->name, .copies = 1};
    report.type = full_name(memory, type, scope);
    report.file = file ? opool__shapes_copy(memory, file) : NULL;
    report.line = opool__shapes_line(type);
    report.is_cxx = opool__shapes_is_cxx(type);
    report.unnameable = opool__shapes_unnameable(type);
    struct node *tree = opool__shapes_read(scanning->module, memory, type, &why);
    if (tree) {
        report.element = tree->element;
        report.size = tree->size;
        report.align = tree->align;
    }
    if (tree) {
        judge(scanning, &report, tree);
        opool__shapes_define(memory, &report, tree);
    } else {
        unchecked(&report, malformed(scanning, why));
    }
    add_report(scanning, &report);
    return scanning->reports.count < VARIANTS_MOST;
}

static bool scan_types(struct scanning *scanning)
{
    opool__shapes_open_debug(scanning->module);
    return opool__shapes_find_types(scanning->module, scanning->scan->type, scan_type, scanning);
}

/* ---- the file ---- */

static bool any_debug(const struct file *file)
{
    for (size_t i = 0; i < file->count; i++)
        if (file->modules[i].dwarf)
            return true;
    return false;
}

static void scan_modules(struct scanning *scanning, struct file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        scanning->module = &file->modules[i];
        if (!scanning->scan->type)
            scan_pools(scanning);
        else if (!scan_types(scanning))
            break;
    }
    if (file->has_bitcode && !scanning->reports.note)
        scanning->reports.note = "UNCHECKED: LLVM bitcode in it (-flto); give the linked program";
    if (scanning->reports.count > 0 || scanning->reports.note || file->error)
        return;
    if (!scanning->scan->type)
        scanning->reports.note = "no pool in it";
    else if (any_debug(file))
        scanning->reports.note = "no such type in it, or only declared";
    else
        scanning->reports.note = "no debug information in it: compile with -g";
}

/* Of fixed shape, and still nothing that a definition takes: too large, a union, an array, [0] in the middle. */
static bool is_unfit(const struct report *report)
{
    return report->outcome == OUTCOME_FIXED && report->definition && !report->definition->fixed;
}

static int status_of(const struct reports *reports)
{
    int worst = reports->error ? SCAN_UNCHECKED : SCAN_FIXED;
    for (size_t i = 0; i < reports->count; i++) {
        int status = reports->all[i].outcome == OUTCOME_UNCHECKED                                ? SCAN_UNCHECKED
                     : reports->all[i].outcome == OUTCOME_REJECTED || is_unfit(&reports->all[i]) ? SCAN_REJECTED
                                                                                                 : SCAN_FIXED;
        worst = status > worst ? status : worst;
    }
    if (reports->note && strstr(reports->note, "UNCHECKED"))
        worst = SCAN_UNCHECKED;
    return worst | (reports->count > 0 ? SCAN_FOUND : 0);
}

int opool__shapes_scan(void *arg, FILE *out)
{
    const struct scan *scan = arg;
    struct memory memory = {0};
    struct scanning scanning = {.scan = scan, .memory = &memory, .reports = {.file = scan->path}};
    struct file file;
    const char *why = "";
    if (opool__shapes_open(&file, &memory, scan->path, &why)) {
        scan_modules(&scanning, &file);
        scanning.reports.error = file.error;
    } else {
        scanning.reports.error = why;
    }
    if (scan->json)
        opool__shapes_write_json(out, &memory, &scanning.reports);
    else
        opool__shapes_write_text(out, &memory, &scanning.reports, scan->all);
    int status = status_of(&scanning.reports);
    opool__shapes_close(&file);
    opool__shapes_give(&memory);
    return status;
}
