/* SPDX-License-Identifier: MIT */
#include "check/leaks.h"

#include <pthread.h>
#include <string.h>

#include "check/stack.h"
#include "check/suppress.h"
#include "os/os.h"

enum {
    PLACES = 1 << 16,      /* of the table of groups */
    GROUPS_MOST = 3 << 14, /* three quarters */
    TOLD_MOST = 1000,      /* messages; what is younger is summed up */
    LINES = 1 << 14,       /* of the table of frames */
    LINES_MOST = 3 << 12,
    LINES_TEXT = 2 << 20, /* bytes */
    LINE_MOST = OPOOL__FILE_MOST + OPOOL__FUNCTION_MOST + 80,
    MESSAGE_MOST = 1024 + OPOOL__FRAMES_MOST * LINE_MOST
};

/* Objects of one pool with one call stack. */
struct group {
    const struct opool__label *label; /* NULL: a free place */
    uint32_t stack;
    uint32_t found;  /* groups before it */
    uint64_t oldest; /* when it was got */
    struct opool__leaks_sum sum;
};

/* What a frame's line is, and whether the user does not want to hear of it. Many stacks share frames, and a look at a
   large program's symbols takes a millisecond. */
struct line {
    uintptr_t frame; /* 0: a free place */
    uint32_t at;
    uint16_t length;
    bool suppressed;
};

struct opool__leaks_memory {
    struct group places[PLACES];
    uint32_t groups, lines, lines_text;
    struct group beyond; /* what the table had no room for */
    uint32_t order[GROUPS_MOST];
    struct line line[LINES];
    char line_text[LINES_TEXT];
    char message[MESSAGE_MOST];
};

static size_t memory_bytes(void)
{
    size_t page = opool__os.page_size();
    return (sizeof(struct opool__leaks_memory) + page - 1) / page * page;
}

void opool__leaks_begin(struct opool__leaks *leaks)
{
    void *at;
    *leaks = (struct opool__leaks){0};
    if (opool__os.reserve(&at, memory_bytes()) != 0)
        return;
    if (opool__os.commit(at, memory_bytes()) != 0)
        (void)opool__os.release(at, memory_bytes());
    else
        leaks->memory = at;
}

/* ---- gathering ---- */

static uint64_t mix(uint64_t number)
{
    number *= UINT64_C(0x9E3779B97F4A7C15);
    return number >> 32;
}

static struct group *group_of(struct opool__leaks_memory *memory, const struct opool__label *label, uint32_t stack)
{
    uint64_t i = mix((uintptr_t)label + stack) % PLACES;
    while (memory->places[i].label && (memory->places[i].label != label || memory->places[i].stack != stack))
        i = (i + 1) % PLACES;
    if (memory->places[i].label)
        return &memory->places[i];
    if (memory->groups == GROUPS_MOST)
        return &memory->beyond;
    memory->places[i] = (struct group){
        .label = label, .stack = stack, .found = memory->groups, .oldest = UINT64_MAX, .sum = {.places = 1}};
    memory->order[memory->groups++] = (uint32_t)i;
    return &memory->places[i];
}

void opool__leaks_add(struct opool__leaks *leaks, const struct opool__label *label, uint32_t stack, size_t bytes,
                      uint64_t time)
{
    leaks->all.objects++;
    leaks->all.bytes += bytes;
    if (!leaks->memory)
        return;
    struct group *group = group_of(leaks->memory, label, stack);
    group->sum.objects++;
    group->sum.bytes += bytes;
    group->oldest = time < group->oldest ? time : group->oldest;
}

/* ---- order ---- */

/* Of the same age: those that were found first. */
static bool is_older(const struct opool__leaks_memory *memory, uint32_t a, uint32_t b)
{
    const struct group *of_a = &memory->places[a], *of_b = &memory->places[b];
    return of_a->oldest != of_b->oldest ? of_a->oldest < of_b->oldest : of_a->found < of_b->found;
}

/* The youngest of a part of the heap up to its top. */
static void sift(struct opool__leaks_memory *memory, uint32_t top, uint32_t count)
{
    uint32_t *order = memory->order;
    for (uint32_t child; (child = 2 * top + 1) < count; top = child) {
        if (child + 1 < count && is_older(memory, order[child], order[child + 1]))
            child++;
        if (!is_older(memory, order[top], order[child]))
            return;
        uint32_t moved = order[top];
        order[top] = order[child];
        order[child] = moved;
    }
}

/* Heapsort: libc's qsort may allocate. */
static void sort(struct opool__leaks_memory *memory)
{
    uint32_t count = memory->groups;
    for (uint32_t i = count / 2; i-- > 0;)
        sift(memory, i, count);
    for (uint32_t end = count; end-- > 1;) {
        uint32_t youngest = memory->order[0];
        memory->order[0] = memory->order[end];
        memory->order[end] = youngest;
        sift(memory, 0, end);
    }
}

/* ---- telling ---- */

/* The text has room for one byte more. */
static void say(const struct opool__leaks *leaks, struct opool__text *text)
{
    text->at[text->length] = 0;
    if (leaks->at_exit)
        opool__print(text->at);
    else
        opool__say_text(text);
}

static void add_count(struct opool__text *text, uint64_t count, const char *noun)
{
    opool__text_number(text, count);
    opool__text_string(text, " ");
    opool__text_string(text, noun);
    if (count != 1)
        opool__text_string(text, "s");
}

