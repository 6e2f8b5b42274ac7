/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../clean.h"
#include "../../shapes/file.h"
#include "../../shapes/guarded.h"
#include "report.h"
#include "sites.h"
#include "symbols.h"
#include "view.h"

enum { STATUS_GOOD = 0, STATUS_BAD = 2, TOP_DEFAULT = 20 };

static const char help[] =
    "Usage: opool profile report [OPTION]... FILE...\n"
    "\n"
    "Says what profiles of opool profile show: for each place that asks for memory its sizes, lifetimes and costs, "
    "whether\n"
    "a pool would fit, and what it would gain.\n"
    "\n"
    "  -f, --format FORMAT   table (the default), html, json, pprof (.pb.gz), dhat (JSON for valgrind's viewer),\n"
    "                        collapsed (stacks for flame graphs), code (pools to paste), try (sizes for opool try)\n"
    "  -o, --output FILE     write there instead of on standard output; FILE appears when it is whole\n"
    "  -s, --sort KEY        gain (the default), count, bytes, live, size, lifetime, faults, name\n"
    "  -m, --match TEXT      only sites with this in a function, file, type or verdict\n"
    "  -n, --top N           at most so many sites; 0: all. The table has 20, the others all\n"
    "  -b, --by VIEW         what one site is: site (the default), the call that asks for memory, leaving out "
    "functions\n"
    "                        like xmalloc; stack, each way to it; function, all calls of a function\n"
    "  -w, --wide            table: also the count, and histograms of sizes and lifetimes\n"
    "      --skip PATTERN    leave out functions of this name, too (shell pattern; may be repeated)\n"
    "      --all             code and try: also sites whose gain is below noise\n"
    "      --costs LIST      use these costs, in ns, instead of measuring this machine: "
    "malloc=20:40,pool=3:4,fault=250,\n"
    "                        brk=900,map=1500,cpuid=100,fill=30,clock=10; what is not named is measured\n"
    "      --no-symbols      addresses only\n"
    "  -h, --help            this text\n"
    "\n"
    "Verdicts: POOL, one size, freed; UNIFY, few sizes, a pool of the size it names would do; CONTEXT, made by one "
    "call into\n"
    "a library: keep it and reset it; BATCH, as POOL, but many at a time; KEEP, rare, long-lived or pooled already; "
    "NO, the\n"
    "sizes vary or grow. The gain is an interval; where it ends below 1 % of the processor time it is noise. Columns "
    "are\n"
    "per second (/S), lifetimes (P50, P99), blocks in use at the end (LIVE), at most (PEAK) and at most in one thread\n"
    "(THREAD), the part freed by another thread (OTHER), page faults, and calls that move the break or map (CALLS).\n"
    "\n"
    "Exit status: 0; 2: a file could not be read, or the output not written. Files are read in a process of their own, "
    "with\n"
    "bounds on time and memory.\n";

/* ---- options ---- */

struct format {
    const char *name;
    writer *write;
    bool is_binary;
    size_t top;
};

static const struct format formats[] = {
    {"table", opool__profile_write_table, false, TOP_DEFAULT},
    {"html", opool__profile_write_html, false, 0},
    {"json", opool__profile_write_json, false, 0},
#ifdef OPOOL_HAVE_PPROF
    {"pprof", opool__profile_write_pprof, true, 0},
#endif
    {"dhat", opool__profile_write_dhat, false, 0},
    {"collapsed", opool__profile_write_collapsed, false, 0},
    {"code", opool__profile_write_code, false, 0},
    {"try", opool__profile_write_try, false, 0},
};

static const char *const sorts[] = {"gain", "count", "bytes", "live", "size", "lifetime", "faults", "name"};
static const char *const groupings[] = {"site", "stack", "function"};

struct options {
    const struct format *format;
    const char *output, *match, *costs;
    enum sort sort;
    enum grouping by;
    size_t top;
    bool has_top, all, wide, no_symbols, help;
    char **skips;
    size_t skip_count;
};

