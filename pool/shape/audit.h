/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_AUDIT_H
#define OPOOL_SHAPE_AUDIT_H

/*
 * The put audit: which words of an object that is put own heap memory, how much, always as much or not. No
 * annotations: it reads the object's aligned words, and knows all live blocks (blocks.h). A word that is the start
 * of a live block
 *
 *     owns it      if the block was born since the object's last get, or was owned by this word at its last put;
 *     borrows it   if the block is older: somebody else made it;
 *     shares it    if it was born since, but a writable segment, another heap block or another object leads to it too.
 *
 * What an owned block leads to, through blocks born since the object's first get, is summed: a hash table counts
 * whole. An object that owns more at a word than at its last put has grown there.
 *
 * Wrong where memory lies: the address of a young block, left as bytes in a buffer; what a local variable holds too;
 * and silent about pointers that are hidden (tagged, compressed), and memory that is not malloc's.
 *
 * Thread-safe; one lock, which no other is taken under.
 */

#include <stdbool.h>
#include <stddef.h>

#include "shape/findings.h"

/* How a pool tells of its objects: by this library in a sanitized program, by a preloaded one else. Functions of
   objects are called by whoever holds the object. */
struct opool__auditor {
    /* The pool's number. `near` is an address in the program or library that defines it: its type's name. */
    uint32_t (*pool)(const char *name, const char *type, size_t size, const void *near);
    /* A slot is about to become an object: before init. */
    void (*built)(const void *object);
    void (*got)(uint32_t pool, const void *object);
    /* After reset: the object is kept. */
    void (*put)(uint32_t pool, const void *object);
    /* After fini, or an init that failed, before its slot is given up. */
    void (*gone)(const void *object);
};

/* What a preloaded library exports; the number is the version of struct opool__auditor. */
#define OPOOL__AUDITOR_SYMBOL "opool__auditor_1"

/* Write findings there from now on: zero memory that stays. Pools that were told of before are copied to it. */
void opool__audit_write_to(struct opool__findings *findings);

/* As struct opool__auditor says. */
uint32_t opool__audit_pool(const char *name, const char *type, size_t size, const char *file);
void opool__audit_built(const void *object);
void opool__audit_got(uint32_t pool, const void *object);
void opool__audit_put(uint32_t pool, const void *object);
void opool__audit_gone(const void *object);

/* Around a fork. In between, the forking thread may go on to allocate: other fork handlers do. */
void opool__audit_fork_prepare(void);
void opool__audit_fork_parent(void);
void opool__audit_fork_child(void);

#endif
