/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_FORMAT_H
#define OPOOL_TOOLS_PROFILE_FORMAT_H

/*
 * What the collector (collect/preload.c) writes, live, into a file that it maps, and what `opool profile` reads.
 *
 * A profile is one image after the other, each of one process: concatenated files are a profile. An image is a header
 * and five arrays, each at an offset from the image's start. A live image is sparse, with room for more than there
 * is; a saved one has no gaps. Memory and files are bounded by the room, however long the process runs: what finds
 * none is counted in `lost_*`.
 *
 * A record is what one thread did at one site: only that thread writes it, except `taken` and `taken_bytes`, to which
 * others add that free its blocks. Threads are numbered from 1. One that begins after another one ended goes on with
 * its number and its records: as many numbers as threads were there at a time, and what a record says of peaks is what
 * a cache of one thread would have seen.
 *
 * Blocks in use of a record: `live - taken`, `live_bytes - taken_bytes` (modulo 2^64). A saved image has `taken` 0.
 *
 * The process may have written anything here, or stopped in the middle: a reader takes no number for granted.
 * All numbers are in the machine's byte order, which `magic` shows.
 */

#include <stdbool.h>
#include <stdint.h>

#define OPOOL__PROFILE_MAGIC UINT64_C(0x31666f72706c6f70)

enum {
    OPOOL__PROFILE_VERSION = 2, /* counted up when anything here changes its place or meaning */
    OPOOL__PROFILE_FRAMES = 16, /* return addresses a site, innermost first */
    OPOOL__PROFILE_SIZES = 6,   /* sizes counted one by one */
    OPOOL__PROFILE_SIZE_CLASSES = 48,
    OPOOL__PROFILE_LIFETIMES = 64,
    OPOOL__PROFILE_PATH = 512,
    OPOOL__PROFILE_ID = 20
};

enum opool__profile_mode { OPOOL__PROFILE_FULL = 1, OPOOL__PROFILE_SAMPLED = 2, OPOOL__PROFILE_COUNTS = 3 };

/* States of `ended`. */
enum { OPOOL__PROFILE_RUNNING, OPOOL__PROFILE_EXITED, OPOOL__PROFILE_EXECED };

/* An array of `used` elements of `stride` bytes each, room for `room`. */
struct opool__profile_array {
    uint64_t offset;
    uint32_t stride, room, used, reserved;
};

struct opool__profile_header {
    uint64_t magic;
    uint32_t version;
    uint32_t ready;       /* everything before the arrays is valid */
    uint64_t image_bytes; /* to the next image */
    uint32_t mode, ended;
    uint32_t every;  /* sampled: one allocation in so many, all figures as seen, not scaled */
    uint32_t frames; /* asked for a site */
    uint32_t pid, parent;
    uint32_t own_malloc;         /* the program's malloc is not the one that was wrapped: nothing was seen */
    uint32_t paused;             /* recording is off now */
    uint64_t start_ns, last_ns;  /* CLOCK_MONOTONIC */
    uint64_t recorded_ns;        /* time with recording on, up to last_ns: opool__profile_recorded() */
    uint64_t cpu_ns;             /* of the process, at last_ns */
    uint64_t epoch_s;            /* time of day at start_ns */
    uint64_t allocations, frees; /* all events while recording, sampled or not */
    uint64_t lost_sites, lost_records, lost_blocks, lost_modules; /* events that found no room */
    uint64_t lost_children;                                       /* forks of a process that could make no image */
    uint64_t page_bytes;
    uint64_t faults; /* minor page faults of the process, at last_ns */
    /* By the tool, while the process runs: what it saw, and when. In a saved image that is not after `last_ns`. */
    uint64_t resident_bytes, seen_ns, seen_cpu_ns;
    uint64_t switched_ns,
        before_ns; /* when recording was switched on or off last (else: start_ns), recorded until then */
    uint64_t threads_begun;
    struct opool__profile_array modules, sites, records, timeline, threads;
    char program[OPOOL__PROFILE_PATH];
    char arguments[OPOOL__PROFILE_PATH]; /* joined by blanks, cut */
};

/* A file that is mapped executable. An address in [start, end) is at `address - start + file_offset` of the file. */
struct opool__profile_module {
    uint64_t start, end, file_offset;
    uint64_t bias; /* run time address - address in the file's symbols */
    uint32_t id_bytes;
    uint8_t id[OPOOL__PROFILE_ID]; /* build-id */
    char path[OPOOL__PROFILE_PATH];
    uint64_t left; /* 0: it is there; else it was unloaded when there were `left - 1` sites */
};

/* Is the address, of this site, one of the module? Another one may have come to its place: the first that says so. */
static inline bool opool__profile_holds(const struct opool__profile_module *module, uint64_t address, uint64_t site)
{
    return address >= module->start && address < module->end && (module->left == 0 || site < module->left - 1);
}

