/* SPDX-License-Identifier: MIT */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* ---- figures ---- */

static void raise_to(uint64_t *to, uint64_t value)
{
    if (value > *to)
        *to = value;
}

static void add(uint64_t *to, uint64_t value)
{
    *to = opool__profile_sum(*to, value);
}

static size_t place_of(const struct figures *figures, uint64_t bytes)
{
    size_t low = 0, high = figures->size_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (figures->sizes[middle].bytes < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* More sizes than these are variable, whatever they are in detail. */
enum { SIZES_KEPT = 256 };

static void add_size(struct memory *memory, struct figures *to, struct size_count size)
{
    size_t at = place_of(to, size.bytes);
    if (at < to->size_count && to->sizes[at].bytes == size.bytes) {
        add(&to->sizes[at].count, size.count);
        return;
    }
    if (to->size_count == SIZES_KEPT) {
        add(&to->other_sizes, size.count);
        return;
    }
    to->sizes = opool__shapes_grow(memory, to->sizes, to->size_count, sizeof size);
    memmove(to->sizes + at + 1, to->sizes + at, (to->size_count - at) * sizeof size);
    to->sizes[at] = size;
    to->size_count++;
}

static void add_sizes(struct memory *memory, struct figures *to, const struct figures *from)
{
    for (size_t i = 0; i < from->size_count; i++)
        add_size(memory, to, from->sizes[i]);
}

static void add_classes(struct figures *to, const struct figures *from)
{
    for (int i = 0; i < OPOOL__PROFILE_SIZE_CLASSES; i++)
        add(&to->size_classes[i], from->size_classes[i]);
    for (int i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        add(&to->lifetimes[i], from->lifetimes[i]);
}

void opool__profile_add(struct memory *memory, struct figures *to, const struct figures *from)
{
    if (from->allocations > 0 && (to->allocations == 0 || from->least < to->least))
        to->least = from->least;
    raise_to(&to->most, from->most);
    raise_to(&to->alignment, from->alignment);
    raise_to(&to->burst, from->burst);
    add(&to->allocations, from->allocations);
    add(&to->bytes, from->bytes);
    add(&to->frees, from->frees);
    add(&to->foreign_frees, from->foreign_frees);
    add(&to->live, from->live);
    add(&to->live_bytes, from->live_bytes);
    add(&to->live_peak, from->live_peak);
    add(&to->live_peak_bytes, from->live_peak_bytes);
    add(&to->grown, from->grown);
    add(&to->grown_bytes, from->grown_bytes);
    add(&to->moved_bytes, from->moved_bytes);
    add(&to->faults, from->faults);
    add(&to->breaks, from->breaks);
    add(&to->maps, from->maps);
    add(&to->fresh_bytes, from->fresh_bytes);
    add(&to->timed, from->timed);
    add(&to->timed_ns, from->timed_ns);
    add(&to->other_sizes, from->other_sizes);
    add_classes(to, from);
    add_sizes(memory, to, from);
}

/* Modulo 2^64, as it is kept; what is wrong in a broken file, or torn in a live one, is nothing. */
static uint64_t none_if_torn(uint64_t left)
{
    return left > INT64_MAX ? 0 : left;
}

uint64_t opool__profile_scale(const struct opool__profile_header *header)
{
    return header->mode == OPOOL__PROFILE_SAMPLED && header->every > 0 ? header->every : 1;
}

uint64_t opool__profile_in_use(const struct opool__profile_header *header, uint64_t seen)
{
    return opool__profile_product(none_if_torn(seen), opool__profile_scale(header));
}

/* Where fewer calls than this were timed, it was by a pattern of the program's that goes with the collector's: those
   that were say nothing of the others. */
enum { TIMED_LEAST = 512 };

static bool is_timed(const struct opool__profile_record *record)
{
    return (double)record->timed * (double)TIMED_LEAST >= (double)record->allocations + (double)record->frees;
}

/* Faults were counted in the timed calls alone. */
static uint64_t all_faults(const struct opool__profile_record *record)
{
    double calls = (double)record->allocations + (double)record->frees;
    if (record->timed == 0 || !is_timed(record))
        return record->faults;
    double faults = (double)record->faults * (calls > (double)record->timed ? calls / (double)record->timed : 1);
    return faults < 1e18 ? (uint64_t)faults : (uint64_t)1e18;
}

static struct figures figures_of(struct memory *memory, const struct opool__profile_record *record, uint64_t every)
{
    struct figures to = {
        .allocations = opool__profile_product(record->allocations, every),
        .bytes = opool__profile_product(record->bytes, every),
        .frees = opool__profile_product(record->frees, every),
        .foreign_frees = opool__profile_product(record->foreign_frees, every),
        .live = opool__profile_product(none_if_torn(record->live - record->taken), every),
        .live_bytes = opool__profile_product(none_if_torn(record->live_bytes - record->taken_bytes), every),
        .live_peak = opool__profile_product(record->live_peak, every),
        .live_peak_bytes = opool__profile_product(record->live_bytes_peak, every),
        .least = record->least,
        .most = record->most,
        .alignment = record->alignment,
        .grown = opool__profile_product(record->grown, every),
        .grown_bytes = opool__profile_product(record->grown_bytes, every),
        .moved_bytes = opool__profile_product(record->moved_bytes, every),
        .faults = opool__profile_product(all_faults(record), every),
        .breaks = opool__profile_product(record->breaks, every),
        .maps = opool__profile_product(record->maps, every),
        .fresh_bytes = opool__profile_product(record->fresh_bytes, every),
        .timed = is_timed(record) ? record->timed : 0,
        .timed_ns = is_timed(record) ? record->timed_ns : 0,
        .burst = record->burst,
        .other_sizes = opool__profile_product(record->other_sizes, every),
    };
    for (int i = 0; i < OPOOL__PROFILE_SIZE_CLASSES; i++)
        to.size_classes[i] = opool__profile_product(record->size_classes[i], every);
    for (int i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        to.lifetimes[i] = opool__profile_product(record->lifetimes[i], every);
    for (int i = 0; i < OPOOL__PROFILE_SIZES; i++)
        if (record->sizes[i].count > 0)
            add_size(
                memory, &to,
                (struct size_count){record->sizes[i].bytes, opool__profile_product(record->sizes[i].count, every)});
    return to;
}

/* ---- questions to figures ---- */

uint64_t opool__profile_lifetime(const struct figures *figures, double share)
{
    double all = 0, below = 0;
    for (int i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        all += (double)figures->lifetimes[i];
    for (uint32_t i = 0; i < OPOOL__PROFILE_LIFETIMES && all > 0; i++) {
        below += (double)figures->lifetimes[i];
        if (below < all * share)
            continue;
        uint64_t from = opool__profile_lifetime_from(i);
        if (i == OPOOL__PROFILE_LIFETIMES - 1)
            return from;
        return from + (opool__profile_lifetime_from(i + 1) - from) / 2;
    }
    return 0;
}

double opool__profile_lived(const struct figures *figures)
{
    double ns = 0;
    for (uint32_t i = 0; i < OPOOL__PROFILE_LIFETIMES; i++)
        ns += (double)figures->lifetimes[i] * 1.2 * (double)opool__profile_lifetime_from(i); /* middle of a class */
    return ns;
}

struct size_count opool__profile_main_size(const struct figures *figures)
{
    struct size_count most = {0, 0};
    for (size_t i = 0; i < figures->size_count; i++)
        if (figures->sizes[i].count > most.count)
            most = figures->sizes[i];
    if (figures->least == figures->most && figures->allocations > 0)
        most = (struct size_count){figures->most, figures->allocations};
    return most;
}

static uint64_t upper_end(const struct figures *figures, int class)
{
    uint64_t end = ((uint64_t)2 << class) - 1;
    return end < figures->most ? end : figures->most;
}

static int class_of(uint64_t bytes)
{
    int class = bytes < 2 ? 0 : 63 - __builtin_clzll(bytes);
    return class < OPOOL__PROFILE_SIZE_CLASSES ? class : OPOOL__PROFILE_SIZE_CLASSES - 1;
}

size_t opool__profile_all_sizes(struct memory *memory, const struct figures *figures, struct size_count **to)
{
    struct figures all = {.allocations = 0};
    uint64_t left[OPOOL__PROFILE_SIZE_CLASSES];
    memcpy(left, figures->size_classes, sizeof left);
    for (size_t i = 0; i < figures->size_count; i++) {
        uint64_t *class = &left[class_of(figures->sizes[i].bytes)], count = figures->sizes[i].count;
        *class -= count < *class ? count : *class;
    }
    add_sizes(memory, &all, figures);
    for (int i = 0; i < OPOOL__PROFILE_SIZE_CLASSES && figures->other_sizes > 0; i++)
        if (left[i] > 0)
            add_size(memory, &all, (struct size_count){upper_end(figures, i), left[i]});
    *to = all.sizes;
    return all.size_count;
}

/* ---- binaries and frames ---- */

/* Trees of tsearch, in which what is the same is found again. */
struct building {
    struct model *model;
    void *binaries, *frames, *stacks;
    const struct image *image;
    uint64_t process; /* its number */
    struct mapping {
        const struct opool__profile_module *module;
        struct binary *binary;
    } * mappings;  /* of the image, by start */
    bool has_left; /* some were unloaded: others may have been at their addresses */
};

static int compare_binaries(const void *left, const void *right)
{
    const struct binary *a = left, *b = right;
    if (a->id_bytes != b->id_bytes)
        return a->id_bytes < b->id_bytes ? -1 : 1;
    int order = memcmp(a->id, b->id, a->id_bytes);
    return order ? order : strcmp(a->path, b->path);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_frames(const void *left, const void *right)
{
    const struct frame *a = left, *b = right;
    int order = compare_numbers((uintptr_t)a->binary, (uintptr_t)b->binary);
    return order ? order : compare_numbers(a->offset, b->offset);
}

static int compare_stacks(const void *left, const void *right)
{
    const struct stack *a = left, *b = right;
    int order = compare_numbers((unsigned char)a->function, (unsigned char)b->function);
    if (order == 0)
        order = compare_numbers(a->depth, b->depth);
    for (size_t i = 0; order == 0 && i < a->depth; i++)
        order = compare_numbers(a->frames[i]->number, b->frames[i]->number);
    return order;
}

static void no_free(void *node)
{
    (void)node;
}

/* What the tree has that is the same as `item`; else a copy, with `is_new` set. */
static void *find_or_add(struct memory *memory, void **tree, const void *item, size_t size,
                         int (*compare)(const void *, const void *), bool *is_new)
{
    void *const *found = tfind(item, tree, compare);
    *is_new = !found;
    if (found)
        return *found;
    void *copy = memcpy(opool__shapes_take(memory, size), item, size);
    if (!tsearch(copy, tree, compare))
        opool__shapes_take(memory, SIZE_MAX); /* ends here, as all that lacks memory does */
    return copy;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static struct binary *add_binary(struct building *building, const struct opool__profile_module *module)
{
    struct model *model = building->model;
    struct binary binary = {.path = module->path, .id_bytes = module->id_bytes};
    bool is_new;
    memcpy(binary.id, module->id, binary.id_bytes);
    struct binary *found =
        find_or_add(model->memory, &building->binaries, &binary, sizeof binary, compare_binaries, &is_new);
    if (!is_new)
        return found;
    found->name = base_name(found->path);
    found->start = module->start;
    found->end = module->end;
    found->file_offset = module->file_offset;
    found->is_program = strcmp(found->path, building->image->header.program) == 0;
    model->binaries = opool__shapes_grow(model->memory, model->binaries, model->binary_count, sizeof(void *));
    model->binaries[model->binary_count++] = found;
    return found;
}

static int by_start(const void *left, const void *right)
{
    const struct mapping *a = left, *b = right;
    return compare_numbers(a->module->start, b->module->start);
}

static void take_modules(struct building *building)
{
    const struct image *image = building->image;
    building->mappings = opool__shapes_take(building->model->memory, image->module_count * sizeof *building->mappings);
    building->has_left = false;
    for (size_t i = 0; i < image->module_count; i++) {
        building->mappings[i] = (struct mapping){&image->modules[i], add_binary(building, &image->modules[i])};
        building->has_left = building->has_left || image->modules[i].left > 0;
    }
    qsort(building->mappings, image->module_count, sizeof *building->mappings, by_start);
}

/* Of those that were at the address one after the other: the one that the site came from. */
static const struct mapping *mapping_at_site(const struct building *building, uint64_t address, uint64_t site)
{
    const struct mapping *found = NULL;
    for (size_t i = 0; i < building->image->module_count; i++) {
        const struct mapping *mapping = &building->mappings[i];
        if (opool__profile_holds(mapping->module, address, site) && (!found || mapping->module < found->module))
            found = mapping;
    }
    return found;
}

/* The last that starts at or below the address. */
static const struct mapping *mapping_of(const struct building *building, uint64_t address, uint64_t site)
{
    if (building->has_left)
        return mapping_at_site(building, address, site);
    size_t low = 0, high = building->image->module_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (building->mappings[middle].module->start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < building->mappings[low - 1].module->end ? &building->mappings[low - 1] : NULL;
}

/* A return address is behind its call, which may be the last of its function. */
static struct frame *add_frame(struct building *building, uint64_t returns_to, uint64_t site)
{
    struct model *model = building->model;
    uint64_t address = returns_to - 1;
    const struct mapping *mapping = mapping_of(building, address, site);
    struct frame frame = {.offset = address, .address = address};
    bool is_new;
    if (mapping) {
        frame.binary = mapping->binary;
        frame.offset = address - mapping->module->start + mapping->module->file_offset;
    }
    struct frame *found = find_or_add(model->memory, &building->frames, &frame, sizeof frame, compare_frames, &is_new);
    if (is_new) {
        model->frames = opool__shapes_grow(model->memory, model->frames, model->frame_count, sizeof(void *));
        model->frames[model->frame_count++] = found;
        found->number = model->frame_count;
    }
    return found;
}

/* ---- stacks ---- */

/* The collector's own frames are none of the program's. */
static bool is_collector(const struct frame *frame)
{
    return frame->binary && strstr(frame->binary->name, "opool-profile") != NULL;
}

static struct stack *add_stack(struct building *building, uint32_t number)
{
    const struct opool__profile_site *site = &building->image->sites[number];
    struct model *model = building->model;
    struct stack stack = {.function = (char)site->function};
    bool is_new;
    for (uint32_t i = 0; i < site->depth; i++) {
        struct frame *frame = add_frame(building, site->frames[i], number);
        if (stack.depth > 0 || !is_collector(frame))
            stack.frames[stack.depth++] = frame;
    }
    if (!strchr("mcra", stack.function) || !stack.function)
        stack.function = 'm';
    struct stack *found = find_or_add(model->memory, &building->stacks, &stack, sizeof stack, compare_stacks, &is_new);
    if (is_new) {
        model->stacks = opool__shapes_grow(model->memory, model->stacks, model->stack_count, sizeof(void *));
        model->stacks[model->stack_count++] = found;
    }
    return found;
}

static void add_peak(struct building *building, struct stack *stack, uint32_t thread, uint64_t blocks)
{
    stack->peaks = opool__shapes_grow(building->model->memory, stack->peaks, stack->peak_count, sizeof *stack->peaks);
    stack->peaks[stack->peak_count++] = (struct thread_peak){building->process << 32 | thread, blocks};
}

static void add_records(struct building *building)
{
    const struct image *image = building->image;
    struct memory *memory = building->model->memory;
    struct stack **stacks = opool__shapes_take(memory, image->site_count * sizeof(void *));
    uint64_t every = opool__profile_scale(&image->header);
    for (size_t i = 0; i < image->record_count; i++) {
        const struct opool__profile_record *record = &image->records[i];
        if (!stacks[record->site])
            stacks[record->site] = add_stack(building, record->site);
        struct figures figures = figures_of(memory, record, every);
        opool__profile_add(memory, &stacks[record->site]->figures, &figures);
        add_peak(building, stacks[record->site], record->thread, figures.live_peak);
    }
}

/* ---- the whole ---- */

/* A pair of calls that comes by the collector: what some thirty instructions take, which it does not time itself. */
static const double passed_ns = 6;

/* The rest it timed in the process, with its caches: so much in each call that it looked at. */
static double recorder_of(const struct image *image)
{
    const struct opool__profile_header *header = &image->header;
    double pairs = (double)header->allocations, calls = pairs + (double)header->frees, own = 0, own_ns = 0;
    for (size_t i = 0; i < image->thread_count; i++) {
        own += (double)image->threads[i].own;
        own_ns += (double)image->threads[i].own_ns;
    }
    if (header->mode == OPOOL__PROFILE_SAMPLED && header->every > 1)
        calls /= header->every;
    return pairs * passed_ns + (own > 0 ? calls * (own_ns / own) : 0);
}

/* Of a process that runs, what the tool saw of it later than its own last entry. */
static void add_time(struct model *model, const struct opool__profile_header *header)
{
    uint64_t cpu = header->cpu_ns, ns = header->recorded_ns;
    if (header->ended == OPOOL__PROFILE_RUNNING && header->seen_ns > header->last_ns) {
        struct opool__profile_header then = *header;
        then.last_ns = header->seen_ns;
        raise_to(&cpu, header->seen_cpu_ns);
        ns = opool__profile_recorded(&then);
    }
    add(&model->cpu_ns, cpu);
    model->seconds += (double)ns / 1e9;
}

static void add_header(struct model *model, const struct opool__profile_header *header)
{
    add_time(model, header);
    add(&model->allocations, header->allocations);
    add(&model->frees, header->frees);
    add(&model->lost, header->lost_sites);
    add(&model->lost, header->lost_records);
    add(&model->lost, header->lost_blocks);
    add(&model->lost, header->lost_children);
    add(&model->faults, header->faults);
    add(&model->threads, header->threads_begun);
    model->page_bytes = header->page_bytes >= 512 && header->page_bytes <= 1 << 20 ? header->page_bytes : 4096;
    model->is_sampled = model->is_sampled || header->mode == OPOOL__PROFILE_SAMPLED;
    model->is_counts = model->is_counts || header->mode == OPOOL__PROFILE_COUNTS;
}

/* All sites together had no more than the processes. */
static void bound_faults(struct model *model)
{
    double sum = 0;
    for (size_t i = 0; i < model->stack_count; i++)
        sum += (double)model->stacks[i]->figures.faults;
    for (size_t i = 0; i < model->stack_count && model->faults > 0 && sum > (double)model->faults; i++) {
        uint64_t *faults = &model->stacks[i]->figures.faults;
        *faults = (uint64_t)((double)*faults * ((double)model->faults / sum));
    }
}

enum { RETAINED_LEAST = 8 << 20 };

static struct retained retained_by(const struct image *image)
{
    struct retained retained = {0, 0, 0, false};
    for (size_t i = 0; i < image->point_count; i++)
        raise_to(&retained.peak, opool__profile_in_use(&image->header, image->points[i].live_bytes));
    if (image->point_count > 0) {
        retained.live = opool__profile_in_use(&image->header, image->points[image->point_count - 1].live_bytes);
        retained.resident = image->points[image->point_count - 1].resident_bytes;
    }
    uint64_t freed = retained.peak - retained.live;
    uint64_t kept = retained.resident > retained.live ? retained.resident - retained.live : 0;
    retained.is_much = kept >= RETAINED_LEAST && freed >= RETAINED_LEAST && kept >= freed / 2;
    return retained;
}

static void find_retained(struct model *model)
{
    for (size_t i = 0; i < model->images->count; i++) {
        struct retained retained = retained_by(&model->images->all[i]);
        if (retained.peak > model->retained.peak)
            model->retained = retained;
    }
}

static void find_allocator(struct model *model)
{
    static const char *const known[] = {"jemalloc", "tcmalloc", "mimalloc"};
    for (size_t i = 0; i < model->binary_count; i++)
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (strstr(model->binaries[i]->name, known[k]))
                model->allocator = known[k];
}

void opool__profile_model(struct model *model, const struct images *images)
{
    struct building building = {.model = model};
    *model = (struct model){.memory = images->memory, .images = images};
    for (size_t i = 0; i < images->count; i++) {
        building.image = &images->all[i];
        building.process = i;
        add_header(model, &building.image->header);
        model->recorder_ns += recorder_of(building.image);
        model->dropped += building.image->dropped;
        take_modules(&building);
        add_records(&building);
    }
    bound_faults(model);
    find_allocator(model);
    find_retained(model);
    tdestroy(building.binaries, no_free);
    tdestroy(building.frames, no_free);
    tdestroy(building.stacks, no_free);
}
