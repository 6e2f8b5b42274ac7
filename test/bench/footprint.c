/* SPDX-License-Identifier: MIT */

/*
 * What the footprint guard does to seven loads: objects own a buffer that grows to the next power of two (a number
 * here, no memory), and real pools keep, refuse and flag them. A benchmark: it prints, and judges nothing.
 *
 *     footprint [--quick]
 *
 * Requests come and go in random order, between 8 and 64 at once. Columns: bytes held, by idle and used objects, over
 * bytes needed, on average; held at the end and at the peak; growths and refused puts in 1000 requests; KiB allocated a
 * request; growths that make again what was refused before; windows of 8192 puts at whose end the pool was flagged.
 *
 *     no guard        footprint_max = SIZE_MAX
 *     cap 64K         footprint_max = 65536
 *     calibrated      footprint_max = 0: twice the 99th percentile
 *     fixed part      the object has a part of fixed size, as a programmer would choose it; what does not fit is
 *                     allocated for one use and never kept
 */
#include <math.h>
#include <opool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 256, WINDOW = 8192 };

#define MIB 1048576.0

struct buffer {
    size_t held; /* bytes that it owns */
    size_t used; /* bytes of this request */
    size_t overflow;
};

/* ---- what the callbacks count ---- */

struct run {
    size_t fixed; /* bytes of the fixed part; 0: the buffer grows */
    double held, needed, peak, allocated, owed;
    unsigned long growths, growths_again;
};

static void allocate(struct run *run, size_t bytes)
{
    run->held += (double)bytes;
    run->allocated += (double)bytes;
    run->peak = run->held > run->peak ? run->held : run->peak;
}

static int buffer_init(struct buffer *buffer, void *arg)
{
    struct run *run = arg;
    buffer->held = run->fixed;
    allocate(run, run->fixed);
    return 0;
}

static void buffer_fini(struct buffer *buffer, void *arg)
{
    struct run *run = arg;
    run->held -= (double)buffer->held;
    run->owed += (double)buffer->held;
}

static struct opool_footprint buffer_footprint(const struct buffer *buffer, void *arg)
{
    (void)arg;
    return (struct opool_footprint){.used = buffer->used, .held = buffer->held};
}

static bool buffer_reset(struct buffer *buffer, void *arg)
{
    struct run *run = arg;
    run->held -= (double)buffer->overflow;
    buffer->overflow = buffer->used = 0;
    return true;
}

OPOOL_DEFINE_OWNING(buffer_pool, struct buffer, buffer_footprint, "a buffer that grows with the request",
                    .init = buffer_init, .reset = buffer_reset, .fini = buffer_fini, .kept = OPOOL_MEMBERS(held));

static size_t power_of_two(size_t bytes)
{
    size_t power = 64;
    while (power < bytes)
        power *= 2;
    return power;
}

static void grow(struct run *run, struct buffer *buffer, size_t bytes)
{
    run->growths++;
    if (run->owed >= (double)bytes / 2) {
        run->growths_again++;
        run->owed -= run->owed < (double)bytes ? run->owed : (double)bytes;
    }
    allocate(run, bytes - buffer->held);
    buffer->held = bytes;
}

static void use(struct run *run, struct buffer *buffer, size_t bytes)
{
    buffer->used = bytes;
    if (bytes <= buffer->held)
        return;
    if (!run->fixed) {
        grow(run, buffer, power_of_two(bytes));
        return;
    }
    run->growths++;
    buffer->overflow = bytes;
    allocate(run, bytes);
}

/* ---- loads ---- */

static uint64_t random_state;

static double uniform(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * (1.0 / 9007199254740992.0);
}

