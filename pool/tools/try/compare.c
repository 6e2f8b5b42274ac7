/* SPDX-License-Identifier: MIT */
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

/* ---- one run, in a process of its own: it has children of no other run ---- */

static volatile sig_atomic_t runner, stopped_by;

static void pass_on(int number)
{
    int saved = errno;
    stopped_by = number;
    if (runner > 0)
        kill((pid_t)runner, number);
    errno = saved;
}

/* What the terminal sends comes to the command without our help. */
static void note_only(int number)
{
    stopped_by = number;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = pass_on};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = note_only;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
}

static void forget_signals(void)
{
    for (size_t i = 0; i < OPOOL__LAUNCH_ENDS; i++)
        signal(opool__launch_ends[i], SIG_DFL);
}

/* A file is read from where it stands now, in each run; anything else could be read once only. */
static void give_input(off_t start)
{
    int none;
    if (start >= 0 && lseek(STDIN_FILENO, start, SEEK_SET) == start)
        return;
    if ((none = open("/dev/null", O_RDONLY)) >= 0 && none != STDIN_FILENO) {
        (void)dup2(none, STDIN_FILENO);
        close(none);
    }
}

static off_t input_start(void)
{
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0)
        return -1;
    if (S_ISFIFO(status.st_mode))
        fputs("opool try: standard input is a pipe, which can be read once only: the runs get none\n", stderr);
    return S_ISREG(status.st_mode) ? lseek(STDIN_FILENO, 0, SEEK_CUR) : -1;
}

/* A signal comes when it is known whom it is for: not between fork and the note of it. None is started, and `runner` is
   0, if one came before. */
static void start_runner(const struct opool__try_options *options, const struct opool__try_run *run, off_t input,
                         struct opool__try_cost *cost)
{
    sigset_t set, before;
    sigemptyset(&set);
    opool__launch_add_ends(&set);
    fflush(NULL);
    sigprocmask(SIG_BLOCK, &set, &before);
    bool stopped = stopped_by != 0;
    runner = stopped ? 0 : fork();
    if (runner == 0 && !stopped) {
        forget_signals();
        sigprocmask(SIG_SETMASK, &before, NULL);
        give_input(input);
        opool__try_run(options, run, cost);
        _exit(cost->failed);
    }
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = error;
}

static int run_apart(const struct opool__try_options *options, const struct opool__try_run *run, off_t input,
                     struct opool__try_cost *cost)
{
    int status = 0;
    start_runner(options, run, input, cost);
    if (runner < 0)
        return opool__try_fail("no process for a run", strerror(errno));
    if (runner == 0)
        return 128 + (int)stopped_by;
    while (waitpid((pid_t)runner, &status, 0) < 0 && errno == EINTR)
        continue;
    runner = 0;
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return cost->failed;
}

/* ---- rounds ---- */

static int next_file(const struct opool__try_options *options, struct opool__try_rounds *rounds, int *fd)
{
    if (rounds->file)
        munmap(rounds->file, (size_t)opool__try_file_bytes());
    rounds->file = opool__try_make_file(&options->config, fd);
    return rounds->file ? 0 : opool__try_fail("no shared memory", strerror(errno));
}

/* The first run of all is a plain one: its output is the one that is passed on. */
static int run_arm(const struct opool__try_options *options, struct opool__try_run run, off_t input,
                   struct opool__try_rounds *rounds, uint32_t round)
{
    int r = 0;
    run.fd = -1;
    run.pass = round == 0 && run.arm == OPOOL__TRY_PLAIN;
    if (run.arm == OPOOL__TRY_POOLS)
        r = next_file(options, rounds, &run.fd);
    if (r == 0)
        r = run_apart(options, &run, input, &rounds->of[run.arm][round]);
    if (run.fd >= 0)
        close(run.fd);
    return r;
}

/* Every second round backwards, so that what changes with time meets all alike. */
static int run_round(const struct opool__try_options *options, struct opool__try_run run, off_t input,
                     struct opool__try_rounds *rounds, uint32_t round)
{
    int r = 0;
    for (int i = 0; i < OPOOL__TRY_ARMS && r == 0 && !stopped_by; i++) {
        run.arm = (enum opool__try_arm)(round % 2 ? OPOOL__TRY_ARMS - 1 - i : i);
        if (rounds->has[run.arm])
            r = run_arm(options, run, input, rounds, round);
    }
    return r;
}

