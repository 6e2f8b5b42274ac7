/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifdef OPOOL__HAS_COUNTER
#include <cpuid.h>
#endif

enum { READINGS = 32 };

struct opool__clock opool__clock;

#ifdef OPOOL__HAS_COUNTER
enum { MEASURED_NS = 100000 };
static const uint64_t REFINED_FIRST_NS = 100000000, REFINED_LAST_NS = 1000000000000;

static bool has_steady_counter(void)
{
    unsigned a, b, c, d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
}

/* The kernel watches the counter, and takes another clock when it can not be relied on. */
static bool kernel_trusts_counter(void)
{
    static const char *const by_counter[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page"};
    char name[64] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, name, sizeof name - 1);
    close(fd);
    name[n > 0 ? strcspn(name, "\n") : 0] = '\0';
    for (size_t i = 0; i < sizeof by_counter / sizeof *by_counter; i++)
        if (strcmp(name, by_counter[i]) == 0)
            return true;
    return false;
}

static void measure(void)
{
    uint64_t from_ns = opool__clock_monotonic(), from = __builtin_ia32_rdtsc(), ns;
    while ((ns = opool__clock_monotonic() - from_ns) < MEASURED_NS)
        continue;
    uint64_t counted = __builtin_ia32_rdtsc() - from;
    if (counted <= ns) /* less than one a ns: as exact as the other clock at the best */
        return;
    opool__clock =
        (struct opool__clock){.from = from, .from_ns = from_ns, .scale = (ns << 32) / counted, .counts = true};
}
#endif

#ifdef OPOOL__HAS_COUNTER
/* The scale is a fraction of 2^32, ns / counted: in two steps, because both are large after a while. */
static uint64_t scale_of(uint64_t ns, uint64_t counted)
{
    unsigned shift = ns >> 32 ? 64 - (unsigned)__builtin_clzll(ns >> 32) : 0;
    return counted >> shift ? (ns >> shift << 32) / (counted >> shift) : 0;
}
#endif

void opool__clock_refine(void)
{
#ifdef OPOOL__HAS_COUNTER
    static uint64_t next = REFINED_FIRST_NS;
    if (!opool__clock.counts)
        return;
    uint64_t counted = __builtin_ia32_rdtsc() - opool__clock.from, ns = opool__clock_monotonic() - opool__clock.from_ns;
    uint64_t scale = ns >= next && next <= REFINED_LAST_NS ? scale_of(ns, counted) : 0;
    if (scale == 0 || scale >> 32)
        return;
    opool__store_relaxed(&opool__clock.scale, scale);
    next = ns * 100;
#endif
}

static void measure_reading(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < READINGS; i++) {
        uint64_t from = opool__clock_now(), ns = opool__clock_now() - from;
        least = ns < least ? ns : least;
    }
    opool__clock.reading = least;
}

void opool__clock_start(void)
{
#ifdef OPOOL__HAS_COUNTER
    if (has_steady_counter() && kernel_trusts_counter())
        measure();
#endif
    measure_reading();
}
