/* SPDX-License-Identifier: MIT */
#include "check/life.h"

#include <errno.h>
#include <opool/atomic.h>
#include <string.h>

#include "check/stack.h"
#include "os/lock.h"
#include "os/os.h"

enum { MIDDLE = 1024, LEAF_SHIFT_MOST = 12, LEAF_BYTES_WANTED = 1 << 20 };

static size_t whole_pages(size_t bytes)
{
    size_t page = opool__os.page_size();
    return (bytes + page - 1) / page * page;
}

/* Zero, and touched as it is used. */
static void *map(size_t bytes)
{
    void *at;
    if (opool__os.reserve(&at, bytes) != 0)
        return NULL;
    if (opool__os.commit(at, bytes) == 0)
        return at;
    (void)opool__os.release(at, bytes);
    return NULL;
}

int opool__life_start(struct opool__life *life, size_t copy_bytes, size_t slots, size_t at_once)
{
    size_t align = _Alignof(struct opool__entry);
    memset(life, 0, sizeof *life);
    life->entry_bytes = sizeof(struct opool__entry) + (copy_bytes + align - 1) / align * align;
    while (life->shift < LEAF_SHIFT_MOST && life->entry_bytes << (life->shift + 1) <= LEAF_BYTES_WANTED)
        life->shift++;
    life->leaf_bytes = whole_pages(life->entry_bytes << life->shift);
    life->top_bytes = whole_pages(((slots >> life->shift) / MIDDLE + 1) * sizeof(void *));
    life->top = map(life->top_bytes);
    if (!life->top)
        return -ENOMEM;
    life->shared_bytes = life->top_bytes;
    for (size_t i = 0; i < at_once; i += (size_t)1 << life->shift)
        if (!opool__life_make(life, (uint32_t)i)) {
            opool__life_end(life);
            return -ENOMEM;
        }
    return 0;
}

static void end_middle(const struct opool__life *life, void **middle)
{
    for (size_t i = 0; i < MIDDLE; i++)
        if (middle[i])
            (void)opool__os.release(middle[i], life->leaf_bytes);
    (void)opool__os.release(middle, whole_pages(MIDDLE * sizeof(void *)));
}

void opool__life_end(struct opool__life *life)
{
    if (!life->top)
        return;
    for (size_t i = 0; i < life->top_bytes / sizeof(void *); i++)
        if (life->top[i])
            end_middle(life, life->top[i]);
    (void)opool__os.release(life->top, life->top_bytes);
    life->top = NULL;
}

/* acquire: who sees the pointer sees zero memory behind it. */
static void *below(void **table, size_t at)
{
    return opool__load_acquire(&table[at]);
}

static struct opool__entry *entry_in(const struct opool__life *life, char *leaf, uint32_t index)
{
    size_t low = index & (((size_t)1 << life->shift) - 1);
    return (struct opool__entry *)(void *)(leaf + low * life->entry_bytes);
}

struct opool__entry *opool__life_at(const struct opool__life *life, uint32_t index)
{
    size_t leaf_number = index >> life->shift;
    if (!life->top || leaf_number / MIDDLE >= life->top_bytes / sizeof(void *))
        return NULL;
    void **middle = below(life->top, leaf_number / MIDDLE);
    char *leaf = middle ? below(middle, leaf_number % MIDDLE) : NULL;
    return leaf ? entry_in(life, leaf, index) : NULL;
}

/* Under the lock. */
static void *make_below(struct opool__life *life, void **table, size_t at, size_t bytes)
{
    void *there = opool__load_relaxed(&table[at]);
    if (!there && (there = map(bytes)) != NULL) {
        opool__add_relaxed(&life->shared_bytes, (uint64_t)bytes);
        opool__store_release(&table[at], there);
    }
    return there;
}

static char *make_leaf(struct opool__life *life, size_t number)
{
    void **middle = make_below(life, life->top, number / MIDDLE, whole_pages(MIDDLE * sizeof(void *)));
    return middle ? make_below(life, middle, number % MIDDLE, life->leaf_bytes) : NULL;
}

struct opool__entry *opool__life_make(struct opool__life *life, uint32_t index)
{
    struct opool__entry *entry = opool__life_at(life, index);
    size_t number = index >> life->shift;
    if (entry || number / MIDDLE >= life->top_bytes / sizeof(void *))
        return entry;
    opool__lock_take(&life->lock);
    char *leaf = make_leaf(life, number);
    opool__lock_drop(&life->lock);
    return leaf ? entry_in(life, leaf, index) : NULL;
}

void opool__life_note(struct opool__event *event, const void *caller)
{
    event->thread = opool__os.thread_number();
    event->at = opool__os.now();
    event->stack = caller ? opool__stack_from(caller) : opool__stack_here();
}

static void add_line(void *text, const char *line, size_t length)
{
    opool__text_string(text, "opool: ");
    opool__text_add(text, line, length);
}

void opool__life_tell(struct opool__text *text, const char *what, const struct opool__event *event)
{
    if (!event->thread)
        return;
    opool__text_string(text, "opool:   ");
    opool__text_string(text, what);
    opool__text_string(text, " by thread ");
    opool__text_number(text, event->thread);
    opool__text_string(text, event->stack ? " at\n" : "\n");
    if (event->stack)
        opool__stack_tell(event->stack, add_line, text);
}