static double normal(void)
{
    double u = uniform() + 1e-18, v = uniform();
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static size_t around(double bytes, double spread)
{
    return (size_t)exp(log(bytes) + spread * normal());
}

static size_t burst(unsigned long i, unsigned long n)
{
    (void)n;
    return i < 10 ? 256 << 20 : 1 << 10;
}

static size_t rare_huge(unsigned long i, unsigned long n)
{
    (void)i;
    (void)n;
    return uniform() < 1e-4 ? 64 << 20 : around(1024, 0.5);
}

static size_t steady(unsigned long i, unsigned long n)
{
    (void)i;
    (void)n;
    return around(4096, 0.25);
}

static size_t half_and_half(unsigned long i, unsigned long n)
{
    (void)i;
    (void)n;
    return uniform() < 0.5 ? 1 << 10 : 1 << 16;
}

static size_t one_in_a_hundred(unsigned long i, unsigned long n)
{
    (void)i;
    (void)n;
    return uniform() < 0.99 ? 1 << 10 : 1 << 20;
}

static size_t phases(unsigned long i, unsigned long n)
{
    return around(i / (n / 8) & 1 ? 262144 : 4096, 0.25);
}

static size_t heavy_tail(unsigned long i, unsigned long n)
{
    (void)i;
    (void)n;
    double bytes = 512 / pow(uniform() + 1e-12, 1 / 1.1);
    return bytes < 2.7e8 ? (size_t)bytes : 270000000;
}

static const struct load {
    const char *name;
    size_t (*bytes)(unsigned long request, unsigned long requests);
    size_t fixed; /* bytes that a programmer would choose for the fixed part */
} loads[] = {
    {"burst, then 1K", burst, 1024},        {"rare huge", rare_huge, 4096},          {"steady", steady, 8192},
    {"50/50 1K, 64K", half_and_half, 1024}, {"99/1 1K, 1M", one_in_a_hundred, 1024}, {"phases 4K, 256K", phases, 4096},
    {"heavy tail", heavy_tail, 4096}};

/* ---- a run ---- */

struct requests {
    struct buffer_pool *pool;
    struct buffer *out[AT_ONCE];
    int count;
};

struct sums {
    double held, needed;
    unsigned long puts, windows, churns, bloats;
};

static void look(struct buffer_pool *pool, struct sums *sums)
{
    struct opool_stats stats;
    if (++sums->puts % WINDOW != 0 || opool_stats_read(buffer_pool_base(pool), &stats) != 0)
        return;
    sums->windows++;
    sums->churns += stats.churn;
    sums->bloats += stats.bloat;
}

static bool begin(struct run *run, struct requests *requests, size_t bytes)
{
    struct buffer *buffer = buffer_pool_get(requests->pool);
    if (!buffer)
        return false;
    use(run, buffer, bytes);
    run->needed += (double)bytes;
    requests->out[requests->count++] = buffer;
    return true;
}

static void end(struct run *run, struct requests *requests, int i)
{
    struct buffer *buffer = requests->out[i];
    requests->out[i] = requests->out[--requests->count];
    run->needed -= (double)buffer->used;
    buffer_pool_put(requests->pool, buffer);
}

/* How likely a request begins, rather than one ends: its number swings between 8 and 64. */
static double share(int count, unsigned long step)
{
    double target = 36 + 28 * sin(6.2831853 * (double)step / 40000);
    return count == 0 ? 1 : count == AT_ONCE ? 0 : count < target ? 0.8 : 0.2;
}

static bool serve(struct run *run, struct requests *requests, const struct load *load, unsigned long n,
                  struct sums *sums)
{
    unsigned long request = 0;
    for (unsigned long step = 0; request < n; step++) {
        double chance = share(requests->count, step);
        if (chance >= 1 || (chance > 0 && uniform() < chance)) {
            if (!begin(run, requests, load->bytes(request++, n)))
                return false;
        } else {
            end(run, requests, (int)(uniform() * requests->count));
            look(requests->pool, sums);
        }
        sums->held += run->held;
        sums->needed += run->needed;
    }
    return true;
}

static void print(const char *load, const char *policy, const struct run *run, const struct sums *sums,
                  const struct opool_stats *stats, unsigned long n)
{
    double thousands = (double)n / 1000, windows = sums->windows ? (double)sums->windows : 1;
    printf("%-15s  %-10s %9.1f %8.1f %6.0f %8.2f %8.2f %8.2f %7.1f %6.0f %6.0f\n", load, policy,
           sums->held / sums->needed, run->held / MIB, run->peak / MIB, (double)run->growths / thousands,
           (double)stats->bloated / thousands, run->allocated / 1024 / (double)n,
           run->growths ? 100 * (double)run->growths_again / (double)run->growths : 0,
           100 * (double)sums->churns / windows, 100 * (double)sums->bloats / windows);
}

/* The same requests for each policy. */
static bool measure(const struct load *load, const char *policy, size_t footprint_max, size_t fixed, unsigned long n)
{
    struct run run = {.fixed = fixed};
    struct sums sums = {0};
    struct requests requests = {0};
    struct opool_stats stats;
    struct opool_options options = {.arg = &run, .footprint_max = footprint_max};
    random_state = 88172645463325252u;
    if (buffer_pool_create(&requests.pool, &options) != 0)
        return false;
    bool served = serve(&run, &requests, load, n, &sums);
    struct run at_end = run;
    while (requests.count)
        end(&run, &requests, 0);
    served = served && opool_stats_read(buffer_pool_base(requests.pool), &stats) == 0;
    if (served)
        print(load->name, policy, &at_end, &sums, &stats, n);
    buffer_pool_destroy(&requests.pool);
    return served;
}

/* Each pool says once what to do instead: above its line. */
static void show(const char *line, void *arg)
{
    (void)arg;
    const char *text = strstr(line, "): ");
    printf("    says: %s\n", text ? text + 3 : line);
}

int main(int argc, char **argv)
{
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0, good = true;
    unsigned long n = quick ? 200000 : 1000000;
    if (argc > 1 && !quick) {
        fputs("usage: footprint [--quick]\n", stderr);
        return 2;
    }
    opool_log_set(show, NULL);
    printf("%lu requests; MiB; growths and refused puts in 1000 requests; regrown, churn and bloat in %%\n", n);
    printf("%-15s  %-10s %9s %8s %6s %8s %8s %8s %7s %6s %6s\n", "", "", "held/need", "end", "peak", "growths",
           "refused", "KiB/req", "regrown", "churn", "bloat");
    for (size_t i = 0; i < sizeof loads / sizeof *loads && good; i++) {
        const struct load *load = &loads[i];
        good = measure(load, "no guard", SIZE_MAX, 0, n) && measure(load, "cap 64K", 1 << 16, 0, n) &&
               measure(load, "calibrated", 0, 0, n) && measure(load, "fixed part", 0, load->fixed, n);
    }
    if (!good)
        fputs("footprint: no memory\n", stderr);
    return good ? 0 : 1;
}
