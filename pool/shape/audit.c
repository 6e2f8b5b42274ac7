/* SPDX-License-Identifier: MIT */
#include "shape/audit.h"

#include <opool/atomic.h>
#include <stdio.h>
#include <string.h>

#include "os/lock.h"
#include "shape/reach.h"
#include "shape/table.h"

enum { WORD = (int)sizeof(uintptr_t), RECORDS_FIRST = 1024, SEARCHES_MOST = 16 };

/* Both kinds of records are numbered from 1; 0 is none, and their arrays move when they grow. */

struct object {
    uint64_t first, got; /* time of the first get and of the last one */
    uint32_t refs;       /* first of a list, by offset */
    uint32_t next_free;
    bool fresh; /* built, and not got since: what init made is of this use */
};

/* A word at the object's last put that looked like the address of a block. */
struct ref {
    uint32_t next; /* of the object, or free */
    uint32_t offset;
    bool owned;
    uintptr_t word;
    uintptr_t at; /* the block owned */
    uint64_t birth;
    uint64_t bytes;
};

struct records {
    void *memory; /* entry 0 is not used */
    size_t size;  /* of one */
    uint32_t capacity, used;
    uint32_t free; /* first of a list */
};

static struct {
    uint32_t lock;
    struct opool__findings *findings;
    struct opool__table numbers; /* of objects, by address; a: record */
    struct records objects, refs;
} audit = {.objects = {.size = sizeof(struct object)}, .refs = {.size = sizeof(struct ref)}};

/* ---- records ---- */

static struct object *object_at(uint32_t number)
{
    return (struct object *)audit.objects.memory + number;
}

static struct ref *ref_at(uint32_t number)
{
    return (struct ref *)audit.refs.memory + number;
}

/* 0: no memory. */
static uint32_t new_number(struct records *records)
{
    if (records->used + 1 < records->capacity)
        return ++records->used;
    uint32_t capacity = records->capacity ? 2 * records->capacity : RECORDS_FIRST;
    void *larger = capacity > records->capacity
                       ? opool__pages_grow(records->memory, records->capacity * records->size, capacity * records->size)
                       : NULL;
    if (!larger)
        return 0;
    records->memory = larger;
    records->capacity = capacity;
    return ++records->used;
}

static uint32_t new_object(void)
{
    uint32_t number = audit.objects.free;
    if (number)
        audit.objects.free = object_at(number)->next_free;
    else
        number = new_number(&audit.objects);
    if (number)
        *object_at(number) = (struct object){.fresh = false};
    return number;
}

static uint32_t new_ref(uint32_t offset)
{
    uint32_t number = audit.refs.free;
    if (number)
        audit.refs.free = ref_at(number)->next;
    else
        number = new_number(&audit.refs);
    if (number)
        *ref_at(number) = (struct ref){.offset = offset};
    return number;
}

static void free_ref(uint32_t number)
{
    *ref_at(number) = (struct ref){.next = audit.refs.free};
    audit.refs.free = number;
}

/* 0: none, and none can be had. */
static uint32_t object_number(const void *object)
{
    struct opool__entry *entry = opool__table_add(&audit.numbers, (uintptr_t)object);
    if (entry && !entry->a)
        entry->a = new_object();
    if (entry && !entry->a)
        opool__table_remove(&audit.numbers, entry);
    else if (entry)
        return (uint32_t)entry->a;
    return 0;
}

static void forget(const void *object)
{
    struct opool__entry *entry = opool__table_find(&audit.numbers, (uintptr_t)object);
    if (!entry)
        return;
    uint32_t number = (uint32_t)entry->a;
    for (uint32_t ref = object_at(number)->refs, next; ref; ref = next) {
        next = ref_at(ref)->next;
        free_ref(ref);
    }
    object_at(number)->next_free = audit.objects.free;
    audit.objects.free = number;
    entry->a = 0;
    opool__table_remove(&audit.numbers, entry);
}

/* ---- findings ---- */

static void note_lost(struct opool__finding_pool *pool, uint32_t offset)
{
    pool->lost_from = !pool->lost || offset < pool->lost_from ? offset : pool->lost_from;
    pool->lost_to = !pool->lost || offset > pool->lost_to ? offset : pool->lost_to;
    if (pool->last_lost == pool->puts + 1)
        return;
    pool->last_lost = pool->puts + 1;
    pool->lost++;
}

