/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_TABLE_H
#define OPOOL_SHAPE_TABLE_H

/*
 * From an address to two numbers: open addressing, linear probing, no tombstones. Memory comes from the system, never
 * from malloc, because the put audit runs inside malloc. Zero memory is an empty table. Not thread-safe.
 *
 *     an entry stands in the first free place from place(key) on, and none between the two is free
 *     used <= 3/4 of the places, or the system refused a larger table
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct opool__entry {
    uintptr_t key; /* 0: free */
    uint64_t a, b;
};

struct opool__table {
    struct opool__entry *entries;
    size_t mask, used; /* mask: places - 1 */
};

/* Addresses of heap blocks differ above their lowest four bits. */
static inline uint64_t opool__hash(uintptr_t key)
{
    return (uint64_t)(key >> 4) * UINT64_C(0x9E3779B97F4A7C15);
}

static inline size_t opool__table_place(const struct opool__table *table, uintptr_t key)
{
    return (size_t)(opool__hash(key) >> 20) & table->mask;
}

/* NULL: not there. */
static inline struct opool__entry *opool__table_find(const struct opool__table *table, uintptr_t key)
{
    if (!table->entries)
        return NULL;
    size_t i = opool__table_place(table, key);
    while (table->entries[i].key && table->entries[i].key != key)
        i = (i + 1) & table->mask;
    return table->entries[i].key ? &table->entries[i] : NULL;
}

/* Room for one more; false: the system refuses memory. */
bool opool__table_grow(struct opool__table *table);

/* The entry of `key`, made if it is not there; NULL: no memory. */
static inline struct opool__entry *opool__table_add(struct opool__table *table, uintptr_t key)
{
    if ((!table->entries || table->used * 4 >= table->mask * 3) && !opool__table_grow(table))
        return NULL;
    size_t i = opool__table_place(table, key);
    while (table->entries[i].key && table->entries[i].key != key)
        i = (i + 1) & table->mask;
    if (!table->entries[i].key) {
        table->entries[i].key = key;
        table->used++;
    }
    return &table->entries[i];
}

/* Others may move into the place of one that goes. */
void opool__table_close_gap(struct opool__table *table, size_t gap);

/* `entry` is of this table. */
static inline void opool__table_remove(struct opool__table *table, struct opool__entry *entry)
{
    size_t gap = (size_t)(entry - table->entries);
    table->used--;
    if (table->entries[(gap + 1) & table->mask].key)
        opool__table_close_gap(table, gap);
    else
        entry->key = 0;
}

/* Zero memory from the system, in whole pages; NULL: refused. */
void *opool__pages_take(size_t bytes);
void opool__pages_give(void *pages, size_t bytes);

/* `pages` of `from` bytes are `to` bytes from now on, maybe elsewhere, the rest zero. NULL: refused, and they are what
   they were. */
void *opool__pages_grow(void *pages, size_t from, size_t to);

#endif
