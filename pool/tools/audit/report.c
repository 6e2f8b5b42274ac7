/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <opool/atomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#ifdef OPOOL_HAVE_SHAPES
#include "shapes/member.h"
#endif

enum { TEXT = OPOOL__FINDING_PATH + 1, TOLD_MOST = 4096 };

/* What is in the file may be anything, and change: text ends, and is clean where it is printed; numbers are checked. */
static char *copy_raw(char *to, const char *from, size_t size)
{
    memcpy(to, from, size);
    to[size] = '\0';
    return to;
}

static const char *copy_text(char *to, const char *from, size_t size)
{
    return opool__clean(copy_raw(to, from, size));
}

static uint32_t at_most(uint32_t n, uint32_t most)
{
    return n < most ? n : most;
}

static struct opool__area *ready_area(struct opool__area_file *file, uint32_t number)
{
    struct opool__area *area = opool__area_at(file, number);
    return opool__load_acquire(&area->ready) ? area : NULL;
}

/* ---- findings of several processes, together ---- */

struct word {
    uint32_t offset;
    uint64_t held, grew, shrank, least, most, sum, blocks;
};

struct pool {
    char name[OPOOL__FINDING_NAME + 1], type[OPOOL__FINDING_NAME + 1], file[TEXT];
    uint64_t puts;
    uint64_t lost; /* puts at which words between these two were not noted */
    uint32_t lost_from, lost_to;
    struct word *words; /* by offset */
    size_t count;
};

struct program {
    char path[TEXT];
    uint32_t processes;
    bool own_malloc, lost_pools, lost_words;
    struct pool *pools;
    size_t count;
};

struct programs {
    struct program *programs;
    size_t count;
};

/* One more entry of zeroes at the end of an array; NULL: no memory. */
static void *append(void *array_of, size_t *count, size_t size)
{
    void **array = array_of;
    char *larger = realloc(*array, (*count + 1) * size);
    if (!larger)
        return NULL;
    *array = larger;
    return memset(larger + (*count)++ * size, 0, size);
}

static struct program *program_of(struct programs *all, const char *path)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->programs[i].path, path) == 0)
            return &all->programs[i];
    struct program *program = append(&all->programs, &all->count, sizeof *program);
    if (program)
        memcpy(program->path, path, strlen(path) + 1);
    return program;
}

static struct pool *pool_of(struct program *program, const struct opool__finding_pool *found)
{
    struct pool like = {.puts = 0};
    copy_text(like.name, found->name, sizeof found->name);
    copy_text(like.type, found->type, sizeof found->type);
    copy_raw(like.file, found->file, sizeof found->file);
    for (size_t i = 0; i < program->count; i++) {
        struct pool *pool = &program->pools[i];
        if (strcmp(pool->name, like.name) == 0 && strcmp(pool->type, like.type) == 0 &&
            strcmp(pool->file, like.file) == 0)
            return pool;
    }
    struct pool *pool = append(&program->pools, &program->count, sizeof *pool);
    if (pool)
        *pool = like;
    return pool;
}

static struct word *word_of(struct pool *pool, uint32_t offset)
{
    size_t i = 0;
    while (i < pool->count && pool->words[i].offset < offset)
        i++;
    if (i < pool->count && pool->words[i].offset == offset)
        return &pool->words[i];
    if (!append(&pool->words, &pool->count, sizeof *pool->words))
        return NULL;
    memmove(&pool->words[i + 1], &pool->words[i], (pool->count - 1 - i) * sizeof *pool->words);
    pool->words[i] = (struct word){.offset = offset, .least = UINT64_MAX};
    return &pool->words[i];
}

static bool add_row(struct pool *pool, const struct opool__finding_row *row)
{
    if (row->held == 0)
        return true;
    struct word *word = word_of(pool, row->offset);
    if (!word)
        return false;
    word->held += row->held;
    word->grew += row->grew;
    word->shrank += row->shrank;
    word->sum += row->sum;
    word->least = row->least < word->least ? row->least : word->least;
    word->most = row->most > word->most ? row->most : word->most;
    word->blocks = row->blocks > word->blocks ? row->blocks : word->blocks;
    return true;
}

