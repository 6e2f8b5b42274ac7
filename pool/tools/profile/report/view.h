/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_VIEW_H
#define OPOOL_TOOLS_PROFILE_REPORT_VIEW_H

#include <stdio.h>

#include "verdict.h"

/* What was asked for, and the formats in which it is written. All get the sites that were chosen, in their order. */

enum sort { SORT_GAIN, SORT_COUNT, SORT_BYTES, SORT_LIVE, SORT_SIZE, SORT_LIFETIME, SORT_FAULTS, SORT_NAME };

struct view {
    FILE *out;
    struct memory *memory;
    const struct model *model;
    const struct costs *costs;
    struct site **sites;
    size_t site_count;
    size_t left_out; /* by a filter or a limit */
    enum sort sort;
    unsigned width; /* of the terminal; 0: no limit */
    bool is_terminal;
    bool wide;                /* table: what has no column, too */
    bool all;                 /* code, try: those without a gain, too */
    const char *const *notes; /* what a reader has to know */
    size_t note_count;
};

typedef bool writer(const struct view *view);

/** False: the format could not be made, out of memory of a library. */
writer opool__profile_write_table, opool__profile_write_html, opool__profile_write_json, opool__profile_write_dhat,
    opool__profile_write_collapsed, opool__profile_write_code, opool__profile_write_try;
#ifdef OPOOL_HAVE_PPROF
writer opool__profile_write_pprof;
#endif

/* ---- units: short texts for people ---- */

/** "12.3k": at most five characters up to 999P. */
const char *opool__profile_short(struct memory *memory, double number);
/** "1,234,567" */
const char *opool__profile_grouped(struct memory *memory, uint64_t number);
/** "12us" */
const char *opool__profile_duration(struct memory *memory, uint64_t ns);
/** "1.5..3.0 % of CPU (15..30 ms/s)"; the part in brackets only with `rates`. */
const char *opool__profile_gain_text(struct memory *memory, const struct gain *gain, bool rates);
/** What was recorded, and how. */
const char *opool__profile_recorded_text(struct memory *memory, const struct model *model);
/** One sentence or two: what to do, all in all. */
const char *opool__profile_summary(struct memory *memory, const struct model *model);
/** What was in use, and what was resident; NULL: it is not known. */
const char *opool__profile_memory_text(struct memory *memory, const struct model *model);
/** The size of a site as a column: "992", "16..48", "300 of 4096..8192". */
const char *opool__profile_sizes_text(struct memory *memory, const struct site *site);
/** The most frequent sizes: "sizes 64 (50.0 %), 1,000 (40.0 %), others (10.0 %)". */
const char *opool__profile_size_list(struct memory *memory, const struct figures *figures);
/** A lifetime below which a share of the freed lay; "-": nothing was freed. */
const char *opool__profile_lifetime_text(struct memory *memory, const struct figures *figures, double share);
/** A number of blocks in use; "-": that was not recorded. */
const char *opool__profile_blocks_text(struct memory *memory, const struct figures *figures, uint64_t blocks);
/** "33%"; "-": of nothing. */
const char *opool__profile_share_text(struct memory *memory, uint64_t part, uint64_t of);
/** "grown by realloc 5 times, by 1,024 bytes in all; ..." */
const char *opool__profile_grown_text(struct memory *memory, const struct figures *figures);
/** "5 allocations, 320 bytes; 4 freed, 0 of them by another thread" */
const char *opool__profile_count_text(struct memory *memory, const struct figures *figures);
/** Histograms: "bytes from 32 50.0 %, 64 50.0 %", "lifetimes from 64ns 100.0 %". */
const char *opool__profile_size_classes(struct memory *memory, const struct figures *figures);
const char *opool__profile_lifetime_classes(struct memory *memory, const struct figures *figures);
/** The type that was guessed and how sure that is; NULL: none. */
const char *opool__profile_type_text(struct memory *memory, const struct type_guess *type);

/** A string as JSON, with quotes; of bytes that no text has it makes a '?'. */
void opool__profile_json_string(FILE *out, struct memory *memory, const char *text);

/** Is code to be written for the site? */
bool opool__profile_is_chosen(const struct view *view, const struct site *site);
/** Objects at once: twice the `most` that were seen, as a power of two from 64 on; 0, no limit, where `most` is 0: not
    known. */
uint64_t opool__profile_capacity(uint64_t most);
/** Objects to begin with: the most that one thread had, up to 128 and 256 KiB. */
uint64_t opool__profile_prefill(const struct site *site);

#endif
