/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_SHAPE_FINDINGS_H
#define OPOOL_SHAPE_FINDINGS_H

/*
 * What the put audit found in one process: plain memory without pointers, which another process may map and read.
 * All is written under the audit's lock; who reads without it sees whole words, and a row's first growth complete
 * once `growing` is set.
 */

#include <stdint.h>

/* Each pool has a share of the rows, so that one with very many members leaves some to all others; the rest goes to who
   comes first. */
enum {
    OPOOL__FINDING_POOLS = 48,
    OPOOL__FINDING_SHARE = 8,
    OPOOL__FINDING_COMMON = 192,
    OPOOL__FINDING_ROWS = OPOOL__FINDING_POOLS * OPOOL__FINDING_SHARE + OPOOL__FINDING_COMMON,
    OPOOL__FINDING_NAME = 80,
    OPOOL__FINDING_PATH = 384
};

struct opool__finding_pool {
    char name[OPOOL__FINDING_NAME], type[OPOOL__FINDING_NAME];
    char file[OPOOL__FINDING_PATH]; /* that defines the pool; "": not known */
    uint64_t size;                  /* of an object */
    uint64_t puts;
    uint64_t rows; /* in use */
    /* Puts at which a word that may own something found no row, and the first and the last such word. */
    uint64_t lost, last_lost; /* last_lost: number of such a put, from 1 */
    uint32_t lost_from, lost_to;
};

/* The word at `offset` of a pool's objects. Bytes and blocks: what it owned at a put, with all that this leads to. */
struct opool__finding_row {
    uint32_t pool;
    uint32_t offset;
    uint64_t held;                /* puts at which it owned something; 0: it never did */
    uint64_t grew, shrank;        /* puts at which it owned more, or less, than at the same object's last put */
    uint64_t least, most, sum;    /* bytes */
    uint64_t blocks;              /* most */
    uint64_t from, to, to_blocks; /* of the first growth */
    uint32_t growing;
    uint32_t shared;   /* something else was seen to hold the block, too: then it is not owned */
    uint64_t searches; /* for such a holder */
};

struct opool__findings {
    uint32_t pools, rows; /* in use */
    uint32_t common;      /* rows in use beyond the shares */
    uint32_t pools_lost;  /* that found no room here */
    uint64_t growing;     /* rows */
    struct opool__finding_pool pool[OPOOL__FINDING_POOLS];
    struct opool__finding_row row[OPOOL__FINDING_ROWS];
};

#endif