static void add_lost(struct pool *pool, const struct opool__finding_pool *found)
{
    if (!found->lost)
        return;
    pool->lost_from = !pool->lost || found->lost_from < pool->lost_from ? found->lost_from : pool->lost_from;
    pool->lost_to = !pool->lost || found->lost_to > pool->lost_to ? found->lost_to : pool->lost_to;
    pool->lost += found->lost;
}

static bool add_findings(struct program *program, const struct opool__findings *findings)
{
    uint32_t pools = at_most(findings->pools, OPOOL__FINDING_POOLS);
    uint32_t rows = at_most(findings->rows, OPOOL__FINDING_ROWS);
    for (uint32_t i = 0; i < pools; i++) {
        struct pool *pool = pool_of(program, &findings->pool[i]);
        if (!pool)
            return false;
        pool->puts += findings->pool[i].puts;
        add_lost(pool, &findings->pool[i]);
        program->lost_words |= pool->lost != 0;
        for (uint32_t j = 0; j < rows; j++)
            if (findings->row[j].pool == i && !add_row(pool, &findings->row[j]))
                return false;
    }
    program->lost_pools |= findings->pools_lost != 0;
    return true;
}

static bool add_area(struct programs *all, const struct opool__area *area)
{
    char path[TEXT];
    struct program *program = program_of(all, copy_text(path, area->program, sizeof area->program));
    if (!program)
        return false;
    program->processes++;
    program->own_malloc |= area->own_malloc != 0;
    return add_findings(program, &area->findings);
}

static void free_all(struct programs *all)
{
    for (size_t i = 0; i < all->count; i++) {
        for (size_t j = 0; j < all->programs[i].count; j++)
            free(all->programs[i].pools[j].words);
        free(all->programs[i].pools);
    }
    free(all->programs);
}

/* ---- text ---- */

/* The member at `offset`, by the debug information of the pool's file. */
static bool find_name(const struct pool *pool, uint32_t offset, char *name, size_t size)
{
#ifdef OPOOL_HAVE_SHAPES
    fflush(NULL); /* a child process reads the file: it shall not write what we have not written yet */
    return access(pool->file, R_OK) == 0 && opool__shapes_member(pool->file, pool->type, offset, name, size) == 0;
#else
    (void)pool;
    (void)offset;
    (void)name;
    (void)size;
    return false;
#endif
}

