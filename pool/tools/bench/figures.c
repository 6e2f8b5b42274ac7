/* SPDX-License-Identifier: MIT */
#include "figures.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = 2000 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_sorting(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double opool__bench_median(const double *values, unsigned n)
{
    double copy[ROUNDS_MOST];
    if (n == 0 || n > ROUNDS_MOST)
        return 0;
    memcpy(copy, values, n * sizeof *values);
    return median_sorting(copy, n);
}

/* The same seed each time: one set of figures has one interval. */
static double resampled(const double *theirs, const double *ours, unsigned n, uint64_t *random)
{
    double a[ROUNDS_MOST], b[ROUNDS_MOST];
    for (unsigned i = 0; i < n; i++) {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        unsigned at = (unsigned)((*random >> 32) * n >> 32);
        a[i] = theirs[at];
        b[i] = ours[at];
    }
    return median_sorting(a, n) / median_sorting(b, n);
}

/* How many resamples to leave out on each side. A plain bootstrap of few values is too narrow (7 rounds: 87 % instead
   of 95); with the expanded percentiles of Hesterberg (2014), by Student's t, it is not. */
static unsigned left_out(unsigned n)
{
    static const unsigned rounds[] = {ROUNDS_FEWEST, 7, 8, 9, 10, 11, 12, 13, 15, 18, 21, 26, 31, 41, 61, 121};
    static const double shares[] = {0.0024, 0.0041, 0.0057, 0.0072, 0.0086, 0.0097, 0.0108, 0.0117,
                                    0.0132, 0.0150, 0.0163, 0.0178, 0.0190, 0.0204, 0.0219, 0.0234};
    size_t i = sizeof rounds / sizeof *rounds - 1;
    while (i > 0 && rounds[i] > n)
        i--;
    return (unsigned)(shares[i] * (double)RESAMPLES);
}

struct ratio opool__bench_ratio(const double *theirs, const double *ours, unsigned n)
{
    double ratios[RESAMPLES], own = opool__bench_median(ours, n);
    uint64_t random = 88172645463325252u;
    struct ratio ratio = {.known = false};
    if (!(own > 0))
        return ratio;
    ratio.ratio = opool__bench_median(theirs, n) / own;
    if (n < ROUNDS_FEWEST)
        return ratio;
    for (unsigned i = 0; i < RESAMPLES; i++)
        ratios[i] = resampled(theirs, ours, n, &random);
    qsort(ratios, RESAMPLES, sizeof *ratios, compare);
    ratio.low = ratios[left_out(n)];
    ratio.high = ratios[RESAMPLES - 1 - left_out(n)];
    ratio.known = true;
    return ratio;
}

/* Of near values a factor says nothing. */
static char *write_times(double times, const char *word, char *text, size_t size)
{
    if (times < 1.1)
        snprintf(text, size, "%.0f %% %s CPU", word[0] == 'm' ? (times - 1) * 100 : (1 - 1 / times) * 100, word);
    else
        snprintf(text, size, times < 10 ? "%.1fx %s CPU" : "%.0fx %s CPU", times, word);
    return text;
}

char *opool__bench_verdict(const struct ratio *ratio, char *text, size_t size)
{
    if (!ratio->known)
        snprintf(text, size, "too few rounds");
    else if (ratio->low > 1.005)
        write_times(ratio->ratio, "less", text, size);
    else if (ratio->high < 0.995)
        write_times(1 / ratio->ratio, "more", text, size);
    else
        snprintf(text, size, "tie");
    return text;
}
