/* SPDX-License-Identifier: MIT */
#include "tick.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "clock.h"

enum { FIRST_PERIOD_NS = 10000000 };

uint64_t opool__tick_due;
static uint64_t period;

void opool__tick_start(void)
{
    period = FIRST_PERIOD_NS;
    opool__store_relaxed(&opool__tick_due, opool__clock_now() + period);
}

static struct opool__profile_thread sum_threads(void)
{
    struct opool__profile_thread sum = {0};
    /* acquire: an element is zero before it counts. */
    uint32_t used = opool__load_acquire(&opool__image.header->threads.used);
    for (uint32_t i = 0; i < used; i++) {
        sum.allocations += opool__load_relaxed(&opool__image.threads[i].allocations);
        sum.frees += opool__load_relaxed(&opool__image.threads[i].frees);
        sum.blocks += opool__load_relaxed(&opool__image.threads[i].blocks);
        sum.bytes += opool__load_relaxed(&opool__image.threads[i].bytes);
    }
    return sum;
}

static void write_header(const struct opool__profile_thread *sum)
{
    struct opool__profile_header *header = opool__image.header;
    struct rusage usage;
    struct timespec cpu;
    uint64_t now = opool__clock_monotonic();
    header->last_ns = now;
    header->recorded_ns = opool__profile_recorded(header);
    header->allocations = sum->allocations;
    header->frees = sum->frees;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
        header->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        header->faults = (uint64_t)usage.ru_minflt;
}

static void thin_out(void)
{
    uint32_t used = opool__image.header->timeline.used;
    for (uint32_t i = 0; 2 * i + 1 < used; i++)
        opool__image.points[i] = opool__image.points[2 * i + 1];
    opool__store_release(&opool__image.header->timeline.used, used / 2);
    period *= 2;
}

static void add_point(const struct opool__profile_thread *sum)
{
    struct opool__profile_header *header = opool__image.header;
    if (header->timeline.used == header->timeline.room)
        thin_out();
    uint32_t number = opool__image_take(&header->timeline);
    if (number == UINT32_MAX)
        return;
    opool__image.points[number] = (struct opool__profile_point){.at_ns = header->last_ns - header->start_ns,
                                                                .live_bytes = sum->bytes,
                                                                .live_blocks = sum->blocks,
                                                                .resident_bytes = header->resident_bytes,
                                                                .allocations = sum->allocations};
}

static void tick(void)
{
    struct opool__profile_thread sum = sum_threads();
    opool__image_lock();
    opool__clock_refine();
    write_header(&sum);
    add_point(&sum);
    opool__image_unlock();
}

__attribute__((noinline)) void opool__tick_now(uint64_t now)
{
    uint64_t due = opool__load_relaxed(&opool__tick_due);
    int saved = errno;
    /* One thread of those that see it comes through. */
    if (now >= due && opool__cas_relaxed(&opool__tick_due, &due, now + period))
        tick();
    errno = saved;
}

void opool__tick_end(void)
{
    tick();
}
