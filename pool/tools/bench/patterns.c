/* SPDX-License-Identifier: MIT */
#include "patterns.h"

enum { ROOM = 256 << 20 }; /* bytes of objects, unless --live wants more */

const struct pattern_text opool__bench_patterns[PATTERNS] = {
    [PATTERN_PAIR] = {"pair", "one object, got and put again", 1},
    [PATTERN_BATCH] = {"batch", "%zu objects got, then put in the same order", 256},
    [PATTERN_REPLACE] = {"replace", "%zu objects live, one of them replaced at random", 4096},
    [PATTERN_HANDOFF] = {"handoff", "got by one thread, put by another; up to %zu on the way", 4096},
    [PATTERN_BURST] = {"burst", "%zu objects a thread at once, all back, silence, and again", 100000},
};

size_t opool__bench_live(const struct load *load)
{
    size_t live = opool__bench_patterns[load->pattern].live, least = load->pattern == PATTERN_HANDOFF ? 2 : 1;
    if (load->pattern == PATTERN_PAIR)
        return 1;
    if (load->live)
        return load->live < least ? least : load->live;
    if (load->pattern == PATTERN_BURST)
        live /= load->threads;
    size_t fitting = ROOM / load->size / load->threads;
    live = live < fitting ? live : fitting;
    return live < least ? least : live;
}
