/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unwind.h>

#include "modules.h"

enum {
    NODE_BITS = 19,
    NODES = 1 << NODE_BITS,
    PLACES = 2 * NODES,
    SITE_PLACES = 4 * OPOOL__ROOM_SITES,
    VARIANTS = 4,
    FRAMES = OPOOL__PROFILE_FRAMES,
    FRAME_MOST = 1 << 20 /* a larger one is taken for an error */
};

/* In a node: the stack's site found no room. */
static const uint32_t LOST = UINT32_MAX;

/* Where the next return address lies. */
enum way {
    BY_DISTANCE,
    BY_BASE,   /* behind the word that the frame pointer points to: CFA = base + 16 */
    BY_ALIGNED /* gcc's functions that realign their stack keep the CFA before that word */
};

struct node {
    uintptr_t address;
    uint32_t parent;   /* 0: the root */
    uint32_t site;     /* index + 1 where the stack ends or is cut, or LOST; 0: it goes on */
    uint32_t distance; /* bytes to the next return address */
    uint32_t saved;    /* bytes from there down to where this frame saved its caller's frame pointer; 0: it did not */
    uint32_t first;    /* of its children */
    uint32_t way;
};

/* What is known of a frame while going outwards. */
struct position {
    uintptr_t at;   /* where its return address lies; of the first one: its end */
    uintptr_t base; /* its frame pointer register */
};

static struct {
    struct node *nodes;    /* [0] is the root */
    uint32_t *places;      /* numbers of nodes by parent and address; 0: free */
    uint32_t *site_places; /* index + 1 by key */
    uint32_t used, frames;
} tree;

static void *take_memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

bool opool__stack_start(uint32_t frames)
{
    tree.nodes = take_memory(NODES * sizeof *tree.nodes);
    tree.places = take_memory(PLACES * sizeof *tree.places);
    tree.site_places = take_memory(SITE_PLACES * sizeof *tree.site_places);
    tree.used = 1;
    tree.frames = frames;
    return tree.nodes && tree.places && tree.site_places;
}

void opool__stack_forget(void)
{
    madvise(tree.nodes, NODES * sizeof *tree.nodes, MADV_DONTNEED);
    madvise(tree.places, PLACES * sizeof *tree.places, MADV_DONTNEED);
    madvise(tree.site_places, SITE_PLACES * sizeof *tree.site_places, MADV_DONTNEED);
    tree.used = 1;
}

enum change { HIDE, SHOW, DROP };

/* Hidden addresses are inverted, dropped ones all ones: no code is there. Places in `places` stay what they are. */
static void change(uintptr_t start, uintptr_t end, enum change change)
{
    opool__image_lock();
    for (uint32_t i = 1; i < tree.used; i++) {
        uintptr_t address = tree.nodes[i].address, shown = change == HIDE ? address : ~address;
        if (shown - 1 >= start && shown - 1 < end) /* a call may be the last instruction */
            opool__store_relaxed(&tree.nodes[i].address, change == DROP ? UINTPTR_MAX : ~address);
    }
    opool__image_unlock();
}

void opool__stack_hide(uintptr_t start, uintptr_t end)
{
    change(start, end, HIDE);
}

void opool__stack_show(uintptr_t start, uintptr_t end)
{
    change(start, end, SHOW);
}

void opool__stack_drop(uintptr_t start, uintptr_t end)
{
    change(start, end, DROP);
}

/* ---- down the tree ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t mixed = (a ^ b * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);
    return mixed ^ mixed >> 32;
}

/* The number of the node from place `*at` on; 0: there is no more. `*at` is behind it then. */
static uint32_t next_child(uint32_t parent, uintptr_t address, uint32_t *at)
{
    for (;;) {
        /* acquire: the node was filled before it stood here. */
        uint32_t number = opool__load_acquire(&tree.places[*at & (PLACES - 1)]);
        if (!number)
            return 0;
        ++*at;
        if (tree.nodes[number].parent == parent && opool__load_relaxed(&tree.nodes[number].address) == address)
            return number;
    }
}

static uint32_t first_place(uint32_t parent, uintptr_t address)
{
    return (uint32_t)mix(address, parent) & (PLACES - 1);
}

/* From the frame of a node to the next one; false: beyond what is known to be stack. */
static inline bool step(const struct node *node, struct position *position, uintptr_t top)
{
    uintptr_t next = position->at + node->distance;
    if (OPOOL__UNLIKELY(node->way != BY_DISTANCE)) {
        uintptr_t base = position->base;
        if (base < position->at || base > top || base - position->at > FRAME_MOST || base % sizeof base != 0)
            return false;
        next = (node->way == BY_BASE ? base + 2 * sizeof base : ((const uintptr_t *)base)[-1]) - sizeof base;
        if (next <= position->at || next - position->at > FRAME_MOST)
            return false;
    }
    if (next > top || next % sizeof next != 0)
        return false;
    if (node->saved)
        position->base = *(const uintptr_t *)(next - node->saved);
    position->at = next;
    return true;
}

