/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <opool.h>
#include <stdlib.h>
#include <string.h>

#include "known.h"
#include "sites.h"
#include "types.h"
#include "verdict.h"

/* What the verdicts are bound by. Each stands in PROFILE.md. */
static const double one_size = 0.99;    /* of the allocations have the main size */
static const double waste_fine = 0.125; /* padding that fewer classes may cost */
static const double waste_most = 0.25;  /* and that the most may */
static const double others_most = 0.1;  /* of the sizes were not counted one by one */
static const double grown_most = 0.05;  /* of the blocks grow by realloc */
static const double freed_least = 0.5;  /* of the blocks are freed */
static const double burst_step_ns = 10; /* from one allocation of a burst to the next, at least */
static const double peak_least = 0.2;   /* of all bytes in use at the peak */
static const double same_count = 0.02;  /* counts that differ by less are one */
enum {
    RARE_COUNT = 64, /* allocations in all */
    RARE_A_SECOND = 10,
    BURST_LEAST = 64,
    BURSTS_LEAST = 8,
    CONTEXT_BYTES = 8192,
    GUESSED_SHARE = 100000, /* sites with fewer of all allocations get no guess at their type, which takes time */
    CONTEXT_PARTS = 2,      /* allocations of one creation that are more than chance */
};

struct judging {
    struct model *model;
    const struct costs *costs;
    struct entry {
        struct site *site;
        const char *function; /* of the library that creates; NULL: none */
        const struct known_context *known;
    } * entries; /* a site's each */
};

const char *opool__profile_kind(enum kind kind)
{
    static const char *const names[] = {"POOL", "UNIFY", "CONTEXT", "BATCH", "KEEP", "NO"};
    return names[kind];
}

static double part(uint64_t of, uint64_t all)
{
    return all > 0 ? (double)of / (double)all : 0;
}

/* ---- gains ---- */

static struct spent spent_of(const struct model *model, const struct figures *figures)
{
    uint64_t freed = model->is_counts ? figures->allocations : figures->frees;
    struct spent spent = {
        .pairs = (double)(freed < figures->allocations ? freed : figures->allocations),
        .bytes_each = part(figures->bytes, figures->allocations),
        .faults = (double)figures->faults,
        .breaks = (double)figures->breaks,
        .maps = (double)figures->maps,
    };
    double fresh = (double)(figures->fresh_bytes / model->page_bytes);
    spent.faults_most = fmax(spent.faults, fresh);
    if (model->faults > 0) {
        spent.faults_most = fmin(spent.faults_most, (double)model->faults);
        spent.faults = fmin(spent.faults, spent.faults_most);
    }
    if (figures->timed >= 16)
        spent.timed_pair = 2 * (double)figures->timed_ns / (double)figures->timed;
    return spent;
}

static void set_gain(struct judging *judging, struct site *site, const struct spent *spent)
{
    struct gain gain =
        opool__profile_gain(judging->costs, spent, judging->model->seconds, opool__profile_cpu(judging->model));
    site->verdict.gain = gain;
    site->verdict.is_noise = gain.has_share ? gain.high_share < OPOOL__PROFILE_NOISE : gain.high <= 0;
}

static void no_gain(struct judging *judging, struct site *site)
{
    site->verdict.gain = (struct gain){.has_share = judging->model->cpu_ns > 0};
    site->verdict.is_noise = true;
}

struct gain opool__profile_together(const struct model *model, bool noise, size_t *count)
{
    struct gain sum = {.low = 0};
    *count = 0;
    for (size_t i = 0; i < model->site_count; i++) {
        const struct judgement *verdict = &model->sites[i]->verdict;
        if (!opool__profile_is_poolable(model->sites[i]) || verdict->is_noise != noise)
            continue;
        ++*count;
        sum.low += verdict->gain.low;
        sum.high += verdict->gain.high;
        sum.system += verdict->gain.system;
    }
    opool__profile_rates(&sum, model->seconds, opool__profile_cpu(model));
    return sum;
}

/* ---- contexts ---- */

/*
 * The call into a library below which a stack asks for memory: of the run of frames in one file from the site outwards,
 * the outermost that is known, or else, in a library, that is the last of the run and sounds like a creation.
 */
static void find_entry(const struct stack *stack, struct entry *entry)
{
    size_t from = 0;
    while (from < stack->depth && stack->frames[from] != entry->site->at)
        from++;
    if (from == stack->depth || !stack->frames[from]->binary)
        return;
    const struct binary *binary = stack->frames[from]->binary;
    const char *last = NULL;
    for (size_t i = from; i < stack->depth && stack->frames[i]->binary == binary; i++)
        for (size_t k = i == from ? entry->site->level : 0; k < stack->frames[i]->line_count; k++) {
            last = stack->frames[i]->lines[k].function;
            const struct known_context *known = last ? opool__profile_known(last) : NULL;
            if (known) {
                entry->known = known;
                entry->function = last;
            }
        }
    if (!entry->function && last && !binary->is_program && strncmp(binary->name, "libc.", 5) != 0 &&
        opool__profile_is_creation(last))
        entry->function = last;
}

