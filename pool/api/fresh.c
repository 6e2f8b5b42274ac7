/* SPDX-License-Identifier: MIT */
#include "api/fresh.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/pool.h"
#include "os/lock.h"
#include "os/names.h"
#include "os/os.h"
#include "os/report.h"
#include "os/tools.h"

enum {
    WORD = sizeof(uint64_t),
    NEAR = 16,         /* differences with fewer equal bytes between them are one, where members are not known */
    SHOWN = 8,         /* bytes in a line */
    UNLISTED_MOST = 16 /* lines of a pool without a list of members */
};

/* ---- words and bits ---- */

/* Word number `at` of an object; bytes behind its end are zero. */
OPOOL__READS_ANYTHING static uint64_t word_of(const struct opool *pool, const void *object, size_t at)
{
    uint64_t word = 0;
    size_t from = at * WORD, left = pool->type.size - from;
    memcpy(&word, (const char *)object + from, left < WORD ? left : WORD);
    return word;
}

static uint64_t watched(const struct opool__fresh *fresh, size_t at)
{
    return opool__load_relaxed(&fresh->shared_watched[at]);
}

/* What is watched and not as in the image, of word number `at`. */
OPOOL__READS_ANYTHING static uint64_t difference(const struct opool *pool, const void *object, size_t at)
{
    return (word_of(pool, object, at) ^ pool->fresh.image[at]) & watched(&pool->fresh, at);
}

/* The next word from `at` on in which the object differs; fresh.words: none. A put of a large object spends its time
   here: whole words without a look at the object's end. */
OPOOL__READS_ANYTHING static size_t next_difference(const struct opool *pool, const void *object, size_t at)
{
    const struct opool__fresh *fresh = &pool->fresh;
    const uint64_t *image = fresh->image, *shared_watched = fresh->shared_watched;
    const char *bytes = object;
    for (size_t whole = pool->type.size / WORD; at < whole; at++) {
        uint64_t word;
        memcpy(&word, bytes + at * WORD, WORD);
        if ((word ^ image[at]) & opool__load_relaxed(&shared_watched[at]))
            return at;
    }
    while (at < fresh->words && !difference(pool, object, at))
        at++;
    return at;
}

/* Under the lock, or before anybody else knows the pool. */
static void unwatch(struct opool__fresh *fresh, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++) {
        uint64_t word = watched(fresh, i / WORD);
        ((unsigned char *)&word)[i % WORD] = 0;
        opool__store_relaxed(&fresh->shared_watched[i / WORD], word);
    }
}

/* ---- what is watched ---- */

static size_t bounded(const struct opool *pool, size_t offset)
{
    return offset < pool->type.size ? offset : pool->type.size;
}

static size_t end_of(const struct opool *pool, const struct opool_member *member)
{
    return bounded(pool, (size_t)member->offset + member->size);
}

static bool is_bits(const struct opool_member *member)
{
    return member->kind == OPOOL_MEMBER_BITS || member->kind == OPOOL_MEMBER_KEPT_BITS;
}

static void unwatch_kept(struct opool *pool, const struct opool_member *kept)
{
    for (; kept && kept->name; kept++)
        unwatch(&pool->fresh, bounded(pool, kept->offset), end_of(pool, kept));
}

/* Bytes between members hold bit-fields, where the list has some there, else padding. Which byte is whose is not known:
   one that is kept is enough for all. */
static void unwatch_by_members(struct opool *pool, const struct opool_member *member)
{
    size_t end = 0;
    bool bits = false, kept = false;
    if (!member)
        return;
    for (; member->name; member++) {
        if (is_bits(member)) {
            bits = true;
            kept = kept || member->kind == OPOOL_MEMBER_KEPT_BITS;
            continue;
        }
        if (!bits || kept)
            unwatch(&pool->fresh, end, bounded(pool, member->offset));
        if (member->kind != OPOOL_MEMBER_FIXED)
            unwatch(&pool->fresh, bounded(pool, member->offset), end_of(pool, member));
        end = end_of(pool, member);
        bits = kept = false;
    }
    if (!bits || kept)
        unwatch(&pool->fresh, end, pool->type.size);
}

