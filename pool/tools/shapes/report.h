/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_REPORT_H
#define OPOOL_SHAPES_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "tree.h"

/* What there is to say of a pool, or of a type: judge.c, pack.c and define.c fill it in, text.c and json.c write it. */

/* Of a member; also the order in which the worst decides. */
enum verdict {
    VERDICT_VALUE,    /* a number: kept for -v only */
    VERDICT_FINE,     /* a pointer that can not own memory */
    VERDICT_BORROWED, /* declared so by the definition */
    VERDICT_OPAQUE,
    VERDICT_OWNED, /* the pool is an owning one */
    VERDICT_WARN,
    VERDICT_UNCHECKED,
    VERDICT_REJECT,
};

/* Of the whole. */
enum outcome { OUTCOME_FIXED, OUTCOME_OWNING, OUTCOME_REJECTED, OUTCOME_UNCHECKED };

struct finding {
    const char *path; /* "req.headers.e[].k"; "" is the object itself */
    uint64_t offset, size;
    enum verdict verdict;
    const char *type, *why; /* why: "" without a reason */
    const char *file;       /* NULL: unknown */
    int line;
};

struct hole {
    const char *behind; /* path of the member in front of it */
    uint64_t offset, size, times;
};

/* A struct whose members could stand in an order that needs less. */
struct order {
    const char *path, *type;
    const char *members; /* "a, b, c" */
    uint64_t size, saves, times;
};

struct sentences {
    const char **all;
    size_t count;
};

/* How a pool of the type can be defined. */
struct definition {
    struct sentences changes; /* without these in no form, or only in the owning one */
    struct sentences better;  /* what would do away with memory of its own */
    struct sentences remarks; /* what the definition does not do by itself */
    const char *fixed;        /* OPOOL_DEFINE or OPOOL_DEFINE_MEMBERS; NULL: not in any such form, as it is */
    const char *changed;      /* such a form after the changes; NULL: none, or it needs none */
    const char *owning;       /* the other way, when it owns memory; NULL: there is nothing to own */
    const char *owned;        /* what would be its own then */
};

struct report {
    const char *pool; /* NULL: a type that was asked for */
    const char *type, *kind, *more;
    const char *element;    /* what a typedef stands for; of a type that was asked for */
    const char *unnameable; /* why no definition can name such a type; NULL: it can */
    const char *module;     /* member of an archive, or NULL */
    const char *file;
    int line;
    uint64_t size, align;
    unsigned copies; /* records that say the same */
    bool is_cxx;
    enum outcome outcome;
    const char *why; /* of OUTCOME_UNCHECKED, where no member is the reason */
    struct finding *findings;
    size_t finding_count;
    struct hole *holes;
    size_t hole_count;
    struct order *orders;
    size_t order_count;
    const struct definition *definition; /* of a type that was asked for, else NULL */
};

/** Judges each member of a tree by what the definition declares; sets findings and outcome. */
void opool__shapes_judge(struct memory *memory, struct report *report, const struct node *tree, bool values);
/** Sets holes and orders. */
void opool__shapes_pack(struct memory *memory, struct report *report, const struct node *tree);
/** Sets the definition to write. */
void opool__shapes_define(struct memory *memory, struct report *report, const struct node *tree);

/** The text as valid UTF-8 without control characters: names come from files that anyone may have written. */
const char *opool__shapes_clean(struct memory *memory, const char *text);

/** A verdict's name in lower case. */
const char *opool__shapes_verdict(enum verdict verdict);

/** path.name[], as findings have it. */
const char *opool__shapes_path(struct memory *memory, const char *path, const struct node *member);

#endif
