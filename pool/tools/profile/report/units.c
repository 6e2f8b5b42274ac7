/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../shapes/report.h"
#include "view.h"

const char *opool__profile_short(struct memory *memory, double number)
{
    static const char units[] = " kMGTP";
    int unit = 0;
    while (fabs(number) >= 999.5 && unit < 5) {
        number /= 1000;
        unit++;
    }
    if (unit == 0)
        return opool__shapes_format(memory, fabs(number) < 9.95 && number != floor(number) ? "%.1f" : "%.0f", number);
    return opool__shapes_format(memory, fabs(number) < 9.95 ? "%.1f%c" : "%.0f%c", number, units[unit]);
}

const char *opool__profile_grouped(struct memory *memory, uint64_t number)
{
    const char *digits = opool__shapes_format(memory, "%llu", (unsigned long long)number);
    size_t length = strlen(digits), at = 0;
    char *text = opool__shapes_take(memory, length + length / 3 + 1);
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    return text;
}

const char *opool__profile_duration(struct memory *memory, uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double value = (double)ns;
    int unit = 0;
    while (value >= 999.5 && unit < 3) {
        value /= 1000;
        unit++;
    }
    return opool__shapes_format(memory, value < 9.95 && unit > 0 ? "%.1f%s" : "%.0f%s", value, units[unit]);
}

/* Without the sign of what is too little to be shown. */
static double shown(double value, int digits)
{
    static const double half[] = {0.5, 0.05, 0.005};
    return fabs(value) < half[digits] ? 0 : value;
}

static const char *interval(struct memory *memory, double low, double high, int digits, const char *unit)
{
    return opool__shapes_format(memory, "%.*f..%.*f %s", digits, shown(low, digits), digits, shown(high, digits), unit);
}

const char *opool__profile_gain_text(struct memory *memory, const struct gain *gain, bool rates)
{
    bool large = fabs(gain->high_a_second) >= 1000;
    double scale = large ? 1e-3 : 1, high = gain->high_a_second * scale, percent = gain->high_share * 100;
    const char *rate = interval(memory, gain->low_a_second * scale, high, fabs(high) < 9.95, large ? "ms/s" : "us/s");
    if (!gain->has_share)
        return rate;
    /* As many digits as mean something. */
    int digits = percent >= 9.95 ? 0 : percent >= 0.995 ? 1 : 2;
    const char *share = interval(memory, gain->low_share * 100, percent, digits, "%");
    return rates ? opool__shapes_format(memory, "%s of CPU (%s)", share, rate) : share;
}

/* ---- sentences ---- */

static double one_size_share(const struct model *model)
{
    double one = 0, all = 0;
    for (size_t i = 0; i < model->site_count; i++) {
        const struct figures *figures = &model->sites[i]->figures;
        struct size_count size = opool__profile_main_size(figures);
        all += (double)figures->allocations;
        if ((double)size.count >= 0.99 * (double)figures->allocations)
            one += (double)figures->allocations;
    }
    return all > 0 ? one / all : 0;
}

static const char *mode_text(struct memory *memory, const struct model *model)
{
    const struct opool__profile_header *header = &model->images->all[0].header;
    if (header->mode == OPOOL__PROFILE_SAMPLED)
        return opool__shapes_format(memory, "one allocation in %u", header->every);
    return header->mode == OPOOL__PROFILE_COUNTS ? "counts only" : "every allocation";
}

const char *opool__profile_recorded_text(struct memory *memory, const struct model *model)
{
    double rate = model->seconds > 0 ? (double)model->allocations / model->seconds : 0;
    const char *threads = "";
    if (model->threads > 1)
        threads = opool__shapes_format(memory, "%s threads; ", opool__profile_grouped(memory, model->threads));
    return opool__shapes_format(
        memory, "%.1f s recorded, %s; %s%.2f s of CPU; %s allocation%s (%s/s) from %zu site%s, %zu stack%s",
        model->seconds, mode_text(memory, model), threads, (double)model->cpu_ns / 1e9,
        opool__profile_grouped(memory, model->allocations), model->allocations == 1 ? "" : "s",
        opool__profile_short(memory, rate), model->site_count, model->site_count == 1 ? "" : "s", model->stack_count,
        model->stack_count == 1 ? "" : "s");
}

