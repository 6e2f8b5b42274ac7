/* SPDX-License-Identifier: MIT */
#include "shape/reach.h"

#include "os/os.h"
#include "shape/shadow.h"
#include "shape/table.h"

enum {
    PLACES = 2 * OPOOL__REACH_MOST,
    CHUNK = 8192,          /* words read at once */
    LOOK_MOST = 256 << 20, /* bytes of one search for another holder */
    STEP = OPOOL__GRANULE,
    WORD = (int)sizeof(uintptr_t)
};

size_t opool__reach_interior;
size_t (*opool__reach_size)(uintptr_t at);

/* Nothing of this lies in a segment, where a search would come by it. `words` are read into, because stacks may be
   small.  Blocks counted since begin, in order: those behind `done` were not looked into yet. A place of the set is
   in use when it has the current round, so that begin costs nothing. */
static struct {
    struct opool__block *blocks;
    struct place {
        uintptr_t at;
        uint64_t round;
    } * places;
    uintptr_t *words;
    size_t count, done;
    uint64_t round;
} counted;

/* ---- which block ---- */

static bool find(uintptr_t address, struct opool__block *out)
{
    if (!opool__blocks_find(address, out))
        return false;
    if (opool__reach_size)
        out->size = opool__reach_size(address);
    return out->size != 0 || !opool__reach_size;
}

bool opool__reach_block(uintptr_t word, struct opool__block *out)
{
    if (!opool__blocks_near(word))
        return false;
    if (word % STEP == 0 && find(word, out))
        return true;
    for (uintptr_t at = word - word % STEP; at && opool__reach_interior && word - at <= opool__reach_interior;
         at -= STEP)
        if (find(at, out))
            return word - out->at < out->size;
    return false;
}

/* ---- the set ---- */

static bool have_memory(void)
{
    if (!counted.blocks)
        counted.blocks = opool__pages_take(OPOOL__REACH_MOST * sizeof *counted.blocks);
    if (!counted.places)
        counted.places = opool__pages_take(PLACES * sizeof *counted.places);
    if (!counted.words)
        counted.words = opool__pages_take(CHUNK * sizeof *counted.words);
    return counted.blocks && counted.places && counted.words;
}

static struct place *place_of(uintptr_t at)
{
    size_t i = (size_t)(opool__hash(at) >> 20) % PLACES;
    while (counted.places[i].round == counted.round && counted.places[i].at != at)
        i = (i + 1) % PLACES;
    return &counted.places[i];
}

bool opool__reach_counted(uintptr_t at)
{
    return counted.places && place_of(at)->round == counted.round;
}

/* False: it was counted, or there is no room. */
static bool count(const struct opool__block *block)
{
    struct place *place = place_of(block->at);
    if (place->round == counted.round || counted.count == OPOOL__REACH_MOST)
        return false;
    *place = (struct place){block->at, counted.round};
    counted.blocks[counted.count++] = *block;
    return true;
}

void opool__reach_begin(void)
{
    counted.round++;
    counted.count = counted.done = 0;
}

/* ---- sums ---- */

static void look_into(const struct opool__block *block, uint64_t since, struct opool__reach *sum)
{
    for (size_t offset = 0; offset + WORD <= block->size; offset += CHUNK * WORD) {
        size_t left = (block->size - offset) / WORD, n = left < CHUNK ? left : CHUNK;
        if (!opool__blocks_read(block, offset, counted.words, n * WORD))
            return;
        for (size_t i = 0; (i += opool__word_near(counted.words + i, n - i)) < n; i++) {
            struct opool__block next;
            if (opool__reach_block(opool__word(&counted.words[i]), &next) && next.birth >= since && count(&next)) {
                sum->bytes += next.size;
                sum->blocks++;
            }
        }
    }
}

struct opool__reach opool__reach_sum(const struct opool__block *block, uint64_t since)
{
    struct opool__reach sum = {block->size, 1};
    if (!have_memory() || !count(block))
        return sum;
    while (counted.done < counted.count)
        look_into(&counted.blocks[counted.done++], since, &sum);
    return sum;
}

/* ---- other holders ---- */

struct search {
    uintptr_t at, object, object_end;
    size_t left; /* bytes to look at */
    bool found;
};

/* False: enough. Parts that can not be read hold nothing. */
static bool search_in(struct search *search, uintptr_t from, size_t bytes)
{
    for (size_t offset = 0; offset + WORD <= bytes && search->left; offset += CHUNK * WORD) {
        size_t left = (bytes - offset) / WORD, n = left < CHUNK ? left : CHUNK;
        search->left -= search->left < n * WORD ? search->left : n * WORD;
        if (!opool__words(counted.words, (const void *)(from + offset), n * WORD))
            continue;
        for (size_t i = 0; (i += opool__word_equal(counted.words + i, n - i, search->at)) < n; i++) {
            uintptr_t holder = from + offset + i * WORD;
            if (holder >= search->object && holder < search->object_end)
                continue;
            search->found = true;
            return false;
        }
    }
    return search->left != 0;
}

static bool search_segment(void *void_search, const void *at, size_t bytes)
{
    size_t skip = (0u - (uintptr_t)at) % WORD;
    return bytes <= skip || search_in(void_search, (uintptr_t)at + skip, bytes - skip);
}

static bool search_block(void *void_search, const struct opool__block *block)
{
    struct search *search = void_search;
    if (block->at == search->at || opool__reach_counted(block->at))
        return true;
    return search_in(search, block->at, block->size);
}

bool opool__reach_held(uintptr_t at, const void *object, size_t bytes)
{
    struct search search = {at, (uintptr_t)object, (uintptr_t)object + bytes, LOOK_MOST, false};
    if (!have_memory())
        return false;
    opool__blocks_each(search_block, &search);
    if (!search.found)
        opool__os.each_segment(search_segment, &search);
    return search.found;
}
