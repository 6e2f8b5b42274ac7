/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPES_TREE_H
#define OPOOL_SHAPES_TREE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A type as a tree of its members, free of where it was read from. Everything that judges, prints or names works on
 * this; only reader.c and entry.c know debug information.
 */

enum node_kind {
    NODE_VALUE, /* numbers, enumerations */
    NODE_POINTER,
    NODE_FUNCTION,       /* pointer to a function */
    NODE_REFERENCE,      /* C++ */
    NODE_MEMBER_POINTER, /* C++ */
    NODE_STRUCT,         /* or class */
    NODE_UNION,
    NODE_UNKNOWN, /* `note` says why */
};

enum array_kind {
    ARRAY_NONE,
    ARRAY_FIXED,
    ARRAY_ZERO,     /* T x[0] */
    ARRAY_FLEXIBLE, /* T x[] */
    ARRAY_VARIABLE, /* GNU C: in a function */
};

/* C++: who may name a member. */
enum access { ACCESS_PUBLIC, ACCESS_PROTECTED, ACCESS_PRIVATE };

enum { DIMENSIONS_MOST = 8 };

struct node {
    struct node *next, *children; /* in the order of the declaration */
    const char *name;             /* "" without one */
    const char *type;             /* as a programmer would write it */
    const char *element;          /* the type without qualifiers and, with an array, of an element */
    const char *target;           /* what a pointer points to: type without qualifiers; NULL: void */
    uint64_t target_size;         /* 0: unknown */
    const char *file;             /* NULL: unknown */
    int line;
    enum node_kind kind;
    enum array_kind array;
    unsigned dimensions;
    uint64_t extent[DIMENSIONS_MOST];
    uint64_t count; /* elements in all; 1 without an array */
    uint64_t
        offset; /* from the start of the parent (an element of it), bytes; of a bit-field: the byte of its first bit */
    uint64_t element_size; /* bytes */
    uint64_t size;         /* bytes: count * element_size */
    uint64_t align;
    unsigned bit, bits; /* of a bit-field: first bit after `offset`, width; bits 0: none */
    const char *note;
    bool is_const, is_volatile, is_atomic;
    bool to_const;    /* the pointer's target is const */
    bool to_own_type; /* it is the struct that holds the pointer, or one around it */
    /* C++, of a member: */
    enum access access;
    bool is_base;  /* a base class */
    bool is_table; /* pointer to the table of virtual functions */
    /* C++, of a class, by what it declares itself: */
    bool has_destructor;      /* written by the user */
    bool may_have_destructor; /* it is declared, and may be defaulted: the file does not say */
    bool has_constructor;     /* of any kind */
    bool is_constructed;      /* by one that may be more than defaulted */
    bool lacks_default;       /* and none of them is a default constructor that anybody may call */
    bool has_copy;            /* copied or assigned by code of its own, or maybe so */
    bool by_reference;        /* so are its objects passed: not trivial to copy, or to destroy */
    bool is_standard;         /* of the standard library, whose word is that it is constexpr and trivial to copy */
};

/** A member that has no name of its own and whose members belong to what is around it: anonymous, or a base class. */
static inline bool node_is_transparent(const struct node *node)
{
    return node->name[0] == '\0' && (node->kind == NODE_STRUCT || node->kind == NODE_UNION) &&
           node->array == ARRAY_NONE;
}

static inline bool node_is_aggregate(const struct node *node)
{
    return node->kind == NODE_STRUCT || node->kind == NODE_UNION;
}

#endif