static void watch_members(struct opool *pool)
{
    struct opool__fresh *fresh = &pool->fresh;
    memset(fresh->shared_watched, 0xff, pool->type.size);
    if (pool->type.pad)
        pool->type.pad(fresh->shared_watched);
    unwatch_by_members(pool, pool->type.members);
    unwatch_kept(pool, pool->type.kept);
}

/* ---- start and end ---- */

static int map(struct opool__fresh *fresh, size_t bytes)
{
    int r = opool__os.reserve(&fresh->map, bytes);
    if (r != 0)
        return r;
    fresh->map_bytes = bytes;
    r = opool__os.commit(fresh->map, bytes);
    if (r == 0)
        return 0;
    (void)opool__os.release(fresh->map, bytes);
    fresh->map = NULL;
    fresh->map_bytes = 0;
    return r;
}

int opool__fresh_start(struct opool *pool)
{
    struct opool__fresh *fresh = &pool->fresh;
    size_t page = opool__os.page_size(), words = (pool->type.size + WORD - 1) / WORD;
    if (pool->label.checks != OPOOL_CHECKS_FULL || !pool->type.reset)
        return 0;
    /* Each array begins a page: `pad` and `clear` take it for an object. */
    size_t bytes = (words * WORD + page - 1) / page * page;
    if (map(fresh, 2 * bytes) != 0)
        return -ENOMEM;
    fresh->words = words;
    fresh->image = fresh->map;
    fresh->shared_watched = (uint64_t *)(void *)((char *)fresh->map + bytes);
    watch_members(pool);
    return 0;
}

void opool__fresh_end(struct opool *pool)
{
    struct opool__fresh *fresh = &pool->fresh;
    if (fresh->map)
        (void)opool__os.release(fresh->map, fresh->map_bytes);
    fresh->map = NULL;
    fresh->map_bytes = 0;
}

/* ---- learning ---- */

/* An object that was the first when it was copied, as `clear` leaves it; true: and still is. */
static bool publish(struct opool__fresh *fresh, const void *image, size_t bytes)
{
    opool__lock_take(&fresh->lock);
    bool first = !opool__load_relaxed(&fresh->shared_known);
    if (first) {
        memcpy(fresh->image, image, bytes);
        opool__store_release(&fresh->shared_known, 1u);
    }
    opool__lock_drop(&fresh->lock);
    return first;
}

/* True: this object needs no comparison, it is the first one. `clear` is the user's, so that it has a copy to work on,
   outside our lock. Where there is no memory for that a later object is the first. */
static bool take_image(struct opool *pool, const void *object)
{
    struct opool__fresh copy = {.map = NULL};
    if (!pool->type.clear)
        return publish(&pool->fresh, object, pool->type.size);
    if (map(&copy, pool->fresh.map_bytes / 2) != 0)
        return true;
    memcpy(copy.map, object, pool->type.size);
    pool->type.clear(copy.map);
    bool first = publish(&pool->fresh, copy.map, pool->type.size);
    (void)opool__os.release(copy.map, copy.map_bytes);
    return first;
}

static void unwatch_differing(struct opool__fresh *fresh, size_t at, uint64_t bits)
{
    unsigned char bytes[WORD];
    memcpy(bytes, &bits, WORD);
    opool__lock_take(&fresh->lock);
    for (size_t i = 0; i < WORD; i++)
        if (bytes[i])
            unwatch(fresh, at * WORD + i, at * WORD + i + 1);
    opool__lock_drop(&fresh->lock);
}

void opool__fresh_learn(struct opool *pool, const void *object)
{
    struct opool__fresh *fresh = &pool->fresh;
    if (!fresh->map)
        return;
    if (!opool__load_acquire(&fresh->shared_known) && take_image(pool, object))
        return;
    opool__tools_quiet(true);
    for (size_t at = 0; (at = next_difference(pool, object, at)) < fresh->words; at++)
        unwatch_differing(fresh, at, difference(pool, object, at));
    opool__tools_quiet(false);
}

/* ---- verifying ---- */