/* "3 objects, 768 bytes" */
static void add_sizes(struct opool__text *text, uint64_t objects, uint64_t bytes)
{
    add_count(text, objects, "object");
    opool__text_string(text, ", ");
    add_count(text, bytes, "byte");
}

static void make_line(struct line *line, uintptr_t frame, struct opool__text *text)
{
    struct opool__where where;
    opool__where(frame, &where);
    line->frame = frame;
    line->suppressed = opool__suppress_frame(&where);
    opool__stack_add_line(text, frame, &where);
}

/* Adds the line of a frame, without its number; true: it is suppressed. */
static bool add_line(struct opool__leaks_memory *memory, uintptr_t frame, struct opool__text *text)
{
    uint64_t i = mix(frame) % LINES;
    while (memory->line[i].frame && memory->line[i].frame != frame)
        i = (i + 1) % LINES;
    struct line *line = &memory->line[i], unkept;
    if (!line->frame) {
        bool kept = memory->lines < LINES_MOST && memory->lines_text + LINE_MOST <= LINES_TEXT;
        size_t before = text->length;
        line = kept ? line : &unkept;
        make_line(line, frame, text);
        if (kept) {
            line->at = memory->lines_text;
            line->length = (uint16_t)(text->length - before);
            memcpy(memory->line_text + line->at, text->at + before, line->length);
            memory->lines_text += line->length;
            memory->lines++;
        }
    } else {
        opool__text_add(text, memory->line_text + line->at, line->length);
    }
    return line->suppressed;
}

/* True: some frame is suppressed. */
static bool add_stack(struct opool__leaks_memory *memory, uint32_t stack, struct opool__text *text)
{
    uintptr_t frames[OPOOL__FRAMES_MOST];
    unsigned count = opool__stack_frames(stack, frames);
    bool suppressed = false;
    for (unsigned i = 0; i < count; i++) {
        opool__text_string(text, "opool:     #");
        opool__text_number(text, i);
        opool__text_string(text, " ");
        suppressed = add_line(memory, frames[i], text) || suppressed;
    }
    return suppressed;
}

static void add_head(struct opool__text *text, const struct group *group)
{
    opool__text_string(text, "opool: pool '");
    opool__text_string(text, group->label->name);
    opool__text_string(text, "' (");
    opool__text_string(text, group->label->type);
    opool__text_string(text, "): ");
    add_sizes(text, group->sum.objects, group->sum.bytes);
    opool__text_string(text,
                       group->stack ? ", never put; got at:\n" : ", never put; where they were got is not known\n");
}

/* False: suppressed. */
static bool tell_group(const struct opool__leaks *leaks, const struct group *group)
{
    struct opool__text text = {leaks->memory->message, MESSAGE_MOST - 1, 0};
    if (opool__suppress_pool(group->label->name))
        return false;
    add_head(&text, group);
    if (add_stack(leaks->memory, group->stack, &text))
        return false;
    say(leaks, &text);
    return true;
}

/* "opool: <words>: 3 objects, 768 bytes, got at 2 places" */
static void tell_sum(const struct opool__leaks *leaks, const char *words, const struct opool__leaks_sum *sum)
{
    char room[256];
    struct opool__text text = {room, sizeof room - 1, 0};
    if (sum->objects == 0)
        return;
    opool__text_string(&text, "opool: ");
    opool__text_string(&text, words);
    opool__text_string(&text, ": ");
    add_sizes(&text, sum->objects, sum->bytes);
    if (sum->places) {
        opool__text_string(&text, ", got at ");
        add_count(&text, sum->places, "place");
    }
    opool__text_string(&text, "\n");
    say(leaks, &text);
}

static void add_sum(struct opool__leaks_sum *to, const struct opool__leaks_sum *sum)
{
    to->objects += sum->objects;
    to->bytes += sum->bytes;
    to->places += sum->places;
}

/* How many objects were told. */
static uint64_t tell_groups(const struct opool__leaks *leaks)
{
    struct opool__leaks_memory *memory = leaks->memory;
    struct opool__leaks_sum told = {0}, suppressed = {0}, later = memory->beyond.sum;
    sort(memory);
    for (uint32_t i = 0; i < memory->groups; i++) {
        const struct group *group = &memory->places[memory->order[i]];
        if (told.places == TOLD_MOST)
            add_sum(&later, &group->sum);
        else
            add_sum(tell_group(leaks, group) ? &told : &suppressed, &group->sum);
    }
    tell_sum(leaks, "never put, left out as OPOOL_LEAKS says", &suppressed);
    tell_sum(leaks, "never put, and got later than these", &later);
    add_sum(&told, &later);
    tell_sum(leaks, "never put", &told);
    return told.objects;
}

static uint64_t tell(const struct opool__leaks *leaks)
{
    if (leaks->memory)
        return tell_groups(leaks);
    tell_sum(leaks, "never put", &leaks->all);
    return leaks->all.objects;
}

uint64_t opool__leaks_tell(struct opool__leaks *leaks, bool at_exit)
{
    int state;
    /* Reading symbols is a cancellation point, and no call of this library is. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    leaks->at_exit = at_exit;
    uint64_t told = opool__suppress_all() ? 0 : tell(leaks);
    if (leaks->memory)
        (void)opool__os.release(leaks->memory, memory_bytes());
    leaks->memory = NULL;
    pthread_setcancelstate(state, &(int){0});
    return told;
}