/* NULL: none is left for this pool. There is one as long as there are no more than its share. */
static struct opool__finding_row *row_of(uint32_t pool, uint32_t offset)
{
    struct opool__findings *findings = audit.findings;
    struct opool__finding_pool *of = &findings->pool[pool];
    for (uint32_t i = 0; i < findings->rows; i++)
        if (findings->row[i].pool == pool && findings->row[i].offset == offset)
            return &findings->row[i];
    if (of->rows >= OPOOL__FINDING_SHARE && findings->common == OPOOL__FINDING_COMMON) {
        note_lost(of, offset);
        return NULL;
    }
    findings->common += of->rows >= OPOOL__FINDING_SHARE;
    of->rows++;
    struct opool__finding_row *row = &findings->row[findings->rows];
    *row = (struct opool__finding_row){.pool = pool, .offset = offset, .least = UINT64_MAX};
    opool__store_release(&findings->rows, findings->rows + 1);
    return row;
}

static void note_growth(struct opool__finding_row *row, uint64_t from, struct opool__reach to)
{
    row->grew++;
    if (row->growing)
        return;
    row->from = from;
    row->to = to.bytes;
    row->to_blocks = to.blocks;
    /* release: who sees it sees the three above. */
    opool__store_release(&row->growing, 1u);
    opool__store_release(&audit.findings->growing, audit.findings->growing + 1);
}

static void note(struct opool__finding_row *row, const struct ref *before, struct opool__reach now)
{
    row->held++;
    row->sum += now.bytes;
    row->least = now.bytes < row->least ? now.bytes : row->least;
    row->most = now.bytes > row->most ? now.bytes : row->most;
    row->blocks = now.blocks > row->blocks ? now.blocks : row->blocks;
    if (before->owned && now.bytes > before->bytes)
        note_growth(row, before->bytes, now);
    if (before->owned && now.bytes < before->bytes)
        row->shrank++;
}

/* ---- one object ---- */

/* One object, while it is looked at. */
struct look {
    uint32_t pool;
    const struct object *object;
    uintptr_t at;
    size_t size;
};

static bool is_own(const struct look *look, uint32_t number)
{
    uint32_t i = look->object->refs;
    while (i && i != number)
        i = ref_at(i)->next;
    return i != 0;
}

/* Does another object own it? Free records own nothing. */
static bool others_own(const struct look *look, const struct opool__block *block)
{
    for (uint32_t i = 1; i <= audit.refs.used; i++) {
        const struct ref *ref = ref_at(i);
        if (ref->owned && ref->at == block->at && ref->birth == block->birth && !is_own(look, i))
            return true;
    }
    return false;
}

/* Too dear for each put: only until the word has owned something, or while something else was seen to hold its
   blocks, or when the word stands there since before the block was born. A row that was searched for often keeps
   its last answer. */
static bool shared(const struct look *look, struct opool__finding_row *row, const struct opool__block *block,
                   bool stale)
{
    if (row->held && !row->shared && !stale)
        return false;
    if (row->searches == SEARCHES_MOST)
        return row->shared;
    row->searches++;
    bool held = others_own(look, block) || opool__reach_held(block->at, (const void *)look->at, look->size);
    row->shared = held;
    return held;
}

/* `before` is the word at the last put, or all zero; the result is what to remember of it. */
static struct ref judge(const struct look *look, uint32_t offset, uintptr_t word, const struct ref *before)
{
    struct ref now = {.offset = offset, .word = word};
    struct opool__block block;
    if (!opool__reach_block(word, &block) || opool__reach_counted(block.at))
        return now;
    bool kept = before->owned && before->at == block.at && before->birth == block.birth;
    if (!kept && block.birth < look->object->got)
        return now;
    struct opool__finding_row *row = row_of(look->pool, offset);
    struct opool__reach reach = opool__reach_sum(&block, look->object->first);
    bool stale = !before->owned && before->word == word;
    /* Without a row nobody has searched: then it may be owned, and goes on to be counted as lost. */
    if (row && !kept && shared(look, row, &block, stale))
        return now;
    if (row)
        note(row, before, reach);
    now.owned = true;
    now.at = block.at;
    now.birth = block.birth;
    now.bytes = reach.bytes;
    return now;
}

/* Remember `now` at the place of *link, which is ref `number` of the same offset, or comes before it. Returns the
   place behind it. */
static uint32_t remember(struct object *object, uint32_t last, uint32_t number, const struct ref *now)
{
    uint32_t *link = last ? &ref_at(last)->next : &object->refs;
    if (!now->word) {
        if (number) {
            *link = ref_at(number)->next;
            free_ref(number);
        }
        return last;
    }
    uint32_t next = number ? ref_at(number)->next : *link;
    if (!number && (number = new_ref(now->offset)) == 0)
        return last;
    *ref_at(number) = *now;
    ref_at(number)->next = next;
    *(last ? &ref_at(last)->next : &object->refs) = number; /* the records may have moved */
    return number;
}

/* Of the words from `at` on: the offset of the next one that may be an address of a block; SIZE_MAX: none. */
static size_t next_near(const struct look *look, size_t at)
{
    size_t words = at < look->size ? (look->size - at) / WORD : 0;
    size_t i = opool__word_near((const void *)(look->at + at), words);
    return i < words ? at + i * WORD : SIZE_MAX;
}