const char *opool__profile_summary(struct memory *memory, const struct model *model)
{
    size_t worth, noise;
    struct gain gain = opool__profile_together(model, false, &worth),
                rest = opool__profile_together(model, true, &noise);
    double share = one_size_share(model) * 100;
    if (model->site_count == 0)
        return "Nothing was allocated while recording.";
    if (worth > 0)
        return opool__shapes_format(
            memory, "Worth pooling for speed: %zu site%s, together %s.%s", worth, worth == 1 ? "" : "s",
            opool__profile_gain_text(memory, &gain, true),
            noise > 0 ? opool__shapes_format(memory, " The other %zu that could be pooled would gain %s.", noise,
                                             opool__profile_gain_text(memory, &rest, false))
                      : "");
    if (noise == 0)
        return opool__shapes_format(memory, "Nothing to do: %s allocations in %.1f s, and none that a pool is for.",
                                    opool__profile_grouped(memory, model->allocations), model->seconds);
    const char *those = noise == 1 ? "the gain is below noise:"
                                   : opool__shapes_format(memory, "each gain is below noise; all %zu together", noise);
    return opool__shapes_format(
        memory, "Nothing to pool for speed: %.1f %% of the allocations come from sites of one size, but %s %s.", share,
        those, opool__profile_gain_text(memory, &rest, true));
}

static const char *megabytes(struct memory *memory, uint64_t bytes)
{
    return opool__shapes_format(memory, "%.1f MB", (double)bytes / 1e6);
}

enum { MEMORY_LEAST = 1000000 }; /* below, there is nothing to say of it */

const char *opool__profile_memory_text(struct memory *memory, const struct model *model)
{
    const struct retained *retained = &model->retained;
    size_t sites = 0;
    for (size_t i = 0; i < model->site_count; i++)
        sites += model->sites[i]->verdict.for_memory;
    if (retained->peak < MEMORY_LEAST)
        return NULL;
    const char *text = opool__shapes_format(memory, "In use were at most %s, and at the end %s, when %s were resident.",
                                            megabytes(memory, retained->peak), megabytes(memory, retained->live),
                                            megabytes(memory, retained->resident));
    if (sites == 0)
        return text;
    return opool__shapes_format(memory,
                                "%s What was freed stays resident; %zu site%s had most of it: a pool gives it back two "
                                "epochs later.",
                                text, sites, sites == 1 ? "" : "s");
}

const char *opool__profile_sizes_text(struct memory *memory, const struct site *site)
{
    const struct figures *figures = &site->figures;
    if (figures->least == figures->most)
        return opool__profile_grouped(memory, figures->most);
    return opool__shapes_format(memory, "%s..%s", opool__profile_short(memory, (double)figures->least),
                                opool__profile_short(memory, (double)figures->most));
}

/* ---- columns and lines of a site ---- */

const char *opool__profile_lifetime_text(struct memory *memory, const struct figures *figures, double share)
{
    uint64_t ns = opool__profile_lifetime(figures, share);
    return ns > 0 ? opool__profile_duration(memory, ns) : "-";
}

/* Who records counts alone sees no frees, and so no blocks in use. */
static bool knows_frees(const struct figures *figures)
{
    return figures->live_peak > 0 || figures->frees > 0 || figures->allocations == 0;
}

const char *opool__profile_blocks_text(struct memory *memory, const struct figures *figures, uint64_t blocks)
{
    return knows_frees(figures) ? opool__profile_short(memory, (double)blocks) : "-";
}

const char *opool__profile_share_text(struct memory *memory, uint64_t part, uint64_t of)
{
    return of == 0 ? "-" : opool__shapes_format(memory, "%.0f%%", 100 * (double)part / (double)of);
}

const char *opool__profile_grown_text(struct memory *memory, const struct figures *figures)
{
    return opool__shapes_format(memory, "grown by realloc %s time%s, by %s bytes in all; %s bytes were copied",
                                opool__profile_grouped(memory, figures->grown), figures->grown == 1 ? "" : "s",
                                opool__profile_grouped(memory, figures->grown_bytes),
                                opool__profile_grouped(memory, figures->moved_bytes));
}

const char *opool__profile_count_text(struct memory *memory, const struct figures *figures)
{
    const char *text =
        opool__shapes_format(memory, "%s allocation%s, %s bytes", opool__profile_grouped(memory, figures->allocations),
                             figures->allocations == 1 ? "" : "s", opool__profile_grouped(memory, figures->bytes));
    if (!knows_frees(figures))
        return text;
    return opool__shapes_format(memory, "%s; %s freed, %s of them by another thread", text,
                                opool__profile_grouped(memory, figures->frees),
                                opool__profile_grouped(memory, figures->foreign_frees));
}