/* Bytes of one finding, [from, end), and what they are. */
struct finding {
    size_t from, end; /* what differs first, and behind what differs last, in the member */
    size_t member_from, member_end;
    char name[OPOOL__NAME_MOST]; /* empty: not known */
    bool bits;
};

static bool differs(const struct opool *pool, const void *object, size_t i)
{
    uint64_t word = difference(pool, object, i / WORD);
    return ((const unsigned char *)&word)[i % WORD] != 0;
}

/* Between two members: the bit-fields that the list has there. */
static void name_bits(struct finding *finding, const struct opool_member *first, const struct opool_member *end)
{
    finding->bits = true;
    if (end - first == 1)
        snprintf(finding->name, sizeof finding->name, "%s", first->name);
    else
        snprintf(finding->name, sizeof finding->name, "%s' to '%s", first->name, end[-1].name);
}

/* In the table: the member, or the run of bit-fields, at byte `i`. */
static void find_listed(const struct opool *pool, size_t i, struct finding *finding)
{
    const struct opool_member *member = pool->type.members, *bits = NULL;
    size_t end = 0;
    for (; member->name; member++) {
        if (is_bits(member)) {
            bits = bits ? bits : member;
            continue;
        }
        if (i < member->offset)
            break;
        end = end_of(pool, member);
        if (i < end) {
            snprintf(finding->name, sizeof finding->name, "%s", member->name);
            finding->member_from = member->offset;
            finding->member_end = end;
            return;
        }
        bits = NULL;
    }
    finding->member_from = end;
    finding->member_end = member->name ? bounded(pool, member->offset) : pool->type.size;
    if (bits)
        name_bits(finding, bits, member);
}

/* Where members are not known: up to NEAR bytes that are equal. */
static void find_run(const struct opool *pool, const void *object, size_t i, struct finding *finding)
{
    size_t end = i + 1;
    for (size_t next = end; next < pool->type.size && next < end + NEAR; next++)
        if (differs(pool, object, next))
            end = next + 1;
    finding->member_from = i;
    finding->member_end = end;
}

/* By debug information: the member at byte `i`, as a whole where it is an array. False: not known. */
static bool member_at(const struct opool *pool, size_t i, char name[OPOOL__NAME_MOST])
{
    if (opool__names_member((void (*)(void))pool->type.reset, pool->label.type, i, name, OPOOL__NAME_MOST) != 0)
        return false;
    for (size_t length = strlen(name); length && name[length - 1] == ']';) {
        char *bracket = strrchr(name, '[');
        if (!bracket)
            break;
        *bracket = '\0';
        length = (size_t)(bracket - name);
    }
    return true;
}

static bool is_at(const struct opool *pool, size_t i, const char *name)
{
    char other[OPOOL__NAME_MOST];
    return i < pool->type.size && member_at(pool, i, other) && strcmp(name, other) == 0;
}

/* How far from byte `i` on, upwards or downwards, all is the member of this name: few questions, each takes a while. */
static size_t reach(const struct opool *pool, size_t i, bool up, const char *name)
{
    size_t in = 0, out = 1;
    while (is_at(pool, up ? i + out : i - out, name)) { /* below 0 is no member either */
        in = out;
        out *= 2;
    }
    while (out - in > 1) {
        size_t middle = in + (out - in) / 2;
        *(is_at(pool, up ? i + middle : i - middle, name) ? &in : &out) = middle;
    }
    return in;
}

static bool find_named(const struct opool *pool, size_t i, struct finding *finding)
{
    if (!member_at(pool, i, finding->name)) {
        finding->name[0] = '\0';
        return false;
    }
    finding->member_from = i - reach(pool, i, false, finding->name);
    finding->member_end = i + reach(pool, i, true, finding->name) + 1;
    return true;
}

static void find(const struct opool *pool, const void *object, size_t i, struct finding *finding)
{
    *finding = (struct finding){.from = i};
    if (pool->type.members)
        find_listed(pool, i, finding);
    else if (!find_named(pool, i, finding))
        find_run(pool, object, i, finding);
    for (size_t k = i; k < finding->member_end; k++)
        if (differs(pool, object, k))
            finding->end = k + 1;
}