static int by_entry(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (!a->function || !b->function)
        return (b->function != NULL) - (a->function != NULL);
    int order = strcmp(a->function, b->function);
    if (order == 0 && a->site->at->binary != b->site->at->binary)
        order = (uintptr_t)a->site->at->binary < (uintptr_t)b->site->at->binary ? -1 : 1;
    return order;
}

static bool is_of_creation(const struct site *site, uint64_t creations)
{
    return fabs((double)site->figures.allocations - (double)creations) <= same_count * (double)creations;
}

static bool is_freed(const struct model *model, const struct figures *figures)
{
    return model->is_counts || part(figures->frees, figures->allocations) >= freed_least;
}

/* The gain of all its allocations is theirs each; what the creation costs beside them is the largest one's. */
static void judge_part(struct judging *judging, struct site *site, const struct context *context, bool is_largest)
{
    struct spent spent = spent_of(judging->model, &site->figures);
    if (is_largest)
        spent.cpuids = (double)context->creations * context->cpuids;
    spent.filled_kib = (double)site->figures.bytes / 1024;
    site->verdict.kind = KIND_CONTEXT;
    site->verdict.of = context;
    site->verdict.size = opool__profile_main_size(&site->figures).bytes;
    set_gain(judging, site, &spent);
    site->verdict.why = opool__shapes_format(
        judging->model->memory, "%s%s makes %u allocation%s, %llu bytes, each time: keep what it makes, and %s%s",
        context->create,
        context->library[0] ? opool__shapes_format(judging->model->memory, " (%s)", context->library) : "",
        context->allocations, context->allocations == 1 ? "" : "s", (unsigned long long)context->bytes,
        context->reset ? "reset it by " : "reset it", context->reset ? context->reset : "");
}

static struct context *new_context(struct judging *judging, const struct entry *first, uint64_t creations)
{
    struct context *context = opool__shapes_take(judging->model->memory, sizeof *context);
    context->create = first->function;
    context->library = first->known ? first->known->library : first->site->at->binary->name;
    context->creations = creations;
    if (first->known) {
        context->free = first->known->free;
        context->reset = first->known->reset;
        context->configuration = first->known->configuration;
        context->cpuids = first->known->cpuids;
    }
    return context;
}

static void judge_creation(struct judging *judging, const struct entry *entries, size_t count)
{
    const struct model *model = judging->model;
    uint64_t creations = 0, bytes = 0, largest = 0;
    unsigned parts = 0;
    for (size_t i = 0; i < count; i++)
        if (is_freed(model, &entries[i].site->figures) && entries[i].site->figures.allocations > creations)
            creations = entries[i].site->figures.allocations;
    if (creations < RARE_COUNT)
        return;
    for (size_t i = 0; i < count; i++)
        if (is_of_creation(entries[i].site, creations)) {
            uint64_t each = entries[i].site->figures.bytes / creations;
            parts++;
            bytes += each;
            largest = each > largest ? each : largest;
        }
    /* One small block is an object like others, whatever created it. */
    if ((parts < CONTEXT_PARTS || !(entries[0].known || bytes >= CONTEXT_BYTES)) &&
        !(entries[0].known && bytes >= CONTEXT_BYTES))
        return;
    struct context *context = new_context(judging, &entries[0], creations);
    context->allocations = parts;
    context->bytes = bytes;
    for (size_t i = 0; i < count; i++)
        if (is_of_creation(entries[i].site, creations)) {
            bool is_largest = entries[i].site->figures.bytes / creations == largest;
            judge_part(judging, entries[i].site, context, is_largest);
            if (is_largest)
                largest = UINT64_MAX; /* the first alone */
        }
}

static void judge_contexts(struct judging *judging)
{
    struct model *model = judging->model;
    judging->entries = opool__shapes_take(model->memory, model->site_count * sizeof *judging->entries);
    for (size_t i = 0; i < model->site_count; i++) {
        judging->entries[i].site = model->sites[i];
        if (model->sites[i]->at)
            find_entry(model->sites[i]->stacks[0], &judging->entries[i]);
    }
    qsort(judging->entries, model->site_count, sizeof *judging->entries, by_entry);
    for (size_t from = 0, to; from < model->site_count && judging->entries[from].function; from = to) {
        for (to = from + 1; to < model->site_count && by_entry(&judging->entries[from], &judging->entries[to]) == 0;)
            to++;
        judge_creation(judging, &judging->entries[from], to - from);
    }
}

/* ---- sizes ---- */