/* "HEAD 512 99.0 %, 1,024 1.0 %": each class by its lower end, if it has a part that shows. */
static const char *list_classes(struct memory *memory, const char *text, const uint64_t *counts, int classes,
                                const char *(*lower_end)(struct memory *, int))
{
    double all = 0;
    const char *comma = "";
    for (int i = 0; i < classes; i++)
        all += (double)counts[i];
    for (int i = 0; i < classes; i++)
        if ((double)counts[i] >= all / 2000 && counts[i] > 0) {
            text = opool__shapes_format(memory, "%s%s %s %.1f %%", text, comma, lower_end(memory, i),
                                        100 * (double)counts[i] / all);
            comma = ",";
        }
    return text;
}

static const char *size_from(struct memory *memory, int class)
{
    return opool__profile_grouped(memory, class > 0 ? (uint64_t)1 << class : 0);
}

static const char *lifetime_from(struct memory *memory, int class)
{
    return opool__profile_duration(memory, opool__profile_lifetime_from((uint32_t) class));
}

const char *opool__profile_size_classes(struct memory *memory, const struct figures *figures)
{
    return list_classes(memory, "bytes from", figures->size_classes, OPOOL__PROFILE_SIZE_CLASSES, size_from);
}

const char *opool__profile_lifetime_classes(struct memory *memory, const struct figures *figures)
{
    return list_classes(memory, "lifetimes from", figures->lifetimes, OPOOL__PROFILE_LIFETIMES, lifetime_from);
}

enum { SIZES_SHOWN = 6 };

static int by_count(const void *left, const void *right)
{
    const struct size_count *a = left, *b = right;
    return (a->count < b->count) - (a->count > b->count);
}

const char *opool__profile_size_list(struct memory *memory, const struct figures *figures)
{
    struct size_count *sizes = opool__shapes_take(memory, (figures->size_count + 1) * sizeof *sizes);
    const char *text = "sizes";
    double all = (double)figures->allocations, shown = 0;
    if (figures->size_count > 0)
        memcpy(sizes, figures->sizes, figures->size_count * sizeof *sizes);
    qsort(sizes, figures->size_count, sizeof *sizes, by_count);
    for (size_t i = 0; i < figures->size_count && i < SIZES_SHOWN; i++) {
        double share = all > 0 ? (double)sizes[i].count / all : 0;
        text = opool__shapes_format(memory, "%s%s %s (%.1f %%)", text, i ? "," : "",
                                    opool__profile_grouped(memory, sizes[i].bytes), share * 100);
        shown += share;
    }
    if (shown < 0.9995)
        text = opool__shapes_format(memory, "%s%s others (%.1f %%)", text, figures->size_count ? "," : "",
                                    (1 - shown) * 100);
    return text;
}

const char *opool__profile_type_text(struct memory *memory, const struct type_guess *type)
{
    static const char *const sure[] = {
        [SURE_NOT] = "",
        [SURE_SIZE] = "a guess: it has the size",
        [SURE_FUNCTION] = "likely: a variable of the function has the size",
        [SURE_LINE] = "sure: declared on the line",
    };
    if (!type->name)
        return NULL;
    const char *shape = !type->is_judged ? "its shape could not be judged"
                        : type->is_fixed ? "of fixed shape"
                                         : "not of fixed shape as it is";
    return opool__shapes_format(memory, "%s (%s%s%s), %s%s%s", type->name, sure[type->sure],
                                type->others ? ", so have " : "", type->others ? type->others : "", shape,
                                type->obstacle ? ": " : "", type->obstacle ? type->obstacle : "");
}

/* ---- JSON ---- */

void opool__profile_json_string(FILE *out, struct memory *memory, const char *text)
{
    fputc('"', out);
    for (const char *c = text ? opool__shapes_clean(memory, text) : ""; *c; c++)
        fprintf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputc('"', out);
}

/* ---- choices ---- */

bool opool__profile_is_chosen(const struct view *view, const struct site *site)
{
    return opool__profile_is_poolable(site) && (view->all || site->verdict.for_memory || !site->verdict.is_noise);
}

uint64_t opool__profile_capacity(uint64_t most)
{
    uint64_t capacity = 64;
    while (capacity < UINT64_MAX / 4 && capacity / 2 < most)
        capacity *= 2;
    return most > 0 ? capacity : 0;
}

/* More would be memory that a quiet day never needs. */
enum { PREFILL_MOST = 128, PREFILL_BYTES = 256 << 10 };

uint64_t opool__profile_prefill(const struct site *site)
{
    uint64_t size = site->verdict.size > 0 ? site->verdict.size : 1, most = PREFILL_BYTES / size;
    most = most > PREFILL_MOST ? PREFILL_MOST : most > 0 ? most : 1;
    return site->figures.thread_peak < most ? site->figures.thread_peak : most;
}