static void write_member(FILE *out, const struct pool *pool, uint32_t offset)
{
    char name[128];
    bool known = find_name(pool, offset, name, sizeof name);
    fprintf(out, "opool audit: %s (%s): ", pool->name, pool->type);
    if (known)
        fprintf(out, "%s (+%u): ", name, (unsigned)offset);
    else
        fprintf(out, "+%u: ", (unsigned)offset);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void write_word(FILE *out, const struct pool *pool, const struct word *word)
{
    unsigned long long blocks = word->blocks, held = word->held, puts = pool->puts;
    write_member(out, pool, word->offset);
    if (word->least == word->most && !word->grew)
        fprintf(out, "owned, always one size, %llu bytes in up to %llu block%s, at %llu of %llu puts\n",
                (unsigned long long)word->most, blocks, plural(blocks), held, puts);
    else
        fprintf(out,
                "VARIABLE SIZE, min %llu mean %llu max %llu bytes in up to %llu block%s, grew %llu, shrank %llu, at "
                "%llu of %llu puts\n",
                (unsigned long long)word->least, (unsigned long long)(word->held ? word->sum / word->held : 0),
                (unsigned long long)word->most, blocks, plural(blocks), (unsigned long long)word->grew,
                (unsigned long long)word->shrank, held, puts);
}

static void write_pool(FILE *out, const struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        write_word(out, pool, &pool->words[i]);
    if (pool->lost)
        fprintf(out, "opool audit: %s (%s): NOT NOTED: words from +%u to +%u may own memory%s, at %llu of %llu puts\n",
                pool->name, pool->type, (unsigned)pool->lost_from, (unsigned)pool->lost_to, pool->count ? " too" : "",
                (unsigned long long)pool->lost, (unsigned long long)pool->puts);
    else if (pool->count == 0)
        fprintf(out, "opool audit: %s (%s): owns nothing, at %llu puts\n", pool->name, pool->type,
                (unsigned long long)pool->puts);
}

static void write_program(FILE *out, const struct program *program)
{
    fprintf(out, "opool audit: %s: %u process%s, %zu pool%s\n", program->path, (unsigned)program->processes,
            program->processes == 1 ? "" : "es", program->count, plural(program->count));
    for (size_t i = 0; i < program->count; i++)
        write_pool(out, &program->pools[i]);
    if (program->own_malloc)
        fprintf(out, "opool audit: %s brings a malloc of its own: what it allocates was not seen\n", program->path);
    if (program->lost_pools)
        fprintf(out, "opool audit: %s has more than %d kinds of pools: the others were not looked at\n", program->path,
                (int)OPOOL__FINDING_POOLS);
    if (program->lost_words)
        fprintf(out,
                "opool audit: %s: there is room for %d words of each pool and %d more: NOT NOTED are those that came "
                "last\n",
                program->path, (int)OPOOL__FINDING_SHARE, (int)OPOOL__FINDING_COMMON);
}

bool opool__report_all(FILE *out, struct opool__area_file *file)
{
    struct programs all = {NULL, 0};
    bool good = true;
    uint32_t taken = opool__load_relaxed(&file->taken);
    for (uint32_t i = 0; i < at_most(taken, OPOOL__AREAS) && good; i++) {
        const struct opool__area *area = ready_area(file, i);
        good = !area || add_area(&all, area);
    }
    for (size_t i = 0; i < all.count; i++)
        write_program(out, &all.programs[i]);
    if (!all.count)
        fputs("opool audit: no pool was seen: the command made none, or cleared its environment, or is built with a "
              "sanitizer, which has the audit on by itself\n",
              out);
    if (taken > OPOOL__AREAS)
        fprintf(out, "opool audit: %u more processes made pools than this report has room for\n",
                (unsigned)(taken - OPOOL__AREAS));
    free_all(&all);
    if (!good)
        fputs("opool audit: no memory for a full report\n", stderr);
    return good;
}

/* ---- growth, as it comes ---- */

/* Told before, by this process or another one of the same program. */
static bool is_new(const struct pool *pool, uint32_t offset)
{
    static struct {
        struct pool *pools;
        size_t count;
    } told;
    for (size_t i = 0; i < told.count; i++)
        if (told.pools[i].puts == offset && strcmp(told.pools[i].name, pool->name) == 0 &&
            strcmp(told.pools[i].type, pool->type) == 0 && strcmp(told.pools[i].file, pool->file) == 0)
            return false;
    struct pool *now = told.count == TOLD_MOST ? NULL : append(&told.pools, &told.count, sizeof *now);
    if (now) {
        *now = *pool;
        now->puts = offset;
    }
    return now != NULL;
}

static void tell_growth(FILE *out, const struct opool__findings *findings, const struct opool__finding_row *row)
{
    struct pool pool = {.puts = 0};
    if (row->pool >= OPOOL__FINDING_POOLS)
        return;
    copy_text(pool.name, findings->pool[row->pool].name, OPOOL__FINDING_NAME);
    copy_text(pool.type, findings->pool[row->pool].type, OPOOL__FINDING_NAME);
    copy_raw(pool.file, findings->pool[row->pool].file, OPOOL__FINDING_PATH);
    if (!is_new(&pool, row->offset))
        return;
    write_member(out, &pool, row->offset);
    fprintf(out, "the object holds %llu bytes of heap in %llu block%s at this put, %llu at its last: VARIABLE SIZE\n",
            (unsigned long long)row->to, (unsigned long long)row->to_blocks, plural(row->to_blocks),
            (unsigned long long)row->from);
}

void opool__report_growth(FILE *out, struct opool__area_file *file)
{
    static uint64_t seen[OPOOL__AREAS];
    static bool told[OPOOL__AREAS][OPOOL__FINDING_ROWS];
    uint32_t taken = at_most(opool__load_relaxed(&file->taken), OPOOL__AREAS);
    for (uint32_t i = 0; i < taken; i++) {
        const struct opool__area *area = ready_area(file, i);
        uint64_t growing = area ? opool__load_acquire(&area->findings.growing) : 0;
        if (growing == seen[i])
            continue;
        seen[i] = growing;
        uint32_t rows = at_most(opool__load_acquire(&area->findings.rows), OPOOL__FINDING_ROWS);
        for (uint32_t j = 0; j < rows; j++) {
            if (told[i][j] || !opool__load_acquire(&area->findings.row[j].growing))
                continue;
            told[i][j] = true;
            tell_growth(out, &area->findings, &area->findings.row[j]);
        }
        fflush(out);
    }
}