OPOOL__READS_ANYTHING static void hex(char *out, size_t room, const void *bytes, size_t n)
{
    const unsigned char *byte = bytes;
    size_t shown = n < SHOWN ? n : SHOWN, length = 0;
    for (size_t i = 0; i < shown; i++)
        length += (size_t)snprintf(out + length, room - length, i ? " %02x" : "%02x", byte[i]);
    if (shown < n)
        snprintf(out + length, room - length, " ...");
}

static void tell(const struct opool *pool, const void *object, const struct finding *finding)
{
    char now[4 * SHOWN], then[4 * SHOWN];
    size_t from = finding->from, n = finding->end - from;
    opool__tools_quiet(true);
    hex(now, sizeof now, (const char *)object + from, n);
    hex(then, sizeof then, (const char *)pool->fresh.image + from, n);
    opool__tools_quiet(false);
    opool__tools_wrote(now, sizeof now);
    opool__tools_wrote(then, sizeof then);
    if (!finding->name[0])
        opool__report(
            &pool->label,
            "reset leaves %zu %s at offset %zu to the next user: %s, %s in a new object: reset them, or "
            "declare the member in .kept = OPOOL_MEMBERS(...); `opool shapes -t '%s' --at %zu PROGRAM` names it",
            n, n == 1 ? "byte" : "bytes", from, now, then, pool->label.type, from);
    else if (finding->bits)
        opool__report(
            &pool->label,
            "reset leaves '%s' to the next user: %s at offset %zu, %s in a new object: reset it, or list it as "
            "OPOOL_KEPT_BITS",
            finding->name, now, from, then);
    else
        opool__report(
            &pool->label,
            "reset leaves '%s' to the next user: %s at offset %zu, %s in a new object: reset it, or declare it "
            "kept: %s(%s)",
            finding->name, now, from, then, pool->type.members ? "OPOOL_KEPT" : ".kept = OPOOL_MEMBERS", finding->name);
}

/* Of a type without a list only debug information can say so. */
static bool is_padding(const struct finding *finding)
{
    return strncmp(finding->name, "padding ", 8) == 0;
}

/* Of several threads that found it, one may say so. */
static bool claim(struct opool *pool, const void *object, const struct finding *finding)
{
    struct opool__fresh *fresh = &pool->fresh;
    opool__lock_take(&fresh->lock);
    bool mine = differs(pool, object, finding->from);
    unwatch(fresh, finding->member_from, finding->member_end);
    uint32_t found = opool__load_relaxed(&fresh->shared_found);
    opool__store_relaxed(&fresh->shared_found, found + mine);
    mine = mine && (pool->type.members || found < UNLISTED_MOST) && !is_padding(finding);
    opool__lock_drop(&fresh->lock);
    return mine;
}

/* Then nothing is looked for any more: each finding of debug information is some processes. */
static bool said_enough(const struct opool *pool)
{
    return !pool->type.members && opool__load_relaxed(&pool->fresh.shared_found) >= UNLISTED_MOST;
}

/* As next_difference, which compares what may never have been written. */
static size_t look_for(const struct opool *pool, const void *object, size_t at)
{
    opool__tools_quiet(true);
    at = next_difference(pool, object, at);
    opool__tools_quiet(false);
    return at;
}

static void look_at(struct opool *pool, const void *object, size_t at)
{
    for (size_t i = at * WORD; i < (at + 1) * WORD; i++) {
        struct finding finding;
        opool__tools_quiet(true);
        bool found = differs(pool, object, i) && !said_enough(pool);
        if (found)
            find(pool, object, i, &finding);
        found = found && claim(pool, object, &finding);
        opool__tools_quiet(false);
        if (found)
            tell(pool, object, &finding);
    }
}

void opool__fresh_verify(struct opool *pool, const void *object)
{
    struct opool__fresh *fresh = &pool->fresh;
    if (!fresh->map || !opool__load_acquire(&fresh->shared_known) || said_enough(pool))
        return;
    for (size_t at = 0; (at = look_for(pool, object, at)) < fresh->words; at++)
        look_at(pool, object, at);
}