/* Words in order, along the list of those of the last put: those that are near a block, or were. */
static void look_at(const struct look *look, struct object *object)
{
    uint32_t last = 0;
    size_t near = next_near(look, (0u - look->at) % WORD);
    opool__reach_begin();
    for (;;) {
        uint32_t number = last ? ref_at(last)->next : object->refs;
        size_t known = number ? ref_at(number)->offset : SIZE_MAX, at = near < known ? near : known;
        if (at == SIZE_MAX)
            return;
        struct ref before = at == known ? *ref_at(number) : (struct ref){.owned = false};
        struct ref now = {.offset = (uint32_t)at};
        if (at == near) {
            now = judge(look, (uint32_t)at, opool__word((const void *)(look->at + at)), &before);
            near = next_near(look, at + WORD);
        }
        last = remember(object, last, at == known ? number : 0, &now);
    }
}

/* ---- calls ---- */

void opool__audit_write_to(struct opool__findings *findings)
{
    opool__lock_take(&audit.lock);
    const struct opool__findings *before = audit.findings;
    for (uint32_t i = 0; before && i < before->pools; i++) {
        struct opool__finding_pool *pool = &findings->pool[i];
        *pool = before->pool[i];
        pool->puts = pool->rows = pool->lost = pool->last_lost = 0;
    }
    if (before)
        opool__store_release(&findings->pools, before->pools);
    audit.findings = findings;
    opool__lock_drop(&audit.lock);
}

static uint32_t same_pool(const struct opool__finding_pool *pool)
{
    const struct opool__findings *findings = audit.findings;
    uint32_t i = 0;
    while (i < findings->pools &&
           (strcmp(findings->pool[i].name, pool->name) != 0 || strcmp(findings->pool[i].type, pool->type) != 0 ||
            strcmp(findings->pool[i].file, pool->file) != 0 || findings->pool[i].size != pool->size))
        i++;
    return i;
}

uint32_t opool__audit_pool(const char *name, const char *type, size_t size, const char *file)
{
    struct opool__finding_pool pool = {.size = size};
    snprintf(pool.name, sizeof pool.name, "%s", name);
    snprintf(pool.type, sizeof pool.type, "%s", type);
    snprintf(pool.file, sizeof pool.file, "%s", strlen(file) < sizeof pool.file ? file : "");
    opool__lock_take(&audit.lock);
    struct opool__findings *findings = audit.findings;
    uint32_t number = findings ? same_pool(&pool) : OPOOL__FINDING_POOLS;
    if (number == OPOOL__FINDING_POOLS) {
        if (findings)
            findings->pools_lost++;
    } else if (number == findings->pools) {
        findings->pool[number] = pool;
        opool__store_release(&findings->pools, number + 1);
    }
    opool__lock_drop(&audit.lock);
    return number;
}

void opool__audit_built(const void *object)
{
    opool__lock_take(&audit.lock);
    uint32_t number = object_number(object);
    if (number) {
        uint64_t now = opool__blocks_tick();
        *object_at(number) = (struct object){.first = now, .got = now, .fresh = true, .refs = object_at(number)->refs};
    }
    opool__lock_drop(&audit.lock);
}

/* What init made is of this use. */
static void mark_got(struct object *object)
{
    if (!object->fresh)
        object->got = opool__blocks_tick();
    if (!object->first)
        object->first = object->got;
    object->fresh = false;
}

void opool__audit_got(uint32_t pool, const void *object)
{
    if (pool == OPOOL__FINDING_POOLS)
        return;
    opool__lock_take(&audit.lock);
    uint32_t number = object_number(object);
    if (number)
        mark_got(object_at(number));
    opool__lock_drop(&audit.lock);
}

void opool__audit_put(uint32_t pool, const void *object)
{
    if (pool == OPOOL__FINDING_POOLS)
        return;
    opool__lock_take(&audit.lock);
    struct opool__finding_pool *of = &audit.findings->pool[pool];
    uint32_t number = object_number(object);
    if (number) {
        struct look look = {
            .pool = pool, .object = object_at(number), .at = (uintptr_t)object, .size = (size_t)of->size};
        look_at(&look, object_at(number));
    }
    opool__store_relaxed(&of->puts, of->puts + 1);
    (void)opool__blocks_tick();
    opool__lock_drop(&audit.lock);
}

void opool__audit_gone(const void *object)
{
    opool__lock_take(&audit.lock);
    forget(object);
    opool__lock_drop(&audit.lock);
}

/* ---- fork ---- */

void opool__audit_fork_prepare(void)
{
    opool__lock_take(&audit.lock);
}

void opool__audit_fork_parent(void)
{
    opool__lock_drop(&audit.lock);
}

void opool__audit_fork_child(void)
{
    opool__lock_reset(&audit.lock);
}
