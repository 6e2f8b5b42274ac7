/* SPDX-License-Identifier: MIT */
#include <float.h>

#include "partition.h"

enum { SIZES_MOST = 512 };

/*
 * least[k][j]: bytes of the first j sizes in k classes. The last class of the best partition takes sizes i to j - 1,
 * all at the size of the last, and what is in front of it is the best partition of i sizes in k - 1 classes: so
 * least[k][j] = min over i of least[k - 1][i] + (count of i .. j - 1) * bytes[j - 1].
 */
struct table {
    double least[CLASSES_MOST + 1][SIZES_MOST + 1];
    unsigned short from[CLASSES_MOST + 1][SIZES_MOST + 1];
    double counts[SIZES_MOST + 1]; /* of the first j */
    double bytes;
};

static void fill_entry(struct table *table, const struct size_count *sizes, unsigned k, size_t j)
{
    table->least[k][j] = DBL_MAX;
    for (size_t i = k - 1; i < j; i++) {
        double last = (table->counts[j] - table->counts[i]) * (double)sizes[j - 1].bytes;
        if (table->least[k - 1][i] + last < table->least[k][j]) {
            table->least[k][j] = table->least[k - 1][i] + last;
            table->from[k][j] = (unsigned short)i;
        }
    }
}

static void fill(struct table *table, const struct size_count *sizes, size_t count, unsigned classes)
{
    table->bytes = table->counts[0] = 0;
    for (size_t j = 0; j < count; j++) {
        table->counts[j + 1] = table->counts[j] + (double)sizes[j].count;
        table->bytes += (double)sizes[j].count * (double)sizes[j].bytes;
        table->least[0][j + 1] = DBL_MAX;
    }
    table->least[0][0] = 0;
    for (unsigned k = 1; k <= classes; k++)
        for (size_t j = k; j <= count; j++)
            fill_entry(table, sizes, k, j);
}

static void trace(const struct table *table, const struct size_count *sizes, size_t count, struct partition *to,
                  unsigned classes)
{
    double handed_out = table->least[classes][count];
    to->classes = classes;
    to->waste = handed_out > 0 ? 1 - table->bytes / handed_out : 0;
    for (unsigned k = classes; k > 0; k--) {
        to->bytes[k - 1] = sizes[count - 1].bytes;
        count = table->from[k][count];
    }
}

unsigned opool__profile_partition(const struct size_count *sizes, size_t count, struct partition of[CLASSES_MOST])
{
    struct table table;
    if (count > SIZES_MOST)
        count = SIZES_MOST;
    unsigned classes = count < CLASSES_MOST ? (unsigned)count : CLASSES_MOST;
    if (classes == 0)
        return 0;
    fill(&table, sizes, count, classes);
    for (unsigned k = 1; k <= classes; k++) {
        of[k - 1] = (struct partition){.classes = 0};
        trace(&table, sizes, count, &of[k - 1], k);
    }
    return classes;
}