/* The site of the stack whose frame below `parent` has this return address; 0: not known. Depth and variants bound the
   recursion. */
static uint32_t descend(uint32_t parent, uintptr_t word, struct position position, uintptr_t top)
{
    uint32_t place = first_place(parent, word), number;
    while ((number = next_child(parent, word, &place)) != 0) {
        const struct node *node = &tree.nodes[number];
        struct position next = position;
        uint32_t site = node->site;
        if (!site && step(node, &next, top))
            site = descend(number, *(const uintptr_t *)next.at, next, top);
        if (site)
            return site;
    }
    return 0;
}

/* The common path: first children all the way, which lie side by side. */
static uint32_t find(struct opool__caller caller, uintptr_t top)
{
    const struct position start = {(uintptr_t)caller.cfa, caller.base};
    struct position position = start;
    uint32_t place = first_place(0, (uintptr_t)caller.address);
    uint32_t number = next_child(0, (uintptr_t)caller.address, &place);
    if (!number)
        return 0;
    for (;;) {
        const struct node *node = &tree.nodes[number];
        if (node->site)
            return node->site;
        if (!step(node, &position, top))
            break;
        uintptr_t word = *(const uintptr_t *)position.at;
        /* acquire: as in next_child. */
        uint32_t child = opool__load_acquire(&node->first);
        if (!child || opool__load_relaxed(&tree.nodes[child].address) != word) {
            place = first_place(number, word);
            child = next_child(number, word, &place);
            if (!child)
                break;
        }
        number = child;
    }
    return descend(0, (uintptr_t)caller.address, start, top);
}

/* ---- unwinding ---- */

struct unwound {
    struct opool__caller caller;
    uint32_t depth, most;
    bool begun, fixed; /* each return address lies where it was found */
    uintptr_t end;     /* of what was seen of the stack */
    uintptr_t frames[FRAMES], base[FRAMES];
    uintptr_t at[FRAMES]; /* of the first one: the end of its frame */
};

/* Where the return address of the frame lies whose callee's frame is [from, to); 0: not to be told. */
static uintptr_t place_of(uintptr_t address, uintptr_t from, uintptr_t to)
{
#if defined(__x86_64__) || defined(__i386__)
    (void)from;
    uintptr_t at = to - sizeof(uintptr_t);
    return *(const uintptr_t *)at == address ? at : 0;
#else
    uintptr_t found = 0;
    for (uintptr_t at = from; at < to; at += sizeof at)
        if (*(const uintptr_t *)at == address) {
            if (found)
                return 0;
            found = at;
        }
    return found;
#endif
}

static uintptr_t base_of(struct _Unwind_Context *context)
{
#if defined(__x86_64__)
    return _Unwind_GetGR(context, 6);
#else
    (void)context;
    return 0;
#endif
}

