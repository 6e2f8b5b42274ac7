/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clean.h"
#include "measure.h"
#include "opool/types.h"
#include "patterns.h"

const char opool__bench_help[] =
    "Usage: opool bench [OPTION]...\n"
    "\n"
    "Measures a pool of objects of your size against malloc: glibc as it is and tuned, jemalloc, mimalloc and "
    "tcmalloc\n"
    "where they are installed, and the malloc of this environment if it is another one. Each figure comes from a\n"
    "process of its own; they take turns, round by round, in rotating order.\n"
    "\n"
    "  --size N          bytes of an object, 1 to 16777216 (default 256)\n"
    "  --align A         its alignment, a power of two up to 4096 that divides the size\n"
    "                    (default: the largest that does, at most 16)\n"
    "  --threads T       how many work at once, 1 to 1024 (default 1; handoff takes pairs: 2)\n"
    "  --pattern P       default: all of them, about half a minute\n"
    "                      pair     one object, got and put again\n"
    "                      batch    256 got, then put in the same order\n"
    "                      replace  4096 live, one of them replaced at random\n"
    "                      handoff  got by one thread and put by another, up to 4096 on the way, in chunks\n"
    "                      burst    100000 at once, all back, silence, and again: resident memory, too\n"
    "  --live N          instead of these 256, 4096 or 100000 (which are fewer for large objects): objects that a\n"
    "                    thread holds at once\n"
    "  --rounds N        figures of each, 1 to 1000 (default 9); fewer than 6 give no verdict\n"
    "  --milliseconds M  work of a thread for one figure, 1 to 10000 (default 20); burst does not need it\n"
    "  --json FILE       all figures, too\n"
    "  -h, --help        this text\n"
    "\n"
    "A figure is nanoseconds of processor time, of all threads, for an object got, its first and last byte written,\n"
    "and put; the median of the rounds. Behind it stand what the pool needs against that row, and the 95 % interval "
    "of\n"
    "the ratio of the two (bootstrap over rounds); 1 inside it is a tie.\n"
    "\n"
    "The pool has basic checks, no callbacks, and lies in this program (linked statically): one row by the code that\n"
    "OPOOL_DEFINE inlines, one by the exported calls, as languages without the header use them. In bursts it ticks\n"
    "each 50 ms, and the silence is 250 ms; mallocs give back as they are set up to, some later than that.\n"
    "It shows what getting memory costs. It does not show what a pool saves most: objects that stay built.\n"
    "\n"
    "Exit status: 0, measured; 1, some of it could not be measured; 2, wrong usage, or the output not written.\n";

enum { NUMBER_MOST = INT_MAX };

static bool refuse(const char *what, const char *argument)
{
    char text[TEXT_MOST];
    fprintf(stderr, "opool bench: %s%s; opool bench --help says more\n", what,
            opool__clean_copy(text, sizeof text, argument));
    return false;
}

static bool read_number(const char *text, size_t least, size_t most, const char *what, size_t *number)
{
    char *end; /* what is too large for any number is above `most`, too */
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < least || value > most) {
        char why[TEXT_MOST];
        snprintf(why, sizeof why, "%s is a number from %zu to %zu, not ", what, least, most);
        return refuse(why, text);
    }
    *number = (size_t)value;
    return true;
}

static bool read_pattern(const char *text, struct options *options)
{
    for (unsigned i = 0; i < PATTERNS; i++)
        if (strcmp(text, opool__bench_patterns[i].name) == 0) {
            options->load.pattern = (enum pattern)i;
            options->all = false;
            return true;
        }
    return refuse("--pattern is pair, batch, replace, handoff or burst, not ", text);
}

enum {
    OPTION_SIZE = 256,
    OPTION_ALIGN,
    OPTION_THREADS,
    OPTION_PATTERN,
    OPTION_LIVE,
    OPTION_ROUNDS,
    OPTION_MILLISECONDS,
    OPTION_JSON,
    OPTION_MEASURE
};

