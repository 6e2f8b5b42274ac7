/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../shapes/report.h"
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

uint64_t opool__profile_capacity(const struct site *site)
{
    uint64_t capacity = 64;
    while (capacity < UINT64_MAX / 4 && capacity < 2 * (site->figures.live_peak & INT64_MAX))
        capacity *= 2;
    return capacity;
}

/* More would be memory that a quiet day never needs. */
enum { PREFILL_MOST = 128, PREFILL_BYTES = 256 << 10 };

uint64_t opool__profile_prefill(const struct site *site)
{
    uint64_t size = site->verdict.size > 0 ? site->verdict.size : 1, most = PREFILL_BYTES / size;
    most = most > PREFILL_MOST ? PREFILL_MOST : most > 0 ? most : 1;
    return site->figures.thread_peak < most ? site->figures.thread_peak : most;
}