/* The fewest classes that cost little; else the most that cost not too much. */
static bool unify(struct judging *judging, struct site *site)
{
    struct size_count *sizes;
    struct partition best[CLASSES_MOST];
    size_t count = opool__profile_all_sizes(judging->model->memory, &site->figures, &sizes);
    unsigned classes = opool__profile_partition(sizes, count, best);
    for (unsigned k = 0; k < classes; k++) {
        site->verdict.classes = best[k];
        if (best[k].waste <= waste_fine)
            return true;
    }
    return classes > 0 && site->verdict.classes.waste <= waste_most;
}

static const char *list_classes(struct memory *memory, const struct partition *classes)
{
    const char *text = "";
    for (unsigned i = 0; i < classes->classes; i++)
        text = opool__shapes_format(memory, "%s%s%llu", text,
                                    i == 0                      ? ""
                                    : i + 1 == classes->classes ? " and "
                                                                : ", ",
                                    (unsigned long long)classes->bytes[i]);
    return text;
}

static void refuse(struct judging *judging, struct site *site, const char *why)
{
    site->verdict.kind = KIND_NO;
    site->verdict.why = why;
    no_gain(judging, site);
}

static void refuse_large(struct judging *judging, struct site *site)
{
    refuse(judging, site,
           opool__shapes_format(judging->model->memory,
                                "blocks of up to %llu bytes: a pool's objects have at most %zu; keep such a block, and "
                                "use it again",
                                (unsigned long long)site->figures.most, OPOOL_SIZE_MAX));
}

static void judge_sizes(struct judging *judging, struct site *site)
{
    struct memory *memory = judging->model->memory;
    const struct figures *figures = &site->figures;
    struct judgement *verdict = &site->verdict;
    struct spent spent = spent_of(judging->model, figures);
    const char *range = opool__shapes_format(memory, "%llu to %llu", (unsigned long long)figures->least,
                                             (unsigned long long)figures->most);
    double others = part(figures->other_sizes, figures->allocations);
    if (others > others_most) {
        refuse(judging, site,
               opool__shapes_format(memory,
                                    "sizes vary, %s bytes, and %.0f %% are none of the %zu most frequent: buffers "
                                    "of a ladder (opool/ladder.h), if anything",
                                    range, others * 100, figures->size_count));
    } else if (figures->most > OPOOL_SIZE_MAX) {
        refuse_large(judging, site);
    } else if (!unify(judging, site)) {
        refuse(judging, site,
               opool__shapes_format(memory, "sizes vary, %s bytes: in %u classes %.0f %% would be padding", range,
                                    verdict->classes.classes, verdict->classes.waste * 100));
    } else {
        verdict->kind = KIND_UNIFY;
        verdict->size = verdict->classes.bytes[verdict->classes.classes - 1];
        verdict->why =
            opool__shapes_format(memory, "few sizes: use %s bytes for all of %s; %.1f %% of that is padding",
                                 list_classes(memory, &verdict->classes), range, verdict->classes.waste * 100);
        set_gain(judging, site, &spent);
    }
}

/* ---- one size ---- */

/* Blocks in use on the average: how many come a second, times how long they live (Little's law). */
static double average_live(const struct model *model, const struct figures *figures)
{
    return model->seconds > 0 ? opool__profile_lived(figures) / (model->seconds * 1e9) : 0;
}

/* Many in a row and all gone again, many times: a set that is only replaced has as many in use all the time, and where
   a burst was an exception most blocks do not live as long as it takes to make the rest of one. */
static bool comes_in_bursts(const struct model *model, const struct figures *figures)
{
    return !model->is_sampled && figures->burst >= BURST_LEAST &&
           figures->allocations >= BURSTS_LEAST * figures->burst && figures->burst >= figures->thread_peak / 2 &&
           average_live(model, figures) <= 0.7 * (double)figures->live_peak &&
           (double)opool__profile_lifetime(figures, 0.5) >= (double)figures->burst / 2 * burst_step_ns;
}

static const char *why_pool(struct judging *judging, const struct site *site, const struct spent *spent)
{
    struct memory *memory = judging->model->memory;
    const struct gain *gain = &site->verdict.gain;
    double foreign = part(site->figures.foreign_frees, site->figures.frees);
    const char *why = opool__shapes_format(memory, "one size");
    if (gain->high > 0 && gain->system > gain->high / 2)
        why = opool__shapes_format(
            memory,
            "one size; most of the cost is the system's: %.0f moves of the break, %.0f maps, up to %.0f "
            "page faults",
            spent->breaks, spent->maps, spent->faults_most);
    if (foreign >= 0.05)
        why = opool__shapes_format(memory, "%s; %.0f %% are freed by another thread", why, foreign * 100);
    return why;
}