struct opool__profile_site {
    uint64_t key;             /* 0: not used */
    uint32_t depth, function; /* 'm'alloc, 'c'alloc, 'r'ealloc, 'a'ligned */
    uint64_t frames[OPOOL__PROFILE_FRAMES];
};

struct opool__profile_size {
    uint64_t bytes, count;
};

struct opool__profile_record {
    uint32_t site, thread; /* index; number, 0: not used */
    uint64_t allocations;  /* may be 0: a thread that only frees or moves blocks of a site has a record, too */
    uint64_t bytes;
    uint64_t frees;           /* of blocks of this site, by this thread */
    uint64_t foreign_frees;   /* those of them that another thread allocated */
    uint64_t live, live_peak; /* allocated by this thread and not freed by it; peak in use as seen at its allocations */
    uint64_t live_bytes, live_bytes_peak;
    uint64_t taken, taken_bytes; /* of those, freed by other threads; what they add by realloc is taken off */
    uint64_t least, most;        /* size asked for, by realloc too */
    uint64_t alignment;          /* most asked for; 0: none */
    uint64_t grown, grown_bytes; /* reallocs that grew a block of this site, bytes by which */
    uint64_t moved_bytes;        /* bytes that reallocs copied */
    uint64_t breaks, maps;       /* calls that moved the break, that mapped or unmapped, as far as seen */
    uint64_t fresh_bytes;        /* by how much these made the heap larger: pages that the program has fault in */
    uint64_t timed, timed_ns;    /* some of the calls (malloc's own, this and the free), drawn: how many, their time */
    uint64_t faults; /* minor page faults in the timed calls alone; scale by (allocations + frees) / timed */
    uint64_t burst;  /* most allocations in a row without a free of this site, this thread */
    uint64_t row;    /* such allocations now */
    struct opool__profile_size sizes[OPOOL__PROFILE_SIZES]; /* the first sizes seen, each counted exactly */
    uint64_t other_sizes;                                   /* allocations of none of those */
    uint32_t size_classes[OPOOL__PROFILE_SIZE_CLASSES];     /* [i]: sizes in [2^i, 2^(i+1)), 0 in [0]; saturating */
    uint32_t lifetimes[OPOOL__PROFILE_LIFETIMES]; /* two an octave from 64 ns up, see opool__profile_lifetime_class */
    uint64_t reserved[2];                         /* records of two threads share no cache line */
};

struct opool__profile_point {
    uint64_t at_ns; /* since start_ns */
    uint64_t live_bytes, live_blocks;
    uint64_t resident_bytes;
    uint64_t allocations;
};

/* All that a thread did while recording, whether sampled or not; what it found no record for, too. */
struct opool__profile_thread {
    uint64_t allocations, frees;
    uint64_t blocks, bytes; /* seen allocated less seen freed by this thread, modulo 2^64: the sum of all is in use */
    uint64_t begun;         /* threads that had this number */
    uint64_t last_ns;       /* of the last event that was looked at */
    uint64_t own, own_ns;   /* of the timed calls: how many, what the recorder itself took of them */
};

/* A file goes from one machine, and one opool, to another. */
_Static_assert(sizeof(struct opool__profile_header) == 1360 && sizeof(struct opool__profile_module) == 576 &&
                   sizeof(struct opool__profile_site) == 144 && sizeof(struct opool__profile_record) == 768 &&
                   sizeof(struct opool__profile_point) == 40 && sizeof(struct opool__profile_thread) == 64,
               "another size is another OPOOL__PROFILE_VERSION");

static inline uint64_t opool__profile_recorded(const struct opool__profile_header *header)
{
    bool ran = !header->paused && header->last_ns > header->switched_ns;
    return header->before_ns + (ran ? header->last_ns - header->switched_ns : 0);
}

/* Class of a lifetime: two an octave, [2^k, 1.5 * 2^k) and [1.5 * 2^k, 2^(k+1)) from 64 ns up; 0 has all below, the
   last one all above. */
static inline uint32_t opool__profile_lifetime_class(uint64_t ns)
{
    if (ns < 64)
        return 0;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(ns);
    uint64_t half = (uint64_t)1 << (octave - 1);
    uint32_t upper = (ns & half) ? 1 : 0; /* from 1.5 * 2^octave on */
    uint32_t class = 2 * (octave - 6) + upper;
    return class < OPOOL__PROFILE_LIFETIMES ? class : OPOOL__PROFILE_LIFETIMES - 1;
}

/* Lower end of a class, in ns. */
static inline uint64_t opool__profile_lifetime_from(uint32_t class)
{
    uint64_t octave = (uint64_t)1 << (6 + class / 2);
    return class == 0 ? 0 : octave + (class % 2 ? octave / 2 : 0);
}

#endif
