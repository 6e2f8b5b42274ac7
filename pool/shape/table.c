/* SPDX-License-Identifier: MIT */
#include "shape/table.h"

#include <string.h>

#include "os/os.h"

enum { PLACES_FIRST = 512 };

static size_t round_up(size_t bytes)
{
    size_t page = opool__os.page_size();
    return (bytes + page - 1) / page * page;
}

void *opool__pages_take(size_t bytes)
{
    void *pages;
    bytes = round_up(bytes);
    if (opool__os.reserve(&pages, bytes) != 0)
        return NULL;
    if (opool__os.commit(pages, bytes) == 0)
        return pages;
    (void)opool__os.release(pages, bytes);
    return NULL;
}

void opool__pages_give(void *pages, size_t bytes)
{
    if (pages)
        (void)opool__os.release(pages, round_up(bytes));
}

void *opool__pages_grow(void *pages, size_t from, size_t to)
{
    void *larger = opool__pages_take(to);
    if (!larger)
        return NULL;
    if (pages)
        memcpy(larger, pages, from);
    opool__pages_give(pages, from);
    return larger;
}

static void insert_all(struct opool__table *to, const struct opool__table *from)
{
    for (size_t i = 0; i <= from->mask; i++) {
        if (!from->entries[i].key)
            continue;
        size_t j = opool__table_place(to, from->entries[i].key);
        while (to->entries[j].key)
            j = (j + 1) & to->mask;
        to->entries[j] = from->entries[i];
    }
}

bool opool__table_grow(struct opool__table *table)
{
    size_t before = table->entries ? table->mask + 1 : 0, places = before ? 2 * before : PLACES_FIRST;
    struct opool__table larger = {opool__pages_take(places * sizeof *table->entries), places - 1, table->used};
    if (!larger.entries)
        return before > table->used + 1; /* one place stays free: a search ends there */
    if (before)
        insert_all(&larger, table);
    opool__pages_give(table->entries, before * sizeof *table->entries);
    *table = larger;
    return true;
}

/* May the entry at j, whose search begins at k, not move back to the hole at i? */
static bool stays(size_t i, size_t j, size_t k)
{
    return i <= j ? i < k && k <= j : i < k || k <= j;
}

void opool__table_close_gap(struct opool__table *table, size_t gap)
{
    size_t i = gap, j = gap;
    for (;;) {
        j = (j + 1) & table->mask;
        if (!table->entries[j].key)
            break;
        if (stays(i, j, opool__table_place(table, table->entries[j].key)))
            continue;
        table->entries[i] = table->entries[j];
        i = j;
    }
    table->entries[i].key = 0;
}