static _Unwind_Reason_Code see_frame(struct _Unwind_Context *context, void *void_unwound)
{
    struct unwound *unwound = void_unwound;
    int in_signal = 0;
    uintptr_t address = _Unwind_GetIPInfo(context, &in_signal), end = _Unwind_GetCFA(context);
    if (!unwound->begun) {
        unwound->begun = address == (uintptr_t)unwound->caller.address && end == (uintptr_t)unwound->caller.cfa;
        if (!unwound->begun)
            return _URC_NO_REASON;
    } else {
        if (address == 0)
            return _URC_NORMAL_STOP;
        uintptr_t at = !in_signal && end > unwound->end ? place_of(address, unwound->end, end) : 0;
        unwound->fixed &= at != 0;
        unwound->at[unwound->depth] = at;
    }
    unwound->end = end;
    unwound->frames[unwound->depth] = address;
    unwound->base[unwound->depth] = base_of(context);
    return ++unwound->depth == unwound->most ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

static void unwind(struct unwound *unwound, struct opool__caller caller)
{
    *unwound = (struct unwound){.caller = caller, .most = tree.frames, .fixed = true, .end = (uintptr_t)caller.cfa};
    unwound->at[0] = (uintptr_t)caller.cfa;
    _Unwind_Backtrace(see_frame, unwound);
    if (unwound->depth == 0) { /* no unwind information at all */
        unwound->frames[0] = (uintptr_t)caller.address;
        unwound->depth = 1;
    }
}

/* ---- learning, under the image's lock ---- */

static uint32_t find_or_make_site(const struct unwound *unwound, uint32_t function)
{
    uint64_t key = unwound->depth;
    for (uint32_t i = 0; i < unwound->depth; i++)
        key = mix(unwound->frames[i], key);
    key |= key == 0;
    uint32_t place = (uint32_t)key & (SITE_PLACES - 1);
    for (; tree.site_places[place]; place = (place + 1) & (SITE_PLACES - 1)) {
        const struct opool__profile_site *site = &opool__image.sites[tree.site_places[place] - 1];
        if (site->key == key && site->depth == unwound->depth &&
            memcmp(site->frames, unwound->frames, unwound->depth * sizeof *site->frames) == 0 &&
            opool__modules_are_same(unwound->frames, unwound->depth, tree.site_places[place] - 1))
            return tree.site_places[place] - 1;
    }
    uint32_t number = opool__image_take(&opool__image.header->sites);
    if (number == UINT32_MAX)
        return number;
    struct opool__profile_site *site = &opool__image.sites[number];
    site->depth = unwound->depth;
    site->function = function;
    for (uint32_t i = 0; i < unwound->depth; i++)
        site->frames[i] = unwound->frames[i];
    /* release: who reads the file finds the rest filled. */
    opool__store_release(&site->key, key);
    tree.site_places[place] = number + 1;
    return number;
}

/* How to get from frame i to the next one. */
static struct node describe(const struct unwound *unwound, uint32_t i)
{
    uintptr_t at = unwound->at[i], next = unwound->at[i + 1], base = unwound->base[i];
    struct node node = {.address = unwound->frames[i], .way = BY_DISTANCE, .distance = (uint32_t)(next - at)};
    if (base < at || base >= next || base % sizeof base != 0)
        return node;
    if (base + sizeof base == next)
        node.way = BY_BASE;
    else if (((const uintptr_t *)base)[-1] == next + sizeof next && base - sizeof base >= at)
        node.way = BY_ALIGNED;
    if (node.way != BY_DISTANCE)
        node.distance = 0;
    return node;
}

/* Where frame i saved the frame pointer that differs in the next one: the highest such word below the return address,
   because functions save registers first. False: nowhere. */
static bool find_saved(const struct unwound *unwound, uint32_t i, struct node *node)
{
    uintptr_t next = unwound->at[i + 1], base = unwound->base[i + 1];
    if (unwound->base[i] == base)
        return true;
    for (uintptr_t place = next - sizeof next; place >= unwound->at[i] && place < next; place -= sizeof place)
        if (*(const uintptr_t *)place == base) {
            node->saved = (uint32_t)(next - place);
            return true;
        }
    return false;
}

static bool is_same(const struct node *a, const struct node *b)
{
    return a->distance == b->distance && a->site == b->site && a->way == b->way && a->saved == b->saved;
}

/* 0: full, or too many variants. */
static uint32_t make_node(const struct node *node)
{
    uint32_t place = first_place(node->parent, node->address), variants = 0, number;
    while ((number = next_child(node->parent, node->address, &place)) != 0) {
        if (is_same(&tree.nodes[number], node))
            return number;
        if (++variants == VARIANTS)
            return 0;
    }
    if (tree.used == NODES)
        return 0;
    number = tree.used++;
    tree.nodes[number] = *node;
    /* release: for next_child, and for who takes the first one. */
    opool__store_release(&tree.places[place & (PLACES - 1)], number);
    if (!tree.nodes[node->parent].first)
        opool__store_release(&tree.nodes[node->parent].first, number);
    return number;
}

/* As far as a frame pointer is lost that a frame further out needs, there is no path. */
static void learn_path(const struct unwound *unwound, uint32_t site)
{
    uint32_t parent = 0;
    bool base_known = true;
    for (uint32_t i = 0; i < unwound->depth; i++) {
        struct node node = {.address = unwound->frames[i], .site = site};
        if (i + 1 < unwound->depth) {
            if (unwound->at[i + 1] - unwound->at[i] > UINT32_MAX)
                return;
            node = describe(unwound, i);
            if (node.way != BY_DISTANCE && !base_known)
                return;
            base_known = find_saved(unwound, i, &node) && (base_known || node.saved);
        }
        node.parent = parent;
        parent = make_node(&node);
        if (!parent)
            return;
    }
}

/* When there is not much room left for sites, those that are new have fewer frames: so there is always one for each. */
static void cut(struct unwound *unwound)
{
    static const uint32_t sixteenths[] = {12, 14, 15}, frames[] = {4, 2, 1};
    const struct opool__profile_array *sites = &opool__image.header->sites;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        if (sites->used >= sites->room / 16 * sixteenths[i] && unwound->depth > frames[i])
            unwound->depth = frames[i];
}

static __attribute__((noinline)) uint32_t learn(struct opool__caller caller, uintptr_t *top, uint32_t function)
{
    struct unwound unwound;
    int saved = errno;
    unwind(&unwound, caller);
    if (unwound.fixed && unwound.at[unwound.depth - 1] > *top)
        *top = unwound.at[unwound.depth - 1];
    opool__modules_need(unwound.frames, unwound.depth);
    opool__image_lock();
    cut(&unwound);
    uint32_t site = find_or_make_site(&unwound, function);
    if (unwound.fixed)
        learn_path(&unwound, site == UINT32_MAX ? LOST : site + 1);
    opool__image_unlock();
    errno = saved;
    return site;
}

uint32_t opool__stack_site(struct opool__caller caller, uintptr_t *top, uint32_t function)
{
    uint32_t site = find(caller, *top);
    if (OPOOL__LIKELY(site != 0))
        return site == LOST ? UINT32_MAX : site - 1;
    return learn(caller, top, function);
}