static int fail(const char *what, const char *why)
{
    char name[PATH_MAX];
    fprintf(stderr, "opool profile report: %s: %s\n", opool__clean_copy(name, sizeof name, what), why);
    return STATUS_BAD;
}

/* Index of a word in a list, or -1. */
static int find(const char *word, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0)
            return (int)i;
    return -1;
}

static bool set_format(struct options *options, const char *word)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(word, formats[i].name) == 0)
            options->format = &formats[i];
    if (options->format)
        return true;
    fail(word, strcmp(word, "pprof") == 0 ? "this opool was built without protobuf-c" : "no such format");
    return false;
}

static bool set_sort(struct options *options, const char *word)
{
    int at = find(word, sorts, sizeof sorts / sizeof *sorts);
    options->sort = at < 0 ? SORT_GAIN : (enum sort)at;
    return at >= 0 || fail(word, "no such key to sort by") == 0;
}

static bool set_grouping(struct options *options, const char *word)
{
    int at = find(word, groupings, sizeof groupings / sizeof *groupings);
    options->by = at < 0 ? BY_SITE : (enum grouping)at;
    return at >= 0 || fail(word, "sites are by site, stack or function") == 0;
}

static bool set_top(struct options *options, const char *word)
{
    char *end;
    errno = 0;
    unsigned long long top = strtoull(word, &end, 10);
    options->top = (size_t)top;
    options->has_top = true;
    return (errno == 0 && *end == '\0' && word[0] >= '0' && word[0] <= '9') || fail(word, "not a number of sites") == 0;
}