static void *shared_memory(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

int opool__try_compare(const struct opool__try_options *options, const char *path, struct opool__try_rounds *rounds)
{
    struct opool__try_run run = {.path = path, .capture = !options->load};
    off_t input = input_start();
    int r = 0;
    memset(rounds, 0, sizeof *rounds);
    struct opool__try_cost *costs = shared_memory(OPOOL__TRY_ARMS * options->rounds * sizeof *costs);
    if (!costs)
        return opool__try_fail("no memory for the figures", strerror(errno));
    for (int arm = 0; arm < OPOOL__TRY_ARMS; arm++) {
        rounds->of[arm] = costs + (size_t)arm * options->rounds;
        rounds->has[arm] = opool__try_has((enum opool__try_arm)arm);
    }
    watch_signals();
    for (uint32_t round = 0; round < options->rounds && r == 0 && !stopped_by; round++) {
        r = run_round(options, run, input, rounds, round);
        rounds->count += r == 0 && !stopped_by;
    }
    forget_signals();
    rounds->interrupted = stopped_by != 0;
    if (!rounds->interrupted)
        return r;
    if (rounds->count > 0)
        return 0;
    fputs("opool try: interrupted in the first round\n", stderr);
    return 128 + (int)stopped_by;
}

/* ---- what they say ---- */

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median_of_sorted(const double *values, uint32_t n)
{
    return n == 0 ? 0 : n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static bool have_units(const struct opool__try_rounds *rounds)
{
    for (int arm = 0; arm < OPOOL__TRY_ARMS; arm++)
        for (uint32_t i = 0; rounds->has[arm] && i < rounds->count; i++)
            if (rounds->of[arm][i].units == 0)
                return false;
    return true;
}

enum figure { CPU, FAULTS, PEAK };

static double value_of(const struct opool__try_cost *cost, enum figure figure, bool units)
{
    double share = units ? (double)cost->units : 1;
    if (figure == PEAK)
        return (double)cost->peak_kib / 1024;
    return (double)(figure == CPU ? cost->cpu_us : cost->faults) / share;
}

/* The k-th smallest and k-th largest of n hold the median unless fewer than k of n fall on one side of it. */
static uint32_t interval_rank(uint32_t n, double *confidence)
{
    double chance = 1, outside = 0;
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++)
        chance /= 2; /* of none on that side */
    for (; k < n / 2 && (k == 0 || outside + chance <= 0.025); k++) {
        outside += chance;
        chance = chance * (n - k) / (k + 1);
    }
    *confidence = n > 1 ? 1 - 2 * outside : 0;
    return k ? k : 1;
}

static double median(const struct opool__try_rounds *rounds, enum opool__try_arm arm, enum figure figure,
                     double *values)
{
    bool units = have_units(rounds);
    for (uint32_t i = 0; i < rounds->count; i++)
        values[i] = value_of(&rounds->of[arm][i], figure, units);
    qsort(values, rounds->count, sizeof *values, compare_doubles);
    return median_of_sorted(values, rounds->count);
}

static void sort_ratios(const struct opool__try_rounds *rounds, enum opool__try_arm arm, enum opool__try_arm against,
                        double *ratios)
{
    bool units = have_units(rounds);
    for (uint32_t i = 0; i < rounds->count; i++) {
        double base = value_of(&rounds->of[against][i], CPU, units);
        ratios[i] = base > 0 ? value_of(&rounds->of[arm][i], CPU, units) / base : 1;
    }
    qsort(ratios, rounds->count, sizeof *ratios, compare_doubles);
}

struct opool__try_verdict opool__try_judge(const struct opool__try_rounds *rounds, enum opool__try_arm arm,
                                           enum opool__try_arm against)
{
    struct opool__try_verdict verdict;
    memset(&verdict, 0, sizeof verdict);
    double *values = calloc(rounds->count + 1, sizeof *values);
    if (!values)
        return verdict;
    double base_faults = median(rounds, against, FAULTS, values);
    verdict.cpu = median(rounds, arm, CPU, values);
    verdict.faults = median(rounds, arm, FAULTS, values);
    verdict.faults_ratio = base_faults > 0 ? verdict.faults / base_faults : 1;
    verdict.peak_mib = median(rounds, arm, PEAK, values);
    sort_ratios(rounds, arm, against, values);
    uint32_t k = interval_rank(rounds->count, &verdict.confidence);
    verdict.ratio = median_of_sorted(values, rounds->count);
    verdict.least = values[k - 1];
    verdict.most = values[rounds->count - k];
    free(values);
    return verdict;
}

/* ---- text ---- */

static const char *const names[OPOOL__TRY_ARMS] = {"without", "pools", "glibc, tuned", "jemalloc"};

static void write_rows(FILE *out, const struct opool__try_rounds *rounds, const char *unit)
{
    bool units = have_units(rounds);
    fprintf(out, "opool try:   %-13s %12s  %-24s %14s %10s\n", "", units ? "CPU us each" : "CPU ms",
            rounds->count == 1 ? "ratio" : "ratio (interval)", units ? "faults each" : "faults", "MiB");
    for (int i = 0; i < OPOOL__TRY_ARMS; i++) {
        char ratio[64] = "1";
        if (!rounds->has[i])
            continue;
        struct opool__try_verdict v = opool__try_judge(rounds, (enum opool__try_arm)i, OPOOL__TRY_PLAIN);
        if (i != OPOOL__TRY_PLAIN && rounds->count == 1)
            snprintf(ratio, sizeof ratio, "%.3f", v.ratio);
        else if (i != OPOOL__TRY_PLAIN)
            snprintf(ratio, sizeof ratio, "%.3f (%.3f to %.3f)", v.ratio, v.least, v.most);
        fprintf(out,
                units ? "opool try:   %-13s %12.2f  %-24s %14.4f %10.1f\n"
                      : "opool try:   %-13s %12.1f  %-24s %14.0f %10.1f\n",
                names[i], units ? v.cpu : v.cpu / 1000, ratio, v.faults, v.peak_mib);
    }
    if (units)
        fprintf(out, "opool try:   each: of the %s that the load tells\n", unit);
}

/* What five rounds reach. */
#define CONFIDENT 0.9

static const char *word_for(const struct opool__try_verdict *v)
{
    if (v->confidence < CONFIDENT)
        return "too few rounds for a verdict";
    return v->most < 1 ? "less" : v->least > 1 ? "MORE" : "a tie";
}

static void write_words(FILE *out, const struct opool__try_rounds *rounds)
{
    struct opool__try_verdict v = opool__try_judge(rounds, OPOOL__TRY_POOLS, OPOOL__TRY_PLAIN);
    fprintf(out, "opool try: CPU with pools against without: %s\n", word_for(&v));
    for (int i = OPOOL__TRY_TUNED; i < OPOOL__TRY_ARMS && v.confidence >= CONFIDENT; i++) {
        if (!rounds->has[i])
            continue;
        v = opool__try_judge(rounds, OPOOL__TRY_POOLS, (enum opool__try_arm)i);
        fprintf(out, "opool try: CPU with pools against %s: %s, %.3f (%.3f to %.3f)\n", names[i], word_for(&v), v.ratio,
                v.least, v.most);
    }
}

/* ---- did all runs do the same? ---- */

static bool same_output(const struct opool__try_cost *a, const struct opool__try_cost *b)
{
    return a->output_bytes == b->output_bytes && a->output_hash == b->output_hash;
}

static bool plain_repeats(const struct opool__try_rounds *rounds)
{
    const struct opool__try_cost *plain = rounds->of[OPOOL__TRY_PLAIN];
    for (uint32_t i = 1; i < rounds->count; i++)
        if (!same_output(&plain[i], &plain[0]))
            return false;
    return true;
}

static int check_status(FILE *out, const struct opool__try_rounds *rounds)
{
    int status = rounds->of[OPOOL__TRY_PLAIN][0].status;
    for (uint32_t i = 0; i < rounds->count; i++) {
        int plain = rounds->of[OPOOL__TRY_PLAIN][i].status, pools = rounds->of[OPOOL__TRY_POOLS][i].status;
        if (pools == plain)
            continue;
        fprintf(out, "opool try: EXIT STATUS DIFFERS: %d without, %d with pools\n", plain, pools);
        return OPOOL__LAUNCH_FAILED;
    }
    return status;
}

static int check_output(FILE *out, const struct opool__try_rounds *rounds, int status)
{
    const struct opool__try_cost *plain = rounds->of[OPOOL__TRY_PLAIN], *pools = rounds->of[OPOOL__TRY_POOLS];
    if (!plain_repeats(rounds)) {
        fputs("opool try: output: differs from run to run without pools too\n", out);
        return status;
    }
    for (uint32_t i = 0; i < rounds->count; i++)
        if (!same_output(&pools[i], &plain[0])) {
            fputs("opool try: OUTPUT DIFFERS with pools\n", out);
            return OPOOL__LAUNCH_FAILED;
        }
    fprintf(out, "opool try: output: the same with pools and without, %llu bytes\n",
            (unsigned long long)plain[0].output_bytes);
    return status;
}

int opool__try_write_comparison(FILE *out, const struct opool__try_options *options,
                                const struct opool__try_rounds *rounds)
{
    struct opool__try_verdict v = opool__try_judge(rounds, OPOOL__TRY_POOLS, OPOOL__TRY_PLAIN);
    const char *interrupted = rounds->interrupted ? " (interrupted)" : "";
    if (rounds->count == 1)
        fprintf(out, "opool try: 1 round%s, runs in turn\n", interrupted);
    else
        fprintf(out,
                "opool try: %u rounds%s, runs in turn; medians; ratios within a round, with their %.0f %% interval\n",
                (unsigned)rounds->count, interrupted, 100 * v.confidence);
    write_rows(out, rounds, options->units);
    write_words(out, rounds);
    if (options->load)
        return 0;
    int status = check_status(out, rounds);
    return status == OPOOL__LAUNCH_FAILED ? status : check_output(out, rounds, status);
}

void opool__try_drop(struct opool__try_rounds *rounds)
{
    if (rounds->file)
        munmap(rounds->file, (size_t)opool__try_file_bytes());
    rounds->file = NULL;
}