static void judge_one_size(struct judging *judging, struct site *site, uint64_t size)
{
    struct memory *memory = judging->model->memory;
    struct spent spent = spent_of(judging->model, &site->figures);
    site->verdict.size = size;
    set_gain(judging, site, &spent);
    site->verdict.kind = KIND_POOL;
    site->verdict.why = why_pool(judging, site, &spent);
    if (comes_in_bursts(judging->model, &site->figures)) {
        site->verdict.kind = KIND_BATCH;
        site->verdict.why = opool__shapes_format(memory, "%s, in bursts of up to %llu: get and put them in batches",
                                                 site->verdict.why, (unsigned long long)site->figures.burst);
    }
}

/* ---- those that stay as they are ---- */

static bool is_rare(struct judging *judging, const struct site *site)
{
    const struct figures *figures = &site->figures;
    struct spent spent = spent_of(judging->model, figures);
    double seconds = judging->model->seconds;
    struct gain gain = opool__profile_gain(judging->costs, &spent, seconds, opool__profile_cpu(judging->model));
    bool is_seldom = figures->allocations < RARE_COUNT ||
                     (seconds > 0 && (double)figures->allocations / seconds < (double)RARE_A_SECOND);
    return is_seldom && (!gain.has_share || gain.high_share < OPOOL__PROFILE_NOISE);
}

static bool fills_a_pool(const struct site *site)
{
    const struct stack *stack = site->stacks[0];
    for (size_t i = 0; i < stack->depth; i++) {
        for (size_t k = 0; k < stack->frames[i]->line_count; k++)
            if (stack->frames[i]->lines[k].function && opool__profile_is_pool(stack->frames[i]->lines[k].function))
                return true;
        if (stack->frames[i] == site->at)
            return false;
    }
    return false;
}

static bool judge_kept(struct judging *judging, struct site *site)
{
    struct memory *memory = judging->model->memory;
    const struct figures *figures = &site->figures;
    bool lives = !is_freed(judging->model, figures), rare = is_rare(judging, site);
    if (!lives && !rare)
        return false;
    site->verdict.kind = KIND_KEEP;
    site->verdict.size = 0;
    if (fills_a_pool(site) && lives)
        site->verdict.why = "already pooled: it fills a pool of the program, which keeps it";
    else if (lives)
        site->verdict.why =
            opool__shapes_format(memory, "long-lived: %.0f %% were freed, and what stays in use comes back to no pool",
                                 100 * part(figures->frees, figures->allocations));
    else
        site->verdict.why =
            opool__shapes_format(memory, "rare: %llu allocation%s in %.1f s", (unsigned long long)figures->allocations,
                                 figures->allocations == 1 ? "" : "s", judging->model->seconds);
    no_gain(judging, site);
    return true;
}

static bool judge_grown(struct judging *judging, struct site *site)
{
    double grown = part(site->figures.grown, site->figures.allocations);
    if (grown <= grown_most)
        return false;
    refuse(judging, site,
           opool__shapes_format(judging->model->memory,
                                "its blocks grow by realloc: %.2f times each, %.0f bytes at a time; give them their "
                                "final size, or a chain of buffers",
                                grown, part(site->figures.grown_bytes, site->figures.grown)));
    return true;
}

static void judge_site(struct judging *judging, struct site *site)
{
    struct size_count size = opool__profile_main_size(&site->figures);
    bool is_one = part(size.count, site->figures.allocations) >= one_size;
    if (is_one && site->figures.allocations >= judging->model->allocations / GUESSED_SHARE)
        opool__profile_guess(judging->model->memory, site, size.bytes, &site->type);
    if (site->verdict.of || judge_kept(judging, site) || judge_grown(judging, site))
        return;
    if (is_one && size.bytes == 0)
        refuse(judging, site, "asks for 0 bytes: there is nothing to keep");
    else if (is_one && size.bytes > OPOOL_SIZE_MAX)
        refuse_large(judging, site);
    else if (is_one)
        judge_one_size(judging, site, size.bytes);
    else
        judge_sizes(judging, site);
}

/* Did what it freed take a good part in what stayed resident? */
static bool is_for_memory(const struct model *model, const struct site *site)
{
    const struct figures *figures = &site->figures;
    return model->retained.is_much && opool__profile_is_poolable(site) &&
           (double)figures->live_peak_bytes >= peak_least * (double)model->retained.peak &&
           figures->live_bytes <= figures->live_peak_bytes / 2;
}

void opool__profile_judge(struct model *model, const struct costs *costs)
{
    struct judging judging = {.model = model, .costs = costs};
    judge_contexts(&judging);
    for (size_t i = 0; i < model->site_count; i++)
        judge_site(&judging, model->sites[i]);
    for (size_t i = 0; i < model->site_count; i++)
        model->sites[i]->verdict.for_memory = is_for_memory(model, model->sites[i]);
}