static bool take_option(struct options *options, int c)
{
    switch (c) {
    case 'f':
        options->format = NULL;
        return set_format(options, optarg);
    case 'o':
        options->output = optarg;
        return true;
    case 's':
        return set_sort(options, optarg);
    case 'm':
        options->match = optarg;
        return true;
    case 'n':
        return set_top(options, optarg);
    case 'b':
        return set_grouping(options, optarg);
    case 'S':
        options->skips[options->skip_count++] = optarg;
        return true;
    case 'c':
        options->costs = optarg;
        return true;
    case 'a':
        options->all = true;
        return true;
    case 'w':
        options->wide = true;
        return true;
    case 'y':
        options->no_symbols = true;
        return true;
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
        {"all", no_argument, NULL, 'a'},
        {"by", required_argument, NULL, 'b'},
        {"costs", required_argument, NULL, 'c'},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {"match", required_argument, NULL, 'm'},
        {"no-symbols", no_argument, NULL, 'y'},
        {"output", required_argument, NULL, 'o'},
        {"skip", required_argument, NULL, 'S'},
        {"sort", required_argument, NULL, 's'},
        {"top", required_argument, NULL, 'n'},
        {"wide", no_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    optind = 0; /* another sub-command may have read its own */
    for (int c; (c = getopt_long(argc, argv, "b:f:hm:n:o:s:w", names, NULL)) != -1;)
        if (!take_option(options, c))
            return false;
    return true;
}

/* ---- in the child ---- */

struct work {
    const struct options *options;
    char **files;
    size_t count;
    const char *trouble; /* of a first attempt with symbols */
    unsigned width;
    bool is_terminal;
};

static void add_note(struct view *view, const char *text)
{
    view->notes = opool__shapes_grow(view->memory, (void *)view->notes, view->note_count, sizeof text);
    ((const char **)view->notes)[view->note_count++] = text;
}

/* The numbers of events that a process could not keep. */
static void note_images(struct view *view, const struct images *images)
{
    uint64_t sites = 0, records = 0, blocks = 0, children = 0, own = 0, paused = 0;
    for (size_t i = 0; i < images->count; i++) {
        const struct opool__profile_header *header = &images->all[i].header;
        sites = opool__profile_sum(sites, header->lost_sites);
        records = opool__profile_sum(records, header->lost_records);
        blocks = opool__profile_sum(blocks, header->lost_blocks);
        children = opool__profile_sum(children, header->lost_children);
        own += header->own_malloc != 0;
        paused += header->paused != 0;
    }
    if (sites || records || blocks)
        add_note(view, opool__shapes_format(
                           view->memory,
                           "no room was left for %llu new sites, %llu records and %llu blocks: figures are too "
                           "small by these events",
                           (unsigned long long)sites, (unsigned long long)records, (unsigned long long)blocks));
    if (children)
        add_note(view, opool__shapes_format(view->memory, "%llu forked processes could not be recorded",
                                            (unsigned long long)children));
    if (own)
        add_note(view, opool__shapes_format(
                           view->memory, "%llu of the processes allocate by a malloc of their own, which was not seen",
                           (unsigned long long)own));
    if (paused)
        add_note(view, opool__shapes_format(view->memory, "recording is off in %llu of the processes",
                                            (unsigned long long)paused));
}

static void note_model(struct view *view, const struct work *work)
{
    const struct model *model = view->model;
    if (work->trouble)
        add_note(view, opool__shapes_format(view->memory, "without names: %s", work->trouble));
    if (model->is_sampled)
        add_note(view,
                 "sampled: counts are estimates, scaled from the events that were seen; small peaks are too great");
    if (model->is_counts)
        add_note(view, "counts only: lifetimes, frees and threads are not known, and every block is taken for freed");
    if (model->allocator)
        add_note(view, opool__shapes_format(
                           view->memory,
                           "the program allocates by %s: the costs that were measured are those of the C library",
                           model->allocator));
    if (model->cpu_ns == 0)
        add_note(view, "the processor time is not known: gains are per second, and none is called noise");
    if (model->dropped)
        add_note(view, opool__shapes_format(view->memory, "%llu records belong to no site: left out",
                                            (unsigned long long)model->dropped));
    for (size_t i = 0; i < model->binary_count; i++)
        if (model->binaries[i]->trouble && model->binaries[i]->trouble[0])
            add_note(view, opool__shapes_format(view->memory, "no names from %s: %s", model->binaries[i]->path,
                                                model->binaries[i]->trouble));
}

/* ---- which sites, in which order ---- */

static enum sort sort_key;

static int compare_doubles(double a, double b)
{
    return (a < b) - (a > b);
}

static int by_key(const struct site *a, const struct site *b)
{
    const struct figures *x = &a->figures, *y = &b->figures;
    switch (sort_key) {
    case SORT_GAIN:
        if (opool__profile_is_poolable(a) != opool__profile_is_poolable(b))
            return opool__profile_is_poolable(b) - opool__profile_is_poolable(a);
        return compare_doubles(a->verdict.gain.high, b->verdict.gain.high);
    case SORT_BYTES:
        return compare_doubles((double)x->bytes, (double)y->bytes);
    case SORT_LIVE:
        return compare_doubles((double)x->live_peak_bytes, (double)y->live_peak_bytes);
    case SORT_SIZE:
        return compare_doubles((double)x->most, (double)y->most);
    case SORT_LIFETIME:
        return compare_doubles((double)opool__profile_lifetime(x, 0.5), (double)opool__profile_lifetime(y, 0.5));
    case SORT_FAULTS:
        return compare_doubles((double)x->faults + (double)x->breaks + (double)x->maps,
                               (double)y->faults + (double)y->breaks + (double)y->maps);
    case SORT_NAME:
        return strcmp(a->name, b->name);
    case SORT_COUNT:
        break;
    }
    return 0;
}

/* Where the key is the same: more allocations first, and then the first one seen. */
static int by_sort(const void *left, const void *right)
{
    const struct site *a = *(const struct site *const *)left, *b = *(const struct site *const *)right;
    int order = by_key(a, b);
    if (order == 0)
        order = compare_doubles((double)a->figures.allocations, (double)b->figures.allocations);
    if (order == 0 && a->at && b->at)
        order = compare_doubles((double)b->at->number, (double)a->at->number);
    return order;
}

static bool has_text(const char *text, const char *part)
{
    return text && strcasestr(text, part) != NULL;
}

static bool matches(const struct site *site, const char *part)
{
    if (has_text(site->name, part) || has_text(site->type.name, part) || has_text(site->verdict.why, part) ||
        has_text(opool__profile_kind(site->verdict.kind), part))
        return true;
    for (size_t i = 0; i < site->stack_count; i++)
        for (size_t k = 0; k < site->stacks[i]->depth; k++) {
            const struct frame *frame = site->stacks[i]->frames[k];
            if (frame->binary && has_text(frame->binary->path, part))
                return true;
            for (size_t n = 0; n < frame->line_count; n++)
                if (has_text(frame->lines[n].function, part) || has_text(frame->lines[n].file, part))
                    return true;
        }
    return false;
}

static void choose_sites(struct view *view, const struct options *options)
{
    const struct model *model = view->model;
    size_t top = options->has_top ? options->top : options->format->top;
    view->sites = opool__shapes_take(view->memory, (model->site_count + 1) * sizeof *view->sites);
    for (size_t i = 0; i < model->site_count; i++)
        if (!options->match || matches(model->sites[i], options->match))
            view->sites[view->site_count++] = model->sites[i];
    sort_key = view->sort = options->sort;
    qsort(view->sites, view->site_count, sizeof *view->sites, by_sort);
    if (top > 0 && view->site_count > top)
        view->site_count = top;
    view->left_out = model->site_count - view->site_count;
}

/* ---- one report ---- */

static bool get_costs(const struct options *options, struct costs *costs, const char **why)
{
    bool are_all = false;
    if (options->costs && !opool__profile_read_costs(costs, options->costs, &are_all, why))
        return false;
    if (are_all)
        return true;
    *why = "this machine's costs can not be measured: no memory, or no thread";
    return opool__profile_measure(costs) &&
           (!options->costs || opool__profile_read_costs(costs, options->costs, &are_all, why));
}

static bool write_report(struct work *work, struct images *images, struct view *view)
{
    struct model model;
    struct symbols symbols = {.model = NULL};
    opool__profile_model(&model, images);
    view->model = &model;
    if (!work->options->no_symbols && !work->trouble)
        opool__profile_symbols(&symbols, &model);
    opool__profile_sites(&model, work->options->by, work->options->skips, work->options->skip_count);
    opool__profile_judge(&model, view->costs);
    note_images(view, images);
    note_model(view, work);
    choose_sites(view, work->options);
    bool good = work->options->format->write(view);
    opool__profile_symbols_close(&symbols);
    return good;
}

/* Lines for standard error, a zero byte, the output. */
int opool__profile_work(void *arg, FILE *out)
{
    struct work *work = arg;
    struct memory memory = {0};
    struct images images = {.memory = &memory};
    struct costs costs;
    const char *why = NULL;
    struct view view = {.out = out,
                        .memory = &memory,
                        .costs = &costs,
                        .width = work->width,
                        .is_terminal = work->is_terminal,
                        .wide = work->options->wide,
                        .all = work->options->all};
    int status = get_costs(work->options, &costs, &why) ? STATUS_GOOD : STATUS_BAD;
    if (status != STATUS_GOOD) {
        fprintf(out, "opool profile report: %s\n%c", why, '\0');
        return status;
    }
    for (size_t i = 0; i < work->count; i++)
        if (!opool__profile_read(&images, work->files[i], &why)) {
            char name[PATH_MAX];
            opool__clean_copy(name, sizeof name, work->files[i]);
            fprintf(out, "opool profile report: %s: %s\n", name, why);
            add_note(&view, opool__shapes_format(&memory, "%s could not be read to its end: %s", name, why));
            status = STATUS_BAD;
        }
    fputc('\0', out);
    if (images.count > 0 && !write_report(work, &images, &view))
        status = STATUS_BAD;
    opool__shapes_give(&memory);
    return status;
}

/* ---- outside ---- */

/* The output, when it is whole: beside the file first, then in its place. */
static int write_file(const char *path, const char *text, size_t length)
{
    char beside[PATH_MAX + 16];
    struct stat about;
    /* A device or a pipe is written to as it is. */
    bool replace = stat(path, &about) != 0 || S_ISREG(about.st_mode);
    snprintf(beside, sizeof beside, replace ? "%s.%ld.part" : "%s", path, (long)getpid());
    FILE *file = fopen(beside, replace ? "wbx" : "wb");
    if (!file)
        return fail(path, strerror(errno));
    bool good = fwrite(text, 1, length, file) == length;
    int error = errno;
    if (fclose(file) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && replace && rename(beside, path) != 0) {
        good = false;
        error = errno;
    }
    if (good)
        return STATUS_GOOD;
    if (replace)
        unlink(beside);
    return fail(path, strerror(error));
}

static int write_result(const struct options *options, const struct guarded *result)
{
    size_t said = strnlen(result->text, result->length);
    const char *text = result->text + said + 1;
    if (said >= result->length)
        return STATUS_BAD;
    size_t length = result->length - said - 1;
    fwrite(result->text, 1, said, stderr);
    if (result->result != STATUS_GOOD && length == 0)
        return result->result;
    if (options->output) {
        int status = write_file(options->output, text, length);
        return status ? status : result->result;
    }
    fwrite(text, 1, length, stdout);
    return result->result; /* main notices a failure of writing */
}

static unsigned width_of(int fd)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (!isatty(fd))
        return 0;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return columns && atoi(columns) > 0 ? (unsigned)atoi(columns) : 80;
}

static int report(const struct options *options, char **files, size_t count)
{
    struct guarded result;
    unsigned long long size, all = 0;
    const char *why = NULL;
    struct work work = {.options = options, .files = files, .count = count};
    bool to_terminal = !options->output && isatty(STDOUT_FILENO);
    if (options->format->is_binary && to_terminal)
        return fail(options->format->name, "not for a terminal: give --output FILE");
    if (to_terminal) {
        work.width = width_of(STDOUT_FILENO);
        work.is_terminal = !getenv("NO_COLOR");
    }
    for (size_t i = 0; i < count; i++) {
        if (!opool__shapes_file_size(files[i], &size, &why))
            return fail(files[i], why);
        all = opool__profile_sum(all, size);
    }
    if (opool__shapes_guarded(opool__profile_work, &work, all, &result, &why) != 0) {
        /* The profile, or one of the files that names come from: without these it may be read. */
        const char *first = why;
        work.trouble = first;
        if (options->no_symbols || opool__shapes_guarded(opool__profile_work, &work, all, &result, &why) != 0)
            return fail(files[0], first);
    }
    int status = write_result(options, &result);
    free(result.text);
    return status;
}

int opool__profile_report(int argc, char **argv)
{
    struct options options = {.format = &formats[0]};
    options.skips = calloc((size_t)argc + 1, sizeof(char *));
    int status = STATUS_BAD;
    if (!options.skips)
        return fail("arguments", strerror(errno));
    if (!read_options(argc, argv, &options)) {
        free(options.skips);
        return STATUS_BAD;
    }
    if (options.help) {
        fputs(help, stdout);
        status = STATUS_GOOD;
    } else if (optind == argc) {
        fputs("opool profile report: no file given; opool profile report --help says more\n", stderr);
    } else {
        status = report(&options, argv + optind, (size_t)(argc - optind));
    }
    free(options.skips);
    return status;
}