static bool read_option(int option, const char *text, struct options *options)
{
    struct load *load = &options->load;
    size_t number = 0;
    bool good = true;
    switch (option) {
    case OPTION_SIZE:
        return read_number(text, 1, OPOOL_SIZE_MAX, "--size", &load->size);
    case OPTION_ALIGN:
        return read_number(text, 1, OPOOL_ALIGN_MAX, "--align", &load->align);
    case OPTION_THREADS:
        good = read_number(text, 1, THREADS_MOST, "--threads", &number);
        load->threads = (unsigned)number;
        return good;
    case OPTION_PATTERN:
        return read_pattern(text, options);
    case OPTION_LIVE:
        return read_number(text, 1, NUMBER_MOST, "--live", &load->live);
    case OPTION_ROUNDS:
        good = read_number(text, 1, ROUNDS_MOST, "--rounds", &number);
        options->rounds = (unsigned)number;
        return good;
    case OPTION_MILLISECONDS:
        good = read_number(text, 1, MILLISECONDS_MOST, "--milliseconds", &number);
        load->milliseconds = (unsigned)number;
        return good;
    case OPTION_JSON:
        options->json = text;
        return *text || refuse("--json needs the name of a file", "");
    case OPTION_MEASURE:
        options->measure = text;
        return opool__bench_can_measure(text) || refuse("--measure is for children of the command, not ", text);
    case 'h':
        options->help = true;
        return true;
    default:
        return false; /* getopt said why */
    }
}

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {
        {"size", required_argument, NULL, OPTION_SIZE},
        {"align", required_argument, NULL, OPTION_ALIGN},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"pattern", required_argument, NULL, OPTION_PATTERN},
        {"live", required_argument, NULL, OPTION_LIVE},
        {"rounds", required_argument, NULL, OPTION_ROUNDS},
        {"milliseconds", required_argument, NULL, OPTION_MILLISECONDS},
        {"json", required_argument, NULL, OPTION_JSON},
        {"measure", required_argument, NULL, OPTION_MEASURE},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "h", names, NULL)) != -1;)
        if (!read_option(option, optarg, options))
            return false;
    return !argv[optind] || refuse("not an option: ", argv[optind]);
}

/* What malloc gives a type of this size, unless it asks for more. */
static size_t natural_alignment(size_t size)
{
    size_t align = alignof(max_align_t);
    while (size % align != 0)
        align /= 2;
    return align;
}

static bool check_shape(struct load *load)
{
    char text[TEXT_MOST], size[32];
    if (load->align == 0)
        load->align = natural_alignment(load->size);
    if ((load->align & (load->align - 1)) != 0) {
        snprintf(text, sizeof text, "%zu", load->align);
        return refuse("--align is a power of two, not ", text);
    }
    size_t over = load->size % load->align, next = load->size - over + load->align;
    if (over == 0)
        return true;
    snprintf(size, sizeof size, "%zu", load->size);
    if (load->size < load->align)
        snprintf(text, sizeof text, "a type aligned to %zu is of at least %zu bytes, not ", load->align, load->align);
    else
        snprintf(text, sizeof text, "a type aligned to %zu is of %zu bytes or %zu, not ", load->align,
                 load->size - over, next);
    return refuse(text, size);
}

/* Handing over takes two. 0: not a word about threads, and each pattern has as many as it needs. */
static bool check_threads(struct options *options)
{
    unsigned threads = options->load.threads;
    bool hands_over = !options->all && options->load.pattern == PATTERN_HANDOFF;
    if (hands_over && threads % 2 != 0)
        return refuse("handoff takes an even number of threads", "");
    return true;
}

bool opool__bench_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.all = true, .rounds = 9, .load = {.size = 256, .milliseconds = 20}};
    if (!read_options(argc, argv, options))
        return false;
    return options->help || (check_shape(&options->load) && check_threads(options));
}

bool opool__bench_check(const struct load *load)
{
    size_t live = opool__bench_live(load),
           holders = load->pattern == PATTERN_HANDOFF ? load->threads / 2 : load->threads;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t half = pages > 0 ? (size_t)pages / 2 * (size_t)page : SIZE_MAX / 2;
    /* Divided: the product may be more than a size_t holds. */
    if (live <= half / load->size / holders)
        return true;
    fprintf(stderr,
            "opool bench: %s: %zu threads that hold %zu objects of %zu bytes each are more than half of this "
            "machine's memory; --live says how many they hold\n",
            opool__bench_patterns[load->pattern].name, holders, live, load->size);
    return false;
}
